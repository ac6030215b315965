# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of Grad-CAM with bands, zone axes and Hough transforms."""

from collections.abc import Sequence
import re
from typing import TYPE_CHECKING, Any

import matplotlib.patheffects as path_effects
import matplotlib.pyplot as plt
import numpy as np

from kikuchipy_spacegroup.plot._map_image import COLUMN_WIDTH

if TYPE_CHECKING:
    from kikuchipy.simulations import GeometricalKikuchiPatternSimulation
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Opacity of the highest value of a map
_OPACITY = 0.65
# Distance between labels of zone axes, as a fraction of the side
_LABEL_DISTANCE = 0.08
_LINE_COLOR = "deepskyblue"
# Sizes of text in points, and the width of two columns of a journal in inches
_SMALL, _LABEL = 6, 7
_FULL_WIDTH = 170 / 25.4


def plot_grad_cam(
    pattern: np.ndarray,
    cam: np.ndarray,
    *,
    simulation: "GeometricalKikuchiPatternSimulation | None" = None,
    index: int | tuple[int, ...] | None = None,
    max_index: int = 2,
    cmap: str = "inferno",
    radius: float | None = 1.0,
    caption: str | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw a pattern with its Grad-CAM on top.

    Parameters
    ----------
    pattern
        Pattern of shape (rows, columns).
    cam
        Map of shape (size, size) as from
        :func:`~kikuchipy_spacegroup.explanation.grad_cam`, which is
        carried to the frame of the pattern, or map of the shape of a
        pattern that is not square. Opacity grows with the value.
    simulation
        Bands and zone axes of the pattern's orientation, from
        :meth:`kikuchipy.simulations.KikuchiPatternSimulator.on_detector`
        or :func:`~kikuchipy_spacegroup.explanation.simulate_geometry`.
    index
        Index of the pattern in the simulation. If not given, it is the
        first one.
    max_index
        Zone axes with a larger index are not labelled. Where labels are
        close, those of lower indices are drawn.
    cmap
        Color map of the Grad-CAM.
    radius
        Radius of the circle the network sees, see
        :func:`~kikuchipy_spacegroup.explanation.to_pattern_frame`.
        Nothing of a square map is drawn outside of it, and its highest
        value inside is drawn as the highest of all. If None, the
        corners are drawn too.
    caption
        Line to write below, such as the chance level, the number of
        materials and whether this one was in training.
    ax
        Axes to draw in. If not given, a new figure as wide as a column
        of a journal is made.

    Returns
    -------
    ax
        Axes with the picture.

    Raises
    ------
    ValueError
        If the shapes of pattern, map and detector do not fit.

    See Also
    --------
    kikuchipy.simulations.KikuchiPatternSimulator.on_detector

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> cam = kpsg.explanation.grad_cam(kpsg.load_model(), s.data[0])
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    >>> simulation = kpsg.explanation.simulate_geometry(
    ...     mp.phase, s.detector, s.xmap.rotations.reshape(3, 3), lattice_unit="nm"
    ... )
    >>> ax = kpsg.plot.plot_grad_cam(
    ...     s.data[0, 1], cam[1], simulation=simulation, index=(0, 1)
    ... )
    """
    pattern, cam = np.asarray(pattern), np.asarray(cam)
    if pattern.ndim != 2 or cam.ndim != 2:
        raise ValueError(
            "Pattern and map must be of shape (rows, columns), not "
            f"{pattern.shape} and {cam.shape}"
        )
    cam = _fit_to_frame(cam, pattern.shape, radius)
    if simulation is not None and tuple(simulation.detector.shape) != pattern.shape:
        raise ValueError(
            f"The simulation is of patterns of shape {simulation.detector.shape}, but "
            f"the pattern is of shape {pattern.shape}"
        )
    if ax is None:
        height = COLUMN_WIDTH * min(1.5, pattern.shape[0] / pattern.shape[1])
        size = COLUMN_WIDTH, height + (0.15 if caption else 0)
        _, ax = plt.subplots(figsize=size, layout="constrained")
    ax.imshow(pattern, cmap="gray", **_choose_limits(pattern))
    shown = np.nan_to_num(cam)
    opacity = _OPACITY * np.clip(shown, 0, 1)
    ax.imshow(shown, cmap=cmap, vmin=0, vmax=1, alpha=opacity, interpolation="bilinear")
    ax.set(xticks=[], yticks=[])
    if caption is not None:
        ax.set_xlabel(caption, fontsize=_LABEL)
    if simulation is not None:
        _draw_simulation(ax, simulation, index, max_index)
    return ax


def _fit_to_frame(
    cam: np.ndarray, shape: tuple[int, int], radius: float | None
) -> np.ndarray:
    """Return a map (rows, columns) fitted to a pattern, NaN where it says nothing."""
    from kikuchipy_spacegroup.explanation import to_pattern_frame

    if cam.shape != shape:
        fitted = to_pattern_frame(cam, shape, radius=radius)
    elif shape[0] == shape[1]:
        outside = np.isnan(to_pattern_frame(np.ones((1, 1)), shape, radius=radius))
        fitted = np.where(outside, np.nan, cam)
    else:
        return cam
    highest, inside = (np.nan_to_num(each).max(initial=0) for each in (cam, fitted))
    return fitted * (highest / inside if inside > 0 else 1)


def _choose_limits(pattern: np.ndarray) -> dict[str, float]:
    """Return gray levels without the extremes, as arguments of ``imshow()``."""
    finite = pattern[np.isfinite(pattern)]
    if not finite.size:
        return {}
    low, high = np.percentile(finite, (0.5, 99.5))
    return {"vmin": low, "vmax": high}


def _draw_simulation(
    ax: "Axes",
    simulation: "GeometricalKikuchiPatternSimulation",
    index: int | tuple[int, ...] | None,
    max_index: int,
) -> None:
    """Draw bands and labelled zone axes, and keep the limits."""
    index = (0,) * simulation.ndim if index is None else index
    rows, columns = simulation.detector.shape
    limits = {"xlim": (-0.5, columns - 0.5), "ylim": (rows - 0.5, -0.5)}
    lines = simulation.lines_coordinates(index, "gnomonic").reshape(-1, 2, 2)
    for x, y in np.moveaxis(_to_pixels(lines, simulation, index), -1, 1):
        ax.plot(x, y, color=_LINE_COLOR, linewidth=0.7, alpha=0.6)
    xy = simulation.zone_axes_coordinates(index, "gnomonic")
    xy = _to_pixels(xy, simulation, index)
    # Their indices are to be had in labels only, in the same order
    (labels,) = simulation.as_collections(
        index, "gnomonic", lines=False, zone_axes_labels=True
    )
    indices = [re.findall(r"-?\d", label.get_text()) for label in labels]
    uvw = np.array([i if len(i) == 3 else (99, 99, 99) for i in indices], dtype=int)
    margin = 0.03 * min(rows, columns)
    is_shown = (xy > margin - 0.5).all(axis=1)
    is_shown &= (xy < (columns - 0.5 - margin, rows - 0.5 - margin)).all(axis=1)
    is_shown &= np.abs(uvw).max(axis=1, initial=0) <= max_index
    drawn: list[np.ndarray] = []
    for i in np.argsort((uvw**2).sum(axis=1), kind="stable"):
        distances = [np.linalg.norm(xy[i] - other) for other in drawn]
        if is_shown[i] and min(distances, default=np.inf) > _LABEL_DISTANCE * rows:
            _draw_zone_axis(ax, xy[i], uvw[i])
            drawn.append(xy[i])
    ax.set(**limits)


def _to_pixels(
    coordinates: np.ndarray,
    simulation: "GeometricalKikuchiPatternSimulation",
    index: int | tuple[int, ...],
) -> np.ndarray:
    """Return where gnomonic coordinates are in an image.

    Centers of pixels are whole numbers, as for matplotlib. Kikuchipy's
    own pixel coordinates put the first and last pixel's centers on the
    borders of the detector, half a pixel off.
    """
    detector = simulation.detector
    single = detector.navigation_size == 1
    pc = detector.pc_flattened[0] if single else detector.pc[index]
    x = pc[0] + coordinates[..., 0] * pc[2] / detector.aspect_ratio
    y = pc[1] - coordinates[..., 1] * pc[2]
    return np.stack((x * detector.ncols, y * detector.nrows), axis=-1) - 0.5


def _draw_zone_axis(ax: "Axes", xy: np.ndarray, uvw: np.ndarray) -> None:
    """Draw a zone axis with its indices at a place in pixels."""
    ax.plot(*xy, "o", color="white", markeredgecolor="black", markersize=3.5)
    # With space between bars that would run into one another
    numbers = "".join(rf"\overline{{{-i}}}\," if i < 0 else f"{i}" for i in uvw)
    ax.annotate(
        f"$[{numbers}]$",
        xy,
        (0, 4),
        textcoords="offset points",
        ha="center",
        color="white",
        fontsize=_LABEL,
        path_effects=[path_effects.withStroke(linewidth=1.5, foreground="black")],
    )


def plot_hough(
    patterns: Sequence[np.ndarray],
    cams: Sequence[np.ndarray],
    *,
    names: Sequence[str] | None = None,
    simulations: "Sequence[GeometricalKikuchiPatternSimulation] | None" = None,
    n_bands: int = 9,
    radius: float | None = 1.0,
    caption: str | None = None,
    **kwargs: Any,
) -> "Figure":
    """Draw what Hough indexing sees of patterns beside their Grad-CAM.

    Every row shows a pattern with the bands found in it, its Hough
    (Radon) transform as PyEBSDIndex :cite:`rowenhorst2024fast` makes it
    for kikuchipy, in which bands are peaks, and the pattern with its
    Grad-CAM.

    Parameters
    ----------
    patterns
        Patterns of the same shape (rows, columns), with their
        background removed.
    cams
        Their maps, see :func:`plot_grad_cam`.
    names
        Names of the patterns.
    simulations
        Their simulations, see :func:`plot_grad_cam`.
    n_bands
        Number of bands to find.
    radius
        Radius of the circle the network sees, see
        :func:`plot_grad_cam`.
    caption
        Line to write on top of the figure, such as the chance level and
        the number of materials.
    **kwargs
        Keyword arguments passed on to
        ``pyebsdindex.band_detect.BandDetect``.

    Returns
    -------
    figure
        Figure with one row per pattern, as wide as two columns of a
        journal. Over the later transforms is
        written how many of their bands were found in the first pattern
        too, to 3 degrees in angle and 3 % of the largest distance.

    Raises
    ------
    ImportError
        If the package PyEBSDIndex is not installed.
    ValueError
        If the patterns are not of one shape, or there are not as many
        maps, names or simulations.

    See Also
    --------
    find_bands, plot_grad_cam

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> from kikuchipy_spacegroup.explanation import grad_cam, to_pattern_frame
    >>> model = kpsg.SpaceGroupModel.create([225, 229], size=32, filters=(8,), stem=8)
    >>> patterns = kp.data.nickel_ebsd_small().data[0]
    >>> cams = to_pattern_frame(grad_cam(model, patterns), (60, 60))
    >>> figure = kpsg.plot.plot_hough(patterns, cams)
    """
    patterns = [np.asarray(pattern, dtype="float32") for pattern in patterns]
    n = len(patterns)
    names = [""] * n if names is None else names
    simulations = [None] * n if simulations is None else simulations
    if not n or len({p.shape for p in patterns}) > 1 or patterns[0].ndim != 2:
        raise ValueError(
            "Patterns must be one or more of the same shape (rows, columns), not "
            f"{[p.shape for p in patterns]}"
        )
    if not len(cams) == len(names) == len(simulations) == n:
        raise ValueError(
            f"{n} patterns need as many maps, names and simulations, not "
            f"{len(cams)}, {len(names)} and {len(simulations)}"
        )
    transforms, bands, extent = find_bands(np.stack(patterns), n_bands, kwargs)
    figure, axes = plt.subplots(
        n,
        3,
        figsize=(_FULL_WIDTH, (1.9 if caption is None else 2.1) * n + 0.2),
        width_ratios=(1, 1.35, 1),
        squeeze=False,
        layout="constrained",
    )
    for i, (left, middle, right) in enumerate(axes):
        _draw_bands(left, patterns[i], bands[i])
        left.set_ylabel(names[i], fontsize=_LABEL)
        _draw_transform(middle, transforms[i], bands[i], extent)
        if i:
            shared = n_shared(bands[0], bands[i], extent[3])
            title = f"{shared} of {n_bands} bands as in the first"
            middle.set_title(title, fontsize=_LABEL)
        plot_grad_cam(
            patterns[i], cams[i], simulation=simulations[i], radius=radius, ax=right
        )
    for ax, title in zip(axes[0], (f"{n_bands} bands", "Hough transform", "Grad-CAM")):
        ax.set_title(title, fontsize=_LABEL)
    if caption is not None:
        figure.suptitle(caption, fontsize=_LABEL)
    return figure


def _draw_transform(
    ax: "Axes", transform: np.ndarray, bands: np.ndarray, extent: tuple[float, ...]
) -> None:
    """Draw a Hough transform with the peaks that are bands."""
    ax.imshow(
        transform,
        cmap="gray",
        extent=extent,
        aspect="auto",
        **_choose_limits(transform),
    )
    theta, rho = bands.T
    ax.plot(np.rad2deg(theta), rho, "o", ms=4, mfc="none", color=_LINE_COLOR)
    ax.set(xlim=extent[:2], ylim=extent[2:], facecolor="dimgray")
    ax.set_xlabel(r"$\theta$ (°)", fontsize=_LABEL)
    ax.set_ylabel(r"$\rho$ (px)", fontsize=_LABEL)
    ax.tick_params(labelsize=_SMALL, length=2)


def find_bands(
    patterns: np.ndarray, n_bands: int = 9, kwargs: dict[str, Any] | None = None
) -> tuple[list[np.ndarray], np.ndarray, tuple[float, ...]]:
    """Find bands in patterns by the Hough transform of PyEBSDIndex.

    Parameters
    ----------
    patterns
        Patterns of shape (n, height, width).
    n_bands
        Number of bands per pattern.
    kwargs
        Keyword arguments passed on to PyEBSDIndex.

    Returns
    -------
    transforms
        Hough transforms, one image per pattern.
    bands
        Array of shape (n, n_bands, 2) with the angle in radians and the
        distance from the center in pixels.
    extent
        Lowest and highest angle in degrees, and lowest and highest
        distance in pixels.

    Raises
    ------
    ImportError
        If PyEBSDIndex is not installed.

    See Also
    --------
    n_shared, plot_hough

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.plot import find_bands
    >>> patterns = kp.data.nickel_ebsd_small().data[0]
    >>> transforms, bands, extent = find_bands(patterns)
    >>> len(transforms), bands.shape
    (3, (3, 9, 2))
    """
    try:
        from pyebsdindex.band_detect import BandDetect
    except ImportError as error:
        raise ImportError(
            "Hough transforms need the package PyEBSDIndex. Install it with 'pip "
            "install kikuchipy-spacegroup[hough]'"
        ) from error
    missing = ~np.isfinite(patterns)
    patterns = np.where(missing, np.nanmean(patterns), patterns).astype("float32")
    detect = BandDetect(patDim=patterns.shape[1:], nBands=n_bands, **(kwargs or {}))
    detected = detect.find_bands(patterns)
    pad_rho, pad_theta = detect.padding
    transforms = []
    for pattern in patterns:
        radon = detect.radonPlan.radon_faster(pattern, detect.padding)
        convolved = np.squeeze(detect.rdn_conv(radon)[0])
        convolved = convolved[pad_rho:-pad_rho, pad_theta:-pad_theta]
        # Bands are looked for where they are long enough
        convolved = np.where(detect.rdnmask, convolved, np.nan)
        # Theta counts from the other side where the first row is at the top
        transforms.append(np.fliplr(convolved))
    bands = np.stack((detected["theta"], detected["rho"]), axis=-1)
    return transforms, bands, (0, 180, -detect.rhoMax, detect.rhoMax)


def n_shared(first: np.ndarray, other: np.ndarray, rho_max: float) -> int:
    """Count the bands of one pattern which another one has as well.

    Parameters
    ----------
    first, other
        Bands of shape (n, 2) from :func:`find_bands`.
    rho_max
        Largest distance, which is the last number of the extent.

    Returns
    -------
    n
        Number of bands of the other pattern that are within 3 degrees
        and 3 % of the largest distance of one of the first.

    See Also
    --------
    find_bands

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.plot import n_shared
    >>> first = np.array([[0.5, 10.0], [1.5, -20.0]])
    >>> other = np.array([[0.51, 10.5], [2.5, 5.0]])
    >>> n_shared(first, other, rho_max=30)
    1
    """
    theta, rho = np.moveaxis(other[:, None] - first[None], -1, 0)
    # (theta + 180 degrees, -rho) is the same band
    turns = np.rint(theta / np.pi)
    rho = np.where(turns % 2, other[:, None, 1] + first[None, :, 1], rho)
    close = np.abs(theta - turns * np.pi) <= np.deg2rad(3)
    return int((close & (np.abs(rho) <= 0.03 * rho_max)).any(axis=1).sum())


def _draw_bands(ax: "Axes", pattern: np.ndarray, bands: np.ndarray) -> None:
    """Draw center lines of bands, given by angle and distance."""
    ax.imshow(pattern, cmap="gray", **_choose_limits(pattern))
    rows, columns = pattern.shape
    t = np.array([-1, 1]) * (rows + columns)
    for theta, rho in bands:
        x = rho * np.cos(theta) - t * np.sin(theta)
        y = rho * np.sin(theta) + t * np.cos(theta)
        ax.plot(
            (columns - 1) / 2 + x, (rows - 1) / 2 - y, color=_LINE_COLOR, linewidth=1
        )
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), xticks=[], yticks=[])

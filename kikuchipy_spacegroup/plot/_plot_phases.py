# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A page of the phases found in a scan."""

from typing import TYPE_CHECKING

from matplotlib.colors import to_hex
import matplotlib.pyplot as plt
import numpy as np
import orix.plot  # noqa: F401, registers the projection "ipf"
from orix.quaternion.symmetry import C2h
from orix.vector import Vector3d

from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.maps import probabilities_from_map
from kikuchipy_spacegroup.patterns import divide_background
from kikuchipy_spacegroup.patterns._scan import blocks_of_patterns, find_background
from kikuchipy_spacegroup.plot._map_image import colors, full_arrays

if TYPE_CHECKING:
    from kikuchipy.signals import EBSD
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from kikuchipy_spacegroup.phases import CheckedCandidates, FoundPhases

# Patterns side by side, lines of a legend, and inches
_N_COLUMNS = 4
_MAX_ENTRIES = 15
_WIDTH, _PATTERN_HEIGHT = 8.3, 2.35


def plot_phases(
    found: "FoundPhases",
    signal: "EBSD",
    checked: "CheckedCandidates | None" = None,
    *,
    n_patterns: int = 12,
) -> "Figure":
    """Draw a page of the phases found in a scan.

    Parameters
    ----------
    found
        Phases from :func:`~kikuchipy_spacegroup.phases.find_phases`.
    signal
        The scan, of zero, one or two dimensions.
    checked
        Candidates from
        :func:`~kikuchipy_spacegroup.phases.check_candidates`. If given,
        an inverse pole figure of the sample normal is drawn of each phase
        whose best candidate is not *none of these*.
    n_patterns
        Largest number of patterns to draw, of the largest phases.

    Returns
    -------
    figure
        Figure with the map of phases and their shares; the probability
        that the network gives the symmetry of its phase in each pattern
        by itself; and below the most typical pattern of each phase,
        divided by the static background, with the finest symmetry of the
        phase that is sure, or else the best space group with a question
        mark, and its probability. Crosses in the maps are where the
        patterns are from. Points that are no crystal are gray, and those
        left out white.

    Raises
    ------
    ValueError
        If the phases are not of the scan, or n_patterns is below 1.

    See Also
    --------
    plot_patterns
    plot_space_groups
    kikuchipy_spacegroup.phases.find_phases

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> xmap = s.classify_space_group(keep_probabilities=True, show_progressbar=False)
    >>> found = kpsg.phases.find_phases(xmap)
    >>> figure = kpsg.plot.plot_phases(found, s)
    """
    nav_shape = signal.axes_manager.navigation_shape[::-1]
    size = int(np.prod(nav_shape, dtype=int))
    if found.xmap.is_in_data.size != size:
        raise ValueError(
            f"The phases are of {found.xmap.is_in_data.size} points, but the scan has "
            f"{size}. Give the scan they were found in"
        )
    if n_patterns < 1:
        raise ValueError(f"n_patterns must be at least 1, not {n_patterns}")
    shown = list(found.table.index[:n_patterns])
    points = np.flatnonzero(found.xmap.is_in_data)
    places = {i: int(points[found.representatives[i][0]]) for i in shown}
    n_rows = max(-(-len(shown) // _N_COLUMNS), 1)
    shape = full_arrays(found.xmap)[0]
    map_height = _WIDTH / 2 * float(np.clip(shape[0] / shape[1], 0.15, 1.2)) + 0.45
    n_entries = min(len(found.table) + 1, _MAX_ENTRIES + 1)
    heights = [map_height + 0.2 * n_entries, _PATTERN_HEIGHT * n_rows if shown else 0.5]
    named = {} if checked is None else _named_phases(checked, shown)
    if named:
        heights.append(_PATTERN_HEIGHT * -(-len(named) // _N_COLUMNS))
    figure = plt.figure(figsize=(_WIDTH, sum(heights)), layout="constrained")
    above, below, *lowest = figure.subfigures(len(heights), 1, height_ratios=heights)
    left, right = above.subplots(1, 2)
    _draw_phases(found, left)
    _draw_confidence(found, right)
    for place in places.values():
        row, column = divmod(place, shape[1])
        for ax in (left, right):
            ax.plot(column, row, "x", color="k", ms=6, mew=2.6)
            ax.plot(column, row, "x", color="w", ms=5, mew=1.2)
    _draw_patterns(found, signal, nav_shape, places, below)
    if named:
        _draw_orientations(found, checked, named, lowest[0])
    return figure


def _named_phases(checked: "CheckedCandidates", shown: list[int]) -> dict[int, str]:
    """Return the best candidates of phases, of those that have one."""
    best = {i: name for i, name in checked.best.items() if i in shown}
    return {i: name for i, name in best.items() if name in checked.orientations[i]}


def _draw_orientations(
    found: "FoundPhases",
    checked: "CheckedCandidates",
    named: dict[int, str],
    figure: "SubFigure",
) -> None:
    """Draw inverse pole figures of the typical patterns of phases."""
    color = colors(found.xmap)
    n_rows = -(-len(named) // _N_COLUMNS)
    rows = checked.table.drop_duplicates("phase").set_index("phase")
    for k, (i, name) in enumerate(named.items(), start=1):
        orientations = checked.orientations[i][name]
        # orix does not know the Laue class of the point group m
        symmetry = orientations.symmetry.laue or C2h
        ax = figure.add_subplot(
            n_rows, _N_COLUMNS, k, projection="ipf", symmetry=symmetry
        )
        ax.scatter(orientations * Vector3d.zvector(), c=to_hex(color[i]), s=25, ec="k")
        ax.set_title(
            f"{name}\nmatch {rows.loc[i, 'match']:.2f}, "
            f"probability {rows.loc[i, 'probability']:.2f}",
            fontsize="small",
            pad=16,
        )
        # Of the corners, which are in the way otherwise
        for text in ax.texts:
            text.set_fontsize("small")


def _draw_phases(found: "FoundPhases", ax: "Axes") -> None:
    """Draw the map of phases, with their shares in the legend."""
    shape, ids, _ = full_arrays(found.xmap)
    color = colors(found.xmap)
    image = np.ones((ids.size, 3))
    for i in color:
        image[ids == i] = color[i]
    ax.imshow(image.reshape(*shape, 3), interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.set_title("Phases", fontsize="medium")
    ax.set_anchor("N")
    entries = [
        (color[i], f"{row['name']}: {row['fraction']:.1%}")
        for i, row in found.table.iterrows()
    ]
    if rest := entries[_MAX_ENTRIES:]:
        entries[_MAX_ENTRIES:] = [("none", f"{len(rest)} smaller phases")]
    if (none := float((found.xmap.phase_id == -1).mean())) > 0:
        entries.append((color[-1], f"no crystal: {none:.1%}"))
    for value, label in entries:
        ax.plot([], [], "s", color=value, label=label)
    place = {"loc": "upper left", "bbox_to_anchor": (-0.02, -0.01)}
    ax.legend(**place, frameon=False, fontsize="small")


def _confidence(found: "FoundPhases") -> np.ndarray:
    """Return the probability of the phase's symmetry in the pattern of points (n,).

    NaN of points that are no crystal.
    """
    probabilities, numbers = sg.merge_enantiomorphs(*probabilities_from_map(found.xmap))
    confidence = np.full(found.xmap.size, np.nan)
    for i, row in found.table.iterrows():
        level = row["level"] or "space_group"
        answers = [str(sg.coarsen(number, level)) for number in numbers]
        own = row["symmetry"] or str(sg.coarsen(row["space_group"], level))
        here = found.xmap.phase_id == i
        agree = np.array([answer == own for answer in answers])
        confidence[here] = probabilities[here][:, agree].sum(axis=1)
    return confidence


def _draw_confidence(found: "FoundPhases", ax: "Axes") -> None:
    """Draw how sure each pattern is of the symmetry of its phase."""
    shape, ids, _ = full_arrays(found.xmap)
    values = np.full(ids.size, np.nan)
    values[found.xmap.is_in_data] = _confidence(found)
    color_map = plt.get_cmap("viridis").with_extremes(bad=(0, 0, 0, 0))
    gray = np.ones((ids.size, 3))
    gray[ids == -1] = colors(found.xmap)[-1]
    ax.imshow(gray.reshape(*shape, 3), interpolation="nearest")
    image = ax.imshow(
        values.reshape(shape), vmin=0, vmax=1, cmap=color_map, interpolation="nearest"
    )
    ax.set(xticks=[], yticks=[])
    ax.set_title("Confidence of each pattern", fontsize="medium")
    ax.set_anchor("N")
    # An inset, so that both maps have the same size; about 0.1 inches high and below
    unit = 0.2 * shape[1] / (_WIDTH * shape[0])
    inset = ax.inset_axes((0, -2 * unit, 1, unit))
    bar = ax.figure.colorbar(image, cax=inset, orientation="horizontal")
    bar.ax.tick_params(labelsize="small")
    bar.set_label("probability of its phase's symmetry", fontsize="small")


def _draw_patterns(
    found: "FoundPhases",
    signal: "EBSD",
    nav_shape: tuple[int, ...],
    places: dict[int, int],
    figure: "SubFigure",
) -> None:
    """Draw the most typical patterns of phases, framed in their colors."""
    color = colors(found.xmap)
    n_rows = max(-(-len(places) // _N_COLUMNS), 1)
    axes = figure.subplots(n_rows, _N_COLUMNS).ravel()
    for ax in axes[len(places) :]:
        ax.axis("off")
    if not places:
        axes[0].set_title("No phases were found", fontsize="small", loc="left")
        return
    sig_shape = signal.axes_manager.signal_shape[::-1]
    patterns = blocks_of_patterns(signal.data, nav_shape, sig_shape, None)
    background, inside = find_background(signal, patterns, "auto", None, None)
    for ax, (i, place) in zip(axes, places.items()):
        index = np.unravel_index(place, nav_shape) if nav_shape else ()
        pattern = divide_background(
            np.asarray(signal.data[index])[None], background, inside
        )[0]
        low, high = np.nanpercentile(pattern, (0.5, 99.5))
        ax.imshow(pattern, cmap="gray", vmin=low, vmax=high)
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"phase {i}\n{_label(found, i)}", fontsize="small")
        for spine in ax.spines.values():
            spine.set(color=color[i], linewidth=3)


def _label(found: "FoundPhases", i: int) -> str:
    """Return the finest symmetry of a phase that is sure, and its probability."""
    row = found.table.loc[i]
    if row["symmetry"]:
        return f"{row['symmetry']}, {row['probability']:.2f}"
    number = row["space_group"]
    return f"{sg.symbol(number)}?, {row['space_group_probability']:.2f}"

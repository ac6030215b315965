# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of results, drawn with matplotlib."""

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from kikuchipy_spacegroup.maps import symmetry_map
from kikuchipy_spacegroup.plot._map_image import (
    COLUMN_WIDTH,
    colors,
    full_arrays,
    map_image,
    name_in_map,
)
from kikuchipy_spacegroup.plot._plot_evaluation import (
    plot_accuracies,
    plot_confusion_matrix,
    plot_inverse_pole_figures,
    plot_quality,
    plot_reliability_diagram,
)
from kikuchipy_spacegroup.plot._plot_explanation import plot_grad_cam, plot_hough
from kikuchipy_spacegroup.plot._plot_navigator import plot_interactive

if TYPE_CHECKING:
    from kikuchipy.signals import EBSD
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from orix.crystal_map import CrystalMap

__all__ = [
    "plot_accuracies",
    "plot_confusion_matrix",
    "plot_grad_cam",
    "plot_hough",
    "plot_interactive",
    "plot_inverse_pole_figures",
    "plot_patterns",
    "plot_quality",
    "plot_reliability_diagram",
    "plot_space_groups",
    "plot_symmetry",
]

# Of a legend
_MAX_ENTRIES = 15


def plot_space_groups(
    xmap: "CrystalMap", *, ax: "Axes | None" = None, legend: bool = True
) -> "Axes":
    """Draw a map of space groups, paler where the model is less sure.

    Space groups have the colors of the map's phases. Points which are
    not identified are gray, and points left out are white. If there are
    more than 15 space groups, the rarest ones share a line in the legend.

    Parameters
    ----------
    xmap
        Map from
        :func:`~kikuchipy_spacegroup.classification.classify_space_group`
        of one or two dimensions.
    ax
        Axes to draw in. If not given, a new figure as wide as a column
        of a journal is made.
    legend
        Whether to draw a legend with the share of every space group.

    Returns
    -------
    ax
        Axes with the map.

    See Also
    --------
    plot_symmetry
    orix.crystal_map.CrystalMap.plot

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> xmap = kpsg.classify_space_group(s, show_progressbar=False)
    >>> ax = kpsg.plot.plot_space_groups(xmap)
    """
    numbers, counts = np.unique(xmap.phase_id, return_counts=True)
    color, image = colors(xmap), map_image(xmap)
    fontsize = None
    if ax is None:
        fontsize = 7
        height = COLUMN_WIDTH * np.clip(image.shape[0] / image.shape[1], 0.1, 1.5)
        # A line of the legend at 7 points, with its spacing
        height += 0.19 * min(len(numbers), _MAX_ENTRIES + 1) * legend
        size = COLUMN_WIDTH, height + 0.15
        _, ax = plt.subplots(figsize=size, layout="constrained")
        ax.set_anchor("N")  # The legend is below
    ax.imshow(image, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    if legend:
        order = np.argsort(-counts, kind="stable")
        for i in order[:_MAX_ENTRIES]:
            share = counts[i] / counts.sum()
            label = f"{name_in_map(xmap, int(numbers[i]))}: {share:.0%}"
            ax.plot([], [], "s", color=color[int(numbers[i])], label=label)
        if len(rest := order[_MAX_ENTRIES:]):
            share = counts[rest].sum() / counts.sum()
            ax.plot([], [], " ", label=f"{len(rest)} others: {share:.0%}")
        place = {"loc": "upper left", "bbox_to_anchor": (-0.02, -0.02)}
        ax.legend(**place, frameon=False, fontsize=fontsize)
    return ax


def plot_symmetry(
    xmap: "CrystalMap",
    threshold: float = 0.5,
    *,
    separate_enantiomorphs: bool = False,
    ax: "Axes | None" = None,
    legend: bool = True,
) -> "Axes":
    """Draw a map of the finest symmetry that is probable enough.

    A point is of a space group, or else at least of a diffraction symbol
    such as ``"m-3m, Fd--"``, a Laue class with a lattice, as ``"6/mmm,
    P"``, a Laue class or a crystal system. Space groups have the colors
    of the map's phases. Points are paler where the model is less sure of
    them, gray where nothing is probable enough, and white if left out.

    Parameters
    ----------
    xmap
        Map from
        :func:`~kikuchipy_spacegroup.classification.classify_space_group`
        of one or two dimensions.
    threshold, separate_enantiomorphs
        See :func:`~kikuchipy_spacegroup.maps.symmetry_map`.
    ax, legend
        See :func:`plot_space_groups`.

    Returns
    -------
    ax
        Axes with the map.

    Raises
    ------
    ValueError
        As from :func:`~kikuchipy_spacegroup.maps.symmetry_map`.

    See Also
    --------
    plot_space_groups
    kikuchipy_spacegroup.maps.symmetry_map

    Examples
    --------
    >>> import numpy as np
    >>> import kikuchipy_spacegroup as kpsg
    >>> probabilities = np.array([[[0.9, 0.1, 0.0], [0.4, 0.4, 0.2]]])
    >>> xmap = kpsg.maps.crystal_map(probabilities, [194, 191, 225])
    >>> ax = kpsg.plot.plot_symmetry(xmap)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['194 P63/mmc: 50%', '6/mmm, P: 50%']
    """
    symmetry = symmetry_map(
        xmap, threshold, separate_enantiomorphs=separate_enantiomorphs
    )
    return plot_space_groups(symmetry, ax=ax, legend=legend)


def plot_patterns(
    signal: "EBSD", xmap: "CrystalMap", *, n_columns: int = 3, n_rows: int = 3
) -> "Figure":
    """Draw the map beside some of its patterns with their space groups.

    Parameters
    ----------
    signal
        Scan of zero, one or two dimensions.
    xmap
        Its map from
        :func:`~kikuchipy_spacegroup.classification.classify_space_group`.
    n_columns, n_rows
        Largest number of patterns to draw, spread evenly over the scan.

    Returns
    -------
    figure
        Figure with the map to the left and patterns to the right.

    See Also
    --------
    plot_interactive

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> xmap = kpsg.classify_space_group(s, show_progressbar=False)
    >>> figure = kpsg.plot.plot_patterns(s, xmap)
    """
    nav_shape = signal.axes_manager.navigation_shape[::-1]
    size = int(np.prod(nav_shape, dtype=int))
    chosen = np.unique(np.linspace(0, size - 1, n_columns * n_rows).round().astype(int))
    figure = plt.figure(figsize=(3.2 + 1.9 * n_columns, 2.1 * n_rows + 0.4))
    left, right = figure.subfigures(1, 2, width_ratios=[3.2, 1.9 * n_columns])
    plot_space_groups(xmap, ax=left.subplots())
    axes = np.atleast_1d(right.subplots(n_rows, n_columns)).ravel()
    right.subplots_adjust(0.02, 0.02, 0.98, 0.93, 0.05, 0.2)
    _, numbers, scores = full_arrays(xmap)
    for ax in axes:
        ax.axis("off")
    for ax, i in zip(axes, chosen):
        index = np.unravel_index(i, nav_shape) if nav_shape else ()
        pattern = np.asarray(signal.data[index])
        low, high = np.nanpercentile(pattern, (0.5, 99.5))
        ax.imshow(pattern, cmap="gray", vmin=low, vmax=high)
        title = name_in_map(xmap, int(numbers[i]))
        title += "" if numbers[i] == -2 else f", {scores[i]:.2f}"
        ax.set_title(title, fontsize="small")
    return figure

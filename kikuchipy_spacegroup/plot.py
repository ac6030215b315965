# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of results, drawn with matplotlib."""

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from kikuchipy_spacegroup import space_groups as sg

if TYPE_CHECKING:
    from kikuchipy.signals import EBSD
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from orix.crystal_map import CrystalMap

_NOT_IDENTIFIED = (0.6, 0.6, 0.6)


def _name(number: int) -> str:
    return "not identified" if number < 0 else f"{number} {sg.label(number)}"


def plot_space_groups(
    xmap: "CrystalMap", *, ax: "Axes | None" = None, legend: bool = True
) -> "Axes":
    """Draw a map of space groups, paler where the model is less sure.

    Space groups have the colors of the map's phases. Points which are
    not identified are grey, and points left out are white.

    Parameters
    ----------
    xmap
        Map from
        :func:`~kikuchipy_spacegroup.classification.classify_space_group`
        of one or two dimensions.
    ax
        Axes to draw in. If not given, a new figure is made.
    legend
        Whether to draw a legend with the share of every space group.

    Returns
    -------
    ax
        Axes with the map.

    See Also
    --------
    orix.crystal_map.CrystalMap.plot

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> xmap = kpsg.classify_space_group(s, show_progressbar=False)
    >>> ax = kpsg.plot.plot_space_groups(xmap)
    """
    ax = plt.subplots(layout="constrained")[1] if ax is None else ax
    full_shape, numbers, scores = _full_arrays(xmap)
    found, counts = np.unique(xmap.phase_id, return_counts=True)
    colors = {number: phase.color_rgb for number, phase in xmap.phases}
    colors[-1] = _NOT_IDENTIFIED
    image = np.ones((numbers.size, 3))
    for number in found:
        color = colors[number]
        where = numbers == number
        opacity = scores[where, None] if number >= 0 else 1.0
        image[where] = opacity * np.array(color) + (1 - opacity)
    ax.imshow(image.reshape(*full_shape, 3), interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    if legend:
        for i in np.argsort(-counts):
            share = counts[i] / counts.sum()
            label = f"{_name(found[i])}: {share:.0%}"
            ax.plot([], [], "s", color=colors[int(found[i])], label=label)
        ax.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.02), frameon=False)
    return ax


def _full_arrays(
    xmap: "CrystalMap",
) -> tuple[tuple[int, int], np.ndarray, np.ndarray]:
    """Return shape, space groups and scores, also of masked points.

    Space groups of masked points are -2.
    """
    in_data = xmap.is_in_data
    numbers = np.full(in_data.size, -2)
    numbers[in_data] = xmap.phase_id
    scores = np.zeros(in_data.size)
    scores[in_data] = xmap.prop["scores"]
    shape = tuple(int(n) for n in xmap._original_shape)
    return shape if len(shape) == 2 else (1, in_data.size), numbers, scores


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
    """
    nav_shape = signal.axes_manager.navigation_shape[::-1]
    size = int(np.prod(nav_shape, dtype=int))
    chosen = np.unique(np.linspace(0, size - 1, n_columns * n_rows).round().astype(int))
    figure = plt.figure(figsize=(3.2 + 1.9 * n_columns, 2.1 * n_rows + 0.4))
    left, right = figure.subfigures(1, 2, width_ratios=[3.2, 1.9 * n_columns])
    plot_space_groups(xmap, ax=left.subplots())
    axes = np.atleast_1d(right.subplots(n_rows, n_columns)).ravel()
    right.subplots_adjust(0.02, 0.02, 0.98, 0.93, 0.05, 0.2)
    _, numbers, scores = _full_arrays(xmap)
    for ax in axes:
        ax.axis("off")
    for ax, i in zip(axes, chosen):
        index = np.unravel_index(i, nav_shape) if nav_shape else ()
        pattern = np.asarray(signal.data[index])
        low, high = np.nanpercentile(pattern, (0.5, 99.5))
        ax.imshow(pattern, cmap="gray", vmin=low, vmax=high)
        title = f"{_name(numbers[i])}, {scores[i]:.2f}"
        title = "left out" if numbers[i] == -2 else title
        ax.set_title(title, fontsize="small")
    return figure

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of tables with one row per pattern."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
import textwrap
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
from matplotlib.ticker import MaxNLocator
import numpy as np
from orix.quaternion import Orientation
from orix.quaternion.symmetry import Symmetry, get_point_group
from orix.vector import Vector3d

from kikuchipy_spacegroup import evaluation as ev
from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.plot._map_image import COLUMN_WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    import pandas as pd

# Okabe and Ito's colors, which the color-blind tell apart
_UNSEEN, _SEEN, _WRONG = "#0072B2", "#E69F00", "#D55E00"
_SMALL = 6


def plot_accuracies(
    table: "pd.DataFrame", *, atomic_numbers: Mapping[str, float] | None = None
) -> "np.ndarray":
    """Draw the accuracy per material, a panel per space group.

    Parameters
    ----------
    table
        Table with a row per pattern, see
        :func:`~kikuchipy_spacegroup.evaluation.pattern_table`.
    atomic_numbers
        Mean atomic number of materials by name, weighted by the
        formula, to write under the names and to sort by, see
        :func:`~kikuchipy_spacegroup.crystals.mean_atomic_number`.

    Returns
    -------
    axes
        Array of one axes per space group, in the layout of the figures
        of :cite:`kaufmann2020deep`: height is the accuracy, dashed the
        level of chance. Materials that were in training are hatched.
        Names too long to stand side by side are wrapped or turned.

    Raises
    ------
    ValueError
        If the table has no patterns.

    See Also
    --------
    kikuchipy_spacegroup.evaluation.accuracy

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup import plot
    >>> from kikuchipy_spacegroup.evaluation import pattern_table
    >>> probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> table = pattern_table(probabilities, [225, 229], truth=225, material="Ni")
    >>> axes = plot.plot_accuracies(table, atomic_numbers={"Ni": 28})
    """
    _check_patterns(table)
    scores = ev.accuracy(table, ["space_group", "material", "in_training"])
    scores = scores.reset_index()
    numbers = dict(atomic_numbers or {})
    scores["z"] = [numbers.get(name, np.nan) for name in scores["material"]]
    scores = scores.sort_values(["space_group", "z", "material"])
    groups = scores["space_group"].unique()
    n_columns = min(2, len(groups))
    n_rows = -(-len(groups) // n_columns)
    figure, axes = plt.subplots(
        n_rows,
        n_columns,
        figsize=(COLUMN_WIDTH, 1.15 * n_rows + 0.3),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    chance = float(scores["chance"].iloc[0])
    for ax, group in zip(axes.flat, groups):
        part = scores[scores["space_group"] == group]
        _draw_bars(ax, part, chance)
        ax.set_title(f"{group} {sg.symbol(int(group))}", fontsize=_SMALL + 1, pad=3)
    for ax in axes.flat[len(groups) :]:
        ax.set_axis_off()
    for row in axes:
        row[0].set_ylabel("Accuracy", fontsize=_SMALL + 1)
    n = scores["material"].nunique()
    seen = scores.loc[scores["in_training"], "material"].nunique()
    figure.suptitle(
        f"{n} material{'s' * (n != 1)}, {seen} in training (hatched); chance "
        f"{chance:.1%} (dashed)",
        fontsize=_SMALL,
    )
    axes = axes.ravel()[: len(groups)]
    _fit_names(figure, axes)
    return axes


def _draw_bars(ax: "Axes", part: "pd.DataFrame", chance: float) -> None:
    """Draw the bars of one space group."""
    x = np.arange(len(part))
    in_training = part["in_training"].to_numpy()
    bars = ax.bar(x, part["accuracy"], width=0.7)
    for bar, hatched in zip(bars, in_training):
        bar.set(facecolor=_SEEN if hatched else _UNSEEN, edgecolor="white", lw=0)
        if hatched:
            bar.set(hatch="////")
    ax.axhline(chance, color="black", ls="--", lw=0.7)
    names = [
        f"{name}\n{z:.3g}" if np.isfinite(z) else name
        for name, z in zip(part["material"], part["z"])
    ]
    ax.set_xticks(x, names)
    ax.set(ylim=(0, 1.02), xlim=(-0.6, max(len(part), 2) - 0.4), yticks=(0, 0.5, 1))
    ax.tick_params(labelsize=_SMALL, length=2)
    ax.spines[["top", "right"]].set_visible(False)


def _fit_names(figure: "Figure", axes: np.ndarray) -> None:
    """Wrap names under bars, then turn them, where there is no room."""
    names = [[label.get_text() for label in ax.get_xticklabels()] for ax in axes]
    figure.draw_without_rendering()
    before = axes[0].bbox.height
    for change in (_wrap_names, _turn_names):
        crowded = [i for i, ax in enumerate(axes) if _is_crowded(ax)]
        for i in crowded:
            change(axes[i], names[i])
        if crowded:
            figure.draw_without_rendering()
    # Panels stay as high as they are with short names
    n_rows = axes[0].get_gridspec().nrows
    lost = n_rows * (before - axes[0].bbox.height) / figure.dpi
    figure.set_figheight(figure.get_figheight() + max(lost, 0))


def _is_crowded(ax: "Axes") -> bool:
    """Return whether names overlap or reach out of the panel."""
    boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
    gap = ax.figure.dpi / 72  # A point
    overlap = any(a.x1 + gap > b.x0 for a, b in pairwise(boxes))
    low, high = ax.bbox.x0 - 2 * gap, ax.bbox.x1 + 2 * gap
    return overlap or boxes[0].x0 < low or boxes[-1].x1 > high


def _wrap_names(ax: "Axes", names: list[str]) -> None:
    """Break names into lines no wider than the place of a bar."""
    place = ax.bbox.width / np.ptp(ax.get_xlim())
    wrapped = []
    for label, text in zip(ax.get_xticklabels(), names):
        name, *number = text.split("\n")
        share = place / max(label.get_window_extent().width, 1)
        width = len(name) * min(1, share)
        lines = textwrap.wrap(name, max(1, int(width)), break_long_words=False)
        wrapped.append("\n".join([*lines, *number]))
    ax.set_xticklabels(wrapped)


def _turn_names(ax: "Axes", names: list[str]) -> None:
    ax.set_xticklabels(names, rotation=90)


def plot_confusion_matrix(
    table: "pd.DataFrame", *, normalize: bool = True, ax: "Axes | None" = None
) -> "Axes":
    """Draw the confusion matrix.

    Parameters
    ----------
    table
        Table with a row per pattern.
    normalize
        Whether to write shares of the rows instead of numbers of
        patterns.
    ax
        Axes to draw in. If not given, a new figure is made.

    Returns
    -------
    ax
        Axes with true space groups from top to bottom and predicted ones
        from left to right, ``?`` for patterns not identified.

    See Also
    --------
    kikuchipy_spacegroup.evaluation.confusion_matrix

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup import plot
    >>> from kikuchipy_spacegroup.evaluation import pattern_table
    >>> probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> table = pattern_table(probabilities, [225, 229], truth=225, material="Ni")
    >>> ax = plot.plot_confusion_matrix(table)
    """
    _check_patterns(table)
    shares = ev.confusion_matrix(table, normalize=True)
    shown = shares if normalize else ev.confusion_matrix(table)
    if ax is None:
        height = COLUMN_WIDTH * min(1.0, 0.25 + 0.75 * len(shares) / shares.shape[1])
        _, ax = plt.subplots(figsize=(COLUMN_WIDTH, height), layout="constrained")
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(shown.to_numpy()):
        if shares.iloc[i, j] >= 0.005:
            text = f"{value:.2f}".lstrip("0") if normalize else f"{value:.0f}"
            text = "1" if normalize and value > 0.995 else text
            color = "white" if shares.iloc[i, j] > 0.6 else "black"
            ax.text(j, i, text, ha="center", va="center", color=color, fontsize=_SMALL)
    columns = ["?" if i < 0 else str(i) for i in shares.columns]
    ax.set_xticks(np.arange(len(columns)), columns, fontsize=_SMALL)
    ax.set_yticks(np.arange(len(shares)), list(map(str, shares.index)), fontsize=_SMALL)
    ax.set_xlabel("Predicted space group", fontsize=_SMALL + 1)
    ax.set_ylabel("True space group", fontsize=_SMALL + 1)
    ax.set_title(_summarize_table(table), fontsize=_SMALL)
    return ax


def plot_reliability_diagram(
    table: "pd.DataFrame", *, n_bins: int = 10, ax: "Axes | None" = None
) -> "Axes":
    """Draw how right the model is when it is how sure.

    Parameters
    ----------
    table
        Table with a row per pattern.
    n_bins
        Number of bins.
    ax
        Axes to draw in. If not given, a new figure is made.

    Returns
    -------
    ax
        Axes with the accuracy against the probability (points, larger
        where there are more patterns) and the diagonal of a model that
        is right as often as it says.

    See Also
    --------
    kikuchipy_spacegroup.evaluation.reliability_diagram

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup import plot
    >>> from kikuchipy_spacegroup.evaluation import pattern_table
    >>> probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> table = pattern_table(probabilities, [225, 229], truth=225, material="Ni")
    >>> ax = plot.plot_reliability_diagram(table)
    """
    _check_patterns(table)
    bins = ev.reliability_diagram(table, n_bins)
    bins = bins[bins["n"] > 0]
    if ax is None:
        _, ax = plt.subplots(
            figsize=(0.7 * COLUMN_WIDTH, 0.75 * COLUMN_WIDTH), layout="constrained"
        )
    ax.plot([0, 1], [0, 1], color="black", ls="--", lw=0.7)
    share = bins["n"] / bins["n"].sum()
    ax.plot(bins["probability"], bins["accuracy"], color=_UNSEEN, lw=0.8)
    ax.scatter(bins["probability"], bins["accuracy"], s=8 + 90 * share, color=_UNSEEN)
    ax.set(xlim=(0, 1), ylim=(0, 1.02), aspect="equal")
    ax.set_xlabel("Probability", fontsize=_SMALL + 1)
    ax.set_ylabel("Accuracy", fontsize=_SMALL + 1)
    ax.tick_params(labelsize=_SMALL)
    error = bins.attrs.get("calibration_error", np.nan)
    title = (
        _summarize_table(table).replace("; ", "\n") + f"; calibration error {error:.3f}"
    )
    ax.set_title(title, fontsize=_SMALL)
    return ax


def plot_quality(
    table: "pd.DataFrame", column: str, *, n_bins: int = 30, ax: "Axes | None" = None
) -> "Axes":
    """Draw histograms of a quality of all, right and wrong patterns.

    Parameters
    ----------
    table
        Table with a row per pattern.
    column
        Column with the quality, such as the band contrast.
    n_bins
        Number of bins.
    ax
        Axes to draw in. If not given, a new figure is made.

    Returns
    -------
    ax
        Axes with three densities: that of all patterns is filled.

    Raises
    ------
    ValueError
        If the table has no patterns or no such column of numbers.

    See Also
    --------
    kikuchipy_spacegroup.evaluation.pattern_table

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup import plot
    >>> from kikuchipy_spacegroup.evaluation import pattern_table
    >>> probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> table = pattern_table(
    ...     probabilities,
    ...     [225, 229],
    ...     truth=225,
    ...     material="Ni",
    ...     band_contrast=np.array([120, 40]),
    ... )
    >>> ax = plot.plot_quality(table, "band_contrast")
    """
    _check_patterns(table)
    if column not in table.columns or table[column].dtype.kind not in "iuf":
        numbers = list(table.select_dtypes("number").columns)
        raise ValueError(f"No column {column!r} of numbers, only {numbers}")
    if ax is None:
        _, ax = plt.subplots(
            figsize=(COLUMN_WIDTH, 0.6 * COLUMN_WIDTH), layout="constrained"
        )
    edges = np.histogram_bin_edges(table[column].dropna(), n_bins)
    for name, rows in _split_by_outcome(table).items():
        style = {"histtype": "stepfilled", "color": "0.85"}
        if name != "all":
            color = _UNSEEN if name == "right" else _WRONG
            style = {"histtype": "step", "color": color, "ls": "-"}
            style["ls"] = "-" if name == "right" else "--"
        values = rows[column].dropna()
        label = f"{name} ({len(rows)})"
        if len(values):
            ax.hist(values, edges, density=True, label=label, **style)
    ax.set_xlabel(column, fontsize=_SMALL + 1)
    ax.set_ylabel("Density", fontsize=_SMALL + 1)
    ax.tick_params(labelsize=_SMALL)
    ax.legend(fontsize=_SMALL, frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title(_summarize_table(table), fontsize=_SMALL)
    return ax


def plot_inverse_pole_figures(
    table: "pd.DataFrame",
    symmetry: "Symmetry | str | None" = None,
    *,
    directions: Sequence[str] = ("x", "y", "z"),
) -> np.ndarray:
    """Draw inverse pole figures of all, right and wrong patterns.

    Parameters
    ----------
    table
        Table with a row per pattern and orientations.
    symmetry
        Point group of the crystals or its name. If not given, it is that
        of the space groups in the table.
    directions
        Directions of the sample, ``"x"``, ``"y"`` and ``"z"``.

    Returns
    -------
    axes
        Array of axes, with a row for all, for right and for wrong
        patterns and a column per direction. Colors are multiples of a
        random distribution (M.U.D., orix says MRD).

    Raises
    ------
    ValueError
        If the table has no patterns with orientations, or patterns of
        several point groups and no *symmetry* is given.

    See Also
    --------
    kikuchipy_spacegroup.evaluation.pattern_table

    Examples
    --------
    >>> import numpy as np
    >>> from orix.quaternion import Rotation
    >>> from kikuchipy_spacegroup import plot
    >>> from kikuchipy_spacegroup.evaluation import pattern_table
    >>> probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> rotations = Rotation.from_euler([[0, 0, 0], [0.1, 0.5, 0.2]])
    >>> table = pattern_table(
    ...     probabilities,
    ...     [225, 229],
    ...     truth=225,
    ...     material="Ni",
    ...     rotations=rotations,
    ... )
    >>> axes = plot.plot_inverse_pole_figures(table, directions="z")
    >>> axes.shape
    (3, 1)
    """
    if not {"phi1", "Phi", "phi2"} <= set(table.columns):
        raise ValueError("The table has no orientations in columns phi1, Phi and phi2")
    table = table.dropna(subset=["phi1", "Phi", "phi2"])
    _check_patterns(table, "patterns with orientations")
    group = _choose_laue_group(table, symmetry)
    parts = _split_by_outcome(table)
    figure, axes = plt.subplots(
        len(parts),
        len(directions),
        figsize=(COLUMN_WIDTH, 1.05 * len(parts) + 0.3),
        subplot_kw={"projection": "ipf", "symmetry": group},
        squeeze=False,
    )
    figure.subplots_adjust(0.06, 0.06, 0.79, 0.86, 0.6, 0.5)
    vectors = {
        "x": Vector3d.xvector(),
        "y": Vector3d.yvector(),
        "z": Vector3d.zvector(),
    }
    drawn, highest = [], 1.0
    for row, (name, rows) in zip(axes, parts.items()):
        angles = np.deg2rad(rows[["phi1", "Phi", "phi2"]].to_numpy())
        for ax, direction in zip(row, directions):
            title = f"{direction.upper()}, {name} ({len(rows)})"
            ax.set_title(title, fontsize=_SMALL, pad=9)
            if len(rows) == 0:
                continue
            poles = Orientation.from_euler(angles, symmetry=group) * vectors[direction]
            ax.pole_density_function(poles, resolution=1, sigma=7, colorbar=False)
            drawn.append(ax.collections[-1])
            highest = max(highest, float(np.nanmax(drawn[-1].get_array())))
    for mesh in drawn:
        mesh.set_clim(0, highest)
    for text in figure.findobj(plt.Text):
        text.set_fontsize(min(text.get_fontsize(), _SMALL))
    if drawn:
        place = figure.add_axes((0.87, 0.2, 0.02, 0.5))
        ticks = MaxNLocator(5, steps=[1, 2, 5, 10])
        bar = figure.colorbar(drawn[0], cax=place, ticks=ticks, format="%g")
        bar.set_label("M.U.D.", fontsize=_SMALL)
        bar.ax.tick_params(labelsize=_SMALL)
    figure.suptitle(_summarize_table(table), fontsize=_SMALL)
    return axes


def _choose_laue_group(
    table: "pd.DataFrame", symmetry: "Symmetry | str | None"
) -> Symmetry:
    """Return the Laue group of crystals in a table."""
    numbers = table["space_group"].unique().tolist()
    if symmetry is None:
        point_groups = {sg.get_space_group(int(i)).point_group for i in numbers}
        if len(point_groups) != 1:
            raise ValueError(
                f"Patterns are of the point groups {sorted(point_groups)}. Choose some "
                "of the rows, or give `symmetry`"
            )
        symmetry = get_point_group(int(numbers[0]))
    elif isinstance(symmetry, str):
        symmetry = _find_point_group(symmetry)
    return symmetry.laue


def _find_point_group(name: str) -> Symmetry:
    """Return the point group of a name, or raise an error if there is none."""
    for number in range(1, 231):
        group = get_point_group(number)
        if group.name == name:
            return group
    raise ValueError(f"There is no point group {name!r}")


def _check_patterns(table: "pd.DataFrame", what: str = "patterns") -> None:
    if len(table) == 0:
        raise ValueError(f"The table has no {what}, so that there is nothing to draw")


def _split_by_outcome(table: "pd.DataFrame") -> "dict[str, pd.DataFrame]":
    """Return the tables of all, right and wrong patterns."""
    right = table["predicted"] == table["space_group"]
    return {"all": table, "right": table[right], "wrong": table[~right]}


def _summarize_table(table: "pd.DataFrame") -> str:
    """Return the context that stands in every figure."""
    row = ev.accuracy(table).iloc[0]
    n = int(row["materials"])
    materials = "1 material" if n == 1 else f"{n} materials"
    return (
        f"{row['n']:.0f} patterns of {materials}, {row['materials_seen']:.0f} in "
        f"training; chance {row['chance']:.1%}"
    )

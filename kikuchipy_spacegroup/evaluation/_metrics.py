# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accuracy, confusion matrix and reliability diagram of a model, as tables.

Everything starts from a table with one row per pattern, which
:func:`evaluate` or :func:`pattern_table` make. It can be written to a
CSV file and read again with pandas.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.crystals import mean_atomic_number
from kikuchipy_spacegroup.evaluation._pattern_table import (
    class_probabilities,
    evaluate,
    pattern_table,
)
from kikuchipy_spacegroup.training import calibration_error

__all__ = [
    "accuracy",
    "class_probabilities",
    "confusion_matrix",
    "counts",
    "evaluate",
    "mean_atomic_number",
    "pattern_table",
    "precision_recall",
    "reliability_diagram",
]
COARSER_LEVELS = ("point_group", "laue_class", "crystal_system")


def counts(table: pd.DataFrame) -> pd.DataFrame:
    """Count the patterns of each material by predicted space group.

    Parameters
    ----------
    table
        Table with a row per pattern.

    Returns
    -------
    counts
        Rows are materials with their space group and whether they were
        in training, columns are predicted space group numbers, with -1
        for patterns not identified, as Tables A1 to A6 of
        :cite:`kaufmann2020deep`. ``counts.attrs`` has ``materials``,
        ``materials_seen`` and ``chance`` as in :func:`accuracy`.

    See Also
    --------
    confusion_matrix

    Notes
    -----
    Files do not keep ``attrs``. Make columns of them before, as in
    ``counts.assign(**counts.attrs).to_csv("counts.csv")``.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.evaluation import counts, pattern_table
    >>> probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> table = pattern_table(probabilities, [225, 229], truth=225, material="Ni")
    >>> counts(table)
    predicted                         225  229
    space_group material in_training
    225         Ni       False          1    1
    """
    _, groups = class_probabilities(table)
    rows = [table[name] for name in ("space_group", "material", "in_training")]
    result = pd.crosstab(rows, table["predicted"])
    there = [-1] if -1 in result.columns else []
    result = result.reindex(columns=[*groups, *there], fill_value=0)
    result = result.rename_axis(columns="predicted")
    result.attrs |= _summarize_context(table)
    return result


def accuracy(
    table: pd.DataFrame, by: str | Sequence[str] = (), *, top: Sequence[int] = (2, 3)
) -> pd.DataFrame:
    """Return the accuracy at every level of symmetry.

    Parameters
    ----------
    table
        Table with a row per pattern.
    by
        Columns to group by, such as ``"material"``, ``"space_group"`` or
        ``"in_training"``. If not given, there is one row for all.
    top
        Numbers of best space groups among which the right one may be.

    Returns
    -------
    accuracies
        A row per group of patterns, with the columns ``n`` (patterns),
        ``materials``, ``materials_seen`` (those that were in training),
        ``chance`` (one over the number of classes), ``identified`` (share
        of the patterns), ``accuracy`` (share with the right space
        group), ``point_group``, ``laue_class`` and ``crystal_system``
        (share that is right at this level), ``top_2`` and so on.

    See Also
    --------
    confusion_matrix, kikuchipy_spacegroup.plot.plot_accuracies

    Notes
    -----
    Patterns that are not identified count as wrong at all levels.

    The space group is the one in the column ``predicted``, as in all
    other tables. Coarser levels have their own answers, as in
    :func:`~kikuchipy_spacegroup.maps.coarsen_map`: probabilities are
    added up over the classes that belong together, and the largest sum
    counts. A pattern whose space group is right can thus be wrong at a
    coarser level, such as one of 194 with a probability of 0.4, and 0.3
    for each of 225 and 229: cubic has 0.6. What is as probable as
    others, as it can be in tables with few digits, gives way to what
    ``predicted`` says.

    A name with two space groups counts as two materials.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.evaluation import accuracy, pattern_table
    >>> probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> table = pattern_table(probabilities, [225, 229], truth=225, material="Ni")
    >>> accuracy(table)[["accuracy", "point_group", "chance"]].to_dict("records")
    [{'accuracy': 0.5, 'point_group': 1.0, 'chance': 0.5}]
    """
    by = [by] if isinstance(by, str) else list(by)
    flags = _find_right_patterns(table, top)
    keys = [table[name] for name in by] or [pd.Series("all", table.index, name="")]
    materials = _number_materials(table)
    seen = materials.where(table["in_training"].astype(bool))
    result = pd.DataFrame(
        {
            "n": table.groupby(keys).size(),
            "materials": materials.groupby(keys).nunique(),
            "materials_seen": seen.groupby(keys).nunique(),
        }
    )
    result["chance"] = 1 / len(class_probabilities(table)[1])
    return result.join(flags.groupby(keys).mean())


def precision_recall(table: pd.DataFrame, by: str = "space_group") -> pd.DataFrame:
    """Return precision, recall and F1 score with scikit-learn.

    Parameters
    ----------
    table
        Table with a row per pattern.
    by
        ``"space_group"`` or ``"material"``.

    Returns
    -------
    scores
        A row per space group or material, with the columns
        ``precision``, ``recall``, ``f1``, ``n`` (patterns), and
        ``materials``, ``materials_seen`` and ``chance`` as in
        :func:`accuracy`. With materials, the first column is
        ``space_group``, and a name with two of them has two rows.

    Raises
    ------
    ValueError
        If *by* is something else.

    See Also
    --------
    sklearn.metrics.precision_recall_fscore_support

    Notes
    -----
    A model does not predict materials. The precision of a material is
    that of its space group with the other materials of this group left
    out: of all patterns called that group, the share that is of this
    material. Patterns not identified count against recall, and not
    against precision.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.evaluation import pattern_table, precision_recall
    >>> probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> table = pattern_table(
    ...     probabilities, [225, 229], truth=np.array([225, 229]), material="Fe"
    ... )
    >>> precision_recall(table, "material")[["space_group", "precision", "n"]]
              space_group  precision  n
    material
    Fe                225        1.0  1
    Fe                229        1.0  1
    """
    from sklearn.metrics import precision_recall_fscore_support

    class_probabilities(table)  # Raises if columns are missing
    if by not in ("space_group", "material"):
        raise ValueError(f"`by` must be 'space_group' or 'material', not {by!r}")
    rows = []
    keys = ["space_group"] if by == "space_group" else ["material", "space_group"]
    for key, part in table.groupby(keys):
        group = int(key[-1])
        others = (table["space_group"] == group) & (table[by] != key[0])
        chosen = table[~others]
        precision, recall, f1, n = precision_recall_fscore_support(
            chosen["space_group"], chosen["predicted"], labels=[group], zero_division=0
        )
        scores = {"precision": precision[0], "recall": recall[0], "f1": f1[0]}
        rows.append(
            dict(zip(keys, key)) | scores | {"n": int(n[0])} | _summarize_context(part)
        )
    columns = [*keys, "precision", "recall", "f1", "n", *_summarize_context(table)]
    return pd.DataFrame(rows, columns=columns).set_index(by)


def confusion_matrix(table: pd.DataFrame, *, normalize: bool = False) -> pd.DataFrame:
    """Return the confusion matrix.

    Parameters
    ----------
    table
        Table with a row per pattern.
    normalize
        Whether rows are shares that add up to 1, instead of numbers of
        patterns.

    Returns
    -------
    matrix
        Rows are true, columns predicted space group numbers, with -1
        for patterns not identified. ``matrix.attrs`` has ``materials``,
        ``materials_seen`` and ``chance`` as in :func:`accuracy`.

    See Also
    --------
    counts, kikuchipy_spacegroup.plot.plot_confusion_matrix

    Notes
    -----
    Files do not keep ``attrs``. Make columns of them before, as in
    ``matrix.assign(**matrix.attrs).to_csv("confusion.csv")``.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.evaluation import confusion_matrix, pattern_table
    >>> probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> table = pattern_table(probabilities, [225, 229], truth=225, material="Ni")
    >>> matrix = confusion_matrix(table)
    >>> matrix
    predicted    225  229
    space_group
    225            1    1
    >>> matrix.assign(**matrix.attrs)
    predicted    225  229  materials  materials_seen  chance
    space_group
    225            1    1          1               0     0.5
    """
    _, groups = class_probabilities(table)
    matrix = pd.crosstab(table["space_group"], table["predicted"])
    not_identified = [-1] if -1 in matrix.columns else []
    matrix = matrix.reindex(columns=[*groups, *not_identified], fill_value=0)
    matrix = matrix.rename_axis(columns="predicted")
    matrix = matrix.div(matrix.sum(axis=1), axis=0) if normalize else matrix
    matrix.attrs |= _summarize_context(table)
    return matrix


def reliability_diagram(table: pd.DataFrame, n_bins: int = 10) -> pd.DataFrame:
    """Return the reliability diagram: accuracy by probability.

    Parameters
    ----------
    table
        Table with a row per pattern.
    n_bins
        Number of bins of equal width.

    Returns
    -------
    bins
        A row per bin with the columns ``low``, ``high``, ``n``,
        ``probability`` (mean) and ``accuracy``, both NaN in empty bins,
        and ``materials``, ``materials_seen`` and ``chance`` of the
        whole table as in :func:`accuracy`.
        ``bins.attrs["calibration_error"]`` is the expected calibration
        error, see
        :func:`~kikuchipy_spacegroup.training.calibration_error`.

    See Also
    --------
    kikuchipy_spacegroup.plot.plot_reliability_diagram

    Notes
    -----
    Patterns that cannot be classified are left out, since they have no
    probability. Those of space groups the model does not know are never
    right.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.evaluation import pattern_table, reliability_diagram
    >>> probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> table = pattern_table(probabilities, [225, 229], truth=225, material="Ni")
    >>> bins = reliability_diagram(table, n_bins=2)
    >>> bins[["low", "high", "n", "probability", "accuracy"]]
       low  high  n  probability  accuracy
    0  0.0   0.5  0          NaN       NaN
    1  0.5   1.0  2         0.85       0.5
    """
    probabilities, groups = class_probabilities(table)
    classified = np.isfinite(probabilities).all(axis=1)
    probabilities = probabilities[classified]
    labels = np.array(
        [
            groups.index(i) if i in groups else -1
            for i in table["space_group"][classified]
        ],
        dtype=int,
    )
    score = probabilities.max(axis=1, initial=0)
    is_right = probabilities.argmax(axis=1) == labels
    index = np.minimum((score * n_bins).astype(int), n_bins - 1)
    edges = np.linspace(0, 1, n_bins + 1)
    n = np.bincount(index, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        bins = pd.DataFrame(
            {
                "low": edges[:-1],
                "high": edges[1:],
                "n": n,
                "probability": np.bincount(index, score, n_bins) / n,
                "accuracy": np.bincount(index, is_right, n_bins) / n,
            }
        )
    bins = bins.assign(**_summarize_context(table))
    if len(labels):
        error = calibration_error(probabilities, labels, n_bins=n_bins)
        bins.attrs["calibration_error"] = error
    return bins


def _find_right_patterns(table: pd.DataFrame, top: Sequence[int]) -> pd.DataFrame:
    """Return whether patterns are right, by level, see :func:`accuracy`."""
    probabilities, groups = class_probabilities(table)
    probabilities = np.nan_to_num(probabilities)
    predicted, truth = table["predicted"].to_numpy(), table["space_group"].to_numpy()
    identified = predicted > 0
    right = {"identified": identified, "accuracy": identified & (predicted == truth)}
    for level in COARSER_LEVELS:
        best = _find_best_of_level(probabilities, groups, predicted, level)
        right[level] = identified & (best == sg.coarsen(truth, level))
    # The predicted one is the best even if others are as probable
    ranks = np.where(predicted[:, None] == np.array(groups), np.inf, probabilities)
    order = np.array(groups)[np.argsort(-ranks, axis=1, kind="stable")]
    for k in top:
        in_top = (order[:, :k] == truth[:, None]).any(axis=1)
        right[f"top_{k}"] = identified & in_top
    return pd.DataFrame(right, index=table.index)


def _find_best_of_level(
    probabilities: np.ndarray,
    groups: Sequence[int],
    predicted: np.ndarray,
    level: str,
) -> np.ndarray:
    """Return the most probable at a level, the predicted one if as probable."""
    summed, labels = sg.coarsen_probabilities(probabilities, groups, level)
    own = sg.coarsen(predicted, level)
    is_best = summed >= summed.max(axis=1, keepdims=True) - 1e-9
    own_is_best = (is_best & (own[:, None] == np.array(labels))).any(axis=1)
    return np.where(own_is_best, own, np.array(labels)[summed.argmax(axis=1)])


def _number_materials(table: pd.DataFrame) -> pd.Series:
    """Return a number per row for its material, which is a name and a space group."""
    return table.groupby(["material", "space_group"]).ngroup()


def _summarize_context(table: pd.DataFrame) -> dict[str, int | float]:
    """Return the context that stands in every table, as in :func:`accuracy`."""
    _, groups = class_probabilities(table)
    materials = _number_materials(table)
    return {
        "materials": int(materials.nunique()),
        "materials_seen": int(materials[table["in_training"].astype(bool)].nunique()),
        "chance": 1 / len(groups),
    }

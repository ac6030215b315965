# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conformal prediction sets of classes."""

from collections.abc import Sequence

import numpy as np


def conformal_threshold(
    probabilities: np.ndarray, labels: np.ndarray, coverage: float = 0.9
) -> float:
    """Return the conformal threshold of probabilities for a coverage.

    Parameters
    ----------
    probabilities
        Array of shape (n, k) of patterns the model was not trained on.
    labels
        Index of the right class per pattern in an array of shape (n,).
    coverage
        Share of patterns whose set must have the right class in it.

    Returns
    -------
    threshold
        Lowest probability of a class in a set.

    Raises
    ------
    ValueError
        If the arrays do not fit together, or there are too few patterns
        for this coverage.

    See Also
    --------
    class_conformal_thresholds, prediction_sets

    Notes
    -----
    This is split conformal prediction with one minus the probability of
    the right class as the score :cite:`sadinle2019least`. The coverage
    holds on average over patterns which are drawn like those given. It
    is not promised for each material.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.training import conformal_threshold
    >>> best = np.linspace(0.1, 1, 19)
    >>> probabilities = np.stack([best, 1 - best], axis=1)
    >>> round(conformal_threshold(probabilities, np.zeros(19, int)), 2)
    0.15
    """
    probabilities, labels = check_labels(probabilities, labels)
    if not 0 < coverage < 1:
        raise ValueError(f"Coverage must be between 0 and 1, not {coverage}")
    n = len(labels)
    rank = _find_rank(n, coverage)
    if rank > n:
        needed = int(np.ceil(round(coverage / (1 - coverage), 9)))
        raise ValueError(
            f"A coverage of {coverage} needs at least {needed} patterns, not {n}"
        )
    right_probabilities = np.sort(probabilities[np.arange(n), labels])[::-1]
    return float(right_probabilities[rank - 1])


def class_conformal_thresholds(
    probabilities: np.ndarray,
    labels: np.ndarray,
    coverage: float = 0.9,
    *,
    materials: np.ndarray | None = None,
    families: Sequence[str] | np.ndarray | None = None,
) -> np.ndarray:
    """Return conformal thresholds of probabilities, one per class.

    Parameters
    ----------
    probabilities
        Array of shape (n, k) of patterns the model was not trained on.
    labels
        Index of the right class per pattern in an array of shape (n,).
    coverage
        Least share of the patterns of each class, and of each material
        if these are given, whose set must have the right class in it.
    materials
        What material each pattern is of, as numbers of shape (n,).
    families
        What family each class is of, of shape (k,), such as its Laue
        class.

    Returns
    -------
    thresholds
        Lowest probability of each class in a set, of shape (k,), none
        above that of all patterns. Classes and materials of too few
        patterns for this coverage are left out. Classes of which nothing
        is known have the threshold of all patterns of their family, if
        there are enough, or else of all.

    Raises
    ------
    ValueError
        If the arrays do not fit together, or there are too few patterns
        for this coverage.

    See Also
    --------
    conformal_threshold, prediction_sets

    Notes
    -----
    This is :func:`conformal_threshold` for the patterns of each class
    :cite:`sadinle2019least` and each material. An ordered alloy that is
    mostly taken for its disordered parent lowers the threshold of its
    own class, so that patterns of both come out as "221 or 225". One
    threshold for all would rather leave the few such materials out of
    the coverage. A class that is easy here would have a high threshold
    of its own, and may be harder elsewhere: it has that of all.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.training import class_conformal_thresholds
    >>> first = np.concatenate([np.linspace(0.1, 1, 19), np.linspace(0.4, 0.95, 19)])
    >>> probabilities = np.stack([first, 1 - first], axis=1)
    >>> labels = np.repeat([0, 1], 19)
    >>> class_conformal_thresholds(probabilities, labels).round(2).tolist()
    [0.1, 0.08]
    """
    probabilities, labels = check_labels(probabilities, labels)
    if materials is not None and np.shape(materials) != labels.shape:
        raise ValueError(
            f"Materials must be of shape {labels.shape} as labels are, not "
            f"{np.shape(materials)}"
        )
    everywhere = conformal_threshold(probabilities, labels, coverage)
    thresholds = np.full(probabilities.shape[1], everywhere)
    if families is not None:
        families = np.asarray(families)
        if families.shape != thresholds.shape:
            raise ValueError(
                f"There must be {len(thresholds)} families, one per class, not "
                f"{families.shape}"
            )
        for family in np.unique(families):
            of_family = families[labels] == family
            if _find_rank(of_family.sum(), coverage) <= of_family.sum():
                own = conformal_threshold(
                    probabilities[of_family], labels[of_family], coverage
                )
                unknown = (families == family) & ~np.isin(
                    np.arange(len(families)), labels
                )
                thresholds[unknown] = min(everywhere, own)
    groups = [labels] if materials is None else [labels, np.asarray(materials)]
    for here in (group == i for group in groups for i in np.unique(group)):
        if _find_rank(here.sum(), coverage) <= here.sum():
            own = conformal_threshold(probabilities[here], labels[here], coverage)
            of_these = np.unique(labels[here])
            thresholds[of_these] = np.minimum(thresholds[of_these], own)
    return thresholds


def _find_rank(n: int, coverage: float) -> int:
    """Return the conformal rank: how many of n + 1 patterns must be covered."""
    return int(np.ceil(round((n + 1) * coverage, 9)))


def prediction_sets(
    probabilities: np.ndarray, threshold: float | np.ndarray
) -> np.ndarray:
    """Return prediction sets: the classes a pattern may be of.

    Parameters
    ----------
    probabilities
        Array of shape (n, k). Rows with NaN are not classified.
    threshold
        Lowest probability of a class in a set, from
        :func:`conformal_threshold`, or of each class of shape (k,), from
        :func:`class_conformal_thresholds`.

    Returns
    -------
    sets
        Boolean array of shape (n, k). The most probable class is always
        in the set. Sets of rows with NaN are empty.

    See Also
    --------
    conformal_threshold, class_conformal_thresholds

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.training import prediction_sets
    >>> probabilities = np.array([[0.5, 0.4, 0.1], [0.9, 0.05, 0.05]])
    >>> prediction_sets(probabilities, 0.15)
    array([[ True,  True, False],
           [ True, False, False]])
    """
    classified = np.isfinite(probabilities).all(axis=1)
    finite_probabilities = np.where(classified[:, None], probabilities, -1.0)
    sets = finite_probabilities >= threshold
    sets[np.arange(len(sets)), finite_probabilities.argmax(axis=1)] = True
    return sets & classified[:, None]


def check_labels(
    values: np.ndarray, labels: np.ndarray, *, none: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return values and labels as arrays, or raise if they do not fit together.

    Parameters
    ----------
    values
        Array of shape (n, k).
    labels
        Index of the right class per pattern of shape (n,).
    none
        Whether -1 is a label, too, of none of the classes.

    Returns
    -------
    values, labels
        The same, with values of dtype float64.

    Raises
    ------
    ValueError
        If shapes differ, there are none, or a label is out of range.
    """
    values, labels = np.asarray(values, dtype="float64"), np.asarray(labels)
    if values.ndim != 2 or labels.shape != values.shape[:1] or labels.size == 0:
        raise ValueError(
            "Expected arrays of shape (n, k) and (n,), not "
            f"{values.shape} and {labels.shape}"
        )
    low = -1 if none else 0
    if labels.dtype.kind not in "iu" or not (
        low <= labels.min() and labels.max() < values.shape[1]
    ):
        raise ValueError(f"Labels must be integers from {low} to {values.shape[1] - 1}")
    return values, labels

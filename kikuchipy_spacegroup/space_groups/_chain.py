# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The finest symmetry that is probable enough, of a chain of levels."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from kikuchipy_spacegroup.space_groups._levels import CHAIN, coarsen
from kikuchipy_spacegroup.space_groups._space_group import get_space_group

# Rows added up at a time
_N_ROWS = 4096
# Of the sum of probabilities from 1, in half precision
_SUM_TOLERANCE = 1e-2


def symmetry_chain(
    probabilities: np.ndarray, space_groups: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return what is most probable at every level of the chain of symmetry.

    Parameters
    ----------
    probabilities
        Probabilities of shape (..., k), which add up to 1. Rows with
        NaN and rows of zeros are of points that could not be classified.
    space_groups
        The k different space group numbers, in any order.

    Returns
    -------
    ids
        Array of shape (..., 6) and dtype int16 with what is most
        probable at each level of ``CHAIN``: the lowest number of a space
        group that is of it. -1 for rows that could not be classified,
        and **at levels at which all k space groups are of one kind**,
        as these say nothing about a point.
    probabilities
        Their probabilities, of the same shape and dtype float32, 0 where
        the ID is -1, and at the first level where a space group is best
        that stands for its enantiomorph as well, which is not among
        *space_groups*.

    Raises
    ------
    ValueError
        If the numbers of columns and of space groups differ, a space
        group does not exist or is there twice, or probabilities are
        negative or do not add up to 1.

    See Also
    --------
    finest_symmetry
    coarsen_probabilities

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.space_groups import CHAIN, symmetry_chain
    >>> CHAIN[2:5]
    ('diffraction_symbol', 'laue_class_with_lattice', 'laue_class')
    >>> ids, probabilities = symmetry_chain(np.array([0.5, 0.25, 0.25]), [194, 191, 62])
    >>> ids
    array([194, 194, 186, 177, 177, 168], dtype=int16)
    >>> probabilities
    array([0.5 , 0.5 , 0.5 , 0.75, 0.75, 0.75], dtype=float32)
    """
    probabilities = np.asarray(probabilities)
    numbers = [get_space_group(n).number for n in space_groups]
    if probabilities.shape[-1:] != (len(numbers),) or not numbers:
        raise ValueError(
            f"Probabilities of shape {probabilities.shape} do not have one column for "
            f"each of the {len(numbers)} space groups"
        )
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"Space groups must be different, not {numbers}")
    # What is in one node stands side by side, whatever the order was
    of_group = _list_nodes()[:, np.array(numbers) - 1]
    order = np.lexsort(of_group)
    of_group = of_group[:, order]
    table = probabilities.reshape(-1, len(numbers))
    ids = np.full((len(table), len(CHAIN)), -1, dtype="int16")
    best_probabilities = np.zeros(ids.shape, dtype="float32")
    for i in range(0, len(table), _N_ROWS):
        rows = slice(i, i + _N_ROWS)
        ids[rows], best_probabilities[rows] = _calculate_chain(
            table[rows][:, order], of_group
        )
    alone = [
        n
        for n in numbers
        if _get_enantiomorph(n) is not None and _get_enantiomorph(n) not in numbers
    ]
    best_probabilities[np.isin(ids[:, 0], alone), 0] = 0
    shape = (*probabilities.shape[:-1], len(CHAIN))
    return ids.reshape(shape), best_probabilities.reshape(shape)


def _get_enantiomorph(number: int) -> int | None:
    """Return the enantiomorph of a space group."""
    return get_space_group(number).enantiomorph


def _calculate_chain(
    table: np.ndarray, of_group: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return IDs and probabilities of some rows.

    Parameters
    ----------
    table
        Probabilities of shape (n, k).
    of_group
        IDs of the nodes of the k space groups, of shape (levels, k),
        equal ones side by side.
    """
    table = table.astype("float64")
    classified = ~np.isnan(table).any(axis=1) & table.any(axis=1)
    table[~classified] = 0
    sums = table.sum(axis=1, keepdims=True)
    if (table < 0).any() or (np.abs(sums[classified] - 1) > _SUM_TOLERANCE).any():
        raise ValueError(
            f"Probabilities must not be negative and add up to 1, but the lowest one is "
            f"{table.min()} and sums are from {sums[classified].min()} to {sums.max()}"
        )
    # Of two nodes side by side only one can then be above one half
    table /= np.where(classified[:, None], sums, 1)
    ids = np.full((len(table), len(of_group)), -1, dtype="int16")
    best_probabilities = np.zeros(ids.shape, dtype="float32")
    # Every level is summed up from the one before
    summed, node = table, np.arange(table.shape[1])
    for level, of_column in enumerate(of_group):
        nodes = of_column[node]
        starts = np.flatnonzero(np.diff(nodes, prepend=0))
        if len(starts) < len(nodes):
            summed = np.add.reduceat(summed, starts, axis=1)
            node = node[starts]
        if len(starts) > 1:
            chosen = summed.argmax(axis=1)
            ids[:, level] = np.where(classified, of_column[node][chosen], -1)
            best_probabilities[:, level] = summed[np.arange(len(summed)), chosen]
    best_probabilities[~classified] = 0
    return ids, best_probabilities


def finest_symmetry_from_chain(
    ids: np.ndarray,
    probabilities: np.ndarray,
    threshold: float = 0.5,
    *,
    separate_enantiomorphs: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the finest symmetry that is probable enough, from the chain.

    Parameters
    ----------
    ids, probabilities
        Arrays of shape (..., 6) from :func:`symmetry_chain`.
    threshold, separate_enantiomorphs
        See :func:`finest_symmetry`.

    Returns
    -------
    levels, ids, probabilities
        Arrays of shape (...), see :func:`finest_symmetry`.

    Raises
    ------
    ValueError
        If the threshold is not from 0.5 to 1, or arrays do not have one
        column for each level.

    See Also
    --------
    symmetry_chain
    finest_symmetry

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.space_groups import (
    ...     finest_symmetry_from_chain, symmetry_chain
    ... )
    >>> chain = symmetry_chain(np.array([[0.5, 0.3, 0.2]]), [194, 191, 62])
    >>> finest_symmetry_from_chain(*chain, threshold=0.7)[0]
    array([3], dtype=int16)
    >>> finest_symmetry_from_chain(*chain, threshold=0.9)[0]
    array([-1], dtype=int16)
    """
    if isinstance(threshold, bool) or not 0.5 <= threshold <= 1:
        raise ValueError(
            f"threshold must be from 0.5 to 1, not {threshold!r}. Below one half, two "
            "answers that exclude each other could both be probable enough"
        )
    ids, probabilities = np.asarray(ids), np.asarray(probabilities, dtype="float32")
    if not ids.shape[-1:] == probabilities.shape[-1:] == (len(CHAIN),):
        raise ValueError(
            f"IDs of shape {ids.shape} and probabilities of shape {probabilities.shape} "
            f"do not have one column for each of the levels {CHAIN}"
        )
    enough = (ids > 0) & (probabilities >= np.float32(threshold))
    # Exactly one half may be two of them
    enough &= probabilities > 0.5
    if not separate_enantiomorphs:
        enough[..., 0] &= ~_has_enantiomorph()[ids[..., 0]]
    finest = enough.argmax(axis=-1)
    found = enough.any(axis=-1)
    each = finest[..., None]
    return (
        np.where(found, finest, -1).astype("int16"),
        np.where(found, np.take_along_axis(ids, each, -1)[..., 0], -1).astype("int16"),
        np.where(
            found, np.take_along_axis(probabilities, each, -1)[..., 0], np.float32(0)
        ),
    )


def finest_symmetry(
    probabilities: np.ndarray,
    space_groups: Sequence[int],
    threshold: float = 0.5,
    *,
    separate_enantiomorphs: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Return the finest symmetry that is probable enough.

    Parameters
    ----------
    probabilities
        Probabilities of shape (..., k), which add up to 1.
    space_groups
        The k different space group numbers.
    threshold
        Lowest probability of an answer, from 0.5 to 1. An answer must
        also be more probable than all others together.
    separate_enantiomorphs
        Whether a space group may be an answer if its mirror image is
        another one. If not, it is ``"P3121 or P3221"``.

    Returns
    -------
    levels
        Array of shape (...) and dtype int16 with the level in ``CHAIN``
        of the answer, 0 for the space group. -1 if nothing is probable
        enough, the point could not be classified, or what is probable
        is so of all points, as all k space groups are of it.
    ids
        Array of dtype int16 with the lowest number of a space group that
        is of the answer at its level, -1 if there is none. Its name is
        ``coarsen(id, CHAIN[level])``.
    probabilities
        Array of dtype float32 with the answers' probabilities, 0 if
        there is none.

    Raises
    ------
    ValueError
        If the threshold is not from 0.5 to 1, or probabilities and space
        groups do not fit, see :func:`symmetry_chain`.

    See Also
    --------
    symmetry_chain
    coarsen
    kikuchipy_spacegroup.maps.symmetry_map

    Notes
    -----
    The levels are a chain: the space groups of one node are all in one
    node of the next level, whose probability is the sum of theirs. Only
    one node of a level can be more probable than one half, so the
    answers to all thresholds lie on one path and never exclude each
    other: with a higher threshold, the answer is coarser or the same.

    That :math:`p \ge t` means a share of right answers of at least *t*
    only if probabilities are calibrated.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.space_groups import CHAIN, coarsen, finest_symmetry
    >>> probabilities = np.array([[0.4, 0.4, 0.2], [0.1, 0.1, 0.8], [0.6, 0.2, 0.2]])
    >>> levels, ids, _ = finest_symmetry(probabilities, [152, 154, 194])
    >>> [coarsen(i, CHAIN[level]).item() for level, i in zip(levels, ids)]
    ['P3121 or P3221', 'P63/mmc', 'P3121 or P3221']
    """
    chain = symmetry_chain(probabilities, space_groups)
    return finest_symmetry_from_chain(
        *chain, threshold, separate_enantiomorphs=separate_enantiomorphs
    )


@cache
def _list_nodes() -> np.ndarray:
    """Return IDs of the nodes of all space groups, of shape (levels, 230)."""
    nodes = []
    for level in CHAIN:
        _, first, inverse = np.unique(
            coarsen(np.arange(1, 231), level), return_index=True, return_inverse=True
        )
        nodes.append(first[inverse] + 1)
    return np.array(nodes)


@cache
def _has_enantiomorph() -> np.ndarray:
    """Return which numbers have an enantiomorph, also of -1."""
    pairs = [get_space_group(n).enantiomorph is not None for n in range(1, 231)]
    return np.array([False, *pairs, False])

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Levels of symmetry, and probabilities at them."""

from collections.abc import Sequence

import numpy as np

from kikuchipy_spacegroup.space_groups._space_group import get_space_group

# From the finest to the coarsest: nodes of one are in one node of the next
CHAIN = (
    "space_group",
    "enantiomorphic_pair",
    "diffraction_symbol",
    "laue_class_with_lattice",
    "laue_class",
    "crystal_system",
)
LEVELS = (*CHAIN, "point_group", "bravais_lattice", "extinction_symbol")
NOT_INDEXED = "not_indexed"


def coarsen(numbers: Sequence[int] | np.ndarray, level: str) -> np.ndarray:
    """Return the class of space groups at a level of symmetry.

    Parameters
    ----------
    numbers
        Space group numbers of any shape, -1 where there is none.
    level
        ``"space_group"``, ``"enantiomorphic_pair"``,
        ``"diffraction_symbol"``, ``"laue_class_with_lattice"``,
        ``"laue_class"`` or ``"crystal_system"``, which are a chain from
        fine to coarse, or, beside it, ``"point_group"``,
        ``"bravais_lattice"`` or ``"extinction_symbol"``. See
        :class:`~kikuchipy_spacegroup.space_groups.SpaceGroup`.

    Returns
    -------
    labels
        Array of strings of the same shape, ``"not_indexed"`` where
        there is no space group.

    Raises
    ------
    ValueError
        If there is no such level or space group.

    See Also
    --------
    coarsen_probabilities, kikuchipy_spacegroup.maps.coarsen_map

    Examples
    --------
    >>> from kikuchipy_spacegroup.space_groups import coarsen
    >>> coarsen([225, 194, -1], "crystal_system")
    array(['cubic', 'hexagonal', 'not_indexed'], dtype='<U11')
    """
    attribute = "symbol" if _check_level(level) == "space_group" else level
    numbers = np.asarray(numbers)
    unique, inverse = np.unique(numbers, return_inverse=True)
    labels = [
        NOT_INDEXED if n == -1 else getattr(get_space_group(n), attribute)
        for n in unique.tolist()
    ]
    length = max(map(len, [NOT_INDEXED, *labels]))
    return np.array(labels, dtype=f"<U{length}")[inverse].reshape(numbers.shape)


def coarsen_probabilities(
    probabilities: np.ndarray, space_groups: Sequence[int], level: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return probabilities at a level of symmetry, by adding them up.

    Parameters
    ----------
    probabilities
        Probabilities of shape (..., k).
    space_groups
        The k space group numbers.
    level
        See :func:`coarsen`.

    Returns
    -------
    probabilities
        Probabilities of shape (..., m).
    labels
        The m labels, in the order of their first space group.

    Raises
    ------
    ValueError
        If there is no such level or space group, or if the numbers of
        columns and of space groups differ.

    See Also
    --------
    coarsen

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.space_groups import coarsen_probabilities
    >>> coarsen_probabilities(
    ...     np.array([[0.5, 0.25, 0.25]]), [225, 229, 194], "laue_class"
    ... )
    (array([[0.75, 0.25]]), ('m-3m', '6/mmm'))
    """
    probabilities = np.asarray(probabilities)
    if probabilities.shape[-1:] != (len(space_groups),):
        raise ValueError(
            f"Probabilities of shape {probabilities.shape} do not have one column for "
            f"each of the {len(space_groups)} space groups"
        )
    of_column = coarsen(space_groups, level).tolist()
    labels = tuple(dict.fromkeys(of_column))
    summed = [
        probabilities[..., [i == name for i in of_column]].sum(axis=-1)
        for name in labels
    ]
    return np.stack(summed, axis=-1), labels


def restrict_probabilities(
    probabilities: np.ndarray,
    space_groups: Sequence[int],
    candidates: Sequence[int],
) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities if only some space groups are possible.

    Parameters
    ----------
    probabilities
        Probabilities of shape (..., k).
    space_groups
        The k space group numbers.
    candidates
        The m different space group numbers that are possible.

    Returns
    -------
    restricted
        Probabilities of shape (..., m) and dtype float32, which add up
        to 1. Rows in which no candidate has any probability are NaN.
    totals
        Probability all candidates had together, of shape (...) and dtype
        float32. Where it is small, the right space group is hardly among
        them.

    Raises
    ------
    ValueError
        If there are no candidates, one is there twice or is not among
        *space_groups*, or the numbers of columns and of space groups
        differ.

    See Also
    --------
    coarsen_probabilities

    Notes
    -----
    A candidate whose enantiomorph is not a candidate stands for both and
    has the probability of both, since a pattern hardly tells them apart.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.space_groups import restrict_probabilities
    >>> p = np.array([[0.5, 0.3, 0.2]])
    >>> restrict_probabilities(p, [225, 194, 62], [194, 62])
    (array([[0.6, 0.4]], dtype=float32), array([0.5], dtype=float32))
    >>> restrict_probabilities(p, [225, 152, 154], [225, 152])
    (array([[0.5, 0.5]], dtype=float32), array([1.], dtype=float32))
    """
    probabilities = np.asarray(probabilities)
    numbers = [get_space_group(n).number for n in space_groups]
    if probabilities.shape[-1:] != (len(numbers),):
        raise ValueError(
            f"Probabilities of shape {probabilities.shape} do not have one column for "
            f"each of the {len(numbers)} space groups"
        )
    members = candidate_members(numbers, candidates)
    summed = probabilities.astype("float64") @ members
    totals = summed.sum(axis=-1)
    possible = np.where(totals > 0, totals, np.nan)[..., None]
    return (summed / possible).astype("float32"), totals.astype("float32")


def candidate_members(
    space_groups: Sequence[int], candidates: Sequence[int]
) -> np.ndarray:
    """Return the candidate each space group is counted for.

    Parameters
    ----------
    space_groups
        The k space group numbers of a model.
    candidates
        The m space group numbers that are possible.

    Returns
    -------
    members
        Array of zeros and ones of shape (k, m).

    Raises
    ------
    ValueError
        If there are no candidates, one is there twice or is not among
        *space_groups*.
    """
    wanted = [get_space_group(n).number for n in candidates]
    if not wanted or len(set(wanted)) < len(wanted):
        raise ValueError(
            f"Candidates must be different space groups and at least one, not {wanted}"
        )
    members = np.zeros((len(space_groups), len(wanted)))
    for j, number in enumerate(wanted):
        partner = get_space_group(number).enantiomorph
        alone = {number} if partner in wanted else {number, partner}
        members[[n in alone for n in space_groups], j] = 1
    if unknown := [n for n, known in zip(wanted, members.any(axis=0)) if not known]:
        raise ValueError(
            f"The model does not know the space groups {unknown}. It knows "
            f"{sorted(space_groups)}"
        )
    return members


def _check_level(level: str) -> str:
    if level not in LEVELS:
        raise ValueError(f"Unknown level {level!r}, must be one of {LEVELS}")
    return level

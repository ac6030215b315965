# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Enantiomorphic pairs of space groups, which count as one.

Where only one of a pair is among some space groups, it stands for both.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from kikuchipy_spacegroup.space_groups._space_group import get_space_group


def merge_enantiomorphs(
    probabilities: np.ndarray, space_groups: Sequence[int]
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return probabilities with those of enantiomorphic pairs added up.

    Parameters
    ----------
    probabilities
        Probabilities of shape (..., k).
    space_groups
        The k different space group numbers.

    Returns
    -------
    merged
        Probabilities of shape (..., m) and of the same dtype, the same
        array if there is no pair.
    space_groups
        The m space group numbers, in the same order but without the
        higher one of pairs that are both there.

    Raises
    ------
    ValueError
        If the numbers of columns and of space groups differ.

    See Also
    --------
    match_enantiomorphs
    coarsen_probabilities

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.space_groups import merge_enantiomorphs
    >>> merge_enantiomorphs(np.array([[0.5, 0.25, 0.25]]), [194, 152, 154])
    (array([[0.5, 0.5]]), (194, 152))
    """
    probabilities = np.asarray(probabilities)
    numbers = [int(n) for n in space_groups]
    if probabilities.shape[-1:] != (len(numbers),):
        raise ValueError(
            f"Probabilities of shape {probabilities.shape} do not have one column for "
            f"each of the {len(numbers)} space groups"
        )
    partners = {n: get_space_group(n).enantiomorph for n in numbers}
    kept = [n for n in numbers if partners[n] not in numbers or n < partners[n]]
    if len(kept) == len(numbers):
        return probabilities, tuple(kept)
    merged = probabilities[..., [numbers.index(n) for n in kept]]
    for j, number in enumerate(kept):
        if partners[number] in numbers:
            other = numbers.index(partners[number])
            merged[..., j] = merged[..., j] + probabilities[..., other]
    return merged, tuple(kept)


def match_enantiomorphs(
    numbers: Sequence[int] | np.ndarray, space_groups: Iterable[int]
) -> np.ndarray:
    """Return space groups by the names they have among others.

    Parameters
    ----------
    numbers
        Space group numbers of any shape, -1 where there is none.
    space_groups
        Space groups to look for them among, as those of a map.

    Returns
    -------
    matched
        Array of the same shape. Numbers are as they were but for those
        that are not among *space_groups* while their enantiomorphs are.
        These are replaced by the latter.

    See Also
    --------
    merge_enantiomorphs

    Examples
    --------
    >>> from kikuchipy_spacegroup.space_groups import match_enantiomorphs
    >>> match_enantiomorphs([154, 225, -1], [152, 225])
    array([152, 225,  -1])
    """
    known = {int(n) for n in space_groups}
    numbers = np.asarray(numbers, dtype=int)
    matched = numbers.copy()
    for number in np.unique(numbers[numbers > 0]).tolist():
        partner = get_space_group(number).enantiomorph
        if number not in known and partner in known:
            matched[numbers == number] = partner
    return matched

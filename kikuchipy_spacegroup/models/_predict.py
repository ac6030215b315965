# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From patterns to probabilities and space groups, whatever the runtime."""

from collections.abc import Callable, Sequence

import numpy as np

from kikuchipy_spacegroup.patterns import unusable_patterns
from kikuchipy_spacegroup.space_groups import merge_enantiomorphs


def check_patterns(patterns: np.ndarray) -> np.ndarray:
    """Return an array if it is a stack of images.

    Parameters
    ----------
    patterns
        Patterns of shape (n, height, width).

    Returns
    -------
    patterns
        The same as an array.

    Raises
    ------
    ValueError
        If it is something else.
    """
    patterns = np.asarray(patterns)
    if patterns.ndim != 3 or patterns.dtype.kind not in "uifb":
        raise ValueError(
            "Patterns must be real numbers in an array of shape (n, height, width),"
            f" not {patterns.dtype} of shape {patterns.shape}"
        )
    if 0 in patterns.shape[1:]:
        raise ValueError(f"Patterns of shape {patterns.shape[1:]} have no pixels")
    return patterns


def predict_in_batches(
    call: Callable[..., np.ndarray],
    patterns: np.ndarray,
    n_classes: int,
    batch_size: int,
    padded_size: Callable[[int, int], int] = lambda n, batch_size: n,
    projection_centers: np.ndarray | None = None,
) -> np.ndarray:
    """Return probabilities of patterns, some at a time.

    Parameters
    ----------
    call
        Function from patterns of shape (n, height, width, 1) and any
        real data type, and projection centers if they are given, to
        probabilities of shape (n, *n_classes*).
    patterns
        Patterns of shape (n, height, width).
    n_classes
        Number of classes.
    batch_size
        Number of patterns per call.
    padded_size
        Function from the number of patterns in a batch, and
        *batch_size*, to the number to call with.
    projection_centers
        Array of shape (n, 3) and dtype float32, relative to the central
        square, if the call takes them.

    Returns
    -------
    probabilities
        Array of shape (n, *n_classes*) and dtype float32. Rows of
        patterns that cannot be classified are NaN.

    Raises
    ------
    ValueError
        If the patterns are not a stack of images, or the batch size is
        not positive.
    """
    patterns = check_patterns(patterns)
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    probabilities = np.empty((patterns.shape[0], n_classes), "float32")
    for i in range(0, patterns.shape[0], batch_size):
        batch = patterns[i : i + batch_size]
        n = padded_size(len(batch), batch_size)
        arrays = [_pad(batch, n)[..., None]]
        if projection_centers is not None:
            arrays.append(_pad(projection_centers[i : i + batch_size], n))
        probabilities[i : i + batch_size] = call(*arrays)[: len(batch)]
        probabilities[i : i + batch_size][unusable_patterns(batch)] = np.nan
    return probabilities


def _pad(array: np.ndarray, n: int) -> np.ndarray:
    """Return an array of n rows, the last one repeated, that is contiguous."""
    array = np.ascontiguousarray(array)
    if n <= len(array):
        return array
    return np.concatenate([array, np.repeat(array[-1:], n - len(array), axis=0)])


def most_probable(
    probabilities: np.ndarray, space_groups: Sequence[int], min_probability: float
) -> np.ndarray:
    """Return the most probable space groups.

    Parameters
    ----------
    probabilities
        Array of shape (n, k), possibly with rows of NaN.
    space_groups
        The k space group numbers.
    min_probability
        Lowest probability that counts.

    Returns
    -------
    numbers
        Space group numbers of shape (n,), -1 where the best probability
        is too low or not known. The lower one of an enantiomorphic pair
        stands for both.
    """
    probabilities, space_groups = merge_enantiomorphs(probabilities, space_groups)
    winners = np.nan_to_num(probabilities, nan=-1).argmax(axis=1)
    scores = probabilities[np.arange(len(winners)), winners]
    return np.where(scores >= min_probability, np.array(space_groups)[winners], -1)

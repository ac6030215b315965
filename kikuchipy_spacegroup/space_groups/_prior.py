# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prior probabilities of space groups: how often each one was in training.

The likelihood of a space group is proportional to its probability over
its prior. Whatever multiplies patterns multiplies likelihoods, and the
prior once.
"""

from collections.abc import Sequence

import numpy as np


def check_prior(prior: Sequence[float] | np.ndarray | None, n: int) -> np.ndarray:
    """Return prior probabilities which add up to 1.

    Parameters
    ----------
    prior
        Positive numbers of shape (n,), or None if all are the same.
    n
        Number of space groups.

    Returns
    -------
    prior
        New array of shape (n,) and dtype float64.

    Raises
    ------
    ValueError
        If there are not n positive numbers.
    """
    if prior is None:
        return np.ones(n) / n
    values = np.array(prior, dtype="float64")
    if values.shape != (n,) or not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(
            f"The prior must be {n} positive numbers, one per space group, not {prior}"
        )
    total = values.sum()
    # As it is if it is normalized, so that a file written again is the same
    return values if abs(total - 1) < 1e-9 else values / total


def relative_prior(prior: np.ndarray) -> np.ndarray:
    """Return how many times as frequent space groups are as if all were the same.

    Parameters
    ----------
    prior
        Prior probabilities of shape (k,).

    Returns
    -------
    relative
        k times the prior, exactly 1 if all are the same.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.space_groups._prior import relative_prior
    >>> relative_prior(np.array([0.75, 0.25]))
    array([1.5, 0.5])
    """
    relative = prior / prior.max()
    return relative / relative.mean()

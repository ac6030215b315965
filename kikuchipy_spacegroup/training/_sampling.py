# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sampling weights of space groups and phases in training."""

from collections.abc import Mapping, Sequence
import logging
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

if TYPE_CHECKING:
    from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary

_logger = logging.getLogger(__name__)


def similar_entries(library: "MasterPatternLibrary", n: int) -> list[np.ndarray]:
    """Return the entries of the same space group most like each entry.

    Parameters
    ----------
    library
        Master patterns.
    n
        Number of entries to return, at most.

    Returns
    -------
    similar
        Indices of entries per entry, the most similar one first. An
        entry without others of its space group has itself.

    See Also
    --------
    SimulatedDataset

    Notes
    -----
    Alike is a high correlation of the bands of upper hemispheres.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
    >>> from kikuchipy_spacegroup.training import similar_entries
    >>> rng = np.random.default_rng(1)
    >>> library = MasterPatternLibrary(
    ...     rng.uniform(size=(3, 21, 21)).astype("float16"),
    ...     phase_index=[0, 1, 2],
    ...     upper=[0, 1, 2],
    ...     lower=[0, 1, 2],
    ...     energies=[20, 20, 20],
    ...     phase_names=["Ni", "Cu", "Fe"],
    ...     space_groups=[225, 225, 229],
    ... )
    >>> similar_entries(library, 1)
    [array([1]), array([0]), array([2])]
    """
    images = library.data[np.asarray(library.upper)]
    step = max(images.shape[-1] // 100, 1)
    bands = []
    for image in images:
        small = gaussian_filter(image.astype("float32"), step / 2)[::step, ::step]
        small -= gaussian_filter(small, 4)
        bands.append(small.ravel() / (np.linalg.norm(small) or 1))
    correlation = np.stack(bands) @ np.stack(bands).T
    groups = np.asarray(library.space_groups)[np.asarray(library.phase_index)]
    similar = []
    for i, row in enumerate(correlation):
        same_group = np.flatnonzero((groups == groups[i]) & (np.arange(len(row)) != i))
        best = same_group[np.argsort(-row[same_group], kind="stable")][:n]
        similar.append(best if len(best) else np.array([i]))
    return similar


def weights_of(given: Mapping | None, names: Sequence) -> np.ndarray:
    """Return weights in the order of names, 1 if not given."""
    given = given or {}
    weights = np.array([given.get(name, 1.0) for name in names], dtype="float64")
    if not (weights >= 0).all():
        raise ValueError("Weights must not be negative")
    return weights


def warn_if_unbalanced(
    found: np.ndarray, wanted: np.ndarray, space_groups: Sequence[int], limit: float
) -> None:
    """Log if a space group has more than twice its share of patterns."""
    excess = np.divide(found, wanted, where=wanted > 0, out=np.zeros(len(found)))
    i = int(excess.argmax())
    if excess[i] > 2:
        _logger.warning(
            "%.0f %% of the patterns in training are of space group %i, instead of "
            "%.0f %%, as many experimental ones are. Space groups are balanced with an "
            "experimental_share of at most %.2g",
            100 * found[i],
            space_groups[i],
            100 * wanted[i],
            limit,
        )


def fill_up(
    shares: np.ndarray, given: np.ndarray, amount: float, least: float = 0.0
) -> np.ndarray:
    """Return what to add to each part, so that the whole gets its shares.

    Parameters
    ----------
    shares
        Shares the parts should have of the whole.
    given
        What there is of each part.
    amount
        How much to add to all parts together. If it does not suffice,
        parts of which there is too much get nothing more, and the others
        come in the right proportion to each other.
    least
        Part of the amount that is spread by *shares*, whatever there is.

    Examples
    --------
    >>> import numpy as np
    >>> fill_up(np.array([0.5, 0.5]), np.array([3.0, 0.0]), 5)
    array([1., 4.])
    """
    base = least * amount * shares
    remaining = amount - base.sum()
    added, has_share = base, shares > 0
    if remaining <= 0 or not has_share.any():
        return added
    ratios = (given + base)[has_share] / shares[has_share]
    order = np.argsort(ratios)
    levels = np.cumsum((given + base)[has_share][order])
    levels = (levels + remaining) / np.cumsum(shares[has_share][order])
    # As water in vessels: the level of the last one which is below it
    level = levels[ratios[order] < levels][-1]
    return added + np.maximum(level * shares - given - base, 0)

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Smooth maps of probabilities by those of neighbors."""

import logging

import numpy as np
from orix.crystal_map import CrystalMap

from kikuchipy_spacegroup.maps._crystal_map import (
    prior_from_map,
    probabilities_from_map,
)
from kikuchipy_spacegroup.maps._map_like import replace_probabilities
from kikuchipy_spacegroup.space_groups._prior import relative_prior

_logger = logging.getLogger(__name__)

_TOLERANCE = 1e-5


def smooth_probabilities(
    xmap: CrystalMap,
    *,
    beta: float = 0.7,
    min_probability: float = 0.0,
    max_iterations: int = 200,
) -> CrystalMap:
    r"""Return a map in which neighbors tend to be of one space group.

    Other than with a median filter, a point changes only if what its
    neighbors are outweighs its own probabilities.

    Parameters
    ----------
    xmap
        Map of space groups made with ``keep_probabilities=True``. It
        may be pooled before with
        :func:`~kikuchipy_spacegroup.maps.pool_grains`, so that lone
        points and small grains are weighed against large ones.
    beta
        How much neighbors tend to be alike, from 0 to 10. A neighbor
        surely of another space group weighs like odds of
        :math:`e^\beta` for that.
    min_probability
        Points with a lower best probability are not identified.
    max_iterations
        Largest number of times messages are passed.

    Returns
    -------
    xmap
        Map as from :func:`~kikuchipy_spacegroup.classification.classify_space_group`
        with the new results.

    Raises
    ------
    ValueError
        If the map has no probabilities, or a number does not fit.

    See Also
    --------
    kikuchipy_spacegroup.maps.pool_grains
    kikuchipy.signals.EBSD.average_neighbour_patterns

    Notes
    -----
    The space groups :math:`x_i` of all points follow the Potts model, as
    is common in cleaning images :cite:`besag1986statistical`,

    .. math::

        P(x) \propto \prod_i \frac{p_i(x_i)}{\pi(x_i)}
            \prod_{i \sim j} e^{\beta [x_i = x_j]}

    with the probabilities :math:`p_i` of the patterns, their prior
    :math:`\pi`, see :func:`prior_from_map`, and pairs
    :math:`i \sim j` of points side by side, four for each. The
    probabilities returned are the marginal ones times the prior, which
    counts once at every point, so that neighbors that say nothing change
    nothing. The former are found by belief propagation
    :cite:`yedidia2005constructing`: exact in maps of one row or column,
    and approximate otherwise.

    A point between four neighbors that are surely of another space
    group changes if its own odds are below :math:`e^{4 \beta}`: 16 to 1
    by default, 55 to 1 for 1. From
    :math:`\beta = \ln(1 + \sqrt k)` on, all points of a large map would
    agree on one of :math:`k` groups without any evidence
    :cite:`wu1982potts`. The default is below this for any number of
    groups.

    Patterns are taken to err independently. A network that is wrong on
    a whole grain will be wrong, and surer, afterwards: use the result to
    clean a map, and
    :func:`~kikuchipy_spacegroup.maps.pool_grains` to tell how sure
    it is of a grain.

    Masked points and points that could not be classified, as in pores,
    stay as they are and have no influence.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.maps import crystal_map
    >>> from kikuchipy_spacegroup.maps import smooth_probabilities
    >>> p = np.array([0.9, 0.9, 0.4, 0.9, 0.01])
    >>> xmap = crystal_map(
    ...     np.stack([p, 1 - p], axis=1), [225, 229], keep_probabilities=True
    ... )
    >>> xmap.phase_id
    array([225, 225, 229, 225, 229])
    >>> smooth_probabilities(xmap).phase_id
    array([225, 225, 225, 225, 229])
    """
    probabilities, _ = probabilities_from_map(xmap)
    if not 0 <= beta <= 10:
        raise ValueError(f"beta must be from 0 to 10, not {beta}")
    if max_iterations < 1:
        raise ValueError(f"max_iterations must be at least 1, not {max_iterations}")
    if xmap.size == 1:
        smooth = probabilities
    else:
        row, col = xmap.row, xmap.col
        evidence = np.zeros(
            (row.max() + 1, col.max() + 1, probabilities.shape[1]), dtype="float32"
        )
        relative = relative_prior(prior_from_map(xmap)).astype("float32")
        evidence[row, col] = probabilities / relative
        smooth = _find_marginals(evidence, relative, beta, max_iterations)[row, col]
    return replace_probabilities(xmap, smooth, min_probability=min_probability)


def _find_marginals(
    evidence: np.ndarray, prior: np.ndarray, beta: float, max_iterations: int
) -> np.ndarray:
    """Return the marginal probabilities of a Potts model on a grid.

    Parameters
    ----------
    evidence
        Likelihoods of single points of shape (rows, columns, k), zeros
        where there is no point.
    prior
        What marginal probabilities are multiplied by, of shape (k,).
    beta
        Coupling of neighbors.
    max_iterations
        Largest number of times messages are passed.
    """
    here, there = np.s_[1:], np.s_[:-1]
    # Messages (rows, columns, k) to every point from that on its left, on its right,
    # above and below it
    targets = [np.s_[:, here], np.s_[:, there], np.s_[here], np.s_[there]]
    sources = [np.s_[:, there], np.s_[:, here], np.s_[there], np.s_[here]]
    opposite = [1, 0, 3, 2]
    coupling = np.float32(np.expm1(beta))
    messages = [np.ones_like(evidence) for _ in targets]
    for _ in range(max_iterations):
        beliefs = _multiply_messages(evidence, messages)
        updated, change = [], 0.0
        for i, (target, source) in enumerate(zip(targets, sources)):
            # Cavity distribution: what the source knows but from the target
            cavity = _normalize(beliefs[source] / messages[opposite[i]][source])
            # Sum over its groups of exp(beta [same group]) times it, less a constant
            message = np.ones_like(evidence)
            message[target] += coupling * cavity
            message /= message.max(axis=-1, keepdims=True)
            change = max(change, np.abs(message - messages[i]).max(initial=0))
            updated.append(message)
        messages = updated
        if change < _TOLERANCE:
            break
    else:
        _logger.warning(
            "Probabilities still change by %.1g after %i iterations. Increase "
            "`max_iterations` or decrease `beta`",
            change,
            max_iterations,
        )
    return _multiply_messages(evidence * prior, messages)


def _multiply_messages(evidence: np.ndarray, messages: list[np.ndarray]) -> np.ndarray:
    """Return the normalized product of evidence and all messages."""
    beliefs = evidence.copy()
    for message in messages:
        beliefs *= message
    return _normalize(beliefs)


def _normalize(values: np.ndarray) -> np.ndarray:
    """Return values that add up to 1 over the last axis, or zeros."""
    total = values.sum(axis=-1, keepdims=True)
    return np.divide(values, total, out=np.zeros_like(values), where=total > 0)

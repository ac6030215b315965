# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores of phases that are not on one scale, compared all the same.

A master pattern that is nearer to the truth than another one, of another
program, voltage or exit depth, correlates better with all patterns, those
of the other phase among them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
import logging

import numpy as np
from scipy.special import softmax

from kikuchipy_spacegroup._evidence import CORRELATIONS

_logger = logging.getLogger(__name__)
# Least correlation of scores with the classifier's probabilities of neighbours
_LEAST_CORRELATION = 0.12
_FEWEST_PAIRS = 50
_MOST_POINTS = 20_000
# Numbers of points, as shares of all, that speak for no offset, for alike
# variances, and for every phase
_FOR_NO_OFFSET, _FOR_ONE_VARIANCE, _FOR_EVERY_PHASE = 0.04, 0.1, 0.02
_N_ITERATIONS = 60


@dataclass
class ScoreModel:
    """How the evidence of a pattern is distributed if its phase is known.

    Parameters
    ----------
    offsets
        Mean evidence of every phase, whatever the phase of the pattern,
        of shape (m,).
    gain
        How much more it is of the phase of the pattern.
    variances
        Variance if a phase is that of the pattern, of shape (m,).
    """

    offsets: np.ndarray
    gain: float
    variances: np.ndarray

    def log_likelihood(self, table: np.ndarray) -> np.ndarray:
        """Return the logarithmic likelihood of the phases.

        Parameters
        ----------
        table
            Evidence of shape (n, m), NaN where a phase is not known.

        Returns
        -------
        log_likelihood
            Array of the same shape, with NaN in the same places.
        """
        known = np.isfinite(table)
        n_known = np.maximum(known.sum(axis=1, keepdims=True), 1)
        rest = np.where(known, table - self.offsets, 0)
        rest -= np.where(known, rest.sum(axis=1, keepdims=True) / n_known, 0)
        square = np.square(rest).sum(axis=1, keepdims=True) - 2 * self.gain * rest
        square += self.gain**2 * (1 - 1 / n_known)
        found = square / self.variances + (n_known - 1) * np.log(self.variances)
        return np.where(known, -0.5 * found, np.nan)


def pairs_with(
    there: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of points in which all candidates can be weighed."""
    first, second = pairs
    both = there[first].all(axis=1) & there[second].all(axis=1)
    return first[both], second[both]


def on_one_scale(
    tables: Mapping[str, np.ndarray],
    prior: np.ndarray,
    pairs: tuple[np.ndarray, np.ndarray],
    weights: Mapping[str, float],
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Return evidence in which phases can be compared, and weights known then.

    Parameters
    ----------
    tables
        Evidence per kind of shape (n, m), NaN where a phase is not known.
    prior
        Logarithmic probabilities of the phases by the classifier, less
        those by chance, of shape (n, m).
    pairs
        Indices of neighbours.
    weights
        Weights which were given. Evidence of these kinds is left as it
        is, and all evidence if the classifier's weight is given.

    Returns
    -------
    tables
        Logarithmic likelihoods instead of the evidence of correlations,
        where they could be found.
    weights
        Those given, and 1 for these kinds and the classifier.
    """
    tables, weights = dict(tables), dict(weights)
    if "classifier" in weights:
        return tables, weights
    for kind in CORRELATIONS:
        if kind in tables and kind not in weights:
            table = tables[kind]
            found = fit_score_model(table, prior, pairs_with(np.isfinite(table), pairs))
            if found is not None:
                tables[kind] = found.log_likelihood(table)
                weights |= {kind: 1.0, "classifier": 1.0}
    return tables, weights


def fit_score_model(
    table: np.ndarray, prior: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]
) -> ScoreModel | None:
    r"""Return what makes scores and the classifier agree best, if they do at all.

    Parameters
    ----------
    table
        Evidence of scores of shape (n, m), of which those of different
        phases need not be on one scale.
    prior
        Logarithmic probabilities of the phases by the classifier, less
        those by chance, of shape (n, m).
    pairs
        Indices of neighbours in which all is known.

    Returns
    -------
    found
        Offsets, gain and variances, or None if there are too few pairs
        or scores have nothing to do with what the classifier says of
        neighbours, as in a scan of one phase.

    Notes
    -----
    With evidence :math:`x` less its mean over the phases, a pattern of
    phase c has the Gaussian likelihood

    .. math::

        x \sim N\big(o + a (e_c - 1 / m), \sigma_c^2\big)

    with offsets o and gain a of all phases. They are found with the shares
    of the phases by expectation-maximization
    :cite:`dempster1977maximum`, in which the classifier's probabilities
    are known.
    """
    first, second = pairs
    if len(first) < _FEWEST_PAIRS or table.shape[1] < 2:
        return None
    x = table - table.mean(axis=1, keepdims=True)
    if _correlation(x, softmax(prior, axis=1), pairs) < _LEAST_CORRELATION:
        return None
    points = np.unique([first, second])
    points = points[:: -(-len(points) // _MOST_POINTS)]
    model = _maximize_expectation(x[points], prior[points])
    _logger.info("Offsets %s and gain %.3g of scores", model.offsets, model.gain)
    return model


def _correlation(
    x: np.ndarray, p: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]
) -> float:
    """Return the correlation of evidence with probabilities of neighbours."""
    first, second = (np.concatenate(i) for i in (pairs, pairs[::-1]))
    x, p = x[first], p[second]
    x, p = x - x.mean(axis=0), p - p.mean(axis=0)
    scale = np.sqrt(np.square(x).sum() * np.square(p).sum())
    return float((x * p).sum() / scale) if scale > 0 else 0.0


def _maximize_expectation(x: np.ndarray, prior: np.ndarray) -> ScoreModel:
    n, m = x.shape
    variance = max(x.var(axis=0).sum() / (m - 1), 1e-12)
    model = ScoreModel(np.zeros(m), np.sqrt(variance), np.full(m, variance))
    # As if scores were on one scale, with a usual number of independent pixels
    shares = softmax(prior + 100 * x, axis=1)
    for _ in range(_N_ITERATIONS):
        model = _maximize(x, shares, model)
        total = shares.sum(axis=0) + _FOR_EVERY_PHASE * n
        likelihood = model.log_likelihood(x)
        shares = softmax(np.log(total) + prior + likelihood, axis=1)
    return model


def _maximize(x: np.ndarray, shares: np.ndarray, model: ScoreModel) -> ScoreModel:
    """Return the best model if points are of phases with these shares."""
    n, m = x.shape
    weights = shares / model.variances
    # Means of phases less that of all
    centered = weights - weights.mean(axis=1, keepdims=True)
    no_offset = _FOR_NO_OFFSET * n / model.variances.mean()
    offsets = weights.sum(axis=1) @ x - model.gain * centered.sum(axis=0)
    offsets /= weights.sum() + no_offset
    gain = (weights * (x - offsets)).sum() / (weights.sum() * (1 - 1 / m))
    gain = max(float(gain), 0.0)
    rest = x - offsets
    square = np.square(rest).sum(axis=1, keepdims=True) - 2 * gain * rest
    square += gain**2 * (1 - 1 / m)
    sums = (shares * square).sum(axis=0)
    pooled = _FOR_ONE_VARIANCE * sums.sum()
    total = (shares.sum(axis=0) + _FOR_ONE_VARIANCE * n) * (m - 1)
    return ScoreModel(offsets, gain, np.maximum((sums + pooled) / total, 1e-12))

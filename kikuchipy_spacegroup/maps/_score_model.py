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

from kikuchipy_spacegroup.maps._evidence import CORRELATIONS

_logger = logging.getLogger(__name__)
# Least correlation of scores with the classifier's probabilities of neighbors
_LEAST_CORRELATION = 0.12
# From and to how many pairs of neighbors it is found
_FEWEST_PAIRS, _MOST_PAIRS = 50, 20_000
# Share of the points that speak for scores on one scale, with one variance
_FOR_ONE_SCALE = 0.04
_N_ITERATIONS = 60


@dataclass
class ScoreModel:
    """Normal distributions of the evidence of a pattern given its phase.

    Parameters
    ----------
    means
        Mean evidence of all phases per phase of the pattern, of shape
        (m, m).
    variances
        Its variance per phase of the pattern, of shape (m,).
    """

    means: np.ndarray
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
        n_known = np.maximum(known.sum(axis=1), 1)
        out = np.full(table.shape, np.nan)
        for j, (mean, variance) in enumerate(zip(self.means, self.variances)):
            # Residuals of the evidence if the pattern is of phase j, (n, m)
            residuals = np.where(known, table - mean, 0)
            # Their sum of squares about their mean over the phases known, (n,)
            squares = np.square(residuals).sum(axis=1)
            squares -= residuals.sum(axis=1) ** 2 / n_known
            # -2 ln N of n_known - 1 independent residuals, but for a constant
            deviance = squares / variance + (n_known - 1) * np.log(variance)
            out[known[:, j], j] = -0.5 * deviance[known[:, j]]
        return out


def pairs_with(
    there: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of points in which all candidates can be weighed."""
    first, second = pairs
    both = there[first].all(axis=1) & there[second].all(axis=1)
    return first[both], second[both]


def calibrate_scores(
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
        Indices of neighbors.
    weights
        Weights which were given. Evidence of these kinds is left as it
        is, and all evidence if the classifier's weight is given.

    Returns
    -------
    tables
        Logarithmic likelihoods instead of the evidence of correlations,
        where they could be found.
    weights
        Those given, 1 for the classifier, and 1 shared by these kinds.
    """
    tables, weights = dict(tables), dict(weights)
    if "classifier" in weights:
        return tables, weights
    # A score model for each kind whose weight is not given
    likelihoods = {}
    for kind in CORRELATIONS:
        if kind in tables and kind not in weights:
            table = tables[kind]
            model = fit_score_model(table, prior, pairs_with(np.isfinite(table), pairs))
            if model is not None:
                likelihoods[kind] = model.log_likelihood(table)
    if not likelihoods:
        return tables, weights
    # A score and the same refined say the same, and count once together
    shared = {"classifier": 1.0} | dict.fromkeys(likelihoods, 1 / len(likelihoods))
    return tables | likelihoods, weights | shared


def fit_score_model(
    table: np.ndarray, prior: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]
) -> ScoreModel | None:
    r"""Fit the model of scores by expectation-maximization, if they agree at all.

    Parameters
    ----------
    table
        Evidence of scores of shape (n, m), of which those of different
        phases need not be on one scale.
    prior
        Logarithmic probabilities of the phases by the classifier, less
        those by chance, of shape (n, m).
    pairs
        Indices of neighbors in which all is known.

    Returns
    -------
    found
        Means and variances, or None if there are too few pairs or scores
        have nothing to do with what the classifier says of neighbors, as
        in a scan of one phase.

    Notes
    -----
    With evidence :math:`x` less its mean over the phases, a pattern of
    phase c has the Gaussian likelihood

    .. math::

        x \sim N(\mu_c, \sigma_c^2)

    Means and variances are found with the shares of the phases by
    expectation-maximization :cite:`dempster1977maximum`, in which the
    classifier's probabilities are known. Means start, and are held with a
    weight of 4 % of the points, where they would be if scores were on one
    scale.
    """
    first, second = pairs
    if len(first) < _FEWEST_PAIRS or table.shape[1] < 2:
        return None
    # 1. Pairs from all over the map, and the points in them
    step = -(-len(first) // _MOST_PAIRS)
    points, index = np.unique([first[::step], second[::step]], return_inverse=True)
    # 2. Evidence less its mean over the phases, (points, m)
    evidence, prior = table[points], prior[points]
    evidence = evidence - evidence.mean(axis=1, keepdims=True)
    # 3. Scores that have nothing to do with the classifier are left as they are
    p = softmax(prior, axis=1)
    if (
        _correlate_with_neighbors(evidence, p, *index.reshape(2, -1))
        < _LEAST_CORRELATION
    ):
        return None
    # 4. Expectation-maximization
    model = _maximize_expectation(evidence, prior)
    _logger.info("Means %s and variances %s of scores", model.means, model.variances)
    return model


def _correlate_with_neighbors(
    evidence: np.ndarray, p: np.ndarray, first: np.ndarray, second: np.ndarray
) -> float:
    """Return the correlation of evidence with probabilities of neighbors.

    Pearson's, over all points in pairs and all phases, of arrays of shape
    (points, m).
    """
    here, there = np.append(first, second), np.append(second, first)
    evidence, p = evidence[here], p[there]
    evidence, p = evidence - evidence.mean(axis=0), p - p.mean(axis=0)
    scale = np.sqrt(np.square(evidence).sum() * np.square(p).sum())
    return float((evidence * p).sum() / scale) if scale > 0 else 0.0


def _maximize_expectation(evidence: np.ndarray, prior: np.ndarray) -> ScoreModel:
    """Fit a score model by expectation-maximization.

    Parameters
    ----------
    evidence
        Evidence less its mean over the phases, of shape (n, m).
    prior
        Logarithmic probabilities by the classifier of shape (n, m).
    """
    n, m = evidence.shape
    variance = max(evidence.var(axis=0).sum() / (m - 1), 1e-12)
    # Prior of means: where they are if scores are on one scale, worth n_prior points
    n_prior = _FOR_ONE_SCALE * n
    prior_means = np.sqrt(variance) * (np.eye(m) - 1 / m)
    # Responsibilities (n, m), first as if scores were on one scale, with a usual
    # number of independent pixels
    responsibilities = softmax(prior + 100 * evidence, axis=1)
    for _ in range(_N_ITERATIONS):
        # M step: mean evidence (m, m) of patterns of each phase
        totals = responsibilities.sum(axis=0)
        sums = responsibilities.T @ evidence + n_prior * prior_means
        means = sums / (totals + n_prior)[:, None]
        # and its variance (m,), drawn to that of all phases
        distances = np.square(evidence[:, None] - means).sum(axis=2)
        squares = (responsibilities * distances).sum(axis=0) / (m - 1)
        pooled = (squares.sum() + n_prior * variance) / (n + n_prior)
        variances = (squares + n_prior * pooled) / (totals + n_prior)
        model = ScoreModel(means, variances)
        # E step: shares of phases times classifier times likelihood
        posterior = np.log(totals + n_prior) + prior + model.log_likelihood(evidence)
        responsibilities = softmax(posterior, axis=1)
    return model

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussian mixture whose number of components is chosen by evidence; arrays only."""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, multigammaln

# Number of grains the prior scatter is worth, and how far from nothing said (0) the
# means of phases are, per direction
_PRIOR_GRAINS = 40
_SPREAD = 0.7
# Standard deviation of mean atomic fractions of phases, before they are measured
_COMPOSITION_SPREAD = 0.3
# Groups at the start, which are then merged, and passes over all observations
_MOST_GROUPS = 25
_N_PASSES = 50


@dataclass
class Observations:
    """What is known of n grains or points.

    Parameters
    ----------
    features
        Array of shape (n, d).
    precisions
        Precision of the features over that of a large grain of shape
        (n,), from 0 to 1.
    weight
        How many independent observations one counts for, up to 1.
    fractions
        Compositions of shape (n, e), 0 where not known; e may be 0.
    fraction_precisions
        Inverse covariance matrices of compositions of shape (n, e, e),
        0 where not known.
    scatter
        Standard deviation of the features of large grains of one phase, per
        direction, that is expected.
    """

    features: np.ndarray
    precisions: np.ndarray
    weight: float
    fractions: np.ndarray
    fraction_precisions: np.ndarray
    scatter: float


@dataclass
class _Groups:
    """Sufficient statistics of g groups.

    Parameters
    ----------
    n
        Numbers of observations, weighted, of shape (g,).
    n_precision, sums, squares
        Sums of precisions, and of features and their outer products by
        precision, of shapes (g,), (g, d) and (g, d, d).
    composition_precision, composition_sums
        Sums of inverse covariances, and of these times fractions, of
        shapes (g, e, e) and (g, e).
    """

    n: np.ndarray
    n_precision: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    composition_precision: np.ndarray
    composition_sums: np.ndarray

    def take(self, index: np.ndarray) -> "_Groups":
        return _Groups(*(values[index] for values in vars(self).values()))

    def __add__(self, other: "_Groups") -> "_Groups":
        both = zip(vars(self).values(), vars(other).values())
        return _Groups(*(a + b for a, b in both))


def group_observations(observations: Observations) -> tuple[np.ndarray, np.ndarray]:
    r"""Group observations by a Gaussian mixture of as many components as needed.

    Parameters
    ----------
    observations
        What is known of n grains or points.

    Returns
    -------
    labels
        Group of each observation of shape (n,), numbered from 0.
    log_probabilities
        Logarithms of the probabilities of the g groups, of shape (n, g),
        not normalized.

    Notes
    -----
    The partition is the one with the highest integrated complete-data
    likelihood :cite:`bertoletti2015choosing`,

    .. math::

        \log p(X, z) = \log p(z) + \sum_g \log p(X_g)

    with the parameters of all groups integrated out, so that there is
    no number of groups to be chosen and no penalty to be weighed. The
    prior of partitions is that of a Dirichlet distribution of shares
    with concentration 1, that of mean and covariance of the features of
    a group a normal-inverse-Wishart distribution, and that of its mean
    composition a normal one, with known uncertainties of compositions.

    It is found greedily: from many groups of observations far from
    each other, observations go to the group of the highest posterior
    predictive probability, and pairs of groups are merged that raise
    the likelihood most, until nothing does.
    """
    n = len(observations.features)
    if n == 0:
        return np.zeros(0, dtype=int), np.zeros((0, 0))
    labels = _spread_groups(observations)
    best = -np.inf
    while True:
        labels = _merge(observations, _reassign(observations, labels))
        likelihood = _log_likelihood(observations, labels)
        if likelihood <= best + 1e-9:
            break
        best = likelihood
    return labels, _log_predictive(observations, _sum_up(observations, labels))


def _spread_groups(observations: Observations) -> np.ndarray:
    """Return groups around observations far from each other."""
    # On the scale of the scatter within groups, (n, d + e)
    features = observations.features * np.sqrt(observations.precisions)[:, None]
    sigma = np.sqrt(np.trace(observations.fraction_precisions, axis1=1, axis2=2))
    known = sigma > 0
    fractions = observations.fractions.copy()
    if known.any():
        fractions[~known] = fractions[known].mean(axis=0)
    scale = (
        np.sqrt(np.mean(sigma[known] ** 2) / max(fractions.shape[1], 1))
        if (known.any())
        else 0
    )
    table = np.concatenate([features / observations.scatter, fractions * scale], axis=1)
    # Farthest-first traversal, then a few steps of k-means
    centers = table[[np.square(table).sum(axis=1).argmax()]]
    distances = np.square(table - centers[0]).sum(axis=1)
    while len(centers) < min(_MOST_GROUPS, len(table)) and distances.max() > 1e-9:
        centers = np.concatenate([centers, table[[distances.argmax()]]])
        distances = np.fmin(distances, np.square(table - centers[-1]).sum(axis=1))
    for _ in range(5):
        squares = [np.square(table - center).sum(axis=1) for center in centers]
        labels = np.argmin(squares, axis=0)
        centers = np.stack([table[labels == i].mean(axis=0) for i in np.unique(labels)])
    return _renumber(labels)


def _renumber(labels: np.ndarray) -> np.ndarray:
    return np.unique(labels, return_inverse=True)[1]


def _sum_up(observations: Observations, labels: np.ndarray) -> _Groups:
    """Return the sufficient statistics of all groups."""
    rows = []
    for i in range(labels.max() + 1):
        here = labels == i
        x, v = observations.features[here], observations.precisions[here]
        precision = observations.fraction_precisions[here]
        weighted = np.einsum("nij,nj->i", precision, observations.fractions[here])
        sums = (
            here.sum(),
            v.sum(),
            v @ x,
            (x.T * v) @ x,
            precision.sum(axis=0),
            weighted,
        )
        rows.append([observations.weight * values for values in sums])
    return _Groups(*(np.stack(values) for values in zip(*rows)))


def _log_likelihood(observations: Observations, labels: np.ndarray) -> float:
    """Return the integrated complete-data likelihood of a partition."""
    groups = _sum_up(observations, labels)
    marginal = _log_marginal(groups, observations.scatter)
    return float(marginal.sum() + _log_partition(groups.n))


def _log_partition(n: np.ndarray) -> float:
    """Return the prior of a partition, with shares integrated out."""
    # Concentration 1, so that log Gamma(1) = 0
    return float(gammaln(len(n)) - gammaln(len(n) + n.sum()) + gammaln(1 + n).sum())


def _posterior(
    groups: _Groups, scatter: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return kappa, nu, mean and Psi of the normal-inverse-Wishart posterior."""
    d = groups.sums.shape[1]
    kappa = (scatter / _SPREAD) ** 2 + groups.n_precision
    nu = d + 1 + _PRIOR_GRAINS + groups.n
    mean = groups.sums / kappa[:, None]
    psi = _PRIOR_GRAINS * scatter**2 * np.eye(d) + groups.squares
    psi = psi - kappa[:, None, None] * mean[:, :, None] * mean[:, None, :]
    return kappa, nu, mean, psi


def _log_marginal(groups: _Groups, scatter: float) -> np.ndarray:
    """Return marginal likelihoods of groups of shape (g,), up to what never changes."""
    d = groups.sums.shape[1]
    # Features: ratio of the normalizations of posterior and prior
    kappa, nu, _, psi = _posterior(groups, scatter)
    nu_0 = d + 1 + _PRIOR_GRAINS
    log_psi_0 = d * np.log(_PRIOR_GRAINS * scatter**2)
    marginal = (
        multigammaln(nu / 2, d)
        - multigammaln(nu_0 / 2, d)
        + nu_0 / 2 * log_psi_0
        - nu / 2 * np.linalg.slogdet(psi)[1]
        + d / 2 * (2 * np.log(scatter / _SPREAD) - np.log(kappa))
        - d / 2 * np.log(np.pi) * groups.n
    )
    # Compositions: the same for a normal prior of the mean, less the sum of squares
    # which all partitions have in common
    e = groups.composition_sums.shape[1]
    prior = np.eye(e) / _COMPOSITION_SPREAD**2
    precision = groups.composition_precision + prior
    mean = np.linalg.solve(precision, groups.composition_sums[:, :, None])[:, :, 0]
    marginal += 0.5 * (groups.composition_sums * mean).sum(axis=1)
    return marginal + 0.5 * (
        np.linalg.slogdet(prior)[1] - np.linalg.slogdet(precision)[1]
    )


def _log_predictive(observations: Observations, groups: _Groups) -> np.ndarray:
    """Return log-probabilities of groups of shape (n, g), not normalized."""
    d, e = observations.features.shape[1], observations.fractions.shape[1]
    kappa, nu, means, psi = _posterior(groups, observations.scatter)
    v = observations.precisions
    columns = []
    for i in range(len(kappa)):
        # Student's t of the features, wider where precision is low
        df = nu[i] - d + 1
        wider = (1 / v + 1 / kappa[i]) / df
        step = observations.features - means[i]
        squares = (step @ np.linalg.inv(psi[i]) * step).sum(axis=1) / wider
        log_p = gammaln((df + d) / 2) - gammaln(df / 2) - d / 2 * np.log(df * np.pi)
        log_p = log_p - 0.5 * (np.linalg.slogdet(psi[i])[1] + d * np.log(wider))
        log_p = log_p - (df + d) / 2 * np.log1p(squares / df)
        # Normal distribution of the composition about a mean that is not quite known
        if e:
            inverse = groups.composition_precision[i] + (
                np.eye(e) / _COMPOSITION_SPREAD**2
            )
            covariance = np.linalg.inv(inverse)
            step = observations.fractions - covariance @ groups.composition_sums[i]
            known = observations.fraction_precisions
            spread = np.eye(e) + known @ covariance
            scaled = np.linalg.solve(
                spread, np.einsum("nij,nj->ni", known, step)[..., None]
            )
            log_p = log_p - 0.5 * (step * scaled[..., 0]).sum(axis=1)
            log_p = log_p - 0.5 * np.linalg.slogdet(spread)[1]
        columns.append(log_p + np.log(1 + groups.n[i]))
    return np.stack(columns, axis=1)


def _reassign(observations: Observations, labels: np.ndarray) -> np.ndarray:
    """Return the partition after observations went to better groups."""
    best = _log_likelihood(observations, labels)
    for _ in range(_N_PASSES):
        scores = _log_predictive(observations, _sum_up(observations, labels))
        trial = _renumber(scores.argmax(axis=1))
        likelihood = _log_likelihood(observations, trial)
        if likelihood <= best + 1e-9:
            break
        labels, best = trial, likelihood
    return labels


def _merge(observations: Observations, labels: np.ndarray) -> np.ndarray:
    """Return the partition after groups were merged while it raises the likelihood."""
    while labels.max() > 0:
        groups = _sum_up(observations, labels)
        first, second = np.triu_indices(len(groups.n), 1)
        alone = _log_marginal(groups, observations.scatter)
        together = groups.take(first) + groups.take(second)
        gains = (
            _log_marginal(together, observations.scatter) - alone[first] - alone[second]
        )
        # Of the prior of partitions, with one group less
        k, n = len(groups.n), groups.n
        gains += (
            gammaln(1 + together.n) - gammaln(1 + n[first]) - gammaln(1 + n[second])
        )
        gains += gammaln(k - 1) - gammaln(k - 1 + n.sum())
        gains -= gammaln(k) - gammaln(k + n.sum())
        best = gains.argmax()
        if gains[best] <= 0:
            break
        labels = _renumber(np.where(labels == second[best], first[best], labels))
    return labels

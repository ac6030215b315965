# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of the grains or points of a map, as observations of phases."""

from collections.abc import Mapping

import numpy as np
from scipy.linalg import helmert

from kikuchipy_spacegroup.maps._composition import normalized_fractions
from kikuchipy_spacegroup.maps._map_like import pairs
from kikuchipy_spacegroup.maps._pooling import average_logarithms
from kikuchipy_spacegroup.maps._uncertainty import uncertainty_table
from kikuchipy_spacegroup.phases._mixture import Observations
from kikuchipy_spacegroup.phases._neighborhoods import average_neighborhoods

# What a network says against a space group counts up to this ratio of its probability
# to its prior, as answers below depend on noise
_FLOOR = 0.01
# Patterns whose answer has less information than this, in nats, are no crystal: 95 %
# of simulated patterns without diffraction. Of 581 grains of seven cubic materials, all
# but 2 have more at a dose of 50, and all at 200
_LEAST_INFORMATION = 0.15
# Directions in which phases may differ
_N_DIRECTIONS = 5
# Points of a grain that weighs half of a large one in finding these
_HALF_WEIGHT = 5
# Points farther apart than where correlation falls below this are independent
_UNCORRELATED = 0.05


class Units:
    """Log-likelihoods of the grains of a map, or of its points if there are none.

    Parameters
    ----------
    probabilities
        Array of shape (n, k), zeros where a point is not classified.
    relative
        k times the prior of shape (k,).
    row, col
        Row and column of each point of shape (n,).
    grain_ids
        Grain of each point, -1 for points that are in none and stand
        for themselves. If None, each point stands for its neighborhood.
    """

    def __init__(
        self,
        probabilities: np.ndarray,
        relative: np.ndarray,
        row: np.ndarray,
        col: np.ndarray,
        grain_ids: np.ndarray | None,
    ) -> None:
        n, k = probabilities.shape
        classified = probabilities.any(axis=1)
        ids = np.full(n, -1) if grain_ids is None else grain_ids
        # Grains first, then points that stand for themselves
        keys = np.where(ids >= 0, ids, ids.max(initial=-1) + 1 + np.arange(n))
        unique, index = np.unique(keys[classified], return_inverse=True)
        self.of_point = np.full(n, -1)
        """Unit of each point of shape (n,), -1 if it is not classified."""
        self.of_point[classified] = index
        likelihoods = probabilities / relative
        self.log_likelihoods, self.sizes = average_logarithms(
            likelihoods, np.maximum(self.of_point, 0), len(unique), _FLOOR / k
        )
        """Mean log-likelihoods (units, k) and numbers of points (units,)."""
        self.first_points = np.unique(self.of_point, return_index=True)[1]
        if not classified.all():
            self.first_points = self.first_points[1:]
        self.is_grain = unique <= ids.max(initial=-1)
        self.centered = np.zeros((n, k))
        """Log-likelihoods of points less their means (n, k)."""
        logs = np.log(np.maximum(likelihoods[classified], _FLOOR / k))
        self.centered[classified] = logs - logs.mean(axis=1, keepdims=True)
        self._relative = relative
        if grain_ids is None and classified.any():
            self.log_likelihoods, self.sizes = average_neighborhoods(
                logs, row[classified], col[classified]
            )
        self._pairs = _find_pairs(row, col)

    def informative(self) -> np.ndarray:
        """Return which units are of a crystal, of shape (units,).

        The Kullback-Leibler divergence of their pooled probabilities
        from the prior is large enough.
        """
        k = len(self._relative)
        log_prior = np.log(self._relative / k)
        log_p = self.log_likelihoods + log_prior
        log_p = log_p - np.logaddexp.reduce(log_p, axis=1)[:, None]
        information = (np.exp(log_p) * (log_p - log_prior)).sum(axis=1)
        return information >= _LEAST_INFORMATION

    def noise(self, directions: np.ndarray) -> float:
        """Return the mean variance of points in a grain in some directions.

        Without grains of several points, it is that of neighbors.

        Parameters
        ----------
        directions
            Orthonormal vectors of shape (d, k).
        """
        values = self.centered @ directions.T
        if self.is_grain.any() and self.sizes.max() > 1:
            here = self.of_point >= 0
            index = self.of_point[here]
            means = self.log_likelihoods @ directions.T
            squares = np.square(values[here] - means[index]).sum(axis=0)
            return float(squares.mean() / (len(index) - len(self.sizes)))
        first, second = self._pairs
        both = (self.of_point[first] >= 0) & (self.of_point[second] >= 0)
        if not both.any():
            return 0.0
        return float(np.square(values[first[both]] - values[second[both]]).mean() / 2)


def _find_pairs(row: np.ndarray, col: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of points side by side."""
    grid = np.full((row.max(initial=0) + 1, col.max(initial=0) + 1), -1)
    grid[row, col] = np.arange(len(row))
    return pairs(grid)


def make_observations(
    units: Units,
    chosen: np.ndarray,
    fractions: np.ndarray,
    fraction_precisions: np.ndarray,
    scatter: float,
) -> Observations:
    r"""Return features of units, and how precise these are.

    Parameters
    ----------
    units
        Grains or points.
    chosen
        Units to return, of shape (units,).
    fractions, fraction_precisions
        See :func:`composition_of_points`, of all points.
    scatter
        Standard deviation of large grains of one phase per direction.

    Returns
    -------
    observations
        Observations of the chosen units.

    Notes
    -----
    Features are log-likelihoods less their mean, :math:`x`. How long
    they are is a matter of the patterns' quality, and of how sure the
    network is, more than of the phase, so all are given the length 1, and
    those which were shorter than the mean :math:`\bar{r}` count less.
    With the variance :math:`b` of grains of a phase and that of points in
    a grain, :math:`w`, both per direction and over :math:`\bar{r}^2`, the
    precision of a grain of n points is

    .. math::

        v = \frac{b}{b + w / n} \min(1, |x|^2 / \bar{r}^2)

    What is left are the directions in which they differ most, by a
    singular value decomposition about 0, which means that nothing is
    known.
    """
    x = units.log_likelihoods[chosen]
    x = x - x.mean(axis=1, keepdims=True)
    n_directions = min(_N_DIRECTIONS, x.shape[1])
    lengths = np.maximum(np.linalg.norm(x, axis=1), 1e-3)
    sizes = units.sizes[chosen]
    # Directions in feature space (d, k), in which large grains weigh more
    weights = sizes / (sizes + _HALF_WEIGHT)
    scaled = x / lengths[:, None]
    directions = np.linalg.svd((scaled.T * weights) @ scaled)[2][:n_directions]
    mean_length = np.sqrt(np.average(lengths**2, weights=weights))
    noise = units.noise(directions) / mean_length**2
    precisions = scatter**2 / (scatter**2 + noise / sizes)
    precisions = precisions * np.minimum(1, (lengths / mean_length) ** 2)
    first = units.first_points[chosen]
    return Observations(
        features=scaled @ directions.T,
        precisions=precisions,
        weight=1.0,
        fractions=fractions[first],
        fraction_precisions=fraction_precisions[first],
        scatter=scatter,
    )


def composition_of_points(
    arrays: Mapping[str, np.ndarray],
    uncertainties: Mapping[str, np.ndarray],
    n: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return compositions without their sum, which is always 1.

    Parameters
    ----------
    arrays
        Arrays of shape (n,) by element.
    uncertainties
        Standard deviations of shape () or (n,) by element.
    n
        Number of points.

    Returns
    -------
    fractions
        Array of shape (n, e - 1) for e elements, 0 where not known.
    precisions
        Their inverse covariances of shape (n, e - 1, e - 1), 0 where
        not known.

    Raises
    ------
    ValueError
        If there is only one element, or an uncertainty is too small.
    """
    if not arrays:
        return np.zeros((n, 0)), np.zeros((n, 0, 0))
    if len(arrays) == 1:
        raise ValueError(
            f"A composition of {list(arrays)} alone tells no phases apart, as fractions "
            "are normalized. Give two elements or more"
        )
    fractions = normalized_fractions(arrays)
    known = np.isfinite(fractions).all(axis=1)
    sigma = np.broadcast_to(uncertainty_table(uncertainties, known), fractions.shape)
    inverse = np.zeros(fractions.shape)
    inverse[known] = 1 / sigma[known] ** 2
    # Orthonormal coordinates in the plane of fractions that sum up to 1
    basis = helmert(len(arrays))
    precisions = np.einsum("ai,ni,bi->nab", basis, inverse, basis)
    return np.where(known[:, None], fractions, 0) @ basis.T, precisions


def independent_share(values: np.ndarray, row: np.ndarray, col: np.ndarray) -> float:
    r"""Return how many of the points of a map are independent, as a share.

    Parameters
    ----------
    values
        Values of mean 0 of shape (n, d).
    row, col
        Row and column of each point of shape (n,).

    Returns
    -------
    share
        Effective number of independent points over n, from 1 / n to 1.

    Notes
    -----
    With the autocorrelation :math:`r_{ij}` of points, averaged over all
    pairs at the same distance, up to the distance where it vanishes, it
    is :math:`n / \sum_{ij} r_{ij}`.
    """
    n = len(values)
    # Sums of products of all pairs by their offset, by the Fourier transform
    size = 2 * (row.max() + 1), 2 * (col.max() + 1)
    products = np.zeros((2, *size))
    for i, column in enumerate([np.ones(n), *values.T]):
        image = np.zeros(size)
        image[row, col] = column
        power = np.abs(np.fft.rfft2(image)) ** 2
        products[min(i, 1)] += np.fft.irfft2(power, size)
    counts, sums = np.round(products[0]), products[1]
    if not sums[0, 0] > 0:
        return 1.0
    # Means over offsets of the same length
    y, x = (np.minimum(np.arange(i), i - np.arange(i)) for i in size)
    distance = np.round(np.hypot(y[:, None], x)).astype(int).ravel()
    in_ring, of_ring = (
        np.bincount(distance, weights=i.ravel()) for i in (counts, sums)
    )
    correlation = of_ring / np.maximum(in_ring, 1) / (sums[0, 0] / n)
    reach = (
        np.argmax(correlation < _UNCORRELATED)
        if (correlation < _UNCORRELATED).any()
        else len(correlation)
    )
    total = (in_ring * correlation)[: max(reach, 1)].sum()
    return float(np.clip(n / total, 1 / n, 1))

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pool what is known of the patterns of a grain."""

import logging

import numpy as np
from orix.crystal_map import CrystalMap
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from kikuchipy_spacegroup.maps._crystal_map import (
    prior_from_map,
    probabilities_from_map,
)
from kikuchipy_spacegroup.maps._map_like import of_points, replace_probabilities
from kikuchipy_spacegroup.patterns._checks import check_probability
from kikuchipy_spacegroup.space_groups._prior import check_prior, relative_prior

_logger = logging.getLogger(__name__)

# Ratios of probability to relative prior below are taken to be this one, as 0 would be
# a veto
_FLOOR = 1e-6
# Of patterns of a grain, see pool_grains()
CORRELATION = 0.9


def pool_grains(
    xmap: CrystalMap,
    grain_ids: np.ndarray,
    *,
    correlation: float = CORRELATION,
    min_probability: float = 0.0,
) -> CrystalMap:
    r"""Return a map with one space group for all points of a grain.

    Parameters
    ----------
    xmap
        Map of space groups made with ``keep_probabilities=True``.
    grain_ids
        Integer array with the grain of each point in the scan or of
        each point in the data, negative for points of no grain.
    correlation
        Correlation between what the network gets wrong on two patterns
        of a grain, from 0 (independent) to 1 (always the same). The
        default was fitted to the default model. See
        :func:`fit_correlation` for others.
    min_probability
        Grains with a lower best probability are not identified.

    Returns
    -------
    xmap
        Map as from :func:`~kikuchipy_spacegroup.classification.classify_space_group`
        with the results of the grains, and the further properties

        * ``grain_id`` (n,), the grain, -1 for points of no grain, which
          keep their own probabilities
        * ``grain_size`` (n,), the number of classified points in the
          grain, 0 for points of no grain

    Raises
    ------
    ValueError
        If the map has no probabilities or was pooled before, or if
        grain IDs or a number do not fit.

    See Also
    --------
    kikuchipy_spacegroup.maps
    kikuchipy_spacegroup.maps.smooth_probabilities

    Notes
    -----
    The probability of space group :math:`c` in a grain with :math:`n`
    points of probabilities :math:`p_i` is

    .. math::

        P(c) \propto \pi(c) \exp\Big(\frac{n_\text{eff}}{n}
            \sum_{i=1}^n \log \frac{p_i(c)}{\pi(c)}\Big), \qquad
        n_\text{eff} = \frac{n}{1 + (n - 1) \rho}

    with the prior probabilities :math:`\pi(c)` of the map, see
    :func:`prior_from_map`: these count once, however many points there
    are. For independent patterns (:math:`\rho = 0`), this is Bayes'
    theorem. But patterns of a grain are of the same phase in the same
    orientation,
    and a network that is wrong on one of them tends to be wrong on all,
    so that they count like :math:`n_\text{eff} < 1 / \rho` patterns
    only, the effective sample size of a cluster :cite:`kish1965survey`.
    :math:`\rho` changes how sure the result is, but not which space
    group is the most probable one if all have the same prior.

    The default is between the 0.8 and 1 which :func:`fit_correlation`
    returns for the default model on simulated grains of two sets of
    materials it never saw: nearly all it gets wrong is the fault of
    phase and orientation, and hardly any that of noise. Pooling makes it
    right more often, but with :math:`\rho = 0` it would be sure and
    wrong: see ``recipes/default_model/results/pooling.csv``.

    Points that could not be classified do not count, but get the result
    of their grain. Probabilities below 1e-6 count as 1e-6, where the
    priors are the same, and otherwise as that times k times the prior of
    the space group.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.maps import crystal_map
    >>> from kikuchipy_spacegroup.maps import pool_grains
    >>> probabilities = np.array([[0.8, 0.2], [0.7, 0.3], [0.4, 0.6]])
    >>> xmap = crystal_map(probabilities, [225, 229], keep_probabilities=True)
    >>> pooled = pool_grains(xmap, np.zeros(3, dtype=int))
    >>> pooled.phase_id
    array([225, 225, 225])
    >>> pooled.scores.round(2)
    array([0.66, 0.66, 0.66], dtype=float32)
    """
    probabilities, _ = probabilities_from_map(xmap)
    check_probability("correlation", correlation)
    if "grain_id" in xmap.prop and "grain_size" in xmap.prop:
        raise ValueError(
            "The map is pooled already. Pool the map from `classify_space_group()`, "
            "as patterns would count twice"
        )
    grain_id = check_grain_ids(grain_ids, xmap)
    grains, index = np.unique(grain_id[grain_id >= 0], return_inverse=True)
    pooled, size = _pool_probabilities(
        probabilities[grain_id >= 0],
        relative_prior(prior_from_map(xmap)),
        index,
        len(grains),
        correlation,
    )
    result = probabilities.copy()
    result[grain_id >= 0] = pooled[index]
    grain_size = np.zeros(len(result), dtype=int)
    grain_size[grain_id >= 0] = size[index]
    _logger.info(
        "Pooled %i points in %i grains, %i points are in none",
        index.size,
        len(grains),
        (grain_id < 0).sum(),
    )
    return replace_probabilities(
        xmap,
        result,
        min_probability=min_probability,
        prop={"grain_id": grain_id, "grain_size": grain_size},
    )


def fit_correlation(
    probabilities: np.ndarray,
    grain_id: np.ndarray,
    labels: np.ndarray,
    *,
    prior: np.ndarray | None = None,
) -> float:
    """Return the correlation which makes pooled grains most likely.

    Parameters
    ----------
    probabilities
        Array of shape (n, k) of patterns the model was not trained on.
        Rows of zeros or NaN are left out.
    grain_id
        Grain of each pattern of shape (n,), negative for patterns of no
        grain, which are left out.
    labels
        Index of the right class per pattern of shape (n,), the same for
        all patterns of a grain.
    prior
        Prior probabilities of shape (k,), as from
        :func:`prior_from_map`. If not given, all are the same.

    Returns
    -------
    correlation
        Number from 0 to 1, for :func:`pool_grains`.

    Raises
    ------
    ValueError
        If the arrays do not fit together.

    See Also
    --------
    pool_grains, kikuchipy_spacegroup.training.fit_temperature

    Notes
    -----
    This is to grains what
    :func:`~kikuchipy_spacegroup.training.fit_temperature` is to
    patterns: the number found is the one with the highest likelihood of
    the right classes, each grain counting the same.

    Examples
    --------
    Grains of ten patterns which are no more often right than one pattern

    >>> import numpy as np
    >>> from kikuchipy_spacegroup.maps import fit_correlation
    >>> grain_id = np.repeat(np.arange(4), 10)
    >>> probabilities = np.tile([0.75, 0.25], (40, 1))
    >>> round(fit_correlation(probabilities, grain_id, grain_id // 3), 2)
    1.0
    """
    probabilities = np.nan_to_num(np.asarray(probabilities, dtype="float64"))
    grain_id, labels = np.asarray(grain_id), np.asarray(labels)
    shapes = (probabilities.shape, grain_id.shape, labels.shape)
    if probabilities.ndim != 2 or shapes[1:] != (shapes[0][:1],) * 2:
        raise ValueError(
            f"Expected arrays of shape (n, k), (n,) and (n,), not {shapes}"
        )
    used = (grain_id >= 0) & probabilities.any(axis=1)
    if not used.any():
        raise ValueError("No pattern is both classified and in a grain")
    labels = labels[used]
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise ValueError(f"Labels must be from 0 to {probabilities.shape[1] - 1}")
    grains, first, index = np.unique(
        grain_id[used], return_index=True, return_inverse=True
    )
    right_classes = labels[first]
    if (right_classes[index] != labels).any():
        raise ValueError("Patterns of the same grain have different labels")
    relative = relative_prior(check_prior(prior, probabilities.shape[1]))
    mean, size = average_logarithms(probabilities[used] / relative, index, len(grains))
    rows = np.arange(len(grains))

    def loss(correlation: float) -> float:
        n = effective_number(size, correlation)
        log_p = log_softmax(n[:, None] * mean + np.log(relative), axis=1)
        return -log_p[rows, right_classes].mean()

    optimum = minimize_scalar(loss, bounds=(0, 1), method="bounded").x
    # The ends are not tried
    return float(min((0.0, optimum, 1.0), key=loss))


def effective_number(n: np.ndarray, correlation: float) -> np.ndarray:
    """Return the effective number of independent patterns of a grain.

    Parameters
    ----------
    n
        Number of patterns per grain.
    correlation
        See :func:`pool_grains`.

    Returns
    -------
    n_eff
        Effective numbers, at most 1 / correlation.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.maps._pooling import effective_number
    >>> effective_number(np.array([1, 5, 100]), 0.25).round(2)
    array([1.  , 2.5 , 3.88])
    """
    n = np.asarray(n, dtype="float64")
    return n / (1 + np.maximum(n - 1, 0) * correlation)


def check_grain_ids(grain_ids: np.ndarray, xmap: CrystalMap) -> np.ndarray:
    """Return grain IDs of the points in the data, -1 where there is none.

    Parameters
    ----------
    grain_ids
        Integer array with one number per point in the scan or in the
        data, of any shape.
    xmap
        Map of the scan.

    Returns
    -------
    grain_ids
        Array of shape (n,) for the n points in the data.

    Raises
    ------
    ValueError
        If these are not integers, or not one per point.
    """
    grain_ids = np.asarray(grain_ids)
    if grain_ids.dtype.kind not in "iu":
        raise ValueError(f"IDs of grains must be integers, not {grain_ids.dtype}")
    grain_ids = of_points(grain_ids, xmap, "IDs of grains").astype("int64")
    return np.maximum(grain_ids, -1)


def _pool_probabilities(
    probabilities: np.ndarray,
    relative: np.ndarray,
    index: np.ndarray,
    n_grains: int,
    correlation: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and the number of classified points of grains.

    These are of shapes (n_grains, k) and (n_grains,). Probabilities are
    zero where there is no such point.
    """
    mean, size = average_logarithms(probabilities / relative, index, n_grains)
    n = effective_number(size, correlation)
    pooled = softmax(n[:, None] * mean + np.log(relative), axis=1)
    return np.where(size[:, None] > 0, pooled, 0), size


def average_logarithms(
    likelihoods: np.ndarray, index: np.ndarray, n_grains: int, floor: float = _FLOOR
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean log-likelihoods and numbers of points of grains.

    Parameters
    ----------
    likelihoods
        Array of shape (n, k), probabilities over relative priors. Rows
        of zeros are not classified and do not count.
    index
        Grain of each point of shape (n,), from 0.
    n_grains
        Number of grains.
    floor
        Likelihoods below count as this.

    Returns
    -------
    mean, size
        Arrays of shapes (n_grains, k) and (n_grains,), 0 where no point
        of a grain is classified.
    """
    classified = likelihoods.any(axis=1)
    index = index[classified]
    size = np.bincount(index, minlength=n_grains)
    logs = np.log(np.maximum(likelihoods[classified], floor))
    sums = [np.bincount(index, weights=i, minlength=n_grains) for i in logs.T]
    return np.stack(sums, axis=1) / np.maximum(size, 1)[:, None], size

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calibrate probabilities, and set the threshold below which none is told."""

from collections.abc import Sequence
import logging
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp

from kikuchipy_spacegroup.models._chain_softmax import nodes_of_chain
from kikuchipy_spacegroup.space_groups import (
    CHAIN,
    coarsen,
    match_enantiomorphs,
    merge_enantiomorphs,
)
from kikuchipy_spacegroup.training._conformal import (
    check_labels,
    class_conformal_thresholds,
)
from kikuchipy_spacegroup.training._memory import frees_graphs

if TYPE_CHECKING:
    from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
    from kikuchipy_spacegroup.models import SpaceGroupModel
    from kikuchipy_spacegroup.simulation import Acquisition, Geometry

_logger = logging.getLogger(__name__)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Fit the temperature of temperature scaling by maximum likelihood.

    Parameters
    ----------
    logits
        Array of shape (n, k).
    labels
        Index of the right class per pattern in an array of shape (n,).

    Returns
    -------
    temperature
        Positive number to divide the logits by before the softmax. A
        network that is too sure has a temperature above 1.

    Raises
    ------
    ValueError
        If the arrays do not fit together, or the logits are not finite.

    See Also
    --------
    calibrate, calibration_error

    Notes
    -----
    Temperature scaling is described in :cite:`guo2017calibration`. It
    changes no label.

    Examples
    --------
    Always sure, but right three times out of four only

    >>> import numpy as np
    >>> from kikuchipy_spacegroup.training import fit_temperature
    >>> logits = np.array([[5.0, 0.0]] * 4)
    >>> temperature = fit_temperature(logits, np.array([0, 0, 0, 1]))
    >>> round(temperature, 2)
    4.55
    """
    logits, labels = check_labels(logits, labels)
    if not np.isfinite(logits).all():
        raise ValueError("Logits must be finite")
    return _find_most_likely_temperature(logits, labels)


def fit_chain_temperatures(
    logits: np.ndarray, labels: np.ndarray, space_groups: Sequence[int]
) -> dict[str, float]:
    r"""Fit a temperature for every level of symmetry by maximum likelihood.

    Parameters
    ----------
    logits
        Array of shape (n, k).
    labels
        Index of the right space group per pattern in an array of shape
        (n,).
    space_groups
        The k space group numbers.

    Returns
    -------
    temperatures
        Temperature of each level in ``space_groups.CHAIN``, for
        ``model.temperature``. 1 at levels that divide no node of the next
        one.

    Raises
    ------
    ValueError
        If the arrays do not fit together, or the logits are not finite.

    See Also
    --------
    fit_temperature
    calibrate

    Notes
    -----
    The logarithm of the probability of a space group is the sum of those
    of conditional probabilities down the chain, from the crystal system
    to the space group. Each is scaled with a temperature of its own
    :cite:`guo2017calibration`, which are found one by one, since the
    likelihood is the product over the levels.

    Examples
    --------
    Cubic or not is right three times out of four, and which cubic space
    group always

    >>> import numpy as np
    >>> from kikuchipy_spacegroup.training import fit_chain_temperatures
    >>> logits = np.array([[5.0, 1.0, -5.0]] * 4)
    >>> labels = np.array([0, 0, 0, 2])
    >>> found = fit_chain_temperatures(logits, labels, [225, 229, 194])
    >>> round(found["crystal_system"], 1), round(found["laue_class"], 1)
    (9.1, 1.0)
    """
    logits, labels = check_labels(logits, labels)
    if not np.isfinite(logits).all():
        raise ValueError("Logits must be finite")
    members, parents = nodes_of_chain(space_groups)
    log_p = log_softmax(logits.astype("float64"), axis=1)
    temperatures = {}
    for level, of_group, of_node in zip(CHAIN, members, parents):
        # Log-probabilities of the nodes of a level, and the right one of each pattern
        nodes = of_group.argmax(axis=1)
        summed = np.stack(
            [logsumexp(log_p[:, nodes == i], axis=1) for i in range(nodes.max() + 1)], 1
        )
        right = nodes[labels]
        # Those within the node of the next level that the right one is in
        siblings = (of_node @ of_node.T > 0)[right]
        of_siblings = np.where(siblings, summed, -np.inf)
        alone = (siblings.sum(axis=1) == 1).all()
        found = 1.0 if alone else _find_most_likely_temperature(of_siblings, right)
        temperatures[level] = found
    return temperatures


def _find_most_likely_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature of the highest likelihood.

    Parameters
    ----------
    logits
        Array of shape (n, k), minus infinity where a class is impossible.
    labels
        Index of the right class per pattern of shape (n,).
    """
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -scaled[rows, labels].mean()

    result = minimize_scalar(loss, bounds=np.log([0.05, 20]), method="bounded")
    return float(np.exp(result.x))


def calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, *, n_bins: int = 15
) -> float:
    """Return the expected calibration error of best probabilities.

    Parameters
    ----------
    probabilities
        Array of shape (n, k).
    labels
        Index of the right class per pattern in an array of shape (n,).
        -1 if none is right.
    n_bins
        Number of bins of equal width.

    Returns
    -------
    error
        Expected calibration error, between 0 and 1: the mean over
        patterns of the absolute difference of mean probability and
        accuracy in the bin a pattern is in :cite:`guo2017calibration`.

    Raises
    ------
    ValueError
        If the arrays do not fit together.

    See Also
    --------
    fit_temperature
    kikuchipy_spacegroup.evaluation.reliability_diagram

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.training import calibration_error
    >>> probabilities = np.array([[0.75, 0.25]] * 4)
    >>> calibration_error(probabilities, np.array([0, 0, 0, 1]))
    0.0
    """
    probabilities, labels = check_labels(probabilities, labels, none=True)
    best = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((best * n_bins).astype(int), n_bins - 1)
    size = np.bincount(bins, minlength=n_bins)
    gap = np.bincount(bins, weights=best - right, minlength=n_bins)
    return float(np.abs(gap).sum() / size.sum())


def precision_threshold(
    probabilities: np.ndarray, labels: np.ndarray, precision: float
) -> float:
    """Return the probability above which the precision is as wanted.

    Parameters
    ----------
    probabilities
        Array of shape (n, k).
    labels
        Index of the right class per pattern in an array of shape (n,).
        -1 if none is right, as for patterns of unknown space groups.
    precision
        Share of patterns which must be right among those whose best
        probability is not below the threshold.

    Returns
    -------
    threshold
        Lowest such number that is above 1 / k. 1 if there is none.

    Raises
    ------
    ValueError
        If the arrays do not fit together or *precision* is not in
        (0, 1].

    See Also
    --------
    calibrate

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.training import precision_threshold
    >>> best = np.array([0.6, 0.7, 0.8, 0.9])
    >>> probabilities = np.stack([best, 1 - best], axis=1)
    >>> precision_threshold(probabilities, np.array([1, 0, 0, 0]), 1)
    0.7
    """
    probabilities, labels = check_labels(probabilities, labels, none=True)
    if not 0 < precision <= 1:
        raise ValueError(f"Precision must be in (0, 1], not {precision}")
    best = probabilities.max(axis=1)
    order = np.argsort(-best)
    right = (probabilities.argmax(axis=1) == labels)[order]
    share = np.cumsum(right) / np.arange(1, right.size + 1)
    enough = np.flatnonzero(share >= precision)
    if enough.size == 0:
        return 1.0
    return float(max(best[order][enough[-1]], 1 / probabilities.shape[1]))


def calibrate(
    model: "SpaceGroupModel",
    library: "MasterPatternLibrary",
    *,
    n_patterns: int = 4000,
    precision: float | None = 0.9,
    coverage: Sequence[float] = (0.9, 0.95),
    per_level: bool = False,
    acquisition: "Acquisition | None" = None,
    center_error: float = 0.0,
    unknown_center_share: float = 0.0,
    seed: int = 0,
) -> None:
    """Calibrate a model: set its temperature and its thresholds.

    Parameters
    ----------
    model
        Model to change in place.
    library
        Master patterns of phases the model was *not* trained on. Those
        of space groups the model does not know only count in
        *precision*.
    n_patterns
        Number of patterns to simulate, with space groups of the model
        that are in the library in equal parts.
    precision
        Share of patterns that must be right among those identified,
        which sets ``model.min_probability``. If None, the latter is not
        changed.
    coverage
        Coverages to set ``model.conformal_thresholds`` for. They hold
        for each phase of the library, see
        :func:`~kikuchipy_spacegroup.training.class_conformal_thresholds`.
        Space groups that no phase is of borrow the threshold of their
        Laue class. They are in ``model.metadata["borrowed_thresholds"]``.
    per_level
        Whether every level of symmetry has a temperature of its own, see
        :func:`fit_chain_temperatures`, or all logits have one.
    acquisition
        Ranges of what the camera does. They should be those of the
        patterns to be classified.
    center_error, unknown_center_share
        How well projection centers are known to a model that uses them, see
        :class:`~kikuchipy_spacegroup.training.SimulatedDataset`.
    seed
        Seed of the random numbers.

    Raises
    ------
    ValueError
        If the library has no phase of the model's space groups.

    See Also
    --------
    fit_temperature, precision_threshold
    kikuchipy_spacegroup.training.class_conformal_thresholds

    Notes
    -----
    A temperature other than 1 changes what the network says of a pattern
    that says nothing, which is what it was trained to be, the shares of the
    space groups in training. So ``model.prior`` becomes these shares at the
    new temperature. They stay in ``model.metadata["training_prior"]``.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> model = kpsg.SpaceGroupModel.create([225, 229], size=32, filters=(8,), stem=8)
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(
    ...     projection="lambert", hemisphere="both"
    ... )
    >>> library = kpsg.MasterPatternLibrary.from_signals([mp], half_width=20)
    >>> kpsg.calibrate(model, library, n_patterns=50)
    >>> sorted(model.conformal_thresholds)
    [0.9, 0.95]
    """
    logits, labels, phases = simulate_logits(
        model,
        library,
        n_patterns=n_patterns,
        acquisition=acquisition,
        center_error=center_error,
        unknown_center_share=unknown_center_share,
        seed=seed,
    )
    known = labels >= 0
    of_known = logits[known], labels[known]
    if per_level:
        model.temperature = fit_chain_temperatures(*of_known, model.space_groups)
    else:
        model.temperature = fit_temperature(*of_known)
    _calibrate_prior(model)
    # As maps have them, the two of an enantiomorphic pair are one
    probabilities, kept = merge_enantiomorphs(
        model.logits_to_probabilities(logits), model.space_groups
    )
    position = {number: i for i, number in enumerate(kept)}
    of_class = match_enantiomorphs(model.space_groups, kept).tolist()
    columns = np.array([*(position[number] for number in of_class), -1])
    labels = columns[labels]
    if precision is not None:
        model.min_probability = precision_threshold(probabilities, labels, precision)
    model.conformal_thresholds = {}
    for c in coverage:
        found = class_conformal_thresholds(
            probabilities[known],
            labels[known],
            c,
            materials=phases[known],
            families=coarsen(kept, "laue_class"),
        )
        of_groups = found[columns[:-1]].tolist()
        by_group = dict(zip(model.space_groups, of_groups, strict=True))
        model.conformal_thresholds[c] = by_group
    borrowed = np.isin(columns[:-1], labels[known], invert=True)
    model.metadata["borrowed_thresholds"] = [
        number for number, i in zip(model.space_groups, borrowed) if i
    ]
    _logger.info(
        "Temperature %s, min_probability %.3f, conformal thresholds %s, from %d "
        "patterns of %d phases",
        model.temperature,
        model.min_probability,
        model.conformal_thresholds,
        len(labels),
        library.n_phases,
    )


def _calibrate_prior(model: "SpaceGroupModel") -> None:
    """Set the prior of a model to what a pattern that says nothing gets."""
    shares = model.metadata.get("training_prior", model.prior.tolist())
    model.metadata["training_prior"] = shares
    logits = np.log(shares).astype("float32")[None]
    model.prior = model.logits_to_probabilities(logits)[0]


@frees_graphs
def simulate_logits(
    model: "SpaceGroupModel",
    library: "MasterPatternLibrary",
    *,
    n_patterns: int = 4000,
    outlier_share: float = 0.1,
    acquisition: "Acquisition | None" = None,
    geometry: "Geometry | None" = None,
    center_error: float = 0.0,
    unknown_center_share: float = 0.0,
    seed: int = 0,
    batch_size: int = 50,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Simulate patterns, and return their logits, classes and phases.

    Parameters
    ----------
    model
        Model whose network is used.
    library
        Master patterns.
    n_patterns
        Number of patterns.
    outlier_share
        Share of patterns of space groups the model does not know, if
        there are any in the library.
    acquisition
        Ranges of what the camera does.
    geometry
        Ranges of detector geometries.
    center_error, unknown_center_share
        How well projection centers are known, see :func:`calibrate`.
    seed
        Seed of the random numbers.
    batch_size
        Number of patterns at a time.

    Returns
    -------
    logits
        Array of shape (n_patterns, k) and dtype float32.
    labels
        Index of the right class per pattern of shape (n_patterns,). -1
        for space groups the model does not know.
    phases
        Index of the phase in the library of each pattern.

    Raises
    ------
    ValueError
        If the library has no phase of the model's space groups.

    See Also
    --------
    calibrate, fit_temperature

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(
    ...     projection="lambert", hemisphere="both"
    ... )
    >>> library = kpsg.MasterPatternLibrary.from_signals([mp], ["Ni"], half_width=20)
    >>> model = kpsg.SpaceGroupModel.create([225, 229], size=32, filters=(8,), stem=8)
    >>> logits, labels, phases = kpsg.training.simulate_logits(
    ...     model, library, n_patterns=100
    ... )
    >>> logits.shape, labels.shape
    ((100, 2), (100,))
    """
    from kikuchipy_spacegroup._keras import keras
    from kikuchipy_spacegroup.training._dataset import SimulatedDataset
    from kikuchipy_spacegroup.training._fit import training_graph

    there = [n for n in model.space_groups if n in library.space_groups]
    if not there:
        raise ValueError(
            f"The library has space groups {np.unique(library.space_groups).tolist()} "
            f"only, and the model knows {list(model.space_groups)}"
        )
    steps = -(-n_patterns // batch_size)
    dataset = SimulatedDataset(
        library,
        there,
        batch_size=batch_size,
        steps=steps,
        outlier_share=outlier_share,
        geometry=geometry,
        center_error=center_error,
        unknown_center_share=unknown_center_share,
        seed=seed,
    )
    centers = max(center_error, unknown_center_share) > 0
    graph = training_graph(
        model, library, acquisition=acquisition, centers=centers, seed=seed
    )
    index = np.array([model.space_groups.index(n) for n in there])
    phase_of_image = np.zeros(len(library.data), dtype=int)
    phase_of_image[np.asarray(library.upper)] = library.phase_index
    logits, labels, phases = [], [], []
    for i in range(steps):
        recipe, drawn = dataset.draw(i)
        logits.append(keras.ops.convert_to_numpy(graph(recipe, training=False)))
        labels.append(np.where(drawn < 0, -1, index[drawn]))
        phases.append(phase_of_image[recipe["upper"]])
    return tuple(np.concatenate(i)[:n_patterns] for i in (logits, labels, phases))

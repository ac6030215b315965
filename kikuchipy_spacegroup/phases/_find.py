# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the phases of a scan without candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
import logging
from typing import TYPE_CHECKING

import numpy as np
from orix.crystal_map import CrystalMap, Phase, PhaseList
import pandas as pd
from scipy.special import softmax

from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.maps import prior_from_map, probabilities_from_map
from kikuchipy_spacegroup.maps._composition import normalized_fractions
from kikuchipy_spacegroup.maps._levels import describe_symmetry
from kikuchipy_spacegroup.maps._map_like import map_like
from kikuchipy_spacegroup.maps._pooling import (
    CORRELATION,
    check_grain_ids,
    effective_number,
)
from kikuchipy_spacegroup.maps._uncertainty import of_map
from kikuchipy_spacegroup.patterns._checks import check_probability
from kikuchipy_spacegroup.phases._found import FoundPhases
from kikuchipy_spacegroup.phases._mixture import Observations, group_observations
from kikuchipy_spacegroup.phases._observations import (
    Units,
    composition_of_points,
    independent_share,
    make_observations,
)
from kikuchipy_spacegroup.space_groups._prior import relative_prior

if TYPE_CHECKING:
    from hyperspy.signal import BaseSignal

_logger = logging.getLogger(__name__)

# Of what a network gets wrong on two grains of a phase, fitted to seven cubic materials
# the default model never saw, at doses of 50 to 1000
_CORRELATION = 0.7
# Standard deviation, per direction, of what is said of grains of one phase, where the
# length of what is said is 1
_SCATTER = 0.125
# A phase has at least as much evidence as half of a large grain, or 2 points alone
_LEAST_PRECISION = 0.5
# Typical patterns per phase
_N_REPRESENTATIVES = 5
# Of the table if there are no phases
_COLUMNS = [
    "name",
    "fraction",
    "n_points",
    "symmetry",
    "level",
    "probability",
    "space_group",
    "space_group_probability",
]
# Times the share of independent points is found anew
_N_SHARES = 4


def find_phases(
    xmap: CrystalMap,
    composition: "Mapping[str, np.ndarray] | np.ndarray | Sequence[BaseSignal] | None" = None,
    *,
    grain_ids: np.ndarray | None = None,
    elements: Sequence[str] | None = None,
    uncertainty: "float | Mapping[str, float | np.ndarray | BaseSignal] | np.ndarray" = 0.05,
    scatter: float = _SCATTER,
    correlation: float = _CORRELATION,
    threshold: float = 0.8,
) -> FoundPhases:
    r"""Find the phases of a scan without any candidates.

    Grains, or points, are grouped into as many phases as there is
    evidence for. This is unlike
    :func:`~kikuchipy_spacegroup.maps.identify_phases`, which needs the
    phases that may be there and finds which of them each point is.

    Parameters
    ----------
    xmap
        Map of space groups made with ``keep_probabilities=True``, not
        pooled.
    composition
        Composition of the points in the scan or of those in the data of
        two or more elements, as in
        :func:`~kikuchipy_spacegroup.maps.identify_phases`. Phases of the
        same symmetry come apart by it.
    grain_ids
        Integer array with the grain of each point in the scan or in the
        data, negative for points of no grain. **Give it if you can**:
        patterns of a grain are known to be of one phase then, and grains
        say more than points.
    elements
        Names of the elements, if the composition is an array.
    uncertainty
        Standard deviation of atomic fractions within a phase, as in
        :func:`~kikuchipy_spacegroup.maps.identify_phases`.
    scatter
        How much what the network says differs between grains of one phase,
        from 0 to 1, as the standard deviation in one direction over the
        length of what it says. **The larger, the fewer phases.** The default
        was chosen with the default model. Grains differ more by a general
        model of all space groups: if it finds too many phases, try 0.15.
    correlation
        Correlation between what the network gets wrong on two grains of
        a phase, from 0 (independent) to 1 (always the same). It changes
        how sure the symmetry of a phase is, and not which phases there
        are.
    threshold
        Lowest probability, from 0.5 to 1, of the symmetry a phase is
        named after.

    Returns
    -------
    found
        Phases with a map, a table, pooled probabilities at all levels of
        symmetry, and typical patterns, see :class:`FoundPhases`. The
        **rotations of the map are all identity**. The properties of the
        map given are kept, and there are

        * ``phase_probabilities`` (n, m + 1), that a point is of each of
          the m phases by ID, or, in the last column, no crystal
        * ``scores`` (n,), the probability of the point's phase
        * ``grain_id`` (n,), if *grain_ids* are given

    Raises
    ------
    TypeError
        If the composition or its uncertainty is of another type.
    ValueError
        If the map has no probabilities or was pooled, or grain IDs, the
        composition or a number do not fit.

    See Also
    --------
    kikuchipy_spacegroup.maps.identify_phases
    kikuchipy_spacegroup.maps.grains_from_patterns
    kikuchipy_spacegroup.maps.symmetry_map
    search_structures

    Notes
    -----
    What the network says of a grain is its mean log-likelihood of space
    groups, the logarithm of probability over prior, as in
    :func:`~kikuchipy_spacegroup.maps.pool_grains`. A phase is not a
    space group, but **a typical answer of the network**: of one the
    network takes for Pm-3m in some orientations and for Fm-3m in others,
    answers scatter about a point in between. So two phases of one space
    group are two if their answers differ, and a phase whose space group
    the network does not know is found, too.

    1. Points that could not be classified, and grains whose pooled
       probabilities differ from the prior by less than 0.15 nats, are no
       crystal.
    2. The length of log-likelihoods tells the quality of patterns, and how
       sure the network is, more than the phase, and is set to 1 for all,
       so that a gradient of dose or focus does not make phases. What was
       shorter counts less, and so do grains of few points, by the noise
       of points that is seen within grains.
    3. In the five directions in which they differ most, they are a
       mixture of normal distributions, multiplied by one of the
       composition with the uncertainty given. Means and covariances are
       integrated out, with a prior for the latter that expects a
       standard deviation of *scatter* in each direction. Of six grain maps
       of cubic materials the default model does not know it was 0.05 to
       0.11, and 0.09 to 0.18 of eight of all crystal systems with
       a general model.
    4. The number of phases is that with the highest integrated
       complete-data likelihood :cite:`bertoletti2015choosing`, where
       each grain counts once, however many points it has. Without grains,
       each point stands for the mean of the most even of the nine windows
       of 3 x 3 points it is in, and all of them together count as fewer
       points, by their correlation with others near them, which is
       found from the map :cite:`kish1965survey`.
    5. Groups that have less evidence than half of a large grain, as two
       stray points, join others.

    Log-likelihoods of a phase are then pooled as in
    :func:`~kikuchipy_spacegroup.maps.pool_grains`, twice: points of a
    grain with a correlation of 0.9, and the grains of a phase with
    *correlation*.

    Phases that the network gives the same answers of are one, if no
    composition tells them apart, and noise makes all answers alike. Of
    phases that differ by composition only, those whose fractions differ by
    twice the uncertainty are one, and by three times it two. It also has
    to cover how much a phase varies.

    Examples
    --------
    Points of two phases, and of no crystal

    >>> import numpy as np
    >>> from kikuchipy_spacegroup.maps import crystal_map
    >>> from kikuchipy_spacegroup.phases import find_phases
    >>> probabilities = np.repeat(
    ...     [[0.90, 0.05, 0.05], [0.05, 0.05, 0.90], [0.33, 0.33, 0.34]], 40, axis=0
    ... )
    >>> xmap = crystal_map(
    ...     probabilities, [225, 229, 194], keep_probabilities=True
    ... )
    >>> found = find_phases(xmap, grain_ids=np.arange(120) // 10)
    >>> found.xmap.phases.names
    ['not_indexed', 'phase 1 (P63/mmc)', 'phase 2 (Fm-3m)']
    >>> found.table[["n_points", "n_grains"]].to_numpy()
    array([[40,  4],
           [40,  4]])
    """
    probabilities, space_groups = probabilities_from_map(xmap)
    prior = prior_from_map(xmap)
    check_probability("correlation", correlation)
    if not 0 < scatter <= 1:
        raise ValueError(f"scatter must be above 0 and at most 1, not {scatter}")
    _check_not_pooled(xmap)
    sg.finest_symmetry(np.ones(1), [225], threshold)  # Raises if it does not fit
    ids = None if grain_ids is None else check_grain_ids(grain_ids, xmap)
    arrays, uncertainties = {}, {}
    if composition is not None:
        arrays, uncertainties = of_map(xmap, composition, elements, uncertainty, ids)
    fractions = composition_of_points(arrays, uncertainties, xmap.size)
    # Of enantiomorphs, one stands for both
    probabilities, numbers = sg.merge_enantiomorphs(
        probabilities.astype("float64"), space_groups
    )
    prior, _ = sg.merge_enantiomorphs(prior, space_groups)
    # Single points have neither rows nor columns
    row, col = (xmap.row, xmap.col) if xmap.size > 1 else np.zeros((2, 1), dtype=int)
    units = Units(probabilities, relative_prior(prior), row, col, ids)
    responsibilities, precisions = _group_units(
        units, fractions, scatter, (row, col) if ids is None else None
    )
    log_pooled = _pool_phases(units, responsibilities, precisions, correlation)
    pooled = softmax(log_pooled + np.log(prior), axis=1)
    order = _sort_phases(units, responsibilities, pooled, numbers)
    of_points = _spread_to_points(responsibilities[:, order], units)
    prop = {} if ids is None else {"grain_id": ids}
    _logger.info("Found %i phases in %i points", len(order), xmap.size)
    return _describe(
        xmap, units, of_points, pooled[order], numbers, arrays, prop, threshold
    )


def _check_not_pooled(xmap: CrystalMap) -> None:
    """Raise if probabilities are of grains already."""
    if "grain_id" in xmap.prop and "grain_size" in xmap.prop:
        raise ValueError(
            "The map is pooled already, so that patterns would count twice. Give the map "
            "from `classify_space_group()`, and the same `grain_ids`"
        )


def _group_units(
    units: Units,
    fractions: tuple[np.ndarray, np.ndarray],
    scatter: float,
    places: tuple[np.ndarray, np.ndarray] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities of phases (units, m) and precisions (units,).

    Both are 0 for units that are no crystal. Places are rows and columns of points that
    stand for themselves, or None if there are grains.
    """
    informative = units.informative()
    precisions = np.zeros(len(informative))
    if not informative.any():
        return np.zeros((len(informative), 0)), precisions
    observations = make_observations(units, informative, *fractions, scatter)
    precisions[informative] = observations.precisions
    if places is not None:
        first = units.first_points[informative]
        found = _group_points(observations, *(i[first] for i in places))
    else:
        found = (*group_observations(observations), observations.weight)
    labels, log_probabilities, weight = found
    # Groups of too little evidence join others
    evidence = weight * np.bincount(labels, observations.precisions)
    kept = evidence >= min(_LEAST_PRECISION, evidence.max())
    log_probabilities = log_probabilities[:, kept]
    # As do those which are the best one for nothing
    log_probabilities = log_probabilities[
        :, np.unique(log_probabilities.argmax(axis=1))
    ]
    responsibilities = np.zeros((len(informative), log_probabilities.shape[1]))
    responsibilities[informative] = softmax(log_probabilities, axis=1)
    return responsibilities, precisions


def _group_points(
    observations: Observations, row: np.ndarray, col: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return groups, log-probabilities and the share of independent points.

    What is correlated is what differs from the mean of the group, and so
    the share is first found for one group, which is too low if there
    are more, and then for those that are found with it.
    """
    labels = np.zeros(len(row), dtype=int)
    for _ in range(_N_SHARES):
        before = labels
        residues = observations.features.copy()
        for i in range(labels.max() + 1):
            residues[labels == i] -= residues[labels == i].mean(axis=0)
        weight = independent_share(residues, row, col)
        labels, log_probabilities = group_observations(
            replace(observations, weight=weight)
        )
        if labels.max() <= before.max():
            break
    _logger.info("%.1f %% of the points are independent", 100 * weight)
    return labels, log_probabilities, weight


def _pool_phases(
    units: Units,
    responsibilities: np.ndarray,
    precisions: np.ndarray,
    correlation: float,
) -> np.ndarray:
    """Return log-likelihoods of space groups of phases (m, k)."""
    n_phases = responsibilities.shape[1]
    pooled = np.zeros((n_phases, units.log_likelihoods.shape[1]))
    if n_phases == 0:
        return pooled
    # Of grains, as many independent points as pool_grains() counts
    n_points = effective_number(units.sizes, CORRELATION)
    of_units = n_points[:, None] * units.log_likelihoods
    best = responsibilities.argmax(axis=1)
    for i in range(n_phases):
        weights = np.where(best == i, precisions, 0)
        n_grains = effective_number(max(weights.sum(), 1), correlation)
        pooled[i] = n_grains * weights @ of_units / weights.sum()
    return pooled


def _sort_phases(
    units: Units,
    responsibilities: np.ndarray,
    pooled: np.ndarray,
    numbers: Sequence[int],
) -> np.ndarray:
    """Return indices of phases, of the largest one first, then by space group."""
    is_crystal = responsibilities.any(axis=1)
    n_points = np.zeros(len(pooled))
    if len(pooled):
        best = responsibilities[is_crystal].argmax(axis=1)
        n_points = np.bincount(best, units.sizes[is_crystal], minlength=len(pooled))
    best_group = np.array(numbers)[pooled.argmax(axis=1)]
    return np.lexsort((-pooled.max(axis=1, initial=0), best_group, -n_points))


def _spread_to_points(responsibilities: np.ndarray, units: Units) -> np.ndarray:
    """Return probabilities of phases and of no crystal of points (n, m + 1)."""
    of_units = np.concatenate(
        [responsibilities, ~responsibilities.any(axis=1, keepdims=True)], axis=1
    )
    of_points = np.zeros((len(units.of_point), of_units.shape[1]))
    of_points[:, -1] = 1
    classified = units.of_point >= 0
    of_points[classified] = of_units[units.of_point[classified]]
    return of_points


def _describe(
    xmap: CrystalMap,
    units: Units,
    of_points: np.ndarray,
    pooled: np.ndarray,
    numbers: Sequence[int],
    arrays: Mapping[str, np.ndarray],
    prop: dict[str, np.ndarray],
    threshold: float,
) -> FoundPhases:
    """Return what is known of the phases, given probabilities of points (n, m + 1)."""
    n_phases = len(pooled)
    best = of_points.argmax(axis=1)
    phase_id = np.where(best < n_phases, best + 1, -1)
    chain = sg.symmetry_chain(pooled, numbers)
    finest = sg.finest_symmetry_from_chain(*chain, threshold)
    phases = _make_phases(*finest[:2])
    prop |= {
        "phase_probabilities": of_points.astype("float32"),
        "scores": of_points.max(axis=1).astype("float32"),
    }
    ids = pd.Index(range(1, n_phases + 1), name="id")
    rows = []
    for i, (level, number, probability) in zip(ids, zip(*finest)):
        here = phase_id == i
        row = {
            "name": phases[i].name,
            "fraction": here.mean(),
            "n_points": int(here.sum()),
        }
        if "grain_id" in prop:
            row["n_grains"] = int(units.is_grain[np.unique(units.of_point[here])].sum())
        row["symmetry"] = str(sg.coarsen(number, sg.CHAIN[level])) if level >= 0 else ""
        row["level"] = sg.CHAIN[level] if level >= 0 else ""
        row["probability"] = float(probability)
        row["space_group"] = int(numbers[pooled[i - 1].argmax()])
        row["space_group_probability"] = float(pooled[i - 1].max())
        rows.append(row | _mean_composition(arrays, here))
    columns = list(rows[0]) if rows else _COLUMNS
    return FoundPhases(
        xmap=map_like(xmap, phase_id, phases, prop),
        table=pd.DataFrame(rows, index=ids, columns=columns),
        probabilities=pd.DataFrame(pooled, index=ids, columns=list(numbers)),
        chain=_tabulate_chain(*chain),
        representatives={i: _find_typical(units, phase_id == i) for i in ids},
    )


def _make_phases(levels: np.ndarray, numbers: np.ndarray) -> PhaseList:
    """Return phases named after their symmetry, where it is known."""
    names = [f"phase {i + 1}" for i in range(len(levels))]
    colors = PhaseList(names=names).colors if names else []
    phases = {}
    for i, (level, number) in enumerate(zip(levels.tolist(), numbers.tolist())):
        phase = Phase(color=colors[i])
        if level >= 0:
            describe_symmetry(phase, number, sg.CHAIN[level])
            names[i] += f" ({phase.name})"
        phase.name = names[i]
        phases[i + 1] = phase
    return PhaseList(phases)


def _mean_composition(
    arrays: Mapping[str, np.ndarray], here: np.ndarray
) -> dict[str, float]:
    """Return mean atomic fractions of some points by element, NaN if not known."""
    if not arrays:
        return {}
    fractions = normalized_fractions(arrays)[here]
    fractions = fractions[np.isfinite(fractions).all(axis=1)]
    means = fractions.mean(axis=0) if len(fractions) else np.full(len(arrays), np.nan)
    return dict(zip(arrays, means.tolist()))


def _tabulate_chain(ids: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """Return answers at all levels of all phases (m, levels), one per row."""
    rows = []
    for i, (of_phase, row) in enumerate(zip(ids.tolist(), probabilities.tolist())):
        for level, number, probability in zip(sg.CHAIN, of_phase, row):
            answer = str(sg.coarsen(number, level)) if number > 0 else ""
            rows.append((i + 1, level, answer, probability))
    return pd.DataFrame(rows, columns=["phase", "level", "answer", "probability"])


def _find_typical(units: Units, here: np.ndarray) -> np.ndarray:
    """Return points whose log-likelihoods are nearest to the mean of a phase."""
    points = np.flatnonzero(here)
    values = units.centered[points]
    distances = np.square(values - values.mean(axis=0)).sum(axis=1)
    points = points[np.argsort(distances, kind="stable")]
    # The best one of each grain first
    first = np.unique(units.of_point[points], return_index=True)[1]
    others = np.setdiff1d(np.arange(len(points)), first)
    return points[[*np.sort(first), *others][:_N_REPRESENTATIVES]]

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One phase per point from space groups and from indexing."""

from collections.abc import Mapping, Sequence
import logging

import numpy as np
from orix.crystal_map import CrystalMap, Phase
from scipy.special import log_softmax

from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.maps._combined_map import combined_map
from kikuchipy_spacegroup.maps._crystal_map import (
    prior_from_map,
    probabilities_from_map,
)
from kikuchipy_spacegroup.maps._evidence import (
    KINDS,
    Indexed,
    centered,
    evidence_of_kind,
    fit_weights,
    gather,
)
from kikuchipy_spacegroup.maps._map_like import neighbors
from kikuchipy_spacegroup.maps._pooling import (
    CORRELATION,
    check_grain_ids,
    effective_number,
)
from kikuchipy_spacegroup.maps._score_model import calibrate_scores, pairs_with
from kikuchipy_spacegroup.patterns._checks import check_probability
from kikuchipy_spacegroup.space_groups._prior import relative_prior

_logger = logging.getLogger(__name__)
_LEAST_PROBABILITY = 1e-4
DISAGREES = {"classifier": 1, "indexing": 2, "not_identified": 4}


def combine(
    xmap: CrystalMap,
    indexed: CrystalMap | Sequence[CrystalMap],
    *,
    kinds: Sequence[str] | None = None,
    grain_ids: np.ndarray | None = None,
    weights: Mapping[str, float] | None = None,
    min_probability: float = 0.0,
) -> CrystalMap:
    r"""Return a map with a phase and an orientation per point.

    Parameters
    ----------
    xmap
        Map of space groups with all probabilities.
    indexed
        Maps of the same scan from dictionary indexing, one per phase, or
        from Hough indexing or refinement, with one or more phases. They
        may leave out points or have points that are not indexed. One map
        need not be in a list.
    kinds
        Kind of the scores of each map: ``"correlation"``, ``"refined"``
        or ``"hough"``. If not given, maps with ``"cm"`` are of Hough
        indexing, and of those with ``"scores"``, the ones with
        ``"num_evals"`` are refined.
    grain_ids
        Grain of each point, as in
        :func:`~kikuchipy_spacegroup.maps.pool_grains`, to which the map
        of space groups should not be pooled then. All points of a grain
        get the same phase, where they have a solution of it.
    weights
        Weight of the evidence per kind, and of the ``"classifier"``. Those
        not given are found from the maps, see below. Scores with a given
        weight, and all if the classifier's is given, are compared as they
        are.
    min_probability
        Points with a lower best probability are not indexed.

    Returns
    -------
    combined
        Map of the points of *xmap*. Phases are those of the indexed maps,
        numbered from 0 in the order in which they appear. Rotations are
        the best ones of the map of the chosen phase; refined ones are
        preferred to those of dictionaries, and these to those of Hough
        indexing. Points are not indexed (-1) where no map has a solution.
        Properties are

        * ``scores``, the probability of the phase,
        * ``candidate_probabilities`` (n, m), that of all m phases,
        * ``classifier_scores``, the classifier's probability of the
          phase's space group, NaN if the model does not know it,
        * ``indexing_scores``, the score in the map the rotation is from,
          and ``indexing_map``, the position of this map, -1 if none,
        * ``disagreement``, a sum of 1 if the classifier's best space group
          is another one, 2 if some kind of indexing has a better score of
          another phase, and 4 if the classifier did not identify the
          point,
        * all others of *xmap* but its scores, and all others of the chosen
          indexed map, with NaN, -1 or False where a map does not have
          them. Where both have a property, the name of the latter starts
          with ``indexing_``.

    Raises
    ------
    TypeError
        If one of the indexed maps is not a crystal map.
    ValueError
        If the map has no probabilities, maps are of different scans,
        scores are missing, a map is of space groups instead of indexed,
        phases of the same name differ or lack names or space groups, or
        *grain_ids* are given with a map that was pooled before.

    See Also
    --------
    kikuchipy.indexing.merge_crystal_maps
    kikuchipy_spacegroup.maps.navigation_masks

    Notes
    -----
    The probability of a phase of space group :math:`g` with the
    evidence :math:`e_k` of indexing of kind :math:`k` is a logarithmic
    opinion pool :cite:`genest1986combining`,

    .. math::

        P \propto \Big(\frac{p(g)}{\pi(g)}\Big)^{w_0} \exp \sum_k w_k e_k,

    with the prior :math:`\pi(g)` of the map, see
    :func:`~kikuchipy_spacegroup.maps.prior_from_map`. The ratio is 1 if
    the model does not know the space group. For correlation scores r,
    the evidence is :math:`-\frac{1}{2}\ln(1 - r^2)`, the logarithmic
    likelihood per independent pixel of the best fit of a pattern with
    unknown gain and offset and white noise. For Hough indexing, it is the
    confidence metric of the phase found, and 0 for the others of the map.
    A kind that says nothing of a phase in a point counts as the mean of
    what it says of others there. If no kind says something of all phases,
    as when one is indexed with dictionaries and another one by Hough
    indexing, the classifier alone decides between them, and there is a
    warning in the log.

    Scores of different kinds are never compared, and those of different
    phases not as they are: a master pattern nearer to the truth than
    another one correlates better with all patterns. Where correlations
    have something to do with what the classifier says of neighbors (a
    correlation of 0.12), their evidence is the logarithm of the
    likelihood

    .. math::

        x \sim N(\mu_c, \sigma_c^2)

    of the evidence x of all phases less its mean. What it is on average
    for patterns of phase c, and how much it varies, is found from the map
    by expectation-maximization :cite:`dempster1977maximum`, with the
    classifier's probabilities as what is known of the points. Weights are
    1 then, or 1/2 of scores and refined scores each.

    Where they have nothing to do with it, as in a scan of one phase,
    scores are compared as they are. The weights :math:`w_0` and :math:`w_k`, for
    correlations the number of independent pixels, are those with which
    neighbors agree best, but no more often than they would by chance:
    they maximize

    .. math::

        \sum_{i, j} \ln\Big(0.8 \sum_c \frac{P_i(c) P_j(c)}{\bar P(c)}
            + 0.2\Big)

    over all neighbors i and j for which all phases can be weighed, with
    the mean :math:`\bar P` over the map. This is the likelihood that
    four in five neighbors have the same phase, and others any. What
    sees the same phase everywhere, or changes from point to point, gets
    little weight, whatever it says of its own certainty. With fewer than
    50 pairs, weights are 1 for the classifier, 100 for correlations and 3
    for Hough indexing. In a grain, logarithms are averaged and count as
    in :func:`~kikuchipy_spacegroup.maps.pool_grains`.

    A phase that no map has a solution of in a point is not a candidate
    there. Hough indexing with several phases at once tells no more than
    the best one, so index once per phase if the classifier is to have a
    say. Where phases share a space group, indexing decides.

    Examples
    --------
    Nickel and silicon are indexed with dictionaries, and combined

    >>> import numpy as np
    >>> from orix.crystal_map import CrystalMap, Phase, PhaseList
    >>> from orix.quaternion import Rotation
    >>> from kikuchipy_spacegroup.maps import crystal_map
    >>> from kikuchipy_spacegroup.maps import combine
    >>> xmap = crystal_map(
    ...     np.array([[0.8, 0.2], [0.5, 0.5]]), [225, 227], keep_probabilities=True
    ... )
    >>> maps = [
    ...     CrystalMap(
    ...         rotations=Rotation.identity((2,)),
    ...         phase_list=PhaseList(Phase(name, space_group=number)),
    ...         prop={"scores": np.array(scores)},
    ...         x=np.arange(2),
    ...     )
    ...     for name, number, scores in [
    ...         ("nickel", 225, [0.4, 0.5]), ("silicon", 227, [0.41, 0.3])
    ...     ]
    ... ]
    >>> combined = combine(xmap, maps)
    >>> combined.phase_id
    array([0, 0])
    >>> combined.prop["disagreement"]
    array([2, 0], dtype=int8)
    """
    probabilities, numbers = probabilities_from_map(xmap)
    check_probability("min_probability", min_probability)
    maps = [indexed] if isinstance(indexed, CrystalMap) else list(indexed)
    _check_maps(xmap, maps, grain_ids)
    # 1. The m candidate phases, and what each map found where
    found, phases = gather(maps, kinds)
    if not phases:
        raise ValueError("The indexed maps have no phases")
    # 2. Log-likelihood ratios by the classifier and evidence of each kind of scores,
    #    (n, m) for the n points in the data
    points = np.flatnonzero(xmap.is_in_data)
    relative = relative_prior(prior_from_map(xmap))
    prior = _log_ratios(probabilities, relative, numbers, phases)
    shape = (xmap.is_in_data.size, len(phases))
    tables = {
        kind: evidence_of_kind([i for i in found if i.kind == kind], shape)[points]
        for kind in KINDS
        if any(i.kind == kind for i in found)
    }
    # 3. Which phases are candidates at which points, (n, m)
    is_candidate = np.any([np.isfinite(table) for table in tables.values()], axis=0)
    is_candidate &= _find_solutions(found, shape)[points]
    _warn_of_unlike(tables, phases)
    # 4. Scores of different phases on one scale, by expectation-maximization
    pairs = neighbors(xmap)
    tables, known = calibrate_scores(tables, prior, pairs, dict(weights or {}))
    # 5. Weights with which neighbors agree best
    evidence = {"classifier": prior}
    evidence |= {kind: centered(table) for kind, table in tables.items()}
    weights = fit_weights(evidence, pairs_with(is_candidate, pairs), known)
    # 6. Logarithmic opinion pool, of points or of grains
    log_p = sum(weights[kind] * table for kind, table in evidence.items())
    if grain_ids is not None:
        log_p = _pool_log_probabilities(
            log_p, is_candidate, check_grain_ids(grain_ids, xmap)
        )
    # 7. Posterior probabilities of the candidates, and the best of them
    log_p = np.where(is_candidate, log_p, -np.inf)
    solved = is_candidate.any(axis=1)
    posterior = np.zeros(log_p.shape)
    posterior[solved] = np.exp(log_softmax(log_p[solved], axis=1))
    best = posterior.argmax(axis=1)
    chosen = np.where(solved & (posterior.max(axis=1) >= min_probability), best, -1)
    prop = {
        "scores": posterior.max(axis=1),
        "candidate_probabilities": posterior,
        "classifier_scores": _look_up_scores(probabilities, numbers, phases, chosen),
        "disagreement": _find_disagreement(xmap, numbers, phases, tables, chosen),
    }
    return combined_map(xmap, phases, found, chosen, prop)


def _check_maps(
    xmap: CrystalMap, maps: Sequence[CrystalMap], grain_ids: np.ndarray | None
) -> None:
    """Raise if there are no maps, or some that cannot be combined."""
    if not maps:
        raise ValueError("Give at least one indexed map")
    for i, other in enumerate(maps):
        if not isinstance(other, CrystalMap):
            raise TypeError(
                f"Indexed map {i} must be an orix CrystalMap, not {type(other).__name__}"
            )
        _check_same_scan(xmap, other, i)
    if grain_ids is not None and "grain_size" in xmap.prop:
        raise ValueError(
            "Probabilities of the map are those of grains already, so `grain_ids` would "
            "count them twice. Give the map as classified, or no `grain_ids`"
        )


def _check_same_scan(xmap: CrystalMap, other: CrystalMap, i: int) -> None:
    """Raise if a map is not of the same points."""
    a, b = (m.is_in_data.size for m in (xmap, other))
    if a != b:
        raise ValueError(
            f"Indexed map {i} is of a scan of {b} points, and the map of space groups of "
            f"one of {a}. Give maps of the same scan, not of a part cut out of it"
        )
    for name, values in xmap._all_coordinates.items():
        others = other._all_coordinates.get(name)
        values = np.zeros(a) if values is None else values
        others = np.zeros(a) if others is None else others
        # Steps may be unknown to one of them, as in maps in pixels
        if not np.allclose(_to_steps(values), _to_steps(others), atol=1e-3):
            raise ValueError(f"Indexed map {i} has another shape ({name} differs)")
        if _read_unit(xmap) == _read_unit(other) and not np.allclose(
            np.ptp(values), np.ptp(others), rtol=1e-3
        ):
            raise ValueError(
                f"Indexed map {i} has other step sizes: {name} spans {np.ptp(others)} "
                f"and not {np.ptp(values)} {xmap.scan_unit}"
            )


def _to_steps(values: np.ndarray) -> np.ndarray:
    """Return coordinates in steps from the lowest one, whatever their unit."""
    values = values - values.min()
    extent = values.max()
    if not extent > 0:
        return values
    # Whatever the unit: steps may be of 1e-7 m
    steps = np.diff(np.unique(values))
    return values / steps[steps > 1e-6 * extent].min()


def _warn_of_unlike(tables: Mapping[str, np.ndarray], phases: Sequence[Phase]) -> None:
    """Warn if no kind of scores compares all phases."""
    says = {kind: np.isfinite(t).any(axis=0) for kind, t in tables.items()}
    if any(there.all() for there in says.values()):
        return
    of_kind = ", ".join(
        f"{kind} of {[p.name for p, i in zip(phases, there) if i]}"
        for kind, there in says.items()
    )
    _logger.warning(
        "No kind of scores says something of all phases, so that the classifier alone "
        "decides between some of them: %s",
        of_kind,
    )


def _read_unit(xmap: CrystalMap) -> str:
    return "um" if xmap.scan_unit in ("um", "µm", "μm") else xmap.scan_unit


def _log_ratios(
    probabilities: np.ndarray,
    relative: np.ndarray,
    numbers: Sequence[int],
    phases: Sequence[Phase],
) -> np.ndarray:
    """Return logarithms of the ratio of what is and what was known."""
    prior = np.zeros((len(probabilities), len(phases)))
    known = probabilities.any(axis=1)
    for j, number in enumerate(_match_space_groups(phases, numbers)):
        if number in numbers:
            i = numbers.index(number)
            p = probabilities[known, i] / float(relative[i])
            ratio = np.maximum(p, _LEAST_PROBABILITY) * len(numbers)
            prior[known, j] = np.log(ratio)
    return prior


def _match_space_groups(phases: Sequence[Phase], numbers: Sequence[int]) -> list[int]:
    """Return the space group of each phase, as it is called in a map."""
    groups = [phase.space_group.number for phase in phases]
    return sg.match_enantiomorphs(groups, numbers).tolist()


def _pool_log_probabilities(
    log_p: np.ndarray, is_candidate: np.ndarray, grain_id: np.ndarray
) -> np.ndarray:
    """Return the joint log-probabilities of the points of each grain.

    Parameters
    ----------
    log_p
        Log-probabilities of points of shape (n, m).
    is_candidate
        Which of them count, of the same shape.
    grain_id
        Grain of each point of shape (n,), negative for none.
    """
    inside = grain_id >= 0
    _, index, size = np.unique(
        grain_id[inside], return_inverse=True, return_counts=True
    )
    # Mean over the points of a grain at which a phase is a candidate, (grains, m)
    total = np.zeros((len(size), log_p.shape[1]))
    count = np.zeros_like(total)
    np.add.at(total, index, np.where(is_candidate, log_p, 0)[inside])
    np.add.at(count, index, is_candidate[inside])
    mean = total / np.maximum(count, 1)
    # Times the effective number of independent points, as errors are alike in a grain
    pooled = log_p.copy()
    pooled[inside] = (effective_number(size, CORRELATION)[:, None] * mean)[index]
    return pooled


def _find_solutions(found: Sequence[Indexed], shape: tuple[int, int]) -> np.ndarray:
    """Return which points, by phases, some map has a solution for."""
    has_solution = np.zeros(shape, dtype=bool)
    for each in found:
        has_solution[each.index, each.candidate] = True
    return has_solution


def _look_up_scores(
    probabilities: np.ndarray,
    numbers: Sequence[int],
    phases: Sequence[Phase],
    chosen: np.ndarray,
) -> np.ndarray:
    scores = np.full(len(chosen), np.nan)
    for j, number in enumerate(_match_space_groups(phases, numbers)):
        if number in numbers:
            column = numbers.index(number)
            scores[chosen == j] = probabilities[chosen == j, column]
    return scores


def _find_disagreement(
    xmap: CrystalMap,
    numbers: Sequence[int],
    phases: Sequence[Phase],
    tables: Mapping[str, np.ndarray],
    chosen: np.ndarray,
) -> np.ndarray:
    """Return the sum of numbers in ``DISAGREES``."""
    groups = np.array([*_match_space_groups(phases, numbers), -1])[chosen]
    top = xmap.prop["top_space_groups"][:, 0]
    flags = np.zeros(len(chosen), dtype="int8")
    indexed = chosen >= 0
    flags[indexed & (top > 0) & (top != groups)] += DISAGREES["classifier"]
    better = np.zeros(len(chosen), dtype=bool)
    for table in tables.values():
        own = table[np.arange(len(chosen)), chosen]
        best = np.nanmax(np.where(np.isfinite(table), table, -np.inf), axis=1)
        # A kind that says nothing of the chosen phase prefers no other one
        better |= indexed & np.isfinite(own) & (own < best)
    flags[better] += DISAGREES["indexing"]
    flags[xmap.phase_id == -1] += DISAGREES["not_identified"]
    return flags

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence of indexed maps for the phases of every point of a scan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import logging

import numpy as np
from orix.crystal_map import CrystalMap, Phase
from scipy.optimize import minimize
from scipy.special import softmax

from kikuchipy_spacegroup.crystals._symmetry import lattice_parameters

_logger = logging.getLogger(__name__)
# Kinds of scores, those whose rotations are preferred first, and the property
# that holds them
KINDS = {"refined": "scores", "correlation": "scores", "hough": "cm"}
# Kinds of which phases may have scores on different scales
CORRELATIONS = ("refined", "correlation")
# Weights of a unit of evidence if they cannot be found
DEFAULT_WEIGHTS = {
    "classifier": 1.0,
    "refined": 100.0,
    "correlation": 100.0,
    "hough": 3.0,
}
# How much larger or smaller they may become, and from and to how many pairs of
# neighbors they are found
_LARGEST_FACTOR = 30.0
_FEWEST = 50
_MOST = 20_000
# Share of neighbors which are not of the same phase
_BOUNDARIES = 0.2


@dataclass
class Indexed:
    """One indexed map, brought onto all points of the scan.

    Parameters
    ----------
    xmap
        The map.
    kind
        Kind of its scores, one of ``KINDS``.
    index
        Flat indices in the scan of its points with a solution.
    candidate
        Candidate phase of these points, numbered over all maps.
    scores
        Scores of these points.
    has
        Candidates in the phase list of the map.
    """

    xmap: CrystalMap
    kind: str
    index: np.ndarray
    candidate: np.ndarray
    scores: np.ndarray
    has: np.ndarray

    def solutions(self) -> np.ndarray:
        """Return the indices into the map's points of its solutions."""
        return np.flatnonzero(self.xmap.phase_id != -1)


def gather(
    maps: Sequence[CrystalMap], kinds: Sequence[str] | None
) -> tuple[list[Indexed], list[Phase]]:
    """Return indexed maps and the candidate phases in them.

    Parameters
    ----------
    maps
        Indexed maps.
    kinds
        Kinds of their scores. If None, they are told by the properties.

    Returns
    -------
    indexed
        What the maps say.
    phases
        Candidate phases in the order in which they appear, copied.

    Raises
    ------
    ValueError
        If phases of one name differ, have no name or no space group, or
        scores are missing.
    """
    if kinds is not None and len(kinds) != len(maps):
        raise ValueError(f"There are {len(maps)} maps, but {len(kinds)} kinds")
    phases: dict[str, Phase] = {}
    for xmap in maps:
        for i, phase in xmap.phases:
            if i != -1:
                _add_phase(phases, phase)
    names = list(phases)
    indexed = []
    for i, xmap in enumerate(maps):
        kind = _find_kind(xmap) if kinds is None else kinds[i]
        if kind not in KINDS:
            raise ValueError(f"kinds must be among {list(KINDS)}, not {kind!r}")
        number = {j: names.index(p.name) for j, p in xmap.phases if j != -1}
        solved = xmap.phase_id != -1
        scores = _read_scores(xmap, KINDS[kind])[solved]
        candidate = np.array([number[j] for j in xmap.phase_id[solved].tolist()], int)
        index = np.flatnonzero(xmap.is_in_data)[solved]
        has = np.array(sorted(number.values()), dtype=int)
        indexed.append(Indexed(xmap, kind, index, candidate, scores, has))
    return indexed, [phase.deepcopy() for phase in phases.values()]


def evidence_of_kind(indexed: Sequence[Indexed], shape: tuple[int, int]) -> np.ndarray:
    """Return the evidence of maps of one kind before it is scaled.

    Parameters
    ----------
    indexed
        Maps of the same kind.
    shape
        Number of points and of candidates.

    Returns
    -------
    evidence
        Array of the shape given, NaN where the maps do not say anything
        of a candidate. The best of several maps of a candidate counts.
    """
    table = np.full(shape, np.nan)
    for each in indexed:
        kind = each.kind
        value = _to_evidence(each.scores, kind)
        # Of what was not chosen, votes say something and correlations do not
        if kind == "hough":
            rows = table[np.ix_(each.index, each.has)]
            table[np.ix_(each.index, each.has)] = np.fmax(rows, 0)
        cells = each.index, each.candidate
        table[cells] = np.fmax(table[cells], value)
    return table


def _to_evidence(scores: np.ndarray, kind: str) -> np.ndarray:
    """Return scores on a scale on which differences count."""
    if kind == "hough":
        return scores
    r = np.clip(scores, 0, 0.999)
    return -0.5 * np.log1p(-r * r)


def _add_phase(phases: dict[str, Phase], phase: Phase) -> None:
    """Add a phase, or raise an error if it is not the one of this name."""
    if not phase.name:
        raise ValueError("Phases of indexed maps must have names. Set `phase.name`")
    if phase.space_group is None:
        raise ValueError(f"Phase {phase.name!r} has no space group. Set it")
    other = phases.setdefault(phase.name, phase)
    same = other.space_group.number == phase.space_group.number and np.allclose(
        lattice_parameters(other.structure.lattice),
        lattice_parameters(phase.structure.lattice),
        rtol=1e-2,
    )
    if not same:
        raise ValueError(
            f"Two phases named {phase.name!r} have different space groups or lattices: "
            f"{other.space_group.short_name} with {lattice_parameters(other.structure.lattice)} and "
            f"{phase.space_group.short_name} with {lattice_parameters(phase.structure.lattice)}. Give "
            "them different names, or lengths in the same unit"
        )


def _find_kind(xmap: CrystalMap) -> str:
    """Return the kind of scores a map has."""
    if {"top_space_groups", "candidate_probabilities"} & set(xmap.prop):
        raise ValueError(
            "One of the indexed maps is a map of space groups or one that was combined "
            "before: its 'scores' are probabilities. Give maps of dictionary indexing, "
            "Hough indexing or refinement"
        )
    if "scores" in xmap.prop:
        return "refined" if "num_evals" in xmap.prop else "correlation"
    if "cm" in xmap.prop:
        return "hough"
    raise ValueError(
        "A map of dictionary indexing or refinement has the property 'scores' and one "
        f"of Hough indexing 'cm', but this one has {list(xmap.prop)}"
    )


def _read_scores(xmap: CrystalMap, name: str) -> np.ndarray:
    """Return the best score per point."""
    if name not in xmap.prop:
        raise ValueError(f"A map has no property {name!r}, but {list(xmap.prop)}")
    scores = np.asarray(xmap.prop[name], dtype="float64")
    return scores[:, 0] if scores.ndim == 2 else scores


def centered(table: np.ndarray) -> np.ndarray:
    """Return evidence less its mean over the candidates, 0 where unknown."""
    known = np.isfinite(table)
    mean = np.where(known, table, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.where(known, table - mean[:, None], 0)


def fit_weights(
    evidence: Mapping[str, np.ndarray],
    pairs: tuple[np.ndarray, np.ndarray],
    given: Mapping[str, float],
) -> dict[str, float]:
    """Fit weights of evidence, with which neighbors agree best.

    Parameters
    ----------
    evidence
        Arrays of shape (n, m) per kind, the classifier's first.
    pairs
        Indices of neighbors in which all candidates can be weighed.
    given
        Weights which are known.

    Returns
    -------
    weights
        Weight per kind.

    Raises
    ------
    ValueError
        If a weight given is negative or of no such kind.
    """
    if set(given) - set(DEFAULT_WEIGHTS) or any(
        not 0 <= w < np.inf for w in given.values()
    ):
        raise ValueError(
            f"weights must be numbers from 0 for some of {[*DEFAULT_WEIGHTS]}, not "
            f"{given}"
        )
    weights = {kind: given.get(kind, DEFAULT_WEIGHTS[kind]) for kind in evidence}
    free = [kind for kind in evidence if kind not in given]
    first, second = pairs
    if len(first) < _FEWEST or not free:
        return weights
    # 1. Pairs of neighbors from all over the map, and the points in them
    step = -(-len(first) // _MOST)
    first, second = first[::step], second[::step]
    points, index = np.unique([first, second], return_inverse=True)
    first, second = index.reshape(2, -1)
    tables = {kind: table[points] for kind, table in evidence.items()}
    limit = np.log(_LARGEST_FACTOR)

    # 2. Negative log-likelihood of neighbors, see the notes of combine()
    def loss(log_factors: np.ndarray) -> float:
        trial = weights | dict(zip(free, _scale_weights(log_factors, free)))
        # Logarithmic opinion pool, (points, m)
        pool = sum(trial[kind] * table for kind, table in tables.items())
        p = softmax(pool, axis=1)
        shares = np.maximum(p.mean(axis=0), 1e-9)
        # How much more often neighbors agree than by chance, (pairs,)
        agreement = (p[first] * p[second] / shares).sum(axis=1)
        likelihood = np.log((1 - _BOUNDARIES) * agreement + _BOUNDARIES).mean()
        # A weak prior keeps weights that do not matter where they are
        return 1e-3 * np.square(log_factors).sum() - likelihood

    # 3. Its minimum by the method of Nelder and Mead
    simplex = np.vstack([np.zeros(len(free)), 1.5 * np.eye(len(free))])
    found = minimize(
        loss,
        simplex[0],
        method="Nelder-Mead",
        bounds=[(-limit, limit)] * len(free),
        options={
            "initial_simplex": simplex,
            "xatol": 0.02,
            "fatol": 1e-5,
            "maxfev": 300,
        },
    )
    weights |= dict(zip(free, _scale_weights(found.x, free)))
    _logger.info("Weights of the evidence: %s", weights)
    return weights


def _scale_weights(log_factors: np.ndarray, kinds: Sequence[str]) -> list[float]:
    """Return default weights times factors given by their logarithms."""
    factors = np.exp(log_factors)
    return [float(DEFAULT_WEIGHTS[kind] * f) for kind, f in zip(kinds, factors)]

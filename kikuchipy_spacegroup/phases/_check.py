# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare candidates with the patterns of the phases that were found."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kikuchipy.signals import EBSD, EBSDMasterPattern
import numpy as np
from orix.crystal_map import Phase, PhaseList
from orix.quaternion import Orientation
import pandas as pd
from scipy.special import softmax

from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup._progress import progress_bar
from kikuchipy_spacegroup.crystals import phase_composition, unit_cell
from kikuchipy_spacegroup.maps import candidate_probabilities, prior_from_map
from kikuchipy_spacegroup.maps._candidates import check_candidate_phases
from kikuchipy_spacegroup.maps._crystal_map import probabilities_from_map
from kikuchipy_spacegroup.master_patterns import (
    simulate_master_pattern,
    simulate_two_beams,
)
from kikuchipy_spacegroup.patterns._checks import (
    check_background,
    check_mask,
    check_probability,
    check_signal,
    points_of_map,
)
from kikuchipy_spacegroup.patterns._projection_centers import read_projection_centers
from kikuchipy_spacegroup.patterns._scan import blocks_of_patterns, find_background
from kikuchipy_spacegroup.phases._checked import NONE, CheckedCandidates
from kikuchipy_spacegroup.phases._found import FoundPhases
from kikuchipy_spacegroup.phases._match import (
    TypicalPatterns,
    add_inverted,
    dictionary_size,
    estimate_seconds,
    index_patterns,
    prepare_patterns,
    refine_patterns,
)
from kikuchipy_spacegroup.phases._result import StructureSearch
from kikuchipy_spacegroup.phases._search import reduced_formula

if TYPE_CHECKING:
    from tqdm import tqdm

_logger = logging.getLogger(__name__)

Candidates = PhaseList | Sequence[Phase | str | Path] | StructureSearch

# Pixels along the shorter side of patterns that are matched
_SIZE = 40
# Of master patterns, which have about as many pixels per degree
_HALF_WIDTH = 75
_MIN_DSPACING = 0.07
_FAST_BETHE = (4.0, 8.0, 50.0)
_N_ELECTRONS = 20_000
# Candidates per phase that are simulated dynamically
_N_DYNAMICAL = 6
# A pattern that is nearly all noise tells nothing
_LEAST_RELIABILITY = 0.15
# Log-evidence per unit of match, and the match where a candidate is as likely as none of
# them. With Bloch waves it was 0.53 to 0.71 for the right structures of anatase, gamma
# prime, corundum and cementite, and at most 0.46 for others that are not isotypic, see
# recipes/check_candidates. The others are not fitted, but scaled by how master patterns
# correlate with those of Bloch waves
_SLOPE = 60.0
_EVEN = {"dynamical": 0.49, "two-beam": 0.40, "kinematical": 0.27}


def check_candidates(
    signal: EBSD,
    found: FoundPhases,
    candidates: "Candidates | Mapping[int, Candidates]",
    *,
    energy: float | None = None,
    method: Literal["auto", "dynamical", "kinematical"] = "auto",
    n_patterns: int = 5,
    resolution: float = 5.0,
    uncertainty: float = 0.05,
    none_prior: float = 0.1,
    static_background: np.ndarray | str | None = "auto",
    signal_mask: np.ndarray | None = None,
    max_minutes: float = 10,
    cache_dir: str | Path | None = None,
    show_progressbar: bool | None = None,
) -> CheckedCandidates:
    r"""Check candidates for the phases of a scan against their patterns.

    Master patterns of all candidates are simulated and matched with the
    typical patterns of each phase by kikuchipy's dictionary indexing and
    refinement. Candidates are ranked by match, space group and
    composition together, and *none of these* is one of the answers.

    Parameters
    ----------
    signal
        Raw scan with a **calibrated detector**. It is not changed.
    found
        Its phases from :func:`find_phases`.
    candidates
        Phases with structures, paths to CIFs, or what
        :func:`search_structures` returns: for all phases, or by ID of the
        found phase. Phases without candidates are left out.
    energy
        Beam energy in keV. If not given, that in the signal's metadata.
    method
        ``"dynamical"``: all candidates with two beams, and the best six of
        each phase then with Bloch waves, which needs the package de-ebsd.
        ``"kinematical"``: all by kikuchipy and diffsims.  ``"auto"`` is
        the former if the package is installed.
    n_patterns
        Number of typical patterns per phase, at most as many as there are
        in *found*.
    resolution
        Angle between orientations in dictionaries in degrees, the same
        for all candidates. More than 6 misses some patterns.
    uncertainty
        Standard deviation of atomic fractions, see
        :func:`~kikuchipy_spacegroup.maps.identify_phases`.
    none_prior
        Probability that none of the candidates is right, before looking
        at patterns.
    static_background, signal_mask
        See
        :func:`~kikuchipy_spacegroup.classification.classify_space_group`.
    max_minutes
        Longest time for the Bloch waves of a candidate. One that takes
        longer keeps its score with two beams, which the table says.
    cache_dir
        Folder to keep dynamical master patterns in, so that what is
        finished is not lost.
    show_progressbar
        Whether to show a progress bar. If not given, as in HyperSpy's
        preferences.

    Returns
    -------
    checked
        A table of phases and candidates, and orientations.

    Raises
    ------
    ImportError
        If the dynamical method is asked for and de-ebsd is not installed.
    TypeError
        If the signal or candidates are of another type.
    ValueError
        If the detector was not calibrated, the map is not of the scan, no
        pattern of any phase is good enough, or a candidate or a number is
        not possible.

    See Also
    --------
    find_phases, search_structures
    kikuchipy.signals.EBSD.dictionary_indexing
    kikuchipy.signals.EBSD.refine_orientation

    Notes
    -----
    Patterns are divided by the static background, filtered as in
    ``remove_dynamic_background()`` and binned to about 40 pixels.

    A score depends on noise. *Match* is the score over the highest one
    that noise allows, the square root of the share of a pattern's variance
    that is no noise, found from how two halves of its pixels differ. It is
    the mean over patterns with this share as weights.

    The probability of a candidate is proportional to

    .. math::

        P_0 \cdot e^{\beta (m - m_0)} \cdot
        \frac{p(g)}{\pi(g)} \cdot \frac{p(x \mid c)}{p_\text{uniform}(x)}

    with its match :math:`m`, and the evidence of the space group and the
    composition as in
    :func:`~kikuchipy_spacegroup.maps.candidate_probabilities`. For *none
    of these*, all factors but the prior are 1. The constants were chosen
    for Bloch waves, on four simulated materials. **With the kinematical
    method, the probability of none of these is not calibrated**: only
    the order of candidates is to be trusted.

    Examples
    --------
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kpsg.example_scan("aluminum and silicon")  # doctest: +SKIP
    >>> xmap = s.classify_space_group(keep_probabilities=True)  # doctest: +SKIP
    >>> found = kpsg.phases.find_phases(xmap)  # doctest: +SKIP
    >>> candidates = kpsg.phases.search_structures(
    ...     ["Al", "Si"], source="cifs"
    ... )  # doctest: +SKIP
    >>> kpsg.phases.check_candidates(s, found, candidates)  # doctest: +SKIP
    """
    method = _check_method(method)
    check_probability("none_prior", none_prior)
    if not 1 <= resolution <= 15:
        raise ValueError(f"resolution must be from 1 to 15 degrees, not {resolution}")
    if n_patterns < 1:
        raise ValueError(f"n_patterns must be at least 1, not {n_patterns}")
    energy = _read_energy(signal, energy)
    phases, of_phase = _read_candidates(candidates, found)
    patterns = {
        i: np.asarray(found.representatives[i][:n_patterns])
        for i in of_phase
        if len(found.representatives[i])
    }
    typical = _read_patterns(
        signal,
        found,
        np.concatenate([*patterns.values()]),
        static_background,
        signal_mask,
    )
    patterns, rows = _leave_out_noise(patterns, typical.reliabilities)
    matches = _Matches(typical, phases, energy, cache_dir, max_minutes)
    with progress_bar(show_progressbar, "Candidates", "candidate") as bar:
        matches.screen(method, {i: of_phase[i] for i in rows}, resolution, bar)
        if method == "dynamical":
            matches.refine({i: of_phase[i] for i in rows}, rows, bar)
    evidence = _find_evidence(found, phases, uncertainty)
    tables, orientations = [], {}
    for i, here in rows.items():
        tables.append(_rank(i, of_phase[i], here, matches, evidence[i], none_prior))
        orientations[i] = {
            phases[c].name: Orientation(
                matches.quaternions[c, here], phases[c].point_group
            )
            for c in of_phase[i]
        }
    return CheckedCandidates(
        table=pd.concat(tables, ignore_index=True),
        orientations=orientations,
        patterns=patterns,
        reliabilities={i: typical.reliabilities[here] for i, here in rows.items()},
        phases=phases,
    )


def _check_method(method: str) -> str:
    """Return how to simulate, which can be done."""
    if method not in ("auto", "dynamical", "kinematical"):
        raise ValueError(
            "method must be 'auto', 'dynamical' or 'kinematical', not " + repr(method)
        )
    has_package = find_spec("de_ebsd") is not None and find_spec("torch") is not None
    if method == "dynamical" and not has_package:
        raise ImportError(
            "method='dynamical' needs the package de-ebsd. Install it with 'pip install "
            "kikuchipy-spacegroup[dynamical]', or use method='kinematical'"
        )
    if method == "auto":
        method = "dynamical" if has_package else "kinematical"
        _logger.info("Candidates are simulated with the %s method", method)
    return method


def _read_energy(signal: EBSD, energy: float | None) -> float:
    """Return the beam energy in keV."""
    check_signal(signal)
    if energy is None:
        path = "Acquisition_instrument.SEM.beam_energy"
        energy = signal.metadata.get_item(path, None)
        if not energy or not energy > 0:
            raise ValueError(
                "The signal's metadata do not tell the beam energy. Give `energy` in keV"
            )
    return float(energy)


def _read_candidates(
    candidates: Any, found: FoundPhases
) -> tuple[PhaseList, dict[int, list[int]]]:
    """Return all candidates, and which of them are for each found phase."""
    if not isinstance(found, FoundPhases):
        raise TypeError(
            f"found must be what find_phases() returns, not {type(found).__name__}"
        )
    if not len(found):
        raise ValueError("No phases were found, so that there is nothing to check")
    ids = found.table.index.tolist()
    by_id = (
        candidates
        if isinstance(candidates, Mapping)
        else dict.fromkeys(ids, candidates)
    )
    unknown = sorted(set(by_id) - set(ids))
    if unknown or not by_id:
        raise ValueError(
            f"There are candidates for phases {unknown}, but found are {ids}"
        )
    phases: list[Phase] = []
    of_phase = {}
    for i, given in by_id.items():
        given = given.phases if isinstance(given, StructureSearch) else given
        if isinstance(given, PhaseList):
            given = [phase for k, phase in given if k != -1]
        if isinstance(given, Sequence) and not given:
            continue
        listed = [phase for _, phase in check_candidate_phases(given)]
        of_phase[i] = []
        for phase in listed:
            same = [k for k, other in enumerate(phases) if other.name == phase.name]
            if not same:
                phases.append(phase)
            of_phase[i].append(same[0] if same else len(phases) - 1)
    if not phases:
        raise ValueError(
            "There are no candidates: search for more elements, or elsewhere"
        )
    for phase in phases:
        unit_cell(phase)  # Raises if there is no crystal
    return check_candidate_phases(phases), of_phase


def _read_patterns(
    signal: EBSD,
    found: FoundPhases,
    points: np.ndarray,
    static_background: np.ndarray | str | None,
    signal_mask: np.ndarray | None,
) -> TypicalPatterns:
    """Return patterns of points in the data of the map, prepared."""
    nav_shape, sig_shape = check_signal(signal)
    check_background(static_background, sig_shape)
    signal_mask = check_mask(signal_mask, sig_shape, "signal_mask")
    centers = read_projection_centers(signal, nav_shape, sig_shape)
    if centers is None:
        raise ValueError(
            "The detector was never calibrated: its projection center is kikuchipy's "
            "default, (0.5, 0.5, 0.5), or NaN, with which no structure fits. Set it "
            "with `signal.detector = kikuchipy.detectors.EBSDDetector(shape, pc=(x, y, "
            "z), convention=..., tilt=..., sample_tilt=...)`, find it as in kikuchipy's "
            "tutorials on the projection center, or estimate it without a phase with "
            "`kikuchipy_spacegroup.detectors.estimate_projection_center(signal)`"
        )
    n_points = int(np.prod(nav_shape, dtype=int))
    index = points_of_map(found.xmap, n_points)[points]
    blocks = blocks_of_patterns(signal.data, nav_shape, sig_shape, None)
    background, inside = find_background(
        signal, blocks, static_background, None, signal_mask
    )
    at = np.unravel_index(index, nav_shape) if nav_shape else ()
    data = signal.data.reshape(-1, *sig_shape)
    raw = np.stack([np.asarray(data[i]) for i in index]).astype("float32")
    chosen = centers[at].reshape(-1, 3)
    if not np.isfinite(chosen).all():
        raise ValueError(
            "The projection centers of some typical patterns are not known (NaN)"
        )
    return prepare_patterns(raw, background, inside, signal.detector, chosen, _SIZE)


def _leave_out_noise(
    patterns: dict[int, np.ndarray], reliabilities: np.ndarray
) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
    """Return points and rows of patterns that are good enough, by phase."""
    rows, start = {}, 0
    for i, points in patterns.items():
        here = np.arange(start, start + len(points))
        start += len(points)
        good = reliabilities[here] >= _LEAST_RELIABILITY
        if good.any():
            rows[i] = here[good]
        else:
            _logger.warning(
                "Phase %i is not checked: its typical patterns are nearly all noise (at "
                "most %.0f %% of their variance is not). Average neighbors, or bin them",
                i,
                100 * reliabilities[here].max(),
            )
    if not rows:
        raise ValueError(
            "No typical pattern of any phase is good enough to be matched: at least "
            f"{_LEAST_RELIABILITY:.0%} of the variance must not be noise, and it is at "
            f"most {reliabilities.max(initial=0):.0%}. Average neighboring patterns with "
            "`signal.average_neighbour_patterns()`, or measure longer"
        )
    first = {i: min(here) for i, here in rows.items()}
    kept = {}
    start = 0
    for i, points in patterns.items():
        if i in first:
            kept[i] = points[rows[i] - start]
        start += len(points)
    return kept, rows


class _Matches:
    """Scores and orientations of all patterns with all candidates.

    Parameters
    ----------
    typical
        Patterns.
    phases
        Candidates.
    energy
        Beam energy in keV.
    cache_dir, max_minutes
        See :func:`check_candidates`.
    """

    def __init__(
        self,
        typical: TypicalPatterns,
        phases: PhaseList,
        energy: float,
        cache_dir: str | Path | None,
        max_minutes: float,
    ) -> None:
        self.typical, self.phases, self.energy = typical, phases, energy
        self.cache_dir, self.max_minutes = cache_dir, max_minutes
        n = len(typical.data)
        self.scores = np.full((phases.size, n), np.nan)
        self.quaternions = np.tile([1.0, 0, 0, 0], (phases.size, n, 1))
        self.simulations = np.full((phases.size, n), "", dtype=object)

    def matched(self, candidate: int, rows: np.ndarray) -> float:
        """Return the mean score over what noise allows."""
        weights = self.typical.reliabilities[rows]
        scores = self.scores[candidate, rows] / np.sqrt(weights)
        return float(np.average(np.minimum(scores, 1), weights=weights))

    def screen(
        self,
        method: str,
        of_phase: dict[int, list[int]],
        resolution: float,
        bar: "tqdm",
    ) -> None:
        """Match all candidates with all patterns."""
        needed = sorted({c for chosen in of_phase.values() for c in chosen})
        sizes = [dictionary_size(self.phases[c], resolution) for c in needed]
        seconds = estimate_seconds(sum(sizes), self.typical.data[0].size / 4)
        _logger.info(
            "Matching %i candidates with %i patterns, dictionaries of %i to %i "
            "orientations, takes about %.0f s on one core",
            len(needed),
            len(self.typical.data),
            min(sizes),
            max(sizes),
            seconds,
        )
        bar.reset(total=len(needed))
        name = "two-beam" if method == "dynamical" else "kinematical"
        for c in needed:
            master = _simulate(self.phases[c], self.energy, method)
            starts = index_patterns(self.typical, master, self.energy, resolution)
            self._refine(c, master, starts, slice(None), name)
            bar.update()

    def refine(
        self, of_phase: dict[int, list[int]], rows: dict[int, np.ndarray], bar: "tqdm"
    ) -> None:
        """Match the best candidates again, simulated dynamically."""
        wanted: dict[int, list[np.ndarray]] = {}
        for i, chosen in of_phase.items():
            order = sorted(chosen, key=lambda c: -self.matched(c, rows[i]))
            for c in order[:_N_DYNAMICAL]:
                wanted.setdefault(c, []).append(rows[i])
        bar.reset(total=len(wanted))
        for c, parts in wanted.items():
            here = np.concatenate(parts)
            try:
                master = simulate_master_pattern(
                    self.phases[c],
                    self.energy,
                    method="dynamical",
                    half_width=_HALF_WIDTH,
                    min_dspacing=_MIN_DSPACING,
                    bethe_limits=_FAST_BETHE,
                    n_electrons=_N_ELECTRONS,
                    cache_dir=self.cache_dir,
                    max_minutes=self.max_minutes,
                    show_progressbar=False,
                )
            except ValueError as error:
                _logger.warning(
                    "%s is matched with two beams: %s", self.phases[c].name, error
                )
            else:
                starts = add_inverted(
                    self.quaternions[c, here][:, None], self.phases[c]
                )
                self._refine(c, master, starts, here, "dynamical")
            bar.update()

    def _refine(
        self,
        candidate: int,
        master: EBSDMasterPattern,
        starts: np.ndarray,
        here: np.ndarray | slice,
        name: str,
    ) -> None:
        """Refine orientations and keep the best of each pattern."""
        part = TypicalPatterns(
            self.typical.data[here],
            self.typical.detector.deepcopy(),
            self.typical.unused,
            self.typical.reliabilities[here],
        )
        part.detector.pc = self.typical.detector.pc_flattened[here]
        scores, quaternions = refine_patterns(part, master, self.energy, starts)
        self.scores[candidate, here] = scores
        self.quaternions[candidate, here] = quaternions
        self.simulations[candidate, here] = name


def _simulate(phase: Phase, energy: float, method: str) -> EBSDMasterPattern:
    """Return the master pattern that all candidates are matched with."""
    if method == "kinematical":
        return simulate_master_pattern(
            phase, energy, half_width=_HALF_WIDTH, show_progressbar=False
        )
    data = simulate_two_beams(
        unit_cell(phase), energy, half_width=_HALF_WIDTH, min_dspacing=_MIN_DSPACING
    )[0]
    return EBSDMasterPattern(
        data, projection="lambert", hemisphere="both", phase=phase.deepcopy()
    )


def _find_evidence(
    found: FoundPhases, phases: PhaseList, uncertainty: float
) -> dict[int, dict[str, np.ndarray]]:
    """Return log-evidence of symmetry and composition (candidates,) by phase."""
    prior = prior_from_map(found.xmap)
    _, numbers = probabilities_from_map(found.xmap)
    prior, _ = sg.merge_enantiomorphs(prior, numbers)
    measured = [c for c in found.table if c in _element_columns(found)]
    evidence = {}
    for i in found.table.index:
        kwargs = {"space_group_prior": prior, "none_prior": 0.5}
        row = found.probabilities.loc[[i]]
        groups = row.columns.tolist()
        symmetry = _log_ratio(
            candidate_probabilities(row.to_numpy(), groups, phases, **kwargs)
        )
        composition = np.zeros(phases.size)
        distance = np.full(phases.size, np.nan)
        fractions = found.table.loc[i, measured].to_numpy(dtype="float64")
        if len(measured) and np.isfinite(fractions).all():
            arrays = {e: np.array([x]) for e, x in zip(measured, fractions)}
            nothing = np.zeros((1, len(groups)))
            composition = _log_ratio(
                candidate_probabilities(
                    nothing, groups, phases, arrays, uncertainty=uncertainty, **kwargs
                )
            )
            distance = _compare(phases, dict(zip(measured, fractions)))
        evidence[i] = {
            "symmetry_evidence": symmetry,
            "composition_evidence": composition,
            "composition_distance": distance,
        }
    return evidence


def _element_columns(found: FoundPhases) -> list[str]:
    """Return the columns with mean fractions of elements."""
    from kikuchipy_spacegroup.crystals import ELEMENTS

    return [column for column in found.table.columns if column in ELEMENTS]


def _log_ratio(probabilities: np.ndarray) -> np.ndarray:
    """Return log-evidence (k,) from probabilities (1, k + 1) of equal priors."""
    logs = np.log(np.clip(probabilities[0].astype("float64"), 1e-30, None))
    return logs[:-1] - logs[-1] + np.log(len(logs) - 1)


def _compare(phases: PhaseList, fractions: dict[str, float]) -> np.ndarray:
    """Return the largest difference of an atomic fraction of each phase (k,)."""
    distances = []
    for _, phase in phases:
        own = phase_composition(phase)
        total = sum(own.get(element, 0) for element in fractions)
        distances.append(
            max(abs(own.get(e, 0) / total - x) for e, x in fractions.items())
            if total
            else np.nan
        )
    return np.array(distances)


def _rank(
    i: int,
    chosen: list[int],
    rows: np.ndarray,
    matches: _Matches,
    evidence: Mapping[str, np.ndarray],
    none_prior: float,
) -> pd.DataFrame:
    """Return the table of a phase, the most probable candidate first."""
    lines, logs = [], []
    for c in chosen:
        phase = matches.phases[c]
        match = matches.matched(c, rows)
        simulation = matches.simulations[c, rows[0]]
        line = {
            "phase": i,
            "candidate": phase.name,
            "formula": reduced_formula(phase),
            "space_group": phase.space_group.number,
            "simulation": simulation,
            "score": float(matches.scores[c, rows].mean()),
            "match": match,
        }
        lines.append(line | {name: float(x[c]) for name, x in evidence.items()})
        logs.append(
            _SLOPE * (match - _EVEN[simulation])
            + evidence["symmetry_evidence"][c]
            + evidence["composition_evidence"][c]
        )
    none = {"phase": i, "candidate": NONE, "formula": "", "space_group": 0}
    none |= {"simulation": "", "score": np.nan, "match": np.nan}
    none |= {"symmetry_evidence": 0.0, "composition_evidence": 0.0}
    lines.append(none | {"composition_distance": np.nan})
    with np.errstate(divide="ignore"):
        logs = np.array([*logs, 0.0])
        logs[:-1] += np.log1p(-none_prior) - np.log(len(chosen))
        logs[-1] = np.log(none_prior)
    table = pd.DataFrame(lines)
    table["probability"] = softmax(logs)
    return table.iloc[np.argsort(-logs, kind="stable")]

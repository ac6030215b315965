# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Identify phases by space group and composition together."""

from collections.abc import Mapping, Sequence
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from orix.crystal_map import CrystalMap, Phase, PhaseList

from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.crystals import load_phase, phase_composition
from kikuchipy_spacegroup.maps._composition import (
    log_evidence,
    normalized_fractions,
    read_composition,
)
from kikuchipy_spacegroup.maps._crystal_map import (
    prior_from_map,
    probabilities_from_map,
)
from kikuchipy_spacegroup.maps._map_like import map_like
from kikuchipy_spacegroup.maps._pooling import check_grain_ids
from kikuchipy_spacegroup.maps._uncertainty import (
    of_map,
    read_uncertainties,
    uncertainty_table,
)
from kikuchipy_spacegroup.patterns._checks import check_probability
from kikuchipy_spacegroup.space_groups._prior import check_prior, relative_prior

if TYPE_CHECKING:
    from hyperspy.signal import BaseSignal

_logger = logging.getLogger(__name__)


def identify_phases(
    xmap: CrystalMap,
    candidates: "PhaseList | Sequence[Phase | str | Path]",
    composition: "Mapping[str, np.ndarray] | np.ndarray | Sequence[BaseSignal] | None" = None,
    *,
    elements: Sequence[str] | None = None,
    grain_ids: np.ndarray | None = None,
    uncertainty: "float | Mapping[str, float | np.ndarray | BaseSignal] | np.ndarray" = 0.05,
    relative_uncertainty: float = 0.125,
    prior: Mapping[str, float] | None = None,
    none_prior: float = 0.1,
    min_probability: float = 0.0,
) -> CrystalMap:
    r"""Identify the phase of each point among candidates, if it is one of them.

    Parameters
    ----------
    xmap
        Map of space groups made with ``keep_probabilities=True``, or
        such a map pooled with
        :func:`~kikuchipy_spacegroup.maps.pool_grains`.
    candidates
        Phases with space group and atoms, or paths to CIFs for
        :func:`~kikuchipy_spacegroup.crystals.load_phase`. All need names.
    composition
        Composition of the points in the scan or of those in the data:

        * arrays by element,
        * an array whose last axis are the *elements*, or
        * a list of HyperSpy signals, one per element, as quantification
          in exSpy returns, with ``composition_units="atomic"``.

        It is normalized to atomic fractions. Points where all elements
        are zero or one is NaN have none. If not given, phases are told
        apart by their space groups only.
    elements
        Names of the elements, if the composition is an array.
    grain_ids
        Integer array with the grain of each point, negative for points
        of no grain. If given, the mean composition of a grain is used
        for all its points, and the uncertainty is that of this mean.
    uncertainty
        Standard deviation of atomic fractions, from 0 to 1 also if the
        composition is in percent: a number for all elements, or by
        element a number, or an array or signal of the composition's
        shape if it differs from point to point. Elements left out have
        the default. If the composition is an array, it can be an array
        of the same shape. Points without a composition need none.
        Increase it for elements that replace each other in the phases,
        up to ``numpy.inf``, or give candidates such sites.
    relative_uncertainty
        Standard deviation of a fraction over the fraction expected,
        which is added in quadrature. The default is that of
        quantification without standards.
    prior
        Weights of phases by name, before looking at points. 1 if not
        given.
    none_prior
        Probability that none of the candidates is right, before looking
        at points.
    min_probability
        Points with a lower best probability are not identified.

    Returns
    -------
    xmap
        Map whose phases are the candidates found, with their numbers in
        the order given, from 0, as IDs. -1 are points of none of them,
        points whose best candidates are equally probable, and points
        of which nothing is known.
        **Rotations are all identity.** The properties of the map given
        are kept, and there are

        * ``candidate_probabilities`` (n, k + 1) of the k candidates,
          followed by that of none of them
        * ``scores`` (n,), the best of them
        * ``grain_id`` (n,), if *grain_ids* are given

    Raises
    ------
    TypeError
        If the composition or its uncertainty is of another type.
    ValueError
        If the map has no probabilities, a candidate has no name, space
        group or atoms, or arrays and numbers do not fit.

    See Also
    --------
    candidate_probabilities, kikuchipy_spacegroup.crystals.load_phase
    kikuchipy_spacegroup.maps.combine, kikuchipy_spacegroup.phases.find_phases
    orix.crystal_map.CrystalMap

    Notes
    -----
    See :func:`candidate_probabilities` for the formulas.

    The uncertainty of the mean composition of a grain is the root mean
    square :math:`\sqrt{\sum_i u_i^2 / n}` of those of its n points that
    have a composition. It is not smaller for many points, since what
    X-rays from around a point add is common to its neighbors.

    Examples
    --------
    Niobium and titanium carbide are both of space group 225

    >>> from diffpy.structure import Atom, Lattice, Structure
    >>> import numpy as np
    >>> from orix.crystal_map import Phase
    >>> from kikuchipy_spacegroup.maps import identify_phases
    >>> from kikuchipy_spacegroup.maps import crystal_map
    >>> carbides = [
    ...     Phase(
    ...         f"{metal}C",
    ...         space_group=225,
    ...         structure=Structure(
    ...             [Atom(metal, [0, 0, 0]), Atom("C", [0.5, 0.5, 0.5])],
    ...             Lattice(a, a, a, 90, 90, 90),
    ...         ),
    ...     )
    ...     for metal, a in [("Nb", 4.470), ("Ti", 4.328)]
    ... ]
    >>> probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
    >>> xmap = crystal_map(probabilities, [225, 229], keep_probabilities=True)
    >>> metals = {"Nb": [95, 3, 4], "Ti": [5, 97, 6], "Fe": [0, 0, 90]}
    >>> identified = identify_phases(xmap, carbides, metals)
    >>> identified.phase_id
    array([ 0,  1, -1])
    >>> identified.phases
    Id         Name  Space group  Point group  Proper point group       Color
    -1  not_indexed         None         None                None       white
     0          NbC        Fm-3m         m-3m                 432    tab:blue
     1          TiC        Fm-3m         m-3m                 432  tab:orange
    """
    probabilities, space_groups = probabilities_from_map(xmap)
    check_probability("min_probability", min_probability)
    phases = check_candidate_phases(candidates)
    prop = {}
    if grain_ids is not None:
        prop["grain_id"] = check_grain_ids(grain_ids, xmap)
    arrays = {}
    if composition is not None:
        arrays, uncertainty = of_map(
            xmap, composition, elements, uncertainty, prop.get("grain_id")
        )
    posterior = candidate_probabilities(
        probabilities,
        space_groups,
        phases,
        arrays or None,
        uncertainty=uncertainty,
        relative_uncertainty=relative_uncertainty,
        prior=prior,
        none_prior=none_prior,
        space_group_prior=prior_from_map(xmap),
    )
    order = np.argsort(-posterior, axis=1)
    best = order[:, 0]
    scores, second_scores = np.take_along_axis(posterior, order[:, :2], axis=1).T
    identified = (best < phases.size) & (scores >= min_probability)
    # Phases that cannot be told apart, and points of which nothing is known
    identified &= scores > second_scores + 1e-6
    has_evidence = probabilities.any(axis=1)
    if arrays:
        has_evidence |= np.isfinite(normalized_fractions(arrays)).all(axis=1)
    phase_id = np.where(identified & has_evidence, best, -1)
    prop |= {"candidate_probabilities": posterior, "scores": scores}
    return map_like(xmap, phase_id, phases, prop)


def candidate_probabilities(
    probabilities: np.ndarray,
    space_groups: Sequence[int],
    candidates: "PhaseList | Sequence[Phase | str | Path]",
    composition: "Mapping[str, np.ndarray] | np.ndarray | Sequence[BaseSignal] | None" = None,
    *,
    elements: Sequence[str] | None = None,
    uncertainty: "float | Mapping[str, float | np.ndarray | BaseSignal] | np.ndarray" = 0.05,
    relative_uncertainty: float = 0.125,
    prior: Mapping[str, float] | None = None,
    none_prior: float = 0.1,
    space_group_prior: Sequence[float] | np.ndarray | None = None,
) -> np.ndarray:
    r"""Return posterior probabilities of phases from space groups and compositions.

    Parameters
    ----------
    probabilities
        Probabilities of shape (n, m) of space groups of patterns or
        grains. Rows of zeros or NaN are not classified.
    space_groups
        The m space group numbers.
    candidates, composition, elements
        See :func:`identify_phases`. There must be n compositions.
    uncertainty, relative_uncertainty, prior, none_prior
        See :func:`identify_phases`.
    space_group_prior
        Prior probabilities of the m space groups, as from
        :func:`prior_from_map`. If not given, all are the same.

    Returns
    -------
    probabilities
        Array of shape (n, k + 1) and dtype float32 with the
        probabilities of the k candidates and of none of them.

    Raises
    ------
    TypeError
        If the composition or its uncertainty is of another type.
    ValueError
        If a candidate has no name, space group or atoms, or arrays and
        numbers do not fit.

    See Also
    --------
    kikuchipy_spacegroup.maps.pool_grains

    Notes
    -----
    By Bayes' theorem, the probability of a candidate of space group
    :math:`g` and composition :math:`c` is

    .. math::

        P \propto P_0 \cdot \frac{p(g)}{\pi(g)} \cdot
            \frac{p(x \mid c)}{p_\text{uniform}(x)}

    with its prior probability :math:`P_0`, the probability of its space
    group over that before looking at the pattern, :math:`\pi(g)`, which
    is 1 / m unless space groups were not equally frequent in training,
    and the density of the composition
    :math:`x` measured over that of compositions of which nothing is
    known. Space group and composition are taken to be measured
    independently.

    *None of the candidates* is any space group and any composition, so
    both ratios are 1.

    The same holds for the space group of candidates whose space group
    the model does not know: what the network says of their patterns was
    never seen, and all that can be expected is what it says on average.
    They lose against a candidate whose space group the network is sure
    of, and win over candidates whose space group it denies, but among
    themselves, chemistry alone decides.

    :math:`p(x \mid c)` is a normal distribution with standard deviations
    :math:`\sigma_j^2 = u_j^2 + (r c_j)^2` of the uncertainty :math:`u_j`
    and the relative uncertainty :math:`r`, restricted to fractions that
    are not negative and sum up to 1. As :math:`\sigma` grows, it becomes
    the uniform distribution, and composition has no say. Without
    standards, 95 % of analyses by energy-dispersive spectroscopy are
    within 25 % of the true value, and with standards, within 5 %
    :cite:`newbury2013is`, hence the default of 12.5 %. The other part
    stands for what X-rays from around the point add, and for homogeneity
    ranges. Its default of 5 atomic percent is a guess: look at the
    composition within grains of a known phase. If it differs from point
    to point, the integral of the distribution is found for 1000
    different uncertainties at most, see
    :func:`~kikuchipy_spacegroup.maps._composition.log_evidence`.

    Fractions of a candidate are those of its occupied sites. Elements
    that are not in the composition count as not measured, as carbon and
    oxygen often are: those of the candidate are left out and its other
    fractions normalized. For a candidate without any of the elements
    measured, any composition is as likely.

    Examples
    --------
    >>> from diffpy.structure import Atom, Lattice, Structure
    >>> import numpy as np
    >>> from orix.crystal_map import Phase
    >>> from kikuchipy_spacegroup.maps import candidate_probabilities
    >>> phases = [
    ...     Phase(
    ...         name,
    ...         space_group=number,
    ...         structure=Structure([Atom(name)], Lattice(a, a, a, 90, 90, 90)),
    ...     )
    ...     for name, number, a in [("Ni", 225, 3.524), ("Fe", 229, 2.866)]
    ... ]
    >>> probabilities = np.array([[0.9, 0.1], [0.1, 0.9]])
    >>> candidate_probabilities(probabilities, [225, 229], phases).round(2)
    array([[0.81, 0.09, 0.1 ],
           [0.09, 0.81, 0.1 ]], dtype=float32)
    """
    phases = check_candidate_phases(candidates)
    probabilities = np.nan_to_num(np.asarray(probabilities, dtype="float64"))
    if probabilities.ndim != 2 or probabilities.shape[1] != len(space_groups):
        raise ValueError(
            f"Probabilities of shape {probabilities.shape} do not have one column for "
            f"each of the {len(space_groups)} space groups"
        )
    numbers = [int(i) for i in space_groups]
    log_prior = _take_log_prior([phase.name for _, phase in phases], prior, none_prior)
    relative = relative_prior(check_prior(space_group_prior, len(numbers)))
    with np.errstate(divide="ignore"):
        log_ratio = np.log(probabilities / relative * len(numbers))
    log_ratio[~probabilities.any(axis=1)] = 0
    log_posterior = np.tile(log_prior, (len(probabilities), 1))
    groups = [phase.space_group.number for _, phase in phases]
    for i, number in enumerate(sg.match_enantiomorphs(groups, numbers).tolist()):
        if number in numbers:
            log_posterior[:, i] += log_ratio[:, numbers.index(number)]
    if composition is not None:
        arrays = read_composition(composition, elements)
        uncertainties = read_uncertainties(uncertainty, composition, arrays)
        if {values.size for values in arrays.values()} != {len(log_posterior)}:
            raise ValueError(
                f"Compositions of {[v.shape for v in arrays.values()]} points do not "
                f"fit {len(log_posterior)} rows of probabilities"
            )
        log_posterior[:, :-1] += _compare_compositions(
            arrays, phases, uncertainties, relative_uncertainty
        )
    posterior = np.exp(log_posterior - log_posterior.max(axis=1, keepdims=True))
    return (posterior / posterior.sum(axis=1, keepdims=True)).astype("float32")


def check_candidate_phases(candidates: Any) -> PhaseList:
    """Return phases with IDs from 0 and different colors.

    Parameters
    ----------
    candidates
        See :func:`identify_phases`.

    Returns
    -------
    phases
        Copies of the phases.

    Raises
    ------
    TypeError
        If it is a single phase.
    ValueError
        If a phase has no space group, or names are missing or the same.
    """
    if isinstance(candidates, PhaseList):
        phases = [phase for i, phase in candidates if i != -1]
    elif isinstance(candidates, Phase | str | Path):
        raise TypeError("candidates must be a PhaseList or a list, not a single phase")
    else:
        phases = [load_phase(i) if isinstance(i, str | Path) else i for i in candidates]
    names = [phase.name for phase in phases]
    if not names or "" in names or len(set(names)) < len(names):
        raise ValueError(f"Candidates must have different names, not {names}")
    for phase in phases:
        if phase.space_group is None:
            raise ValueError(f"Candidate {phase.name!r} has no space group")
    phases = [phase.deepcopy() for phase in phases]
    if len({phase.color for phase in phases}) < len(phases):
        palette = PhaseList(names=names).colors
        for phase, color in zip(phases, palette):
            phase.color = color
    return PhaseList(dict(enumerate(phases)))


def _take_log_prior(
    names: list[str], prior: Mapping[str, float] | None, none_prior: float
) -> np.ndarray:
    """Return logarithms of prior probabilities, that of none last, (k + 1,)."""
    prior = dict(prior or {})
    unknown = sorted(set(prior) - set(names))
    if unknown:
        raise ValueError(f"There are priors of {unknown}, but candidates are {names}")
    weights = np.array([prior.get(name, 1.0) for name in names], dtype="float64")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise ValueError(f"Priors must be positive numbers, not {weights.tolist()}")
    if not 0 < none_prior < 1:
        raise ValueError(f"none_prior must be between 0 and 1, not {none_prior}")
    weights *= (1 - none_prior) / weights.sum()
    with np.errstate(divide="ignore"):
        return np.log([*weights, none_prior])


def _compare_compositions(
    arrays: Mapping[str, np.ndarray],
    phases: PhaseList,
    uncertainties: Mapping[str, np.ndarray],
    relative_uncertainty: float,
) -> np.ndarray:
    """Return the log-evidence of compositions for phases of shape (n, k)."""
    if not relative_uncertainty >= 0:
        raise ValueError(
            f"relative_uncertainty must not be negative, is {relative_uncertainty}"
        )
    fractions = normalized_fractions(arrays)
    absolute = uncertainty_table(uncertainties, np.isfinite(fractions).all(axis=1))
    log_evidences = []
    for _, phase in phases:
        composition = phase_composition(phase)
        expected = np.array([composition.get(element, 0.0) for element in arrays])
        if not expected.any():
            _logger.warning(
                "%s has none of the elements %s, so that composition does not tell it "
                "from any other phase",
                phase.name,
                list(arrays),
            )
            log_evidences.append(np.zeros(len(fractions)))
            continue
        expected /= expected.sum()
        sigma = np.hypot(absolute, relative_uncertainty * expected)
        log_evidences.append(log_evidence(fractions, expected, sigma))
    return np.stack(log_evidences, axis=1)

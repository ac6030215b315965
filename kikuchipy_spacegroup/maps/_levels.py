# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A map of space groups at a coarser level of symmetry, or at several."""

import numpy as np
from orix.crystal_map import CrystalMap, Phase, PhaseList
from orix.quaternion.symmetry import get_point_group

from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.maps._crystal_map import probabilities_from_map
from kikuchipy_spacegroup.maps._map_like import map_like
from kikuchipy_spacegroup.patterns._checks import check_probability

# Far from each other, also if paler, and from what is not identified
_CLEAR_COLORS = (
    "tab:blue tab:orange tab:green tab:red tab:purple tab:brown tab:pink tab:olive "
    "tab:cyan gold navy lime magenta teal maroon turquoise darkviolet salmon darkgreen"
).split()
_LIKE_NOT_IDENTIFIED = ("tab:gray",)


def coarsen_map(
    xmap: CrystalMap, level: str, *, min_probability: float = 0.5
) -> CrystalMap:
    """Return a map of crystal systems, lattices, Laue classes or point groups.

    Parameters
    ----------
    xmap
        Map of space groups with all probabilities.
    level
        One of ``space_groups.LEVELS``, such as ``"crystal_system"`` or
        ``"bravais_lattice"``, see
        :func:`~kikuchipy_spacegroup.space_groups.coarsen`.
    min_probability
        Points with a lower best probability at this level are not
        identified.

    Returns
    -------
    coarse
        Map of the same points. Phases are named after what they are,
        such as ``"m-3m"`` or ``"cubic"``, and have the lowest number of
        a space group that is one as their ID. They have point groups at
        all levels at which the point group or Laue class is known.
        Properties are

        * ``scores`` (n,), the best probability
        * ``level_probabilities`` and ``level_ids`` (n, m), all
          probabilities at this level and, in every row, the IDs of what
          they are of
        * all others of the map, which are of space groups.

        Points which were not identified as a space group may be
        identified here.

    Raises
    ------
    ValueError
        If the map does not have all probabilities, there is no such
        level, or min_probability is not from 0 to 1.

    See Also
    --------
    symmetry_map
    kikuchipy_spacegroup.space_groups.coarsen_probabilities

    Notes
    -----
    Probabilities are added up over the space groups the model knows. If
    these are all of one kind, every point is of this kind with certainty,
    which the patterns have no part in.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.maps import crystal_map
    >>> from kikuchipy_spacegroup.maps import coarsen_map
    >>> probabilities = np.array([[[0.4, 0.5, 0.1], [0.3, 0.3, 0.4]]])
    >>> xmap = crystal_map(probabilities, [221, 225, 194], keep_probabilities=True)
    >>> coarse = coarsen_map(xmap, "crystal_system")
    >>> coarse.phases.names
    ['cubic']
    >>> coarse.prop["scores"]
    array([0.9, 0.6], dtype=float32)
    """
    probabilities, numbers = probabilities_from_map(xmap)
    check_probability("min_probability", min_probability)
    summed, names = sg.coarsen_probabilities(probabilities, numbers, level)
    ids = np.array([_find_first_number(name, level) for name in names])
    winners = summed.argmax(axis=1)
    scores = summed[np.arange(len(winners)), winners]
    identified = (scores > 0) & (scores >= min_probability)
    prop = {
        "scores": scores.astype("float32"),
        "level_probabilities": summed.astype("float32"),
        "level_ids": np.tile(ids.astype("int16"), (len(winners), 1)),
    }
    phase_id = np.where(identified, ids[winners], -1)
    return map_like(xmap, phase_id, _make_phases(names, ids.tolist(), level), prop)


def symmetry_map(
    xmap: CrystalMap,
    threshold: float = 0.5,
    *,
    separate_enantiomorphs: bool = False,
) -> CrystalMap:
    """Return a map of the finest symmetry that is probable enough.

    Parameters
    ----------
    xmap
        Map of space groups. All probabilities are not needed.
    threshold
        Lowest probability of an answer, from 0.5 to 1.
    separate_enantiomorphs
        Whether a space group may be an answer if its mirror image is
        another one. If not, it is ``"P3121 or P3221"``.

    Returns
    -------
    symmetry
        Map of the same points. Phases are named after what is known,
        such as ``"Fm-3m"``, ``"6/mmm, P"`` or ``"cubic"``. Their IDs are
        1000 times the level in ``space_groups.CHAIN`` plus the lowest
        number of a space group that is of it, so that IDs below 1000 are
        space groups; -1 where no answer is probable enough. Phases have
        the point group of the Laue class at levels from Laue class to
        diffraction symbol. Space groups have the colors they have in the
        map if these are clear ones. Properties are

        * ``scores`` (n,), the probability of the answer, 0 if none
        * ``symmetry_levels`` (n,), the level of the answer in the chain,
          0 for a space group, -1 if none
        * ``symmetry_ids`` (n,), the lowest number of a space group that
          is of it, -1 if none
        * all others of the map, which are of space groups.

    Raises
    ------
    ValueError
        If the threshold is not from 0.5 to 1, or the map has neither
        ``chain_ids`` and ``chain_probabilities`` nor all probabilities.

    See Also
    --------
    coarsen_map
    kikuchipy_spacegroup.plot.plot_symmetry
    kikuchipy_spacegroup.space_groups.finest_symmetry

    Notes
    -----
    Answers do not depend on the ``min_probability`` the scan was
    classified with: points not identified as a space group may be known
    to be hexagonal.

    Levels at which all space groups of the model are the same are never
    an answer, as patterns have no part in it. A model of space groups
    that are all m-3m does not find "m-3m" or "cubic".

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.maps import crystal_map, symmetry_map
    >>> probabilities = np.array([[0.9, 0.1, 0.0], [0.4, 0.4, 0.2], [0.4, 0.2, 0.4]])
    >>> xmap = crystal_map(probabilities, [194, 191, 225])
    >>> symmetry = symmetry_map(xmap)
    >>> [symmetry.phases[i].name for i in symmetry.phase_id]
    ['P63/mmc', '6/mmm, P', '6/mmm, P']
    >>> symmetry.prop["scores"]
    array([0.9, 0.8, 0.6], dtype=float32)
    >>> symmetry_map(xmap, 0.7).phase_id
    array([ 194, 3177,   -1])
    """
    levels, ids, scores = sg.finest_symmetry_from_chain(
        *_read_chain(xmap), threshold, separate_enantiomorphs=separate_enantiomorphs
    )
    phase_id = np.where(levels < 0, -1, 1000 * levels.astype(int) + ids)
    prop = {"scores": scores, "symmetry_levels": levels, "symmetry_ids": ids}
    found_ids, counts = np.unique(phase_id[phase_id > 0], return_counts=True)
    colors = _choose_colors(
        found_ids[np.argsort(-counts, kind="stable")].tolist(), xmap
    )
    phases = {}
    for i in found_ids.tolist():
        level, number = divmod(i, 1000)
        phases[i] = Phase(color=colors[i])
        describe_symmetry(phases[i], number, sg.CHAIN[level])
    return map_like(xmap, phase_id, PhaseList(phases), prop)


def _choose_colors(ids: list[int], xmap: CrystalMap) -> dict[int, str]:
    """Return different colors, the clearest ones for the first IDs.

    Space groups have the color of the map if it is a clear one.
    """
    taken = {
        i: phase.color
        for i, phase in xmap.phases
        if i in ids
        and phase.space_group is not None
        and phase.space_group.number == i
        and phase.color in _CLEAR_COLORS
    }
    others = PhaseList(ids=range(len(ids) + 10)).colors
    palette = dict.fromkeys([*_CLEAR_COLORS, *others])
    free = (i for i in palette if i not in (*taken.values(), *_LIKE_NOT_IDENTIFIED))
    return {i: taken[i] if i in taken else next(free) for i in ids}


def _read_chain(xmap: CrystalMap) -> tuple[np.ndarray, np.ndarray]:
    """Return what is most probable at every level, and how probable, (n, levels)."""
    names = ("chain_ids", "chain_probabilities")
    if set(names) <= set(xmap.prop):
        ids, probabilities = (xmap.prop[name] for name in names)
        return ids, probabilities
    if "probabilities" not in xmap.prop:
        raise ValueError(
            f"The map has the properties {list(xmap.prop)}, but neither {names} nor all "
            "probabilities. It is of an older version: classify the scan again"
        )
    return sg.symmetry_chain(*probabilities_from_map(xmap))


def _find_first_number(name: str, level: str) -> int:
    """Return the lowest number of a space group of this name at a level."""
    return int(np.argmax(sg.coarsen(np.arange(1, 231), level) == name)) + 1


def _make_phases(names: tuple[str, ...], ids: list[int], level: str) -> PhaseList:
    """Return phases with point groups, where these are known."""
    if level == "space_group":
        return sg.phase_list(ids, classes=ids)
    phases = PhaseList(names=list(names), ids=ids)
    for i in ids:
        describe_symmetry(phases[i], i, level)
    return phases


def describe_symmetry(phase: Phase, number: int, level: str) -> None:
    """Name a phase after the symmetry of a space group at a level.

    Its space group, point group or that of its Laue class is set where
    it is known.

    Parameters
    ----------
    phase
        Phase, which is changed.
    number
        Space group number.
    level
        One of ``space_groups.LEVELS``.
    """
    phase.name = str(sg.coarsen(number, level))
    if level == "space_group":
        phase.space_group = number
    elif level in ("point_group", "enantiomorphic_pair"):
        phase.point_group = get_point_group(number)
    elif level in ("laue_class", "laue_class_with_lattice", "diffraction_symbol"):
        phase.point_group = get_point_group(number).laue

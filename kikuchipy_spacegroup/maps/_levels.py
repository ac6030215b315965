# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A map of space groups at a coarser level of symmetry."""

import numpy as np
from orix.crystal_map import CrystalMap, PhaseList
from orix.quaternion.symmetry import get_point_group

from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.maps._crystal_map import probabilities_from_map
from kikuchipy_spacegroup.maps._map_like import map_like
from kikuchipy_spacegroup.patterns._checks import check_probability


def coarsen_map(
    xmap: CrystalMap, level: str, *, min_probability: float = 0.5
) -> CrystalMap:
    """Return a map of crystal systems, lattices, Laue classes or point groups.

    Parameters
    ----------
    xmap
        Map of space groups with all probabilities.
    level
        ``"crystal_system"``, ``"bravais_lattice"``, ``"laue_class"``,
        ``"point_group"`` or ``"space_group"``.
    min_probability
        Points with a lower best probability at this level are not
        identified.

    Returns
    -------
    coarse
        Map of the same points. Phases are named after what they are,
        such as ``"m-3m"`` or ``"cubic"``, and have the lowest number of
        a space group that is one as their ID. They have point groups at
        the levels of point groups and Laue classes. Properties are

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
    ids = np.array([_first(name, level) for name in names])
    best = summed.argmax(axis=1)
    scores = summed[np.arange(len(best)), best]
    identified = (scores > 0) & (scores >= min_probability)
    prop = {
        "scores": scores.astype("float32"),
        "level_probabilities": summed.astype("float32"),
        "level_ids": np.tile(ids.astype("int16"), (len(best), 1)),
    }
    phase_id = np.where(identified, ids[best], -1)
    return map_like(xmap, phase_id, _phases(names, ids.tolist(), level), prop)


def _first(name: str, level: str) -> int:
    """Return the lowest number of a space group of this name at a level."""
    return int(np.argmax(sg.coarsen(np.arange(1, 231), level) == name)) + 1


def _phases(names: tuple[str, ...], ids: list[int], level: str) -> PhaseList:
    """Return phases with point groups, where these are known."""
    if level == "space_group":
        return sg.phase_list(ids)
    phases = PhaseList(names=list(names), ids=ids)
    for i in ids:
        if level in ("point_group", "laue_class"):
            point_group = get_point_group(i)
            is_laue = level == "laue_class"
            phases[i].point_group = point_group.laue if is_laue else point_group
    return phases

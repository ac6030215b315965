# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Navigation masks: points to index with each phase."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from orix.crystal_map import CrystalMap, Phase, PhaseList

from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.maps._crystal_map import (
    prediction_sets_from_map,
    probabilities_from_map,
)


def navigation_masks(
    xmap: CrystalMap,
    phases: "PhaseList | Sequence[Phase] | None" = None,
    *,
    threshold: float | Mapping[int, float] | None = None,
    keep_n: int | None = None,
    space_groups: Sequence[int] | None = None,
    index_not_identified: bool = True,
) -> dict[str | int, np.ndarray]:
    """Return the points to leave out when a scan is indexed with a phase.

    Parameters
    ----------
    xmap
        Map of space groups, or of the finest symmetry from
        :func:`~kikuchipy_spacegroup.maps.symmetry_map`: a point known to
        be ``"6/mmm, P"`` can then be of every phase given that is.
    phases
        Phases to index with. If not given, there is one mask for each
        space group in the map.
    threshold
        A point can be of every space group at least this probable, one
        of ``model.conformal_thresholds``, of all or of each by number.
    keep_n
        A point can be of this many best space groups instead.
        If neither is given, it is two, or what a map of the finest
        symmetry allows.
    space_groups
        The space groups the model knows. Needed if there are phases and
        the map does not have all probabilities.
    index_not_identified
        Whether points that are not identified, or could not be
        classified, are indexed with all phases, or with none.

    Returns
    -------
    masks
        Boolean arrays of the shape of the scan, True for points to leave
        out, by the names of the phases, or by space groups. Points that
        are not in the map's data are left out of all. A phase whose
        space group the model does not know is indexed everywhere.

    Raises
    ------
    ValueError
        If both threshold and keep_n are given, they ask for more space
        groups than are in the map, or phases have no space group or the
        same name.

    See Also
    --------
    kikuchipy.signals.EBSD.dictionary_indexing
    kikuchipy.signals.EBSD.refine_orientation

    Notes
    -----
    :meth:`kikuchipy.signals.EBSD.hough_indexing` takes no mask, as it
    finds bands once for all phases.

    :meth:`kikuchipy.signals.EBSD.refine_orientation` wants a map with the
    shape of the scan besides the mask: a map of some points only is
    refused if these do not reach all sides of the scan. The map of
    :func:`~kikuchipy_spacegroup.maps.combine` has all points.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.maps import crystal_map
    >>> from kikuchipy_spacegroup.maps import navigation_masks
    >>> probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.0, 0.9]])
    >>> xmap = crystal_map(probabilities, [221, 225, 229])
    >>> masks = navigation_masks(xmap, threshold=0.15)
    >>> {name: mask.tolist() for name, mask in masks.items()}
    {221: [False, True], 225: [False, True], 229: [True, False]}
    """
    not_identified = xmap.phase_id == -1
    by_symmetry = "symmetry_levels" in xmap.prop and phases is not None
    if by_symmetry and threshold is None and keep_n is None:
        can_be = _find_allowed_points(xmap, _read_space_groups(phases, ()))
        return {
            name: _make_mask(
                xmap, np.where(not_identified, index_not_identified, points)
            )
            for name, points in can_be.items()
        }
    sets = _find_prediction_sets(xmap, threshold, keep_n)
    allowed_points = {
        number: np.array([number in i for i in sets], dtype=bool)
        for number in sorted({number for i in sets for number in i})
    }
    if phases is None:
        numbers: dict[str | int, int] = {number: number for number in allowed_points}
        known_groups = set(allowed_points)
    else:
        numbers = _read_space_groups(phases, allowed_points)
        known_groups = _find_known_space_groups(
            xmap, space_groups, set(numbers.values()) - set(allowed_points)
        )
    masks = {}
    no_points = np.zeros(xmap.size, dtype=bool)
    for name, number in numbers.items():
        if number in known_groups:
            points = allowed_points.get(number, no_points)
            points = np.where(not_identified, index_not_identified, points)
        else:
            points = ~no_points
        masks[name] = _make_mask(xmap, points)
    return masks


def _make_mask(xmap: CrystalMap, points: np.ndarray) -> np.ndarray:
    """Return a mask of the shape of the scan that leaves some points in."""
    mask = np.ones(xmap.is_in_data.size, dtype=bool)
    mask[xmap.is_in_data] = ~points
    return mask.reshape(_get_scan_shape(xmap))


def _find_allowed_points(
    xmap: CrystalMap, numbers: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """Return the points whose finest symmetry a phase has, by name.

    Parameters
    ----------
    xmap
        Map of the finest symmetry.
    numbers
        Space group of each phase.
    """
    levels, ids = xmap.prop["symmetry_levels"], xmap.prop["symmetry_ids"]
    allowed = {name: np.zeros(xmap.size, dtype=bool) for name in numbers}
    for i, level in enumerate(sg.CHAIN):
        at_level = levels == i
        symmetry = sg.coarsen(ids[at_level], level)
        for name, number in numbers.items():
            allowed[name][at_level] = symmetry == sg.coarsen(number, level)
    return allowed


def _find_prediction_sets(
    xmap: CrystalMap, threshold: float | Mapping[int, float] | None, keep_n: int | None
) -> list[tuple[int, ...]]:
    """Return the space groups each point in the data can be of."""
    if "top_space_groups" not in xmap.prop:
        raise ValueError(
            f"The map has the properties {list(xmap.prop)}, but no 'top_space_groups'. "
            "Give a map from `classify_space_group()`"
        )
    if threshold is not None:
        if keep_n is not None:
            raise ValueError("Give either `threshold` or `keep_n`, not both")
        return prediction_sets_from_map(xmap, threshold)
    keep_n = 2 if keep_n is None else keep_n
    top = xmap.prop["top_space_groups"]
    if not 1 <= keep_n <= top.shape[1]:
        raise ValueError(
            f"keep_n must be from 1 to {top.shape[1]}, the number of space groups kept "
            f"in the map, not {keep_n}. Classify with a larger `keep_n`"
        )
    return [tuple(row[row > 0].tolist()) for row in top[:, :keep_n]]


def _read_space_groups(
    phases: "PhaseList | Iterable[Phase]", wanted: Iterable[int]
) -> dict[str | int, int]:
    """Return the space group of each phase, as it is called in the map."""
    if isinstance(phases, PhaseList):
        phases = [phase for i, phase in phases if i != -1]
    phases = list(phases)
    names = [phase.name for phase in phases]
    if "" in names or len(set(names)) < len(names):
        raise ValueError(f"Phases must have different names, not {names}")
    for phase in phases:
        if phase.space_group is None:
            raise ValueError(f"Phase {phase.name!r} has no space group")
    numbers = [phase.space_group.number for phase in phases]
    return dict(zip(names, sg.match_enantiomorphs(numbers, wanted).tolist()))


def _find_known_space_groups(
    xmap: CrystalMap, given: Sequence[int] | None, doubtful: set[int]
) -> set[int]:
    """Return the space groups the model knows."""
    if given is not None:
        for number in given:
            sg.symbol(int(number))  # Raises if out of range
        return {int(number) for number in given}
    if "probabilities" in xmap.prop:
        return set(probabilities_from_map(xmap)[1])
    if doubtful:
        raise ValueError(
            f"No point may be of space group(s) {sorted(doubtful)}, and the map does not "
            "say whether the model knows them. Give `space_groups=model.space_groups`, "
            "or classify with `keep_probabilities=True`"
        )
    return set(np.unique(xmap.prop["top_space_groups"]).tolist())


def _get_scan_shape(xmap: CrystalMap) -> tuple[int, ...]:
    """Return the shape of the scan, whatever part of it is in the data."""
    coordinates = (xmap._all_coordinates.get(name) for name in ("y", "x"))
    sizes = (1 if c is None else np.unique(c).size for c in coordinates)
    return tuple(size for size in sizes if size > 1) or (1,)

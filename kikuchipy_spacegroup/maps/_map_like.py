# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""New crystal maps of the points of an old one."""

from collections.abc import Mapping

import numpy as np
from orix.crystal_map import CrystalMap, PhaseList
from orix.quaternion import Rotation

from kikuchipy_spacegroup.maps._crystal_map import crystal_map, probabilities_from_map
from kikuchipy_spacegroup.patterns._checks import check_probability


def replace_probabilities(
    xmap: CrystalMap,
    probabilities: np.ndarray,
    *,
    min_probability: float = 0.0,
    prop: Mapping[str, np.ndarray] | None = None,
) -> CrystalMap:
    """Return a map of space groups with other probabilities.

    Parameters
    ----------
    xmap
        Map with all probabilities, which is not changed.
    probabilities
        Array of shape (n, k) for the n points in the data and the k
        space groups of the map. Rows of zeros are not classified.
    min_probability
        Points with a lower best probability are not identified.
    prop
        Further properties of the n points in the data.

    Returns
    -------
    xmap
        Map as from :func:`~kikuchipy_spacegroup.maps.crystal_map`
        with all probabilities, and with all other properties of the map
        given.

    Raises
    ------
    ValueError
        If the map has no probabilities, or min_probability is not from
        0 to 1.
    """
    _, space_groups = probabilities_from_map(xmap)
    check_probability("min_probability", min_probability)
    classified = probabilities.any(axis=1)
    found = crystal_map(
        np.where(classified[:, None], probabilities, np.nan),
        space_groups,
        separate_enantiomorphs=True,  # As they are in the map
        min_probability=min_probability,
        keep_n=xmap.prop["top_space_groups"].shape[1],
        keep_probabilities=True,
    )
    results = {name: found.prop[name] for name in found.prop} | dict(prop or {})
    return map_like(xmap, found.phase_id, found.phases, results)


def map_like(
    xmap: CrystalMap,
    phase_id: np.ndarray,
    phases: PhaseList,
    prop: Mapping[str, np.ndarray],
) -> CrystalMap:
    """Return a map of the same points with other phases.

    Parameters
    ----------
    xmap
        Map, which is not changed.
    phase_id
        IDs of the phases of the n points in the data, -1 if none.
    phases
        Phases with all these IDs but -1. Those not found are left out.
    prop
        Properties of the n points in the data. All others are those of
        the map given.

    Returns
    -------
    xmap
        Map of the same points, with identity rotations.
    """
    is_in_data = xmap.is_in_data.copy()

    def whole(values: np.ndarray, fill: float = 0) -> np.ndarray:
        values = np.asarray(values)
        full = np.full((is_in_data.size, *values.shape[1:]), fill, values.dtype)
        full[is_in_data] = values
        return full

    prop = {name: xmap.prop[name] for name in xmap.prop} | dict(prop)
    phase_id = whole(np.asarray(phase_id, dtype=int), -1)
    # The constructor zips IDs of points and phases, so they must agree
    found_ids = np.unique(phase_id).tolist()
    phase_list = PhaseList({i: phases[i].deepcopy() for i in found_ids if i != -1})
    if -1 in found_ids:
        phase_list.add_not_indexed()
    return CrystalMap(
        rotations=Rotation.identity((is_in_data.size,)),
        phase_id=phase_id,
        phase_list=phase_list,
        prop={name: whole(values) for name, values in prop.items()},
        scan_unit=xmap.scan_unit,
        is_in_data=is_in_data,
        **coordinates_of(xmap),
    )


def coordinates_of(xmap: CrystalMap) -> dict[str, np.ndarray | None]:
    """Return copies of the coordinates of all points, to make a new map."""
    return {
        name: None if values is None else values.copy()
        for name, values in xmap._all_coordinates.items()
    }


def of_points(values: np.ndarray, xmap: CrystalMap, name: str) -> np.ndarray:
    """Return the values of the points in the data.

    Parameters
    ----------
    values
        Array with one number per point in the scan or in the data, of
        any shape.
    xmap
        Map of the scan.
    name
        What the values are, for messages.

    Returns
    -------
    values
        Array of shape (n,) for the n points in the data.

    Raises
    ------
    ValueError
        If there is another number of values, or they have rows and
        columns and these are not those of the map.
    """
    values = np.asarray(values)
    shape = _drop_ones(values.shape)
    of_scan, of_data = (_drop_ones(i) for i in (xmap._original_shape, xmap.shape))
    flat = len(shape) < 2
    if values.size == xmap.is_in_data.size and (flat or shape == of_scan):
        return values.ravel()[xmap.is_in_data]
    if values.size == xmap.size and (flat or shape == of_data):
        return values.ravel()
    raise ValueError(
        f"{name} of shape {values.shape} do not fit the map, which has {xmap.size} "
        f"points in the data of {xmap.is_in_data.size} in the scan of shape {of_scan}"
    )


def _drop_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(n) for n in shape if n != 1)


def neighbors(xmap: CrystalMap) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs of points in the data side by side.

    Parameters
    ----------
    xmap
        Map on a rectangular grid.

    Returns
    -------
    first, second
        Indices of the points. The second one is to the right of or
        below the first one.
    """
    if xmap.size < 2:
        return np.zeros((2, 0), dtype=int)
    grid = np.full((xmap.row.max() + 1, xmap.col.max() + 1), -1)
    grid[xmap.row, xmap.col] = np.arange(xmap.size)
    return pairs(grid)


def pairs(grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs of numbers side by side in a 2D array, without -1.

    First come all pairs along rows, then all along columns.
    """
    sides = ((grid[:, :-1], grid[:, 1:]), (grid[:-1], grid[1:]))
    first, second = (np.concatenate([i.ravel() for i in x]) for x in zip(*sides))
    both_valid = (first >= 0) & (second >= 0)
    return first[both_valid], second[both_valid]

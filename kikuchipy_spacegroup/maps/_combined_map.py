# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The map of the phases chosen from several indexed maps."""

from collections.abc import Sequence

import numpy as np
from orix.crystal_map import CrystalMap, Phase, PhaseList
from orix.quaternion import Rotation

from kikuchipy_spacegroup.maps._evidence import KINDS, Indexed
from kikuchipy_spacegroup.maps._map_like import coordinates_of


def combined_map(
    xmap: CrystalMap,
    phases: Sequence[Phase],
    found: Sequence[Indexed],
    chosen: np.ndarray,
    prop: dict[str, np.ndarray],
) -> CrystalMap:
    """Return the map with what the maps of the chosen phases say.

    Parameters
    ----------
    xmap
        Map of space groups.
    phases
        Candidate phases.
    found
        Indexed maps.
    chosen
        Candidate per point in the data, -1 if none.
    prop
        Properties of the points in the data.

    Returns
    -------
    combined
        Map with the rotations and properties of the chosen phases.
    """
    n = xmap.is_in_data.size
    points = np.flatnonzero(xmap.is_in_data)
    of_scan = np.full(n, -1)
    of_scan[points] = chosen
    source, position = _find_sources(found, of_scan)
    quaternions = np.tile([1.0, 0, 0, 0], (n, 1))
    kept = {name: xmap.prop[name] for name in xmap.prop if name != "scores"}
    results = {
        name: _expand_to_all_points(values, points, n)
        for name, values in (kept | prop).items()
    }
    results["indexing_scores"] = np.full(n, np.nan)
    results["indexing_map"] = source.astype("int16")
    for i, each in enumerate(found):
        solved = np.flatnonzero(source == i)
        rows = position[solved]
        rotations = each.xmap._rotations[each.xmap.is_in_data].data
        rotations = rotations.reshape(each.xmap.size, -1, 4)
        quaternions[solved] = rotations[rows, 0]
        score = KINDS[each.kind]
        # Not items(), which also has points that are not in the data
        for name in each.xmap.prop:
            values = each.xmap.prop[name]
            taken = name in kept or name in prop or name == score
            new = f"indexing_{name}" if taken else name
            if name == score:
                new = "indexing_scores"
                values = values[:, 0] if values.ndim == 2 else values
            results[new] = _set_rows(
                results.get(new), n, solved, np.asarray(values)[rows]
            )
    ids = np.unique(of_scan).tolist()
    phase_list = PhaseList({i: phases[i] for i in range(len(phases)) if i in ids})
    if -1 in ids:
        phase_list.add_not_indexed()
    _make_colors_distinct(phase_list)
    return CrystalMap(
        rotations=Rotation(quaternions),
        phase_id=of_scan,
        phase_list=phase_list,
        prop=results,
        scan_unit=xmap.scan_unit,
        is_in_data=xmap.is_in_data.copy(),
        **coordinates_of(xmap),
    )


def _find_sources(
    found: Sequence[Indexed], of_scan: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return from which map, and from which of its points, solutions are.

    Both are of shape (n,), and -1 for points without a solution.
    """
    source = np.full(of_scan.size, -1)
    position = np.full(of_scan.size, -1)
    best_scores = np.full(of_scan.size, -np.inf)
    for kind in KINDS:
        without_source = source == -1
        for i, each in enumerate(found):
            if each.kind != kind:
                continue
            is_better = without_source[each.index] & (
                of_scan[each.index] == each.candidate
            )
            is_better &= each.scores > best_scores[each.index]
            index = each.index[is_better]
            source[index], best_scores[index] = i, each.scores[is_better]
            position[index] = each.solutions()[is_better]
        best_scores[:] = -np.inf
    return source, position


def _expand_to_all_points(values: np.ndarray, points: np.ndarray, n: int) -> np.ndarray:
    """Return values of some points in an array of all (n, ...), 0 elsewhere."""
    values = np.asarray(values)
    expanded = np.zeros((n, *values.shape[1:]), values.dtype)
    expanded[points] = values
    return expanded


def _set_rows(
    previous: np.ndarray | None, n: int, rows: np.ndarray, values: np.ndarray
) -> np.ndarray:
    """Return a property (n, ...) with values in some rows, widened if needed."""
    if values.dtype.kind == "u":
        values = values.astype("int64")
    if previous is None:
        previous = np.zeros((n, *([0] * (values.ndim - 1))), values.dtype)
        if values.ndim == 1:
            previous[:] = _get_fill_value(values.dtype)
    dtype = np.promote_types(previous.dtype, values.dtype)
    if values.ndim == 1 and previous.ndim == 1:
        widened = previous.astype(dtype)
        widened[rows] = values
        return widened
    if values.ndim > 2 or previous.ndim > 2:
        raise ValueError("Properties of indexed maps must have one or two dimensions")
    values, previous = (i if i.ndim == 2 else i[:, None] for i in (values, previous))
    n_columns = max(previous.shape[1], values.shape[1])
    widened = np.full((n, n_columns), _get_fill_value(dtype), dtype)
    widened[:, : previous.shape[1]] = previous
    widened[rows] = _get_fill_value(dtype)
    widened[rows, : values.shape[1]] = values
    return widened


def _get_fill_value(dtype: np.dtype) -> float | int | bool:
    return {"f": np.nan, "b": False}.get(np.dtype(dtype).kind, -1)


def _make_colors_distinct(phases: PhaseList) -> None:
    """Give phases the default colors if two are alike."""
    ids = [i for i in phases.ids if i != -1]
    if len({phases[i].color for i in ids}) < len(ids):
        palette = PhaseList(names=[str(i) for i in ids], ids=ids)
        for i in ids:
            phases[i].color = palette[i].color

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write maps of any shape to .ang files that can be read back."""

from itertools import takewhile
from pathlib import Path

import numpy as np
from orix import io
from orix.crystal_map import CrystalMap, Phase, PhaseList
from orix.quaternion import Rotation

# Lines of a header, of seven per phase, that orix reads
_MAX_HEADER = 1000


def write_ang(path: Path, xmap: CrystalMap, extra_prop: list[str]) -> None:
    """Write a map to an .ang file.

    Parameters
    ----------
    path
        File name ending with ``.ang``, which is replaced.
    xmap
        Map, of which the smallest rectangle with all points in the data
        is written.
    extra_prop
        Names of properties to write as columns of their own.

    Raises
    ------
    ValueError
        If the rectangle has one point, or the map so many phases that
        the file could not be read back.
    """
    rectangle = _Rectangle(xmap)
    check_ang_size(rectangle.size, path)
    io.save(str(path), rectangle, overwrite=True, extra_prop=extra_prop)
    with open(path) as file:
        n_lines = sum(1 for _ in takewhile(lambda line: line[0] == "#", file))
    if n_lines > _MAX_HEADER:
        raise ValueError(
            f"{path.name!r} would have {len(rectangle.phases.ids)} phases, whose "
            f"{n_lines} lines of header could not be read back, as {_MAX_HEADER} are. "
            "Write to a file ending with '.h5'"
        )


def check_ang_size(n_points: int, path: Path) -> None:
    """Raise an error if an .ang file of so many points cannot be read.

    Parameters
    ----------
    n_points
        Number of points to write.
    path
        File name, for the error.

    Raises
    ------
    ValueError
        If there is one point.
    """
    if n_points < 2:
        raise ValueError(
            f"{path.name!r} would have one point, and an .ang file of one point cannot "
            "be read back. Write to a file ending with '.h5'"
        )


class _Rectangle(CrystalMap):
    """Map of a full rectangle of points, which orix can write to .ang files.

    The writer of orix 0.15 fails on maps of one to three points, or
    those of which three points are left by a mask, since
    ``get_map_data()`` takes them for colors. It loses the positions of
    points in a column, and its files without any phase cannot be read.

    Parameters
    ----------
    xmap
        Any map, which is not changed. Points of the rectangle that are
        not in its data are not indexed in this one.
    """

    def __init__(self, xmap: CrystalMap) -> None:
        (row, n_rows), (column, n_columns) = (
            _index_along_axis(values, step)
            for values, step in ((xmap.y, xmap.dy), (xmap.x, xmap.dx))
        )
        size = n_rows * n_columns
        index = row * n_columns + column
        # Only the first of several rotations per point is written
        quaternions = np.tile([1.0, 0, 0, 0], (size, 1))
        first = xmap.rotations.data.reshape(xmap.size, -1, 4)[:, 0]
        quaternions[index] = first
        phase_id = np.full(size, -1)
        phase_id[index] = xmap.phase_id
        prop = {}
        for name in xmap.prop:
            values = np.asarray(xmap.prop[name])
            prop[name] = np.zeros((size, *values.shape[1:]), values.dtype)
            prop[name][index] = _replace_not_finite(values)
        # A line has the same step across as along it
        steps = [step or xmap.dx or xmap.dy or 1.0 for step in (xmap.dy, xmap.dx)]
        self._rectangle, self._steps = (n_rows, n_columns), steps
        y, x = np.indices(self._rectangle).reshape(2, -1)
        super().__init__(
            Rotation(quaternions),
            phase_id=phase_id,
            x=x * steps[1],
            y=y * steps[0],
            prop=prop,
            scan_unit=xmap.scan_unit,
        )
        self.phases = _choose_phases(xmap.phases, phase_id)

    @property
    def shape(self) -> tuple[int, int]:
        """Return the numbers of rows and columns."""
        return self._rectangle

    @property
    def dx(self) -> float:
        """Return the step along rows."""
        return self._steps[1]

    @property
    def dy(self) -> float:
        """Return the step along columns."""
        return self._steps[0]

    def get_map_data(
        self, item: str | np.ndarray, decimals: int | None = None, fill_value=np.nan
    ) -> np.ndarray:
        """Return values in the shape of the map, Euler angles of rotations."""
        if isinstance(item, str):
            values = getattr(self, item)
            values = values.to_euler() if item == "rotations" else values
        else:
            values = item
        values = np.asarray(values).reshape(self.shape + np.shape(values)[1:])
        return values if decimals is None else np.round(values, decimals)


def _index_along_axis(values: np.ndarray | None, step: float) -> tuple[np.ndarray, int]:
    """Return the index of every point along an axis, and their number."""
    if values is None or not step:
        return np.array(0), 1
    index = np.rint((values - values.min()) / step).astype(int)
    return index, int(index.max()) + 1


def _replace_not_finite(values: np.ndarray) -> np.ndarray:
    """Return values with zero for those that cannot be written."""
    if values.dtype.kind != "f":
        return values
    return np.where(np.isfinite(values), values, 0)


def _choose_phases(phases: PhaseList, phase_id: np.ndarray) -> PhaseList:
    """Return phases, at least one of them for points that are identified."""
    phases = phases.deepcopy()
    if -1 not in phases.ids and (phase_id == -1).any():
        phases.add_not_indexed()
    if not set(phases.ids) - {-1}:
        # Or the file could not be read
        phases.add(Phase("not identified"))
    return phases

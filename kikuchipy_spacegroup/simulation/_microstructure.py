# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Made-up maps of phases, grains and orientations."""

from collections.abc import Sequence
import math

import numpy as np
from orix.crystal_map import CrystalMap, Phase, PhaseList, create_coordinate_arrays
from orix.quaternion import Rotation
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree
from scipy.special import ndtr

from kikuchipy_spacegroup.maps._copy_map import copy_of

_COLORS = (
    "tab:blue tab:orange tab:green tab:red tab:purple tab:brown tab:pink tab:olive "
    "tab:cyan tab:gray"
).split()
# Standard deviation of a normal distribution over its full width at
# half maximum
_SIGMA_OF_WIDTH = 1 / math.sqrt(8 * math.log(2))
# Beyond as many standard deviations, nothing of a neighbor is seen
_REACH = 3.1
# Largest overlap in points
_WIDEST = 20


def random_map(
    phases: Sequence[Phase],
    shape: tuple[int, int] = (60, 80),
    *,
    phase_fractions: Sequence[float] | None = None,
    grain_size: float = 12.0,
    orientation_spread: float = 0.5,
    overlap: float = 1.0,
    step_size: float = 1.0,
    seed: int = 0,
) -> CrystalMap:
    r"""Return a map of random grains.

    Parameters
    ----------
    phases
        Phases with different names.
    shape
        Number of rows and columns.
    phase_fractions
        Share of the area per phase. If not given, all have the same.
    grain_size
        Mean size of the grains in points, as the diameter of a circle
        of their mean area.
    orientation_spread
        Mean angle in degrees of the orientations in a grain to its mean
        orientation.
    overlap
        Width of the volume patterns come from, in points up to 20. See
        :func:`overlap_grains`.
    step_size
        Distance of points in micrometers.
    seed
        Seed of the random numbers.

    Returns
    -------
    xmap
        Map with IDs of phases being their places in the list, and the
        properties

        * ``grain_id``, the grain of each point, numbered from 0
        * ``purity``, ``mixed_with`` and ``second_phase_id``, see
          :func:`overlap_grains`.

    Raises
    ------
    ValueError
        If phases share a name, fractions do not fit or add up to 1, or
        a number is out of range.

    See Also
    --------
    kikuchipy_spacegroup.simulation.simulate_scan
    orix.crystal_map.CrystalMap

    Notes
    -----
    Grains are the cells of a Voronoi tessellation of points placed at
    random. In random order, each gets the phase that lacks most area, so
    that fractions are right to within the area of a grain. Orientations
    of grains are uniformly distributed. Within grains, they vary
    smoothly about the mean orientation: the rotation vector is normal
    noise, smoothed over a quarter of the grain size.

    Boundaries are between points of the map, so that distances to them
    are not multiples of the step size.

    Examples
    --------
    >>> from orix.crystal_map import Phase
    >>> from kikuchipy_spacegroup.simulation import random_map
    >>> phases = [Phase("ferrite", space_group=229), Phase("FeAl", space_group=221)]
    >>> random_map(phases, (30, 40), phase_fractions=(0.7, 0.3))
    Phase  Orientations     Name  Space group  Point group  Proper point group       Color
        0   778 (64.8%)  ferrite        Im-3m         m-3m                 432    tab:blue
        1   422 (35.2%)     FeAl        Pm-3m         m-3m                 432  tab:orange
    Properties: grain_id, purity, mixed_with, second_phase_id
    Scan unit: um
    """
    _check_shape(shape)
    fractions = _check_fractions(phases, phase_fractions)
    for name, value, low, high in (
        ("grain_size", grain_size, 1, 1e6),
        ("orientation_spread", orientation_spread, 0, 60),
        ("overlap", overlap, 0, _WIDEST),
        ("step_size", step_size, 1e-6, 1e6),
    ):
        if not low <= value <= high:
            raise ValueError(f"{name} must be from {low:g} to {high:g}, not {value}")
    rng = np.random.default_rng(seed)
    labels, distance = _voronoi(shape, grain_size, rng)
    grain_phases = _assign_phases(np.bincount(labels.ravel()), fractions, rng)
    rotations = _draw_orientations(labels, grain_size, orientation_spread, rng)
    phase_id = grain_phases[labels.ravel()]
    coordinates, _ = create_coordinate_arrays(shape, (step_size, step_size))
    return CrystalMap(
        rotations=rotations,
        phase_id=phase_id,
        phase_list=_make_phase_list(phases, np.unique(phase_id).tolist()),
        prop={
            "grain_id": labels.ravel(),
            **_mix_grains(labels, phase_id, overlap, distance),
        },
        scan_unit="um",
        **coordinates,
    )


def overlap_grains(
    xmap: CrystalMap, grain_ids: np.ndarray, overlap: float = 1.0
) -> CrystalMap:
    r"""Return a map that tells which patterns overlap at boundaries.

    Parameters
    ----------
    xmap
        Map of one or two dimensions with all points in the data.
    grain_ids
        Grain of each of the n points, as from
        :func:`~kikuchipy_spacegroup.maps.grains_from_orientations`.
    overlap
        Width of the volume patterns come from, in points up to 20: the
        full width at half maximum of a normal distribution.

    Returns
    -------
    xmap
        Copy of the map with the properties of shape (n,)

        * ``grain_id``, the grains
        * ``purity``, the share of the point's own phase and orientation
          in its pattern. It is 0.5 on a boundary and 1 far from it.
        * ``mixed_with``, the ID of the nearest point in another grain,
          whose phase and orientation have the other share. -1 if the
          purity is 1.
        * ``second_phase_id``, the ID of the phase there. -1 if the
          purity is 1 or if that point is not indexed.

    Raises
    ------
    ValueError
        If grain IDs do not fit, points are not in the data, or the overlap
        is out of range.

    See Also
    --------
    random_map
    orix.crystal_map.CrystalMap

    Notes
    -----
    At the distance :math:`d` from a straight boundary, the purity is
    :math:`\Phi(d / \sigma)` with the cumulative normal distribution
    :math:`\Phi` and the standard deviation :math:`\sigma` of the volume
    across the boundary. Boundaries are taken to be half a step from the
    points next to them. Only two grains overlap, also where three meet.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.maps import grains_from_orientations
    >>> from kikuchipy_spacegroup.simulation import overlap_grains
    >>> s = kp.data.nickel_ebsd_small()
    >>> xmap = overlap_grains(s.xmap, grains_from_orientations(s.xmap))
    >>> xmap.get_map_data("purity").round(2)
    array([[0.88, 0.88, 1.  ],
           [0.88, 0.88, 1.  ],
           [0.88, 0.88, 1.  ]])
    """
    if not xmap.is_in_data.all() or xmap.size != math.prod(xmap.shape):
        raise ValueError(
            f"{xmap.size} of the {xmap.is_in_data.size} points of the map are in the "
            "data. Give a rectangular map with all of them"
        )
    grain_ids = np.asarray(grain_ids)
    if grain_ids.size != xmap.size or grain_ids.dtype.kind not in "ui":
        raise ValueError(
            f"grain_ids must be {xmap.size} integers, one per point of the map, not "
            f"{grain_ids.size} of type {grain_ids.dtype}"
        )
    if not 0 <= overlap <= _WIDEST:
        raise ValueError(f"overlap must be from 0 to {_WIDEST}, not {overlap}")
    grid = grain_ids.reshape(xmap.shape if xmap.ndim == 2 else (1, -1))
    mixed_map = copy_of(xmap)
    mixed_map.prop["grain_id"] = grain_ids.ravel().astype("int64")
    for name, values in _mix_grains(grid, xmap.phase_id, overlap).items():
        mixed_map.prop[name] = values
    return mixed_map


def _check_shape(shape: tuple[int, int]) -> None:
    if len(shape) != 2 or any(n != int(n) or n < 1 for n in shape):
        raise ValueError(f"shape must be the number of rows and columns, not {shape}")


def _check_fractions(
    phases: Sequence[Phase], fractions: Sequence[float] | None
) -> np.ndarray:
    """Return the fractions of phases, checked."""
    names = [phase.name for phase in phases]
    if len(names) == 0 or "" in names or len(set(names)) < len(names):
        raise ValueError(f"Phases must have different names, but are called {names}")
    if fractions is None:
        fractions = [1 / len(names)] * len(names)
    array = np.asarray(fractions, dtype="float64")
    if array.shape != (len(names),) or not (array >= 0).all():
        raise ValueError(
            f"phase_fractions must be one number per phase {names}, none negative, not "
            f"{fractions}"
        )
    if not abs(array.sum() - 1) < 1e-6:
        raise ValueError(f"phase_fractions must add up to 1, not to {array.sum():g}")
    return array


def _make_phase_list(phases: Sequence[Phase], ids: list[int]) -> PhaseList:
    """Return copies of the phases in a map in colors of their own."""
    copies = [phases[i].deepcopy() for i in ids]
    for i, phase in zip(ids, copies):
        phase.color = _COLORS[i % len(_COLORS)]
    return PhaseList(copies, ids=ids)


def _voronoi(
    shape: tuple[int, int], grain_size: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels in the order of their first points, and distances.

    Labels are of the shape of the map, and distances to the nearest
    boundary of shape (n,).
    """
    n = max(1, round(math.prod(shape) / (math.pi / 4 * grain_size**2)))
    seeds = rng.uniform(size=(n, 2)) * shape - 0.5
    points = np.indices(shape).reshape(2, -1).T
    nearest = KDTree(seeds).query(points)[1]
    # Without seeds of cells in which no point lies
    used, first, labels = np.unique(nearest, return_index=True, return_inverse=True)
    order = np.argsort(first)
    seeds = seeds[used[order]]
    labels = np.argsort(order)[labels]
    distance = np.full(len(points), np.inf)
    if len(seeds) > 1:
        radii, index = KDTree(seeds).query(points, k=2)
        spacing = np.linalg.norm(seeds[index[:, 0]] - seeds[index[:, 1]], axis=1)
        distance = (radii[:, 1] ** 2 - radii[:, 0] ** 2) / (2 * spacing)
    return labels.reshape(shape), distance


def _assign_phases(
    areas: np.ndarray, fractions: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return the index of the phase of every grain, of shape (n_grains,)."""
    phases = np.empty(len(areas), dtype="int64")
    lacking = fractions * areas.sum()
    for grain in rng.permutation(len(areas)):
        phases[grain] = np.argmax(lacking)
        lacking[phases[grain]] -= areas[grain]
    return phases


def _draw_orientations(
    labels: np.ndarray, grain_size: float, spread: float, rng: np.random.Generator
) -> Rotation:
    """Return rotations (n,) that vary smoothly within grains."""
    n, flat = labels.max() + 1, labels.ravel()
    quaternions = rng.normal(size=(n, 4))
    noise = rng.normal(size=(3, *labels.shape))
    smooth = gaussian_filter(noise, (0, grain_size / 4, grain_size / 4)).reshape(3, -1)
    counts = np.bincount(flat)
    smooth -= np.stack([np.bincount(flat, i) / counts for i in smooth])[:, flat]
    angle = np.linalg.norm(smooth, axis=0)
    axis = smooth / np.maximum(angle, 1e-12)
    angle = angle * np.deg2rad(spread) / max(angle.mean(), 1e-12)
    deviation = np.stack([np.cos(angle / 2), *(np.sin(angle / 2) * axis)], axis=1)
    mean = quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)
    return Rotation(deviation) * Rotation(mean)[flat]


def _mix_grains(
    labels: np.ndarray,
    phase_id: np.ndarray,
    overlap: float,
    distance: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Return the grains that overlap at each point, and how much.

    Distances to boundaries are taken from the points if not given.
    """
    sigma = overlap * _SIGMA_OF_WIDTH
    other, distance_to_other = _find_nearest_other(
        labels, _REACH * sigma + 1 if overlap else 0
    )
    if distance is None:
        distance = distance_to_other - 0.5
    purity = np.ones(labels.size)
    overlaps = (other >= 0) & (distance < _REACH * sigma)
    purity[overlaps] = ndtr(distance[overlaps] / max(sigma, 1e-12))
    other[~overlaps] = -1
    return {
        "purity": purity,
        "mixed_with": other,
        "second_phase_id": np.where(overlaps, phase_id[other], -1),
    }


def _find_nearest_other(
    labels: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return indices of and distances to the nearest points of others.

    Both are of shape (n,), -1 and infinity if there are none within the
    radius.
    """
    rows, columns = labels.shape
    reach = int(radius)
    y, x = (i.ravel() for i in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    offset_length = np.hypot(x, y)
    padded_index = np.full((rows + 2 * reach, columns + 2 * reach), -1, dtype="int64")
    inner = np.s_[reach : reach + rows, reach : reach + columns]
    padded_labels = padded_index.copy()
    padded_index[inner] = np.arange(labels.size).reshape(labels.shape)
    padded_labels[inner] = labels
    other = np.full(labels.shape, -1)
    distance = np.full(labels.shape, np.inf)
    for i in np.argsort(offset_length, kind="stable"):
        if not 0 < offset_length[i] <= radius:
            continue
        shifted = np.s_[
            reach + y[i] : reach + y[i] + rows, reach + x[i] : reach + x[i] + columns
        ]
        is_nearest = (
            (other < 0)
            & (padded_index[shifted] >= 0)
            & (padded_labels[shifted] != labels)
        )
        other[is_nearest] = padded_index[shifted][is_nearest]
        distance[is_nearest] = offset_length[i]
    return other.ravel(), distance.ravel()

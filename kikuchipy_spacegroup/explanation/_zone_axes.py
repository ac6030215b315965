# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zone axes of indexed patterns, and the weight maps give to them."""

from contextlib import redirect_stdout
from dataclasses import dataclass
import io
from typing import TYPE_CHECKING

import numpy as np
from orix.quaternion import Rotation
from scipy.stats import rankdata

from kikuchipy_spacegroup.master_patterns import reflecting_planes

if TYPE_CHECKING:
    from kikuchipy.detectors import EBSDDetector
    from kikuchipy.simulations import GeometricalKikuchiPatternSimulation
    from orix.crystal_map import Phase
    from orix.vector import Miller

# Zone axes are looked for where the strongest planes cross
_N_CROSSED = 100
# Pixels per pattern in the test of many orientations, about
_N_PIXELS = 4000


def main_zone_axes(phase: "Phase", *, min_strength: float = 0.5, **kwargs) -> "Miller":
    r"""Return the zone axes in which the most bands cross.

    Parameters
    ----------
    phase
        Phase with a space group and atoms.
    min_strength
        Smallest strength of a zone axis, relative to the strongest.
    **kwargs
        Keyword arguments passed on to
        :func:`~kikuchipy_spacegroup.master_patterns.reflecting_planes`.

    Returns
    -------
    zone_axes
        Zone axes [uvw] with all that are symmetrically equivalent, the
        strongest first.

    Raises
    ------
    ImportError
        If the package diffsims is not installed.
    ValueError
        If the phase has no space group or no atoms, or if no planes
        reflect.

    See Also
    --------
    simulate_geometry, kikuchipy_spacegroup.master_patterns.reflecting_planes

    Notes
    -----
    The strength of a zone axis is :math:`\sum |F_{hkl}|` over the
    reflecting planes with :math:`hu + kv + lw = 0`.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.explanation import main_zone_axes
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    >>> axes = main_zone_axes(mp.phase, min_strength=0.6, lattice_unit="nm")
    >>> axes.size
    18
    >>> axes[[0, -1]].coordinates.round().astype(int)
    array([[-1, -1,  0],
           [ 1,  0,  0]])
    """
    from orix.vector import Miller

    planes = reflecting_planes(phase, **kwargs)
    hkl = np.rint(planes.hkl).astype(int)
    factor = np.abs(planes.structure_factor)
    strongest = hkl[np.argsort(-factor, kind="stable")[:_N_CROSSED]]
    uvw = np.cross(strongest[:, None], strongest[None]).reshape(-1, 3)
    uvw = uvw[uvw.any(axis=1)]
    uvw = np.unique(uvw // np.gcd.reduce(uvw, axis=1, keepdims=True), axis=0)
    strength = (uvw @ hkl.T == 0) @ factor
    strength /= strength.max()
    order = np.argsort(-strength.round(6), kind="stable")
    order = order[strength[order] >= min_strength]
    return Miller(uvw=uvw[order], phase=planes.phase)


def simulate_geometry(
    phase: "Phase",
    detector: "EBSDDetector",
    rotation: Rotation,
    *,
    min_structure_factor: float = 0.5,
    **kwargs,
) -> "GeometricalKikuchiPatternSimulation":
    """Return bands and zone axes on the detector, by kikuchipy.

    Parameters
    ----------
    phase
        Phase with a space group and atoms.
    detector
        Detector with one projection center, or one per rotation.
    rotation
        Orientations of the crystal.
    min_structure_factor
        Smallest structure factor of the bands, relative to the largest.
    **kwargs
        Keyword arguments passed on to
        :func:`~kikuchipy_spacegroup.master_patterns.reflecting_planes`.

    Returns
    -------
    simulation
        Simulation from
        :meth:`kikuchipy.simulations.KikuchiPatternSimulator.on_detector`.

    Raises
    ------
    ImportError
        If the package diffsims is not installed.
    ValueError
        If the phase has no space group or no atoms, or if no planes
        reflect.

    See Also
    --------
    main_zone_axes
    kikuchipy.simulations.KikuchiPatternSimulator.on_detector

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.explanation import simulate_geometry
    >>> s = kp.data.nickel_ebsd_small()
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    >>> detector = kp.detectors.EBSDDetector(shape=(60, 60))
    >>> rotations = s.xmap.rotations[:1]
    >>> simulation = simulate_geometry(
    ...     mp.phase, detector, rotations, lattice_unit="nm"
    ... )
    >>> simulation.detector.shape
    (60, 60)
    """
    from kikuchipy.simulations import KikuchiPatternSimulator

    planes = reflecting_planes(
        phase, min_structure_factor=min_structure_factor, **kwargs
    )
    # Without a progress bar, which has no switch
    with redirect_stdout(io.StringIO()):
        return KikuchiPatternSimulator(planes).on_detector(detector, rotation)


@dataclass(frozen=True)
class ZoneAxisTest:
    """Whether maps have more weight near zone axes than by chance.

    Parameters
    ----------
    auc
        Area under the curve of every map, see
        :func:`zone_axis_test`, NaN where it is not defined.
    weight_ratio
        Share of every map's weight near the zone axes, divided by the
        share of the area near them.
    control
        Mean of such areas for every random turn of the crystals, if
        there are zone axes in any pattern then.

    See Also
    --------
    zone_axis_test

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.explanation import ZoneAxisTest
    >>> result = ZoneAxisTest(
    ...     auc=np.array([0.75, 0.65]),
    ...     weight_ratio=np.array([1.4, 1.2]),
    ...     control=np.array([0.5, 0.45, 0.55]),
    ... )
    >>> result
    ZoneAxisTest of 2 map(s): AUC 0.700 (random 0.500 +/- 0.050, p = 0.25),
    weight ratio 1.30
    >>> result.p_value
    0.25
    """

    auc: np.ndarray
    weight_ratio: np.ndarray
    control: np.ndarray

    @property
    def mean_auc(self) -> float:
        """Return the mean of *auc* over the maps."""
        return _average_finite(self.auc)

    @property
    def z_score(self) -> float:
        """Return the z-score: by how many standard deviations it is off the control."""
        spread = self.control.std(ddof=1)
        return float((self.mean_auc - self.control.mean()) / spread) if spread else 0.0

    @property
    def p_value(self) -> float:
        """Return the chance that random orientations give as much."""
        n_as_high = int((self.control >= self.mean_auc).sum())
        return (1 + n_as_high) / (1 + self.control.size)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__} of {self.auc.size} map(s): AUC {self.mean_auc:.3f} "
            f"(random {self.control.mean():.3f} +/- {self.control.std(ddof=1):.3f}, "
            f"p = {self.p_value:.2g}), "
            f"weight ratio {_average_finite(self.weight_ratio):.2f}"
        )


def _average_finite(values: np.ndarray) -> float:
    """Return the mean of those that are defined, or NaN if none is."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")


def zone_axis_test(
    maps: np.ndarray,
    rotations: Rotation,
    detector: "EBSDDetector",
    zone_axes: "Miller",
    *,
    radius: float = 5,
    n_random: int = 999,
    seed: int = 0,
) -> ZoneAxisTest:
    r"""Test whether maps have more weight near zone axes than by chance.

    Parameters
    ----------
    maps
        Maps of shape (n, rows, columns) in the frame of the patterns,
        from :func:`~kikuchipy_spacegroup.explanation.to_pattern_frame`.
        Pixels which are NaN are left out.
    rotations
        Orientations of the n patterns, of shape (n,).
    detector
        Detector of the maps' shape, with one projection center or n.
    zone_axes
        Zone axes, from :func:`main_zone_axes`.
    radius
        Angle to a zone axis in degrees up to which a pixel is near it.
    n_random
        Number of random orientations to compare with.
    seed
        Seed of the random orientations.

    Returns
    -------
    result
        Numbers of every map, and of the random orientations.

    Raises
    ------
    ValueError
        If shapes do not fit, or a number is out of range.

    See Also
    --------
    main_zone_axes, to_pattern_frame

    Notes
    -----
    With P the pixels near a zone axis, Q the other ones and M the map,

    .. math::

        \mathrm{AUC} = \frac{1}{|P||Q|} \sum_{p \in P, q \in Q}
        [M(p) > M(q)] + \frac{1}{2} [M(p) = M(q)]

    is the chance that a pixel near a zone axis has the higher value, the
    area under the receiver operating characteristic: 0.5 if the map
    does not tell them apart. The weight ratio is

    .. math::

        \frac{\sum_P M}{\sum_{P \cup Q} M} \Big/ \frac{|P|}{|P \cup Q|}

    A map that always has its weight in the center would have both above
    chance in some orientations. The control is therefore the same maps
    with the crystals of all patterns turned together, by rotations
    drawn uniformly from SO(3): each orientation is then random, but
    patterns of one grain stay patterns of one grain, so that n patterns
    of the same orientation do not pass for n independent ones. The p-value is
    :math:`(1 + k) / (1 + n)` if k of n controls have a mean AUC as
    high.

    Of large patterns, every few rows and columns are used.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.explanation import main_zone_axes, zone_axis_test
    >>> s = kp.data.nickel_ebsd_small()
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    >>> axes = main_zone_axes(mp.phase, min_strength=0.6, lattice_unit="nm")
    >>> maps = np.ones((9, 60, 60), dtype="float32")
    >>> result = zone_axis_test(maps, s.xmap.rotations, s.detector, axes, n_random=9)
    >>> result.auc.shape, float(result.auc[0])
    ((9,), 0.5)
    """
    maps = np.asarray(maps, dtype="float64")
    n = len(maps)
    if maps.ndim != 3 or maps.shape[1:] != tuple(detector.shape):
        raise ValueError(
            f"Maps must have the shape (n, {detector.shape[0]}, {detector.shape[1]}) of "
            f"patterns on the detector, not {maps.shape}. Use `to_pattern_frame()`"
        )
    if rotations.size != n or detector.navigation_size not in (1, n):
        raise ValueError(
            f"{n} maps need {n} rotations and one or {n} projection centers, not "
            f"{rotations.size} and {detector.navigation_size}"
        )
    if not 0 < radius < 90 or n_random < 2:
        raise ValueError(
            "radius must be in (0, 90) degrees and n_random at least 2, not "
            f"{radius} and {n_random}"
        )
    step = max(1, round(np.sqrt(np.prod(detector.shape) / _N_PIXELS)))
    maps = maps[:, step // 2 :: step, step // 2 :: step].reshape(n, -1)
    directions, to_crystal = _calculate_directions(rotations, detector)
    directions = directions[:, step // 2 :: step, step // 2 :: step].reshape(n, -1, 3)
    # Of a zone axis and its opposite, one is enough
    axes = zone_axes.unit.data.reshape(-1, 3)
    _, unique_axes = np.unique(_remove_sign(axes).round(6), axis=0, return_index=True)
    min_cosine = np.cos(np.deg2rad(radius))
    turns = _draw_random_matrices(n_random, seed)
    auc, ratio = np.full((2, n), np.nan)
    control = np.full((n, n_random), np.nan)
    for i, valid in enumerate(np.isfinite(maps)):
        weight, valid_directions = maps[i][valid], directions[i][valid]
        ranks = rankdata(weight)
        on_detector = axes[unique_axes] @ to_crystal[i]
        near = _is_near_axis(valid_directions, on_detector, min_cosine)
        auc[i] = _calculate_auc(ranks, near)
        if near.any() and weight.sum() > 0:
            ratio[i] = weight[near].sum() / weight.sum() / near.mean()
        for j, turn in enumerate(turns):
            control[i, j] = _calculate_auc(
                ranks, _is_near_axis(valid_directions, on_detector @ turn, min_cosine)
            )
    means = np.array([_average_finite(column) for column in control.T])
    return ZoneAxisTest(auc, ratio, means[np.isfinite(means)])


def _remove_sign(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (n, 3) turned so that their last nonzero number is positive."""
    vectors = np.where(np.abs(vectors) < 1e-6, 0, vectors)
    last = np.where(
        vectors[:, 2] != 0,
        vectors[:, 2],
        np.where(vectors[:, 1] != 0, vectors[:, 1], vectors[:, 0]),
    )
    return vectors * np.sign(last)[:, None]


def _draw_random_matrices(n: int, seed: int) -> np.ndarray:
    """Return rotation matrices drawn uniformly from SO(3), of shape (n, 3, 3)."""
    quaternions = np.random.default_rng(seed).normal(size=(n, 4))
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    return Rotation(quaternions).to_matrix()


def _calculate_directions(
    rotations: Rotation, detector: "EBSDDetector"
) -> tuple[np.ndarray, np.ndarray]:
    """Return where pixels are, and matrices from there to the crystals.

    Returns
    -------
    directions
        Unit vectors of shape (n, rows, columns, 3) in the frame of the
        detector.
    to_crystal
        Matrices of shape (n, 3, 3).
    """
    rows, columns = detector.shape
    pcx, pcy, pcz = np.broadcast_to(detector.pc_flattened, (rotations.size, 3)).T
    x = (np.arange(columns) + 0.5) / columns - pcx[:, None]
    y = pcy[:, None] - (np.arange(rows) + 0.5) / rows
    directions = np.empty((rotations.size, rows, columns, 3))
    directions[..., 0] = (x * detector.aspect_ratio)[:, None, :]
    directions[..., 1] = y[:, :, None]
    directions[..., 2] = pcz[:, None, None]
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    to_detector = detector.sample_to_detector.to_matrix().squeeze()
    return directions, rotations.flatten().to_matrix() @ to_detector.T


def _is_near_axis(directions: np.ndarray, axes: np.ndarray, limit: float) -> np.ndarray:
    """Return which directions (n, 3) are near one of the axes (m, 3), (n,)."""
    return np.abs(directions @ axes.T).max(axis=1) >= limit


def _calculate_auc(ranks: np.ndarray, near: np.ndarray) -> float:
    """Return the area under the curve, from ranks of the values."""
    n = int(near.sum())
    if n in (0, near.size):
        return np.nan
    return (ranks[near].sum() - n * (n + 1) / 2) / (n * (near.size - n))

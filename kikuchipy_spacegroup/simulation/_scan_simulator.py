# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulate the patterns of a map, some points at a time."""

from collections.abc import Sequence
import math
from typing import TYPE_CHECKING

from kikuchipy.detectors import EBSDDetector
from kikuchipy.signals import EBSDMasterPattern
import numpy as np
from orix.quaternion import Rotation

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

    from kikuchipy_spacegroup.simulation._camera import Camera


class Points:
    """The master patterns, detector and camera of the points of a map."""

    def __init__(
        self,
        xmap: "CrystalMap",
        masters: dict[str, EBSDMasterPattern],
        detector: EBSDDetector,
        camera: "Camera",
        dtype: np.dtype,
        seed: int,
    ) -> None:
        check_detector(detector, xmap.shape)
        self.phase_id = _check_map(xmap, masters)
        indexed = [i for i in np.unique(self.phase_id).tolist() if i != -1]
        self.names = [xmap.phases[i].name for i in indexed]
        self.masters = {i: masters[xmap.phases[i].name] for i in indexed}
        self.quaternions = xmap.rotations.data.reshape(xmap.size, -1, 4)[:, 0]
        self.purity = np.ones(xmap.size)
        self.mixed_with = np.full(xmap.size, -1)
        if "purity" in xmap.prop:
            self.purity = xmap.prop["purity"]
            self.mixed_with = xmap.prop["mixed_with"].astype("int64")
        self.detector = detector.deepcopy()
        self.pc = detector.pc_flattened
        self.camera, self.dtype, self.seed = camera, dtype, seed
        self.background = camera.background(detector)

    def patterns(self, index: np.ndarray) -> np.ndarray:
        """Return recorded patterns of points of any shape."""
        points = index.ravel()
        signal = self._project_patterns(points, points) * self._reshape_shares(
            self.purity[points]
        )
        mixed = np.flatnonzero(self.purity[points] < 1)
        if len(mixed):
            mixed_points = points[mixed]
            other = self._project_patterns(self.mixed_with[mixed_points], mixed_points)
            signal[mixed] += other * self._reshape_shares(1 - self.purity[mixed_points])
        expected = self.camera.expected(signal, self.background)
        patterns = np.empty(expected.shape, self.dtype)
        for i, point in enumerate(points.tolist()):
            rng = np.random.default_rng([self.seed, point + 1])
            recorded = self.camera.record(expected[i], rng)
            patterns[i] = self.camera.digitize(recorded, self.background, self.dtype)
        return patterns.reshape(index.shape + patterns.shape[1:])

    def _reshape_shares(self, values: np.ndarray) -> np.ndarray:
        return values[:, np.newaxis, np.newaxis]

    def _project_patterns(self, sources: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return patterns (n, rows, columns) of sources, projected as at points."""
        signal = np.zeros((len(points), *self.detector.shape))
        for i, master in self.masters.items():
            of_phase = np.flatnonzero(self.phase_id[sources] == i)
            if len(of_phase) == 0:
                continue
            detector = self.detector
            if len(self.pc) > 1:
                detector = detector.deepcopy()
                detector.pc = self.pc[points[of_phase]]
            projected = master.get_patterns(
                Rotation(self.quaternions[sources[of_phase]]),
                detector,
                chunk_shape=len(of_phase),
            )
            signal[of_phase] = projected.data.compute(scheduler="synchronous")
        return signal


def standardized_masters(
    signals: Sequence[EBSDMasterPattern], energy: float | None
) -> dict[str, EBSDMasterPattern]:
    """Return standardized master patterns of one energy by name."""
    if isinstance(signals, EBSDMasterPattern):
        signals = [signals]
    masters = {}
    for signal in signals:
        if not isinstance(signal, EBSDMasterPattern):
            raise TypeError(
                f"Master patterns must be kikuchipy EBSDMasterPattern signals, not "
                f"{type(signal).__name__}"
            )
        name = _check_master(signal)
        if name in masters:
            raise ValueError(f"Two master patterns are of a phase named {name!r}")
        masters[name] = _standardize_master(signal, energy)
    if not masters:
        raise ValueError("There must be at least one master pattern")
    return masters


def _check_master(signal: EBSDMasterPattern) -> str:
    """Return the name of the phase if patterns can be projected."""
    phase = signal.phase
    if not phase.name:
        raise ValueError(
            f"The phase of master pattern {signal.metadata.General.title!r} has no "
            "name. Set `master_pattern.phase.name`"
        )
    if phase.point_group is None:
        raise ValueError(
            f"Phase {phase.name!r} of a master pattern has no point group. Set "
            "`master_pattern.phase.space_group`"
        )
    if signal.projection != "lambert":
        raise ValueError(
            f"Master pattern of {phase.name!r} is in the {signal.projection} "
            "projection. Load it with `projection='lambert'`, or use `as_lambert()`"
        )
    if signal.hemisphere != "both" and not phase.point_group.contains_inversion:
        raise ValueError(
            f"Master pattern of {phase.name!r} has one hemisphere, but the point group "
            f"{phase.point_group.name} has no inversion center. Load it with "
            "`hemisphere='both'`"
        )
    return phase.name


def _standardize_master(
    signal: EBSDMasterPattern, energy: float | None
) -> EBSDMasterPattern:
    """Return a master pattern of mean 0 and standard deviation 1."""
    data = signal.data
    if "energy" in [axis.name for axis in signal.axes_manager.navigation_axes]:
        energies = signal.axes_manager["energy"].axis
        energy = energies.max() if energy is None else energy
        if not energies.min() <= energy <= energies.max():
            raise ValueError(
                f"Master pattern of {signal.phase.name!r} has energies from "
                f"{energies.min():g} to {energies.max():g} keV, not {energy}"
            )
        # Hemispheres come before energies, if there are two
        data = data[..., np.argmin(np.abs(energies - energy)), :, :]
    data = np.asarray(data, dtype="float64")
    mean, std = data.mean(), data.std()
    if not np.isfinite(std) or std == 0:
        raise ValueError(
            f"Master pattern of {signal.phase.name!r} has a standard deviation of "
            f"{std}. Its intensities should be finite and not all the same"
        )
    data = ((data - mean) / std).astype("float32")
    data = np.broadcast_to(data, (2, *data.shape[-2:]))
    return EBSDMasterPattern(
        np.ascontiguousarray(data),
        projection="lambert",
        hemisphere="both",
        phase=signal.phase.deepcopy(),
    )


def _check_map(xmap: "CrystalMap", masters: dict[str, EBSDMasterPattern]) -> np.ndarray:
    """Return IDs of phases if all points of a map can be simulated."""
    if not xmap.is_in_data.all() or xmap.size != math.prod(xmap.shape):
        raise ValueError(
            f"{xmap.size} of the {xmap.is_in_data.size} points of the map are in the "
            "data. Give a rectangular map with all of them, and with those without "
            "diffraction not indexed (-1)"
        )
    for i, phase in xmap.phases_in_data:
        if i == -1:
            continue
        if phase.name not in masters:
            raise ValueError(
                f"There is no master pattern of the phase {phase.name!r} in the map, "
                f"but of {list(masters)}"
            )
        group = masters[phase.name].phase.point_group
        if phase.point_group is not None and phase.point_group != group:
            raise ValueError(
                f"The point group of the phase {phase.name!r} is "
                f"{phase.point_group.name} in the map and {group.name} in the master "
                "pattern"
            )
    mixture = {"purity", "mixed_with"} & set(xmap.prop)
    if len(mixture) == 1:
        raise ValueError(
            f"The map has the property {mixture.pop()!r}, but patterns overlap by "
            "'purity' and 'mixed_with'. Make both with `overlap_grains()`"
        )
    if mixture:
        purity, other = xmap.prop["purity"], xmap.prop["mixed_with"]
        if (
            not ((purity >= 0) & (purity <= 1)).all()
            or not ((other[purity < 1] >= 0) & (other[purity < 1] < xmap.size)).all()
        ):
            raise ValueError(
                "The property 'purity' of the map must be from 0 to 1, and "
                "'mixed_with' the ID of a point where it is below 1"
            )
    return xmap.phase_id


def check_detector(detector: EBSDDetector, shape: tuple[int, ...]) -> None:
    if min(detector.shape) < 8:
        raise ValueError(
            f"Patterns of shape {detector.shape} are too small, 8 x 8 is least"
        )
    if detector.navigation_shape not in ((1,), shape):
        raise ValueError(
            f"The detector has projection centers of shape "
            f"{detector.navigation_shape}, but must have one, or one per point of the "
            f"scan of shape {shape}"
        )

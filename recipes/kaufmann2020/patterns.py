# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulate patterns of the 18 materials as two cameras record them."""

from collections.abc import Sequence
from dataclasses import dataclass
import logging
import os
from pathlib import Path
from typing import NamedTuple

import keras
from kikuchipy.detectors import EBSDDetector
from kikuchipy.pattern import get_image_quality
import numpy as np
from orix.quaternion import Rotation

from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.patterns import PreparePatterns
from kikuchipy_spacegroup.simulation import (
    Acquisition,
    ProjectPatterns,
    SimulateCamera,
    detector_parameters,
)

_logger = logging.getLogger("kaufmann2020")
BATCH = 50
# One fixed geometry for all materials: Bruker's convention, fractions of the height
PROJECTION_CENTER = (0.5, 0.4, 0.6)
# Standard deviation of the angle between a pattern and its grain in degrees
SPREAD = 0.5
# Standard deviation of the diffraction signal over the mean intensity
CONTRAST = (0.05, 0.1)
# The same sample preparation and screen for all. The background is corrected, as the
# paper's camera does; grain boundaries are one in twenty patterns
_COMMON = {
    "contrast": CONTRAST,
    "gamma": (0.9, 1.1),
    "compression": (0.0, 0.0),
    "overlap": (0.0, 0.5),
    "overlap_probability": 0.05,
    "excess_deficiency": (0.1, 0.3),
    "blotches": (0.0, 0.15),
    "vignetting": (0.3, 0.6),
    "tilt": (-0.2, 0.2),
    "raw_probability": 0.0,
    "marks_probability": 0.0,
    "dead_pixels": (0.0, 0.0),
    "aperture_probability": 0.0,
    "shadow_probability": 0.0,
    "saturation_probability": 0.0,
}


@dataclass(frozen=True)
class Camera:
    """A camera and how it is used.

    Parameters
    ----------
    rows
        Number of rows, of which the central square is used.
    n_frames
        Number of frames averaged.
    electrons
        Lowest and highest mean number of electrons detected per pixel
        and frame.
    read_noise
        Standard deviation of the read-out noise in electrons.
    point_spread
        Lowest and highest standard deviation of the point spread in
        pixels.
    """

    rows: int
    n_frames: int
    electrons: tuple[float, float]
    read_noise: float
    point_spread: tuple[float, float]

    @property
    def acquisition(self) -> Acquisition:
        """Return what the camera does to patterns."""
        return Acquisition.from_dose(
            self.electrons,
            n_frames=self.n_frames,
            read_noise=self.read_noise,
            resolution=(self.rows, self.rows),
            point_spread=self.point_spread,
            **_COMMON,
        )


CAMERAS = {
    # 1244 x 1024 px, 30 frames averaged: the paper's
    "paper": Camera(1024, 30, (100, 200), 5, (1.0, 3.0)),
    # 156 x 128 px, one frame: thousands of patterns per second
    "fast": Camera(128, 1, (100, 200), 5, (0.4, 0.8)),
}


class Patterns(NamedTuple):
    """Patterns of one material.

    Parameters
    ----------
    patterns
        Patterns of shape (n, size, size) and dtype uint8.
    rotations
        Quaternions from the sample to the crystal frame, shape (n, 4).
    quality
        Image quality as kikuchipy computes it, shape (n,).
    correlation
        Normalised cross-correlation of the prepared pattern with the
        one before it was recorded, shape (n,): what is left of the
        diffraction signal.
    """

    patterns: np.ndarray
    rotations: np.ndarray
    quality: np.ndarray
    correlation: np.ndarray


def load_patterns(path: Path) -> Patterns:
    """Return patterns from a file written by :func:`write_patterns`."""
    with np.load(path) as file:
        return Patterns(*(file[name] for name in Patterns._fields))


def write_patterns(
    folder: Path,
    library: MasterPatternLibrary,
    camera: str,
    n: int,
    size: int,
    n_grains: int | None = None,
) -> None:
    """Simulate the patterns of a camera that are not there yet.

    Parameters
    ----------
    folder
        Folder that gets a file per material.
    library
        Master patterns of the materials.
    camera
        Name of the camera.
    n
        Number of patterns per material.
    size
        Side length to reduce patterns to.
    n_grains
        Number of grains the patterns of a material are of. If None,
        every pattern is of a grain of its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Simulated finer than they are kept, as no camera samples points
    side = min(CAMERAS[camera].rows, 2 * size)
    project = ProjectPatterns(library, (side, side))
    for i, name in enumerate(library.phase_names):
        path = folder / f"{name}.npz"
        if path.exists():
            continue
        patterns = simulate(project, library, i, camera, n, size, n_grains)
        part = path.with_suffix(".part")
        with open(part, "wb") as file:
            np.savez(file, **patterns._asdict())
        os.replace(part, path)
        _logger.info("%i patterns of %s, %s camera", n, name, camera)


def simulate(
    project: ProjectPatterns,
    library: MasterPatternLibrary,
    phase: int,
    camera: str,
    n: int,
    size: int,
    n_grains: int | None = None,
) -> Patterns:
    """Return patterns of one phase in uniformly distributed orientations
    of patterns or grains.
    """
    seed = [list(CAMERAS).index(camera), phase]
    rng = np.random.default_rng(seed)
    side = project.shape[0]
    record = SimulateCamera(
        CAMERAS[camera].acquisition, size=side, seed=int(rng.integers(2**31))
    )
    prepare = PreparePatterns(size)
    rotations = Rotation(rng.normal(size=(n_grains or n, 4))).unit
    if n_grains:
        axes = rng.normal(size=(n, 3))
        angles = rng.normal(scale=SPREAD, size=n)
        within = Rotation.from_axes_angles(axes, angles, degrees=True)
        rotations = within * rotations[rng.integers(n_grains, size=n)]
    detector = EBSDDetector((side, side), pc=PROJECTION_CENTER, sample_tilt=70)
    orientation, geometry = detector_parameters(rotations, detector)
    entry = int(np.flatnonzero(library.phase_index == phase)[0])
    patterns, correlation = [], []
    for j in range(0, n, BATCH):
        part = slice(j, j + BATCH)
        m = len(orientation[part])
        ideal = project(
            {
                "upper": np.full(m, library.upper[entry], "int32"),
                "lower": np.full(m, library.lower[entry], "int32"),
                "orientation": orientation[part],
                "geometry": geometry[part],
            }
        )
        recorded = record_patterns(record, prepare, ideal)
        patterns.append(recorded)
        before, after = (
            keras.ops.convert_to_numpy(prepare(p[..., None]))[..., 0]
            for p in (keras.ops.convert_to_numpy(ideal), recorded)
        )
        norm = np.sqrt((before**2).sum((1, 2)) * (after**2).sum((1, 2)))
        correlation.append((before * after).sum((1, 2)) / norm)
    patterns = np.concatenate(patterns)
    return Patterns(
        patterns,
        rotations.data.astype("float32"),
        np.array([get_image_quality(p) for p in patterns], "float32"),
        np.concatenate(correlation).astype("float32"),
    )


def record_patterns(
    record: SimulateCamera, prepare: PreparePatterns, ideal: np.ndarray
) -> np.ndarray:
    """Return patterns as a camera records them and as they are kept.

    Parameters
    ----------
    record
        The camera.
    prepare
        What has the size to reduce patterns to.
    ideal
        Patterns of shape (n, side, side) without noise.

    Returns
    -------
    recorded
        Patterns of shape (n, size, size) and dtype uint8.
    """
    reduced = prepare.resize(record(ideal)[..., None])[0]
    return _to_8_bit(keras.ops.convert_to_numpy(reduced))


def ideal_patterns(
    library: MasterPatternLibrary,
    names: Sequence[str],
    orientation: np.ndarray,
    pc: tuple[float, float, float],
    side: int,
) -> np.ndarray:
    """Return patterns of several materials without noise.

    Parameters
    ----------
    library
        Master patterns of the materials.
    names
        Names of the materials.
    orientation
        Matrix from the detector to the crystal frame, of all patterns or
        one for each of shape (n, 3, 3).
    pc
        Projection center in Bruker's convention.
    side
        Side length in pixels.

    Returns
    -------
    patterns
        Patterns of shape (n, side, side).
    """
    index = [library.phase_names.index(name) for name in names]
    entries = [int(np.flatnonzero(library.phase_index == i)[0]) for i in index]
    n = len(names)
    recipe = {
        "upper": library.upper[entries].astype("int32"),
        "lower": library.lower[entries].astype("int32"),
        "orientation": np.broadcast_to(orientation, (n, 3, 3)).astype("float32"),
        "geometry": np.tile([*pc, 1, 0], (n, 1)).astype("float32"),
    }
    return keras.ops.convert_to_numpy(ProjectPatterns(library, (side, side))(recipe))


def recorded_patterns(
    library: MasterPatternLibrary,
    names: Sequence[str],
    rotations: Rotation,
    camera: str,
    size: int,
    seed: int = 1,
) -> np.ndarray:
    """Return patterns of materials as networks were trained on.

    Parameters
    ----------
    library
        Master patterns of the materials.
    names
        Names of the materials.
    rotations
        Orientation of all patterns, or one for each.
    camera
        Name of the camera.
    size
        Side length patterns are reduced to, that of the model.
    seed
        Seed of the camera's noise.

    Returns
    -------
    patterns
        Patterns of shape (n, size, size) and dtype uint8.
    """
    side = min(CAMERAS[camera].rows, 2 * size)
    detector = EBSDDetector((side, side), pc=PROJECTION_CENTER, sample_tilt=70)
    orientation, _ = detector_parameters(rotations, detector)
    ideal = ideal_patterns(library, names, orientation, PROJECTION_CENTER, side)
    record = SimulateCamera(CAMERAS[camera].acquisition, size=side, seed=seed)
    return record_patterns(record, PreparePatterns(size), ideal)


def _to_8_bit(patterns: np.ndarray) -> np.ndarray:
    """Return every pattern in 256 steps from its lowest to highest value."""
    low = patterns.min(axis=(1, 2), keepdims=True)
    high = patterns.max(axis=(1, 2), keepdims=True)
    return np.rint(255 * (patterns - low) / (high - low)).astype("uint8")

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instrument unlike those the default model was trained for.

Simulated, since there are too few labelled real patterns to adapt to
and to judge by: a blurred, flat and noisy camera with strong excess and
deficiency, outside of the ranges in training, and materials never
trained on.
"""

from dataclasses import replace

from kikuchipy.signals import EBSD
import numpy as np

from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.simulation import (
    Acquisition,
    Geometry,
    ProjectPatterns,
    SimulateCamera,
)
from kikuchipy_spacegroup.training import SimulatedDataset
from recipes.default_model.training.calibrate import CALIBRATION

SIDE = 96
CAMERA = replace(
    Acquisition(),
    gamma=(2.2, 2.4),
    excess_deficiency=(0.9, 1.2),
    resolution=(60, 61),
    point_spread=(1.3, 1.5),
    noise=(0.6, 0.9),
    blotches=(0.7, 0.9),
    raw_probability=0.0,
    overlap_probability=0.0,
    marks_probability=0.0,
    aperture_probability=0.0,
    shadow_probability=0.0,
    saturation_probability=0.0,
)
GEOMETRY = Geometry(
    pcx=(0.49, 0.51), pcy=(0.2, 0.22), pcz=(0.5, 0.52), distortion=(0, 0), stretch=0
)


def materials(library: MasterPatternLibrary) -> MasterPatternLibrary:
    """Return the materials not trained on, nor used to choose a model."""
    return library.select(exclude=CALIBRATION)


def random_instrument(seed: int) -> tuple[Acquisition, Geometry]:
    """Return a camera, within the ranges in training or somewhat beyond, and where."""
    rng = np.random.default_rng([seed, 5])
    resolution = np.exp(rng.uniform(*np.log([50, 200])))
    noise = np.exp(rng.uniform(*np.log([0.5, 1.5])))
    camera = replace(
        CAMERA,
        gamma=_around(rng.uniform(0.6, 2.3), 0.1),
        compression=_around(rng.uniform(0.1, 1.1), 0.05),
        excess_deficiency=_around(rng.uniform(-1.1, 1.1), 0.1),
        resolution=_around(resolution, 0.5),
        point_spread=_around(rng.uniform(0.3, 1.5), 0.05),
        noise=_around(noise, 0.15 * noise),
        blotches=_around(rng.uniform(0.1, 0.9), 0.1),
    )
    x, y, z = rng.uniform((0.45, 0.1, 0.45), (0.55, 0.45, 0.8))
    pc = {"pcx": _around(x, 0.01), "pcy": _around(y, 0.01), "pcz": _around(z, 0.01)}
    return camera, replace(GEOMETRY, **pc)


def _around(value: float, width: float) -> tuple[float, float]:
    return float(value - width), float(value + width)


def scan(
    library: MasterPatternLibrary,
    n: int,
    seed: int,
    acquisition: Acquisition = CAMERA,
    geometry: Geometry = GEOMETRY,
) -> tuple[EBSD, np.ndarray, np.ndarray]:
    """Return n patterns per phase, their space groups and phase names."""
    dataset = SimulatedDataset(
        library, sorted(set(library.space_groups.tolist())), geometry=geometry
    )
    rng = np.random.default_rng([seed, 77])
    phases = np.repeat(np.arange(library.n_phases), n)
    project = ProjectPatterns(library, (SIDE, SIDE))
    camera = SimulateCamera(acquisition, size=SIDE, seed=seed)
    parts = []
    for i in range(0, len(phases), 100):
        recipe = dataset.recipe(phases[i : i + 100], rng)
        parts.append(np.asarray(camera(project(recipe))))
    patterns = np.concatenate(parts)
    names = np.array(library.phase_names)[phases]
    data = np.clip(np.rint(patterns * 2000), 0, 65535).astype("uint16")
    return EBSD(data), library.space_groups[phases], names

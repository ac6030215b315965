# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns that several tests of networks look at."""

from keras import ops
import kikuchipy as kp
import numpy as np
from orix.crystal_map import Phase
from orix.vector import Miller
import pytest

import kikuchipy_spacegroup as kpsg

SIZE = 64


@pytest.fixture(scope="module")
def prepared_nickel():
    """Prepared patterns, their centers, and matrices from detector to crystal."""
    mp = kp.data.nickel_ebsd_master_pattern_small(
        projection="lambert", hemisphere="both"
    )
    library = kpsg.MasterPatternLibrary.from_signals([mp], ["Ni"], half_width=100)
    rng = np.random.default_rng(4)
    n = 20
    geometry = kpsg.simulation.Geometry(stretch=0, distortion=(0, 0)).sample(n, rng)
    orientation = kpsg.simulation.random_rotation_matrices(n, rng)
    inputs = {
        "upper": library.upper[np.zeros(n, int)],
        "lower": library.lower[np.zeros(n, int)],
        "orientation": orientation,
        "geometry": geometry,
    }
    patterns = kpsg.simulation.ProjectPatterns(library, (SIZE, SIZE)).call(inputs)
    prepared = kpsg.patterns.PreparePatterns(size=SIZE)(
        ops.convert_to_numpy(patterns)[..., None]
    )
    return (
        ops.convert_to_numpy(prepared),
        geometry[:, :3].astype("float32"),
        orientation,
    )


@pytest.fixture(scope="session")
def angles_to():
    """A function of Miller indices, unit vectors (n, k, 3) and orientations.

    It returns the angles (n, k) in degrees to the nearest of all equivalent directions
    of a cubic crystal.
    """

    def find(indices, vectors, orientations):
        directions = Miller(uvw=indices, phase=Phase(point_group="m-3m"))
        directions = directions.symmetrise(unique=True).unit.data
        cosines = vectors @ (directions @ orientations).transpose(0, 2, 1)
        return np.rad2deg(np.arccos(np.clip(np.abs(cosines).max(axis=-1), 0, 1)))

    return find

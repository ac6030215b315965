# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
from ._acquisition import Acquisition
from ._camera import Camera
from ._estimation import estimate_acquisition
from ._examples import example_phases, example_scan
from ._geometry import (
    Geometry,
    detector_parameters,
    random_rotation_matrices,
    random_strains,
)
from ._layers import (
    ProjectPatterns,
    SimulateCamera,
    pattern_inputs,
    simulate_patterns,
)
from ._microstructure import overlap_grains, random_map
from ._scans import simulate_scan, simulate_scan_from_map

__all__ = [
    "Acquisition",
    "Camera",
    "Geometry",
    "ProjectPatterns",
    "SimulateCamera",
    "detector_parameters",
    "estimate_acquisition",
    "example_phases",
    "example_scan",
    "overlap_grains",
    "pattern_inputs",
    "random_map",
    "random_rotation_matrices",
    "random_strains",
    "simulate_patterns",
    "simulate_scan",
    "simulate_scan_from_map",
]

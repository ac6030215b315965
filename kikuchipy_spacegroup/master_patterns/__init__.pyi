# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
from ._kinematical import kinematical_master_pattern, reflecting_planes
from ._library import MasterPatternLibrary
from ._simulation import (
    dynamical_master_pattern,
    simulate_bloch_waves,
    simulate_master_pattern,
    simulate_two_beams,
    two_beam_profiles,
)

__all__ = [
    "MasterPatternLibrary",
    "dynamical_master_pattern",
    "kinematical_master_pattern",
    "reflecting_planes",
    "simulate_bloch_waves",
    "simulate_master_pattern",
    "simulate_two_beams",
    "two_beam_profiles",
]

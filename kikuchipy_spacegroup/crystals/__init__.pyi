# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
from ._composition import mean_atomic_number, phase_composition
from ._elements import ELEMENTS, element_symbol
from ._phase import load_phase
from ._unit_cell import (
    LatticeUnit,
    ShortestDistanceError,
    SpaceGroupCheck,
    check_space_group,
    phase_in_angstrom,
    standard_cell,
    symmetry_operations,
    unit_cell,
)

__all__ = [
    "ELEMENTS",
    "LatticeUnit",
    "ShortestDistanceError",
    "SpaceGroupCheck",
    "check_space_group",
    "element_symbol",
    "load_phase",
    "mean_atomic_number",
    "phase_composition",
    "phase_in_angstrom",
    "standard_cell",
    "symmetry_operations",
    "unit_cell",
]

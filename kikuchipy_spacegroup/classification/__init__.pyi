# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
from ._classify import classify_space_group, compute_classification_map
from ._engine_record import engine_of_map

__all__ = [
    "classify_space_group",
    "compute_classification_map",
    "engine_of_map",
]

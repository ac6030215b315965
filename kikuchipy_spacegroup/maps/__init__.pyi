# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
from ._candidates import candidate_probabilities, identify_phases
from ._crystal_map import (
    crystal_map,
    prediction_sets_from_map,
    prior_from_map,
    probabilities_from_map,
    save_map,
)
from ._fusion import combine
from ._grains import grains_from_orientations, grains_from_patterns
from ._levels import coarsen_map, symmetry_map
from ._masks import navigation_masks
from ._pooling import fit_correlation, pool_grains
from ._smoothing import smooth_probabilities

__all__ = [
    "candidate_probabilities",
    "coarsen_map",
    "combine",
    "crystal_map",
    "fit_correlation",
    "grains_from_orientations",
    "grains_from_patterns",
    "identify_phases",
    "navigation_masks",
    "pool_grains",
    "prediction_sets_from_map",
    "prior_from_map",
    "probabilities_from_map",
    "save_map",
    "smooth_probabilities",
    "symmetry_map",
]

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
from ._background import (
    background_from_patterns,
    count_signals,
    divide_background,
    find_aperture,
    unusable_patterns,
)
from ._labelled_patterns import LabelledPatterns, class_indices
from ._preprocessing import (
    PreparePatterns,
    factors,
    gaussian_matrix,
    resize_matrix,
    separable,
    uncropped,
)

__all__ = [
    "LabelledPatterns",
    "PreparePatterns",
    "background_from_patterns",
    "class_indices",
    "count_signals",
    "divide_background",
    "factors",
    "find_aperture",
    "gaussian_matrix",
    "resize_matrix",
    "separable",
    "uncropped",
    "unusable_patterns",
]

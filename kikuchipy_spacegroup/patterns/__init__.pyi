# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
from ._background import (
    background_from_patterns,
    divide_background,
    find_aperture,
    unusable_patterns,
)
from ._labelled_patterns import LabelledPatterns
from ._plausibility import implausible_patterns
from ._preprocessing import (
    PreparePatterns,
)

__all__ = [
    "LabelledPatterns",
    "PreparePatterns",
    "background_from_patterns",
    "divide_background",
    "find_aperture",
    "implausible_patterns",
    "unusable_patterns",
]

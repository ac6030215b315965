# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
from ._metrics import (
    accuracy,
    confusion_matrix,
    counts,
    mean_atomic_number,
    precision_recall,
    reliability_diagram,
)
from ._pattern_table import class_probabilities, evaluate, pattern_table

__all__ = [
    "accuracy",
    "class_probabilities",
    "confusion_matrix",
    "counts",
    "evaluate",
    "mean_atomic_number",
    "pattern_table",
    "precision_recall",
    "reliability_diagram",
]

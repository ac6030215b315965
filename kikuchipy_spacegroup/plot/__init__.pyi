# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
from ._plot_evaluation import (
    plot_accuracies,
    plot_confusion_matrix,
    plot_inverse_pole_figures,
    plot_quality,
    plot_reliability_diagram,
)
from ._plot_explanation import find_bands, n_shared, plot_grad_cam, plot_hough
from ._plot_map import plot_patterns, plot_space_groups, plot_symmetry
from ._plot_navigator import InteractivePlot, plot_interactive
from ._plot_phases import plot_phases

__all__ = [
    "InteractivePlot",
    "find_bands",
    "n_shared",
    "plot_accuracies",
    "plot_confusion_matrix",
    "plot_grad_cam",
    "plot_hough",
    "plot_interactive",
    "plot_inverse_pole_figures",
    "plot_patterns",
    "plot_phases",
    "plot_quality",
    "plot_reliability_diagram",
    "plot_space_groups",
    "plot_symmetry",
]

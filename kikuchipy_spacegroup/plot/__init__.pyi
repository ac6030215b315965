# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
from ._plot_evaluation import (
    plot_accuracies,
    plot_confusion,
    plot_inverse_pole_figures,
    plot_quality,
    plot_reliability,
)
from ._plot_explanation import plot_grad_cam, plot_hough
from ._plot_map import plot_patterns, plot_space_groups
from ._plot_navigator import InteractivePlot, plot_interactive

__all__ = [
    "InteractivePlot",
    "plot_accuracies",
    "plot_confusion",
    "plot_grad_cam",
    "plot_hough",
    "plot_interactive",
    "plot_inverse_pole_figures",
    "plot_patterns",
    "plot_quality",
    "plot_reliability",
    "plot_space_groups",
]

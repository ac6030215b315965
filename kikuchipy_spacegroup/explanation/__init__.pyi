# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
from ._grad_cam import (
    GradCAM,
    grad_cam,
    guided_backpropagation,
    guided_grad_cam,
    to_pattern_frame,
)
from ._zone_axes import ZoneAxisTest, main_zone_axes, simulate_geometry, zone_axis_test

__all__ = [
    "GradCAM",
    "ZoneAxisTest",
    "grad_cam",
    "guided_backpropagation",
    "guided_grad_cam",
    "main_zone_axes",
    "simulate_geometry",
    "to_pattern_frame",
    "zone_axis_test",
]

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
from ._estimate import ProjectionCenterEstimate, estimate_projection_center

__all__ = ["ProjectionCenterEstimate", "estimate_projection_center"]

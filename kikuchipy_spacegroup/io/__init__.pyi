# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
from ._aztec import load_aztec_grain_list
from ._sht import load_sht

__all__ = [
    "load_aztec_grain_list",
    "load_sht",
]

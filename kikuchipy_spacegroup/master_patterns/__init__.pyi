# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
from ._library import MasterPatternLibrary

__all__ = [
    "MasterPatternLibrary",
]

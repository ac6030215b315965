# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
from ._result import StructureSearch
from ._search import search_structures

__all__ = [
    "StructureSearch",
    "search_structures",
]

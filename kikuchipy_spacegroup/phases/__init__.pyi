# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
from ._check import check_candidates
from ._checked import CheckedCandidates
from ._find import find_phases
from ._found import FoundPhases
from ._list_candidates import list_candidates
from ._result import StructureSearch
from ._search import search_structures

__all__ = [
    "CheckedCandidates",
    "FoundPhases",
    "StructureSearch",
    "check_candidates",
    "find_phases",
    "list_candidates",
    "search_structures",
]

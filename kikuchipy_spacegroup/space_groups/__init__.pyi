# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
from ._chain import finest_symmetry, finest_symmetry_from_chain, symmetry_chain
from ._enantiomorphs import match_enantiomorphs, merge_enantiomorphs
from ._levels import (
    CHAIN,
    LEVELS,
    NOT_INDEXED,
    coarsen,
    coarsen_probabilities,
    restrict_probabilities,
)
from ._space_group import (
    SpaceGroup,
    get_space_group,
    has_enantiomorphic_pair,
    phase_list,
    symbol,
)

__all__ = [
    "CHAIN",
    "LEVELS",
    "NOT_INDEXED",
    "SpaceGroup",
    "coarsen",
    "coarsen_probabilities",
    "finest_symmetry",
    "finest_symmetry_from_chain",
    "get_space_group",
    "has_enantiomorphic_pair",
    "match_enantiomorphs",
    "merge_enantiomorphs",
    "phase_list",
    "restrict_probabilities",
    "symbol",
    "symmetry_chain",
]

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of crystal maps that can always be made."""

from copy import copy

import numpy as np
from orix.crystal_map import CrystalMap, CrystalMapProperties


def copy_of(xmap: CrystalMap) -> CrystalMap:
    """Return a deep copy of a map.

    Parameters
    ----------
    xmap
        Any map, which is not changed.

    Returns
    -------
    xmap
        Map of the same points, and of those that are not in the data.

    Notes
    -----
    ``CrystalMap.deepcopy()`` of orix 0.15 raises an error once properties
    were looked at, or the map was printed, while points are left out,
    and so does that of a map of which only a part was looked at. The
    properties remember the points seen last, and their copy wants as
    many values.
    """
    copied = copy(xmap)
    # Items are whole arrays, also of points that are not in the data
    copied._prop = CrystalMapProperties(
        dict(xmap._prop.items()), id=np.arange(xmap.is_in_data.size)
    )
    return copied.deepcopy()

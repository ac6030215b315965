# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Phases found in a scan."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from orix.crystal_map import CrystalMap
    import pandas as pd


@dataclass(frozen=True, repr=False, eq=False)
class FoundPhases:
    """Phases found in a scan, and what is known of each.

    Parameters
    ----------
    xmap
        Map whose phases are those found, named after the finest symmetry
        that is sure, such as ``"phase 1 (Fm-3m)"``, the largest one
        first, with IDs from 1. -1 are points that are no crystal. See
        :func:`find_phases` for its properties.
    table
        One row per phase by ID, with the columns

        * ``name``
        * ``fraction``, its share of the points in the data
        * ``n_points`` and ``n_grains``, the latter if there are grains
        * ``symmetry``, ``level`` and ``probability``, the finest
          symmetry that is sure, its level in ``space_groups.CHAIN`` and
          its probability; empty and 0 if none is
        * ``space_group`` (number) and ``space_group_probability``, the
          best one, sure or not
        * one per element, its mean atomic fraction, if there is a
          composition
    probabilities
        Pooled probabilities of all space groups (columns, numbers) of
        each phase (rows, IDs). The lower number of an enantiomorphic
        pair stands for both.
    chain
        One row per phase and level of ``space_groups.CHAIN``, with the
        columns ``phase`` (ID), ``level``, ``answer`` (the most probable,
        empty at levels at which all space groups of the model are the
        same) and ``probability``.
    representatives
        Indices into the points in the data of the most typical patterns
        of each phase by ID, the most typical one first, in different
        grains if there are enough. ``xmap.id[i]`` are their positions
        in the scan.

    See Also
    --------
    find_phases

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.maps import crystal_map
    >>> from kikuchipy_spacegroup.phases import find_phases
    >>> probabilities = np.tile([0.5, 0.45, 0.05], (40, 1))
    >>> xmap = crystal_map(probabilities, [225, 229, 194], keep_probabilities=True)
    >>> found = find_phases(xmap, grain_ids=np.arange(40) // 10)
    >>> found.xmap.phases.names
    ['phase 1 (m-3m)']
    >>> found.chain["answer"].tolist()
    ['Fm-3m', 'Fm-3m', 'm-3m, F---', 'm-3m, F', 'm-3m', 'cubic']
    >>> found.probabilities.round(1).to_numpy()
    array([[0.5, 0.5, 0. ]])
    """

    xmap: "CrystalMap"
    table: "pd.DataFrame"
    probabilities: "pd.DataFrame"
    chain: "pd.DataFrame"
    representatives: "dict[int, np.ndarray]"

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        if not len(self):
            return self._summary
        text = self.table.to_string(float_format="{:.2f}".format)
        return f"{self._summary}\n{text}"

    def _repr_html_(self) -> str:
        if not len(self):
            return f"<p>{self._summary}</p>"
        return (
            f"<p>{self._summary}</p>{self.table.to_html(float_format='{:.2f}'.format)}"
        )

    @property
    def _summary(self) -> str:
        """How many phases there are, and how much is none."""
        rest = float((self.xmap.phase_id == -1).mean())
        return (
            f"FoundPhases: {len(self)} phases in {self.xmap.size} points, "
            f"{rest:.1%} no crystal"
        )

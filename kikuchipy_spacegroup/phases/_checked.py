# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left of candidates after they are compared with patterns."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from orix.crystal_map import PhaseList
    from orix.quaternion import Orientation
    import pandas as pd

NONE = "none of these"
# Shown of a table
_COLUMNS = ["phase", "candidate", "formula", "space_group", "match", "probability"]
_MAX_ROWS = 20


@dataclass(frozen=True, repr=False, eq=False)
class CheckedCandidates:
    """Candidates for the phases of a scan, ranked.

    Parameters
    ----------
    table
        One row per found phase and candidate, and one for *none of
        these*, the most probable one first, with the columns

        * ``phase``, ID of the found phase
        * ``candidate``, its name, or ``"none of these"``
        * ``formula`` and ``space_group`` (number), empty and 0 for none
        * ``simulation``, of the master pattern: ``"dynamical"``,
          ``"two-beam"`` or ``"kinematical"``
        * ``score``, the mean normalized cross-correlation of the
          patterns after refinement
        * ``match``, the same relative to what the noise of the patterns
          allows, 1 at best
        * ``symmetry_evidence``, the natural logarithm of how much more
          probable the candidate's space group is by what the network says
          than before, 0 if the network does not know it
        * ``composition_evidence``, the same of the composition, and
          ``composition_distance``, the largest difference of an atomic
          fraction; 0 and NaN without a composition
        * ``probability``, of all together
    orientations
        Best orientations of the patterns of each found phase (ID) with
        each candidate (name).
    patterns
        Indices into the points in the data of the patterns of each found
        phase (ID).
    reliabilities
        Share of the variance of each of these patterns that is no noise.
    phases
        Candidates with structures, lattice parameters in angstrom.

    See Also
    --------
    check_candidates

    Examples
    --------
    >>> from kikuchipy_spacegroup.phases import check_candidates
    >>> checked = check_candidates(s, found, candidates)  # doctest: +SKIP
    >>> checked.best  # doctest: +SKIP
    {1: 'nickel', 2: 'none of these'}
    """

    table: "pd.DataFrame"
    orientations: "dict[int, dict[str, Orientation]]"
    patterns: "dict[int, np.ndarray]"
    reliabilities: "dict[int, np.ndarray]"
    phases: "PhaseList"

    @property
    def best(self) -> dict[int, str]:
        """The most probable answer for each found phase.

        Returns
        -------
        best
            Name of a candidate, or ``"none of these"``, by ID.
        """
        first = self.table.drop_duplicates("phase")
        return dict(zip(first["phase"].tolist(), first["candidate"].tolist()))

    def __len__(self) -> int:
        return len(self.patterns)

    def __repr__(self) -> str:
        text = self.table[_COLUMNS].to_string(
            max_rows=_MAX_ROWS,
            float_format="{:.2f}".format,
            max_colwidth=30,
            index=False,
        )
        return f"{self._summary}\n{text}"

    def _repr_html_(self) -> str:
        table = self.table[_COLUMNS].to_html(
            max_rows=_MAX_ROWS, float_format="{:.2f}".format, index=False
        )
        return f"<p>{self._summary}</p>{table}"

    @property
    def _summary(self) -> str:
        """How many candidates there are, for how many phases."""
        n = sum(len(i) for i in self.orientations.values())
        return (
            f"CheckedCandidates: {n} candidates in all for {len(self)} phases, of "
            f"{self.phases.size} structures"
        )

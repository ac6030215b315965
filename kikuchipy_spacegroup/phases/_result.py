# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a search for structures found."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orix.crystal_map import PhaseList
    import pandas as pd

# Shown of a table
_COLUMNS = ["name", "formula", "space_group", "a", "b", "c", "identifier"]
_MAX_ROWS = 20


@dataclass(frozen=True, repr=False, eq=False)
class StructureSearch:
    """Structures found by a search, and what could not be read.

    Parameters
    ----------
    phases
        Phases with all atoms of the conventional unit cell in the
        standard setting, lattice parameters in angstrom, distinct names
        and colors, and IDs from 0.
    table
        One row per phase in the same order, with the columns ``name``,
        ``formula`` (reduced, elements in alphabetical order),
        ``space_group`` (number), ``a``, ``b``, ``c`` in angstrom,
        ``alpha``, ``beta``, ``gamma`` in degrees, ``source``,
        ``identifier`` and ``licence``.
    problems
        One row for whatever was left out, with the columns
        ``identifier``, ``problem``, ``message``, ``duplicate_of`` (name
        of a phase, or empty) and ``source``. Problems of entries are
        ``"unreadable"``, ``"no_positions"``, ``"disorder"`` and
        ``"duplicate"``. After those of sources, there may be structures
        not seen: ``"provider"``, ``"timeout"``, ``"page"`` and
        ``"limit"``.

    See Also
    --------
    search_structures

    Examples
    --------
    >>> from kikuchipy_spacegroup.phases import search_structures
    >>> search = search_structures(["Fe"], source="amcsd")  # doctest: +SKIP
    >>> search.phases["Iron"].space_group.number  # doctest: +SKIP
    229
    """

    phases: "PhaseList"
    table: "pd.DataFrame"
    problems: "pd.DataFrame"

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        if not len(self):
            return self._summary
        text = self.table[_COLUMNS].to_string(
            max_rows=_MAX_ROWS, float_format="{:.4f}".format, max_colwidth=30
        )
        return f"{self._summary}\n{text}"

    def _repr_html_(self) -> str:
        if not len(self):
            return f"<p>{self._summary}</p>"
        table = self.table[_COLUMNS].to_html(
            max_rows=_MAX_ROWS, float_format="{:.4f}".format
        )
        return f"<p>{self._summary}</p>{table}"

    @property
    def _summary(self) -> str:
        """How much was found, and how much was not."""
        counts = self.problems["problem"].value_counts()
        listed = ", ".join(f"{n} {kind}" for kind, n in counts.items())
        left_out = f" ({listed})" if listed else ""
        return (
            f"StructureSearch: {len(self)} phases, {len(self.problems)} "
            f"problems{left_out}"
        )

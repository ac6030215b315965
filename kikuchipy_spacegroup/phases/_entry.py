# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sources of structures yield: entries, and problems."""

from dataclasses import dataclass

from kikuchipy_spacegroup.crystals._cif import CifContent

NOT_STATED = "not stated"
# What may be wrong with entries, and with sources
OF_ENTRIES = ("unreadable", "no_positions", "disorder", "duplicate")
OF_SOURCES = ("provider", "timeout", "page", "limit")


@dataclass(frozen=True)
class Entry:
    """A structure as a source states it.

    Parameters
    ----------
    identifier
        What the source calls it.
    name
        Name for the phase. Empty for that of its formula.
    content
        Cell, sites and settings.
    licence
        Licence of the entry.
    """

    identifier: str
    name: str
    content: CifContent
    licence: str = NOT_STATED


@dataclass(frozen=True)
class Problem:
    """What could not be read, and why.

    Parameters
    ----------
    identifier
        What the source calls the entry, or the address asked for.
    kind
        One of ``OF_ENTRIES`` or ``OF_SOURCES``.
    message
        What is wrong.
    """

    identifier: str
    kind: str
    message: str


class EntryError(ValueError):
    """An entry that cannot be read.

    Parameters
    ----------
    kind
        One of ``OF_ENTRIES``.
    message
        What is wrong.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of space groups: axes and origins that symbols stand for, by gemmi."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
import logging
import re
from typing import TYPE_CHECKING

import numpy as np

from kikuchipy_spacegroup.crystals._symmetry import Operations, quiet_spglib

if TYPE_CHECKING:
    import gemmi

_logger = logging.getLogger(__name__)

# General positions of the largest space groups, with their centring
_MAX_OPERATIONS = 192
# gemmi gives translations in these fractions of edges
_DENOMINATOR = 24
# Settings of ICSD: origin choices 1 and 2
_ICSD_ORIGINS = {"S": "1", "Z": "2"}


@dataclass(frozen=True)
class Setting:
    """A space group with axes and origin.

    Parameters
    ----------
    name
        What it is called in messages.
    number
        Number of the space group.
    operations
        Symmetry operations.
    """

    name: str
    number: int
    operations: Operations


def parse_operations(triplets: Iterable[str]) -> Operations:
    """Operations from triplets such as ``"-x, y+1/2, -z"``.

    Parameters
    ----------
    triplets
        One triplet per operation.

    Returns
    -------
    operations
        Operations.

    Raises
    ------
    ValueError
        If one is no symmetry operation.
    """
    import gemmi

    parsed = []
    for text in triplets:
        try:
            parsed.append(gemmi.Op(text))
        except RuntimeError as error:
            raise ValueError(
                f"{text!r} is not a symmetry operation: {error}"
            ) from error
    operations = _from_gemmi(parsed)
    if not np.isin(np.rint(np.linalg.det(operations.rotations)), (-1, 1)).all():
        raise ValueError(f"{list(triplets)} are not all symmetry operations")
    return operations


def complete_group(operations: Operations) -> Operations:
    """Group of operations, with the products that are missing.

    Parameters
    ----------
    operations
        Operations, which may be generators only.

    Returns
    -------
    group
        All operations of the smallest group that holds them.

    Raises
    ------
    ValueError
        If they generate no space group.
    """
    import gemmi

    given = _to_gemmi(operations)
    members = {op.triplet() for op in given}
    group = list(dict.fromkeys(members | {"x,y,z"}))
    for text in group:  # Which grows meanwhile
        for other in given:
            product = (other * gemmi.Op(text)).wrap().triplet()
            if product not in group:
                group.append(product)
        if len(group) > _MAX_OPERATIONS:
            raise ValueError("its symmetry operations form no space group")
    if len(group) == len(members):
        return operations
    _logger.warning(
        "%i symmetry operations are missing and added, for a group of %i",
        len(group) - len(members),
        len(group),
    )
    return parse_operations(group)


def number_of_operations(operations: Operations) -> int | None:
    """Number of the space group of operations in any setting.

    Parameters
    ----------
    operations
        All operations of a space group.

    Returns
    -------
    number
        Number from 1 to 230, or None if it cannot be found.
    """
    import gemmi
    import spglib

    found = gemmi.find_spacegroup_by_ops(gemmi.GroupOps(_to_gemmi(operations)))
    if found is not None:
        return int(found.number)
    try:
        with quiet_spglib():
            kind = spglib.get_spacegroup_type_from_symmetry(
                operations.rotations, operations.translations
            )
    except getattr(spglib, "SpglibError", ()):
        return None
    return None if kind is None else int(kind.number)


def settings_of_hall(symbol: str) -> list[Setting]:
    """Setting of a Hall symbol. Empty if it is none.

    Parameters
    ----------
    symbol
        Hall symbol, such as ``"-F 4vw 2vw 3"``.
    """
    import gemmi

    try:
        group = gemmi.symops_from_hall(symbol.replace("_", " ").strip())
    except RuntimeError:
        return []
    operations = _from_gemmi(group)
    number = number_of_operations(operations)
    return [] if number is None else [Setting(symbol, number, operations)]


def settings_of_name(symbol: str, code: str = "") -> list[Setting]:
    """Settings that a Hermann-Mauguin symbol may stand for.

    Parameters
    ----------
    symbol
        Hermann-Mauguin symbol, short or full, with or without spaces,
        and with or without a setting (``:1``, ``:R``, ``S``, ``origin
        choice 2``).
    code
        Coordinate system code of the file (``1``, ``2``, ``H``, ``R``,
        ``b1``).

    Returns
    -------
    settings
        One setting if the symbol names it, else one for each origin
        choice, or for hexagonal and rhombohedral axes. Empty if the
        symbol is unknown.
    """
    name, extension = _split_extension(symbol)
    code = code.strip().upper()
    if not extension and code in ("1", "2", "H", "R"):
        extension = code
    found = _find(name)
    if found is None:
        return []
    same = [
        group
        for group in _table()
        if group.number == found.number
        and group.hm == found.hm
        and group.qualifier == found.qualifier
    ]
    named = [group for group in same if group.ext == extension]
    return [_to_setting(group) for group in (named or same)]


@lru_cache(maxsize=8)
def settings_of_number(number: int) -> tuple[Setting, ...]:
    """Settings that the number of a space group may stand for.

    Parameters
    ----------
    number
        Number from 1 to 230.

    Returns
    -------
    settings
        The standard setting first, then others with another origin
        choice, rhombohedral axes, or another unique axis.
    """
    groups = [group for group in _table() if group.number == number]
    first = [group for group in groups if group.is_reference_setting()]
    kept = [
        group
        for group in groups
        if group.hm == first[0].hm
        or group.qualifier in ("b1", "c1", "a1", "b", "c", "a")
    ]
    origin_1 = [group for group in kept if group.ext == "1"]
    ordered = origin_1 + first + kept
    return tuple(_to_setting(group) for group in dict.fromkeys(ordered))


def _table() -> "Iterable[gemmi.SpaceGroup]":
    import gemmi

    return gemmi.spacegroup_table()


def _to_setting(group: "gemmi.SpaceGroup") -> Setting:
    """Setting of an entry in gemmi's table."""
    return Setting(group.xhm(), int(group.number), _from_gemmi(group.operations()))


def _to_gemmi(operations: Operations) -> "list[gemmi.Op]":
    """Operations as gemmi has them, with translations in [0, 1)."""
    import gemmi

    converted = []
    for rotation, translation in zip(operations.rotations, operations.translations):
        op = gemmi.Op("x,y,z")
        op.rot = (_DENOMINATOR * rotation).tolist()
        op.tran = np.rint(_DENOMINATOR * translation).astype(int).tolist()
        converted.append(op.wrap())
    return converted


def _from_gemmi(operations: "Iterable[gemmi.Op]") -> Operations:
    """Operations as arrays."""
    rotations, translations = zip(*((op.rot, op.tran) for op in operations))
    return Operations(
        np.array(rotations) // _DENOMINATOR,
        np.array(translations) / _DENOMINATOR,
    )


def _find(name: str) -> "gemmi.SpaceGroup | None":
    """Entry of gemmi's table for a symbol without a setting."""
    import gemmi

    spaced = name.replace("_", "")
    # Full symbols: 2/m is m, and so is 4/m in cubic groups, with 3 at the second place
    axes = r"\d+" if re.search(r"^\S+\s+\S+\s+-?3", spaced) else r"21?"
    short = re.sub(rf"(?<=\s){axes}/([abcdemn])(?=\s|$)", r"\1", spaced)
    for text in dict.fromkeys((name, spaced, spaced.replace(" ", ""), short)):
        found = gemmi.find_spacegroup_by_name(text)
        if found is not None:
            return found
    return None


def _split_extension(symbol: str) -> tuple[str, str]:
    """Symbol without and with only the setting it names."""
    text = symbol.strip()
    origin = re.search(r"[({\[]?\s*origin\s*(?:choice)?\s*([12])\s*[)}\]]?", text, re.I)
    if origin:
        return text[: origin.start()].strip(" ,;:"), origin[1]
    colon = re.fullmatch(r"(.*?)\s*:\s*([12HhRrSsZz])", text)
    letter = re.fullmatch(r"(.*\S)\s+([SZHRhr])", text) or re.fullmatch(
        r"(R.*[\dmc])([HR])", text
    )
    found = colon or letter
    if found is None:
        return re.sub(r"\s*[({\[].*$", "", text), ""
    extension = found[2].upper()
    return found[1], _ICSD_ORIGINS.get(extension, extension)

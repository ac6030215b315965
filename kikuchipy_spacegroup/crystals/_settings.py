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
    usual
        Whether it is what is meant if nothing speaks against it, as the
        standard setting is if only a number is given.
    """

    name: str
    number: int
    operations: Operations
    usual: bool = True


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

    generators = _to_gemmi(operations)
    members = {op.triplet() for op in generators}
    group = list(dict.fromkeys(members | {"x,y,z"}))
    for text in group:  # Which grows meanwhile
        for other in generators:
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

    group = gemmi.find_spacegroup_by_ops(gemmi.GroupOps(_to_gemmi(operations)))
    if group is not None:
        return int(group.number)
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

    text = symbol.replace("_", " ").strip()
    # The letter of the lattice is in upper case, all others are not
    text = re.sub("[A-Za-z]", lambda i: i[0].upper(), text.lower(), count=1)
    try:
        group = gemmi.symops_from_hall(text)
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
        with subscripts in any notation (``2_1``, ``2(1)``, ``2~1~``),
        and with or without a setting (``:1``, ``:R``, ``S``, ``origin
        choice 2``).
    code
        Coordinate system code of the file (``1``, ``2``, ``H``, ``R``,
        ``b1``, ``cab``).

    Returns
    -------
    settings
        One usual setting if the symbol names it, else one for each
        origin choice, or for hexagonal and rhombohedral axes. Then
        those that are meant if the lattice does not fit. Empty if the
        symbol is unknown.
    """
    name, extension = _split_extension(_simplify_symbol(symbol))
    code = code.strip()
    if not extension and code.upper() in ("1", "2", "H", "R"):
        extension = code.upper()
    axes = code if extension in ("", code.upper()) else extension
    found = _find_group(name)
    if found is None:
        return []
    same = [group for group in _get_table() if group.number == found.number]
    coded = [group for group in same if axes and group.qualifier == axes]
    named = coded or [group for group in same if group.hm == found.hm]
    usual = [group for group in named if group.ext == extension] or named
    # The lattice tells hexagonal from rhombohedral axes, and the unique axis of short
    # symbols such as P 21/b
    short = name.replace(" ", "").lower()
    others = [
        group
        for group in same
        if group.ext in ("H", "R")
        or (group.hm != found.hm and _shorten_symbol(group) == short)
    ]
    settings = [_to_setting(group) for group in usual]
    settings += [_to_setting(group, False) for group in others if group not in usual]
    return settings


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
        The standard setting first, then its other origin choice or
        rhombohedral axes, then other axes, which are not usual.
    """
    groups = [group for group in _get_table() if group.number == number]
    (first,) = (group for group in groups if group.is_reference_setting())
    standard = [group for group in groups if group.hm == first.hm]
    origin_1 = [group for group in standard if group.ext == "1"]
    usual = list(dict.fromkeys([*origin_1, first, *standard]))
    # Of triclinic groups, centered cells are not meant
    others = [group for group in groups if group not in usual and number > 2]
    return (
        *(_to_setting(group) for group in usual),
        *(_to_setting(group, False) for group in others),
    )


def _get_table() -> "Iterable[gemmi.SpaceGroup]":
    """Entries of gemmi's table, one for each setting of each space group."""
    import gemmi

    return gemmi.spacegroup_table()


def _to_setting(group: "gemmi.SpaceGroup", usual: bool = True) -> Setting:
    """Setting of an entry in gemmi's table."""
    operations = _from_gemmi(group.operations())
    return Setting(group.xhm(), int(group.number), operations, usual)


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
    """Operations as arrays of shapes (n, 3, 3) and (n, 3)."""
    rotations, translations = zip(*((op.rot, op.tran) for op in operations))
    return Operations(
        np.array(rotations) // _DENOMINATOR,
        np.array(translations) / _DENOMINATOR,
    )


def _find_group(name: str) -> "gemmi.SpaceGroup | None":
    """Entry of gemmi's table for a symbol without a setting."""
    import gemmi

    joined = re.sub(r"[\s_]", "", name)
    # Full symbols have more than one twofold axis across a mirror: 2/m is m, and so is
    # 4/m in front of -3
    full = re.sub(r"(?<![146])21?/([abcdemn])", r"\1", joined)
    cubic = re.sub(r"^([a-z])(?:4\d?|21?)/([adnm])-3", r"\1\2-3", full, flags=re.I)
    for text in dict.fromkeys((name, joined, cubic, full)):
        found = gemmi.find_spacegroup_by_name(text)
        if found is not None:
            return found
    # Short symbols of monoclinic groups, such as P 21/b
    monoclinic = (
        group for group in _get_table() if _shorten_symbol(group) == joined.lower()
    )
    return next(monoclinic, None)


def _shorten_symbol(group: "gemmi.SpaceGroup") -> str:
    """Symbol of a group without spaces and without axes of no symmetry."""
    return group.hm.replace(" 1", "").replace(" ", "").lower()


def _simplify_symbol(symbol: str) -> str:
    """Symbol without marks of subscripts and overlines."""
    text = re.sub(r"</?\w+>", "", symbol.strip().strip("'\"").strip())
    subscript = r"(?:\(([1-5])\)|_?\{([1-5])\}|[~_]([1-5])~?)"
    text = re.sub(rf"(?<=[2346]){subscript}", lambda i: i[1] or i[2] or i[3], text)
    text = re.sub(r"\(-(\d)\)|\\=(\d)", lambda i: f"-{i[1] or i[2]}", text)
    return re.sub(r"(?<=[\s_a-z])([346])-(?![\d])", r"-\1", text)


def _split_extension(symbol: str) -> tuple[str, str]:
    """Symbol without and with only the setting it names."""
    text = symbol.strip()
    origin = re.search(
        r"[(\[{,;]?\s*(?:origin\s*(?:choice|no\.?)?\s*|(?<=[\w\s])O)([12])\b",
        text,
        re.I,
    )
    if origin:
        return text[: origin.start()].strip(" ,;:([{"), origin[1]
    match = (
        re.fullmatch(r"(.*?)\s*[:;]\s*([12HhRrSsZz]|-?[abc][123]?|[abc-]{3,4})", text)
        or re.fullmatch(r"(.*\S)\s+([SZHRhr])S?", text)
        or re.fullmatch(r"(R.*[\dmc])([HR])", text)
        or re.fullmatch(r"(.*[a-e mn])([SZ])", text)
        or re.fullmatch(r"(.*\S)\s*\(([12])\)", text)
    )
    if match is None:
        return re.sub(r"\s*[({\[,;].*$", "", text), ""
    extension = match[2] if len(match[2]) > 1 else match[2].upper()
    return match[1], _ICSD_ORIGINS.get(extension, extension)

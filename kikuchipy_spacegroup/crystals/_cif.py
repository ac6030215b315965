# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a CIF states, by gemmi, from files that may be damaged or hostile."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
import logging
import math
from pathlib import Path
import re
from typing import TYPE_CHECKING

import numpy as np

from kikuchipy_spacegroup.crystals._elements import element_of_site, read_formula
from kikuchipy_spacegroup.crystals._settings import (
    Setting,
    complete_group,
    number_of_operations,
    parse_operations,
    settings_of_hall,
    settings_of_name,
    settings_of_number,
)

if TYPE_CHECKING:
    import gemmi

_logger = logging.getLogger(__name__)

_MAX_BYTES = 2**22
# More atoms take hours, and show no bands
MAX_SITES = 1000
# General positions of the largest space groups, with their centring
_MAX_OPERATIONS = 192
# Names of the same item in old and new dictionaries
_OPERATIONS = ("space_group_symop_operation_xyz", "symmetry_equiv_pos_as_xyz")
# Operations in magnetic CIFs end with time reversal, those of modulated structures act
# on more than three coordinates
_OTHER_OPERATIONS = (
    "space_group_symop_magn_operation_xyz",
    "space_group_symop_magn_centering_xyz",
    "space_group_symop_ssg_operation_algebraic",
)
_HALL = ("space_group_name_hall", "symmetry_space_group_name_hall")
_NAME = (
    "space_group_name_h-m_alt",
    "symmetry_space_group_name_h-m",
    "space_group_name_h-m_full",
    "space_group_name_h-m",
)
_NUMBER = ("space_group_it_number", "symmetry_int_tables_number")
_CODE = ("space_group_it_coordinate_system_code", "symmetry_space_group_setting")
_FORMULA = ("chemical_formula_sum", "chemical_formula_iupac", "chemical_formula_moiety")
_CELL = [f"cell_length_{i}" for i in "abc"] + [
    f"cell_angle_{i}" for i in ("alpha", "beta", "gamma")
]
# By its uncertainty, a refined occupancy may be above 1
MAX_OCCUPANCY = 1.1
_COORDINATES = [f"atom_site_fract_{i}" for i in "xyz"]
# Places that hold no atom
_NO_ATOM = {"dum", "dummy", "va", "vac", "vacancy"}


@dataclass
class CifSite:
    """An atom site of a CIF.

    Parameters
    ----------
    label
        Label of the site.
    element
        Symbol of its element.
    xyz
        Fractional coordinates of shape (3,).
    occupancy
        Occupancy.
    displacement
        Isotropic displacement parameter U in square angstrom, 0 if it
        is not known.
    kind
        Type symbol in the file.
    """

    label: str
    element: str
    xyz: np.ndarray
    occupancy: float
    displacement: float
    kind: str = ""


@dataclass
class CifContent:
    """What a CIF states about a structure.

    Parameters
    ----------
    cell
        Lattice parameters in angstrom and degrees of shape (6,).
    sites
        Atom sites.
    settings
        Settings of the space group that are compatible with the file.
        More than one where it leaves the origin or axes open.
    number
        Number of the space group, if stated.
    formula
        Amounts by element, empty if not stated.
    formula_units
        Number of formula units in the cell, if stated.
    density
        Density in g/cm^3, if stated.
    """

    cell: np.ndarray
    sites: list[CifSite]
    settings: list[Setting]
    number: int | None
    formula: dict[str, float] = field(default_factory=dict)
    formula_units: float | None = None
    density: float | None = None


def read_cif(path: Path) -> CifContent:
    """What a CIF states about its first structure.

    Parameters
    ----------
    path
        Path to the file.

    Returns
    -------
    content
        Cell, sites, settings and formula.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file cannot be read, has no atoms or too many, or has
        symmetry operations that are none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"No such file: {path}")
    with open(path, "rb") as file:
        raw = file.read(_MAX_BYTES + 1)
    if len(raw) > _MAX_BYTES:
        raise ValueError(f"{path} is not read, as it is larger than {_MAX_BYTES} bytes")
    try:
        block = _Block(_find_structure(_decode_text(raw)))
        formula = next(filter(None, map(read_formula, block.texts(_FORMULA))), {})
        number, settings = _read_settings(block)
        return CifContent(
            cell=_read_cell(block),
            sites=_read_sites(block, formula),
            settings=settings,
            number=number,
            formula=formula,
            formula_units=block.number(("cell_formula_units_z",)),
            density=block.number(("exptl_crystal_density_diffrn",)),
        )
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be read as a CIF: {error}") from error


class _Block:
    """Items of a block of a CIF by name, old and new names alike."""

    def __init__(self, block: "gemmi.cif.Block") -> None:
        self.columns: dict[str, list[str]] = {}
        for item in block:
            if item.pair is not None:
                self._add_item(item.pair[0], [item.pair[1]])
            elif item.loop is not None:
                width, values = item.loop.width(), list(item.loop.values)
                for i, tag in enumerate(item.loop.tags):
                    self._add_item(tag, values[i::width])

    def _add_item(self, tag: str, values: list[str]) -> None:
        """Add an item, of which the first that is known counts if it is repeated."""
        name = _normalize_tag(tag)
        known_values = self.columns.get(name, [])
        if not any(value.strip("'\" ") not in ("", "?", ".") for value in known_values):
            self.columns[name] = values
        elif known_values != values and name in (*_CELL, *_COORDINATES):
            raise ValueError(f"{tag} is there twice, with different values")

    def texts(self, names: tuple[str, ...]) -> list[str]:
        """Texts of the items that are there and known."""
        import gemmi

        values = [i for name in names for i in self.columns.get(name, [])[:1]]
        texts = [gemmi.cif.as_string(value).strip() for value in values]
        return [text for text in texts if text not in ("", "?", ".")]

    def number(self, names: tuple[str, ...]) -> float | None:
        """Number of the first item that is there and known."""
        numbers = [_to_number(text) for text in self.texts(names)]
        return next(filter(math.isfinite, numbers), None)

    def column(self, name: str, convert: Callable) -> list:
        """Converted values of a loop, empty if it is not there."""
        return [convert(value) for value in self.columns.get(name, [])]


def _to_number(text: str) -> float:
    """Number with or without its uncertainty, or fraction, or NaN."""
    import gemmi

    text = gemmi.cif.as_string(text).strip()
    fraction = re.fullmatch(r"([+-]?\d+)\s*/\s*([1-9]\d*)", text)
    if fraction:
        return int(fraction[1]) / int(fraction[2])
    return float(gemmi.cif.as_number(text))


def _normalize_tag(tag: str) -> str:
    """Name of an item, as dictionaries differ in case and dots."""
    return tag.lower().lstrip("_").replace(".", "_")


def _decode_text(raw: bytes) -> str:
    """Text of a file in any usual encoding, with any line ends."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = raw.decode("utf-16")
    elif b"\0" in raw[:200]:
        text = raw.decode("utf-16-be" if raw[:1] == b"\0" else "utf-16-le")
    else:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:  # All that matters is ASCII
            text = raw.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n").lstrip()


def _find_structure(text: str) -> "gemmi.cif.Block":
    """First block with a cell and atoms."""
    import gemmi

    if not re.search(r"^\s*data_", text, re.I | re.M) and re.search("^_", text, re.M):
        text = f"data_\n{text}"
    # Items that are repeated or have no value do not make a file unreadable
    document = gemmi.cif.read_string(text, check_level=0)
    blocks = []
    for block in document:
        columns = _Block(block).columns
        if "atom_site_fract_x" in columns and "cell_length_a" in columns:
            blocks.append(block)
    if not blocks:
        raise ValueError(
            "it has no atoms with fractional coordinates and lattice parameters "
            "(_atom_site_fract_x, _cell_length_a)"
        )
    if len(blocks) > 1:
        _logger.warning(
            "Of %i structures in the file, the first is read (%s)",
            len(blocks),
            blocks[0].name,
        )
    return blocks[0]


def _read_cell(block: _Block) -> np.ndarray:
    """Lattice parameters in angstrom and degrees."""
    cell = []
    for name in _CELL:
        values = block.column(name, _to_number)
        # Right angles may be left out
        default = 90.0 if "angle" in name and not values else math.nan
        cell.append(values[0] if values else default)
    return check_cell(cell)


def check_cell(cell: Sequence[float]) -> np.ndarray:
    """Lattice parameters, or an error if they are those of no crystal.

    Parameters
    ----------
    cell
        Edges in angstrom and angles in degrees, six numbers.

    Returns
    -------
    cell
        Array of shape (6,).

    Raises
    ------
    ValueError
        If they are not positive or not numbers, or are those of no
        crystal.
    """
    cell = [float(value) for value in cell]
    if not np.isfinite(cell).all() or min(cell) <= 0 or max(cell[3:]) >= 180:
        raise ValueError(
            f"its lattice parameters {cell} are not positive or not numbers"
        )
    cosines = np.cos(np.deg2rad(cell[3:]))
    volume = 1 - (cosines**2).sum() + 2 * cosines.prod()
    if volume < 1e-6 or max(cell[:3]) > 1e3 or min(cell[:3]) < 0.5:
        raise ValueError(f"its lattice parameters {cell} are those of no crystal")
    return np.array(cell)


def _read_sites(block: _Block, formula: dict[str, float]) -> list[CifSite]:
    """Atom sites, without those that hold no atom."""
    import gemmi

    text, number = gemmi.cif.as_string, _to_number
    x = block.column("atom_site_fract_x", number)
    n = len(x)
    if n > MAX_SITES:
        raise ValueError(f"it has {n} sites, more than {MAX_SITES}")
    labels = block.column("atom_site_label", text) or [str(i + 1) for i in range(n)]
    types = block.column("atom_site_type_symbol", text) or ["?"] * n
    y = block.column("atom_site_fract_y", number)
    z = block.column("atom_site_fract_z", number)
    if not len(y) == len(z) == len(labels) == len(types) == n:
        raise ValueError("its sites do not all have a label and three coordinates")
    displacements = _read_displacements(block, n, labels)
    occupancies = block.column("atom_site_occupancy", number) or [1.0] * n
    flags = block.column("atom_site_calc_flag", text) or [""] * n
    sites = []
    for i, xyz in enumerate(np.column_stack([x, y, z])):
        unknown = np.isnan(xyz).all() and block.columns["atom_site_fract_x"][i] in "?."
        if unknown or {flags[i].lower(), types[i].lower()} & _NO_ATOM:
            _logger.debug("Site %s holds no atom and is left out", labels[i])
            continue
        if not np.isfinite(xyz).all():
            raise ValueError(
                f"coordinates of site {labels[i]!r} are not numbers: {xyz}"
            )
        occupancy = occupancies[i] if math.isfinite(occupancies[i]) else 1.0
        if not 0 <= occupancy <= MAX_OCCUPANCY:
            raise ValueError(
                f"site {labels[i]!r} has an occupancy of {occupancy:g}, which must be 0 "
                "to 1"
            )
        if occupancy == 0:
            continue
        try:
            element = _read_element(types[i], labels[i], formula)
        except ValueError as error:
            raise ValueError(f"of site {labels[i]!r}, {error}") from error
        occupancy, displacement = min(occupancy, 1.0), displacements[i]
        sites.append(
            CifSite(labels[i], element, xyz, occupancy, displacement, types[i])
        )
    if not sites:
        raise ValueError("it has no atoms")
    return sites


def _read_element(kind: str, label: str, formula: dict[str, float]) -> str:
    """Element of a site from its type symbol, or its label if it has none."""
    text = label if kind in ("", "?", ".") else re.sub(r"^\d+(?=[A-Z])", "", kind)
    letters = re.match(r"[A-Za-z]*", text)[0]
    if letters and kind.endswith(text):
        # All in upper case, a type symbol is still one of a single element
        text = letters.capitalize() + text[len(letters) :]
    # A number is a label here, not an atomic number
    return element_of_site(text if letters else f"#{text}", formula)


def _read_displacements(block: _Block, n: int, labels: list[str]) -> np.ndarray:
    """Isotropic displacement parameters U in square angstrom (n,), 0 if not known."""
    import gemmi

    u = np.zeros(n)
    # The mean of the diagonal stands for the equivalent isotropic one
    aniso = block.column("atom_site_aniso_label", gemmi.cif.as_string)
    for prefix, factor in (("b", 1 / (8 * np.pi**2)), ("u", 1.0)):
        columns = [
            block.column(f"atom_site_aniso_{prefix}_{i}", gemmi.cif.as_number)
            for i in ("11", "22", "33")
        ]
        if all(len(column) == len(aniso) > 0 for column in columns):
            mean = dict(zip(aniso, factor * np.mean(columns, axis=0)))
            u = np.array([mean.get(label, i) for label, i in zip(labels, u)])
    for name, factor in (("b_iso_or_equiv", 1 / (8 * np.pi**2)), ("u_iso_or_equiv", 1)):
        column = block.column(f"atom_site_{name}", gemmi.cif.as_number)
        if len(column) == n:
            values = factor * np.array(column)
            u = np.where(np.isfinite(values), values, u)
    return np.where(np.isfinite(u) & (u > 0) & (u < 1), u, 0.0)


def _read_settings(block: _Block) -> tuple[int | None, list[Setting]]:
    """Number of the space group, and settings that the file leaves open."""
    stated = block.number(_NUMBER)
    number = int(stated) if stated is not None and 1 <= stated <= 230 else None
    named = _find_named_settings(block, number)
    if number is None and named:
        number = named[0].number
    operations = _read_operations(block)
    if operations:
        group = complete_group(parse_operations(operations))
        own = Setting("the operations in the file", number_of_operations(group), group)
        # A lone identity may stand for a cell that is whole, or for nothing
        return number, [own] if len(group) > 1 else [own, *named]
    if named:
        return number, named
    symbols = block.texts(_HALL) + block.texts(_NAME)
    if symbols:
        raise ValueError(
            f"its space group {symbols[0]!r} is not known. Add the symmetry operations "
            "(_space_group_symop_operation_xyz) to the file"
        )
    _logger.warning("No space group is stated: all atoms are taken to be listed")
    return number, list(settings_of_number(1))


def _find_named_settings(block: _Block, number: int | None) -> list[Setting]:
    """Settings of the symbols or the number of a space group."""
    code = (block.texts(_CODE) or [""])[0]
    candidates = [settings_of_hall(text) for text in block.texts(_HALL)]
    candidates += [settings_of_name(text, code) for text in block.texts(_NAME)]
    candidates = [settings for settings in candidates if settings]
    # Symbols of the stated number first
    candidates.sort(key=lambda settings: number not in (None, settings[0].number))
    if candidates:
        return candidates[0]
    settings = [] if number is None else list(settings_of_number(number))
    return [i for i in settings if code and i.name.endswith(f":{code}")] or settings


def _read_operations(block: _Block) -> list[str]:
    """Triplets of symmetry operations."""
    import gemmi

    # The number of an operation may be in front of it
    operations = [
        re.sub(r"^\d+\s+(?=[-+xyzXYZ\d])", "", text)
        for name in _OPERATIONS
        for text in block.column(name, gemmi.cif.as_string)
        if text.strip() not in ("", "?", ".")
    ]
    if not operations:
        for name in _OTHER_OPERATIONS:
            for text in block.column(name, gemmi.cif.as_string):
                text = text.replace("x1", "x").replace("x2", "y").replace("x3", "z")
                operations.append(",".join(text.split(",")[:3]))
        if operations:
            _logger.warning("Magnetic moments and modulations are left out")
    if len(operations) > _MAX_OPERATIONS:
        raise ValueError(f"it has {len(operations)} symmetry operations")
    return operations

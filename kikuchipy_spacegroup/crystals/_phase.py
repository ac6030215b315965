# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a CIF to a phase in the standard setting."""

from dataclasses import dataclass, replace
from functools import partial
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kikuchipy_spacegroup.crystals._cif import CifContent, CifSite, read_cif
from kikuchipy_spacegroup.crystals._settings import Setting, settings_of_number
from kikuchipy_spacegroup.crystals._symmetry import (
    FULL,
    IMPOSSIBLE_BOND,
    expand_sites,
    find_symmetry,
    join_ions,
    merge_sites,
    nearest_neighbors,
    neighbor_pairs,
    shortest_bond,
)
from kikuchipy_spacegroup.crystals._unit_cell import aligned_lattice, standard_cell

if TYPE_CHECKING:
    from diffpy.structure import Structure
    from orix.crystal_map import Phase

_logger = logging.getLogger(__name__)

_MAX_ATOMS = 5000
# Share of the sum of covalent radii below which full sites are too near, and the
# least distance in angstrom
_NEAREST, _LEAST = 0.55, 0.6
# Shares below which bonds are so short that another setting is more likely
_SHORT_BONDS = (0.9, 0.8, 0.7)
# Distance in angstrom that no atom is from all others
_FARTHEST = 6.0
# Distance in angstrom within which sites are one place, which they may share
_SAME_PLACE = 0.05
# Differences of atomic fractions from the stated formula that are told and refused
_WARN, _REFUSE = 0.02, 0.05
# Distances in angstrom below which atoms are the same for spglib. The first, unless
# the stated space group is only found with the others, as in rounded coordinates
_TOLERANCES = (0.01, 0.02, 0.05, 0.1)
_AVOGADRO = 6.02214076e23
# Of enantiomorphic pairs, the one with the lower number
_ENANTIOMORPHS = {78: 76, 95: 91, 96: 92, 145: 144, 153: 151, 154: 152, 170: 169}
_ENANTIOMORPHS |= {172: 171, 179: 178, 181: 180, 213: 212}


@dataclass
class _Cell:
    """A file's unit cell, expanded in one setting."""

    structure: "Structure"
    setting: Setting
    n_orbits: int

    def closed(self, n_sites: int) -> bool:
        """Whether the file lists whole orbits, which the setting maps on themselves."""
        return self.n_orbits < n_sites and len(self.structure) == n_sites


def load_phase(path: str | Path, *, check_formula: bool = True) -> "Phase":
    """Phase in a CIF, in the standard setting.

    Parameters
    ----------
    path
        Path to the Crystallographic Information File.
    check_formula
        Whether to refuse a structure whose composition differs from the
        formula that the file states by more than 5 % of the atoms.
        Hydrogen may be missing, as it often is. If ``False``, a
        difference is logged as a warning.

    Returns
    -------
    phase
        Phase with all atoms of the conventional unit cell, in the
        setting orix and diffsims expect: unique axis b, origin choice
        1, hexagonal axes. Lattice parameters are in angstrom. Its name
        is that of the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file cannot be read, has more than a thousand sites, if
        atoms are nearer than possible or share a place with occupancies
        above one, if the composition differs from the stated formula or
        the atoms do not have the stated space group, or if the file
        leaves the origin or axes open and nothing in it decides.

    See Also
    --------
    orix.crystal_map.Phase.from_cif

    Notes
    -----
    Symmetry operations are those in the file. If it has none, they are
    those of its Hall symbol, Hermann-Mauguin symbol or number, in this
    order. If these leave the origin choice or axes open, all are built,
    and the lattice parameters, distances, formula, number of formula
    units and density decide.

    The space group is that of the atoms, since their pattern has it. If
    it is higher than the one in the file, this is logged as a warning.

    Examples
    --------
    >>> from kikuchipy_spacegroup.crystals import load_phase
    >>> load_phase("NiAs.cif")  # doctest: +SKIP
    <name: NiAs. space group: P63/mmc. point group: 6/mmm. ...>
    """
    path = Path(path)
    content = read_cif(path)
    try:
        return phase_from_content(
            content, path.stem, path.name, check_formula=check_formula
        )
    except ValueError as error:
        raise ValueError(f"{path} is no crystal: {error}") from error


def phase_from_content(
    content: CifContent, name: str, origin: str, *, check_formula: bool = True
) -> "Phase":
    """Phase of what a CIF or an entry of a database states.

    Parameters
    ----------
    content
        Cell, sites, settings and formula.
    name
        Name of the phase.
    origin
        What to call the file or entry in messages that are logged.
    check_formula
        Whether to refuse a structure whose composition is not that of
        the formula.

    Returns
    -------
    phase
        Phase as :func:`load_phase` returns it.

    Raises
    ------
    ValueError
        If the atoms are those of no crystal, or not those stated.
    """
    content = replace(content, sites=_join_sites(content.sites))
    try:
        cell = _choose_cell(content, origin)
        _check_formula(content, cell, origin, refuse=check_formula)
        return _to_phase(content, cell, name, origin)
    except ArithmeticError as error:
        raise ValueError(str(error)) from error


def _choose_cell(content: CifContent, name: str) -> _Cell:
    """Unit cell in the setting that fits what the file states."""
    cells, problems = [], []
    for setting in content.settings:
        try:
            cells.append(_build_cell(content, setting, name))
        except ValueError as error:
            if setting.usual:
                problems.append(f"with {setting.name}, {error}")
    if not cells:
        cells = _build_whole_cell(content, name)
    if not cells:
        raise ValueError("; ".join(problems))
    tests = [
        lambda cell: cell.closed(len(content.sites)),
        lambda cell: _has_group(cell.structure, content.number),
        lambda cell: _compare_formula(content, cell.structure)[0] < _REFUSE,
        lambda cell: _fits_formula_units(content, cell.structure),
        lambda cell: _fits_density(content, cell.structure),
        lambda cell: cell.setting.usual and _find_shortest_bond(cell) > IMPOSSIBLE_BOND,
        *(partial(_bonds_exceed, ratio=ratio) for ratio in _SHORT_BONDS),
        lambda cell: cell.setting.usual,
    ]
    for test in tests:
        if len(cells) > 1:
            cells = [cell for cell in cells if test(cell)] or cells
    first, *others = cells
    if content.number is None and len(first.setting.operations) == 1:
        _check_listed(content, first)
    if not all(_is_same_crystal(first.structure, other.structure) for other in others):
        names = " or ".join(cell.setting.name for cell in cells)
        raise ValueError(
            f"it leaves open whether its atoms are in {names}, which give different "
            "crystals. Add the symmetry operations or the setting to the file"
        )
    if others or problems:
        _logger.info("%s: atoms are taken to be in %s", name, first.setting.name)
    return first


def _check_listed(content: CifContent, cell: _Cell) -> None:
    """Raise an error if no symmetry is stated, but not all atoms are listed."""
    structure = cell.structure
    if not _fits_formula_units(content, structure):
        stated = f"{content.formula_units:g} formula units per cell"
    elif not _fits_density(content, structure):
        stated = f"a density of {content.density:g} g/cm^3"
    else:
        return
    raise ValueError(
        f"it states {stated}, which the {len(structure)} atoms listed are not, and no "
        "space group. Add the symmetry operations or the space group to the file"
    )


def _join_sites(sites: list[CifSite]) -> list[CifSite]:
    """Sites where ions of an element in one place, as Fe2+ and Fe3+, are one."""
    occupancies = join_ions(
        np.array([site.xyz for site in sites]),
        [site.element for site in sites],
        np.array([site.occupancy for site in sites]),
        [(site.label, site.kind) for site in sites],
    )
    return [
        replace(site, occupancy=min(float(occupancy), 1.0))
        for site, occupancy in zip(sites, occupancies)
        if occupancy > 0
    ]


def _build_whole_cell(content: CifContent, name: str) -> list[_Cell]:
    """Cell of the listed atoms alone, if they have the stated space group."""
    (setting,) = settings_of_number(1)
    try:
        cell = _build_cell(content, setting, name)
    except ValueError:
        return []
    stated = content.number
    if stated in (None, 1) or not _has_group(cell.structure, stated):
        return []
    return [cell]


def _has_group(structure: "Structure", number: int | None) -> bool:
    """Whether atoms have a space group, if one is given."""
    if number is None:
        return True
    base = structure.lattice.base
    for tolerance in _TOLERANCES:
        positions, kinds, _ = merge_sites(structure, tolerance)
        symmetry = find_symmetry(base, positions, kinds, tolerance)
        if symmetry is not None and _is_same_group(int(symmetry.number), number):
            return True
    return False


def _build_cell(content: CifContent, setting: Setting, name: str) -> _Cell:
    """Unit cell with atoms in a setting, or an error that says what is wrong."""
    from diffpy.structure import Atom, Structure

    base = aligned_lattice(*content.cell).base
    if not setting.operations.fit(base):
        raise ValueError(
            f"the lattice parameters {content.cell.tolist()} do not have its symmetry"
        )
    lattice = aligned_lattice(*setting.operations.symmetrize(base))
    orbits = expand_sites(
        np.array([site.xyz for site in content.sites]),
        [site.element for site in content.sites],
        np.array([site.occupancy for site in content.sites]),
        setting.operations,
        lattice.base,
        _MAX_ATOMS,
    )
    structure = Structure(lattice=lattice, title=name)
    for i, images in orbits:
        site = content.sites[i]
        for xyz in images:
            new = Atom(
                site.element,
                xyz,
                label=site.label,
                occupancy=site.occupancy,
                Uisoequiv=site.displacement,
            )
            structure.append(new, copy=False)
    _check_atoms(structure)
    return _Cell(structure, setting, len(orbits))


def _check_atoms(structure: "Structure") -> None:
    """Raise an error if atoms are too near, or sites too full."""
    import gemmi

    radii = np.array([gemmi.Element(atom.element).covalent_r for atom in structure])
    base, occupancies = structure.lattice.base, structure.occupancy
    if nearest_neighbors(structure.xyz, base, 1)[1].min() > _FARTHEST:
        raise ValueError(
            f"its atoms are more than {_FARTHEST:g} angstrom apart. Check that lattice "
            "parameters are in angstrom, and that no atoms or operations are missing"
        )
    radius = max(_LEAST, 2 * _NEAREST * radii.max())
    pairs, distances = neighbor_pairs(structure.xyz, base, radius)
    coexist = occupancies[pairs].sum(axis=1) > FULL
    # Sites in one place share it
    in_one_place = distances < _SAME_PLACE
    site_occupancy = occupancies.copy()
    np.add.at(
        site_occupancy, pairs[in_one_place, 0], occupancies[pairs[in_one_place, 1]]
    )
    if (site_occupancy > FULL).any():
        i = int(site_occupancy.argmax())
        labels = [
            structure[int(j)].label for j in pairs[in_one_place & (pairs[:, 0] == i), 1]
        ]
        raise ValueError(
            f"sites {sorted({structure[i].label, *labels})} are in one place with "
            f"occupancies that sum up to {site_occupancy[i]:.3g}, which must be 1 at "
            "most"
        )
    least = np.maximum(_LEAST, _NEAREST * radii[pairs].sum(axis=1))
    too_near = coexist & ~in_one_place & (distances < least)
    if too_near.any():
        i = int(np.flatnonzero(too_near)[0])
        first, second = (structure[int(j)].label for j in pairs[i])
        raise ValueError(
            f"atoms {first} and {second} are {distances[i]:.3g} angstrom apart, nearer "
            "than possible. Check coordinates, symmetry and the setting"
        )


def _check_formula(content: CifContent, cell: _Cell, name: str, refuse: bool) -> None:
    """Raise an error or warn if the composition is not that of the formula."""
    difference, message = _compare_formula(content, cell.structure)
    if difference >= _REFUSE:
        # As in the formulas of prototypes
        full = _compare_formula(content, cell.structure, as_full=True)[0]
        refuse &= full >= _WARN
    if difference >= _REFUSE and refuse:
        raise ValueError(
            f"{message}. Check sites, occupancies and symmetry, or pass "
            "check_formula=False if the formula is wrong"
        )
    if difference >= _WARN or (message and difference == 0):
        _logger.warning("%s: %s", name, message)


def _compare_formula(
    content: CifContent, structure: "Structure", *, as_full: bool = False
) -> tuple[float, str]:
    """Largest difference of atomic fractions from the formula, and what differs.

    Occupancies are left out if sites are taken as full.
    """
    if not content.formula:
        return 0.0, ""
    counted: dict[str, float] = {}
    for atom in structure:
        amount = 1.0 if as_full else float(atom.occupancy)
        counted[atom.element] = counted.get(atom.element, 0.0) + amount
    stated = dict(content.formula)
    note = ""
    if _lacks_hydrogen(stated, counted):
        note = "hydrogen is in the formula but not all among the atoms"
        del stated["H"]
        counted.pop("H", None)
    elements = sorted({*stated, *counted})
    fractions = []
    for amounts in (stated, counted):
        values = np.array([amounts.get(element, 0.0) for element in elements])
        fractions.append(values / values.sum())
    difference = float(np.abs(fractions[0] - fractions[1]).max())
    if difference >= _WARN:
        # As many atoms as in the formula
        scale = sum(stated.values()) / sum(counted.values())
        texts = [
            " ".join(
                f"{element}{scale_ * amounts[element]:.4g}"
                for element in sorted(amounts)
            )
            for amounts, scale_ in ((stated, 1), (counted, scale))
        ]
        note = f"the formula is {texts[0]}, but the atoms are {texts[1]}"
    return difference if difference >= _WARN else 0.0, note


def _lacks_hydrogen(stated: dict[str, float], counted: dict[str, float]) -> bool:
    """Whether atoms have less hydrogen than a formula, and both have other elements."""
    others = [sum(amounts.values()) for amounts in (stated, counted)]
    hydrogen = [amounts.get("H", 0.0) for amounts in (stated, counted)]
    others = [total - amount for total, amount in zip(others, hydrogen)]
    if min(others) <= 0:
        return False
    return hydrogen[1] / others[1] < (1 - _WARN) * hydrogen[0] / others[0]


def _fits_formula_units(content: CifContent, structure: "Structure") -> bool:
    """Whether the number of atoms is that of the stated formula units."""
    if not (content.formula and content.formula_units):
        return True
    stated = content.formula_units * sum(
        amount for element, amount in content.formula.items() if element != "H"
    )
    n_atoms = sum(atom.occupancy for atom in structure if atom.element != "H")
    return abs(n_atoms / stated - 1) < 0.1 if stated else True


def _fits_density(content: CifContent, structure: "Structure") -> bool:
    """Whether the density is the stated one."""
    import gemmi

    if not content.density or content.density <= 0:
        return True
    mass = sum(
        gemmi.Element(atom.element).weight * atom.occupancy for atom in structure
    )
    density = mass / _AVOGADRO / (structure.lattice.volume * 1e-24)
    return bool(abs(density / content.density - 1) < 0.15)


def _bonds_exceed(cell: _Cell, ratio: float) -> bool:
    """Whether no bond is shorter than a share of the covalent radii."""
    return _find_shortest_bond(cell) > ratio


def _find_shortest_bond(cell: _Cell) -> float:
    """Shortest distance between atoms over the sum of their covalent radii."""
    structure = cell.structure
    elements = [atom.element for atom in structure]
    base = structure.lattice.base
    return shortest_bond(structure.xyz, elements, structure.occupancy, base)


def _is_same_crystal(first: "Structure", second: "Structure") -> bool:
    """Whether two unit cells have the same atoms at the same distances."""
    if len(first) != len(second):
        return False
    distances = [
        neighbor_pairs(structure.xyz, structure.lattice.base, 4.0)[1]
        for structure in (first, second)
    ]
    return len(distances[0]) == len(distances[1]) and np.allclose(
        *distances, atol=_SAME_PLACE
    )


def _to_phase(content: CifContent, cell: _Cell, name: str, origin: str) -> "Phase":
    """Phase in the standard setting, whose space group is checked."""
    stated, built = content.number, cell.setting.number
    for tolerance in _TOLERANCES:
        phase = standard_cell(cell.structure, name=name, tolerance=tolerance)
        number = phase.space_group.number
        if stated in (None, 1) or _is_same_group(number, stated) or built == stated:
            break
    else:
        phase = standard_cell(cell.structure, name=name, tolerance=_TOLERANCES[0])
        number = phase.space_group.number
    if stated is None or number == stated:
        return phase
    if (
        not _is_same_group(built, stated)
        and not _is_same_group(number, stated)
        and stated > 1
    ):
        raise ValueError(
            f"it states space group {stated}, but the atoms have {number} "
            f"({phase.space_group.short_name}) with {cell.setting.name}"
        )
    _logger.warning(
        "%s: the file says space group %i, but the atoms have %i (%s), which is used",
        origin,
        stated,
        number,
        phase.space_group.short_name,
    )
    return phase


def _is_same_group(first: int | None, second: int | None) -> bool:
    """Whether two space groups are one or mirror images."""
    return _ENANTIOMORPHS.get(first, first) == _ENANTIOMORPHS.get(second, second)

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whichever way a structure is written as CIF, the same crystal is read."""

from dataclasses import dataclass

from diffpy.structure import Atom, Lattice, Structure
import gemmi
import numpy as np
from orix.crystal_map import Phase
import pytest

from kikuchipy_spacegroup.crystals import (
    load_phase,
    phase_composition,
    standard_cell,
    unit_cell,
)
from kikuchipy_spacegroup.kinematical import kinematical_master_pattern


@dataclass
class Crystal:
    """Structure in the standard setting of its space group, origin choice 1."""

    number: int
    cell: tuple
    sites: tuple
    formula: str
    n_atoms: int

    @property
    def group(self):
        """Entry of gemmi's table, with origin choice 1 and hexagonal axes."""
        groups = [g for g in gemmi.spacegroup_table() if g.number == self.number]
        first = [g for g in groups if g.ext in ("1", "H")]
        return (first or [g for g in groups if g.is_reference_setting()])[0]

    @property
    def operations(self):
        return [
            (np.array(op.rot) // 24, np.array(op.tran) / 24)
            for op in self.group.operations()
        ]

    def phase(self):
        """The same structure without a file."""
        atoms = [Atom(element, xyz) for element, xyz in self.sites]
        return Phase("x", self.number, structure=Structure(atoms, Lattice(*self.cell)))

    def standard(self):
        """The same structure with the axes that the standard setting has."""
        return standard_cell(unit_cell(self.phase()))


CRYSTALS = {
    "triclinic": Crystal(
        2,
        (7.13, 7.85, 5.57, 90.1, 101.1, 105.9),
        (("Al", (0.325, 0.704, 0.458)), ("Al", (0.102, 0.386, 0.64)))
        + (("Si", (0.296, 0.065, 0.707)), ("O", (0.123, 0.5, 0.144))),
        "Al2 Si O",
        8,
    ),
    "monoclinic": Crystal(
        14,
        (5.17, 5.23, 5.34, 90, 99.25, 90),
        (("Zr", (0.276, 0.040, 0.209)), ("O", (0.069, 0.342, 0.345)))
        + (("O", (0.451, 0.758, 0.479)),),
        "Zr O2",
        12,
    ),
    "orthorhombic": Crystal(
        62,
        (5.09, 6.74, 4.52, 90, 90, 90),
        (("Fe", (0.036, 0.25, 0.852)), ("Fe", (0.186, 0.063, 0.328)))
        + (("C", (0.89, 0.25, 0.45)),),
        "Fe3 C",
        16,
    ),
    "tetragonal": Crystal(
        141,
        (6.61, 6.61, 5.98, 90, 90, 90),
        (("Zr", (0, 0, 0)), ("Si", (0, 0, 0.5)), ("O", (0, 0.184, 0.32))),
        "Zr Si O4",
        24,
    ),
    "trigonal": Crystal(
        154,
        (4.913, 4.913, 5.405, 90, 90, 120),
        (("Si", (0.4697, 0, 2 / 3)), ("O", (0.4135, 0.2669, 0.7858))),
        "Si O2",
        9,
    ),
    "rhombohedral": Crystal(
        167,
        (4.99, 4.99, 17.06, 90, 90, 120),
        (("Ca", (0, 0, 0)), ("C", (0, 0, 0.25)), ("O", (0.257, 0, 0.25))),
        "Ca C O3",
        30,
    ),
    "hexagonal": Crystal(
        186,
        (3.25, 3.25, 5.207, 90, 90, 120),
        (("Zn", (1 / 3, 2 / 3, 0)), ("O", (1 / 3, 2 / 3, 0.382))),
        "Zn O",
        4,
    ),
    "cubic": Crystal(
        205,
        (5.417, 5.417, 5.417, 90, 90, 90),
        (("Fe", (0, 0, 0)), ("S", (0.385, 0.385, 0.385))),
        "Fe S2",
        12,
    ),
    "diamond": Crystal(227, (3.567,) * 3 + (90,) * 3, (("C", (0, 0, 0)),), "C", 8),
}
CHARGES = {"Al": "3+", "Si": "4+", "O": "2-", "Zr": "4+", "Fe": "2+", "C": "4+"}
CHARGES |= {"Ca": "2+", "Zn": "2+", "S": "1-"}
OLD, NEW = "_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz"


def triplet(rotation, translation):
    op = gemmi.Op("x,y,z")
    op.rot = (24 * rotation).astype(int).tolist()
    op.tran = np.rint(24 * translation).astype(int).tolist()
    return op.wrap().triplet()


def cif(
    crystal,
    *,
    cell=None,
    sites=None,
    operations=None,
    tag=OLD,
    header=(),
    digits=5,
    write_site=None,
    columns=("label", "type_symbol"),
    formula=True,
):
    """Text of a CIF, by default with operations only."""
    cell = crystal.cell if cell is None else cell
    sites = crystal.sites if sites is None else sites
    lines = ["data_x", *header]
    names = ["length_a", "length_b", "length_c"]
    names += ["angle_alpha", "angle_beta", "angle_gamma"]
    lines += [f"_cell_{name} {value:.5f}" for name, value in zip(names, cell)]
    if formula:
        lines.append(f"_chemical_formula_sum '{crystal.formula}'")
    if operations is None:
        operations = crystal.operations
    if operations:
        lines += ["loop_", tag, *(f"'{triplet(*op)}'" for op in operations)]
    lines += ["loop_", *(f"_atom_site_{i}" for i in columns)]
    lines += [f"_atom_site_fract_{i}" for i in "xyz"] + ["_atom_site_occupancy"]
    write_site = write_site or (lambda i, element: f"{element}{i} {element}")
    for i, (element, xyz) in enumerate(sites):
        numbers = " ".join(f"{x:.{digits}f}" for x in xyz)
        lines.append(f"{write_site(i, element)} {numbers} 1.0")
    return "\n".join(lines) + "\n"


def whole_cell(crystal):
    structure = unit_cell(crystal.phase())
    return [(atom.element, atom.xyz) for atom in structure]


def change_axes(crystal, matrix, shift=(0, 0, 0)):
    """Cell, sites and operations with new axes (rows of a matrix) and origin."""
    base = np.asarray(matrix) @ Lattice(*crystal.cell).base
    to_new = np.linalg.inv(np.asarray(matrix).T)
    sites = [
        (element, to_new @ (np.array(xyz) - shift)) for element, xyz in crystal.sites
    ]
    operations = []
    for rotation, translation in crystal.operations:
        moved = translation + rotation @ np.array(shift) - shift
        new = to_new @ rotation @ np.linalg.inv(to_new)
        operations.append((np.rint(new).astype(int), to_new @ moved))
    return Lattice(base=base).abcABG(), sites, operations


def permuted(crystal):
    cell, sites, operations = change_axes(crystal, [[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    return cif(crystal, cell=cell, sites=sites, operations=operations)


def shifted(crystal):
    cell, sites, operations = change_axes(crystal, np.eye(3), (1 / 8, 1 / 4, 1 / 3))
    return cif(crystal, cell=cell, sites=sites, operations=operations)


def hall_only(crystal):
    return cif(
        crystal,
        operations=[],
        header=[f"_space_group_name_Hall '{crystal.group.hall}'"],
    )


def symbol_only(crystal, tag="_symmetry_space_group_name_H-M"):
    name = crystal.group.xhm()
    return cif(crystal, operations=[], header=[f"{tag} '{name}'"])


def number_only(crystal, tag="_symmetry_Int_Tables_number"):
    return cif(crystal, operations=[], header=[f"{tag} {crystal.number}"])


def with_errors(crystal):
    """Standard uncertainties in brackets."""
    return (
        cif(crystal, digits=4)
        .replace(" 1.0\n", " 1.0(2)\n")
        .replace("0 1.0(2)", "0(3) 1.0(2)")
    )


WAYS = {
    "operations": cif,
    "new names": lambda c: cif(c, tag=NEW),
    "dots in names": lambda c: cif(c, tag="_space_group_symop.operation_xyz"),
    "upper case": lambda c: cif(c).replace("_cell_length", "_CELL_LENGTH"),
    "four digits": lambda c: cif(c, digits=4),
    "three digits": lambda c: cif(c, digits=3),
    "whole cell": lambda c: cif(c, sites=whole_cell(c), operations=[]),
    "whole cell with operations": lambda c: cif(c, sites=whole_cell(c)),
    "whole cell, identity": lambda c: cif(
        c,
        sites=whole_cell(c),
        operations=c.operations[:1],
        header=["_symmetry_space_group_name_H-M 'P 1'"],
    ),
    "Hall symbol": hall_only,
    "symbol with setting": symbol_only,
    "new symbol": lambda c: symbol_only(c, "_space_group_name_H-M_alt"),
    "number": number_only,
    "new number": lambda c: number_only(c, "_space_group_IT_number"),
    "ions": lambda c: cif(c, write_site=lambda i, e: f"{e}{i} {e}{CHARGES[e]}"),
    "other ions": lambda c: cif(
        c, write_site=lambda i, e: f"{e}{i} {e}{CHARGES[e][::-1]}"
    ),
    "labels": lambda c: cif(c, write_site=lambda i, e: f"{e}{i}", columns=["label"]),
    "lettered labels": lambda c: cif(
        c, write_site=lambda i, e: f"{e}{'ABCDEF'[i]}", columns=["label"]
    ),
    "upper-case types": lambda c: cif(c, write_site=lambda i, e: f"M{i} {e.upper()}"),
    "brackets": with_errors,
    "origin": shifted,
    "axes": permuted,
}


def density(phase):
    structure = unit_cell(phase)
    mass = sum(gemmi.Element(i.element).weight * i.occupancy for i in structure)
    return mass / structure.lattice.volume


def pattern(phase):
    return kinematical_master_pattern(phase, half_width=20, min_dspacing=0.13).data


@pytest.fixture(scope="module")
def references():
    """Phase and master pattern of every crystal, without any file."""
    return {
        name: (crystal.standard(), pattern(crystal.standard()))
        for name, crystal in CRYSTALS.items()
    }


def check_same(path, reference, crystal, *, same_axes=True):
    phase = load_phase(path)
    expected, expected_pattern = reference
    assert phase.space_group.number == crystal.number
    assert len(phase.structure) == len(unit_cell(phase)) == crystal.n_atoms
    assert phase_composition(phase) == pytest.approx(phase_composition(expected))
    assert density(phase) == pytest.approx(density(expected), rel=1e-3)
    found = pattern(phase)
    if same_axes:
        assert np.corrcoef(found.ravel(), expected_pattern.ravel())[0, 1] > 0.99
    return phase, found


@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize("way", WAYS)
def test_same_crystal(way, name, references, tmp_path):
    path = tmp_path / "a.cif"
    path.write_text(WAYS[way](CRYSTALS[name]))
    check_same(path, references[name], CRYSTALS[name])

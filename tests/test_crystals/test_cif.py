# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whichever way a structure is written as CIF, the same crystal is read."""

from dataclasses import dataclass
import re

from diffpy.structure import Atom, Lattice, Structure
import gemmi
import numpy as np
from orix.crystal_map import Phase
import pytest

from kikuchipy_spacegroup.crystals import (
    check_space_group,
    load_phase,
    phase_composition,
    standard_cell,
    unit_cell,
)
from kikuchipy_spacegroup.crystals._settings import settings_of_name
from kikuchipy_spacegroup.crystals._symmetry import lattice_parameters
from kikuchipy_spacegroup.master_patterns import (
    kinematical_master_pattern,
    reflecting_planes,
    simulate_master_pattern,
)


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
    return lattice_parameters(Lattice(base=base)), sites, operations


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


ENCODINGS = {
    "Windows": lambda text: text.replace("\n", "\r\n").encode(),
    "old Mac": lambda text: text.replace("\n", "\r").encode(),
    "byte-order mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 without mark": lambda text: text.encode("utf-16-le"),
    "Latin 1": lambda text: ("# Å\n" + text).encode("latin-1"),
    "UTF-8": lambda text: ("# Å\n" + text).encode(),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings(encoding, references, tmp_path):
    path = tmp_path / "a.cif"
    path.write_bytes(ENCODINGS[encoding](cif(CRYSTALS["hexagonal"])))
    check_same(path, references["hexagonal"], CRYSTALS["hexagonal"])


class TestOpenSettings:
    """What the file leaves open is decided by what else it states."""

    def test_formula_decides(self, references, tmp_path):
        """Of two origins, one gives another composition."""
        crystal = CRYSTALS["tetragonal"]
        path = tmp_path / "a.cif"
        for shift, origin in (((0, 0, 0), 1), ((0, -0.25, 0.125), 2)):
            # The second choice has the inversion center at the origin
            _, sites, operations = change_axes(crystal, np.eye(3), shift)
            inversion = [t for r, t in operations if np.allclose(r, -np.eye(3))]
            at_origin = any(np.allclose(t % 1, 0) for t in inversion)
            assert at_origin == (origin == 2)
            header = ["_symmetry_space_group_name_H-M 'I 41/a m d'"]
            path.write_text(cif(crystal, sites=sites, operations=[], header=header))
            check_same(path, references["tetragonal"], crystal)

    @pytest.mark.parametrize(
        ("symbol", "xyz"),
        [("F d -3 m", 0), ("F d -3 m :1", 0), ("F d -3 m S", 0), ("F d -3 m :2", 1 / 8)]
        + [("F d -3 m Z", 1 / 8), ("F d -3 m (origin choice 2)", 1 / 8)]
        + [("F 41/d -3 2/m :2", 1 / 8), ("Fd-3m", 1 / 8)],
    )
    def test_diamond(self, symbol, xyz, references, tmp_path):
        crystal = CRYSTALS["diamond"]
        path = tmp_path / "a.cif"
        header = [f"_symmetry_space_group_name_H-M '{symbol}'"]
        path.write_text(
            cif(crystal, sites=[("C", (xyz,) * 3)], operations=[], header=header)
        )
        check_same(path, references["diamond"], crystal)

    @pytest.mark.parametrize("symbol", ["R -3 m :R", "R -3 m", "R -3 m r"])
    def test_rhombohedral_axes(self, symbol, tmp_path):
        path = tmp_path / "as.cif"
        crystal = Crystal(
            166, (4.13,) * 3 + (54.1,) * 3, (("As", (0.227,) * 3),), "As", 6
        )
        header = [f"_symmetry_space_group_name_H-M '{symbol}'"]
        path.write_text(cif(crystal, operations=[], header=header))
        phase = load_phase(path)
        assert phase.space_group.number == 166
        assert len(phase.structure) == 6
        assert phase.structure.lattice.gamma == pytest.approx(120)
        assert density(phase) == pytest.approx(
            2 * gemmi.Element("As").weight / Lattice(*crystal.cell).volume
        )

    def test_refused_if_nothing_decides(self, tmp_path):
        path = tmp_path / "a.cif"
        cell = (8.0, 8.0, 9.0, 90, 90, 90)
        crystal = Crystal(129, cell, (("Fe", (0, 0, 0)),), "Fe", 2)
        header = ["_symmetry_space_group_name_H-M 'P 4/n m m'"]
        text = cif(crystal, operations=[], header=header, formula=False)
        path.write_text(text)
        with pytest.raises(ValueError, match="a.cif is no crystal: it leaves open"):
            load_phase(path)

    def test_generators_are_completed(self, references, tmp_path, caplog):
        """Of P 21/c, the screw axis and the inversion."""
        crystal = CRYSTALS["monoclinic"]
        generators = [
            (rotation, translation)
            for rotation, translation in crystal.operations
            if np.trace(rotation) in (-1, -3)
        ]
        assert len(generators) == 2
        path = tmp_path / "a.cif"
        path.write_text(cif(crystal, operations=generators))
        check_same(path, references["monoclinic"], crystal)
        assert "2 symmetry operations are missing and added" in caplog.text

    def test_hydrogen_may_be_missing(self, tmp_path, caplog):
        crystal = CRYSTALS["hexagonal"]
        path = tmp_path / "a.cif"
        path.write_text(cif(crystal).replace("'Zn O'", "'Zn O H2'"))
        assert load_phase(path).space_group.number == 186
        assert "hydrogen is in the formula but not all among the atoms" in caplog.text


class TestRefused:
    """One clear message that names the file and the atoms."""

    def load(self, tmp_path, text):
        path = tmp_path / "bad.cif"
        path.write_text(text)
        return load_phase(path)

    def test_near_atoms(self, tmp_path):
        crystal = CRYSTALS["cubic"]
        sites = (*crystal.sites, ("S", (0.1, 0.05, 0)))
        with pytest.raises(ValueError, match="bad.cif .*atoms Fe0 and S2 are 0.6"):
            self.load(tmp_path, cif(crystal, sites=sites, formula=False))

    def test_occupancies(self, tmp_path):
        crystal = CRYSTALS["hexagonal"]
        sites = (*crystal.sites, ("Mg", crystal.sites[0][1]))
        text = cif(crystal, sites=sites, formula=False)
        match = r"bad.cif .*sites \['Mg2', 'Zn0'\] .*sum up to 2"
        with pytest.raises(ValueError, match=match):
            self.load(tmp_path, text)
        # A shared site is fine
        shared = text.replace("1.0", "0.5")
        assert self.load(tmp_path, shared).space_group.number == 186
        with pytest.raises(ValueError, match="site 'Zn0' has an occupancy of 1.5"):
            self.load(tmp_path, text.replace("1.0", "1.5"))

    def test_formula(self, tmp_path):
        text = cif(CRYSTALS["cubic"]).replace("'Fe S2'", "'Fe S'")
        match = "bad.cif .*formula is Fe1 S1, but the atoms are Fe0.6667 S1.333"
        with pytest.raises(ValueError, match=match):
            self.load(tmp_path, text)
        path = tmp_path / "bad.cif"
        assert load_phase(path, check_formula=False).space_group.number == 205

    def test_stated_group(self, tmp_path):
        header = ["_symmetry_Int_Tables_number 225"]
        with pytest.raises(ValueError, match="bad.cif .*states space group 225, but"):
            self.load(tmp_path, cif(CRYSTALS["cubic"], header=header))

    @pytest.mark.parametrize("label", ["CO1", "SN1"])
    def test_ambiguous_labels(self, tmp_path, label):
        crystal = Crystal(221, (3.0,) * 3 + (90,) * 3, (("Co", (0, 0, 0)),), "Co", 1)
        kwargs = {"write_site": lambda i, e: label, "columns": ["label"]}
        with pytest.raises(ValueError, match=f"{label}' may stand for"):
            self.load(tmp_path, cif(crystal, formula=False, **kwargs))
        text = cif(crystal, **kwargs).replace("'Co'", f"'{label[:2].capitalize()}'")
        (atom,) = self.load(tmp_path, text).structure
        assert atom.element == label[:2].capitalize()

    @pytest.mark.parametrize("label", ["M1", "X", "1", "(Fe,Mg)"])
    def test_no_element(self, tmp_path, label):
        kwargs = {"write_site": lambda i, e: label, "columns": ["label"]}
        with pytest.raises(ValueError, match="bad.cif .*does not begin with"):
            self.load(tmp_path, cif(CRYSTALS["diamond"], **kwargs))

    def test_lattice_without_the_symmetry(self, tmp_path):
        cell = (5.4, 5.4, 6.0, 90, 90, 90)
        with pytest.raises(ValueError, match="lattice parameters .* do not have its"):
            self.load(tmp_path, cif(CRYSTALS["cubic"], cell=cell))


ROCK_SALT = Crystal(
    225, (5.64,) * 3 + (90,) * 3, (("Na", (0, 0, 0)), ("Cl", (0.5,) * 3)), "Na Cl", 8
)


def named(crystal, symbol, tag="_symmetry_space_group_name_H-M", **kwargs):
    """Text of a CIF with a symbol and no operations."""
    return cif(crystal, operations=[], header=[f"{tag} '{symbol}'"], **kwargs)


def rock_salt_with(old, new):
    text = named(ROCK_SALT, "F m -3 m")
    assert old in text
    return text.replace(old, new)


class TestOtherPrograms:
    """Habits of databases and programs."""

    def load(self, tmp_path, text):
        path = tmp_path / "a.cif"
        path.write_text(text)
        return load_phase(path)

    @pytest.mark.parametrize(
        ("symbol", "name"),
        [("P 21/c", "P 1 21/c 1"), ("P2(1)/c", "P 1 21/c 1"), ("P2~1~/c", "P 1 21/c 1")]
        + [("P2_1/c", "P 1 21/c 1"), ("P2<sub>1</sub>/c", "P 1 21/c 1")]
        + [("P 1 21/n 1", "P 1 21/n 1"), ("P2(1)/n", "P 1 21/n 1")]
        + [("P 21/b", "P 1 1 21/b"), ("C2:b1", "C 1 2 1"), ("I 2/a", "I 1 2/a 1")]
        + [("P2(1)2(1)2(1)", "P 21 21 21"), ("Pbnm", "P b n m"), ("Cmce", "C m c a")]
        + [("P6(3)/mmc", "P 63/m m c"), ("P6_{3}mc", "P 63 m c"), ("Fm3m", "F m -3 m")]
        + [("F 4/m -3 2/m", "F m -3 m"), ("F4/m-32/m", "F m -3 m")]
        + [("P42/m21/n2/m", "P 42/m n m"), ("P 21/n 21/m 21/a", "P n m a")]
        + [("Fd-3mO2", "F d -3 m:2"), ("F d -3 m, origin at -3m", "F d -3 m:1")]
        + [("Fd3mZ", "F d -3 m:2"), ("F d -3 m (2)", "F d -3 m:2")]
        + [("R -3 m RS", "R -3 m:R"), ("R3cH", "R 3 c:H"), ("f m -3 m", "F m -3 m")],
    )
    def test_symbols(self, symbol, name):
        assert settings_of_name(symbol)[0].name == name

    def test_all_symbols(self):
        """As tables have them, and as SHELX and LaTeX write them."""
        for group in gemmi.spacegroup_table():
            screw = r"(?<![-\d])([2346])([1-5])(?=[/ ]|$)"
            for pattern in (r"\1\2", r"\1(\2)", r"\1_{\2}"):
                symbol = re.sub(screw, pattern, group.hm)
                if "(a)" in symbol:
                    continue
                for text in (symbol, symbol.replace(" ", "")):
                    names = [i.name for i in settings_of_name(text)]
                    assert group.xhm() in names, (text, names)

    @pytest.mark.parametrize("tag", ["_symmetry_space_group_name_H-M", "_n_Hall"])
    def test_unknown_symbols_are_not_no_symmetry(self, tag, tmp_path):
        tag = tag.replace("_n_", "_space_group_name_")
        with pytest.raises(
            ValueError, match="a.cif .* space group 'P foo' is not known"
        ):
            self.load(tmp_path, named(ROCK_SALT, "P foo", tag))

    @pytest.mark.parametrize(
        "stated", ["_cell_formula_units_Z 4", "_exptl_crystal_density_diffrn 2.16"]
    )
    def test_no_symmetry_though_atoms_are_missing(self, stated, tmp_path):
        text = cif(ROCK_SALT, operations=[], header=[stated])
        with pytest.raises(
            ValueError, match="a.cif .*2 atoms listed are not, and no sp"
        ):
            self.load(tmp_path, text)

    @pytest.mark.parametrize(
        ("old", "new"),
        [("0.50000 0.50000 0.50000", "1/2 -1/2 3/2"), ("data_x\n", "")]
        + [("'Na Cl'", "'Na Cl'\n_chemical_formula_sum ''"), ("1.0\n", "1.03(2)\n")]
        + [("_chemical_formula_sum 'Na Cl'", "_exptl_crystal_density_diffrn")]
        + [("data_x\n", "data_x\n_x 1\ndata_x\n"), ("5.64000", "'5.640(2)'")]
        + [("loop_", "_symmetry_equiv_pos_as_xyz 'x,y,z'\nloop_")]
        + [("loop_", "_publ_section_title\n;\nA; 'b\nloop_\n data_y\n;\nloop_")],
    )
    def test_rock_salt(self, old, new, tmp_path):
        phase = self.load(tmp_path, rock_salt_with(old, new))
        assert (phase.space_group.number, len(phase.structure)) == (225, 8)

    def test_numbers_of_operations(self, tmp_path):
        text = cif(ROCK_SALT)
        for i, line in enumerate(lines := text.splitlines()):
            if re.fullmatch(r"'.*,.*,.*'", line):
                lines[i] = f"'{i} {line[1:]}"
        assert self.load(tmp_path, "\n".join(lines)).space_group.number == 225

    @pytest.mark.parametrize("symbol", ["F m -3 m", "P 1"])
    def test_primitive_cell(self, symbol, tmp_path):
        """The stated group of a cell that does not fit it is that of the atoms."""
        edge = 5.64 / np.sqrt(2)
        text = named(ROCK_SALT, symbol, cell=(edge,) * 3 + (60,) * 3)
        phase = self.load(tmp_path, text)
        assert (phase.space_group.number, len(phase.structure)) == (225, 8)
        with pytest.raises(ValueError, match="lattice parameters .* do not have its"):
            self.load(tmp_path, text.replace(symbol, "F d d d"))

    def test_atoms_too_far_apart(self, tmp_path):
        """As in picometer."""
        text = named(ROCK_SALT, "F m -3 m", cell=(564,) * 3 + (90,) * 3)
        with pytest.raises(ValueError, match="a.cif .*more than 6 angstrom apart"):
            self.load(tmp_path, text)

    def test_unique_axis_of_the_lattice(self, tmp_path):
        crystal = CRYSTALS["monoclinic"]
        turn = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
        cell, sites, _ = change_axes(crystal, turn)
        phase = self.load(tmp_path, named(crystal, "P 21/a", cell=cell, sites=sites))
        assert phase.space_group.number == 14
        assert len(phase.structure) == 12

    def test_mixed_valence(self, tmp_path):
        """Two ions of an element in one place are not one atom given twice."""
        sites = (("Fe", (0.125,) * 3), ("Fe", (0.5,) * 3), ("Fe", (0.5,) * 3))
        sites = (*sites, ("O", (0.2549,) * 3))
        crystal = Crystal(227, (8.396,) * 3 + (90,) * 3, sites, "Fe3 O4", 56)
        ions = ["Fe3+", "Fe2+", "Fe3+", "O2-"]
        text = named(crystal, "F d -3 m:2", write_site=lambda i, e: f"{e}{i} {ions[i]}")
        for i in (1, 2):
            text = re.sub(rf"(Fe{i} .*) 1.0\n", r"\1 0.5\n", text)
        phase = self.load(tmp_path, text)
        assert len(phase.structure) == 56
        assert phase_composition(phase)["Fe"] == pytest.approx(3 / 7)
        # As a phase of orix, too
        atoms = [Atom("Fe2+", occupancy=0.5), Atom("Fe3+", occupancy=0.5)]
        phase = Phase(
            "x", 229, structure=Structure(atoms, Lattice(*(2.87,) * 3, 90, 90, 90))
        )
        assert [atom.occupancy for atom in unit_cell(phase)] == [1, 1]

    @pytest.mark.parametrize("order", [(0.4, 0.6), (0.6, 0.4)])
    def test_split_site(self, order, tmp_path):
        sites = [("Ti", (0, 0, 0)), ("O", (0.25, 0.5, 0.5)), ("O", (0.32, 0.5, 0.5))]
        crystal = Crystal(47, (4.0, 4.1, 4.3, 90, 90, 90), tuple(sites), "Ti O2", 5)
        text = named(crystal, "P m m m")
        for i, occupancy in zip((1, 2), order):
            text = re.sub(rf"(O{i} .*) 1.0\n", rf"\1 {occupancy}\n", text)
        phase = self.load(tmp_path, text)
        assert len(phase.structure) == 5
        assert phase_composition(phase)["O"] == pytest.approx(2 / 3)

    def test_rounded_occupancies(self, tmp_path):
        sites = (*CRYSTALS["hexagonal"].sites, ("Mg", (1 / 3, 2 / 3, 0)))
        text = cif(CRYSTALS["hexagonal"], sites=sites, formula=False)
        text = re.sub(r"(Mg2 .*) 1.0\n", r"\1 0.1\n", text)
        text = re.sub(r"(Zn0 .*) 1.0\n", r"\1 0.94\n", text)
        assert self.load(tmp_path, text).space_group.number == 186

    @pytest.mark.parametrize("kind", ["Va", "?"])
    def test_vacancies(self, kind, tmp_path):
        crystal = Crystal(
            221,
            (3.0,) * 3 + (90,) * 3,
            (("Fe", (0, 0, 0)), ("Va", (0.5,) * 3)),
            "Fe",
            1,
        )
        text = cif(crystal, write_site=lambda i, e: f"{e}{i} {('Fe', kind)[i]}")
        if kind == "?":
            text = re.sub(r"(Va1 .*) 1.0\n", r"\1 0\n", text)
        (atom,) = self.load(tmp_path, text).structure
        assert atom.element == "Fe"

    def test_isotopes(self, tmp_path):
        text = rock_salt_with("Cl1 Cl", "Cl1 37Cl").replace("Na0 Na", "Na0 2H")
        text = text.replace("'Na Cl'", "'D Cl'")
        assert set(phase_composition(self.load(tmp_path, text))) == {"H", "Cl"}

    def test_magnetic(self, tmp_path):
        tag = "_space_group_symop_magn_operation.xyz"
        text = cif(ROCK_SALT, tag=tag).replace("z'", "z,-1'").replace("x'", "x,+1'")
        text = text.replace("y'", "y,+1'")
        text = re.sub(r"^('.*?,.*?,[^,']*)'$", r"\1,-1'", text, flags=re.M)
        assert self.load(tmp_path, text).space_group.number == 225

    def test_modulated(self, tmp_path):
        tag = "_space_group_symop_ssg_operation_algebraic"
        axes = {"x": "x1", "y": "x2", "z": "x3"}
        text = cif(CRYSTALS["orthorhombic"], tag=tag)
        text = re.sub("(?<=[-+',])[xyz](?=[-+',])", lambda i: axes[i[0]], text)
        text = re.sub(r"^('.*x3.*)'$", r"\1,-x4+1/2'", text, flags=re.M)
        assert len(self.load(tmp_path, text).structure) == 16

    def test_formula_of_a_prototype(self, tmp_path, caplog):
        """It counts sites, whatever their occupancies."""
        crystal = CRYSTALS["cubic"]
        text = re.sub(r"(S1 .*) 1.0\n", r"\1 0.5\n", cif(crystal))
        assert self.load(tmp_path, text).space_group.number == 205
        assert "a.cif: the formula is Fe1 S2, but the atoms are" in caplog.text

    def test_other_setting_of_a_number(self, tmp_path):
        """Never another crystal: if the standard setting is none, others are tried."""
        crystal = CRYSTALS["monoclinic"]
        cell, sites, _ = change_axes(crystal, [[-1, 0, 0], [0, -1, 0], [1, 0, 1]])
        header = ["_symmetry_Int_Tables_number 14"]
        text = cif(crystal, cell=cell, sites=sites, operations=[], header=header)
        expected = self.load(tmp_path, cif(crystal))
        found = self.load(tmp_path, text)
        assert np.allclose(pattern(found), pattern(expected), rtol=1e-3, atol=1e-3)

    def test_large_files_are_refused_at_once(self, tmp_path):
        rng = np.random.default_rng(0)
        sites = tuple(("Si", tuple(xyz)) for xyz in rng.random((900, 3)))
        crystal = Crystal(225, (100.0,) * 3 + (90,) * 3, sites, "Si", 1)
        with pytest.raises(
            ValueError, match="a.cif .*more than 5000 atoms per unit cell"
        ):
            self.load(tmp_path, cif(crystal))


class TestUnits:
    def phase(self, factor):
        crystal = CRYSTALS["hexagonal"]
        atoms = [Atom(element, xyz) for element, xyz in crystal.sites]
        cell = (*(factor * edge for edge in crystal.cell[:3]), *crystal.cell[3:])
        return Phase("zincite", 186, structure=Structure(atoms, Lattice(*cell)))

    def test_said(self):
        a, b = self.phase(1), self.phase(0.1)
        assert np.allclose(
            lattice_parameters(unit_cell(a).lattice),
            lattice_parameters(unit_cell(b, lattice_unit="nm").lattice),
        )
        kwargs = {"half_width": 10, "min_dspacing": 0.13}
        patterns = [
            kinematical_master_pattern(a, **kwargs),
            kinematical_master_pattern(b, lattice_unit="nm", **kwargs),
        ]
        assert np.allclose(*(i.data for i in patterns))
        # The phases of both are in angstrom, those given are as they were
        assert {i.phase.structure.lattice.a for i in patterns} == {3.25}
        assert b.structure.lattice.a == 0.325
        assert check_space_group(b, lattice_unit="nm").agrees
        assert phase_composition(b) == phase_composition(a)

    @pytest.mark.parametrize("factor", [0.1, 10, 100])
    def test_another_is_refused(self, factor):
        match = "phase 'zincite' is .* give lattice_unit='nm'"
        with pytest.raises(ValueError, match=match):
            unit_cell(self.phase(factor))
        with pytest.raises(ValueError, match="lattice_unit must be 'angstrom' or 'nm'"):
            unit_cell(self.phase(1), lattice_unit="pm")

    def test_large_cells_are_refused_at_once(self):
        lattice = Lattice(80, 80, 80, 90, 90, 90)
        rng = np.random.default_rng(0)
        atoms = [
            Atom("Fe", xyz) for xyz in rng.permutation(list(np.ndindex(9, 9, 9))) / 9
        ]
        for atom in atoms:
            atom.xyz = atom.xyz * 0.5
        phase = Phase("large", 1, structure=Structure(atoms, lattice))
        with pytest.raises(ValueError, match="beams .* Use a min_dspacing of at least"):
            kinematical_master_pattern(phase, min_dspacing=0.05)


def test_copies_of_phases():
    """orix forgets how axes were turned when a phase is copied."""
    for name in ("monoclinic", "trigonal", "triclinic"):
        crystal = CRYSTALS[name]
        phase = crystal.phase()
        expected = unit_cell(phase)
        for copy in (Phase(phase), phase.deepcopy(), Phase(Phase(phase))):
            found = unit_cell(copy)
            # A special position tells, or distances
            assert np.allclose(found.xyz, expected.xyz, atol=1e-6)
            assert len(found) == len(expected) == crystal.n_atoms
        # Whole cells tell in any case
        listed = Phase(space_group=crystal.number, structure=expected)
        for copy in (listed, Phase(listed)):
            assert len(unit_cell(copy)) == crystal.n_atoms


@pytest.mark.parametrize(
    "name", ["triclinic", "monoclinic", "trigonal", "rhombohedral", "hexagonal"]
)
def test_structure_factors(name):
    """As summed up here with gemmi's scattering factors, on oblique axes too."""
    phase = CRYSTALS[name].standard()
    planes = reflecting_planes(phase, min_dspacing=0.15)
    expected = np.zeros(planes.size, dtype=complex)
    for atom in unit_cell(phase):
        scatter = gemmi.Element(atom.element).c4322.calculate_sf
        factor = np.array([scatter(g**2 / 4) for g in planes.gspacing])
        expected += factor * np.exp(2j * np.pi * planes.hkl @ atom.xyz)
    found = np.abs(planes.structure_factor)
    assert np.corrcoef(np.abs(expected), found)[0, 1] > 0.9999


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [({"energy": 0}, "energy must be above 0"), ({"energy": 20_000}, "1000 keV, not 2")]
    + [({"half_width": i}, "half_width must be a whole") for i in (0, -3, 10.5)],
)
@pytest.mark.parametrize("method", ["kinematical", "dynamical"])
def test_impossible_simulations(method, kwargs, match):
    with pytest.raises(ValueError, match=match):
        simulate_master_pattern(CRYSTALS["diamond"].phase(), method=method, **kwargs)


def test_no_code_is_run(tmp_path):
    """gemmi parses operations, and evaluates nothing."""
    text = cif(CRYSTALS["cubic"]).replace("'x,y,z'", "'x,y,__import__(\"os\")'")
    path = tmp_path / "a.cif"
    path.write_text(text)
    with pytest.raises(ValueError, match="is not a symmetry operation"):
        load_phase(path)

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test checking crystal structures and simulating from them."""

import csv
from pathlib import Path

from diffpy.structure import Atom, Lattice, Structure
import numpy as np
from orix.crystal_map import Phase
import pytest

from kikuchipy_spacegroup.crystals import (
    check_space_group,
    unit_cell,
)
from kikuchipy_spacegroup.crystals._symmetry import (
    lattice_parameters,
    nearest_neighbors,
)
from kikuchipy_spacegroup.master_patterns import (
    kinematical_master_pattern,
    reflecting_planes,
)

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="needs the shared data")


def phase(space_group: int, lattice: tuple, *atoms: tuple, unit=10) -> Phase:
    """Phase from lattice parameters in nm and (element, x, y, z), in angstrom."""
    lattice = (*(unit * edge for edge in lattice[:3]), *lattice[3:])
    structure = Structure(
        [Atom(element, xyz=xyz) for element, *xyz in atoms], lattice=Lattice(*lattice)
    )
    return Phase(space_group=space_group, structure=structure)


HEXAGONAL = (90, 90, 120)
MAGNESIUM = phase(194, (0.321, 0.321, 0.521, *HEXAGONAL), ("Mg", 1 / 3, 2 / 3, 0.25))
BISMUTH = phase(166, (4.54, 4.54, 11.81, *HEXAGONAL), (83, 0, 0, 0.234), unit=1)
# Baddeleyite, monoclinic with all atoms in general positions
ZIRCONIA = phase(
    14,
    (0.5150, 0.5212, 0.5317, 90, 99.23, 90),
    ("Zr", 0.2754, 0.0395, 0.2083),
    ("O", 0.0700, 0.3317, 0.3447),
    ("O", 0.4496, 0.7569, 0.4792),
)


class TestUnitCell:
    @pytest.mark.parametrize(
        "given, n_atoms, a",
        [(MAGNESIUM, 2, 3.21), (BISMUTH, 6, 4.54), (ZIRCONIA, 12, 5.15)],
    )
    def test_number_of_atoms_and_unit(self, given, n_atoms, a):
        structure = unit_cell(given)
        assert len(structure) == n_atoms
        assert np.isclose(structure.lattice.a, a)

    def test_positions(self):
        for given in (MAGNESIUM, MAGNESIUM.deepcopy(), Phase(MAGNESIUM)):
            xyz = unit_cell(given).xyz
            assert np.allclose(xyz, [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]])
        assert np.allclose(unit_cell(ZIRCONIA).xyz[0], (0.2754, 0.0395, 0.2083))

    def test_elements(self):
        assert {atom.element for atom in unit_cell(BISMUTH)} == {"Bi"}

    def test_of_unit_cell(self):
        whole = unit_cell(ZIRCONIA)
        again = unit_cell(Phase(space_group=14, structure=whole))
        assert len(again) == 12

    def test_original_is_unchanged(self):
        before = MAGNESIUM.structure.xyz.copy()
        unit_cell(MAGNESIUM)
        assert np.array_equal(MAGNESIUM.structure.xyz, before)

    def test_nearly_special_positions(self):
        # As MgZn2 in SHTdatabase
        atoms = (
            ("Mg", 1 / 3, 2 / 3, 0.062),
            ("Zn", 0, 0, 0),
            ("Zn", 0.16947, 0.3394, 0.25),
        )
        laves = phase(194, (0.522, 0.522, 0.857, *HEXAGONAL), *atoms)
        assert len(unit_cell(laves)) == 12

    def test_rhombohedral_axes(self):
        arsenic = phase(
            166,
            (4.13, 4.13, 4.13, 54.1, 54.1, 54.1),
            ("As", 0.227, 0.227, 0.227),
            unit=1,
        )
        structure = unit_cell(arsenic)
        assert len(structure) == 2
        assert np.allclose(
            lattice_parameters(structure.lattice), (4.13,) * 3 + (54.1,) * 3
        )
        assert check_space_group(arsenic).agrees

    def test_another_unique_axis(self):
        """Baddeleyite with the axes b, c and a renamed to c, a and b."""
        a, b, c, _, beta, _ = lattice_parameters(ZIRCONIA.structure.lattice)
        atoms = (
            ("Zr", 0.2083, 0.2754, 0.0395),
            ("O", 0.3447, 0.0700, 0.3317),
            ("O", 0.4792, 0.4496, 0.7569),
        )
        renamed = phase(14, (c, a, b, 90, 90, beta), *atoms, unit=1)
        structure = unit_cell(renamed)
        expected = unit_cell(ZIRCONIA)
        assert len(structure) == 12
        distances = [
            nearest_neighbors(i.xyz, i.lattice.base, 8)[1]
            for i in (structure, expected)
        ]
        assert np.allclose(np.sort(distances[0], axis=0), np.sort(distances[1], axis=0))

    def test_lattice_that_does_not_fit(self):
        given = phase(225, (4, 4, 5, 90, 90, 90), ("Ni", 0, 0, 0), unit=1)
        with pytest.raises(ValueError, match="are not those of space group 225"):
            unit_cell(given)

    @pytest.mark.parametrize("given", [Phase(space_group=225), Phase("A")])
    def test_errors(self, given):
        with pytest.raises(
            ValueError, match="Give a phase with a space group and atoms"
        ):
            unit_cell(given)


class TestCheckSpaceGroup:
    spglib = pytest.importorskip("spglib")

    @pytest.mark.parametrize("given", [MAGNESIUM, BISMUTH, ZIRCONIA])
    def test_agrees(self, given):
        check = check_space_group(given)
        assert check.agrees
        assert check.found == given.space_group.number

    def test_too_little_symmetry(self):
        atoms = [("Zn", 0, 0, 0), ("S", 0.25, 0.25, 0.25)]
        zincblende = phase(216, (0.541, 0.541, 0.541, 90, 90, 90), *atoms)
        assert check_space_group(zincblende).agrees
        atoms[1] = ("Zn", *atoms[1][1:])
        diamond = phase(216, (0.541, 0.541, 0.541, 90, 90, 90), *atoms)
        check = check_space_group(diamond)
        assert (check.declared, check.found, check.symbol) == (216, 227, "Fd-3m")
        assert not check.agrees

    def test_shared_sites(self):
        alloy = phase(
            225, (3.6, 3.6, 3.6, 90, 90, 90), ("Cu", 0, 0, 0), ("Ni", 0, 0, 0)
        )
        for atom in alloy.structure:
            atom.occupancy = 0.5
        check = check_space_group(alloy)
        assert check.agrees
        assert check.n_atoms == 4

    # But not what orix calls of newer versions of diffpy.structure
    @pytest.mark.filterwarnings("ignore:'diffpy.structure:DeprecationWarning")
    @pytest.mark.filterwarnings("error")
    def test_no_warnings(self):
        check_space_group(MAGNESIUM)

    def test_not_found(self, monkeypatch):
        monkeypatch.setattr(self.spglib, "get_symmetry_dataset", lambda *_, **__: None)
        check = check_space_group(MAGNESIUM)
        assert check.found is None
        assert not check.agrees

    @needs_data
    def test_database(self):
        from kikuchipy_spacegroup.io._sht_file import read_sht, to_phase

        with open(DATA / "sht" / "index.csv") as file:
            rows = [row for row in csv.DictReader(file) if row["kV"] == "20"]
        disagree = []
        for row in rows:
            path = DATA / "sht" / row["file"]
            check = check_space_group(to_phase(read_sht(path), path))
            assert row["space_group_of_structure"] == f"{check.symbol} ({check.found})"
            assert check.declared == int(row["space_group_in_file"])
            if not check.agrees:
                disagree.append(row["status"])
        assert disagree == ["relabel"]


class TestKinematical:
    @pytest.mark.parametrize(
        "given, reflect",
        [
            (MAGNESIUM, lambda h, k, i: (h - k) % 3 or i % 2 == 0),
            (BISMUTH, lambda h, k, i: (-h + k + i) % 3 == 0),
            (ZIRCONIA, lambda h, k, i: (k or i % 2 == 0) and (h or i or k % 2 == 0)),
        ],
    )
    def test_extinctions(self, given, reflect):
        vectors = reflecting_planes(given, min_dspacing=0.08, min_structure_factor=1e-3)
        hkl = np.rint(vectors.hkl).astype(int)
        assert vectors.size > 50
        assert all(reflect(*i) for i in hkl)

    def test_master_pattern(self, capsys):
        signal = kinematical_master_pattern(MAGNESIUM, 30, half_width=30)
        assert signal.data.shape == (2, 61, 61)
        assert signal.data.dtype == "float32"
        assert signal.data.min() >= 0
        assert (signal.projection, signal.hemisphere) == ("lambert", "both")
        assert signal.phase.structure.lattice.a == MAGNESIUM.structure.lattice.a
        assert signal.metadata.Acquisition_instrument.SEM.beam_energy == 30
        upper, lower = signal.data
        assert np.allclose(upper, lower, atol=1e-3 * upper.max())
        captured = capsys.readouterr()
        assert captured.out == captured.err == ""

    def test_bands_widen_with_wavelength(self):
        low, high = (
            reflecting_planes(
                BISMUTH, energy, min_dspacing=0.1, min_structure_factor=0.1
            )
            for energy in (10, 30)
        )
        assert np.allclose(low.theta / high.theta, np.sqrt(3), rtol=0.02)

    def test_for_a_library(self):
        from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary

        signal = kinematical_master_pattern(MAGNESIUM, half_width=20, scaling="square")
        library = MasterPatternLibrary.from_signals([signal], ["Mg"], half_width=20)
        assert library.energies.tolist() == [20]
        assert library.space_groups.tolist() == [194]
        assert library.data.shape == (1, 41, 41)

    def test_errors(self):
        with pytest.raises(ValueError, match="Use a smaller min_dspacing"):
            kinematical_master_pattern(MAGNESIUM, min_dspacing=2)

    @needs_data
    @pytest.mark.parametrize(
        "file, r_min",
        [("Al2O3_corundum_D5_1__167", 0.7), ("SiO2_alpha_quartz_low_hP9__152", 0.63)],
    )
    def test_like_dynamical(self, file, r_min):
        pytest.importorskip("ducc0")
        from scipy.ndimage import gaussian_filter

        from kikuchipy_spacegroup.io import load_sht

        dynamical = load_sht(DATA / "sht" / f"{file}__20.sht", half_width=75)
        kinematical = kinematical_master_pattern(dynamical.phase, half_width=75).data
        blurred = [gaussian_filter(i, (0, 1, 1)) for i in (dynamical.data, kinematical)]
        upside_down = blurred[1][:, ::-1]
        assert np.corrcoef(*(i.ravel() for i in blurred))[0, 1] > r_min
        r = np.corrcoef(blurred[0].ravel(), upside_down.ravel())[0, 1]
        assert r < r_min - 0.05

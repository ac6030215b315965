# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From crystal structures to master patterns."""

from importlib.util import find_spec
from pathlib import Path
import subprocess
import sys

from diffpy.structure import Atom, Lattice, Structure
import kikuchipy as kp
import numpy as np
from orix.crystal_map import Phase
import pytest

from kikuchipy_spacegroup import (
    MasterPatternLibrary,
    load_phase,
    simulate_master_pattern,
)
from kikuchipy_spacegroup.crystals import phase_in_angstrom, unit_cell
from kikuchipy_spacegroup.master_patterns import _simulation

# In processes of their own: TensorFlow crashes where PyTorch or wgpu came first
DYNAMICAL = """
import sys
from diffpy.structure import Atom, Lattice, Structure
import numpy as np
from orix.crystal_map import Phase
from kikuchipy_spacegroup import simulate_master_pattern

element, number, edge, path = sys.argv[1:]
lattice = Lattice(*[float(edge)] * 3, 90, 90, 90)
structure = Structure([Atom(element, [0, 0, 0])], lattice)
signal = simulate_master_pattern(
    Phase(element, int(number), structure=structure),
    method="dynamical",
    half_width=15,
    n_electrons=20_000,
)
np.save(path, signal.data)
"""
EBSDSIM = """
import sys
import ebsdsim as es
import kikuchipy as kp
import numpy as np
from kikuchipy_spacegroup import MasterPatternLibrary

cell = es.Cell(3.524, 3.524, 3.524, space_group=225)
material = es.Material(cell, [es.Atom("Ni", 0, 0, 0, b_iso=0.5)], name="Ni")
# Without a GPU, this is slow for larger ones
pattern = es.master_pattern(
    material, halfw=10, dmin=0.1, exact_slow_cpu=True, marginal_coverage=0.3
)
path = es.save_master_pattern(pattern, sys.argv[1])
library = MasterPatternLibrary.from_files([path], half_width=10)
highest = MasterPatternLibrary.from_files([path], half_width=10, energies="highest")
np.savez(
    path.with_name("found.npz"),
    names=library.phase_names,
    space_groups=library.space_groups,
    energies=library.energies,
    highest=highest.energies,
    a=highest.data[0],
    b=kp.load(path, hemisphere="both").data[0, 0],
)
"""
SHARED = Path(__file__).parents[3] / "shared" / "data" / "masters"
CIF = """\
data_x
_cell_length_a {a}
_cell_length_b {b}
_cell_length_c {c}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma {gamma}
_symmetry_space_group_name_H-M '{name}'
loop_
_symmetry_equiv_pos_as_xyz
{operations}
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
{atoms}
"""


def write_cif(path, a, c, gamma, name, operations, atoms):
    text = CIF.format(
        a=a,
        b=a,
        c=c,
        gamma=gamma,
        name=name,
        operations="\n".join(f"'{i}'" for i in operations),
        atoms="\n".join(atoms),
    )
    path.write_text(text)
    return path


def run(script, *args):
    """Run a script in another process."""
    result = subprocess.run(
        [sys.executable, "-c", script, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr


def silicon(origin):
    """Return silicon with the first or the second origin choice."""
    xyz = [0, 0, 0] if origin == 1 else [1 / 8, 1 / 8, 1 / 8]
    return Phase(
        "si",
        space_group=227,
        structure=Structure([Atom("Si", xyz)], Lattice(5.43, 5.43, 5.43, 90, 90, 90)),
    )


@pytest.fixture
def nickel():
    master_pattern = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    return phase_in_angstrom(master_pattern.phase, "nm")


class TestLoadPhase:
    def test_space_group_of_the_atoms(self, tmp_path, caplog):
        """Nickel arsenide in 186, where its atoms have 194."""
        operations = ["x,y,z", "-x,-y,z+1/2", "-y,x-y,z", "-x+y,-x,z", "y,-x+y,z+1/2"]
        operations += ["x-y,x,z+1/2", "-y,-x,z", "-x+y,y,z", "x,x-y,z", "y,x,z+1/2"]
        operations += ["x-y,-y,z+1/2", "-x,-x+y,z+1/2"]
        path = write_cif(
            tmp_path / "NiAs.cif",
            *(3.602, 5.009, 120, "P 63 m c", operations),
            ["Ni 0 0 0 1", "As 0.333333 0.666667 0.25 1"],
        )
        phase = load_phase(path)
        assert phase.name == "NiAs"
        assert phase.space_group.number == 194
        assert "file says space group 186, but the atoms have 194" in caplog.text
        assert len(unit_cell(phase)) == 4

    def test_second_origin_choice(self, tmp_path):
        """All atoms of silicon around the inversion center."""
        shifts = ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))
        atoms = [
            f"Si{i} {x + s} {y + s} {z + s} 1"
            for i, (x, y, z) in enumerate(shifts)
            for s in (0.125, 0.875)
        ]
        path = write_cif(tmp_path / "si.cif", 5.43, 5.43, 90, "P 1", ["x,y,z"], atoms)
        phase = load_phase(path)
        assert phase.space_group.number == 227
        assert len(unit_cell(phase)) == 8
        a, b = (
            simulate_master_pattern(p, half_width=30).data for p in (phase, silicon(1))
        )
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.999

    def test_shared_sites(self, tmp_path):
        path = write_cif(
            tmp_path / "alloy.cif",
            *(3.6, 3.6, 90, "P 1", ["x,y,z"]),
            [
                f"{element}{i} {x} {y} {z} {occupancy}"
                for i, (x, y, z) in enumerate(
                    ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))
                )
                for element, occupancy in (("Fe", 0.7), ("Cr", 0.3))
            ],
        )
        phase = load_phase(path)
        assert phase.space_group.number == 225
        atoms = unit_cell(phase)
        assert sorted((a.element, a.occupancy) for a in atoms) == (
            [("Cr", 0.3)] * 4 + [("Fe", 0.7)] * 4
        )

    def test_errors(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="No such file"):
            load_phase(tmp_path / "no.cif")
        path = tmp_path / "text.cif"
        path.write_text("not a cif")
        with pytest.raises(ValueError, match="cannot be read as a CIF|has no atoms"):
            load_phase(path)


class TestSimulate:
    def test_kinematical_obeys_friedels_law(self):
        """Zinc blende has no inversion center, its pattern has one."""
        lattice = Lattice(5.65, 5.65, 5.65, 90, 90, 90)
        atoms = [Atom("Ga", [0, 0, 0]), Atom("As", [0.25, 0.25, 0.25])]
        phase = Phase("GaAs", 216, structure=Structure(atoms, lattice))
        upper, lower = simulate_master_pattern(phase, half_width=40).data
        # Inversion takes (x, y) of one hemisphere to (-x, -y) of the other
        assert np.corrcoef(upper.ravel(), lower[::-1, ::-1].ravel())[0, 1] > 0.999

    def test_unknown_method(self, nickel):
        with pytest.raises(ValueError, match=r"must be one of \['kinematical', 'dyn"):
            simulate_master_pattern(nickel, method="kinetic")

    def test_dynamical_without_de_ebsd(self, nickel, monkeypatch):
        monkeypatch.setitem(sys.modules, "de_ebsd", None)
        monkeypatch.setitem(sys.modules, "de_ebsd.diffraction.backends", None)
        with pytest.raises(ImportError, match=r"kikuchipy-spacegroup\[dynamical\]"):
            simulate_master_pattern(nickel, method="dynamical")

    @pytest.mark.skipif(find_spec("de_ebsd") is None, reason="needs de-ebsd")
    @pytest.mark.parametrize(
        ("element", "number", "edge"), [("Ni", 225, 3.5236), ("Si", 227, 5.431)]
    )
    def test_dynamical_against_reference(self, element, number, edge, tmp_path):
        """Silicon has another origin here than in the file."""
        path = SHARED / f"{element.lower()}_{number}_20kv.h5"
        if not path.exists():
            pytest.skip("No reference")
        run(DYNAMICAL, element, number, edge, tmp_path / "data.npy")
        found = np.load(tmp_path / "data.npy")
        reference = kp.load(path, projection="lambert", hemisphere="both")
        # The same points of a finer grid
        step = (reference.data.shape[-1] // 2) // 15
        expected = reference.data[..., ::step, ::step]
        assert found.shape == expected.shape
        for a, b in zip(found, expected, strict=True):
            assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.995


class TestCache:
    def test_read_again(self, nickel, tmp_path, monkeypatch):
        first = simulate_master_pattern(nickel, half_width=20, cache_dir=tmp_path)
        monkeypatch.setattr(_simulation, "kinematical_master_pattern", None)
        again = simulate_master_pattern(nickel, half_width=20, cache_dir=tmp_path)
        assert np.array_equal(first.data, again.data)
        assert repr(first) == repr(again)
        assert again.projection == first.projection
        assert again.hemisphere == first.hemisphere
        assert again.phase.space_group.number == 225
        for a, b in zip(
            first.axes_manager._axes, again.axes_manager._axes, strict=True
        ):
            assert (a.name, a.offset, a.scale) == (b.name, b.offset, b.scale)

    def test_everything_that_matters_is_in_the_key(self, nickel, tmp_path):
        def simulate(phase=nickel, energy=20, **kwargs):
            kwargs = {"half_width": 10} | kwargs
            simulate_master_pattern(phase, energy, cache_dir=tmp_path, **kwargs)
            return len(list(tmp_path.glob("*.npz")))

        assert simulate() == 1
        assert simulate() == 1
        assert simulate(energy=15) == 2
        assert simulate(half_width=11) == 3
        assert simulate(min_dspacing=0.1) == 4
        other = nickel.deepcopy()
        other.structure[0].Bisoequiv += 0.001
        assert simulate(other) == 5
        assert simulate(silicon(1)) == 6

    def test_damaged_file_is_made_again(self, nickel, tmp_path, caplog):
        first = simulate_master_pattern(nickel, half_width=10, cache_dir=tmp_path)
        (path,) = tmp_path.iterdir()
        path.write_bytes(path.read_bytes()[:100])
        again = simulate_master_pattern(nickel, half_width=10, cache_dir=tmp_path)
        assert "is damaged and made again" in caplog.text
        assert np.array_equal(first.data, again.data)
        assert [p.suffix for p in tmp_path.iterdir()] == [".npz"]


def test_library(nickel, tmp_path):
    library = MasterPatternLibrary.from_phases(
        [nickel, silicon(1)], [15, 20], half_width=20, cache_dir=tmp_path
    )
    assert library.phase_names == ["ni", "si"]
    assert library.space_groups.tolist() == [225, 227]
    assert library.energies.tolist() == [15, 20, 15, 20]
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.skipif(find_spec("ebsdsim") is None, reason="needs ebsdsim")
def test_ebsdsim_file(tmp_path):
    """Files of ebsdsim are read by kikuchipy, with all their energies."""
    run(EBSDSIM, tmp_path / "ni.npz")
    with np.load(tmp_path / "found.npz") as found:
        assert found["names"].tolist() == ["Ni"]
        assert found["space_groups"].tolist() == [225]
        assert sorted(found["energies"].tolist()) == [19, 20]
        assert found["highest"].tolist() == [20]
        assert np.corrcoef(found["a"].ravel(), found["b"].ravel())[0, 1] > 0.999

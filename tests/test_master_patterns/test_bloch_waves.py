# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bloch wave master patterns have the symmetry of the crystal, and no more."""

from importlib.util import find_spec
import json
from pathlib import Path
import subprocess
import sys

import pytest

SHT = Path(__file__).parents[3] / "shared" / "data" / "sht"
pytestmark = pytest.mark.skipif(find_spec("de_ebsd") is None, reason="needs de-ebsd")

# In a process of its own: TensorFlow crashes where PyTorch came first
PREAMBLE = """
import json
import sys
from de_ebsd.diffraction.backends import SimulationInputs
from de_ebsd.diffraction.bethe import BetheParameters
from de_ebsd.sim.montecarlo.depth import DepthDistribution
from diffpy.structure import Atom, Lattice, Structure
import numpy as np
from orix.crystal_map import Phase
import torch
from kikuchipy_spacegroup.master_patterns import _bloch_waves as bw
from kikuchipy_spacegroup.crystals import symmetry_operations, unit_cell

torch.set_num_threads(1)
EXPONENTIAL = DepthDistribution.single_energy(20.0, thickness=60.0, decay_length=20.0)


def prepared(cell, min_dspacing, energy=20.0, profile=EXPONENTIAL):
    crystal = bw.ListedCrystal(cell)
    backend = bw.BlochWaves()
    backend.prepare(
        SimulationInputs(
            structure_factors=bw.structure_factors(crystal, energy, min_dspacing),
            bethe=BetheParameters(4, 8, 50),
            monte_carlo=profile,
            device=torch.device("cpu"),
            dtype=torch.float32,
        )
    )
    return crystal, backend


def intensities(backend, directions):
    return backend.intensities(torch.as_tensor(directions)).numpy()


def cartesian(crystal, rotations):
    axes = crystal.direct_structure_matrix
    return axes @ np.unique(rotations, axis=0) @ np.linalg.inv(axes)


def holohedry(crystal, cell):
    lattice = Structure([Atom("Po", [0, 0, 0])], cell.lattice)
    return cartesian(crystal, symmetry_operations(lattice).rotations)


def contains(group, rotation):
    return bool(np.isclose(group, rotation, atol=1e-3).all((1, 2)).any())
"""
SYMMETRY = (
    PREAMBLE
    + """
def make(number, rng):
    phase = Phase(space_group=number)
    order = phase.point_group.size
    system = phase.point_group.system
    angles = {"triclinic": (82, 97, 104), "monoclinic": (90, 104, 90)}
    hexagonal = {"trigonal": (90, 90, 120), "hexagonal": (90, 90, 120)}
    angles = (angles | hexagonal).get(system, (90, 90, 90))
    ratio = {"cubic": (1, 1, 1), "tetragonal": (1, 1, 1.2)} | {
        name: (1, 1, 1.3) for name in hexagonal
    }
    ratio = np.array(ratio.get(system, (1, 1.15, 1.35)))
    # Heavy atoms in general positions, and others where these are few
    sites = [("W", rng.uniform(0.1, 0.4, 3))]
    if order <= 12:
        sites.append(("Al", rng.uniform(0.55, 0.9, 3)))
    if order <= 2:
        sites.append(("Ni", rng.uniform(0.1, 0.9, 3)))
    if order > 24:
        sites = [("W", np.zeros(3))]
    rotations, translations = zip(
        *((i.R, i.t) for i in phase.space_group.iter_symops())
    )
    operations = bw_operations(np.array(rotations).astype(int), np.array(translations))
    atoms = []
    for element, xyz in sites:
        images = operations.expand(xyz, 10 * np.eye(3), 1.0)
        atoms += [Atom(element, image) for image in images]
    lattice = Lattice(*ratio, *angles)
    scale = (18 * len(atoms) / lattice.volume) ** (1 / 3)
    from kikuchipy_spacegroup.crystals._unit_cell import aligned_lattice

    return Structure(atoms, aligned_lattice(*(scale * ratio), *angles))


from kikuchipy_spacegroup.crystals._symmetry import Operations as bw_operations

for argument in sys.argv[1:]:
    number, seed = map(int, argument.split(":"))
    rng = np.random.default_rng([number, seed])
    cell = make(number, rng)
    crystal, backend = prepared(cell, 0.11)
    group = cartesian(crystal, symmetry_operations(cell).rotations)
    # Intensities in random directions and their images under every operation
    directions = rng.normal(size=(16, 3))[:8]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    all_operations = holohedry(crystal, cell)
    images = np.einsum("oij,nj->oni", all_operations, directions)
    values = intensities(backend, images.reshape(-1, 3)).reshape(images.shape[:2])
    own = intensities(backend, directions)
    r = [np.corrcoef(own, i)[0, 1] for i in values]
    inside = [contains(group, i) for i in all_operations]
    # Of a coarse grid, folded and not
    grid = rng.normal(size=(40, 3))[:16]
    grid /= np.linalg.norm(grid, axis=1, keepdims=True)
    grid = np.concatenate([grid, grid @ group[-1].T, grid @ group[len(group) // 2].T])
    unique, index = crystal.fold(grid)
    folded = intensities(backend, unique)[index]
    print(
        json.dumps(
            {
                "number": number,
                "n_atoms": len(cell),
                "order": len(group),
                "n_operations": len(all_operations),
                "same": float(min(x for x, i in zip(r, inside) if i)),
                "other": float(max([x for x, i in zip(r, inside) if not i], default=-1)),
                "n_unique": len(unique),
                "folded": float(np.abs(folded - intensities(backend, grid)).max() / own.std()),
            }
        ),
        flush=True,
    )
"""
)
EMSOFT = (
    PREAMBLE
    + """
from de_ebsd.diffraction.kvectors import sample_incident_directions
from kikuchipy_spacegroup.io import load_sht

half_width = 20
grid = sample_incident_directions(half_width, dtype=torch.float64).flat().numpy()
for path in sys.argv[1:]:
    expected = load_sht(path, half_width=half_width)
    cell = unit_cell(expected.phase)
    crystal = bw.ListedCrystal(cell)
    profile = DepthDistribution.from_simulation(
        crystal, 20, tilt_deg=70.0, n_electrons=20_000, seed=0
    )
    group = cartesian(crystal, symmetry_operations(cell).rotations)
    # The group, and one operation of each wrong orientation of the pattern
    others = [np.eye(3)]
    for operation in holohedry(crystal, cell):
        if not any(contains(group, i @ operation) for i in np.linalg.inv(others)):
            others.append(operation)
    total = np.zeros((len(others), len(grid)))
    for energy in bw.shares_of_energy(profile, 20, 3):
        _, backend = prepared(cell, 0.06, energy, profile)
        for i, operation in enumerate(others):
            unique, index = crystal.fold(grid @ operation.T)
            values = intensities(backend, unique)[index]
            total[i] += values / values.mean()
    r = [np.corrcoef(i, expected.data.ravel())[0, 1] for i in total]
    print(json.dumps({"r": r[0], "others": r[1:]}), flush=True)
"""
)


def run(script, *args):
    """Lines that a script prints, as JSON."""
    result = subprocess.run(
        [sys.executable, "-c", script, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


# Of each of the 32 point groups one at least, and all orientations of them that
# default ones of programs get wrong
GROUPS = [1, 2, 3, 6, 10, 16, 25, 47, 75, 81, 83, 89, 99, 111, 115, 123, 143, 147, 149]
GROUPS += [150, 156, 157, 162, 164, 168, 174, 175, 177, 183, 187, 189, 191, 195, 200]
GROUPS += [207, 215, 221]
# Glides, screws and lattices of all kinds
GROUPS += [5, 15, 19, 43, 62, 88, 119, 141, 146, 151, 155, 161, 166, 167, 190, 194, 205]
GROUPS += [212, 217]
# Of random structures, the first whose broken symmetry holds 1 % of the power
SEEDS = {6: 1, 75: 1, 99: 1, 183: 1, 200: 3, 212: 1}


def test_symmetry():
    """Operations of the group leave the pattern, all others of the lattice change it."""
    found = run(SYMMETRY, *(f"{i}:{SEEDS.get(i, 0)}" for i in GROUPS))
    assert [row["number"] for row in found] == GROUPS
    for row in found:
        assert row["same"] > 0.9999, row
        assert row["other"] < 0.99, row
        # With folding, the same pattern from fewer directions
        assert row["folded"] < 1e-3, row
        assert row["n_unique"] == 16, row
    assert len({row["order"] for row in found}) > 8


@pytest.mark.skipif(not SHT.exists(), reason="needs the shared data")
def test_like_emsoft():
    """EMsoft's master patterns, in the right one of all orientations."""
    names = ["WC_qusongite_B_h__187", "ZnO_zincite_B4__186", "TiO2_rutile_C4__136"]
    names += ["SiO2_alpha_quartz_low_hP9__152", "Fe3C_cementite_DO_11__62"]
    names += ["ZrSiO4_zircon_S1_1__141", "Al2O3_corundum_D5_1__167"]
    found = run(EMSOFT, *(SHT / f"{name}__20.sht" for name in names))
    for name, row in zip(names, found, strict=True):
        assert row["r"] > 0.85, (name, row)
        assert all(row["r"] > other + 0.01 for other in row["others"]), (name, row)
    # Rhombohedral, and without an inversion center
    assert all(len(found[i]["others"]) > 0 for i in (0, 1, 3, 6))


TWO_BEAMS = (
    PREAMBLE
    + """
from kikuchipy_spacegroup.master_patterns import (
    kinematical_master_pattern,
    simulate_bloch_waves,
    simulate_two_beams,
    two_beam_profiles,
)


def correlation(a, b):
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def cell_of(number, lattice, *atoms):
    atoms = [Atom(element, xyz) for element, *xyz in atoms]
    structure = Structure(atoms, Lattice(*lattice))
    return unit_cell(Phase("a", space_group=number, structure=structure))


# Scheelite has fourfold axes and no vertical mirrors, rutile has both
tetragonal = {
    88: cell_of(
        88,
        (5.24, 5.24, 11.38, 90, 90, 90),
        ("Ca", 0, 0, 0.5),
        ("W", 0, 0, 0),
        ("O", 0.15, 0.0086, 0.211),
    ),
    136: cell_of(
        136, (4.59, 4.59, 2.96, 90, 90, 90), ("Ti", 0, 0, 0), ("O", 0.305, 0.305, 0)
    ),
}
for number, cell in tetragonal.items():
    (data,) = simulate_two_beams(cell, half_width=40, min_dspacing=0.07)
    upper, lower = data
    print(
        json.dumps(
            {
                "turned": correlation(upper, np.rot90(upper)),
                "inverted": correlation(upper, lower[::-1, ::-1]),
                "mirrored": correlation(upper, upper.T),
                "mean": float(np.abs(data.mean())),
            }
        )
    )
for cell in (
    tetragonal[136],
    cell_of(229, (2.866, 2.866, 2.866, 90, 90, 90), ("Fe", 0, 0, 0)),
):
    expected = simulate_bloch_waves(
        cell,
        half_width=40,
        min_dspacing=0.07,
        bethe_limits=(4, 8, 50),
        n_electrons=20_000,
        show_progressbar=False,
    )
    found = simulate_two_beams(
        cell, half_width=40, min_dspacing=0.07, dampings=(1.5, 3.0)
    )
    print(json.dumps([correlation(i, expected) for i in found]))
# Profiles of lattice planes, added up by hand along the meridian x = 0
cell = tetragonal[88]
angles = np.deg2rad(np.linspace(-90, 90, 3601))
normals, profiles = two_beam_profiles(cell, angles, min_dspacing=0.1)
(data,) = simulate_two_beams(cell, half_width=40, min_dspacing=0.1)
r = np.arange(-40, 41) / 40
z = 1 - r**2
directions = np.stack([0 * r, np.sign(r) * np.sqrt(1 - z**2), z], axis=1)
total = sum(
    np.interp(np.arcsin(directions @ n), angles, p) for n, p in zip(normals, profiles)
)
lengths = np.linalg.norm(normals, axis=1)
print(
    json.dumps(
        {
            "sum": correlation(total, data[0, :, 40]),
            "norm": float(np.abs(lengths - 1).max()),
            "opposite": float((normals @ normals.T).min()),
            "largest": [float(np.square(p).sum()) for p in profiles[:20]],
        }
    )
)
"""
)


def test_two_beams():
    """The symmetry of the crystal, and bands like those of Bloch waves."""
    scheelite, rutile, *correlations, profiles = run(TWO_BEAMS)
    for row in (scheelite, rutile):
        assert row["turned"] > 0.9999
        assert row["inverted"] > 0.9999
        assert row["mean"] < 1e-4
    assert rutile["mirrored"] > 0.9999
    assert scheelite["mirrored"] < 0.999  # By oxygen alone
    assert all(max(r) > 0.6 for r in correlations), correlations
    assert profiles["sum"] > 0.99
    assert profiles["norm"] < 1e-6
    assert profiles["opposite"] > -0.9999
    assert profiles["largest"] == sorted(profiles["largest"], reverse=True)

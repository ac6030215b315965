# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulate Bloch wave master patterns of the table of structures.

Usage::

    pip install torch "kikuchipy-spacegroup[dynamical]"
    python -m recipes.general_model.structures.simulate MASTERS &
    python -m recipes.general_model.structures.simulate MASTERS &

Every structure makes one file ``<id>.npz`` in the folder MASTERS, in the order of the
table, one of those held out after three to train on. A file that is there is not made
again, so that a run can be stopped, resumed and shared by processes, each on one core.
Voltage, exit depths, spacing limit and number of energies are drawn from the name alone,
so that nothing of how a master pattern was made tells its class.

A file holds ``values`` of dtype uint8 and shape (depths, hemispheres, 201, 201), with one
hemisphere where the crystal has an inversion center (the other is its image under
inversion), ``limits`` of shape (depths, hemispheres, 2) with the lowest and the highest
value, and ``meta``, a JSON object.
"""

import argparse
from itertools import zip_longest
import json
import logging
import os
from pathlib import Path
import time
import zlib

from diffpy.structure import Atom, Lattice
from diffpy.structure import Structure as AtomsInCell
import numpy as np
from orix.crystal_map import Phase

from kikuchipy_spacegroup.crystals import symmetry_operations, unit_cell
from kikuchipy_spacegroup.master_patterns import simulate_bloch_waves
from recipes.general_model.structures.crystals import Structure
from recipes.general_model.structures.structure_table import TABLE, read_structures

_logger = logging.getLogger("simulate")
# Voltages in kV, of which one is drawn
VOLTAGES = (10.0, 15.0, 15.0, 20.0, 20.0, 20.0, 20.0, 25.0, 25.0, 30.0)
# Ranges of the two factors on exit depths, and of the spacing limit in nm
DEPTHS = (0.8, 1.25), (0.25, 0.6)
SPACINGS = 0.055, 0.075
# Numbers of energies to average over
ENERGIES = (1, 2, 2)
# Between EMsoft's limits of beams and de-ebsd's: correlates at 0.98 with more beams
BETHE_LIMITS = (6.0, 20.0, 60.0)


def in_turn(structures: list[Structure]) -> list[Structure]:
    """Structures in order of simulation: three to train on, one held out.

    Of those held out, one of each list after the other.
    """
    splits: dict[str, list[Structure]] = {}
    for structure in structures:
        splits.setdefault(structure.extra["split"], []).append(structure)
    training = splits.pop("training", [])
    lists = [splits[name] for name in sorted(splits)]
    held_out = [s for some in zip_longest(*lists) for s in some if s is not None]
    ordered = []
    while training or held_out:
        ordered += training[:3] + held_out[:1]
        training, held_out = training[3:], held_out[1:]
    return ordered


def draw_parameters(identifier: str) -> dict:
    """How a structure is simulated, always the same for the same name."""
    rng = np.random.default_rng(zlib.crc32(identifier.encode()))
    return {
        "kv": float(rng.choice(VOLTAGES)),
        "depths": [
            round(float(np.exp(rng.uniform(*np.log(limits)))), 2) for limits in DEPTHS
        ],
        "dmin": round(float(rng.uniform(*SPACINGS)), 4),
        "n_energies": int(rng.choice(ENERGIES)),
    }


def to_phase(structure: Structure) -> Phase:
    """Phase of a row of the table, with the atoms of the asymmetric unit."""
    atoms = []
    for site in structure.sites:
        atom = Atom(site.element, [site.x, site.y, site.z], occupancy=site.occupancy)
        atom.Bisoequiv = site.debye_waller
        atoms.append(atom)
    cell = AtomsInCell(atoms, Lattice(*structure.lattice))
    return Phase(
        structure.identifier, space_group=structure.space_group, structure=cell
    )


def simulate(structure: Structure, half_width: int, max_minutes: float) -> dict:
    """Arrays of the file of a structure."""
    start = time.monotonic()
    parameters = draw_parameters(structure.identifier)
    cell = unit_cell(to_phase(structure))
    patterns = simulate_bloch_waves(
        cell,
        parameters["kv"],
        half_width=half_width,
        min_dspacing=parameters["dmin"],
        exit_depths=parameters["depths"],
        n_energies=parameters["n_energies"],
        n_electrons=50_000,
        bethe_limits=BETHE_LIMITS,
        max_minutes=max_minutes,
        show_progressbar=False,
    )
    meta = parameters | {
        "formula": structure.formula,
        "split": structure.extra["split"],
        "atoms": len(cell),
        "seconds": round(time.monotonic() - start, 1),
    }
    return to_arrays(structure, cell, patterns, meta)


def to_arrays(
    structure: Structure, cell: AtomsInCell, patterns: np.ndarray, meta: dict
) -> dict:
    """Arrays of a file.

    Parameters
    ----------
    structure, cell
        Structure, and all its atoms.
    patterns
        Master patterns of shape (depths, 2, n, n).
    meta
        What else is to be known.
    """
    rotations = symmetry_operations(cell).rotations
    centrosymmetric = bool((rotations == -np.eye(3)).all(axis=(1, 2)).any())
    if centrosymmetric:
        patterns = patterns[:, :1]
    low = patterns.min(axis=(2, 3), keepdims=True)
    high = patterns.max(axis=(2, 3), keepdims=True)
    meta = meta | {
        "id": structure.identifier,
        "space_group": structure.space_group,
        "centrosymmetric": centrosymmetric,
    }
    return {
        "values": np.rint(255 * (patterns - low) / (high - low)).astype("uint8"),
        "limits": np.stack([low, high], axis=-1)[:, :, 0, 0].astype("float32"),
        "meta": json.dumps(meta),
    }


def path_of(folder: Path, structure: Structure) -> Path:
    """File of a structure."""
    return folder / f"{structure.identifier.replace('/', '_')}.npz"


def save(path: Path, arrays: dict) -> None:
    """Write a file, which is there as a whole or not at all."""
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        np.savez_compressed(file, **arrays)
    part.rename(path)


def main() -> None:
    """Simulate what is missing."""
    parser = argparse.ArgumentParser(description="Simulate master patterns")
    parser.add_argument("folder", type=Path, help="folder of master patterns")
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--half-width", type=int, default=100)
    parser.add_argument("--max-minutes", type=float, default=20, help="per structure")
    parser.add_argument("--splits", nargs="+", help="only these (default: all)")
    args = parser.parse_args()
    logging.basicConfig(level="WARNING", format="%(asctime)s %(message)s")
    _logger.setLevel("INFO")
    args.folder.mkdir(parents=True, exist_ok=True)
    for structure in in_turn(read_structures(args.table)):
        if args.splits and structure.extra["split"] not in args.splits:
            continue
        path = path_of(args.folder, structure)
        lock = path.with_suffix(".lock")
        if path.exists():
            continue
        # That of a run that was killed is older than a simulation may take
        if (
            lock.exists()
            and time.time() - lock.stat().st_mtime > 120 * args.max_minutes
        ):
            lock.unlink(missing_ok=True)
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        try:
            arrays = simulate(structure, args.half_width, args.max_minutes)
            save(path, arrays)
            _logger.info("%s: %s", path.stem, arrays["meta"])
        except ValueError as error:  # One structure must not stop the others
            _logger.warning("%s is left out: %s", path.stem, error)
        finally:
            lock.unlink()


if __name__ == "__main__":
    main()

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gather the master patterns the default model is trained on.

Usage::

    python -m recipes.default_model.structures.library SHARED_DATA MASTERS... OUTPUT

where SHARED_DATA holds the folders ``sht`` and ``masters`` and MASTERS
are folders filled by ``simulate_masters.py``. Structures marked as
kinematical in ``structures.csv`` are simulated here. OUTPUT gets the
files ``training.npz``, ``weights.json`` (how often phases are drawn) and
``held_out.npz``: no material is in both libraries.
"""

import argparse
from collections import Counter
import csv
from functools import reduce
import json
import logging
from multiprocessing import get_context
from operator import add
from pathlib import Path

import numpy as np
from orix.crystal_map import Phase

from kikuchipy_spacegroup.master_patterns import (
    MasterPatternLibrary,
    kinematical_master_pattern,
)
from recipes.default_model.structures.simulate_masters import TABLE, load_structures

_logger = logging.getLogger("library")
# Kept for judging by whoever runs this recipe: never train on them
RESERVED = "Cu Pt MgO Mo V SrTiO3 MgAl2O4 Zr Co GaP GaN".split()
# Never trained on, to measure how well the model generalises
HELD_OUT = (
    "FeNi3 FeAl KTaO3_cubic Pd3Sn EuB6 Mo3Si Nb3Sn Mo3Ge NbC Pb CeO2 PbTe Ni2MnGa LiF "
    "Ge CeAl2 Fe3O4 Ta Na_bcc Ir3Sn7 Al4CoNi2 YAG_Y3Al5O12"
).split()
# Those that are ordered forms of a structure in another class: only superlattice
# lines tell them apart, and noise hides these
ORDERED = {"FeNi3": 225, "Pd3Sn": 225, "FeAl": 229, "Ni2MnGa": 229}
# Too much like a held-out material to train on
TWINS = "TaW_alloy DyAG_Dy3Al5O12 LuAG_Lu3Al5O12 SiGe_alloy".split()
# Space groups never trained on, not even as what the model does not
# know, to measure whether it says so
UNKNOWN = (62, 136, 141, 152, 154, 180, 187, 205, 213)
# Patterns that cannot be told from those of another group: atoms of two
# elements which scatter alike, or light atoms between heavy ones. Those like
# zinc blende of neighbors in a period are diamond: as outliers, they teach the
# model not to know silicon
ALIKE = "CsI Fe2VAl Ag2O Pb2O InSb CdTe AlP GaAs ZnSe".split()
# The Bloch-wave masters' file names are in lower case
FORMULAS = {
    "L12": ["FeNi3", "Ni3Al"],
    "B2": ["NiAl", "FeAl"],
    "A15": ["Mo3Si", "Cr3Si"],
    "A1": ["Al", "Ni"],
    "B1": ["TaC", "NbC", "TiC"],
    "A4": ["Si", "Ge"],
    "A2": ["Fe", "Ta", "W"],
    "Al4Ni3": ["Al4Ni3", "Al4CoNi2"],
}
# Structure types drawn this much more often where not made up: most metals and silicon
COMMON = {"A1": 4, "A2": 4, "A4": 3}
HALF_WIDTH = 150
# Tables of which one structure in so many is simulated kinematically as well
COPIES = {"disordered.csv": 3, "variants.csv": 4, "invented.csv": 4}
# Tables of structures that need not exist
MADE_UP = [
    TABLE.with_name(f"{name}.csv") for name in ("variants", "invented", "disordered")
]


def sht_files(folder: Path) -> dict[Path, tuple[str, int]]:
    """Return name and space group of the sound files of the database."""
    files = {}
    with open(folder / "index.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            formula = row["phase"].split()[0]
            if row["status"] == "drop" or formula in RESERVED:
                continue
            group = row["space_group_of_structure"].split("(")[-1].rstrip(")")
            files[folder / row["file"]] = (formula, int(group))
    return files


def emsoft_files(folder: Path) -> dict[Path, tuple[str, int]]:
    """Return name and space group of files named NAME_GROUP_*kv.h5."""
    formulas = {name.lower(): name for names in FORMULAS.values() for name in names}
    files = {}
    for path in sorted(folder.glob("*.h5")):
        name, group, _ = path.stem.rsplit("_", 2)
        files[path] = (formulas.get(name, name), int(group))
    return files


def phase_weights(shared_data: Path, library: MasterPatternLibrary) -> dict[str, float]:
    """Return weights which balance structure types.

    Within a space group, a structure type is drawn as often as the
    square root of its number of phases says, and common metals and
    silicon more often than structures made up.
    """
    named = {name: key for key, names in FORMULAS.items() for name in names}
    # Allotropes share a name: iron is of type A1 or A2
    types = {}
    with open(shared_data / "sht" / "index.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            formula, *_, last = row["phase"].split()
            group = row["space_group_of_structure"].split("(")[-1].rstrip(")")
            types.setdefault((formula, group), last.strip("[]").replace("_", ""))
    made_up = set()
    for table in (TABLE, *MADE_UP):
        with open(table, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                key = row["name"], row["space_group"]
                if table in MADE_UP and key not in types and row["name"] not in named:
                    made_up.add(row["name"])
                types.setdefault(key, row["prototype"].split("_")[-1])
    keys = []
    for name, number in zip(library.phase_names, library.space_groups):
        kind = types.get((name, str(number)), named.get(name, name))
        keys.append((int(number), kind))
    counts = Counter(keys)
    weights = {}
    for name, key in zip(library.phase_names, keys):
        share = 1 if name in made_up else COMMON.get(key[1], 1)
        weights[name] = round(share / counts[key] ** 0.5, 4)
    return weights | {"no_diffraction": 8.0}


def kinematical(jobs: list[tuple[Phase, float]]) -> MasterPatternLibrary:
    """Return kinematical master patterns of phases, each at an energy."""
    signals = []
    for phase, energy in jobs:
        try:
            signal = kinematical_master_pattern(
                phase, energy, half_width=HALF_WIDTH, min_dspacing=0.1
            )
        except (IndexError, ValueError) as error:
            _logger.warning("No kinematical master pattern of %s: %r", phase, error)
            continue
        signals.append(signal)
    names = [signal.phase.name for signal in signals]
    return MasterPatternLibrary.from_signals(signals, names, check=False)


def simulated() -> MasterPatternLibrary:
    """Return kinematical master patterns.

    Of structures too large for Bloch waves, and of many of the others: were
    large structures nearly the only kinematical ones, the network could tell
    their space groups by how they were simulated.
    """
    phases = load_structures(method="kinematical")
    copies = load_structures(method="dynamical")
    for table, every in COPIES.items():
        of_table = load_structures(TABLE.with_name(table), method="dynamical")
        copies |= dict(list(of_table.items())[::every])
    phases |= {
        name: phase
        for name, phase in copies.items()
        if name not in (*HELD_OUT, *TWINS, *ALIKE) and len(phase.structure) <= 6
    }
    energies = (15, 20, 25)
    jobs = [(phase, energies[i % 3]) for i, phase in enumerate(phases.values())]
    jobs = [jobs[i : i + 16] for i in range(0, len(jobs), 16)]
    # In processes of their own, with which signals cannot be exchanged
    with get_context("spawn").Pool() as pool:
        libraries = []
        for library in pool.imap(kinematical, jobs):
            libraries.append(library)
            _logger.info("Simulated %s of %s parts", len(libraries), len(jobs))
    return reduce(add, libraries)


def no_diffraction(half_width: int = HALF_WIDTH) -> MasterPatternLibrary:
    """Return a master pattern without bands, so that noise is learned."""
    return MasterPatternLibrary(
        np.ones((1, 2 * half_width + 1, 2 * half_width + 1), dtype="float16"),
        phase_index=[0],
        upper=[0],
        lower=[0],
        energies=[20],
        phase_names=["no_diffraction"],
        space_groups=[1],
    )


def voltages(folder: Path) -> MasterPatternLibrary:
    """Return master patterns of held-out materials at many voltages."""
    files = emsoft_files(folder)
    names, groups = zip(*files.values())
    if not set(names) <= set(HELD_OUT):
        raise ValueError(f"Other materials than held-out ones are in {folder}")
    return MasterPatternLibrary.from_files(
        list(files), names, groups, half_width=HALF_WIDTH, check=False
    )


def main() -> None:
    """Build both libraries."""
    parser = argparse.ArgumentParser(description="Gather master patterns")
    parser.add_argument("shared_data", type=Path)
    parser.add_argument("masters", type=Path, nargs="+")
    parser.add_argument("output", type=Path)
    parser.add_argument(
        "--voltages", type=Path, help="folder of held-out materials at many voltages"
    )
    args = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    files = sht_files(args.shared_data / "sht")
    for folder in (args.shared_data / "masters", *args.masters):
        files |= emsoft_files(folder)
    names, groups = zip(*files.values())
    library = MasterPatternLibrary.from_files(
        list(files), names, groups, half_width=HALF_WIDTH, check=False
    )
    library = library + simulated() + no_diffraction()
    if set(library.phase_names) & set(RESERVED):
        raise ValueError("Reserved materials are in the library")
    args.output.mkdir(parents=True, exist_ok=True)
    known = set(library.phase_names)
    held_out = [name for name in HELD_OUT if name in known]
    if missing := set(HELD_OUT) - known:
        _logger.warning("There are no master patterns of %s", sorted(missing))
    left_out = [name for name in (*TWINS, *ALIKE) if name in known]
    known_groups = set(library.space_groups.tolist()) - set(UNKNOWN)
    training = library.select(space_groups=known_groups, exclude=[*held_out, *left_out])
    training.save(args.output / "training.npz")
    weights = phase_weights(args.shared_data, training)
    (args.output / "weights.json").write_text(json.dumps(weights, indent=1))
    library.select(held_out).save(args.output / "held_out.npz")
    library.select(space_groups=UNKNOWN).save(args.output / "unknown.npz")
    if args.voltages:
        voltages(args.voltages).save(args.output / "voltages.npz")
    print(library.select(held_out))
    print(library)


if __name__ == "__main__":
    main()

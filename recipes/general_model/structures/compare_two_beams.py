# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare master patterns of two-beam bands with those of Bloch waves.

Usage::

    python -m recipes.general_model.structures.compare_two_beams MASTERS... RESULTS

where MASTERS are folders filled by ``simulate.py``. Writes ``two_beams.csv`` to the folder
RESULTS: for each structure to train on, how the pattern for deep and for shallow electrons
correlates with the Bloch waves at the larger and at the smaller exit depth. For the first
few, bands and Bloch waves are timed with one thread and fewer directions.
"""

import argparse
from datetime import date
from pathlib import Path
import time

import numpy as np
import torch

from benchmarks.tables import write_table
from kikuchipy_spacegroup.crystals import unit_cell
from kikuchipy_spacegroup.master_patterns import (
    simulate_bloch_waves,
    simulate_two_beams,
)
from recipes.general_model.library import hemispheres
from recipes.general_model.structures.crystals import Structure
from recipes.general_model.structures.simulate import (
    BETHE_LIMITS,
    draw_parameters,
    path_of,
    to_phase,
)
from recipes.general_model.structures.structure_table import read_structures
from recipes.general_model.structures.two_beam import to_patterns

# Of the directions that are timed
HALF_WIDTH = 50


def correlate(first: np.ndarray, second: np.ndarray) -> float:
    """Return the correlation of two arrays of the same shape."""
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def compare(structure: Structure, path: Path) -> dict:
    """Return the correlations of a structure with its file of Bloch waves."""
    expected, _ = hemispheres(path)
    bands = to_patterns(structure, expected.shape[-1] // 2)
    bands = bands[:, : expected.shape[1]]
    return {
        "structure": structure.identifier,
        "space_group": structure.space_group,
        "deep": correlate(bands[0], expected[0]),
        "shallow": correlate(bands[1], expected[1]),
    }


def measure_times(structure: Structure) -> dict:
    """Return the seconds of both simulations, as they are made for training."""
    parameters = draw_parameters(structure.identifier)
    cell = unit_cell(to_phase(structure))
    given = {"half_width": HALF_WIDTH, "min_dspacing": parameters["dmin"]}
    start = time.process_time()
    simulate_two_beams(cell, parameters["kv"], dampings=(1.5, 3.0), **given)
    middle = time.process_time()
    simulate_bloch_waves(
        cell,
        parameters["kv"],
        exit_depths=parameters["depths"],
        n_energies=parameters["n_energies"],
        n_electrons=50_000,
        bethe_limits=BETHE_LIMITS,
        show_progressbar=False,
        **given,
    )
    end = time.process_time()
    return {"seconds": middle - start, "seconds_bloch_waves": end - middle}


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Compare bands with Bloch waves")
    parser.add_argument("masters", type=Path, nargs="+")
    parser.add_argument("results", type=Path)
    parser.add_argument("--timed", type=int, default=10, help="structures to time")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    structures = [s for s in read_structures() if s.extra["split"] == "training"]
    for structure in sorted(structures, key=lambda s: s.extra["order"]):
        paths = (path_of(folder, structure) for folder in args.masters)
        path = next((path for path in paths if path.exists()), None)
        if path is None:
            continue
        row = compare(structure, path)
        times = {"seconds": "", "seconds_bloch_waves": ""}
        if len(rows) < args.timed:
            times = measure_times(structure)
        rows.append(row | times)
    dated = {"half_width_timed": HALF_WIDTH, "date": date.today().isoformat()}
    rows = [
        {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()} | dated
        for row in rows
    ]
    write_table(args.results / "two_beams.csv", rows)
    for name in ("deep", "shallow"):
        values = np.array([row[name] for row in rows])
        print(f"{name}: mean {values.mean():.3f}, lowest {values.min():.3f}")
    timed = rows[: args.timed]
    ratios = [row["seconds_bloch_waves"] / row["seconds"] for row in timed]
    print(
        f"{len(rows)} structures; Bloch waves take {np.median(ratios):.0f} times as long"
    )


if __name__ == "__main__":
    main()

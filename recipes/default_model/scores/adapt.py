# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What adaptation without labels brings on an instrument never seen.

Usage::

    python -m recipes.default_model.scores.adapt MODEL LIBRARIES OUTPUT [--real REAL]
        [--go-on]

where LIBRARIES is the folder written by ``library.py``, with all of the library the model was
trained on. Writes ``adaptation.csv`` to the folder OUTPUT, row by row, and only those that
are not there yet if it is to go on.

The camera of ``instrument.py`` and random ones record twelve materials never trained on, and
the first one six of them alone. What an adapted model knows of patterns it did not adapt to
is told from a second scan by the same camera.
"""

import argparse
from collections.abc import Iterator
import csv
from datetime import date
import gc
import json
from pathlib import Path

from kikuchipy.signals import EBSD
import numpy as np

from benchmarks.tables import write_table
from kikuchipy_spacegroup import MasterPatternLibrary, load_model
from kikuchipy_spacegroup.training import Sampling, adapt_normalization, self_train
from recipes.default_model.scores.instrument import (
    CAMERA,
    GEOMETRY,
    materials,
    random_instrument,
    scan,
)
from recipes.default_model.scores.real_patterns import load_real
from recipes.default_model.training.train import RARE

SEED = 3
REAL = ("rx_tile_0_0", "rx_tile_2_3", "rx_superalloy")
N_CAMERAS = 3
SINGLE = ("NbC", "Ge", "Mo3Si", "Fe3O4", "Ta", "FeAl")


def accuracy(model, signal: EBSD, truth: np.ndarray) -> float:
    """Return the share of patterns with the right space group."""
    xmap = signal.classify_space_group(model, min_probability=0, show_progressbar=False)
    return float((xmap.phase_id == truth).mean())


def scans(library: MasterPatternLibrary, n: int, real: Path | None) -> Iterator[tuple]:
    """Yield a name, a scan and its space groups, and the same of other patterns."""
    phases = f"{library.n_phases} materials"
    cameras = {"": (CAMERA, GEOMETRY)}
    cameras |= {f", camera {i}": random_instrument(i) for i in range(1, N_CAMERAS + 1)}
    for name, camera in cameras.items():
        pair = [scan(library, n, seed, *camera)[:2] for seed in (SEED, SEED + 1)]
        yield f"{phases}{name}", *pair
    for name in SINGLE:
        one = library.select([name])
        yield f"{name} alone", *(scan(one, 4 * n, i)[:2] for i in (SEED, SEED + 1))
    for name in REAL if real is not None else ():
        patterns, group = load_real(real)[name]
        truth = np.full(patterns.shape[0] * patterns.shape[1], int(group))
        yield f"real superalloy, {name}", (EBSD(patterns), truth), None


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Score adaptation")
    for name in ("model", "libraries", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--real", type=Path, help="folder of real patterns")
    parser.add_argument("-n", type=int, default=150, help="patterns per material")
    parser.add_argument("--go-on", action="store_true", help="keep the rows so far")
    args = parser.parse_args()
    model = load_model(args.model)
    training = MasterPatternLibrary.load(args.libraries / "training.npz")
    weights = json.loads((args.libraries / "weights.json").read_text())
    unseen = materials(MasterPatternLibrary.load(args.libraries / "held_out.npz"))
    table, rows = args.output / "adaptation.csv", []
    if args.go_on and table.exists():
        with open(table, newline="") as file:
            rows = list(csv.DictReader(file))
    there = {row["scan"] for row in rows}
    for name, (signal, truth), other in scans(unseen, args.n, args.real):
        if name in there:
            continue
        row = {"scan": name, "n": len(truth)}
        normalized = adapt_normalization(model, signal, seed=SEED)
        trained = self_train(
            model,
            training,
            signal,
            sampling=Sampling(phase_weights=weights, space_group_weights=RARE),
            seed=SEED,
            show_progressbar=False,
        )
        for label, each in (
            ("as it is", model),
            ("normalisation", normalized),
            ("self-training", trained),
        ):
            row[label] = round(accuracy(each, signal, truth), 3)
        for label, each in (("as it is", model), ("self-training", trained)):
            found = round(accuracy(each, *other), 3) if other else ""
            row[f"{label}, others"] = found
        rows.append(row | {"seed": SEED, "date": date.today().isoformat()})
        print(rows[-1], flush=True)
        write_table(table, rows)
        # Graphs hold copies of the library, and are in cycles
        del trained, normalized
        gc.collect()


if __name__ == "__main__":
    main()

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What adaptation without labels brings on an instrument never seen.

Usage::

    python recipes/default_model/adapt.py MODEL LIBRARIES OUTPUT [--real REAL]
        [--self-train]

where LIBRARIES is the folder written by ``library.py``. Writes ``adaptation.csv`` to the
folder OUTPUT. Self-training takes most of the time, and needs all of the library the model
was trained on.
"""

import argparse
import csv
from datetime import date
from pathlib import Path

from instrument import materials, scan
from kikuchipy.signals import EBSD
import numpy as np
from real_patterns import load_real

from kikuchipy_spacegroup import (
    MasterPatternLibrary,
    adapt_normalization,
    load_model,
    self_train,
)

SEED = 3
REAL = ("rx_tile_0_0", "rx_tile_2_3", "rx_superalloy")
SINGLE = ("NbC", "Ge", "Mo3Si", "Fe3O4", "Ta", "FeAl")


def accuracy(model, signal: EBSD, truth: np.ndarray) -> float:
    """Return the share of patterns with the right space group."""
    xmap = signal.classify_space_group(model, min_probability=0, show_progressbar=False)
    return float((xmap.phase_id == truth).mean())


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Score adaptation")
    for name in ("model", "libraries", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--real", type=Path, help="folder of real patterns")
    parser.add_argument("-n", type=int, default=150, help="patterns per material")
    parser.add_argument("--self-train", action="store_true")
    args = parser.parse_args()
    model = load_model(args.model)
    unseen = materials(MasterPatternLibrary.load(args.libraries / "held_out.npz"))
    scans = {f"{unseen.n_phases} materials": scan(unseen, args.n, SEED)[:2]}
    for name in SINGLE:
        scans[f"{name} alone"] = scan(unseen.select([name]), 4 * args.n, SEED)[:2]
    if args.real is not None:
        for name in REAL:
            patterns, group = load_real(args.real)[name]
            truth = np.full(patterns.shape[0] * patterns.shape[1], int(group))
            scans[f"real superalloy, {name}"] = EBSD(patterns), truth
    rows = []
    for name, (signal, truth) in scans.items():
        row = {
            "scan": name,
            "n": len(truth),
            "as it is": accuracy(model, signal, truth),
        }
        for n_layers, share in ((3, 0.3), (3, 1.0), (None, 0.1), (None, 0.3)):
            adapted = adapt_normalization(
                model, signal, share=share, n_layers=n_layers, seed=SEED
            )
            layers = f"{n_layers} layers" if n_layers else "all layers"
            row[f"normalisation {share}, {layers}"] = accuracy(adapted, signal, truth)
        if args.self_train:
            training = MasterPatternLibrary.load(args.libraries / "training.npz")
            adapted = self_train(
                model, training, signal, rounds=1, steps=150, seed=SEED,
                show_progressbar=False,
            )  # fmt: skip
            row["self-training"] = accuracy(adapted, signal, truth)
        row = {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}
        rows.append(row | {"seed": SEED, "date": date.today().isoformat()})
        print(rows[-1], flush=True)
    with open(args.output / "adaptation.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

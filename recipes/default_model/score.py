# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Score a model on materials it never saw and on real patterns.

Usage::

    python recipes/default_model/score.py MODEL HELD_OUT REAL OUTPUT

where HELD_OUT is the library ``held_out.npz`` written by ``library.py``
and REAL the folder of real patterns. Writes ``simulated.csv`` and
``real.csv`` to the folder OUTPUT and prints their means.
"""

import argparse
import csv
from dataclasses import replace
from datetime import date
from pathlib import Path

from calibrate import CALIBRATION
import keras
import kikuchipy as kp
from kikuchipy.signals import EBSD
import numpy as np
from real_patterns import load_real

from kikuchipy_spacegroup import probabilities_from_map
from kikuchipy_spacegroup.acquisition import Acquisition
from kikuchipy_spacegroup.dataset import SimulatedDataset
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.model import SpaceGroupModel, load_model
from kikuchipy_spacegroup.training import training_graph

SEED = 2026
# Standard deviation of the noise over that of the diffraction signal
NOISE = {"low": 0.2, "moderate": 0.6, "high": 1.5}


def score_simulated(
    model: SpaceGroupModel, library: MasterPatternLibrary, n: int = 200
) -> list[dict]:
    """Return the accuracy per material and noise level."""
    dataset = SimulatedDataset(library, sorted(set(library.space_groups.tolist())))
    rows = []
    for level, noise in NOISE.items():
        acquisition = replace(Acquisition(), noise=(noise, noise + 1e-3))
        graph = training_graph(model, library, acquisition=acquisition, seed=SEED)
        for i, name in enumerate(library.phase_names):
            rng = np.random.default_rng([SEED, i])
            recipe = dataset.recipe(np.full(n, i), rng)
            logits = np.concatenate(
                [
                    keras.ops.convert_to_numpy(
                        graph({k: v[j : j + 50] for k, v in recipe.items()})
                    )
                    for j in range(0, n, 50)
                ]
            )
            numbers = np.array(model.space_groups)[logits.argmax(axis=1)]
            group = int(library.space_groups[i])
            found, counts = np.unique(numbers, return_counts=True)
            rows.append(
                {
                    "material": name,
                    "space_group": group,
                    "calibration": name in CALIBRATION,
                    "noise": level,
                    "n": n,
                    "accuracy": round(float((numbers == group).mean()), 3),
                    "most_frequent": int(found[counts.argmax()]),
                    "seed": SEED,
                    "date": date.today().isoformat(),
                }
            )
    return rows


def score_real(model: SpaceGroupModel, folder: Path) -> list[dict]:
    """Return the accuracy per map, classified as a user would."""
    rows = []
    for name, (patterns, group) in load_real(folder).items():
        if name == "nickel_ebsd_small":
            s = kp.data.nickel_ebsd_small()
        else:
            s = EBSD(patterns)
        xmap = s.classify_space_group(
            model, min_probability=0, keep_probabilities=True, show_progressbar=False
        )
        probabilities, groups = probabilities_from_map(xmap)
        pooled = np.log(np.maximum(probabilities, 1e-9)).mean(axis=0)
        right = [int(number) for number in group.split(" or ")]
        row = {
            "map": name,
            "space_group": group,
            "in_classes": bool(set(right) & set(groups)),
            "shape": "x".join(str(n) for n in patterns.shape[-2:]),
            "n": xmap.size,
            "accuracy": round(float(np.isin(xmap.phase_id, right).mean()), 3),
            "pooled": int(groups[pooled.argmax()]),
            "mean_best_probability": round(float(xmap.prop["scores"].mean()), 3),
        }
        row |= {
            f"p_{number}": round(float(probabilities[:, i].mean()), 3)
            for i, number in enumerate(groups)
        }
        rows.append(row | {"date": date.today().isoformat()})
    return rows


def write(path: Path, rows: list[dict]) -> None:
    """Write a table."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Score a model."""
    parser = argparse.ArgumentParser(description="Score a model")
    for name in ("model", "held_out", "real", "output"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    model = load_model(args.model)
    args.output.mkdir(parents=True, exist_ok=True)
    real = score_real(model, args.real)
    write(args.output / "real.csv", real)
    known = [row for row in real if row["in_classes"]]
    n = sum(row["n"] for row in known)
    right = sum(row["n"] * row["accuracy"] for row in known)
    maps = sum(str(row["pooled"]) in row["space_group"] for row in known)
    for row in real:
        print({k: v for k, v in row.items() if k != "date"})
    print(f"Real: {right / n:.3f} of {n} patterns, {maps} of {len(known)} maps pooled")
    simulated = score_simulated(model, MasterPatternLibrary.load(args.held_out))
    write(args.output / "simulated.csv", simulated)
    for level in NOISE:
        of_level = [row for row in simulated if row["noise"] == level]
        print(level, {row["material"]: row["accuracy"] for row in of_level})
        judging = [row for row in of_level if not row["calibration"]]
        mean = np.mean([row["accuracy"] for row in judging])
        print(f"Simulated, {level} noise: {mean:.3f} (chance 0.167)")


if __name__ == "__main__":
    main()

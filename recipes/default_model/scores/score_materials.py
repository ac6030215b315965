# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Score a model on simulated patterns of materials it never saw, one by one.

Usage::

    python -m recipes.default_model.scores.score_materials MODEL LIBRARIES OUTPUT

where LIBRARIES is the folder written by ``library.py``. Writes ``simulated.csv`` to the
folder OUTPUT: how often each material is right, at the level of the space group and of
the Bravais lattice, how often the right space group is in the sets, and how often the
model is sure and wrong. Since the model is calibrated on all materials held out, each
one's probabilities and sets are those of a calibration on all the others.
"""

import argparse
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.tables import write_table
from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.models import SpaceGroupModel, load_model
from kikuchipy_spacegroup.simulation import Acquisition
from kikuchipy_spacegroup.training import prediction_sets
from recipes.default_model.scores.scoreboard import (
    NOISE,
    SEED,
    fit_without_each,
    logits_of,
)
from recipes.default_model.structures.library import ORDERED
from recipes.default_model.training.calibrate import CALIBRATION

# A model that is this sure should not be wrong
SURE = 0.8


def score_materials(
    model: SpaceGroupModel, library: MasterPatternLibrary, n: int
) -> list[dict]:
    """Return a row per material and level of noise."""
    groups = np.array(model.space_groups)
    phases = np.repeat(np.arange(library.n_phases), n)
    logits, truth = logits_of(model, library, n)
    labels = np.array([model.space_groups.index(i) for i in truth.tolist()])
    coverages = list(model.conformal_thresholds)
    fits = fit_without_each(logits, labels, phases, coverages)
    rows = []
    for level, noise in NOISE.items():
        camera = replace(Acquisition(), noise=(noise, noise + 1e-3))
        logits, _ = logits_of(model, library, n, acquisition=camera)
        for i, name in enumerate(library.phase_names):
            here, right = phases == i, labels[i * n]
            p = fits[i].probabilities(logits[here])
            found = p.argmax(axis=1)
            numbers, counts = np.unique(groups[found], return_counts=True)
            summed, lattices = sg.coarsen_probabilities(
                p, model.space_groups, "bravais_lattice"
            )
            lattice = sg.get_space_group(int(groups[right])).bravais_lattice
            sure = p.max(axis=1) >= SURE
            row = {
                "material": name,
                "space_group": int(groups[right]),
                "ordered_form_of": ORDERED.get(name, ""),
                "calibration": name in CALIBRATION,
                "noise": level,
                "n": n,
                "accuracy": (found == right).mean(),
                "most_frequent": int(numbers[counts.argmax()]),
                "bravais_lattice": (
                    np.array(lattices)[summed.argmax(axis=1)] == lattice
                ).mean(),
                "sure_and_wrong": (sure & (found != right)).mean(),
            }
            for coverage in coverages:
                sets = prediction_sets(p, fits[i].thresholds[coverage])
                row[f"in_set_{coverage:g}"] = sets[:, right].mean()
                row[f"set_size_{coverage:g}"] = sets.sum(axis=1).mean()
            row = {
                k: round(float(v), 3) if isinstance(v, np.floating) else v
                for k, v in row.items()
            }
            rows.append(row | {"seed": SEED, "date": date.today().isoformat()})
    return rows


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Score a model on unseen materials")
    for name in ("model", "libraries", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("-n", type=int, default=200, help="patterns per material")
    args = parser.parse_args()
    library = MasterPatternLibrary.load(args.libraries / "held_out.npz")
    rows = score_materials(load_model(args.model), library, args.n)
    write_table(args.output / "simulated.csv", rows)
    for level in NOISE:
        judging = [r for r in rows if r["noise"] == level and not r["calibration"]]
        means = {
            name: round(float(np.mean([row[name] for row in judging])), 3)
            for name, value in judging[0].items()
            if isinstance(value, float)
        }
        print(level, len(judging), "materials", means)


if __name__ == "__main__":
    main()

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare models on the same patterns, to choose the one to bundle.

Usage::

    python -m recipes.default_model.scores.compare LIBRARIES REAL TABLE MODEL [MODEL ...]

where LIBRARIES is the folder written by ``library.py`` and REAL the folder of real
patterns. Writes the CSV file TABLE with one column per model. Models need not be
calibrated: temperatures are fitted to the materials of ``calibrate.py``. Accuracies are of
the others, but those of the materials the model is calibrated on are given, too: a model
should be chosen by the latter, and judged by the former.
"""

import argparse
import csv
from dataclasses import replace
from pathlib import Path

from kikuchipy.data import nickel_ebsd_master_pattern_small
import numpy as np
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.models import SpaceGroupModel, load_model
from kikuchipy_spacegroup.simulation import Acquisition
from kikuchipy_spacegroup.training import calibration_error, fit_temperature
from recipes.default_model.scores.score import score_real
from recipes.default_model.scores.scoreboard import NOISE, logits_of
from recipes.default_model.training.calibrate import CALIBRATION, OUTLIERS


def compare(model: SpaceGroupModel, libraries: Path, real: Path, n: int) -> dict:
    """Return what is compared, by name."""
    held_out = MasterPatternLibrary.load(libraries / "held_out.npz")
    phases = np.repeat(np.arange(held_out.n_phases), n)
    judging = ~np.isin(held_out.phase_names, CALIBRATION)[phases]
    result, materials, logits = {}, {}, {}
    for level, noise in NOISE.items():
        camera = replace(Acquisition(), noise=(noise, noise + 1e-3))
        logits[level], truth = logits_of(model, held_out, n, acquisition=camera)
        right = np.array(model.space_groups)[logits[level].argmax(axis=1)] == truth
        result[f"judging, {level} noise"] = right[judging].mean()
        result[f"calibrating, {level} noise"] = right[~judging].mean()
        for i, name in enumerate(held_out.phase_names):
            materials[f"{name}, {level} noise"] = right[phases == i].mean()
    every = np.concatenate(list(logits.values()))
    labels = np.tile([model.space_groups.index(i) for i in truth.tolist()], len(NOISE))
    judged = np.tile(judging, len(NOISE))
    temperature = fit_temperature(every[~judged], labels[~judged])
    probabilities = softmax(every / temperature, axis=1)
    result["calibration error"] = calibration_error(
        probabilities[judged], labels[judged]
    )
    result["temperature"] = temperature
    unknown = MasterPatternLibrary.load(libraries / "unknown.npz")
    unknown = unknown.select(space_groups=set(unknown.space_groups) - set(OUTLIERS))
    other = softmax(logits_of(model, unknown, n)[0] / temperature, axis=1).max(axis=1)
    known = probabilities[judged].max(axis=1)
    result["AUROC, unknown space groups"] = roc_auc_score(
        np.repeat([1, 0], [len(known), len(other)]), np.concatenate([known, other])
    )
    maps = [row for row in score_real(model, real) if row["in_classes"]]
    counts = [row["n"] for row in maps]
    result["real"] = np.average([row["accuracy"] for row in maps], weights=counts)
    result["real, pooled"] = np.mean(
        [str(row["pooled"]) in row["space_group"] for row in maps]
    )
    materials |= {f"real, {row['map']}": row["accuracy"] for row in maps}
    emsoft = nickel_ebsd_master_pattern_small(projection="lambert", hemisphere="both")
    emsoft.change_dtype("float32")
    nickel = MasterPatternLibrary.from_signals([emsoft], ["Ni"], [225])
    camera = replace(Acquisition(), noise=(0.6, 0.601))
    found = logits_of(model, nickel, 2 * n, acquisition=camera)[0].argmax(axis=1)
    result["EMsoft's Ni in kikuchipy, moderate noise"] = (
        np.array(model.space_groups)[found] == 225
    ).mean()
    return {name: round(float(v), 3) for name, v in (result | materials).items()}


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Compare models")
    for name in ("libraries", "real", "table"):
        parser.add_argument(name, type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("-n", type=int, default=60, help="patterns per material")
    args = parser.parse_args()
    # Those of train.py have one name, and folders of their own
    names = [path.stem for path in args.models]
    if len(set(names)) < len(names):
        names = [f"{path.parent.name}/{path.stem}" for path in args.models]
    if len(set(names)) < len(names):
        parser.error(f"Models must have different names or folders, not {names}")
    results = {
        name: compare(load_model(path), args.libraries, args.real, args.n)
        for name, path in zip(names, args.models)
    }
    with open(args.table, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["what", *results])
        for what in next(iter(results.values())):
            row = [what, *(result[what] for result in results.values())]
            writer.writerow(row)
            print(*row, sep="\t")


if __name__ == "__main__":
    main()

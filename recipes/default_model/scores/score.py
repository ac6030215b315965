# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Score a model on real patterns.

Usage::

    python -m recipes.default_model.scores.score MODEL REAL OUTPUT

where REAL is the folder of real patterns. Writes ``real.csv`` to the folder OUTPUT and
prints means.
"""

import argparse
import csv
from datetime import date
from pathlib import Path

import kikuchipy as kp
from kikuchipy.signals import EBSD
import numpy as np

from benchmarks.tables import write_table
from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.maps import prediction_sets_from_map, probabilities_from_map
from kikuchipy_spacegroup.models import SpaceGroupModel, load_model
from recipes.default_model.scores.real_patterns import load_real

LEVELS = ("bravais_lattice", "point_group", "laue_class", "crystal_system")


def score_real(model: SpaceGroupModel, folder: Path) -> list[dict]:
    """Return the accuracy per map.

    Every pattern is answered, as with ``min_probability=0``. What a user gets who does
    not say so is in the columns ``identified`` and ``right_of_identified``.
    """
    rows = []
    sources = _sources(folder)
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
            # Patterns of other shapes are maps of their own, with the shape in the name
            **(sources.get(name) or sources[name.rsplit("_", 1)[0]]),
            "space_group": group,
            "in_classes": bool(set(right) & set(groups)),
            "shape": "x".join(str(n) for n in patterns.shape[-2:]),
            "n": xmap.size,
            "accuracy": round(float(np.isin(xmap.phase_id, right).mean()), 3),
            **_levels(probabilities, groups, right),
            **_identified(xmap, right, model.min_probability),
            **_sets(xmap, right, model.conformal_thresholds),
            "pooled": int(groups[pooled.argmax()]),
            "mean_best_probability": round(float(xmap.prop["scores"].mean()), 3),
        }
        row |= {
            f"p_{number}": round(float(probabilities[:, i].mean()), 3)
            for i, number in enumerate(groups)
        }
        rows.append(row | {"date": date.today().isoformat()})
    return rows


def _sources(folder: Path) -> dict[str, dict[str, str]]:
    """Return material, source and licence of every map."""
    with open(folder / "index.csv", newline="", encoding="utf-8") as file:
        first = {row["map"]: row for row in reversed(list(csv.DictReader(file)))}
    keys = ("material", "source", "licence")
    found = {name: {key: row[key] for key in keys} for name, row in first.items()}
    small = "Ni", "kikuchipy.data.nickel_ebsd_small()", "CC-BY-4.0"
    found["nickel_ebsd_small"] = dict(zip(keys, small))
    return found


def _levels(probabilities: np.ndarray, groups: tuple, right: list[int]) -> dict:
    """Return the accuracy at coarser levels."""
    row = {}
    for level in LEVELS:
        summed, labels = sg.coarsen_probabilities(probabilities, groups, level)
        found = np.array(labels)[summed.argmax(axis=1)]
        row[level] = round(
            float(np.isin(found, sg.coarsen(np.array(right), level)).mean()), 3
        )
    return row


def _identified(xmap, right: list[int], threshold: float) -> dict:
    """Return the share that is identified, and how much of it is right."""
    identified = xmap.prop["scores"] >= threshold
    of_these = np.isin(xmap.phase_id, right)[identified]
    share = round(float(of_these.mean()), 3) if identified.any() else ""
    return {
        "identified": round(float(identified.mean()), 3),
        "right_of_identified": share,
    }


def _sets(xmap, right: list[int], thresholds: dict) -> dict:
    """Return how often the right space group is in sets, and their mean size."""
    row = {}
    for coverage, threshold in thresholds.items():
        sets = prediction_sets_from_map(xmap, threshold)
        inside = np.mean([bool(set(right) & set(i)) for i in sets])
        row[f"in_set_{coverage:g}"] = round(float(inside), 3)
        row[f"set_size_{coverage:g}"] = round(float(np.mean([*map(len, sets)])), 2)
    return row


def write(path: Path, rows: list[dict]) -> None:
    """Write a table."""
    write_table(path, rows)


def main() -> None:
    """Score a model."""
    parser = argparse.ArgumentParser(description="Score a model")
    for name in ("model", "real", "output"):
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


if __name__ == "__main__":
    main()

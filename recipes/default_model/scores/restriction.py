# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What restricting to candidates brings, and what a wrong restriction costs.

Usage::

    python -m recipes.default_model.scores.restriction MODEL REAL OUTPUT

where REAL is the folder of real patterns. Writes ``restriction.csv`` to the folder OUTPUT.
Candidates are the right space group and two others drawn by a seed, or three others.
"""

import argparse
from datetime import date
from pathlib import Path

import kikuchipy as kp
from kikuchipy.signals import EBSD
import numpy as np

from benchmarks.tables import write_table
from kikuchipy_spacegroup.maps import crystal_map
from kikuchipy_spacegroup.models import SpaceGroupModel, load_model
from recipes.default_model.scores.real_patterns import load_real

SEED = 2026
N_CANDIDATES = 3
N_DRAWS = 5
# Probability from which on a point is called sure
SURE = 0.8


def score(
    probabilities: np.ndarray,
    model: SpaceGroupModel,
    right: np.ndarray,
    candidates: list[list[int]] | None,
) -> dict:
    """Return how often patterns are right, sure and wrong, and found out.

    Parameters
    ----------
    probabilities
        Array of shape (n, k).
    model
        Model.
    right
        Space groups of the patterns of shape (n,).
    candidates
        Candidates of each pattern, None for all.
    """
    rows = []
    for i, group in enumerate(right):
        xmap = crystal_map(
            probabilities[i : i + 1],
            model.space_groups,
            candidates=None if candidates is None else candidates[i],
        )
        total = xmap.prop.get("candidates_probability", np.ones(1))[0]
        rows.append((xmap.phase_id[0] == group, xmap.prop["scores"][0], total))
    is_right, best, totals = (np.array(column) for column in zip(*rows))
    return {
        "accuracy": is_right.mean(),
        "sure": (best >= SURE).mean(),
        "sure_and_wrong": ((best >= SURE) & ~is_right).mean(),
        "candidates_below_0.1": (totals < 0.1).mean(),
    }


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Score restrictions to candidates")
    for name in ("model", "real", "output"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    model = (
        load_model(args.model) if args.model.exists() else load_model(str(args.model))
    )
    probabilities, right = [], []
    for name, (patterns, group) in load_real(args.real).items():
        if not group.isdigit() or int(group) not in model.space_groups:
            continue
        small = name == "nickel_ebsd_small"
        s = kp.data.nickel_ebsd_small() if small else EBSD(patterns)
        xmap = s.classify_space_group(
            model, min_probability=0, keep_probabilities=True, show_progressbar=False
        )
        probabilities.append(xmap.prop["probabilities"])
        right += [int(group)] * xmap.size
    probabilities, right = np.concatenate(probabilities), np.array(right)
    rng = np.random.default_rng(SEED)
    rows = [{"candidates": "all"} | score(probabilities, model, right, None)]
    for what in ("right one and two others", "three others"):
        found = []
        for _ in range(N_DRAWS):
            drawn = []
            for group in right.tolist():
                others = [n for n in model.space_groups if n != group]
                n = N_CANDIDATES - (what != "three others")
                some = rng.choice(others, n, replace=False).tolist()
                drawn.append(some if what == "three others" else [group, *some])
            found.append(score(probabilities, model, right, drawn))
        means = {key: float(np.mean([f[key] for f in found])) for key in found[0]}
        rows.append({"candidates": what} | means)
    rows = [
        {k: v if isinstance(v, str) else round(float(v), 3) for k, v in row.items()}
        | {"n": len(right), "seed": SEED, "date": date.today().isoformat()}
        for row in rows
    ]
    write_table(args.output / "restriction.csv", rows)
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()

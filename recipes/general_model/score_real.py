# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Score a general model on real patterns.

Usage::

    python -m recipes.general_model.score_real MODEL REAL OUTPUT

where REAL is the folder of real patterns. Writes ``real.csv`` to the folder OUTPUT: for
each map the share of patterns that are right at every level of symmetry, and what all
patterns of the map say together. Maps of GaN are reported, and never used to choose,
stop or calibrate. A model that uses the projection center is scored twice: with what the
file tells, which is nothing but for the nickel scan of kikuchipy, and with an estimate.
"""

import argparse
from collections import Counter
from datetime import date
from pathlib import Path
import warnings

import kikuchipy as kp
from kikuchipy.signals import EBSD
import numpy as np

from benchmarks.tables import write_table
from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.detectors import estimate_projection_center
from kikuchipy_spacegroup.maps import (
    prior_from_map,
    probabilities_from_map,
    symmetry_map,
)
from kikuchipy_spacegroup.models import SpaceGroupModel, load_model
from recipes.default_model.scores.real_patterns import load_real
from recipes.general_model.scoreboard import LEVELS, multiply_likelihoods

# Only reported: never to choose, stop or calibrate by
REPORTED_ONLY = "gan"


def score_map(model: SpaceGroupModel, s: EBSD, right: list[int]) -> dict:
    """Return the scores of one map of one phase.

    Parameters
    ----------
    model
        Model.
    s
        Patterns.
    right
        Space groups that are right.
    """
    xmap = s.classify_space_group(
        model, min_probability=0, keep_probabilities=True, show_progressbar=False
    )
    p, groups = probabilities_from_map(xmap)
    classified = p.any(axis=1)
    pooled = multiply_likelihoods(p[classified], prior_from_map(xmap))
    row = {"n": int(xmap.size)}
    for level in LEVELS:
        truth = sg.coarsen(right, level)
        summed, labels = sg.coarsen_probabilities(p, groups, level)
        found = np.array(labels)[summed.argmax(axis=1)]
        row[level] = float((np.isin(found, truth) & classified).mean())
    for level in ("crystal_system", "laue_class", "enantiomorphic_pair"):
        summed, labels = sg.coarsen_probabilities(pooled, groups, level)
        row[f"pooled_{level}"] = labels[summed.argmax()]
    row["right_when_pooled"] = row["pooled_laue_class"] in sg.coarsen(
        right, "laue_class"
    )
    symmetry = symmetry_map(xmap)
    answers = Counter(symmetry.phase_id.tolist())
    identifier, count = answers.most_common(1)[0]
    name = "nothing" if identifier < 0 else symmetry.phases[identifier].name
    row["most_frequent_answer"] = f"{name} ({count / xmap.size:.2f})"
    return row


def with_centers(model: SpaceGroupModel, s: EBSD) -> dict[str, EBSD]:
    """Return the scan with what is known of its projection center, and with an estimate."""
    scans = {"given": s}
    if model.uses_projection_center:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            estimate = estimate_projection_center(s, show_progressbar=False)
        scans["estimated"] = s.deepcopy()
        scans["estimated"].detector = estimate.detector
    return scans


def print_shares(rows: list[dict]) -> None:
    """Print what share of patterns and maps is right."""
    judged = [row for row in rows if REPORTED_ONLY not in row["map"].lower()]
    for center in dict.fromkeys(row["center"] for row in judged):
        here = [row for row in judged if row["center"] == center]
        n = sum(row["n"] for row in here)
        for level in ("crystal_system", "laue_class"):
            share = sum(row["n"] * row[level] for row in here) / n
            print(f"center {center}, {level}: {share:.3f} of {n} patterns")
        maps = sum(row["right_when_pooled"] for row in here)
        print(f"Laue class of {maps} of {len(here)} maps right when pooled")


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Score a general model")
    for name in ("model", "real", "output"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    model = load_model(args.model)
    rows = []
    for name, (patterns, group) in load_real(args.real).items():
        small = name == "nickel_ebsd_small"
        s = kp.data.nickel_ebsd_small() if small else EBSD(patterns)
        right = [int(n) for n in group.split(" or ")]
        for center, scan in with_centers(model, s).items():
            row = {"map": name, "space_group": group, "center": center}
            row |= score_map(model, scan, right)
            rows.append(
                {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}
                | {"date": date.today().isoformat()}
            )
    args.output.mkdir(parents=True, exist_ok=True)
    write_table(args.output / "real.csv", rows)
    for row in rows:
        print({k: v for k, v in row.items() if k != "date"})
    print_shares(rows)


if __name__ == "__main__":
    main()

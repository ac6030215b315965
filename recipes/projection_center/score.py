# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Score projection centers that are estimated without a phase.

Usage::

    python -m recipes.projection_center.score LIBRARIES REAL MODEL OUTPUT

where LIBRARIES is the folder written by ``recipes/general_model/library.py``, REAL one of
real patterns and MODEL a model that uses the projection center. Writes ``simulated.csv``,
``real.csv`` and ``summary.txt`` to the folder OUTPUT. Scans that are in ``simulated.csv``
are not simulated again.

A scan is 64 patterns in random orientations of a structure of the test lists, with moderate
noise and the default camera's ranges, and a projection center drawn for the scan. The model
classifies them with the center that was estimated, with the right one but for errors of 1 %,
and without.
"""

import argparse
import csv
from dataclasses import replace
from datetime import date
from pathlib import Path
import warnings

import keras
import kikuchipy as kp
from kikuchipy.signals import EBSD
import numpy as np

from benchmarks.tables import write_table
from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.detectors import (
    ProjectionCenterEstimate,
    estimate_projection_center,
)
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.models import SpaceGroupModel, load_model
from kikuchipy_spacegroup.simulation import (
    Acquisition,
    SimulateCamera,
    pattern_inputs,
    simulate_patterns,
)
from kikuchipy_spacegroup.training import SimulatedDataset
from recipes.default_model.scores.real_patterns import load_real
from recipes.default_model.scores.scoreboard import NOISE

SIDE, N_PATTERNS, SEED = 96, 64, 2026
# Structures of a crystal system and a list
MOST = 2
SYSTEMS = (
    "triclinic",
    "monoclinic",
    "orthorhombic",
    "tetragonal",
    "trigonal",
    "hexagonal",
    "cubic",
)
NAMES = "x", "y", "z"
# Real scans of several grains whose projection center is known, by kikuchipy's refinement
CALIBRATED = "nickel_ebsd_small", "ni_nordif_calibration"
LARGE_ERROR = 0.03


def choose(library: MasterPatternLibrary) -> list[int]:
    """Return the first few phases of each crystal system."""
    systems = sg.coarsen(library.space_groups, "crystal_system")
    return sorted(i for s in SYSTEMS for i in np.flatnonzero(systems == s)[:MOST])


def simulate_scan(
    library: MasterPatternLibrary, phase: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return patterns (n, side, side) of a phase and their projection center (3,)."""
    rng = np.random.default_rng([SEED, phase])
    groups = sorted(set(library.space_groups.tolist()))
    dataset = SimulatedDataset(library, groups, seed=SEED)
    recipe = dataset.recipe(np.full(N_PATTERNS, phase), rng)
    recipe["geometry"][:] = recipe["geometry"][:1]
    noise = NOISE["moderate"]
    acquisition = replace(Acquisition(), noise=(noise, noise + 1e-3))
    inputs = pattern_inputs()
    camera = SimulateCamera(acquisition, size=SIDE, seed=SEED + int(phase))
    graph = keras.Model(inputs, simulate_patterns(library, inputs, SIDE, camera))
    patterns = graph.predict(recipe, batch_size=N_PATTERNS, verbose=0)
    return np.asarray(patterns).reshape(-1, SIDE, SIDE), recipe["geometry"][0, :3]


def estimate(signal: EBSD) -> ProjectionCenterEstimate:
    """Return the estimate, and do not warn: what is not sure is in the table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return estimate_projection_center(signal, show_progressbar=False)


def columns(found: ProjectionCenterEstimate, right: np.ndarray) -> dict:
    """Return columns of a table: centers, errors and how sure they are."""
    row = {f"pc{k}": round(float(v), 4) for k, v in zip(NAMES, right)}
    errors = found.pc - right
    row |= {f"error_{k}": round(float(v), 4) for k, v in zip(NAMES, errors)}
    errors = found.standard_errors
    row |= {f"standard_error_{k}": round(float(v), 4) for k, v in zip(NAMES, errors)}
    row["self_similarity"] = round(found.self_similarity, 2)
    row["typical_self_similarity"] = round(found.typical_self_similarity, 2)
    return row | {"orientations": found.n_orientations, "patterns": found.n_patterns}


def share_right(
    model: SpaceGroupModel, patterns: np.ndarray, center: np.ndarray | None, right: int
) -> float:
    """Return the share of patterns whose crystal system is right."""
    p = model.predict_proba(patterns, center)
    summed, labels = sg.coarsen_probabilities(p, model.space_groups, "crystal_system")
    found = np.array(labels)[summed.argmax(axis=1)]
    return float((found == sg.coarsen([right], "crystal_system")[0]).mean())


def score_simulated(
    libraries: Path, model: SpaceGroupModel, output: Path
) -> list[dict]:
    """Return a row per simulated scan, and write the table as they come."""
    path = output / "simulated.csv"
    rows = read(path)
    done = {row["structure"] for row in rows}
    for kind in ("materials", "types"):
        library = MasterPatternLibrary.load(libraries / f"test_{kind}.npz")
        for phase in choose(library):
            name = library.phase_names[phase]
            if name in done:
                continue
            patterns, right = simulate_scan(library, phase)
            found = estimate(EBSD(patterns))
            group = int(library.space_groups[phase])
            rng = np.random.default_rng([SEED, phase])
            near = right + 0.01 * rng.standard_normal((len(patterns), 3))
            centers = {"known": near, "estimated": found.pc, "unknown": None}
            row = {"split": f"test_{kind}", "structure": name, "space_group": group}
            row |= columns(found, right)
            for key, center in centers.items():
                share = share_right(model, patterns, center, group)
                row[f"crystal_system_{key}"] = round(share, 3)
            rows.append(row | {"seed": SEED, "date": date.today().isoformat()})
            write_table(path, rows)
    return read(path)


def read(path: Path) -> list[dict]:
    """Return the rows of a table, or none."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def score_real(folder: Path) -> list[dict]:
    """Return a row per real scan."""
    right = kp.data.nickel_ebsd_small().detector.pc_average
    rows = []
    for name, (patterns, _) in load_real(folder).items():
        if name not in CALIBRATED:
            continue
        s = EBSD(patterns)
        if name == "nickel_ebsd_small":
            s = kp.data.nickel_ebsd_small()
        dated = {"date": date.today().isoformat()}
        rows.append({"map": name} | columns(estimate(s), right) | dated)
    return rows


def summarize(rows: list[dict], real: list[dict]) -> str:
    """Return the text of the documentation."""

    def numbers(name: str) -> np.ndarray:
        return np.array([float(row[name]) for row in rows])

    errors = np.stack([numbers(f"error_{k}") for k in NAMES], axis=1)
    standard = np.stack([numbers(f"standard_error_{k}") for k in NAMES], axis=1)
    is_sure = (standard <= LARGE_ERROR).all(axis=1)
    systems = sg.coarsen(numbers("space_group").astype(int), "crystal_system")
    lines = [
        f"{len(rows)} scans of {N_PATTERNS} simulated patterns of as many structures of the test lists "
        "(``recipes/general_model``), in",
        "random orientations, with moderate noise and a center drawn for the scan. Medians of the absolute",
        "errors, in sides of the pattern:",
        "",
        ".. list-table::",
        "    :header-rows: 1",
        "",
    ]
    head = "Crystal system", "Scans", "Sure", "PCx", "PCy", "PCz"
    head += "Right, center known", "Right, estimated", "Right, unknown"
    table = [head]
    for system in (*SYSTEMS, "all"):
        here = (systems == system) | (system == "all")
        if not here.any():
            continue
        medians = np.median(np.abs(errors[here]), axis=0)
        right = [
            numbers(f"crystal_system_{k}")[here].mean()
            for k in ("known", "estimated", "unknown")
        ]
        cells = [
            system,
            here.sum(),
            is_sure[here].sum(),
            *(f"{v:.3f}" for v in medians),
        ]
        table.append((*cells, *(f"{v:.2f}" for v in right)))
    for row in table:
        lines += [f"    {'*' if i == 0 else ' '} - {v}" for i, v in enumerate(row)]
    within = (np.abs(errors) <= 2 * standard)[is_sure]
    far = (np.abs(errors[is_sure]) > 0.05).any(axis=1)
    lines += [
        "",
        f"*Sure* are those whose standard errors are all at most {LARGE_ERROR}. Of these, {far.sum()} of "
        f"{len(far)} are off by more than 0.05, and",
        f"{within.mean():.0%} of the errors are within two standard errors, which are too small if that is less "
        "than 95 %. The mean",
        f"error of PCz is {errors[is_sure, 2].mean():+.3f}. *Right* is the share of patterns whose crystal system "
        "a model finds with the",
        "right center but for errors of 1 %, with the estimated one, and without.",
        "",
        "Of real patterns of nickel, with what kikuchipy has as the right center:",
        "",
    ]
    for row in real:
        off = ", ".join(f"{float(row[f'error_{k}']):+.3f}" for k in NAMES)
        text = f"* {row['patterns']} patterns of {row['orientations']} orientations are off by {off}."
        lines.append(text)
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description="Score projection centers")
    for name in ("libraries", "real", "model", "output"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    real = score_real(args.real)
    write_table(args.output / "real.csv", real)
    model = load_model(args.model)
    rows = score_simulated(args.libraries, model, args.output)
    text = summarize(rows, real)
    (args.output / "summary.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

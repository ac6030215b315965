# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure how independent patterns of a grain are.

Usage::

    python -m recipes.default_model.scores.pooling MODEL HELD_OUT OUTPUT

where HELD_OUT is the library ``held_out.npz`` written by ``library.py``.
Simulates grains of materials the model never saw, pools them with
several correlations and writes ``pooling.csv`` to the folder OUTPUT. The
correlation fitted to the materials in ``calibrate.CALIBRATION`` is
printed; the table is of the other materials.
"""

import argparse
from dataclasses import fields
from pathlib import Path

import keras
import numpy as np
from scipy.special import softmax

from benchmarks.tables import write_table
from kikuchipy_spacegroup.maps import (
    crystal_map,
    fit_correlation,
    pool_grains,
    probabilities_from_map,
)
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.models import SpaceGroupModel, load_model
from kikuchipy_spacegroup.simulation import Acquisition
from kikuchipy_spacegroup.training import (
    SimulatedDataset,
    calibration_error,
    training_graph,
)
from recipes.default_model.training.calibrate import CALIBRATION

SEED = 2027
N_CAMERAS = 10
N_GRAINS = 2  # per camera and material
N_PATTERNS = 16  # per grain
SPREAD = 0.3  # of the orientations in a grain, in degrees
NOISE = (0.2, 1.5)
# Not the same at all points of a grain, or not in all
WITHOUT = ("overlap_probability", "marks_probability", "shadow_probability")
LOG = ("resolution", "contrast", "noise")
CORRELATIONS = (0, 0.1, 0.3, 0.5, 0.7, 0.9, 1)


def one_camera(rng: np.random.Generator) -> Acquisition:
    """Return an acquisition in which hardly anything varies."""
    default, values = Acquisition(), {}
    for name in (field.name for field in fields(default)):
        limits = NOISE if name == "noise" else getattr(default, name)
        if name.endswith("_probability"):
            values[name] = 0 if name in WITHOUT else float(rng.random() < limits)
        elif name in LOG:
            values[name] = (float(np.exp(rng.uniform(*np.log(limits)))),) * 2
        else:
            values[name] = (float(rng.uniform(*limits)),) * 2
    return Acquisition(**values)


def grain(
    dataset: SimulatedDataset, phase: int, geometry: np.ndarray, rng
) -> dict[str, np.ndarray]:
    """Return the recipe of the patterns of one grain."""
    recipe = dataset.recipe(np.full(N_PATTERNS, phase), rng)
    turn = rng.normal(0, np.deg2rad(SPREAD), (N_PATTERNS, 3))
    small = np.cross(np.eye(3), turn[:, None, :]) + np.eye(3)
    recipe["orientation"] = (recipe["orientation"][:1] @ small).astype("float32")
    recipe["geometry"] = np.repeat(geometry, N_PATTERNS, axis=0)
    return recipe


def simulate(
    model: SpaceGroupModel, library: MasterPatternLibrary
) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities (grains, patterns, k) and phases of grains."""
    rng = np.random.default_rng(SEED)
    dataset = SimulatedDataset(library, sorted(set(library.space_groups.tolist())))
    graph = training_graph(model, library, seed=SEED)
    logits, phases = [], []
    for _ in range(N_CAMERAS):
        graph.get_layer("camera").acquisition = one_camera(rng)
        geometry = dataset.geometry.sample(1, rng)
        for phase in np.repeat(np.arange(library.n_phases), N_GRAINS):
            recipe = grain(dataset, phase, geometry, rng)
            logits.append(keras.ops.convert_to_numpy(graph(recipe, training=False)))
            phases.append(phase)
    return softmax(np.array(logits) / model.temperature, axis=-1), np.array(phases)


def table(probabilities: np.ndarray, right: np.ndarray, space_groups) -> list[dict]:
    """Return how good pooled probabilities are, by correlation."""

    def row(correlation, p, right) -> dict:
        of_right = p[np.arange(len(p)), right]
        return {
            "correlation": correlation,
            "accuracy": round(float((p.argmax(axis=1) == right).mean()), 3),
            "mean_probability": round(float(p.max(axis=1).mean()), 3),
            "negative_log_likelihood": round(float(-np.log(of_right).mean()), 3),
            "calibration_error": round(calibration_error(p, right, n_bins=10), 3),
        }

    g, n, k = probabilities.shape
    single = probabilities.reshape(-1, k)
    rows = [row("not pooled", single, np.repeat(right, n))]
    xmap = crystal_map(probabilities, space_groups, keep_probabilities=True)
    labels = np.repeat(np.arange(g), n)
    for correlation in CORRELATIONS:
        pooled, _ = probabilities_from_map(
            pool_grains(xmap, labels, correlation=correlation)
        )
        of_grain = np.maximum(pooled[::n].astype("float64"), 1e-12)
        rows.append(row(correlation, of_grain, right))
    return rows


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Measure what pooling brings")
    for name in ("model", "held_out", "output"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    model = load_model(args.model)
    library = MasterPatternLibrary.load(args.held_out)
    probabilities, phases = simulate(model, library)
    right = np.array(
        [model.space_groups.index(int(library.space_groups[i])) for i in phases]
    )
    calibrates = np.isin(np.array(library.phase_names)[phases], CALIBRATION)
    for name, chosen in [("calibration", calibrates), ("other", ~calibrates)]:
        p = probabilities[chosen]
        found = fit_correlation(
            p.reshape(-1, p.shape[-1]),
            np.repeat(np.arange(len(p)), N_PATTERNS),
            np.repeat(right[chosen], N_PATTERNS),
        )
        print(f"Correlation fitted to {name} materials: {found:.2f}")
    rows = table(probabilities[~calibrates], right[~calibrates], model.space_groups)
    write_table(args.output / "pooling.csv", rows)
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()

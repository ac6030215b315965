# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Score a model under one condition at a time, and its trustworthiness.

Usage::

    python -m recipes.default_model.scores.scoreboard MODEL LIBRARIES OUTPUT

where LIBRARIES is the folder written by ``library.py``. Writes
``conditions.csv``, ``trust.csv`` and ``reliability.csv`` to the folder OUTPUT. All
patterns are simulated, of materials the model was not trained on. Since it is calibrated
on all of them, each one's probabilities and sets are those of a calibration on all the
others.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import keras
from kikuchipy.data import nickel_ebsd_master_pattern_small
import numpy as np
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from benchmarks.tables import write_table
from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.master_patterns import (
    MasterPatternLibrary,
    kinematical_master_pattern,
)
from kikuchipy_spacegroup.models import SpaceGroupModel, load_model
from kikuchipy_spacegroup.simulation import (
    Acquisition,
    Geometry,
    SimulateCamera,
    pattern_inputs,
    simulate_patterns,
)
from kikuchipy_spacegroup.training import (
    SimulatedDataset,
    calibration_error,
    class_conformal_thresholds,
    fit_temperature,
    prediction_sets,
)
from recipes.default_model.scores.amorphous import amorphous
from recipes.default_model.structures.library import HALF_WIDTH, ORDERED, no_diffraction
from recipes.default_model.structures.simulate_masters import load_structures
from recipes.default_model.training.calibrate import CALIBRATION, OUTLIERS

SEED = 2026
N_CALIBRATION = 10_000
NOISE = {"low": 0.2, "moderate": 0.6, "high": 1.5}
LEVELS = ("space_group", "point_group", "laue_class", "crystal_system")
# Noise of one frame; n frames have 1 / sqrt(n) of it
ONE_FRAME = 2.0


def logits_of(
    model: SpaceGroupModel,
    library: MasterPatternLibrary,
    n: int,
    *,
    side: int = 96,
    acquisition: Acquisition | None = None,
    geometry: Geometry | None = None,
    mixed: bool = False,
    center_error: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and space groups of n patterns per phase.

    To a model that uses projection centers they are given with normal errors of this
    standard deviation, or as unknown.
    """
    groups = sorted(set(library.space_groups.tolist()))
    dataset = SimulatedDataset(library, groups, geometry=geometry)
    phases = np.repeat(np.arange(library.n_phases), n)
    rng = np.random.default_rng(SEED)
    if mixed:
        phases = rng.permutation(phases)
    recipe = dataset.recipe(phases, rng)
    inputs = pattern_inputs()
    camera = SimulateCamera(acquisition, size=side, seed=SEED)
    x = simulate_patterns(library, inputs, side, camera)
    x = keras.layers.Reshape((side, side, 1))(x)
    prepared = model.prepare(x)
    if model.uses_projection_center:
        inputs["projection_centers"] = keras.Input((3,), name="projection_centers")
        prepared = [prepared, inputs["projection_centers"]]
        centers = np.full((len(phases), 3), np.nan, "float32")
        if center_error is not None:
            errors = center_error * rng.standard_normal(centers.shape)
            centers = (recipe["geometry"][:, :3] + errors).astype("float32")
        recipe["projection_centers"] = centers
    graph = keras.Model(inputs, model.network(prepared))
    logits = graph.predict(recipe, batch_size=50, verbose=0)
    return logits, library.space_groups[phases]


def conditions() -> list[tuple[str, str, dict]]:
    """Return axis, value and what it changes, one at a time."""
    moderate = replace(Acquisition(), noise=(0.6, 0.601))
    rows = []
    for side in (60, 96, 128, 256):
        for level, noise in NOISE.items():
            camera = replace(
                Acquisition(), noise=(noise, noise + 1e-3), resolution=(side, side + 1)
            )
            rows.append(
                (
                    f"size, {level} noise",
                    f"{side} px",
                    {"side": side, "acquisition": camera},
                )
            )
    for frames in (1, 4, 16, 30):
        noise = ONE_FRAME / frames**0.5
        camera = replace(Acquisition(), noise=(noise, noise + 1e-3))
        rows.append(("frames averaged", str(frames), {"acquisition": camera}))
    for tilt in (-15, -7.5, 0, 7.5, 15):
        # With orientations at random, a tilt only moves the projection center
        pcy = 0.3 + 0.65 * np.tan(np.deg2rad(tilt))
        geometry = Geometry(pcy=(pcy - 0.01, pcy + 0.01), pcz=(0.64, 0.66))
        change = {"acquisition": moderate, "geometry": geometry}
        rows.append(("detector tilt", f"{tilt:g} degrees", change))
    for pcz in (0.45, 0.55, 0.65, 0.8, 0.95):
        geometry = Geometry(pcz=(pcz - 0.01, pcz + 0.01))
        change = {"acquisition": moderate, "geometry": geometry}
        rows.append(("detector distance", f"PCz {pcz}", change))
    for resolution in (240, 120, 80, 60, 45):
        camera = replace(moderate, resolution=(resolution, resolution + 1))
        rows.append(("resolution", f"{resolution} px", {"acquisition": camera}))
    return rows


def score_conditions(
    model: SpaceGroupModel,
    library: MasterPatternLibrary,
    voltages: MasterPatternLibrary,
    fits: dict,
    n: int,
) -> list[dict]:
    """Return the accuracy at every level of symmetry per condition."""
    rows = []
    moderate = replace(Acquisition(), noise=(0.6, 0.601))
    of_phases = [fits[name] for name in library.phase_names]
    for axis, value, change in conditions():
        logits, truth = logits_of(model, library, n, **change)
        rows.append(row_of(model, logits, truth, axis, value, of_phases))
    for energy in np.unique(voltages.energies).tolist():
        part = at_energy(voltages, energy)
        logits, truth = logits_of(model, part, n, acquisition=moderate)
        of_phases = [fits[name] for name in part.phase_names]
        rows.append(
            row_of(model, logits, truth, "voltage", f"{energy:g} kV", of_phases)
        )
    # Some of the materials as they are, and simulated kinematically
    simulated = kinematical(library.phase_names)
    names = list(simulated.phase_names)
    for value, part in (
        ("dynamical", library.select(names)),
        ("kinematical", simulated),
    ):
        logits, truth = logits_of(model, part, 2 * n, acquisition=moderate)
        of_phases = [fits[name] for name in part.phase_names]
        rows.append(row_of(model, logits, truth, "simulation", value, of_phases))
    # A simulation that is in training neither as a file nor as a program's
    emsoft = nickel_ebsd_master_pattern_small(projection="lambert", hemisphere="both")
    emsoft.change_dtype("float32")
    part = MasterPatternLibrary.from_signals([emsoft], ["Ni"], [225])
    for level, noise in NOISE.items():
        camera = replace(Acquisition(), noise=(noise, noise + 1e-3))
        logits, truth = logits_of(model, part, 5 * n, acquisition=camera)
        own = Fit(
            model.temperature,
            {
                c: np.array(list(by_group.values()))
                for c, by_group in model.conformal_thresholds.items()
            },
        )
        rows.append(
            row_of(model, logits, truth, "EMsoft's Ni in kikuchipy", level, [own])
        )
    return rows


def at_energy(library: MasterPatternLibrary, energy: float) -> MasterPatternLibrary:
    """Return what is of one energy, with all its exit depths."""
    entries = np.flatnonzero(library.energies == energy)
    phases, index = np.unique(library.phase_index[entries], return_inverse=True)
    return MasterPatternLibrary(
        library.data,
        phase_index=index,
        upper=library.upper[entries],
        lower=library.lower[entries],
        energies=library.energies[entries],
        phase_names=[library.phase_names[i] for i in phases],
        space_groups=library.space_groups[phases],
    )


def kinematical(names: Iterable[str]) -> MasterPatternLibrary:
    """Return kinematical master patterns of those materials that have few atoms."""
    phases = load_structures(method="dynamical")
    signals = [
        kinematical_master_pattern(
            phases[name], 20, half_width=HALF_WIDTH, min_dspacing=0.1
        )
        for name in names
        if name in phases
    ]
    known = [signal.phase.name for signal in signals]
    return MasterPatternLibrary.from_signals(signals, known, check=False)


def row_of(model, logits, truth, axis, value, fits: list["Fit"]) -> dict:
    """Return a row of the table of conditions, from as many patterns per fit."""
    found = np.array(model.space_groups)[logits.argmax(axis=1)]
    row = {"axis": axis, "value": value, "n": len(truth), "materials": len(fits)}
    for level in LEVELS:
        names = {
            i: getattr(sg.get_space_group(i), level) if level != "space_group" else i
            for i in {*found.tolist(), *truth.tolist()}
        }
        right = [names[a] == names[b] for a, b in zip(found.tolist(), truth.tolist())]
        row[level] = round(float(np.mean(right)), 3)
    labels = np.array([model.space_groups.index(i) for i in truth.tolist()])
    parts = np.array_split(np.arange(len(labels)), len(fits))
    for coverage in model.conformal_thresholds:
        in_set, size = sets_of(fits, parts, logits, labels, coverage)
        row[f"in_set_{coverage:g}"] = round(in_set, 3)
        row[f"set_size_{coverage:g}"] = round(size, 2)
    return row | {"seed": SEED, "date": date.today().isoformat()}


@dataclass
class Fit:
    """A calibration.

    Parameters
    ----------
    temperature
        What logits are divided by.
    thresholds
        Lowest probability of each class in a set by coverage.
    """

    temperature: float
    thresholds: dict[float, np.ndarray]

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities."""
        return softmax(logits / self.temperature, axis=1)


def fit_without_each(
    logits: np.ndarray, labels: np.ndarray, phases: np.ndarray, coverages: Iterable
) -> list[Fit]:
    """Return the calibration on all other phases, per phase.

    As ``calibrate()`` does, with all classes in equal parts.
    """
    fits = []
    rng = np.random.default_rng(SEED)
    for phase in np.unique(phases):
        others = np.flatnonzero(phases != phase)
        weights = 1 / np.bincount(labels[others])[labels[others]]
        drawn = rng.choice(others, N_CALIBRATION, p=weights / weights.sum())
        fit = Fit(fit_temperature(logits[drawn], labels[drawn]), {})
        scaled = fit.probabilities(logits[drawn])
        for coverage in coverages:
            fit.thresholds[coverage] = class_conformal_thresholds(
                scaled, labels[drawn], coverage, materials=phases[drawn]
            )
        fits.append(fit)
    return fits


def sets_of(
    fits: list[Fit], parts: list, logits: np.ndarray, labels: np.ndarray, coverage
) -> tuple[float, float]:
    """Return how often the right one is in sets, and their mean size."""
    in_set, size = [], []
    for fit, part in zip(fits, parts):
        sets = prediction_sets(
            fit.probabilities(logits[part]), fit.thresholds[coverage]
        )
        in_set.append(sets[np.arange(len(part)), labels[part]])
        size.append(sets.sum(axis=1))
    return float(np.concatenate(in_set).mean()), float(np.concatenate(size).mean())


def score_trust(
    model: SpaceGroupModel,
    held_out: MasterPatternLibrary,
    unknown: MasterPatternLibrary,
    n: int,
) -> tuple[list[dict], list[dict], dict[str, Fit]]:
    """Return the tables of trust and of reliability, and calibrations by material."""

    def best(logits):
        return softmax(logits / model.temperature, axis=1).max(axis=1)

    camera = replace(Acquisition(), overlap_probability=0.0)
    all_logits, all_truth = logits_of(model, held_out, n, acquisition=camera)
    all_labels = np.array([model.space_groups.index(i) for i in all_truth.tolist()])
    phases = np.repeat(np.arange(held_out.n_phases), n)
    coverages = model.conformal_thresholds
    fits = fit_without_each(all_logits, all_labels, phases, coverages)
    library = held_out.select(exclude=CALIBRATION)
    judged = [
        i for i, name in enumerate(held_out.phase_names) if name not in CALIBRATION
    ]
    rows, groups = [], list(model.space_groups)
    for name, chosen in (("", judged), (", all materials", range(len(fits)))):
        parts = [np.flatnonzero(phases == i) for i in chosen]
        some = [fits[i] for i in chosen]
        p = [f.probabilities(all_logits[part]) for f, part in zip(some, parts)]
        p, of_these = np.concatenate(p), all_labels[np.concatenate(parts)]
        names = np.repeat([held_out.phase_names[i] for i in chosen], n)
        right = p.argmax(axis=1) == of_these
        identified = p.max(axis=1) >= model.min_probability
        rows += [
            (f"calibration error{name}", calibration_error(p, of_these)),
            (
                f"calibration error, ordered forms and their parents as one{name}",
                calibration_error(as_one(p, of_these, names, groups), of_these),
            ),
            (f"accuracy{name}", float(right.mean())),
            (f"identified{name}", float(identified.mean())),
            (f"accuracy of those identified{name}", float(right[identified].mean())),
        ]
        for coverage in coverages:
            covered, size = sets_of(some, parts, all_logits, all_labels, coverage)
            rows.append((f"coverage of sets for {coverage:g}{name}", covered))
            rows.append((f"mean size of sets for {coverage:g}{name}", size))
        if not name:
            probabilities, labels = p, of_these
            known = best(all_logits[np.concatenate(parts)])
    overlap = replace(camera, overlap=(0.8, 1.0), overlap_probability=1.0)
    others = {
        "unknown space groups": logits_of(model, unknown, n, acquisition=camera)[0],
        "noise without diffraction, as in training": logits_of(
            model, no_diffraction(), 10 * n, acquisition=camera
        )[0],
        "overlap of two materials": logits_of(
            model, library, n, acquisition=overlap, mixed=True
        )[0],
        "amorphous, another camera": model.network.predict(
            model.prepare(amorphous(10 * n, SEED)[..., np.newaxis].astype("float32")),
            verbose=0,
        ),
    }
    for name, values in others.items():
        scores = np.concatenate([known, best(values)])
        is_known = np.repeat([1, 0], [len(known), len(values)])
        rows.append((f"AUROC, {name}", float(roc_auc_score(is_known, scores))))
        rejected = float((best(values) < model.min_probability).mean())
        rows.append((f"not identified, {name}", rejected))
    common = {
        "materials": library.n_phases,
        "seed": SEED,
        "date": date.today().isoformat(),
    }
    rows = [
        {"what": what, "value": round(value, 3), "n": len(labels)} | common
        for what, value in rows
    ]
    for row in rows:
        if row["what"].endswith("all materials"):
            row |= {"n": len(all_labels), "materials": held_out.n_phases}
    bins = [row | common for row in reliability(probabilities, labels)]
    return rows, bins, dict(zip(held_out.phase_names, fits))


def as_one(
    probabilities: np.ndarray,
    labels: np.ndarray,
    names: np.ndarray,
    space_groups: list[int],
) -> np.ndarray:
    """Return probabilities in which ordered alloys have those of their parents, too.

    As in the goal for accuracy, which of the two it is does not count. Other materials keep
    theirs.
    """
    joined = probabilities.copy()
    for name, number in ORDERED.items():
        rows, parent = np.flatnonzero(names == name), space_groups.index(number)
        joined[rows, labels[rows]] += joined[rows, parent]
        joined[rows, parent] = 0
    return joined


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> list[dict]:
    """Return how often the model is right when it is how sure."""
    best, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, 11)
    rows = []
    for low, high in pairwise(edges):
        here = (best > low) & (best <= high)
        if here.any():
            row = {"low": low, "high": high, "n": int(here.sum())}
            row |= {"probability": best[here].mean(), "accuracy": right[here].mean()}
            rows.append({k: round(float(v), 3) for k, v in row.items()})
    return rows


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description="Score a model")
    for name in ("model", "libraries", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("-n", type=int, default=60, help="patterns per material")
    args = parser.parse_args()
    model = load_model(args.model)
    held_out = MasterPatternLibrary.load(args.libraries / "held_out.npz")
    library = held_out.select(exclude=CALIBRATION)
    voltages = MasterPatternLibrary.load(args.libraries / "voltages.npz")
    unknown = MasterPatternLibrary.load(args.libraries / "unknown.npz")
    unknown = unknown.select(space_groups=set(unknown.space_groups) - set(OUTLIERS))
    trust, bins, fits = score_trust(model, held_out, unknown, 4 * args.n)
    tables = {
        "trust": trust,
        "reliability": bins,
        "conditions": score_conditions(model, library, voltages, fits, args.n),
    }
    for name, rows in tables.items():
        path = args.output / f"{name}.csv"
        write_table(path, rows)
        for row in rows:
            print({k: v for k, v in row.items() if k not in ("seed", "date")})


if __name__ == "__main__":
    main()

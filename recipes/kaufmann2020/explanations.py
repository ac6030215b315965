# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What networks look at and what Hough transforms see, in numbers.

Usage::

    python recipes/kaufmann2020/explanations.py OUTPUT

where OUTPUT is the folder of ``run.py``, which writes them too:
``zone_axes.csv`` and ``hough_bands.csv``. It takes a minute per network.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import keras
from kikuchipy.detectors import EBSDDetector
from materials import MATERIALS, phase
import numpy as np
from orix.quaternion import Rotation
import pandas as pd
from patterns import PROJECTION_CENTER, load_patterns, recorded_patterns
from tables import RUN, load_results

from kikuchipy_spacegroup.explanation import (
    GradCAM,
    ZoneAxisTest,
    main_zone_axes,
    to_pattern_frame,
    zone_axis_test,
)
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.models import SpaceGroupModel, load_model
from kikuchipy_spacegroup.plot import find_bands, n_shared

_Explain = Callable[[np.ndarray], np.ndarray]
# Feature maps to look at where the last ones are smaller than this
_FEWEST_CELLS = 8
_LAYERS = ("stage2_3_out", "stage2_2_out", "stage2_out", "block4_sepconv1_act")
# Test patterns per material, and random orientations to compare with
N_PATTERNS, N_RANDOM = 6, 499
# Networks with random weights
N_UNTRAINED = 3
# Orientations of NbC and Ni3Al, and bands to find
N_ORIENTATIONS, N_BANDS = 50, 9


def explainer(model: SpaceGroupModel) -> GradCAM:
    """Return guided Grad-CAM on feature maps that are not too small."""
    explain = GradCAM(model, guided=True)
    if explain.feature_shape[0] >= _FEWEST_CELLS:
        return explain
    there = {layer.name for layer in model.network.layers}
    for layer in _LAYERS:
        if layer in there:
            return GradCAM(model, layer, guided=True)
    return explain


def zone_axes(
    model: SpaceGroupModel, results: pd.DataFrame, patterns: Path
) -> pd.DataFrame:
    """Ask whether Grad-CAM is higher near zone axes than elsewhere.

    Parameters
    ----------
    model
        Model of a camera, network and experiment.
    results
        Its results, of which the first few patterns of every material
        are explained.
    patterns
        Folder of the patterns of the camera.

    Returns
    -------
    table
        One row per material and one for all, with the mean area under
        the curve of the maps, of the same with the crystals turned at
        random (the control), and the share of the control that is as
        high (p-value). Beside it are the area of the patterns' own
        intensity and of the maps of networks with random weights, since
        some places may be higher than others in any map.
    """
    explain = explainer(model)
    others = {
        "auc_of_pattern": [lambda patterns: _prepared(model, patterns)],
        "auc_of_untrained": [
            explainer(untrained(model, i)) for i in range(N_UNTRAINED)
        ],
    }
    tests, rows = [], []
    for name in MATERIALS:
        part = results[results["material"] == name].head(N_PATTERNS)
        test, row = _weigh(explain, others, name, part, patterns / f"{name}.npz")
        row |= {"materials": 1, "materials_seen": int(part["in_training"].iloc[0])}
        tests.append(test)
        rows.append({"material": name} | row | _summary(test))
    table = pd.DataFrame(rows)
    # All materials are turned by the same random rotations
    together = ZoneAxisTest(
        np.array([test.mean_auc for test in tests]),
        np.array([_summary(test)["weight_ratio"] for test in tests]),
        np.mean([test.control for test in tests], axis=0),
    )
    totals = ["n", "without_map", "materials", "materials_seen"]
    means = table[["accuracy", *others]].mean().to_dict()
    whole = {"material": "all"} | table[totals].sum().to_dict() | means
    table = pd.concat([pd.DataFrame([whole | _summary(together)]), table])
    return table.assign(
        layer=explain.layer,
        cells=explain.feature_shape[0],
        random_orientations=N_RANDOM,
        chance=1 / len(model.space_groups),
    )


def untrained(model: SpaceGroupModel, seed: int) -> SpaceGroupModel:
    """Return a model with the same network and random weights."""
    keras.utils.set_random_seed(seed)
    network = keras.models.clone_model(model.network)
    return SpaceGroupModel(network, model.space_groups, model.prepare)


def _prepared(model: SpaceGroupModel, patterns: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model.prepare(patterns[..., None]))[..., 0]


def _weigh(
    explain: _Explain,
    others: dict[str, list[_Explain]],
    name: str,
    part: pd.DataFrame,
    path: Path,
) -> tuple[ZoneAxisTest, dict]:
    """Return the test of a material's patterns, and what they are."""
    data = load_patterns(path)
    index = part["pattern"].to_numpy()
    patterns, rotations = data.patterns[index], Rotation(data.rotations[index])
    shape = patterns.shape[1:]
    detector = EBSDDetector(shape, pc=PROJECTION_CENTER, sample_tilt=70)
    axes = main_zone_axes(phase(name))

    def weigh(maps: np.ndarray, n_random: int) -> ZoneAxisTest:
        maps = to_pattern_frame(maps, shape)
        return zone_axis_test(maps, rotations, detector, axes, n_random=n_random)

    maps = explain(patterns)
    row = {
        "n": len(part),
        "without_map": int((maps.max(axis=(1, 2)) == 0).sum()),
        "accuracy": (part["predicted"] == part["space_group"]).mean(),
    }
    for column, explainers in others.items():
        areas = [weigh(other(patterns), 2).mean_auc for other in explainers]
        row[column] = np.mean(areas)
    return weigh(maps, N_RANDOM), row


def _summary(test: ZoneAxisTest) -> dict[str, float]:
    return {
        "auc": test.mean_auc,
        "auc_at_random": test.control.mean(),
        "standard_deviation_at_random": test.control.std(ddof=1),
        "p_value": test.p_value,
        "weight_ratio": pd.Series(test.weight_ratio).mean(),
    }


def hough_bands(
    library: MasterPatternLibrary, camera: str, size: int, seed: int = 1
) -> pd.DataFrame:
    """Count the bands that Hough transforms of two patterns share.

    Parameters
    ----------
    library
        Master patterns of the materials.
    camera
        Name of the camera.
    size
        Side length of patterns in pixels.
    seed
        Seed of the orientations.

    Returns
    -------
    table
        A row for NbC and Ni3Al in the same orientation, one for each of
        them recorded twice, and one for both in different orientations.
    """
    q = np.random.default_rng(seed).normal(size=(N_ORIENTATIONS, 4))
    rotations = Rotation(q).unit
    found = {}
    for name in ("NbC", "Ni3Al"):
        for time in (1, 2):
            names = [name] * N_ORIENTATIONS
            recorded = recorded_patterns(library, names, rotations, camera, size, time)
            _, found[name, time], extent = find_bands(recorded, N_BANDS)
    nbc, ni3al = found["NbC", 1], found["Ni3Al", 2]
    pairs = {
        "NbC and Ni3Al": (nbc, ni3al),
        "NbC, recorded twice": (nbc, found["NbC", 2]),
        "Ni3Al, recorded twice": (found["Ni3Al", 1], ni3al),
        "NbC and Ni3Al in different orientations": (nbc, np.roll(ni3al, 1, axis=0)),
    }
    rows = []
    for what, (first, other) in pairs.items():
        shared = [n_shared(a, b, extent[3]) for a, b in zip(first, other)]
        rows.append(
            {
                "camera": camera,
                "patterns": what,
                "orientations": N_ORIENTATIONS,
                "bands": N_BANDS,
                "shared": np.mean(shared),
                "standard_error": np.std(shared, ddof=1) / np.sqrt(len(shared)),
                "fewest": min(shared),
                "most": max(shared),
            }
        )
    return pd.DataFrame(rows)


def write_explanations(output: Path) -> None:
    """Write both tables to the folder ``results``.

    Parameters
    ----------
    output
        Folder of ``run.py``.
    """
    results = load_results(output)
    library = MasterPatternLibrary.load(output / "masters" / "library.npz")
    tests = {}
    for (camera, network), table in results.groupby(RUN[:2]):
        # As in the pictures, the model with the most materials in training
        last = table["experiment"].max()
        model = load_model(output / camera / network / f"experiment_{last}.keras")
        table = table[table["experiment"] == last]
        key = camera, network, last
        tests[key] = zone_axes(model, table, output / "patterns" / camera)
    bands = []
    for camera in results["camera"].unique():
        path = next((output / "patterns" / camera).glob("*.npz"))
        size = load_patterns(path).patterns.shape[-1]
        bands.append(hough_bands(library, camera, size))
    folder = output / "results"
    folder.mkdir(exist_ok=True)
    tables = {
        "zone_axes": pd.concat(tests, names=RUN).reset_index(RUN),
        "hough_bands": pd.concat(bands),
    }
    for name, table in tables.items():
        table.round(4).to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")


def main() -> None:
    """Write the tables of a folder."""
    parser = argparse.ArgumentParser(description="Measure what networks look at")
    parser.add_argument("output", type=Path)
    write_explanations(parser.parse_args().output)


if __name__ == "__main__":
    main()

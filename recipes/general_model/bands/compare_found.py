# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare bands that are found in simulated patterns with lattice planes.

Usage::

    python -m recipes.general_model.bands.compare_found LIBRARIES BANDS.npz OUTPUT

where LIBRARIES is the folder written by ``library.py`` and BANDS.npz the file written by
``table.py``. Writes ``found_bands.csv`` to the folder OUTPUT: of the strongest 4, 8 and 16
bands, how many are within 1 and 0.5 degrees of one of the 72 strongest planes, for windows
of local contrast of several widths. Structures are those in training with Bloch waves, the
projection center is exact.
"""

import argparse
from dataclasses import replace
from datetime import date
from itertools import product
from pathlib import Path

import keras
import numpy as np

from benchmarks.tables import write_table
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.models import SpaceGroupModel
from kikuchipy_spacegroup.simulation import (
    Acquisition,
    SimulateCamera,
    pattern_inputs,
    simulate_patterns,
)
from kikuchipy_spacegroup.training import SimulatedDataset
from recipes.default_model.scores.scoreboard import NOISE, SEED
from recipes.general_model.bands.trainer import PREPARATION
from recipes.general_model.library import BANDS

SIDE, SIZE, PER_STRUCTURE = 96, 64, 6
FIRST, LIMITS = (4, 8, 16), (1.0, 0.5)
# Windows as shares of the side: those of other networks, and of this one
WINDOWS = {"default": {}, "as wide as bands": PREPARATION}


def read_library(
    libraries: Path, bands: Path
) -> tuple[MasterPatternLibrary, np.ndarray]:
    """Return master patterns by Bloch waves, and normals (phases, 72, 3) of planes."""
    library = MasterPatternLibrary.load(libraries / "training.npz")
    with np.load(bands) as table:
        index = {name: i for i, name in enumerate(table["identifiers"])}
        normals = table["normals"]
    names = [n for n in library.phase_names if not n.endswith(BANDS) and n in index]
    library = library.select(phases=names)
    return library, normals[[index[name] for name in library.phase_names]]


def simulate(
    library: MasterPatternLibrary, noise: float
) -> tuple[np.ndarray, dict, np.ndarray]:
    """Return patterns (n, side, side), how they were made, and their phases."""
    dataset = SimulatedDataset(library, sorted(set(library.space_groups.tolist())))
    phases = np.repeat(np.arange(library.n_phases), PER_STRUCTURE)
    recipe = dataset.recipe(phases, np.random.default_rng(SEED))
    acquisition = replace(Acquisition(), noise=(noise, noise + 1e-3))
    inputs = pattern_inputs()
    camera = SimulateCamera(acquisition, size=SIDE, seed=SEED)
    graph = keras.Model(inputs, simulate_patterns(library, inputs, SIDE, camera))
    patterns = np.asarray(graph.predict(recipe, batch_size=50, verbose=0))
    return patterns.reshape(-1, SIDE, SIDE, 1), recipe, phases


def angles_to_planes(
    patterns: np.ndarray, recipe: dict, planes: np.ndarray, windows: dict
) -> np.ndarray:
    """Return angles in degrees (n, bands) of found bands to the nearest plane."""
    model = SpaceGroupModel.create(
        range(1, 231),
        size=SIZE,
        network="bands",
        n_bands=max(FIRST),
        prepare_kwargs=windows,
    )
    find = model.network.get_layer("find_bands")
    planes = planes @ recipe["orientation"]
    centers = recipe["geometry"][:, :3].astype("float32")
    angles = []
    for i in range(0, len(patterns), 50):
        here = slice(i, i + 50)
        normals = find([model.prepare(patterns[here]), centers[here]])[0]
        normals = keras.ops.convert_to_numpy(normals)
        cosines = np.abs(normals @ planes[here].transpose(0, 2, 1)).max(axis=-1)
        angles.append(np.rad2deg(np.arccos(np.clip(cosines, 0, 1))))
    return np.concatenate(angles)


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Compare bands with planes")
    for name in ("libraries", "bands", "output"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    library, normals = read_library(args.libraries, args.bands)
    rows = []
    for noise in ("low", "moderate"):
        patterns, recipe, phases = simulate(library, NOISE[noise])
        for name, windows in WINDOWS.items():
            angles = angles_to_planes(patterns, recipe, normals[phases], windows)
            row = {"noise": noise, "windows": name, "structures": library.n_phases}
            for limit, n in product(LIMITS, FIRST):
                share = float((angles[:, :n] < limit).mean())
                row[f"first_{n}_within_{limit:g}"] = round(share, 3)
            rows.append(row | {"n": PER_STRUCTURE, "date": date.today().isoformat()})
    write_table(args.output / "found_bands.csv", rows)


if __name__ == "__main__":
    main()

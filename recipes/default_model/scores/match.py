# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the label of a real pattern by matching it with master patterns.

Usage::

    python -m recipes.default_model.scores.match LIBRARY REAL MAP OUTPUT PHASE...

where LIBRARY is a file written by ``library.py``, REAL the folder of
real patterns and MAP the name of a map in it. For every phase, the
orientation and projection center (Bruker) of highest correlation with
the first pattern after the model's preprocessing are searched, from
240 000 random starts, the best 40 of which are made better: with 90 000
and 10, iron was not found. Writes MAP.csv and MAP.png to the folder OUTPUT.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
from orix.quaternion import Rotation

from benchmarks.tables import write_table
from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.patterns import PreparePatterns
from kikuchipy_spacegroup.simulation import (
    pattern_inputs,
    random_rotation_matrices,
    simulate_patterns,
)
from recipes.default_model.scores.real_patterns import load_real

SIZE = 48
SEED = 1
BATCH = 1000
N_STARTS = 10_000
N_REFINED = 40


def projector(library: MasterPatternLibrary, entry: int, size: int) -> Callable:
    """Return a function of orientations and projection centers."""
    prepare = PreparePatterns(size)
    inputs = pattern_inputs()
    x = simulate_patterns(library, inputs, size)
    x = keras.layers.Reshape((size, size, 1))(x)
    graph = keras.Model(inputs, prepare(x))

    def project(orientation: np.ndarray, pc: np.ndarray) -> np.ndarray:
        n = len(orientation)
        recipe = {
            "upper": np.full(n, library.upper[entry], "int32"),
            "lower": np.full(n, library.lower[entry], "int32"),
            "orientation": orientation.astype("float32"),
            "geometry": np.column_stack([pc, np.ones(n), np.zeros(n)]).astype("f4"),
        }
        return graph.predict(recipe, batch_size=BATCH, verbose=0)[..., 0]

    return project


def unit(patterns: np.ndarray) -> np.ndarray:
    """Return patterns as vectors of zero mean and unit length."""
    flat = patterns.reshape(len(patterns), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def search(project: Callable, target: np.ndarray) -> tuple[float, np.ndarray, list]:
    """Return best correlation, orientation and projection center."""
    rng = np.random.default_rng(SEED)
    found = []
    for pcz in (0.4, 0.48, 0.56, 0.65, 0.75, 0.9):
        for pcy in (0.1, 0.2, 0.3, 0.45):
            matrices = random_rotation_matrices(N_STARTS, rng)
            pc = np.tile([0.5, pcy, pcz], (N_STARTS, 1))
            correlation = unit(project(matrices, pc)) @ target
            best = np.argsort(-correlation)[:N_REFINED]
            found.extend((float(correlation[i]), matrices[i], pc[i]) for i in best)
    found.sort(key=lambda candidate: -candidate[0])
    refined = [refine(start, project, target, rng) for start in found[:N_REFINED]]
    return max(refined, key=lambda candidate: candidate[0])


def refine(best: tuple, project: Callable, target: np.ndarray, rng) -> tuple:
    """Return a candidate made better by ever smaller random steps."""
    for step in 0.06 * 0.85 ** np.arange(20):
        turns = Rotation.from_axes_angles(
            rng.normal(size=(300, 3)), rng.normal(size=300) * step * 1.7
        )
        matrices = best[1] @ turns.to_matrix()
        pc = best[2] + rng.normal(size=(300, 3)) * step * 0.6
        correlation = unit(project(matrices, pc)) @ target
        i = correlation.argmax()
        if correlation[i] > best[0]:
            best = (float(correlation[i]), matrices[i], pc[i])
    return best


def main() -> None:
    """Match a pattern with phases."""
    parser = argparse.ArgumentParser(description="Match a pattern with phases")
    for name in ("library", "real", "map", "output"):
        parser.add_argument(name, type=str if name == "map" else Path)
    parser.add_argument("phases", nargs="+")
    args = parser.parse_args()
    library = MasterPatternLibrary.load(args.library)
    pattern = load_real(args.real)[args.map][0][0, 0].astype("float32")
    target = unit(np.asarray(PreparePatterns(SIZE)(pattern[None, ..., None])))[0]
    rows, pictures = [], {"measured": np.asarray(prepared(pattern))}
    for i, name in enumerate(library.phase_names):
        if name not in args.phases:
            continue
        number = int(library.space_groups[i])
        entry = int(np.flatnonzero(library.phase_index == i)[0])
        r, matrix, pc = search(projector(library, entry, SIZE), target)
        rows.append(
            {
                "map": args.map,
                "phase": name,
                "space_group": number,
                "correlation": round(r, 3),
                **{f"pc{k}": round(float(v), 3) for k, v in zip("xyz", pc)},
                "seed": SEED,
            }
        )
        title = f"{name}, {number} ({sg.symbol(number)}), r = {r:.2f}"
        pictures[title] = projector(library, entry, 192)(matrix[None], pc[None])[0]
    rows.sort(key=lambda row: -row["correlation"])
    args.output.mkdir(parents=True, exist_ok=True)
    write_table(args.output / f"{args.map}.csv", rows)
    fig, axes = plt.subplots(1, len(pictures), figsize=(3 * len(pictures), 3.3))
    for ax, (title, picture) in zip(axes, pictures.items()):
        ax.imshow(picture, cmap="gray", vmin=-2.5, vmax=2.5)
        ax.set_title(title, fontsize=9)
        ax.axis("off")
    fig.tight_layout()
    fig.savefig(args.output / f"{args.map}.png", dpi=70)


def prepared(pattern: np.ndarray) -> np.ndarray:
    """Return a pattern as the model sees it, at a size to look at."""
    return np.asarray(PreparePatterns(192)(pattern[None, ..., None]))[0, ..., 0]


if __name__ == "__main__":
    main()

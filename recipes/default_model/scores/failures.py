# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw patterns that a model gets wrong, for the model card.

Usage::

    python -m recipes.default_model.scores.failures MODEL LIBRARIES [OUTPUT]

Of each material, the first simulated pattern at moderate noise that is
identified as the wrong space group, as the network gets it, and the
probabilities.
LIBRARIES is the folder written by ``library.py``.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import keras
import kikuchipy as kp
import matplotlib.pyplot as plt
import numpy as np

from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.models import load_model
from kikuchipy_spacegroup.simulation import (
    Acquisition,
    SimulateCamera,
    simulate_patterns,
)
from kikuchipy_spacegroup.training import SimulatedDataset

OUTPUT = Path(__file__).parents[3] / "docs" / "failures.png"
SEED, NOISE = 2026, (0.6, 0.601)
# Material, library, and why
FAILURES = {
    "FeNi3": ("held_out", "superlattice bands\nin the noise"),
    "PbTe": ("held_out", "odd planes\nnearly vanish"),
    "Pb": ("held_out", "face-centred,\nheavy"),
    "Na_bcc": ("held_out", "body-centred,\nlight"),
    "Ni": ("emsoft", "other program\nthan in training"),
    "Mg2SiO4": ("unknown", "not among\nthe classes"),
}


def library(name: str, folder: Path) -> MasterPatternLibrary:
    """Return a library of materials that were not trained on."""
    if name == "emsoft":
        master = kp.data.nickel_ebsd_master_pattern_small(
            projection="lambert", hemisphere="both"
        )
        return MasterPatternLibrary.from_signals([master], ["Ni"])
    return MasterPatternLibrary.load(folder / f"{name}.npz")


def patterns_of(one: MasterPatternLibrary, size: int) -> np.ndarray:
    """Return 40 simulated patterns."""
    recipe = SimulatedDataset(one, [int(one.space_groups[0])]).recipe(
        np.zeros(40, dtype=int), np.random.default_rng(SEED)
    )
    acquisition = replace(Acquisition(), noise=NOISE)
    camera = SimulateCamera(acquisition, size=size, seed=SEED)
    recorded = simulate_patterns(one, recipe, size, camera)
    return keras.ops.convert_to_numpy(recorded)


def main() -> None:
    """Draw and save the picture."""
    parser = argparse.ArgumentParser(description="Draw failures of a model")
    parser.add_argument("model", type=Path)
    parser.add_argument("libraries", type=Path)
    parser.add_argument("output", type=Path, nargs="?", default=OUTPUT)
    args = parser.parse_args()
    model = load_model(args.model)
    fig, axes = plt.subplots(
        2, len(FAILURES), figsize=(11, 3.3), height_ratios=(2, 1.1), sharey="row"
    )
    for column, (name, (source, why)) in zip(axes.T, FAILURES.items()):
        one = library(source, args.libraries).select([name])
        number = int(one.space_groups[0])
        patterns = patterns_of(one, model.size)
        probabilities = model.predict_proba(patterns)
        numbers = np.array(model.space_groups)
        best = numbers[probabilities.argmax(axis=1)]
        sure = probabilities.max(axis=1) >= model.min_probability
        wrong = int(np.flatnonzero((best != number) & sure)[0])
        prepared = model.prepare(patterns[wrong, None, ..., None].astype("float32"))
        image = keras.ops.convert_to_numpy(prepared)[0, ..., 0]
        column[0].imshow(image, cmap="gray", vmin=-2.5, vmax=2.5)
        title = f"{name.removesuffix('_bcc')}, {number}: {best[wrong]}"
        column[0].set_title(f"{title}\n{why}", fontsize=9)
        column[0].set(xticks=[], yticks=[])
        colors = np.where(numbers == best[wrong], "tab:red", "lightgray")
        colors[numbers == number] = "tab:green"
        column[1].bar(range(len(numbers)), probabilities[wrong], color=colors)
        column[1].set_xticks(range(len(numbers)), numbers, rotation=90, fontsize=7)
        column[1].set(ylim=(0, 1))
    axes[1, 0].set_ylabel("Probability")
    fig.subplots_adjust(wspace=0.08, hspace=0.08)
    fig.savefig(args.output, dpi=100, bbox_inches="tight")


if __name__ == "__main__":
    main()

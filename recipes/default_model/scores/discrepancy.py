# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether Maximum Classifier Discrepancy adapts the model to a scan. It does not.

Usage::

    python -m recipes.default_model.scores.discrepancy MODEL LIBRARIES REAL OUTPUT

where LIBRARIES is the folder written by ``library.py`` and REAL the folder of real
patterns. Two last layers learn simulated patterns, and to disagree on those of the scan.
The layers before them learn to make them agree. The gradient is reversed between them, so
that all is one step. Writes ``discrepancy.csv`` to the folder OUTPUT. Since it does harm, it
is not part of the package.
"""

import argparse
from datetime import date
import json
from pathlib import Path

import keras
from keras import ops
from kikuchipy.signals import EBSD
import numpy as np

from benchmarks.tables import write_table
from kikuchipy_spacegroup import (
    LabelledPatterns,
    MasterPatternLibrary,
    SpaceGroupModel,
    load_model,
)
from kikuchipy_spacegroup.simulation import (
    SimulateCamera,
    pattern_inputs,
    simulate_patterns,
)
from kikuchipy_spacegroup.training import Optimization, SimulatedDataset, make_optimizer
from recipes.default_model.scores.adapt import SEED, accuracy
from recipes.default_model.scores.instrument import materials, scan
from recipes.default_model.scores.real_patterns import load_real
from recipes.default_model.training.train import RARE

STEPS = 200
LEARNING_RATE = 3e-4
N_SIMULATED, N_RECORDED = 45, 19
# How much the two last layers differ in the beginning, of their standard deviation
APART = 0.1


class Batches(keras.utils.PyDataset):
    """Simulated patterns followed by those of a scan, whose targets are 0."""

    def __init__(self, simulated: SimulatedDataset, patterns: np.ndarray) -> None:
        super().__init__()
        self.simulated, self.patterns = simulated, patterns

    def __len__(self) -> int:
        return len(self.simulated)

    def __getitem__(self, index: int) -> tuple[dict, np.ndarray]:
        recipe, targets = self.simulated[index]
        rng = np.random.default_rng([SEED, index, 2])
        drawn = rng.integers(len(self.patterns), size=N_RECORDED)
        patterns = self.patterns[drawn].astype("float32")
        none = np.zeros((N_RECORDED, targets.shape[1]), "float32")
        return recipe | {"patterns": patterns}, np.concatenate([targets, none])


def loss(targets, logits):
    """Return the loss of both last layers, and less of it the more they disagree."""
    labelled = ops.cast(ops.sum(targets, axis=-1) > 0.5, "float32")
    both = ops.log_softmax(logits[:, 0]) + ops.log_softmax(logits[:, 1])
    entropy = -ops.sum(targets * both, axis=-1) / 2
    difference = ops.softmax(logits[:, 2]) - ops.softmax(logits[:, 3])
    return entropy - (1 - labelled) * ops.sum(ops.abs(difference), axis=-1) / 2


def adapted(model: SpaceGroupModel, data: Batches) -> SpaceGroupModel:
    """Return a model trained on discrepancy."""
    new, size = model.copy(), model.size
    last = new.network.get_layer("logits")
    second = keras.layers.Dense(len(model.space_groups), dtype="float32")
    inputs = pattern_inputs() | {
        "patterns": keras.Input((None, None), name="patterns"),
    }
    camera = SimulateCamera(size=size, seed=SEED)
    simulated = simulate_patterns(data.simulated.library, inputs, size, camera)
    prepared = [
        new.prepare(ops.expand_dims(i, -1)) for i in (simulated, inputs["patterns"])
    ]
    features = keras.Model(new.network.input, last.input)
    x = features(ops.concatenate(prepared, axis=0))
    # The same value, and the gradient with the other sign
    reverse = 2 * ops.stop_gradient(x) - x
    outputs = ops.stack([last(x), second(x), last(reverse), second(reverse)], axis=1)
    kernel, bias = last.get_weights()
    apart = np.random.default_rng(SEED).normal(0, APART * kernel.std(), kernel.shape)
    last.set_weights([kernel + apart, bias])
    second.set_weights([kernel - apart, bias])
    graph = keras.Model(inputs, outputs)
    optimizer = make_optimizer(
        len(data), Optimization(learning_rate=LEARNING_RATE, average=None)
    )
    graph.compile(optimizer, loss, jit_compile=False)
    graph.fit(data, verbose=0)
    pairs = zip(last.get_weights(), second.get_weights())
    last.set_weights([(a + b) / 2 for a, b in pairs])
    return new


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Score discrepancy")
    for name in ("model", "libraries", "real", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("-n", type=int, default=100, help="patterns per material")
    args = parser.parse_args()
    model = load_model(args.model)
    library = MasterPatternLibrary.load(args.libraries / "training.npz")
    weights = json.loads((args.libraries / "weights.json").read_text())
    unseen = materials(MasterPatternLibrary.load(args.libraries / "held_out.npz"))
    patterns, group = load_real(args.real)["rx_tile_0_0"]
    scans = {
        f"{unseen.n_phases} materials": scan(unseen, args.n, SEED)[:2],
        "Ge alone": scan(unseen.select(["Ge"]), 4 * args.n, SEED)[:2],
        "real superalloy, rx_tile_0_0": (EBSD(patterns), np.full(400, int(group))),
    }
    rows = []
    for name, (signal, truth) in scans.items():
        simulated = SimulatedDataset(
            library,
            model.space_groups,
            batch_size=N_SIMULATED,
            steps=STEPS,
            outlier_share=0.1,
            phase_weights=weights,
            space_group_weights=RARE,
            seed=SEED,
        )
        recorded = LabelledPatterns.from_signal(signal, 1, size=model.size).patterns
        after = adapted(model, Batches(simulated, recorded))
        row = {"scan": name, "n": len(truth)}
        row["as it is"] = round(accuracy(model, signal, truth), 3)
        row["discrepancy"] = round(accuracy(after, signal, truth), 3)
        rows.append(row | {"seed": SEED, "date": date.today().isoformat()})
        print(rows[-1], flush=True)
    write_table(args.output / "discrepancy.csv", rows)


if __name__ == "__main__":
    main()

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast training patterns are made.

Usage::

    python benchmarks/synthesis.py [OUTPUT]

Compares, in one run, patterns projected by this package with
``EBSDMasterPattern.get_patterns()`` with one projection center per
pattern, on the same master pattern, orientations and detectors, and
measures the share of synthesis in a training step. OUTPUT is a CSV file,
by default ``results/synthesis.csv`` beside this file.
"""

import argparse
from collections.abc import Callable
import csv
from datetime import date
import os
from pathlib import Path
import platform
import time

import keras
import kikuchipy as kp
import numpy as np
from orix.quaternion import Rotation

from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.models import SpaceGroupModel
from kikuchipy_spacegroup.simulation import ProjectPatterns, detector_parameters
from kikuchipy_spacegroup.training import SimulatedDataset, training_graph

REPEATS = 7
RESULT = Path(__file__).parent / "results" / "synthesis.csv"


def best_of(function: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the median time in seconds of a few calls after a first."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def compiled(function: Callable) -> Callable:
    """Return a function compiled by the backend in use."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function)
    if backend == "jax":
        import jax

        jitted = jax.jit(function)
        return lambda *args: jax.block_until_ready(jitted(*args))
    import torch

    def call(*args):
        with torch.no_grad():
            result = function(*args)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return result

    return call


def against_kikuchipy(shape: tuple[int, int], n: int) -> list[dict]:
    """Return patterns per second of kikuchipy and of this package."""
    mp = kp.data.nickel_ebsd_master_pattern_small(
        projection="lambert", hemisphere="both"
    )
    mp.change_dtype("float32")
    rng = np.random.default_rng(1)
    rotations = Rotation.random(n)
    pc = rng.uniform((0.4, 0.2, 0.5), (0.6, 0.4, 0.8), (n, 3))
    detector = kp.detectors.EBSDDetector(
        shape=shape, pc=pc, sample_tilt=70, convention="bruker"
    )

    def kikuchipy():
        return mp.get_patterns(
            rotations, detector, energy=20, compute=True, dtype_out="float32",
            show_progressbar=False,
        )  # fmt: skip

    library = MasterPatternLibrary.from_signals([mp], names=["Ni"], half_width=200)
    layer = ProjectPatterns(library, shape)
    project = compiled(layer)
    orientation, geometry = detector_parameters(rotations, detector)
    upper, lower = np.zeros((2, n), "int32")
    inputs = {
        "upper": upper + library.upper[0],
        "lower": lower + library.lower[0],
        "orientation": orientation,
        "geometry": geometry,
    }
    inputs = {k: keras.ops.convert_to_tensor(v) for k, v in inputs.items()}
    a = kikuchipy().data.reshape(n, -1)
    b = keras.ops.convert_to_numpy(project(inputs)).reshape(n, -1)
    r = np.mean([np.corrcoef(i, j)[0, 1] for i, j in zip(a, b)])
    rates = {
        "kikuchipy get_patterns": n / best_of(kikuchipy),
        "ProjectPatterns": n / best_of(lambda: project(inputs)),
    }
    peer = rates["kikuchipy get_patterns"]
    return [
        {
            "what": what,
            "shape": f"{shape[0]}x{shape[1]}",
            "ratio": round(rate / peer, 2),
            "ratio_of": "rate to kikuchipy's",
            "patterns_per_s": round(rate),
            "correlation": round(float(r), 5),
        }
        for what, rate in rates.items()
    ]


def share_of_training(size: int, batch: int = 64) -> list[dict]:
    """Return the share of synthesis in the time of a training step."""
    mp = kp.data.nickel_ebsd_master_pattern_small(
        projection="lambert", hemisphere="both"
    )
    names, groups = ["Ni", "other"], [225, 229]
    library = MasterPatternLibrary.from_signals([mp, mp], names, groups, check=False)
    model = SpaceGroupModel.create(groups, size=size)
    graph = training_graph(model, library)
    dataset = SimulatedDataset(library, groups, batch_size=batch, steps=20)
    graph.compile(
        keras.optimizers.AdamW(1e-3),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    step = best_of(lambda: graph.fit(dataset, epochs=1, verbose=0), 3) / len(dataset)
    recipe = {k: keras.ops.convert_to_tensor(v) for k, v in dataset[0][0].items()}
    rows = []
    for what, layer in [("projection", "project"), ("and camera", "camera")]:
        part = keras.Model(graph.input, graph.get_layer(layer).output)
        run = compiled(lambda x, part=part: part(x, training=True))
        seconds = best_of(lambda run=run: run(recipe), 15)
        rows.append(
            {
                "what": f"{what} in a training step of {batch}",
                "shape": f"{size}x{size}",
                "ratio": round(seconds / step, 3),
                "ratio_of": "time to the step's",
                "patterns_per_s": round(batch / seconds),
            }
        )
    rows.append(
        {
            "what": f"training step of {batch}",
            "shape": f"{size}x{size}",
            "ratio": 1,
            "ratio_of": "time to the step's",
            "patterns_per_s": round(batch / step),
        }
    )
    return rows


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description="Measure the speed of synthesis")
    parser.add_argument("output", type=Path, nargs="?", default=RESULT)
    args = parser.parse_args()
    rows = against_kikuchipy((60, 60), 1000) + against_kikuchipy((128, 128), 500)
    rows += share_of_training(64) + share_of_training(96)
    machine = f"{platform.machine()}, {os.cpu_count()} CPU cores"
    for row in rows:
        row["backend"] = keras.backend.backend()
        row["machine"] = machine
        row["date"] = date.today().isoformat()
        print(row)
    fields = list(rows[0])
    with open(args.output, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

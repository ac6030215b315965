# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast scans are classified, beside what users would pick instead.

Usage::

    python benchmarks/classification.py [OUTPUT] [--n N] [--dictionary N] [--other MODEL]

In one run, on the same patterns, which takes about five minutes on two
idle cores: this package with every engine that is installed and with the
one it chooses, from patterns in memory and from a lazy HDF5 file; Hough
indexing with PyEBSDIndex (six phases); and dictionary indexing with
kikuchipy (six phases of 30 000 patterns, of which 10 000 of one are indexed
with, in memory, and the time is multiplied). All are run in turns. The
ceiling is the network alone, with Keras, on prepared patterns. MODEL is the file of
another model, which Keras runs beside the bundled one.

OUTPUT is a CSV file, by default ``results/classification.csv`` beside this
file. OUTPUT with ``_profile`` added to its name has where the time goes with
Keras, step by step.
"""

import argparse
from collections.abc import Callable
from datetime import date
from functools import partial
import os
from pathlib import Path
import platform
import tempfile
import time

# Engines are measured anew, in a folder that is removed
FOLDER = tempfile.TemporaryDirectory()
os.environ["KIKUCHIPY_SPACEGROUP_CACHE_DIR"] = FOLDER.name

import dask.array as da
import h5py
import keras
import kikuchipy as kp
import numpy as np
from orix.crystal_map import Phase, PhaseList
from orix.quaternion import Rotation
from tables import write_table

import kikuchipy_spacegroup as kpsg
from kikuchipy_spacegroup.classification import engine_of_map
from kikuchipy_spacegroup.models import OnnxModel, save_onnx
from kikuchipy_spacegroup.patterns import (
    divide_background,
    implausible_patterns,
    unusable_patterns,
)

RESULT = Path(__file__).parent / "results" / "classification.csv"
# Dictionaries are of this many patterns per phase, of which a part is made
N_PHASES, N_DICTIONARY = 6, 30_000
N_DICTIONARY_INDEXED, N_HOUGH_INDEXED = 64, 512
REPEATS = 2
# Scans for which engines are measured have this many patterns
N_LARGE = 10_000
SEED = 1


def processor() -> str:
    """Return the name of the processor, its number of cores, and what it has."""
    name, flags = platform.processor() or platform.machine(), ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        items = {i.split(":")[0].strip(): i.split(":")[-1].strip() for i in lines}
        name, flags = items.get("model name", name), items.get("flags", "")
    has = [i for i in ("amx_bf16", "avx512_bf16", "avx512_fp16", "avx512_vnni")
           if i in flags.split()]  # fmt: skip
    return ", ".join([name, f"{os.cpu_count()} CPU cores", *has])


def noisy_patterns(side: int, n: int) -> tuple[np.ndarray, "kp.detectors.EBSDDetector"]:
    """Return nickel patterns in a scan of one row, and the detector."""
    rng = np.random.default_rng(SEED)
    detector = kp.detectors.EBSDDetector(
        shape=(side, side), pc=(0.42, 0.22, 0.5), sample_tilt=70
    )
    ideal = master().get_patterns(
        Rotation.random(256), detector, energy=20, dtype_out="float32", compute=True,
        show_progressbar=False,
    ).data.reshape(256, side, side)  # fmt: skip
    ideal -= ideal.mean(axis=(1, 2), keepdims=True)
    ideal /= ideal.std(axis=(1, 2), keepdims=True)
    out = np.empty((n, side, side), "uint8")
    for i in range(0, n, 256):
        part = ideal[: n - i] + rng.normal(0, 0.6, (min(256, n - i), side, side))
        out[i : i + 256] = np.clip(127 + 30 * part, 0, 255)
    return out, detector


def master():
    """Return kikuchipy's master pattern of nickel."""
    mp = kp.data.nickel_ebsd_master_pattern_small(
        projection="lambert", hemisphere="both"
    )
    mp.change_dtype("float32")
    return mp


def scan(patterns: np.ndarray, n: int, detector) -> "kp.signals.EBSD":
    """Return a signal of n patterns."""
    s = kp.signals.EBSD(patterns[:n].reshape(16, n // 16, *patterns.shape[1:]))
    s.detector = detector.deepcopy()
    return s


def dictionary_call(patterns: np.ndarray, detector, n: int) -> tuple[Callable, float]:
    """Return a call that indexes with a part of one dictionary, and its patterns."""
    dictionary = master().get_patterns(
        Rotation.random(n), detector, energy=20, dtype_out="float32", compute=True,
        show_progressbar=False,
    )  # fmt: skip
    n_indexed = min(N_DICTIONARY_INDEXED, len(patterns))
    s = scan(patterns, n_indexed, detector)
    # Time grows with the number of patterns in dictionaries
    share = n / (N_PHASES * N_DICTIONARY)
    return partial(s.dictionary_indexing, dictionary, keep_n=1), n_indexed * share


def hough_call(patterns: np.ndarray, detector) -> tuple[Callable, float]:
    """Return a call that indexes with six phases, and its patterns."""
    lattices = {"a": 3.52, "b": 3.6, "c": 4.05}
    phases = PhaseList(
        [
            Phase(f"{kind}{name}", space_group=group, structure=cubic(a))
            for kind, group in (("fcc", 225), ("bcc", 229))
            for name, a in lattices.items()
        ]
    )
    indexer = detector.get_indexer(phases)
    n = min(N_HOUGH_INDEXED, len(patterns))
    s = scan(patterns, n, detector)
    return partial(s.hough_indexing, phases, indexer, verbose=0), n


def cubic(a: float):
    """Return a structure of one atom."""
    from diffpy.structure import Atom, Lattice, Structure

    return Structure([Atom("Ni", (0, 0, 0))], Lattice(a, a, a, 90, 90, 90))


def compiled(function: Callable) -> Callable:
    """Return a function of tensors that is compiled if the backend is TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.function(function)


def in_batches(call: Callable, x: np.ndarray, n: int = 256) -> None:
    """Call a function of tensors on some patterns at a time."""
    for i in range(0, len(x), n):
        np.asarray(call(keras.ops.convert_to_tensor(x[i : i + n])))


def network_call(model: "kpsg.SpaceGroupModel", n: int) -> tuple[Callable, float]:
    """Return a call of the network on prepared patterns, and their number."""
    x = np.random.default_rng(SEED).normal(size=(n, model.size, model.size, 1))
    network = compiled(lambda y: model.network(y, training=False))
    return partial(in_batches, network, x.astype("float32")), n


def engines(model: "kpsg.SpaceGroupModel", patterns: np.ndarray, folder: Path) -> dict:
    """Return models and engines by what they are called in the table."""
    save_onnx(folder / "float.onnx", model)
    save_onnx(folder / "int8.onnx", model, calibration_patterns=patterns[:128])
    runs = {"Keras": (model, "keras")}
    for engine in ("onnxruntime", "openvino"):
        for precision in ("float32", "bfloat16", "float16"):
            try:
                runner = OnnxModel(
                    folder / "float.onnx", engine=engine, precision=precision
                )
            except (ImportError, ValueError):
                continue
            runs[f"{engine}, {precision}"] = (runner, None)
    runs["onnxruntime, int8, other answers"] = (OnnxModel(folder / "int8.onnx"), None)
    return runs


def choose(patterns: np.ndarray) -> None:
    """Let the package measure engines, as it does for a large scan."""
    large = np.resize(patterns, (100, N_LARGE // 100, *patterns.shape[1:]))
    kpsg.classify_space_group(kp.signals.EBSD(large), compute=False)


def our_calls(patterns: np.ndarray, detector, folder: Path, other: Path | None) -> dict:
    """Return calls of this package, and their number of patterns, by name."""
    model, n = kpsg.load_model(), len(patterns)
    s = scan(patterns, n, detector)
    file = h5py.File(folder / "scan.h5", "w")
    chunks = (1, n // 16, *s.data.shape[2:])
    file.create_dataset("patterns", data=s.data, chunks=chunks)
    lazy = kp.signals.LazyEBSD(da.from_array(file["patterns"], chunks=(1, -1, -1, -1)))
    choose(patterns)
    calls = {"network alone, Keras": network_call(model, n)}
    chosen = s.classify_space_group(show_progressbar=False)
    runs = engines(model, patterns, folder)
    runs[f"chosen ({', '.join(engine_of_map(chosen))})"] = (None, "auto")
    if other is not None:
        runs[f"Keras, {other.stem}"] = (kpsg.load_model(other), "keras")
    for name, (runner, engine) in runs.items():
        for where, signal in {"in memory": s, "lazy HDF5": lazy}.items():
            if where == "in memory" or name.startswith(("Keras", "chosen")):
                calls[f"classify_space_group, {name}, {where}"] = (
                    partial(
                        kpsg.classify_space_group, signal, runner, engine=engine,
                        show_progressbar=False,
                    ),
                    n,
                )  # fmt: skip
    return calls


def measure(calls: dict[str, tuple[Callable, float]]) -> dict[str, float]:
    """Return patterns per second, the median of times measured in turns."""
    times = {name: [] for name in calls}
    for i in range(REPEATS + 1):
        for name, (call, _) in calls.items():
            # Once is enough for what is slow, and the first time is not counted
            if i > 1 and times[name][0] > 10:
                continue
            start = time.perf_counter()
            call()
            if i or time.perf_counter() - start > 10:
                times[name].append(time.perf_counter() - start)
    return {name: calls[name][1] / float(np.median(times[name])) for name in calls}


def profile(patterns: np.ndarray, folder: Path) -> dict[str, float]:
    """Return seconds per pattern of every step with Keras, one after another."""
    model, n = kpsg.load_model(), min(1024, len(patterns))
    patterns = patterns[:n]
    mean = patterns.mean(axis=0)
    inside = np.ones(mean.shape, dtype=bool)
    divided = divide_background(patterns, mean, inside)
    floats = divided.astype("float32")[..., None]
    prepared = np.concatenate(
        [np.asarray(model.prepare(floats[i : i + 256])) for i in range(0, n, 256)]
    )
    logits = np.zeros((n, len(model.space_groups)), "float32")
    with h5py.File(folder / "profile.h5", "w") as file:
        shape = patterns.shape[1:]
        dataset = file.create_dataset("x", data=patterns, chunks=(n // 16, *shape))
        steps = {
            "reading from HDF5": lambda: dataset[...],
            "unusable patterns": lambda: unusable_patterns(patterns),
            "division by the background": lambda: divide_background(
                patterns, mean, inside
            ),
            "implausible patterns": lambda: implausible_patterns(divided, inside),
            "conversion to float32": lambda: divided.astype("float32"),
            "to the device and back": partial(in_batches, lambda x: x, floats),
            "resizing": partial(
                in_batches, compiled(lambda x: model.prepare.resize(x)[0]), floats
            ),
            "resizing, background and contrast": partial(
                in_batches, compiled(model.prepare), floats
            ),
            "network": partial(
                in_batches, compiled(lambda x: model.network(x)), prepared
            ),
            "probabilities": lambda: model.logits_to_probabilities(logits),
            "all of predict_proba": lambda: model.predict_proba(divided),
        }
        rates = measure({name: (call, n) for name, call in steps.items()})
    seconds = {name: 1 / rate for name, rate in rates.items()}
    both, resizing = "resizing, background and contrast", seconds["resizing"]
    seconds["background and contrast"] = max(0, seconds.pop(both) - resizing)
    return seconds


def table_rows(rates: dict[str, float], same: dict) -> list[dict]:
    """Return rows with ratios first."""
    single = rates["classify_space_group, Keras, in memory"]
    references = {
        "to_keras": single,
        "to_dictionary": rates["dictionary indexing, 6 phases"],
        "to_hough": rates.get("Hough indexing, 6 phases", np.nan),
        "to_network": rates["network alone, Keras"],
    }
    return [
        {"what": what, "shape": same["shape"]}
        | {name: round(rate / other, 2) for name, other in references.items()}
        | {"patterns_per_s": round(rate, 1)}
        | {key: value for key, value in same.items() if key != "shape"}
        for what, rate in rates.items()
    ]


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description="Measure the speed of classification")
    parser.add_argument("output", type=Path, nargs="?", default=RESULT)
    parser.add_argument("--n", type=int, default=2048, help="patterns to classify")
    parser.add_argument("--dictionary", type=int, default=10_000)
    parser.add_argument("--other", type=Path, help="file of another model")
    args = parser.parse_args()
    rows, steps = [], []
    start = time.perf_counter()
    for side in (60, 128):
        same = {
            "shape": f"{side}x{side}",
            "backend": keras.backend.backend(),
            "machine": processor(),
            "date": date.today().isoformat(),
        }
        patterns, detector = noisy_patterns(side, args.n // 16 * 16)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            calls = our_calls(patterns, detector, folder, args.other)
            calls["Hough indexing, 6 phases"] = hough_call(patterns, detector)
            calls["dictionary indexing, 6 phases"] = dictionary_call(
                patterns, detector, args.dictionary
            )
            rates = measure(calls)
            seconds = profile(patterns, folder)
        rows += table_rows(rates, same)
        whole = seconds["all of predict_proba"]
        steps += [
            {"step": step, "shape": same["shape"], "to_predict_proba": round(s / whole, 3)}
            | {"microseconds_per_pattern": round(s * 1e6, 1)} | same
            for step, s in seconds.items()
        ]  # fmt: skip
        # A run that is ended early is not lost
        write_table(args.output, rows)
        write_table(args.output.with_stem(f"{args.output.stem}_profile"), steps)
        print(f"{side} x {side}: {time.perf_counter() - start:.0f} s", flush=True)
    for row in rows + steps:
        print(*list(row.values())[:7], sep=", ")


if __name__ == "__main__":
    main()

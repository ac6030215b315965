# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast scans are classified, beside what users would pick instead.

Usage::

    python benchmarks/classification.py [OUTPUT]

In one run, on the same patterns: dictionary indexing with kikuchipy
(six phases of 30 000 patterns each, in memory, so that making them is
not counted), Hough indexing with PyEBSDIndex (six phases), and this
package from patterns in memory and from a lazy HDF5 file, with Keras
and with ONNX Runtime in single precision and in integers. The ceiling is
the network alone on prepared patterns. OUTPUT is a CSV file, by default
``results/classification.csv`` beside this file.
"""

import argparse
from collections.abc import Callable
from datetime import date
import os
from pathlib import Path
import platform
import tempfile
import time

import h5py
import keras
import kikuchipy as kp
import numpy as np
from orix.crystal_map import Phase, PhaseList
from orix.quaternion import Rotation
from tables import write_table

import kikuchipy_spacegroup as kpsg

RESULT = Path(__file__).parent / "results" / "classification.csv"
N_PHASES, N_DICTIONARY = 6, 30_000
N_DICTIONARY_INDEXED, N_HOUGH_INDEXED, N_CLASSIFIED = 256, 2048, 8192
SEED = 1


def seconds(function: Callable[[], object], repeats: int = 3) -> float:
    """Return the median time of a few calls after a first."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def noisy_patterns(side: int, n: int) -> tuple[np.ndarray, "kp.detectors.EBSDDetector"]:
    """Return nickel patterns in a scan of one row, and the detector."""
    mp = master()
    rng = np.random.default_rng(SEED)
    detector = kp.detectors.EBSDDetector(
        shape=(side, side), pc=(0.42, 0.22, 0.5), sample_tilt=70
    )
    ideal = mp.get_patterns(
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


def dictionary_rate(patterns: np.ndarray, detector) -> float:
    """Return patterns per second against six dictionaries."""
    dictionary = master().get_patterns(
        Rotation.random(N_DICTIONARY), detector, energy=20, dtype_out="float32",
        compute=True, show_progressbar=False,
    )  # fmt: skip
    s = scan(patterns, N_DICTIONARY_INDEXED, detector)

    def index():
        for _ in range(N_PHASES):
            s.dictionary_indexing(dictionary, keep_n=1)

    return N_DICTIONARY_INDEXED / seconds(index, 1)


def hough_rate(patterns: np.ndarray, detector) -> float:
    """Return patterns per second with six phases."""
    lattices = {"a": 3.52, "b": 3.6, "c": 4.05}
    phases = PhaseList(
        [
            Phase(f"{kind}{name}", space_group=group, structure=cubic(a))
            for kind, group in (("fcc", 225), ("bcc", 229))
            for name, a in lattices.items()
        ]
    )
    indexer = detector.get_indexer(phases)
    s = scan(patterns, N_HOUGH_INDEXED, detector)
    call = lambda: s.hough_indexing(phases, indexer, verbose=0)  # noqa: E731
    return N_HOUGH_INDEXED / seconds(call)


def cubic(a: float):
    """Return a structure of one atom."""
    from diffpy.structure import Atom, Lattice, Structure

    return Structure([Atom("Ni", (0, 0, 0))], Lattice(a, a, a, 90, 90, 90))


def network_rate(model: "kpsg.SpaceGroupModel") -> float:
    """Return patterns per second of the network on prepared patterns."""
    x = np.random.default_rng(SEED).normal(size=(2048, model.size, model.size, 1))
    x = keras.ops.convert_to_tensor(x.astype("float32"))
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        call = tf.function(lambda y: model.network(y, training=False))
    else:
        call = lambda y: model.network(y, training=False)  # noqa: E731
    parts = [x[i : i + 128] for i in range(0, 2048, 128)]
    return 2048 / seconds(lambda: [np.asarray(call(part)) for part in parts])


def our_rates(patterns: np.ndarray, detector, folder: Path) -> dict[str, float]:
    """Return patterns per second of this package."""
    model = kpsg.load_model()
    n = len(patterns)
    s = scan(patterns, n, detector)
    path = folder / "scan.h5"
    with h5py.File(path, "w") as file:
        data = s.data
        file.create_dataset("patterns", data=data, chunks=(1, 16, *data.shape[2:]))
    file = h5py.File(path)
    import dask.array as da

    lazy = kp.signals.LazyEBSD(da.from_array(file["patterns"], chunks=(1, -1, -1, -1)))
    kpsg.models.save_onnx(folder / "float.onnx", model)
    kpsg.models.save_onnx(
        folder / "integers.onnx", model, calibration_patterns=patterns[:128]
    )
    rates = {}
    for name, engine in {
        "Keras": model,
        "ONNX Runtime, float32": kpsg.models.OnnxModel(folder / "float.onnx"),
        "ONNX Runtime, int8": kpsg.models.OnnxModel(folder / "integers.onnx"),
    }.items():
        for where, signal in {"in memory": s, "lazy HDF5": lazy}.items():
            call = lambda e=engine, x=signal: kpsg.classify_space_group(  # noqa: E731
                x, e, show_progressbar=False
            )
            rates[f"classify_space_group, {name}, {where}"] = n / seconds(call)
    rates["network alone, Keras"] = network_rate(model)
    return rates


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description="Measure the speed of classification")
    parser.add_argument("output", type=Path, nargs="?", default=RESULT)
    args = parser.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} CPU cores"
    rows = []
    for side in (60, 128):
        patterns, detector = noisy_patterns(side, N_CLASSIFIED)
        with tempfile.TemporaryDirectory() as folder:
            rates = {
                "dictionary indexing, 6 phases": dictionary_rate(patterns, detector),
                "Hough indexing, 6 phases": hough_rate(patterns, detector),
            } | our_rates(patterns, detector, Path(folder))
        peers = list(rates.values())[:2]
        for what, rate in rates.items():
            rows.append(
                {
                    "what": what,
                    "shape": f"{side}x{side}",
                    "to_dictionary": round(rate / peers[0], 1),
                    "to_hough": round(rate / peers[1], 2),
                    "to_network": round(rate / rates["network alone, Keras"], 2),
                    "patterns_per_s": round(rate),
                    "backend": keras.backend.backend(),
                    "machine": machine,
                    "date": date.today().isoformat(),
                }
            )
            print(rows[-1], flush=True)
    write_table(args.output, rows)


if __name__ == "__main__":
    main()

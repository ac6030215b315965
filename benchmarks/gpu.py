# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast scans are classified on a GPU, and what float16 changes.

Usage::

    KERAS_BACKEND=torch python benchmarks/gpu.py OUTPUT [--n N] [--seconds S]

One backend per process, ``torch`` or ``jax``. OUTPUT is a CSV file, which
is written anew after every row, so that a run that is ended early is not
lost. ``changed_gap`` is the largest difference of the two best probabilities
where float16 changes the label, which must be below 0.02. Beside the file,
``OUTPUT.npz`` holds some patterns and the probabilities they got, to compare
with those of a CPU.

The ceiling is the network alone on prepared patterns that are on the
device. No row is started when the seconds have passed.
"""

import argparse
from collections.abc import Callable
import contextlib
from datetime import date
import functools
import os
from pathlib import Path
import platform
import shutil
import tempfile
import time

import dask.array as da
import h5py
import keras
import kikuchipy as kp
import numpy as np
from orix.quaternion import Rotation
from tables import write_table

import kikuchipy_spacegroup as kpsg

GOAL = 100_000  # Patterns per second
N_UNIQUE, COLUMNS, REPEATS = {60: 16384, 128: 4096}, 512, 3
SEED = 1
START = time.perf_counter()


class WithoutNetwork:
    """A model that costs nothing, to see what all the rest costs."""

    def __init__(self, model: "kpsg.SpaceGroupModel") -> None:
        self.space_groups, self.min_probability = model.space_groups, 0.0
        self.conformal_thresholds = {}
        self.batch_size = model.batch_size

    def predict_proba(self, patterns: np.ndarray) -> np.ndarray:
        """Return the same for all."""
        n = len(self.space_groups)
        return np.full((len(patterns), n), 1 / n, "float32")


class Table:
    """Rows of a CSV file, written as they come."""

    def __init__(self, path: Path, limit: float) -> None:
        self.path, self.limit = path, limit
        self.rows: list[dict] = []
        self.rates: dict[tuple, float] = {}
        self.same = {
            "backend": keras.backend.backend(),
            "device": device_name(),
            "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores",
            "keras": keras.version(),
            "date": date.today().isoformat(),
        }

    def add(self, key: tuple[str, str, str], call: Callable, n: int, **more) -> None:
        """Measure patterns per second of one row (what, shape, precision)."""
        if time.perf_counter() - START > self.limit:
            return
        times = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
            if time.perf_counter() - START > self.limit:
                break
        rate = self.rates[key] = n / float(np.median(times))
        what, shape, precision = key
        network = self.rates.get(("network alone", shape, precision))
        single = self.rates.get((what, shape, "float32"))
        self.write(
            key,
            to_goal=round(rate / GOAL, 2),
            to_network=network and round(rate / network, 2),
            to_float32=single and round(rate / single, 2),
            patterns_per_s=round(rate),
            n=n,
            repeats=len(times),
            **more,
        )

    def write(self, key: tuple[str, str, str], **values) -> None:
        """Add a row to the file."""
        names = ("to_goal", "to_network", "to_float32", "changed", "changed_identified")
        names += ("changed_gap", "patterns_per_s", "n", "repeats", "batch_size")
        row = dict(zip(("what", "shape", "precision"), key))
        row |= {name: values.get(name, "") for name in names}
        memory = {"peak_gpu_gb": peak_memory()}
        seconds = {"at_s": round(time.perf_counter() - START, 1)}
        self.rows.append(row | memory | seconds | self.same)
        print({k: v for k, v in row.items() if v != ""}, seconds, memory, flush=True)
        write_table(self.path, self.rows)


def device_name() -> str:
    """Return the name of what the backend runs on."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.devices()[0].device_kind
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def peak_memory() -> float:
    """Return the most memory of the GPU that was used so far in GB."""
    if keras.backend.backend() == "jax":
        import jax

        stats = jax.devices()[0].memory_stats() or {}
        return round(stats.get("peak_bytes_in_use", 0) / 1e9, 2)
    import torch

    if not torch.cuda.is_available():
        return 0.0
    return round(torch.cuda.max_memory_allocated() / 1e9, 2)


def wait(outputs: list) -> None:
    """Return when the device has made these tensors."""
    if keras.backend.backend() == "jax":
        import jax

        jax.block_until_ready(outputs)
        return
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def in_half_precision(network: keras.Model) -> keras.Model:
    """Return a copy of the network that calculates in float16, but for the logits."""

    def clone(layer):
        config = layer.get_config()
        if layer is not network.layers[-1]:
            config["dtype"] = "mixed_float16"
        return type(layer).from_config(config)

    copy = keras.models.clone_model(network, clone_function=clone)
    copy.set_weights(network.get_weights())
    return copy


def exact_products() -> contextlib.AbstractContextManager:
    """Return a context in which JAX does not round factors of matrix products."""
    if keras.backend.backend() != "jax":
        return contextlib.nullcontext()
    import jax

    return jax.default_matmul_precision("float32")


def device_calls(model: "kpsg.SpaceGroupModel") -> tuple[Callable, Callable]:
    """Return the network, and all from raw patterns on, as functions of tensors.

    The tensors are on the device. Both run in the precision of the model.
    """
    network = model.network
    if model.mixed_precision:
        network = in_half_precision(network)
    names = [layer.name for layer in model.graph.layers]
    last = model.graph.layers[names.index(model.network.name) + 1 :]

    def from_raw(x):
        with exact_products():
            x = model.prepare(x)
        x = network(x, training=False)
        for layer in last:
            x = layer(x)
        return x

    forwards = functools.partial(network, training=False), from_raw
    if keras.backend.backend() == "torch":
        import torch

        return tuple(torch.no_grad()(forward) for forward in forwards)
    variables = model.prepare.variables + network.variables
    return tuple(jitted(forward, variables) for forward in forwards)


def jitted(forward: Callable, variables: list) -> Callable:
    """Return a function compiled by JAX, to which variables are passed."""
    import jax

    def stateless(values, x):
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return forward(x)

    run = jax.jit(stateless)
    return lambda x: run([v.value for v in variables], x)


def unique_patterns(side: int, n: int) -> np.ndarray:
    """Return nickel patterns of uint8, with more noise from one to the next."""
    rng = np.random.default_rng(SEED)
    mp = kp.data.nickel_ebsd_master_pattern_small(
        projection="lambert", hemisphere="both"
    )
    mp.change_dtype("float32")
    detector = kp.detectors.EBSDDetector(
        shape=(side, side), pc=(0.42, 0.22, 0.5), sample_tilt=70
    )
    ideal = mp.get_patterns(
        Rotation(rng.standard_normal((256, 4))), detector, energy=20, dtype_out="float32", compute=True,
        show_progressbar=False,
    ).data.reshape(256, side, side)  # fmt: skip
    ideal -= ideal.mean(axis=(1, 2), keepdims=True)
    ideal /= ideal.std(axis=(1, 2), keepdims=True)
    out = np.empty((n, side, side), "uint8")
    sigmas = np.linspace(0.2, 3, n // 256)
    for i, sigma in zip(range(0, n, 256), sigmas, strict=True):
        noise = rng.standard_normal(ideal.shape, dtype="float32")
        part = (ideal + np.float32(sigma) * noise) * (30 / np.hypot(1, sigma))
        out[i : i + 256] = np.clip(127 + part, 0, 255)
    return rng.permutation(out)


def file_folder(n_bytes: int) -> str | None:
    """Return where a file of this size is in memory, or None for anywhere."""
    shared = "/dev/shm"
    fits = os.path.isdir(shared) and shutil.disk_usage(shared).free > 2 * n_bytes
    return shared if fits else None


def lazy_signal(patterns: np.ndarray, path: Path) -> "kp.signals.LazyEBSD":
    """Return the scan from a file."""
    with h5py.File(path, "w") as file:
        chunks = (1, 128, *patterns.shape[2:])
        file.create_dataset("patterns", data=patterns, chunks=chunks)
    data = h5py.File(path)["patterns"]
    return kp.signals.LazyEBSD(da.from_array(data, chunks=(8, -1, -1, -1)))


def measure(table: Table, side: int, n: int, folder: Path) -> None:
    """Add the rows of one shape of patterns."""
    unique = unique_patterns(side, min(n, N_UNIQUE[side]))
    patterns = np.resize(unique, (n, side, side))
    scan = patterns.reshape(n // COLUMNS, COLUMNS, side, side)
    print("patterns made", time.perf_counter() - START, flush=True)
    memory, lazy = kp.signals.EBSD(scan), lazy_signal(scan, folder / f"{side}.h5")
    print("file written", time.perf_counter() - START, flush=True)
    model = kpsg.load_model()
    probabilities = {}
    for precision in ("float32", "float16"):
        if time.perf_counter() - START > table.limit:
            return
        model.mixed_precision = precision == "float16"
        probabilities[precision] = model.predict_proba(unique)
        if model.mixed_precision:
            compare(table, f"{side}x{side}", unique, probabilities, model)
        measure_precision(table, patterns, memory, lazy, model)


def measure_precision(
    table: Table,
    patterns: np.ndarray,
    memory: "kp.signals.EBSD",
    lazy: "kp.signals.LazyEBSD",
    model: "kpsg.SpaceGroupModel",
) -> None:
    """Add the rows of one shape of patterns and one precision."""
    n, *shape = patterns.shape
    batch = min(model.batch_size, n)
    network, from_raw = device_calls(model)
    prepared = keras.ops.ones((batch, model.size, model.size, 1), dtype="float32")
    parts = [
        keras.ops.convert_to_tensor(patterns[i : i + batch, ..., None])
        for i in range(0, min(n, 4 * batch), batch)
    ]

    def cycle(call, tensors):
        wait([call(tensors[i % len(tensors)]) for i in range(n // batch)])

    def add(what, call):
        precision = "float16" if model.mixed_precision else "float32"
        key = (what, "x".join(map(str, shape)), precision)
        table.add(key, call, n, batch_size=batch)

    def classify(signal, engine=model):
        kpsg.classify_space_group(signal, engine, show_progressbar=False)

    wait([network(prepared), from_raw(parts[0])])
    classify(memory.inav[:, : max(1, 2 * batch // COLUMNS)])
    print("compiled", time.perf_counter() - START, flush=True)
    add("network alone", lambda: cycle(network, [prepared]))
    add("preparation and network, on the device", lambda: cycle(from_raw, parts))
    add("predict_proba", lambda: model.predict_proba(patterns))
    add("classify_space_group, in memory", lambda: classify(memory))
    add("classify_space_group, lazy HDF5", lambda: classify(lazy))
    if not model.mixed_precision:
        engine = WithoutNetwork(model)
        what = "classify_space_group, in memory, no network"
        add(what, lambda: classify(memory, engine))


def compare(
    table: Table,
    shape: str,
    unique: np.ndarray,
    probabilities: dict[str, np.ndarray],
    model: "kpsg.SpaceGroupModel",
) -> None:
    """Add how many labels change with the precision."""
    single, half = probabilities["float32"], probabilities["float16"]
    differs = single.argmax(axis=1) != half.argmax(axis=1)
    identified = single.max(axis=1) >= model.min_probability
    best = np.sort(single, axis=1)[:, -2:]
    table.write(
        ("labels changed by float16", shape, "float16"),
        changed=f"{differs.mean():.6f}",
        changed_identified=f"{differs[identified].mean():.6f}",
        changed_gap=f"{(best[:, 1] - best[:, 0])[differs].max(initial=0):.4f}",
        n=f"{len(differs)}, of which {identified.sum()} identified",
    )
    np.savez(
        f"{table.path}.{shape}.npz",
        patterns=unique[:256],
        float32=single[:256],
        float16=half[:256],
    )


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description="Measure the speed on a GPU")
    parser.add_argument("output", type=Path)
    parser.add_argument("--n", type=int, default=131_072, help="60 x 60 px patterns")
    parser.add_argument("--seconds", type=float, default=48)
    args = parser.parse_args()
    if keras.backend.backend() not in ("torch", "jax"):
        parser.error(f"KERAS_BACKEND is {keras.backend.backend()}, not torch or jax")
    print("imported", time.perf_counter() - START, device_name(), flush=True)
    table = Table(args.output, args.seconds)
    for side, n in ((60, args.n), (128, args.n // 2)):
        n = max(COLUMNS, n // COLUMNS * COLUMNS)
        where = file_folder(n * side * side)
        with tempfile.TemporaryDirectory(dir=where) as folder:
            measure(table, side, n, Path(folder))


if __name__ == "__main__":
    main()

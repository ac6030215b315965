# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory classification of a lazy scan takes as the scan grows.

Usage::

    python benchmarks/scan_memory.py [OUTPUT] [--sizes 10000 100000 1000000]

Each scan is one HDF5 file in kikuchipy's own format with noisy patterns
of nickel, 60 x 60 pixels of one byte, opened lazily and classified in a
process of its own, with results kept in memory and with results written
to a zarr archive as they come. Reported is the peak of resident memory
above what the process had with the model loaded. OUTPUT is a CSV file,
by default ``results/scan_memory.csv`` beside this file.
"""

import argparse
from datetime import date
from multiprocessing import get_context
from pathlib import Path
import resource
import tempfile
import time

from tables import write_table

RESULT = Path(__file__).parent / "results" / "scan_memory.csv"
SIDE, COLUMNS, SEED = 60, 500, 1


def write_scan(path: Path, n: int) -> None:
    """Write a scan with rows of 500 patterns, a part at a time."""
    import dask.array as da
    import kikuchipy as kp
    import numpy as np
    from orix.quaternion import Rotation

    master = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    detector = kp.detectors.EBSDDetector(shape=(SIDE, SIDE), pc=(0.42, 0.22, 0.5))
    ideal = master.get_patterns(
        Rotation.random(256), detector, energy=20, dtype_out="float32", compute=True
    ).data.reshape(256, SIDE, SIDE)
    ideal -= ideal.mean(axis=(1, 2), keepdims=True)
    ideal /= ideal.std(axis=(1, 2), keepdims=True)

    def rows(block_info=None) -> np.ndarray:
        (start, stop), *_ = block_info[None]["array-location"]
        rng = np.random.default_rng([SEED, start])
        chosen = ideal[rng.integers(0, 256, (stop - start, COLUMNS))]
        noise = rng.standard_normal(chosen.shape, dtype="float32")
        return np.clip(127 + 30 * (chosen + 0.6 * noise), 0, 255).astype("uint8")

    n_rows = n // COLUMNS
    chunks = ((10,) * (n_rows // 10), COLUMNS, SIDE, SIDE)
    data = da.map_blocks(rows, chunks=chunks, dtype="uint8")
    s = kp.signals.LazyEBSD(data)
    s.detector = detector
    s.save(path)


def classify(path: str, connection) -> None:
    """Classify a scan and send the peak of memory in MB and the time."""
    import logging

    import kikuchipy as kp

    import kikuchipy_spacegroup as kpsg

    logging.disable(logging.WARNING)
    model = kpsg.load_model()
    small = kp.load(path, lazy=True).inav[:64, :1]
    small.classify_space_group(model, static_background=None, show_progressbar=False)
    before = peak()
    start = time.perf_counter()
    s = kp.load(path, lazy=True)
    xmap = s.classify_space_group(model, show_progressbar=False)
    seconds = time.perf_counter() - start
    connection.send((xmap.size, before, peak() - before, seconds))


def peak() -> float:
    """Return the highest resident memory so far in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def measure(path: Path) -> dict[str, object]:
    """Return a row of the table from a process of its own."""
    context = get_context("spawn")
    receive, send = context.Pipe()
    process = context.Process(target=classify, args=(str(path), send))
    process.start()
    send.close()
    n, before, added, seconds = receive.recv()
    process.join()
    return {
        "patterns": int(n),
        "file_mb": round(path.stat().st_size / 1e6),
        "peak_added_mb": round(added),
        "peak_before_mb": round(before),
        "minutes": round(seconds / 60, 1),
        "date": date.today().isoformat(),
    }


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description="Measure the memory of a scan")
    parser.add_argument("output", type=Path, nargs="?", default=RESULT)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10**4, 10**5, 10**6])
    args = parser.parse_args()
    rows = []
    for n in args.sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "scan.h5"
            write_scan(path, n)
            rows.append(measure(path))
            print(rows[-1], flush=True)
        write_table(args.output, rows)


if __name__ == "__main__":
    main()

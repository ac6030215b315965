# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory a library of 1000 master patterns takes.

Usage::

    python benchmarks/library_memory.py [OUTPUT]

Builds, saves and loads a library of 1000 master patterns of 301 x 301
pixels, half of them with different hemispheres, each step in a process
of its own, and writes the size of the stack and the peak of resident
memory above what the process had before it. OUTPUT is a CSV file, by
default ``results/library_memory.csv`` beside this file.
"""

import argparse
from datetime import date
from multiprocessing import get_context
from pathlib import Path
import resource
import tempfile

from tables import write_table

N, HALF_WIDTH = 1000, 150
RESULT = Path(__file__).parent / "results" / "library_memory.csv"


def signals():
    """Yield master patterns made of noise."""
    from kikuchipy.signals import EBSDMasterPattern
    import numpy as np
    from orix.crystal_map import Phase

    rng = np.random.default_rng(1)
    side = 2 * HALF_WIDTH + 1
    for i in range(N):
        data = rng.random((2, side, side), dtype="float32") + 1
        number = 225 if i % 2 else 216  # Hemispheres are the same in one of them
        if number == 225:
            data[1] = data[0]
        yield EBSDMasterPattern(
            data, projection="lambert", hemisphere="both",
            phase=Phase(f"phase{i}", space_group=number),
        )  # fmt: skip


def build(path: str, connection) -> None:
    """Build a library and save it."""
    from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary

    next(signals())  # Import first
    before = peak()
    library = MasterPatternLibrary.from_signals(signals(), check=False)
    built = peak()
    library.save(path)
    connection.send((library.data.nbytes / 1e6, built - before, peak() - before))


def load(path: str, connection) -> None:
    """Load a library."""
    from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary

    next(signals())
    before = peak()
    library = MasterPatternLibrary.load(path)
    connection.send((library.data.nbytes / 1e6, peak() - before))


def peak() -> float:
    """Return the highest resident memory so far in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def run(function, path: str) -> tuple:
    """Return what a function sends from a process of its own."""
    context = get_context("spawn")
    receive, send = context.Pipe()
    process = context.Process(target=function, args=(path, send))
    process.start()
    result = receive.recv()
    process.join()
    return result


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description="Measure the memory of a library")
    parser.add_argument("output", type=Path, nargs="?", default=RESULT)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "library.npz")
        stack, built, saved = run(build, path)
        _, loaded = run(load, path)
    common = {"phases": N, "stack_mb": round(stack), "date": date.today().isoformat()}
    peaks = {"build": built, "build and save": saved, "load": loaded}
    rows = [
        {
            "step": step,
            "peak_mb": round(value),
            "peak_over_stack": round(value / stack, 2),
            **common,
        }
        for step, value in peaks.items()
    ]
    write_table(args.output, rows)
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()

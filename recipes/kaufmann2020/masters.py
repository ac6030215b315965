# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulate the master patterns of the 18 materials, and keep them.

Usage::

    python recipes/kaufmann2020/masters.py FOLDER [--half-width 100]

Those that are in the folder already are not simulated again. ``run.py``
does this first, in a process of its own, since Bloch waves need PyTorch.
"""

import argparse
from importlib.metadata import version
from importlib.util import find_spec
import logging
from pathlib import Path
import time

from materials import MATERIALS, phase

from kikuchipy_spacegroup.master_patterns import (
    MasterPatternLibrary,
    simulate_master_pattern,
)

_logger = logging.getLogger("kaufmann2020")
ENERGY = 20


def method() -> str:
    """Return how master patterns can be simulated here."""
    return "dynamical" if find_spec("de_ebsd") else "kinematical"


def describe(how: str) -> str:
    """Return a method and its program in words."""
    if how == "dynamical":
        return f"dynamical (Bloch waves, de-ebsd {version('de-ebsd')})"
    return f"kinematical (kikuchipy {version('kikuchipy')})"


def simulated(folder: Path, half_width: int, how: str) -> MasterPatternLibrary:
    """Return the library of the 18 materials.

    Parameters
    ----------
    folder
        Folder to keep master patterns in.
    half_width
        Half the width of the master patterns in pixels.
    how
        ``"dynamical"`` or ``"kinematical"``.

    Returns
    -------
    library
        Library in the order of the materials.
    """
    signals = []
    for name in MATERIALS:
        start = time.monotonic()
        signal = simulate_master_pattern(
            phase(name), ENERGY, method=how, half_width=half_width, cache_dir=folder
        )
        _logger.info("%s, %s: %.0f s", name, how, time.monotonic() - start)
        signals.append(signal)
    return MasterPatternLibrary.from_signals(
        signals, list(MATERIALS), half_width=half_width
    )


def from_files(folder: Path, half_width: int) -> MasterPatternLibrary:
    """Return the library of master patterns of one's own.

    Parameters
    ----------
    folder
        Folder with one file per material that kikuchipy reads (EMsoft's
        HDF5 files), named ``<material>_*.h5`` in any case.
    half_width
        Half the width of the master patterns in pixels.

    Returns
    -------
    library
        Library in the order of the materials.

    Raises
    ------
    FileNotFoundError
        If there is not exactly one file of every material.
    """
    paths = []
    for name in MATERIALS:
        found = [
            path
            for path in sorted(folder.glob("*.h5"))
            if path.stem.split("_")[0].lower() == name.lower()
        ]
        if len(found) != 1:
            raise FileNotFoundError(
                f"There must be one file {name}_*.h5 in {folder}, not {len(found)}"
            )
        paths.extend(found)
    groups = [material.space_group for material in MATERIALS.values()]
    return MasterPatternLibrary.from_files(
        paths, list(MATERIALS), groups, half_width=half_width
    )


def main() -> None:
    """Simulate what is missing."""
    parser = argparse.ArgumentParser(description="Simulate master patterns")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--half-width", type=int, default=100)
    parser.add_argument("--method", default=method())
    args = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    library = simulated(args.folder, args.half_width, args.method)
    library.save(args.folder / "library.npz")


if __name__ == "__main__":
    main()

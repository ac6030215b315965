# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leave the 18 materials out of a library, to train a model before.

Usage::

    python recipes/kaufmann2020/leave_out.py LIBRARIES OUTPUT

where LIBRARIES is the folder written by
``recipes/default_model/library.py``. OUTPUT can be given to
``recipes/default_model/train.py`` instead.
"""

import argparse
from pathlib import Path
import shutil

from materials import MATERIALS

from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary

# Phases of another name with nearly the same atoms as one of the materials
ALIKE = {"TaW_alloy", "SiGe_alloy", "ferrite_FeCr", "austenite_FeCrNi"}


def main() -> None:
    """Write the library without the materials."""
    parser = argparse.ArgumentParser(description="Leave the 18 materials out")
    parser.add_argument("libraries", type=Path)
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    library = MasterPatternLibrary.load(args.libraries / "training.npz")
    left_out = sorted(
        name
        for name in library.phase_names
        if name.removesuffix("_shallow") in {*MATERIALS, *ALIKE}
    )
    args.output.mkdir(parents=True, exist_ok=True)
    rest = library.select(exclude=left_out)
    rest.save(args.output / "training.npz")
    # Weights of phases that are not there have no effect
    shutil.copy(args.libraries / "weights.json", args.output)
    print(f"Left out {left_out}, {rest.n_phases} of {library.n_phases} phases are left")


if __name__ == "__main__":
    main()

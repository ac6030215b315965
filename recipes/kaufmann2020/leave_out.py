# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leave the 18 materials out of a library, to train a model before.

Usage::

    python recipes/kaufmann2020/leave_out.py LIBRARIES OUTPUT

where LIBRARIES is the folder written by
``recipes/default_model/structures/library.py``. OUTPUT can be given to
``recipes/default_model/training/train.py`` instead. Every phase with the elements
and the space group of one of the materials is left out, those with made-up
structures or lattice parameters too, see ``is_like_a_material``.
"""

import argparse
from pathlib import Path
import shutil

from materials import is_like_a_material

from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary


def left_out(library: MasterPatternLibrary) -> list[str]:
    """Return the names of phases that are like one of the materials."""
    phases = zip(library.phase_names, library.space_groups.tolist())
    return sorted({name for name, group in phases if is_like_a_material(name, group)})


def main() -> None:
    """Write the library without the materials."""
    parser = argparse.ArgumentParser(description="Leave the 18 materials out")
    parser.add_argument("libraries", type=Path)
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    library = MasterPatternLibrary.load(args.libraries / "training.npz")
    names = left_out(library)
    args.output.mkdir(parents=True, exist_ok=True)
    rest = library.select(exclude=names)
    rest.save(args.output / "training.npz")
    # Weights of phases that are not there have no effect
    shutil.copy(args.libraries / "weights.json", args.output)
    print(f"Left out {names}, {rest.n_phases} of {library.n_phases} phases are left")


if __name__ == "__main__":
    main()

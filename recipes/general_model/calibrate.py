# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calibrate a general model on structures it never saw.

Usage::

    python -m recipes.general_model.calibrate MODEL LIBRARIES OUTPUT

where LIBRARIES is the folder written by ``library.py``, of which the two validation
lists are used. Every level of symmetry gets a temperature, and every space group a
threshold of its prediction sets.
"""

import argparse
import logging
from pathlib import Path

from kikuchipy_spacegroup import MasterPatternLibrary, calibrate, load_model

SEED = 7
N_PATTERNS = 12_000
# Of the patterns identified, how many must be right
PRECISION = 0.5
# How well projection centers are known
CENTER_ERROR, UNKNOWN_SHARE = 0.01, 0.5


def main() -> None:
    """Calibrate a model and save it."""
    parser = argparse.ArgumentParser(description="Calibrate a general model")
    for name in ("model", "libraries", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("-n", type=int, default=N_PATTERNS, help="patterns")
    args = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(message)s")
    model = load_model(args.model)
    materials, types = (
        MasterPatternLibrary.load(args.libraries / f"validation_{kind}.npz")
        for kind in ("materials", "types")
    )
    library = materials + types
    calibrate(
        model,
        library,
        n_patterns=args.n,
        precision=PRECISION,
        per_level=True,
        center_error=CENTER_ERROR,
        unknown_center_share=UNKNOWN_SHARE,
        seed=SEED,
    )
    model.metadata["calibrated_on"] = list(library.phase_names)
    model.save(args.output, overwrite=True)


if __name__ == "__main__":
    main()

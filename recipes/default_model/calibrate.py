# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calibrate a trained model on materials it never saw.

Usage::

    python recipes/default_model/calibrate.py MODEL HELD_OUT OUTPUT

where HELD_OUT is the library ``held_out.npz`` written by ``library.py``.
The materials in ``CALIBRATION`` set the temperature and the thresholds;
``score.py`` reports on the others.
"""

import argparse
import logging
from pathlib import Path

from kikuchipy_spacegroup import MasterPatternLibrary, calibrate, load_model

CALIBRATION = "KTaO3_cubic Pd3Sn Nb3Sn Pb CeO2 LiF CeAl2 Na_bcc YAG_Y3Al5O12".split()
SEED = 7


def main() -> None:
    """Calibrate a model and save it."""
    parser = argparse.ArgumentParser(description="Calibrate a model")
    for name in ("model", "held_out", "output"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    logging.basicConfig(level="INFO")
    model = load_model(args.model)
    library = MasterPatternLibrary.load(args.held_out)
    library = library.select([n for n in CALIBRATION if n in library.phase_names])
    calibrate(model, library, n_patterns=6000, precision=0.8, seed=SEED)
    model.metadata["calibrated_on"] = list(library.phase_names)
    model.save(args.output, overwrite=True)


if __name__ == "__main__":
    main()

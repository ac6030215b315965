# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calibrate a trained model on materials it never saw.

Usage::

    python recipes/default_model/calibrate.py MODEL LIBRARIES OUTPUT

where LIBRARIES is the folder written by ``library.py``. The materials in
``CALIBRATION`` set the temperature and the thresholds, those of space groups
in ``OUTLIERS``, which the model does not know, the threshold for what is not
identified. ``score.py`` and ``scoreboard.py`` report on the others.
"""

import argparse
import logging
from pathlib import Path

from kikuchipy_spacegroup import MasterPatternLibrary, calibrate, load_model

CALIBRATION = "KTaO3_cubic Pd3Sn Nb3Sn Pb CeO2 LiF CeAl2 Na_bcc YAG_Y3Al5O12".split()
# Of the space groups that are never trained on
OUTLIERS = (62, 152, 187)
SEED = 7


def main() -> None:
    """Calibrate a model and save it."""
    parser = argparse.ArgumentParser(description="Calibrate a model")
    for name in ("model", "libraries", "output"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    logging.basicConfig(level="INFO")
    model = load_model(args.model)
    known = MasterPatternLibrary.load(args.libraries / "held_out.npz")
    known = known.select([n for n in CALIBRATION if n in known.phase_names])
    unknown = MasterPatternLibrary.load(args.libraries / "unknown.npz")
    library = known + unknown.select(space_groups=OUTLIERS)
    calibrate(model, library, n_patterns=6000, precision=0.8, seed=SEED)
    model.metadata["calibrated_on"] = list(known.phase_names)
    model.save(args.output, overwrite=True)


if __name__ == "__main__":
    main()

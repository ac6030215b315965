# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calibrate a trained model on materials it never saw.

Usage::

    python -m recipes.default_model.training.calibrate MODEL LIBRARIES OUTPUT [--crop 0.9]

where LIBRARIES is the folder written by ``library.py``. All materials held out set the
temperature and the thresholds of sets: nine were too few, since one that cannot be told
from another space group changes them much. What this is worth for one more material,
``scoreboard.py`` reports from calibrating on all but one in turn. The materials in
``CALIBRATION`` and those of space groups in ``OUTLIERS``, which the model does not know,
set the threshold for what is not identified.
"""

import argparse
import logging
from pathlib import Path

from scipy.special import softmax

from kikuchipy_spacegroup import (
    MasterPatternLibrary,
    SpaceGroupModel,
    calibrate,
    load_model,
)
from kikuchipy_spacegroup.patterns import PreparePatterns
from kikuchipy_spacegroup.training import precision_threshold, simulate_logits

CALIBRATION = "KTaO3_cubic Pd3Sn Nb3Sn Pb CeO2 LiF CeAl2 Na_bcc YAG_Y3Al5O12".split()
# Of the space groups that are never trained on
OUTLIERS = (62, 152, 187)
SEED = 7
# Of the patterns identified, how many must be right
PRECISION = 0.85


def cropped(model: SpaceGroupModel, crop: float) -> SpaceGroupModel:
    """Return a model that looks at the central part of patterns."""
    prepare = PreparePatterns(**model.prepare.get_config() | {"crop": crop})
    return SpaceGroupModel(
        model.network,
        model.space_groups,
        prepare,
        prior=model.prior,
        metadata=model.metadata,
    )


def main() -> None:
    """Calibrate a model and save it."""
    parser = argparse.ArgumentParser(description="Calibrate a model")
    for name in ("model", "libraries", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--crop", type=float, help="share of patterns to look at")
    args = parser.parse_args()
    logging.basicConfig(level="INFO")
    model = load_model(args.model)
    if args.crop is not None:
        model = cropped(model, args.crop)
    known = MasterPatternLibrary.load(args.libraries / "held_out.npz")
    calibrate(model, known, n_patterns=10_000, precision=None, seed=SEED)
    some = known.select([n for n in CALIBRATION if n in known.phase_names])
    unknown = MasterPatternLibrary.load(args.libraries / "unknown.npz")
    library = some + unknown.select(space_groups=OUTLIERS)
    logits, labels, _ = simulate_logits(model, library, n_patterns=6000, seed=SEED)
    probabilities = softmax(logits / model.temperature, axis=1)
    model.min_probability = precision_threshold(probabilities, labels, PRECISION)
    logging.info("min_probability %.3f", model.min_probability)
    model.metadata["calibrated_on"] = list(known.phase_names)
    model.save(args.output, overwrite=True)


if __name__ == "__main__":
    main()

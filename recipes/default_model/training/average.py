# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Average the weights of models of which one was trained further to the other.

Usage::

    python -m recipes.default_model.training.average MODEL OTHER LIBRARIES OUTPUT [--share 0.5]

The statistics of batch normalisation are computed again on patterns of
``training.npz`` in the folder LIBRARIES, as averages of those of two networks do not fit.
"""

import argparse
from datetime import date
import json
from pathlib import Path

from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.models import load_model
from kikuchipy_spacegroup.training import SimulatedDataset, recalibrate, training_graph
from recipes.default_model.training.train import RARE

SEED = 31
STEPS = 300


def main() -> None:
    """Average two models."""
    parser = argparse.ArgumentParser(description="Average the weights of two models")
    for name in ("model", "other", "libraries", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of the other one")
    args = parser.parse_args()
    model, other = load_model(args.model), load_model(args.other)
    pairs = zip(model.network.get_weights(), other.network.get_weights(), strict=True)
    model.network.set_weights([a + args.share * (b - a) for a, b in pairs])
    library = MasterPatternLibrary.load(args.libraries / "training.npz")
    dataset = SimulatedDataset(
        library,
        model.space_groups,
        steps=STEPS,
        outlier_share=0.14,
        phase_weights=json.loads((args.libraries / "weights.json").read_text()),
        space_group_weights=RARE,
        seed=SEED,
    )
    recalibrate(training_graph(model, library, seed=SEED), dataset, steps=STEPS)
    model.metadata |= {
        key: other.metadata[key] for key in ("trained_on", "phases", "steps", "seed")
    } | {"averaged": args.share, "date": date.today().isoformat()}
    model.save(args.output, overwrite=True)


if __name__ == "__main__":
    main()

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many labelled patterns it takes to fine-tune to an instrument.

Usage::

    python -m recipes.default_model.scores.finetune MODEL LIBRARIES OUTPUT

where LIBRARIES is the folder written by ``library.py``. The instrument
is that of ``instrument.py``, and the materials, one per space group,
were never trained on. Other patterns of the same materials judge: the
table says what labels of a material bring for this material. Writes
``finetuning.csv`` to the folder OUTPUT.
"""

import argparse
from datetime import date
from pathlib import Path

import keras
import numpy as np

from benchmarks.tables import write_table
from kikuchipy_spacegroup import (
    LabelledPatterns,
    MasterPatternLibrary,
    SpaceGroupModel,
    fit,
    load_model,
)
from kikuchipy_spacegroup.training import Optimization
from recipes.default_model.scores.instrument import scan

MATERIALS = ("FeAl", "Mo3Ge", "NbC", "Ge", "Ta", "Al4CoNi2")
PER_CLASS = (5, 10, 25, 50, 100, 400)
SEED = 4


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Score fine-tuning")
    for name in ("model", "libraries", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--steps", type=int, default=200, help="of fine-tuning")
    parser.add_argument("--scratch-steps", type=int, default=800)
    args = parser.parse_args()
    library = MasterPatternLibrary.load(args.libraries / "held_out.npz")
    library = library.select(MATERIALS)
    signal, groups, names = scan(library, 600, SEED)
    model = load_model(args.model)
    patterns = LabelledPatterns.from_signal(
        signal, 1, static_background="auto", size=model.size
    )
    patterns = LabelledPatterns(patterns.patterns, groups, names.astype(object))
    training, test = patterns.split(400, 200, seed=SEED)
    found = model.predict_proba(test.patterns).argmax(axis=1)
    before = np.mean(np.array(model.space_groups)[found] == test.space_groups)
    rows = []
    for n in PER_CLASS:
        # Those of one group lie one after the other
        few = training[np.arange(len(training)) % 400 < n]
        row = {"per_class": n, "as_it_is": round(float(before), 3)}
        keras.utils.set_random_seed(SEED)
        scratch = SpaceGroupModel.create(sorted(set(groups.tolist())), size=model.size)
        for name, learner, rate, steps in (
            ("fine_tuned", model.copy(), 3e-4, args.steps),
            ("from_scratch", scratch, 2e-3, args.scratch_steps),
        ):
            fit(
                learner,
                experimental=few,
                epochs=1,
                steps_per_epoch=steps,
                batch_size=32,
                optimization=Optimization(learning_rate=rate, average=0.95),
                seed=SEED,
                show_progressbar=False,
            )
            found = learner.predict_proba(test.patterns).argmax(axis=1)
            right = np.array(learner.space_groups)[found] == test.space_groups
            row[name] = round(float(right.mean()), 3)
        rows.append(row | {"seed": SEED, "date": date.today().isoformat()})
        print(rows[-1], flush=True)
    write_table(args.output / "finetuning.csv", rows)


if __name__ == "__main__":
    main()

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the default model.

Usage::

    python -m recipes.default_model.training.train LIBRARIES OUTPUT [--real FOLDER]

where LIBRARIES is the folder written by ``library.py``. The model is
written to OUTPUT after every epoch and in the end. The same command
goes on after an interruption. With ``--real``, the accuracy on real
patterns is logged after every epoch, to look at, not to select by.
"""

import argparse
from datetime import date
import json
import logging
from pathlib import Path

import keras
import numpy as np

from kikuchipy_spacegroup.classification import classify_space_group
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.models import SpaceGroupModel, load_model
from kikuchipy_spacegroup.training import Optimization, Sampling, fit

SPACE_GROUPS = (221, 223, 225, 227, 229, 230)
# Space groups of one or two known structures are drawn less often
RARE = {222: 0.3, 224: 0.3, 226: 0.7, 228: 0.3}
_logger = logging.getLogger("default_model")


class RealPatterns:
    """Real patterns of the classes of a model, to see how training goes."""

    def __init__(self, model: SpaceGroupModel, folder: Path) -> None:
        from kikuchipy.signals import EBSD

        from recipes.default_model.scores.real_patterns import load_real

        self.model = model
        self.maps = {}
        for name, (patterns, group) in load_real(folder).items():
            if group.isdigit() and int(group) in model.space_groups:
                if patterns.shape[:2] == (20, 20):
                    patterns = patterns[::4, ::4]
                self.maps[name] = (EBSD(patterns), int(group))

    def shares(self) -> str:
        """Return the share of patterns that are right per map, as text."""
        shares = []
        for name, (s, group) in self.maps.items():
            xmap = classify_space_group(
                s, self.model, min_probability=0, show_progressbar=False
            )
            shares.append(f"{name} {(xmap.phase_id == group).mean():.2f}")
        return ", ".join(shares)


class WatchRealPatterns(keras.callbacks.Callback):
    """Log how often real patterns get their space group, every few epochs."""

    def __init__(self, model: SpaceGroupModel, folder: Path, every: int) -> None:
        super().__init__()
        self.every = every
        self.real = RealPatterns(model, folder)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            _logger.info("epoch %s %s", epoch + 1, logs)
            return
        averages = self.model.optimizer._model_variables_moving_average
        current = [v.numpy() for v in self.model.trainable_variables]
        for variable, average in zip(self.model.trainable_variables, averages):
            variable.assign(average)
        _logger.info("epoch %s %s: %s", epoch + 1, logs, self.real.shares())
        for variable, value in zip(self.model.trainable_variables, current):
            variable.assign(value)


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copy the weights of layers that are in both networks."""
    layers = {layer.name: layer for layer in source.layers}
    for layer in target.layers:
        old = layers[layer.name].get_weights() if layer.name in layers else []
        new = layer.get_weights()
        if old and [w.shape for w in old] == [w.shape for w in new]:
            layer.set_weights(old)


def describe(
    model: SpaceGroupModel, library: MasterPatternLibrary, steps: int, seed: int
) -> None:
    """Write into the model what it was trained on."""
    of_class = np.isin(library.space_groups, model.space_groups)
    model.metadata |= {
        "name": "default",
        "trained_on": f"{of_class.sum()} simulated phases, and {(~of_class).sum()} of "
        "other space groups as outliers; no real pattern",
        "phases": sorted(
            f"{name} ({number})"
            for name, number in zip(library.phase_names, library.space_groups)
        ),
        "voltages": sorted({round(float(kv)) for kv in library.energies}),
        "steps": steps,
        "seed": seed,
        "date": date.today().isoformat(),
        "licence": "GPL-3.0-or-later",
    }


def log_to(folder: Path) -> None:
    """Log to a file in a folder, which is made, and to the screen."""
    folder.mkdir(parents=True, exist_ok=True)
    handlers = [logging.FileHandler(folder / "log.txt"), logging.StreamHandler()]
    logging.basicConfig(
        level="INFO", format="%(asctime)s %(message)s", handlers=handlers
    )
    logging.getLogger("kikuchipy_spacegroup").setLevel("WARNING")


def main() -> None:
    """Train and save the model."""
    parser = argparse.ArgumentParser(description="Train the default model")
    parser.add_argument("libraries", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--real", type=Path, help="folder of real patterns to watch")
    parser.add_argument("--epochs", type=int, default=36)
    parser.add_argument("--steps", type=int, default=500, help="batches per epoch")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--start", type=Path, help="model to take weights from")
    parser.add_argument("--space-groups", type=int, nargs="+", default=SPACE_GROUPS)
    parser.add_argument("--blocks", type=int, nargs=4, default=(1, 1, 1, 1))
    parser.add_argument("--outlier-share", type=float, default=0.1)
    parser.add_argument("--blend-share", type=float, default=0.0)
    parser.add_argument("--mixed-precision", action="store_true", help="bfloat16")
    parser.add_argument("--watch-every", type=int, default=1, help="epochs")
    args = parser.parse_args()
    log_to(args.output)
    keras.utils.set_random_seed(args.seed)
    library = MasterPatternLibrary.load(args.libraries / "training.npz")
    weights = json.loads((args.libraries / "weights.json").read_text())
    model = SpaceGroupModel.create(
        args.space_groups, size=args.size, blocks=args.blocks
    )
    steps_before = 0
    if args.start is not None:
        start = load_model(args.start)
        copy_weights(start.network, model.network)
        steps_before = start.metadata["steps"]
    _logger.info("%s phases, %s images", library.n_phases, len(library.data))
    callbacks = []
    if args.real is not None:
        callbacks.append(WatchRealPatterns(model, args.real, args.watch_every))
    history = fit(
        model,
        library,
        epochs=args.epochs,
        steps_per_epoch=args.steps,
        optimization=Optimization(
            label_smoothing=0.02,
            learning_rate=args.learning_rate,
            mixed_precision=args.mixed_precision,
        ),
        sampling=Sampling(
            outlier_share=args.outlier_share,
            phase_weights=weights,
            space_group_weights=RARE,
            blend_share=args.blend_share,
        ),
        seed=args.seed,
        backup_dir=args.output / "backup",
        callbacks=callbacks,
        show_progressbar=False,
    )
    describe(model, library, steps_before + args.epochs * args.steps, args.seed)
    model.save(args.output / "default.keras", overwrite=True)
    (args.output / "history.json").write_text(json.dumps(history.history, indent=1))


if __name__ == "__main__":
    main()

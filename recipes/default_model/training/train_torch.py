# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Train a default model further, faster than with ``train.py`` on a CPU.

Usage::

    python -m recipes.default_model.training.train_torch LIBRARIES START OUTPUT [--real FOLDER]

Patterns are made by the layers of the package under TensorFlow, which is fastest at
that, and the network is trained by PyTorch in bfloat16 (``torch_network.py``). What is
drawn, and the loss, are those of ``train.py``. The same command goes on after an
interruption, from a backup in OUTPUT.

With ``--flat``, the learning rate falls to a part of what it was and stays there, and the
weights are the mean of all since then, not those it ends at: a mean is less tied to what
simulations are like, and more often right for a camera unlike those in training.
"""

import argparse
from collections.abc import Iterable
from dataclasses import replace
import json
import logging
import math
from pathlib import Path
import time

import keras
import numpy as np
import torch
from torch.nn import functional

from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.models import SpaceGroupModel, load_model
from kikuchipy_spacegroup.simulation import Acquisition, ProjectPatterns, SimulateCamera
from kikuchipy_spacegroup.training import SimulatedDataset
from recipes.default_model.training.torch_network import Residual
from recipes.default_model.training.train import RARE, RealPatterns, describe, log_to

LABEL_SMOOTHING = 0.02
WEIGHT_DECAY = 1e-2
AVERAGE = 0.999
WARMUP = 0.025
BATCHES_FOR_STATISTICS = 300
# When the learning rate stays as it is, and which part it is of the highest
FLAT_FROM, FLAT_RATE = 0.35, 0.4
_logger = logging.getLogger("default_model")


class Patterns:
    """Batches of training patterns."""

    def __init__(
        self,
        model: SpaceGroupModel,
        dataset: SimulatedDataset,
        acquisition: Acquisition,
    ) -> None:
        import tensorflow as tf

        self.dataset = dataset
        self.project = ProjectPatterns(dataset.library, (model.size,) * 2)
        self.camera = SimulateCamera(acquisition, size=model.size, seed=dataset.seed)
        self.prepare = model.prepare
        self.tensor = tf.convert_to_tensor
        self.make = tf.function(self._make)

    def _make(self, recipe):
        return self.prepare(self.camera(self.project(recipe))[..., None])

    def __call__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return patterns of shape (n, 1, size, size) and their targets."""
        recipe, targets = self.dataset[step]
        recipe = {name: self.tensor(value) for name, value in recipe.items()}
        patterns = torch.from_numpy(self.make(recipe).numpy())
        n_classes = targets.shape[1]
        targets = (1 - LABEL_SMOOTHING) * targets + LABEL_SMOOTHING / n_classes
        return patterns.permute(0, 3, 1, 2), torch.from_numpy(targets)


class Trainer:
    """A network in training, the running average of its weights, and a backup."""

    def __init__(
        self,
        network: keras.Model,
        rate: float,
        *,
        average: float = AVERAGE,
        flat: bool = False,
        device: str = "cpu",
    ) -> None:
        self.device = device
        on_gpu = device != "cpu"
        self.schedule = flattened if flat else warmed_cosine
        self.n_averaged = 0 if flat else None
        self.network = Residual(network).to(device, memory_format=torch.channels_last)
        decaying = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim == 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decaying, "weight_decay": WEIGHT_DECAY}, {"params": others}],
            lr=torch.tensor(rate, device=device) if on_gpu else rate,
            eps=1e-7,
            weight_decay=0.0,
            foreach=True,
            capturable=on_gpu,
        )
        self.rate, self.step, self.share = rate, 0, 1 - average
        self.average = [p.detach().clone() for p in self.network.parameters()]

    def logits(self, patterns: torch.Tensor) -> torch.Tensor:
        """Return logits, calculated with 16 bits."""
        with torch.autocast(self.device, dtype=torch.bfloat16, cache_enabled=False):
            return self.network(patterns)

    def train(
        self, patterns: torch.Tensor, targets: torch.Tensor, done: float
    ) -> torch.Tensor:
        """Make one step and return the loss, when a share of the training is done."""
        self.before_step(done)
        loss = self.make_step(patterns, targets)
        self.after_step()
        return loss

    def before_step(self, done: float) -> None:
        """Set the learning rate, when a share of the training is done."""
        rate = self.rate * self.schedule(done)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        if self.n_averaged is not None and done >= FLAT_FROM:
            self.n_averaged += 1
            self.share = 1 / self.n_averaged

    def make_step(self, patterns: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Change the weights and return the loss."""
        loss = functional.cross_entropy(self.logits(patterns).float(), targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    @torch.no_grad()
    def after_step(self) -> None:
        """Add the weights to their average."""
        torch._foreach_lerp_(self.average, list(self.network.parameters()), self.share)
        self.step += 1

    @torch.no_grad()
    def write_average(self, batches: Iterable) -> None:
        """Write averaged weights, with statistics of some batches, to Keras' network."""
        saved = [p.detach().clone() for p in self.network.parameters()]
        norms = [m for m in self.network.modules() if hasattr(m, "running_mean")]
        kept = [(m.running_mean.clone(), m.running_var.clone()) for m in norms]
        torch._foreach_copy_(list(self.network.parameters()), self.average)
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a mean of all batches
        for patterns, _ in batches:
            with torch.autocast(self.device, dtype=torch.bfloat16):
                self.network(patterns)
        self.network.to_keras()
        torch._foreach_copy_(list(self.network.parameters()), saved)
        for norm, (mean, variance) in zip(norms, kept):
            norm.momentum = 0.01
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)

    def save(self, path: Path) -> None:
        """Write a backup."""
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "n_averaged": self.n_averaged,
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        part.rename(path)

    def load(self, path: Path) -> None:
        """Go on from a backup."""
        state = torch.load(path, map_location=self.device)
        self.step, self.average = state["step"], state["average"]
        self.n_averaged = state["n_averaged"]
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])


def warmed_cosine(done: float) -> float:
    """Return a learning rate which rises to 1, then falls along a cosine to 0."""
    if done < WARMUP:
        return done / WARMUP
    return (1 + math.cos(math.pi * min((done - WARMUP) / (1 - WARMUP), 1))) / 2


def flattened(done: float) -> float:
    """Return a learning rate which rises to 1, falls, and stays there."""
    if done < WARMUP:
        return done / WARMUP
    fallen = min((done - WARMUP) / (FLAT_FROM - WARMUP), 1)
    return 1 - (1 - FLAT_RATE) * fallen


def camera(text: str) -> Acquisition:
    """Return an acquisition that differs from the default by JSON."""
    differ = json.loads(text)
    ranges = {k: tuple(v) if isinstance(v, list) else v for k, v in differ.items()}
    return replace(Acquisition(), **ranges)


def main() -> None:
    """Train and save the model."""
    parser = argparse.ArgumentParser(description="Train the default model further")
    parser.add_argument("libraries", type=Path)
    parser.add_argument("start", type=Path, help="model to go on from")
    parser.add_argument("output", type=Path)
    parser.add_argument("--real", type=Path, help="folder of real patterns to watch")
    parser.add_argument("--steps", type=int, default=30_000, help="of 64 patterns")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=1.2e-3)
    parser.add_argument("--outlier-share", type=float, default=0.14)
    parser.add_argument("--flat", action="store_true", help="average, do not decay")
    parser.add_argument(
        "--camera", type=camera, default="{}", help="what differs, JSON"
    )
    parser.add_argument("--watch-every", type=int, default=5000, help="steps")
    parser.add_argument("--backup-every", type=int, default=1000, help="steps")
    args = parser.parse_args()
    log_to(args.output)
    keras.utils.set_random_seed(args.seed)
    library = MasterPatternLibrary.load(args.libraries / "training.npz")
    model = load_model(args.start)
    dataset = SimulatedDataset(
        library,
        model.space_groups,
        steps=args.steps,
        outlier_share=args.outlier_share,
        phase_weights=json.loads((args.libraries / "weights.json").read_text()),
        space_group_weights=RARE,
        seed=args.seed,
    )
    patterns = Patterns(model, dataset, args.camera)
    trainer = Trainer(model.network, args.learning_rate, flat=args.flat)
    backup = args.output / "backup.pt"
    if backup.exists():
        trainer.load(backup)
    real = RealPatterns(model, args.real) if args.real else None
    _logger.info("%s phases, from step %s", library.n_phases, trainer.step)
    losses, started = [], time.monotonic()
    while trainer.step < args.steps:
        done = trainer.step / args.steps
        losses.append(float(trainer.train(*patterns(trainer.step), done)))
        if trainer.step % args.backup_every == 0 or trainer.step == args.steps:
            rate = 64 * len(losses) / (time.monotonic() - started)
            mean = np.mean(losses)
            _logger.info("step %s: %.4f, %.0f/s", trainer.step, mean, rate)
            trainer.save(backup)
            losses, started = [], time.monotonic()
        if real is not None and trainer.step % args.watch_every == 0:
            trainer.write_average(patterns(args.steps + i) for i in range(60))
            _logger.info("step %s: %s", trainer.step, real.shares())
            started = time.monotonic()
    trainer.write_average(
        patterns(args.steps + i) for i in range(BATCHES_FOR_STATISTICS)
    )
    describe(model, library, model.metadata["steps"] + args.steps, args.seed)
    model.save(args.output / "default.keras", overwrite=True)


if __name__ == "__main__":
    main()

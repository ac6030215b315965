# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Train a default model further on a GPU, for a given time.

Usage::

    KERAS_BACKEND=torch python recipes/default_model/train_gpu.py START OUTPUT PACKED...

where PACKED are the files written by ``pack.py``. Patterns are made on the GPU as well
(``torch_patterns.py``). What is drawn, and the loss, are those of ``train_torch.py``; the
learning rate follows the clock. The same command goes on after an interruption.
"""

import argparse
from pathlib import Path
import time

import keras
from pack import load_packed
import torch
from torch_patterns import DevicePatterns
from train import RARE, _logger, describe, log_to
from train_torch import Trainer

from kikuchipy_spacegroup.dataset import SimulatedDataset
from kikuchipy_spacegroup.model import load_model

BATCHES_FOR_STATISTICS = 100


class Clock:
    """How long training has taken, interruptions not counted."""

    def __init__(self, output: Path, limit: float) -> None:
        self.backup, self.file = output / "backup.pt", output / "seconds.txt"
        self.limit = limit
        self.before = float(self.file.read_text()) if self.file.exists() else 0.0

    def start(self) -> None:
        """Start to count."""
        self.started = self.logged = time.monotonic()

    def seconds(self) -> float:
        """Return the time taken in seconds."""
        return self.before + time.monotonic() - self.started

    @property
    def done(self) -> float:
        """Return the share of the time that is taken."""
        return self.seconds() / self.limit

    def since_log(self) -> float:
        """Return the time since the last message in seconds."""
        return time.monotonic() - self.logged

    def save(self) -> None:
        """Write the time taken."""
        self.file.write_text(str(self.seconds()))


def main() -> None:
    """Train and save the model."""
    parser = argparse.ArgumentParser(description="Train the default model on a GPU")
    parser.add_argument("start", type=Path, help="model to go on from")
    parser.add_argument("output", type=Path)
    parser.add_argument("packed", type=Path, nargs="+")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--outlier-share", type=float, default=0.14)
    parser.add_argument("--blend-share", type=float, default=0.3)
    parser.add_argument("--average", type=float, default=0.9995)
    parser.add_argument("--every", type=float, default=60, help="seconds, for backups")
    parser.add_argument("--compile", action="store_true", help="the network")
    args = parser.parse_args()
    log_to(args.output)
    keras.utils.set_random_seed(args.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    library, weights, partners = load_packed(args.packed)
    model = load_model(args.start)
    dataset = SimulatedDataset(
        library,
        model.space_groups,
        batch_size=args.batch_size,
        outlier_share=args.outlier_share,
        phase_weights=weights,
        space_group_weights=RARE,
    )
    dataset.blend_share = args.blend_share
    patterns = DevicePatterns(model, dataset, partners, torch.device(device))
    trainer = Trainer(
        model.network, args.learning_rate, average=args.average, device=device
    )
    if args.compile:
        patterns.make = torch.compile(patterns.make)
        trainer.call = torch.compile(trainer.network)
    clock = Clock(args.output, args.minutes * 60)
    if clock.backup.exists():
        trainer.load(clock.backup)
    _logger.info(
        "%s phases on %s, from step %s", library.n_phases, device, trainer.step
    )
    steps_before = model.metadata["steps"]
    trainer.logits(patterns.make()[0]).sum().backward()  # Compilation does not count
    losses, n = [], trainer.step
    clock.start()
    while clock.done < 1:
        losses.append(trainer.train(*patterns.make(), clock.done))
        if trainer.step % 20 == 0:
            losses[-1].item()  # So that the clock counts work that is done
        if clock.since_log() < args.every and clock.done < 1:
            continue
        rate = args.batch_size * (trainer.step - n) / clock.since_log()
        loss = torch.stack(losses).mean().item()
        now = clock.seconds()
        _logger.info("%.0f s, step %s: %.4f, %.0f/s", now, trainer.step, loss, rate)
        trainer.save(clock.backup)
        clock.save()
        trainer.write_average(patterns.make() for _ in range(BATCHES_FOR_STATISTICS))
        steps = steps_before + trainer.step * args.batch_size // 64
        describe(model, library, steps, args.seed)
        model.save(args.output / "default.keras", overwrite=True)
        losses, n = [], trainer.step
        clock.logged = time.monotonic()


if __name__ == "__main__":
    main()

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Train a default model further on a GPU, for a given time.

Usage::

    KERAS_BACKEND=torch python -m recipes.default_model.training.train_gpu START OUTPUT PACKED...

where PACKED are the files written by ``pack.py``. Patterns are made on the GPU as well
(``torch_patterns.py``), and a whole step is recorded once and replayed, since launching
its thousands of small steps one by one took longer than they do. What is drawn, and the
loss, are those of ``train_torch.py``; the learning rate follows the clock. The same
command goes on after an interruption.
"""

import argparse
import logging
from pathlib import Path
import time

import keras
import torch

from kikuchipy_spacegroup.models import load_model
from kikuchipy_spacegroup.training import SimulatedDataset
from recipes.default_model.training.clock import Clock
from recipes.default_model.training.pack import load_packed
from recipes.default_model.training.torch_patterns import DevicePatterns
from recipes.default_model.training.train import RARE, describe, log_to
from recipes.default_model.training.train_torch import Trainer, camera

_logger = logging.getLogger("default_model")

BATCHES_FOR_STATISTICS = 50
STEPS_BEFORE_RECORDING = 5


class Recorded:
    """One step of training, recorded as a graph of a GPU.

    Parameters
    ----------
    trainer
        Trainer, which is on the GPU.
    patterns
        Makes the patterns.
    """

    def __init__(self, trainer: Trainer, patterns: DevicePatterns) -> None:
        self.trainer, self.patterns = trainer, patterns
        self.total = torch.zeros((), device="cuda")
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(STEPS_BEFORE_RECORDING):
                self._step()
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self._step()
        self.total.zero_()

    def _step(self) -> None:
        self.total += self.trainer.make_step(*self.patterns.make())

    def __call__(self, done: float) -> None:
        """Make one step, when a share of the training is done."""
        self.trainer.before_step(done)
        self.graph.replay()
        self.trainer.after_step()


class Direct(Recorded):
    """One step of training, as it is."""

    def __init__(self, trainer: Trainer, patterns: DevicePatterns) -> None:
        self.trainer, self.patterns = trainer, patterns
        self.total = torch.zeros((), device=trainer.device)

    def __call__(self, done: float) -> None:
        """Make one step, when a share of the training is done."""
        self.trainer.before_step(done)
        self._step()
        self.trainer.after_step()


def main() -> None:
    """Train and save the model."""
    parser = argparse.ArgumentParser(description="Train the default model on a GPU")
    parser.add_argument("start", type=Path, help="model to go on from")
    parser.add_argument("output", type=Path)
    parser.add_argument("packed", type=Path, nargs="+")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--stop", type=float, help="seconds after which to pause")
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--outlier-share", type=float, default=0.14)
    parser.add_argument("--blend-share", type=float, default=0.3)
    parser.add_argument("--average", type=float, default=0.9995)
    parser.add_argument("--flat", action="store_true", help="average, do not decay")
    parser.add_argument(
        "--camera", type=camera, default="{}", help="what differs, JSON"
    )
    parser.add_argument("--every", type=float, default=60, help="seconds, for backups")
    parser.add_argument("--direct", action="store_true", help="record no graph")
    args = parser.parse_args()
    log_to(args.output)
    started = time.monotonic()
    keras.utils.set_random_seed(args.seed)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
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
    patterns = DevicePatterns(
        model, dataset, partners, torch.device(device), args.camera
    )
    trainer = Trainer(
        model.network,
        args.learning_rate,
        average=args.average,
        flat=args.flat,
        device=device,
    )
    clock = Clock(args.output, args.minutes * 60)
    if clock.backup.exists():
        trainer.load(clock.backup)
    trainer.before_step(0.0)  # With which it is recorded
    step = (Direct if args.direct else Recorded)(trainer, patterns)
    _logger.info(
        "%s phases on %s, from step %s", library.n_phases, device, trainer.step
    )
    steps_before = model.metadata["steps"]
    n = trainer.step
    clock.start()
    stopped = False
    while clock.done < 1 and not stopped:
        step(clock.done)
        if trainer.step % 20 == 0:
            step.total.item()  # So that the clock counts work that is done
        stopped = args.stop is not None and time.monotonic() - started > args.stop
        if clock.since_log() < args.every and clock.done < 1 and not stopped:
            continue
        n_steps = trainer.step - n
        rate = args.batch_size * n_steps / clock.since_log()
        loss = step.total.item() / max(n_steps, 1)
        now = clock.seconds()
        _logger.info("%.0f s, step %s: %.4f, %.0f/s", now, trainer.step, loss, rate)
        trainer.save(clock.backup)
        clock.save()
        trainer.write_average(patterns.make() for _ in range(BATCHES_FOR_STATISTICS))
        steps = steps_before + trainer.step * args.batch_size // 64
        describe(model, library, steps, args.seed)
        model.save(args.output / "default.keras", overwrite=True)
        step.total.zero_()
        n = trainer.step
        clock.restart_log()


if __name__ == "__main__":
    main()

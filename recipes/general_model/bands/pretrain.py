# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the band network on drawn bands, before it sees those found in patterns.

Usage::

    python -m recipes.general_model.bands.pretrain BANDS.npz OUTPUT --minutes 60

where BANDS.npz is written by ``table.py``. The learning rate follows the clock, so that
the time is given beforehand. The same command goes on after an interruption, from a
backup in OUTPUT. With ``KERAS_BACKEND=torch`` and a GPU, all is done there: give it
larger batches.
"""

import argparse
from collections.abc import Sequence
import logging
from pathlib import Path

import numpy as np
import torch

from recipes.default_model.training.clock import Clock
from recipes.default_model.training.train import log_to
from recipes.general_model.bands.draw import BandDrawer
from recipes.general_model.bands.trainer import (
    BandTrainer,
    add_options,
    best_device,
    create_model,
    smooth,
)
from recipes.general_model.library import sampling_weights
from recipes.general_model.structures.structure_table import (
    FURTHER,
    TABLE,
    read_structures,
)

_logger = logging.getLogger("general_model")
ALL_GROUPS = tuple(range(1, 231))
WATCHED_EACH = 12


def probabilities_of(structures: Sequence) -> np.ndarray:
    """Return how often structures are drawn, as ``sampling_weights`` says."""
    weights = sampling_weights(structures)
    of_type = np.array([weights["phases"][s.identifier] for s in structures])
    groups = np.array([s.space_group for s in structures])
    sums = np.bincount(groups, of_type, 231)
    share = np.array([weights["space_groups"][n] for n in groups.tolist()])
    p = of_type / sums[groups] * share
    return p / p.sum()


class Bands:
    """The bands of a table, by split."""

    def __init__(self, path: Path, n_bands: int, seed: int, device: str) -> None:
        rows = [s for p in (TABLE, FURTHER) for s in read_structures(p)]
        by_name = {s.identifier: s for s in rows}
        with np.load(path) as file:
            self.structures = [by_name[i] for i in file["identifiers"].tolist()]
            groups = np.array([s.space_group for s in self.structures])
            self.drawer = BandDrawer(
                file["normals"], file["profiles"], groups, n_bands, seed, device
            )
        self.groups = groups
        self.split = np.array([s.extra["split"] for s in self.structures])
        self.training = np.flatnonzero(self.split == "training")
        self.probabilities = probabilities_of(
            [self.structures[i] for i in self.training]
        )
        self.targets = smooth(torch.eye(len(ALL_GROUPS), device=device))

    def batch(self, n: int) -> tuple[tuple, torch.Tensor]:
        """Return bands of n patterns and their targets."""
        drawn = self.drawer.rng.choice(self.training, n, p=self.probabilities)
        return self.drawer.draw(drawn), self.targets[self.groups[drawn] - 1]

    def watched(self, split: str) -> tuple[tuple, np.ndarray]:
        """Return bands of the structures of a list, and their space groups."""
        drawn = np.repeat(np.flatnonzero(self.split == split), WATCHED_EACH)
        return self.drawer.draw(drawn, vary=False), self.groups[drawn]


def main() -> None:
    """Train and save the model."""
    parser = argparse.ArgumentParser(description="Pretrain the band network")
    parser.add_argument("bands", type=Path)
    add_options(parser, batch_size=256, learning_rate=1.5e-3)
    args = parser.parse_args()
    log_to(args.output)
    model = create_model(ALL_GROUPS, args)
    clock = Clock(args.output, args.minutes * 60)
    device = best_device()
    trainer = BandTrainer(model.network, ALL_GROUPS, args.learning_rate, device)
    if clock.backup.exists():
        trainer.load(clock.backup)
    # Another seed after an interruption, so that nothing is drawn again
    bands = Bands(args.bands, args.n_bands, args.seed + trainer.step, device)
    splits = ("validation_materials", "validation_types")
    watched = {split: bands.watched(split) for split in splits}
    _logger.info("%s structures, from step %s", len(bands.training), trainer.step)
    trainer.run(lambda step: bands.batch(args.batch_size), clock, args, watched)
    shares = np.bincount(bands.groups[bands.training], bands.probabilities, 231)[1:]
    model.prior = np.maximum(shares, 1e-6)
    model.metadata["steps"] = trainer.step
    model.save(args.output / "pretrained.keras", overwrite=True)


if __name__ == "__main__":
    main()

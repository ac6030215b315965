# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Train a general model, of all space groups there are master patterns of.

Usage::

    python -m recipes.general_model.train LIBRARIES OUTPUT --minutes 60

where LIBRARIES is the folder written by ``library.py``. The learning rate follows the
clock, so that the time is given beforehand. The same command goes on after an
interruption, from a backup in OUTPUT. On a CPU, TensorFlow makes patterns and PyTorch
trains (``default_model/training/train_torch.py``); with ``KERAS_BACKEND=torch`` and a
GPU, both are done there (``default_model/training/train_gpu.py``).
"""

import argparse
from datetime import date
import json
import logging
from pathlib import Path

import keras
import numpy as np
import torch

from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.models import SpaceGroupModel, load_model
from kikuchipy_spacegroup.training import SimulatedDataset, similar_entries
from recipes.default_model.structures.library import no_diffraction
from recipes.default_model.training.clock import Clock
from recipes.default_model.training.train import copy_weights, log_to
from recipes.default_model.training.train_torch import Trainer, camera
from recipes.general_model.chain_loss import ChainLoss
from recipes.general_model.library import BANDS
from recipes.general_model.structures.structure_table import read_structures

_logger = logging.getLogger("general_model")

N_PARTNERS = 8
BATCHES_FOR_STATISTICS = 100
# Patterns of noise alone, with the same target for every class
OUTLIER_SHARE = 0.02


def describe(model: SpaceGroupModel, library: MasterPatternLibrary, args) -> None:
    """Write into the model what it was trained on."""
    formulas = {s.identifier: s.formula for s in read_structures()}
    phases = {
        name.removesuffix(BANDS): number
        for name, number in zip(library.phase_names, library.space_groups.tolist())
    }
    n_bands = sum(name.endswith(BANDS) for name in library.phase_names)
    model.metadata |= {
        "name": "general",
        "trained_on": f"{len(phases)} simulated structures of "
        f"{len(model.space_groups)} space groups, {library.n_phases - n_bands} of them with "
        "Bloch waves; no real pattern",
        "phases": sorted(f"{formulas[name]} ({n})" for name, n in phases.items()),
        "voltages": sorted({round(float(kv)) for kv in library.energies}),
        "seed": args.seed,
        "date": date.today().isoformat(),
        "licence": "GPL-3.0-or-later",
    }


def make_dataset(
    library: MasterPatternLibrary, weights: dict, args: argparse.Namespace
) -> SimulatedDataset:
    """Return the recipes of training patterns."""
    blank = no_diffraction(library.half_width)
    return SimulatedDataset(
        library + blank,
        sorted(set(library.space_groups.tolist())),
        batch_size=args.batch_size,
        steps=1 << 30,
        outlier_share=OUTLIER_SHARE,
        phase_weights=weights["phases"],
        space_group_weights={int(n): w for n, w in weights["space_groups"].items()},
        blend_share=args.blend_share,
        seed=args.seed,
    )


def make_patterns(
    model: SpaceGroupModel, dataset: SimulatedDataset, args: argparse.Namespace
):
    """Return a function from the number of a step to patterns and targets."""
    if keras.backend.backend() != "torch":
        from recipes.default_model.training.train_torch import Patterns

        return Patterns(model, dataset, args.camera)
    from recipes.default_model.training.torch_patterns import DevicePatterns

    partners = np.arange(len(dataset.library))[:, None]
    if args.blend_share:
        similar = similar_entries(dataset.library, N_PARTNERS)
        partners = np.array([np.resize(i, N_PARTNERS) for i in similar])
    device = torch.device(args.device)
    patterns = DevicePatterns(model, dataset, partners, device, args.camera)
    return lambda step: patterns.make()


def parse() -> argparse.Namespace:
    """Return the arguments of the command."""
    parser = argparse.ArgumentParser(description="Train a general model")
    parser.add_argument("libraries", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--start", type=Path, help="model to take weights from")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--crop", type=float, default=1.0)
    parser.add_argument("--blocks", type=int, nargs=4, default=(1, 2, 2, 1))
    parser.add_argument("--filters", type=int, nargs=4, default=(32, 64, 128, 256))
    parser.add_argument("--level-weights", type=float, nargs=6, help="finest first")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--blend-share", type=float, default=0.0)
    parser.add_argument("--average", type=float, default=0.999)
    parser.add_argument("--flat", action="store_true", help="average, do not decay")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--backup-every", type=int, default=1000, help="steps")
    parser.add_argument(
        "--camera", type=camera, default="{}", help="what differs, JSON"
    )
    args = parser.parse_args()
    on_gpu = keras.backend.backend() == "torch" and torch.cuda.is_available()
    args.device = "cuda" if on_gpu else "cpu"
    return args


def main() -> None:
    """Train and save the model."""
    args = parse()
    log_to(args.output)
    keras.utils.set_random_seed(args.seed)
    library = MasterPatternLibrary.load(args.libraries / "training.npz")
    weights = json.loads((args.libraries / "weights.json").read_text())
    dataset = make_dataset(library, weights, args)
    model = SpaceGroupModel.create(
        dataset.space_groups,
        size=args.size,
        filters=args.filters,
        blocks=args.blocks,
        prepare_kwargs={"crop": args.crop},
    )
    if args.start is not None:
        copy_weights(load_model(args.start).network, model.network)
    patterns = make_patterns(model, dataset, args)
    trainer = Trainer(
        model.network,
        args.learning_rate,
        average=args.average,
        flat=args.flat,
        device=args.device,
        loss=ChainLoss(dataset.space_groups, args.device, args.level_weights),
    )
    clock = Clock(args.output, args.minutes * 60)
    if clock.backup.exists():
        trainer.load(clock.backup)
    _logger.info(
        "%s structures, %s space groups, from step %s",
        library.n_phases,
        len(dataset.space_groups),
        trainer.step,
    )
    clock.start()
    losses, first = [], trainer.step
    while clock.done < 1:
        losses.append(trainer.train(*patterns(trainer.step), clock.done))
        if trainer.step % args.backup_every == 0:
            rate = args.batch_size * (trainer.step - first) / clock.since_log()
            mean = float(torch.stack(losses).mean())
            _logger.info(
                "%.0f s, step %s: %.4f, %.0f/s",
                clock.seconds(),
                trainer.step,
                mean,
                rate,
            )
            trainer.save(clock.backup)
            clock.save()
            losses, first = [], trainer.step
            clock.restart_log()
    trainer.save(clock.backup)
    clock.save()
    trainer.write_average(
        patterns(trainer.step + i) for i in range(BATCHES_FOR_STATISTICS)
    )
    describe(model, library, args)
    model.metadata["steps"] = trainer.step
    model.prior = dataset.class_shares
    model.save(args.output / "general.keras", overwrite=True)


if __name__ == "__main__":
    main()

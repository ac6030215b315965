# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Train a general model, of all space groups there are master patterns of.

Usage::

    python -m recipes.general_model.train LIBRARIES OUTPUT --start PRETRAINED --minutes 60

where LIBRARIES is the folder written by ``library.py`` and PRETRAINED a model of
``bands/pretrain.py``. The learning rate follows the clock, so that the time is given
beforehand. The same command goes on after an interruption, from a backup in OUTPUT.
Patterns are made and their bands are found by TensorFlow, on one core, and PyTorch trains
the rest of the network. With ``KERAS_BACKEND=torch`` and a GPU, all is done there: give it
larger batches.
"""

import argparse
from collections.abc import Callable
from datetime import date
import json
import logging
from pathlib import Path

import keras
import numpy as np
import torch

from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.models import SpaceGroupModel
from kikuchipy_spacegroup.simulation import (
    Acquisition,
    ProjectPatterns,
    SimulateCamera,
    random_strains,
)
from kikuchipy_spacegroup.training import SimulatedDataset
from recipes.default_model.structures.library import no_diffraction
from recipes.default_model.training.clock import Clock
from recipes.default_model.training.train import log_to
from recipes.default_model.training.train_torch import camera
from recipes.general_model.bands.draw import CENTER_ERRORS, UNKNOWN_SHARE
from recipes.general_model.bands.trainer import (
    BandTrainer,
    add_options,
    best_device,
    create_model,
    smooth,
)
from recipes.general_model.bands.vary_found import vary_found
from recipes.general_model.library import BANDS
from recipes.general_model.structures.structure_table import (
    FURTHER,
    TABLE,
    VARIED,
    read_structures,
)

_logger = logging.getLogger("general_model")

# Patterns of noise alone, with the same target for every class
OUTLIER_SHARE = 0.02
STRAIN_SCALE = 0.1
WATCHED = 3000


def find_layers(model: SpaceGroupModel) -> Callable[[list], tuple]:
    """Return what finds bands, and axes if the network uses them."""
    layers = {layer.name: layer for layer in model.network.layers}
    find_bands, find_axes = layers["find_bands"], layers.get("find_zone_axes")
    rotate = layers.get("rotate_bands")

    def find(inputs: list) -> tuple:
        normals, features, is_band, *response = find_bands.call(inputs)
        if find_axes is None:
            return normals, features, is_band
        found = [normals, features, is_band]
        axes, of_axes, is_axis, *of_bands = find_axes.call([*inputs, *found])
        of_bands, of_axes, twofolds = [features, *of_bands], [of_axes], ()
        if rotate is not None:
            more = rotate.call([*response, inputs[1], *found, axes])
            of_axes.append(more[0])
            of_bands.append(more[1])
            twofolds = tuple(more[2:])
        features, of_axes = (
            keras.ops.concatenate(i, axis=-1) for i in (of_bands, of_axes)
        )
        return normals, features, is_band, axes, of_axes, is_axis, *twofolds

    return find


class FoundBands:
    """Bands found in batches of simulated patterns.

    Parameters
    ----------
    model
        Model whose preprocessing and layer that finds bands are used.
    dataset
        Recipes of patterns.
    acquisition
        What the camera does.
    unknown_share
        Share of patterns of which the projection center is unknown.
    vary
        Whether to vary what is found, to train on it.
    """

    def __init__(
        self,
        model: SpaceGroupModel,
        dataset: SimulatedDataset,
        acquisition: Acquisition,
        unknown_share: float = UNKNOWN_SHARE,
        vary: bool = False,
    ) -> None:
        import tensorflow as tf

        self.dataset, self.unknown_share, self.vary = dataset, unknown_share, vary
        self.n_steps = model.network.get_layer("find_bands").n_steps
        self.project = ProjectPatterns(dataset.library, (model.size,) * 2)
        self.camera = SimulateCamera(acquisition, size=model.size, seed=dataset.seed)
        self.prepare = model.prepare
        self.find = find_layers(model)
        self.tensor = tf.convert_to_tensor
        self.make = tf.function(self._make)

    def _make(self, recipe, centers):
        patterns = self.camera(self.project(recipe))
        return self.find([self.prepare(patterns[..., None]), centers])

    def centers(self, geometry: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return projection centers (n, 3) with errors, NaN where unknown."""
        n = len(geometry)
        errors = rng.choice(CENTER_ERRORS, (n, 1))
        centers = geometry[:, :3] + errors * rng.standard_normal((n, 3))
        centers[rng.random(n) < self.unknown_share] = np.nan
        return centers.astype("float32")

    def __call__(self, step: int) -> tuple[tuple, torch.Tensor]:
        """Return bands of a batch, and the targets of shape (n, k)."""
        recipe, targets = self.dataset[step]
        rng = np.random.default_rng([self.dataset.seed, step])
        centers = self.centers(recipe["geometry"], rng)
        recipe = {name: self.tensor(value) for name, value in recipe.items()}
        bands = self.make(recipe, self.tensor(centers))
        bands = tuple(torch.from_numpy(i.numpy()) for i in bands)
        if self.vary:
            bands = vary_found(bands, self.n_steps)
        return bands, smooth(torch.from_numpy(np.asarray(targets)))


class FoundBandsOnDevice:
    """Bands found in patterns that PyTorch makes on a device.

    Parameters
    ----------
    model, dataset, acquisition
        See :class:`FoundBands`.
    device
        PyTorch's device.
    """

    def __init__(
        self,
        model: SpaceGroupModel,
        dataset: SimulatedDataset,
        acquisition: Acquisition,
        device: str,
    ) -> None:
        from recipes.default_model.training.torch_patterns import DevicePatterns

        nobody = np.arange(len(dataset.library))[:, None]
        where = torch.device(device)
        self.patterns = DevicePatterns(model, dataset, nobody, where, acquisition)
        self.find = find_layers(model)
        self.n_steps = model.network.get_layer("find_bands").n_steps
        self.groups = np.asarray(dataset.library.space_groups)
        self.phases = np.asarray(dataset.library.phase_index)
        self.errors = torch.tensor(CENTER_ERRORS, device=device)
        self.rng = np.random.default_rng(dataset.seed)
        self.scale = dataset.strain_scale

    def __call__(self, step: int) -> tuple[tuple, torch.Tensor]:
        """Return bands of a batch, and the targets of shape (n, k)."""
        from recipes.default_model.training.torch_patterns import NumbersOnDevice

        patterns = self.patterns
        with torch.no_grad(), NumbersOnDevice():
            recipe, entries = patterns.draw()
            groups = self.groups[self.phases[entries.cpu().numpy()]]
            strains = random_strains(groups, self.scale, self.rng)
            recipe["strain"] = torch.as_tensor(strains, device=entries.device)
            made = patterns.camera.call(patterns.project.call(recipe))
            prepared = patterns.prepare.call(made[..., None])
            bands = self.find([prepared, self.centers(recipe["geometry"])])
            bands = vary_found(tuple(bands), self.n_steps)
        return bands, patterns.targets[entries]

    def centers(self, geometry: torch.Tensor) -> torch.Tensor:
        """Return projection centers (n, 3) with errors, NaN where unknown."""
        n, device = len(geometry), geometry.device
        errors = self.errors[torch.randint(len(self.errors), (n, 1), device=device)]
        centers = geometry[:, :3] + errors * torch.randn((n, 3), device=device)
        is_unknown = torch.rand((n, 1), device=device) < UNKNOWN_SHARE
        return torch.where(is_unknown, torch.nan, centers)


def describe(model: SpaceGroupModel, library: MasterPatternLibrary, seed: int) -> None:
    """Write into the model what it was trained on."""
    tables = TABLE, FURTHER, VARIED
    structures = [s for path in tables for s in read_structures(path)]
    formulas = {s.identifier: s.formula for s in structures}
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
        "seed": seed,
        "date": date.today().isoformat(),
        "licence": "GPL-3.0-or-later",
    }


def make_dataset(
    library: MasterPatternLibrary, weights: dict, args: argparse.Namespace
) -> SimulatedDataset:
    """Return the recipes of training patterns."""
    return SimulatedDataset(
        library + no_diffraction(library.half_width),
        sorted(set(library.space_groups.tolist())),
        batch_size=args.batch_size,
        steps=1 << 30,
        outlier_share=OUTLIER_SHARE,
        phase_weights=weights["phases"],
        space_group_weights={int(n): w for n, w in weights["space_groups"].items()},
        strain_scale=STRAIN_SCALE,
        seed=args.seed,
    )


def watch(
    model: SpaceGroupModel, libraries: Path, acquisition: Acquisition
) -> dict[str, tuple]:
    """Return bands and space groups of the validation lists, center known or not."""
    watched = {}
    for kind in ("materials", "types"):
        path = libraries / f"validation_{kind}.npz"
        if not path.exists():
            continue
        library = MasterPatternLibrary.load(path)
        groups = sorted(set(library.space_groups.tolist()))
        dataset = SimulatedDataset(library, groups, batch_size=WATCHED // 4, seed=5)
        for name, share in (("known", 0.0), ("unknown", 1.0)):
            found = FoundBands(model, dataset, acquisition, share)
            parts = [found(i) for i in range(4)]
            bands = tuple(torch.cat(i) for i in zip(*(part for part, _ in parts)))
            labels = torch.cat([targets.argmax(1) for _, targets in parts]).numpy()
            watched[f"{kind}, center {name}"] = bands, np.array(groups)[labels]
    return watched


def parse() -> argparse.Namespace:
    """Return the arguments of the command."""
    parser = argparse.ArgumentParser(description="Train a general model")
    parser.add_argument("libraries", type=Path)
    add_options(parser, batch_size=128, learning_rate=8e-4, n_axes=20, n_twofolds=8)
    parser.add_argument(
        "--camera", type=camera, default="{}", help="what differs, JSON"
    )
    return parser.parse_args()


def main() -> None:
    """Train and save the model."""
    args = parse()
    log_to(args.output)
    library = MasterPatternLibrary.load(args.libraries / "training.npz")
    weights = json.loads((args.libraries / "weights.json").read_text())
    dataset = make_dataset(library, weights, args)
    model = create_model(dataset.space_groups, args)
    clock, device = Clock(args.output, args.minutes * 60), best_device()
    if keras.backend.backend() == "torch":
        found = FoundBandsOnDevice(model, dataset, args.camera, device)
    else:
        found = FoundBands(model, dataset, args.camera, vary=True)
    trainer = BandTrainer(
        model.network, dataset.space_groups, args.learning_rate, device, args.bfloat16
    )
    if clock.backup.exists():
        trainer.load(clock.backup)
    watched = {}
    if keras.backend.backend() == "tensorflow":
        watched = watch(model, args.libraries, args.camera)
    text = "%s structures, %s space groups, from step %s"
    _logger.info(text, library.n_phases, len(dataset.space_groups), trainer.step)
    trainer.run(found, clock, args, watched)
    describe(model, library, args.seed)
    model.metadata["steps"] = trainer.step
    model.prior = dataset.class_shares
    model.save(args.output / "general.keras", overwrite=True)


if __name__ == "__main__":
    main()

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the band network on bands, drawn or found."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
import logging
import math
from pathlib import Path

import keras
import numpy as np
import torch

from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.models import SpaceGroupModel, load_model
from recipes.default_model.training.clock import Clock
from recipes.default_model.training.train import copy_weights
from recipes.general_model.bands.torch_network import Bands
from recipes.general_model.bands.widen import widen
from recipes.general_model.chain_loss import ChainLoss

_logger = logging.getLogger("general_model")
LABEL_SMOOTHING = 0.02
WEIGHT_DECAY = 1e-2
LARGEST_GRADIENT = 1.0
# Windows of local mean and local contrast little wider than bands, so that background is
# not taken for symmetry, and bands count alike in bright and dark parts of a pattern
PREPARATION = {"background_sigma": 0.06, "contrast_sigma": 0.06}
WARM_UP_STEPS = 300
LOGGED = "crystal_system", "laue_class", "laue_class_with_lattice", "diffraction_symbol"


def best_device() -> str:
    """Return PyTorch's device, a GPU if Keras runs on PyTorch too."""
    on_gpu = keras.backend.backend() == "torch" and torch.cuda.is_available()
    return "cuda" if on_gpu else "cpu"


def smooth(targets: torch.Tensor) -> torch.Tensor:
    """Return targets (n, k) of which a part is shared by all classes."""
    return (1 - LABEL_SMOOTHING) * targets + LABEL_SMOOTHING / targets.shape[1]


def add_options(
    parser: argparse.ArgumentParser,
    batch_size: int,
    learning_rate: float,
    n_axes: int = 0,
    n_twofolds: int = 0,
) -> None:
    """Add what both trainings of the network can be told."""
    parser.add_argument("output", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--start", type=Path, help="model to take weights from")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--n-bands", type=int, default=16)
    parser.add_argument("--n-axes", type=int, default=n_axes)
    parser.add_argument("--n-twofolds", type=int, default=n_twofolds)
    parser.add_argument("--batch-size", type=int, default=batch_size)
    parser.add_argument("--learning-rate", type=float, default=learning_rate)
    parser.add_argument(
        "--bfloat16", action="store_true", help="dense layers in 16 bits"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log-every", type=int, default=500, help="steps")


def create_model(
    space_groups: Sequence[int], args: argparse.Namespace
) -> SpaceGroupModel:
    """Return a model with a band network, random or with the weights to start from."""
    keras.utils.set_random_seed(args.seed)
    model = SpaceGroupModel.create(
        space_groups,
        size=args.size,
        network="bands",
        units=args.units,
        blocks=args.blocks,
        n_bands=args.n_bands,
        n_axes=args.n_axes,
        n_twofolds=args.n_twofolds,
        prepare_kwargs=PREPARATION,
    )
    if args.start is not None:
        start_from(load_model(args.start).network, model.network)
    return model


def start_from(source: keras.Model, target: keras.Model) -> None:
    """Start a network from one that may see less, compare less often and be narrower.

    Weights of features that are new are zero, those of features that are left out are
    dropped, and blocks that are new change nothing.
    """
    old = {layer.name: layer for layer in source.layers}
    units = [n.get_layer("embed_2").kernel.shape[1] for n in (source, target)]
    if units[1] == 2 * units[0]:
        widen(source, target)
    else:
        copy_weights(source, target)
        for name in ("embed_1", "embed_axes_1"):
            if name in old:
                kernel, bias = old[name].get_weights()
                kernel = np.delete(kernel, left_out(source, target, name), axis=0)
                more = target.get_layer(name).kernel.shape[0] - len(kernel)
                kernel = np.pad(kernel, ((0, more), (0, 0)))
                target.get_layer(name).set_weights([kernel, bias])
    for layer in target.layers:
        if layer.name.startswith("compare_") and layer.name not in old:
            for dense in (layer.combine, layer.contract):
                dense.set_weights([np.zeros_like(w) for w in dense.get_weights()])


def left_out(source: keras.Model, target: keras.Model, name: str) -> slice:
    """Return the features of a layer that are correlations of pixels left out."""
    layers = [{i.name: i for i in network.layers} for network in (source, target)]
    pixels = [
        "find_zone_axes" in i and i["find_zone_axes"].n_points > 0 for i in layers
    ]
    if pixels != [True, False]:
        return slice(0)
    # Before the scalars of axes, and after the features of bands
    first = 0 if name == "embed_axes_1" else layers[0]["find_bands"].n_steps + 7
    return slice(first, first + (8 if name == "embed_axes_1" else 2))


class BandTrainer:
    """A band network in training.

    Parameters
    ----------
    network
        Network of :func:`kikuchipy_spacegroup.models.band_network`.
    space_groups
        Space groups in the order of its logits.
    rate
        Highest learning rate.
    device
        PyTorch's device.
    bfloat16
        Whether to apply dense layers in bfloat16.
    """

    def __init__(
        self,
        network: keras.Model,
        space_groups: Sequence[int],
        rate: float,
        device: str = "cpu",
        bfloat16: bool = False,
    ) -> None:
        self.network = Bands(network, bfloat16).to(device)
        self.space_groups, self.device = np.asarray(space_groups), device
        self.compiled = torch.compile(self.network)
        self.loss = ChainLoss(space_groups, device)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=rate, weight_decay=WEIGHT_DECAY
        )
        self.rate, self.step, self.losses = rate, 0, []

    def train(self, bands: tuple, targets: torch.Tensor, done: float) -> None:
        """Make one step, when a share of the training is done."""
        rise = min(1.0, (self.step + 1) / WARM_UP_STEPS)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * rise * (1 + math.cos(math.pi * min(done, 1))) / 2
        loss = self.loss(self.compiled(*bands), targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
        self.optimizer.step()
        self.losses.append(loss.detach())
        self.step += 1

    def run(
        self,
        make_batch: Callable[[int], tuple[tuple, torch.Tensor]],
        clock: Clock,
        args: argparse.Namespace,
        watched: Mapping[str, tuple],
    ) -> None:
        """Train until the time is over, and write the weights to Keras' network."""
        clock.start()
        # The next batch is made while the network learns from this one
        with ThreadPoolExecutor(1) as pool:
            batch = pool.submit(make_batch, self.step)
            while clock.done < 1:
                made = batch.result()
                batch = pool.submit(make_batch, self.step + 1)
                self.train(*made, clock.done)
                if self.step % args.log_every == 0:
                    self.log(clock, args.batch_size, watched)
        self.log(clock, args.batch_size, watched)
        self.network.to_keras()

    @torch.no_grad()
    def score(self, bands: tuple, truth: np.ndarray) -> dict[str, float]:
        """Return how often levels are right, crystal systems in equal parts."""
        self.network.eval()
        parts = zip(*(part.split(512) for part in bands))
        p = torch.cat([self.network(*part).softmax(1) for part in parts])
        p = p.cpu().numpy()
        self.network.train()
        systems = sg.coarsen(truth, "crystal_system")
        _, inverse, counts = np.unique(systems, return_inverse=True, return_counts=True)
        weights = 1 / counts[inverse] / len(counts)
        scores = {}
        for level in LOGGED:
            summed, labels = sg.coarsen_probabilities(p, self.space_groups, level)
            right = np.array(labels)[summed.argmax(1)] == sg.coarsen(truth, level)
            scores[level] = round(float(weights @ right), 3)
        right = self.space_groups[p.argmax(1)] == truth
        return scores | {"space_group": round(float(weights @ right), 3)}

    def log(self, clock: Clock, batch_size: int, watched: Mapping[str, tuple]) -> None:
        """Log scores and write a backup."""
        rate = batch_size * len(self.losses) / clock.since_log()
        mean = float(torch.stack(self.losses).mean()) if self.losses else math.nan
        scores = {name: self.score(*given) for name, given in watched.items()}
        text = "%.0f s, step %s: %.4f, %.0f/s, %s"
        _logger.info(text, clock.seconds(), self.step, mean, rate, scores)
        self.save(clock.backup)
        clock.save()
        self.losses = []
        clock.restart_log()

    def save(self, path: Path) -> None:
        """Write a backup."""
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        part.rename(path)

    def load(self, path: Path) -> None:
        """Go on from a backup."""
        state = torch.load(path, map_location=self.device)
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])

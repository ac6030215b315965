# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Training patterns made on a GPU with PyTorch, as many as the network can take.

The layers are those of the package, under Keras' backend PyTorch. What differs from
``SimulatedDataset`` is that all random numbers are drawn on the device, and that nothing
is sent there, so that a whole step can be recorded as a graph.
"""

import math

import keras
import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from kikuchipy_spacegroup.models import SpaceGroupModel
from kikuchipy_spacegroup.patterns import PreparePatterns
from kikuchipy_spacegroup.simulation import Acquisition, ProjectPatterns, SimulateCamera
from kikuchipy_spacegroup.training import SimulatedDataset

PARTNER_SHARE = (-0.25, 0.75)
LABEL_SMOOTHING = 0.02


class NumbersOnDevice(TorchFunctionMode):
    """Makes tensors of single numbers on the device instead of sending them there."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.as_tensor and isinstance(args[0], bool | int | float):
            return torch.full((), args[0], **kwargs)
        return function(*args, **kwargs)


class Camera(SimulateCamera):
    """Camera with random numbers of PyTorch's own.

    Those of Keras wait for the device with every draw.
    """

    def __init__(self, device: torch.device, **kwargs) -> None:
        super().__init__(**kwargs)
        self.device = device
        self._offset = torch.as_tensor(self._offset, device=device)
        self._position = torch.as_tensor(self._position, device=device)

    def draw_uniform(self, n, limits, per_pixel=False):
        low, high = limits
        shape = (n, self.size, self.size) if per_pixel else (n, 1, 1)
        return torch.rand(shape, device=self.device) * (high - low) + low

    def draw_log_uniform(self, n, limits):
        return self.draw_uniform(n, [math.log(i) for i in limits]).exp()

    def chance(self, n, probability):
        return (torch.rand((n, 1, 1), device=self.device) < probability).float()

    def draw_normal(self, n):
        return torch.randn((n, self.size, self.size), device=self.device)


class Prepare(PreparePatterns):
    """Preprocessing of patterns of the right size, with its matrices on the device."""

    def __init__(self, device: torch.device, **config) -> None:
        super().__init__(**config)
        self._background, self._contrast = (
            tuple(torch.as_tensor(i, device=device) for i in matrices)
            for matrices in (self._background, self._contrast)
        )
        self._circle = torch.as_tensor(self._circle, device=device)

    def resize(self, patterns):
        finite = torch.isfinite(patterns[..., 0])
        return torch.where(finite, patterns[..., 0], 0.0), finite.float()


class DevicePatterns:
    """Batches of training patterns on a device.

    Parameters
    ----------
    model
        Model whose preprocessing patterns go through.
    dataset
        Tells how often what is drawn.
    partners
        Entries of shape (n, k) to blend with.
    device
        PyTorch's device.
    acquisition
        What the camera does.
    """

    def __init__(
        self,
        model: SpaceGroupModel,
        dataset: SimulatedDataset,
        partners: np.ndarray,
        device: torch.device,
        acquisition: Acquisition | None = None,
    ) -> None:
        self.device = device
        g = dataset.geometry
        self.geometry = torch.tensor(
            [
                [g.pcx[0], g.pcy[0], np.log(g.pcz[0]), 1 - g.stretch, g.distortion[0]],
                [g.pcx[1], g.pcy[1], np.log(g.pcz[1]), 1 + g.stretch, g.distortion[1]],
            ],
            device=device,
        ).float()
        self.blend_share = dataset.blend_share
        self.batch_size = dataset.batch_size
        self.project = ProjectPatterns(dataset.library, (model.size,) * 2)
        self.camera = Camera(device, acquisition=acquisition, size=model.size)
        self.prepare = Prepare(device, **model.prepare.get_config())
        probabilities, labels = dataset.entry_probabilities()
        k = len(dataset.space_groups)
        targets = np.full((len(labels), k), 1 / k, "float32")
        known = labels >= 0
        targets[known] = np.eye(k)[labels[known]] * (1 - LABEL_SMOOTHING)
        targets[known] += LABEL_SMOOTHING / k
        self.cumulative = torch.as_tensor(np.cumsum(probabilities), device=device)
        self.targets = torch.as_tensor(targets, device=device)
        self.partners = torch.as_tensor(partners, device=device).long()
        self.upper, self.lower = (
            torch.as_tensor(np.asarray(i, "int64"), device=device)
            for i in (dataset.library.upper, dataset.library.lower)
        )

    def make(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return patterns of shape (n, 1, size, size) and their targets."""
        with torch.no_grad(), NumbersOnDevice():
            recipe, entries = self.draw()
            patterns = self.camera.call(self.project.call(recipe))
            patterns = self.prepare.call(patterns[..., None])
            return patterns.permute(0, 3, 1, 2), self.targets[entries]

    def draw(self) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Return the recipe of a batch, and which entries of the library it is of."""
        n = self.batch_size
        drawn = torch.rand(n, device=self.device, dtype=torch.float64)
        entries = torch.searchsorted(self.cumulative, drawn * self.cumulative[-1])
        entries = entries.clamp_max(len(self.cumulative) - 1)
        column = torch.randint(self.partners.shape[1], (n,), device=self.device)
        others = self.partners[entries, column]
        low, high = PARTNER_SHARE
        share = torch.rand(n, device=self.device) * (high - low) + low
        share = share * (torch.rand(n, device=self.device) < self.blend_share)
        recipe = {
            "orientation": rotations(n, self.device),
            "geometry": self._geometries(n),
            "upper": self.upper[entries],
            "lower": self.lower[entries],
            "partner_upper": self.upper[others],
            "partner_lower": self.lower[others],
            "partner_share": share,
        }
        return recipe, entries

    def _geometries(self, n: int) -> torch.Tensor:
        low, high = self.geometry
        drawn = low + (high - low) * torch.rand((n, 5), device=self.device)
        drawn[:, 2] = drawn[:, 2].exp()
        return drawn


def rotations(n: int, device: torch.device) -> torch.Tensor:
    """Return rotation matrices drawn uniformly from SO(3)."""
    q = torch.randn((n, 4), device=device)
    w, x, y, z = (q / q.norm(dim=1, keepdim=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=1)


assert keras.backend.backend() == "torch", "Set KERAS_BACKEND=torch"

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The band network of the package in PyTorch by itself, from bands on, to train it fast.

Finding bands has no weights to train, and is done by the package's layer.
"""

import keras
import torch
from torch import nn

# What is compared: bands, zone axes and twofold axes
EMBEDDED = "embed", "embed_axes", "embed_twofolds"
DENSE = *(f"{name}_{i}" for name in EMBEDDED for i in (1, 2)), "hidden", "logits"


class Compare(nn.Module):
    """Self-attention of bands that sees angles, as ``CompareBands``."""

    def __init__(self, layer: keras.layers.Layer, dropout: float) -> None:
        super().__init__()
        units = layer.units
        self.heads, self.rate = layer.heads, dropout
        self.norm_before, self.norm_between = (nn.LayerNorm(units) for _ in range(2))
        self.project = nn.Linear(units, 3 * units)
        self.prefer = nn.Linear(layer.n_angles, layer.heads)
        self.combine = nn.Linear(2 * units, units)
        self.expand = nn.Linear(units, 2 * units)
        self.contract = nn.Linear(2 * units, units)
        self.angle_values = nn.Parameter(
            torch.zeros(layer.heads, layer.n_angles, units // layer.heads)
        )

    def forward(self, x, angles, mask):
        """Return new features (n, bands, units)."""
        n, bands, units = x.shape
        size = units // self.heads
        projected = self.project(self.norm_before(x))
        projected = projected.reshape(n, bands, 3, self.heads, size)
        query, key, value = projected.permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-1, -2) / size**0.5
        scores = scores + self.prefer(angles).permute(0, 3, 1, 2) + mask
        attention = scores.float().softmax(-1).to(value.dtype)
        of_bands = (attention @ value).transpose(1, 2).reshape(n, bands, units)
        of_angles = attention.permute(0, 2, 1, 3) @ angles
        of_angles = torch.einsum("bihk,hkd->bihd", of_angles, self.angle_values)
        both = torch.cat([of_bands, of_angles.reshape(n, bands, units)], -1)
        x = x + self._drop(self.combine(both))
        hidden = nn.functional.gelu(self.expand(self.norm_between(x)))
        return x + self._drop(self.contract(hidden))

    def _drop(self, x):
        """Return features of which some are zero while the network learns."""
        return nn.functional.dropout(x, self.rate, self.training)


class Bands(nn.Module):
    """Network with the weights of a band network of the package.

    Parameters
    ----------
    network
        Network of :func:`kikuchipy_spacegroup.models.band_network`.
    bfloat16
        Whether to multiply in bfloat16, which takes half of the time on
        processors that have it. Angles are calculated, and features added
        up, in 32 bits.
    """

    def __init__(self, network: keras.Model, bfloat16: bool = False) -> None:
        super().__init__()
        self.bfloat16 = bfloat16
        layers = {layer.name: layer for layer in network.layers}
        self.sources = layers
        compared = [name for name in layers if name.startswith("compare_")]
        first = layers[compared[0]]
        self.width = first.width
        centers = torch.linspace(0, 90, first.n_angles)
        self.register_buffer("centers", centers, persistent=False)
        self.dense = nn.ModuleDict(
            {
                name: nn.Linear(*layers[name].kernel.shape)
                for name in DENSE
                if name in layers
            }
        )
        rate = layers["dropout"].rate
        self.compare = nn.ModuleList(Compare(layers[name], rate) for name in compared)
        self.norm = nn.LayerNorm(2 * first.units)
        self.dropout = nn.Dropout(rate)
        self._copy(to_keras=False)

    def forward(self, directions, features, is_there, *others):
        """Return logits.

        Parameters
        ----------
        directions, features, is_there
            Normals (n, bands, 3), features (n, bands, k), and which are bands
            (n, bands).
        *others
            The same of zone axes, then of twofold axes, if the network uses them.
        """
        features = [features, *others[1::3]]
        directions = torch.cat([directions, *others[::3]], 1)
        is_there = torch.cat([is_there, *others[2::3]], 1)
        cosines = (directions @ directions.transpose(1, 2)).abs().clamp(max=1 - 1e-6)
        angles = torch.rad2deg(torch.acos(cosines))[..., None]
        angles = torch.exp(-0.5 * ((angles - self.centers) / self.width) ** 2)
        mask = -1e4 * (1 - is_there)[:, None, None]
        with torch.autocast(angles.device.type, torch.bfloat16, enabled=self.bfloat16):
            if self.bfloat16:
                angles = angles.bfloat16()
            names = EMBEDDED[: len(features)]
            x = [self._embed(*i) for i in zip(names, features)]
            x = torch.cat(x, 1).float()
            for layer in self.compare:
                x = layer(x, angles, mask)
        weight = is_there[..., None]
        mean = (x * weight).sum(1) / weight.sum(1).clamp_min(1)
        largest = torch.where(weight > 0.5, x, -9.0).amax(1)
        x = self.norm(torch.cat([mean, largest], -1))
        hidden = nn.functional.gelu(self.dense["hidden"](x))
        return self.dense["logits"](self.dropout(hidden))

    def _embed(self, name, features):
        """Return features (n, bands or axes, units)."""
        hidden = nn.functional.gelu(self.dense[f"{name}_1"](features))
        return self.dense[f"{name}_2"](hidden)

    def to_keras(self) -> None:
        """Write the weights to the network they came from."""
        self._copy(to_keras=True)

    def _copy(self, to_keras: bool) -> None:
        for mine, theirs, transposed in self._pairs():
            if to_keras:
                values = mine.detach().float().cpu()
                theirs.assign((values.T if transposed else values).contiguous())
            else:
                values = torch.as_tensor(keras.ops.convert_to_numpy(theirs))
                mine.data.copy_(values.T if transposed else values)

    def _pairs(self):
        """Yield parameters, those of Keras, and whether one is the other transposed."""
        modules = [(module, self.sources[name]) for name, module in self.dense.items()]
        modules.append((self.norm, self.sources["norm"]))
        for i, module in enumerate(self.compare, 1):
            layer = self.sources[f"compare_{i}"]
            yield module.angle_values, layer.angle_values, False
            modules += [
                (child, getattr(layer, name)) for name, child in module.named_children()
            ]
        for module, layer in modules:
            if isinstance(module, nn.Linear):
                yield module.weight, layer.kernel, True
            else:
                yield module.weight, layer.gamma, False
            bias = layer.bias if isinstance(module, nn.Linear) else layer.beta
            yield module.bias, bias, False

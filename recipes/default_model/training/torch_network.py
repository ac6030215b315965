# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The residual network of the package in PyTorch by itself, to train it fast.

Through Keras, PyTorch is four times slower on a CPU than TensorFlow. By itself, with
channels last in memory and bfloat16, it is twice as fast.
"""

import keras
import torch
from torch import nn
from torch.nn import functional


class Convolution(nn.Module):
    """Convolution with the padding of Keras, and batch normalisation."""

    def __init__(self, layers: dict, name: str) -> None:
        super().__init__()
        self.source = layers[f"{name}_conv"], layers[f"{name}_norm"]
        conv, _ = self.source
        (height, _), (self.stride, _) = conv.kernel_size, conv.strides
        # What TensorFlow calls same: more at the end for even sizes
        total = max(height - self.stride, 0)
        self.padding = total // 2, total - total // 2
        n_out, n_in = conv.filters, conv.kernel.shape[2]
        self.conv = nn.Conv2d(n_in, n_out, height, self.stride, bias=False)
        self.norm = nn.BatchNorm2d(n_out, eps=1e-3, momentum=0.01)

    def forward(self, x):
        low, high = self.padding
        if low == high:
            x = functional.conv2d(x, self.conv.weight, None, self.stride, low)
        else:
            x = functional.conv2d(
                functional.pad(x, (low, high, low, high)),
                self.conv.weight,
                None,
                self.stride,
            )
        return self.norm(x)


class Block(nn.Module):
    """Residual block, with a convolution beside it if it halves the size."""

    def __init__(self, layers: dict, name: str) -> None:
        super().__init__()
        self.a, self.b = (Convolution(layers, f"{name}_{i}") for i in "ab")
        self.skip = None
        if f"{name}_skip_conv" in layers:
            self.skip = Convolution(layers, f"{name}_skip")

    def forward(self, x):
        y = self.b(functional.relu(self.a(x)))
        return functional.relu(y + (x if self.skip is None else self.skip(x)))


class Residual(nn.Module):
    """Network with the weights of one of the package.

    Parameters
    ----------
    network
        Residual network of the package.
    """

    def __init__(self, network: keras.Model) -> None:
        super().__init__()
        layers = {layer.name: layer for layer in network.layers}
        self.stem = Convolution(layers, "stem")
        names = [i.removesuffix("_a_conv") for i in layers if i.endswith("_a_conv")]
        self.blocks = nn.Sequential(*(Block(layers, name) for name in names))
        self.dropout = nn.Dropout(layers["dropout"].rate)
        self.last = layers["logits"]
        self.logits = nn.Linear(*self.last.kernel.shape)
        self._copy(to_keras=False)

    def forward(self, x):
        """Return logits of patterns of shape (n, 1, size, size)."""
        x = self.blocks(functional.relu(self.stem(x)))
        return self.logits(self.dropout(x.mean(dim=(2, 3))))

    def to_keras(self) -> None:
        """Write the weights to the network they came from."""
        self._copy(to_keras=True)

    def _copy(self, to_keras: bool) -> None:
        pairs = [(self.logits.weight, self.last.kernel, (1, 0))]
        pairs.append((self.logits.bias, self.last.bias, (0,)))
        for module in self.modules():
            if isinstance(module, Convolution):
                conv, norm = module.source
                pairs += [
                    (module.conv.weight, conv.kernel, (2, 3, 1, 0)),
                    (module.norm.weight, norm.gamma, (0,)),
                    (module.norm.bias, norm.beta, (0,)),
                    (module.norm.running_mean, norm.moving_mean, (0,)),
                    (module.norm.running_var, norm.moving_variance, (0,)),
                ]
        back = {(2, 3, 1, 0): (3, 2, 0, 1)}
        for mine, theirs, axes in pairs:
            if to_keras:
                theirs.assign(mine.detach().float().permute(axes).contiguous())
            else:
                values = torch.as_tensor(keras.ops.convert_to_numpy(theirs))
                mine.data.copy_(values.permute(back.get(axes, axes)))

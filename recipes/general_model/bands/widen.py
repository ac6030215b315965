# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a band network from one with half the units, with the same logits."""

import keras
import numpy as np

# Standard deviation of the share that the first of two equal inputs gets
SHARE = 0.25


def widen(source: keras.Model, target: keras.Model, seed: int = 1) -> None:
    """Set the weights of a network with twice the units of another.

    Every feature is there twice, which normalization does not change. What takes two equal
    features takes both with random shares that add up to one, so that they become different
    in training (Chen et al., Net2Net, 2016).

    Parameters
    ----------
    source
        Network of :func:`kikuchipy_spacegroup.models.band_network`.
    target
        One that differs in its units only. Layers that the source has not are left alone.
    seed
        Seed of the shares.
    """
    rng = np.random.default_rng(seed)
    old = {layer.name: layer for layer in source.layers}
    for layer in target.layers:
        name = layer.name
        if name not in old or not layer.weights:
            continue
        if name.startswith("compare_"):
            _widen_block(old[name], layer, rng)
        elif name == "norm":
            layer.set_weights([_twice(w, 2) for w in old[name].get_weights()])
        else:
            kernel, bias = old[name].get_weights()
            # Features that the source does not see
            first = name in ("embed_1", "embed_axes_1")
            more = layer.kernel.shape[0] - len(kernel) if first else 0
            kernel = np.pad(kernel, ((0, more), (0, 0)))
            if name in ("embed_2", "embed_axes_2", "logits"):
                kernel = _share(kernel, 1, rng)
            elif name == "hidden":
                kernel = _share(kernel, 2, rng)
            if name != "logits":
                kernel, bias = _twice(kernel.T, 1).T, _twice(bias, 1)
            layer.set_weights([kernel, bias])


def _twice(values: np.ndarray, parts: int) -> np.ndarray:
    """Return values (parts * n, ...) with each part twice."""
    values = values.reshape(parts, -1, *values.shape[1:])
    values = np.concatenate([values, values], axis=1)
    return values.reshape(-1, *values.shape[2:])


def _share(kernel: np.ndarray, parts: int, rng: np.random.Generator) -> np.ndarray:
    """Return a kernel (parts * n, m) for inputs of which each part is there twice."""
    kernel = kernel.reshape(parts, -1, kernel.shape[-1])
    share = 0.5 + SHARE * rng.standard_normal(kernel.shape)
    both = np.concatenate([kernel * share, kernel * (1 - share)], axis=1)
    return both.reshape(-1, kernel.shape[-1]).astype("float32")


def _widen_block(
    old: keras.layers.Layer, new: keras.layers.Layer, rng: np.random.Generator
) -> None:
    """Set the weights of a block that compares bands."""
    heads = old.heads
    for name in ("norm_before", "norm_between"):
        weights = [_twice(w, 1) for w in getattr(old, name).get_weights()]
        getattr(new, name).set_weights(weights)
    new.prefer.set_weights(old.prefer.get_weights())
    # Queries, keys and values of each head are twice as long
    kernel, bias = old.project.get_weights()
    kernel, bias = (_twice(w, 3 * heads) for w in (_share(kernel, 1, rng).T, bias))
    scale = np.repeat([2**-0.5, 1, 1], len(bias) // 3).astype("float32")
    new.project.set_weights([kernel.T * scale, bias * scale])
    values = keras.ops.convert_to_numpy(old.angle_values)
    new.angle_values.assign(np.concatenate([values, values], axis=-1))
    for name, parts in (("combine", 2 * heads), ("expand", 1), ("contract", 1)):
        kernel, bias = getattr(old, name).get_weights()
        kernel = _twice(_share(kernel, parts, rng).T, 1).T
        getattr(new, name).set_weights([kernel, _twice(bias, 1)])

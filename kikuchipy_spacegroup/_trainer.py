# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What training needs of Keras: callbacks, optimizer and precision."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np


class FollowEpoch(keras.callbacks.Callback):
    """Tell the dataset its epoch, so that resumed training goes on."""

    def __init__(self, dataset: keras.utils.PyDataset) -> None:
        super().__init__()
        self.dataset = dataset

    def on_epoch_begin(self, epoch, logs=None):
        self.dataset.epoch = epoch


class Validate(keras.callbacks.Callback):
    """Put loss and accuracy of other patterns into the logs."""

    def __init__(
        self, evaluator: keras.Model, patterns: np.ndarray, targets: np.ndarray
    ) -> None:
        super().__init__()
        self.evaluator = evaluator
        self.data = ({"patterns": patterns}, targets)

    def on_epoch_end(self, epoch, logs=None):
        found = self.evaluator.evaluate(*self.data, verbose=0, return_dict=True)
        logs |= {f"val_{name}": value for name, value in found.items()}


def make_optimizer(
    steps: int,
    learning_rate: float,
    decay: bool,
    weight_decay: float,
    average: float | None,
) -> keras.optimizers.Optimizer:
    """Return the optimizer with its schedule."""
    schedule = learning_rate
    if decay:
        warmup = min(500, steps // 20)
        schedule = keras.optimizers.schedules.CosineDecay(
            learning_rate / 100,
            max(steps - warmup, 1),
            alpha=0.0,
            warmup_target=learning_rate,
            warmup_steps=warmup,
        )
    optimizer = keras.optimizers.AdamW(
        schedule,
        weight_decay=weight_decay,
        use_ema=average is not None,
        ema_momentum=average or 0.99,
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer


def compile_graph(
    graph: keras.Model, optimizer: Any, label_smoothing: float = 0.0
) -> None:
    """Compile a graph for training, with the loss of logits."""
    graph.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=label_smoothing
        ),
        metrics=["accuracy"],
        # JAX would run every operation by itself, and XLA does not pay under others
        jit_compile=keras.backend.backend() == "jax",
    )


@contextmanager
def network_precision(network: keras.Model, policy: str | None) -> Iterator[None]:
    """Let the layers of a network but the last compute in another precision."""
    # Those made with a precision of their own, such as the logits, keep it
    changed = {
        layer: layer.dtype_policy for layer in (network.layers[:-1] if policy else [])
    }
    for layer in changed:
        layer.dtype_policy = policy
    try:
        yield
    finally:
        for layer, before in changed.items():
            layer.dtype_policy = before

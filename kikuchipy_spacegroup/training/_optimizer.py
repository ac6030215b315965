# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The optimizer, the loss, and which weights they change."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kikuchipy_spacegroup._keras import keras
from kikuchipy_spacegroup.training._options import Optimization


def make_optimizer(
    steps: int, optimization: Optimization
) -> keras.optimizers.Optimizer:
    """Return the optimizer of Keras with its schedule.

    Parameters
    ----------
    steps
        Number of batches, after which the learning rate is zero if it
        falls.
    optimization
        Learning rate and so on.

    Returns
    -------
    optimizer
        AdamW. Scales and biases do not decay.

    See Also
    --------
    Optimization, keras.optimizers.AdamW

    Examples
    --------
    >>> from kikuchipy_spacegroup.training import Optimization, make_optimizer
    >>> optimizer = make_optimizer(100, Optimization())
    >>> type(optimizer).__name__
    'AdamW'
    """
    learning_rate = schedule = optimization.learning_rate
    if optimization.decay:
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
        weight_decay=optimization.weight_decay,
        use_ema=optimization.average is not None,
        ema_momentum=optimization.average or 0.99,
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer


def compile_graph(
    graph: keras.Model, optimizer: Any, label_smoothing: float = 0.0
) -> None:
    """Compile a graph for training, with the loss of logits.

    All variables of the optimizer and of the metric are made here. TensorFlow
    traces a step that makes some twice, which is most of a short training.
    """
    if not isinstance(optimizer, str):
        _skip_all_reduce(optimizer)
        optimizer.build(graph.trainable_variables)
    graph.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=label_smoothing
        ),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        # JAX would run every operation by itself, and XLA does not pay under others
        jit_compile=keras.backend.backend() == "jax",
    )


def _skip_all_reduce(optimizer: keras.optimizers.Optimizer) -> None:
    """Let an optimizer of a single device leave gradients as they are.

    TensorFlow's ``all_reduce()``, by which Keras adds up the gradients of all
    devices, registers a gradient of its own under a new name for every graph,
    and so keeps the graph and its variables, master patterns too, for good.
    """
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        optimizer._all_reduce_sum_gradients = lambda pairs: pairs


@contextmanager
def network_precision(network: keras.Model, mixed: bool) -> Iterator[None]:
    """Let the layers of a network but the last compute in bfloat16, if asked."""
    # Those made with a precision of their own, such as the logits, keep it
    changed = {
        layer: layer.dtype_policy for layer in (network.layers[:-1] if mixed else [])
    }
    for layer in changed:
        layer.dtype_policy = "mixed_bfloat16"
    try:
        yield
    finally:
        for layer, before in changed.items():
            layer.dtype_policy = before


@contextmanager
def kept_normalization(network: keras.Model, keep: bool) -> Iterator[None]:
    """Let batch normalization stay as it is in training compiled within, if asked."""
    kept = [
        layer
        for layer in (network.layers if keep else [])
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    for layer in kept:
        layer.trainable = False
    try:
        yield
    finally:
        for layer in kept:
            layer.trainable = True

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a Keras model on arrays as fast as each backend can."""

from collections.abc import Callable

import keras
import numpy as np


def compiled(graph: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Return a fast, thread-safe call of a graph on arrays."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        signature = [tf.TensorSpec((None, None, None, 1), tf.float32)]
        call = tf.function(
            lambda x: graph(x, training=False), input_signature=signature
        )
        return lambda x: call(x).numpy()
    if backend == "torch":
        import torch

        call = torch.no_grad()(lambda x: graph(x, training=False))
        return lambda x: keras.ops.convert_to_numpy(call(x))
    import jax

    jitted = jax.jit(lambda t, n, x: graph.stateless_call(t, n, x, training=False)[0])

    def call_jax(x):
        trainable = [v.value for v in graph.trainable_variables]
        fixed = [v.value for v in graph.non_trainable_variables]
        return np.asarray(jitted(trainable, fixed, x))

    return call_jax

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a Keras model on arrays as fast as each backend can."""

from collections.abc import Callable

import keras
import numpy as np

from kikuchipy_spacegroup._fork import remember_process


def compiled(graph: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Return a fast, thread-safe call of a graph on arrays.

    Parameters
    ----------
    graph
        Keras model.

    Returns
    -------
    call
        Function from arrays to arrays. In a process that was forked
        from one that had a network, it raises a RuntimeError instead of
        waiting forever.

    Raises
    ------
    RuntimeError
        If this is such a process.
    """
    backend = keras.backend.backend()
    # Threads of PyTorch start when a network runs, those of others with its weights
    if backend != "torch":
        remember_process()
    call = _CALLS[backend](graph)

    def checked(x):
        remember_process()
        return call(x)

    return checked


def _tensorflow_call(graph: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    import tensorflow as tf

    signature = [tf.TensorSpec((None, None, None, 1), tf.float32)]
    call = tf.function(lambda x: graph(x, training=False), input_signature=signature)
    return lambda x: call(x).numpy()


def _torch_call(graph: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    import torch

    call = torch.no_grad()(lambda x: graph(x, training=False))
    return lambda x: keras.ops.convert_to_numpy(call(x))


def _jax_call(graph: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    import jax

    jitted = jax.jit(lambda t, n, x: graph.stateless_call(t, n, x, training=False)[0])

    def call(x):
        trainable = [v.value for v in graph.trainable_variables]
        fixed = [v.value for v in graph.non_trainable_variables]
        return np.asarray(jitted(trainable, fixed, x))

    return call


_CALLS = {"tensorflow": _tensorflow_call, "torch": _torch_call, "jax": _jax_call}

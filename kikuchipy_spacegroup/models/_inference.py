# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a Keras model on arrays as fast as each backend and device can."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from threading import Lock
from typing import Any

import numpy as np

from kikuchipy_spacegroup._keras import keras, ops
from kikuchipy_spacegroup.models._chain_softmax import ChainSoftmax
from kikuchipy_spacegroup.models._fork import remember_process

# Patterns per batch without a GPU, and the most with one
_CPU_BATCH, _LARGEST_BATCH = 256, 4096
# Bytes of a GPU per pattern of a batch: several batches are there at a time
_BYTES_PER_PATTERN = 16 * 2**20
# TensorFlow does not tell how much memory a GPU has
_ASSUMED_MEMORY = 8 * 2**30
# Name of the second input of networks that use the projection center
CENTERS = "projection_centers"


def gpu_memory() -> int:
    """Return the bytes of a GPU that batches may count on, 0 without a GPU."""
    return _MEMORY[keras.backend.backend()]()


def default_batch_size() -> int:
    """Return the default number of patterns to pass to a network at a time.

    Returns
    -------
    batch_size
        256 without a GPU. With one, a power of two from 256 to 4096 that
        suits its memory.
    """
    n = gpu_memory() // _BYTES_PER_PATTERN
    return min(max(_CPU_BATCH, 1 << max(0, n.bit_length() - 1)), _LARGEST_BATCH)


def padded_size(n: int, batch_size: int) -> int:
    """Return a padded number of patterns to run instead of n, so that few sizes occur.

    Parameters
    ----------
    n
        Number of patterns, at most *batch_size*.
    batch_size
        Number of patterns per batch.

    Returns
    -------
    size
        *n* itself, or under JAX, which compiles for every shape, the
        smallest of *batch_size*, a quarter of it and so on that is not
        smaller.
    """
    if keras.backend.backend() != "jax":
        return n
    size = batch_size
    while size // 4 >= n:
        size //= 4
    return size


def uses_projection_center(network: keras.Model) -> bool:
    """Return whether a network has an input for projection centers.

    Parameters
    ----------
    network
        Network to logits.

    Returns
    -------
    uses
        Whether it has two inputs.

    Raises
    ------
    ValueError
        If it has other inputs than patterns and projection centers.
    """
    names = [tensor.name for tensor in network.inputs]
    shapes = [tensor.shape[1:] for tensor in network.inputs if tensor.name == CENTERS]
    if len(names) != 1 and (len(names) != 2 or shapes != [(3,)]):
        raise ValueError(
            f"Network has the inputs {names}, but must have one of patterns, and may "
            f"have a second one named {CENTERS!r} of shape (n, 3)"
        )
    return len(names) == 2


def network_input(network: keras.Model, prepared: Any, centers: Any) -> Any:
    """Return the input of a network with two of them, in its order.

    Parameters
    ----------
    network
        Network that uses the projection center.
    prepared
        Prepared patterns.
    centers
        Projection centers of shape (n, 3), relative to the central square.

    Returns
    -------
    inputs
        Both, as the network takes them.
    """
    return keras.tree.map_structure(
        lambda tensor: centers if tensor.name == CENTERS else prepared, network.input
    )


def layers_of(graph: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers of a graph from :func:`joined` that calculate.

    Parameters
    ----------
    graph
        Keras model.

    Returns
    -------
    layers
        Preparation, network, and those from logits to probabilities.
    """
    inputs = keras.layers.InputLayer
    return [layer for layer in graph.layers if not isinstance(layer, inputs)]


def joined(
    prepare: keras.layers.Layer,
    network: keras.Model,
    temperature: float | Mapping[str, float],
    space_groups: Sequence[int],
) -> keras.Model:
    """Return the graph from raw patterns to probabilities.

    Parameters
    ----------
    prepare
        Layer from raw patterns to network input.
    network
        Network to logits, which may use projection centers.
    temperature
        Number the logits are divided by, or one for every level of the
        chain of symmetry.
    space_groups
        Space group numbers in the order of the logits.

    Returns
    -------
    graph
        Keras model of these layers. If the network uses projection centers,
        its second input is these, relative to the central square.
    """
    inputs = keras.Input((None, None, 1), name="patterns")
    if uses_projection_center(network):
        centers = keras.Input((3,), name=CENTERS, dtype="float32")
        logits = network(network_input(network, prepare(inputs), centers))
        inputs = [inputs, centers]
    else:
        logits = network(prepare(inputs))
    if isinstance(temperature, Mapping):
        last = ChainSoftmax(space_groups, temperature, name="probabilities")
        return keras.Model(inputs, last(logits), name="space_group_model")
    scale = keras.layers.Rescaling(1 / temperature, name="temperature", dtype="float32")
    softmax = keras.layers.Softmax(name="probabilities", dtype="float32")
    outputs = softmax(scale(logits))
    return keras.Model(inputs, outputs, name="space_group_model")


def compiled(
    graph: keras.Model, mixed_precision: bool = False
) -> Callable[..., np.ndarray]:
    """Return a fast, thread-safe call of a graph on arrays.

    Parameters
    ----------
    graph
        Keras model from :func:`joined`.
    mixed_precision
        Whether the network, and no other layer, calculates in float16.

    Returns
    -------
    call
        Function from arrays of any real data type, and projection centers
        of dtype float32 if the graph has them, to arrays. In a
        process that was forked from one that had a network, it raises a
        RuntimeError instead of waiting forever.

    Raises
    ------
    RuntimeError
        If this is such a process.
    """
    backend = keras.backend.backend()
    # Threads of PyTorch start when a network runs, those of others with its weights
    if backend != "torch":
        remember_process()
    call = _CALLS[backend](graph, _forward(graph, mixed_precision))

    def checked(x, *centers):
        remember_process()
        # Bytes are a quarter to send to a device, which casts them
        narrow = x.dtype == "uint8" and backend != "tensorflow"
        return ops.convert_to_numpy(
            call(x if narrow else x.astype("float32", copy=False), *centers)
        )

    return checked


def _forward(graph: keras.Model, mixed_precision: bool) -> Callable[..., Any]:
    """Return a function from patterns to probabilities, both as tensors.

    Its second argument are projection centers if the graph has them.
    """
    prepare, network, *last = layers_of(graph)
    run = _in_half_precision(network) if mixed_precision else network

    def forward(x):
        with _exact_products():
            x = prepare(x)
        return finish(run(x, training=False))

    def forward_with_centers(x, centers):
        with _exact_products():
            x = prepare(x)
        return finish(run(network_input(network, x, centers), training=False))

    def finish(x):
        for layer in last:
            x = layer(x)
        return x

    return forward if len(graph.inputs) == 1 else forward_with_centers


def _exact_products() -> Any:
    """Return a context in which products of matrices are not rounded.

    On a GPU, JAX rounds factors to 10 bits unless told otherwise, which
    is enough for a network, but not for sums over raw patterns. PyTorch
    does so in convolutions only.
    """
    if keras.backend.backend() != "jax":
        return nullcontext()
    import jax

    return jax.default_matmul_precision("float32")


def _in_half_precision(network: keras.Model) -> Callable[..., Any]:
    """Return a call of a network in float16, but for the logits.

    The weights are those the network has when it is called.
    """

    def clone(layer):
        config = layer.get_config()
        if layer is not network.layers[-1]:
            config["dtype"] = "mixed_float16"
        return type(layer).from_config(config)

    copy = keras.models.clone_model(network, clone_function=clone)
    pairs = list(zip(copy.weights, network.weights, strict=True))

    def run(x, training):
        values = [(ours, theirs.value) for ours, theirs in pairs]
        with keras.StatelessScope(state_mapping=values):
            return copy(x, training=training)

    return run


def _tensorflow_call(graph: keras.Model, forward: Callable) -> Callable:
    """Return a call that TensorFlow traces once for all shapes."""
    import tensorflow as tf

    signature = [tf.TensorSpec((None, None, None, 1), tf.float32)]
    if len(graph.inputs) == 2:
        signature.append(tf.TensorSpec((None, 3), tf.float32))
    function = tf.function(forward, input_signature=signature)

    def call(*arrays):
        # Traced once, but called like this: TensorFlow takes those of all models
        # for one function, and from the fifth on warns of tracing it again
        return function.get_concrete_function()(*map(tf.convert_to_tensor, arrays))

    return call


def _torch_call(graph: keras.Model, forward: Callable) -> Callable:
    """Return a call without gradients."""
    import torch

    return torch.no_grad()(
        lambda *arrays: forward(*(ops.convert_to_tensor(x) for x in arrays))
    )


def _jax_call(graph: keras.Model, forward: Callable) -> Callable:
    """Return a call that JAX compiles once for each shape and data type."""
    import jax

    variables = graph.variables

    def stateless(values, *arrays):
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return forward(*arrays)

    jitted = jax.jit(stateless)
    lock, compiled_for = Lock(), set()

    def call(x, *centers):
        values = [v.value for v in variables]
        if (key := (x.shape, x.dtype)) in compiled_for:
            return jitted(values, x, *centers)
        # Or all threads would compile the same
        with lock:
            out = jitted(values, x, *centers)
            compiled_for.add(key)
        return out

    return call


def _tensorflow_memory() -> int:
    """Return the bytes a GPU is taken to have, 0 without one."""
    import tensorflow as tf

    return _ASSUMED_MEMORY if tf.config.list_physical_devices("GPU") else 0


def _torch_memory() -> int:
    """Return half of the bytes of a GPU, 0 without one."""
    import torch

    if not torch.cuda.is_available():
        return 0
    device = torch.cuda.get_device_properties(torch.cuda.current_device())
    # PyTorch keeps what every thread has freed: six of them took 18 MB per pattern
    return device.total_memory // 2


def _jax_memory() -> int:
    """Return the bytes of a GPU that JAX may use, 0 without one."""
    import jax

    if jax.default_backend() != "gpu":
        return 0
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("bytes_limit", _ASSUMED_MEMORY)


_CALLS = {"tensorflow": _tensorflow_call, "torch": _torch_call, "jax": _jax_call}
_MEMORY = {
    "tensorflow": _tensorflow_memory,
    "torch": _torch_memory,
    "jax": _jax_memory,
}

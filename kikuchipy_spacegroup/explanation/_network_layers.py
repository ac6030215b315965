# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers of a copied network: find, tap and guide them; its gradients."""

from collections.abc import Callable
import functools
from typing import Any

import numpy as np

from kikuchipy_spacegroup._keras import keras, ops
from kikuchipy_spacegroup.models._inference import network_input, uses_projection_center

_CONVOLUTIONS = (
    keras.layers.Conv2D,
    keras.layers.Conv2DTranspose,
    keras.layers.SeparableConv2D,
    keras.layers.DepthwiseConv2D,
)
_PASSED = (None, keras.activations.linear)
_RELUS = (keras.activations.relu, keras.activations.relu6)
# In layers, operations and functions, these are written in many ways
_ACTIVATIONS = {
    name.replace("_", "") for name in dir(keras.activations) if name[0] != "_"
} - {"deserialize", "get", "serialize", "linear"} | {"prelu"}


def copied(network: keras.Model) -> keras.Model:
    """Return a network of its own with the same weights and names."""
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


def layers_of(network: keras.Model) -> list[keras.layers.Layer]:
    """Return all layers, those inside of other ones too."""
    return network._flatten_layers(include_self=False)


class Tap:
    """Adds :attr:`shift` to the output of a layer, and keeps the output.

    The gradient with respect to the shift is that at the layer, under
    any backend and however deep the layer is inside of other models.
    """

    def __init__(self, layer: keras.layers.Layer) -> None:
        self.shift: Any = None
        self.features: Any = None
        call = layer.call

        @functools.wraps(call)
        def tapped(*args, **kwargs):
            self.features = call(*args, **kwargs)
            return self.features + ops.cast(self.shift, self.features.dtype)

        layer.call = tapped


def traced(network: keras.Model, size: int) -> dict[int, list[tuple[int, ...]]]:
    """Return the layers that are called, in this order.

    Returns
    -------
    shapes
        By the layer's ID, the shape of its output in every call, for
        one input of shape (1, size, size, 1), and a projection center if
        the network uses it. Empty tuple if it has more than one output.
    """
    shapes: dict[int, list] = {}
    layers = layers_of(network)

    def recorder(layer, call):
        @functools.wraps(call)
        def recorded(*args, **kwargs):
            output = call(*args, **kwargs)
            shape = tuple(getattr(output, "shape", ()))
            shapes.setdefault(id(layer), []).append(shape)
            return output

        return recorded

    calls = [layer.call for layer in layers]
    for layer, call in zip(layers, calls):
        layer.call = recorder(layer, call)
    try:
        network(_join_input(network, ops.zeros((1, size, size, 1))), training=False)
    finally:
        for layer, call in zip(layers, calls):
            layer.call = call
    return shapes


def find_layer(
    network: keras.Model,
    layer: str | keras.layers.Layer | None,
    shapes: dict[int, list[tuple[int, ...]]],
) -> keras.layers.Layer:
    """Return the layer of a network whose feature maps are asked for."""
    layers = {id(each): each for each in layers_of(network)}
    if layer is None:
        return layers[_find_last_features(layers, shapes)]
    if not isinstance(layer, (str, keras.layers.Layer)):
        raise TypeError(
            f"layer must be the name of a layer or a layer, not {type(layer).__name__}"
        )
    name = layer if isinstance(layer, str) else layer.name
    matches = [each for each in layers.values() if each.name == name]
    with_maps = [
        each.name
        for each in layers.values()
        if _are_maps(shapes.get(id(each), [()])[0])
    ]
    if not matches:
        raise ValueError(
            f"The network has no layer {name!r}. Those with feature maps are {with_maps}"
        )
    if len(matches) > 1:
        raise ValueError(
            f"The network has {len(matches)} layers with the name {name!r}. Give them "
            "names of their own"
        )
    calls = shapes.get(id(matches[0]), [])
    if len(calls) != 1:
        raise ValueError(
            f"Layer {name!r} is called {len(calls)} times, so that it does not have one "
            "set of feature maps"
        )
    if not _are_maps(calls[0]):
        raise ValueError(
            f"The output of layer {name!r} has the shape {calls[0]}, but feature maps "
            f"have (n, rows, columns, channels). Layers with them are {with_maps}"
        )
    return matches[0]


def _are_maps(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4


def _find_last_features(
    layers: dict[int, keras.layers.Layer], shapes: dict[int, list[tuple[int, ...]]]
) -> int:
    """Return the last layer with maps of the size of the last convolution."""
    # Insertion into a dictionary keeps the order of the (first) calls
    leaves = [i for i in shapes if not layers[i]._flatten_layers(include_self=False)]
    called_once = [i for i in leaves if len(shapes[i]) == 1 and _are_maps(shapes[i][0])]
    convolutions = [i for i in called_once if isinstance(layers[i], _CONVOLUTIONS)]
    if not convolutions:
        raise ValueError(
            "The network has no convolution layer that is called once. Say which "
            "`layer` has the feature maps"
        )
    if layers[convolutions[-1]].data_format != "channels_last":
        raise ValueError("Convolutions must have the data format 'channels_last'")
    size = shapes[convolutions[-1]][0][1:3]
    candidates = called_once[called_once.index(convolutions[-1]) :]
    return [i for i in candidates if shapes[i][0][1:3] == size][-1]


def guide(network: keras.Model) -> None:
    """Let the ReLUs of a network pass on only positive gradients."""
    layers = layers_of(network)
    refused = [
        operation.name
        for model in [network, *layers]
        for operation in getattr(model, "operations", [])
        if not isinstance(operation, keras.layers.Layer) and _is_activation(operation)
    ]
    n_relus = 0
    for layer in layers:
        activation = getattr(layer, "activation", None)
        if isinstance(layer, keras.layers.ReLU) and not layer.negative_slope:
            maximum = np.inf if layer.max_value is None else layer.max_value
            layer.call = _guide_function(layer.call, maximum)
            n_relus += 1
        elif activation in _RELUS:
            maximum = 6 if activation is keras.activations.relu6 else np.inf
            layer.activation = _guide_function(activation, maximum)
            n_relus += 1
        elif isinstance(activation, keras.layers.Layer):
            continue  # Is one of the layers itself
        elif activation not in _PASSED or _is_activation(layer):
            refused.append(layer.name)
    if refused or not n_relus:
        what = f"these are something else: {refused}" if refused else "there is none"
        raise ValueError(
            "Guided backpropagation is defined for networks whose activations are layers "
            f"ReLU or Activation('relu') or `activation='relu'`, but {what}. Use "
            "Grad-CAM without it"
        )


def _is_activation(operation: Any) -> bool:
    return type(operation).__name__.lower() in _ACTIVATIONS


def _guide_function(
    function: Callable[[Any], Any], maximum: float
) -> Callable[[Any], Any]:
    """Return a ReLU which passes on only positive gradients."""

    @ops.custom_gradient
    def relu(x):
        y = function(x)

        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            active = ops.logical_and(y > 0, y < maximum)
            return ops.where(active, ops.relu(upstream), ops.zeros_like(upstream))

        return y, gradient

    # Calls of layers may come with arguments by name
    return lambda inputs, **kwargs: relu(inputs)


def _join_input(network: keras.Model, x: Any, centers: Any = None) -> Any:
    """Return the input of a network: patterns, and centers if it uses them."""
    if not uses_projection_center(network):
        return x
    if centers is None:
        centers = ops.full((x.shape[0], 3), 0.5)
    return network_input(network, x, centers)


def score_of(network: keras.Model, x: Any, target: Any, centers: Any = None) -> Any:
    """Return the sum of the logits of the target classes.

    Patterns do not see each other, so its gradient is that of each.
    """
    inputs = _join_input(network, x, centers)
    logits = ops.cast(network(inputs, training=False), "float32")
    best = ops.cast(ops.argmax(logits, axis=-1), "int32")
    target = ops.where(target < 0, best, target)
    return ops.sum(logits * ops.one_hot(target, logits.shape[-1]))


def gradient_of(
    function: Callable[..., tuple[Any, Any]],
) -> Callable[..., tuple[Any, Any]]:
    """Return a function of the gradient with respect to the first argument.

    The function returns two things, the gradient is of the first, and
    the second is passed on. The only place that asks which backend
    there is.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        # Compiled, gradients of filters, which nobody asks for, are left
        # out. Some of them crash in TensorFlow 2.21 with oneDNN
        @tf.function(autograph=False, reduce_retracing=True)
        def tensorflow_gradient(x, *args):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(x)
                value, other = function(x, *args)
            return tape.gradient(value, x, unconnected_gradients="zero"), other

        return tensorflow_gradient
    if backend == "torch":
        import torch

        def torch_gradient(x, *args):
            with torch.enable_grad():
                x = x.detach().requires_grad_()
                value, other = function(x, *args)
                gradient = torch.autograd.grad(
                    value, x, allow_unused=True, materialize_grads=True
                )
            return gradient[0], other.detach()

        return torch_gradient
    import jax

    return jax.jit(jax.grad(function, has_aux=True))

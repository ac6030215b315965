# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Free graphs, with the master patterns in them, when they are done with."""

from collections.abc import Callable
from functools import wraps
import gc

from kikuchipy_spacegroup._keras import keras


def frees_graphs(function: Callable) -> Callable:
    """Decorate a function to free the graphs it has made, on the device too.

    Graphs of Keras refer to themselves, so that Python frees them when it
    comes to it. That may be many graphs later, each with a copy of all master
    patterns.
    """

    @wraps(function)
    def freeing(*args, **kwargs):
        result = function(*args, **kwargs)
        gc.collect()
        return result

    return freeing


class Borrowed(keras.layers.Layer):
    """Compute with the layer of a model that outlives the graph.

    Every layer remembers all graphs it was put into, and by them the layers
    before it, such as master patterns. This one is remembered instead.

    Parameters
    ----------
    layer
        Layer or model to use, with its weights.
    """

    def __init__(self, layer: keras.layers.Layer) -> None:
        super().__init__(name=layer.name, autocast=False)
        self.layer = layer
        self.built = True

    def call(self, x, training=None):
        """Return what the layer returns."""
        if isinstance(self.layer, keras.Model):
            return self.layer(x, training=training)
        return self.layer(x)

    def compute_output_spec(self, x, training=None):
        """Shape and data type of what the layer returns, without running it."""
        return self.layer.compute_output_spec(x)

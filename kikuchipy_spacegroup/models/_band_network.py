# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The band network, made of its layers."""

from kikuchipy_spacegroup._keras import keras, layers
from kikuchipy_spacegroup.models._bands import CompareBands, FindBands, PoolBands
from kikuchipy_spacegroup.models._zone_axes import FindZoneAxes


def band_network(
    input_shape,
    n_classes: int,
    *,
    n_bands: int = 16,
    n_axes: int = 20,
    units: int = 96,
    blocks: int = 3,
    heads: int = 4,
    dropout: float = 0.1,
) -> keras.Model:
    """Return a network that finds bands and zone axes and compares them.

    Parameters
    ----------
    input_shape
        Shape of the network input (height, width, 1), a square.
    n_classes
        Number of classes.
    n_bands
        Number of bands to find.
    n_axes
        Number of zone axes about which patterns are rotated to see how
        symmetric they are. None are if this is 0.
    units
        Length of the features of a band or an axis.
    blocks
        Number of times that bands and axes are compared.
    heads
        Number of heads of the attention.
    dropout
        Rate of dropout before the last layer.

    Returns
    -------
    network
        Network of patterns and projection centers, with ``n_classes``
        logits (no softmax) as output.

    See Also
    --------
    build_network, residual_network

    Examples
    --------
    >>> from kikuchipy_spacegroup.models import band_network
    >>> network = band_network((64, 64, 1), 230)
    >>> [i.name for i in network.inputs]
    ['prepared_patterns', 'projection_centers']
    """
    patterns = keras.Input(tuple(input_shape), name="prepared_patterns")
    centers = keras.Input((3,), dtype="float32", name="projection_centers")
    found = FindBands(n_bands, name="find_bands")([patterns, centers])
    directions, x, is_there = found
    if n_axes:
        find_axes = FindZoneAxes(n_axes, name="find_zone_axes")
        axes, of_axes, is_axis, of_bands = find_axes([patterns, centers, *found])
        x = layers.Concatenate(name="bands_with_symmetry")([x, of_bands])
    x = layers.Dense(units, activation="gelu", name="embed_1")(x)
    x = layers.Dense(units, name="embed_2")(x)
    if n_axes:
        y = layers.Dense(units, activation="gelu", name="embed_axes_1")(of_axes)
        y = layers.Dense(units, name="embed_axes_2")(y)
        x = layers.Concatenate(axis=1, name="bands_and_axes")([x, y])
        join = layers.Concatenate(axis=1, name="directions")
        directions = join([directions, axes])
        join = layers.Concatenate(axis=1, name="is_there")
        is_there = join([is_there, is_axis])
    for i in range(1, blocks + 1):
        compare = CompareBands(units, heads, name=f"compare_{i}")
        x = compare([x, directions, is_there])
    x = PoolBands(name="pool")([x, is_there])
    x = layers.LayerNormalization(epsilon=1e-5, name="norm")(x)
    x = layers.Dense(3 * units, activation="gelu", name="hidden")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    logits = layers.Dense(n_classes, dtype="float32", name="logits")(x)
    return keras.Model([patterns, centers], logits, name="band_network")

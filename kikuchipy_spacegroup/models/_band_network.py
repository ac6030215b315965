# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The band network, made of its layers."""

from kikuchipy_spacegroup._keras import keras, layers
from kikuchipy_spacegroup.models._bands import CompareBands, FindBands, PoolBands
from kikuchipy_spacegroup.models._rotate_bands import RotateBands
from kikuchipy_spacegroup.models._zone_axes import FindZoneAxes


def band_network(
    input_shape,
    n_classes: int,
    *,
    n_bands: int = 16,
    n_axes: int = 20,
    n_twofolds: int = 8,
    n_points: int = 0,
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
        Number of zone axes. None are compared if this is 0.
    n_twofolds
        Number of twofold axes among the bisectors of bands. Bands are not
        rotated, to see whether there are bands where they come to be, if this
        or *n_axes* is 0.
    n_points
        Number of pixels that are compared with those of the pattern rotated
        about zone axes. None are if this or *n_axes* is 0.
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
    n_twofolds = n_twofolds if n_axes else 0
    find_bands = FindBands(n_bands, return_response=n_twofolds > 0, name="find_bands")
    directions, x, is_there, *response = find_bands([patterns, centers])
    found = [directions, x, is_there]
    # Directions, features, and which are there, of what is compared beside bands
    others = {}
    if n_axes:
        find_axes = FindZoneAxes(n_axes, n_points=n_points, name="find_zone_axes")
        axes, of_axes, is_axis, *of_bands = find_axes([patterns, centers, *found])
        of_bands, of_axes = [x, *of_bands], [of_axes]
        if n_twofolds:
            rotate = RotateBands(n_twofolds, name="rotate_bands")
            rotated = rotate([*response, centers, *found, axes])
            of_axes.append(rotated[0])
            of_bands.append(rotated[1])
            others["twofolds"] = rotated[2:]
            join = layers.Concatenate(name="axes_with_symmetry")
            of_axes = [join(of_axes)]
        if len(of_bands) > 1:
            x = layers.Concatenate(name="bands_with_symmetry")(of_bands)
        others = {"axes": (axes, *of_axes, is_axis)} | others
    x = _embed(x, units, "embed")
    for name, (other, features, is_other) in others.items():
        x = _join(f"bands_and_{name}", x, _embed(features, units, f"embed_{name}"))
        directions = _join(f"directions_and_{name}", directions, other)
        is_there = _join(f"is_there_and_{name}", is_there, is_other)
    for i in range(1, blocks + 1):
        compare = CompareBands(units, heads, name=f"compare_{i}")
        x = compare([x, directions, is_there])
    x = PoolBands(name="pool")([x, is_there])
    x = layers.LayerNormalization(epsilon=1e-5, name="norm")(x)
    x = layers.Dense(3 * units, activation="gelu", name="hidden")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    logits = layers.Dense(n_classes, dtype="float32", name="logits")(x)
    return keras.Model([patterns, centers], logits, name="band_network")


def _embed(x, units: int, name: str):
    """Return features (n, bands, units)."""
    x = layers.Dense(units, activation="gelu", name=f"{name}_1")(x)
    return layers.Dense(units, name=f"{name}_2")(x)


def _join(name: str, *parts):
    """Return what is of bands, then of others."""
    return layers.Concatenate(axis=1, name=name)(list(parts))

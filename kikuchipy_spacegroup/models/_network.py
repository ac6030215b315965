# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builders of the convolutional networks, from pattern to logits."""

from collections.abc import Callable, Sequence

from kikuchipy_spacegroup._keras import keras, layers
from kikuchipy_spacegroup.models._band_network import band_network


def residual_network(
    input_shape: Sequence[int],
    n_classes: int,
    *,
    filters: Sequence[int] = (32, 64, 128, 256),
    blocks: Sequence[int] | None = None,
    stem: int = 32,
    dropout: float = 0.2,
) -> keras.Model:
    """Return a residual network of dense 3 x 3 convolutions.

    Parameters
    ----------
    input_shape
        Shape of the network input (height, width, 1).
    n_classes
        Number of classes.
    filters
        Number of filters per stage. The first residual block of a stage
        halves height and width.
    blocks
        Number of residual blocks per stage. If not given, one each.
    stem
        Number of filters of the first 5 x 5 convolution of stride 2.
    dropout
        Rate of dropout before the last layer.

    Returns
    -------
    network
        Network with ``n_classes`` logits (no softmax) as output.

    See Also
    --------
    build_network, xception

    Notes
    -----
    Residual blocks follow :cite:`he2016deep` (basic block). Blocks after
    the first of a stage change nothing before they are trained, since
    their last normalization starts with a scale of zero
    :cite:`goyal2017accurate`. They can thus be added to trained weights.

    Examples
    --------
    >>> from kikuchipy_spacegroup.models import residual_network
    >>> residual_network((96, 96, 1), 6).count_params()
    1231910
    """
    x = inputs = keras.Input(tuple(input_shape), name="prepared_patterns")
    x = _convolve(x, stem, 5, strides=2, name="stem")
    for i, n in enumerate(filters, 1):
        x = _residual_block(x, n, name=f"stage{i}")
        for j in range(2, 1 + (blocks[i - 1] if blocks else 1)):
            x = _identity_block(x, n, name=f"stage{i}_{j}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    logits = layers.Dense(n_classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="residual_network")


def _convolve(x, n, size, *, strides=1, activation=True, gamma="ones", name):
    """Return feature maps (..., n) after convolution, normalization and ReLU."""
    x = layers.Conv2D(
        n, size, strides, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    x = layers.BatchNormalization(gamma_initializer=gamma, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if activation else x


def _residual_block(x, n, *, name):
    """Return feature maps (..., n) of half the size from a residual block."""
    y = _convolve(x, n, 3, strides=2, name=f"{name}_a")
    y = _convolve(y, n, 3, activation=False, name=f"{name}_b")
    x = _convolve(x, n, 1, strides=2, activation=False, name=f"{name}_skip")
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([x, y]))


def _identity_block(x, n, *, name):
    """Return feature maps of the same shape from a residual block."""
    y = _convolve(x, n, 3, name=f"{name}_a")
    y = _convolve(y, n, 3, activation=False, gamma="zeros", name=f"{name}_b")
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([x, y]))


def xception(
    input_shape: Sequence[int], n_classes: int, *, weight_decay: float = 0.0
) -> keras.Model:
    """Return Xception for one channel, the network of Kaufmann et al.

    Parameters
    ----------
    input_shape
        Shape of the network input (height, width, 1), at least 71 x 71.
    n_classes
        Number of classes.
    weight_decay
        Factor of the L2 penalty on the last layer's weights.

    Returns
    -------
    network
        Network with ``n_classes`` logits (no softmax) as output,
        randomly initialised.

    See Also
    --------
    build_network, kikuchipy_spacegroup.training.fit_kaufmann2020

    Examples
    --------
    >>> from kikuchipy_spacegroup.models import xception
    >>> xception((96, 96, 1), 6).count_params()
    20873198
    """
    body = keras.applications.Xception(
        include_top=False, weights=None, input_shape=tuple(input_shape), pooling="avg"
    )
    logits = layers.Dense(
        n_classes,
        kernel_regularizer=keras.regularizers.L2(weight_decay),
        dtype="float32",
        name="logits",
    )(body.output)
    return keras.Model(body.input, logits, name="xception")


_BUILDERS: dict[str, Callable[..., keras.Model]] = {
    "bands": band_network,
    "residual": residual_network,
    "xception": xception,
}


def build_network(
    name: str, input_shape: Sequence[int], n_classes: int, **kwargs
) -> keras.Model:
    """Return a network by name.

    Parameters
    ----------
    name
        ``"residual"`` (:func:`residual_network`, the default network of
        this package), ``"bands"`` (:func:`band_network`) or ``"xception"``
        (:func:`xception`).
    input_shape
        Shape of the network input (height, width, 1).
    n_classes
        Number of classes.
    **kwargs
        Keyword arguments passed on to the builder.

    Returns
    -------
    network
        Network with ``n_classes`` logits as output.

    Raises
    ------
    ValueError
        If there is no network of this name.

    See Also
    --------
    band_network, residual_network, xception

    Examples
    --------
    >>> from kikuchipy_spacegroup.models import build_network
    >>> build_network("residual", (96, 96, 1), 6).output_shape
    (None, 6)
    """
    if name not in _BUILDERS:
        raise ValueError(f"Unknown network {name!r}, must be one of {list(_BUILDERS)}")
    return _BUILDERS[name](input_shape, n_classes, **kwargs)

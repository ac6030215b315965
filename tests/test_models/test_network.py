# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builders of networks."""

import keras
import numpy as np
import pytest

from kikuchipy_spacegroup.models import build_network, residual_network
from kikuchipy_spacegroup.models._network import _BUILDERS


def test_further_blocks_change_nothing_before_training():
    small = residual_network((32, 32, 1), 3, filters=(8, 16), stem=8)
    large = residual_network((32, 32, 1), 3, filters=(8, 16), stem=8, blocks=(2, 3))
    for layer in small.layers:
        large.get_layer(layer.name).set_weights(layer.get_weights())
    patterns = np.random.default_rng(1).normal(size=(5, 32, 32, 1)).astype("float32")
    a, b = (keras.ops.convert_to_numpy(net(patterns)) for net in (small, large))
    assert np.allclose(a, b, atol=1e-5)
    assert large.count_params() > small.count_params()


@pytest.mark.parametrize("name", _BUILDERS)
def test_logits_in_full_precision(name):
    network = build_network(name, (96, 96, 1), 7)
    assert network.output_shape == (None, 7)
    assert network.layers[-1].compute_dtype == "float32"
    assert network.layers[-1].activation is keras.activations.linear


def test_unknown_name():
    with pytest.raises(ValueError, match="Unknown network 'vgg'"):
        build_network("vgg", (96, 96, 1), 7)

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laws of the layer from raw patterns to network input."""

import keras
from keras import ops
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from kikuchipy_spacegroup.patterns import PreparePatterns
from kikuchipy_spacegroup.patterns._matrices import resize_matrix, uncropped


@pytest.fixture(scope="module")
def prepare():
    return PreparePatterns(48)


def run(layer, patterns):
    patterns = np.asarray(patterns, dtype="float32")[..., None]
    return ops.convert_to_numpy(layer(patterns))[..., 0]


def test_gain_and_offset_change_nothing(prepare, nickel):
    patterns = nickel.data[0].astype("float32")
    first = run(prepare, patterns)
    assert np.allclose(run(prepare, 37.5 * patterns + 1000), first, atol=2e-3)


@pytest.mark.parametrize("shape", [(96, 96), (96, 128), (128, 96)])
def test_crop_is_a_slice(shape):
    patterns = np.random.default_rng(4).uniform(size=(2, *shape)).astype("float32")
    top, left = ((n - 48) // 2 for n in shape)
    part = patterns[:, top : top + 48, left : left + 48]
    cropping = PreparePatterns(48, crop=0.5)
    expected = run(PreparePatterns(48), part)
    assert np.allclose(run(cropping, patterns), expected, atol=1e-5)
    # In a graph of unknown shapes, too
    inputs = keras.Input((None, None, 1))
    graph = keras.Model(inputs, cropping(inputs))
    found = graph.predict(patterns[..., None], verbose=0)[..., 0]
    assert np.allclose(found, expected, atol=1e-4)


def test_more_than_the_pattern_is_refused():
    with pytest.raises(ValueError, match="crop must be at most 1, not 1.2"):
        PreparePatterns(48, crop=1.2)


def test_maps_of_parts_lie_in_the_middle():
    whole = uncropped(np.ones((2, 40, 40), "float32"), 0.5)
    assert np.allclose(whole[:, 12:28, 12:28], 1)
    assert not whole[:, :9].any() and not whole[..., 31:].any()


def test_missing_pixels_do_not_matter(prepare, nickel):
    """What stands in pixels that are left out changes nothing."""
    patterns = nickel.data[0].astype("float32")
    mask = np.zeros((60, 60), dtype=bool)
    mask[:20, :25] = True
    masked = np.where(mask, np.nan, patterns)
    out = run(prepare, masked)
    infinite = np.where(mask, np.inf, patterns)
    assert np.array_equal(out, run(prepare, infinite))
    assert np.isfinite(out).all()
    assert (out[:, :15, :19] == 0).all()
    # Far away, nothing changes but the scale
    far = np.s_[:, 38:46, 24:36]
    assert (
        np.corrcoef(out[far].ravel(), run(prepare, patterns)[far].ravel())[0, 1] > 0.99
    )


def test_own_masks_in_a_batch(tiny_model, nickel):
    """Patterns with other missing pixels beside it do not change a pattern."""
    whole = nickel.data[0].astype("float32")
    part = whole.copy()
    part[:, :20, :25] = np.nan
    together = tiny_model.predict_proba(np.concatenate([whole, part]))
    alone = [tiny_model.predict_proba(patterns) for patterns in (whole, part)]
    assert not np.allclose(*alone, atol=1e-3)
    assert np.allclose(together, np.concatenate(alone), atol=1e-5)


def test_circle(prepare, nickel):
    out = run(prepare, nickel.data[0])
    x = (np.arange(48) + 0.5) / 24 - 1
    outside = x[:, None] ** 2 + x**2 > 1
    assert (out[:, outside] == 0).all()
    assert (out[:, ~outside] != 0).mean() > 0.99


def test_smooth_background_is_removed(prepare):
    """A steep background leaves little beside a weak signal."""
    rng = np.random.default_rng(3)
    x = np.linspace(-1, 1, 48)
    background = 100 * np.exp(-(x**2) - (x[:, None] - 0.3) ** 2)
    signal = gaussian_filter(rng.normal(size=(48, 48)), 1)
    signal *= 2 / signal.std()
    alone = run(prepare, (50 + signal)[None])[0]
    both = run(prepare, (background + signal)[None])[0]
    inner = np.s_[8:-8, 8:-8]
    assert np.corrcoef(alone[inner].ravel(), both[inner].ravel())[0, 1] > 0.95


@pytest.mark.parametrize("value", [0, 7, np.nan])
def test_constant_patterns_give_zeros(prepare, value):
    assert (run(prepare, np.full((2, 50, 50), value)) == 0).all()


@pytest.mark.parametrize("shape", [(60, 80), (80, 60)])
def test_central_square(prepare, shape):
    rng = np.random.default_rng(1)
    square = rng.normal(size=(1, 60, 60))
    wide = rng.normal(size=(1, *shape))
    wide[0, (shape[0] - 60) // 2 :, (shape[1] - 60) // 2 :][:60, :60] = square[0]
    # The kernel of the resize reaches a pixel beyond the square
    inner = np.s_[:, 12:-12, 12:-12]
    assert np.allclose(
        run(prepare, wide)[inner], run(prepare, square)[inner], atol=0.02
    )


@pytest.mark.parametrize("n_in", [20, 48, 100, 480])
def test_resize_is_that_of_tensorflow(n_in):
    """Triangle kernel with antialiasing, as others do it."""
    tf = pytest.importorskip("tensorflow")
    image = np.random.default_rng(2).normal(size=(1, n_in, n_in, 1)).astype("float32")
    matrix = ops.convert_to_numpy(resize_matrix(48, n_in, n_in))
    ours = matrix @ image[0, ..., 0] @ matrix.T
    reference = tf.image.resize(image, (48, 48), antialias=True).numpy()[0, ..., 0]
    assert np.allclose(ours, reference, atol=1e-4)


def test_config_makes_the_same_layer(prepare, nickel):
    again = PreparePatterns.from_config(prepare.get_config())
    assert np.array_equal(run(again, nickel.data[0]), run(prepare, nickel.data[0]))

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers that find bands and compare them."""

import keras
from keras import ops
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from skimage.transform import radon

from kikuchipy_spacegroup.models import band_network
from kikuchipy_spacegroup.models._bands import (
    CompareBands,
    FindBands,
    PoolBands,
    radon_matrix,
)

SIZE = 64


def to_numpy(tensor):
    return np.asarray(ops.convert_to_numpy(tensor))


def test_radon_transform_is_that_of_scikit_image():
    image = np.random.default_rng(1).normal(size=(SIZE, SIZE))
    frequency = np.fft.fftfreq(SIZE)
    low_pass = np.exp(-(frequency[:, None] ** 2 + frequency**2) / (2 * 0.08**2))
    image = np.fft.ifft2(np.fft.fft2(image) * low_pass).real.astype("float32")
    x = (np.arange(SIZE) + 0.5) * 2 / SIZE - 1
    image[x[:, None] ** 2 + x**2 > 0.9] = 0
    find = FindBands()
    find.build([(None, SIZE, SIZE, 1), (None, 3)])
    ours = to_numpy(find.transform(image[None, ..., None]))[0]
    _, lengths = radon_matrix(SIZE, 96)
    # Theirs turns the other way, around a pixel half a pixel from the center
    degrees = -(np.arange(96) + 0.5) * 180 / 96
    theirs = radon(image, degrees, circle=True).T
    inner = slice(8, -8)
    ours = (ours * np.sqrt(lengths))[:, inner]
    assert np.corrcoef(ours.ravel(), theirs[:, inner].ravel())[0, 1] > 0.97


def test_bands_are_lattice_planes(prepared_nickel):
    """The strongest bands of nickel are those of its four strongest families."""
    prepared, centers, orientation = prepared_nickel
    normals, _, is_band = FindBands(n_bands=8)([prepared, centers])
    assert to_numpy(is_band).all()
    indices = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3), -1).reshape(-1, 3)
    family = np.sort(np.abs(indices), axis=1)
    strong = [[1, 1, 1], [0, 0, 2], [0, 2, 2], [1, 1, 3]]
    planes = indices[[row.tolist() in strong for row in family]]
    planes = planes / np.linalg.norm(planes, axis=1, keepdims=True)
    # Rows m of the matrices are axes of the crystal in the frame of the detector
    of_detector = planes @ orientation
    cosines = np.abs(to_numpy(normals) @ of_detector.transpose(0, 2, 1)).max(axis=-1)
    off = np.rad2deg(np.arccos(np.clip(cosines, 0, 1)))
    assert np.median(off[:, :5]) < 0.5
    assert (off[:, :5] < 1.5).mean() > 0.9


def test_the_center_makes_angles_right(prepared_nickel):
    """With another center, normals are no longer those of lattice planes."""
    prepared, centers, _ = prepared_nickel
    find = FindBands(n_bands=4)
    right, *_ = find([prepared, centers])
    wrong, *_ = find([prepared, centers + np.float32([0.1, 0, 0])])
    unknown, *_ = find([prepared, np.full_like(centers, np.nan)])
    common = np.full_like(centers, (0.5, 0.3, 0.65))
    assert np.array_equal(to_numpy(unknown), to_numpy(find([prepared, common])[0]))
    cosines = np.abs((to_numpy(right) * to_numpy(wrong)).sum(axis=-1))
    assert 2 < np.rad2deg(np.arccos(cosines)).max() < 30


def test_turned_patterns_have_the_same_features(prepared_nickel):
    """A quarter turn about the center of the pattern is exact."""
    prepared, centers, _ = prepared_nickel
    centers = np.full_like(centers, (0.5, 0.5, 0.6))
    find = FindBands(n_bands=6)
    _, features, _ = find([prepared, centers])
    _, turned, _ = find([np.rot90(prepared, axes=(1, 2)).copy(), centers])
    assert np.allclose(to_numpy(features), to_numpy(turned), atol=2e-2)


@pytest.fixture(scope="module")
def bands():
    rng = np.random.default_rng(2)
    normals = rng.normal(size=(3, 10, 3)).astype("float32")
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    is_band = np.ones((3, 10), "float32")
    is_band[1, 7:] = 0
    return rng.normal(size=(3, 10, 16)).astype("float32"), normals, is_band


def test_only_angles_count(bands):
    """Rotations of the crystal, and opposite normals, change nothing."""
    x, normals, is_band = bands
    compare = CompareBands(16, heads=2)
    expected = to_numpy(compare([x, normals, is_band]))
    turned = normals @ Rotation.random(rng=3).as_matrix().T.astype("float32")
    turned[:, ::2] *= -1
    assert np.allclose(to_numpy(compare([x, turned, is_band])), expected, atol=1e-4)
    other = normals[:, ::-1].copy()
    assert not np.allclose(to_numpy(compare([x, other, is_band])), expected, atol=0.01)


def test_order_and_missing_bands_change_nothing(bands):
    x, normals, is_band = bands
    compare, pool = CompareBands(16, heads=2), PoolBands()
    expected = to_numpy(pool([compare([x, normals, is_band]), is_band]))
    order = np.random.default_rng(5).permutation(10)
    parts = x[:, order], normals[:, order], is_band[:, order]
    shuffled = to_numpy(pool([compare(list(parts)), parts[2]]))
    assert np.allclose(shuffled, expected, atol=1e-5)
    x = np.where(is_band[..., None] > 0, x, 99).astype("float32")
    others = to_numpy(pool([compare([x, normals, is_band]), is_band]))
    assert np.allclose(others, expected, atol=1e-5)


def test_network_is_read_from_its_file(prepared_nickel, tmp_path):
    prepared, centers, _ = prepared_nickel
    network = band_network((SIZE, SIZE, 1), 5, units=16, blocks=1)
    expected = to_numpy(network([prepared, centers]))
    assert expected.shape == (len(prepared), 5)
    assert np.isfinite(expected).all()
    network.save(tmp_path / "a.keras")
    assert (tmp_path / "a.keras").stat().st_size < 200_000
    again = keras.models.load_model(tmp_path / "a.keras")
    assert np.array_equal(to_numpy(again([prepared, centers])), expected)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [({"n_angles": 90}, "multiple of 4"), ({"n_steps": 28}, "must be odd")],
)
def test_impossible_numbers(kwargs, message):
    with pytest.raises(ValueError, match=message):
        FindBands(**kwargs)
    with pytest.raises(ValueError, match="divide"):
        CompareBands(16, heads=3)

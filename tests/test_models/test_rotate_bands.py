# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The layer that rotates bands, and sees whether there are bands where they come to be."""

from keras import ops
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import kikuchipy_spacegroup as kpsg
from kikuchipy_spacegroup.models._bands import FindBands
from kikuchipy_spacegroup.models._rotate_bands import RotateBands, _look_up
from kikuchipy_spacegroup.models._zone_axes import (
    FOLDS,
    FindZoneAxes,
    rotation_matrices,
)

SIZE = 64
# Features of a rotation
AGAIN, DIFFER, MEAN, WEIGHT = range(4)


def to_numpy(tensor):
    return np.asarray(ops.convert_to_numpy(tensor))


def rotate(prepared, centers, n_bands=16):
    """Return normals of bands, zone axes, and what the layer returns."""
    layer = FindBands(n_bands=n_bands, return_response=True)
    *found, response = layer([prepared, centers])
    axes = FindZoneAxes()([prepared, centers, *found])[0]
    rotated = RotateBands()([response, centers, *found, axes])
    return [to_numpy(i) for i in (found[0], axes, *rotated)]


@pytest.fixture(scope="module")
def rotated(prepared_nickel):
    return rotate(*prepared_nickel[:2])


@pytest.mark.parametrize("fold", FOLDS)
def test_matrices_are_those_of_scipy(fold):
    axes = np.random.default_rng(1).normal(size=(2, 3, 3))
    axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
    ours = to_numpy(rotation_matrices(ops.convert_to_tensor(axes, "float32"), [fold]))
    vectors = (2 * np.pi / fold * axes).reshape(-1, 3)
    theirs = Rotation.from_rotvec(vectors).as_matrix().reshape(2, 3, 3, 3)
    assert ours == pytest.approx(theirs, abs=1e-6)


def test_bands_are_looked_up_where_they_were_found(prepared_nickel):
    """The response on the line of a band, of either normal, is the band's strength."""
    prepared, centers, _ = prepared_nickel
    layer = FindBands(n_bands=8, return_response=True)
    normals, features, _, response = layer([prepared, centers])
    strengths = 4 * to_numpy(features)[..., -6]
    for sign in (1, -1):
        lines = sign * ops.transpose(normals, (0, 2, 1))[:, None]
        found, is_seen = _look_up(response, centers, lines)
        found, is_seen = (to_numpy(i)[:, 0] for i in (found, is_seen))
        assert is_seen.mean() > 0.8
        assert not found[is_seen == 0].any()
        assert found[is_seen > 0] == pytest.approx(strengths[is_seen > 0], rel=1e-3)


def test_bands_fall_on_bands_about_axes_of_symmetry(
    prepared_nickel, rotated, angles_to
):
    """Of a fourfold, a threefold and a twofold axis of m-3m."""
    _, axes, of_axes, *_ = rotated
    of_axes = of_axes.reshape(*axes.shape[:2], len(FOLDS), 4)
    symmetric = {(0, 0, 1): (2, 4), (1, 1, 1): (3,), (0, 1, 1): (2,)}
    for direction, folds in symmetric.items():
        off = angles_to([direction], axes, prepared_nickel[2])
        for k, fold in enumerate(FOLDS):
            values = of_axes[..., k, :][(off < 0.8) & (of_axes[..., k, WEIGHT] > 0.3)]
            assert len(values) > 3
            if fold in folds:
                assert np.median(values[:, AGAIN]) > 0.8
                assert np.median(values[:, DIFFER]) < 0.3
            else:
                assert np.median(values[:, AGAIN]) < 0.6
                assert np.median(values[:, DIFFER]) > 0.5


def test_mirrors_are_half_turns_about_normals(prepared_nickel, rotated, angles_to):
    """Planes {001} and {011} of m-3m are mirrors, {111} are none."""
    normals, _, _, of_bands, *_ = rotated
    again = of_bands[..., AGAIN]
    medians = {}
    for plane in ((0, 0, 1), (0, 1, 1), (1, 1, 1)):
        off = angles_to([plane], normals, prepared_nickel[2])
        here = again[(off < 0.8) & (of_bands[..., WEIGHT] > 0.3)]
        assert len(here) > 3
        medians[plane] = np.median(here)
    assert min(medians[0, 0, 1], medians[0, 1, 1]) > 0.8
    assert medians[1, 1, 1] < 0.6


def test_bisectors_are_twofold_axes(prepared_nickel, rotated, angles_to):
    """The best ones are <001> and <011>, of which not all are seen."""
    *_, twofolds, of_twofolds, is_twofold = rotated
    assert is_twofold[:, :4].all()
    assert np.linalg.norm(twofolds, axis=-1) == pytest.approx(is_twofold, abs=1e-5)
    assert (np.diff(of_twofolds[..., MEAN]) <= 1e-6).all()
    off = angles_to([(0, 0, 1), (0, 1, 1)], twofolds, prepared_nickel[2])[:, :4]
    assert np.median(off) < 1
    # Farther from the middle than the pattern reaches
    assert (np.abs(twofolds[:, :4, 2]) < 0.5).any()


def test_turned_patterns_have_the_same_features(prepared_nickel):
    """A quarter turn about the center of the pattern is exact."""
    prepared = prepared_nickel[0]
    centers = np.full((len(prepared), 3), (0.5, 0.5, 0.6), "float32")
    here = rotate(prepared, centers)
    turned = rotate(np.rot90(prepared, axes=(1, 2)).copy(), centers)
    for i in (3, 5):
        best, best_turned = here[i][:, :4], turned[i][:, :4]
        assert (np.abs(best - best_turned) < 0.1).mean() > 0.8


def test_nothing_and_unknown_centers(prepared_nickel):
    """No bands, no axes; an unknown center is a common one."""
    prepared, centers, _ = prepared_nickel
    empty = rotate(np.zeros_like(prepared[:2]), centers[:2])
    assert not empty[6].any()
    assert all(np.isfinite(i).all() for i in empty)
    unknown = rotate(prepared, np.full_like(centers, np.nan))
    common = rotate(prepared, np.full_like(centers, (0.5, 0.3, 0.65)))
    assert all(np.array_equal(i, j) for i, j in zip(unknown, common))


def test_few_bands(prepared_nickel):
    """Three bands have six bisectors, and eight were asked for."""
    prepared, centers, _ = prepared_nickel
    _, _, of_axes, of_bands, twofolds, of_twofolds, is_twofold = rotate(
        prepared, centers, n_bands=3
    )
    n = len(prepared)
    assert of_axes.shape == (n, 20, 16)
    assert of_bands.shape == (n, 3, 4)
    assert twofolds.shape == (n, 8, 3)
    assert of_twofolds.shape == (n, 8, 4)
    assert is_twofold.sum(axis=1).max() <= 6


@pytest.mark.parametrize("n_twofolds", [0, 5])
def test_network_with_and_without_it(prepared_nickel, tmp_path, n_twofolds):
    given = {"size": SIZE, "units": 16, "blocks": 1, "n_twofolds": n_twofolds}
    model = kpsg.SpaceGroupModel.create([1, 2, 225], network="bands", **given)
    names = [layer.name for layer in model.network.layers]
    assert ("rotate_bands" in names) == (n_twofolds > 0)
    model.save(tmp_path / "bands.keras")
    again = kpsg.load_model(tmp_path / "bands.keras")
    expected = to_numpy(model.network(list(prepared_nickel[:2])))
    assert np.allclose(
        to_numpy(again.network(list(prepared_nickel[:2]))), expected, atol=1e-5
    )

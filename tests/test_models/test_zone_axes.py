# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The layer that finds zone axes, and says how symmetric patterns are about them."""

from keras import ops
import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

import kikuchipy_spacegroup as kpsg
from kikuchipy_spacegroup.models._bands import FindBands
from kikuchipy_spacegroup.models._zone_axes import FOLDS, FindZoneAxes, sample_points

SIZE = 64


def to_numpy(tensor):
    return np.asarray(ops.convert_to_numpy(tensor))


def find(prepared, centers, n_bands=16):
    """Return normals of bands, and what the layer returns."""
    found = FindBands(n_bands=n_bands)([prepared, centers])
    axes = FindZoneAxes()([prepared, centers, *found])
    return [to_numpy(i) for i in (found[0], *axes)]


@pytest.fixture(scope="module")
def found(prepared_nickel):
    return find(*prepared_nickel[:2])


def test_axes_are_directions_of_the_lattice(prepared_nickel, found, angles_to):
    _, axes, of_axes, is_axis, _ = found
    low = [(0, 0, 1), (0, 1, 1), (1, 1, 1), (1, 1, 2)]
    low += [(0, 1, 2), (0, 1, 3), (1, 1, 4), (1, 2, 3)]
    off = angles_to(low, axes, prepared_nickel[2])[:, :4]
    assert is_axis[:, :4].all()
    assert np.median(off) < 0.7
    # The bands that go through an axis make it more precise and rank it
    assert (np.diff(of_axes[..., -3]) <= 0).all()


def test_patterns_are_symmetric_about_axes_of_symmetry(
    prepared_nickel, found, angles_to
):
    """Of a fourfold, a threefold and a twofold axis of m-3m."""
    _, axes, of_axes, is_axis, _ = found
    correlations, covers = of_axes[..., :4], of_axes[..., 4:8]
    symmetric = {(0, 0, 1): (2, 4), (1, 1, 1): (3,), (0, 1, 1): (2,)}
    for direction, folds in symmetric.items():
        off = angles_to([direction], axes, prepared_nickel[2])
        here = (off < 0.8) & (is_axis > 0)
        for k, fold in enumerate(FOLDS):
            values = correlations[..., k][here & (covers[..., k] > 0.3)]
            assert len(values) > 3
            if fold in folds:
                assert np.median(values) > 0.8
            else:
                assert np.median(values) < 0.5


def test_mirrors_are_half_turns_about_normals(prepared_nickel, found, angles_to):
    """Planes {001} and {011} of m-3m are mirrors, {111} are none."""
    normals, *_, of_bands = found
    values, cover = of_bands[..., 0], of_bands[..., 1]
    for plane, is_mirror in (((0, 0, 1), 1), ((0, 1, 1), 1), ((1, 1, 1), 0)):
        here = (angles_to([plane], normals, prepared_nickel[2]) < 0.8) & (cover > 0.3)
        assert here.sum() > 3
        assert (np.median(values[here]) > 0.6) == is_mirror


def test_correlation_is_that_of_rotated_patterns(prepared_nickel, found):
    """Rotations of SciPy, and patterns interpolated by it."""
    prepared, centers, _ = prepared_nickel
    _, axes, of_axes, *_ = found
    row, column = sample_points(SIZE, 480).T
    ours, theirs = [], []
    for i, (pcx, pcy, pcz) in enumerate(centers):
        image = prepared[i, ..., 0]
        x, y = (column + 0.5) / SIZE - pcx, pcy - (row + 0.5) / SIZE
        directions = np.stack([x, y, np.full(len(x), pcz)], axis=1)
        for k, fold in enumerate(FOLDS):
            rotation = Rotation.from_rotvec(2 * np.pi / fold * axes[i, 0])
            x, y, z = rotation.apply(directions).T
            x, y = pcx + x / z * pcz, pcy - y / z * pcz
            seen = np.hypot(x - 0.5, y - 0.5) < 0.5 - 1.0 / SIZE
            place = np.stack([y, x])[:, seen] * SIZE - 0.5
            if seen.mean() < 0.2:
                continue
            rotated = map_coordinates(image, place, order=1)
            theirs.append(np.corrcoef(image[row, column][seen], rotated)[0, 1])
            ours.append(of_axes[i, 0, k])
            assert of_axes[i, 0, 4 + k] == pytest.approx(seen.mean(), abs=0.02)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.97
    assert np.abs(np.subtract(ours, theirs)).mean() < 0.08


def test_turned_patterns_have_the_same_features(prepared_nickel):
    """A quarter turn about the center of the pattern is exact."""
    prepared = prepared_nickel[0]
    centers = np.full((len(prepared), 3), (0.5, 0.5, 0.6), "float32")
    here = find(prepared, centers)
    turned = find(np.rot90(prepared, axes=(1, 2)).copy(), centers)
    best, best_turned = (i[2][:, 0, 8:] for i in (here, turned))
    assert np.allclose(best, best_turned, atol=0.1)
    close = np.abs(here[2][:, 0, :4] - turned[2][:, 0, :4]) < 0.15
    assert close.mean() > 0.9


def test_nothing_and_unknown_centers(prepared_nickel):
    """No bands, no axes; an unknown center is a common one."""
    prepared, centers, _ = prepared_nickel
    empty = find(np.zeros_like(prepared[:2]), centers[:2])
    assert not empty[3].any()
    assert all(np.isfinite(i).all() for i in empty)
    unknown = find(prepared, np.full_like(centers, np.nan))
    common = find(prepared, np.full_like(centers, (0.5, 0.3, 0.65)))
    assert all(np.array_equal(i, j) for i, j in zip(unknown, common))


def test_few_bands(prepared_nickel):
    prepared, centers, _ = prepared_nickel
    _, axes, of_axes, is_axis, of_bands = find(prepared, centers, n_bands=3)
    assert axes.shape == (len(prepared), 20, 3)
    assert of_axes.shape == (len(prepared), 20, 11)
    assert 1 <= is_axis.sum(axis=1).max() <= 3
    assert of_bands.shape == (len(prepared), 3, 2)


@pytest.mark.parametrize("n_axes", [0, 5])
def test_network_with_and_without_axes(prepared_nickel, tmp_path, n_axes):
    given = {"size": SIZE, "units": 16, "blocks": 1, "n_axes": n_axes}
    model = kpsg.SpaceGroupModel.create([1, 2, 225], network="bands", **given)
    names = [layer.name for layer in model.network.layers]
    assert ("find_zone_axes" in names) == (n_axes > 0)
    model.save(tmp_path / "bands.keras")
    again = kpsg.load_model(tmp_path / "bands.keras")
    expected = to_numpy(model.network(list(prepared_nickel[:2])))
    assert np.allclose(
        to_numpy(again.network(list(prepared_nickel[:2]))), expected, atol=1e-5
    )

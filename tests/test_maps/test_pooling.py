# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One space group for all patterns of a grain."""

import numpy as np
from orix import io
import pytest

from kikuchipy_spacegroup.maps import (
    crystal_map,
    fit_correlation,
    pool_grains,
    prediction_sets_from_map,
    probabilities_from_map,
)
from kikuchipy_spacegroup.maps._pooling import effective_number
from kikuchipy_spacegroup.training import calibration_error

GROUPS = [221, 225, 229]


def random_map(shape=(4, 5), seed=0, **kwargs):
    p = np.random.default_rng(seed).dirichlet(np.ones(3), shape)
    return p, crystal_map(p, GROUPS, keep_probabilities=True, **kwargs)


def two_phases(correlation, n=16, n_grains=3000, seed=0):
    """Return probabilities which are calibrated pattern by pattern, but
    whose errors have a correlation within grains.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n_grains)
    common = rng.normal(size=(n_grains, 1)) * np.sqrt(correlation)
    noise = common + rng.normal(size=(n_grains, n)) * np.sqrt(1 - correlation)
    # Log-odds of N(+-1, 1) are twice what is measured
    odds = 2 * (np.where(labels == 1, 1, -1)[:, None] + noise)
    p = 1 / (1 + np.exp(-odds))
    return np.stack([1 - p, p], axis=-1), labels


class TestPoolGrains:
    def test_independent(self):
        """Without correlation, it is Bayes' theorem."""
        p, xmap = random_map()
        labels = np.arange(20) % 3
        pooled = pool_grains(xmap, labels, correlation=0)
        for i in range(3):
            product = p.reshape(20, 3)[labels == i].prod(axis=0)
            product /= product.sum()
            found = probabilities_from_map(pooled)[0][labels == i]
            assert np.allclose(found, product, atol=1e-6)
            assert np.allclose(pooled.scores[labels == i], product.max(), atol=1e-6)
            assert (pooled.phase_id[labels == i] == GROUPS[product.argmax()]).all()
        assert np.array_equal(pooled.prop["grain_id"], labels)
        assert pooled.prop["grain_size"].tolist() == [[7, 7, 6][i] for i in labels]

    def test_same_patterns(self):
        """If all patterns are the same one, nothing is gained."""
        p = np.tile([0.2, 0.7, 0.1], (2, 3, 1))
        xmap = crystal_map(p, GROUPS, keep_probabilities=True)
        pooled = pool_grains(xmap, np.zeros((2, 3), int), correlation=1)
        assert np.allclose(probabilities_from_map(pooled)[0], p.reshape(6, 3))

    def test_correlation_changes_no_label(self):
        _, xmap = random_map()
        labels = np.arange(20) // 4
        results = [pool_grains(xmap, labels, correlation=r) for r in (0, 0.3, 1)]
        assert all(np.array_equal(r.phase_id, results[0].phase_id) for r in results)
        assert (results[0].scores >= results[1].scores).all()
        assert (results[1].scores >= results[2].scores).all()

    def test_grains_of_one(self):
        p, xmap = random_map()
        for labels in (np.arange(20), np.full(20, -1)):
            pooled = pool_grains(xmap, labels)
            assert np.allclose(probabilities_from_map(pooled)[0], p.reshape(20, 3))
            assert np.array_equal(pooled.phase_id, xmap.phase_id)
        assert not pooled.prop["grain_size"].any()
        assert (pooled.prop["grain_id"] == -1).all()

    def test_names_of_grains_do_not_matter(self):
        _, xmap = random_map()
        labels = np.arange(20) % 4
        a = pool_grains(xmap, labels)
        b = pool_grains(xmap, np.array([7, 3, 100, 0])[labels].astype("uint8"))
        assert np.array_equal(a.scores, b.scores)

    def test_order_of_space_groups_does_not_matter(self):
        p, xmap = random_map()
        labels = np.arange(20) % 4
        other = crystal_map(p[..., ::-1], GROUPS[::-1], keep_probabilities=True)
        a, b = (pool_grains(x, labels) for x in (xmap, other))
        assert np.array_equal(a.phase_id, b.phase_id)
        assert np.allclose(a.scores, b.scores)

    def test_not_classified(self):
        p, _ = random_map()
        p[0, :2] = np.nan
        p[3, 4] = np.nan
        xmap = crystal_map(p, GROUPS, keep_probabilities=True)
        labels = np.zeros((4, 5), int)
        labels[0, 1] = labels[3, 4] = 1
        labels[1, 0] = -1
        pooled = pool_grains(xmap, labels)
        # One gets the result of its grain, the others have none
        assert pooled.phase_id[0] == pooled.phase_id[2] != -1
        assert pooled.phase_id[1] == pooled.phase_id[-1] == -1
        assert pooled.prop["grain_size"][[0, 1, 5, 6]].tolist() == [16, 0, 0, 16]
        assert prediction_sets_from_map(pooled, 0.9)[1] == ()

    def test_masked(self, tmp_path):
        mask = np.zeros((4, 5), bool)
        mask[0] = mask[2, 2] = True
        _, xmap = random_map(
            navigation_mask=mask, step_sizes=(0.5, 2), scan_unit="um", keep_n=2
        )
        xmap.prop["iq"] = np.arange(14)
        labels = np.arange(20).reshape(4, 5) // 10
        a, b = pool_grains(xmap, labels), pool_grains(xmap, labels[~mask])
        for pooled in (a, b):
            assert np.array_equal(pooled.is_in_data, ~mask.ravel())
            assert (pooled.dx, pooled.dy, pooled.scan_unit) == (2, 0.5, "um")
            assert pooled.prop["iq"].tolist() == list(range(14))
            assert pooled.prop["top_space_groups"].shape == (14, 2)
            assert pooled.get_map_data("scores").shape == (3, 5)
        assert np.array_equal(a.scores, b.scores)
        io.save(str(tmp_path / "a.h5"), a)
        loaded = io.load(str(tmp_path / "a.h5"))
        assert np.array_equal(loaded.phase_id, a.phase_id)
        assert all(np.array_equal(loaded.prop[i], a.prop[i]) for i in a.prop)
        io.save(str(tmp_path / "b.h5"), xmap)
        again = pool_grains(io.load(str(tmp_path / "b.h5")), labels)
        assert np.array_equal(again.scores, a.scores)

    def test_part_of_a_map(self):
        p, xmap = random_map()
        part = xmap[1:3, 2:]
        pooled = pool_grains(part, np.zeros(6, int), correlation=0)
        product = p[1:3, 2:].reshape(6, 3).prod(axis=0)
        assert np.allclose(pooled.probabilities, product / product.sum(), atol=1e-6)
        assert pooled.shape == (2, 3)

    def test_original_is_unchanged(self):
        _, xmap = random_map()
        before = xmap.deepcopy()
        pool_grains(xmap, np.zeros(20, int))
        assert list(xmap.prop) == list(before.prop)
        assert all(np.array_equal(xmap.prop[i], before.prop[i]) for i in xmap.prop)
        assert np.array_equal(xmap.phase_id, before.phase_id)

    def test_min_probability(self):
        _, xmap = random_map()
        labels = np.arange(20) // 2
        pooled = pool_grains(xmap, labels, min_probability=0.7)
        assert np.array_equal(pooled.phase_id == -1, pooled.scores < 0.7)

    def test_zero_is_no_veto(self):
        p = np.array([[1.0, 0.0], *[[0.01, 0.99]] * 9])
        xmap = crystal_map(p, [225, 229], keep_probabilities=True)
        assert (pool_grains(xmap, np.zeros(10, int)).phase_id == 229).all()

    def test_errors(self):
        p, xmap = random_map()
        labels = np.zeros(20, int)
        with pytest.raises(ValueError, match="keep_probabilities=True"):
            pool_grains(crystal_map(p, GROUPS), labels)
        with pytest.raises(ValueError, match="must be integers, not float64"):
            pool_grains(xmap, labels * 1.0)
        with pytest.raises(ValueError, match="do not fit the map, which has 20"):
            pool_grains(xmap, labels[:3])
        with pytest.raises(ValueError, match="correlation must be in"):
            pool_grains(xmap, labels, correlation=1.1)
        with pytest.raises(ValueError, match="min_probability must be in"):
            pool_grains(xmap, labels, min_probability=-1)
        with pytest.raises(ValueError, match="pooled already"):
            pool_grains(pool_grains(xmap, labels), labels)


class TestCorrelation:
    @pytest.mark.parametrize("correlation", [0, 0.2, 0.6, 1])
    def test_fit(self, correlation):
        p, labels = two_phases(correlation)
        n = p.shape[1]
        found = fit_correlation(
            p.reshape(-1, 2), np.repeat(np.arange(len(p)), n), np.repeat(labels, n)
        )
        # The variance of a mean is exactly that of so many patterns
        assert found == pytest.approx(correlation, abs=0.05)

    def test_calibration(self):
        """With the right correlation grains are as right as they say."""
        p, labels = two_phases(0.3)
        n = p.shape[1]
        xmap = crystal_map(p, [225, 229], keep_probabilities=True)
        grain_id = np.repeat(np.arange(len(p)), n)
        errors = {}
        for r in (0, 0.3):
            q = pool_grains(xmap, grain_id, correlation=r).probabilities[::n]
            errors[r] = calibration_error(q, labels)
        assert errors[0.3] < 0.015 < 0.03 < errors[0]

    def test_left_out(self):
        p, labels = two_phases(0.5, n_grains=200)
        p, labels = p.reshape(-1, 2), np.repeat(labels, 16)
        grain_id = np.repeat(np.arange(200), 16)
        expected = fit_correlation(p, grain_id, labels)
        more = np.concatenate([p, [[np.nan] * 2, [0, 0], [0.9, 0.1]]])
        found = fit_correlation(
            more, np.append(grain_id, [0, 0, -1]), np.append(labels, [1, 1, 1])
        )
        assert found == expected

    def test_effective_number(self):
        n = np.array([1, 2, 10, 10_000])
        assert np.allclose(effective_number(n, 0), n)
        assert np.allclose(effective_number(n, 1), 1)
        assert effective_number(n, 0.25)[-1] == pytest.approx(4, abs=0.01)

    def test_errors(self):
        p, zeros = np.full((4, 2), 0.5), np.zeros(4, int)
        with pytest.raises(ValueError, match="Expected arrays of shape"):
            fit_correlation(p, zeros[:2], zeros)
        with pytest.raises(ValueError, match="different labels"):
            fit_correlation(p, zeros, np.array([0, 0, 0, 1]))
        with pytest.raises(ValueError, match="from 0 to 1"):
            fit_correlation(p, zeros, zeros + 2)
        with pytest.raises(ValueError, match="No pattern"):
            fit_correlation(p, zeros - 1, zeros)

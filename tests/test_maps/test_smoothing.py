# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps in which neighbors tend to be alike."""

from itertools import product
import logging

import numpy as np
import pytest

from kikuchipy_spacegroup.maps import (
    crystal_map,
    pool_grains,
    probabilities_from_map,
    smooth_probabilities,
)

GROUPS = [221, 225, 229]


def exact_marginals(p, beta):
    """Return marginal probabilities, by going through all maps."""
    rows, columns, k = p.shape
    total = np.zeros_like(p)
    for labels in product(range(k), repeat=rows * columns):
        x = np.array(labels).reshape(rows, columns)
        alike = (x[1:] == x[:-1]).sum() + (x[:, 1:] == x[:, :-1]).sum()
        evidence = np.take_along_axis(p, x[..., None], axis=2)
        total += np.eye(k)[x] * evidence.prod() * np.exp(beta * alike)
    return total / total.sum(axis=2, keepdims=True)


def random_map(shape, seed=0, k=3, **kwargs):
    p = np.random.default_rng(seed).dirichlet(np.ones(k), shape)
    return p, crystal_map(p, GROUPS[:k], keep_probabilities=True, **kwargs)


def two_phases(seed=0):
    """Return a noisy map of two phases with a few small grains."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((40, 60), dtype=int)
    truth[:, 30:] = 1
    truth[8:12, 8:12] = truth[30, 10] = 1
    logits = rng.normal(0, 1.2, (40, 60, 3)) + 2 * np.eye(3)[truth]
    logits[30, 10] = [0, 8, 0]
    p = np.exp(logits)
    xmap = crystal_map(
        p / p.sum(axis=2, keepdims=True), GROUPS, keep_probabilities=True
    )
    return xmap, np.array(GROUPS)[truth].ravel()


class TestSmoothProbabilities:
    @pytest.mark.parametrize("shape", [(1, 6), (6, 1), (6,)])
    @pytest.mark.parametrize("beta", [0.5, 2])
    def test_exact_along_lines(self, shape, beta):
        p, xmap = random_map(shape)
        found = smooth_probabilities(xmap, beta=beta).probabilities
        expected = exact_marginals(p.reshape(*shape[:1], -1, 3), beta)
        assert np.allclose(found, expected.reshape(-1, 3), atol=1e-4)

    def test_close_to_exact(self):
        p, xmap = random_map((3, 4), k=2)
        found = smooth_probabilities(xmap).probabilities
        exact = exact_marginals(p, 0.7).reshape(-1, 2)
        before = p.reshape(-1, 2)
        assert np.abs(found - exact).max() < 0.05 < np.abs(before - exact).max()

    def test_without_coupling(self):
        _, xmap = random_map((4, 5))
        smooth = smooth_probabilities(xmap, beta=0)
        assert np.allclose(smooth.probabilities, xmap.probabilities)
        assert np.array_equal(smooth.phase_id, xmap.phase_id)

    def test_knows_nothing(self):
        xmap = crystal_map(np.full((9, 9, 3), 1 / 3), GROUPS, keep_probabilities=True)
        smooth = smooth_probabilities(xmap)
        assert np.allclose(smooth.probabilities, 1 / 3, atol=1e-5)

    @pytest.mark.parametrize(
        ["odds", "beta", "stays"],
        [(12, 0.7, False), (21, 0.7, True), (40, 1, False), (70, 1, True)],
    )
    def test_evidence_decides(self, odds, beta, stays):
        """A lone point stays if it is sure enough."""
        p = np.zeros((3, 3, 2))
        p[..., 0] = 1
        p[1, 1] = np.array([1, odds]) / (1 + odds)
        xmap = crystal_map(p, [225, 229], keep_probabilities=True)
        smooth = smooth_probabilities(xmap, beta=beta)
        assert (smooth.phase_id[4] == 229) == stays
        expected = odds / (odds + np.exp(4 * beta))
        assert smooth.probabilities[4, 1] == pytest.approx(expected, abs=1e-4)

    def test_symmetries(self):
        p, xmap = random_map((5, 6))
        smooth = smooth_probabilities(xmap).probabilities.reshape(5, 6, 3)
        for index in (np.s_[::-1], np.s_[:, ::-1], np.s_[..., ::-1]):
            other = crystal_map(p[index], GROUPS, keep_probabilities=True)
            found = smooth_probabilities(other).probabilities.reshape(5, 6, 3)
            assert np.allclose(found, smooth[index], atol=1e-4)

    def test_masked_and_not_classified(self):
        """They cut a map into pieces that do not feel each other."""
        p, _ = random_map((4, 5))
        p[:, 2] = np.nan
        mask = np.zeros((4, 5), bool)
        mask[0] = True
        xmap = crystal_map(p, GROUPS, keep_probabilities=True, navigation_mask=mask)
        smooth = smooth_probabilities(xmap)
        assert np.array_equal(smooth.is_in_data, ~mask.ravel())
        found = smooth.probabilities.reshape(3, 5, 3)
        assert not found[:, 2].any()
        assert (smooth.phase_id.reshape(3, 5)[:, 2] == -1).all()
        for part in (np.s_[:, :2], np.s_[:, 3:]):
            alone = crystal_map(p[1:][part], GROUPS, keep_probabilities=True)
            expected = smooth_probabilities(alone).probabilities.reshape(3, 2, 3)
            assert np.allclose(found[part], expected, atol=1e-4)

    def test_two_phases(self):
        """Noise goes, a small grain and a sure point stay."""
        xmap, truth = two_phases()
        smooth = smooth_probabilities(xmap)
        right = (smooth.phase_id == truth).reshape(40, 60)
        assert (xmap.phase_id == truth).mean() < 0.85
        assert right.mean() > 0.96
        assert right[8:12, 8:12].mean() > 0.8
        assert right[30, 10]

    def test_pooled_before(self):
        xmap, truth = two_phases()
        labels = (truth == 225).astype(int).reshape(40, 60)
        labels[20, 20], labels[30, 10] = 7, 8
        pooled = pool_grains(xmap, labels)
        smooth = smooth_probabilities(pooled)
        assert np.array_equal(smooth.prop["grain_id"], labels.ravel())
        # All is right but perhaps the lone point, and only this may change
        changed = np.flatnonzero(smooth.phase_id != pooled.phase_id)
        assert set(changed) <= {20 * 60 + 20}
        assert (smooth.phase_id == truth).all()

    def test_one_point(self):
        p, xmap = random_map((1,))
        assert np.allclose(smooth_probabilities(xmap).probabilities, p)

    def test_original_is_unchanged(self):
        _, xmap = random_map((3, 3))
        before = probabilities_from_map(xmap)[0].copy()
        smooth_probabilities(xmap)
        assert np.array_equal(probabilities_from_map(xmap)[0], before)

    def test_not_converged(self, caplog):
        _, xmap = random_map((9, 9))
        with caplog.at_level(logging.WARNING, "kikuchipy_spacegroup"):
            smooth_probabilities(xmap, max_iterations=1)
        assert "still change" in caplog.text

    def test_strong_coupling_is_finite(self):
        _, xmap = random_map((9, 9))
        smooth = smooth_probabilities(xmap, beta=10)
        assert np.allclose(smooth.probabilities.sum(axis=1), 1, atol=1e-5)

    def test_errors(self):
        p, xmap = random_map((2, 2))
        with pytest.raises(ValueError, match="beta must be from 0 to 10, not -1"):
            smooth_probabilities(xmap, beta=-1)
        with pytest.raises(ValueError, match="max_iterations must be at least 1"):
            smooth_probabilities(xmap, max_iterations=0)
        with pytest.raises(ValueError, match="min_probability must be in"):
            smooth_probabilities(xmap, min_probability=2)
        with pytest.raises(ValueError, match="keep_probabilities=True"):
            smooth_probabilities(crystal_map(p, GROUPS))

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often space groups were in training counts once, whatever is multiplied."""

from itertools import product

import kikuchipy as kp
import numpy as np
from orix import io
from orix.crystal_map import CrystalMap, Phase, PhaseList
from orix.quaternion import Rotation
import pytest
from scipy.special import softmax

from kikuchipy_spacegroup.maps import (
    candidate_probabilities,
    coarsen_map,
    combine,
    crystal_map,
    fit_correlation,
    identify_phases,
    navigation_masks,
    pool_grains,
    prediction_sets_from_map,
    prior_from_map,
    probabilities_from_map,
    save_map,
    smooth_probabilities,
    symmetry_map,
)
from kikuchipy_spacegroup.maps._pooling import effective_number
from kikuchipy_spacegroup.space_groups._prior import check_prior, relative_prior

GROUPS = [2, 194, 225, 229]
PRIOR = np.array([0.8, 0.12, 0.05, 0.03])
PHASES = [Phase("Mg", space_group=194), Phase("Ni", space_group=225)]


def normalized(values):
    return values / values.sum(axis=-1, keepdims=True)


def bayes(likelihoods, prior=PRIOR):
    """Return the probabilities of patterns of known likelihoods."""
    return normalized(likelihoods * prior)


def a_map(probabilities, prior=PRIOR, **kwargs):
    return crystal_map(
        probabilities, GROUPS, keep_probabilities=True, prior=prior, **kwargs
    )


def random_likelihoods(shape, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(4), shape)


def indexed(shape=(20,)):
    """Maps of dictionary indexing that prefer neither phase."""
    n = int(np.prod(shape))
    return [
        CrystalMap(
            rotations=Rotation.identity((n,)),
            phase_list=PhaseList(phase),
            prop={"scores": np.full(n, 0.3)},
            x=np.arange(n),
        )
        for phase in PHASES
    ]


def all_results(xmap):
    """Return all maps made by multiplying probabilities."""
    grain_ids = np.arange(xmap.size) // 5
    return [
        pool_grains(xmap, grain_ids),
        smooth_probabilities(xmap),
        smooth_probabilities(pool_grains(xmap, grain_ids, correlation=0)),
        combine(xmap, indexed(), weights={"classifier": 1}),
        combine(xmap, indexed(), grain_ids=grain_ids),
        identify_phases(xmap, PHASES),
    ]


class TestNumbers:
    def test_same_for_all_is_exactly_one(self):
        """So that nothing changes where all space groups are as frequent."""
        for n in range(1, 231):
            for prior in (check_prior(None, n), check_prior(np.full(n, 0.3), n)):
                assert (relative_prior(prior) == 1).all()
                assert prior.sum() == pytest.approx(1, abs=1e-12)

    def test_relative(self):
        assert np.allclose(relative_prior(PRIOR), 4 * PRIOR)

    def test_same_again(self):
        prior = check_prior([3, 1, 7], 3)
        assert np.array_equal(check_prior(prior, 3), prior)

    @pytest.mark.parametrize(
        "prior", [[1], [1, 0], [1, -1], [np.nan, 1], [np.inf, 1], [[1, 1]]]
    )
    def test_errors(self, prior):
        with pytest.raises(ValueError, match="must be 2 positive numbers"):
            crystal_map(np.array([[0.9, 0.1]]), [225, 229], prior=prior)


class TestSameForAll:
    """All is as it was before there were priors, to the last bit."""

    @pytest.mark.parametrize("prior", [np.full(4, 0.25), np.ones(4), [7, 7, 7, 7]])
    def test_no_difference(self, prior):
        p = random_likelihoods((20,))
        p[3] = np.nan
        without, with_it = a_map(p, prior=None), a_map(p, prior=prior)
        results = [without, *all_results(without)], [with_it, *all_results(with_it)]
        for a, b in zip(*results, strict=True):
            assert list(a.prop) == list(b.prop)
            assert "probabilities_prior" not in a.prop
            assert np.array_equal(a.phase_id, b.phase_id)
            for name in a.prop:
                assert np.array_equal(a.prop[name], b.prop[name], equal_nan=True)
        assert np.array_equal(prior_from_map(with_it), np.full(4, 0.25))

    @pytest.mark.parametrize("correlation", [0, 0.9])
    def test_formula_of_pooling(self, correlation):
        xmap = a_map(random_likelihoods((20,)), prior=None)
        p = xmap.prop["probabilities"].astype("float64")
        mean = np.log(np.maximum(p, 1e-6)).T.cumsum(axis=1)[:, -1] / 20
        n = effective_number(20, correlation)
        pooled = pool_grains(xmap, np.zeros(20, int), correlation=correlation)
        expected = softmax(n * mean).astype("float32")
        assert np.array_equal(pooled.prop["probabilities"][0], expected)

    def test_formula_of_candidates(self):
        p = random_likelihoods((20,))
        with np.errstate(divide="ignore"):
            ratios = np.log(p * 4)[:, [1, 2]]
        log_p = np.log([0.45, 0.45, 0.1]) + np.c_[ratios, np.zeros(20)]
        expected = normalized(np.exp(log_p - log_p.max(axis=1, keepdims=True)))
        found = candidate_probabilities(p, GROUPS, PHASES)
        assert np.array_equal(found, expected.astype("float32"))


class TestPooling:
    @pytest.mark.parametrize("n", [1, 2, 9])
    def test_same_independent_patterns(self, n):
        """Bayes' theorem, from likelihoods that are known."""
        likelihoods = np.array([0.2, 0.7, 0.9, 0.3])
        xmap = a_map(np.tile(bayes(likelihoods), (n, 1)))
        pooled = pool_grains(xmap, np.zeros(n, int), correlation=0)
        found, _ = probabilities_from_map(pooled)
        assert np.allclose(found, bayes(likelihoods**n), atol=1e-6)

    @pytest.mark.parametrize("correlation", [0, 0.4, 1])
    def test_different_patterns(self, correlation):
        likelihoods = random_likelihoods((12,))
        xmap = a_map(bayes(likelihoods))
        pooled = pool_grains(xmap, np.zeros(12, int), correlation=correlation)
        n = effective_number(12, correlation)
        expected = bayes(likelihoods.prod(axis=0) ** (n / 12))
        assert np.allclose(pooled.prop["probabilities"], expected, atol=1e-6)

    def test_grains_of_one(self):
        xmap = a_map(bayes(random_likelihoods((20,))))
        pooled = pool_grains(xmap, np.arange(20), correlation=0)
        before, _ = probabilities_from_map(xmap)
        assert np.allclose(probabilities_from_map(pooled)[0], before, atol=1e-6)
        assert np.array_equal(pooled.phase_id, xmap.phase_id)

    @pytest.mark.parametrize("n", [1, 10, 5000])
    def test_patterns_that_say_nothing(self, n):
        """A frequent space group does not win by numbers."""
        says_something = bayes(np.array([0.1, 0.9, 0.4, 0.2]))
        p = np.vstack([says_something, np.tile(PRIOR, (n, 1))])
        pooled = pool_grains(a_map(p), np.zeros(n + 1, int), correlation=0)
        found = pooled.prop["probabilities"][0]
        assert np.allclose(found, says_something, rtol=1e-3)
        nothing = pool_grains(a_map(p[1:]), np.zeros(n, int), correlation=0)
        assert np.allclose(nothing.prop["probabilities"], PRIOR, rtol=1e-3)

    def test_zero_is_no_veto(self):
        p = np.vstack([[0.8, 0, 0.17, 0.03], np.tile([0.6, 0.37, 0.02, 0.01], (9, 1))])
        pooled = pool_grains(a_map(p), np.zeros(10, int), correlation=0)
        # Nine odds of 4 to 1 over the prior do not outweigh one of 1e-6
        assert (pooled.phase_id == 2).all()
        more = a_map(np.vstack([p, p[1:]]))
        pooled = pool_grains(more, np.zeros(19, int), correlation=0)
        assert (pooled.phase_id == 194).all()

    @pytest.mark.parametrize("candidates", [[194, 225], [229, 2, 225]])
    def test_restricted_before_or_after(self, candidates):
        p = bayes(random_likelihoods((20,)))
        grain_ids = np.arange(20) // 7
        before = pool_grains(a_map(p, candidates=candidates), grain_ids)
        pooled = pool_grains(a_map(p), grain_ids)
        after = a_map(pooled.prop["probabilities"], candidates=candidates)
        for name in ("probabilities", "probabilities_prior"):
            assert np.allclose(before.prop[name], after.prop[name], atol=1e-6)
        assert np.array_equal(before.phase_id, after.phase_id)

    def test_fit_correlation(self):
        """Patterns which count as one or all, of phases unequally frequent."""
        rng = np.random.default_rng(0)
        prior = np.array([0.9, 0.1])
        labels = rng.choice(2, size=4000, p=prior)
        for correlation in (0, 0.5):
            common = rng.normal(size=(4000, 1)) * np.sqrt(correlation)
            noise = common + rng.normal(size=(4000, 8)) * np.sqrt(1 - correlation)
            likelihood = np.exp(2 * (np.where(labels == 1, 1, -1)[:, None] + noise))
            p = bayes(np.stack([np.ones_like(likelihood), likelihood], -1), prior)
            arguments = np.repeat(np.arange(4000), 8), np.repeat(labels, 8)
            found = fit_correlation(p.reshape(-1, 2), *arguments, prior=prior)
            assert found == pytest.approx(correlation, abs=0.05)
            without = fit_correlation(p.reshape(-1, 2), *arguments)
            assert abs(without - correlation) > 0.1


class TestSmoothing:
    @pytest.mark.parametrize("beta", [0.5, 2])
    def test_exact_along_lines(self, beta):
        """Marginals of likelihoods by going through all maps, times the prior."""
        likelihoods = random_likelihoods((5,))
        total = np.zeros((5, 4))
        for labels in product(range(4), repeat=5):
            x = np.array(labels)
            evidence = likelihoods[np.arange(5), x].prod()
            total += np.eye(4)[x] * evidence * np.exp(beta * (x[1:] == x[:-1]).sum())
        found = smooth_probabilities(a_map(bayes(likelihoods)), beta=beta)
        assert np.allclose(found.prop["probabilities"], bayes(total), atol=1e-4)

    def test_neighbors_surely_alike(self):
        """It is pooling of independent patterns then."""
        xmap = a_map(bayes(random_likelihoods((4,))))
        found = smooth_probabilities(xmap, beta=10)
        pooled = pool_grains(xmap, np.zeros(4, int), correlation=0)
        assert np.allclose(
            found.prop["probabilities"], pooled.prop["probabilities"], atol=2e-3
        )

    def test_without_coupling(self):
        xmap = a_map(bayes(random_likelihoods((4, 5))))
        found = smooth_probabilities(xmap, beta=0)
        expected, _ = probabilities_from_map(xmap)
        assert np.allclose(found.prop["probabilities"], expected, atol=1e-6)

    def test_patterns_that_say_nothing(self):
        found = smooth_probabilities(a_map(np.tile(PRIOR, (9, 9, 1))))
        assert np.allclose(found.prop["probabilities"], PRIOR, atol=1e-4)
        # Nor do they change the one point that says something
        p = np.tile(PRIOR, (5, 5, 1))
        p[2, 2] = bayes(np.array([0.1, 0.9, 0.4, 0.2]))
        found = smooth_probabilities(a_map(p), beta=0.5)
        assert np.allclose(found.prop["probabilities"][12], p[2, 2], atol=1e-2)


class TestPhases:
    def test_identified_by_hand(self):
        likelihoods = random_likelihoods((20,))
        p = bayes(likelihoods)
        evidence = (p / PRIOR)[:, [1, 2]]
        expected = normalized(np.c_[0.45 * evidence, np.full(20, 0.1)])
        found = identify_phases(a_map(p), PHASES).prop["candidate_probabilities"]
        assert np.allclose(found, expected, atol=1e-6)
        found = candidate_probabilities(p, GROUPS, PHASES, space_group_prior=PRIOR)
        assert np.allclose(found, expected, atol=1e-6)

    def test_patterns_that_say_nothing(self):
        """Candidates keep what they had, and none of them is as probable as before."""
        xmap = a_map(np.tile(PRIOR, (3, 1)))
        found = identify_phases(xmap, PHASES, prior={"Mg": 2})
        expected = [0.6, 0.3, 0.1]
        assert np.allclose(found.prop["candidate_probabilities"], expected, atol=1e-6)
        combined = combine(xmap, indexed((3,)), weights={"classifier": 1})
        found = combined.prop["candidate_probabilities"]
        assert np.allclose(found, 0.5, atol=1e-6)

    @pytest.mark.parametrize("weight", [1, 0.3])
    def test_combined_by_hand(self, weight):
        p = bayes(random_likelihoods((20,)))
        evidence = (p / PRIOR)[:, [1, 2]] ** weight
        combined = combine(a_map(p), indexed(), weights={"classifier": weight})
        found = combined.prop["candidate_probabilities"]
        assert np.allclose(found, normalized(evidence), atol=1e-6)
        # What the classifier said is not changed
        chosen = np.take_along_axis(p[:, [1, 2]], combined.phase_id[:, None], 1)
        assert np.allclose(combined.prop["classifier_scores"], chosen[:, 0])


class TestMap:
    def test_probabilities_are_as_given(self):
        """What does not multiply does not look at the prior."""
        p = bayes(random_likelihoods((20,)))
        a, b = a_map(p), a_map(p, prior=None)
        assert set(a.prop) - set(b.prop) == {"probabilities_prior"}
        assert all(np.array_equal(a.prop[i], b.prop[i]) for i in b.prop)
        assert prediction_sets_from_map(a, 0.1) == prediction_sets_from_map(b, 0.1)
        for make in (symmetry_map, lambda x: coarsen_map(x, "laue_class")):
            assert np.array_equal(make(a).phase_id, make(b).phase_id)
            assert np.allclose(prior_from_map(make(a)), PRIOR)
        for mask, other in zip(navigation_masks(a), navigation_masks(b), strict=True):
            assert np.array_equal(mask, other)

    def test_few_best_space_groups(self):
        """Nothing multiplies these, so there is no prior of some of them."""
        xmap = crystal_map(bayes(random_likelihoods((20,))), GROUPS, prior=PRIOR)
        assert "probabilities_prior" not in xmap.prop
        for call in (
            prior_from_map,
            smooth_probabilities,
            lambda x: pool_grains(x, np.zeros(20, int)),
            lambda x: identify_phases(x, PHASES),
            lambda x: combine(x, indexed()),
        ):
            with pytest.raises(ValueError, match="keep_probabilities=True"):
                call(xmap)

    def test_stays(self):
        """The prior counts once in results, too."""
        xmap = a_map(bayes(random_likelihoods((20,))))
        for result in all_results(xmap):
            assert np.allclose(prior_from_map(result), PRIOR)

    def test_restricted_and_added_up(self):
        groups, prior = [225, 152, 154, 194], [0.4, 0.1, 0.2, 0.3]
        p = np.array([[0.4, 0.3, 0.25, 0.05]])

        def found(**kwargs):
            xmap = crystal_map(
                p, groups, keep_probabilities=True, prior=prior, **kwargs
            )
            return prior_from_map(xmap).round(6).tolist()

        assert found() == [0.4, 0.3, 0.3]
        assert found(separate_enantiomorphs=True) == prior
        assert found(candidates=[152, 194]) == [0.5, 0.5]
        assert found(candidates=[194, 154, 152]) == [0.5, 0.5]

    def test_pairs_of_a_model_that_knows_all_as_often(self):
        """A pair is twice as frequent: one that says nothing changes nothing."""
        groups = [225, 152, 154, 194]
        p = np.full((6, 4), 0.25)
        xmap = crystal_map(p, groups, keep_probabilities=True, prior=np.full(4, 0.25))
        pooled = pool_grains(xmap, np.zeros(6, int), correlation=0)
        assert np.allclose(pooled.prop["probabilities"], [0.25, 0.5, 0.25])

    def test_saved(self, tmp_path):
        mask = np.zeros((3, 5), dtype=bool)
        mask[1, 2] = True
        likelihoods = random_likelihoods((3, 5))
        xmap = a_map(bayes(likelihoods), navigation_mask=mask)
        save_map(tmp_path / "map.h5", xmap)
        s = kp.signals.EBSD(np.ones((3, 5, 10, 10)))
        for axis, name in zip(s.axes_manager.navigation_axes, "xy", strict=True):
            axis.name = name
        s.xmap = xmap
        s.save(tmp_path / "scan.h5")
        grain_ids = np.zeros(14, int)
        expected = pool_grains(xmap, grain_ids, correlation=0)
        by_hand = bayes(likelihoods[~mask].prod(axis=0))
        assert np.allclose(expected.prop["probabilities"], by_hand, atol=1e-5)
        loaded = io.load(str(tmp_path / "map.h5")), kp.load(tmp_path / "scan.h5").xmap
        for found in loaded:
            assert np.array_equal(prior_from_map(found), prior_from_map(xmap))
            pooled = pool_grains(found, grain_ids, correlation=0)
            assert np.array_equal(
                pooled.prop["probabilities"], expected.prop["probabilities"]
            )

    def test_points_of_different_models(self):
        xmap = a_map(bayes(random_likelihoods((3,))))
        priors = xmap.prop["probabilities_prior"].copy()
        priors[1] = priors[1, ::-1]
        xmap.prop["probabilities_prior"] = priors
        with pytest.raises(ValueError, match="classified with one model"):
            pool_grains(xmap, np.zeros(3, int))

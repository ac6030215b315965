# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Phases are found from what a network says of patterns, and from composition."""

import numpy as np
from orix import io
import pytest
from scipy.special import softmax
from scipy.stats import multivariate_normal, multivariate_t
from sklearn.metrics import adjusted_rand_score

import kikuchipy_spacegroup as kpsg
from kikuchipy_spacegroup.maps import (
    crystal_map,
    pool_grains,
    probabilities_from_map,
    save_map,
)
from kikuchipy_spacegroup.phases import _mixture as mixture
from kikuchipy_spacegroup.phases import find_phases
from kikuchipy_spacegroup.phases._neighborhoods import average_neighborhoods
from kikuchipy_spacegroup.phases._observations import independent_share

GROUPS = [225, 229, 194, 62, 227, 221]
# What a network says of phases on average, as logarithms
FCC = np.array([5.0, 1.0, 0.0, 0.0, 1.0, 0.5])
BCC = np.array([1.0, 4.0, 0.0, 0.5, 0.0, 1.0])
# Of the space group of the first one, but taken for another one nearly as often
LIKE_FCC = np.array([3.6, 0.0, 0.0, 0.0, 0.0, 3.0])
SHAPE = 16, 24
GRAIN = 4


def simulate(phases, dose=1.0, seed=0, scatter=0.4, noise=0.8):
    """Return probabilities, grains and phases of square grains of random phases.

    The log-likelihoods of a grain, and of points in it, are about those of the phase.
    """
    rng = np.random.default_rng(seed)
    row, col = np.indices(SHAPE) // GRAIN
    grains = row * (SHAPE[1] // GRAIN) + col
    n = grains.max() + 1
    # All phases are there, in equal parts
    truth = rng.permutation(np.arange(n) % len(phases))
    logs = np.array(phases)[truth]
    logs = logs + rng.normal(0, scatter, logs.shape)
    logs = logs[grains] + rng.normal(0, noise, (*SHAPE, logs.shape[1]))
    p = softmax(logs * np.broadcast_to(dose, SHAPE)[..., None], axis=-1)
    return p, grains, truth[grains]


def make_map(p, groups=GROUPS, **kwargs):
    return crystal_map(p, groups, keep_probabilities=True, **kwargs)


class TestGrains:
    def test_two_phases(self):
        p, grains, truth = simulate([FCC, BCC])
        found = find_phases(make_map(p), grain_ids=grains)
        assert len(found) == 2
        assert adjusted_rand_score(truth.ravel(), found.xmap.phase_id) == 1
        table = found.table.sort_values("space_group")
        assert table["space_group"].tolist() == [225, 229]
        assert table["name"].str[8:].tolist() == ["(Fm-3m)", "(Im-3m)"]
        assert table["fraction"].tolist() == [0.5, 0.5]
        assert table["n_grains"].tolist() == [12, 12]
        assert (table["level"] == "space_group").all()
        assert (table["probability"] > 0.8).all()
        names = {i: phase.name for i, phase in found.xmap.phases}
        assert names == found.table["name"].to_dict()
        for i, phase in found.xmap.phases:
            assert phase.space_group.number == found.table["space_group"][i]
        assert repr(found).startswith("FoundPhases: 2 phases in 384 points, 0.0%")
        assert "<table" in found._repr_html_()

    def test_one_label_is_two_phases(self):
        """A phase is a typical answer, not a label."""
        p, grains, truth = simulate([FCC, LIKE_FCC])
        xmap = make_map(p)
        found = find_phases(xmap, grain_ids=grains)
        assert adjusted_rand_score(truth.ravel(), found.xmap.phase_id) == 1
        assert found.table["space_group"].tolist() == [225, 225]
        assert adjusted_rand_score(truth.ravel(), xmap.phase_id) < 0.7

    @pytest.mark.parametrize("seed", range(4))
    def test_one_phase_stays_one(self, seed):
        """Nor does a phase that the network is not sure of become several."""
        for phase in (FCC, LIKE_FCC):
            p, grains, _ = simulate([phase], seed=seed, scatter=0.6)
            assert len(find_phases(make_map(p), grain_ids=grains)) == 1
            assert len(find_phases(make_map(p))) == 1

    @pytest.mark.parametrize("phase", [FCC, BCC, LIKE_FCC])
    def test_gradient_of_dose(self, phase):
        dose = np.linspace(0.4, 1.6, SHAPE[1])
        p, grains, _ = simulate([phase], dose)
        assert len(find_phases(make_map(p), grain_ids=grains)) == 1
        assert len(find_phases(make_map(p))) == 1

    def test_gradient_of_dose_of_two_phases(self):
        p, grains, truth = simulate([FCC, BCC], np.linspace(0.5, 1.5, SHAPE[1]))
        found = find_phases(make_map(p), grain_ids=grains)
        assert adjusted_rand_score(truth.ravel(), found.xmap.phase_id) == 1

    def test_all_space_groups(self):
        """So does a model of 230 space groups."""
        rng = np.random.default_rng(0)
        answers = rng.normal(-4, 1, (3, 230))
        answers[np.arange(3), [224, 61, 193]] = 3
        p, grains, truth = simulate(answers, noise=1.2)
        xmap = make_map(p, np.arange(1, 231))
        for ids in (grains, None):
            found = find_phases(xmap, grain_ids=ids)
            assert adjusted_rand_score(truth.ravel(), found.xmap.phase_id) > 0.95
            assert sorted(found.table["space_group"]) == [62, 194, 225]
        # The levels of Laue class and crystal system differ now
        laue = found.chain.query("level == 'laue_class'")["answer"]
        assert sorted(laue) == ["6/mmm", "m-3m", "mmm"]

    def test_small_phase(self):
        """One of two grains is found, and a stray point is no phase."""
        p, grains, _ = simulate([FCC])
        other, _, _ = simulate([BCC])
        there = np.isin(grains, (3, 11))
        p[there] = other[there]
        grains[0, 0] = -1
        p[0, 0] = [0.01, 0.01, 0.95, 0.01, 0.01, 0.01]
        found = find_phases(make_map(p), grain_ids=grains)
        assert found.table["n_grains"].tolist() == [22, 2]
        assert np.array_equal(found.xmap.phase_id[1:] == 2, there.ravel()[1:])


class TestLaws:
    def test_order_of_points(self):
        p, grains, _ = simulate([FCC, BCC, LIKE_FCC])
        p, grains = p.reshape(-1, len(GROUPS)), grains.ravel()
        order = np.random.default_rng(1).permutation(len(p))
        found = find_phases(make_map(p), grain_ids=grains)
        permuted = find_phases(make_map(p[order]), grain_ids=grains[order])
        assert len(found) == 3
        assert (
            adjusted_rand_score(found.xmap.phase_id[order], permuted.xmap.phase_id) == 1
        )
        by_group = ["space_group", "space_group_probability"]
        one, other = (
            i.table[by_group].sort_values(by_group) for i in (found, permuted)
        )
        assert np.allclose(one, other, atol=1e-5)

    def test_order_of_space_groups(self):
        p, grains, _ = simulate([FCC, BCC, LIKE_FCC])
        order = [3, 1, 5, 0, 4, 2]
        groups = [GROUPS[i] for i in order]
        for ids in (grains, None):
            found = find_phases(make_map(p), grain_ids=ids)
            other = find_phases(make_map(p[..., order], groups), grain_ids=ids)
            assert adjusted_rand_score(found.xmap.phase_id, other.xmap.phase_id) == 1
            same = found.probabilities[groups].sort_values(225).to_numpy()
            assert np.allclose(
                same, other.probabilities.sort_values(225).to_numpy(), atol=1e-5
            )

    @pytest.mark.parametrize("sureness", [0.5, 1.5])
    def test_how_sure_the_network_is(self, sureness):
        """A temperature of the network makes no phases, and none disappear."""
        p, grains, _ = simulate([FCC, BCC, LIKE_FCC])
        other = p**sureness
        other /= other.sum(axis=-1, keepdims=True)
        for ids in (grains, None):
            found, changed = (
                find_phases(make_map(i), grain_ids=ids) for i in (p, other)
            )
            assert len(changed) == len(found)
            labels = found.xmap.phase_id, changed.xmap.phase_id
            assert adjusted_rand_score(*labels) > 0.9

    def test_pairs_are_one(self):
        """How the two of an enantiomorphic pair share their probability is nothing."""
        p, grains, _ = simulate([FCC, BCC])
        share = np.random.default_rng(2).uniform(0, 1, (*SHAPE, 1))
        split = np.concatenate([p[..., :1] * share, p[..., :1] * (1 - share)], axis=-1)
        split = np.concatenate([split, p[..., 1:]], axis=-1)
        # Both have the prior of one
        prior = np.array([0.5, 0.5, 1, 1, 1, 1, 1]) / 6
        groups = GROUPS[1:]
        xmap = make_map(
            split, [152, 154, *groups], separate_enantiomorphs=True, prior=prior
        )
        found = find_phases(xmap, grain_ids=grains)
        merged = find_phases(make_map(p, [152, *groups]), grain_ids=grains)
        assert np.array_equal(found.xmap.phase_id, merged.xmap.phase_id)
        assert np.allclose(found.probabilities, merged.probabilities, atol=1e-5)
        assert any("P3121 or P3221" in name for name in found.table["name"])
        assert found.probabilities.columns.tolist() == [152, *groups]

    def test_prior_counts_once(self):
        """What says nothing is the prior, whatever it is."""
        prior = np.array([2, 1, 1, 1, 1, 1]) / 7
        p, grains, _ = simulate([FCC, BCC])
        p[grains == 0] = prior
        found = find_phases(make_map(p, prior=prior), grain_ids=grains)
        assert np.array_equal(found.xmap.phase_id == -1, (grains == 0).ravel())

    def test_same_map_twice(self):
        p, grains, _ = simulate([FCC, BCC])
        one, two = (find_phases(make_map(p), grain_ids=grains) for _ in range(2))
        assert np.array_equal(
            one.xmap.prop["phase_probabilities"], two.xmap.prop["phase_probabilities"]
        )

    def test_map_of_one_point(self):
        found = find_phases(make_map(np.array([[0.9, 0.02, 0.02, 0.02, 0.02, 0.02]])))
        assert found.table["name"].tolist() == ["phase 1 (Fm-3m)"]


class TestNoCrystal:
    def test_not_classified_or_flat(self):
        p, grains, truth = simulate([FCC, BCC])
        p[:2] = np.nan
        p[2:4] = 1 / 6 + np.random.default_rng(0).normal(0, 0.01, (2, 24, 6))
        p[2:4] /= p[2:4].sum(axis=-1, keepdims=True)
        grains[2:4] += grains.max() + 1
        for ids in (grains, None):
            found = find_phases(make_map(p), grain_ids=ids)
            phase_id = found.xmap.phase_id.reshape(SHAPE)
            assert (phase_id[:2] == -1).all()
            assert (phase_id[2:4] == -1).mean() > (0.99 if ids is not None else 0.4)
            assert adjusted_rand_score(truth[4:].ravel(), phase_id[4:].ravel()) > 0.9
            assert found.xmap.phases[-1].name == "not_indexed"
            of_points = found.xmap.prop["phase_probabilities"]
            assert of_points.shape == (384, 3)
            assert np.allclose(of_points.sum(axis=1), 1, atol=1e-6)
            assert (of_points[phase_id.ravel() == -1] == [0, 0, 1]).all()

    @pytest.mark.parametrize("value", [np.nan, 1 / 6])
    def test_nothing(self, value, tmp_path):
        found = find_phases(make_map(np.full((4, 5, 6), value)))
        assert len(found) == len(found.probabilities) == len(found.representatives) == 0
        assert (found.xmap.phase_id == -1).all()
        assert repr(found) == "FoundPhases: 0 phases in 20 points, 100.0% no crystal"
        save_map(tmp_path / "none.h5", found.xmap)
        assert (io.load(tmp_path / "none.h5").phase_id == -1).all()


class TestComposition:
    def metals(self, truth, seed=0):
        """Ni and Al of three to one, and of one to one, with a noise of 2 %."""
        rng = np.random.default_rng(seed)
        nickel = np.where(truth == 0, 0.75, 0.5) + rng.normal(0, 0.02, truth.shape)
        return {"Ni": nickel, "Al": 1 - nickel}

    def test_phases_of_one_answer(self):
        p, grains, truth = simulate([FCC, FCC])
        metals = self.metals(truth)
        assert len(find_phases(make_map(p), grain_ids=grains)) == 1
        for ids in (grains, None):
            found = find_phases(make_map(p), metals, grain_ids=ids)
            assert adjusted_rand_score(truth.ravel(), found.xmap.phase_id) > 0.99
            assert sorted(found.table["Ni"].round(2)) == [0.5, 0.75]
            assert np.allclose(found.table["Ni"] + found.table["Al"], 1)
        unsure = find_phases(make_map(p), metals, grain_ids=grains, uncertainty=0.5)
        assert len(unsure) == 1
        array = np.stack([metals["Ni"], metals["Al"]], axis=-1)
        other = find_phases(make_map(p), array, elements=["Ni", "Al"], grain_ids=grains)
        assert len(other) == 2

    def test_same_composition(self):
        """It does not make phases, also where it is not known."""
        p, grains, truth = simulate([FCC, BCC])
        metals = self.metals(np.zeros(SHAPE))
        metals["Ni"][3:6] = np.nan
        found = find_phases(make_map(p), metals, grain_ids=grains)
        assert adjusted_rand_score(truth.ravel(), found.xmap.phase_id) == 1
        assert np.allclose(found.table["Ni"], 0.75, atol=0.01)

    def test_infinite_uncertainty(self):
        p, grains, truth = simulate([FCC, FCC])
        metals = self.metals(truth)
        for uncertainty in (np.inf, {"Ni": np.inf}):
            found = find_phases(
                make_map(p), metals, grain_ids=grains, uncertainty=uncertainty
            )
            assert len(found) == (1 if uncertainty == np.inf else 2)


class TestMaps:
    def test_mask(self):
        """Points left out stay out, wherever grain IDs are given for them or not."""
        p, grains, truth = simulate([FCC, BCC])
        mask = np.zeros(SHAPE, dtype=bool)
        mask[3:9, 5:11] = True
        xmap = make_map(p, navigation_mask=mask)
        for ids in (grains, grains[~mask]):
            found = find_phases(xmap, grain_ids=ids)
            assert np.array_equal(found.xmap.is_in_data, ~mask.ravel())
            assert np.array_equal(found.xmap.id, xmap.id)
            assert adjusted_rand_score(truth[~mask], found.xmap.phase_id) == 1
            for i, points in found.representatives.items():
                assert (found.xmap.phase_id[points] == i).all()
                assert not mask.ravel()[found.xmap.id[points]].any()
        points = find_phases(xmap)
        assert adjusted_rand_score(truth[~mask], points.xmap.phase_id) > 0.9

    def test_saved(self, tmp_path):
        p, grains, _ = simulate([FCC, BCC])
        xmap = make_map(p)
        save_map(tmp_path / "labels.h5", xmap)
        loaded = io.load(tmp_path / "labels.h5")
        found = find_phases(loaded, grain_ids=grains)
        assert np.array_equal(
            found.xmap.phase_id, find_phases(xmap, grain_ids=grains).xmap.phase_id
        )
        save_map(tmp_path / "found.h5", found.xmap)
        again = io.load(tmp_path / "found.h5")
        assert again.phases.names == found.xmap.phases.names
        assert np.array_equal(again.phase_id, found.xmap.phase_id)
        assert np.array_equal(again.prop["grain_id"], grains.ravel())
        for name in ("phase_probabilities", "scores", "probabilities"):
            assert np.array_equal(again.prop[name], found.xmap.prop[name])
        save_map(tmp_path / "found.ang", found.xmap)

    def test_map_is_not_changed(self):
        p, grains, truth = simulate([FCC, BCC])
        xmap = make_map(p)
        before = {name: xmap.prop[name].copy() for name in xmap.prop}
        nickel = np.where(truth == 0, 0.6, 0.4)
        metals = {"Ni": nickel, "Al": 1 - nickel}
        ids = grains.copy()
        find_phases(xmap, metals, grain_ids=ids)
        assert set(before) == set(xmap.prop)
        assert all(np.array_equal(xmap.prop[name], before[name]) for name in before)
        assert np.array_equal(ids, grains)
        assert set(metals) == {"Ni", "Al"}

    def test_typical_points(self):
        p, grains, _ = simulate([FCC, BCC])
        found = find_phases(make_map(p), grain_ids=grains)
        for points in found.representatives.values():
            assert len(points) == len(np.unique(grains.ravel()[points])) == 5

    def test_chain(self):
        p, grains, _ = simulate([FCC, BCC])
        found = find_phases(make_map(p), grain_ids=grains)
        assert len(found.chain) == 2 * len(kpsg.space_groups.CHAIN)
        for i, of_phase in found.chain.groupby("phase"):
            assert of_phase["level"].tolist() == list(kpsg.space_groups.CHAIN)
            p_chain = of_phase["probability"].to_numpy()
            assert (np.diff(p_chain) > -1e-6).all()
            assert of_phase["answer"].tolist()[-2:] == ["m-3m", "cubic"]
            assert np.isclose(p_chain[0], found.probabilities.loc[i].max(), atol=1e-6)

    def test_coarser_name(self):
        """A phase whose space group is not sure is named after what is."""
        unsure = np.array([2.0, 2.0, -2.0, -2.0, 2.0, 2.0])
        p, grains, _ = simulate([unsure], scatter=0.2)
        found = find_phases(make_map(p), grain_ids=grains)
        assert found.table["name"].tolist() == ["phase 1 (m-3m)"]
        assert found.xmap.phases[1].space_group is None
        assert found.xmap.phases[1].point_group.name == "m-3m"


class TestPooled:
    def test_one_grain(self):
        """It is what pool_grains() says."""
        p, _, _ = simulate([FCC], scatter=0)
        ids = np.zeros(SHAPE, dtype=int)
        xmap = make_map(
            np.maximum(p, 0.01) / np.maximum(p, 0.01).sum(-1, keepdims=True)
        )
        found = find_phases(xmap, grain_ids=ids)
        pooled, _ = probabilities_from_map(pool_grains(xmap, ids))
        assert np.allclose(found.probabilities.loc[1], pooled[0], atol=1e-5)

    def test_scatter(self):
        """If grains of a phase may differ by as much as phases do, they are one."""
        p, grains, _ = simulate([FCC, BCC, LIKE_FCC])
        xmap = make_map(p)
        numbers = [
            len(find_phases(xmap, grain_ids=grains, scatter=i)) for i in (0.125, 0.3, 1)
        ]
        assert numbers[0] == 3
        assert numbers[-1] == 1
        assert numbers == sorted(numbers, reverse=True)

    def test_correlation(self):
        """Grains that are wrong together make a phase no surer than one grain."""
        p, grains, _ = simulate([LIKE_FCC])
        xmap = make_map(p)
        best = [
            find_phases(xmap, grain_ids=grains, correlation=c).probabilities.max(
                axis=1
            )[1]
            for c in (0, 0.3, 1)
        ]
        assert best[0] > best[1] > best[2]


class TestErrors:
    @pytest.fixture
    def xmap(self):
        return make_map(simulate([FCC])[0])

    @pytest.mark.parametrize(
        "kwargs, error, message",
        [
            ({"threshold": 0.4}, ValueError, "threshold must be from 0.5 to 1"),
            ({"correlation": 2}, ValueError, "correlation must be"),
            (
                {"scatter": 0},
                ValueError,
                "scatter must be above 0 and at most 1, not 0",
            ),
            ({"grain_ids": np.zeros(3, int)}, ValueError, "do not fit the map"),
            ({"grain_ids": np.zeros(SHAPE)}, ValueError, "must be integers"),
            (
                {"composition": {"Fe": np.ones(SHAPE)}},
                ValueError,
                "two elements or more",
            ),
            (
                {"composition": {"Fe": np.ones((2, 2)), "Ni": np.ones((2, 2))}},
                ValueError,
                "Fractions of Fe of shape",
            ),
            (
                {"composition": {"Xx": np.ones(SHAPE), "Ni": np.ones(SHAPE)}},
                ValueError,
                "Xx",
            ),
            ({"composition": 3}, TypeError, "composition must be"),
        ],
    )
    def test_arguments(self, xmap, kwargs, error, message):
        with pytest.raises(error, match=message):
            find_phases(xmap, **kwargs)

    def test_maps(self, xmap):
        p, grains, _ = simulate([FCC])
        with pytest.raises(ValueError, match="keep_probabilities=True"):
            find_phases(crystal_map(p, GROUPS))
        with pytest.raises(ValueError, match="pooled already"):
            find_phases(pool_grains(xmap, grains))


class TestMixture:
    """Formulas are those of scipy's distributions."""

    def observations(self, n=7, d=2, e=2):
        rng = np.random.default_rng(0)
        roots = rng.normal(0, 5, (n, e, e))
        return mixture.Observations(
            features=rng.normal(0, 1, (n, d)),
            precisions=rng.uniform(0.3, 1, n),
            weight=1.0,
            fractions=rng.normal(0, 0.1, (n, e)),
            fraction_precisions=roots @ roots.transpose(0, 2, 1) + np.eye(e),
            scatter=0.125,
        )

    def test_features(self):
        """Predictive probabilities are Student's t, and multiply up to the marginal."""
        data = self.observations(e=0)
        labels = np.zeros(7, dtype=int)
        kappa, nu, mean, psi = (
            x[0]
            for x in mixture._posterior(mixture._sum_up(data, labels), data.scatter)
        )
        df = nu - 2 + 1
        found = mixture._log_predictive(data, mixture._sum_up(data, labels))[:, 0]
        for x, v, log_p in zip(data.features, data.precisions, found):
            expected = multivariate_t(mean, psi * (1 / v + 1 / kappa) / df, df=df)
            assert np.isclose(log_p, expected.logpdf(x) + np.log(1 + 7))
        # Chain rule: the seventh, given six others
        alone = mixture._sum_up(self.part(data, slice(0, 6)), labels[:6])
        before, after = (
            mixture._log_marginal(i, data.scatter)[0]
            for i in (alone, mixture._sum_up(data, labels))
        )
        last = mixture._log_predictive(self.part(data, slice(6, 7)), alone)[0, 0]
        # Up to the precision, which all partitions have in common
        common = np.log(data.precisions[6])
        assert np.isclose(after - before, last - np.log(1 + 6) - common)

    def test_composition(self):
        """It is a normal distribution about a mean that is not quite known."""
        data = self.observations(d=1)
        with_none = self.part(data, slice(None))
        with_none.fractions = np.zeros((7, 0))
        with_none.fraction_precisions = np.zeros((7, 0, 0))
        labels = np.zeros(7, dtype=int)
        both, one = (
            mixture._log_predictive(i, mixture._sum_up(i, labels))[:, 0]
            for i in (data, with_none)
        )
        precision = data.fraction_precisions.sum(axis=0) + np.eye(2) / 0.3**2
        mean = np.linalg.solve(
            precision, np.einsum("nij,nj->i", data.fraction_precisions, data.fractions)
        )
        for x, own, difference in zip(
            data.fractions, data.fraction_precisions, both - one
        ):
            covariance = np.linalg.inv(own) + np.linalg.inv(precision)
            expected = multivariate_normal(mean, covariance).logpdf(x)
            common = np.linalg.slogdet(own)[1] / 2 - np.log(2 * np.pi)
            assert np.isclose(difference, expected - common)

    def part(self, data, rows):
        return mixture.Observations(
            data.features[rows],
            data.precisions[rows],
            data.weight,
            data.fractions[rows],
            data.fraction_precisions[rows],
            data.scatter,
        )


class TestNeighborhoods:
    def test_independent_share(self):
        rng = np.random.default_rng(0)
        row, col = np.indices((48, 60)).reshape(2, -1)
        values = rng.normal(size=(48, 60, 2))
        assert independent_share(values.reshape(-1, 2), row, col) > 0.8
        blocks = np.repeat(np.repeat(values[:16, :20], 3, axis=0), 3, axis=1)
        share = independent_share(blocks.reshape(-1, 2), row, col)
        assert 1 / 14 < share < 1 / 6
        assert independent_share(np.zeros((9, 1)), row[:9], col[:9]) == 1

    def test_average(self):
        """Noise is averaged out, and nothing reaches across a boundary."""
        rng = np.random.default_rng(0)
        row, col = np.indices((12, 12)).reshape(2, -1)
        truth = np.where(col < 6, 0.0, 9.0)
        values = truth + rng.normal(0, 1, (3, 144))
        means, sizes = average_neighborhoods(values.T, row, col)
        assert (np.abs(means - truth[:, None]).max(axis=1) < 2).all()
        assert sizes.min() >= 6
        left = np.arange(144) % 2 == 0
        means, sizes = average_neighborhoods(values.T[left], row[left], col[left])
        assert np.isfinite(means).all()
        alone, sizes = average_neighborhoods(values.T[:1], row[:1], col[:1])
        assert np.allclose(alone, values.T[:1])
        assert sizes.tolist() == [1]


def test_bundled_model():
    """Aluminum and silicon, with the bundled model and grains from patterns."""
    signal = kpsg.example_scan(
        "aluminum and silicon", (12, 16), grain_size=5, seed=1, show_progressbar=False
    )
    xmap = signal.classify_space_group(keep_probabilities=True, show_progressbar=False)
    grains = kpsg.maps.grains_from_patterns(signal)
    found = find_phases(xmap, grain_ids=grains)
    assert sorted(found.table["space_group"]) == [225, 227]
    assert adjusted_rand_score(signal.xmap.phase_id, found.xmap.phase_id) > 0.9

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipe of the general model: libraries, weights and scores."""

from collections import Counter
import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.training import calibration_error

ROOT = Path(__file__).parents[2]
if not (ROOT / "recipes" / "general_model").is_dir():
    pytest.skip("no recipes", allow_module_level=True)


def module(name):
    """A module of the recipe."""
    return importlib.import_module(f"recipes.general_model.{name}")


class TestLibrary:
    """Libraries of simulated master patterns."""

    @pytest.fixture
    def zinc_blende(self, tmp_path):
        """File of a crystal without inversion center, and one with it, 5 px wide."""
        rng = np.random.default_rng(1)
        meta = {"kv": 20.0, "centrosymmetric": False}
        values = rng.integers(0, 256, (2, 2, 11, 11), dtype="uint8")
        limits = np.array([[[1, 2], [3, 5]], [[2, 4], [1, 3]]], "float32")
        for name, data, inversion in (
            ("polar", values, False),
            ("central", values[:, :1], True),
        ):
            np.savez(
                tmp_path / f"{name}.npz",
                values=data,
                limits=limits,
                meta=json.dumps(meta | {"centrosymmetric": inversion}),
            )
        return tmp_path

    def test_hemispheres(self, zinc_blende):
        library = module("library")
        patterns, kv = library.hemispheres(zinc_blende / "polar.npz")
        assert (patterns.shape, kv) == ((2, 2, 11, 11), 20)
        np.testing.assert_allclose(patterns.mean(axis=(1, 2, 3)), 1, rtol=1e-5)
        # Limits are kept next to each other: 3 to 5 is brighter than 1 to 2
        ratio = patterns[0, 1].max() / patterns[0, 0].max()
        assert ratio == pytest.approx(5 / 2, rel=0.02)

    def test_inversion(self, zinc_blende):
        """The lower hemisphere is the upper one turned by half a turn."""
        patterns, _ = module("library").hemispheres(zinc_blende / "central.npz")
        assert patterns.shape == (2, 2, 11, 11)
        upper, lower = patterns[:, 0], patterns[:, 1]
        np.testing.assert_array_equal(lower, np.rot90(upper, 2, axes=(1, 2)))

    def test_weights(self, table):
        """Of all patterns, a quarter is of phases that are mapped, each as often."""
        library = module("library")
        trained = [s for s in table if s.extra["split"] == "training"]
        mapped = {s.identifier for s in trained if s.extra["mapped"]}
        weights = library.sampling_weights(trained)
        phases, of_groups = weights["phases"], weights["space_groups"]
        assert len(of_groups) == 230
        assert sum(phases.values()) == pytest.approx(1)
        share = library.MAPPED / len(mapped)
        rest = {n: w - share * (n in mapped) for n, w in phases.items()}
        # The others: crystal systems in equal parts, however many groups they have
        systems, groups, types = Counter(), Counter(), Counter()
        for s in trained:
            system = sg.get_space_group(s.space_group).crystal_system
            systems[system] += rest[s.identifier]
            groups[s.space_group] += phases[s.identifier]
            types[s.space_group, s.structure_type] += rest[s.identifier]
        assert list(systems.values()) == pytest.approx([0.75 / 7] * 7)
        assert groups == pytest.approx(of_groups)
        # Types of a group count alike, half if they are made up
        real = {s.structure_type for s in trained if s.made == "real"}
        for number in (12, 62, 225):
            shares = {
                kind: value * (1 if kind in real else 2)
                for (n, kind), value in types.items()
                if n == number
            }
            assert np.ptp(list(shares.values())) < 1e-9

    def test_without_mapped_phases(self):
        """As of a few structures, of which nobody maps any."""
        library = module("library")
        structures = module("structures.structure_table").read_structures()
        some = [s for s in structures if not s.extra["mapped"]][:300]
        weights = library.sampling_weights(some)
        assert sum(weights["phases"].values()) == pytest.approx(1)
        assert sum(weights["space_groups"].values()) == pytest.approx(1)


@pytest.fixture(scope="module")
def table():
    return module("structures.structure_table").read_structures()


def test_structures_count_alike_whatever_there_is_of_them(table):
    """Bands and Bloch waves of one share what it has."""
    from types import SimpleNamespace

    library = module("library")
    some = [s for s in table if s.extra["split"] == "training"][:40]
    both = [s.identifier for s in some[:5]]
    names = [s.identifier + library.BANDS for s in some if s.identifier != both[0]]
    found = library.shared_weights(some, SimpleNamespace(phase_names=names + both))
    expected = library.sampling_weights(some)
    assert found["space_groups"] == expected["space_groups"]
    for name, share in expected["phases"].items():
        kinds = [name, name + library.BANDS]
        assert sum(found["phases"].get(k, 0) for k in kinds) == pytest.approx(share)


def test_two_beam_bands(table):
    """Of all that is trained on or chosen by, and of nothing to report."""
    structures = module("structures.two_beam").structures_in_order()
    names = [s.identifier for s in structures]
    trained, chosen_by, reported = (
        [s for s in table if s.extra["split"].startswith(split)]
        for split in ("training", "validation", "test")
    )
    trained.sort(key=lambda s: s.extra["order"])
    assert names[: len(trained)] == [s.identifier for s in trained]
    assert {s.identifier for s in chosen_by} <= set(names)
    assert not {s.identifier for s in reported} & set(names)
    # 9259 to train on, 263 to choose by, and 6881 varied ones
    assert len(set(names)) == len(names) == 16403
    assert all("-v" in name for name in names[9522:])


def test_simulation_does_not_tell_the_class(table):
    """From voltage, depths, spacing limit and energies no classifier tells the system."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import cross_val_predict

    draw_parameters = module("structures.simulate").draw_parameters
    drawn = [draw_parameters(s.identifier) for s in table]
    features = [[d["kv"], *d["depths"], d["dmin"], d["n_energies"]] for d in drawn]
    systems = np.array(
        [sg.get_space_group(s.space_group).crystal_system for s in table]
    )
    forest = RandomForestClassifier(50, class_weight="balanced", random_state=0)
    found = cross_val_predict(forest, features, systems, cv=5)
    shares = [(found[systems == name] == name).mean() for name in np.unique(systems)]
    # Chance is 1/7, with a standard error below 0.02
    assert np.mean(shares) == pytest.approx(1 / 7, abs=0.03)


class TestChainLoss:
    """A loss on all levels."""

    def test_by_hand(self):
        """Mean over the levels of the cross entropy of added probabilities."""
        torch = pytest.importorskip("torch")
        groups = [225, 221, 229, 194, 152, 154]
        loss = module("chain_loss").ChainLoss(groups)
        logits = np.random.default_rng(2).normal(size=(20, 6)).astype("float32")
        labels = np.arange(20) % 6
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        terms = []
        for level in sg.CHAIN:
            summed, names = sg.coarsen_probabilities(p, groups, level)
            truth = sg.coarsen(np.array(groups)[labels], level)
            index = [names.index(name) for name in truth.tolist()]
            terms.append(-np.log(summed[np.arange(20), index]).mean())
        found = loss(torch.tensor(logits), torch.eye(6)[labels])
        assert float(found) == pytest.approx(np.mean(terms), rel=1e-4)


class TestPredictions:
    """Scores of predictions."""

    @pytest.fixture
    def predictions(self):
        """Random predictions of six structures, of three crystal systems."""
        groups = [225, 221, 194, 152, 154]
        truth = [225, 225, 221, 229, 194, 154]
        rng = np.random.default_rng(3)
        p = rng.dirichlet(np.full(5, 0.5), size=(6, 16))
        return module("scoreboard").Predictions(p, groups, truth)

    def test_systems_count_alike(self, predictions):
        right = predictions.right("crystal_system").mean(axis=1)
        expected = (right[:4].mean() + right[4] + right[5]) / 3
        assert predictions.mean(predictions.right("crystal_system")) == pytest.approx(
            expected
        )

    def test_pairs_are_one_and_unknown_groups_wrong(self, predictions):
        p = predictions.probabilities
        right = predictions.right("enantiomorphic_pair")
        assert not right[3].any()  # 229 is not known
        pair = p[5, :, 3:].sum(axis=1)
        np.testing.assert_array_equal(right[5], pair > p[5, :, :3].max(axis=1))

    def test_pooled(self, predictions):
        """Of all patterns, the class of the largest product."""
        product = np.log(predictions.probabilities).sum(axis=1)
        found = np.array(predictions.space_groups)[product.argmax(axis=1)]
        right = predictions.right("point_group", pooled=16)
        assert right.shape == (6, 1)
        names = sg.coarsen(found, "point_group")
        truth = sg.coarsen(predictions.truth, "point_group")
        # The best space group of a sharp product is of the best class
        np.testing.assert_array_equal(right[:, 0], names == truth)

    def test_prior_counts_once(self):
        """By Bayes' theorem, from likelihoods that are known."""
        multiply = module("scoreboard").multiply_likelihoods
        rng = np.random.default_rng(4)
        prior, likelihoods = rng.dirichlet([2, 1, 0.2]), rng.random((5, 3))
        posterior = prior * likelihoods
        posterior /= posterior.sum(axis=1, keepdims=True)
        expected = prior * likelihoods.prod(axis=0)
        found = multiply(posterior, prior)
        np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-6)
        # Patterns that say nothing change nothing
        np.testing.assert_allclose(multiply(np.tile(prior, (9, 1)), prior), prior)

    def test_calibration_error(self, predictions):
        """That of the package where all structures count alike."""
        of_cubic = module("scoreboard").Predictions(
            predictions.probabilities[:3], predictions.space_groups, [225, 225, 221]
        )
        labels = np.repeat([0, 0, 1], 16)
        expected = calibration_error(of_cubic.probabilities.reshape(48, 5), labels)
        found = of_cubic.calibration_error("space_group")
        assert found == pytest.approx(expected)

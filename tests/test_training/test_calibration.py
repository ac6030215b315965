# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calibration against laws, scikit-learn, and made-up truth."""

import kikuchipy as kp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from kikuchipy_spacegroup import training as calibration
from kikuchipy_spacegroup import training as conformal
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary


@pytest.fixture(scope="module")
def truth():
    """Logits, and labels drawn from their softmax."""
    rng = np.random.default_rng(1)
    logits = rng.normal(scale=2.0, size=(20_000, 4))
    p = softmax(logits, axis=1)
    labels = (rng.random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1)
    return logits, labels


class TestTemperature:
    @pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
    def test_finds_truth(self, truth, temperature):
        logits, labels = truth
        found = calibration.fit_temperature(temperature * logits, labels)
        assert found == pytest.approx(temperature, rel=0.03)

    def test_is_best_of_log_loss(self, truth):
        logits, labels = truth
        best = calibration.fit_temperature(3 * logits, labels)
        losses = [
            log_loss(labels, np.exp(log_softmax(3 * logits / t, axis=1)))
            for t in (0.95 * best, best, 1.05 * best)
        ]
        assert np.argmin(losses) == 1

    @pytest.mark.parametrize(
        "logits, labels, match",
        [
            (np.ones(3), np.zeros(3, int), r"\(n, k\) and \(n,\), not \(3,\)"),
            (np.ones((3, 2)), np.zeros(2, int), "not"),
            (np.ones((2, 2)), np.array([0, 2]), "from 0 to 1"),
            (np.ones((2, 2)), np.array([0, -1]), "from 0 to 1"),
            (np.ones((2, 2)), np.array([0.0, 1.0]), "integers"),
            (np.array([[np.nan, 0]]), np.array([0]), "finite"),
            (np.ones((0, 2)), np.ones(0, int), "Expected"),
        ],
    )
    def test_wrong_input(self, logits, labels, match):
        with pytest.raises(ValueError, match=match):
            calibration.fit_temperature(logits, labels)


class TestCalibrationError:
    def test_of_truth_is_small(self, truth):
        logits, labels = truth
        p = softmax(logits, axis=1)
        assert calibration.calibration_error(p, labels) < 0.02

    def test_against_bin_by_bin(self, truth):
        logits, labels = truth
        p = softmax(3 * logits, axis=1)
        best, right = p.max(axis=1), p.argmax(axis=1) == labels
        error = 0
        for low in np.arange(15) / 15:
            inside = (best >= low) & (best < low + 1 / 15)
            if inside.any():
                gap = best[inside].mean() - right[inside].mean()
                error += inside.mean() * abs(gap)
        assert calibration.calibration_error(p, labels) == pytest.approx(error, 1e-6)
        assert error > 0.1

    def test_none_is_right(self):
        p = np.array([[0.9, 0.1]])
        assert calibration.calibration_error(p, np.array([-1])) == pytest.approx(0.9)


class TestThresholds:
    @pytest.mark.parametrize("precision", [0.7, 0.9, 0.95])
    def test_precision_holds(self, truth, precision):
        logits, labels = truth
        labels = labels.copy()
        labels[::10] = -1  # Unknown space groups
        p = softmax(logits, axis=1)
        threshold = calibration.precision_threshold(p, labels, precision)
        accepted = p.max(axis=1) >= threshold
        right = p.argmax(axis=1) == labels
        assert accepted.any()
        assert right[accepted].mean() >= precision - 1e-9

    def test_never_right(self):
        p = np.array([[0.9, 0.1]])
        assert calibration.precision_threshold(p, np.array([1]), 0.5) == 1

    @pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
    def test_coverage_of_new_patterns(self, truth, coverage):
        logits, labels = truth
        p = softmax(2 * logits, axis=1)  # Badly calibrated: it must not matter
        half = len(p) // 2
        threshold = conformal.conformal_threshold(p[:half], labels[:half], coverage)
        sets = conformal.prediction_sets(p[half:], threshold)
        covered = sets[np.arange(half), labels[half:]].mean()
        assert covered == pytest.approx(coverage, abs=0.012)

    @pytest.mark.parametrize("coverage", [0.8, 0.95])
    def test_coverage_of_each_class(self, truth, coverage):
        """Also of one that is mostly taken for another one."""
        logits, labels = truth
        logits = logits.copy()
        logits[labels == 1, 0] += 2
        p = softmax(logits, axis=1)
        half = len(p) // 2
        found = {
            "one": conformal.conformal_threshold(p[:half], labels[:half], coverage),
            "each": conformal.class_conformal_thresholds(
                p[:half], labels[:half], coverage
            ),
        }
        covered = {}
        for name, threshold in found.items():
            sets = conformal.prediction_sets(p[half:], threshold)
            right = sets[np.arange(half), labels[half:]]
            covered[name] = [
                right[labels[half:] == i].mean() for i in range(p.shape[1])
            ]
        assert min(covered["one"]) < coverage - 0.05
        assert min(covered["each"]) > coverage - 0.02
        assert (found["each"] <= found["one"]).all()
        # No lower than it must be
        assert covered["each"][1] == pytest.approx(coverage, abs=0.02)

    def test_coverage_of_each_material(self, truth):
        """Also of one material of a class, of which most is right."""
        logits, labels = truth
        logits, materials = logits.copy(), 10 * labels + np.arange(len(labels)) % 5
        logits[materials == 10, 0] += 4
        p = softmax(logits, axis=1)
        half = len(p) // 2
        right = np.arange(half), labels[half:]
        covered = []
        for known in (None, materials[:half]):
            thresholds = conformal.class_conformal_thresholds(
                p[:half], labels[:half], 0.9, materials=known
            )
            sets = conformal.prediction_sets(p[half:], thresholds)
            inside = sets[right][materials[half:] == 10]
            covered.append(inside.mean())
        assert covered[0] < 0.8
        assert covered[1] == pytest.approx(0.9, abs=0.03)

    def test_materials_that_do_not_fit(self, truth):
        p = softmax(truth[0], axis=1)
        with pytest.raises(ValueError, match="Materials must be of shape"):
            conformal.class_conformal_thresholds(p, truth[1], materials=truth[1][:5])

    def test_class_of_few_patterns(self, truth):
        """It has the threshold of all."""
        logits, labels = truth
        p = softmax(logits, axis=1)
        keep = np.flatnonzero((labels != 2) | (np.cumsum(labels == 2) <= 5))
        p, labels = p[keep], labels[keep]
        each = conformal.class_conformal_thresholds(p, labels, 0.9)
        assert each[2] == conformal.conformal_threshold(p, labels, 0.9)

    def test_unknown_class_borrows_from_its_family(self, truth):
        logits, labels = truth
        logits = logits.copy()
        logits[labels == 1, 0] += 2  # Mostly taken for another one
        p = softmax(logits, axis=1)
        p = np.concatenate([p, np.full((len(p), 2), 1e-6)], axis=1)
        k = p.shape[1]
        families = np.array(["a", "b", *"c" * (k - 4), "b", "d"])
        each = conformal.class_conformal_thresholds(p, labels, 0.9, families=families)
        of_b = labels == 1
        everywhere = conformal.conformal_threshold(p, labels, 0.9)
        expected = conformal.conformal_threshold(p[of_b], labels[of_b], 0.9)
        assert each[-2] == expected < everywhere
        # Of a family of which nothing is known
        assert each[-1] == everywhere
        without = conformal.class_conformal_thresholds(p, labels, 0.9)
        assert (each[:-2] == without[:-2]).all()
        with pytest.raises(ValueError, match="one per class"):
            conformal.class_conformal_thresholds(p, labels, families=["a"])

    def test_too_few_patterns(self):
        with pytest.raises(ValueError, match="needs at least 9 patterns, not 5"):
            conformal.conformal_threshold(np.ones((5, 2)) / 2, np.zeros(5, int), 0.9)

    def test_sets_have_the_best_and_skip_nan(self):
        p = np.array([[0.4, 0.35, 0.25], [np.nan] * 3])
        sets = conformal.prediction_sets(p, 0.9)
        assert sets.tolist() == [[True, False, False], [False, False, False]]


class TestCalibrate:
    """A model on a library, here of nickel under two names."""

    @pytest.fixture
    def library(self):
        mp = kp.data.nickel_ebsd_master_pattern_small(
            projection="lambert", hemisphere="both"
        )
        return MasterPatternLibrary.from_signals(
            [mp, mp, mp], ["a", "b", "c"], [221, 225, 194], half_width=40, check=False
        )

    @pytest.fixture
    def model(self, tiny_model, tmp_path):
        from kikuchipy_spacegroup.models import load_model

        tiny_model.save(tmp_path / "copy.keras")
        return load_model(tmp_path / "copy.keras")

    def test_sets_and_saves(self, model, library, tmp_path):
        from kikuchipy_spacegroup.models import load_model

        patterns = kp.data.nickel_ebsd_small().data[0]
        before = model.predict_proba(patterns)
        model.prior = [0.5, 0.2, 0.3]
        calibration.calibrate(model, library, n_patterns=120, precision=0.5)
        assert model.temperature != 1
        # What a pattern that says nothing gets, and again if calibrated again
        logits = np.log([[0.5, 0.2, 0.3]]) / model.temperature
        assert model.prior == pytest.approx(softmax(logits[0]), abs=1e-6)
        model.temperature = 1.0
        calibration.calibrate(model, library, n_patterns=120, precision=0.5)
        assert model.prior == pytest.approx(softmax(logits[0]), abs=1e-6)
        assert set(model.conformal_thresholds) == {0.9, 0.95}
        for thresholds in model.conformal_thresholds.values():
            assert tuple(thresholds) == model.space_groups
            # 229 is not in the library, and of the Laue class of the others
            assert thresholds[229] <= max(thresholds[221], thresholds[225])
        assert model.metadata["borrowed_thresholds"] == [229]
        assert "borrowed from Laue classes: 229" in repr(model)
        after = model.predict_proba(patterns)
        assert np.array_equal(before.argmax(axis=1), after.argmax(axis=1))
        model.save(tmp_path / "calibrated.keras")
        loaded = load_model(tmp_path / "calibrated.keras")
        assert loaded.temperature == model.temperature
        assert loaded.min_probability == model.min_probability
        assert loaded.conformal_thresholds == model.conformal_thresholds

    def test_labels(self, model, library):
        logits, labels, phases = calibration.simulate_logits(
            model, library, n_patterns=130
        )
        assert logits.shape == (130, 3)
        groups = np.array([*model.space_groups, 0])[labels]
        assert np.array_equal(library.space_groups[phases] == 194, groups == 0)
        assert (library.space_groups[phases] == groups)[groups > 0].all()
        # Classes of the model are 221, 225, 229, and 229 is not in the library
        assert set(labels) == {-1, 0, 1}

    def test_library_without_classes(self, model, library):
        with pytest.raises(ValueError, match=r"\[194\] only, and the model knows"):
            calibration.calibrate(model, library.select(["c"]))

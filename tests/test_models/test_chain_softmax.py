# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A temperature for every level of symmetry."""

import numpy as np
import pytest
from scipy.special import softmax

from kikuchipy_spacegroup import SpaceGroupModel, load_model
from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.models._chain_softmax import ChainSoftmax
from kikuchipy_spacegroup.training import (
    calibration_error,
    fit_chain_temperatures,
    fit_temperature,
)

GROUPS = [225, 221, 229, 205, 194, 191, 152, 154, 62, 14]
LEVELS = dict(zip(sg.CHAIN, (1.5, 0.7, 2.0, 1.0, 3.0, 0.5)))


@pytest.fixture
def logits():
    return np.random.default_rng(1).normal(0, 3, (40, 10)).astype("float32")


def by_hand(logits, temperatures):
    """Product of conditional probabilities down the chain, group by group."""
    p = softmax(logits.astype("float64"), axis=1)
    names = [sg.coarsen(GROUPS, level) for level in sg.CHAIN]
    names.append(np.full(len(GROUPS), "any"))
    result = np.ones(p.shape)
    for i, level in enumerate(sg.CHAIN):
        fine, coarse = names[i], names[i + 1]
        sums = {
            n: p[:, fine == n].sum(axis=1) ** (1 / temperatures[level]) for n in fine
        }
        for j in range(len(GROUPS)):
            siblings = {n for n, c in zip(fine, coarse) if c == coarse[j]}
            result[:, j] *= sums[fine[j]] / sum(sums[n] for n in siblings)
    return result


def test_by_hand(logits):
    found = np.array(ChainSoftmax(GROUPS, LEVELS)(logits))
    np.testing.assert_allclose(found, by_hand(logits, LEVELS), rtol=2e-4, atol=1e-7)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_ones_are_the_softmax(logits):
    found = ChainSoftmax(GROUPS, dict.fromkeys(sg.CHAIN, 1.0))(100 * logits)
    np.testing.assert_allclose(found, softmax(100 * logits, axis=1), atol=1e-6)


def test_order_of_space_groups(logits):
    order = np.random.default_rng(2).permutation(10)
    found = np.array(ChainSoftmax(GROUPS, LEVELS)(logits))
    other = ChainSoftmax([GROUPS[i] for i in order], LEVELS)(logits[:, order])
    np.testing.assert_allclose(other, found[:, order], rtol=1e-4, atol=1e-7)


def test_one_system():
    """Levels that divide nothing change nothing."""
    logits = np.array([[2.0, 1.0]], "float32")
    found = ChainSoftmax([225, 225 + 4], LEVELS)(logits)
    expected = softmax(logits / LEVELS["laue_class_with_lattice"], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("temperatures", "match"),
    [
        ({"space_group": 1.0}, "temperatures of the levels"),
        (LEVELS | {"laue_class": 0.0}, "positive"),
        (LEVELS | {"laue_class": np.inf}, "positive"),
        (-1, "positive"),
    ],
)
def test_errors(temperatures, match):
    model = SpaceGroupModel.create(GROUPS, size=32, filters=(8,), stem=8)
    with pytest.raises(ValueError, match=match):
        model.temperature = temperatures
    assert model.temperature == 1


class TestModel:
    @pytest.fixture
    def model(self):
        model = SpaceGroupModel.create(GROUPS, size=32, filters=(8,), stem=8)
        model.temperature = LEVELS
        return model

    @pytest.fixture
    def patterns(self):
        return np.random.default_rng(3).normal(100, 20, (3, 40, 40))

    def test_predictions(self, model, patterns):
        logits = np.array(model.network(model.prepare(patterns[..., None])))
        expected = by_hand(logits, LEVELS)
        np.testing.assert_allclose(
            model.predict_proba(patterns), expected, rtol=1e-3, atol=1e-6
        )
        np.testing.assert_allclose(
            model.logits_to_probabilities(logits), expected, rtol=1e-3, atol=1e-6
        )

    def test_saved_and_copied(self, model, patterns, tmp_path):
        model.save(tmp_path / "model.keras")
        for other in (load_model(tmp_path / "model.keras"), model.copy()):
            assert other.temperature == LEVELS
            assert other.fingerprint() == model.fingerprint()
            np.testing.assert_array_equal(
                other.predict_proba(patterns), model.predict_proba(patterns)
            )
        assert "1.5, 0.7, 2, 1, 3, 0.5 by level" in repr(model)
        model.temperature = 1
        assert load_model(tmp_path / "model.keras").fingerprint() != model.fingerprint()

    def test_other_levels_in_a_file(self, model, tmp_path, monkeypatch):
        header = model.header()
        monkeypatch.setattr(
            type(model), "header", lambda self: header | {"temperature": {"a": 1}}
        )
        model.save(tmp_path / "model.keras")
        with pytest.raises(ValueError, match="levels"):
            load_model(tmp_path / "model.keras")

    def test_onnx(self, model, patterns, tmp_path):
        pytest.importorskip("onnxruntime")
        pytest.importorskip("tf2onnx")
        from kikuchipy_spacegroup.models import OnnxModel, save_onnx

        save_onnx(tmp_path / "model.onnx", model)
        found = OnnxModel(tmp_path / "model.onnx").predict_proba(patterns)
        np.testing.assert_allclose(found, model.predict_proba(patterns), atol=1e-4)


class TestFit:
    def test_one_temperature_is_found_at_all_levels(self):
        """Logits that are too large by a factor at one level are scaled by it."""
        rng = np.random.default_rng(4)
        true = rng.normal(0, 1.5, (20_000, 10))
        p = by_hand(true, dict.fromkeys(sg.CHAIN, 1.0))
        labels = np.array([rng.choice(10, p=row / row.sum()) for row in p])
        # Logits whose softmax is the same at all levels but two, where it is too sure
        too_sure = dict.fromkeys(sg.CHAIN, 1.0)
        too_sure |= {"crystal_system": 1 / 3, "diffraction_symbol": 0.5}
        logits = np.log(by_hand(true, too_sure))
        found = fit_chain_temperatures(logits, labels, GROUPS)
        assert found["crystal_system"] == pytest.approx(3, rel=0.1)
        assert found["diffraction_symbol"] == pytest.approx(2, rel=0.2)
        others = set(sg.CHAIN) - {"crystal_system", "diffraction_symbol"}
        assert all(found[level] == pytest.approx(1, rel=0.2) for level in others)
        # Better calibrated at both ends of the chain than with one temperature
        chained = np.array(ChainSoftmax(GROUPS, found)(logits))
        single = softmax(logits / fit_temperature(logits, labels), axis=1)
        for level in ("space_group", "crystal_system"):
            errors = []
            for values in (chained, single):
                summed, names = sg.coarsen_probabilities(values, GROUPS, level)
                truth = sg.coarsen(np.array(GROUPS)[labels], level)
                right = np.array([names.index(name) for name in truth.tolist()])
                errors.append(calibration_error(summed, right))
            assert errors[0] < 0.02 < errors[1]

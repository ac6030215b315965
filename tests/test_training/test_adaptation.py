# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adaptation to a scan without labels."""

import keras
import kikuchipy as kp
from kikuchipy.signals import EBSD
import numpy as np
import pytest

from kikuchipy_spacegroup import MasterPatternLibrary, SpaceGroupModel
from kikuchipy_spacegroup.simulation import Acquisition, Geometry
from kikuchipy_spacegroup.training import Optimization, adapt_normalization, self_train
from kikuchipy_spacegroup.training import _adaptation as adaptation


@pytest.fixture(scope="module")
def scan():
    """Nickel, mirrored and turned to have more patterns."""
    data = kp.data.nickel_ebsd_small().data.reshape(9, 60, 60)
    return EBSD(np.concatenate([data, data[:, ::-1], np.rot90(data, axes=(1, 2))]))


@pytest.fixture
def model():
    keras.utils.set_random_seed(2)
    return SpaceGroupModel.create([225, 229], size=48, filters=(8, 8), stem=8)


@pytest.fixture(scope="module")
def library():
    mp = kp.data.nickel_ebsd_master_pattern_small(
        projection="lambert", hemisphere="both"
    )
    return MasterPatternLibrary.from_signals(
        [mp, mp], ["a", "b"], [225, 229], half_width=40, check=False
    )


def weights(model):
    return [np.array(w) for w in model.network.get_weights()]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


class TestNormalization:
    def test_full_share_normalizes_the_scan(self, model, scan):
        """As batch normalization in training does, by Keras itself."""
        before = weights(model)
        adapted = adapt_normalization(
            model, scan, share=1, n_layers=None, static_background=None
        )
        assert same(before, weights(model))
        prepared = model.prepare(scan.data[..., None].astype("float32"))
        network = keras.models.clone_model(model.network)
        network.set_weights(model.network.get_weights())
        network.get_layer("dropout").rate = 0.0
        expected = keras.ops.convert_to_numpy(network(prepared, training=True))
        found = keras.ops.convert_to_numpy(adapted.network(prepared, training=False))
        assert np.allclose(found, expected, atol=0.02 * np.ptp(expected))

    def test_no_share_changes_nothing(self, model, scan):
        model.prior = [0.8, 0.2]
        adapted = adapt_normalization(model, scan, share=0)
        assert np.array_equal(adapted.prior, model.prior)
        assert all(np.allclose(a, b) for a, b in zip(weights(model), weights(adapted)))

    def test_first_layers_only(self, model, scan):
        def changed(adapted):
            norms = [
                (a, b)
                for a, b in zip(model.network.layers, adapted.network.layers)
                if isinstance(a, keras.layers.BatchNormalization)
            ]
            return [
                not same(map(np.array, a.get_weights()), map(np.array, b.get_weights()))
                for a, b in norms
            ]

        everywhere = changed(adapt_normalization(model, scan, n_layers=None))
        assert all(everywhere)
        assert len(everywhere) > 3
        first = changed(adapt_normalization(model, scan))
        assert first == [i < 3 for i in range(len(everywhere))]

    def test_part_of_the_scan(self, model, scan):
        mask = np.zeros(27, dtype=bool)
        mask[:9] = True
        part = adapt_normalization(model, scan, navigation_mask=mask)
        alone = adapt_normalization(model, EBSD(scan.data[9:]))
        assert all(
            np.allclose(a, b, atol=1e-3) for a, b in zip(weights(part), weights(alone))
        )

    def test_errors(self, model, scan):
        with pytest.raises(ValueError, match="share must be"):
            adapt_normalization(model, scan, share=1.1)
        with pytest.raises(ValueError, match="n_layers must be"):
            adapt_normalization(model, scan, n_layers=0)
        with pytest.raises(ValueError, match="9 patterns can be classified"):
            adapt_normalization(model, EBSD(scan.data[:9]))
        with pytest.raises(ValueError, match="n_patterns must be at least"):
            adapt_normalization(model, scan, n_patterns=3)
        with pytest.raises(TypeError, match="kikuchipy EBSD signal"):
            adapt_normalization(model, scan.data)


class TestSelfTraining:
    def test_becomes_surer_and_leaves_the_model(self, model, library, scan):
        before, data = weights(model), scan.data.copy()
        adapted = self_train(
            model,
            library,
            scan,
            acquisition=Acquisition(),
            confidence=0.501,
            steps=30,
            optimization=Optimization(
                learning_rate=2e-3, average=None, train_normalization=False
            ),
            batch_size=16,
            show_progressbar=False,
        )
        assert same(before, weights(model))
        assert np.array_equal(data, scan.data)
        old, new = (
            m.predict_proba(scan.data).max(axis=1).mean() for m in (model, adapted)
        )
        assert new > old
        assert "self-training" in adapted.metadata["adapted"]

    def test_keeps_normalization_and_calibration(
        self, model, library, scan, monkeypatch
    ):
        chosen = []
        label = adaptation._label_sure_patterns

        def labelled(*args):
            chosen.append(label(*args))
            return chosen[-1]

        monkeypatch.setattr(adaptation, "_label_sure_patterns", labelled)
        model.temperature, model.min_probability = 0.5, 0.1
        model.conformal_thresholds = {0.9: [0.1, 0.2]}
        adapted = self_train(
            model,
            library,
            scan,
            acquisition=Acquisition(),
            confidence=0.501,
            rounds=2,
            steps=2,
            batch_size=8,
            show_progressbar=False,
        )
        assert (adapted.temperature, adapted.min_probability) == (0.5, 0.1)
        assert adapted.conformal_thresholds == model.conformal_thresholds
        # Half of the patterns are of the scan, as the model labels it
        share = (chosen[-1].space_groups == 225).mean()
        assert adapted.prior == pytest.approx([0.25 + share / 2, 0.75 - share / 2])
        for old, new in zip(model.network.layers, adapted.network.layers):
            if isinstance(old, keras.layers.BatchNormalization):
                assert same(old.get_weights(), new.get_weights())
                assert new.trainable

    def test_the_camera_alone_if_not_sure_of_enough(
        self, model, library, scan, caplog, monkeypatch
    ):
        given = []

        def matched(*args, **kwargs):
            given.append(kwargs)
            return Acquisition(noise=(0.1, 0.2))

        monkeypatch.setattr(adaptation, "match_acquisition", matched)
        adapted = self_train(
            model,
            library,
            scan,
            confidence=0.999,
            steps=1,
            batch_size=4,
            geometry=Geometry(pcz=(0.5, 0.6)),
            show_progressbar=False,
        )
        assert "sure of 0 of 27 patterns only" in caplog.text
        assert [i["geometry"].pcz for i in given] == [(0.5, 0.6)]
        assert not same(weights(adapted), weights(model))

    def test_errors(self, model, library, scan):
        with pytest.raises(ValueError, match="confidence must be"):
            self_train(model, library, scan, confidence=1)
        with pytest.raises(ValueError, match="least_sure must be"):
            self_train(model, library, scan, least_sure=2)
        with pytest.raises(ValueError, match="rounds must be"):
            self_train(model, library, scan, rounds=0)

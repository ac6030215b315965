# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Experimental patterns keep their labels, and train a model."""

import dask.array as da
import keras
import kikuchipy as kp
from kikuchipy.signals import EBSD, LazyEBSD
import numpy as np
from orix.crystal_map import CrystalMap, Phase, PhaseList
from orix.quaternion import Rotation
import pytest

from kikuchipy_spacegroup import LabelledPatterns, SpaceGroupModel, fit
from kikuchipy_spacegroup.training import (
    KAUFMANN2020,
    EarlyStopping,
    ExperimentalDataset,
    Optimization,
    Sampling,
)
from kikuchipy_spacegroup.training import _fit as training


@pytest.fixture(scope="module")
def nickel():
    return kp.data.nickel_ebsd_small()


def stripes(n, number, period, seed=0):
    """Return patterns that a network learns in no time."""
    rng = np.random.default_rng(seed)
    wave = np.sin(np.arange(32) * 2 * np.pi / period)
    patterns = wave[None, :, None] + wave[None, None, :]
    patterns = patterns + 0.3 * rng.normal(size=(n, 32, 32))
    return LabelledPatterns(
        patterns.astype("float16"),
        np.full(n, number),
        np.full(n, f"material {number}", dtype=object),
    )


@pytest.fixture(scope="module")
def two_classes():
    return LabelledPatterns.concatenate([stripes(40, 225, 4), stripes(40, 229, 9)])


class TestLabelledPatterns:
    def test_by_phases_of_the_map(self, nickel):
        patterns = LabelledPatterns.from_signal(nickel, size=48)
        assert patterns.patterns.shape == (9, 48, 48)
        assert patterns.patterns.dtype == "float16"
        assert set(patterns.space_groups) == {225}
        assert set(patterns.materials) == {"ni"}

    def test_by_scan(self, nickel):
        s = EBSD(nickel.data)
        patterns = LabelledPatterns.from_signal(s, 225, material="Ni", size=48)
        assert "225 (Fm-3m): Ni 9" in repr(patterns)
        with pytest.raises(ValueError, match="no labels"):
            LabelledPatterns.from_signal(s)

    def test_not_indexed_masked_and_unlabelled_points(self, nickel):
        phases = PhaseList([Phase("no"), Phase("ni", 225), Phase("?")], ids=[-1, 0, 1])
        inside = np.ones(9, dtype=bool)
        inside[3] = False
        s = EBSD(nickel.data)
        y, x = np.indices((3, 3)).reshape(2, -1)
        s.xmap = CrystalMap(
            Rotation.identity((9,)),
            phase_id=np.array([0, -1, 0, 0, 1, 0, 0, 0, 0]),
            phase_list=phases,
            is_in_data=inside,
            x=x,
            y=y,
        )
        mask = np.zeros((3, 3), dtype=bool)
        mask[2, 2] = True
        patterns = LabelledPatterns.from_signal(s, navigation_mask=mask, size=48)
        everything = LabelledPatterns.from_signal(
            EBSD(nickel.data), 225, static_background=None, size=48
        )
        assert len(patterns) == 5
        again = LabelledPatterns.from_signal(
            s, navigation_mask=mask, static_background=None, size=48
        )
        kept = everything[[0, 2, 5, 6, 7]]
        assert np.array_equal(again.patterns, kept.patterns, equal_nan=True)

    def test_lazy_equals_eager_and_signal_stays(self, nickel):
        before = nickel.data.copy()
        eager = LabelledPatterns.from_signal(EBSD(nickel.data), 225, size=48)
        lazy = LazyEBSD(da.from_array(nickel.data, chunks=(1, 2, 30, 60)))
        lazy = LabelledPatterns.from_signal(lazy, 225, size=48)
        assert np.array_equal(eager.patterns, lazy.patterns, equal_nan=True)
        assert np.array_equal(nickel.data, before)

    def test_a_model_sees_what_it_would_see_in_classification(self, nickel):
        model = SpaceGroupModel.create([225, 229], size=48)
        patterns = LabelledPatterns.from_signal(nickel, size=48)
        probabilities = nickel.classify_space_group(
            model, compute=False, show_progressbar=False
        ).compute()
        found = model.predict_proba(patterns.patterns)
        assert np.allclose(found, probabilities.reshape(9, 2), atol=2e-3)

    def test_unusable_patterns_are_left_out(self, nickel):
        data = nickel.data.copy()
        data[0, 0] = 7
        patterns = LabelledPatterns.from_signal(EBSD(data), 225, size=48)
        assert len(patterns) == 8
        with pytest.raises(ValueError, match="All patterns are constant"):
            LabelledPatterns.from_signal(EBSD(np.zeros_like(data)), 225, size=48)

    def test_split(self, two_classes):
        training, validation = two_classes.split(25, 10, seed=3)
        for part, n in ((training, 25), (validation, 10)):
            assert (
                np.unique(part.space_groups, return_counts=True)[1].tolist() == [n] * 2
            )
        both = np.concatenate([training.patterns, validation.patterns])
        assert len(np.unique(both.reshape(len(both), -1), axis=0)) == 70
        with pytest.raises(ValueError, match="less than 30 \\+ 20"):
            two_classes.split(30, 20)
        with pytest.raises(ValueError, match="`by` must be"):
            two_classes.split(3, 2, by="grain")

    def test_split_shared_by_materials(self, two_classes):
        """Numbers of a space group as the recipe of Kaufmann's experiments has them."""
        parts = [stripes(n, 225, 4, seed=n) for n in (30, 9, 8)]
        for part, name in zip(parts, ("Al", "Cu", "Ni")):
            part.materials[:] = name
        patterns = LabelledPatterns.concatenate([*parts, two_classes[40:]])
        split = patterns.split(14, 5, share_materials=True, rest=True, seed=2)
        counts = [
            dict(zip(*np.unique(part.materials.astype(str), return_counts=True)))
            for part in split
        ]
        assert counts[0] == {"Al": 5, "Cu": 5, "Ni": 4, "material 229": 14}
        assert counts[1] == {"Al": 2, "Cu": 2, "Ni": 1, "material 229": 5}
        assert counts[2] == {"Al": 23, "Cu": 2, "Ni": 3, "material 229": 21}
        whole = np.concatenate([part.patterns for part in split])
        assert len(np.unique(whole.reshape(len(whole), -1), axis=0)) == len(patterns)
        again = patterns.split(14, 5, share_materials=True, seed=2)
        assert np.array_equal(again[1].patterns, split[1].patterns)
        with pytest.raises(ValueError, match="8 patterns of Ni of space_group 225"):
            patterns.split(24, 3, share_materials=True)
        with pytest.raises(ValueError, match="Leave out `by='material'`"):
            patterns.split(2, 2, by="material", share_materials=True)
        with pytest.raises(ValueError, match="None of 80 patterns is left"):
            two_classes.split(30, 10, rest=True)

    def test_errors(self, nickel, two_classes):
        with pytest.raises(TypeError, match="kikuchipy EBSD signal"):
            LabelledPatterns.from_signal(nickel.data, 225)
        with pytest.raises(ValueError, match="1 to 230"):
            LabelledPatterns.from_signal(nickel, 231)
        with pytest.raises(ValueError, match="of one size"):
            LabelledPatterns.concatenate(
                [two_classes, LabelledPatterns.from_signal(nickel, size=48)]
            )
        with pytest.raises(ValueError, match="materials must be of shape"):
            LabelledPatterns(
                two_classes.patterns, two_classes.space_groups, np.array(["one"])
            )


class TestExperimentalDataset:
    def test_classes_and_materials_are_balanced(self):
        parts = [stripes(5, 225, 4), stripes(50, 229, 9), stripes(20, 229, 6)]
        parts[2].materials[:] = "other"
        patterns = LabelledPatterns.concatenate(parts)
        for balanced, share in ((True, 0.5), (False, 5 / 75)):
            dataset = ExperimentalDataset(
                patterns, [229, 225], batch_size=4000, balanced=balanced, augment=False
            )
            _, targets = dataset[0]
            assert targets[:, 1].mean() == pytest.approx(share, abs=0.03)

    def test_turned_and_mirrored(self):
        one = stripes(1, 225, 4)
        one.patterns[0] = np.arange(32**2, dtype="float16").reshape(32, 32)
        seen = {}
        for groups in ([225, 229], [225, 212, 213]):
            dataset = ExperimentalDataset(one, groups, batch_size=200)
            seen[len(groups)] = len(np.unique(dataset[0][0]["patterns"], axis=0))
        assert seen == {2: 8, 3: 4}

    def test_other_space_groups(self, two_classes):
        with pytest.raises(ValueError, match=r"\[229\], which the model does not know"):
            ExperimentalDataset(two_classes, [221, 225])


class TestFit:
    def test_learns_and_stops_early(self, two_classes):
        keras.utils.set_random_seed(1)
        model = SpaceGroupModel.create([225, 229], size=32, filters=(8, 16), stem=8)
        training, validation = two_classes.split(30, 10)
        stopping = EarlyStopping(patience=4, min_delta=0.05)
        options = dict(KAUFMANN2020) | {"epochs": 60, "stopping": stopping}
        history = fit(
            model,
            experimental=training,
            validation=validation,
            show_progressbar=False,
            **options,
        )
        assert len(history.history["val_loss"]) < 60
        found = model.predict_proba(validation.patterns).argmax(axis=1)
        assert (np.array([225, 229])[found] == validation.space_groups).mean() > 0.9

    def test_as_kaufmann_did(self, monkeypatch):
        """Network, split and arguments are the paper's, and can be replaced."""
        parts = [stripes(20, 225, 4), stripes(8, 229, 9), stripes(8, 229, 6)]
        parts[2].materials[:] = "other"
        patterns = LabelledPatterns.concatenate(parts)
        large = np.kron(patterns.patterns, np.ones((3, 3), "float16"))[:, :72, :72]
        patterns = LabelledPatterns(large, patterns.space_groups, patterns.materials)
        given = {}

        def watched(model, **kwargs):
            given.update(kwargs)
            return fit(model, **kwargs)

        monkeypatch.setattr(training, "fit", watched)
        model, test, history = training.fit_kaufmann2020(
            patterns, n_train=4, n_validation=2, seed=5, epochs=2,
            show_progressbar=False,
        )  # fmt: skip
        assert model.metadata["network"] == "xception"
        assert (model.size, model.space_groups) == (72, (225, 229))
        assert (given["batch_size"], given["seed"]) == (32, 5)
        optimization = given["optimization"]
        assert (optimization.learning_rate, optimization.weight_decay) == (1e-3, 1e-5)
        assert not optimization.decay and optimization.average is None
        assert given["stopping"] == EarlyStopping(patience=25, min_delta=1e-3)
        assert not given["sampling"].augment
        assert repr(given["experimental"]).endswith("material 229 2, other 2")
        assert repr(given["validation"]).endswith("material 229 1, other 1")
        assert len(test) == 36 - 12
        assert len(history.history["val_loss"]) == 2

    def test_one_epoch_shows_every_pattern_once(self, two_classes):
        model = SpaceGroupModel.create([225, 229], size=32, filters=(4,), stem=4)
        steps = []
        callback = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: steps.append(batch)
        )
        fit(
            model,
            experimental=two_classes,
            epochs=1,
            batch_size=32,
            optimization=Optimization(average=None),
            callbacks=[callback],
            show_progressbar=False,
        )
        assert len(steps) == 3

    def test_mixed_precision_is_gone_afterwards(self, two_classes):
        model = SpaceGroupModel.create([225, 229], size=32, filters=(4,), stem=4)
        during = []
        callback = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: during.extend(
                layer.compute_dtype for layer in model.network.layers
            )
        )
        fit(
            model,
            experimental=two_classes,
            epochs=1,
            steps_per_epoch=2,
            optimization=Optimization(mixed_precision=True),
            callbacks=[callback],
            show_progressbar=False,
        )
        assert during[1] == "bfloat16"
        assert during[-1] == "float32"
        assert {layer.compute_dtype for layer in model.network.layers} == {"float32"}
        assert {v.dtype for v in model.network.weights} == {"float32"}
        assert np.isfinite(model.predict_proba(two_classes.patterns)).all()

    def test_errors(self, two_classes):
        model = SpaceGroupModel.create([225, 229], size=32, filters=(4,), stem=4)
        with pytest.raises(ValueError, match="Give a `library`"):
            fit(model)
        with pytest.raises(ValueError, match="`stopping` needs"):
            fit(model, experimental=two_classes, stopping=EarlyStopping(patience=3))
        with pytest.raises(ValueError, match="experimental_share must be"):
            fit(
                model,
                experimental=two_classes,
                sampling=Sampling(experimental_share=1.5),
            )
        with pytest.raises(ValueError, match="epochs must be"):
            fit(model, experimental=two_classes, epochs=0)

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Training on simulated patterns: small, but it must learn."""

import copy

import keras
import kikuchipy as kp
import numpy as np
import pytest

from kikuchipy_spacegroup.evaluation import evaluate
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.models import SpaceGroupModel
from kikuchipy_spacegroup.patterns import LabelledPatterns
from kikuchipy_spacegroup.simulation import Acquisition, Geometry
from kikuchipy_spacegroup.training import (
    EarlyStopping,
    ExperimentalDataset,
    MixedDataset,
    Optimization,
    Sampling,
    SimulatedDataset,
    fit,
    similar_entries,
    training_graph,
)
from kikuchipy_spacegroup.training import _fit as training
from kikuchipy_spacegroup.training._dataset import balanced_share
from kikuchipy_spacegroup.training._training_set import training_set

CLEAN = Acquisition(
    compression=(0, 0),
    noise=(0.05, 0.1),
    overlap_probability=0,
    aperture_probability=0,
)
NARROW = Geometry(pcy=(0.05, 0.55), pcz=(0.42, 0.95))
# Averages make a second graph, which takes as long as the first one
PLAIN = {"optimization": Optimization(average=None)}


@pytest.fixture(scope="module")
def library():
    """Nickel as 225, a blurred nickel as 229, and a third as outlier."""
    from scipy.ndimage import gaussian_filter

    mp = kp.data.nickel_ebsd_master_pattern_small(
        projection="lambert", hemisphere="both"
    )
    ni = MasterPatternLibrary.from_signals([mp], ["Ni"], half_width=60)
    data = ni.data[0].astype("float32")
    other = gaussian_filter(data, 2)[::-1, ::-1]
    stack = np.stack([data, other, data.T]).astype("float16")
    return MasterPatternLibrary(
        stack,
        phase_index=[0, 1, 1, 2],
        upper=[0, 1, 1, 2],
        lower=[0, 1, 1, 2],
        energies=[20, 20, 30, 20],
        phase_names=["Ni", "a", "b"],
        space_groups=[225, 229, 194],
    )


def new_model():
    keras.utils.set_random_seed(1)
    return SpaceGroupModel.create([225, 229], size=32, filters=(16, 16), stem=8)


def weights(model):
    return [keras.ops.convert_to_numpy(v) for v in model.network.variables]


class TestDataset:
    """Recipes of batches."""

    def test_reproducible_whatever_came_before(self, library):
        a, b = (SimulatedDataset(library, [225, 229], seed=s) for s in (1, 1))
        a.epoch = b.epoch = 3
        a[0], a[1]
        for x, y in zip(a[2][0].values(), b[2][0].values()):
            assert np.array_equal(x, y)
        b.on_epoch_end()
        assert not np.array_equal(a[2][0]["orientation"], b[2][0]["orientation"])

    def test_balanced_and_labelled(self, library):
        dataset = SimulatedDataset(library, [229, 225], batch_size=2000)
        inputs, targets = dataset[0]
        assert 0.45 < targets[:, 0].mean() < 0.55
        assert np.array_equal(targets[:, 0] == 1, inputs["upper"] == 1)

    def test_outliers_have_flat_targets(self, library):
        dataset = SimulatedDataset(
            library, [229, 225], batch_size=2000, outlier_share=0.2
        )
        inputs, targets = dataset[0]
        outlier = inputs["upper"] == 2
        assert 0.15 < outlier.mean() < 0.25
        assert (targets[outlier] == 0.5).all()

    def test_weights_of_space_groups_and_phases(self, library):
        dataset = SimulatedDataset(
            library,
            [229, 225],
            batch_size=4000,
            space_group_weights={229: 0.25},
            phase_weights={"b": 0},
            outlier_share=0,
        )
        _, targets = dataset[0]
        assert targets[:, 0].mean() == pytest.approx(0.2, abs=0.03)
        with pytest.raises(ValueError, match="must not be negative"):
            SimulatedDataset(library, [225], space_group_weights={225: -1})

    def test_partners_are_of_the_same_space_group(self, library):
        # The turned image is more like the first one than the blurred one
        similar = similar_entries(library, 1)
        assert [i.tolist() for i in similar] == [[0], [2], [1], [3]]
        dataset = SimulatedDataset(
            library, [229, 225], batch_size=500, blend_share=0.6, seed=2
        )
        inputs, _ = dataset[0]
        assert np.array_equal(inputs["upper"] == 1, inputs["partner_upper"] == 1)
        shares = inputs["partner_share"]
        assert 0.5 < (shares != 0).mean() < 0.7
        assert (shares.min(), shares.max()) == pytest.approx((-0.25, 0.75), abs=0.05)
        with pytest.raises(ValueError, match="blend_share must be between 0 and 1"):
            SimulatedDataset(library, [225], blend_share=2)

    def test_centers_as_they_are_known(self, library):
        dataset = SimulatedDataset(
            library,
            [229, 225],
            batch_size=2000,
            center_error=0.02,
            unknown_center_share=0.3,
        )
        inputs, _ = dataset[0]
        error = inputs["projection_centers"] - inputs["geometry"][:, :3]
        is_unknown = np.isnan(error)
        assert (is_unknown.all(axis=1) == is_unknown.any(axis=1)).all()
        assert is_unknown.mean() == pytest.approx(0.3, abs=0.04)
        assert np.nanstd(error, axis=0) == pytest.approx(0.02, rel=0.1)
        with pytest.raises(ValueError, match="center_error must not be negative"):
            SimulatedDataset(library, [225], center_error=-1)
        with pytest.raises(ValueError, match="unknown_center_share must be in"):
            SimulatedDataset(library, [225], unknown_center_share=2)
        with pytest.raises(ValueError, match="models that use the projection center"):
            training_graph(new_model(), library, centers=True)

    def test_strains_are_those_of_the_space_group(self, library):
        dataset = SimulatedDataset(
            library, [194, 225], batch_size=50, strain_scale=0.1, seed=2
        )
        inputs, targets = dataset[0]
        is_cubic = targets[:, 1] == 1
        stretched = inputs["strain"][:, 2, 2] != 1
        assert np.array_equal(stretched, ~is_cubic)
        assert "strain" not in SimulatedDataset(library, [225])[0][0]
        with pytest.raises(ValueError, match="strain_scale must not be negative"):
            SimulatedDataset(library, [225], strain_scale=-1)

    def test_how_often_entries_are_drawn(self, library):
        """As in many draws: "a" has two energies, and "b" is an outlier."""
        # An image for every entry, so that it is seen which one was drawn
        of_its_own = copy.copy(library)
        of_its_own.upper = of_its_own.lower = [0, 1, 2, 3]
        dataset = SimulatedDataset(
            of_its_own,
            [229, 225],
            batch_size=8000,
            outlier_share=0.2,
            space_group_weights={229: 3},
        )
        probabilities, labels = dataset.entry_probabilities()
        assert labels.tolist() == [1, 0, 0, -1]
        of_class = [probabilities[labels == i].sum() for i in (0, 1)]
        assert np.allclose(of_class, 0.8 * dataset.class_shares)
        assert probabilities[labels == -1].sum() == pytest.approx(0.2)
        inputs, drawn = dataset.draw(0)
        frequencies = np.bincount(inputs["upper"], minlength=4) / len(drawn)
        assert np.allclose(frequencies, probabilities, atol=0.02)
        assert np.array_equal(labels[inputs["upper"]], drawn)

    def test_entries_that_are_never_drawn(self, library):
        """Outliers without a share, and phases of weight 0."""
        dataset = SimulatedDataset(library, [229, 225], phase_weights={"b": 0})
        probabilities, labels = dataset.entry_probabilities()
        assert probabilities.tolist() == [0.5, 0.25, 0.25, 0]
        assert labels[-1] == -1

    def test_missing_space_group(self, library):
        with pytest.raises(ValueError, match=r"no phase of space group\(s\) \[227\]"):
            SimulatedDataset(library, [225, 227])


def recorded(names, numbers, n=6):
    """Return patterns of noise with labels."""
    rng = np.random.default_rng(3)
    return LabelledPatterns(
        rng.normal(size=(n * len(names), 16, 16)).astype("float16"),
        np.repeat(numbers, n),
        np.repeat(np.array(names, dtype=object), n),
    )


def mixed(library, groups, names, numbers, sizes, **kwargs):
    """Return a dataset, and shares of classes and of phases drawn by it."""
    dataset = MixedDataset(
        SimulatedDataset(library, groups, batch_size=sizes[0], **kwargs),
        ExperimentalDataset(recorded(names, numbers), groups, batch_size=sizes[1]),
    )
    targets, upper = [], []
    for i in range(30):
        inputs, target = dataset[i]
        targets.append(target)
        upper.append(inputs["upper"])
    targets = np.concatenate(targets)
    known = targets.max(axis=1) == 1
    phases = np.bincount(np.concatenate(upper)) / targets.shape[0]
    return dataset, targets[known].mean(axis=0), phases


@pytest.fixture(scope="module")
def many():
    """Ten space groups, the first one with three phases."""
    groups = [225, 225, 225, *range(220, 225), *range(226, 230), 194]
    n = len(groups)
    names = ["Ni", "Cu", "Al", *(f"phase {i}" for i in groups[3:])]
    return MasterPatternLibrary(
        np.zeros((n, 11, 11), dtype="float16"),
        phase_index=range(n),
        upper=range(n),
        lower=range(n),
        energies=[20] * n,
        phase_names=names,
        space_groups=groups,
    )


class TestNormalizationKept:
    def test_only_the_rest_is_trained(self, library):
        keras.utils.set_random_seed(1)
        model = SpaceGroupModel.create([225, 229], size=32, filters=(8,), stem=8)
        norms = [
            layer
            for layer in model.network.layers
            if isinstance(layer, keras.layers.BatchNormalization)
        ]
        before = [np.array(v) for layer in norms for v in layer.get_weights()]
        last = model.network.get_layer("logits").get_weights()[0]
        fit(
            model,
            library,
            epochs=1,
            steps_per_epoch=2,
            batch_size=4,
            optimization=Optimization(train_normalization=False),
            show_progressbar=False,
        )
        after = [v for layer in norms for v in layer.get_weights()]
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
        assert not np.array_equal(
            last, model.network.get_layer("logits").get_weights()[0]
        )
        assert all(layer.trainable for layer in norms)

    def test_can_be_trained_again_after_an_error(self, library):
        model = SpaceGroupModel.create([225, 229], size=32, filters=(8,), stem=8)

        class Fail(keras.callbacks.Callback):
            def on_train_begin(self, logs=None):
                raise RuntimeError("stopped")

        with pytest.raises(RuntimeError, match="stopped"):
            fit(
                model,
                library,
                epochs=1,
                optimization=Optimization(train_normalization=False),
                callbacks=[Fail()],
                show_progressbar=False,
            )
        assert all(layer.trainable for layer in model.network.layers)


class TestMixed:
    """Classes are balanced in batches, and not only in their parts."""

    GROUPS = tuple(range(220, 230))

    def test_one_scan_of_ten_space_groups(self, many):
        """The share of a scan that is balanced, one above, and outliers."""
        for n, other, least in ((5, 0.1, 0.1), (50, 0.475 / 9, 0.525)):
            sizes = (100 - n, n)
            dataset, shares, phases = mixed(many, self.GROUPS, ["ni"], [225], sizes)
            assert shares[5] == pytest.approx(least, abs=0.02)
            assert np.delete(shares, 5) == pytest.approx(np.full(9, other), abs=0.025)
            assert dataset.class_shares.sum() == pytest.approx(1)
            assert dataset.class_shares == pytest.approx(shares, abs=0.025)
            # Nickel was recorded, and the two others make up for it
            assert phases[0] == 0
            assert phases[1] == pytest.approx(phases[2], abs=0.02)
        parts = [
            SimulatedDataset(many, self.GROUPS, outlier_share=0.2),
            ExperimentalDataset(recorded(["Ni"], [225]), self.GROUPS),
        ]
        share = balanced_share(*parts)
        assert share == pytest.approx(0.04 / 0.94)
        parts[0].batch_size, parts[1].batch_size = 1000 * (1 - share), 1000 * share
        assert MixedDataset(*parts).class_shares == pytest.approx(np.full(10, 0.1))

    def test_weights_of_the_user(self, many):
        kwargs = {"space_group_weights": {220: 3, 229: 0}, "outlier_share": 0.1}
        _, shares, phases = mixed(
            many, self.GROUPS, ["x", "y"], [220, 226], (90, 8), **kwargs
        )
        expected = np.array([3] + [1] * 8 + [0]) / 11
        assert shares == pytest.approx(expected, abs=0.025)
        assert phases[-1] == pytest.approx(0.1 * 90 / 98, abs=0.02)

    def test_materials_of_both_parts(self, library):
        """Two materials of 229, one of them recorded too."""
        both = copy.copy(library)
        both.space_groups = [225, 229, 229]
        _, shares, phases = mixed(both, [225, 229], ["A"], [229], (90, 10))
        assert shares == pytest.approx([0.5, 0.5], abs=0.025)
        # 10 % of "a" were recorded, the rest to 25 % is simulated
        assert phases == pytest.approx([0.5, 0.15, 0.25], abs=0.025)

    def test_unbalanced_parts_are_as_they_are(self, many):
        simulated = SimulatedDataset(many, self.GROUPS)
        experimental = ExperimentalDataset(
            recorded(["Ni"], [225]), self.GROUPS, balanced=False
        )
        assert MixedDataset(simulated, experimental).parts[0] is simulated

    def test_same_batch_whatever_came_before(self, many):
        one, other = (
            mixed(many, self.GROUPS, ["Ni"], [225], (20, 10))[0] for _ in range(2)
        )
        one[0], one[7]
        one.epoch = other.epoch = 2
        for a, b in zip(one[3][0].values(), other[3][0].values(), strict=True):
            assert np.array_equal(a, b)

    def test_share_in_fit(self, library, noise, caplog):
        """By default balanced, and logged if the user's is far from it."""
        one = noise[noise.space_groups == 225]
        groups = [225, 229, 194]
        for share, n, messages in ((None, 4, 0), (0.9, 18, 1)):
            caplog.clear()
            sampling = Sampling(experimental_share=share, outlier_share=0)
            dataset = training_set(
                groups, library, one, sampling, None, batch_size=20, steps=100, seed=0
            )
            assert [part.batch_size for part in dataset.parts] == [20 - n, n]
            assert len(caplog.messages) == messages
        assert caplog.messages[0].startswith("92 % of the patterns in training are")
        assert "experimental_share of at most 0.2" in caplog.messages[0]


class TestWhatIsKnown:
    """A model does not claim what was measured before its training."""

    def test_trained_further(self, library, noise, caplog):
        model = new_model()
        model.temperature, model.min_probability = 0.8, 0.9
        model.conformal_thresholds = {0.9: 0.2}
        model.metadata |= {
            "name": "mine",
            "trained_on": "3 simulated phases",
            "phases": ["Cu (225)"],
            "steps": 100,
            "seed": 7,
            "calibrated_on": ["Ge"],
            "accuracy": {"all": 0.99},
            "licence": "GPL",
        }
        kwargs = {"epochs": 1, "steps_per_epoch": 2, "batch_size": 4} | PLAIN
        for i in range(2):
            fit(model, experimental=noise, show_progressbar=False, **kwargs)
            calls = [m for m in caplog.messages if "Call `calibrate()`" in m]
            assert len(calls) == 1
            assert model.metadata["steps"] == 102 + 2 * i
        assert (model.temperature, model.min_probability) == (1, 0)
        assert model.conformal_thresholds == {}
        assert set(model.predict(noise.patterns)) <= {225, 229}
        expected = "3 simulated phases; then 8 experimental patterns of 1 material(s)"
        assert model.metadata == {
            "name": "mine, trained further",
            "network": "residual",
            "trained_on": expected,
            "phases": ["Cu (225)", "noise (225)", "noise (229)"],
            "steps": 104,
            "licence": "GPL",
        }
        assert model.copy().metadata == model.metadata

    def test_new_model(self, library, noise):
        """Also what is trained on as outliers was seen."""
        model = new_model()
        model.min_probability = 0.6
        training.record_training(model, library, noise)
        phases = ["Ni (225)", "a (229)", "b (194)", "noise (225)", "noise (229)"]
        assert model.metadata["phases"] == phases
        assert model.metadata.get("name") is None
        assert model.min_probability == 0.6

    def test_prior_is_the_shares_of_training(self, library, noise):
        model = new_model()
        kwargs = {"epochs": 1, "steps_per_epoch": 1, "show_progressbar": False} | PLAIN
        fit(model, library, experimental=noise, **kwargs)
        assert np.array_equal(model.prior, [0.5, 0.5])
        weights = Sampling(space_group_weights={229: 3}, outlier_share=0.2)
        fit(model, library, sampling=weights, **kwargs)
        assert model.prior == pytest.approx([0.25, 0.75])
        some = noise[np.array([0, 2, 4, 1])]
        fit(model, experimental=some, sampling=Sampling(balanced=False), **kwargs)
        assert model.prior == pytest.approx([0.75, 0.25])

    def test_prior_of_space_groups_not_in_training(self, library):
        """They keep what they had, and the others share the rest."""
        keras.utils.set_random_seed(1)
        model = SpaceGroupModel.create([225, 229, 194], size=32, filters=(8,), stem=8)
        model.prior = [0.2, 0.3, 0.5]
        some = recorded(["Ni", "Fe"], [225, 229])
        kwargs = {"epochs": 1, "steps_per_epoch": 1, "show_progressbar": False} | PLAIN
        for _ in range(2):
            fit(model, experimental=some, **kwargs)
            assert model.prior == pytest.approx([0.25, 0.25, 0.5])

    def test_evaluate_counts_them_as_seen(self, noise):
        model = new_model()
        training.record_training(model, None, recorded(["Ni"], [225]))
        s = kp.data.nickel_ebsd_small()
        table = evaluate(model, {"Ni": s}, show_progressbar=False)
        assert table["in_training"].all()


class TestFit:
    """Training a small network."""

    def test_learns(self, library):
        model = new_model()
        history = fit(
            model,
            library,
            epochs=6,
            steps_per_epoch=25,
            batch_size=32,
            optimization=Optimization(learning_rate=4e-3, average=0.9),
            sampling=Sampling(outlier_share=0, blend_share=0.5, strain_scale=0.01),
            acquisition=CLEAN,
            geometry=NARROW,
            show_progressbar=False,
        ).history
        assert history["accuracy"][-1] > 0.9
        assert history["loss"][-1] < history["loss"][0]
        # What the averaged, recalibrated model says in inference
        dataset = SimulatedDataset(library, [225, 229], batch_size=128, seed=9)
        inputs, targets = dataset[0]
        graph = training_graph(model, library, acquisition=CLEAN, seed=5)
        logits = keras.ops.convert_to_numpy(graph(inputs, training=False))
        assert (logits.argmax(axis=1) == targets.argmax(axis=1)).mean() > 0.85

    def test_simulated_and_experimental_patterns_together(self, library):
        """Every batch is half and half, and both are learned."""
        rng = np.random.default_rng(1)
        wave = np.sin(np.arange(40) * 2 * np.pi / 7)
        recorded = wave[None, :, None] + wave + 0.3 * rng.normal(size=(20, 40, 40))
        recorded = LabelledPatterns(
            recorded.astype("float16"), np.full(20, 194), np.full(20, "waves")
        )
        simulated = SimulatedDataset(library, [225, 229, 194], batch_size=6)
        experimental = ExperimentalDataset(recorded, [225, 229, 194], batch_size=2)
        inputs, targets = MixedDataset(simulated, experimental)[0]
        assert inputs["upper"].shape == (6,)
        assert inputs["patterns"].shape == (2, 40, 40)
        assert targets.shape == (8, 3)
        assert (targets[6:] == [0, 0, 1]).all()
        keras.utils.set_random_seed(1)
        model = SpaceGroupModel.create([225, 229, 194], size=32, filters=(16,), stem=8)
        fit(
            model,
            library,
            recorded,
            epochs=3,
            steps_per_epoch=20,
            batch_size=32,
            sampling=Sampling(experimental_share=0.5),
            optimization=Optimization(average=0.9),
            acquisition=CLEAN,
            show_progressbar=False,
        )
        assert (model.predict(recorded.patterns) == 194).all()
        expected = "3 simulated phases and 20 experimental patterns of 1 material(s)"
        assert expected in repr(model)

    def test_steps_are_traced_once(self, noise, monkeypatch):
        """A step that makes variables is traced twice, which takes long."""
        if keras.backend.backend() != "tensorflow":
            pytest.skip("TensorFlow traces")
        traced = []
        train_step = keras.Model.train_step

        def traced_step(self, data):
            traced.append(self.name)
            return train_step(self, data)

        monkeypatch.setattr(keras.Model, "train_step", traced_step)
        kwargs = {"epochs": 1, "steps_per_epoch": 2, "batch_size": 4} | PLAIN
        fit(new_model(), None, noise, show_progressbar=False, **kwargs)
        assert traced == ["trainer"]

    def test_wrong_numbers(self, library):
        with pytest.raises(ValueError, match="epochs must be at least 1, not 0"):
            fit(new_model(), library, epochs=0)


class Interrupt(keras.callbacks.Callback):
    """Stop training as a power cut would, in the middle of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.at = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.now, batch) == (self.at, 1):
            raise KeyboardInterrupt


class Script(keras.callbacks.Callback):
    """Set the validation loss, so that it is known when to stop."""

    def __init__(self, losses):
        super().__init__()
        self.losses = losses

    def on_epoch_end(self, epoch, logs=None):
        logs["val_loss"] = self.losses[epoch]


def interrupt(*args, **kwargs):
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def noise():
    """Patterns without anything to learn."""
    rng = np.random.default_rng(1)
    return LabelledPatterns(
        rng.normal(size=(8, 32, 32)).astype("float16"),
        np.array([225, 229] * 4),
        np.full(8, "noise"),
    )


AVERAGED = Optimization(average=0.9)


class TestResume:
    """A resumed training ends as one that was not interrupted."""

    KWARGS = {
        "epochs": 4,
        "steps_per_epoch": 2,
        "batch_size": 4,
        "show_progressbar": False,
    }

    def same(self, one, other):
        (model, history), (expected, full) = one, other
        assert history.epoch == full.epoch
        assert list(history.history) == list(full.history)
        if keras.backend.backend() == "torch":
            return  # Dropout draws from its own random numbers
        for name, values in full.history.items():
            assert history.history[name] == pytest.approx(values, rel=2e-3, abs=1e-4)
        for a, b in zip(weights(model), weights(expected), strict=True):
            assert np.allclose(a, b, atol=2e-3)

    def trained(self, **kwargs):
        model = new_model()
        return model, fit(model, **self.KWARGS | kwargs)

    def interrupted(self, folder, at=None, **kwargs):
        with pytest.raises(KeyboardInterrupt):
            callbacks = [] if at is None else [Interrupt(at)]
            self.trained(backup_dir=folder, callbacks=callbacks, **kwargs)
        assert (folder / "backup.npz").exists()

    def test_history_and_weights(self, library, tmp_path):
        """Cameras and dropout go on with their random numbers."""
        kwargs = {"library": library, "optimization": AVERAGED}
        full = self.trained(**kwargs)
        assert full[1].epoch == [0, 1, 2, 3]
        folder = tmp_path / "backup"
        self.interrupted(folder, at=2, **kwargs)
        seen = []
        watch = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: seen.append(epoch)
        )
        resumed = self.trained(backup_dir=folder, callbacks=[watch], **kwargs)
        assert seen == [2, 3]
        self.same(resumed, full)
        assert not folder.exists()

    SCRIPT = (0.9, 0.5, 0.7, 0.6, 0.7, 0.4)
    STOPS = {
        "optimization": Optimization(average=None),
        "stopping": EarlyStopping(patience=3),
        "epochs": 20,
    }

    def test_early_stopping(self, noise, tmp_path, monkeypatch):
        """The best epoch is before the interruption, the last one after it."""
        monkeypatch.setattr(
            training, "_make_validation", lambda *args: Script(self.SCRIPT)
        )
        kwargs = {"experimental": noise, "validation": noise} | self.STOPS
        full = self.trained(**kwargs)
        assert full[1].history["val_loss"] == [*self.SCRIPT[:5]]
        self.interrupted(tmp_path, at=3, **kwargs)
        self.same(self.trained(backup_dir=tmp_path, **kwargs), full)

    def test_stopped_early_before_the_interruption(self, noise, tmp_path, monkeypatch):
        kwargs = {"experimental": noise, "validation": noise} | self.STOPS
        with monkeypatch.context() as patch:
            patch.setattr(
                training, "_make_validation", lambda *args: Script(self.SCRIPT)
            )
            full = self.trained(**kwargs)
            with monkeypatch.context() as inner:
                inner.setattr(training.Backup, "remove", interrupt)
                self.interrupted(tmp_path, **kwargs)
            self.same(self.trained(backup_dir=tmp_path, **kwargs), full)

    def test_backup_outlives_the_last_epoch(self, noise, tmp_path, monkeypatch):
        """Until the statistics of averaged weights are right."""
        kwargs = {"experimental": noise, "optimization": AVERAGED}
        full = self.trained(**kwargs)
        (tmp_path / "notes.txt").write_text("mine")
        with monkeypatch.context() as patch:
            patch.setattr(training, "recalibrate", interrupt)
            self.interrupted(tmp_path, **kwargs)
        self.same(self.trained(backup_dir=tmp_path, **kwargs), full)
        assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]

    def test_backup_that_does_not_fit(self, noise, tmp_path):
        kwargs = {"experimental": noise, "optimization": Optimization(average=None)}
        kwargs["backup_dir"] = tmp_path
        self.interrupted(tmp_path, at=1, experimental=noise)
        with pytest.raises(ValueError, match="of another model or optimizer"):
            self.trained(**kwargs)
        (tmp_path / "backup.npz").write_bytes(b"half a file")
        with pytest.raises(ValueError, match="Remove it to start anew"):
            self.trained(**kwargs)

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Training on simulated patterns: small, but it must learn."""

import keras
import kikuchipy as kp
import numpy as np
import pytest

from kikuchipy_spacegroup import training
from kikuchipy_spacegroup.acquisition import Acquisition
from kikuchipy_spacegroup.dataset import (
    ExperimentalDataset,
    MixedDataset,
    SimulatedDataset,
    similar_entries,
)
from kikuchipy_spacegroup.experimental import LabelledPatterns
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.model import SpaceGroupModel
from kikuchipy_spacegroup.training import fit, training_graph

CLEAN = Acquisition(noise=(0.05, 0.1), overlap_probability=0, aperture_probability=0)


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

    def test_missing_space_group(self, library):
        with pytest.raises(ValueError, match=r"no phase of space group\(s\) \[227\]"):
            SimulatedDataset(library, [225, 227])


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
            learning_rate=4e-3,
            outlier_share=0,
            blend_share=0.5,
            average=0.9,
            acquisition=CLEAN,
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
            average=0.9,
            acquisition=CLEAN,
            show_progressbar=False,
        )
        assert (model.predict(recorded.patterns) == 194).all()
        expected = "3 simulated phases and 20 experimental patterns of 1 material(s)"
        assert expected in repr(model)

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
        kwargs = {"library": library, "average": 0.9}
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
    STOPS = {"average": None, "patience": 3, "epochs": 20}

    def test_early_stopping(self, library, noise, tmp_path, monkeypatch):
        """The best epoch is before the interruption, the last one after it."""
        monkeypatch.setattr(training, "_validate", lambda *args: Script(self.SCRIPT))
        kwargs = {"library": library, "validation": noise} | self.STOPS
        full = self.trained(**kwargs)
        assert full[1].history["val_loss"] == [*self.SCRIPT[:5]]
        self.interrupted(tmp_path, at=3, **kwargs)
        self.same(self.trained(backup_dir=tmp_path, **kwargs), full)

    def test_stopped_early_before_the_interruption(self, noise, tmp_path, monkeypatch):
        kwargs = {"experimental": noise, "validation": noise} | self.STOPS
        with monkeypatch.context() as patch:
            patch.setattr(training, "_validate", lambda *args: Script(self.SCRIPT))
            full = self.trained(**kwargs)
            with monkeypatch.context() as inner:
                inner.setattr(training.Backup, "remove", interrupt)
                self.interrupted(tmp_path, **kwargs)
            self.same(self.trained(backup_dir=tmp_path, **kwargs), full)

    def test_backup_outlives_the_last_epoch(self, noise, tmp_path, monkeypatch):
        """Until the statistics of averaged weights are right."""
        kwargs = {"experimental": noise, "average": 0.9}
        full = self.trained(**kwargs)
        (tmp_path / "notes.txt").write_text("mine")
        with monkeypatch.context() as patch:
            patch.setattr(training, "recalibrate", interrupt)
            self.interrupted(tmp_path, **kwargs)
        self.same(self.trained(backup_dir=tmp_path, **kwargs), full)
        assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]

    def test_backup_that_does_not_fit(self, noise, tmp_path):
        kwargs = {"experimental": noise, "average": None, "backup_dir": tmp_path}
        self.interrupted(tmp_path, at=1, experimental=noise)
        with pytest.raises(ValueError, match="of another model or optimizer"):
            self.trained(**kwargs)
        (tmp_path / "backup.npz").write_bytes(b"half a file")
        with pytest.raises(ValueError, match="Remove it to start anew"):
            self.trained(**kwargs)

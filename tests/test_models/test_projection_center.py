# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models that are told the projection center of patterns."""

from concurrent.futures import ThreadPoolExecutor
import pickle

import keras
from keras import layers
import kikuchipy as kp
import numpy as np
import pytest

from kikuchipy_spacegroup import LabelledPatterns, MasterPatternLibrary, fit
from kikuchipy_spacegroup.classification import classify_space_group
from kikuchipy_spacegroup.explanation import GradCAM, guided_grad_cam
from kikuchipy_spacegroup.models import SpaceGroupModel, load_model, save_onnx
from kikuchipy_spacegroup.patterns import PreparePatterns
from kikuchipy_spacegroup.patterns._projection_centers import relative_to_square
from kikuchipy_spacegroup.plot import plot_interactive
from kikuchipy_spacegroup.simulation import Geometry
from kikuchipy_spacegroup.space_groups import CHAIN
from kikuchipy_spacegroup.training import (
    Sampling,
    adapt_normalization,
    calibrate,
    match_acquisition,
    self_train,
    simulate_logits,
)

GROUPS = [221, 225, 227, 229]


@pytest.fixture
def patterns(nickel):
    return nickel.data.reshape(-1, 60, 60)


@pytest.fixture
def centers():
    rng = np.random.default_rng(1)
    return rng.uniform(0.2, 0.8, size=(9, 3))


def center_in(probabilities):
    """Return the projection centers that ``center_model`` got."""
    with np.errstate(invalid="ignore"):
        return np.log(probabilities[:, :3] / probabilities[:, 3:])


@pytest.fixture(scope="module")
def library():
    mp = kp.data.nickel_ebsd_master_pattern_small(
        projection="lambert", hemisphere="both"
    )
    return MasterPatternLibrary.from_signals(
        [mp, mp, mp, mp], list("abcd"), GROUPS, half_width=20, check=False
    )


class KnownOrMinusOne(layers.Layer):
    """Numbers, and -1 in place of NaN."""

    def call(self, x):
        return keras.ops.where(keras.ops.isnan(x), -1.0, x)


def two_input_model(order="list"):
    """Return a model of both inputs with random weights, which expects NaN."""
    keras.utils.set_random_seed(4)
    prepared = keras.Input((32, 32, 1), name="prepared")
    centers = keras.Input((3,), name="projection_centers")
    x = layers.Conv2D(4, 3, strides=4, activation="relu", name="maps")(prepared)
    weights = layers.Dense(4)(KnownOrMinusOne()(centers))
    x = layers.Multiply()([layers.GlobalAveragePooling2D()(x), weights])
    logits = layers.Dense(4, dtype="float32")(x)
    inputs = {
        "list": [prepared, centers],
        "reverse": [centers, prepared],
        "dict": {"projection_centers": centers, "prepared": prepared},
    }[order]
    network = keras.Model(inputs, logits)
    return SpaceGroupModel(network, GROUPS, PreparePatterns(32))


def logits_of(model, patterns, centers):
    """Return logits of square patterns from the network itself."""
    prepared = model.prepare(patterns[..., None].astype("float32"))
    centers = keras.ops.convert_to_tensor(centers.astype("float32"))
    by_name = {"prepared": prepared, "projection_centers": centers}
    given = keras.tree.map_structure(lambda i: by_name[i.name], model.network.input)
    return model.network(given)


class TestNetworks:
    """The second input is found by its name."""

    @pytest.mark.parametrize("order", ["list", "reverse", "dict"])
    def test_any_order(self, order, patterns, centers):
        model = two_input_model(order)
        assert model.uses_projection_center
        logits = logits_of(model, patterns, centers)
        expected = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
        found = model.predict_proba(patterns, centers)
        assert np.allclose(found, expected, atol=1e-5)
        assert np.allclose(model.copy().predict_proba(patterns, centers), found)

    @pytest.mark.parametrize(
        ("name", "width", "n"),
        [("pc", 3, 2), ("projection_centers", 2, 2), ("projection_centers", 3, 3)],
    )
    def test_other_inputs(self, name, width, n):
        inputs = [keras.Input((32, 32, 1)), keras.Input((width,), name=name)]
        inputs = [*inputs, keras.Input((4,))][:n]
        x = layers.Concatenate()([layers.Flatten()(i) for i in inputs])
        network = keras.Model(inputs, layers.Dense(4)(x))
        with pytest.raises(ValueError, match="second one named 'projection_centers'"):
            SpaceGroupModel(network, GROUPS, PreparePatterns(32))

    def test_told(self, center_model, tiny_model):
        assert "uses the projection center" in repr(center_model)
        assert "projection center" not in repr(tiny_model)
        assert not tiny_model.uses_projection_center

    def test_file(self, center_model, patterns, centers, tmp_path):
        expected = center_model.predict_proba(patterns, centers)
        center_model.save(tmp_path / "a.keras")
        for other in (
            load_model(tmp_path / "a.keras"),
            pickle.loads(pickle.dumps(center_model)),
            center_model.copy(),
        ):
            assert other.uses_projection_center
            assert other.fingerprint() == center_model.fingerprint()
            assert np.array_equal(other.predict_proba(patterns, centers), expected)
        graph = keras.models.load_model(tmp_path / "a.keras")
        inputs = patterns[..., None].astype("float32"), centers.astype("float32")
        assert np.allclose(graph.predict(inputs, verbose=0), expected, atol=1e-5)

    def test_calibrated(self, patterns, centers):
        model = two_input_model()
        logits = logits_of(model, patterns, centers)
        for temperature in (2.0, dict.fromkeys(CHAIN, 0.5)):
            model.temperature = temperature
            assert np.allclose(
                model.logits_to_probabilities(logits),
                model.predict_proba(patterns, centers),
                atol=1e-5,
            )


class TestPredict:
    """Which pattern gets which center."""

    def test_square_patterns(self, center_model, patterns, centers):
        found = center_model.predict_proba(patterns, centers)
        assert np.allclose(center_in(found), centers, atol=1e-5)

    @pytest.mark.parametrize("batch_size", [1, 2, 4, 100])
    def test_batches(self, center_model, patterns, centers, batch_size):
        found = center_model.predict_proba(patterns, centers, batch_size=batch_size)
        assert np.allclose(center_in(found), centers, atol=1e-5)

    def test_one_for_all(self, center_model, patterns):
        expected = center_model.predict_proba(
            patterns, np.tile([0.4, 0.2, 0.6], (9, 1))
        )
        for one in ([0.4, 0.2, 0.6], np.array([[0.4, 0.2, 0.6]])):
            found = center_model.predict_proba(patterns, one)
            assert np.array_equal(found, expected)

    @pytest.mark.parametrize(
        ("shape", "center", "expected"),
        [
            # 10 of 80 columns are cut off on both sides: (20 - 10) / 60
            ((60, 80), (0.25, 0.25, 0.5), (1 / 6, 0.25, 0.5)),
            # 10 of 80 rows: (60 - 10) / 60, and 0.5 x 80 / 60
            ((80, 60), (0.25, 0.75, 0.5), (0.25, 5 / 6, 2 / 3)),
            ((60, 60), (0.25, 0.75, 0.5), (0.25, 0.75, 0.5)),
        ],
    )
    def test_central_square(self, center_model, shape, center, expected):
        patterns = np.random.default_rng(1).normal(size=(2, *shape))
        found = center_model.predict_proba(patterns, center)
        assert np.allclose(center_in(found), expected, atol=1e-5)

    @pytest.mark.parametrize("shape", [(60, 80), (80, 60)])
    def test_kikuchipy_crops_alike(self, shape, centers):
        rows, columns = ((n - 60) // 2 for n in shape)
        for center in centers:
            detector = kp.detectors.EBSDDetector(shape, pc=center)
            cropped = detector.crop((rows, rows + 60, columns, columns + 60))
            found = relative_to_square(center[None], shape)
            assert np.allclose(found, cropped.pc.reshape(1, 3), atol=1e-6)

    def test_unknown(self, patterns, centers):
        model = two_input_model()
        unknown = model.predict_proba(patterns)
        assert np.isfinite(unknown).all()
        for nothing in (None, np.full((9, 3), np.nan), [np.nan] * 3):
            assert np.array_equal(model.predict_proba(patterns, nothing), unknown)
        # The network decides what NaN means
        expected = keras.ops.softmax(logits_of(model, patterns, np.full((9, 3), -1)))
        assert np.allclose(unknown, keras.ops.convert_to_numpy(expected), atol=1e-5)
        some = np.where(np.arange(9)[:, None] < 4, np.nan, centers)
        found = model.predict_proba(patterns, some)
        assert np.allclose(found[:4], unknown[:4], atol=1e-5)
        known = model.predict_proba(patterns, centers)
        assert np.allclose(found[4:], known[4:], atol=1e-5)

    def test_bytes_threads_and_half_precision(self, patterns, centers):
        model = two_input_model()
        expected = model.predict_proba(patterns.astype("float64"), centers)
        assert np.allclose(model.predict_proba(patterns, centers), expected, atol=1e-6)
        with ThreadPoolExecutor(4) as pool:
            found = pool.map(lambda _: model.predict_proba(patterns, centers), range(8))
            assert all(np.allclose(i, expected, atol=1e-6) for i in found)
        model.mixed_precision = True
        found = model.predict_proba(patterns, centers)
        assert np.allclose(found, expected, atol=0.02)

    def test_unusable_patterns(self, center_model, patterns, centers):
        spoiled = patterns.copy()
        spoiled[3] = 7
        found = center_in(center_model.predict_proba(spoiled, centers))
        assert np.isnan(found[3]).all()
        rest = np.arange(9) != 3
        assert np.allclose(found[rest], centers[rest], atol=1e-5)

    def test_labels(self, center_model, patterns):
        centers = np.where(np.arange(9)[:, None] % 3 == np.arange(3), 0.9, 0.1)
        found = center_model.predict(patterns, centers)
        assert found.tolist() == GROUPS[:3] * 3

    def test_no_patterns(self, center_model, patterns):
        assert center_model.predict_proba(patterns[:0]).shape == (0, 4)
        found = center_model.predict_proba(patterns[:0], np.zeros((0, 3)))
        assert found.shape == (0, 4)

    def test_ignored_by_others(self, tiny_model, patterns, centers):
        expected = tiny_model.predict_proba(patterns)
        for given in (centers, "nonsense"):
            found = tiny_model.predict_proba(patterns, given)
            assert np.array_equal(found, expected)

    @pytest.mark.parametrize(
        ("centers", "match"),
        [
            (np.ones((8, 3)), r"shape \(9, 3\).* not float64 of shape \(8, 3\)"),
            (np.ones((9, 2)), r"not float64 of shape \(9, 2\)"),
            (np.ones((3, 3, 3)), r"not float64 of shape \(3, 3, 3\)"),
            (0.5, r"not float64 of shape \(\)"),
            (["a", "b", "c"], "real numbers"),
            ([0.5, 0.5, np.inf], "1 centers that are not possible"),
            ([0.5, 0.5, 0.0], "PCz above 0. Set those that are unknown to NaN"),
        ],
    )
    def test_errors(self, center_model, patterns, centers, match):
        with pytest.raises(ValueError, match=match):
            center_model.predict_proba(patterns, centers)


class TestElsewhere:
    """What else runs the network, or says that it does not."""

    def test_simulated_logits(self, center_model, library):
        narrow = Geometry(pcx=(0.41, 0.42), pcy=(0.1, 0.11), pcz=(0.7, 0.71))
        logits, *_ = simulate_logits(
            center_model, library, n_patterns=60, geometry=narrow
        )
        low, high = np.transpose([narrow.pcx, narrow.pcy, narrow.pcz])
        assert (logits[:, :3] >= low - 1e-6).all()
        assert (logits[:, :3] <= high + 1e-6).all()
        assert (logits[:, :3].std(axis=0) > 1e-3).all()
        assert (logits[:, 3] == 0).all()

    def test_simulated_patterns_with_errors_or_without_a_center(
        self, library, center_model
    ):
        narrow = Geometry(pcx=(0.4, 0.401), pcy=(0.2, 0.201), pcz=(0.6, 0.601))
        logits, *_ = simulate_logits(
            center_model,
            library,
            n_patterns=200,
            geometry=narrow,
            center_error=0.03,
            unknown_center_share=0.4,
        )
        is_unknown = np.isnan(logits[:, :3]).all(axis=1)
        assert is_unknown.mean() == pytest.approx(0.4, abs=0.12)
        error = logits[~is_unknown, :3] - (0.4, 0.2, 0.6)
        assert error.std(axis=0) == pytest.approx(0.03, rel=0.3)

    @pytest.mark.parametrize("order", ["list", "dict"])
    def test_training_and_calibration(self, library, patterns, order):
        model = two_input_model(order)
        known = LabelledPatterns(patterns, np.full(9, 225), np.full(9, "Ni"))
        history = fit(
            model,
            library,
            known,
            validation=known,
            epochs=1,
            steps_per_epoch=2,
            batch_size=8,
            sampling=Sampling(center_error=0.01, unknown_center_share=0.5),
            show_progressbar=False,
        )
        assert np.isfinite(history.history["loss"]).all()
        assert np.isfinite(history.history["val_loss"]).all()
        calibrate(model, library, n_patterns=60)
        assert np.isfinite(model.predict_proba(patterns, [0.4, 0.2, 0.5])).all()

    def test_explanation(self, patterns, centers):
        """The gradient is that of the network with the center."""
        model = two_input_model()
        explain = GradCAM(model)
        assert explain.layer == "maps"
        alone = [
            explain(patterns[i : i + 1], projection_centers=centers[i])
            for i in range(9)
        ]
        together = explain(patterns, projection_centers=centers, batch_size=4)
        assert np.allclose(together, np.concatenate(alone), atol=1e-4)
        assert not np.allclose(
            together, explain(patterns, projection_centers=[0.5] * 3)
        )
        best = model.predict(patterns, centers)
        named = explain(patterns, best, projection_centers=centers)
        assert np.allclose(named, together, atol=1e-4)
        fine = guided_grad_cam(model, patterns, projection_centers=centers)
        assert np.isfinite(fine).all()
        assert np.isfinite(explain(patterns)).all()
        with pytest.raises(ValueError, match="projection_centers must be"):
            explain(patterns, projection_centers=centers[:2])

    def test_navigator(self, nickel):
        """Drawn is what the model says of a pattern with the center of its point."""
        model = two_input_model()
        xmap = classify_space_group(nickel, model, show_progressbar=False)
        plot = plot_interactive(nickel, xmap, model, static_background=None)
        nickel.axes_manager.indices = (2, 1)
        bars = plot.figure.axes[1].patches
        expected = model.predict_proba(nickel.data[1, 2:3], nickel.detector.pc[1, 2])
        found = sorted(bar.get_width() for bar in bars)
        assert np.allclose(found, sorted(expected[0]), atol=1e-5)
        assert not np.allclose(
            found, sorted(model.predict_proba(nickel.data[1, 2:3])[0]), atol=1e-3
        )
        plot.close()
        nickel.detector.pc = np.full((2, 2, 3), 0.4)
        with pytest.raises(ValueError, match="neither one"):
            plot_interactive(nickel, xmap, model)

    def test_not_supported(self, center_model, library, nickel, tmp_path):
        calls = [
            lambda: save_onnx(tmp_path / "a.onnx", center_model),
            lambda: adapt_normalization(center_model, nickel),
            lambda: self_train(center_model, library, nickel),
            lambda: match_acquisition(center_model, library, nickel),
        ]
        for call in calls:
            with pytest.raises(
                NotImplementedError, match="is not supported for models"
            ):
                call()
        assert not list(tmp_path.iterdir())

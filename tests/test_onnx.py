# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""ONNX files say the same as the models they were written from."""

import numpy as np
import pytest

import kikuchipy_spacegroup as kpsg
from kikuchipy_spacegroup import OnnxModel, save_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("tf2onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:keras.src.export")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    save_onnx(kpsg.load_model(), path)
    return path


@pytest.fixture(scope="module")
def model(path):
    return OnnxModel(path)


@pytest.mark.parametrize("shape", [(60, 60), (480, 640), (97, 61)])
def test_same_probabilities(model, shape):
    rng = np.random.default_rng(1)
    patterns = rng.integers(0, 256, (5, *shape)).astype("float32")
    patterns[1, :10] = np.nan
    patterns[2] = 7
    expected = kpsg.load_model().predict_proba(patterns)
    found = model.predict_proba(patterns)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.isnan(found[2]).all()


def test_same_map(nickel, path):
    expected = kpsg.classify_space_group(nickel, show_progressbar=False)
    found = nickel.classify_space_group(path, show_progressbar=False)
    np.testing.assert_array_equal(found.phase_id, expected.phase_id)
    np.testing.assert_allclose(found.prop["scores"], expected.prop["scores"], atol=1e-4)


def test_carries_classes_and_thresholds(model):
    original = kpsg.load_model()
    assert model.space_groups == original.space_groups
    assert model.min_probability == original.min_probability
    assert model.conformal_thresholds == original.conformal_thresholds
    assert model.metadata == original.metadata
    patterns = np.random.default_rng(2).random((3, 60, 60))
    np.testing.assert_array_equal(model.predict(patterns), original.predict(patterns))


def test_integers(nickel, tmp_path):
    patterns = nickel.data.reshape(-1, 60, 60)
    path = tmp_path / "integers.onnx"
    model = kpsg.load_model()
    save_onnx(model, path, calibration_patterns=patterns)
    expected = model.predict_proba(patterns)
    found = OnnxModel(path).predict_proba(patterns)
    assert 0 < np.abs(found - expected).max() < 0.1
    sure = expected.max(axis=1) > 0.5
    np.testing.assert_array_equal(
        found.argmax(axis=1)[sure], expected.argmax(axis=1)[sure]
    )
    # No convolution goes back to floating point as ONNX Runtime loads the file
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    options.graph_optimization_level = (
        onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    )
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    kinds = {node.op_type for node in onnx.load(tmp_path / "loaded.onnx").graph.node}
    assert "QLinearConv" in kinds and "Conv" not in kinds


class TestErrors:
    def test_existing_file(self, path, tiny_model):
        content = path.read_bytes()
        with pytest.raises(FileExistsError, match="overwrite=True"):
            save_onnx(tiny_model, path)
        assert path.read_bytes() == content

    def test_other_suffix(self, tiny_model, tmp_path):
        with pytest.raises(ValueError, match="must end with '.onnx'"):
            save_onnx(tiny_model, tmp_path / "model.keras")

    def test_patterns_to_calibrate_with(self, tiny_model, tmp_path):
        with pytest.raises(ValueError, match="shape"):
            save_onnx(
                tiny_model, tmp_path / "m.onnx", calibration_patterns=np.ones((60, 60))
            )
        assert not list(tmp_path.iterdir())

    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no model file"):
            OnnxModel(tmp_path / "model.onnx")

    def test_damaged(self, path, tmp_path):
        bad = tmp_path / "bad.onnx"
        bad.write_bytes(path.read_bytes()[:1000])
        with pytest.raises(ValueError, match="not an ONNX file or damaged"):
            OnnxModel(bad)

    def test_not_ours(self, path, tmp_path):
        content = onnx.load(path)
        del content.metadata_props[:]
        onnx.save(content, tmp_path / "plain.onnx")
        with pytest.raises(ValueError, match="classes are not known"):
            OnnxModel(tmp_path / "plain.onnx")

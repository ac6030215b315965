# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""ONNX files say the same as the models they were written from."""

import os

import numpy as np
import pytest

import kikuchipy_spacegroup as kpsg
from kikuchipy_spacegroup.models import OnnxModel, save_onnx
from kikuchipy_spacegroup.models._onnx_file import sealed

onnx = pytest.importorskip("onnx")
pytest.importorskip("tf2onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:keras.src.export")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    save_onnx(path, kpsg.load_model())
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
    np.testing.assert_array_equal(model.prior, original.prior)
    patterns = np.random.default_rng(2).random((3, 60, 60))
    np.testing.assert_array_equal(model.predict(patterns), original.predict(patterns))


def test_carries_the_prior(tiny_model, tmp_path, nickel):
    model = tiny_model.copy()
    model.prior = [6, 1, 1]
    path = tmp_path / "model.onnx"
    save_onnx(path, model)
    np.testing.assert_array_equal(OnnxModel(path).prior, model.prior)
    for given in (model, path):
        xmap = nickel.classify_space_group(
            given, keep_probabilities=True, show_progressbar=False
        )
        np.testing.assert_allclose(kpsg.maps.prior_from_map(xmap), model.prior)


def test_integers(nickel, tmp_path):
    patterns = nickel.data.reshape(-1, 60, 60)
    path = tmp_path / "integers.onnx"
    model = kpsg.load_model()
    save_onnx(path, model, calibration_patterns=patterns)
    expected = model.predict_proba(patterns)
    found = OnnxModel(path).predict_proba(patterns)
    # By how much one pattern changes depends on the processor's instructions for
    # integers (VNNI, AMX or neither). That few change a lot does not, nor that
    # those identified, and not between two space groups, keep their label
    difference = np.abs(found - expected)
    assert 0 < difference.mean() < 0.02
    second, first = np.sort(expected, axis=1)[:, -2:].T
    sure = (first >= model.min_probability) & (first - second > 0.2)
    assert sure.sum() >= 5
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
            save_onnx(path, tiny_model)
        assert path.read_bytes() == content

    def test_other_suffix(self, tiny_model, tmp_path):
        with pytest.raises(ValueError, match="must end with '.onnx'"):
            save_onnx(tmp_path / "model.keras", tiny_model)

    def test_patterns_to_calibrate_with(self, tiny_model, tmp_path):
        with pytest.raises(ValueError, match="shape"):
            save_onnx(
                tmp_path / "m.onnx", tiny_model, calibration_patterns=np.ones((60, 60))
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


def node_of_others(model):
    model.opset_import.add(domain="com.stranger", version=1)
    model.graph.node[0].domain = "com.stranger"


def functions(model):
    model.functions.add(name="f", domain="com.stranger")


def loop(model):
    graph = onnx.helper.make_graph([], "inner", [], [])
    model.graph.node[0].attribute.add(name="body", type=5).g.CopyFrom(graph)


def external(tensor):
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")


def external_weights(model):
    external(model.graph.initializer[0])


def external_constant(model):
    external(model.graph.node[0].attribute.add(name="value", type=4).t)


def outside_without_a_name(model):
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL


def sparse(model):
    model.graph.sparse_initializer.add()


def training(model):
    model.training_info.add()


def huge(model):
    model.graph.initializer[0].dims[:] = [10**6, 10**6, 10**6]


def negative(model):
    model.graph.initializer[0].dims[:] = [-1]


def many_dimensions(model):
    model.graph.initializer[0].dims[:] = [1] * 65


def other_output(model):
    model.graph.output.add().CopyFrom(model.graph.output[0])


def unknown_operator(model):
    model.graph.node[0].op_type = "Nonsense"


def write_changed(path, folder, change):
    """Write a changed file with a right checksum."""
    model = onnx.load(path)
    del model.metadata_props[-1]
    change(model)
    (folder / "bad.onnx").write_bytes(sealed(model.SerializeToString()))
    return folder / "bad.onnx"


class TestFromStrangers:
    """Files with a right checksum, made to do something else."""

    @pytest.fixture(autouse=True)
    def no_session(self, monkeypatch):
        """ONNX Runtime does not even see what is refused."""
        monkeypatch.delattr(onnxruntime, "InferenceSession")

    @pytest.mark.parametrize(
        "change, match",
        [
            (node_of_others, "not of ONNX, but of b'com.stranger'"),
            (functions, "functions of its own"),
            (loop, "a graph within a graph"),
            (external_weights, "weights in another file"),
            (external_constant, "weights in another file"),
            (outside_without_a_name, "weights in another file"),
            (sparse, "sparse weights"),
            (training, "training steps"),
            (huge, "declares 1000000000000000000 weights in"),
            (negative, "declares 18446744073709551615 weights in"),
            (many_dimensions, "65 dimensions"),
        ],
    )
    def test_refused(self, path, tmp_path, change, match):
        bad = write_changed(path, tmp_path, change)
        with pytest.raises(ValueError, match=rf"bad\.onnx.*{match}"):
            OnnxModel(bad)

    def test_larger_than_onnx_files_are(self, tmp_path):
        bad = tmp_path / "bad.onnx"
        bad.touch()
        os.truncate(bad, 2**31)
        with pytest.raises(ValueError, match=r"bad\.onnx has 2147483648 bytes"):
            OnnxModel(bad)

    @pytest.mark.parametrize("at", [0.2, 0.5, 0.9])
    def test_one_bit(self, path, tmp_path, at):
        content = bytearray(path.read_bytes())
        content[int(at * len(content))] ^= 1
        bad = tmp_path / "bad.onnx"
        bad.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.onnx is .*damaged"):
            OnnxModel(bad)

    def test_changed(self, path, tmp_path):
        model = onnx.load(path)
        model.producer_name = "somebody else"
        onnx.save(model, tmp_path / "bad.onnx")
        with pytest.raises(ValueError, match=r"was changed.*save_onnx\(\)"):
            OnnxModel(tmp_path / "bad.onnx")


@pytest.mark.parametrize(
    "change, match",
    [
        (other_output, "inputs and outputs"),
        (unknown_operator, "cannot be run by ONNX Runtime"),
    ],
)
def test_what_onnx_runtime_sees(path, tmp_path, change, match):
    bad = write_changed(path, tmp_path, change)
    with pytest.raises(ValueError, match=rf"bad\.onnx.*{match}"):
        OnnxModel(bad)


def test_nothing_unchanged_is_refused(path, tmp_path, model):
    again = write_changed(path, tmp_path, lambda model: None)
    assert OnnxModel(again).fingerprint() == model.fingerprint()

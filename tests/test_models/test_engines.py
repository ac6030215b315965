# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every engine gives the answers of Keras, and one is chosen where it is asked for."""

import hashlib
import json
import logging
import os
from pathlib import Path
import pickle
import subprocess
import sys

import dask.array as da
import keras
import kikuchipy as kp
import numpy as np
import pytest

import kikuchipy_spacegroup as kpsg
from kikuchipy_spacegroup.classification import engine_of_map
from kikuchipy_spacegroup.maps import probabilities_from_map
from kikuchipy_spacegroup.models import (
    OnnxModel,
    _engine_choice,
    _engines,
    _exported,
    _onnx,
    _user_cache,
    save_onnx,
)

for package in ("onnx", "onnxruntime", "tf2onnx"):
    pytest.importorskip(package)
if keras.backend.backend() != "tensorflow":
    pytest.skip("ONNX files are written under TensorFlow", allow_module_level=True)
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:keras.src.export")

OTHERS = [name for name in _engines.installed_engines() if name != "keras"]
OPTIONS = {"keep_probabilities": True, "show_progressbar": False}
needs_openvino = pytest.mark.skipif("openvino" not in OTHERS, reason="no openvino")


class ConvertedOnce:
    """The graph of a model, converted to ONNX once, and as often as wanted written."""

    contents: dict[str, bytes] = {}

    def __init__(self, model, export_graph=_onnx.export_graph):
        self.model, self.export_graph = model, export_graph

    def export(self, path, **kwargs):
        name = self.model.fingerprint()
        if name not in self.contents:
            self.export_graph(self.model).export(path, **kwargs)
            self.contents[name] = Path(path).read_bytes()
        Path(path).write_bytes(self.contents[name])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of its own, and scans that are all worth to measure for."""
    monkeypatch.setattr(_onnx, "export_graph", ConvertedOnce)
    monkeypatch.setenv(_user_cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(_engine_choice, "WORTH_MEASURING", 1)
    kpsg.clear_model_cache()
    yield tmp_path / "cache"
    kpsg.clear_model_cache()


@pytest.fixture
def fastest(monkeypatch):
    """Let an engine be the fastest, and return what was measured."""
    measured = []

    def let(*best):
        def measure(runners, patterns):
            measured.append(list(runners))
            return {how: 1.0 if how == best else 2.0 for how in runners}

        monkeypatch.setattr(_engine_choice, "_measure_seconds", measure)
        return measured

    return let


@pytest.fixture
def no_others(monkeypatch):
    """A machine with neither ONNX Runtime nor OpenVINO."""
    for name in ("onnxruntime", "openvino"):
        monkeypatch.setitem(sys.modules, name, None)


def probabilities(signal, model=None, **kwargs):
    xmap = signal.classify_space_group(model, **OPTIONS, **kwargs)
    return probabilities_from_map(xmap)[0]


@pytest.fixture(scope="module")
def scan():
    """A scan of different patterns, with one that cannot be classified."""
    patterns = _engine_choice.make_test_patterns()[:40].reshape(5, 8, 60, 60)
    patterns[0, 0] = 7
    return kp.signals.EBSD(patterns)


class TestAnswers:
    @pytest.mark.parametrize("engine", OTHERS)
    @pytest.mark.parametrize("bundled", [True, False])
    def test_same_as_keras(self, scan, engine, bundled, tiny_model):
        model = None if bundled else tiny_model
        expected = scan.classify_space_group(model, engine="keras", **OPTIONS)
        found = scan.classify_space_group(model, engine=engine, **OPTIONS)
        assert engine_of_map(expected) == ("keras", "float32")
        assert engine_of_map(found) == (engine, "float32")
        assert np.array_equal(found.phase_id, expected.phase_id)
        found, expected = (probabilities_from_map(i)[0] for i in (found, expected))
        np.testing.assert_allclose(found, expected, atol=1e-5)

    @pytest.mark.parametrize("engine", OTHERS)
    def test_lazy_equals_eager(self, scan, engine):
        lazy = kp.signals.LazyEBSD(da.from_array(scan.data, chunks=(2, 8, 60, 60)))
        kwargs = {"engine": engine, "chunk_patterns": 16, "static_background": None}
        assert np.array_equal(
            probabilities(scan, **kwargs), probabilities(lazy, **kwargs)
        )

    @needs_openvino
    @pytest.mark.parametrize("precision", ["bfloat16", "float16"])
    def test_only_the_network_is_of_less_precision(self, precision):
        """The background may be bright, which 16 bits would make steps of."""
        if precision not in _engines.openvino_precisions():
            with pytest.raises(ValueError, match="no instructions for"):
                OnnxModel(kpsg.data.exported_models()[0], engine="openvino", precision=precision)  # fmt: skip
            return
        path = kpsg.data.exported_models()[0]
        model = OnnxModel(path, engine="openvino", precision=precision)
        assert (model.engine, model.precision) == ("openvino", precision)
        patterns = _engine_choice.make_test_patterns()[:64]
        expected = OnnxModel(path, engine="openvino").predict_proba(patterns)
        for raw in (patterns, patterns.astype("uint16") + 20_000):
            found = model.predict_proba(raw)
            assert 0 < np.abs(found - expected).max() < 0.05
            assert np.abs(found - expected).mean() < 0.002
            assert np.array_equal(found.argmax(axis=1), expected.argmax(axis=1))
            # What is close is as in 32 bits
            two = np.sort(expected, axis=1)[:, -2:]
            close = two[:, 1] - two[:, 0] < 0.02
            assert close.any()
            np.testing.assert_allclose(found[close], expected[close], atol=1e-4)
            np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)

    def test_rule(self):
        """Labels may change only where the two best are close, and in few patterns."""
        p = np.full((1000, 3), (0.4, 0.395, 0.205))
        changed = p.copy()
        changed[:5] = 0.396, 0.399, 0.205
        assert _engine_choice.have_same_answers(changed, p, 0.02)
        changed[:6] = 0.396, 0.399, 0.205
        assert not _engine_choice.have_same_answers(changed, p, 0.02)
        p[0] = found = 0.42, 0.39, 0.19
        changed = p.copy()
        changed[0] = 0.409, 0.411, 0.18
        assert not _engine_choice.have_same_answers(changed, p, 0.02)
        # What differs by more would change others
        changed[0] = np.add(found, (0.03, -0.03, 0))
        assert not _engine_choice.have_same_answers(changed, p, 0.02)
        changed[0] = np.nan
        assert not _engine_choice.have_same_answers(changed, p, 0.02)
        p[0] = np.nan
        assert _engine_choice.have_same_answers(changed, p, 0.02)


class TestBundled:
    def test_form_of_the_bundled_model(self):
        (path,) = kpsg.data.exported_models()
        source = OnnxModel(path).source
        content = kpsg.data.model_path().read_bytes()
        assert source["file"] == hashlib.sha256(content).hexdigest(), (
            "Write it again with `save_onnx(path, 'default', overwrite=True)`"
        )
        assert source["fingerprint"] == kpsg.load_model().fingerprint()
        assert not source["calibrated"]

    def test_is_not_taken_for_another(self, tiny_model, nickel):
        assert _exported.Exported(None, "fingerprint", "0").find_bundled() is None
        assert not np.allclose(
            probabilities(nickel, tiny_model, engine="onnxruntime")[:, 1],
            probabilities(nickel, engine="onnxruntime")[:, 4],
        )

    def test_small_scans(self, nickel):
        """Of a model by name, Keras is not imported for. One in memory has it."""
        xmap = nickel.classify_space_group(show_progressbar=False)
        assert engine_of_map(xmap) == (OTHERS[0], "float32")
        model = kpsg.load_model()
        xmap = nickel.classify_space_group(model, show_progressbar=False)
        assert engine_of_map(xmap) == ("keras", "float32")

    def test_thresholds_are_those_of_the_model(self, nickel):
        model = kpsg.load_model()
        model.min_probability = 1
        xmap = nickel.classify_space_group(model, engine=OTHERS[0], **OPTIONS)
        assert (xmap.phase_id == -1).all()

    @pytest.mark.parametrize("change", ["weights", "temperature"])
    def test_what_was_changed(self, nickel, change):
        """A model that was changed is exported as it is."""
        model = kpsg.load_model()
        before = probabilities(nickel, model, engine=OTHERS[0])
        if change == "temperature":
            model.temperature = 5
        else:
            weights = model.network.get_weights()
            model.network.set_weights([w * 0.9 for w in weights])
        found = probabilities(nickel, model, engine=OTHERS[0])
        assert not np.allclose(found, before, atol=0.01)
        np.testing.assert_allclose(
            found, probabilities(nickel, model, engine="keras"), atol=1e-5
        )


class TestChoice:
    @pytest.mark.parametrize("best", ["keras", *OTHERS])
    def test_remembered(self, cache, fastest, nickel, tiny_model, best, caplog):
        measured = fastest(best, "float32")
        model = tiny_model.copy()
        expected = probabilities(nickel, tiny_model, engine="keras")
        with caplog.at_level(logging.INFO, "kikuchipy_spacegroup"):
            for _ in range(2):
                xmap = nickel.classify_space_group(model, **OPTIONS)
                assert engine_of_map(xmap) == (best, "float32")
                found = probabilities_from_map(xmap)[0]
                np.testing.assert_allclose(found, expected, atol=1e-5)
        assert len(measured) == 1
        assert _engines.describe_engine(best, "float32") in caplog.text
        if best != "keras":
            assert f"auto, {_engines.describe_engine(best, 'float32')}" in repr(model)
        # The same one for a new model, which is not measured again
        xmap = nickel.classify_space_group(tiny_model.copy(), **OPTIONS)
        assert engine_of_map(xmap) == (best, "float32")
        assert len(measured) == 1
        xmap = nickel.classify_space_group(tiny_model.copy(), engine="keras", **OPTIONS)
        assert engine_of_map(xmap) == ("keras", "float32")

    def test_of_a_file(self, cache, fastest, nickel, tiny_model, tmp_path, monkeypatch):
        """It is exported once, and read once."""
        measured = fastest(OTHERS[0], "float32")
        path = tmp_path / "tiny.keras"
        tiny_model.save(path)
        expected = probabilities(nickel, tiny_model, engine="keras")
        for _ in range(2):
            np.testing.assert_allclose(probabilities(nickel, path), expected, atol=1e-5)
            kpsg.clear_model_cache()
        assert len(measured) == 1
        (exported,) = (cache / "exported").iterdir()
        assert OnnxModel(exported).source["fingerprint"] == tiny_model.fingerprint()
        monkeypatch.setattr(_exported, "save_onnx", None)
        np.testing.assert_allclose(probabilities(nickel, path), expected, atol=1e-5)
        # Loaded, it is known by its fingerprint
        nickel.classify_space_group(kpsg.load_model(path), **OPTIONS)
        assert len(measured) == 1

    @pytest.mark.parametrize("damage", [b"", b"[1]", b'{"engine": "abacus"}'])
    def test_damaged(self, cache, fastest, nickel, tiny_model, damage):
        measured = fastest(OTHERS[0], "float32")
        expected = probabilities(nickel, tiny_model)
        for path in [*cache.rglob("*.json"), *cache.rglob("*.onnx")]:
            path.write_bytes(damage)
        found = probabilities(nickel, tiny_model.copy())
        assert len(measured) == 2
        assert np.array_equal(found, expected)

    def test_wrong_answers(self, cache, fastest, nickel, tiny_model, monkeypatch):
        """An engine that says something else is not chosen, however fast."""
        fastest(OTHERS[0], "float32")
        predict = OnnxModel.predict_proba
        monkeypatch.setattr(
            OnnxModel, "predict_proba", lambda *args: predict(*args)[:, ::-1]
        )
        xmap = nickel.classify_space_group(tiny_model.copy(), **OPTIONS)
        assert engine_of_map(xmap) == ("keras", "float32")

    def test_measured_in_turns(self, cache, nickel, tiny_model):
        xmap = nickel.classify_space_group(tiny_model.copy(), **OPTIONS)
        (path,) = (cache / "engines").iterdir()
        content = json.loads(path.read_text())
        assert (content["engine"], content["precision"]) == engine_of_map(xmap)
        assert "keras float32" in content["patterns_per_s"]

    @pytest.mark.parametrize("how", ["a file", "none", "full"])
    def test_nowhere_to_write(
        self, cache, fastest, nickel, tiny_model, monkeypatch, how
    ):
        measured = fastest(OTHERS[0], "float32")
        if how == "a file":
            cache.write_text("in the way")
        elif how == "none":
            monkeypatch.setenv(_user_cache.VARIABLE, "")
        else:

            def refuse(*args, **kwargs):
                raise OSError(28, "No space left on device")

            monkeypatch.setattr(_user_cache, "replacing", refuse)
        expected = probabilities(nickel, tiny_model, engine="keras")
        found = probabilities(nickel, tiny_model.copy())
        np.testing.assert_allclose(found, expected, atol=1e-5)
        probabilities(nickel, tiny_model.copy())
        assert len(measured) == 2

    def test_what_cannot_be_exported(
        self, cache, nickel, tiny_model, monkeypatch, caplog
    ):
        def refuse(*args, **kwargs):
            raise ImportError("tf2onnx is needed")

        monkeypatch.setattr(_exported, "save_onnx", refuse)
        with caplog.at_level(logging.INFO, "kikuchipy_spacegroup"):
            xmap = nickel.classify_space_group(tiny_model.copy(), **OPTIONS)
        assert engine_of_map(xmap) == ("keras", "float32")
        assert "Keras is used, since the model cannot be exported: tf2" in caplog.text
        with pytest.raises(ImportError, match="tf2onnx is needed"):
            nickel.classify_space_group(tiny_model.copy(), engine=OTHERS[0])

    def test_gpu(self, cache, fastest, nickel, monkeypatch):
        measured = fastest(OTHERS[0], "float32")
        monkeypatch.setattr(_engine_choice, "_has_gpu", lambda: True)
        xmap = nickel.classify_space_group(**OPTIONS)
        assert engine_of_map(xmap) == ("keras", "float32")
        assert not measured

    def test_float16_of_keras(self, cache, fastest, nickel, tiny_model):
        measured = fastest(OTHERS[0], "float32")
        model = tiny_model.copy()
        model.mixed_precision = True
        xmap = nickel.classify_space_group(model, **OPTIONS)
        assert engine_of_map(xmap) == ("keras", "float16")
        assert not measured
        with pytest.raises(ValueError, match="mixed_precision, which is of Keras"):
            nickel.classify_space_group(model, engine=OTHERS[0])

    def test_without_others(self, cache, nickel, no_others, tiny_model):
        """All is as it is with Keras alone."""
        for model in (None, tiny_model.copy()):
            xmap = nickel.classify_space_group(model, **OPTIONS)
            assert engine_of_map(xmap) == ("keras", "float32")
        assert not cache.exists()


class TestErrors:
    """They come before any work is done."""

    @pytest.fixture
    def unreadable(self):
        def fail(block):
            pytest.fail("patterns are read")

        patterns = da.zeros((3, 3, 60, 60), dtype="uint8").map_blocks(
            fail, meta=np.empty((0,) * 4, "uint8")
        )
        return kp.signals.LazyEBSD(patterns)

    def test_unknown(self, unreadable, tiny_model):
        for model in (None, tiny_model, 3):
            with pytest.raises(ValueError, match="'openvino', not 'tensorrt'"):
                unreadable.classify_space_group(model, engine="tensorrt")
        with pytest.raises(ValueError, match="not 'tensorrt'"):
            kpsg.load_model(engine="tensorrt")
        with pytest.raises(ValueError, match="not 'tensorrt'"):
            tiny_model.copy().engine = "tensorrt"

    @pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
    def test_not_installed(self, unreadable, no_others, engine, tiny_model):
        match = f"`pip install {engine}`"
        for model in (None, tiny_model):
            with pytest.raises(ImportError, match=match):
                unreadable.classify_space_group(model, engine=engine)
        with pytest.raises(ImportError, match=match):
            kpsg.load_model(engine=engine)
        with pytest.raises(ImportError, match=match):
            OnnxModel(kpsg.data.exported_models()[0], engine=engine)

    @pytest.mark.parametrize(
        "kwargs, match",
        [
            ({"engine": "keras"}, "'onnxruntime' or 'openvino', not by 'keras'"),
            ({"precision": "int4"}, "not 'int4'"),
            ({"precision": "bfloat16"}, "not in bfloat16"),
        ],
    )
    def test_onnx_files(self, kwargs, match):
        with pytest.raises(ValueError, match=match):
            OnnxModel(kpsg.data.exported_models()[0], **kwargs)

    def test_onnx_files_are_not_of_keras(self, unreadable):
        for model in (str(path := kpsg.data.exported_models()[0]), OnnxModel(path)):
            with pytest.raises(ValueError, match="'keras'"):
                unreadable.classify_space_group(model, engine="keras")

    def test_models_of_others(self, unreadable):
        class Model:
            space_groups, min_probability = (225, 229), 0

            def predict_proba(self, patterns):
                return np.full((len(patterns), 2), 0.5, "float32")

        with pytest.raises(ValueError, match="Model is run by itself"):
            unreadable.classify_space_group(Model(), engine=OTHERS[0])
        s = kp.data.nickel_ebsd_small()
        xmap = s.classify_space_group(Model(), show_progressbar=False)
        assert engine_of_map(xmap) is None


class TestOneScanOneEngine:
    @pytest.fixture
    def output(self, tmp_path):
        pytest.importorskip("zarr", minversion="3")
        return {"output": tmp_path / "scan.zarr", "resume": True}

    @pytest.mark.parametrize("first", ["keras", *OTHERS])
    def test_resume(self, nickel, tiny_model, output, first, cache, fastest):
        model = tiny_model.copy()
        before = nickel.classify_space_group(model, engine=first, **OPTIONS, **output)
        assert engine_of_map(before)[0] == first
        for other in {"keras", *OTHERS} - {first}:
            with pytest.raises(ValueError, match=rf"engine differ.*{first}"):
                nickel.classify_space_group(model, engine=other, **output)
        # By itself, it goes on with what is there, whatever is fastest
        measured = fastest(OTHERS[0] if first == "keras" else "keras", "float32")
        xmap = nickel.classify_space_group(model, **OPTIONS, **output)
        assert engine_of_map(xmap) == engine_of_map(before)
        assert np.array_equal(xmap.probabilities, before.probabilities)
        assert not measured

    def test_saved(self, nickel, tmp_path):
        from orix import io

        xmap = nickel.classify_space_group(engine=OTHERS[0], **OPTIONS)
        kpsg.save_map(tmp_path / "map.h5", xmap)
        found = io.load(str(tmp_path / "map.h5"))
        assert engine_of_map(found) == (OTHERS[0], "float32")
        xmap = kpsg.pool_grains(xmap, np.zeros(9, int))
        assert engine_of_map(xmap) == (OTHERS[0], "float32")
        del found.prop["engine"]
        assert engine_of_map(found) is None

    @pytest.mark.parametrize("engine", OTHERS)
    def test_workers_obey(self, engine):
        model = OnnxModel(kpsg.data.exported_models()[0], engine=engine)
        again = pickle.loads(pickle.dumps(model))
        assert (again.engine, again.precision) == (engine, "float32")
        model = kpsg.load_model(engine=engine)
        assert pickle.loads(pickle.dumps(model)).engine == engine
        assert model.copy().engine == engine

    def test_codes(self):
        """They are in files for good."""
        assert _engines.engine_code("keras", "float32") == 0
        assert _engines.engine_code("onnxruntime", "int8") == 7
        assert _engines.engine_code("openvino", "bfloat16") == 9
        for code in range(12):
            assert _engines.engine_code(*_engines.engine_of_code(code)) == code


def run(code, cwd, **env):
    """Return what a fresh process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | env,
        cwd=cwd,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("engine", OTHERS)
def test_nothing_more_is_imported(engine, tmp_path):
    """An engine for ONNX files needs no Keras, and compiles once."""
    code = f"""
import sys
from kikuchipy_spacegroup.models import _engines
made = []
for session in (_engines.OnnxRuntimeSession, _engines.OpenVinoSession):
    def counted(self, *args, init=session.__init__):
        made.append(type(self).__name__)
        init(self, *args)
    session.__init__ = counted
from kikuchipy_spacegroup.__main__ import main
assert main(["--engine", {engine!r}]) == 0
heavy = {{"keras", "tensorflow", "torch", "jax", "onnx", "tf2onnx"}}
print("result", made, sorted(heavy & set(sys.modules)))
"""
    (line,) = run(code, tmp_path).splitlines()[-1:]
    names = {"onnxruntime": "OnnxRuntimeSession", "openvino": "OpenVinoSession"}
    assert line == f"result ['{names[engine]}'] []"


@needs_openvino
def test_nothing_is_sent(tmp_path):
    """OpenVINO tells its makers of being imported with a package that is not used."""
    (tmp_path / "openvino_telemetry").mkdir()
    (tmp_path / "openvino_telemetry" / "__init__.py").write_text("print('sent')")
    code = """
import sys
sys.path.insert(0, ".")
import kikuchipy as kp, kikuchipy_spacegroup
kp.data.nickel_ebsd_small().classify_space_group(engine="openvino", show_progressbar=False)
assert "openvino" in sys.modules
import openvino.tools.ovc
print("openvino_telemetry" in sys.modules)
"""
    assert run(code, tmp_path).splitlines() == ["False"]


@pytest.mark.slow
def test_processes_at_once(tmp_path, tiny_model):
    """They export and measure the same, and do not get in each other's way."""
    tiny_model.save(tmp_path / "tiny.keras")
    code = """
import kikuchipy as kp, kikuchipy_spacegroup as kpsg, numpy as np
from kikuchipy_spacegroup.models import _engine_choice
_engine_choice.WORTH_MEASURING = 1
s = kp.data.nickel_ebsd_small()
xmap = s.classify_space_group("tiny.keras", keep_probabilities=True, show_progressbar=False)
print(*xmap.prop["probabilities"][:, 1].round(4))
"""
    env = os.environ | {_user_cache.VARIABLE: str(tmp_path / "cache")}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=env, cwd=tmp_path, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    outputs = [process.communicate()[0].decode().split() for process in processes]
    assert not any(process.returncode for process in processes)
    np.testing.assert_allclose(*(np.array(i, float) for i in outputs), atol=2e-4)
    (exported,) = (tmp_path / "cache" / "exported").iterdir()
    assert OnnxModel(exported).source["fingerprint"] == tiny_model.fingerprint()
    for path in (tmp_path / "cache" / "engines").iterdir():
        assert json.loads(path.read_text())["engine"] in _engines.ENGINES


def test_files_say_what_they_are_of(tiny_model, tmp_path):
    tiny_model.save(tmp_path / "tiny.keras")
    save_onnx(tmp_path / "a.onnx", tiny_model)
    save_onnx(tmp_path / "b.onnx", tmp_path / "tiny.keras")
    a, b = (OnnxModel(tmp_path / f"{i}.onnx").source for i in "ab")
    assert a["fingerprint"] == b["fingerprint"] == tiny_model.fingerprint()
    content = (tmp_path / "tiny.keras").read_bytes()
    assert (a["file"], b["file"]) == (None, hashlib.sha256(content).hexdigest())

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The default model is read once, and never another one taken for it."""

from concurrent.futures import ThreadPoolExecutor
import gc
from importlib.util import find_spec
import os
import shutil
import subprocess
import sys
import weakref

import keras
import numpy as np
import pytest

import kikuchipy_spacegroup as kpsg
from kikuchipy_spacegroup import SpaceGroupModel, data
from kikuchipy_spacegroup.classification import compute_classification_map
from kikuchipy_spacegroup.evaluation import evaluate
from kikuchipy_spacegroup.maps import probabilities_from_map
from kikuchipy_spacegroup.models import _kept_model, save_onnx
from kikuchipy_spacegroup.models import _model as model_module

OPTIONS = {"keep_probabilities": True, "show_progressbar": False}


@pytest.fixture(scope="module")
def other_model():
    keras.utils.set_random_seed(4)
    return SpaceGroupModel.create([221, 225, 229], size=32, filters=(8, 8), stem=8)


@pytest.fixture
def folder(tiny_model, tmp_path, monkeypatch):
    """A folder of bundled models, of which the default one is tiny."""
    kpsg.clear_model_cache()
    tiny_model.save(tmp_path / "m-3m.keras")
    monkeypatch.setattr(data, "_FOLDER", tmp_path)
    yield tmp_path
    kpsg.clear_model_cache()


@pytest.fixture
def reads(monkeypatch):
    """Paths of model files in the order they are read."""
    paths = []
    read_model = model_module.read_model

    def counted(path, *args):
        paths.append(path)
        return read_model(path, *args)

    monkeypatch.setattr(model_module, "read_model", counted)
    return paths


def probabilities(signal, model=None):
    return probabilities_from_map(signal.classify_space_group(model, **OPTIONS))[0]


def test_read_once(nickel, folder, reads, tiny_model):
    expected = probabilities(nickel, tiny_model)
    path = folder / "m-3m.keras"
    for model in (None, None, "default", str(path), path):
        assert np.array_equal(probabilities(nickel, model), expected)
    lazy = kpsg.classify_space_group(nickel, compute=False)
    xmap = compute_classification_map(lazy, nickel, **OPTIONS)
    assert np.array_equal(probabilities_from_map(xmap)[0], expected)
    assert len(evaluate(None, {"Ni": nickel}, show_progressbar=False)) == 9
    assert reads == [path]


def test_models_of_users_are_their_own(nickel, folder, reads):
    expected = probabilities(nickel)
    mine = kpsg.load_model()
    assert len(reads) == 2
    mine.temperature = 100
    mine.min_probability = 1
    mine.network.set_weights([np.zeros_like(w) for w in mine.network.get_weights()])
    assert np.allclose(probabilities(nickel, mine), 1 / 3)
    assert np.array_equal(probabilities(nickel), expected)
    assert len(reads) == 2


@pytest.mark.parametrize("how", ["replaced", "written over"])
def test_other_file_of_the_same_name(nickel, folder, reads, other_model, how):
    """Even if it has as many bytes and the same time."""
    path = folder / "m-3m.keras"
    old = probabilities(nickel)
    before = path.stat()
    other_model.save(folder / "new.keras")
    content = (folder / "new.keras").read_bytes()
    if how == "replaced":
        os.replace(folder / "new.keras", path)
    else:
        path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    new = probabilities(nickel)
    assert not np.allclose(new, old)
    assert np.array_equal(new, probabilities(nickel, other_model))
    assert len(reads) == 2


def test_one_is_kept(nickel, folder, reads, other_model):
    other_model.save(folder / "other.keras")
    old = probabilities(nickel)
    kept = weakref.ref(_kept_model._kept.model)
    assert not np.allclose(probabilities(nickel, "other"), old)
    gc.collect()
    assert kept() is None
    assert np.array_equal(probabilities(nickel), old)
    assert [path.stem for path in reads] == ["m-3m", "other", "m-3m"]


def test_clear(nickel, folder, reads):
    lazy = kpsg.classify_space_group(nickel, compute=False)
    kept = weakref.ref(_kept_model._kept.model)
    kpsg.clear_model_cache()
    # What is not computed yet still can be
    assert np.array_equal(lazy.compute().reshape(9, 3), probabilities(nickel))
    assert len(reads) == 2
    del lazy
    kpsg.clear_model_cache()
    assert kept() is None
    kpsg.clear_model_cache()


def test_what_cannot_be_read_is_not_kept(nickel, folder, reads):
    expected = probabilities(nickel)
    bad = folder / "bad.keras"
    bad.write_bytes(b"no model")
    for _ in range(2):
        with pytest.raises(ValueError, match="bad.keras is not a model file"):
            nickel.classify_space_group(bad)
    with pytest.raises(FileNotFoundError, match="no.keras"):
        nickel.classify_space_group(folder / "no.keras")
    with pytest.raises(ValueError, match="'best'"):
        nickel.classify_space_group("best")
    with pytest.raises(TypeError, match="a path or a name, not int"):
        nickel.classify_space_group(3)
    shutil.copy(folder / "m-3m.keras", bad)
    assert np.array_equal(probabilities(nickel, bad), expected)


def test_threads_read_it_once(nickel, folder, reads):
    with ThreadPoolExecutor(6) as pool:
        maps = list(pool.map(lambda _: probabilities(nickel), range(12)))
    assert len(reads) == 1
    for other in maps[1:]:
        assert np.array_equal(other, maps[0])


def test_session_that_is_cleared(nickel, folder):
    expected = probabilities(nickel)
    keras.utils.clear_session()
    assert np.array_equal(probabilities(nickel), expected)


def test_onnx(nickel, folder, tiny_model, monkeypatch):
    for package in ("onnx", "onnxruntime", "tf2onnx"):
        pytest.importorskip(package)
    if keras.backend.backend() != "tensorflow":
        pytest.skip("ONNX files are written under TensorFlow")
    from kikuchipy_spacegroup.models import _onnx as onnx

    save_onnx(folder / "tiny.onnx", tiny_model)
    read, paths = onnx.read_onnx_file, []
    monkeypatch.setattr(
        onnx, "read_onnx_file", lambda path, *args: paths.append(path) or read(path, *args)
    )  # fmt: skip
    first, second = (probabilities(nickel, folder / "tiny.onnx") for _ in range(2))
    assert np.array_equal(first, second)
    assert np.allclose(first, probabilities(nickel, tiny_model), atol=1e-4)
    assert len(paths) == 1


SCRIPT = """
import sys
import kikuchipy as kp, kikuchipy_spacegroup as kpsg, numpy as np
from kikuchipy_spacegroup.models import _model as model_module
read, reads = model_module.read_model, []
model_module.read_model = lambda *args: reads.append(1) or read(*args)
s = kp.data.nickel_ebsd_small()
options = {"keep_probabilities": True, "show_progressbar": False, "engine": "keras"}
n = 6 if sys.argv[1] == "tensorflow" else 2
maps = [s.classify_space_group(**options) for _ in range(n)]
print(len(reads), *maps[0].top_space_groups[:, 0])
for _ in range(n - 1):
    maps.append(s.classify_space_group(kpsg.load_model(), **options))
for xmap in maps:
    assert np.allclose(xmap.probabilities, maps[0].probabilities, atol=1e-5)
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_bundled_model(backend):
    """Of every backend, and without warnings of TensorFlow."""
    if find_spec(backend) is None:
        pytest.skip(f"no {backend}")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, backend],
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=True,
    )
    n_reads, *numbers = done.stdout.split()
    assert n_reads == "1"
    assert numbers.count("225") >= 7
    assert "retracing" not in done.stderr

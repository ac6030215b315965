# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forked processes compute, or say why they cannot, and never hang."""

from importlib.util import find_spec
import os
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork"),
    pytest.mark.filterwarnings("ignore"),
]
SCRIPT = """
import os, signal, warnings
warnings.simplefilter("ignore")
import dask, dask.array as da, keras, kikuchipy as kp, numpy as np
from kikuchipy_spacegroup import classify_space_group, load_model
from kikuchipy_spacegroup.models import SpaceGroupModel

patterns = np.random.default_rng(1).integers(1, 250, (4, 20, 20)).astype("uint8")

def create():
    keras.utils.set_random_seed(1)
    return SpaceGroupModel.create([221, 225], size=32, filters=(8, 8), stem=8)

def in_child(name, function):
    pid = os.fork()
    if not pid:
        signal.alarm(60)  # Which ends it if it hangs
        try:
            print(name, "gives", function(), flush=True)
        except Exception as error:
            print(name, "raises", type(error).__name__, error, flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
"""
EARLY = """
for _ in range(2):
    in_child("early", lambda: create().predict_proba(patterns).shape)
"""
LATE = """
model = create()
in_child("unused", lambda: model.predict_proba(patterns))
model.predict_proba(patterns)
in_child("used", lambda: model.predict_proba(patterns))
in_child("loaded", load_model)
in_child("created", create)
print("parent gives", model.predict_proba(patterns).shape, flush=True)
"""
NAMES = ("unused", "used", "loaded", "created")
DASK = """
model = create()
s = kp.signals.LazyEBSD(da.from_array(patterns.reshape(2, 2, 20, 20)))
options = {"scheduler": "processes", "num_workers": 1}
for context in ("fork", "spawn"):
    with dask.config.set({"multiprocessing.context": context}, **options):
        try:
            xmap = classify_space_group(s, model, show_progressbar=False)
            print(context, "gives", xmap.shape, flush=True)
        except Exception as error:
            print(context, "raises", type(error).__name__, error, flush=True)
"""
KEPT = """
import kikuchipy_spacegroup as kpsg
from kikuchipy_spacegroup.models._kept_model import _kept
s = kp.signals.EBSD(patterns.reshape(2, 2, 20, 20))
classify = lambda: classify_space_group(s, show_progressbar=False).shape
with _kept.lock:  # As another thread may hold it
    in_child("locked", classify)
print("parent gives", classify(), flush=True)
in_child("kept", classify)
in_child("cleared", kpsg.clear_model_cache)
print("parent gives", classify(), flush=True)
"""


def run(script: str, backend: str = "tensorflow", arguments=()) -> list[str]:
    """Return the lines that a script prints, if it does not hang."""
    if find_spec(backend) is None:
        pytest.skip(f"no {backend}")
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT + script, *arguments],
        env=os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
        check=True,
    )
    return found.stdout.splitlines()


def refused(line: str, name: str) -> bool:
    words = ("RuntimeError", "was forked from process", "'spawn')` or 'forkserver'")
    return line.startswith(f"{name} raises") and all(word in line for word in words)


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_forks(backend):
    early, again, *late, parent = run(EARLY + LATE, backend)
    assert early == again == "early gives (4, 2)"
    for line, name in zip(late, NAMES, strict=True):
        assert refused(line, name)
    assert parent == "parent gives (4, 2)"


def test_forks_of_dask():
    fork, spawn = run(DASK)
    assert refused(fork, "fork")
    assert spawn == "spawn gives (2, 2)"


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_forks_with_a_kept_model(backend):
    """The default model that is kept changes nothing."""
    locked, parent, kept, cleared, again = run(KEPT, backend)
    assert locked == "locked gives (2, 2)"
    assert parent == again == "parent gives (2, 2)"
    assert refused(kept, "kept")
    assert cleared == "cleared gives None"


ONNX = """
import sys
from kikuchipy_spacegroup import data
from kikuchipy_spacegroup.models import OnnxModel
path = data.exported_models()[0]
load = lambda: OnnxModel(path, engine=sys.argv[1])
in_child("early", lambda: load().predict_proba(patterns).shape)
model = load()
in_child("unused", lambda: model.predict_proba(patterns))
model.predict_proba(patterns)
in_child("used", lambda: model.predict_proba(patterns))
in_child("loaded", load)
print("parent gives", model.predict_proba(patterns).shape, flush=True)
"""


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_forks_of_other_engines(engine):
    if find_spec(engine) is None:
        pytest.skip(f"no {engine}")
    early, *late, parent = run(ONNX, arguments=[engine])
    assert early == "early gives (4, 10)"
    for line, name in zip(late, ("unused", "used", "loaded"), strict=True):
        assert refused(line, name)
    assert parent == "parent gives (4, 10)"

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same numbers come out under all backends of Keras."""

from importlib.util import find_spec
import json
import os
from pathlib import Path
import subprocess
import sys
from types import SimpleNamespace

import keras
import kikuchipy as kp
import numpy as np
import pytest

from kikuchipy_spacegroup.classification import classify_space_group
from kikuchipy_spacegroup.classification._compute import n_threads
from kikuchipy_spacegroup.explanation import GradCAM, guided_grad_cam
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.models import _inference
from kikuchipy_spacegroup.patterns._scan import blocks_of_patterns
from kikuchipy_spacegroup.simulation import ProjectPatterns
from kikuchipy_spacegroup.training import SimulatedDataset

OTHERS = sorted({"tensorflow", "jax", "torch"} - {keras.backend.backend()})

# What another process does with a model file, a library, and patterns
SCRIPT = """
import gc, json, pickle, sys
import keras, numpy as np
from kikuchipy_spacegroup import LabelledPatterns, MasterPatternLibrary, fit, load_model
from kikuchipy_spacegroup.explanation import GradCAM, guided_grad_cam
from kikuchipy_spacegroup.training import SimulatedDataset
from kikuchipy_spacegroup.simulation import ProjectPatterns

folder = sys.argv[1]
model = load_model(folder + "/model.keras")
library = MasterPatternLibrary.load(folder + "/library.npz")
patterns = np.load(folder + "/patterns.npy")
probabilities = model.predict_proba(patterns)
for n in range(1, 10):
    part = model.predict_proba(patterns[:n], batch_size=8)
    assert np.allclose(part, probabilities[:n], atol=1e-5)
model.mixed_precision = True
half = pickle.loads(pickle.dumps(model)).predict_proba(patterns)
model.mixed_precision = False
whole = np.nan_to_num(patterns).astype("uint8")
as_bytes = model.predict_proba(whole)
assert np.allclose(as_bytes, model.predict_proba(whole.astype("float32")), atol=1e-6)
maps = GradCAM(model, "stage1_out", guided=True)(patterns, 225)
fine = guided_grad_cam(model, patterns, 225)
centered, pc = load_model(folder + "/center.keras"), np.load(folder + "/pc.npy")
of_centers = centered.predict_proba(patterns, pc)
for n in range(1, 10):
    part = centered.predict_proba(patterns[:n], pc[:n], batch_size=8)
    assert np.allclose(part, of_centers[:n], atol=1e-6)
as_bytes = centered.predict_proba(whole, pc)
expected = centered.predict_proba(whole.astype("float32"), pc)
assert np.allclose(as_bytes, expected, atol=1e-6)
center_maps = GradCAM(centered, "maps")(patterns, 225, projection_centers=pc)
separable = load_model(folder + "/separable.keras")
separable_maps = GradCAM(separable, guided=True)(patterns, 225)
inputs, _ = SimulatedDataset(library, [225, 229], batch_size=8)[0]
projected = keras.ops.convert_to_numpy(ProjectPatterns(library, (30, 40))(inputs))
values = {"probabilities": probabilities, "projected": projected}
values["separable_maps"] = separable_maps
values["half"] = half
values["of_centers"], values["center_maps"] = of_centers, center_maps
values["of_bands"] = load_model(folder + "/bands.keras").predict_proba(patterns, pc)
np.savez(folder + "/other.npz", maps=maps, fine=fine, **values)
recorded = np.load(folder + "/patterns.npy").astype("float16")
recorded = LabelledPatterns(recorded, np.full(9, 225), np.full(9, "Ni"))
history = fit(
    model,
    library,
    recorded,
    epochs=2,
    steps_per_epoch=2,
    batch_size=4,
    show_progressbar=False,
).history
# No copy of the master patterns stays where the network ran
assert not any(type(i) is ProjectPatterns for i in gc.get_objects())
print(json.dumps([keras.backend.backend(), history["loss"]]))
"""


def separable_model():
    """Return a model with the layers of Xception, but few of them."""
    from kikuchipy_spacegroup.models import SpaceGroupModel
    from kikuchipy_spacegroup.patterns import PreparePatterns

    x = inputs = keras.Input((32, 32, 1))
    x = keras.layers.Conv2D(8, 3, strides=2, use_bias=False)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Activation("relu")(x)
    side = keras.layers.Conv2D(8, 1, strides=2, padding="same")(x)
    x = keras.layers.SeparableConv2D(8, 3, padding="same", use_bias=False)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.MaxPooling2D(3, strides=2, padding="same")(x)
    x = keras.layers.add([x, side])
    x = keras.layers.SeparableConv2D(8, 3, padding="same", use_bias=False)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Activation("relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    network = keras.Model(inputs, keras.layers.Dense(2)(x))
    return SpaceGroupModel(network, [225, 229], PreparePatterns(32))


def centered_model():
    """Return a model that is told the projection center."""
    from kikuchipy_spacegroup.models import SpaceGroupModel
    from kikuchipy_spacegroup.patterns import PreparePatterns

    keras.utils.set_random_seed(3)
    inputs = [keras.Input((32, 32, 1)), keras.Input((3,), name="projection_centers")]
    x = keras.layers.Conv2D(4, 3, strides=4, activation="relu", name="maps")(inputs[0])
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Multiply()([x, keras.layers.Dense(4)(inputs[1])])
    network = keras.Model(inputs, keras.layers.Dense(2)(x))
    return SpaceGroupModel(network, [225, 229], PreparePatterns(32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files for another process, and the numbers of this one."""
    from kikuchipy_spacegroup.models import SpaceGroupModel

    folder = tmp_path_factory.mktemp("backends")
    mp = kp.data.nickel_ebsd_master_pattern_small(
        projection="lambert", hemisphere="both"
    )
    library = MasterPatternLibrary.from_signals(
        [mp, mp], ["a", "b"], [225, 229], half_width=40, check=False
    )
    library.save(folder / "library.npz")
    keras.utils.set_random_seed(1)
    model = SpaceGroupModel.create([225, 229], size=32, filters=(8, 8), stem=8)
    model.save(folder / "model.keras")
    patterns = kp.data.nickel_ebsd_small().data.reshape(-1, 60, 60).astype("float32")
    patterns[:, :10, :10] = np.nan
    np.save(folder / "patterns.npy", patterns)
    inputs, _ = SimulatedDataset(library, [225, 229], batch_size=8)[0]
    projected = keras.ops.convert_to_numpy(ProjectPatterns(library, (30, 40))(inputs))
    probabilities = model.predict_proba(patterns)
    maps = GradCAM(model, "stage1_out", guided=True)(patterns, 225)
    fine = guided_grad_cam(model, patterns, 225)
    values = {"probabilities": probabilities, "projected": projected}
    separable = separable_model()
    separable.save(folder / "separable.keras")
    values["separable_maps"] = GradCAM(separable, guided=True)(patterns, 225)
    assert np.nanmax(values["separable_maps"]) > 0
    centered, pc = centered_model(), np.random.default_rng(1).uniform(size=(9, 3))
    centered.save(folder / "center.keras")
    np.save(folder / "pc.npy", pc)
    values["of_centers"] = centered.predict_proba(patterns, pc)
    maps_of_centers = GradCAM(centered, "maps")(patterns, 225, projection_centers=pc)
    values["center_maps"] = maps_of_centers
    kwargs = {"size": 32, "n_bands": 8, "units": 16, "blocks": 1}
    bands = SpaceGroupModel.create([225, 229], network="bands", **kwargs)
    bands.save(folder / "bands.keras")
    values["of_bands"] = bands.predict_proba(patterns, pc)
    return folder, {**values, "maps": maps, "fine": fine}


@pytest.mark.parametrize("backend", OTHERS)
def test_same_under_other_backend(folder, backend):
    """Saved here, predicts the same there, and trains there."""
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    path, expected = folder
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path)],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    used, loss = json.loads(result.stdout.splitlines()[-1])
    assert used == backend
    assert np.isfinite(loss).all()
    with np.load(path / "other.npz") as other:
        for name, values in expected.items():
            assert np.allclose(other[name], values, rtol=1e-3, atol=1e-4), name
        difference = np.abs(other["half"] - expected["probabilities"]).max()
        assert 0 < difference < 0.02


TRACES = """
import functools
import keras, numpy as np
from kikuchipy_spacegroup.models import SpaceGroupModel
from kikuchipy_spacegroup.patterns import PreparePatterns

traced = []
call = PreparePatterns.call

@functools.wraps(call)
def counted(self, patterns):
    traced.append(patterns.shape)
    return call(self, patterns)

PreparePatterns.call = counted
model = SpaceGroupModel.create([221, 225], size=32, filters=(8, 8), stem=8)
patterns = np.random.default_rng(1).integers(1, 250, (150, 20, 20)).astype("uint8")
traced.clear()
whole = model.predict_proba(patterns, batch_size=64)
for n in (149, 128, 127, 99, 64, 63, 40, 20):
    part = model.predict_proba(patterns[:n], batch_size=64)
    assert np.allclose(part, whole[:n], atol=1e-6)
print(len(traced))
for n in (16, 5, 7):
    model.predict_proba(patterns[:n], batch_size=64)
print(len(traced))
"""


def test_jax_compiles_for_few_shapes():
    """However many patterns a block has left."""
    if find_spec("jax") is None:
        pytest.skip("jax is not installed")
    result = subprocess.run(
        [sys.executable, "-c", TRACES],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["1", "2"]


@pytest.mark.parametrize("backend", OTHERS)
def test_cameras_are_matched(backend):
    """Their patterns come in groups, whatever shapes a backend tries."""
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    test = Path(__file__).parents[1] / "test_training" / "test_matching.py"
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            f"{test}::test_same_for_lazy_scans_and_nothing_changes",
        ],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout
    assert "1 passed" in result.stdout


@pytest.mark.parametrize(
    ("gib", "n"), [(0, 256), (2, 256), (8, 512), (24, 1024), (80, 4096), (200, 4096)]
)
def test_batches_suit_the_device(monkeypatch, gib, n):
    """As do blocks and threads."""
    monkeypatch.setattr(_inference, "gpu_memory", lambda: gib * 2**30)
    assert _inference.default_batch_size() == n
    scan = np.zeros((100, 100, 6, 6), "uint8")
    blocks = blocks_of_patterns(scan, (100, 100), (6, 6), None, n)
    assert max(1024, n) - 100 < blocks.chunksize[0] * 100 <= max(1024, n)
    threads = n_threads(SimpleNamespace(batch_size=n))
    assert threads == 2 if n == 256 else threads >= 2


def test_large_blocks_change_nothing(monkeypatch, tiny_model):
    """A GPU gets more patterns at a time, but the same ones."""
    rng = np.random.default_rng(1)
    scan = kp.signals.EBSD(rng.integers(1, 250, (36, 40, 20, 20)).astype("uint8"))
    mask = rng.random((36, 40)) < 0.2
    found = []
    for memory in (0, 80 * 2**30):
        monkeypatch.setattr(_inference, "gpu_memory", lambda m=memory: m)
        lazy = classify_space_group(
            scan, tiny_model, navigation_mask=mask, compute=False
        )
        found.append((lazy.numblocks, lazy.compute()))
    (many, expected), (one, same) = found
    assert (many[0], one[0]) == (2, 1)
    assert np.allclose(same, expected, atol=1e-5, equal_nan=True)

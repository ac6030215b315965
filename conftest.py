# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of tests and doctests.

At the top, so that doctests in the package find them.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
# Engines that were chosen on this machine before change nothing
os.environ["KIKUCHIPY_SPACEGROUP_CACHE_DIR"] = ""
# To compile well takes JAX longer than all that tests compute
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

from pathlib import Path

# Numba's cache is not safe where processes compile at once: read half written, it makes
# Python crash. So each process of pytest-xdist has one of its own
if "PYTEST_XDIST_WORKER" in os.environ:
    cache = Path(__file__).parent / ".pytest_cache" / "numba"
    os.environ["NUMBA_CACHE_DIR"] = str(cache / os.environ["PYTEST_XDIST_WORKER"])
    # Threads of several processes wait for each other, and what waits is busy too
    for which in ("OMP_NUM", "TF_NUM_INTRAOP", "TF_NUM_INTEROP"):
        os.environ.setdefault(f"{which}_THREADS", "1")

import pytest

# It has no examples, and imports PyTorch, which may be missing and makes TensorFlow
# crash if it comes first
collect_ignore = [
    "kikuchipy_spacegroup/master_patterns/_bloch_waves.py",
    "kikuchipy_spacegroup/master_patterns/_two_beams.py",
]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture(autouse=True)
def _log_level_as_before():
    """Let no test change how much the package tells in the next one."""
    import logging

    logger = logging.getLogger("kikuchipy_spacegroup")
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.fixture(autouse=True)
def _doctest_in_folder_of_its_own(request):
    """Let examples write files, which are removed later."""
    if isinstance(request.node, pytest.DoctestItem):
        if "._onnx." in request.node.name:
            _skip_without_onnx()
        if request.node.name.endswith((".find_bands", ".plot_hough")):
            pytest.importorskip("pyebsdindex")
        folder = request.getfixturevalue("tmp_path")
        request.getfixturevalue("monkeypatch").chdir(folder)


def _skip_without_onnx():
    import keras

    for package in ("onnx", "onnxruntime", "tf2onnx"):
        pytest.importorskip(package)
    if keras.backend.backend() != "tensorflow":
        pytest.skip("ONNX files are written under TensorFlow")


@pytest.fixture
def nickel():
    """The real scan of 3 x 3 patterns of nickel that is in kikuchipy."""
    import kikuchipy as kp

    return kp.data.nickel_ebsd_small()


@pytest.fixture
def shared_data():
    """The folder of data the developers have, if it is there."""
    folder = Path(__file__).resolve().parents[1] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no shared data")
    return folder


@pytest.fixture(scope="session")
def tiny_model():
    """A model with random weights, small enough to be fast."""
    import keras

    from kikuchipy_spacegroup.models import SpaceGroupModel

    keras.utils.set_random_seed(3)
    return SpaceGroupModel.create([221, 225, 229], size=32, filters=(8, 8), stem=8)


@pytest.fixture(scope="session")
def center_model():
    """A model that only says what center it was given: log(p / p[3]) of a pattern."""
    from kikuchipy_spacegroup._keras import keras
    from kikuchipy_spacegroup.models import SpaceGroupModel
    from kikuchipy_spacegroup.patterns import PreparePatterns

    layers = keras.layers
    prepared = keras.Input((32, 32, 1), name="prepared")
    centers = keras.Input((3,), name="projection_centers")
    zero = layers.Rescaling(0.0)(layers.GlobalAveragePooling2D()(prepared))
    logits = layers.Concatenate(dtype="float32")([centers, zero])
    network = keras.Model([prepared, centers], logits)
    return SpaceGroupModel(network, [221, 225, 227, 229], PreparePatterns(32))

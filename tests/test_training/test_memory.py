# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Training gives back what it took."""

import gc
import os
import subprocess
import sys

import kikuchipy as kp
from kikuchipy.signals import EBSD
import numpy as np
import pytest

import kikuchipy_spacegroup as kpsg
from kikuchipy_spacegroup.simulation import ProjectPatterns
from kikuchipy_spacegroup.training import EarlyStopping, Optimization, simulate_logits

# Master patterns of 35 MiB, without which ten trainings in a row may not grow
# by 100 MB in all
FITS = """
import gc
import numpy as np
import psutil
import kikuchipy_spacegroup as kpsg

n, side = 200, 301
images = np.random.default_rng(1).random((n, side, side), dtype="float32")
library = kpsg.MasterPatternLibrary(
    images.astype("float16"),
    phase_index=range(n),
    upper=range(n),
    lower=range(n),
    energies=[20] * n,
    phase_names=[str(i) for i in range(n)],
    space_groups=[225, 229] * (n // 2),
)
del images
model = kpsg.SpaceGroupModel.create([225, 229], size=32, filters=(8,), stem=8)
kept = []
for _ in range(6):
    history = kpsg.fit(
        model,
        library,
        epochs=1,
        steps_per_epoch=2,
        batch_size=4,
        optimization=kpsg.training.Optimization(average=None),
        show_progressbar=False,
    )
    kept.append(history)
    gc.collect()
    print(psutil.Process().memory_info().rss)
"""


def test_fits_in_a_row():
    pytest.importorskip("psutil")
    result = subprocess.run(
        [sys.executable, "-c", FITS],
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert result.returncode == 0, result.stderr
    # The first two take what is needed once
    memory = np.array(result.stdout.split(), dtype=float)[2:]
    growth = np.polyfit(np.arange(len(memory)), memory, 1)[0]
    assert 10 * growth < 100e6


@pytest.fixture(scope="module")
def library():
    mp = kp.data.nickel_ebsd_master_pattern_small(
        projection="lambert", hemisphere="both"
    )
    return kpsg.MasterPatternLibrary.from_signals(
        [mp, mp], ["a", "b"], [225, 229], half_width=20, check=False
    )


@pytest.fixture
def model():
    return kpsg.SpaceGroupModel.create([225, 229], size=32, filters=(8,), stem=8)


def copies_on_device():
    """Return how many layers hold master patterns."""
    return sum(type(i) is ProjectPatterns for i in gc.get_objects())


def fit(model, library, **kwargs):
    return kpsg.fit(
        model,
        library,
        epochs=1,
        steps_per_epoch=2,
        batch_size=4,
        show_progressbar=False,
        **kwargs,
    )


def scan(nickel):
    return EBSD(np.tile(nickel.data, (2, 1, 1, 1)))


@pytest.mark.parametrize(
    "use",
    [
        lambda model, library, s: fit(model, library),
        lambda model, library, s: fit(
            model,
            library,
            experimental=kpsg.LabelledPatterns.from_signal(s, size=32),
            validation=kpsg.LabelledPatterns.from_signal(s, size=32),
            optimization=Optimization(average=None),
            stopping=EarlyStopping(patience=2),
        ),
        lambda model, library, s: kpsg.training.match_acquisition(
            model, library, scan(s), n_cameras=16
        ),
        lambda model, library, s: kpsg.training.self_train(
            model,
            library,
            scan(s),
            acquisition=kpsg.Acquisition(),
            least_sure=0,
            steps=2,
            show_progressbar=False,
        ),
        lambda model, library, s: simulate_logits(model, library, n_patterns=50),
    ],
    ids=["fit", "fit_validated", "match_acquisition", "self_train", "simulate_logits"],
)
def test_no_copy_of_master_patterns_stays(model, library, nickel, use):
    """Though model, library and result do, and without waiting for Python."""
    gc.collect()
    before = copies_on_device()
    gc.disable()
    try:
        result = use(model, library, nickel)
        assert copies_on_device() == before
    finally:
        gc.enable()
    del result

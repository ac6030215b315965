# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras found by simulating others."""

from dataclasses import replace

import dask.array as da
import keras
import kikuchipy as kp
from kikuchipy.signals import EBSD, LazyEBSD
import numpy as np
import pytest

from kikuchipy_spacegroup import MasterPatternLibrary, SpaceGroupModel
from kikuchipy_spacegroup.simulation import Acquisition, ProjectPatterns, SimulateCamera
from kikuchipy_spacegroup.training import SimulatedDataset, match_acquisition

SIZE = 48


@pytest.fixture(scope="module")
def library():
    mp = kp.data.nickel_ebsd_master_pattern_small(
        projection="lambert", hemisphere="both"
    )
    return MasterPatternLibrary.from_signals([mp], half_width=40)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(2)
    return SpaceGroupModel.create([225], size=SIZE, filters=(8, 8), stem=8)


def scan(library, **kwargs):
    """Return patterns of nickel by a camera."""
    camera = replace(
        Acquisition(),
        overlap_probability=0,
        marks_probability=0,
        aperture_probability=0,
        shadow_probability=0,
        saturation_probability=0,
        **kwargs,
    )
    recipe = SimulatedDataset(library, [225], batch_size=64)[0][0]
    patterns = ProjectPatterns(library, (SIZE, SIZE))(recipe)
    patterns = np.asarray(SimulateCamera(camera, size=SIZE, seed=4)(patterns))
    return EBSD(np.clip(np.rint(patterns * 2000), 0, 65535).astype("uint16"))


def test_finds_noise_even_if_blurred(model, library):
    """Cameras of few pixels have noise of large grain."""
    common = {"resolution": (46, 48), "point_spread": (1.2, 1.3)}
    clean, noisy = (
        match_acquisition(
            model, library, scan(library, noise=noise, **common), n_cameras=160
        )
        for noise in ((0.1, 0.11), (1.8, 2.0))
    )
    assert clean.noise[1] < noisy.noise[0]
    assert clean.noise[0] < 0.2
    assert noisy.noise[1] > 1.2
    assert noisy.contrast == Acquisition().contrast


def test_same_for_lazy_scans_and_nothing_changes(model, library):
    s = scan(library, noise=(0.5, 0.6))
    before, data = model.fingerprint(), s.data.copy()
    found = match_acquisition(model, library, s, n_cameras=16)
    lazy = LazyEBSD(da.from_array(s.data, chunks=(10, SIZE, SIZE)))
    again = match_acquisition(model, library, lazy, n_cameras=16)
    assert found == again
    assert model.fingerprint() == before
    assert np.array_equal(s.data, data)


def test_errors(model, library):
    s = scan(library)
    with pytest.raises(ValueError, match="n_cameras must be at least 16, not 3"):
        match_acquisition(model, library, s, n_cameras=3)
    with pytest.raises(ValueError, match="5 patterns can be classified"):
        match_acquisition(model, library, EBSD(s.data[:5]))
    with pytest.raises(TypeError, match="kikuchipy EBSD signal"):
        match_acquisition(model, library, s.data)
    other = SpaceGroupModel.create([225, 229], size=SIZE, filters=(8,), stem=8)
    with pytest.raises(ValueError, match=r"no phase of space group\(s\) \[229\]"):
        match_acquisition(other, library, s)
    bare = keras.Sequential(
        [keras.Input((SIZE, SIZE, 1)), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    model = SpaceGroupModel(bare, [225], model.prepare)
    with pytest.raises(ValueError, match="has no batch normalization"):
        match_acquisition(model, library, s)

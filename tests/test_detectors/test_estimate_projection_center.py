# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The projection center is found in patterns of a phase that nobody names."""

import dask.array as da
import kikuchipy as kp
from kikuchipy.signals import EBSD
import numpy as np
from orix.quaternion import Rotation
import pytest

from kikuchipy_spacegroup.detectors import estimate_projection_center
from kikuchipy_spacegroup.detectors._estimate import _fit, _group_alike
from kikuchipy_spacegroup.patterns._projection_centers import (
    relative_to_pattern,
    relative_to_square,
)

CENTER = 0.46, 0.24, 0.62


def simulate(n, shape=(60, 72), noise=0.3):
    """Return nickel patterns by kikuchipy's own projection, with noise."""
    detector = kp.detectors.EBSDDetector(shape, pc=CENTER, sample_tilt=70)
    master = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    rng = np.random.default_rng(3)
    q = rng.standard_normal((n, 4))
    rotations = Rotation(q / np.linalg.norm(q, axis=1, keepdims=True))
    s = master.get_patterns(
        rotations, detector, dtype_out="float32", compute=True, show_progressbar=False
    )
    data = s.data + noise * s.data.std() * rng.standard_normal(s.data.shape)
    return EBSD(data.astype("float32"))


@pytest.fixture(scope="module")
def scan():
    return simulate(16)


@pytest.fixture
def quick(monkeypatch):
    """A search of fewer centers."""
    for name, value in {"_PCX": (0.46,), "_PCY": (0.15, 0.3), "_N_STARTS": 1}.items():
        monkeypatch.setattr(f"kikuchipy_spacegroup.detectors._estimate.{name}", value)


@pytest.fixture(scope="module")
def estimate(scan):
    return estimate_projection_center(scan, show_progressbar=False)


def test_center_of_simulated_patterns_is_found(scan, estimate):
    """Of patterns that are no squares, by kikuchipy's projection."""
    errors = estimate.pc - CENTER
    assert (np.abs(errors) < [0.006, 0.01, 0.02]).all()
    assert (estimate.standard_errors < 0.01).all()
    assert (np.abs(errors) < 5 * estimate.standard_errors + 0.003).all()
    assert estimate.n_patterns == estimate.n_orientations == 16
    assert estimate.self_similarity > 1.2 * estimate.typical_self_similarity
    assert "16 patterns of 16 orientations" in repr(estimate)


def test_detector_is_a_copy_with_the_center(scan, estimate):
    assert np.allclose(scan.detector.pc, 0.5)
    assert estimate.detector is not scan.detector
    assert np.allclose(estimate.detector.pc_average, estimate.pc)
    assert estimate.detector.shape == scan.detector.shape
    scan = scan.deepcopy()
    scan.detector = estimate.detector


def test_lazy_is_eager(scan, quick):
    scan = scan.inav[:6]
    lazy = EBSD(da.from_array(scan.data, chunks=(4, -1, -1))).as_lazy()
    found, same = (
        estimate_projection_center(s, show_progressbar=False) for s in (lazy, scan)
    )
    assert np.allclose(found.pc, same.pc, atol=1e-6)
    assert np.allclose(found.standard_errors, same.standard_errors, atol=1e-6)


def test_center_of_real_patterns_is_that_of_kikuchipy(quick):
    """Of nine patterns of two grains, which are too few to be sure."""
    s = kp.data.nickel_ebsd_small()
    right = s.detector.pc_average
    with pytest.warns(UserWarning, match="not sure.* of 2 orientations"):
        found = estimate_projection_center(s, show_progressbar=False)
    assert np.abs(found.pc - right).max() < 0.04
    assert np.allclose(s.detector.pc_average, right)


def test_noise_has_no_center(quick):
    rng = np.random.default_rng(1)
    s = EBSD(rng.normal(100, 10, (12, 64, 64)).astype("float32"))
    with pytest.warns(UserWarning, match="not sure"):
        found = estimate_projection_center(s, show_progressbar=False)
    assert found.self_similarity < 1.3 * found.typical_self_similarity


def test_one_pattern_has_no_standard_errors(scan, quick):
    with pytest.warns(UserWarning, match="not sure"):
        found = estimate_projection_center(scan.inav[:1], show_progressbar=False)
    assert np.isnan(found.standard_errors).all()


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"n_patterns": 0}, "n_patterns must be at least 1, not 0"),
        ({"navigation_mask": np.ones(16, bool)}, "navigation_mask is True everywhere"),
        ({"signal_mask": np.ones((3, 3), bool)}, "signal_mask must be a boolean array"),
        ({"static_background": "dynamic"}, "static_background must be 'auto'"),
    ],
)
def test_bad_input_is_refused(scan, kwargs, message):
    with pytest.raises(ValueError, match=message):
        estimate_projection_center(scan, **kwargs)


def test_other_signals_are_refused():
    with pytest.raises(TypeError, match="must be a kikuchipy EBSD signal, not ndarray"):
        estimate_projection_center(np.ones((3, 60, 60)))


def test_patterns_alike_are_one_orientation():
    rng = np.random.default_rng(5)
    grains = rng.standard_normal((3, 1, 20, 20, 1))
    patterns = grains + 0.5 * rng.standard_normal((3, 4, 20, 20, 1))
    groups = _group_alike(patterns.reshape(12, 20, 20, 1))
    assert groups.reshape(3, 4).std(axis=1).max() == 0
    assert len(set(groups)) == 3


class Paraboloids:
    """Self-similarities with a maximum that differs between patterns."""

    def __init__(self, maxima):
        self.maxima = maxima

    def __call__(self, center):
        matrix = np.array([[1, 0.3, 0], [0.3, 2, 0.5], [0, 0.5, 1]])
        off = self.maxima - center
        values = 5 - 300 * np.einsum("ni,ij,nj->n", off, matrix, off)
        return values, values


class Bar:
    """A progress bar that shows nothing."""

    def update(self):
        """Do nothing."""


def test_fit_finds_the_mean_maximum_and_its_standard_error():
    rng = np.random.default_rng(2)
    center, spread = np.array([0.45, 0.2, 0.6]), np.array([0.01, 0.02, 0.015])
    maxima = center + spread * rng.standard_normal((400, 3))
    start = center + [0.02, -0.02, 0.03]
    found, errors = _fit(Paraboloids(maxima), start, np.arange(400), rng, Bar())
    assert np.allclose(found, maxima.mean(axis=0), atol=1e-4)
    assert np.allclose(errors, spread / 20, rtol=0.2)
    # Ten patterns of each grain say no more than one
    found, errors = _fit(
        Paraboloids(np.repeat(maxima[:40], 10, axis=0)),
        start,
        np.repeat(np.arange(40), 10),
        rng,
        Bar(),
    )
    assert np.allclose(errors, spread / np.sqrt(40), rtol=0.4)


def test_fit_says_when_there_is_no_maximum():
    rng = np.random.default_rng(2)

    class Saddle(Paraboloids):
        def __call__(self, center):
            values = 300 * (self.maxima - center)[:, 0] ** 2
            return values, values

    _, errors = _fit(Saddle(np.zeros((9, 3))), np.zeros(3), np.arange(9), rng, Bar())
    assert np.isnan(errors).all()


@pytest.mark.parametrize("shape", [(60, 60), (60, 80), (80, 60)])
def test_centers_relative_to_square_and_pattern(shape):
    in_square = relative_to_square(np.array([CENTER]), shape)[0]
    assert np.allclose(relative_to_pattern(in_square, shape), CENTER, atol=1e-6)

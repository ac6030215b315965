# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laws: what must not change when a scan is written down otherwise.

Every law holds for any scan. Examples are drawn by hypothesis, the same
ones each time.
"""

import dask.array as da
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import kikuchipy as kp
from kikuchipy.signals import EBSD, LazyEBSD
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from kikuchipy_spacegroup import classify_space_group

# As promised by classify_space_group(): for the same numbers, and for
# others that single precision rounds otherwise
SAME, ROUNDED = 1e-5, 1e-3

law = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from("uint8 uint16 int16 int32 int64 float32 float64".split())
REAL = kp.data.nickel_ebsd_small()


def random_scan(rng):
    """Return a scan of random bands with uneven light, as whole numbers."""
    shape = tuple(rng.integers(1, 5, size=2)) + tuple(rng.integers(16, 40, size=2))
    bands = gaussian_filter(rng.normal(size=shape), (0, 0, 1.5, 1.5))
    bands /= bands.std(axis=(2, 3), keepdims=True)
    light = 1 + 0.4 * np.linspace(-1, 1, shape[2])[:, None]
    return np.clip(light * (120 + 25 * bands), 10, 255).round()


def real_scan(rng):
    """Return real patterns of nickel in some order, as whole numbers."""
    rows, columns = rng.integers(1, 5, size=2)
    chosen = rng.integers(9, size=(rows, columns))
    return REAL.data.reshape(9, 60, 60)[chosen].astype("float64")


def background_of(scan, rng):
    """Return a background that is not the scan's own, or nothing."""
    mean = gaussian_filter(scan.mean(axis=(0, 1)), 4)
    return mean * rng.uniform(0.8, 1.2, size=mean.shape) if rng.integers(3) else None


@pytest.fixture(scope="module")
def model(tiny_model):
    """The model, which favors a class and hardly looks at patterns, made
    to choose by the patterns."""
    model = tiny_model.copy()
    p = model.predict_proba(REAL.data.reshape(9, 60, 60))
    *weights, bias = model.network.get_weights()
    model.network.set_weights([*weights, bias - np.log(p).mean(axis=0)])
    model.temperature = 0.01
    return model


@pytest.fixture(params=[random_scan, real_scan], ids=["random", "real"])
def draw(request):
    return request.param


def probabilities(data, model, background, lazy_chunks=None, **kwargs):
    """Return the probabilities of all points, and the map."""
    if lazy_chunks is None:
        signal = EBSD(np.array(data))
    else:
        signal = LazyEBSD(da.from_array(np.array(data), chunks=lazy_chunks))
    xmap = classify_space_group(
        signal,
        model,
        static_background=background,
        keep_probabilities=True,
        show_progressbar=False,
        **kwargs,
    )
    return xmap.prop["probabilities"], xmap


def assert_same(a, b, tolerance=SAME):
    """Assert that probabilities, and labels beyond doubt, are the same."""
    (p, xmap), (q, other) = a, b
    assert np.abs(p - q).max() <= tolerance
    first, second = np.sort(p, axis=1)[:, [-1, -2]].T
    clear = first - second > 2 * tolerance
    assert np.array_equal(xmap.phase_id[clear], other.phase_id[clear])


def test_patterns_differ(draw, model):
    """Or else the laws say little."""
    scans = [draw(np.random.default_rng(seed)) for seed in range(5)]
    p = np.concatenate([probabilities(scan, model, None)[0] for scan in scans])
    assert (p.std(axis=0) > 20 * ROUNDED).all()


class TestGivenBackground:
    """A pattern is classified by itself, if the background is given."""

    @law
    @given(seed=seeds)
    def test_chunks(self, draw, model, seed):
        rng = np.random.default_rng(seed)
        scan = draw(rng).astype("uint8")
        background = background_of(scan, rng)
        whole = probabilities(scan, model, background)
        n = int(rng.integers(1, 20))
        chunks = tuple(int(rng.integers(1, side + 1)) for side in scan.shape)
        for kwargs in ({}, {"lazy_chunks": chunks}):
            cut = probabilities(scan, model, background, chunk_patterns=n, **kwargs)
            assert_same(whole, cut)

    @law
    @given(seed=seeds)
    def test_order(self, draw, model, seed):
        rng = np.random.default_rng(seed)
        scan = draw(rng)
        background = background_of(scan, rng)
        p, xmap = probabilities(scan, model, background)
        order = rng.permutation(xmap.size)
        flat = scan.reshape(-1, *scan.shape[2:])[order]
        shapes = [scan.shape[:2], scan.shape[1::-1], (xmap.size,)]
        shape = shapes[rng.integers(3)]
        other = probabilities(flat.reshape(*shape, *scan.shape[2:]), model, background)
        p, numbers = p[order], xmap.phase_id[order]
        assert np.abs(p - other[0]).max() <= SAME
        first, second = np.sort(p, axis=1)[:, [-1, -2]].T
        clear = first - second > 2 * SAME
        assert np.array_equal(numbers[clear], other[1].phase_id[clear])

    @law
    @given(seed=seeds)
    def test_split(self, draw, model, seed):
        rng = np.random.default_rng(seed)
        scan = draw(rng)
        background = background_of(scan, rng)
        p, _ = probabilities(scan, model, background)
        axis = int(rng.integers(2))
        at = int(rng.integers(scan.shape[axis] + 1))
        parts = [part for part in np.split(scan, [at], axis=axis) if part.size]
        found = [
            probabilities(part, model, background)[0].reshape(*part.shape[:2], -1)
            for part in parts
        ]
        joined = np.concatenate(found, axis=axis).reshape(p.shape)
        assert np.abs(p - joined).max() <= SAME

    @law
    @given(seed=seeds, dtype=dtypes)
    def test_dtype(self, draw, model, seed, dtype):
        rng = np.random.default_rng(seed)
        scan = draw(rng)
        background = background_of(scan, rng)
        a, b = (
            probabilities(scan.astype(i), model, background) for i in ("float32", dtype)
        )
        assert_same(a, b)

    @law
    @given(seed=seeds, log_gain=st.floats(-3, 3), offset=st.floats(-100, 1000))
    def test_gain_and_offset(self, draw, model, seed, log_gain, offset):
        """The offset only if nothing is divided out, and no dark aperture
        comes of it."""
        rng = np.random.default_rng(seed)
        scan, gain = draw(rng), 10**log_gain
        background = background_of(scan, rng)
        a = probabilities(scan, model, background)
        assert_same(a, probabilities(gain * scan, model, background), ROUNDED)
        if background is not None:
            scaled = probabilities(scan, model, gain * background)
            assert_same(a, scaled, ROUNDED)
        everywhere = np.full(scan.shape[2:], scan.mean())
        a, b = (
            probabilities(i, model, everywhere) for i in (scan, gain * (scan + offset))
        )
        assert_same(a, b, ROUNDED)

    @law
    @given(seed=seeds)
    def test_navigation_mask(self, draw, model, seed):
        rng = np.random.default_rng(seed)
        scan = draw(rng)
        mask = rng.random(scan.shape[:2]) < 0.5
        mask.ravel()[rng.integers(mask.size)] = False
        background = background_of(scan, rng)
        background = scan.mean(axis=(0, 1)) if background is None else background
        p, _ = probabilities(scan, model, background)
        scan[mask] = rng.choice([0, 1e30, np.nan, np.inf])
        found, xmap = probabilities(scan, model, background, navigation_mask=mask)
        assert np.array_equal(xmap.is_in_data, ~mask.ravel())
        assert np.abs(p[~mask.ravel()] - found).max() <= SAME


class TestFoundBackground:
    """The background found depends on the scan as a whole, and only on
    what is in it."""

    @law
    @given(seed=seeds, log_gain=st.floats(-3, 3), dtype=dtypes)
    def test_whole_scan(self, draw, model, seed, log_gain, dtype):
        """Chunks, type, gain and order, as all patterns are looked at."""
        rng = np.random.default_rng(seed)
        scan = draw(rng)
        a = probabilities(scan, model, "auto")
        b = probabilities(scan.astype(dtype), model, "auto", chunk_patterns=5)
        assert_same(a, b, ROUNDED)
        assert_same(a, probabilities(10**log_gain * scan, model, "auto"), ROUNDED)
        turned, xmap = probabilities(scan[::-1, ::-1], model, "auto")
        assert_same(a, (turned[::-1], _reversed(xmap)), ROUNDED)

    @law
    @given(seed=seeds)
    def test_navigation_mask(self, draw, model, seed):
        """Points left out do not matter, and might as well be missing."""
        rng = np.random.default_rng(seed)
        scan = draw(rng)
        mask = np.zeros(scan.shape[:2], dtype=bool)
        mask[: rng.integers(len(scan))] = True
        found = []
        for value in (None, 0, 1e30, np.nan):
            changed = scan.copy()
            changed[mask] = changed[mask] if value is None else value
            found.append(probabilities(changed, model, "auto", navigation_mask=mask))
        found.append(
            probabilities(scan[len(scan) - (~mask[:, 0]).sum() :], model, "auto")
        )
        for other in found[1:]:
            assert_same(found[0], other, ROUNDED)

    @law
    @given(seed=seeds)
    def test_own_background(self, model, seed):
        """That of the signal goes with its parts."""
        rng = np.random.default_rng(seed)
        whole = REAL.classify_space_group(
            model, keep_probabilities=True, show_progressbar=False
        )
        (top, left), (height, width) = rng.integers(3, size=2), rng.integers(1, 4, 2)
        part = REAL.inav[left : left + width, top : top + height]
        found = part.classify_space_group(
            model, keep_probabilities=True, show_progressbar=False
        )
        expected = whole.prop["probabilities"].reshape(3, 3, -1)
        expected = expected[top : top + height, left : left + width].reshape(
            found.size, -1
        )
        assert np.abs(expected - found.prop["probabilities"]).max() <= SAME


class _reversed:
    """The labels of a map from its last point to its first."""

    def __init__(self, xmap):
        self.phase_id = xmap.phase_id[::-1]

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Law: one bad pattern in a hundred does not change the answers for others."""

import dask.array as da
from kikuchipy.signals import EBSD, LazyEBSD
import numpy as np
import pytest

import kikuchipy_spacegroup as kpsg
from kikuchipy_spacegroup.patterns._scan import blocks_of_patterns, find_background

# Where the two best probabilities differ by less, labels may change
CLOSE = 0.02


def spoiled(pattern, kind):
    """Return a bad pattern."""
    height, width = pattern.shape
    y, x = np.mgrid[:height, :width] / height
    rng = np.random.default_rng(1)
    return {
        "bright": lambda: 20 * pattern,
        "overflow": lambda: 1e30 * pattern,
        "dark": lambda: pattern / 20,
        "nothing but noise": lambda: rng.poisson(0.3, pattern.shape),
        "flat": lambda: np.full_like(pattern, pattern.mean()),
        "flat with noise": lambda: rng.normal(100, 5, pattern.shape),
        "left half NaN": lambda: np.where(x < 0.5, np.nan, pattern),
        "all NaN": lambda: np.full_like(pattern, np.nan),
        "left half dark": lambda: np.where(x < 0.5, 0.1 * pattern, pattern),
        "a third saturated": lambda: np.where(y < 0.33, pattern.max(), pattern),
        "saturated": lambda: np.minimum(20 * pattern, 255),
        "camera elsewhere": lambda: np.roll(
            pattern, (height // 4, -height // 5), (0, 1)
        ),
        "other background": lambda: (
            pattern.mean() * np.exp(-2 * ((x - 0.1) ** 2 + (y - 0.9) ** 2))
        ),
        "upside down": lambda: pattern[::-1],
        "negative": lambda: -pattern,
        "spikes": lambda: np.where(rng.random(pattern.shape) < 0.01, 1e3, pattern),
    }[kind]()


KINDS = (
    "bright,overflow,dark,nothing but noise,flat,flat with noise,left half NaN,all NaN,"
    "left half dark,a third saturated,saturated,camera elsewhere,other background,"
    "upside down,negative,spikes"
).split(",")


def probabilities(signal, model):
    xmap = signal.classify_space_group(
        model, keep_probabilities=True, show_progressbar=False
    )
    return kpsg.maps.probabilities_from_map(xmap)[0]


def assert_others_stay(patterns, expected, model, kind):
    """Assert that labels stay if one pattern is spoiled."""
    n = len(expected)
    bad = n // 2
    at = np.unravel_index(bad, patterns.shape[:2])
    changed = patterns.astype("float32")
    changed[at] = spoiled(patterns[at].astype("float32"), kind)
    found = probabilities(EBSD(changed), model)
    others = np.arange(n) != bad
    assert np.isfinite(found[others]).all()
    first, second = np.sort(expected, axis=1)[:, [-1, -2]].T
    clear = others & (first - second >= CLOSE)
    assert clear.sum() > 0.5 * n
    assert np.array_equal(found[clear].argmax(axis=1), expected[clear].argmax(axis=1))
    assert np.abs(found - expected)[others].max() < 0.1
    return changed, found


@pytest.fixture(scope="module")
def model():
    return kpsg.load_model()


@pytest.fixture(scope="module")
def example(model):
    """A scan of some 14 grains, and its probabilities."""
    patterns = kpsg.example_scan(
        "aluminum and silicon",
        (10, 10),
        grain_size=3,
        seed=2,
        show_progressbar=False,
    ).data
    return patterns, probabilities(EBSD(patterns.astype("float32")), model)


@pytest.mark.parametrize("kind", KINDS)
def test_simulated(example, model, kind):
    assert_others_stay(*example, model, kind)


@pytest.mark.parametrize("kind", ["bright", "left half NaN", "spikes"])
def test_lazy_and_chunks(example, model, kind):
    patterns, expected = example
    changed, found = assert_others_stay(patterns, expected, model, kind)
    lazy = LazyEBSD(da.from_array(changed, chunks=(3, 7, 60, 60)))
    assert np.allclose(probabilities(lazy, model), found, atol=1e-5, equal_nan=True)


@pytest.fixture(scope="module")
def real(model):
    """Every fourth pattern of a real scan with a round aperture."""
    from pathlib import Path

    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "real"
    if not folder.is_dir():
        pytest.skip("no shared data")
    patterns = np.load(folder / "rx_tile_0_0.npy")[::2, ::2]
    return patterns, probabilities(EBSD(patterns.astype("float32")), model)


@pytest.mark.parametrize("kind", ["bright", "left half NaN", "camera elsewhere"])
def test_real(real, model, kind):
    assert_others_stay(*real, model, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_aperture(kind):
    """Dark corners are found, and nothing else is left out."""
    x = np.linspace(-1, 1, 60)
    light = np.where(x**2 + x[:, None] ** 2 < 0.9, 150 - 30 * x, 1)
    patterns = np.random.default_rng(1).poisson(light, size=(10, 10, 60, 60))
    patterns = patterns.astype("float32")
    inside = []
    for spoil in (False, True):
        if spoil:
            patterns[4, 5] = spoiled(patterns[4, 5], kind)
        blocks = blocks_of_patterns(patterns, (10, 10), (60, 60), None)
        inside.append(find_background(EBSD(patterns), blocks, "auto", None, None)[1])
    assert 0.6 < inside[0].mean() < 0.8
    assert (inside[0] != inside[1]).mean() < 0.005

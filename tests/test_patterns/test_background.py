# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Static background, aperture and unusable patterns."""

from imageio.v3 import imread
import kikuchipy as kp
import numpy as np
from orix.quaternion import Rotation
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import trim_mean

from kikuchipy_spacegroup.patterns import (
    background_from_patterns,
    divide_background,
    find_aperture,
    unusable_patterns,
)
from kikuchipy_spacegroup.patterns._background import (
    comparable_patterns,
    count_signals,
    trimmed_mean,
)

X, Y = np.meshgrid(np.linspace(-1, 1, 60), np.linspace(-1, 1, 60))
LIGHT = 150 * np.exp(-(X**2) - (Y - 0.2) ** 2)
EVERYWHERE = np.ones((60, 60), dtype=bool)


@pytest.fixture(scope="module")
def signals():
    """Patterns of nickel without background, of many orientations."""
    mp = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    detector = kp.detectors.EBSDDetector(shape=(60, 60), pc=(0.5, 0.3, 0.6))
    patterns = mp.get_patterns(
        Rotation.random(100), detector, compute=True, show_progressbar=False
    ).data
    return patterns / patterns.std(axis=(1, 2), keepdims=True)


def raw(signals):
    rng = np.random.default_rng(1)
    return LIGHT * (1 + 0.1 * signals) + rng.normal(size=signals.shape)


class TestUnusablePatterns:
    """Patterns without information."""

    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
    def test_kinds(self, dtype):
        rng = np.random.default_rng(1)
        patterns = rng.integers(1, 100, size=(4, 20, 20)).astype(dtype)
        patterns[1] = 0
        patterns[2, :12] = 200
        assert unusable_patterns(patterns).tolist() == [False, True, True, False]

    def test_not_finite(self):
        patterns = np.random.default_rng(1).normal(size=(3, 20, 20))
        patterns[0] = np.nan
        patterns[1, 0] = np.inf
        assert unusable_patterns(patterns).tolist() == [True, False, False]


class TestFindAperture:
    """What the camera sees."""

    def test_none(self, nickel):
        assert find_aperture(nickel.static_background).all()

    @pytest.mark.parametrize("radius", [0.7, 0.95])
    @pytest.mark.parametrize("dark", [0, 1, 8])
    def test_round(self, radius, dark):
        inside = X**2 + Y**2 < radius**2
        found = find_aperture(np.where(inside, LIGHT, dark))
        assert not (found & ~inside).any()
        assert found.sum() > 0.85 * inside.sum()

    def test_dark_spots_inside_stay(self):
        mean = np.where(X**2 + Y**2 < 0.9, LIGHT, 0)
        mean[28:31, 28:31] = 0
        assert find_aperture(mean)[25:34, 25:34].all()

    def test_corrected_patterns(self):
        rng = np.random.default_rng(1)
        assert find_aperture(rng.normal(size=(60, 60))).all()

    def test_not_finite(self):
        mean = np.where(X**2 + Y**2 < 0.9, LIGHT, np.nan)
        assert not find_aperture(mean)[0, 0]

    def test_real_with_an_offset(self, shared_data):
        folder = shared_data / "real"
        mean = np.mean(
            [imread(i) for i in sorted(folder.glob("227_Si_nordif*"))], axis=0
        )
        assert 0.7 < find_aperture(mean).mean() < np.pi / 4 + 0.1

    def test_real(self, shared_data):
        patterns = np.load(shared_data / "real" / "rx_tile_0_0.npy")
        mean = patterns.mean(axis=(0, 1))
        inside = find_aperture(mean)
        assert 0.65 < inside.mean() < 0.8
        assert (mean[inside] > 5).mean() > 0.999


class TestComparablePatterns:
    """Patterns on one scale."""

    def test_scale(self, signals):
        patterns = raw(signals)
        gain = np.random.default_rng(2).uniform(0.2, 5, size=(100, 1, 1))
        same, other = (comparable_patterns(i) for i in (patterns, gain * patterns))
        assert len(same) == len(other) == 100
        ratio = (other / same).reshape(100, -1)
        assert np.allclose(ratio, ratio[0, 0], rtol=1e-4)
        # Each pattern but for its brightness
        assert np.allclose(same.mean(axis=(1, 2)), same.mean(), rtol=0.05)

    def test_unlike_others(self, signals):
        patterns = raw(signals)
        patterns[7], patterns[20, :, :30] = patterns[7, ::-1], 0
        kept = comparable_patterns(patterns)
        assert len(kept) == 98
        expected = comparable_patterns(np.delete(patterns, [7, 20], axis=0))
        assert np.allclose(kept, expected, rtol=0.01)

    def test_few_different_patterns_stay(self, signals):
        """A minority of grains, without noise, is no mistake."""
        patterns = LIGHT * (1 + 0.1 * signals[np.arange(100) // 95])
        assert len(comparable_patterns(patterns)) == 100

    def test_noisy_patterns_stay(self, signals):
        electrons = np.random.default_rng(1).poisson(LIGHT / 50, size=(50, 60, 60))
        assert len(comparable_patterns(electrons)) == 50

    def test_not_positive(self, signals):
        patterns = signals - signals.mean(axis=(1, 2), keepdims=True)
        patterns[0, 0, 0] = np.inf
        kept = comparable_patterns(patterns)
        assert np.isnan(kept[0, 0, 0])
        assert np.array_equal(kept[1:], patterns[1:].astype("float32"))

    def test_one_pattern(self, nickel):
        assert comparable_patterns(nickel.data[0, :1]).shape == (1, 60, 60)


class TestTrimmedMean:
    """The mean without extremes."""

    @pytest.mark.parametrize("n", [1, 3, 9])
    def test_mean_of_few(self, n):
        patterns = np.random.default_rng(1).normal(size=(n, 8, 9))
        assert np.allclose(trimmed_mean(patterns), patterns.mean(axis=0))

    @pytest.mark.parametrize("n", [10, 100, 120])
    def test_same_as_scipy(self, n):
        patterns = np.random.default_rng(1).exponential(size=(n, 8, 9))
        share = np.ceil(0.02 * n) / n
        assert np.allclose(trimmed_mean(patterns), trim_mean(patterns, share + 1e-9))

    def test_missing(self):
        patterns = np.random.default_rng(1).normal(size=(40, 8, 9))
        patterns[5, :, :4] = np.nan
        patterns[:21, 0, 0] = np.nan
        mean = trimmed_mean(patterns)
        assert np.isnan(mean[0, 0])
        assert np.isfinite(mean).sum() == mean.size - 1
        assert np.isclose(
            mean[3, 2], trim_mean(np.delete(patterns[:, 3, 2], 5), 1 / 39)
        )


class TestBackgroundFromPatterns:
    """The mean is used only where that is sound."""

    def test_many_orientations(self, signals):
        background, reason = background_from_patterns(raw(signals), EVERYWHERE)
        assert reason.startswith("mean of 100")
        assert np.corrcoef(background.ravel(), LIGHT.ravel())[0, 1] > 0.995

    def test_one_orientation(self, signals):
        """The bands of a single crystal stay in its patterns."""
        patterns = raw(np.repeat(signals[:1], 50, axis=0))
        background, reason = background_from_patterns(patterns, EVERYWHERE)
        assert reason.startswith("blurred mean")
        divided = divide_background(patterns[:1], background, EVERYWHERE)[0]
        assert np.corrcoef(divided.ravel(), signals[0].ravel())[0, 1] > 0.6
        # The plain mean would have taken them out
        divided = patterns[0] / patterns.mean(axis=0)
        assert abs(np.corrcoef(divided.ravel(), signals[0].ravel())[0, 1]) < 0.2

    @pytest.mark.parametrize("n", [1, 2, 5, 20])
    def test_counts_orientations(self, signals, n):
        noise = np.random.default_rng(1).normal(size=signals.shape)
        patterns = LIGHT * (1 + 0.1 * signals[np.arange(100) % n] + 0.1 * noise)
        assert 0.6 * (n - 1) - 0.1 <= count_signals(patterns, EVERYWHERE) <= n + 1

    def test_texture_of_the_screen_is_taken_out(self, signals):
        """Many orientations under a texture stronger than the bands."""
        texture = 1 + 0.2 * np.random.default_rng(1).uniform(-2, 2, size=(60, 60))
        patterns = raw(signals) * texture
        background, reason = background_from_patterns(patterns, EVERYWHERE)
        assert reason.startswith("mean of 100")
        divided = divide_background(patterns[:1], background, EVERYWHERE)[0]
        assert np.corrcoef(divided.ravel(), signals[0].ravel())[0, 1] > 0.9

    @pytest.mark.parametrize("n", [4, 6, 15])
    def test_does_not_hang_on_one_pattern(self, signals, n):
        """Also where the number of orientations is near a limit."""
        noise = np.random.default_rng(1).normal(size=(100, 60, 60))
        patterns = LIGHT * (1 + 0.1 * signals[np.arange(100) % n] + 0.05 * noise)
        background, _ = background_from_patterns(patterns, EVERYWHERE)
        for i in range(n):
            other, _ = background_from_patterns(
                np.delete(patterns, i, axis=0), EVERYWHERE
            )
            # Bands are ten percent
            assert np.std(other / background) < 0.001

    def test_bands_of_few_grains_are_not_background(self, signals):
        noise = np.random.default_rng(1).normal(size=(120, 60, 60))
        patterns = LIGHT * (1 + 0.1 * signals[np.arange(120) % 8] + 0.05 * noise)
        background, _ = background_from_patterns(patterns, EVERYWHERE)
        left, would_be = (
            np.std((i / LIGHT - gaussian_filter(i / LIGHT, 3))[15:-15, 15:-15])
            for i in (background, patterns.mean(axis=0))
        )
        assert left < 0.1 * would_be

    def test_few_patterns(self, nickel):
        patterns = nickel.data.reshape(9, 60, 60)
        _, reason = background_from_patterns(patterns, EVERYWHERE)
        assert reason.startswith("blurred mean of 9")

    def test_corrected_patterns(self, signals):
        background, reason = background_from_patterns(
            signals - signals.mean(axis=(1, 2), keepdims=True), EVERYWHERE
        )
        assert background is None
        assert "already removed" in reason


class TestDivideBackground:
    """Division and masking."""

    def test_masks_what_cannot_be_divided(self, signals):
        patterns = raw(signals)[:3]
        background = LIGHT.copy()
        background[0, 0], background[0, 1] = 0, np.nan
        inside = X**2 + Y**2 < 1.2
        out = divide_background(patterns, background, inside)
        assert out.dtype == np.float32
        missing = np.isnan(out)
        assert (missing == missing[0]).all()
        assert missing[0, 0, :2].all()
        assert np.array_equal(~missing[0], inside & (background > 0))
        assert np.allclose(out[:, 30, 30], (patterns / LIGHT)[:, 30, 30])

    def test_nothing_to_do(self, nickel):
        before = nickel.data.copy()
        out = divide_background(nickel.data, None, EVERYWHERE)
        assert np.array_equal(out, before)
        assert np.array_equal(nickel.data, before)

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the camera did, and whether it can be found from a scan."""

import keras
import kikuchipy as kp
from kikuchipy.signals import EBSD
import numpy as np
import pytest

from kikuchipy_spacegroup import Acquisition, MasterPatternLibrary
from kikuchipy_spacegroup.simulation import (
    ProjectPatterns,
    SimulateCamera,
    estimate_acquisition,
)
from kikuchipy_spacegroup.training import SimulatedDataset


@pytest.fixture(scope="module")
def projected():
    """Patterns of nickel of many orientations, as no camera has seen them."""
    mp = kp.data.nickel_ebsd_master_pattern_small(
        projection="lambert", hemisphere="both"
    )
    library = MasterPatternLibrary.from_signals([mp], ["Ni"])
    inputs, _ = SimulatedDataset(library, [225], batch_size=40, seed=4)[0]
    return ProjectPatterns(library, (96, 96))(inputs)


def record(projected, **kwargs):
    """Return a scan from a camera, in integers."""
    plain = {
        "overlap_probability": 0,
        "blotches": (0, 0),
        "marks_probability": 0,
        "aperture_probability": 0,
        "shadow_probability": 0,
        "saturation_probability": 0,
        "dead_pixels": (0, 0),
        "raw_probability": 0,
        "vignetting": (0, 0),
        "tilt": (0, 0),
        "resolution": (96, 96),
        "point_spread": (0.3, 0.5),
        "contrast": (0.1, 0.1),
    }
    camera = SimulateCamera(Acquisition(**plain | kwargs), size=96, seed=3)
    patterns = keras.ops.convert_to_numpy(camera(projected))
    return EBSD(np.clip(np.rint(patterns * 10_000), 0, 65535).astype("uint16"))


class TestAcquisition:
    @pytest.mark.parametrize(
        ("kwargs", "match"),
        [
            ({"noise": (2, 1)}, "noise must be two numbers, the lower first"),
            ({"noise": (0, 1)}, "noise must be .* from 1e-09"),
            ({"gamma": (0.5,)}, "gamma must be two numbers"),
            ({"overlap": (0, 1.5)}, "overlap must be .* from 0 to 1"),
            ({"raw_probability": 1.2}, "raw_probability must be from 0 to 1"),
        ],
    )
    def test_out_of_range(self, kwargs, match):
        with pytest.raises(ValueError, match=match):
            Acquisition(**kwargs)

    def test_dose_against_counting(self):
        """Electrons drawn by NumPy have the noise of the formula."""
        rng = np.random.default_rng(1)
        frames = rng.poisson(50, (8, 40_000)) + rng.normal(0, 5, (8, 40_000))
        expected = frames.mean(axis=0).std() / (0.2 * 50)
        camera = Acquisition.from_dose(
            (50, 50), n_frames=8, read_noise=5, contrast=(0.2, 0.2)
        )
        assert camera.noise == pytest.approx((expected, expected), rel=0.02)

    def test_wrong_dose(self):
        with pytest.raises(ValueError, match="positive number of electrons"):
            Acquisition.from_dose((0, 10))


class TestEstimate:
    @pytest.mark.parametrize("noise", [0.2, 0.7, 1.8])
    def test_noise_is_found_again(self, projected, noise):
        scan = record(projected, noise=(noise, noise))
        found = estimate_acquisition(scan, static_background=None)
        low, high = found.noise
        assert low < noise < high
        assert high / low < 4
        assert found.resolution == (96, 96)
        assert found.aperture_probability == 0
        assert found.saturation_probability == 0

    def test_contrast_is_found_again(self, projected):
        scan = record(projected, noise=(0.3, 0.3))
        low, high = estimate_acquisition(scan, static_background=None).contrast
        assert low < 0.1 < high

    def test_dead_pixels(self, projected):
        data = record(projected, noise=(0.3, 0.3)).data
        rng = np.random.default_rng(2)
        data[:, rng.random((96, 96)) < 0.01] = 20_000
        found = estimate_acquisition(EBSD(data), static_background=None)
        assert found.dead_pixels[1] == pytest.approx(0.0125, abs=0.004)

    def test_aperture_and_saturation(self, projected):
        data = record(projected, noise=(0.3, 0.3)).data
        y, x = np.indices((96, 96)) - 47.5
        data[:, np.hypot(x, y) > 40] = 0
        data = np.minimum(data, 11_000)
        found = estimate_acquisition(EBSD(data), static_background=None)
        assert found.aperture[0] < 40 / 48 < found.aperture[1]
        assert found.aperture_probability == 1
        assert found.saturation_probability == 1

    def test_real_nickel_scan_is_noisy(self):
        s = kp.data.nickel_ebsd_small()
        before = s.data.copy()
        low, high = estimate_acquisition(s).noise
        # More noise than signal, as is plain to see
        assert low < 1.3 < high
        assert np.array_equal(s.data, before)
        lazy = s.as_lazy()
        assert estimate_acquisition(lazy) == estimate_acquisition(s)

    def test_errors(self, projected):
        with pytest.raises(TypeError, match="kikuchipy EBSD signal"):
            estimate_acquisition(np.zeros((5, 60, 60)))
        with pytest.raises(ValueError, match="All patterns are constant"):
            estimate_acquisition(EBSD(np.zeros((5, 60, 60))), static_background=None)
        with pytest.raises(ValueError, match="margin must be"):
            estimate_acquisition(kp.data.nickel_ebsd_small(), margin=0.5)


@pytest.mark.parametrize("bad", ["bright", "half NaN"])
def test_one_bad_pattern(projected, bad):
    """It changes ranges hardly, and takes no pixels from others."""
    patterns = record(projected, noise=(0.3, 0.3)).data.astype("float32")
    expected = estimate_acquisition(EBSD(patterns.copy()))
    if bad == "bright":
        patterns[7] *= 20
    else:
        patterns[7, :, :48] = np.nan
    found = estimate_acquisition(EBSD(patterns))
    assert found.aperture_probability == expected.aperture_probability == 0
    for name in ("noise", "contrast"):
        assert np.allclose(getattr(found, name), getattr(expected, name), rtol=0.1)

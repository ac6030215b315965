# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that are no patterns are rejected, and patterns are not."""

from pathlib import Path
import sys

from imageio.v3 import imread
import kikuchipy as kp
from kikuchipy.detectors import EBSDDetector
from kikuchipy.signals import EBSD
import numpy as np
from orix.quaternion import Rotation
import pytest

from kikuchipy_spacegroup import classify_space_group, example_scan
from kikuchipy_spacegroup.patterns import (
    divide_background,
    implausible_patterns,
    unusable_patterns,
)
from kikuchipy_spacegroup.patterns._scan import blocks_of_patterns, find_background

sys.path.insert(0, str(Path(__file__).parent))
from no_patterns import KINDS, make_images

EVERYWHERE = np.ones((60, 60), dtype=bool)
# Share of images of a kind that are rejected at least
REJECTED = {
    "line drawings": 0.6,
    "shapes, chessboards, stripes": 0.6,
    "text": 0.6,
    "micrographs of particles, pores, lamellae": 0.4,
}


def rejected(data, static_background="auto"):
    """Return which patterns of a scan are rejected."""
    signal = EBSD(data)
    shapes = data.shape[:-2], data.shape[-2:]
    blocks = blocks_of_patterns(signal.data, *shapes, None)
    background, inside = find_background(signal, blocks, static_background, None, None)
    divided = divide_background(data, background, inside)
    return implausible_patterns(divided.reshape(-1, *shapes[1]), inside)


@pytest.mark.parametrize("size", [60, 130])
@pytest.mark.parametrize("kind", KINDS)
def test_no_patterns(kind, size):
    images = make_images(kind, 40, size)
    share = (rejected(images) | unusable_patterns(images)).mean()
    assert share >= REJECTED.get(kind, 0)


@pytest.mark.parametrize("static_background", ["auto", None])
def test_real_patterns(shared_data, static_background):
    """None of them is rejected."""
    n = 0
    for path in sorted((shared_data / "real").iterdir()):
        if path.suffix == ".csv":
            continue
        scan = np.load(path) if path.suffix == ".npy" else imread(path)
        scan = scan[..., :3].mean(axis=-1) if scan.shape[-1] in (3, 4) else scan
        scan = scan if scan.ndim == 4 else scan.reshape(1, 1, *scan.shape)
        found = rejected(scan, static_background)
        assert not found.any(), path.name
        n += len(found)
    assert n > 850


def test_real_nickel(nickel):
    assert not rejected(nickel.data).any()
    assert not rejected(nickel.data, None).any()


@pytest.mark.parametrize("noise", [0, 0.5, 3])
@pytest.mark.parametrize(("distance", "size"), [(0.4, 60), (0.6, 100), (1, 150)])
def test_simulated_patterns(noise, distance, size):
    mp = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    detector = EBSDDetector(shape=(size, size), pc=(0.5, 0.3, distance))
    patterns = mp.get_patterns(
        Rotation.random(60), detector, compute=True, show_progressbar=False
    ).data.astype("float32")
    rng = np.random.default_rng(1)
    patterns /= patterns.std(axis=(1, 2), keepdims=True)
    patterns += noise * rng.normal(size=patterns.shape)
    assert not implausible_patterns(patterns, np.ones((size, size), bool)).any()


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_overexposed_patterns(share):
    """Patterns of which a part is saturated stay."""
    scan = example_scan(
        "ferrite and FeAl", (8, 8), grain_size=2, dtype="uint16", show_progressbar=False
    ).data
    highest = np.percentile(scan, 100 * (1 - share))
    assert not rejected(np.minimum(scan, highest)).any()


def test_what_cannot_be_told():
    """Images with missing pixels, and very small ones."""
    images = make_images("shapes, chessboards, stripes", 20, 60)
    assert rejected(images).any()
    images[:, 30, 30] = np.nan
    assert not implausible_patterns(images, EVERYWHERE).any()
    small = make_images("shapes, chessboards, stripes", 20, 40)
    assert not rejected(small).any()
    constant = np.ones((2, 60, 60))
    assert not implausible_patterns(constant, EVERYWHERE).any()


def test_gain_and_type():
    images = make_images("text", 20, 60).round()
    found = implausible_patterns(images, EVERYWHERE)
    for other in (1e-3 * images, 1e30 * images, images + 1e4, images.astype("uint8")):
        assert np.array_equal(implausible_patterns(other, EVERYWHERE), found)


class TestClassification:
    """Rejected images are not identified, if that is wanted."""

    @pytest.mark.parametrize("lazy", [True, False])
    def test_scan(self, tiny_model, lazy):
        scan = example_scan(
            "aluminum and silicon", (4, 5), grain_size=2, show_progressbar=False
        ).data.astype("float32")
        squares = (np.indices((60, 60)) // 10).sum(axis=0) % 2
        scan[1, 2] = np.random.default_rng(1).normal(50 + 100 * squares)
        signal = EBSD(scan).as_lazy() if lazy else EBSD(scan)
        kwargs = {"keep_probabilities": True, "show_progressbar": False}
        every = classify_space_group(
            signal, tiny_model, reject_implausible=False, **kwargs
        )
        xmap = classify_space_group(signal, tiny_model, **kwargs)
        assert (every.phase_id > 0).all()
        assert np.flatnonzero(xmap.phase_id == -1).tolist() == [7]
        assert xmap.prop["scores"][7] == 0
        others = np.arange(20) != 7
        assert np.array_equal(
            xmap.prop["probabilities"][others], every.prop["probabilities"][others]
        )

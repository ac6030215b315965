# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps can be copied whatever was looked at before."""

import kikuchipy as kp
import numpy as np
import pytest

from kikuchipy_spacegroup.maps import crystal_map
from kikuchipy_spacegroup.maps._copy_map import copy_of
from kikuchipy_spacegroup.simulation import overlap_grains, simulate_scan_from_map


@pytest.fixture
def masked():
    p = np.random.default_rng(1).dirichlet([1] * 3, size=(3, 4))
    mask = np.zeros((3, 4), dtype=bool)
    mask[1, 1:3] = True
    return crystal_map(
        p, (221, 225, 229), navigation_mask=mask, keep_probabilities=True
    )


@pytest.fixture
def nickel():
    """Map of which only a part was looked at."""
    xmap = kp.data.nickel_ebsd_small().xmap
    repr(xmap[:2])
    return xmap


def test_masked_points(masked):
    fresh = copy_of(masked)
    repr(masked)
    part = masked[:2]
    repr(part)
    for xmap, new in (
        (masked, fresh),
        (masked, copy_of(masked)),
        (part, copy_of(part)),
    ):
        assert np.array_equal(new.is_in_data, xmap.is_in_data)
        assert np.array_equal(new.phase_id, xmap.phase_id)
        assert np.array_equal(new.rotations.data, xmap.rotations.data)
        assert list(new.prop) == list(xmap.prop)
        # Also of points which are not in the data
        whole = dict(new._prop.items())
        for name, values in xmap._prop.items():
            assert np.array_equal(whole[name], values)
            assert whole[name].dtype == values.dtype


def test_copies_are_deep(masked):
    before = masked.prop["scores"].copy()
    new = copy_of(masked)
    new.prop["scores"] = np.zeros(new.size)
    new.prop["other"] = np.arange(new.size)
    new.phases[225].name = "mine"
    assert np.array_equal(masked.prop["scores"], before)
    assert "other" not in masked.prop
    assert masked.phases[225].name == "Fm-3m"


def test_what_makes_copies(nickel):
    """A copy by orix fails here, see the notes of copy_of()."""
    xmap = overlap_grains(nickel, np.zeros(9, dtype=int))
    repr(xmap[:2])
    master = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    detector = kp.detectors.EBSDDetector((12, 12), pc=(0.5, 0.2, 0.5))
    s = simulate_scan_from_map(xmap, [master], detector, show_progressbar=False)
    assert s.xmap.size == 9
    assert "purity" in s.xmap.prop

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The method on the class of EBSD signals."""

import inspect

import kikuchipy as kp
from kikuchipy.signals import EBSD, EBSDMasterPattern, LazyEBSD
import pytest

from kikuchipy_spacegroup import _signal


def test_where_it_is(nickel):
    for cls in (EBSD, LazyEBSD):
        assert cls.classify_space_group is _signal.classify_space_group
    assert not hasattr(EBSDMasterPattern, "classify_space_group")
    for s in (
        nickel.inav[0],
        nickel.isig[:30, :30],
        nickel.deepcopy(),
        nickel.as_lazy(),
        nickel.rebin(scale=(1, 1, 2, 2)),
    ):
        assert callable(s.classify_space_group)


def test_documented():
    method = EBSD.classify_space_group
    assert method.__name__ == "classify_space_group"
    assert "alias" in inspect.getdoc(method)


def test_registering_again_changes_nothing(recwarn):
    _signal.register()
    assert EBSD.classify_space_group is _signal.classify_space_group
    assert not recwarn.list


def test_collision(monkeypatch):
    monkeypatch.setattr(EBSD, "classify_space_group", lambda self: None)
    with pytest.warns(UserWarning, match="is replaced by"):
        _signal.register()
    assert EBSD.classify_space_group is _signal.classify_space_group


def test_passes_on(nickel, tiny_model):
    xmap = nickel.classify_space_group(tiny_model, keep_n=2, show_progressbar=False)
    assert xmap.prop["top_space_groups"].shape == (9, 2)
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        nickel.classify_space_group(tiny_model, patience=3)


def test_master_pattern_is_refused():
    mp = kp.data.nickel_ebsd_master_pattern_small()
    with pytest.raises(TypeError, match="not EBSDMasterPattern"):
        _signal.classify_space_group(mp)

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The method on the class of EBSD signals."""

import inspect

import kikuchipy as kp
from kikuchipy.signals import EBSD, EBSDMasterPattern, LazyEBSD
from numpydoc.docscrape import NumpyDocString
import pytest

from kikuchipy_spacegroup import _signal, classify_space_group


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


def sections(function):
    """Return the documented parameters and what is returned and raised."""
    text = inspect.getdoc(function).replace("~", "")
    doc = NumpyDocString(text.replace("kikuchipy_spacegroup.classification.", ""))
    return {name: doc[name] for name in ("Parameters", "Returns", "Raises", "Notes")}


def test_documented():
    """The method shows the arguments of the function, and what they are."""
    method = EBSD.classify_space_group
    assert method.__name__ == "classify_space_group"
    own, its = sections(method), sections(classify_space_group)
    its["Parameters"] = [i for i in its["Parameters"] if i.name != "signal"]
    assert own == its
    assert len(own["Parameters"]) == len(inspect.signature(method).parameters) - 1


def test_signature():
    """Names, order, kinds and defaults are those of the function."""
    method = list(inspect.signature(EBSD.classify_space_group).parameters.values())
    function = list(inspect.signature(classify_space_group).parameters.values())
    assert [method[0].name, function[0].name] == ["self", "signal"]
    for a, b in zip(method[1:], function[1:], strict=True):
        assert (a.name, a.kind, a.default) == (b.name, b.kind, b.default)


def test_all_arguments_are_passed_on(nickel, monkeypatch):
    """Every argument reaches the function under its own name."""
    names = [*inspect.signature(EBSD.classify_space_group).parameters][1:]
    found = {}
    monkeypatch.setattr(
        "kikuchipy_spacegroup.classification.classify_space_group",
        lambda signal, model, **kwargs: found.update(kwargs, model=model),
        raising=False,
    )
    nickel.classify_space_group(**{name: f"value of {name}" for name in names})
    assert found == {name: f"value of {name}" for name in names}


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

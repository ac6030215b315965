# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Structures that phases found in a scan may be."""

import logging

import numpy as np
from orix.crystal_map import PhaseList
import pandas as pd
import pytest

from kikuchipy_spacegroup.maps import crystal_map
from kikuchipy_spacegroup.phases import StructureSearch, find_phases, list_candidates


def search(*numbers):
    """Structures of some space groups, named A, B and so on."""
    table = pd.DataFrame(
        {
            "name": list("ABCDEFGH"[: len(numbers)]),
            "formula": ["Fe"] * len(numbers),
            "space_group": list(numbers),
            "source": ["cifs"] * len(numbers),
            "identifier": [f"{n}.cif" for n in numbers],
        }
    )
    return StructureSearch(PhaseList(), table, pd.DataFrame())


def find(rows, groups):
    p = np.repeat(rows, 40, axis=0)
    xmap = crystal_map(p, groups, keep_probabilities=True)
    return find_phases(xmap, grain_ids=np.arange(len(p)) // 10)


def test_those_of_probable_space_groups():
    found = find([[0.9, 0.09, 0.01], [0.01, 0.04, 0.95]], [225, 221, 229])
    candidates = list_candidates(found, search(229, 225, 221, 225))
    best = found.table["space_group"]
    for phase, mine in candidates.groupby("phase"):
        probabilities = mine["probability"].to_numpy()
        assert (np.diff(probabilities) <= 0).all()
        assert (probabilities >= 0.05).all()
        assert mine["space_group"].iloc[0] == best[phase]
        expected = found.probabilities.loc[phase, mine["space_group"]]
        assert probabilities.tolist() == expected.tolist()
    of_fcc = candidates[candidates["phase"] == best[best == 225].index[0]]
    assert of_fcc["candidate"].tolist()[:2] == ["B", "D"]
    assert len(list_candidates(found, search(229, 225), min_probability=0)) == 4
    assert list_candidates(found, search(225), min_probability=1).empty


def test_enantiomorphs_are_one():
    found = find([[0.5, 0.4, 0.1]], [152, 154, 225])
    candidates = list_candidates(found, search(152, 154))
    assert candidates["candidate"].tolist() == ["A", "B"]
    assert candidates["probability"].nunique() == 1
    # Of a model that knows the higher number only
    found = find([[0.9, 0.1]], [154, 225])
    assert list_candidates(found, search(152))["candidate"].tolist() == ["A"]


def test_what_the_model_does_not_know(caplog):
    found = find([[0.9, 0.1]], [225, 229])
    with caplog.at_level(logging.WARNING, "kikuchipy_spacegroup"):
        candidates = list_candidates(found, search(194, 225, 62))
    assert candidates["candidate"].tolist() == ["B"]
    assert "2 of 3 structures are of space groups that the model does" in caplog.text


def test_nothing():
    found = find([[0.5, 0.5]], [225, 229])
    assert len(found) == 0
    candidates = list_candidates(found, search(225))
    assert candidates.empty
    assert candidates.columns.tolist()[:2] == ["phase", "candidate"]
    with pytest.raises(ValueError, match="min_probability"):
        list_candidates(found, search(225), min_probability=2)

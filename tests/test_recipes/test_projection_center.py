# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scores of estimated projection centers."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

if not (Path(__file__).parents[2] / "recipes" / "projection_center").is_dir():
    pytest.skip("the recipes are in the repository only", allow_module_level=True)


@pytest.fixture(scope="module")
def score():
    return importlib.import_module("recipes.projection_center.score")


def found(error, standard_error):
    return SimpleNamespace(
        pc=np.array([0.5, 0.2, 0.6]) + error,
        standard_errors=np.full(3, standard_error),
        self_similarity=20.0,
        typical_self_similarity=10.0,
        n_orientations=64,
        n_patterns=64,
    )


def test_a_few_phases_of_each_system_are_chosen(score):
    groups = np.array([225, 225, 225, 225, 2, 194, 14, 225])
    chosen = score.choose(SimpleNamespace(space_groups=groups))
    assert chosen == [0, 1, 4, 5, 6]


def test_summary_tells_sure_from_unsure(score):
    right = np.array([0.5, 0.2, 0.6])
    rows = []
    for group, error, standard_error in (
        (225, 0.01, 0.01),
        (225, 0.03, 0.01),
        (2, 0.2, np.nan),
    ):
        row = {"space_group": str(group)}
        row |= score.columns(found(error, standard_error), right)
        row |= {f"crystal_system_{k}": 0.5 for k in ("known", "estimated", "unknown")}
        rows.append(row)
    real = [{"map": "nickel"} | score.columns(found(0.004, 0.01), right)]
    text = score.summarize(rows, real)
    lines = [line.strip() for line in text.splitlines()]
    cubic = lines.index("* - cubic")
    assert lines[cubic + 1 : cubic + 4] == ["- 2", "- 2", "- 0.020"]
    triclinic = lines.index("* - triclinic")
    assert lines[triclinic + 1 : triclinic + 4] == ["- 1", "- 0", "- 0.200"]
    assert "0 of 2 are off by more than 0.05" in text
    assert "50% of the errors are within two standard errors" in text
    assert "off by +0.004, +0.004, +0.004" in text

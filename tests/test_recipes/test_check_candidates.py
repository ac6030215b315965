# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores of candidates that are checked."""

import importlib
from pathlib import Path

import pandas as pd
import pytest

from kikuchipy_spacegroup.phases import _check

pytest.importorskip("spglib")
if not (Path(__file__).parents[2] / "recipes" / "check_candidates").is_dir():
    pytest.skip("no recipes", allow_module_level=True)


@pytest.fixture
def score():
    """Module of the recipe."""
    return importlib.import_module("recipes.check_candidates.score")


def table(true_match, wrong_match):
    """Rows of a material with one wrong candidate."""
    common = {"material": "x", "dose": 200, "seed": 0, "formula": "Ni"}
    common |= {"space_group": 225, "seconds": 1.0}
    rows = [
        {"candidate": "right", "true": True, "match": true_match},
        {"candidate": "wrong", "true": False, "match": wrong_match},
    ]
    rows = [common | row | {"simulation": "dynamical"} for row in rows]
    none = {"candidate": "none of these", "true": False, "simulation": None}
    return pd.DataFrame([*rows, common | none])


@pytest.mark.parametrize(
    ("matches", "rank", "right", "none_with_it", "none_without_it"),
    [
        ((0.7, 0.3), 1, True, False, True),
        # So sure that probabilities of the others are rounded to 0
        ((0.9, 0.45), 1, True, False, True),
        # A twin is first, and is still there if the right one is taken out
        ((0.7, 0.71), 2, False, False, False),
        ((0.4, 0.3), 1, False, True, True),
    ],
)
def test_summary(score, matches, rank, right, none_with_it, none_without_it):
    (row,) = score.summarize(table(*matches)).to_dict("records")
    assert (row["rank"], row["answer_right"]) == (rank, right)
    assert row["none_with_it"] == none_with_it
    assert row["none_without_it"] == none_without_it


def test_constants(score):
    """The recipe has those of the package."""
    assert (score.SLOPE, score.EVEN) == (_check._SLOPE, _check._EVEN)


def test_operations(score):
    rotation = [[1, -1, 0], [0, 1, 0], [0, 0, -1]]
    assert score.as_xyz(rotation, [0.5, 0, 1 / 3]) == "'+x-y+12/24,+y+0/24,-z+8/24'"


def test_composition():
    """It speaks for the right formula, against others, and nothing for itself."""
    module = importlib.import_module("recipes.check_candidates.with_composition")
    assert module.read_formula("Fe2O3") == {"Fe": 0.4, "O": 0.6}
    right, near, wrong = module.log_evidence(
        ["AlNi3", "Al3Ni5", "Al"], {"Al": 0.25, "Ni": 0.75}
    )
    assert right > 1
    assert wrong < near < right

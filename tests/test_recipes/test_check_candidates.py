# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores of candidates that are checked."""

import importlib
from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("spglib")
if not (Path(__file__).parents[2] / "recipes" / "check_candidates").is_dir():
    pytest.skip("no recipes", allow_module_level=True)


@pytest.fixture
def score():
    """Module of the recipe."""
    return importlib.import_module("recipes.check_candidates.score")


def table(true_match, wrong_match, probabilities):
    """Rows of a material with one wrong candidate."""
    names = ["right", "wrong", "none of these"]
    common = {"material": "x", "dose": 200, "seed": 0, "formula": "Ni"}
    common |= {"space_group": 225, "seconds": 1.0}
    return pd.DataFrame(
        [
            common
            | {"candidate": n, "true": n == "right", "match": m, "probability": p}
            for n, m, p in zip(names, (true_match, wrong_match, None), probabilities)
        ]
    )


def test_right(score):
    (row,) = score.summarize(table(0.7, 0.3, (0.98, 0.0, 0.02))).to_dict("records")
    assert (row["rank"], row["answer_right"]) == (1, True)
    assert not row["none_with_it"]
    assert row["none_without_it"]


def test_wrong(score):
    """A twin is first, and is still there if the right one is taken out."""
    (row,) = score.summarize(table(0.7, 0.71, (0.4, 0.59, 0.01))).to_dict("records")
    assert (row["rank"], row["answer_right"]) == (2, False)
    assert not row["none_without_it"]


def test_operations(score):
    rotation = [[1, -1, 0], [0, 1, 0], [0, 0, -1]]
    assert score.as_xyz(rotation, [0.5, 0, 1 / 3]) == "'+x-y+12/24,+y+0/24,-z+8/24'"

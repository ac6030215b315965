# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores of phases that are found."""

import csv
import importlib
from pathlib import Path
import sys

import numpy as np
import pytest

from kikuchipy_spacegroup.maps import crystal_map
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary

ROOT = Path(__file__).parents[2]
if not (ROOT / "recipes" / "find_phases").is_dir():
    pytest.skip("no recipes", allow_module_level=True)


@pytest.fixture
def score():
    """Module of the recipe."""
    return importlib.import_module("recipes.find_phases.score")


class TestScores:
    """What is right and what is not."""

    truth = np.repeat([0, 1], 10)

    def test_right(self, score):
        labels = np.where(self.truth == 0, 7, 5)
        found = {7: 152, 5: 225}
        scores = score.score_labels(labels, found, found, self.truth, [154, 225])
        assert scores == {
            "adjusted_rand_index": 1,
            "space_groups_right": 2,
            "laue_classes_right": 2,
        }

    def test_wrong(self, score):
        """One phase for both is right about one of them."""
        labels = np.ones(20, dtype=int)
        scores = score.score_labels(labels, {1: 229}, {1: 229}, self.truth, [194, 225])
        assert scores["adjusted_rand_index"] == 0
        assert scores["space_groups_right"] == 0
        assert scores["laue_classes_right"] == 1
        scores = score.score_labels(-labels, {}, {}, self.truth, [194, 225])
        assert scores["laue_classes_right"] == 0

    def test_best_laue(self, score):
        """Three space groups together are more probable than one."""
        p = np.array([[0.3, 0.3, 0.4], [0.1, 0.1, 0.8]])
        assert score.best_laue(p, [225, 229, 194]) == [225, 194]

    def test_labels(self, score):
        p = np.full((20, 2), 0.1)
        p[np.arange(20), self.truth] = 0.9
        xmap = crystal_map(p, [225, 229])
        scores = score.score_best_label(xmap, self.truth, [225, 221])
        assert (scores["found"], scores["space_groups_right"]) == (2, 1)

    def test_summary(self, score):
        common = {"dose": 200, "method": "a", "date": "today"}
        rows = [
            common
            | {
                "phases": n,
                "found": found,
                "adjusted_rand_index": 0.5,
                "laue_classes_right": n,
                "space_groups_right": 1,
            }
            for n, found in ((1, 1), (2, 2), (4, 3))
        ]
        one, several = score.summarize(rows)
        assert (one["phases"], one["scans"], one["number_right"]) == ("one", 1, 1)
        assert several["number_right"] == 0.5
        assert several["space_groups_right"] == round(2 / 6, 2)


def test_committed_tables(score):
    """Tables are those the script writes, and the summary is of the rows."""
    folder = ROOT / "recipes" / "find_phases" / "results"
    with open(folder / "scans.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for name in ("phases", "found", "laue_classes_right", "space_groups_right"):
            row[name] = int(row[name])
        row["adjusted_rand_index"] = float(row["adjusted_rand_index"])
    with open(folder / "summary.csv", encoding="utf-8") as file:
        summary = list(csv.DictReader(file))
    expected = score.summarize(rows)
    assert [{k: str(v) for k, v in row.items()} for row in expected] == summary


def test_script(score, tmp_path, monkeypatch):
    """A tiny scan of made-up master patterns."""
    rng = np.random.default_rng(0)
    library = MasterPatternLibrary(
        rng.uniform(0.5, 1.5, (2, 41, 41)).astype("float32"),
        phase_index=[0, 1],
        upper=[0, 1],
        lower=[0, 1],
        energies=[20, 20],
        phase_names=["one", "two"],
        space_groups=[225, 229],
    )
    library.save(tmp_path / "library.npz")
    with pytest.raises(ValueError, match="There are no"):
        score.load_masters(tmp_path / "library.npz", ["three"])
    options = "--seeds 1 --phases 1 2 --doses 100 --shape 4 6".split()
    arguments = ["score", str(tmp_path / "library.npz"), str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", [*arguments, *options])
    score.main()
    text = (tmp_path / "out" / "scans.csv").read_text("utf-8")
    assert len(text.splitlines()) == 1 + 2 * 4

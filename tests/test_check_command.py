# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Candidates that are checked, in a shell and as a picture."""

import kikuchipy as kp
import matplotlib.pyplot as plt
import numpy as np
from orix.crystal_map import PhaseList
from orix.quaternion import Orientation
from orix.quaternion.symmetry import Oh
import pandas as pd
import pytest

from kikuchipy_spacegroup import __main__ as command
from kikuchipy_spacegroup.maps import crystal_map
from kikuchipy_spacegroup.phases import CheckedCandidates, find_phases
from kikuchipy_spacegroup.plot import plot_phases


@pytest.fixture
def found():
    xmap = crystal_map(
        np.tile([0.8, 0.2], (3, 3, 1)), [225, 229], keep_probabilities=True
    )
    return find_phases(xmap, grain_ids=np.arange(9) // 3)


def checked(names):
    """Answers for a phase, the first the best one."""
    table = pd.DataFrame(
        {
            "phase": 1,
            "candidate": names,
            "formula": ["" if name == "none of these" else "Ni" for name in names],
            "space_group": 225,
            "simulation": "dynamical",
            "match": 0.7,
            "probability": [0.9, 0.1],
        }
    )
    orientations = {1: {"nickel": Orientation.random(3, symmetry=Oh)}}
    patterns = {1: np.arange(3)}
    return CheckedCandidates(table, orientations, patterns, {}, PhaseList())


@pytest.mark.parametrize(
    ("names", "n"), [(["nickel", "none of these"], 1), (["none of these", "nickel"], 0)]
)
def test_picture(found, names, n):
    """Of none of these, there are no orientations to draw."""
    figure = plot_phases(found, kp.data.nickel_ebsd_small(), checked(names))
    shown = [ax for ax in figure.axes if ax.name == "ipf"]
    assert len(shown) == n
    assert all("match 0.70" in ax.get_title() for ax in shown)
    plt.close(figure)


def test_summary():
    text = command.summary_of_check(checked(["nickel", "none of these"]))
    assert "0.90  nickel, Ni, Fm-3m (dynamical)" in text
    assert text.splitlines()[-1].endswith("0.10  none of these")


def test_needs_elements(capsys):
    assert command.main(["--phases", "--check"]) == 2
    assert "--check matches structures" in capsys.readouterr().err


@pytest.fixture
def uncalibrated(tmp_path, nickel):
    """A scan in a file, whose projection center nobody set."""
    s = nickel.deepcopy()
    s.detector.pc = (0.5, 0.5, 0.5)
    s.save(tmp_path / "scan.h5")
    return [str(tmp_path / "scan.h5"), "--png", str(tmp_path / "phases.png")]


def test_check_needs_a_center_before_work_starts(uncalibrated, monkeypatch, capsys):
    monkeypatch.setattr(command, "_search_structures", lambda args: None)
    arguments = ["--phases", "--elements", "Ni", "--check"]
    assert command.main([*uncalibrated, *arguments]) == 2
    output = capsys.readouterr()
    assert "--check needs a calibrated detector" in output.err
    assert "--estimate-center" in output.err
    assert "space group" not in output.out


def test_center_is_estimated(uncalibrated, monkeypatch, capsys):
    """Of the scan as it was read, and used for it."""
    used = []

    def classify(s, *args, **kwargs):
        used.append(s.detector.pc_average)
        raise ValueError("that is enough")

    for name, value in {"_PCX": (0.42,), "_PCY": (0.24,), "_N_STARTS": 1}.items():
        monkeypatch.setattr(f"kikuchipy_spacegroup.detectors._estimate.{name}", value)
    monkeypatch.setattr("kikuchipy_spacegroup.classify_space_group", classify)
    with pytest.warns(UserWarning, match="not sure"):
        assert command.main([*uncalibrated, "--estimate-center"]) == 2
    assert "ProjectionCenterEstimate(0.4" in capsys.readouterr().out
    assert np.abs(used[0] - (0.42, 0.21, 0.5)).max() < 0.05


def test_interrupted(monkeypatch, capsys):
    def interrupt(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_classify_file", interrupt)
    assert command.main([]) == 130
    assert "is kept" in capsys.readouterr().err

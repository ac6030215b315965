# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line."""

import matplotlib.pyplot as plt
import numpy as np
from orix import io
import pytest

from kikuchipy_spacegroup import plot
from kikuchipy_spacegroup.__main__ import main, summary
from kikuchipy_spacegroup.maps import crystal_map


@pytest.fixture
def model_file(tiny_model, tmp_path):
    tiny_model.save(tmp_path / "tiny.keras")
    return str(tmp_path / "tiny.keras")


def test_bundled_scan(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([]) == 0
    out = capsys.readouterr().out
    assert "225 (Fm-3m)" in out
    assert "Orientations" in out
    assert plt.imread(tmp_path / "space_groups.png").ndim == 3


@pytest.mark.parametrize("suffix", [".h5", ".ang"])
def test_own_scan(tmp_path, model_file, nickel, suffix, capsys):
    scan, output = tmp_path / "scan.h5", tmp_path / f"map{suffix}"
    nickel.save(scan)
    before = scan.read_bytes()
    assert main([str(scan), "-o", str(output), "--model", model_file]) == 0
    assert io.load(str(output)).size == 9
    assert output.with_suffix(".png").exists()
    assert scan.read_bytes() == before
    # Once more: nothing is replaced unless asked for
    kept = output.read_bytes()
    assert main([str(scan), "-o", str(output), "--model", model_file]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert output.read_bytes() == kept
    assert main(["-o", str(output), "--model", model_file, "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["no.h5"], "no.h5"),
        (["-o", "map.ctf"], "'map.ctf'"),
        (["--model", "no.keras"], "no.keras"),
        (["--model", "best"], "'best'"),
        (["--min-probability", "3"], "not 3.0"),
    ],
)
def test_errors(arguments, match, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert match in captured.err
    assert not list(tmp_path.iterdir())


def test_summary():
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.45, 0.55]])
    lines = summary(crystal_map(p, [225, 229], min_probability=0.6)).splitlines()
    assert lines[1].split() == ["225", "(Fm-3m)", "66.7%", "0.85"]
    assert lines[2].split() == ["not", "identified", "33.3%", "0.55"]


def test_summary_of_symmetry():
    p = np.array([[0.45, 0.45, 0.1], [0.2, 0.75, 0.05], [0.4, 0.3, 0.3]])
    lines = summary(crystal_map(p, [221, 225, 194])).splitlines()
    start = lines.index("finest symmetry   share  mean probability  level")
    assert lines[start - 1] == ""
    found = {tuple(line.split(maxsplit=3)) for line in lines[start + 1 :]}
    assert ("Fm-3m", "33.3%", "0.75", "space group") in found
    assert ("m-3m", "66.7%", "0.80", "laue class") in found
    # All levels tell something
    assert len(lines) == start + 3


def test_summary_says_what_is_not_read():
    lines = summary(crystal_map(np.array([[0.9, 0.1]]), [225, 229])).splitlines()
    last = "The same for all space groups of the model: laue class, crystal system"
    assert lines[-1] == last


def test_summary_of_many():
    groups = [1, 3, 16, 75, 89, 143, 150, 168, 177, 195, 225]
    lines = summary(crystal_map(np.eye(11), groups)).splitlines()
    assert lines[-1].split() == ["3", "others", "27.3%"]


class TestPlot:
    """Pictures of maps."""

    def test_colors_and_opacity(self):
        p = np.array([[[1.0, 0.0], [0.6, 0.4]], [[0.1, 0.9], [0.5, 0.5]]])
        xmap = crystal_map(p, [225, 229], min_probability=0.55)
        ax = plot.plot_space_groups(xmap)
        image = ax.images[0].get_array()
        assert image.shape == (2, 2, 3)
        # The same hue, paler where less sure
        assert (image[0, 1] > image[0, 0]).all()
        assert np.allclose(image[1, 1], 0.6)
        labels = [text.get_text() for text in ax.get_legend().get_texts()]
        assert labels[0] == "225 Fm-3m: 50%"
        assert "not identified: 25%" in labels

    def test_symmetry(self):
        p = np.array([[[0.9, 0.1, 0.0], [0.4, 0.4, 0.2], [0.4, 0.1, 0.5]]])
        xmap = crystal_map(p, [194, 191, 225])
        ax = plot.plot_symmetry(xmap, 0.6)
        image = ax.images[0].get_array()
        labels = [text.get_text() for text in ax.get_legend().get_texts()]
        assert sorted(labels) == sorted(
            ["194 P63/mmc: 33%", "6/mmm, P: 33%", "not identified: 33%"]
        )
        assert np.allclose(image[0, 2], 0.6)
        # The color of the map of space groups
        expected = plot.plot_space_groups(xmap).images[0].get_array()
        assert np.allclose(image[0, 0], expected[0, 0])
        assert not np.allclose(image[0, 1], expected[0, 1])
        _, ax = plt.subplots()
        assert plot.plot_symmetry(xmap, ax=ax, legend=False) is ax
        assert ax.get_legend() is None

    def test_many_space_groups(self):
        ax = plot.plot_space_groups(crystal_map(np.eye(20), range(1, 21)))
        labels = [text.get_text() for text in ax.get_legend().get_texts()]
        assert len(labels) == 16
        assert labels[-1] == "5 others: 25%"

    @pytest.mark.parametrize("index", [np.s_[:, :], np.s_[1], np.s_[0, 2]])
    def test_patterns(self, nickel, tiny_model, index):
        s = nickel.inav[index]
        xmap = s.classify_space_group(tiny_model, show_progressbar=False)
        figure = plot.plot_patterns(s, xmap)
        assert len(figure.axes) == 10

    def test_mask(self, nickel, tiny_model):
        mask = np.zeros((3, 3), dtype=bool)
        mask[0] = True
        xmap = nickel.classify_space_group(
            tiny_model, navigation_mask=mask, show_progressbar=False
        )
        image = plot.plot_space_groups(xmap).images[0].get_array()
        assert image.shape == (3, 3, 3)
        assert (image[0] == 1).all()
        figure = plot.plot_patterns(nickel, xmap)
        assert figure.axes[1].get_title() == "left out"

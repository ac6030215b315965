# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line."""

import os
from pathlib import Path
import re
import subprocess
import sys
import warnings

import h5py
from imageio.v3 import imwrite
import kikuchipy as kp
import matplotlib.pyplot as plt
import numpy as np
from orix import io
import pytest

from kikuchipy_spacegroup import plot
from kikuchipy_spacegroup.__main__ import main, summary
from kikuchipy_spacegroup.maps import crystal_map
from kikuchipy_spacegroup.models import save_onnx


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


DATA = Path(kp.data.__file__).parent
KIKUCHIPY = DATA / "kikuchipy_h5ebsd" / "patterns.h5"
EDAX = DATA / "edax_h5ebsd" / "patterns.h5"
EBSP = DATA / "oxford_binary" / "patterns.ebsp"
MASTER = DATA / "emsoft_ebsd_master_pattern" / "master_patterns.h5"
NOISE = np.random.default_rng(1).bytes(3000)


def without_patterns(path, source, how):
    """Write a copy of an HDF5 scan from which patterns are gone."""
    path.write_bytes(source.read_bytes())
    with h5py.File(path, "a") as file:
        names = []
        file.visititems(
            lambda name, item: (
                names.append(name) if getattr(item, "ndim", 0) > 2 else None
            )
        )
        for name in names:
            shape = file[name].shape
            del file[name]
            if how == "empty":
                file[name] = np.zeros((0, *shape[1:]), "uint8")
        if how == "OIM":
            header = file["Scan 1/EBSD/Header"]
            del header["Pattern Height"], header["Pattern Width"]


def write_hdf5(path, *names, maker=None):
    with h5py.File(path, "w") as file:
        for name in names:
            file[name] = np.arange(4)
        if maker is not None:
            file["Manufacturer"] = maker


# Name of a file, how it is written, and what the error says of it
UNREADABLE = {
    "missing.h5": (lambda path: None, "There is no file"),
    "no/missing.tif": (lambda path: None, "There is no file"),
    "folder": (lambda path: path.mkdir(), "is a folder. Scans are read from"),
    "folder.h5": (lambda path: path.mkdir(), "is a folder. Scans are read from"),
    "master.h5": (
        lambda path: path.write_bytes(MASTER.read_bytes()),
        "has no scan, but an EBSD master pattern",
    ),
    "oim.h5": (
        lambda path: without_patterns(path, EDAX, "OIM"),
        "an HDF5 file with data of EDAX under 'Manufacturer'.* no patterns",
    ),
    "edax.h5": (lambda path: without_patterns(path, EDAX, ""), "data of EDAX"),
    "edax0.h5": (lambda path: without_patterns(path, EDAX, "empty"), "no patterns"),
    "kp.h5": (lambda path: without_patterns(path, KIKUCHIPY, ""), "of kikuchipy"),
    "kp0.h5": (lambda path: without_patterns(path, KIKUCHIPY, "empty"), "no patterns"),
    "map.h5": (
        lambda path: io.save(path, kp.data.nickel_ebsd_small().xmap),
        "an HDF5 file with a crystal map of orix",
    ),
    "mc.h5": (
        lambda path: write_hdf5(path, "EMData/MCOpenCL/accum_e"),
        "a Monte Carlo simulation of EMsoft",
    ),
    "other.h5": (lambda path: write_hdf5(path, "a/b", "c"), "data under 'a', 'c'"),
    "others.h5": (
        lambda path: write_hdf5(path, *"abcdefg"),
        "'d', 'e', \\.\\.\\., and",
    ),
    "maker.h5": (lambda path: write_hdf5(path, "a", maker="Acme"), "data of Acme"),
    "oina.h5oina": (lambda path: write_hdf5(path, "1/EBSD/Data/X"), "an HDF5 file"),
    "nothing.h5": (lambda path: write_hdf5(path), "an HDF5 file with nothing in it"),
    "cut.h5": (
        lambda path: path.write_bytes(KIKUCHIPY.read_bytes()[:90_000]),
        "an HDF5 file of 90000 bytes that is damaged or cut off",
    ),
    "cut.ebsp": (
        lambda path: path.write_bytes(EBSP.read_bytes()[:20_000]),
        "of 20000 bytes, or it is damaged or cut off",
    ),
    "cut8.ebsp": (lambda path: path.write_bytes(EBSP.read_bytes()[:8]), "8 bytes"),
    "cut3.ebsp": (lambda path: path.write_bytes(EBSP.read_bytes()[:3]), "3 bytes"),
    "no_settings.dat": (lambda path: path.write_bytes(NOISE), "No setting file"),
    "model.keras": (lambda path: path.write_bytes(b"PK\3\4" + NOISE), "a zip archive"),
    "archive.npz": (lambda path: np.savez(path, a=[1]), "a zip archive"),
    "without_end": (lambda path: path.write_text("Schrödinger"), "a text file"),
    "*.tif": (lambda path: (path.parent / "a.tif").write_text("no image"), "a.tif|\\*"),
} | {
    f"{kind}.{ending}": (lambda path, content=content: path.write_bytes(content), match)
    for kind, content, match in [
        ("empty", b"", "it is empty"),
        (
            "text",
            50 * b"It was a dark and stormy night.\n",
            "a text file of 1600 bytes",
        ),
        ("noise", NOISE, "of 3000 bytes"),
    ]
    for ending in ("h5", "h5oina", "up1", "up2", "ebsp", "dat", "tif", "bmp", "xyz")
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_scan(name, tmp_path, monkeypatch, capsys):
    """One line says what it is and what is read, and nothing is written."""
    write, match = UNREADABLE[name]
    write(tmp_path / name)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    assert main([name, "-o", "result.h5"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ")
    assert "please report" not in line
    assert name.partition("*")[0] in line
    assert re.search(match, line)
    assert "no/" in name or "missing" in name or "Scans are read from" in line
    assert sorted(tmp_path.rglob("*")) == before


# Older versions of what reads files warn of NumPy
QUIET_OTHERS = [f"-Wignore:::rsciio.utils.{name}" for name in ("tools", "rgb_tools")]


def test_one_line_in_a_shell(tmp_path):
    """Neither warnings nor logs of others stand above it."""
    names = ["oim.h5", "cut.ebsp", "noise.up1", "text.tif", "no_settings.dat"]
    for name in names:
        UNREADABLE[name][0](tmp_path / name)
    code = (
        "import sys\n"
        "from kikuchipy_spacegroup.__main__ import main\n"
        f"statuses = [main([name]) for name in {names}]\n"
        "assert statuses == [2] * len(statuses), statuses\n"
    )
    done = subprocess.run(
        [sys.executable, *QUIET_OTHERS, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == len(names)
    assert done.stdout == ""


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="all may be read by root"
)
def test_permissions(tmp_path, nickel, model_file, capsys):
    scan, folder = tmp_path / "scan.h5", tmp_path / "folder"
    nickel.save(scan)
    folder.mkdir(mode=0o500)
    for path in (folder / "map.h5", folder / "map.png"):
        option = "--png" if path.suffix == ".png" else "-o"
        assert main([str(scan), option, str(path), "--model", model_file]) == 2
        assert "write" in capsys.readouterr().err
    scan.chmod(0)
    assert main([str(scan), "--png", str(tmp_path / "a.png")]) == 2
    assert "may not be read by you" in capsys.readouterr().err


def test_file_that_may_not_be_read(tmp_path, monkeypatch, capsys):
    """As root, for whom there is no such file."""
    (tmp_path / "scan.h5").write_bytes(b"secret")
    monkeypatch.chdir(tmp_path)

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(
        "kikuchipy_spacegroup.io._scan_file.open", refuse, raising=False
    )
    assert main(["scan.h5"]) == 2
    assert "scan.h5 may not be read by you" in capsys.readouterr().err


def test_warnings_of_scans_stay(tmp_path, monkeypatch, model_file, nickel):
    nickel.save(tmp_path / "scan.h5")
    load = kp.load

    def warn(*args, **kwargs):
        warnings.warn("the scan is odd", UserWarning)
        return load(*args, **kwargs)

    monkeypatch.setattr(kp, "load", warn)
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match="the scan is odd"):
        assert main(["scan.h5", "--model", model_file]) == 0


def test_images(tmp_path, nickel, model_file, monkeypatch):
    """A pattern of names is a scan of these images."""
    for i, pattern in enumerate(nickel.data[0]):
        imwrite(tmp_path / f"a_x{i}y0.tif", pattern)
    monkeypatch.chdir(tmp_path)
    assert main(["*.tif", "-o", "map.h5", "--model", model_file]) == 0
    assert io.load("map.h5").size == 3


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--png", "a.xyz"], "endings? .*png.*not 'a.xyz'|ending with .*, not 'a.xyz'"),
        (["--png", "a"], "not 'a'"),
        (["--png", "no/a.png"], "There is no folder no"),
        (["--png", "folder.png"], "folder.png is a folder"),
        (["-o", "no/map.h5"], "There is no folder no"),
        (["-o", "folder.h5"], "folder.h5 is a folder"),
        (["-o", "scan.h5", "--overwrite"], "scan.h5 is the scan itself"),
        (["-o", "link.h5", "--overwrite"], "link.h5 is the scan itself"),
        (["--model", "text.keras"], "text.keras is not a model file"),
        (["--model", "folder.keras"], "no model file folder.keras"),
        (["--model", "scan.h5"], "no bundled model 'scan.h5'"),
        (["--model", "text.onnx"], "text.onnx"),
        (["--min-probability", "nan"], "not nan"),
    ],
)
def test_before_classification(arguments, match, tmp_path, nickel, monkeypatch, capsys):
    nickel.save(tmp_path / "scan.h5")
    os.link(tmp_path / "scan.h5", tmp_path / "link.h5")
    for suffix in (".keras", ".onnx"):
        (tmp_path / f"text{suffix}").write_text("no model")
    for suffix in (".png", ".h5", ".keras"):
        (tmp_path / f"folder{suffix}").mkdir()
    before = (tmp_path / "scan.h5").read_bytes()
    monkeypatch.chdir(tmp_path)

    def classify(*args, **kwargs):
        pytest.fail("classification has begun")

    if "nan" not in arguments:
        monkeypatch.setattr("kikuchipy_spacegroup.classify_space_group", classify)
    assert main(["scan.h5", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert re.search(match, line)
    assert (tmp_path / "scan.h5").read_bytes() == before


def test_one_point_to_ang(tmp_path, nickel, monkeypatch, model_file, capsys):
    """What cannot be read back is refused before classification."""
    nickel.inav[0, 0].save(tmp_path / "one.h5")
    nickel.inav[:2, 0].save(tmp_path / "two.h5")
    monkeypatch.chdir(tmp_path)
    assert main(["one.h5", "-o", "map.ang"]) == 2
    captured = capsys.readouterr()
    assert "one point" in captured.err
    assert "'.h5'" in captured.err
    assert captured.out == ""
    assert main(["one.h5", "-o", "map.h5", "--model", model_file]) == 0
    assert io.load("map.h5").size == 1
    for low in ("0", "1"):
        options = ["--model", model_file, "--min-probability", low, "--overwrite"]
        assert main(["two.h5", "-o", "map.ang", *options]) == 0
        assert (io.load("map.ang").phase_id == -1).tolist() == [low == "1"] * 2


def test_onnx(tmp_path, tiny_model, nickel, monkeypatch, capsys):
    for package in ("onnx", "onnxruntime", "tf2onnx"):
        pytest.importorskip(package)
    save_onnx(tmp_path / "tiny.onnx", tiny_model)
    monkeypatch.chdir(tmp_path)
    assert main(["--model", "tiny.onnx"]) == 0
    out = capsys.readouterr().out
    assert "3 space groups: 221 (Pm-3m), 225 (Fm-3m), 229 (Im-3m)" in out
    assert "mean probability" in out


CIF = """data_nickel
_cell_length_a 3.52
_cell_length_b 3.52
_cell_length_c 3.52
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'F m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Ni1 Ni 0 0 0
"""


def test_phases(tmp_path, monkeypatch, capsys):
    (tmp_path / "cifs").mkdir()
    (tmp_path / "cifs" / "nickel.cif").write_text(CIF)
    monkeypatch.chdir(tmp_path)
    options = ["--phases", "--elements", "Ni", "Al", "--structures", "cifs"]
    assert main([*options, "-o", "map.h5"]) == 0
    out = capsys.readouterr().out
    assert "1 structures of Ni, Al" in out
    table = out[out.index("grains  probability") :]
    assert re.search(r"\nphase 1.* 2 +0\.\d\d  .*Fm-3m", table)
    assert re.search(r"0\.\d\d  nickel, Ni, Fm-3m \(nickel.cif\)\n", table)
    assert re.search(r"\nno crystal +0.0%\n", table)
    assert plt.imread(tmp_path / "map.png").ndim == 3
    assert io.load("map.h5").phases[1].name.startswith("phase 1")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--elements", "Ni"], "give --phases"),
        (["--phases", "--structures", "."], "give --phases and --elements"),
        (["--phases", "--elements", "Xx", "--structures", "."], "'Xx'"),
        (["--phases", "--elements", "Ni", "--structures", "."], "no CIFs in"),
        (["--phases", "--elements", "Ni", "--structures", "no"], "'no'"),
    ],
)
def test_arguments_of_phases(arguments, match, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "kikuchipy_spacegroup.classify_space_group", lambda *_, **__: pytest.fail()
    )
    assert main(arguments) == 2
    assert match in capsys.readouterr().err
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


def test_summary_of_enantiomorphs():
    """The number of one with the names of both, and lines still in columns."""
    p = np.array([[0.4, 0.35, 0.25], [0.1, 0.1, 0.8]])
    lines = summary(crystal_map(p, [152, 154, 225])).splitlines()
    assert lines[1].startswith(("152 (P3121 or P3221) ", "225 (Fm-3m) "))
    assert len({line.index("%") for line in lines[1:3]}) == 1


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

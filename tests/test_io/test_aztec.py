# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scans exported from AZtec as images and a list of grains."""

import os

from imageio.v3 import imwrite
from kikuchipy.signals import EBSD, LazyEBSD
import numpy as np
from orix.quaternion import Rotation
import pytest

from kikuchipy_spacegroup import LabelledPatterns, classify_space_group
from kikuchipy_spacegroup.evaluation import evaluate
from kikuchipy_spacegroup.io import load_aztec_grain_list
from kikuchipy_spacegroup.maps import probabilities_from_map

HEADER = "ID\tPhase\tX\tY\tphi1\tPHI\tphi2\tMAD\tAFI\tBC\tBS\tGrain ID\n"


def pattern(i):
    return np.random.default_rng(i).integers(0, 255, size=(40, 50), dtype="uint8")


def write(folder, n=6, columns=3, images="Images", phase=lambda i: "Al"):
    """Write a scan as AZtec does: IDs from zero, images from one."""
    (folder / images).mkdir(exist_ok=True)
    lines = [HEADER]
    for i in range(n):
        row, column = divmod(i, columns)
        lines.append(
            f"{i}\t{phase(i)}\t{20 * column}.000\t{10 * row}.000\t{10 * i}\t45.5\t7"
            f"\t0.24\t0\t{100 + i}\t211\t{i}\n"
        )
        imwrite(folder / images / f"Al Site 1 Map Data 2_{i + 1:04}.tiff", pattern(i))
    path = folder / "Grain List.txt"
    path.write_text("".join(lines))
    return path


def test_grid(tmp_path):
    path = write(tmp_path, phase=lambda i: "Zero solution" if i == 4 else "Al")
    s = load_aztec_grain_list(path, {"Al": 225})
    assert s.data.shape == (2, 3, 40, 50)
    for i in range(6):
        assert np.array_equal(s.data.reshape(6, 40, 50)[i], pattern(i))
    assert [(a.name, a.scale, a.units) for a in s.axes_manager.navigation_axes] == [
        ("x", 20, "um"),
        ("y", 10, "um"),
    ]
    assert s.xmap.shape == (2, 3)
    assert s.xmap.phase_id.tolist() == [0, 0, 0, 0, -1, 0]
    assert s.xmap.phases["Al"].space_group.number == 225
    assert s.xmap.prop["BC"].tolist() == [100, 101, 102, 103, 104, 105]
    assert s.xmap.prop["grain_id"].tolist() == [0, 1, 2, 3, 4, 5]
    expected = Rotation.from_euler([30, 45.5, 7], degrees=True)
    assert s.xmap.rotations[3].angle_with(expected) < 1e-6
    patterns = LabelledPatterns.from_signal(s, size=32)
    assert patterns.space_groups.tolist() == [225] * 5


def test_lazy(tmp_path):
    path = write(tmp_path)
    s = load_aztec_grain_list(path, lazy=True)
    assert isinstance(s, LazyEBSD)
    assert np.array_equal(s.data.compute(), load_aztec_grain_list(path).data)


def test_points_without_image(tmp_path):
    path = write(tmp_path)
    (tmp_path / "Images" / "Al Site 1 Map Data 2_0002.tiff").unlink()
    s = load_aztec_grain_list(path)
    assert s.data.shape == (5, 40, 50)
    assert np.array_equal(s.data[1], pattern(2))
    assert s.xmap.prop["X"].tolist() == [0, 40, 0, 20, 40]
    assert s.xmap.prop["Y"].tolist() == [0, 0, 10, 10, 10]


def test_other_folder_and_numbers(tmp_path):
    path = write(tmp_path, images="elsewhere")
    s = load_aztec_grain_list(path, folder=tmp_path / "elsewhere", first_image=2)
    assert np.array_equal(s.data[0], pattern(1))


class TestEvaluate:
    """Phase names, space groups and places of the list are in the table."""

    @staticmethod
    def phase(i):
        return {1: "Ferrite", 4: "Zero solution", 5: "unknown"}.get(i, "Al")

    @staticmethod
    def check(table, model, ids):
        """Check all but places, with the IDs of points in the table."""
        is_iron = [i == 1 for i in ids]
        names = ["Ferrite" if iron else "Al" for iron in is_iron]
        assert table["material"].tolist() == names
        assert table["space_group"].tolist() == [229 if i else 225 for i in is_iron]
        assert table["grain_id"].tolist() == list(ids)
        assert table["BC"].tolist() == [100 + i for i in ids]
        assert np.allclose(table["phi1"], [10 * i for i in ids])
        assert (table["scan"] == "export").all()
        # Patterns are those of the points, not of their neighbors
        raw = EBSD(np.stack([pattern(i) for i in ids]))
        xmap = classify_space_group(
            raw, model, keep_probabilities=True, show_progressbar=False
        )
        expected, _ = probabilities_from_map(xmap)
        columns = [f"p_{number}" for number in model.space_groups]
        np.testing.assert_allclose(table[columns], expected, atol=1e-5)
        assert table["predicted"].tolist() == xmap.phase_id.tolist()

    @pytest.mark.parametrize("lazy", [False, True])
    def test_on_grid(self, tmp_path, tiny_model, lazy):
        path = write(tmp_path, phase=self.phase)
        s = load_aztec_grain_list(path, {"Al": 225, "Ferrite": 229}, lazy=lazy)
        table = evaluate(tiny_model, {"export": s}, show_progressbar=False)
        self.check(table, tiny_model, [0, 1, 2, 3])
        assert table["row"].tolist() == [0, 0, 0, 1]
        assert table["column"].tolist() == [0, 1, 2, 0]

    def test_off_grid(self, tmp_path, tiny_model):
        path = write(tmp_path, phase=self.phase)
        (tmp_path / "Images" / "Al Site 1 Map Data 2_0003.tiff").unlink()
        s = load_aztec_grain_list(path, {"Al": 225, "Ferrite": 229})
        table = evaluate(tiny_model, {"export": s}, show_progressbar=False)
        self.check(table, tiny_model, [0, 1, 3])
        assert table["row"].tolist() == [0, 0, 0]
        assert table["column"].tolist() == [0, 1, 2]
        assert table["X"].tolist() == [0, 20, 0]
        assert table["Y"].tolist() == [0, 0, 10]


class TestWindows:
    """Exports as Windows leaves them are what they would be elsewhere."""

    @staticmethod
    def check(s, expected):
        assert np.array_equal(np.asarray(s.data), expected.data)
        assert repr(s.xmap) == repr(expected.xmap)
        assert np.allclose(s.xmap.rotations.data, expected.xmap.rotations.data)
        assert np.allclose((s.xmap.x, s.xmap.y), (expected.xmap.x, expected.xmap.y))
        for name in expected.xmap.prop:
            assert np.array_equal(s.xmap.prop[name], expected.xmap.prop[name])

    @pytest.mark.parametrize("suffix", [".TIF", ".TIFF", ".tif", ".Tif"])
    def test_suffixes(self, tmp_path, suffix):
        path = write(tmp_path)
        expected = load_aztec_grain_list(path)
        for image in (tmp_path / "Images").iterdir():
            image.rename(image.with_suffix(suffix))
        # What others leave in folders
        for name in ("Thumbs.db", "._Al_0001.TIF", "Al_0001.tif.xml"):
            (tmp_path / "Images" / name).write_bytes(b"no image")
        self.check(load_aztec_grain_list(path), expected)
        self.check(load_aztec_grain_list(path, lazy=True), expected)

    @pytest.mark.parametrize("images", ["images", "IMAGES", "."])
    def test_folders(self, tmp_path, images):
        path = write(tmp_path, images=images)
        assert np.array_equal(load_aztec_grain_list(path).data[0, 0], pattern(0))

    @pytest.mark.parametrize(
        "encoding",
        ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"],
    )
    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    def test_encodings(self, tmp_path, encoding, mark):
        path = write(tmp_path, phase=lambda i: "α-Fe (Überstruktur)")
        lines = path.read_text().replace("\n", "\r\n")
        expected = load_aztec_grain_list(path, {"α-Fe (Überstruktur)": 229})
        if encoding in ("utf-8-sig", "utf-16", "utf-32") and mark:
            pytest.skip("has its mark")
        path.write_bytes((mark + lines).encode(encoding))
        s = load_aztec_grain_list(path, {"α-Fe (Überstruktur)": 229})
        self.check(s, expected)
        assert s.xmap.phases.names == ["α-Fe (Überstruktur)"]

    def test_text_of_excel(self, tmp_path):
        """UTF-16 with quotes around what has commas."""
        path = write(tmp_path, phase=lambda i: "Fe, Cr")
        expected = load_aztec_grain_list(path)
        text = path.read_text().replace("Fe, Cr", '"Fe, Cr"')
        text = text.replace("0.24", '"0,24"').replace("45.5", '"45,5"')
        path.write_bytes(text.replace(".000", "").encode("utf-16"))
        self.check(load_aztec_grain_list(path), expected)

    @pytest.mark.skipif(os.sep == "\\", reason="they are slashes here")
    def test_backslashes(self, tmp_path, monkeypatch):
        (tmp_path / "Al").mkdir()
        expected = load_aztec_grain_list(write(tmp_path / "Al"))
        monkeypatch.chdir(tmp_path)
        self.check(load_aztec_grain_list(r"Al\Grain List.txt"), expected)
        self.check(
            load_aztec_grain_list(r".\Al\Grain List.txt", folder=r"Al\Images"), expected
        )
        with pytest.raises(FileNotFoundError, match=r"Al\\List.txt"):
            load_aztec_grain_list(r"Al\List.txt")

    @pytest.mark.skipif(os.sep == "\\", reason="names cannot have them here")
    def test_archives_unpacked_to_one_folder(self, tmp_path, monkeypatch):
        for name in ("Al", "Cu"):
            (tmp_path / name).mkdir()
            write(tmp_path / name, *((4, 2) if name == "Cu" else (6, 3)))
        expected = [
            load_aztec_grain_list(tmp_path / i / "Grain List.txt") for i in ("Al", "Cu")
        ]
        flat = tmp_path / "flat"
        flat.mkdir()
        for path in [*tmp_path.rglob("*.txt"), *tmp_path.rglob("*.tiff")]:
            name = "\\".join(path.relative_to(tmp_path).parts)
            (flat / name).write_bytes(path.read_bytes())
        monkeypatch.chdir(flat)
        for i, name in enumerate(("Al", "Cu")):
            self.check(load_aztec_grain_list(rf"{name}\Grain List.txt"), expected[i])

    @pytest.mark.parametrize(
        "columns",
        [
            ("20,5", "10", "30", "45", "7", "0"),
            ("0,250", "1,250", "30", "45", "7", "0"),
            ("20", "10", "30,125", "45,500", "7,125", "0"),
            ("1234,500", "10", "30", "45", "7", "0"),
            ("20", "10", "-30,5", "4,5e1", "7", ",24"),
            ("+20", "-10,25", "30", "45", "7", "1"),
        ],
    )
    def test_decimal_commas(self, tmp_path, columns):
        path = write(tmp_path, n=1)
        header = HEADER.split("\tAFI")[0] + "\n"
        for text in (columns, [i.replace(",", ".") for i in columns]):
            path.write_text(header + "\t".join(["0", "Al", *text]) + "\n")
            s = load_aztec_grain_list(path)
            x, y, *euler, mad = [float(i.replace(",", ".")) for i in columns]
            assert (s.xmap.prop["X"], s.xmap.prop["Y"]) == (x, y)
            assert s.xmap.prop["MAD"] == mad
            expected = Rotation.from_euler(euler, degrees=True)
            assert s.xmap.rotations.angle_with(expected)[0] < 1e-6

    @pytest.mark.parametrize(
        ("columns", "match"),
        [
            (("1,250", "2,500", "30", "45", "7", "0"), "'1,250'.*or be thousands"),
            (("1,250", "2,500", "30.5", "45", "7", "0"), "'1,250' and '30.5'"),
            (("0,5", "2", "30.5", "45", "7", "0"), "'0,5' and '30.5'"),
            (("1,250.5", "2", "30", "45", "7", "0"), "could not convert"),
            (("1,250,500", "2", "30", "45", "7", "0"), "could not convert"),
            (("1,5,0", "2", "30", "45,5", "7", "0"), "could not convert"),
            (("1,5 ,", "2", "30", "45", "7", "0"), "could not convert"),
        ],
    )
    def test_commas_that_may_be_others(self, tmp_path, columns, match):
        path = write(tmp_path, n=1)
        header = HEADER.split("\tAFI")[0] + "\n"
        path.write_text(header + "\t".join(["0", "Al", *columns]) + "\n")
        with pytest.raises(ValueError, match=match):
            load_aztec_grain_list(path)


class TestErrors:
    def test_no_list(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="No list of grains"):
            load_aztec_grain_list(tmp_path / "Grain List.txt")

    def test_no_images(self, tmp_path):
        path = write(tmp_path, images="elsewhere")
        with pytest.raises(FileNotFoundError, match="No TIFF images"):
            load_aztec_grain_list(path)
        with pytest.raises(FileNotFoundError, match="`first_image` is 100"):
            load_aztec_grain_list(path, folder=tmp_path / "elsewhere", first_image=100)

    def test_not_a_list(self, tmp_path):
        path = write(tmp_path)
        path.write_text("ID,Phase\n1,Al\n")
        with pytest.raises(ValueError, match="lacks the columns"):
            load_aztec_grain_list(path)
        path.write_bytes(b"\x80\xff" * 100)
        with pytest.raises(ValueError, match="not a text file"):
            load_aztec_grain_list(path)
        path.write_text(HEADER)
        with pytest.raises(ValueError, match="has no points"):
            load_aztec_grain_list(path)
        path.write_text(HEADER + "0\tAl\t0\t0\tx\t0\t0\n")
        with pytest.raises(ValueError, match="point 1"):
            load_aztec_grain_list(path)

    def test_images(self, tmp_path):
        path = write(tmp_path)
        image = tmp_path / "Images" / "Al Site 1 Map Data 2_0003.tiff"
        imwrite(image, pattern(2)[:20])
        with pytest.raises(ValueError, match="0003.tiff is of shape"):
            load_aztec_grain_list(path)
        image.write_bytes(b"II*\0 not an image")
        with pytest.raises(
            ValueError, match="0003.tiff (cannot be read|is not a single)"
        ):
            load_aztec_grain_list(path)
        imwrite(tmp_path / "Images" / "copy_3.tiff", pattern(2))
        with pytest.raises(ValueError, match="have the same number"):
            load_aztec_grain_list(path)

    def test_unknown_phase(self, tmp_path):
        path = write(tmp_path)
        with pytest.raises(ValueError, match="no phase 'Fe', only"):
            load_aztec_grain_list(path, {"Fe": 229})
        with pytest.raises(ValueError, match="1 to 230"):
            load_aztec_grain_list(path, {"Al": 0})

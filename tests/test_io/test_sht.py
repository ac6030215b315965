# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test reading master patterns stored as spherical harmonics."""

import csv
from pathlib import Path
import struct
import sys
import warnings

import numpy as np
import pytest
from scipy.special import gammaln, lpmv, roots_legendre

from kikuchipy_spacegroup.io import load_sht
from kikuchipy_spacegroup.io._sht_file import _ORIGIN_SHIFTS, read_sht, to_phase

pytest.importorskip("ducc0")

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="needs the shared data")
# Rotation orders and flags of symmetry found in files
SYMMETRIES = [(4, 7), (2, 8), (2, 7), (4, 0), (6, 7), (6, 4), (3, 10), (6, 0), (3, 9)]
SYMMETRIES += [(3, 1), (3, 0), (1, 0), (0, 2)]


def crc(data: bytes) -> int:
    """Return the checksum bit by bit."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x1EDC6F41 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def kept(bandwidth: int, order: int, flags: int) -> list[tuple[int, int, str]]:
    """Return degrees, orders and parts of coefficients in a file."""
    n = max(order, 1)
    entries = []
    for m in range(0, bandwidth, n):
        part = "both"
        if flags & 4 or flags & 8:
            part = "imag" if flags & 8 and (m // n) % 2 else "real"
        for degree in range(m, bandwidth):
            if (flags & 1 and degree % 2) or (flags & 2 and (degree + m) % 2):
                continue
            entries.append((degree, m, part))
    return entries


def random_coefficients(bandwidth: int, order: int, flags: int) -> dict:
    rng = np.random.default_rng(1)
    coefficients = {}
    for degree, m, part in kept(bandwidth, order, flags):
        real, imag = rng.normal(size=2)
        coefficients[degree, m] = complex(
            0 if part == "imag" else real, 0 if part == "real" or m == 0 else imag
        )
    return coefficients


def write_sht(
    path: Path,
    coefficients: dict,
    bandwidth: int,
    order: int = 1,
    flags: int = 0,
    *,
    endian: str = "<",
    version: int = 1,
    modality: int = 1,
    n_crystals: int = 1,
    space_group: int = 225,
    setting: int = 1,
    lattice: tuple = (0.35, 0.35, 0.35, 90, 90, 90),
    rotation: tuple = (1, 0, 0, 0),
    n_atoms: int = 1,
    grid: tuple | None = (0, 0),
    n_doubles: int | None = None,
    extra: bytes = b"",
) -> Path:
    """Write a small file with one atom."""

    def text(value: bytes) -> bytes:
        return value.ljust(-(-len(value) // 8) * 8, b"\0")

    def pack(layout: str, *values) -> bytes:
        return struct.pack(endian + layout, *values)

    magic = b"*sht" if endian == "<" else b"*SHT"
    texts = [b"Ni", b"nickel", b"A1", b"a reference", b""]
    data = pack("4s2b2x8sb3x", magic, version, 1, b"v0000000", modality)
    data += pack("3f4x2h", 20, 70, 0, 3, 0)
    data += text(b"doi")
    data += pack("bBbbbbh", n_crystals, space_group, 1, 112, 1, 1, 88 * bool(grid))
    data += pack(
        "B3b3f6f4ff", space_group, setting, 1, 1, 0, 0, 0, *lattice, *rotation, 1
    )
    data += pack("6h", n_atoms, *(len(i) for i in texts))
    for _ in range(n_atoms):
        data += pack("7fb3x", 6, 12, 0, 1, 0, 0.005, 0, 28)
    data += b"".join(text(i) for i in texts)
    if grid:
        data += bytes(80) + pack("hb5x", *grid)
    values = []
    for degree, m, part in kept(bandwidth, order, flags):
        value = coefficients.get((degree, m), 0j)
        values += {
            "both": [value.real, value.imag],
            "real": [value.real],
            "imag": [value.imag],
        }[part]
    n = len(values) if n_doubles is None else n_doubles
    data += pack("hbbi", bandwidth, order, flags, n) + pack(f"{len(values)}d", *values)
    data += extra
    path.write_bytes(data + pack("I", crc(data)))
    return path


def sum_of_harmonics(coefficients: dict, theta: np.ndarray, phi: np.ndarray):
    """Return the real function the coefficients stand for."""
    total = np.zeros(theta.shape)
    for (degree, m), value in coefficients.items():
        norm = np.log(2 * degree + 1) - np.log(4 * np.pi)
        norm += gammaln(degree - m + 1) - gammaln(degree + m + 1)
        legendre = np.exp(norm / 2) * lpmv(m, degree, np.cos(theta))
        wave = value * np.exp(1j * m * phi)
        total += (1 if m == 0 else 2) * (legendre * wave).real
    return total


def angles(half_width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return colatitude (upper hemisphere) and azimuth per pixel."""
    axis = np.linspace(-1, 1, 2 * half_width + 1)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    theta = np.arccos(1 - np.maximum(np.abs(x), np.abs(y)) ** 2)
    with np.errstate(all="ignore"):
        phi = np.where(
            np.abs(y) <= np.abs(x),
            np.pi / 4 * y / x + np.pi * (x < 0),
            np.pi / 2 - np.pi / 4 * x / y + np.pi * (y < 0),
        )
    return theta, np.nan_to_num(phi)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1])


@pytest.fixture
def small_file(tmp_path) -> Path:
    return write_sht(tmp_path / "small.sht", random_coefficients(6, 4, 7), 6, 4, 7)


class TestExpansion:
    @pytest.mark.parametrize("order, flags", SYMMETRIES)
    def test_equals_sum_of_harmonics(self, tmp_path, order, flags):
        coefficients = random_coefficients(11, order, flags)
        path = write_sht(tmp_path / "a.sht", coefficients, 11, order, flags)
        data = load_sht(path, half_width=9).data
        theta, phi = angles(9)
        for hemisphere, colatitude in zip(data, (theta, np.pi - theta)):
            expected = sum_of_harmonics(coefficients, colatitude, phi)
            assert np.allclose(hemisphere, expected, atol=1e-5)

    def test_big_endian(self, tmp_path, small_file):
        coefficients = random_coefficients(6, 4, 7)
        path = write_sht(tmp_path / "b.sht", coefficients, 6, 4, 7, endian=">")
        assert np.array_equal(
            load_sht(path, half_width=5).data, load_sht(small_file, half_width=5).data
        )

    def test_latitudes_are_corrected(self, tmp_path):
        bandwidth = 64
        path = write_shifted(tmp_path / "c.sht", bandwidth)
        theta, phi = angles(40)
        expected = smooth_function(theta, phi)
        far = theta > np.deg2rad(12)  # From the pole
        errors = {
            correct: np.abs(
                load_sht(path, half_width=40, correct_latitude=correct).data - expected
            ).max(axis=0)
            for correct in (False, True, "auto")
        }
        assert np.array_equal(errors["auto"], errors[True])
        assert errors[True].max() < 0.03
        assert errors[True][far].max() < 0.01
        assert errors[False].max() > 4
        assert errors[False][far].max() > 0.15

    def test_correct_latitude_only_where_needed(self, tmp_path):
        coefficients = random_coefficients(10, 1, 0)
        for grid, corrected in [
            ((6, 2), True),
            ((6, 1), False),
            ((7, 2), False),
            (None, False),
        ]:
            path = write_sht(tmp_path / "d.sht", coefficients, 10, grid=grid)
            signal = load_sht(path, half_width=10)
            assert signal.metadata.Simulation.latitude_corrected is corrected


def smooth_function(theta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Return a function that is the same in both hemispheres."""
    z = np.cos(theta)
    return 2 * z**2 + z**4 + np.sin(theta) ** 4 * np.cos(4 * phi)


def write_shifted(path: Path, bandwidth: int) -> Path:
    """Write a function as sampled one ring too close to the pole."""
    half_width = bandwidth // 2 + 1
    nodes, weights = roots_legendre(2 * half_width - 1)
    theta = np.arccos(nodes[::-1])
    simulated = theta.copy()
    simulated[1 : half_width - 1] = theta[: half_width - 2]
    simulated[0] = np.pi / 2
    simulated[half_width:] = np.pi - simulated[: half_width - 1][::-1]
    coefficients = {}
    even = smooth_function(simulated, np.pi / 8)  # The mean over azimuths
    fourth = smooth_function(simulated, 0) - even
    for m, values in ((0, even), (4, fourth / 2)):
        for degree in range(m, bandwidth):
            norm = np.log(2 * degree + 1) - np.log(4 * np.pi)
            norm += gammaln(degree - m + 1) - gammaln(degree + m + 1)
            legendre = np.exp(norm / 2) * lpmv(m, degree, np.cos(theta))
            value = 2 * np.pi * (weights * values * legendre).sum()
            coefficients[degree, m] = complex(value)
    return write_sht(path, coefficients, bandwidth, 4, 4, grid=(half_width, 2))


class TestSignal:
    def test_is_like_that_of_emsoft(self, small_file):
        import kikuchipy as kp

        expected = kp.data.nickel_ebsd_master_pattern_small(
            projection="lambert", hemisphere="both"
        )
        signal = load_sht(small_file, half_width=200)
        assert isinstance(signal, kp.signals.EBSDMasterPattern)
        assert signal.data.dtype == "float32"
        assert signal.data.flags.c_contiguous
        assert (signal.projection, signal.hemisphere) == ("lambert", "both")
        assert str(signal.axes_manager) == str(expected.axes_manager)
        assert signal.phase.space_group.number == 225
        assert np.allclose(signal.phase.structure.lattice.a, 3.5)
        assert signal.phase.name == "Ni (nickel) [A1]"
        (atom,) = signal.phase.structure
        assert atom.element == 28
        assert np.allclose(atom.xyz, (0.25, 0.5, 0))
        assert np.isclose(atom.Uisoequiv, 0.5 / (8 * np.pi**2))
        assert signal.metadata.Acquisition_instrument.SEM.beam_energy == 20
        assert signal.metadata.Acquisition_instrument.SEM.Stage.tilt_alpha == 70
        assert signal.metadata.General.doi == "doi"

    def test_can_be_projected(self, small_file):
        from kikuchipy.detectors import EBSDDetector
        from orix.quaternion import Rotation

        signal = load_sht(small_file, half_width=20)
        patterns = signal.get_patterns(
            Rotation.identity(), EBSDDetector(shape=(5, 5)), energy=20, compute=True
        )
        assert patterns.data.shape == (1, 5, 5)

    def test_origin_choice(self, tmp_path):
        for setting, x in ((1, 0.25), (2, 0.375)):
            path = write_sht(
                tmp_path / "a.sht", {}, 4, space_group=227, setting=setting
            )
            assert np.isclose(to_phase(read_sht(path), path).structure[0].x, x)

    def test_warns_of_other_setting(self, tmp_path, caplog):
        path = write_sht(tmp_path / "a.sht", {}, 4, space_group=166, setting=2)
        to_phase(read_sht(path), path)
        assert "in setting 2 of space group 166" in caplog.text

    def test_origin_shifts(self):
        spglib = pytest.importorskip("spglib")

        def as_set(rotations, translations, shift=0):
            steps = np.rint((np.asarray(translations) + shift) * 48).astype(int) % 48
            rows = np.column_stack([np.reshape(rotations, (-1, 9)), steps])
            return {tuple(row) for row in rows.astype(int)}

        warnings.simplefilter("ignore", DeprecationWarning)
        numbers = []
        for hall in range(1, 531):
            kind = spglib.get_spacegroup_type(hall)
            if kind.choice != "2":
                continue
            numbers.append(kind.number)
            first, second = (
                spglib.get_symmetry_from_database(i).values() for i in (hall - 1, hall)
            )
            rotations, translations = list(first)[:2]
            p = np.array(_ORIGIN_SHIFTS[kind.number]) / 8
            moved = as_set(rotations, translations, rotations @ p - p)
            assert moved == as_set(*list(second)[:2])
        assert numbers == list(_ORIGIN_SHIFTS)


class TestErrors:
    def test_damaged_files(self, small_file):
        data = small_file.read_bytes()
        for size in range(len(data)):
            small_file.write_bytes(data[:size])
            with pytest.raises(ValueError, match="Cannot read"):
                load_sht(small_file)
        for position in range(len(data)):
            flipped = bytearray(data)
            flipped[position] ^= 1 << position % 8
            small_file.write_bytes(flipped)
            with pytest.raises(ValueError, match="Cannot read"):
                load_sht(small_file)

    @pytest.mark.parametrize("content", [b"", b"*sht", b"\x89HDF\r\n", b"a text" * 99])
    def test_foreign_files(self, tmp_path, content):
        path = tmp_path / "a.sht"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"Expected is a complete \.sht file"):
            load_sht(path)

    @pytest.mark.parametrize(
        "change, message",
        [
            ({"version": 2}, r"version is 2\.1"),
            ({"modality": 2}, "modality is 2"),
            ({"n_crystals": 3}, "average of 3 crystals"),
            ({"space_group": 231}, "space group is 231"),
            ({"lattice": (0.3, 0.3, -1, 90, 90, 90)}, "lattice parameters are"),
            ({"lattice": (np.nan,) * 6}, "lattice parameters are"),
            ({"rotation": (0, 1, 0, 0)}, "is rotated by"),
            ({"n_doubles": 2**31 - 1}, "should take 17179869176 bytes"),
            ({"n_doubles": -1}, "should take -8 bytes"),
            ({"n_doubles": 3}, "number of its harmonics, 3, does not fit"),
            ({"extra": bytes(8)}, "8 bytes are left over"),
        ],
    )
    def test_contradictions(self, tmp_path, change, message):
        path = write_sht(tmp_path / "a.sht", {}, 4, **change)
        with pytest.raises(ValueError, match=message):
            load_sht(path)

    def test_huge_bandwidth(self, tmp_path):
        path = write_sht(tmp_path / "a.sht", {}, 4)
        with pytest.raises(ValueError, match="bandwidth is 32767"):
            load_sht(change_bandwidth(path, 32767))
        with pytest.raises(ValueError, match="does not fit to its bandwidth 2048"):
            load_sht(change_bandwidth(path, 2048))

    def test_not_a_number(self, tmp_path):
        path = write_sht(tmp_path / "a.sht", {(2, 0): complex("nan")}, 4)
        with pytest.raises(ValueError, match="infinite or not numbers"):
            load_sht(path)

    def test_arguments(self, small_file):
        with pytest.raises(ValueError, match="half_width=1 is not"):
            load_sht(small_file, half_width=1)
        with pytest.raises(ValueError, match="correct_latitude='yes' is not"):
            load_sht(small_file, correct_latitude="yes")
        with pytest.raises(FileNotFoundError):
            load_sht("nowhere.sht")

    def test_without_ducc0(self, small_file, monkeypatch):
        monkeypatch.setitem(sys.modules, "ducc0", None)
        with pytest.raises(ImportError, match=r"kikuchipy-spacegroup\[simulate\]"):
            load_sht(small_file)


def change_bandwidth(path: Path, bandwidth: int) -> Path:
    """Declare another bandwidth in a file of bandwidth 4."""
    n = sum(2 for _ in kept(4, 1, 0))
    data = bytearray(path.read_bytes()[:-4])
    data[-8 * n - 8 : -8 * n - 6] = struct.pack("<h", bandwidth)
    path.write_bytes(bytes(data) + struct.pack("<I", crc(data)))
    return path


@needs_data
class TestFiles:
    path = DATA / "sht" / "Ni_nickel_A1__225__20.sht"

    @pytest.mark.parametrize("correct, bounds", [("auto", (0.9, 1)), (False, (0, 0.8))])
    def test_like_emsoft(self, correct, bounds):
        import kikuchipy as kp

        expected = kp.data.nickel_ebsd_master_pattern_small(
            projection="lambert", hemisphere="upper"
        )
        signal = load_sht(self.path, half_width=200, correct_latitude=correct)
        r = correlation(signal.data[0], expected.data.astype(float))
        assert bounds[0] < r < bounds[1]

    @pytest.mark.parametrize(
        "correct, bounds", [("auto", (0.98, 1)), (False, (0, 0.7))]
    )
    def test_threefold_axes(self, correct, bounds):
        from scipy.ndimage import map_coordinates

        data = load_sht(self.path, correct_latitude=correct).data[0]
        # Directions around [111], and the same turned by 120 degrees
        y, x = np.mgrid[-0.5:0.5:81j, -0.5:0.5:81j]
        inner = x**2 + y**2 < 0.25
        vectors = np.stack([1 + x - y, 1 - x - y, 1 + 2 * y], axis=-1)[inner]
        vectors = vectors[(vectors > 0.05).all(axis=1)]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        values = []
        for xyz in (vectors.T, vectors.T[[1, 2, 0]]):
            phi = np.arctan2(xyz[1], xyz[0])  # 0 to 90 degrees
            k = 150 * np.sqrt(1 - xyz[2])
            across = 4 / np.pi * k
            column = np.where(phi < np.pi / 4, k, across * (np.pi / 2 - phi))
            row = np.where(phi < np.pi / 4, across * phi, k)
            values.append(map_coordinates(data, [row + 150, column + 150], order=1))
        assert bounds[0] < correlation(*values) < bounds[1]

    @pytest.mark.parametrize(
        "file, reference, r_min",
        [
            ("Ni_nickel_A1__225", "ni_225", 0.94),
            ("Fe_alpha_iron_A2__229", "fe_229", 0.92),
            ("Si_silicon_A4__227", "si_227", 0.78),
            ("Ta_tantalum_A2__229", "ta_229", 0.97),
            ("Ni3Al_gamma_prime_L1_2__221", "ni3al_221", 0.92),
        ],
    )
    def test_like_bloch_waves(self, file, reference, r_min):
        import kikuchipy as kp

        expected = kp.load(
            DATA / "masters" / f"{reference}_20kv.h5",
            projection="lambert",
            hemisphere="both",
        ).data
        path = DATA / "sht" / f"{file}__20.sht"
        corrected = load_sht(path).data
        uncorrected = load_sht(path, correct_latitude=False).data
        assert correlation(corrected, expected) > r_min
        assert correlation(uncorrected, expected) < r_min - 0.15

    def test_all_can_be_read(self):
        with open(DATA / "sht" / "index.csv") as file:
            rows = list(csv.DictReader(file))
        for row in rows[1::3]:
            path = DATA / "sht" / row["file"]
            content = read_sht(path)
            phase = to_phase(content, path)
            assert phase.name == row["phase"]
            assert phase.space_group.number == int(row["space_group_in_file"])
            assert content.energy == float(row["kV"])

    def test_damaged(self, tmp_path):
        data = self.path.read_bytes()
        path = tmp_path / "a.sht"
        for position in np.linspace(0, len(data) - 1, 60).astype(int):
            path.write_bytes(data[:position])
            with pytest.raises(ValueError, match="Cannot read"):
                load_sht(path)
            flipped = bytearray(data)
            flipped[position] ^= 16
            path.write_bytes(flipped)
            with pytest.raises(ValueError, match="Cannot read"):
                load_sht(path)

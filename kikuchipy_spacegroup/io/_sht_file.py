# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of .sht files, see :mod:`kikuchipy_spacegroup.io`.

The layout follows the format description in the repository
``EMsoft-org/SHTfile``.
"""

from dataclasses import dataclass
from functools import lru_cache
import logging
from pathlib import Path
import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from orix.crystal_map import Phase

_logger = logging.getLogger(__name__)

# Right-shifting CRC with an unreflected polynomial, as in the writer
_POLYNOMIAL = 0x1EDC6F41
_MODALITIES = {0: "unknown", 1: "EBSD", 3: "TKD"}
# Five times what is found in files, with 32 MB of coefficients
_MAX_BANDWIDTH = 2048
_MAX_BYTES = 2**26

# Origin choice 2 as seen from origin choice 1, in eighths of the cell
# edges, from the International Tables for Crystallography, volume A
# fmt: off
_ORIGIN_SHIFTS = {
    48: (2, 2, 2), 50: (2, 2, 0), 59: (2, 2, 0), 68: (0, 2, 2), 70: (1, 1, 1),
    85: (2, 6, 0), 86: (2, 2, 2), 88: (0, 2, 1), 125: (2, 2, 0), 126: (2, 2, 2),
    129: (2, 6, 0), 130: (2, 6, 0), 133: (2, 6, 2), 134: (2, 6, 2), 137: (2, 6, 2),
    138: (2, 6, 2), 141: (0, 6, 1), 142: (0, 6, 1), 201: (2, 2, 2), 203: (1, 1, 1),
    222: (2, 2, 2), 224: (2, 2, 2), 227: (1, 1, 1), 228: (3, 3, 3),
}
# fmt: on


@dataclass(frozen=True)
class Content:
    """Content of a file, in keV, degrees and nm."""

    modality: str
    energy: float
    tilt: float
    doi: str
    space_group: int
    origin_choice: int
    lattice: tuple[float, ...]
    atoms: np.ndarray  # (n, 6): Z, x, y, z, occupancy, Debye-Waller B in nm^2
    texts: dict[str, str]
    grid_type: int
    half_width: int
    bandwidth: int
    alm: np.ndarray  # Triangular, m-major


class _Buffer:
    """Bytes of a file, unpacked from front to back within bounds."""

    def __init__(self, data: bytes, path: Path) -> None:
        self.data = data
        self.path = path
        self.order = "<" if data[:4] == b"*sht" else ">"
        self.position = 0

    def error(self, what: str) -> ValueError:
        return ValueError(
            f"Cannot read {str(self.path)!r}: {what}. Expected is a complete .sht file "
            "of version 1 with the EBSD master pattern of one crystal. Download the "
            "file anew, or write it anew with EMsoft or EMSphInx."
        )

    def bytes(self, size: int, what: str) -> bytes:
        end = self.position + size
        if size < 0 or end > len(self.data):
            raise self.error(
                f"{what} should take {size} bytes from byte {self.position}, where "
                f"{len(self.data) - self.position} are left"
            )
        start, self.position = self.position, end
        return self.data[start:end]

    def unpack(self, layout: str, what: str) -> tuple:
        layout = self.order + layout
        return struct.unpack(layout, self.bytes(struct.calcsize(layout), what))

    def text(self, size: int, what: str) -> str:
        padded = self.bytes(-(-size // 8) * 8, what)
        return padded[: max(size, 0)].decode("utf-8", errors="replace").strip("\0 ")


@lru_cache(maxsize=1)
def _checksum_table() -> tuple[int, ...]:
    """Return the checksums of all 256 bytes."""
    table = list(range(256))
    for _ in range(8):
        table = [(i >> 1) ^ (_POLYNOMIAL if i & 1 else 0) for i in table]
    return tuple(table)


def _checksum(data: bytes) -> int:
    """Return the checksum the format asks for of *data*."""
    table = _checksum_table()
    value = 0xFFFFFFFF
    for byte in data:
        value = (value >> 8) ^ table[(value ^ byte) & 255]
    return value ^ 0xFFFFFFFF


def read_sht(path: Path) -> Content:
    """Return the content of a file after checking it."""
    with open(path, "rb") as file:
        magic = file.read(4)
        more = file.read(_MAX_BYTES) if magic in (b"*sht", b"*SHT") else b""
        data = magic + more
    buffer = _Buffer(data, path)
    if magic not in (b"*sht", b"*SHT"):
        raise buffer.error(f"it starts with {magic!r} and not with b'*sht' or b'*SHT'")
    if len(data) < 128:
        raise buffer.error(f"it ends after {len(data)} bytes")
    if len(more) == _MAX_BYTES:
        raise buffer.error(f"it is larger than {_MAX_BYTES} bytes")
    (checksum,) = struct.unpack(buffer.order + "I", data[-4:])
    buffer.data = data[:-4]
    expected = _checksum(buffer.data)
    if checksum != expected:
        raise buffer.error(
            f"it is damaged or incomplete: its checksum is {expected:#010x}, and not "
            f"{checksum:#010x} as given in its last four bytes"
        )
    content = Content(**_read_header(buffer), **_read_harmonics(buffer))
    if buffer.position != len(buffer.data):
        raise buffer.error(
            f"{len(buffer.data) - buffer.position} bytes are left over at its end"
        )
    return content


def _read_header(buffer: _Buffer) -> dict:
    """Return everything before the harmonics."""
    _, major, minor = buffer.unpack("4s2b2x", "the start")
    if major != 1:
        raise buffer.error(f"its version is {major}.{minor}")
    modality, energy, tilt, n_doi, n_notes = buffer.unpack("8xb3xff8xhh", "the header")
    if modality not in _MODALITIES:
        raise buffer.error(f"its modality is {modality}, and not one of {_MODALITIES}")
    if not np.isfinite([energy, tilt]).all():
        raise buffer.error(f"its energy is {energy} keV and its tilt {tilt} degrees")
    doi = buffer.text(n_doi, "the DOI")
    notes = buffer.text(n_notes, "the notes")

    n_crystals, n_simulation = buffer.unpack("bx4xh", "the master pattern block")
    if n_crystals != 1:
        raise buffer.error(f"it is an average of {n_crystals} crystals")
    header = _read_crystal(buffer)
    header["texts"]["notes"] = notes

    simulation = buffer.bytes(n_simulation, "the simulation data")
    grid_type = half_width = 0
    if n_simulation >= 88:
        # The half-width of the grid and its type come 8 bytes before the end
        half_width, grid_type = struct.unpack_from(buffer.order + "hb", simulation, 80)
    return header | {
        "modality": _MODALITIES[modality],
        "energy": energy,
        "tilt": tilt,
        "doi": doi,
        "grid_type": grid_type,
        "half_width": half_width,
    }


def _read_crystal(buffer: _Buffer) -> dict:
    """Return space group, lattice, atoms and texts of a crystal."""
    space_group, choice = buffer.unpack("Bb14x", "the space group")
    lattice = buffer.unpack("6f", "the lattice")
    rotation = buffer.unpack("4f4x", "the rotation")
    n_atoms, *n_texts = buffer.unpack("6h", "the numbers of atoms and letters")
    if not 1 <= space_group <= 230:
        raise buffer.error(f"its space group is {space_group}, and not 1 to 230")
    if not (np.isfinite(lattice).all() and min(lattice) > 0 and max(lattice) < 1e3):
        raise buffer.error(f"its lattice parameters are {lattice} (nm and degrees)")
    if not np.allclose(np.abs(rotation), (1, 0, 0, 0), atol=1e-6):
        raise buffer.error(
            f"its pattern is rotated by the quaternion {rotation} from the crystal axes"
        )
    if n_atoms < 0:
        raise buffer.error(f"its number of atoms is {n_atoms}")
    raw = [buffer.unpack("3f2ff4xb3x", "an atom") for _ in range(n_atoms)]
    atoms = np.array(raw, dtype="float64").reshape(-1, 7)
    # Coordinates are given in 24ths of the cell edges; the charge is unused
    atoms = np.column_stack([atoms[:, 6], atoms[:, :3] / 24, atoms[:, [3, 5]]])
    if not np.isfinite(atoms).all():
        raise buffer.error("some numbers of its atoms are infinite or not numbers")
    keys = ("formula", "name", "symbol", "references", "note")
    texts = {key: buffer.text(n, f"the {key}") for key, n in zip(keys, n_texts)}
    return {
        "space_group": space_group,
        "origin_choice": choice,
        "lattice": lattice,
        "atoms": atoms,
        "texts": texts,
    }


def _read_harmonics(buffer: _Buffer) -> dict:
    """Return the bandwidth and the unpacked coefficients."""
    bandwidth, order, flags, n = buffer.unpack("hbbi", "the block of harmonics")
    if not 2 <= bandwidth <= _MAX_BANDWIDTH or order < 0 or not 0 <= flags <= 11:
        raise buffer.error(
            f"its bandwidth is {bandwidth} (2 to {_MAX_BANDWIDTH}), its rotation order "
            f"{order} (0 or more), and its symmetry flags are {flags} (0 to 11)"
        )
    coefficients = np.frombuffer(
        buffer.bytes(8 * n, "the harmonics"), buffer.order + "f8"
    )
    if not (np.abs(coefficients) < 1e30).all():
        raise buffer.error("some of its harmonics are infinite or not numbers")
    alm = np.zeros(bandwidth * (bandwidth + 1) // 2, dtype="complex128")
    order = max(order, 1)
    position = 0
    for m in range(0, bandwidth, order):
        degree = np.arange(m, bandwidth)
        if flags & 1:
            degree = degree[degree % 2 == 0]
        if flags & 2:
            degree = degree[(degree + m) % 2 == 0]
        stride = 1 if flags & 12 else 2
        row = coefficients[position : position + stride * degree.size]
        if row.size < stride * degree.size:
            break
        position += row.size
        if stride == 2:
            row = row[::2] + 1j * row[1::2]
        elif flags & 8 and (m // order) % 2:
            row = 1j * row
        alm[m * (2 * bandwidth - 1 - m) // 2 + degree] = row
    else:
        if position == n:
            return {"bandwidth": bandwidth, "alm": alm}
    raise buffer.error(
        f"the number of its harmonics, {n}, does not fit to its bandwidth {bandwidth}, "
        f"rotation order {order} and symmetry flags {flags}"
    )


def to_phase(content: Content, path: Path) -> "Phase":
    """Return the phase with lattice parameters in angstrom, and with
    atoms always given with respect to origin choice 1, as orix expects.
    """
    from diffpy.structure import Atom, Lattice, LatticeError, Structure
    from orix.crystal_map import Phase

    shift = np.zeros(3)
    if content.origin_choice == 2 and content.space_group in _ORIGIN_SHIFTS:
        shift = np.array(_ORIGIN_SHIFTS[content.space_group]) / 8
    elif content.origin_choice != 1:
        _logger.warning(
            "%s gives atoms in setting %s of space group %s, but they are taken to be "
            "in the standard setting",
            path,
            content.origin_choice,
            content.space_group,
        )
    atoms = [
        Atom(
            atype=int(row[0]),
            xyz=row[1:4] + shift,
            occupancy=row[4],
            Uisoequiv=row[5] / (8 * np.pi**2) * 1e2,  # From nm^2 to Angstrom^2
        )
        for row in content.atoms
    ]
    texts = content.texts
    parts = [("{}", "formula"), ("({})", "name"), ("[{}]", "symbol")]
    name = " ".join(form.format(texts[key]) for form, key in parts if texts[key])
    try:
        edges = [10 * edge for edge in content.lattice[:3]]  # From nm
        lattice = Lattice(*edges, *content.lattice[3:])
        return Phase(
            name=name or path.stem,
            space_group=content.space_group,
            structure=Structure(lattice=lattice, atoms=atoms),
        )
    except (LatticeError, ArithmeticError, ValueError) as error:
        raise ValueError(
            f"Cannot read {str(path)!r}: its lattice {content.lattice} (nm and degrees) "
            f"is none: {error}"
        ) from error

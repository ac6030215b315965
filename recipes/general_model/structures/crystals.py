# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Crystals in the standard setting: check them, reduce them to sites, name their type.

The standard setting is spglib's: the first Hall number of a space group, which is origin
choice 1, hexagonal axes for rhombohedral lattices and unique axis b.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
import functools
import math
from typing import NamedTuple

import numpy as np
import spglib

# Angstrom. A structure of the same group at the second is no slight distortion of a more
# symmetric one, which a Kikuchi pattern would not resolve
TOLERANCE, COARSE_TOLERANCE = 0.01, 0.1
# Another counts if its group is the same at these, so that rounding does not decide
TOLERANCES = 0.003, 0.03
# Of the standard cell, for finding sites and expanding them
FINE = 1e-3
ENANTIOMORPHS = {
    76: 78, 91: 95, 92: 96, 144: 145, 151: 153, 152: 154, 169: 170, 171: 172, 178: 179,
    180: 181, 212: 213,
}  # fmt: skip
FIRST_OF_PAIR = {second: first for first, second in ENANTIOMORPHS.items()}
# First and last space group of each crystal system
SYSTEMS = {
    "triclinic": (1, 2), "monoclinic": (3, 15), "orthorhombic": (16, 74),
    "tetragonal": (75, 142), "trigonal": (143, 167), "hexagonal": (168, 194),
    "cubic": (195, 230),
}  # fmt: skip
# Covalent radii in angstrom (Cordero et al., 2008), H to Cm
RADII = dict(
    zip(
        """H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu
        Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba
        La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi
        Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm""".split(),
        map(
            float,
            """.31 .28 1.28 .96 .84 .76 .71 .66 .57 .58 1.66 1.41 1.21 1.11 1.07 1.05
            1.02 1.06 2.03 1.76 1.70 1.60 1.53 1.39 1.39 1.32 1.26 1.24 1.32 1.22 1.22
            1.20 1.19 1.20 1.20 1.16 2.20 1.95 1.90 1.75 1.64 1.54 1.47 1.46 1.42 1.39
            1.45 1.44 1.42 1.39 1.39 1.38 1.39 1.40 2.44 2.15 2.07 2.04 2.03 2.01 1.99
            1.98 1.98 1.96 1.94 1.92 1.92 1.89 1.90 1.87 1.87 1.75 1.70 1.62 1.51 1.44
            1.41 1.36 1.36 1.32 1.45 1.46 1.48 1.40 1.50 1.50 2.60 2.21 2.15 2.06 2.00
            1.96 1.90 1.87 1.80 1.69""".split(),
        ),
    )
)
ATOMIC_NUMBERS = {element: i + 1 for i, element in enumerate(RADII)}


class Site(NamedTuple):
    """One element on one site of the asymmetric unit.

    Mixed sites are several of these with the same position.
    """

    element: str
    x: float
    y: float
    z: float
    occupancy: float
    debye_waller: float
    """Isotropic B in square angstrom."""


@dataclass
class Structure:
    """A crystal structure in the standard setting."""

    identifier: str
    space_group: int
    lattice: tuple[float, float, float, float, float, float]
    """Lengths in angstrom and angles in degrees."""
    sites: list[Site]
    source: str = ""
    licence: str = ""
    made: str = "real"
    name: str = ""
    experimental: bool = True
    robust: bool = True
    """Whether spglib finds the same group also at the coarse tolerance."""
    declared: str = ""
    """Formula the source states."""
    extra: dict = field(default_factory=dict)

    @functools.cached_property
    def cell(self) -> Cell:
        """All atoms of the conventional cell."""
        return expand(self)

    @functools.cached_property
    def formula(self) -> str:
        """Reduced formula, elements in the order of the alphabet."""
        return format_formula(self.cell.composition())

    @functools.cached_property
    def ideal_formula(self) -> str:
        """Reduced formula with the majority element alone on each site."""
        return format_formula(self.cell.composition(majority=True))

    @functools.cached_property
    def multiplicities(self) -> tuple[int, ...]:
        """Sorted multiplicities of the occupied sites of the conventional cell."""
        return tuple(sorted(np.bincount(self.cell.orbit).tolist()))

    @property
    def heavy_multiplicities(self) -> tuple[int, ...]:
        """Those of sites with more than hydrogen, which is often not located."""
        cell = self.cell
        counts = np.bincount(cell.orbit)
        heavy = {
            int(orbit)
            for orbit, content in zip(cell.orbit, cell.contents)
            if any(element != "H" for element, *_ in content)
        }
        return tuple(sorted(int(counts[orbit]) for orbit in heavy))

    @property
    def group_of_pair(self) -> int:
        """Space group, with the first of an enantiomorphic pair for both."""
        return FIRST_OF_PAIR.get(self.space_group, self.space_group)

    @functools.cached_property
    def structure_type(self) -> str:
        """Space group, ratio of amounts and multiplicities."""
        ratio = ":".join(str(n) for n in sorted(amounts(self.ideal_formula).values()))
        multiplicities = " ".join(str(m) for m in self.multiplicities)
        return f"{self.group_of_pair} {ratio} {multiplicities}"

    @property
    def material(self) -> str:
        """Ideal formula and space group."""
        return f"{self.ideal_formula} {self.group_of_pair}"

    @property
    def n_primitive(self) -> int:
        """Number of occupied positions in the primitive cell."""
        return len(self.cell.positions) // lattice_points(self.space_group)

    @property
    def primitive_volume(self) -> float:
        """Volume of the primitive cell in cubic angstrom."""
        return self.cell.volume / lattice_points(self.space_group)

    @property
    def cost(self) -> float:
        """Rough seconds to simulate on one idle core at half-width 100.

        The time of one direction grows with the volume of the primitive cell, and the
        number of directions is divided by the order of the point group.
        """
        order = len(operations(self.space_group)[0]) // lattice_points(self.space_group)
        volume = self.primitive_volume
        return 3 + (0.5 * volume + 0.0005 * volume**2) / order

    @property
    def system(self) -> str:
        """Crystal system."""
        return crystal_system(self.space_group)

    @property
    def elements(self) -> frozenset[str]:
        """Elements in it."""
        return frozenset(site.element for site in self.sites)


@dataclass
class Cell:
    """Atoms of a conventional cell."""

    lattice: np.ndarray
    """Vectors as rows, shape (3, 3), in angstrom."""
    positions: np.ndarray
    """Fractional, shape (atoms, 3)."""
    contents: list[tuple[tuple[str, float, float], ...]]
    """Element, occupancy and B of all that is on each position."""
    orbit: np.ndarray
    """Index of the site of each position, shape (atoms,)."""

    @property
    def volume(self) -> float:
        """Volume in cubic angstrom."""
        return float(abs(np.linalg.det(self.lattice)))

    def kinds(self) -> list[int]:
        """Return a number for each position, the same for the same content."""
        keys = [tuple((e, round(o, 2)) for e, o, _ in c) for c in self.contents]
        numbers = {key: i + 1 for i, key in enumerate(sorted(set(keys)))}
        return [numbers[key] for key in keys]

    def composition(self, majority: bool = False) -> dict[str, float]:
        """Return the amount of each element in the cell."""
        total: dict[str, float] = {}
        for content in self.contents:
            occupied = sum(o for _, o, _ in content)
            if majority:
                # A site more than half empty counts as its share of a full one
                element = max(content, key=lambda c: (c[1], c[0]))[0]
                share = 1.0 if occupied > 0.5 else occupied
                total[element] = total.get(element, 0.0) + share
                continue
            for element, occupancy, _ in content:
                total[element] = total.get(element, 0.0) + occupancy
        return total

    def find_group(self, tolerance: float) -> int:
        """Return the space group spglib finds, 0 if none."""
        cell = (self.lattice, self.positions, self.kinds())
        dataset = find_symmetry(cell, tolerance)
        return 0 if dataset is None else int(dataset.number)


def find_symmetry(cell: tuple, tolerance: float):
    """Return spglib's dataset of a cell, None where it finds none."""
    try:
        return spglib.get_symmetry_dataset(cell, symprec=tolerance)
    except Exception as error:  # spglib 2.8 raises where older ones return None
        if type(error).__name__ != "SpglibError":
            raise
        return None


def crystal_system(space_group: int) -> str:
    """Return the crystal system of a space group."""
    for system, (first, last) in SYSTEMS.items():
        if first <= space_group <= last:
            return system
    raise ValueError(f"Space groups are 1 to 230, not {space_group}")


@functools.cache
def hall_number(space_group: int) -> int:
    """Return spglib's Hall number of the standard setting."""
    return _hall_numbers()[space_group]


@functools.cache
def _hall_numbers() -> dict[int, int]:
    first: dict[int, int] = {}
    for hall in range(1, 531):
        first.setdefault(spglib.get_spacegroup_type(hall).number, hall)
    return first


@functools.cache
def operations(space_group: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rotations and translations of the standard setting."""
    found = spglib.get_symmetry_from_database(hall_number(space_group))
    return found["rotations"], found["translations"]


@functools.cache
def lattice_points(space_group: int) -> int:
    """Return the number of lattice points of the conventional cell."""
    rotations, _ = operations(space_group)
    return int((rotations == np.eye(3, dtype=int)).all(axis=(1, 2)).sum())


def lattice_vectors(parameters) -> np.ndarray:
    """Return lattice vectors as rows, a along x and b in the plane of x and y."""
    a, b, c, *angles = parameters
    alpha, beta, gamma = np.deg2rad(angles)
    cx = np.cos(beta)
    cy = (np.cos(alpha) - np.cos(beta) * np.cos(gamma)) / np.sin(gamma)
    cz = np.sqrt(max(1 - cx**2 - cy**2, 0.0))
    rows = (
        [a, 0, 0],
        [b * np.cos(gamma), b * np.sin(gamma), 0],
        [c * cx, c * cy, c * cz],
    )
    return np.array(rows, dtype=float)


def lattice_parameters(vectors: np.ndarray) -> tuple[float, ...]:
    """Return lengths and angles of lattice vectors in rows."""
    lengths = np.linalg.norm(vectors, axis=1)
    cosines = [
        vectors[i] @ vectors[j] / lengths[i] / lengths[j]
        for i, j in ((1, 2), (0, 2), (0, 1))
    ]
    return (*lengths.tolist(), *np.rad2deg(np.arccos(cosines)).tolist())


def on_site(position: np.ndarray, space_group: int) -> np.ndarray:
    """Return a position moved exactly onto the special position it is rounded from."""
    rotations, translations = operations(space_group)
    images = rotations @ position + translations
    shifts = images - position
    shifts -= np.round(shifts)
    same = (np.abs(shifts) < FINE).all(axis=1)
    return position + shifts[same].mean(axis=0)


def orbit(position: np.ndarray, space_group: int) -> np.ndarray:
    """Return all distinct positions equivalent to one, shape (multiplicity, 3)."""
    rotations, translations = operations(space_group)
    images = (rotations @ on_site(position, space_group) + translations) % 1.0
    return images[distinct(images, 0.5 * FINE)]


def distinct(positions: np.ndarray, tolerance: float) -> np.ndarray:
    """Return indices of the first of each group of equal fractional positions."""
    difference = positions[:, None] - positions[None]
    difference -= np.round(difference)
    same = (np.abs(difference) < tolerance).all(axis=2)
    return np.flatnonzero(~np.tril(same, -1).any(axis=1))


def expand(structure: Structure) -> Cell:
    """Return all atoms of the conventional cell of a structure."""
    groups: dict[tuple, list] = {}
    for site in structure.sites:
        of_site = groups.setdefault(tuple(site[1:4]), [])
        of_site.append((site.element, site.occupancy, site.debye_waller))
    positions, contents, owner = [], [], []
    for i, (position, content) in enumerate(groups.items()):
        images = orbit(np.array(position), structure.space_group)
        positions.append(images)
        contents += [tuple(sorted(content))] * len(images)
        owner += [i] * len(images)
    vectors = lattice_vectors(structure.lattice)
    return Cell(vectors, np.concatenate(positions), contents, np.array(owner))


def amounts(formula: str) -> dict[str, Fraction]:
    """Return the amounts in a formula such as ``Al2O3``, reduced to whole numbers."""
    import re

    parts = re.findall(r"([A-Z][a-z]?)([0-9.]*)", formula)
    total: dict[str, float] = {}
    for element, number in parts:
        total[element] = total.get(element, 0.0) + float(number or 1)
    return reduce_amounts(total)


def reduce_amounts(total: dict[str, float]) -> dict[str, Fraction]:
    """Return amounts divided by their greatest common divisor.

    Amounts that are no multiples of a sixth are divided by the largest number of formula
    units that leaves the sum of the others whole, and rounded to three digits.
    """
    fractions = {e: Fraction(n).limit_denominator(6) for e, n in total.items() if n > 0}
    if all(abs(float(f) - total[e]) < 2e-3 and f > 0 for e, f in fractions.items()):
        common = math.lcm(*(f.denominator for f in fractions.values()))
        whole = {e: int(f * common) for e, f in fractions.items()}
        divisor = math.gcd(*whole.values())
        return {e: Fraction(n // divisor) for e, n in whole.items()}
    near = [round(n) for n in total.values() if abs(n - round(n)) < 0.01 and n > 0.5]
    divisor = math.gcd(*near) if near else 1
    return {
        e: Fraction(round(1000 * n / divisor), 1000)
        for e, n in total.items()
        if round(1000 * n / divisor) > 0
    }


def format_formula(total: dict[str, float]) -> str:
    """Return a reduced formula, elements in the order of the alphabet."""
    reduced = reduce_amounts(total)
    return "".join(
        element + ("" if n == 1 else f"{float(n):g}")
        for element, n in sorted(reduced.items())
    )

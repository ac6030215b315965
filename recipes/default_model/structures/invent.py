# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Invent structures with atoms at random positions, for more to train on.

Usage::

    python -m recipes.default_model.structures.invent [OUTPUT]

The ten space groups of m-3m differ in which reflections are absent, whatever
the atoms. A network should learn this and not what nickel looks like, so
there are many structures of every group, also of those hardly any compound
has (224, 226), and of other groups as what it does not know. Atoms
sit on positions of high symmetry, the nearest ones as far apart as in
crystals. A structure counts if spglib finds the space group in it and if the
strongest reflection that tells it from each more extinct group is not much
weaker than the strongest of all. The table is simulated with
``simulate_masters.py MASTERS --table invented.csv``.
"""

import argparse
from pathlib import Path
import re

from diffpy.structure.spacegroups import GetSpaceGroup
import numpy as np
import spglib

from benchmarks.tables import write_table
from recipes.default_model.structures.library import RESERVED, UNKNOWN
from recipes.default_model.structures.simulate_masters import TABLE, Site, format_sites
from recipes.default_model.structures.variants import APART, ELEMENTS, Z

SEED = 21
# How many structures of which group
NUMBERS = {
    221: 30, 223: 40, 224: 50, 225: 35, 226: 20, 227: 35, 229: 35, 230: 45,
}  # fmt: skip
OTHERS = {
    194: 40, 186: 16, 191: 8, 193: 6, 189: 6, 176: 4, 164: 6, 156: 3, 139: 16, 123: 10,
    127: 5, 140: 5, 131: 4, 63: 6, 65: 4, 71: 5, 47: 3, 216: 16, 217: 6, 215: 8, 220: 4,
    198: 8, 200: 5, 204: 5, 206: 4, 199: 3, 212: 3, 197: 3, 195: 3,
}  # fmt: skip
CUBIC = tuple(NUMBERS)
# Groups tabulated with two origins, of which the second is used
TWO_ORIGINS = (222, 224, 227, 228)
# A group whose simpler positions have the absences of another group, so that its cells
# are large: how many are simulated. The others are marked as kinematical, which
# ``library.py`` does not use, as it takes up to a minute each. In 222 and 228, even large
# cells hardly show what tells them apart, so there are none
LARGE = {226: 8}
MOST_ATOMS, MOST_ATOMS_LARGE = 14, 30
# Of types that are kept for judging how well models generalise
OF_KEPT_TYPES = """
    BaPt_invented223 LaCd_invented223 ZnTl_invented223 HfTe_invented223 YRh_invented199
    OsMo_invented193 ErCo_invented193
""".split()
# Of the strongest reflection that tells a group from a more extinct one, relative to
# the strongest of all
LEAST_AMPLITUDE = 0.2
NEAREST = 0.21, 0.30  # nm


def operations(number: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return rotations and translations of a space group."""
    return [(op.R, op.t) for op in GetSpaceGroup(number).iter_symops()]


def orbit(position: np.ndarray, number: int) -> np.ndarray:
    """Return all positions equivalent to one."""
    all_of = np.array([r @ position + t for r, t in operations(number)]) % 1.0
    return np.unique(np.round(all_of, 5) % 1.0, axis=0)


def allowed(number: int, hkl: np.ndarray) -> np.ndarray:
    """Return which reflections are not systematically absent."""
    present = np.ones(len(hkl), dtype=bool)
    for r, t in operations(number):
        fixed = (hkl @ r == hkl).all(axis=1)
        phase = hkl @ t
        present &= ~(fixed & (np.abs(phase - np.round(phase)) > 1e-3))
    return present


def random_position(number: int, rng: np.random.Generator) -> np.ndarray:
    """Return a position that is likely to be special."""
    if 143 <= number <= 194:
        xy = [(0, 0), (1 / 3, 2 / 3), (1 / 2, 0), (rng.uniform(0.2, 0.4), 0)]
        z = rng.choice([0, 1 / 4, 1 / 2, 3 / 4, rng.uniform(0.05, 0.45)])
        return np.array([*xy[rng.choice(4, p=[0.35, 0.45, 0.1, 0.1])], z])
    eighths = np.array([0, 1, 2, 3, 4, 6]) / 8
    position = rng.choice(eighths, 3)
    x = rng.uniform(0.08, 0.42)
    kind = rng.integers(6)
    if number in LARGE:
        free = np.array([x, x, rng.uniform(0.08, 0.42)])
        position = np.where(rng.random(3) < 0.5, rng.permutation(free), position)
    elif kind == 0:
        position[:] = x
    elif kind == 1:
        position[0] = x
    return position


def cell(number: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Return lengths relative to a, and the angle gamma in degrees."""
    if number >= 195:
        return np.ones(3), 90.0
    if number >= 143:
        ideal = number == 194 and rng.random() < 0.6
        return np.array(
            [1, 1, rng.uniform(*((1.5, 1.75) if ideal else (0.6, 1.9)))]
        ), 120
    if number >= 75:
        return np.array([1, 1, rng.uniform(0.5, 1.9)]), 90.0
    return np.array([1, rng.uniform(0.6, 1.6), rng.uniform(0.6, 1.6)]), 90.0


def nearest(positions: np.ndarray, vectors: np.ndarray) -> float:
    """Return the shortest distance between atoms, in units of the vectors."""
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), axis=-1).reshape(-1, 3)
    difference = positions[:, None, None] - positions[None, :, None] + shifts
    length = np.linalg.norm(difference @ vectors, axis=-1)
    return float(length[length > 1e-3].min())


def amplitudes(hkl, a, positions, symbols, b) -> np.ndarray:
    """Return absolute structure factors of a cubic crystal.

    Atoms scatter as screened (Yukawa) potentials.
    """
    g2 = (hkl**2).sum(axis=1) / a**2
    total = np.zeros(len(hkl), dtype=complex)
    for of_site, symbol in zip(positions, symbols):
        z = Z[symbol]
        factor = z / (4 * np.pi**2 * g2 + (z ** (1 / 3) / 0.0529) ** 2)
        factor = factor * np.exp(-0.25 * b * g2)
        total += factor * np.exp(2j * np.pi * hkl @ of_site.T).sum(axis=1)
    return np.abs(total)


def is_telling(number: int, strength: np.ndarray, present: dict) -> bool:
    """Return whether reflections tell a group from all more extinct ones."""
    mine = present[number]
    for other, theirs in present.items():
        more_extinct = other != number and not (theirs & ~mine).any()
        if more_extinct and strength[mine & ~theirs].max() < (
            LEAST_AMPLITUDE * strength.max()
        ):
            return False
    return True


def invent(number: int, present: dict, hkl: np.ndarray, rng) -> dict | None:
    """Return a structure, or None if the attempt is not one."""
    ratio, gamma = cell(number, rng)
    angle = np.deg2rad(gamma)
    vectors = np.diag(ratio)
    vectors[1] = ratio[1] * np.array([np.cos(angle), np.sin(angle), 0])
    n = rng.choice([1, 2, 3], p=[0.3, 0.5, 0.2] if number == 194 else [0.2, 0.55, 0.25])
    seeds = [random_position(number, rng) for _ in range(n)]
    positions = [orbit(i, number) for i in seeds]
    everything = np.concatenate(positions)
    lattice_points = {"F": 4, "I": 2, "A": 2, "B": 2, "C": 2}.get(
        GetSpaceGroup(number).short_name[0], 1
    )
    most = MOST_ATOMS_LARGE if number in LARGE else MOST_ATOMS
    if not lattice_points < len(everything) <= most * lattice_points:
        return None
    closest = nearest(everything, vectors)
    if closest < 0.05 or len(np.unique(everything, axis=0)) < len(everything):
        return None
    a = rng.uniform(*NEAREST) / closest
    symbols = rng.choice(ELEMENTS, n, replace=False).tolist()
    apart = {i for text in APART.values() for i in text.split()}
    alike = any(
        set(symbols) == set(re.findall("[A-Z][a-z]?", i)) for i in (*RESERVED, *apart)
    )
    if alike or not 0.24 < a < 1.6:
        return None
    numbers = np.repeat([Z[s] for s in symbols], [len(p) for p in positions])
    found = spglib.get_symmetry_dataset((vectors * a, everything, numbers), 1e-3)
    if found is None or found.number != number:
        return None
    b = float(np.exp(rng.uniform(*np.log([0.003, 0.012]))))
    if number in present:
        strength = amplitudes(hkl, a, positions, symbols, b)
        if not is_telling(number, strength, present):
            return None
    shift = np.zeros(3)
    if number in TWO_ORIGINS:
        shift = next(
            0.5 * t
            for r, t in operations(number)
            if np.allclose(r, -np.eye(3)) and np.allclose(t, t[0])
        )
    sites = [
        Site(s, tuple(np.round((p - shift) % 1.0, 6)), 1.0, b)
        for s, p in zip(symbols, seeds)
    ]
    lengths = dict(zip("abc", np.round(ratio * a, 4).tolist()))
    return {
        "name": f"{''.join(symbols)}_invented{number}", "prototype": f"invented{number}",
        "space_group": number, "origin": 2 if number in TWO_ORIGINS else 1,
        **lengths, "alpha": 90, "beta": 90, "gamma": gamma,
        "sites": format_sites(sites), "method": "dynamical",
    }  # fmt: skip


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Invent structures")
    output = TABLE.with_name("invented.csv")
    parser.add_argument("output", type=Path, nargs="?", default=output)
    args = parser.parse_args()
    rng = np.random.default_rng(SEED)
    hkl = np.stack(np.meshgrid(*[np.arange(9)] * 3), axis=-1).reshape(-1, 3)[1:]
    present = {number: allowed(number, hkl) for number in CUBIC}
    table = {}
    for number, n in (NUMBERS | OTHERS).items():
        if number in UNKNOWN:
            raise ValueError(f"Space group {number} is kept apart")
        made = 0
        while made < n:
            row = invent(number, present, hkl, rng)
            if row is not None and row["name"] not in table:
                if made >= LARGE.get(number, n):
                    row["method"] = "kinematical"
                table[row["name"]] = row
                made += 1
    # In turn, so that an unfinished simulation has some of each group
    rows = [list(table.values())[i] for i in rng.permutation(len(table))]
    rows = [row for row in rows if row["name"] not in OF_KEPT_TYPES]
    write_table(args.output, rows)


if __name__ == "__main__":
    main()

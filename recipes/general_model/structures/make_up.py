# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make up structures of space groups that have too few real ones.

Substituted structures are real ones with other elements, the lattice scaled by their
radii. Random ones have atoms on random positions, many of them special. Both count only
if spglib finds exactly the space group, also at a coarse tolerance, if no atoms are too
near, and if the kinematical intensities show what tells the group from others: symmetry
the Laue class does not have is broken, and reflections that are absent in more extinct
groups are there.
"""

from __future__ import annotations

import functools

import numpy as np

from recipes.general_model.structures.crystals import (
    ATOMIC_NUMBERS,
    COARSE_TOLERANCE,
    FINE,
    RADII,
    Site,
    Structure,
    crystal_system,
    distinct,
    lattice_points,
    lattice_vectors,
    on_site,
    operations,
    orbit,
)

# Those with scattering factors, without gases and what is never in a microscope
ELEMENTS = """
    Li Be B C N O F Na Mg Al Si P S Cl K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br
    Rb Sr Y Zr Nb Mo Ru Rh Pd Ag Cd In Sn Sb Te I Cs Ba La Ce Nd Gd Dy Er Yb Hf Ta W Re
    Os Ir Pt Au Tl Pb Bi Th U
""".split()
NONMETALS = set("H B C N O F P S Cl As Se Br I Te".split())
# Elements of different sites are to differ by this many protons
LEAST_DIFFERENCE = 6
MOST_ATOMS = 24
# Nearest atoms relative to the sum of covalent radii, and volume per atom in angstrom^3
NEAREST, NEAREST_REAL, VOLUMES = (0.95, 1.15), 0.75, (7.0, 45.0)
# Of intensity, the least share that breaks symmetry the Laue class does not have
LEAST_BROKEN = 0.03
# Of the strongest amplitude, the least of the strongest one that is absent elsewhere
LEAST_AMPLITUDE = 0.15
LARGEST_INDEX, LARGEST_G = 6, 1.1  # 1/angstrom


@functools.cache
def indices() -> np.ndarray:
    """Return Miller indices, shape (reflections, 3)."""
    axis = np.arange(-LARGEST_INDEX, LARGEST_INDEX + 1)
    hkl = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    return hkl[(hkl != 0).any(axis=1)]


@functools.cache
def present(space_group: int) -> np.ndarray:
    """Return which reflections a space group allows."""
    hkl = indices()
    allowed = np.ones(len(hkl), dtype=bool)
    for r, t in zip(*operations(space_group)):
        fixed = (hkl @ r == hkl).all(axis=1)
        phase = hkl @ t
        allowed &= ~(fixed & (np.abs(phase - np.round(phase)) > 1e-3))
    return allowed


@functools.cache
def laue_rotations(space_group: int) -> frozenset[bytes]:
    """Return the rotations of the Laue class, each as bytes."""
    rotations, _ = operations(space_group)
    both = np.concatenate([rotations, -rotations]).astype(np.int8)
    return frozenset(r.tobytes() for r in both)


@functools.cache
def more_extinct(space_group: int) -> tuple[int, ...]:
    """Return groups of the same Laue class that allow fewer reflections."""
    mine = present(space_group)
    return tuple(
        other
        for other in range(1, 231)
        if crystal_system(other) == crystal_system(space_group)
        and laue_rotations(other) == laue_rotations(space_group)
        and (mine & ~present(other)).any()
        and not (present(other) & ~mine).any()
    )


@functools.cache
def holohedry(system: str) -> np.ndarray:
    """Return the rotations of the most symmetric group of a crystal system."""
    group = {
        "triclinic": 2, "monoclinic": 10, "orthorhombic": 47, "tetragonal": 123,
        "trigonal": 191, "hexagonal": 191, "cubic": 221,
    }[system]  # fmt: skip
    return np.unique(operations(group)[0], axis=0)


def amplitudes(structure: Structure) -> tuple[np.ndarray, np.ndarray]:
    """Return absolute kinematical structure factors, and which are within reach.

    Atoms scatter as screened (Yukawa) potentials.
    """
    hkl = indices()
    cell = structure.cell
    g = hkl @ np.linalg.inv(cell.lattice).T
    g2 = (g**2).sum(axis=1)
    total = np.zeros(len(hkl), dtype=complex)
    for number in np.unique(cell.orbit):
        at = cell.orbit == number
        content = cell.contents[int(np.flatnonzero(at)[0])]
        factor = np.zeros(len(hkl))
        for element, occupancy, b in content:
            z = ATOMIC_NUMBERS[element]
            screened = z / (4 * np.pi**2 * g2 + (z ** (1 / 3) / 0.529) ** 2)
            factor += occupancy * screened * np.exp(-0.25 * b * g2)
        total += factor * np.exp(2j * np.pi * hkl @ cell.positions[at].T).sum(axis=1)
    return np.abs(total), g2 < LARGEST_G**2


def is_telling(structure: Structure) -> bool:
    """Return whether intensities show the Laue class and the absences."""
    group = structure.space_group
    strength, near = amplitudes(structure)
    strength = np.where(near, strength, 0)
    intensity = strength**2
    hkl = indices()
    shape = (2 * LARGEST_INDEX + 1,) * 3
    grid = np.zeros(shape)
    grid[tuple((hkl + LARGEST_INDEX).T)] = intensity
    mine = laue_rotations(group)
    for r in holohedry(structure.system):
        if r.astype(np.int8).tobytes() in mine:
            continue
        image = hkl @ r
        inside = (np.abs(image) <= LARGEST_INDEX).all(axis=1)
        other = grid[tuple((image[inside] + LARGEST_INDEX).T)]
        broken = ((intensity[inside] - other) ** 2).sum() / (intensity**2).sum()
        if broken < LEAST_BROKEN:
            return False
    strongest = strength.max()
    for other in more_extinct(group):
        differ = present(group) & ~present(other)
        if strength[differ].max() < LEAST_AMPLITUDE * strongest:
            return False
    return True


def nearest(positions: np.ndarray, radii: np.ndarray, vectors: np.ndarray) -> float:
    """Return the shortest distance relative to the sum of radii."""
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), axis=-1).reshape(-1, 3)
    difference = positions[:, None] - positions[None]
    difference -= np.round(difference)
    length = np.linalg.norm((difference[:, :, None] + shifts) @ vectors, axis=-1)
    length[length < 1e-3] = np.inf
    return float((length.min(axis=2) / (radii[:, None] + radii[None])).min())


def special_position(space_group: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random position, projected onto symmetry elements if that is drawn."""
    rotations, translations = operations(space_group)
    position = rng.random(3)
    if rng.random() < 0.5:
        position = rng.choice(np.arange(8) / 8, 3) + rng.choice(
            [0, 0.11, 0.17]
        ) * rng.integers(-1, 2, 3)
    low, high = (0, 4) if len(rotations) < 24 else (2, 7)
    for _ in range(rng.integers(low, high)):
        i = rng.integers(len(rotations))
        shift = translations[i] + rng.integers(-1, 2, 3)
        images = [position]
        for _ in range(12):
            images.append(rotations[i] @ images[-1] + shift)
            if np.abs(images[-1] - position).max() < 1e-6:
                break
        else:
            continue  # screw axes and glide planes leave nothing in place
        position = np.mean(images[:-1], axis=0)
    return np.round(position % 1.0, 5)


def random_lattice(space_group: int, rng: np.random.Generator) -> np.ndarray:
    """Return lattice parameters of about unit size."""
    system = crystal_system(space_group)
    b, c = rng.uniform(0.6, 1.6, 2)
    angles = [90.0, 90.0, 90.0]
    if system == "cubic":
        b = c = 1.0
    elif system in ("tetragonal", "trigonal", "hexagonal"):
        b, c = 1.0, rng.uniform(0.5, 2.0)
    if system in ("trigonal", "hexagonal"):
        angles[2] = 120.0
        c = rng.uniform(0.6, 2.2) * (1.4 if lattice_points(space_group) == 3 else 1)
    if system == "monoclinic":
        angles[1] = rng.uniform(93, 118)
    if system == "triclinic":
        angles = rng.uniform(75, 105, 3).tolist()
    return np.array([1.0, b, c, *angles])


def random_structure(
    space_group: int, rng: np.random.Generator, most_atoms: int = MOST_ATOMS
) -> Structure | None:
    """Return a structure with atoms on random positions, None if it does not count."""
    n = rng.choice([1, 2, 3, 4], p=[0.1, 0.35, 0.35, 0.2])
    points = lattice_points(space_group)
    positions = [special_position(space_group, rng) for _ in range(n)]
    orbits = [orbit(p, space_group) for p in positions]
    everything = np.concatenate(orbits)
    if len(everything) > most_atoms * points or len(everything) == points:
        return None
    if len(distinct(everything, 0.02)) < len(everything):
        return None
    elements = draw_elements(n, rng)
    radii = np.repeat([RADII[e] for e in elements], [len(o) for o in orbits])
    lattice = random_lattice(space_group, rng)
    ratio = nearest(everything, radii, lattice_vectors(lattice))
    lattice[:3] *= rng.uniform(*NEAREST) / ratio
    volume = abs(np.linalg.det(lattice_vectors(lattice))) / len(everything)
    if not VOLUMES[0] < volume < VOLUMES[1]:
        return None
    sites = [
        Site(e, *(round(float(v), 5) % 1.0 for v in on_site(p, space_group)), 1.0, 0.6)
        for e, p in zip(elements, positions)
    ]
    parameters = tuple(round(float(v), 4) for v in lattice)
    structure = Structure(
        "", space_group, parameters, sites, made="random", experimental=False
    )
    return structure if counts(structure) else None


def draw_elements(n: int, rng: np.random.Generator) -> list[str]:
    """Return different elements that do not scatter alike."""
    while True:
        elements = rng.choice(ELEMENTS, n, replace=False).tolist()
        numbers = sorted(ATOMIC_NUMBERS[e] for e in elements)
        if n == 1 or min(np.diff(numbers)) >= LEAST_DIFFERENCE:
            return elements


def counts(structure: Structure) -> bool:
    """Return whether a made-up structure has its space group, and shows it."""
    group = structure.space_group
    found = {structure.cell.find_group(t) for t in (FINE, COARSE_TOLERANCE)}
    return found == {group} and is_telling(structure)


def swap_elements(
    donor: Structure, rng: np.random.Generator, least: int = LEAST_DIFFERENCE
) -> Structure | None:
    """Return a structure with other elements, None if some of them scatter alike.

    Metals take the place of metals, more often those of like size, and the lattice is
    scaled by the radii. Elements differ by ``least`` protons.
    """
    old = sorted(donor.elements)
    metals = [e for e in ELEMENTS if e not in NONMETALS]
    others = [e for e in ELEMENTS if e in NONMETALS]
    new: list[str] = []
    for element in old:
        choice = others if element in NONMETALS else metals
        left = [e for e in choice if e not in new and e != element]
        # More alike in size than not
        sizes = np.array([abs(np.log(RADII[e] / RADII[element])) for e in left])
        weights = np.exp(-sizes / 0.15)
        new.append(str(rng.choice(left, p=weights / weights.sum())))
    numbers = sorted(ATOMIC_NUMBERS[e] for e in new)
    if len(new) > 1 and min(np.diff(numbers)) < least:
        return None
    swap = dict(zip(old, new))
    composition = donor.cell.composition()
    before = sum(n * RADII[e] for e, n in composition.items())
    after = sum(n * RADII[swap[e]] for e, n in composition.items())
    scale = after / before * rng.uniform(0.98, 1.03)
    lengths = [round(v * scale, 4) for v in donor.lattice[:3]]
    return Structure(
        "",
        donor.space_group,
        (*lengths, *donor.lattice[3:]),
        [s._replace(element=swap[s.element]) for s in donor.sites],
        made="substituted",
        experimental=False,
        name=f"as {donor.identifier}",
    )


def have_room(structure: Structure) -> bool:
    """Return whether atoms are not too near, if sites are occupied."""
    if any(s.occupancy <= 0.5 for s in structure.sites):
        return True
    cell = structure.cell
    radii = np.array([max(RADII[e] for e, *_ in c) for c in cell.contents])
    return nearest(cell.positions, radii, cell.lattice) >= NEAREST_REAL


def substitute(donor: Structure, rng: np.random.Generator) -> Structure | None:
    """Return a real structure with other elements, None if it does not count."""
    made = swap_elements(donor, rng)
    if made is None or not have_room(made):
        return None
    return made if counts(made) else None

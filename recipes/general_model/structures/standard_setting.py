# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From atoms as a source states them to a checked structure in the standard setting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from recipes.general_model.structures.crystals import (
    ATOMIC_NUMBERS,
    COARSE_TOLERANCE,
    FINE,
    FIRST_OF_PAIR,
    RADII,
    TOLERANCE,
    TOLERANCES,
    Site,
    Structure,
    amounts,
    find_symmetry,
    hall_number,
    lattice_parameters,
    lattice_points,
    on_site,
)

# Images of one site closer than this are one atom on a special position, two sites closer
# than this are mixed (angstrom)
SAME_ATOM = 0.15
# Occupied positions of the primitive cell, beyond which nothing is simulated
MOST_ATOMS = 120
MOST_IN_CELL = 320
# Volume of the primitive cell, and the part of it per operation of the point group
# (cubic angstrom)
MOST_VOLUME, MOST_VOLUME_PART = 1000, 350
# Distances relative to the sum of covalent radii, of atoms that exclude each other
NEAREST = 0.62
NEAREST_HYDROGEN = 0.60
# Volume per non-hydrogen atom, cubic angstrom
VOLUMES = 4.0, 75.0
# Debye-Waller factors outside are taken for misprints (square angstrom)
B_RANGE = 0.08, 4.0
# Where the source states none: 8 in 10 of the stated ones of its kind are within a factor
# of two of these
B_DEFAULT = {"metal": 0.5, "other": 0.7}


class Unusable(ValueError):
    """A structure that cannot be used, with the reason."""


@dataclass
class Entry:
    """A structure as its source states it."""

    identifier: str
    lattice: np.ndarray
    """Vectors as rows in angstrom."""
    elements: list[str]
    positions: np.ndarray
    occupancies: np.ndarray
    b_factors: np.ndarray
    """Not a number where not stated."""
    operations: Callable[[], tuple[np.ndarray, np.ndarray]] | None = None
    """Rotations and translations; without, all atoms of the cell are given."""
    space_group: int | None = None
    declared: str = ""
    fields: dict = field(default_factory=dict)


def standardize(entry: Entry) -> Structure:
    """Return the structure of an entry in the standard setting.

    Raises
    ------
    Unusable
        If distances, occupancies, composition or space group are wrong or doubtful.
    """
    if not np.isfinite(entry.lattice).all() or abs(np.linalg.det(entry.lattice)) < 5:
        raise Unusable("lattice")
    for element in entry.elements:
        if element not in ATOMIC_NUMBERS:
            raise Unusable("element")
    check_size(entry)
    atoms = fill_cell(entry)
    positions, contents = mix(*atoms, entry.lattice)
    check_distances(entry.lattice, positions, contents)
    cell = entry.lattice, positions, kinds(contents)
    dataset, coarse = (find_symmetry(cell, t) for t in (TOLERANCE, COARSE_TOLERANCE))
    if dataset is None:
        raise Unusable("no space group")
    group = int(dataset.number)
    is_robust = coarse is not None and coarse.number == group
    if not is_robust:
        found = [find_symmetry(cell, t) for t in TOLERANCES]
        if any(f is None or f.number != group for f in found):
            raise Unusable("space group depends on the tolerance")
    stated = entry.space_group
    if stated and group != stated:
        same_pair = FIRST_OF_PAIR.get(group, group) == FIRST_OF_PAIR.get(stated, stated)
        if not same_pair:
            raise Unusable("space group is not the one stated")
    sites = reduce_to_sites(dataset, contents)
    structure = Structure(
        entry.identifier,
        group,
        idealized(lattice_parameters(dataset.std_lattice), group),
        sites,
        declared=entry.declared,
        robust=is_robust,
        **entry.fields,
    )
    check_standard(structure, len(dataset.std_types))
    check_composition(structure)
    return structure


def check_size(entry: Entry) -> None:
    """Raise if a structure takes too long to simulate, before much is done with it."""
    if entry.operations is None:
        return
    rotations, _ = entry.operations()
    points = (rotations == np.eye(3)).all(axis=(1, 2)).sum()
    volume = abs(np.linalg.det(entry.lattice)) / points
    if volume > MOST_VOLUME or volume / (len(rotations) / points) > MOST_VOLUME_PART:
        raise Unusable("too large")


def fill_cell(entry: Entry):
    """Return positions, elements, occupancies and B of all atoms of the cell."""
    if entry.operations is None:
        rotations, translations = np.eye(3)[None], np.zeros((1, 3))
    else:
        rotations, translations = entry.operations()
    snapped = snap(entry.positions)
    if len(snapped) * len(rotations) > 60000:
        raise Unusable("too many atoms")
    rows: list[tuple] = []
    for i, position in enumerate(snapped):
        images = (rotations @ position + translations) % 1.0
        images = merge_images(images, entry.lattice)
        atom = entry.elements[i], entry.occupancies[i], entry.b_factors[i]
        rows += [(image, *atom) for image in images]
        if len(rows) > 3 * MOST_IN_CELL:
            raise Unusable("too many atoms")
    positions, elements, occupancies, b_factors = zip(*rows)
    return np.array(positions), list(elements), occupancies, b_factors


def snap(positions: np.ndarray) -> np.ndarray:
    """Return positions with rounded thirds, sixths and so on made exact."""
    twelfths = np.round(positions * 24) / 24
    return np.where(np.abs(positions - twelfths) < 4e-4, twelfths, positions)


def merge_images(images: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """Return images of one site with those that nearly coincide averaged."""
    merged: list[np.ndarray] = []
    left = images
    while len(left):
        difference = left - left[0]
        difference -= np.round(difference)
        near = np.linalg.norm(difference @ lattice, axis=1) < SAME_ATOM
        merged.append(left[0] + difference[near].mean(axis=0))
        left = left[~near]
    return np.array(merged) % 1.0


def mix(positions, elements, occupancies, b_factors, lattice):
    """Return distinct positions and what is on each of them."""
    keep: list[np.ndarray] = []
    on: list[dict[str, list[float]]] = []
    for position, element, occupancy, b in zip(
        positions, elements, occupancies, b_factors
    ):
        if occupancy <= 0.005:
            continue
        target = None
        if keep:
            difference = np.array(keep) - position
            difference -= np.round(difference)
            distance = np.linalg.norm(difference @ lattice, axis=1)
            nearest = int(distance.argmin())
            target = nearest if distance[nearest] < SAME_ATOM else None
        if target is None:
            keep.append(position)
            on.append({})
            target = -1
        share = on[target].setdefault(element, [0.0, b])
        share[0] += occupancy
    if not keep or len(keep) > MOST_IN_CELL:
        raise Unusable("too many atoms")
    contents = []
    for content in on:
        total = sum(o for o, _ in content.values())
        if total > 1.06:
            raise Unusable("occupancy above one")
        scale = 1 / total if total > 0.985 else 1.0
        contents.append(
            tuple((e, round(o * scale, 3), b) for e, (o, b) in sorted(content.items()))
        )
    return np.array(keep), contents


def kinds(contents) -> list[int]:
    """Return a number for each position, the same for the same content."""
    keys = [tuple((e, round(o, 2)) for e, o, _ in content) for content in contents]
    numbers = {key: i + 1 for i, key in enumerate(sorted(set(keys)))}
    return [numbers[key] for key in keys]


def check_distances(lattice: np.ndarray, positions: np.ndarray, contents) -> None:
    """Raise if atoms that are there at the same time are too near, or density is odd."""
    heavy = sum(1 for content in contents if any(e != "H" for e, *_ in content))
    per_atom = abs(np.linalg.det(lattice)) / max(heavy, 1)
    if not VOLUMES[0] < per_atom < VOLUMES[1]:
        raise Unusable("volume per atom")
    radius = np.array([max(RADII[e] for e, *_ in content) for content in contents])
    small = np.array([min(RADII[e] for e, *_ in content) for content in contents])
    occupied = np.array([sum(o for _, o, _ in content) for content in contents])
    hydrogen = np.array([all(e == "H" for e, *_ in content) for content in contents])
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), axis=-1).reshape(-1, 3)
    for i in range(len(positions)):
        difference = positions[i:] - positions[i]
        difference -= np.round(difference)
        vectors = (difference[:, None] + shifts) @ lattice
        distance = np.linalg.norm(vectors, axis=-1)
        distance[0, distance[0] < 1e-6] = np.inf
        nearest = distance.min(axis=1)
        pair = small[i] + small[i:]
        ratio = np.where(hydrogen[i] | hydrogen[i:], NEAREST_HYDROGEN, NEAREST)
        together = (occupied[i] + occupied[i:] > 1.02) & (nearest < ratio * pair)
        if together.any():
            raise Unusable("atoms too near")
    if len(positions) == 1 and np.linalg.norm(lattice, axis=1).min() < radius[0]:
        raise Unusable("atoms too near")


def reduce_to_sites(dataset, contents) -> list[Site]:
    """Return the sites of the standard cell of a dataset."""
    group = int(dataset.number)
    if int(dataset.hall_number) != hall_number(group):
        cell = (dataset.std_lattice, dataset.std_positions, dataset.std_types)
        dataset_of_standard = find_symmetry(cell, FINE)
        found = None if dataset_of_standard is None else dataset_of_standard.hall_number
        if found != hall_number(group):
            raise Unusable("not in the standard setting")
    standard = (dataset.std_lattice, dataset.std_positions, dataset.std_types)
    again = find_symmetry(standard, FINE)
    if again is None or again.number != group:
        raise Unusable("standard cell has another group")
    # What is on each atom of the standard cell, through the primitive cell
    from_primitive: dict[int, list[int]] = {}
    for i, primitive in enumerate(dataset.mapping_to_primitive):
        from_primitive.setdefault(int(primitive), []).append(i)
    orbits: dict[int, list[int]] = {}
    for k, first in enumerate(again.crystallographic_orbits):
        orbits.setdefault(int(first), []).append(k)
    sites: list[Site] = []
    for members in orbits.values():
        originals = [
            i
            for k in members
            for i in from_primitive[int(dataset.std_mapping_to_primitive[k])]
        ]
        position = on_site(np.array(dataset.std_positions[members[0]]) % 1.0, group)
        xyz = [round(float(x) % 1.0, 5) % 1.0 for x in position]
        for j, (element, occupancy, _) in enumerate(contents[originals[0]]):
            b = mean_b([contents[i][j][2] for i in originals], element)
            sites.append(Site(element, *xyz, occupancy, b))
    return sites


def mean_b(values: list[float], element: str) -> float:
    """Return the mean of plausible Debye-Waller factors, or a usual one."""
    plausible = [v for v in values if B_RANGE[0] <= v <= B_RANGE[1]]
    if plausible:
        return round(float(np.mean(plausible)), 2)
    return float("nan")


def idealized(parameters, group: int) -> tuple[float, ...]:
    """Return lattice parameters as the crystal system demands, rounded."""
    a, b, c, alpha, beta, gamma = parameters
    if group >= 195:
        a = b = c = (a + b + c) / 3
    elif group >= 75:
        a = b = (a + b) / 2
    if group >= 3:
        alpha = 90.0
        gamma = 120.0 if 143 <= group <= 194 else 90.0
    if group >= 16:
        beta = 90.0
    lengths = [round(float(x), 4) for x in (a, b, c)]
    return (*lengths, *(round(float(x), 3) for x in (alpha, beta, gamma)))


def check_standard(structure: Structure, n_atoms: int) -> None:
    """Raise if the sites do not give back the standard cell and its space group."""
    cell = structure.cell
    if len(cell.positions) != n_atoms:
        raise Unusable("sites do not give back the cell")
    if n_atoms // lattice_points(structure.space_group) > MOST_ATOMS:
        raise Unusable("too many atoms")


def check_composition(structure: Structure) -> None:
    """Raise if the sites contradict the formula the source states.

    Hydrogen is often not located, and sites of minerals are mixed: only elements that are
    more than a tenth of the atoms count, and amounts may differ by a fifth.
    """
    if not structure.declared:
        return
    stated = {e: float(n) for e, n in amounts(structure.declared).items() if e != "H"}
    present = {e: n for e, n in structure.cell.composition().items() if e != "H"}
    if not present or not stated:
        raise Unusable("composition")
    total, of_stated = sum(present.values()), sum(stated.values())
    for element in set(stated) | set(present):
        here = present.get(element, 0.0) / total
        there = stated.get(element, 0.0) / of_stated
        if abs(here - there) > max(0.03, 0.12 * max(here, there)):
            raise Unusable("composition")

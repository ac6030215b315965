# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Symmetry operations on fractional coordinates, and what spglib finds."""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
import logging
from typing import TYPE_CHECKING, Any
import warnings

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from diffpy.structure import Lattice, Structure

_logger = logging.getLogger(__name__)

# Sum of occupancies above which two atoms are there at once, beyond rounding
FULL = 1.055
# Share of the sum of covalent radii that bonds hardly ever are shorter than
IMPOSSIBLE_BOND = 0.68
# Images of a site nearer than this, in angstrom, are one position: rounding of a
# special position if the site is more than half full, as two atoms cannot be that
# near. Less full ones may be split, and are only joined if they nearly coincide
_SAME_FULL, _SAME_SPLIT = 0.5, 0.1
# Relative change of the metric by an operation of the lattice
_METRIC_TOLERANCE = 0.01


@dataclass(frozen=True)
class Operations:
    """Symmetry operations in fractional coordinates.

    Parameters
    ----------
    rotations
        Integer matrices W of shape (n, 3, 3).
    translations
        Vectors w of shape (n, 3). A position x goes to W x + w.
    """

    rotations: np.ndarray
    translations: np.ndarray

    def __len__(self) -> int:
        return len(self.rotations)

    def fit(self, base: np.ndarray) -> bool:
        """Whether they are symmetry operations of a lattice.

        Parameters
        ----------
        base
            Matrix of shape (3, 3) with lattice vectors in rows.
        """
        metric = base @ base.T
        images = np.swapaxes(self.rotations, 1, 2) @ metric @ self.rotations
        scale = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
        return bool((np.abs(images - metric) / scale < _METRIC_TOLERANCE).all())

    def symmetrize(self, base: np.ndarray) -> np.ndarray:
        """Lattice parameters a to gamma which the operations leave as they are.

        Parameters
        ----------
        base
            Matrix of shape (3, 3) with lattice vectors in rows.

        Returns
        -------
        parameters
            Edges in the unit of the lattice and angles in degrees.
        """
        metric = base @ base.T
        metric = (np.swapaxes(self.rotations, 1, 2) @ metric @ self.rotations).mean(0)
        edges = np.sqrt(np.diag(metric))
        cosines = (metric / np.outer(edges, edges))[[1, 0, 0], [2, 2, 1]]
        return np.concatenate([edges, np.rad2deg(np.arccos(cosines))])

    def expand(self, xyz: np.ndarray, base: np.ndarray, occupancy: float) -> np.ndarray:
        """All images of a site in the unit cell.

        A site that is nearly in a special position is moved there.

        Parameters
        ----------
        xyz
            Fractional coordinates of shape (3,).
        base
            Matrix of shape (3, 3) with lattice vectors in angstrom in
            rows.
        occupancy
            Occupancy of the site.

        Returns
        -------
        images
            Fractional coordinates in [0, 1) of shape (n, 3), in the
            order of the operations.
        """
        near = _SAME_FULL if occupancy > 0.5 else _SAME_SPLIT
        # Projection on the special position: the mean of the images that fall on it
        for _ in range(2):
            shift = self.rotations @ xyz + self.translations - xyz
            shift -= np.rint(shift)
            stay = np.linalg.norm(shift @ base, axis=1) < near
            xyz = xyz + shift[stay].mean(axis=0) if stay.any() else xyz
        images = wrap(self.rotations @ xyz + self.translations)
        distinct: list[int] = []
        for i, image in enumerate(images):
            shift = images[distinct] - image
            distance = np.linalg.norm((shift - np.rint(shift)) @ base, axis=1)
            if not (distance < _SAME_SPLIT / 2).any():
                distinct.append(i)
        return images[distinct]


def lattice_parameters(lattice: "Lattice") -> tuple[float, ...]:
    """Edges and angles, whatever diffpy.structure calls the method for both."""
    return tuple(getattr(lattice, i) for i in ("a", "b", "c", "alpha", "beta", "gamma"))


def wrap(xyz: np.ndarray) -> np.ndarray:
    """Fractional coordinates in [0, 1), where those next to 1 become 0."""
    xyz = xyz - np.floor(xyz)
    return np.where(xyz > 1 - 1e-6, 0.0, xyz)


def neighbor_pairs(
    xyz: np.ndarray, base: np.ndarray, radius: float, *, vectors: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of positions in a crystal that are near to each other.

    Parameters
    ----------
    xyz
        Fractional coordinates of shape (n, 3).
    base
        Matrix of shape (3, 3) with lattice vectors in rows.
    radius
        Largest distance.
    vectors
        Whether to return vectors instead of distances.

    Returns
    -------
    pairs
        Indices of shape (n_pairs, 2), where the second one may be that
        of an image in a neighboring cell.
    distances
        Distances of shape (n_pairs,), ascending, or vectors from the
        first to the second position of shape (n_pairs, 3).
    """
    positions = wrap(np.asarray(xyz, dtype=float).reshape(-1, 3))
    # As many cells around as the radius reaches
    heights = 1 / np.linalg.norm(np.linalg.inv(base), axis=0)
    reach = np.minimum(np.ceil(radius / heights), 5).astype(int)
    cells = np.stack(
        np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1
    ).reshape(-1, 3)
    images = (positions[:, None] + cells).reshape(-1, 3) @ base
    index = np.repeat(np.arange(len(positions)), len(cells))
    near = cKDTree(images).query_ball_point(positions @ base, radius)
    first = np.repeat(np.arange(len(positions)), [len(i) for i in near])
    image = np.concatenate([np.asarray(i, dtype=int) for i in near])
    between = images[image] - (positions @ base)[first]
    distances = np.linalg.norm(between, axis=1)
    pairs = np.column_stack([first, index[image]])
    not_itself = ~((pairs[:, 0] == pairs[:, 1]) & (distances < 1e-6))
    order = np.argsort(distances[not_itself], kind="stable")
    separations = between if vectors else distances
    return pairs[not_itself][order], separations[not_itself][order]


def nearest_neighbors(
    xyz: np.ndarray, base: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest positions in a crystal of every position.

    Parameters
    ----------
    xyz
        Fractional coordinates of shape (n_positions, 3).
    base
        Matrix of shape (3, 3) with lattice vectors in rows.
    n
        Number of neighbors, 26 at most.

    Returns
    -------
    neighbors
        Indices of shape (n_positions, n), which may be those of images in
        neighboring cells.
    distances
        Distances of shape (n_positions, n), ascending.
    """
    positions = wrap(np.asarray(xyz, dtype=float).reshape(-1, 3))
    cells = np.array(list(np.ndindex(3, 3, 3))) - 1
    images = (positions[:, None] + cells).reshape(-1, 3) @ base
    distances, image = cKDTree(images).query(positions @ base, n + 1)
    # All but the position itself, which is in the middle of the cells
    itself = np.arange(len(positions)) * len(cells) + len(cells) // 2
    distances[image == itself[:, None]] = np.inf
    order = np.argsort(distances, axis=1, kind="stable")[:, :n]
    neighbors = np.take_along_axis(image, order, axis=1) // len(cells)
    return neighbors, np.take_along_axis(distances, order, axis=1)


def shortest_bond(
    xyz: np.ndarray, elements: Sequence[str], occupancies: np.ndarray, base: np.ndarray
) -> float:
    """Shortest distance between atoms over the sum of their covalent radii.

    Parameters
    ----------
    xyz
        Fractional coordinates of all atoms in the unit cell of shape
        (n, 3).
    elements
        Element of every atom.
    occupancies
        Occupancies of shape (n,). Atoms that are never there at once do
        not count.
    base
        Matrix of shape (3, 3) with lattice vectors in angstrom in rows.

    Returns
    -------
    ratio
        Ratio, 1 at most.
    """
    import gemmi

    radii = np.array([gemmi.Element(element).covalent_r for element in elements])
    pairs, distances = neighbor_pairs(xyz, base, 2 * radii.max())
    coexist = np.asarray(occupancies)[pairs].sum(axis=1) > FULL
    ratios = distances[coexist] / radii[pairs[coexist]].sum(axis=1)
    return float(ratios.min(initial=1.0))


def find_symmetry(
    base: np.ndarray, xyz: np.ndarray, kinds: np.ndarray, tolerance: float
) -> Any | None:
    """Symmetry dataset of spglib, or None if it finds none.

    Parameters
    ----------
    base
        Matrix of shape (3, 3) with lattice vectors in angstrom in rows.
    xyz
        Fractional coordinates of shape (n, 3).
    kinds
        What is there, as integers of shape (n,).
    tolerance
        Distance in angstrom below which positions are the same.
    """
    import spglib

    # With others, spglib ends the process
    if not (np.isfinite(base).all() and np.isfinite(xyz).all()):
        return None
    try:
        with quiet_spglib():
            return spglib.get_symmetry_dataset((base, xyz, kinds), symprec=tolerance)
    except getattr(spglib, "SpglibError", ()) as error:
        _logger.debug("No space group found: %s", error)
        return None


def expand_sites(
    xyz: np.ndarray,
    elements: Sequence[str],
    occupancies: np.ndarray,
    operations: Operations,
    base: np.ndarray,
    most: int | None = None,
) -> list[tuple[int, np.ndarray]]:
    """All images of sites in the unit cell, without sites that are images of others.

    Parameters
    ----------
    xyz
        Fractional coordinates of shape (n, 3).
    elements
        Element of every site.
    occupancies
        Occupancies of shape (n,).
    operations
        Symmetry operations.
    base
        Matrix of shape (3, 3) with lattice vectors in angstrom in rows.
    most
        Largest number of images. If not given, any.

    Returns
    -------
    orbits
        Index of the first site and fractional coordinates of all images
        of every orbit.

    Raises
    ------
    ValueError
        If there are more images.
    """
    orbits: list[tuple[int, np.ndarray]] = []
    # Of every element, images so far and their occupancies
    placed = {i: (np.empty((0, 3)), np.empty(0)) for i in elements}
    n_images = 0
    for i, (position, element) in enumerate(zip(xyz, elements)):
        images, occupied = placed[element]
        shift = images - position
        distance = np.linalg.norm((shift - np.rint(shift)) @ base, axis=1)
        # Sites that are never full at once may be near to each other
        near = np.where(occupied + occupancies[i] > FULL, _SAME_FULL, _SAME_SPLIT)
        if (distance < near).any():
            continue
        orbit = operations.expand(position, base, occupancies[i])
        n_images += len(orbit)
        if most is not None and n_images > most:
            raise ValueError(f"it has more than {most} atoms per unit cell")
        orbits.append((i, orbit))
        placed[element] = (
            np.concatenate([images, orbit]),
            np.concatenate([occupied, np.full(len(orbit), occupancies[i])]),
        )
    return orbits


def join_ions(
    xyz: np.ndarray,
    elements: Sequence[str],
    occupancies: np.ndarray,
    names: Sequence[Hashable],
) -> np.ndarray:
    """Occupancies, where ions of one element in one place are one site.

    Parameters
    ----------
    xyz
        Fractional coordinates of shape (n, 3).
    elements
        Element of every site.
    occupancies
        Occupancies of shape (n,).
    names
        What tells ions in one place from a site that is given twice.

    Returns
    -------
    occupancies
        Array of shape (n,), 0 for those that are added to another site.
    """
    joined = np.array(occupancies, dtype=float)
    places: dict[tuple, list[int]] = {}
    for i, (position, element) in enumerate(zip(wrap(np.asarray(xyz)), elements)):
        others = places.setdefault((element, *np.round(position, 5).tolist()), [])
        distinct = all(names[i] != names[j] for j in others)
        if others and distinct and joined[others[0]] + joined[i] <= FULL:
            joined[others[0]] += joined[i]
            joined[i] = 0
        others.append(i)
    return joined


@contextmanager
def quiet_spglib() -> Iterator[None]:
    """Keep spglib's warning of a change in how errors are raised to itself.

    Both ways are handled here.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def merge_sites(
    structure: "Structure", tolerance: float
) -> tuple[np.ndarray, np.ndarray, list[tuple[tuple[str, float], ...]]]:
    """Positions of a structure, with atoms in one place taken together.

    Parameters
    ----------
    structure
        Structure with all atoms in the unit cell.
    tolerance
        Distance in the unit of the lattice below which atoms are in one
        place.

    Returns
    -------
    positions
        Fractional coordinates of shape (n, 3).
    kinds
        Index of what is there of shape (n,).
    content
        Elements and occupancies that indices stand for.
    """
    base = structure.lattice.base
    positions = np.empty((len(structure), 3))
    content: list[tuple] = []
    for atom in structure:
        kind = (atom.element, round(float(atom.occupancy), 3))
        shift = positions[: len(content)] - atom.xyz
        distance = np.linalg.norm((shift - np.rint(shift)) @ base, axis=1)
        if distance.size and distance.min() < tolerance:
            i = int(distance.argmin())
            content[i] = tuple(sorted((*content[i], kind)))
        else:
            positions[len(content)] = atom.xyz
            content.append((kind,))
    kinds = sorted(set(content))
    return (
        positions[: len(content)],
        np.array([kinds.index(i) for i in content], dtype=int),
        kinds,
    )

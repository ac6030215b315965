# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One choice among the axes that a standard setting leaves open.

Quartz may be turned by 180 degrees about its c axis and still be in the standard setting,
but its pattern is another one then. Which of them spglib returns depends on the axes it
was given.
"""

from functools import lru_cache
from itertools import permutations, product

import numpy as np

from kikuchipy_spacegroup.crystals._symmetry import find_symmetry, neighbor_pairs

# Atoms within this distance in angstrom tell orientations apart
_RADIUS = 5.0
# A vector in no symmetry direction of any crystal: weights of all degrees, of which the
# crystal picks those of its symmetry
_PROBE = np.array([1.9, 2.7, 3.1])
# Relative differences of lattice parameters, and of what tells orientations apart
_SAME_LENGTH, _SAME_VALUE = 1e-4, 1e-6


def choose_axes(
    base: np.ndarray, xyz: np.ndarray, kinds: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Axes and positions that do not depend on the axes they were given in.

    Parameters
    ----------
    base
        Matrix of shape (3, 3) with lattice vectors in angstrom in rows,
        of a standard setting.
    xyz
        Fractional coordinates of shape (n, 3).
    kinds
        What is there, as integers of shape (n,).
    weights
        Weight of what is there of shape (n,), such as atomic numbers.

    Returns
    -------
    base, xyz, kinds
        Lattice vectors, coordinates and what is there after a proper
        rotation of axes that keeps the standard setting.

    Notes
    -----
    Of all choices, the one with the shortest edges in order is taken,
    then the one with the largest sum over pairs of neighbors of
    :math:`w_i w_j^2 exp(-r^2/8 + k r/|r|)` with a fixed vector k.
    """
    standard = find_symmetry(base, xyz, kinds, 0.01)
    if standard is None:
        return base, xyz, kinds
    metric = base @ base.T
    choices = []
    for axes in _list_proper_rotations():
        if abs(standard.number) <= 2 and not np.array_equal(axes, np.eye(3)):
            continue  # Reduced cells leave nothing open
        turned_metric = axes @ metric @ axes.T
        if not _keeps_setting(standard, axes, base, xyz, kinds):
            continue
        choices.append((tuple(np.sqrt(np.diag(turned_metric))), axes))
    if len(choices) < 2:
        return base, xyz, kinds
    shortest = np.array(min(edges for edges, _ in choices))
    choices = [
        axes
        for edges, axes in choices
        if np.allclose(edges, shortest, rtol=_SAME_LENGTH)
    ]
    sums = np.array([_sum_over_neighbors(axes, base, xyz, weights) for axes in choices])
    # The first of those that are as large, the identity before others
    largest = sums.max() - _SAME_VALUE * np.abs(sums).max()
    axes = choices[int(np.flatnonzero(sums >= largest)[0])]
    if np.array_equal(axes, np.eye(3)):
        return base, xyz, kinds
    # Turned axes may need another origin
    symmetry = find_symmetry(axes @ base, xyz @ np.linalg.inv(axes), kinds, 0.01)
    return symmetry.std_lattice, symmetry.std_positions, symmetry.std_types


@lru_cache(maxsize=1)
def _list_proper_rotations() -> tuple[np.ndarray, ...]:
    """Proper rotations of cubic and of hexagonal axes as integer matrices of rows."""
    rotations = [np.eye(3, dtype=int)]
    for order in permutations(range(3)):
        for signs in product((1, -1), repeat=3):
            rotations.append(
                np.eye(3, dtype=int)[list(order)] * np.array(signs)[:, None]
            )
    # a to a + b, the sixfold rotation, and the twofold ones across it
    sixfold = np.array([[1, 1, 0], [-1, 0, 0], [0, 0, 1]])
    twofold = np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1]])
    for n in range(6):
        turn = np.linalg.matrix_power(sixfold, n)
        rotations += [turn, turn @ twofold]
    unique = {
        axes.tobytes(): axes for axes in rotations if round(np.linalg.det(axes)) == 1
    }
    return tuple(unique.values())


def _keeps_setting(standard, axes, base, xyz, kinds) -> bool:
    """Whether turned axes are those of the same standard setting, but for the origin."""
    inverse = np.linalg.inv(axes)
    # Rotations act on columns of coordinates, which turn by the inverse transpose
    to_new = inverse.T
    rotations = to_new @ standard.rotations @ np.linalg.inv(to_new)
    known_rotations = {rotation.tobytes() for rotation in standard.rotations}
    rotations = np.rint(rotations).astype(standard.rotations.dtype)
    if any(rotation.tobytes() not in known_rotations for rotation in rotations):
        return False
    symmetry = find_symmetry(axes @ base, xyz @ inverse, kinds, 0.01)
    return (
        symmetry is not None
        and symmetry.hall_number == standard.hall_number
        and np.allclose(symmetry.transformation_matrix, standard.transformation_matrix)
    )


def _sum_over_neighbors(axes, base, xyz, weights) -> float:
    """Sum over pairs of neighbors that tells orientations apart."""
    pairs, vectors = neighbor_pairs(xyz, base, _RADIUS, vectors=True)
    distances = np.linalg.norm(vectors, axis=1)
    # Cartesian vectors in the frame with the new a along x and c* along z
    turned_base = axes @ base
    x = turned_base[0] / np.linalg.norm(turned_base[0])
    z = np.cross(turned_base[0], turned_base[1])
    z /= np.linalg.norm(z)
    frame = np.array([x, np.cross(z, x), z])
    directions = vectors @ frame.T / distances[:, None]
    amounts = weights[pairs[:, 0]] * weights[pairs[:, 1]] ** 2
    return float((amounts * np.exp(-(distances**2) / 8 + directions @ _PROBE)).sum())

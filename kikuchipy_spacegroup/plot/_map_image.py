# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, colors and sizes of pictures of maps; numbers only."""

from typing import TYPE_CHECKING

import numpy as np

from kikuchipy_spacegroup import space_groups as sg

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

# Of a column of a journal, in inches
COLUMN_WIDTH = 85 / 25.4
_NOT_IDENTIFIED = (0.6, 0.6, 0.6)


def name(number: int) -> str:
    """Return the name of a space group, or of -1 or -2 in its place."""
    other = {-1: "not identified", -2: "left out"}
    return other[number] if number in other else f"{number} {sg.symbol(number)}"


def name_in_map(xmap: "CrystalMap", number: int) -> str:
    """Return the name of a phase of a map, of a space group with its number."""
    if number < 0:
        return name(number)
    own = xmap.phases[number].name
    # Not by the phase's space group, which orix may lose in files
    return name(number) if 0 < number <= 230 and own == sg.symbol(number) else own


def full_arrays(
    xmap: "CrystalMap",
) -> tuple[tuple[int, int], np.ndarray, np.ndarray]:
    """Return shape, space groups and scores, also of masked points.

    Space groups of masked points are -2.
    """
    in_data = xmap.is_in_data
    numbers = np.full(in_data.size, -2)
    numbers[in_data] = xmap.phase_id
    scores = np.zeros(in_data.size)
    scores[in_data] = xmap.prop["scores"]
    shape = tuple(int(n) for n in xmap._original_shape)
    return shape if len(shape) == 2 else (1, in_data.size), numbers, scores


def colors(xmap: "CrystalMap") -> dict[int, tuple[float, float, float]]:
    """Return the color of every space group in a map, and of -1."""
    return {number: phase.color_rgb for number, phase in xmap.phases} | {
        -1: _NOT_IDENTIFIED
    }


def map_image(xmap: "CrystalMap") -> np.ndarray:
    """Return an image of the map, paler where the model is less sure.

    Returns
    -------
    image
        Array of shape (rows, columns, 3) with values from 0 to 1.
    """
    full_shape, numbers, scores = full_arrays(xmap)
    image = np.ones((numbers.size, 3))
    for number, color in colors(xmap).items():
        where = numbers == number
        opacity = scores[where, None] if number >= 0 else 1.0
        image[where] = opacity * np.array(color) + (1 - opacity)
    return image.reshape(*full_shape, 3)

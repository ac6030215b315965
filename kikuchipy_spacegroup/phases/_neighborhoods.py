# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Averages over neighbors that do not reach across boundaries; arrays only."""

import numpy as np
from scipy.ndimage import correlate

# Fewest points of a window, of 9, where there are enough
_FEWEST = 6


def average_neighborhoods(
    values: np.ndarray, row: np.ndarray, col: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Average values over neighborhoods by a Kuwahara filter.

    Parameters
    ----------
    values
        Values of n points of shape (n, k).
    row, col
        Row and column of each point of shape (n,).

    Returns
    -------
    means
        Array of shape (n, k).
    sizes
        Number of points averaged, of shape (n,).

    Notes
    -----
    Of the nine windows of 3 x 3 points that a point is in, the values are
    averaged over the one in which they vary least
    :cite:`kuwahara1976processing`, so that points next to a boundary are
    averaged with those on their side of it.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.phases._neighborhoods import average_neighborhoods
    >>> row, col = np.indices((3, 6)).reshape(2, -1)
    >>> values = np.where(col < 3, 1.0, 5.0)
    >>> means, _ = average_neighborhoods(values[:, None], row, col)
    >>> means.reshape(3, 6)[0]
    array([1., 1., 1., 5., 5., 5.])
    """
    # A frame of nothing, so that windows at the edge have fewer points
    shape = int(row.max()) + 5, int(col.max()) + 5
    row, col = row + 2, col + 2
    window = np.ones((3, 3))

    def add_up(of_points: np.ndarray) -> np.ndarray:
        image = np.zeros(shape)
        image[row, col] = of_points
        return correlate(image, window, mode="constant")

    counts = np.round(add_up(np.ones(len(values)))).astype(int)
    sums = np.stack([add_up(column) for column in values.T], axis=-1)
    # Variances of windows, summed over columns
    squares = add_up(np.square(values).sum(axis=1))
    spread = squares - np.square(sums).sum(axis=-1) / np.maximum(counts, 1)
    variances = np.where(counts >= _FEWEST, spread / np.maximum(counts - 1, 1), np.inf)
    # The window a point is in the middle of comes first, and is the one if none is full
    steps = sorted(np.ndindex(3, 3), key=lambda step: step != (1, 1))
    around = np.stack([variances[row + y - 1, col + x - 1] for y, x in steps])
    best = np.array(steps)[around.argmin(axis=0)] - 1
    row, col = row + best[:, 0], col + best[:, 1]
    return sums[row, col] / counts[row, col, None], counts[row, col]

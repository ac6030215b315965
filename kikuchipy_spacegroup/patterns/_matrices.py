# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Matrices that resize and blur images along one axis."""

from typing import Any

import numpy as np

from kikuchipy_spacegroup._keras import ops


def resize_matrix(n_out: int, n_in: Any, n_crop: Any) -> Any:
    """Return the matrix which resamples the central part of a line.

    Parameters
    ----------
    n_out
        Number of samples in the output.
    n_in
        Number of samples in the input, which may be a symbolic integer.
    n_crop
        Number of central input samples the output covers.

    Returns
    -------
    matrix
        Array of shape (n_out, n_in) and dtype float32, with rows that
        sum to 1. The kernel is the triangle of bilinear interpolation,
        widened by the scale factor when shrinking, so that every input
        pixel counts (antialiasing).
    """
    # Only TensorFlow has symbolic shapes. Others need arrays of known shape
    xp, kwargs = (np, {}) if isinstance(n_in, int) else (ops, {"dtype": "float32"})
    if xp is ops:
        n_in, n_crop = ops.cast(n_in, "float32"), ops.cast(n_crop, "float32")
    scale = n_crop / n_out
    centers = (xp.arange(n_out, **kwargs) + 0.5) * scale + (n_in - n_crop) / 2
    pixels = xp.arange(0, n_in, **kwargs) + 0.5
    distance = xp.abs(centers[:, None] - pixels[None, :])
    weight = xp.maximum(0.0, 1 - distance / xp.maximum(scale, 1.0))
    matrix = weight / xp.sum(weight, axis=1, keepdims=True)
    return ops.cast(matrix, "float32")


def uncropped(maps: np.ndarray, crop: float) -> np.ndarray:
    """Return maps of central parts of squares as maps of the squares.

    Parameters
    ----------
    maps
        Maps of shape (n, size, size).
    crop
        Share of the side of the squares the maps are of.

    Returns
    -------
    maps_out
        Maps of the same shape, 0 outside of the central parts.
    """
    if crop == 1:
        return maps
    size = maps.shape[-1]
    with np.errstate(invalid="ignore"):
        matrix = ops.convert_to_numpy(resize_matrix(size, size, size / crop))
    offset = np.abs(np.arange(size) + 0.5 - size / 2)
    matrix = np.where(offset[:, None] <= crop * size / 2, np.nan_to_num(matrix), 0)
    return matrix @ maps @ matrix.T


def gaussian_matrix(n: int, sigma: float) -> np.ndarray:
    """Return the matrix which blurs a line by a Gaussian.

    Parameters
    ----------
    n
        Number of samples.
    sigma
        Standard deviation in samples.

    Returns
    -------
    matrix
        Symmetric array of shape (n, n) and dtype float32, not
        normalized at the borders: divide a blurred signal by its
        blurred mask.
    """
    samples = np.arange(n)
    matrix = np.exp(-0.5 * ((samples[:, None] - samples[None, :]) / sigma) ** 2)
    return (matrix / (sigma * np.sqrt(2 * np.pi))).astype("float32")


def factors(matrix: np.ndarray, tolerance: float = 1e-7) -> tuple[np.ndarray, ...]:
    """Return two thin matrices whose product is a symmetric matrix.

    A wide blur leaves little, so that it is two products with a fifth of
    the numbers each instead of one.

    Parameters
    ----------
    matrix
        Symmetric matrix of shape (n, n) without negative eigenvalues.
    tolerance
        Eigenvalues below this share of the largest one are left out.

    Returns
    -------
    left, right
        Arrays of shapes (n, m) and (m, n) and dtype float32, with
        m <= n.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.patterns._matrices import factors, gaussian_matrix
    >>> matrix = gaussian_matrix(96, 9.6)
    >>> left, right = factors(matrix)
    >>> left.shape, np.allclose(left @ right, matrix, atol=1e-7)
    ((96, 21), True)
    """
    eigenvalues, eigenvectors = np.linalg.eigh(matrix.astype("float64"))
    significant = eigenvalues > tolerance * eigenvalues[-1]
    left = eigenvectors[:, significant] * eigenvalues[significant]
    return left.astype("float32"), eigenvectors[:, significant].T.astype("float32")


def separable(rows: Any, patterns: Any, columns: Any) -> Any:
    """Apply one matrix to the rows and one to the columns of patterns.

    Parameters
    ----------
    rows
        Matrix of shape (..., n_rows_out, n_rows).
    patterns
        Patterns of shape (n, n_rows, n_columns).
    columns
        Matrix of shape (..., n_columns_out, n_columns).

    Returns
    -------
    patterns_out
        Patterns of shape (n, n_rows_out, n_columns_out).
    """
    return ops.matmul(ops.matmul(rows, patterns), ops.swapaxes(columns, -1, -2))

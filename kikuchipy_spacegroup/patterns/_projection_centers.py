# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Projection centers of scans and of patterns, in Bruker's convention.

Signals and users give them as kikuchipy does: PCx in widths of the
pattern from its left edge, PCy in heights from its top edge, and PCz in
heights. Networks see the central square, and get them in units of its side.
"""

import logging
from typing import Any

from kikuchipy.signals import EBSD
import numpy as np

_logger = logging.getLogger(__name__)

# What kikuchipy sets if nobody says where the projection center is
_DEFAULT = 0.5


def read_projection_centers(
    signal: EBSD, nav_shape: tuple[int, ...], sig_shape: tuple[int, ...]
) -> np.ndarray | None:
    """Return the projection center of every pattern of a scan, and log it.

    Parameters
    ----------
    signal
        The scan. Neither it nor its detector is changed.
    nav_shape, sig_shape
        Its navigation and signal shape, rows first.

    Returns
    -------
    projection_centers
        Array of shape *nav_shape* + (3,) and dtype float64, or None if they
        are unknown: all those of kikuchipy's default, which nobody set, or
        NaN.

    Raises
    ------
    ValueError
        If the detector has neither one projection center nor one per point,
        is of another shape than the patterns, which is not a binning of
        it, or a center is not possible.
    """
    detector = signal.detector
    pc = np.array(detector.pc, dtype="float64")
    if is_unknown(pc):
        _logger.info(
            "Projection center: unknown, as %s in `signal.detector.pc`. The model uses "
            "it, and is less sure and more often wrong without it. Set it with "
            "`signal.detector.pc = (pcx, pcy, pcz)`, in Bruker's convention, or estimate "
            "it with `kikuchipy_spacegroup.detectors.estimate_projection_center(signal)`",
            "NaN is" if np.isnan(pc).any() else "the default (0.5, 0.5, 0.5) is",
        )
        return None
    if pc.size != 3 and pc.shape[:-1] != nav_shape:
        raise ValueError(
            f"The detector of the signal has projection centers of shape {pc.shape}, "
            f"which are neither one, (1, 3), nor one per point of the scan, "
            f"{(*nav_shape, 3)}. Set `signal.detector.pc`, for example to "
            "`signal.detector.pc_average`"
        )
    _check_detector_shape(detector.shape, sig_shape)
    _check_values(pc, "`signal.detector.pc`")
    _logger.info(
        "Projection center: (%.3f, %.3f, %.3f), %s",
        *np.nanmean(pc.reshape(-1, 3), axis=0),
        "the same for all points" if pc.size == 3 else "the mean of one per point",
    )
    return np.broadcast_to(pc.reshape(-1) if pc.size == 3 else pc, (*nav_shape, 3))


def is_unknown(pc: np.ndarray) -> bool:
    """Return whether projection centers (..., 3) are kikuchipy's default or NaN."""
    pc = np.asarray(pc, dtype="float64")
    return bool((pc == _DEFAULT).all() or np.isnan(pc).any(axis=-1).all())


def _check_detector_shape(shape: tuple[int, ...], sig_shape: tuple[int, ...]) -> None:
    """Raise if patterns are no more what the projection center is relative to.

    kikuchipy wants the same shape. Binning changes no center, and
    ``downsample(inplace=False)`` of version 0.13 bins the detector of the
    signal it leaves as it is.
    """
    if shape[0] * sig_shape[1] != shape[1] * sig_shape[0]:
        raise ValueError(
            f"The detector of the signal is of shape {tuple(shape)}, and its patterns "
            f"are of shape {sig_shape}, so they were cropped and the projection center "
            "is another one. Give the signal a detector of the shape of its patterns "
            "with `signal.detector = kikuchipy.detectors.EBSDDetector(shape, pc=...)`"
        )


def check_projection_centers(projection_centers: Any, n: int) -> np.ndarray:
    """Return the projection centers of n patterns.

    Parameters
    ----------
    projection_centers
        Array of shape (n, 3), or of shape (3,) or (1, 3) for all patterns.
        NaN or None if they are unknown.
    n
        Number of patterns.

    Returns
    -------
    projection_centers
        Array of shape (n, 3) and dtype float64.

    Raises
    ------
    ValueError
        If the array is of another shape or of no real numbers, or a center
        is not possible.
    """
    if projection_centers is None:
        return np.full((n, 3), np.nan)
    centers = np.asarray(projection_centers)
    if centers.dtype.kind not in "uif" or centers.shape not in ((n, 3), (1, 3), (3,)):
        raise ValueError(
            "projection_centers must be real numbers (PCx, PCy, PCz) in an array of "
            f"shape ({n}, 3), one per pattern, or (3,), one for all, not "
            f"{centers.dtype} of shape {centers.shape}"
        )
    _check_values(centers, "projection_centers")
    return np.broadcast_to(centers.astype("float64"), (n, 3))


def _check_values(centers: np.ndarray, name: str) -> None:
    """Raise if a projection center is infinite or not before the screen."""
    wrong = np.isinf(centers).any(axis=-1) | (centers[..., 2] <= 0)
    if wrong.any():
        raise ValueError(
            f"{name} has {wrong.sum()} centers that are not possible, such as "
            f"{centers[wrong][0].tolist()}: numbers must be finite, and PCz above 0. "
            "Set those that are unknown to NaN"
        )


def relative_to_square(
    projection_centers: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Return projection centers relative to the central square of patterns.

    Parameters
    ----------
    projection_centers
        Array of shape (n, 3), relative to width, height and height.
    shape
        Number of rows and columns of the patterns.

    Returns
    -------
    projection_centers_out
        Array of shape (n, 3) and dtype float32: PCx from the left edge of
        the square, PCy from its top edge, and PCz, in units of its side.
    """
    rows, columns = shape
    side = min(shape)
    pcx, pcy, pcz = np.asarray(projection_centers, dtype="float64").T
    # In pixels from the corner of the pattern, then of the square
    x = pcx * columns - (columns - side) / 2
    y = pcy * rows - (rows - side) / 2
    return (np.stack([x, y, pcz * rows], axis=1) / side).astype("float32")


def relative_to_pattern(
    projection_center: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Return a projection center relative to a pattern, as users have it.

    The inverse of :func:`relative_to_square`.

    Parameters
    ----------
    projection_center
        Array of shape (3,), relative to the central square and its side.
    shape
        Number of rows and columns of the pattern.

    Returns
    -------
    projection_center_out
        Array of shape (3,), relative to width, height and height.
    """
    rows, columns = shape
    side = min(shape)
    x, y, z = np.asarray(projection_center, dtype="float64") * side
    x, y = x + (columns - side) / 2, y + (rows - side) / 2
    return np.array([x / columns, y / rows, z / rows])


def refuse_projection_centers(model: Any, what: str) -> None:
    """Raise if a model uses projection centers, where they are not supported.

    Parameters
    ----------
    model
        Model.
    what
        What does not support them, as the beginning of a sentence.

    Raises
    ------
    NotImplementedError
        If it does.
    """
    if getattr(model, "uses_projection_center", False):
        raise NotImplementedError(
            f"{what} is not supported for models that use the projection center, as "
            "this one does (`model.uses_projection_center`)"
        )

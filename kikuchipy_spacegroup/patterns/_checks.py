# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check what users pass to the package, before any work is done."""

from typing import TYPE_CHECKING, Any

from kikuchipy.signals import EBSD
import numpy as np

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap


def check_signal(signal: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return navigation and signal shape of a scan, rows first."""
    if not isinstance(signal, EBSD):
        raise TypeError(
            f"Signal must be a kikuchipy EBSD signal, not {type(signal).__name__}. Make "
            "one with `kikuchipy.load()` or `kikuchipy.signals.EBSD(array)`"
        )
    nav_shape = signal.axes_manager.navigation_shape[::-1]
    sig_shape = signal.axes_manager.signal_shape[::-1]
    if len(nav_shape) > 2:
        raise ValueError(
            f"Scan has {len(nav_shape)} navigation dimensions {nav_shape}, but a map has "
            "at most 2. Use `signal.inav` to choose a part"
        )
    if 0 in (*nav_shape, *sig_shape):
        raise ValueError(f"Scan of shape {nav_shape} x {sig_shape} is empty")
    if min(sig_shape) < 8:
        raise ValueError(f"Patterns of shape {sig_shape} are too small, 8 x 8 is least")
    if signal.data.dtype.kind not in "uifb":
        raise ValueError(f"Patterns must be real numbers, not {signal.data.dtype}")
    return nav_shape, sig_shape


def check_mask(mask: Any, shape: tuple[int, ...], name: str) -> np.ndarray | None:
    """Return a mask if it is boolean, fits and leaves something."""
    if mask is None:
        return None
    if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != shape:
        given = (
            getattr(mask, "shape", None),
            getattr(mask, "dtype", type(mask).__name__),
        )
        raise ValueError(
            f"{name} must be a boolean array of shape {shape}, but has the shape "
            f"{given[0]} and is of {given[1]}"
        )
    if mask.all():
        raise ValueError(f"{name} is True everywhere, so that nothing is left")
    return mask


def check_background(background: Any, shape: tuple[int, ...]) -> None:
    """Raise if a static background is none that can be divided by."""
    if background is None or (isinstance(background, str) and background == "auto"):
        return
    if not isinstance(background, np.ndarray) or background.shape != shape:
        raise ValueError(
            f"static_background must be 'auto', None or an array of shape {shape}, not "
            f"{getattr(background, 'shape', background)!r}"
        )
    if background.dtype.kind not in "uif" or not (background > 0).any():
        raise ValueError("static_background must be real numbers, some above zero")


def check_probability(name: str, value: float) -> None:
    """Raise if a number is not a probability."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be in [0, 1], not {value}")


def points_of_map(xmap: "CrystalMap", n: int) -> np.ndarray:
    """Return the flat indices in a scan of the points in a map.

    Parameters
    ----------
    xmap
        Map of the scan. A part of a scan has a map of the whole scan in
        which only this part is in the data.
    n
        Number of patterns in the scan.

    Returns
    -------
    index
        Array of shape (xmap.size,).

    Raises
    ------
    ValueError
        If the map has another number of points.
    """
    if xmap.is_in_data.size == n:
        return np.flatnonzero(xmap.is_in_data)
    if xmap.size == n:
        return np.arange(n)
    raise ValueError(
        f"The crystal map has {xmap.is_in_data.size} points, {xmap.size} of them in the "
        f"data, and the scan {n}"
    )

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Estimate what a camera does to patterns from a scan."""

from dataclasses import replace
import logging
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import convolve, gaussian_filter, median_filter

from kikuchipy_spacegroup.patterns import divide_background, unusable_patterns
from kikuchipy_spacegroup.patterns._checks import check_mask, check_signal
from kikuchipy_spacegroup.patterns._scan import (
    blocks_of_patterns,
    find_background,
    sample_patterns,
)
from kikuchipy_spacegroup.simulation._acquisition import Acquisition

if TYPE_CHECKING:
    from kikuchipy.signals import EBSD

_logger = logging.getLogger(__name__)
# Second differences along both directions, for which a smooth pattern
# has nothing. Its norm is 6
_LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype="float32") / 6


def estimate_acquisition(
    signal: "EBSD",
    *,
    navigation_mask: np.ndarray | None = None,
    signal_mask: np.ndarray | None = None,
    static_background: np.ndarray | str | None = "auto",
    margin: float = 1.25,
) -> Acquisition:
    """Estimate the noise, blur, contrast and background of a scan.

    A model trained with them on patterns as noisy as those of the scan,
    and not on all that cameras do, tells more of the scan.

    Parameters
    ----------
    signal
        Scan, which may be lazy. Up to 400 of its patterns are used.
    navigation_mask, signal_mask, static_background
        See :func:`~kikuchipy_spacegroup.classification.classify_space_group`.
    margin
        Factor by which ranges go beyond the 5th and 95th percentile of
        what is found.

    Returns
    -------
    acquisition
        Ranges of noise, contrast, resolution, aperture, dead pixels and
        saturation as found, and the others as in
        :class:`~kikuchipy_spacegroup.simulation.Acquisition`: gamma,
        point spread, excess and deficiency, overlap, uneven
        illumination and marks cannot be told from the diffraction
        signal without knowing the phase and orientation.

    Raises
    ------
    TypeError
        If the signal is of another type.
    ValueError
        If a mask does not fit, or no pattern can be used.

    See Also
    --------
    kikuchipy_spacegroup.simulation.Acquisition
    kikuchipy.signals.EBSD.get_image_quality

    Notes
    -----
    The standard deviation of the noise is found from second differences
    of neighboring pixels :cite:`immerkaer1996fast`. That of the signal
    is what remains of the variance of the pattern, without what is
    smooth over a tenth of its side. Noise that the camera has blurred
    is taken for signal.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.simulation import estimate_acquisition
    >>> acquisition = estimate_acquisition(kp.data.nickel_ebsd_small())
    >>> acquisition.resolution
    (60.0, 60.0)
    """
    nav_shape, sig_shape = check_signal(signal)
    navigation_mask = check_mask(navigation_mask, nav_shape, "navigation_mask")
    signal_mask = check_mask(signal_mask, sig_shape, "signal_mask")
    if margin < 1:
        raise ValueError(f"margin must be at least 1, not {margin}")
    blocks = blocks_of_patterns(signal.data, nav_shape, sig_shape, None)
    background, inside = find_background(
        signal, blocks, static_background, navigation_mask, signal_mask
    )
    raw = sample_patterns(blocks, navigation_mask)
    raw = raw[~unusable_patterns(raw)]
    if len(raw) == 0:
        raise ValueError("All patterns are constant, saturated or not finite")
    square = _find_central_square(sig_shape)
    patterns = divide_background(raw, background, inside)[(slice(None), *square)]
    # Patterns with missing pixels must not take these away from all others
    finite = np.isfinite(patterns)
    valid = finite.mean(axis=0) > 0.5
    complete = finite[:, valid].all(axis=1)
    if complete.any():
        patterns, raw = patterns[complete], raw[complete]
    else:
        valid = finite.all(axis=0)
    noise, strength = _estimate_noise_and_signal(patterns, valid)
    side = float(patterns.shape[-1])
    estimates = {
        "noise": _find_range(noise / strength, margin),
        "contrast": _find_range(strength, margin),
        "resolution": (side, side),
        "dead_pixels": (0.0, min(1.0, margin * _estimate_dead_pixels(patterns, valid))),
        "saturation_probability": _estimate_saturation(
            raw[(slice(None), *square)], valid
        ),
    }
    radius = np.sqrt(valid.mean() * 4 / np.pi)
    if valid.mean() < 0.98:
        limits = (float(radius) - 0.03, float(radius) + 0.03)
        estimates |= {"aperture": limits, "aperture_probability": 1.0}
    else:
        estimates["aperture_probability"] = 0.0
    _logger.info("Estimated from %i patterns: %s", len(patterns), estimates)
    return replace(Acquisition(), **estimates)


def _find_central_square(shape: tuple[int, int]) -> tuple[slice, slice]:
    """Return rows and columns of the largest square in the center."""
    side = min(shape)
    starts = [(n - side) // 2 for n in shape]
    return tuple(slice(start, start + side) for start in starts)


def _estimate_noise_and_signal(
    patterns: np.ndarray, valid: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return standard deviations of noise and signal over the mean, (n,) both."""
    patterns = np.where(valid, patterns, 0)
    mean = patterns[:, valid].mean(axis=1)
    # Where all nine pixels are valid
    inner = convolve(valid.astype(int), np.ones((3, 3), int), mode="constant") == 9
    sigma = patterns.shape[-1] / 10
    weight = gaussian_filter(valid.astype("float32"), sigma) + 1e-6
    noise_std, high_pass_std = np.empty((2, len(patterns)))
    for i, pattern in enumerate(patterns):
        noise_std[i] = convolve(pattern, _LAPLACIAN)[inner].std()
        high_pass = pattern - mean[i] * valid
        for _ in range(2):
            high_pass = (high_pass - gaussian_filter(high_pass, sigma) / weight) * valid
        high_pass_std[i] = high_pass[valid].std()
    # At least a twentieth, as for patterns of nothing but noise
    signal_std = np.sqrt(
        np.maximum(high_pass_std**2 - noise_std**2, (high_pass_std / 20) ** 2)
    )
    # Patterns without background have no mean to refer to
    scale = np.where(np.abs(mean) > 3 * high_pass_std, np.abs(mean), 8 * high_pass_std)
    return noise_std / scale, signal_std / scale


def _estimate_dead_pixels(patterns: np.ndarray, valid: np.ndarray) -> float:
    """Return the share of pixels that stand out in the mean pattern."""
    mean = np.where(valid, patterns, np.nan).mean(axis=0)
    mean = np.where(valid, mean, np.nanmean(mean[valid]))
    deviation = (mean - median_filter(mean, 3))[valid]
    scale = 1.4826 * np.median(np.abs(deviation)) + 1e-12
    return float((np.abs(deviation) > 8 * scale).mean())


def _estimate_saturation(patterns: np.ndarray, valid: np.ndarray) -> float:
    """Return the share of patterns with one in a hundred pixels cut off."""
    if patterns.dtype.kind not in "ui":
        return 0.0
    intensities = patterns[:, valid]
    highest = intensities.max()
    # A value that stands for all higher ones is the most frequent at the top
    highest_share = (intensities == highest).mean(axis=1)
    return float((highest_share > 0.01).mean())


def _find_range(values: np.ndarray, margin: float) -> tuple[float, float]:
    """Return the 5th and 95th percentile, widened by a factor."""
    low, high = np.percentile(values, [5, 95])
    return float(low / margin), float(high * margin)

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Static background, aperture and unusable patterns; arrays only."""

import numpy as np
from scipy.ndimage import (
    binary_erosion,
    binary_fill_holes,
    binary_opening,
    gaussian_filter,
    label,
)

# Share of pixels at the highest value from which on a pattern counts as
# saturated
_SATURATED = 0.5
# The mean pattern is used as background if its fine detail is weaker
# than this share of that of single patterns. Means of n unrelated
# patterns have 1 / sqrt(n).
_LARGEST_DETAIL = 0.3
# Outside of the aperture are pixels darker than this share of the
# median of the central half
_DARK = 0.03


def unusable_patterns(patterns: np.ndarray) -> np.ndarray:
    """Return which patterns cannot be classified at all.

    Parameters
    ----------
    patterns
        Patterns of shape (n, height, width).

    Returns
    -------
    unusable
        Boolean array of shape (n,), True where a pattern is constant,
        has no finite pixel, or has at least half of its finite pixels
        at its highest value (saturated).

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.background import unusable_patterns
    >>> patterns = np.arange(50).reshape(2, 5, 5)
    >>> patterns[1] = 7
    >>> unusable_patterns(patterns)
    array([False,  True])
    """
    flat = patterns.reshape(patterns.shape[0], -1)
    if flat.dtype.kind == "f":
        finite = np.isfinite(flat)
        n_finite = finite.sum(axis=1)
        flat = np.where(finite, flat, -np.inf)
    else:
        n_finite = np.full(len(flat), flat.shape[1])
    n_highest = (flat == flat.max(axis=1, keepdims=True)).sum(axis=1)
    return (n_finite == 0) | (n_highest >= _SATURATED * n_finite)


def find_aperture(mean: np.ndarray) -> np.ndarray:
    """Return the pixels on which the camera sees the screen.

    Parameters
    ----------
    mean
        Mean pattern or background of shape (height, width), of raw
        intensities.

    Returns
    -------
    inside
        Boolean array of shape (height, width). True everywhere if no
        dark region touches the border.

    Notes
    -----
    Pixels outside are not finite, or darker than 3 % of the median of
    the pattern's central half and connected to its border. The rim of
    the aperture is eroded by a hundredth of the height, since it is
    neither bright nor dark.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.background import find_aperture
    >>> x = np.linspace(-1, 1, 50)
    >>> mean = np.where(x**2 + x[:, None] ** 2 < 1, 200, 1)
    >>> round(find_aperture(mean).mean(), 2)
    0.71
    """
    finite = np.isfinite(mean)
    mean = np.where(finite, mean, 0).astype("float64")
    height, width = mean.shape
    center = mean[height // 4 : -(height // 4) or None]
    center = center[:, width // 4 : -(width // 4) or None]
    dark = ~finite
    # Intensities of corrected patterns may be centered on zero
    if mean[finite].size and np.median(center) > 0 and mean.min() >= 0:
        dark = dark | (mean < _DARK * np.median(center))
    # Single dark pixels at the border are noise
    dark = binary_opening(np.pad(dark, 2, mode="edge"), iterations=1)[2:-2, 2:-2]
    regions, _ = label(dark)
    rim = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    outside = np.isin(regions, rim[rim > 0])
    if outside.mean() < 0.005:
        return finite
    # Dark spots of the screen inside of the aperture are not the camera
    inside = binary_fill_holes(~outside)
    n = max(1, round(height / 100))
    return binary_erosion(inside, iterations=n, border_value=1) & finite


def detail(patterns: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the strength of fine detail relative to the intensity.

    Parameters
    ----------
    patterns
        Patterns of shape (n, height, width).
    inside
        Pixels to use, of shape (height, width).

    Returns
    -------
    strength
        Array of shape (n,): standard deviation of patterns divided by
        themselves blurred by a Gaussian of a fifteenth of the height,
        twice, so that nothing is left of a smooth background.
    """
    sigma = patterns.shape[1] / 15
    weight = gaussian_filter(inside.astype("float64"), sigma) + 1e-6
    out = []
    for pattern in patterns:
        relative = np.where(inside & np.isfinite(pattern), pattern, 0).astype("float64")
        for _ in range(2):
            smooth = gaussian_filter(relative, sigma) / weight
            relative = relative / np.where(np.abs(smooth) > 1e-9, smooth, 1)
        out.append(relative[inside].std() if inside.any() else 0.0)
    return np.array(out)


def background_from_patterns(
    patterns: np.ndarray, inside: np.ndarray
) -> tuple[np.ndarray | None, str]:
    """Return a static background from patterns, where that is sound.

    Parameters
    ----------
    patterns
        Raw patterns from all over the scan of shape (n, height, width).
    inside
        Pixels inside of the aperture, of shape (height, width).

    Returns
    -------
    background
        Background of shape (height, width) and dtype float32, or None.
    reason
        What was chosen and why, for the log.

    Notes
    -----
    The mean of patterns of many orientations is the background. The
    mean of patterns of a few grains still holds their bands, and to
    divide by it would take the bands out of the patterns. It is
    therefore used as it is only if its fine detail is less than 30 % of
    that of single patterns. Otherwise it is blurred by a Gaussian of an
    eighth of the height, which leaves the uneven illumination.

    Patterns with values below zero have had their background removed,
    and get none.
    """
    mean = patterns.mean(axis=0, dtype="float64")
    if not np.isfinite(mean[inside]).all() or (mean[inside] <= 0).any():
        return None, "none (values are not all positive: already removed)"
    shown = patterns[
        np.linspace(0, len(patterns) - 1, min(len(patterns), 20), dtype=int)
    ]
    ratio = detail(mean[None], inside)[0] / max(detail(shown, inside).mean(), 1e-12)
    if ratio < _LARGEST_DETAIL:
        return mean.astype("float32"), (
            f"mean of {len(patterns)} patterns (its detail is {ratio:.2f} of theirs)"
        )
    sigma = mean.shape[0] / 8
    weight = gaussian_filter(inside.astype("float64"), sigma) + 1e-6
    smooth = gaussian_filter(np.where(inside, mean, 0), sigma) / weight
    return np.where(inside, smooth, np.nan).astype("float32"), (
        f"blurred mean of {len(patterns)} patterns (too few or too similar to use their "
        f"mean: its detail is {ratio:.2f} of theirs)"
    )


def divide_background(
    patterns: np.ndarray, background: np.ndarray | None, inside: np.ndarray
) -> np.ndarray:
    """Return patterns divided by a background.

    Parameters
    ----------
    patterns
        Patterns of shape (..., height, width) and any real data type.
    background
        Background of shape (height, width), or None to divide by
        nothing.
    inside
        Pixels inside of the aperture, of shape (height, width).

    Returns
    -------
    divided
        Patterns of dtype float32, NaN outside of the aperture and where
        the background is not positive.
    """
    patterns = patterns.astype("float32")
    if background is None:
        return (
            patterns if inside.all() else np.where(inside, patterns, np.float32(np.nan))
        )
    usable = inside & np.isfinite(background) & (background > 0)
    factor = np.full(background.shape, np.nan, dtype="float32")
    factor[usable] = 1 / background[usable]
    return patterns * factor

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
# The mean pattern is used as background if there are as many different
# patterns, see count_signals()
_FEWEST_SIGNALS = 5
# Outside of the aperture are pixels darker than this share of the
# median of the central half
_DARK = 0.1


def unusable_patterns(patterns: np.ndarray) -> np.ndarray:
    """Return a mask of patterns that cannot be classified at all.

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
    >>> from kikuchipy_spacegroup.patterns import unusable_patterns
    >>> patterns = np.arange(50).reshape(2, 5, 5)
    >>> patterns[1] = 7
    >>> unusable_patterns(patterns)
    array([False,  True])
    """
    flat = patterns.reshape(patterns.shape[0], -1)
    # Some at a time, so that what is made of them stays in the cache
    parts = [_unusable(flat[i : i + 128]) for i in range(0, len(flat), 128)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)


def _unusable(flat: np.ndarray) -> np.ndarray:
    n_finite = np.full(len(flat), flat.shape[1])
    if flat.dtype.kind == "f":
        finite = np.isfinite(flat)
        if not finite.all():
            n_finite = _count(finite)
            flat = np.where(finite, flat, flat.dtype.type(-np.inf))
    n_highest = _count(flat == flat.max(axis=1, keepdims=True))
    return (n_finite == 0) | (n_highest >= _SATURATED * n_finite)


def _count(flags: np.ndarray) -> np.ndarray:
    """Count what is True per row, faster than by the sum of booleans."""
    return flags.view("uint8").sum(axis=1, dtype="uint32")


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
    Pixels outside are not finite, or darker than 10 % of the median of
    the pattern's central half and connected to its border. The rim of
    the aperture is eroded by a hundredth of the height, since it is
    neither bright nor dark.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.patterns import find_aperture
    >>> x = np.linspace(-1, 1, 50)
    >>> mean = np.where(x**2 + x[:, None] ** 2 < 1, 200, 1)
    >>> find_aperture(mean)[[0, 25], [0, 25]]
    array([False,  True])
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


def count_signals(patterns: np.ndarray, inside: np.ndarray) -> float:
    r"""Return about how many different patterns there are, but one.

    Parameters
    ----------
    patterns
        Raw patterns of shape (n, height, width).
    inside
        Pixels to use, of shape (height, width).

    Returns
    -------
    number
        Near 0 or 1 for patterns of one or two orientations, near
        :math:`G - 1` for patterns of G orientations.

    Notes
    -----
    Patterns are divided by their mean, which takes away all that they
    share, and smooth residues are removed. Two images of each are made
    from its even and its odd columns. These share the bands, but not
    the noise, so that the matrix K of their inner products is free of
    noise on average, even on its diagonal. The number is the
    participation ratio of the eigenvalues of K,
    :math:`\mathrm{tr}(K)^2 / \sum_{ij} K_{ij}^2`.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.ndimage import gaussian_filter
    >>> from kikuchipy_spacegroup.patterns._background import count_signals
    >>> rng = np.random.default_rng(1)
    >>> different = gaussian_filter(rng.normal(size=(20, 60, 60)), (0, 1, 1))
    >>> noise = rng.normal(size=(20, 60, 60))
    >>> everywhere = np.ones((60, 60), dtype=bool)
    >>> bool(count_signals(10 + different + 0.1 * noise, everywhere) > 15)
    True
    >>> bool(count_signals(10 + different[:1] + 0.1 * noise, everywhere) < 2)
    True
    """
    mean = patterns.mean(axis=0, dtype="float64")
    usable = inside & (mean > 0)
    relative = np.where(usable, patterns / np.where(usable, mean, 1), 1)
    n = max(1, min(mean.shape) // 60)
    relative, usable = _binned(relative, n), _binned(usable, n) == 1
    sigma = relative.shape[1] / 15
    weight = gaussian_filter(usable.astype("float64"), sigma) + 1e-6
    smooth = gaussian_filter(relative * usable, (0, sigma, sigma)) / weight
    relative = (relative - smooth)[..., : usable.shape[1] // 2 * 2]
    both = usable[:, 0:-1:2] & usable[:, 1::2]
    even, odd = relative[..., ::2][:, both], relative[..., 1::2][:, both]
    products = even @ odd.T
    products = (products + products.T) / 2
    return np.trace(products) ** 2 / max((products**2).sum(), 1e-30)


def _binned(array: np.ndarray, n: int) -> np.ndarray:
    """Return means of n x n pixels."""
    height, width = (i // n * n for i in array.shape[-2:])
    blocks = array[..., :height, :width].reshape(
        *array.shape[:-2], height // n, n, width // n, n
    )
    return blocks.mean(axis=(-3, -1))


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

    See Also
    --------
    kikuchipy.signals.EBSD.remove_static_background

    Notes
    -----
    The mean of patterns of many orientations is the background. The
    mean of patterns of a few grains still holds their bands, and to
    divide by it would take the bands out of the patterns. It is
    therefore used as it is only if ``count_signals()`` finds at least
    five. Otherwise it is blurred by a Gaussian of an eighth of the
    height, which leaves the uneven illumination.

    Patterns with values below zero have had their background removed,
    and get none.
    """
    mean = patterns.mean(axis=0, dtype="float64")
    if not np.isfinite(mean[inside]).all() or (mean[inside] <= 0).any():
        return None, "none (values are not all positive: already removed)"
    number = count_signals(patterns, inside)
    if number >= _FEWEST_SIGNALS:
        return mean.astype("float32"), f"mean of {len(patterns)} patterns"
    sigma = mean.shape[0] / 8
    weight = gaussian_filter(inside.astype("float64"), sigma) + 1e-6
    smooth = gaussian_filter(np.where(inside, mean, 0), sigma) / weight
    return np.where(inside, smooth, np.nan).astype("float32"), (
        f"blurred mean of {len(patterns)} patterns, which are of too few orientations "
        "for their mean to be a background. Better give `static_background`"
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

    See Also
    --------
    kikuchipy.signals.EBSD.remove_static_background
    """
    if background is None:
        patterns = patterns.astype("float32")
        return (
            patterns if inside.all() else np.where(inside, patterns, np.float32(np.nan))
        )
    usable = inside & np.isfinite(background) & (background > 0)
    factor = np.full(background.shape, np.nan, dtype="float32")
    factor[usable] = 1 / background[usable]
    return np.multiply(patterns, factor, dtype="float32")

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reject images that cannot be diffraction patterns; arrays only."""

import numpy as np

from kikuchipy_spacegroup.patterns._background import blur_images, flatten_patterns

# What the values of patterns are like. Of 889 real and 3400 simulated patterns
# all have a kurtosis of 2.5 to 5.4, a skewness of -0.7 to 1.4, and at least
# 0.06 of their values within a tenth of the standard deviation
_KURTOSIS = (1.7, 8)
_SKEWNESS = (-1.2, 1.7)
_LEAST_NEAR_MEAN = 0.04
# Fewer pixels than this do not say what a distribution is like
_FEWEST_PIXELS = 1500
# Width of the window of the local contrast as a share of the side, its floor
# and the largest value, as in PreparePatterns
_SIGMA, _FLOOR, _CLIP = 1 / 8, 0.25, 3
# The smallest square of a local deviation, where the largest value is 1
_LEAST_SQUARE = 1e-12
# Images at a time, few enough for the cache of a processor
_PART = 64


def implausible_patterns(divided: np.ndarray, inside: np.ndarray) -> np.ndarray:
    r"""Return which images have values no diffraction pattern has.

    Parameters
    ----------
    divided
        Images of shape (n, height, width), divided by their static
        background if they have one.
    inside
        Pixels inside of the aperture, of shape (height, width).

    Returns
    -------
    implausible
        Boolean array of shape (n,). False where it cannot be told: for
        images with missing pixels, and if less than 1500 pixels are seen.

    See Also
    --------
    kikuchipy_spacegroup.classification.classify_space_group

    Notes
    -----
    A pattern is the sum of many bands and of noise. Without what varies
    slowly, and with its contrast made even, its values are distributed
    nearly as those of a Gaussian. Those of drawings, text and micrographs
    of a few phases often are not: they have two values, or one and rare
    others. An image is implausible if the kurtosis of its values is not
    from 1.7 to 8 or the skewness not from -1.2 to 1.7, or if less than
    4 % of them are within a tenth of the standard deviation from their
    mean (8 % are in a Gaussian).

    Limits are far from what is found in patterns, so that none is lost:
    an image that is plausible need not be a pattern. Blurred noise is as
    plausible as a pattern.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.patterns import implausible_patterns
    >>> patterns = kp.data.nickel_ebsd_small().data[0].astype("float32")
    >>> patterns[1] = 100 * (np.indices((60, 60)) // 10).sum(axis=0) % 200
    >>> implausible_patterns(patterns, np.ones((60, 60), dtype=bool))
    array([False,  True, False])
    """
    parts = [
        _find_implausible(divided[i : i + _PART], inside)
        for i in range(0, len(divided), _PART)
    ]
    return np.concatenate([np.zeros(0, dtype=bool), *parts])


def _find_implausible(divided: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return which of a few images have values no diffraction pattern has."""
    flattened = flatten_patterns(divided, inside)
    height, width = flattened.shape[1:]
    side = min(height, width)
    n = min(inside.shape) // side
    y, x = (np.arange(i) - (i - 1) / 2 for i in (height, width))
    in_circle = np.hypot(y[:, None], x) <= side / 2
    in_circle &= inside[n // 2 :: n, n // 2 :: n][:height, :width]
    if in_circle.sum() < _FEWEST_PIXELS:
        return np.zeros(len(divided), dtype=bool)
    # Squares of very large values would not be finite
    largest = np.maximum(flattened.max(axis=(1, 2)), -flattened.min(axis=(1, 2)))
    flattened /= np.maximum(largest, 1e-30)[:, None, None]
    intensities = _even_contrast(flattened, in_circle)
    kurtosis, skewness, near_mean = _describe_distributions(intensities)
    implausible = (kurtosis < _KURTOSIS[0]) | (kurtosis > _KURTOSIS[1])
    implausible |= (skewness < _SKEWNESS[0]) | (skewness > _SKEWNESS[1])
    implausible |= near_mean < _LEAST_NEAR_MEAN
    return implausible & np.isfinite(kurtosis)


def _even_contrast(flat: np.ndarray, in_circle: np.ndarray) -> np.ndarray:
    """Return flat patterns over their local deviation, clipped, in a circle.

    From patterns (n, height, width) to intensities (n, pixels in circle).
    """
    width = _SIGMA * min(in_circle.shape)
    mask = in_circle.astype("float32")
    weight = np.maximum(blur_images(mask[None], width)[0], 1e-6)
    # The local mean of squares
    squares = flat * mask
    np.square(squares, out=squares)
    squares = blur_images(squares, width)
    # From here on, only pixels in the circle, and all in the same memory
    pixels = np.flatnonzero(in_circle)
    spread = squares.reshape(len(flat), -1).take(pixels, axis=1)
    spread *= 1 / weight[in_circle]
    # Rounding may leave less than nothing
    np.maximum(spread, _LEAST_SQUARE, out=spread)
    np.sqrt(spread, out=spread)
    # Its geometric mean is typical, and a share of it the floor
    typical = np.exp(np.log(spread).mean(axis=1))
    spread += _FLOOR * typical[:, None]
    intensities = flat.reshape(len(flat), -1).take(pixels, axis=1)
    intensities /= spread
    return np.clip(intensities, -_CLIP, _CLIP, out=intensities)


def _describe_distributions(
    intensities: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return kurtosis, skewness and share of values near the mean, each (n,).

    Intensities of shape (n, pixels) are overwritten.
    """
    n = intensities.shape[1]
    intensities -= intensities.mean(axis=1, keepdims=True)
    squares = np.square(intensities)
    variance = squares.mean(axis=1)
    near = np.abs(intensities) < 0.1 * np.sqrt(variance)[:, None]
    near_mean = np.count_nonzero(near, axis=1) / n
    # Sums of products, without an array of the products
    fourth = np.einsum("ij,ij->i", squares, squares) / n
    third = np.einsum("ij,ij->i", squares, intensities) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        return fourth / variance**2, third / variance**1.5, near_mean

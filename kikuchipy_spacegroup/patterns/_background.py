# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Static background, aperture and unusable patterns; arrays only."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from scipy.ndimage import (
    binary_erosion,
    binary_fill_holes,
    binary_opening,
    gaussian_filter,
    gaussian_filter1d,
    label,
)

# Share of pixels at the highest value from which on a pattern counts as
# saturated
_SATURATED = 0.5
# All fine structure of the mean pattern may be that of the background if
# there are as many different patterns, and none if there are fewer, see
# count_signals()
_FEWEST_SIGNALS, _TOO_FEW_SIGNALS = 5, 2.5
# Share of a pixel's lowest and of its highest values that are left out of
# the mean, and the fewest patterns for that
_TRIMMED, _FEWEST_TRIMMED = 0.02, 10
# A pattern is unlike the others if it deviates from the typical one by more
# than this share, and by more than so many times what others do
_UNLIKE, _TIMES_UNLIKE = 0.2, 4
# How many times as strong as those of others details may be
_TIMES_AS_STRONG = 2
# Pixels per side at which patterns are compared, and bytes worked on at a time
_COARSE, _PART_BYTES = 16, 32 * 2**20
# Outside of the aperture are pixels darker than this share of the
# median of the central half
_DARK = 0.1
# Eigenvalues of a blur below this share of the largest one are noise in float32
_NEGLIGIBLE = 1e-7


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

    See Also
    --------
    kikuchipy_spacegroup.models.SpaceGroupModel.predict_proba

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
    parts = [_find_unusable(flat[i : i + 128]) for i in range(0, len(flat), 128)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)


def _find_unusable(flat: np.ndarray) -> np.ndarray:
    """Return which of patterns (n, pixels) are unusable, of shape (n,)."""
    n_finite = np.full(len(flat), flat.shape[1])
    if flat.dtype.kind == "f":
        finite = np.isfinite(flat)
        if not finite.all():
            n_finite = _count_true(finite)
            flat = np.where(finite, flat, flat.dtype.type(-np.inf))
    n_highest = _count_true(flat == flat.max(axis=1, keepdims=True))
    return (n_finite == 0) | (n_highest >= _SATURATED * n_finite)


def _count_true(flags: np.ndarray) -> np.ndarray:
    """Return the number of True per row (n,), faster than by the sum of booleans."""
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

    See Also
    --------
    background_from_patterns

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


def comparable_patterns(patterns: np.ndarray) -> np.ndarray:
    """Return patterns on one scale, without those unlike all others.

    Parameters
    ----------
    patterns
        Raw patterns of shape (n, height, width).

    Returns
    -------
    comparable
        Patterns of shape (m, height, width) and dtype float32, each
        divided by how much brighter it is than the typical one. Pixels
        that are not finite are NaN.

    See Also
    --------
    trimmed_mean

    Notes
    -----
    Patterns are compared to the median pattern at about 16 x 16 pixels,
    where noise and narrow bands hardly matter. Those of another shutter
    time differ in scale only and stay. Those with another illumination
    or nothing but noise, half saturated or covered, are left out: they
    deviate by more than 20 % (root mean square), and by more than four
    times the median deviation.

    Patterns which are mostly not positive, as without background, have
    no scale, and all stay as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.patterns._background import comparable_patterns
    >>> patterns = np.arange(1, 401).reshape(1, 20, 20) * np.ones((9, 1, 1))
    >>> patterns[1] *= 20
    >>> patterns[2] = patterns[2, ::-1]
    >>> comparable = comparable_patterns(patterns)
    >>> comparable.shape, bool(np.allclose(comparable[1], patterns[0]))
    ((8, 20, 20), True)
    """
    patterns = patterns.astype("float32")
    patterns[~np.isfinite(patterns)] = np.nan
    coarse = _bin_patterns(patterns)
    level = _calculate_median(_crop_center(coarse).reshape(len(coarse), -1))
    level = np.where(
        np.isfinite(level), level, _calculate_median(coarse.reshape(len(coarse), -1))
    )
    positive = np.flatnonzero(level > 0)
    if len(positive) < 0.75 * len(patterns):
        return patterns
    # The typical pattern, and all relative to it where it is on the screen
    level = level[positive]
    coarse = coarse[positive] / level[:, None, None]
    typical = _calculate_median(np.moveaxis(coarse, 0, -1))
    on_screen = typical > _DARK * np.nanmedian(_crop_center(typical))
    relative = coarse[:, on_screen] / typical[on_screen]
    scale = np.maximum(_calculate_median(relative), 1e-30)
    finite = np.isfinite(relative)
    deviation = np.where(finite, relative / scale[:, None] - 1, 0)
    n_finite = finite.sum(axis=1)
    deviation = np.sqrt((deviation**2).sum(axis=1) / np.maximum(n_finite, 1))
    deviation[n_finite == 0] = np.inf
    alike = deviation <= max(_UNLIKE, _TIMES_UNLIKE * np.median(deviation))
    factor = np.median(level) / (level * scale)[alike]
    patterns = (
        patterns
        if alike.all() and len(positive) == len(patterns)
        else patterns[positive[alike]]
    )
    patterns *= factor.astype("float32")[:, None, None]
    return patterns


def _bin_patterns(patterns: np.ndarray) -> np.ndarray:
    """Return patterns (n, height / m, width / m) at few pixels.

    Pixels are NaN where less than half is finite.
    """
    n = max(1, min(patterns.shape[1:]) // _COARSE)
    coarse = []
    for part in _iterate_parts(patterns):
        finite = np.isfinite(part)
        share = _average_pixels(finite, n)
        sums = _average_pixels(np.where(finite, part, 0).astype("float64"), n)
        share[share < 0.5] = np.nan
        coarse.append(sums / share)
    return np.concatenate(coarse)


def _crop_center(patterns: np.ndarray) -> np.ndarray:
    """Return the central halves of patterns (..., height, width)."""
    height, width = patterns.shape[-2:]
    rows = slice(height // 4, -(height // 4) or None)
    return patterns[..., rows, width // 4 : -(width // 4) or None]


def _calculate_median(values: np.ndarray) -> np.ndarray:
    """Return the median of finite values over the last axis, NaN without any."""
    ordered = np.sort(values, axis=-1)
    n = np.isfinite(values).sum(axis=-1, keepdims=True)
    low, high = (
        np.take_along_axis(ordered, i, axis=-1)[..., 0]
        for i in ((n - 1).clip(0) // 2, n // 2)
    )
    return (low + high) / 2


def _iterate_parts(patterns: np.ndarray) -> Iterator[np.ndarray]:
    """Yield some patterns at a time, to save memory."""
    n = max(1, _PART_BYTES // (8 * patterns[0].size)) if len(patterns) else 1
    for i in range(0, len(patterns), n):
        yield patterns[i : i + n]


def trimmed_mean(patterns: np.ndarray) -> np.ndarray:
    """Return the mean pattern without the extremes of every pixel.

    Parameters
    ----------
    patterns
        Patterns of shape (n, height, width).

    Returns
    -------
    mean
        Array of shape (height, width) and dtype float64. NaN where less
        than half of the patterns are finite.

    See Also
    --------
    comparable_patterns

    Notes
    -----
    A fiftieth of a pixel's finite values, but at least one, is left out
    at either end if there are ten patterns or more.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.patterns._background import trimmed_mean
    >>> patterns = np.ones((10, 8, 8))
    >>> patterns[3], patterns[4, :, :4] = 1000, np.nan
    >>> bool((trimmed_mean(patterns) == 1).all())
    True
    """
    n, height, width = patterns.shape
    mean = np.empty((height, width))
    rows = max(1, _PART_BYTES // (8 * n * width))
    for i in range(0, height, rows):
        # Sorted, with NaN at the end
        ordered = np.sort(patterns[:, i : i + rows], axis=0)
        n_finite = np.isfinite(ordered).sum(axis=0)
        trimmed = np.ceil(_TRIMMED * n_finite) if n >= _FEWEST_TRIMMED else 0
        rank = np.arange(n)[:, None, None]
        used = (rank >= trimmed) & (rank < n_finite - trimmed)
        sums = np.where(used, ordered, 0).sum(axis=0, dtype="float64")
        enough = 2 * n_finite >= n
        mean[i : i + rows] = np.where(enough, sums, np.nan) / used.sum(axis=0).clip(1)
    return mean


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
    return _calculate_participation_ratio(*_extract_details(patterns, mean, inside))


def _extract_details(
    patterns: np.ndarray, mean: np.ndarray, inside: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the fine details of patterns, and which pixels are usable.

    Details are patterns over their mean without what is smooth, at few
    pixels of an even number of columns, of shape (n, rows, columns).
    Usable pixels are of shape (rows, columns).
    """
    usable = inside & (mean > 0)
    divisor = np.where(usable, mean, 1)
    n = max(1, min(mean.shape) // 60)
    # What is missing is as the mean
    relative = np.concatenate(
        [
            _average_pixels(np.where(usable & np.isfinite(i), i / divisor, 1), n)
            for i in _iterate_parts(patterns)
        ]
    )
    usable = _average_pixels(usable, n) == 1
    sigma = relative.shape[1] / 15
    rows, columns = (_gaussian_filter_matrix(i, sigma) for i in usable.shape)
    weight = rows @ usable.astype("float64") @ columns.T + 1e-6
    smooth = rows @ (relative * usable) @ columns.T / weight
    even = usable.shape[1] // 2 * 2
    details, usable = (relative - smooth)[..., :even], usable[:, :even]
    # No pattern counts for much more than others, as one with spikes would
    strength = np.sqrt((details[:, usable] ** 2).sum(axis=1))
    strongest = _TIMES_AS_STRONG * np.median(strength)
    details *= (strongest / np.maximum(strength, strongest + 1e-30))[:, None, None]
    return details, usable


@lru_cache(maxsize=16)
def _gaussian_filter_matrix(n: int, sigma: float) -> np.ndarray:
    """Return the matrix (n, n) of SciPy's filter, which takes longer by itself."""
    matrix = gaussian_filter1d(np.eye(n), sigma, axis=0)
    # The same array is given to all
    matrix.flags.writeable = False
    return matrix


def _calculate_participation_ratio(details: np.ndarray, usable: np.ndarray) -> float:
    """Return the number of signals from even and odd columns of details."""
    both = usable[:, ::2] & usable[:, 1::2]
    even, odd = details[..., ::2][:, both], details[..., 1::2][:, both]
    products = even @ odd.T
    products = (products + products.T) / 2
    return np.trace(products) ** 2 / max((products**2).sum(), 1e-30)


def _average_pixels(array: np.ndarray, n: int) -> np.ndarray:
    """Return means of n x n pixels of an array (..., height, width), or the array."""
    if array.dtype.kind not in "fc":
        array = array.astype("float64")
    if n == 1:
        return array
    height, width = (i // n * n for i in array.shape[-2:])
    # Sums of rows, then of columns: four times as fast as a mean over two axes
    rows = sum(array[..., i:height:n, :width] for i in range(n))
    return sum(rows[..., i::n] for i in range(n)) / n**2


def background_from_patterns(
    patterns: np.ndarray, inside: np.ndarray
) -> tuple[np.ndarray | None, str]:
    r"""Return a static background from patterns, where that is sound.

    Parameters
    ----------
    patterns
        Raw patterns from all over the scan of shape (n, height, width),
        best on one scale, see ``comparable_patterns()``.
    inside
        Pixels inside of the aperture, of shape (height, width).

    Returns
    -------
    background
        Background of shape (height, width) and dtype float32, NaN
        outside of the aperture, or None.
    reason
        What was chosen and why, for the log.

    See Also
    --------
    divide_background
    kikuchipy.signals.EBSD.remove_static_background

    Notes
    -----
    The mean of patterns of many orientations is the background. The
    mean of patterns of a few grains still holds their bands, and to
    divide by it would take the bands out of the patterns. So the mean
    is blurred by a Gaussian of an eighth of the height, which leaves
    the uneven illumination, and only a share of the fine structure, which
    the blur takes away, is added again: none if ``count_signals()``
    finds fewer than 2.5 signals, and

    .. math::

        \max\left(0, 1 - \frac{2 A}{N V}\right)

    if it finds N, which are five or more. Here, V is the variance of the
    fine structure and A that of patterns about their mean. The mean of
    N different patterns has a variance of A / N by chance, and what does
    not stand out from this is not known to be of the background.
    Between 2.5 and 5, the share grows in proportion.

    Patterns with values below zero have had their background removed,
    and get none.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.patterns import background_from_patterns
    >>> patterns = kp.data.nickel_ebsd_small().data.reshape(9, 60, 60)
    >>> inside = np.ones((60, 60), dtype=bool)
    >>> background, reason = background_from_patterns(patterns, inside)
    >>> background.shape
    (60, 60)
    """
    mean = trimmed_mean(patterns)
    if not np.isfinite(mean[inside]).all() or (mean[inside] <= 0).any():
        return None, "none (values are not all positive: already removed)"
    sigma = mean.shape[0] / 8
    blurred_aperture = gaussian_filter(inside.astype("float64"), sigma) + 1e-6
    smooth = gaussian_filter(np.where(inside, mean, 0), sigma) / blurred_aperture
    details, usable = _extract_details(patterns, mean, inside)
    n_signals = _calculate_participation_ratio(details, usable)
    share = (n_signals - _TOO_FEW_SIGNALS) / (_FEWEST_SIGNALS - _TOO_FEW_SIGNALS)
    n = len(patterns)
    if share <= 0:
        background = smooth
        reason = (
            f"blurred mean of {n} patterns, which are of too few orientations for "
            "their mean to be a background. Better give `static_background`"
        )
    else:
        fine, _ = _extract_details(mean[None], smooth, inside)
        by_chance = (details[:, usable] ** 2).mean() / n_signals
        structure = max((fine[:, usable] ** 2).mean(), 1e-30)
        share = min(share, 1) * max(0, 1 - 2 * by_chance / structure)
        background = share * mean + (1 - share) * smooth
        reason = f"mean of {n} patterns with {100 * share:.0f} % of its fine structure"
    return np.where(inside, background, np.nan).astype("float32"), reason


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

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.patterns import divide_background
    >>> patterns = np.array([[[4, 9], [6, 1]]], dtype="uint8")
    >>> background = np.array([[2, 3], [2, 1]], dtype="float32")
    >>> inside = np.array([[True, True], [True, False]])
    >>> divide_background(patterns, background, inside)
    array([[[ 2.,  3.],
            [ 3., nan]]], dtype=float32)
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


def flatten_patterns(
    patterns: np.ndarray, inside: np.ndarray, sigma: float = 0.1
) -> np.ndarray:
    r"""Return patterns without what varies slowly, at 60 pixels or more.

    Parameters
    ----------
    patterns
        Patterns of shape (n, height, width), best divided by the static
        background.
    inside
        Pixels inside of the aperture, of shape (height, width).
    sigma
        Standard deviation of the Gaussian blur that is subtracted as a
        share of the shorter side.

    Returns
    -------
    flat
        Patterns of shape (n, height / m, width / m) and dtype float32,
        where the shorter side divided by m is from 60 to 119, or m is 1. 0
        outside of the aperture. A pattern is NaN if one of its pixels
        inside is not finite.

    See Also
    --------
    divide_background
    kikuchipy.signals.EBSD.remove_dynamic_background

    Notes
    -----
    As in :class:`~kikuchipy_spacegroup.preprocessing.PreparePatterns`,
    the blur is normalized by that of the aperture and applied twice.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.patterns._background import flatten_patterns
    >>> bright = np.ones((1, 60, 60)) * (1 + np.linspace(0, 1, 60))
    >>> everywhere = np.ones((60, 60), dtype=bool)
    >>> bool(np.abs(flatten_patterns(bright, everywhere)).max() < 0.05)
    True
    """
    n = max(1, min(inside.shape) // 60)
    everywhere = inside.all()
    # What is outside may be NaN, and counts as nothing
    seen = patterns if everywhere else np.where(inside, patterns, np.float32(0))
    flattened = _average_pixels(seen, n)
    share_inside = _average_pixels(inside, n).astype("float32")
    usable = (share_inside >= 0.5).astype("float32")
    if not everywhere:
        flattened = flattened * (usable / np.maximum(share_inside, 0.5))
    # Without the mean of what is seen, a sum of products without threads of BLAS
    share = (usable / usable.sum()).ravel()
    mean = np.einsum("nk,k->n", flattened.reshape(len(flattened), -1), share)
    flattened = flattened - mean[:, None, None]
    if not everywhere:
        flattened *= usable
    # Twice without the blur, all in the same memory
    width = sigma * min(usable.shape)
    weight = usable / np.maximum(blur_images(usable[None], width)[0], 1e-6)
    for _ in range(2):
        blurred = blur_images(flattened, width)
        blurred *= weight
        flattened -= blurred
    return flattened.astype("float32", copy=False)


def blur_images(images: np.ndarray, sigma: float) -> np.ndarray:
    """Return sums of pixels with Gaussian weights, nothing being beyond the border.

    Parameters
    ----------
    images
        Images of shape (n, height, width) and dtype float32 or float64.
    sigma
        Standard deviation of the weights, 1 at the pixel itself, in
        pixels.

    Returns
    -------
    blurred
        Images of the same shape and dtype, within about 1e-6 of the
        largest value.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.patterns._background import blur_images
    >>> dot = np.zeros((1, 60, 60), dtype="float32")
    >>> dot[0, 30, 30] = 1
    >>> blur_images(dot, 6)[0, 30, 24:37:6].round(3)
    array([0.607, 1.   , 0.607], dtype=float32)
    """
    _, height, width = images.shape
    rows, columns = _factor_gaussian(height, sigma), _factor_gaussian(width, sigma)
    # Image by image, as BLAS uses threads for larger products, and these wait for those of
    # the network. Rows first, then columns, which are few by now
    coefficients = rows @ (rows.T @ (images @ columns))
    return coefficients @ columns.T


@lru_cache(maxsize=16)
def _factor_gaussian(n: int, sigma: float) -> np.ndarray:
    """Return F of shape (n, few), where F times its transpose is a Gaussian blur.

    The matrix of a wide blur has few eigenvalues that are not negligible.
    """
    i = np.arange(n)
    matrix = np.exp(-0.5 * (np.subtract.outer(i, i) / sigma) ** 2)
    eigenvalues, vectors = np.linalg.eigh(matrix)
    kept = eigenvalues > _NEGLIGIBLE * eigenvalues[-1]
    factor = (vectors[:, kept] * np.sqrt(eigenvalues[kept])).astype("float32")
    # The same array is given to all
    factor.flags.writeable = False
    return factor

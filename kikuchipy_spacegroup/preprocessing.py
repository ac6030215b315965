# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The layer that turns a raw pattern into network input.

It is part of the saved model, so that training, inference, export and
explanation see the same numbers. Every step is linear algebra on whole
patterns (a blur or a resize is two matrix products), which runs at the
same speed and with the same result under all Keras backends.
"""

from typing import Any

import numpy as np

from kikuchipy_spacegroup._keras import keras, ops

# Matrices of this size squared are part of the layer
_MAX_SIZE = 1024


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
        normalised at the borders: divide a blurred signal by its
        blurred mask.
    """
    x = np.arange(n)
    matrix = np.exp(-0.5 * ((x[:, None] - x[None, :]) / sigma) ** 2)
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
    >>> from kikuchipy_spacegroup.preprocessing import factors, gaussian_matrix
    >>> matrix = gaussian_matrix(96, 9.6)
    >>> left, right = factors(matrix)
    >>> left.shape, np.allclose(left @ right, matrix, atol=1e-7)
    ((96, 21), True)
    """
    values, vectors = np.linalg.eigh(matrix.astype("float64"))
    kept = values > tolerance * values[-1]
    left = vectors[:, kept] * values[kept]
    return left.astype("float32"), vectors[:, kept].T.astype("float32")


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


def _shared(masks: Any) -> Any:
    """Return one mask instead of many that are the same.

    As those of a scan are: it is blurred once then, and not once per
    pattern. How many there are must not be known beforehand, as in a
    graph of TensorFlow.
    """
    n = ops.shape(masks)[0]
    if n is None or isinstance(n, int):
        return masks
    differ = ops.any(ops.not_equal(masks, masks[:1]))
    return masks[: ops.where(differ, n, 1)]


@keras.saving.register_keras_serializable("kikuchipy_spacegroup")
class PreparePatterns(keras.layers.Layer):
    r"""Resize, mask and normalise raw patterns.

    Parameters
    ----------
    size
        Side length of the network input in pixels.
    background_sigma
        Standard deviation of the Gaussian blur which is subtracted, as
        a fraction of the side.
    contrast_sigma
        Standard deviation of the Gaussian window of the local standard
        deviation, as a fraction of the side.
    contrast_floor
        Share of the typical local standard deviation (its geometric
        mean) that is added to the local one, so that empty regions are
        not blown up to noise.
    clip
        Largest absolute value in the output.
    radius
        Radius of the circular mask, as a fraction of half the side.
    crop
        Share of the side of the central square that is used, at most 1.
        Less of a pattern of a close camera is seen in more detail.
    **kwargs
        Keyword arguments passed on to :class:`keras.layers.Layer`.

    Raises
    ------
    ValueError
        If the size is not from 8 to 1024, another number is not
        positive, or *crop* is above 1.

    See Also
    --------
    kikuchipy.signals.EBSD.remove_dynamic_background
    kikuchipy.signals.EBSD.adaptive_histogram_equalization
    kikuchipy.signals.EBSD.downsample

    Notes
    -----
    Input patterns have shape (n, height, width, 1). The central square
    is used, or the part *crop* of it, so that pixels stay square. Pixels that are not finite are
    *missing*: they take no part in any sum and are 0 in the output.
    Mark pixels outside the camera's aperture that way.

    With :math:`G_\sigma` the Gaussian blur normalised by the mask of
    valid pixels, the output is

    .. math::

        y &= p - B(p),\; B = G_b + G_b (1 - G_b)\\
        s &= \sqrt{G_c(y^2)}\\
        o &= y / \left(s + f\exp\langle\ln s\rangle\right)

    clipped to :math:`\pm` ``clip``. The blur is applied twice (Tukey's
    twicing), since a single one is biased where the mask ends and the
    background is steep. The mean is geometric, so that a bright rim or
    spot does not dim the bands everywhere else. The output does not
    change when the intensities of a pattern are multiplied by a positive
    number or shifted.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.preprocessing import PreparePatterns
    >>> prepare = PreparePatterns(size=48)
    >>> rng = np.random.default_rng(1)
    >>> patterns = rng.integers(0, 256, size=(2, 60, 80, 1)).astype("float32")
    >>> prepare(patterns).shape
    TensorShape([2, 48, 48, 1])
    """

    def __init__(
        self,
        size: int = 96,
        background_sigma: float = 1 / 10,
        contrast_sigma: float = 1 / 8,
        contrast_floor: float = 0.25,
        clip: float = 3.0,
        radius: float = 1.0,
        crop: float = 1.0,
        **kwargs,
    ) -> None:
        # Sums of many pixels need full precision under mixed precision
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        if not isinstance(size, int | np.integer) or not 8 <= size <= _MAX_SIZE:
            raise ValueError(
                f"size must be an integer from 8 to {_MAX_SIZE} pixels, not {size!r}"
            )
        numbers = {
            "background_sigma": background_sigma,
            "contrast_sigma": contrast_sigma,
            "clip": clip,
            "radius": radius,
            "crop": crop,
        }
        for name, number in numbers.items():
            if not 0 < number < np.inf:
                raise ValueError(f"{name} must be a positive number, not {number!r}")
        if not 0 <= contrast_floor < np.inf:
            raise ValueError(
                f"contrast_floor must not be negative, but is {contrast_floor!r}"
            )
        if crop > 1:
            raise ValueError(f"crop must be at most 1, not {crop!r}")
        self.size = int(size)
        self.background_sigma = background_sigma
        self.contrast_sigma = contrast_sigma
        self.contrast_floor = contrast_floor
        self.clip = clip
        self.radius = radius
        self.crop = crop
        self._background = factors(gaussian_matrix(size, background_sigma * size))
        self._contrast = factors(gaussian_matrix(size, contrast_sigma * size))
        x = (np.arange(size) + 0.5) * 2 / size - 1
        inside = x[:, None] ** 2 + x[None, :] ** 2 <= radius**2
        self._circle = inside.astype("float32")

    def call(self, patterns):
        """Return prepared patterns.

        Parameters
        ----------
        patterns
            Patterns of shape (n, height, width, 1).

        Returns
        -------
        prepared
            Patterns of shape (n, size, size, 1) and dtype float32.
        """
        patterns, valid = self.resize(patterns)
        inside = valid * ops.convert_to_tensor(self._circle)
        mean = self._masked_mean(patterns, valid)
        high = patterns - mean * valid
        # Zero where not valid, as all they are multiplied with then is
        share = valid / ops.maximum(self._blur(self._background, valid), 1e-6)
        for _ in range(2):
            high = high - self._blur(self._background, high) * share
        # Rounding errors of a constant pattern are not blown up to noise
        tiny = 1e-5 * (ops.abs(mean) + 1e-20)
        share = 1 / ops.maximum(self._blur(self._contrast, valid), 1e-6)
        local = ops.sqrt(self._blur(self._contrast, high**2) * share)
        log = ops.log(ops.maximum(local, 0.1 * tiny))
        typical = ops.exp(self._masked_mean(log, inside))
        scale = local + self.contrast_floor * typical
        high = ops.where(scale > tiny, high / ops.maximum(scale, tiny), 0.0)
        return (ops.clip(high, -self.clip, self.clip) * inside)[..., None]

    def resize(self, patterns):
        """Return resized patterns and their masks of valid pixels.

        Parameters
        ----------
        patterns
            Patterns of shape (n, height, width, 1).

        Returns
        -------
        resized
            Patterns of shape (n, size, size), 0 where not valid.
        valid
            1 where at least half of the pixel was valid, else 0, of the
            same shape, or of shape (1, size, size) if it is known to be
            the same for all patterns.
        """
        patterns = ops.cast(patterns, "float32")[..., 0]
        finite = _shared(ops.cast(ops.isfinite(patterns), "float32"))
        # One after the other: in ONNX, other conditions become products
        patterns = ops.where(ops.isnan(patterns), 0.0, patterns)
        patterns = ops.where(ops.isinf(patterns), 0.0, patterns)
        height, width = ops.shape(patterns)[1:3]
        if isinstance(height, int) and isinstance(width, int):
            side = min(height, width)
        else:
            side = ops.minimum(height, width)
        if self.crop < 1:
            side = self.crop * (
                side if isinstance(side, int) else ops.cast(side, "float32")
            )
        rows = resize_matrix(self.size, height, side)
        columns = resize_matrix(self.size, width, side)
        weight = separable(rows, finite, columns)
        resized = separable(rows, patterns, columns)
        valid = ops.cast(weight >= 0.5, "float32")
        return resized * (valid / ops.maximum(weight, 0.5)), valid

    @staticmethod
    def _masked_mean(patterns, valid):
        total = ops.sum(valid, axis=(1, 2), keepdims=True)
        mean = ops.sum(patterns * valid, axis=(1, 2), keepdims=True)
        return mean / ops.maximum(total, 1.0)

    @staticmethod
    def _blur(matrix, patterns):
        left, right = matrix
        return separable(left, separable(right, patterns, right), left)

    def compute_output_shape(self, input_shape):
        """Return the shape of the output."""
        return (input_shape[0], self.size, self.size, 1)

    def get_config(self) -> dict:
        """Return the arguments that make the same layer again."""
        config = super().get_config()
        names = ("size", "background_sigma", "contrast_sigma", "contrast_floor")
        names += ("clip", "radius", "crop")
        return config | {name: getattr(self, name) for name in names}

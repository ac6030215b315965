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
from kikuchipy_spacegroup.patterns._matrices import (
    factors,
    gaussian_matrix,
    resize_matrix,
    separable,
)

# Matrices of this size squared are part of the layer
_MAX_SIZE = 1024


def _merge_same_masks(masks: Any) -> Any:
    """Return one mask (1, height, width) instead of many that are the same.

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
    r"""Resize, mask and normalize raw patterns.

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

    With :math:`G_\sigma` the Gaussian blur normalized by the mask of
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
    >>> from kikuchipy_spacegroup.patterns import PreparePatterns
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

        See Also
        --------
        resize

        Examples
        --------
        >>> import numpy as np
        >>> from kikuchipy_spacegroup.patterns import PreparePatterns
        >>> patterns = np.ones((2, 60, 80, 1), dtype="float32")
        >>> prepared = PreparePatterns(size=48).call(patterns)
        >>> tuple(prepared.shape)
        (2, 48, 48, 1)
        """
        patterns, valid = self.resize(patterns)
        inside = valid * ops.convert_to_tensor(self._circle)
        mean = self._average_inside(patterns, valid)
        high = patterns - mean * valid
        # Zero where not valid, as all they are multiplied with then is
        weight = valid / ops.maximum(self._blur_patterns(self._background, valid), 1e-6)
        for _ in range(2):
            high = high - self._blur_patterns(self._background, high) * weight
        # Rounding errors of a constant pattern are not blown up to noise
        tiny = 1e-5 * (ops.abs(mean) + 1e-20)
        weight = 1 / ops.maximum(self._blur_patterns(self._contrast, valid), 1e-6)
        local_deviation = ops.sqrt(
            self._blur_patterns(self._contrast, high**2) * weight
        )
        log_deviation = ops.log(ops.maximum(local_deviation, 0.1 * tiny))
        typical_deviation = ops.exp(self._average_inside(log_deviation, inside))
        scale = local_deviation + self.contrast_floor * typical_deviation
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

        See Also
        --------
        call

        Examples
        --------
        >>> import numpy as np
        >>> from kikuchipy_spacegroup.patterns import PreparePatterns
        >>> patterns = np.ones((2, 60, 80, 1), dtype="float32")
        >>> resized, valid = PreparePatterns(size=48).resize(patterns)
        >>> tuple(resized.shape), tuple(valid.shape)
        ((2, 48, 48), (2, 48, 48))
        """
        patterns = ops.cast(patterns, "float32")[..., 0]
        finite = _merge_same_masks(ops.cast(ops.isfinite(patterns), "float32"))
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
    def _average_inside(patterns, valid):
        """Return the mean over valid pixels of patterns, of shape (n, 1, 1)."""
        total = ops.sum(valid, axis=(1, 2), keepdims=True)
        mean = ops.sum(patterns * valid, axis=(1, 2), keepdims=True)
        return mean / ops.maximum(total, 1.0)

    @staticmethod
    def _blur_patterns(matrix, patterns):
        """Return patterns (n, size, size) blurred by the factors of a matrix."""
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

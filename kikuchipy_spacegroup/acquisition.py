# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a camera does to a diffraction pattern, as a layer."""

from dataclasses import asdict, dataclass, fields
import math
from typing import Any

import numpy as np

from kikuchipy_spacegroup._keras import keras, ops
from kikuchipy_spacegroup.preprocessing import separable

# Lowest and highest value of ranges which are not from 0 to 1
_LIMITS = {
    "gamma": (0.1, 10),
    "compression": (0, 100),
    "excess_deficiency": (-10, 10),
    "resolution": (8, 10_000),
    "point_spread": (0, 100),
    "contrast": (1e-4, 2),
    "noise": (1e-9, 1e9),
    "blotches": (0, 100),
    "residues": (0, 100),
    "vignetting": (-10, 10),
    "tilt": (-10, 10),
    "aperture": (0.05, 10),
}
# What is drawn log-uniformly
LOGARITHMIC = ("resolution", "contrast", "noise")


@dataclass(frozen=True)
class Acquisition:
    r"""Ranges of what a camera and its user do to a pattern.

    Every pattern draws its own value of every quantity, uniformly (U)
    or log-uniformly (L) between the two given numbers. Probabilities
    say how large a share of the patterns is affected at all.

    Parameters
    ----------
    gamma
        U. Exponent of the intensities: the energy filtering of
        phosphor or direct detector and the look-up table of the camera.
    compression
        U. How much zone axes, and whatever else is bright or dark, are
        brought closer to the mean: a signal :math:`s` in units of its
        standard deviation becomes :math:`\tanh(k s) / k`. Simulated
        zone axes are brighter than recorded ones, most of all after the
        contrast of these has been stretched or equalised.
    overlap
        U. Weight of a second grain or phase under the beam.
    overlap_probability
        Share of patterns with overlap.
    excess_deficiency
        U. Strength of the bright and dark edges of bands along the
        tilt direction: weight of the difference between the pattern
        moved up and down by 1/32 of its side, about half a band.
    resolution
        L. Number of camera pixels (after binning) along the side.
    point_spread
        U. Standard deviation of the point-spread function of the
        screen and the lens, in camera pixels.
    contrast
        L. Standard deviation of the diffraction signal over the mean
        intensity.
    noise
        L. Standard deviation of the noise per camera pixel over that of
        the diffraction signal, where the illumination is one: shot
        noise and read-out noise after frame averaging.
    blotches
        U. Strength of noise of large grain (screen texture, charging
        and imperfect background correction), relative to the signal and
        to the noise.
    residues
        U. Strength of the same relative to the signal alone, however
        little noise there is: what imperfect background correction and
        diffuse scattering leave. There are none by default, since the
        bundled model did not gain by them.
    vignetting
        U. How fast the illumination falls off radially, as the
        logarithm at half the side.
    tilt
        U. How fast the illumination changes along a random direction,
        as the logarithm per half side.
    raw_probability
        Share of patterns whose background is left in.
    marks
        U. Depth of dust and burnt marks on the screen.
    marks_probability
        Share of patterns with marks.
    dead_pixels
        U. Share of dead and hot camera pixels.
    aperture
        U. Radius of the round aperture, as a fraction of half the side.
    aperture_probability
        Share of patterns within an aperture, which grow dark towards
        its edge within up to a few percent of the side. One in three of
        them is dark outside, the others are masked there.
    shadow_probability
        Share of patterns with a straight shadow at the rim.
    saturation_probability
        Share of patterns whose brightest parts are cut off.

    Raises
    ------
    ValueError
        If a range is not two ordered numbers within its limits, or a
        probability is not between 0 and 1.

    See Also
    --------
    kikuchipy_spacegroup.estimation.estimate_acquisition
    kikuchipy_spacegroup.camera.Camera

    Examples
    --------
    A slow scan of a clean camera

    >>> from kikuchipy_spacegroup import Acquisition
    >>> Acquisition(noise=(0.05, 0.4), marks_probability=0).noise
    (0.05, 0.4)
    """

    gamma: tuple[float, float] = (0.6, 1.6)
    compression: tuple[float, float] = (0.0, 1.2)
    overlap: tuple[float, float] = (0.0, 0.3)
    overlap_probability: float = 0.15
    excess_deficiency: tuple[float, float] = (-0.6, 0.6)
    resolution: tuple[float, float] = (45, 240)
    point_spread: tuple[float, float] = (0.3, 1.1)
    contrast: tuple[float, float] = (0.012, 0.25)
    noise: tuple[float, float] = (0.05, 2.2)
    blotches: tuple[float, float] = (0.0, 0.7)
    residues: tuple[float, float] = (0.0, 0.0)
    vignetting: tuple[float, float] = (0.0, 1.5)
    tilt: tuple[float, float] = (-0.6, 0.6)
    raw_probability: float = 0.3
    marks: tuple[float, float] = (0.0, 0.6)
    marks_probability: float = 0.35
    dead_pixels: tuple[float, float] = (0.0, 0.004)
    aperture: tuple[float, float] = (0.72, 1.1)
    aperture_probability: float = 0.35
    shadow_probability: float = 0.07
    saturation_probability: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = _LIMITS.get(field.name, (0, 1))
            if field.name.endswith("_probability"):
                if not 0 <= value <= 1:
                    raise ValueError(f"{field.name} must be from 0 to 1, not {value!r}")
                continue
            if len(value) != 2 or not low <= value[0] <= value[1] <= high:
                raise ValueError(
                    f"{field.name} must be two numbers, the lower first, from {low:g} "
                    f"to {high:g}, not {value!r}"
                )

    @classmethod
    def from_dose(
        cls,
        electrons: tuple[float, float],
        *,
        n_frames: int = 1,
        read_noise: float = 0.0,
        contrast: tuple[float, float] = (0.012, 0.25),
        **kwargs: Any,
    ) -> "Acquisition":
        r"""Return an acquisition at a dose.

        Parameters
        ----------
        electrons
            Lowest and highest mean number of detected electrons per
            camera pixel and frame.
        n_frames
            Number of frames averaged.
        read_noise
            Standard deviation of the read-out noise per pixel and
            frame, in electrons.
        contrast
            See :class:`Acquisition`.
        **kwargs
            Other ranges of the acquisition.

        Returns
        -------
        acquisition
            With the range of *noise* from the highest dose and contrast
            to the lowest ones.

        Raises
        ------
        ValueError
            If a number is out of range.

        See Also
        --------
        kikuchipy_spacegroup.estimation.estimate_acquisition
        kikuchipy_spacegroup.camera.Camera

        Notes
        -----
        Electrons are counted with Poisson statistics. At a mean of
        :math:`N` electrons, read-out noise :math:`r`, :math:`n` frames
        and contrast :math:`c`, the noise relative to the signal is

        .. math::

            \frac{1}{c N} \sqrt{\frac{N + r^2}{n}}

        Examples
        --------
        >>> from kikuchipy_spacegroup import Acquisition
        >>> noise = Acquisition.from_dose((100, 400), contrast=(0.1, 0.1)).noise
        >>> [round(i, 2) for i in noise]
        [0.5, 1.0]
        """
        low, high = electrons
        if not 0 < low <= high or n_frames < 1 or read_noise < 0:
            raise ValueError(
                "There must be at least one frame, a positive number of electrons, the "
                f"lower first, and no negative read-out noise, not {n_frames}, "
                f"{electrons} and {read_noise}"
            )

        def noise(mean: float, c: float) -> float:
            return math.sqrt((mean + read_noise**2) / n_frames) / (c * mean)

        limits = (noise(high, contrast[1]), noise(low, contrast[0]))
        return cls(noise=limits, contrast=contrast, **kwargs)


@keras.saving.register_keras_serializable("kikuchipy_spacegroup")
class SimulateCamera(keras.layers.Layer):
    """Degrade ideal patterns as a camera would.

    Parameters
    ----------
    acquisition
        Ranges to draw from. If not given, the defaults are used.
    size
        Side length of the patterns in pixels.
    seed
        Seed of the random numbers.
    **kwargs
        Keyword arguments passed on to :class:`keras.layers.Layer`.

    See Also
    --------
    kikuchipy_spacegroup.camera.Camera

    Notes
    -----
    Input are positive intensities of shape (n, size, size), output the
    recorded intensities of the same shape, with NaN outside apertures.
    """

    def __init__(
        self,
        acquisition: Acquisition | None = None,
        *,
        size: int = 96,
        seed: int = 0,
        **kwargs,
    ) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        if isinstance(acquisition, dict):
            acquisition = Acquisition(**acquisition)
        self.acquisition = acquisition or Acquisition()
        self.size = size
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)
        pixel = np.arange(size, dtype="float32")
        self._offset = pixel[:, None] - pixel[None, :]
        self._position = (pixel + 0.5) * 2 / size - 1

    def call(self, patterns):
        """Return recorded patterns.

        Parameters
        ----------
        patterns
            Ideal patterns of shape (n, size, size).

        Returns
        -------
        recorded
            Patterns of the same shape and dtype float32, NaN outside of
            apertures.
        """
        a = self.acquisition
        n = ops.shape(patterns)[0]
        signal = self._diffraction(patterns, n)
        # Width of a camera pixel in pixels of this pattern
        pixel = self.size / self._draw(n, "resolution")
        spread = ops.sqrt(
            (self._draw(n, "point_spread") * pixel) ** 2
            + ops.maximum(pixel**2 - 1, 0) / 12
        )
        signal = _standardize(self._blur(signal, spread))
        illumination = self._illumination(n)
        signal = signal * self._marks(n, illumination)
        strength = self._draw(n, "noise")
        noise = self._noise(n, pixel) * strength
        # A camera finer than this pattern averages its noise
        noise = noise * ops.minimum(pixel, 1.0) / ops.sqrt(illumination)
        blotches = self._blotches(n, "blotches") * (0.3 + strength)
        if max(a.residues) > 0:
            blotches = blotches + self._blotches(n, "residues")
        signal = signal + noise + blotches + self._dead_pixels(n)
        signal = self._saturate(signal, n)
        raw = self._chance(n, a.raw_probability)
        background = raw * illumination + (1 - raw)
        contrast = self._draw(n, "contrast")
        return self._shade(background * (1 + contrast * signal), n)

    def _diffraction(self, patterns, n):
        """Return the standardized signal of one or two grains."""
        a = self.acquisition
        patterns = ops.maximum(patterns, 0.05)
        signal = _standardize(ops.exp(ops.log(patterns) * self._draw(n, "gamma")))
        if max(a.compression) > 0:
            strength = ops.maximum(self._draw(n, "compression"), 1e-3)
            signal = ops.tanh(strength * signal) / strength
        weight = self._draw(n, "overlap") * self._chance(n, a.overlap_probability)
        signal = signal + weight * ops.roll(signal, 1, axis=0)
        k = max(self.size // 32, 1)
        top, bottom = (
            ops.repeat(i, k, axis=1) for i in (signal[:, :1], signal[:, -1:])
        )
        up = ops.concatenate([signal[:, k:], bottom], axis=1)
        down = ops.concatenate([top, signal[:, :-k]], axis=1)
        return signal + self._draw(n, "excess_deficiency") * (up - down) / 2

    def _blur(self, patterns, sigma):
        sigma = ops.maximum(sigma, 0.2)
        offset = ops.convert_to_tensor(self._offset[None])
        matrix = ops.exp(-0.5 * (offset / sigma) ** 2)
        matrix = matrix / ops.sum(matrix, axis=-1, keepdims=True)
        return separable(matrix, patterns, matrix)

    def _illumination(self, n):
        """Return how much light falls on every pixel, 1 on average."""
        x, y = self._grid()
        x = x - self._uniform(n, (-0.4, 0.4))
        y = y - self._uniform(n, (-0.4, 0.4))
        log = -self._draw(n, "vignetting") * (x**2 + y**2)
        log = log + self._draw(n, "tilt") * x + self._draw(n, "tilt") * y
        light = ops.exp(log)
        return light / ops.mean(light, axis=(1, 2), keepdims=True)

    def _marks(self, n, illumination):
        """Return how much of the signal three marks let through."""
        a = self.acquisition
        through = ops.ones_like(illumination)
        grid_x, grid_y = self._grid()
        some = self._chance(n, a.marks_probability)
        for _ in range(3):
            radius = self._log_uniform(n, (0.02, 0.15))
            x = (grid_x - self._uniform(n, (-1, 1))) / radius
            y = (grid_y - self._uniform(n, (-1, 1))) / radius
            depth = some * self._draw(n, "marks")
            through = through * (1 - depth * ops.exp(-((x**2 + y**2) ** 2)))
        return through

    def _noise(self, n, pixel):
        """Return noise of unit variance with grains of camera pixels."""
        noise = self._normal(n)
        sigma = ops.maximum(0.45 * pixel, 0.2) * ops.cast(pixel > 1.0, "float32")
        return _standardize(self._blur(noise, sigma))

    def _blotches(self, n, name):
        noise = self._blur(self._normal(n), self._log_uniform(n, (1.5, 10)))
        return _standardize(noise) * self._draw(n, name)

    def _dead_pixels(self, n):
        shape = (n, self.size, self.size)
        chance = keras.random.uniform(shape, seed=self.generator)
        dead = ops.cast(chance < self._draw(n, "dead_pixels"), "float32")
        return dead * self._uniform(n, (-4, 6))

    def _saturate(self, signal, n):
        cut = self._uniform(n, (1.0, 3.0))
        cut = cut + 100 * (1 - self._chance(n, self.acquisition.saturation_probability))
        return ops.minimum(signal, cut)

    def _shade(self, patterns, n):
        """Return patterns with shadows and apertures."""
        a = self.acquisition
        x, y = self._grid()
        angle = self._uniform(n, (0, 2 * np.pi))
        along = x * ops.cos(angle) + y * ops.sin(angle)
        shadow = ops.cast(along > self._uniform(n, (0.5, 1.0)), "float32")
        shadow = shadow * self._chance(n, a.shadow_probability)
        patterns = patterns * (1 - shadow * self._uniform(n, (0.2, 0.95)))
        cx, cy = self._uniform(n, (-0.06, 0.06)), self._uniform(n, (-0.06, 0.06))
        radius = self._draw(n, "aperture")
        beyond = ops.sqrt((x - cx) ** 2 + (y - cy) ** 2) - radius
        some = self._chance(n, a.aperture_probability)
        penumbra = self._log_uniform(n, (0.003, 0.04))
        patterns = patterns * (1 - 0.98 * some * ops.sigmoid(beyond / penumbra))
        masked = some * (1 - self._chance(n, 1 / 3))
        outside = masked * ops.cast(beyond > 0, "float32")
        return ops.where(outside > 0.5, np.nan, patterns)

    def _grid(self):
        """Return coordinates from -1 to 1 along columns and rows."""
        position = ops.convert_to_tensor(self._position)
        return position[None, None, :], position[None, :, None]

    def _draw(self, n, name):
        """Return values of a quantity of the acquisition."""
        draw = self._log_uniform if name in LOGARITHMIC else self._uniform
        return draw(n, getattr(self.acquisition, name))

    def _uniform(self, n, limits):
        low, high = limits
        value = keras.random.uniform((n, 1, 1), seed=self.generator)
        return low + (high - low) * value

    def _log_uniform(self, n, limits):
        return ops.exp(self._uniform(n, np.log(limits).astype("float32")))

    def _chance(self, n, probability):
        value = keras.random.uniform((n, 1, 1), seed=self.generator)
        return ops.cast(value < probability, "float32")

    def _normal(self, n):
        return keras.random.normal((n, self.size, self.size), seed=self.generator)

    def get_config(self) -> dict:
        """Return the arguments that make the same layer again."""
        own = {"acquisition": asdict(self.acquisition), "size": self.size}
        return super().get_config() | own | {"seed": self.seed}


def _standardize(patterns):
    mean = ops.mean(patterns, axis=(1, 2), keepdims=True)
    patterns = patterns - mean
    variance = ops.mean(patterns**2, axis=(1, 2), keepdims=True)
    return patterns * ops.rsqrt(variance + 1e-12)

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ranges of what a camera does to patterns."""

from dataclasses import dataclass, fields
import math
from typing import Any

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
    r"""Ranges of the noise, blur, contrast and background of patterns.

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
        contrast of these has been stretched or equalized.
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
    kikuchipy_spacegroup.simulation.estimate_acquisition
    kikuchipy_spacegroup.simulation.Camera

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
        kikuchipy_spacegroup.simulation.estimate_acquisition
        kikuchipy_spacegroup.simulation.Camera

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

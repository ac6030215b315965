# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One camera, which records all patterns of a scan."""

from dataclasses import dataclass, fields
import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

if TYPE_CHECKING:
    from kikuchipy.detectors import EBSDDetector

# Electrons per pixel above which noise is below the precision of floats
_NO_NOISE = 1e14
# Lowest and highest values
_LIMITS = {
    "dose": (1e-3, math.inf),
    "read_noise": (0, 1e6),
    "contrast": (0, 2),
    "point_spread": (0, 100),
    "vignetting": (0, 10),
    "exposure": (0.01, 1),
}


@dataclass(frozen=True)
class Camera:
    """One camera, with its dose, contrast, blur, noise and background.

    Parameters
    ----------
    dose
        Mean number of detected electrons per pixel, of which the shot
        noise is. Infinity for none.
    read_noise
        Standard deviation of the read-out noise in electrons.
    contrast
        Standard deviation of the diffraction signal over the mean
        intensity, on average over all orientations of a phase.
    point_spread
        Standard deviation of the point-spread function of the screen
        and the lens in pixels.
    vignetting
        How fast the background falls off from its brightest point,
        half way between the center of the pattern and the projection
        center, as the logarithm at half the side.
    exposure
        What is recorded where the background is brightest, as a share of
        the largest integer of the data type.

    Raises
    ------
    ValueError
        If a number is out of range.

    See Also
    --------
    kikuchipy_spacegroup.simulation.Acquisition :
        Ranges of cameras to train on.
    kikuchipy.detectors.EBSDDetector

    Examples
    --------
    >>> from kikuchipy_spacegroup import Camera
    >>> Camera(dose=50).dose
    50
    """

    dose: float = 400.0
    read_noise: float = 0.0
    contrast: float = 0.1
    point_spread: float = 0.6
    vignetting: float = 0.7
    exposure: float = 0.6

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = _LIMITS[field.name]
            if not low <= value <= high:
                raise ValueError(
                    f"{field.name} must be from {low:g} to {high:g}, not {value!r}"
                )

    def background(self, detector: "EBSDDetector") -> np.ndarray:
        """Return the intensity without diffraction.

        Parameters
        ----------
        detector
            Detector, of which the mean projection center is used.

        Returns
        -------
        background
            Array of the detector's shape with a mean of 1.

        See Also
        --------
        kikuchipy.signals.EBSD.remove_static_background

        Examples
        --------
        >>> from kikuchipy.detectors import EBSDDetector
        >>> from kikuchipy_spacegroup import Camera
        >>> Camera().background(EBSDDetector(shape=(3, 4))).round(2)
        array([[0.74, 1.05, 1.05, 0.74],
               [1.01, 1.43, 1.43, 1.01],
               [0.74, 1.05, 1.05, 0.74]])
        """
        rows, columns = detector.shape
        pcx, pcy, _ = detector.pc_flattened.mean(axis=0)
        # From half way between the center of the pattern and that of projection
        x = (2 * np.arange(columns) + 1) / columns - 0.5 - pcx
        y = (2 * np.arange(rows) + 1) / rows - 0.5 - pcy
        background = np.exp(-self.vignetting * (x**2 + y[:, np.newaxis] ** 2))
        return background / background.mean()

    def expected(self, signal: np.ndarray, background: np.ndarray) -> np.ndarray:
        """Return the expected intensities, without noise.

        Parameters
        ----------
        signal
            Projected patterns of shape (n, rows, columns) from master
            patterns of mean 0 and standard deviation 1.
        background
            Intensity without diffraction of shape (rows, columns).

        Returns
        -------
        patterns
            Patterns in units of the mean intensity.

        See Also
        --------
        kikuchipy.signals.EBSDMasterPattern.get_patterns

        Examples
        --------
        >>> import numpy as np
        >>> from kikuchipy_spacegroup import Camera
        >>> signal = np.array([[[-1.0, 1.0]]])
        >>> Camera(contrast=0.2, point_spread=0).expected(signal, np.ones((1, 2)))
        array([[[0.8, 1.2]]])
        """
        if self.point_spread:
            sigma = (0, self.point_spread, self.point_spread)
            signal = gaussian_filter(signal, sigma, mode="nearest")
        return background * np.maximum(1 + self.contrast * signal, 0)

    def record(self, expected: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a pattern with shot noise and read-out noise.

        Parameters
        ----------
        expected
            What is recorded on average, in units of the mean intensity.
        rng
            Random number generator.

        Returns
        -------
        pattern
            Pattern in the same units.

        See Also
        --------
        kikuchipy_spacegroup.simulation.Acquisition.from_dose

        Examples
        --------
        >>> import numpy as np
        >>> from kikuchipy_spacegroup import Camera
        >>> pattern = Camera(dose=100).record(np.ones((60, 60)), np.random.default_rng(1))
        >>> float(pattern.std().round(2))
        0.1
        """
        if self.dose > _NO_NOISE:
            return expected
        electrons = rng.poisson(self.dose * expected).astype("float64")
        if self.read_noise:
            electrons += rng.normal(0, self.read_noise, expected.shape)
        return electrons / self.dose

    def digitize(
        self, pattern: np.ndarray, background: np.ndarray, dtype: np.dtype
    ) -> np.ndarray:
        """Return a pattern in a data type.

        Parameters
        ----------
        pattern
            Pattern in units of the mean intensity.
        background
            Intensity without diffraction.
        dtype
            Data type. Integers are rounded and cut off at their limits,
            and floats stay as they are.

        Returns
        -------
        pattern
            Pattern of the data type.

        See Also
        --------
        kikuchipy.signals.EBSD.rescale_intensity

        Examples
        --------
        >>> import numpy as np
        >>> from kikuchipy_spacegroup import Camera
        >>> Camera(exposure=0.5).digitize(np.array([[0, 1, 9]]), np.ones((1, 3)), "uint8")
        array([[  0, 128, 255]], dtype=uint8)
        """
        dtype = np.dtype(dtype)
        if dtype.kind == "f":
            return pattern.astype(dtype)
        highest = np.iinfo(dtype).max
        gain = self.exposure * highest / background.max()
        return np.clip(np.rint(gain * pattern), 0, highest).astype(dtype)

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Master patterns as sums of bands of two beams each."""

from de_ebsd.core.constants import C_PI, PREF_COEF, PREG
from de_ebsd.crystal.scattering import atomic_number
import numpy as np
import torch

from kikuchipy_spacegroup.master_patterns._bloch_waves import (
    ListedCrystal,
    find_largest_indices,
    scattering_of_sites,
)

# How much more the Bloch wave at the atoms is absorbed, per contrast: what patterns of
# ten structures correlate best with Bloch waves with
_ABSORPTION = 0.6
# Share of the sum of powers that bands left out may have, and the most bands
_LEFT_OUT, _MOST_BANDS = 0.02, 1500
_DIRECTIONS_AT_A_TIME = 2048


def find_reflections(
    crystal: ListedCrystal, energy: float, min_dspacing: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return reflections, of which only one of each Friedel pair is there.

    Parameters
    ----------
    crystal
        Crystal.
    energy
        Beam energy in keV.
    min_dspacing
        Smallest interplanar spacing in nm.

    Returns
    -------
    vectors
        Reciprocal lattice vectors of shape (n, 3) in 1/nm.
    strengths
        Moduli of the Fourier coefficients of the potential U in 1/nm^2 of shape (n,).
    contrasts
        How much more electrons are scattered to the detector where the potential is
        high, for the two sides of a band, of shape (n, 2), from -1 to 1.
    """
    # 1. Miller indices of half a sphere, without those absent by centering
    hmax = find_largest_indices(crystal, min_dspacing)
    ranges = [np.arange(-h, h + 1) for h in hmax]
    hkl = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    hkl = hkl[len(hkl) // 2 + 1 :]
    is_inside = crystal.g_length(hkl) <= 1 / min_dspacing * (1 + 1e-9)
    hkl = hkl[is_inside & crystal.allowed_by_centering(hkl)]
    length = crystal.g_length(hkl)
    # 2. Structure factors of the elastic and absorptive potential, and of scattering
    #    to the detector by Z^2, of shape (n,)
    elastic, absorptive, detected = np.zeros((3, len(hkl)), dtype=complex)
    total = 0.0
    for site, positions, scattering in scattering_of_sites(crystal, length, energy):
        phases = np.exp(-2j * np.pi * hkl @ np.transpose(positions)).sum(axis=1)
        elastic += phases * scattering.real
        absorptive += phases * scattering.imag
        weight = atomic_number(site.element) ** 2 * site.occupancy
        damping = np.exp(-0.25 * length**2 * site.debye_waller)
        detected += weight * damping * phases
        total += weight * len(positions)
    strengths = np.abs(elastic)
    # 3. What the crystal's own phases leave of the contrast on each side of a band
    safe = np.maximum(strengths, 1e-12)
    even = (elastic * detected.conj()).real / safe / total
    odd = (absorptive * detected.conj()).imag / safe / total
    contrasts = np.stack([even - odd, even + odd], axis=1)
    scale = PREG * PREF_COEF / crystal.volume / (4 * C_PI)
    return crystal.g_cartesian(hkl), strengths * scale, contrasts


def sum_bands(
    directions: np.ndarray,
    vectors: np.ndarray,
    strengths: np.ndarray,
    contrasts: np.ndarray,
    wavelength: float,
    damping: float,
) -> np.ndarray:
    """Return the intensity of directions, a sum over bands.

    Parameters
    ----------
    directions
        Unit vectors of shape (n, 3).
    vectors, strengths, contrasts
        See :func:`find_reflections`.
    wavelength
        Wavelength in nm.
    damping
        How much sharper than one extinction distance bands are.

    Returns
    -------
    intensities
        Array of shape (n,) and dtype float32.
    """
    lengths = np.linalg.norm(vectors, axis=1)
    normals = torch.as_tensor(vectors / lengths[:, None], dtype=torch.float32)
    sines = torch.as_tensor(wavelength * lengths / 2, dtype=torch.float32)
    # Deviation in extinction distances per sine of the angle to the Bragg position
    per_sine = torch.as_tensor(
        lengths / wavelength / (strengths * damping), dtype=torch.float32
    )
    sides = torch.as_tensor(contrasts, dtype=torch.float32)
    rows = torch.as_tensor(directions, dtype=torch.float32)
    intensities = []
    for part in rows.split(_DIRECTIONS_AT_A_TIME):
        along = part @ normals.T
        intensities.append(_scatter(along, sines, per_sine, sides).sum(dim=1))
    return torch.cat(intensities).numpy()


def _scatter(along, sines, per_sine, sides) -> torch.Tensor:
    """Return the intensities of bands (..., n), of which the mean is near 0.

    Parameters
    ----------
    along
        Sines of the angles of directions to planes, of shape (..., n).
    sines
        Sines of the Bragg angles, of shape (n,).
    per_sine
        Deviations in extinction distances per sine, of shape (n,).
    sides
        Contrasts of the two sides of bands, of shape (n, 2).
    """
    total = torch.zeros_like(along)
    for side, sign in enumerate((1.0, -1.0)):
        # 1. Deviation w from the Bragg position, negative within the band
        w = (sign * along - sines) * per_sine
        root = torch.sqrt(1 + w * w)
        # 2. Two Bloch waves, of which one is at the atoms and absorbed more
        contrast = sides[:, side]
        absorbed = _ABSORPTION * contrast
        first = (1 - w / root) * (1 + contrast / root) / (1 + absorbed / root)
        second = (1 + w / root) * (1 - contrast / root) / (1 - absorbed / root)
        total += (first + second) / 2 - 1
    return total


def profiles_of_planes(
    angles: np.ndarray,
    vectors: np.ndarray,
    strengths: np.ndarray,
    contrasts: np.ndarray,
    wavelength: float,
    damping: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the profiles across the bands of lattice planes.

    Parameters
    ----------
    angles
        Angles from the plane in radians, of shape (k,).
    vectors, strengths, contrasts
        See :func:`find_reflections`.
    wavelength, damping
        See :func:`sum_bands`.

    Returns
    -------
    normals
        Unit normals of the planes, one of each pair of opposite ones, of
        shape (n, 3), the strongest first.
    profiles
        Sums over the orders of reflection, of shape (n, k).
    """
    # 1. Planes: directions of reflections, one of each pair of opposite ones
    lengths = np.linalg.norm(vectors, axis=1)
    units = vectors / lengths[:, None]
    rounded = np.rint(units * 1e5).astype(np.int64)
    keys = np.where(rounded[:, 2] != 0, rounded[:, 2], rounded[:, 1])
    keys = np.where(keys != 0, keys, rounded[:, 0])
    is_opposite = keys < 0
    rounded[is_opposite] *= -1
    units = np.where(is_opposite[:, None], -units, units)
    contrasts = np.where(is_opposite[:, None], contrasts[:, ::-1], contrasts)
    _, first, plane = np.unique(rounded, axis=0, return_index=True, return_inverse=True)
    # 2. Profiles of reflections, added up by plane
    per_sine = lengths / wavelength / (strengths * damping)
    along = torch.as_tensor(np.sin(angles)[:, None]).expand(-1, len(vectors))
    columns = (wavelength * lengths / 2, per_sine, contrasts)
    bands = _scatter(along, *(torch.as_tensor(i.copy()) for i in columns))
    profiles = np.zeros((len(first), len(angles)))
    np.add.at(profiles, plane.ravel(), bands.numpy().T)
    profiles -= profiles.mean(axis=1, keepdims=True)
    order = np.argsort(-np.square(profiles).sum(axis=1), kind="stable")
    return units[first][order], profiles[order]


def select_strongest(
    vectors: np.ndarray, strengths: np.ndarray, contrasts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the bands that matter, whole families of them."""
    # Power of a band: contrast squared times its width
    power = np.square(contrasts).sum(axis=1) * strengths
    order = np.argsort(-power, kind="stable")
    share = np.cumsum(power[order]) / power.sum()
    n = min(int(np.searchsorted(share, 1 - _LEFT_OUT)) + 1, _MOST_BANDS, len(order))
    kept = power >= power[order[n - 1]] * (1 - 1e-4)
    return vectors[kept], strengths[kept], contrasts[kept]

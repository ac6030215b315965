# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulate master patterns band by band, a hundred times as fast as with Bloch waves.

Usage::

    python -m recipes.general_model.structures.two_beam MASTERS &
    python -m recipes.general_model.structures.two_beam MASTERS --backwards &

Every structure to train on makes one file ``<id>.npz`` of the form of ``simulate.py`` in
the folder MASTERS. Every band is that of two beams in a thick crystal, and bands add up:
symmetry, widths, absences and edges are right, crossings and fine lines are not. They
are to learn from many structures before there are Bloch waves of them, and never to score.
"""

import argparse
import json
import logging
from pathlib import Path
import time
import zlib

from de_ebsd.core.constants import (
    C_PI,
    DWWK,
    PREF_COEF,
    PREG,
    SWK,
    electron_wavelength_nm,
)
from de_ebsd.crystal.scattering import atomic_number, wk_scattering_factor
from de_ebsd.diffraction.kvectors import sample_incident_directions
import numpy as np
import torch

from kikuchipy_spacegroup.crystals import symmetry_operations, unit_cell
from kikuchipy_spacegroup.master_patterns._bloch_waves import ListedCrystal
from recipes.general_model.structures.crystals import Structure
from recipes.general_model.structures.simulate import draw_parameters, to_phase
from recipes.general_model.structures.structure_table import TABLE, read_structures

_logger = logging.getLogger("two_beam")
# How much more the Bloch wave at the atoms is absorbed, per contrast. With this and the
# dampings below, patterns correlate at 0.79 on average with Bloch waves (ten structures)
_ABSORPTION = 0.6
# Ranges of the dampings of two patterns, as of electrons from deep and from near the surface
_DAMPINGS = (1.0, 2.0), (2.2, 4.5)
# Share of the sum of strengths that bands left out may have, and the most bands
_LEFT_OUT, _MOST_BANDS = 0.02, 1500
_DIRECTIONS_AT_A_TIME = 2048


def reflections(
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
    edges = np.linalg.norm(crystal.direct_structure_matrix, axis=0)
    hmax = np.floor(edges / min_dspacing + 1e-9).astype(int)
    ranges = [np.arange(-h, h + 1) for h in hmax]
    hkl = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    hkl = hkl[len(hkl) // 2 + 1 :]
    length = crystal.g_length(hkl)
    hkl = hkl[(length <= 1 / min_dspacing) & crystal.allowed_by_centering(hkl)]
    length = crystal.g_length(hkl)
    # 2. Structure factors of the elastic and absorptive potential, and of scattering
    #    to the detector by Z^2, of shape (n,)
    unique, inverse = np.unique(np.round(length * SWK, 9), return_inverse=True)
    elastic, absorptive, detected = np.zeros((3, len(hkl)), dtype=complex)
    total = 0.0
    for site, positions in zip(crystal.sites, crystal.positions, strict=True):
        amplitude = float(np.sqrt(site.debye_waller * DWWK))
        factor = wk_scattering_factor(
            atomic_number(site.element), unique, amplitude, energy, absorption=True
        )
        factor = site.occupancy * factor[inverse]
        phases = np.exp(-2j * np.pi * hkl @ np.transpose(positions)).sum(axis=1)
        elastic += phases * factor.real
        absorptive += phases * factor.imag
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


def two_beam_intensities(
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
        See :func:`reflections`.
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
        total = torch.zeros(len(part))
        for side, sign in enumerate((1.0, -1.0)):
            # 1. Deviation w from the Bragg position, negative within the band
            w = (sign * along - sines) * per_sine
            root = torch.sqrt(1 + w * w)
            # 2. Two Bloch waves, of which one is at the atoms and absorbed more
            contrast = sides[:, side]
            absorbed = _ABSORPTION * contrast
            first = (1 - w / root) * (1 + contrast / root) / (1 + absorbed / root)
            second = (1 + w / root) * (1 - contrast / root) / (1 - absorbed / root)
            total += ((first + second) / 2 - 1).sum(dim=1)
        intensities.append(total)
    return torch.cat(intensities).numpy()


def strongest(
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


def simulate(structure: Structure, half_width: int) -> dict:
    """Return the arrays of the file of a structure."""
    start = time.monotonic()
    parameters = draw_parameters(structure.identifier)
    rng = np.random.default_rng(zlib.crc32(structure.identifier.encode()))
    cell = unit_cell(to_phase(structure))
    crystal = ListedCrystal(cell)
    grid = sample_incident_directions(half_width, dtype=torch.float64).flat().numpy()
    directions, index = crystal.fold(grid)
    bands = strongest(*reflections(crystal, parameters["kv"], parameters["dmin"]))
    side = 2 * half_width + 1
    patterns = []
    for limits in _DAMPINGS:
        damping = float(np.exp(rng.uniform(*np.log(limits))))
        wavelength = float(electron_wavelength_nm(parameters["kv"]))
        values = two_beam_intensities(directions, *bands, wavelength, damping)
        patterns.append(values[index].reshape(2, side, side))
    patterns = np.stack(patterns)
    # Contrast of the order of that of Bloch waves
    patterns = 1 + 0.15 * (patterns - patterns.mean()) / patterns.std()
    patterns = np.maximum(patterns, 0.1)
    rotations = symmetry_operations(cell).rotations
    centrosymmetric = bool((rotations == -np.eye(3)).all(axis=(1, 2)).any())
    if centrosymmetric:
        patterns = patterns[:, :1]
    low = patterns.min(axis=(2, 3), keepdims=True)
    high = patterns.max(axis=(2, 3), keepdims=True)
    meta = {
        "kv": parameters["kv"],
        "id": structure.identifier,
        "space_group": structure.space_group,
        "centrosymmetric": centrosymmetric,
        "bands": len(bands[0]),
        "seconds": round(time.monotonic() - start, 1),
    }
    return {
        "values": np.rint(255 * (patterns - low) / (high - low)).astype("uint8"),
        "limits": np.stack([low, high], axis=-1)[:, :, 0, 0].astype("float32"),
        "meta": json.dumps(meta),
    }


def main() -> None:
    """Simulate what is missing."""
    parser = argparse.ArgumentParser(description="Simulate master patterns of bands")
    parser.add_argument("folder", type=Path, help="folder of master patterns")
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--half-width", type=int, default=100)
    parser.add_argument(
        "--backwards", action="store_true", help="from the last one, in another process"
    )
    args = parser.parse_args()
    logging.basicConfig(level="WARNING", format="%(asctime)s %(message)s")
    _logger.setLevel("INFO")
    args.folder.mkdir(parents=True, exist_ok=True)
    structures = [
        s for s in read_structures(args.table) if s.extra["split"] == "training"
    ]
    structures.sort(key=lambda s: s.extra["order"], reverse=args.backwards)
    for structure in structures:
        path = args.folder / f"{structure.identifier.replace('/', '_')}.npz"
        if path.exists():
            continue
        arrays = simulate(structure, args.half_width)
        part = path.with_suffix(".part")
        with open(part, "wb") as file:
            np.savez_compressed(file, **arrays)
        part.rename(path)
        _logger.info("%s: %s", path.stem, arrays["meta"])


if __name__ == "__main__":
    main()

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bloch waves by de-ebsd, for crystals of any symmetry given by all their atoms.

de-ebsd expands atoms with the operations of one table and folds directions by the
default orientation of the point group, which is another one in 28 space groups. Here,
both are taken from the atoms.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from de_ebsd.core.constants import (
    C_PI,
    DWWK,
    PREF_COEF,
    PREG,
    SWK,
    electron_wavelength_nm,
)
from de_ebsd.crystal.lattice import AtomSite, Crystal
from de_ebsd.crystal.scattering import atomic_number, wk_scattering_factor
from de_ebsd.crystal.structure_factors import StructureFactors
from de_ebsd.diffraction.prism import BlochPrismBackend
import numpy as np
import torch

from kikuchipy_spacegroup.crystals import symmetry_operations
from kikuchipy_spacegroup.crystals._symmetry import lattice_parameters

if TYPE_CHECKING:
    from de_ebsd.diffraction.backends import SimulationInputs
    from de_ebsd.sim.montecarlo.depth import DepthDistribution
    from diffpy.structure import Structure

# Debye-Waller factor in nm^2 where an atom has none
_DEBYE_WALLER = 0.005
# Directions that agree to this are the same
_DIRECTION_STEP = 1e-6
# Numbers of elements in one batch of matrices, and of beams by directions
_MATRIX_ELEMENTS, _BEAM_ELEMENTS = 2_000_000, 4_000_000


class ListedCrystal(Crystal):
    """Crystal of de-ebsd given by all atoms of its unit cell.

    Parameters
    ----------
    structure
        Structure with all atoms of a unit cell and lattice parameters
        in angstrom.

    Notes
    -----
    Atoms of the same element, occupancy and Debye-Waller factor are one
    site for de-ebsd.
    """

    def __init__(self, structure: "Structure") -> None:
        positions = defaultdict(list)
        for atom in structure:
            b_factor = float(atom.Bisoequiv) / 100
            b_factor = b_factor if b_factor > 0 else _DEBYE_WALLER
            kind = (atom.element, float(atom.occupancy), round(b_factor, 6))
            positions[kind].append(atom.xyz)
        sites = [
            AtomSite(element, tuple(xyz[0]), occupancy, b_factor)
            for (element, occupancy, b_factor), xyz in positions.items()
        ]
        *edges, alpha, beta, gamma = lattice_parameters(structure.lattice)
        super().__init__(*(edge / 10 for edge in edges), alpha, beta, gamma, 1, sites)
        self._listed = tuple(np.array(xyz) for xyz in positions.values())
        self._operations = symmetry_operations(structure)

    @property
    def positions(self) -> tuple[np.ndarray, ...]:
        """Fractional coordinates of shape (n, 3) of every site."""
        return self._listed

    @property
    def multiplicities(self) -> tuple[int, ...]:
        """Number of atoms of every site."""
        return tuple(len(xyz) for xyz in self._listed)

    def allowed_by_centering(self, hkl: np.ndarray) -> np.ndarray:
        """Whether the lattice translations leave a reflection.

        Parameters
        ----------
        hkl
            Miller indices of shape (..., 3).
        """
        identity = (self._operations.rotations == np.eye(3, dtype=int)).all((1, 2))
        cycles = np.asarray(hkl) @ self._operations.translations[identity].T
        return (np.abs(cycles - np.rint(cycles)) < 1e-3).all(axis=-1)

    def fold(self, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Directions of which no two are equivalent.

        Parameters
        ----------
        directions
            Unit vectors of shape (n, 3).

        Returns
        -------
        unique
            Unit vectors of shape (n_unique, 3).
        index
            Row of ``unique`` for every direction, of shape (n,).

        Notes
        -----
        The operations are those of the point group of the atoms, in the
        Cartesian frame of the lattice. Of equivalent directions, the one
        that is largest in z, then y, then x is taken.
        """
        axes = self.direct_structure_matrix
        rotations = np.unique(self._operations.rotations, axis=0)
        cartesian = axes @ rotations @ np.linalg.inv(axes)
        best = np.full(directions.shape, -(2**40), dtype=np.int64)
        for rotation in cartesian:
            image = np.rint(directions @ rotation.T / _DIRECTION_STEP).astype(np.int64)
            # Lexicographic comparison in z, y, x
            larger = np.zeros(len(image), dtype=bool)
            equal = np.ones(len(image), dtype=bool)
            for axis in (2, 1, 0):
                difference = image[:, axis] - best[:, axis]
                # Rounding of images of one direction differs by a step
                difference[np.abs(difference) <= 1] = 0
                larger |= equal & (difference > 0)
                equal &= difference == 0
            best[larger] = image[larger]
        # Those a step apart are one: halve the resolution on two shifted grids
        cells = np.rint(best / 8).astype(np.int64)
        _, first, index = np.unique(
            cells, axis=0, return_index=True, return_inverse=True
        )
        return directions[first], index.ravel()


def find_largest_indices(crystal: Crystal, min_dspacing: float) -> np.ndarray:
    """Largest Miller indices of reflections down to a spacing in nm, of shape (3,)."""
    # That of |g| <= 1/d, which is along a direct lattice vector
    edges = np.linalg.norm(crystal.direct_structure_matrix, axis=0)
    return np.floor(edges / min_dspacing + 1e-9).astype(int)


def scattering_of_sites(
    crystal: ListedCrystal, g_length: np.ndarray, energy: float
) -> Iterator[tuple[AtomSite, np.ndarray, np.ndarray]]:
    """Yield sites with their positions and complex scattering factors.

    Parameters
    ----------
    crystal
        Crystal.
    g_length
        Lengths of reciprocal lattice vectors in 1/nm of shape (n,).
    energy
        Beam energy in keV.

    Yields
    ------
    site
        Site of de-ebsd.
    positions
        Fractional coordinates of shape (m, 3).
    scattering
        Scattering factors of shape (n,) with occupancy and Debye-Waller
        factor: elastic ones, and absorptive ones as imaginary parts.
    """
    unique_s, inverse = np.unique(np.round(g_length * SWK, 9), return_inverse=True)
    for site, positions in zip(crystal.sites, crystal.positions, strict=True):
        amplitude = float(np.sqrt(site.debye_waller * DWWK))
        scattering = wk_scattering_factor(
            atomic_number(site.element), unique_s, amplitude, energy, absorption=True
        )
        yield site, positions, site.occupancy * scattering[inverse]


def structure_factors(
    crystal: ListedCrystal, energy: float, min_dspacing: float
) -> StructureFactors:
    """Structure factors in a box of Miller indices that fits the unit cell.

    The box of de-ebsd is a cube, and too small for oblique axes, where it
    leaves out some reflections of a family at the smallest spacings.

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
    factors
        Structure factors whose ``hmax`` is an array of shape (3,).
    """
    hmax = find_largest_indices(crystal, min_dspacing)
    ranges = [np.arange(-2 * h, 2 * h + 1) for h in hmax]
    hkl = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    g_length = crystal.g_length(hkl)
    # Differences of two reflections are in a sphere of twice the radius
    inside = g_length <= 2 / min_dspacing * (1 + 1e-9)
    elastic = np.zeros(len(hkl), dtype=complex)
    absorptive = np.zeros(len(hkl), dtype=complex)
    sites = scattering_of_sites(crystal, g_length[inside], energy)
    for _, positions, scattering in sites:
        phase_sums = _sum_phase_factors(positions, ranges).ravel()[inside]
        elastic[inside] += phase_sums * scattering.real
        absorptive[inside] += phase_sums * scattering.imag
    prefactor = PREF_COEF / crystal.volume / (4 * C_PI)
    potential = PREG * prefactor * (elastic + 1j * absorptive)
    center = len(hkl) // 2
    mean_potential = float(prefactor * np.abs(elastic[center]))
    reflections = (g_length > 0) & (g_length <= 1 / min_dspacing * (1 + 1e-9))
    reflections &= crystal.allowed_by_centering(hkl)
    reflections = np.flatnonzero(reflections)[
        np.argsort(g_length[reflections], kind="stable")
    ]
    return StructureFactors(
        crystal=crystal,
        energy_kev=float(energy),
        dmin=float(min_dspacing),
        hmax=hmax,
        ucg_lut=potential.reshape([len(i) for i in ranges]),
        v0=mean_potential,
        upz0=float(PREG * prefactor * np.abs(absorptive[center])),
        wavelength=float(electron_wavelength_nm(energy, v0mod=mean_potential)),
        hkl=hkl[reflections],
        g=g_length[reflections],
        d=1 / g_length[reflections],
        ucg=potential[reflections],
    )


def _sum_phase_factors(
    positions: np.ndarray, ranges: Sequence[np.ndarray]
) -> np.ndarray:
    """Sums of exp(-2 pi i h x) over positions, of the shape of a box of indices."""
    # Of every axis (positions, indices), which are multiplied
    first, second, third = (
        np.exp(-2j * np.pi * np.outer(positions[:, i], ranges[i])) for i in range(3)
    )
    pairs = (first[:, :, None] * second[:, None, :]).reshape(len(positions), -1)
    return (pairs.T @ third).reshape([len(i) for i in ranges])


class BlochWaves(BlochPrismBackend):
    """Bloch wave solver of de-ebsd, made fast on a CPU.

    It differs from de-ebsd's in summing over depths with products of
    matrices, in telling strong from weak beams without looking at all
    pairs, and in boxes of structure factors that fit the unit cell, with
    the same result.

    Parameters
    ----------
    single
        Whether to work in single precision.
    exit_depths
        Factors on the exit depths of electrons, at most 1. The master
        patterns of all of them take hardly longer than that of one.
    """

    def __init__(self, single: bool = True, exit_depths: Sequence[float] = (1.0,)):
        super().__init__(torch.complex64 if single else torch.complex128)
        self.exit_depths = tuple(exit_depths)

    def prepare(self, inputs: "SimulationInputs") -> None:
        """Set up tables for a crystal, energy and depth profile.

        Parameters
        ----------
        inputs
            What de-ebsd's simulator gives.
        """
        super().prepare(inputs)
        factors = self.structure_factors
        self.off = torch.as_tensor(2 * np.asarray(factors.hmax))
        self.weights = torch.as_tensor(
            shallower_weights(
                self.lambda_e,
                self.depthstep,
                factors.normal_absorption_length,
                self.exit_depths,
            ),
            dtype=self.rdtype,
        )
        self.g_squared = (self.g_cart**2).sum(1)
        # Most strong beams of a direction so far
        self.most_strong = 0

    def _build_sgh_lut(self, factors: StructureFactors, crystal: Crystal) -> None:
        """Table of what electrons scatter to the detector by, over h - g."""
        self.hmax = factors.hmax
        ranges = [np.arange(-2 * h, 2 * h + 1) for h in factors.hmax]
        hkl = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1)
        g_squared = crystal.g_length(hkl) ** 2
        scattering = np.zeros(g_squared.shape, dtype=complex)
        for site, positions in zip(crystal.sites, crystal.positions, strict=True):
            weight = atomic_number(site.element) ** 2 * site.occupancy
            damping = np.exp(-0.25 * g_squared * site.debye_waller)
            scattering += (
                weight * damping * _sum_phase_factors(positions, ranges).conj()
            )
        self.sgh_lut = scattering

    def depth_intensities(self, directions: torch.Tensor) -> torch.Tensor:
        """Intensities for every exit depth.

        Parameters
        ----------
        directions
            Unit vectors in the crystal frame of shape (n, 3).

        Returns
        -------
        intensities
            Tensor of shape (n_depths, n).
        """
        intensities = torch.empty(len(self.exit_depths), len(directions))
        step = max(1, _BEAM_ELEMENTS // self.n_beams)
        for start in range(0, len(directions), step):
            k = directions[start : start + step].to(self.rdtype)
            self.values = intensities[:, start : start + step]
            strong, weak, sg = self._classify(k)
            counts = strong.sum(1)
            self.most_strong = max(self.most_strong, int(counts.max()))
            for n_strong in counts.unique().tolist():
                rows = (counts == n_strong).nonzero().squeeze(1)
                # A batch holds tables of strong by strong and by weak beams
                n_weak = int(weak[rows].sum(1).max())
                size = max(1, _MATRIX_ELEMENTS // (n_strong * (n_strong + n_weak)))
                for batch in rows.split(size):
                    self._bucket(n_strong, batch, strong, weak, sg, None, 0)
        return intensities

    def intensities(self, directions: torch.Tensor) -> torch.Tensor:
        """Intensities for the first exit depth.

        Parameters
        ----------
        directions
            Unit vectors in the crystal frame of shape (n, 3).

        Returns
        -------
        intensities
            Tensor of shape (n,).
        """
        return self.depth_intensities(directions)[0]

    def _classify(self, k: torch.Tensor):
        """Strong and weak beams and excitation errors, (directions, beams)."""
        # s = -g (2 k + g) / 2 (k + g) n, with k = n / wavelength
        along = k @ self.g_cart.T
        sg = -(2 * along / self.lam + self.g_squared) / (2 * (along + 1 / self.lam))
        sg = torch.cat([torch.zeros(len(k), 1, dtype=sg.dtype), sg], dim=1)
        relative_error = sg.abs() / self.lam
        candidates = relative_error / self.u_mod.clamp_min(1e-30) <= self.bethe.cutoff
        candidates[:, self.forbidden] = False
        candidates[:, 0] = True
        # Of the potentials of all pairs of beams, the mean inner potential is the
        # largest, so it alone decides
        ratio = relative_error / self.u_mod[0]
        strong = candidates & (ratio <= self.bethe.strong)
        return strong, candidates & ~strong & (ratio <= self.bethe.weak), sg

    def _calc_lgh(self, a: torch.Tensor) -> torch.Tensor:
        """Waves at every depth, (directions, beams, depths), kept in ``waves``."""
        phase = np.pi * self.depthstep / self.kn
        step = torch.linalg.matrix_exp(1j * phase * a)
        waves, power = step[:, :, self.gzero : self.gzero + 1], step
        # Double the number of depths at a time by the power of the step
        while waves.shape[2] < self.n_depths:
            waves = torch.cat([waves, power @ waves], dim=2)
            if waves.shape[2] < self.n_depths:
                power = power @ power
        self.waves = waves[:, :, : self.n_depths]
        return torch.zeros_like(a)

    def _bucket(self, s, sub, strong, weak, sg, out, c0):
        """Intensities of directions with the same number of strong beams."""
        # De-ebsd's own sum over depths is not used, see _calc_lgh()
        unused = torch.empty(len(strong), dtype=self.out_dtype)
        super()._bucket(s, sub, strong, weak, sg, unused, 0)
        beams = strong[sub].nonzero()[:, 1].reshape(len(sub), s)
        hkl = self.hkl_aug[beams]
        sgh = self._lookup(self.sgh_t, hkl[:, None, :, :] - hkl[:, :, None, :])
        # Intensity at every depth, then as electrons leave from there
        at_depth = (self.waves.conj() * (sgh @ self.waves)).sum(1).real
        self.values[:, sub + c0] = (at_depth @ self.weights.T).T.to(torch.float32)


def shares_of_energy(
    profile: "DepthDistribution", energy: float, n_energies: int
) -> list[float]:
    """Energies in the middle of equal shares of the backscattered electrons.

    Parameters
    ----------
    profile
        Monte Carlo statistics of de-ebsd.
    energy
        Beam energy in keV, which is returned for one share.
    n_energies
        Number of shares.

    Returns
    -------
    energies
        Energies in keV of shape (n_energies,), descending.
    """
    if n_energies == 1:
        return [float(energy)]
    counts = profile.accum_z.sum(axis=(1, 2, 3))
    below = (np.cumsum(counts) - counts / 2) / counts.sum()
    shares = (np.arange(n_energies)[::-1] + 0.5) / n_energies
    return np.interp(shares, below, profile.energies_kev).tolist()


def shallower_weights(
    weights: np.ndarray,
    depth_step: float,
    absorption_length: float,
    exit_depths: Sequence[float],
) -> np.ndarray:
    """Weights of depths if electrons leave from less deep.

    Parameters
    ----------
    weights
        Weights of depths in equal steps of shape (n,), which undo the
        absorption in the Bloch waves.
    depth_step
        Step in nm.
    absorption_length
        Normal absorption length in nm.
    exit_depths
        Factors on the exit depths, at most 1.

    Returns
    -------
    weights
        Array of shape (n_depths, n). Rows have the same sum of escaping
        electrons.
    """
    edges = np.arange(len(weights) + 1)
    absorption = np.exp(2 * np.pi * depth_step * edges[:-1] / absorption_length)
    escaping = np.concatenate([[0], np.cumsum(weights / absorption)])
    return np.stack(
        [
            np.diff(np.interp(edges / factor, edges, escaping)) * absorption
            for factor in exit_depths
        ]
    )


def solve(
    backend: BlochWaves,
    directions: np.ndarray,
    progress: Callable[[int, float], None],
    n_before: int = 0,
) -> np.ndarray:
    """Intensities of directions, in random order so that progress can be foretold.

    Parameters
    ----------
    backend
        Solver, prepared.
    directions
        Unit vectors of shape (n, 3).
    progress
        Called after every batch with the number of directions done and
        the time in seconds that each of the last ones took. It may
        raise an error to stop.
    n_before
        Number of times that all directions were done before, as with
        other energies.

    Returns
    -------
    intensities
        Array of shape (n_depths, n) and dtype float32.
    """
    from time import perf_counter

    order = np.random.default_rng(0).permutation(len(directions))
    intensities = np.empty((len(backend.exit_depths), len(directions)), dtype="float32")
    done, size = 0, 1
    while done < len(order):
        batch = order[done : done + size]
        start = perf_counter()
        batch_intensities = backend.depth_intensities(
            torch.as_tensor(directions[batch])
        )
        elapsed = perf_counter() - start
        intensities[:, batch] = batch_intensities.numpy()
        done += len(batch)
        progress(n_before * len(order) + done, elapsed / len(batch))
        # Larger batches are faster, but report seldom
        if elapsed < 5:
            size = min(2 * size, 8192)
    return intensities

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bloch wave master patterns with de-ebsd, at several exit depths at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from de_ebsd.crystal.lattice import Crystal
    from de_ebsd.crystal.structure_factors import StructureFactors
    from de_ebsd.diffraction.backends import MasterPatternBackend, SimulationInputs
    import torch


def to_crystal(row: dict) -> Crystal:
    """Return de-ebsd's crystal of a row of the table.

    Parameters
    ----------
    row
        Row of the table, see ``simulate_masters.py``.

    Returns
    -------
    crystal
        Crystal with symmetry-equivalent atoms generated.
    """
    from de_ebsd.crystal.lattice import AtomSite, Crystal

    return Crystal(
        *(row[k] for k in ("a", "b", "c", "alpha", "beta", "gamma")),
        space_group=row["space_group"],
        sites=[AtomSite(*site) for site in row["sites"]],
        # Which is right also in groups with one choice, where de-ebsd ignores it
        origin=2,
    )


def atoms_per_lattice_point(crystal: Crystal) -> int:
    """Return the number of distinct atom positions in the primitive cell.

    Parameters
    ----------
    crystal
        Crystal.

    Returns
    -------
    count
        Number of positions, counting a mixed site once.
    """
    positions = np.concatenate(crystal.positions) % 1.0
    count = len(np.unique(np.round(positions, 4) % 1.0, axis=0))
    centering = {"F": 4, "I": 2, "A": 2, "B": 2, "C": 2, "R": 3, "H": 3}
    return count // centering.get(crystal.centering, 1)


def shallower(
    weights: np.ndarray, step: float, factors: StructureFactors, depths: Iterable[float]
) -> np.ndarray:
    """Return the weights of depths if electrons leave from less deep.

    Parameters
    ----------
    weights
        de-ebsd's weights of depths in equal steps, which undo the absorption in the
        Bloch waves.
    step
        Step in nm.
    factors
        Structure factors, for the absorption length.
    depths
        Factors on the exit depths, at most 1.

    Returns
    -------
    weights
        Array of shape (factors, depths). Rows have the same sum of escaping electrons.
    """
    edges = np.arange(len(weights) + 1)
    absorption = np.exp(
        2 * np.pi * step * edges[:-1] / factors.normal_absorption_length
    )
    escaping = np.concatenate([[0], np.cumsum(weights / absorption)])
    return np.stack(
        [np.diff(np.interp(edges / f, edges, escaping)) * absorption for f in depths]
    )


def make_backend(
    single: bool = True, depths: tuple[float, ...] = (1.0,)
) -> MasterPatternBackend:
    """Return a Bloch wave solver which is fast on a CPU.

    It differs from de-ebsd's in summing over depths with products of matrices and in
    telling strong from weak beams without looking at all pairs, with the same result.

    Parameters
    ----------
    single
        Whether to work in single precision.
    depths
        Factors on the exit depths. The master patterns of all of them take hardly
        longer than that of one. Their values are in the attribute ``values``.

    Returns
    -------
    backend
        Backend for de-ebsd's simulator.
    """
    from de_ebsd.diffraction.prism import BlochPrismBackend
    from de_ebsd.diffraction.reflections import excitation_errors
    import torch

    class FastBlochBackend(BlochPrismBackend):
        def prepare(self, inputs: SimulationInputs) -> None:
            super().prepare(inputs)
            self.weights = torch.as_tensor(
                shallower(
                    self.lambda_e, self.depthstep, self.structure_factors, depths
                ),
                dtype=self.rdtype,
            )

        def intensities(self, directions: torch.Tensor) -> torch.Tensor:
            self.values = torch.zeros(len(depths), len(directions))
            super().intensities(directions)
            return self.values[0]

        def _classify(self, k: torch.Tensor):
            # Of the potentials of all pairs of beams, the mean inner potential is the
            # largest, so it alone decides
            sg = excitation_errors(self.g_cart, k, self.lam)
            sg = torch.cat([torch.zeros(len(k), 1, dtype=sg.dtype), sg], dim=1)
            near = sg.abs() / self.lam
            among = near / self.u_mod.clamp_min(1e-30) <= self.bethe.cutoff
            among[:, self.forbidden] = False
            among[:, 0] = True
            ratio = near / self.u_mod[0]
            strong = among & (ratio <= self.bethe.strong)
            return strong, among & ~strong & (ratio <= self.bethe.weak), sg

        def _calc_lgh(self, a: torch.Tensor) -> torch.Tensor:
            phase = np.pi * self.depthstep / self.kn
            sigma = torch.linalg.matrix_exp(1j * phase * a)
            psi = sigma[:, :, self.gzero : self.gzero + 1]
            # Double the number of depths at a time by the power of the step
            waves, power = psi, sigma
            while waves.shape[2] < self.n_depths:
                waves = torch.cat([waves, power @ waves], dim=2)
                if waves.shape[2] < self.n_depths:
                    power = power @ power
            self.waves = waves[:, :, : self.n_depths]
            return torch.zeros_like(a)

        def _bucket(self, s, sub, strong, weak, sg, out, c0):
            super()._bucket(s, sub, strong, weak, sg, out, c0)
            beams = strong[sub].nonzero()[:, 1].reshape(len(sub), s)
            hkl = self.hkl_aug[beams]
            sgh = self._lookup(self.sgh_t, hkl[:, None, :, :] - hkl[:, :, None, :])
            # Intensity at every depth, then as electrons leave from there
            at_depth = (self.waves.conj() * (sgh @ self.waves)).sum(1).real
            self.values[:, sub + c0] = (at_depth @ self.weights.T).T.to(torch.float32)

    backend = FastBlochBackend(torch.complex64 if single else torch.complex128)
    backend.block = 4096
    backend.matmul_batch = 256
    return backend


def simulate(
    row: dict,
    kv: float,
    half_width: int = 100,
    dmin: float = 0.05,
    n_energies: int = 1,
    electrons: int = 50_000,
    bethe: tuple[float, float, float] = (4.0, 8.0, 50.0),
    single: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the master pattern of a structure.

    Parameters
    ----------
    row
        Row of the table, see ``simulate_masters.py``.
    kv
        Voltage in kV.
    half_width
        Half the width of the square Lambert grid. The width is twice this plus one.
    dmin
        Smallest interplanar spacing in nm.
    n_energies
        Number of energies in steps of 1 keV down from the beam energy. The time
        taken is proportional to it.
    electrons
        Number of electrons in the Monte Carlo simulation of exit depths.
    bethe
        Limits of strong, weak and included reflections, as EMsoft's defaults.
    single
        Whether to use single precision.

    Returns
    -------
    energies
        Energies in keV in ascending order.
    patterns
        Patterns of shape (depths, energies, 2, width, width), the upper hemisphere
        first.
    """
    from de_ebsd.diffraction.bethe import BetheParameters
    from de_ebsd.diffraction.kvectors import (
        reduce_to_fundamental_sector,
        sample_incident_directions,
    )
    from de_ebsd.sim.microscope import Microscope
    from de_ebsd.sim.montecarlo.depth import DepthDistribution
    from de_ebsd.sim.simulator import MasterPatternSimulator

    crystal = to_crystal(row)
    monte_carlo = DepthDistribution.from_simulation(
        crystal, kv, tilt_deg=70.0, n_electrons=electrons, seed=0
    )
    deepest = max(row["depths"])
    monte_carlo.depth_step *= deepest
    backend = make_backend(single, tuple(i / deepest for i in row["depths"]))
    directions = sample_incident_directions(half_width).flat()
    _, of_grid = reduce_to_fundamental_sector(
        directions, crystal.space_group, cache_key=half_width
    )
    width = 2 * half_width + 1
    energies = kv - np.arange(n_energies)[::-1]
    patterns = []
    for energy in energies:
        simulator = MasterPatternSimulator(
            crystal,
            Microscope(energy=1e3 * energy),
            npx=half_width,
            dmin=dmin,
            bethe=BetheParameters(*bethe),
            monte_carlo=monte_carlo,
            backend=backend,
        )
        simulator.compute(device="cpu")
        values = backend.values[:, of_grid].numpy()
        patterns.append(values.reshape(-1, 2, width, width))
    return energies, np.stack(patterns, axis=1)

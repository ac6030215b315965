# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw the bands that would be found in patterns, without making the patterns.

Bands of 9000 structures are seen thousands of times a second, in lattices and with
intensities that are varied as their space groups allow. How often bands are missed, how
wrong their normals and how noisy their profiles are is of the order of what the layer
``FindBands`` finds in simulated patterns.
"""

import numpy as np
import torch

from kikuchipy_spacegroup.simulation import (
    Geometry,
    random_rotation_matrices,
    random_strains,
)

# Standard deviation of logarithms: of stretches, intensities of a family and widths
STRAIN, INTENSITY, WIDTH = 0.1, 0.6, 0.15
# Share of patterns of which the projection center is unknown
UNKNOWN_SHARE = 0.2
UNKNOWN_CENTER = 0.5, 0.3, 0.65
# Standard deviations of errors of the projection center, drawn alike
CENTER_ERRORS = 0.003, 0.01, 0.025
# Errors of the direction and the distance of a line of the length of the pattern
ANGLE_ERROR, DISTANCE_ERROR = 0.008, 0.005
STEP = 0.5  # degrees between points of a profile


def family_numbers(profiles: np.ndarray) -> np.ndarray:
    """Return which bands are equivalent by symmetry, since their profiles are the same.

    Parameters
    ----------
    profiles
        Profiles of shape (structures, bands, points).

    Returns
    -------
    families
        Number of the family of each band, of shape (structures, bands).
    """
    families = np.zeros(profiles.shape[:2], np.int64)
    for i, of_structure in enumerate(profiles.astype("float32")):
        even = np.rint((of_structure + of_structure[:, ::-1]) * 100).astype(int)
        families[i] = np.unique(even, axis=0, return_inverse=True)[1].ravel()
    return families


class BandDrawer:
    """Draws bands as the layer ``FindBands`` returns them.

    Parameters
    ----------
    normals
        Unit normals of shape (structures, bands, 3), 0 where there are fewer.
    profiles
        Profiles of shape (structures, bands, 29).
    space_groups
        Space group of each structure.
    n_bands
        Number of bands to return.
    seed
        Seed of the random numbers.
    device
        PyTorch's device.
    """

    def __init__(
        self,
        normals: np.ndarray,
        profiles: np.ndarray,
        space_groups: np.ndarray,
        n_bands: int,
        seed: int,
        device: str = "cpu",
    ) -> None:
        self.device = device
        self.normals, self.profiles = self._send(normals), self._send(profiles)
        self.amplitudes = self.profiles.float().square().mean(-1).sqrt()
        self.space_groups = np.asarray(space_groups)
        self.families = self._send(family_numbers(profiles))
        self.n_bands = n_bands
        self.rng = np.random.default_rng(seed)
        self.random = torch.Generator(device).manual_seed(seed)
        self.geometry = Geometry()

    def _send(self, values) -> torch.Tensor:
        """Return values as a tensor on the device."""
        return torch.as_tensor(np.asarray(values), device=self.device)

    def normal(self, *shape: int) -> torch.Tensor:
        """Return standard normal deviates."""
        return torch.randn(shape, generator=self.random, device=self.device)

    def uniform(self, *shape: int) -> torch.Tensor:
        """Return random numbers from 0 to 1."""
        return torch.rand(shape, generator=self.random, device=self.device)

    def draw(
        self, structures: np.ndarray, vary: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return bands.

        Parameters
        ----------
        structures
            Index of the structure of each pattern, of shape (n,).
        vary
            Whether to vary lattices, intensities and widths.

        Returns
        -------
        normals, features, is_band
            See :class:`kikuchipy_spacegroup.models.FindBands`.
        """
        n, structures = len(structures), self._send(structures)
        normals, amplitudes = self.normals[structures], self.amplitudes[structures]
        there = normals.norm(dim=-1) > 0.5
        factors, width = torch.ones_like(amplitudes), torch.ones_like(amplitudes[:, :1])
        if vary:
            normals, factors = self._vary(structures, normals)
            width = torch.exp(WIDTH * self.normal(n, 1))
        # 1. Lines that planes make on the detector: x cos + y sin = rho from the middle
        turned = normals @ self._send(random_rotation_matrices(n, self.rng))
        pc = self._send(self.geometry.sample(n, self.rng)[:, None, :3]).float()
        nx, ny, nz = turned.unbind(-1)
        across = torch.hypot(nx, ny).clamp_min(1e-6)
        cos, sin = nx / across, -ny / across
        rho = -nz * pc[..., 2] / across - _middle(cos, sin, pc)
        # 2. Those seen best, by power and length within the circle
        length = 2 * (0.25 - rho**2).clamp_min(0).sqrt() * there
        seen = amplitudes * factors * length.sqrt()
        typical = seen.topk(6, 1).values.mean(1, keepdim=True).clamp_min(1e-3)
        noise = torch.exp(2.1 * self.uniform(n, 1) - 3.5)
        score = seen / typical * torch.exp(0.25 * self.normal(*seen.shape))
        score = score + noise * self.normal(*seen.shape)
        score, best = torch.where(length > 0.3, score, -9.0).topk(self.n_bands, 1)
        rows = cos, sin, rho, length, factors
        cos, sin, rho, length, factors = (i.gather(1, best) for i in rows)
        profiles = self.profiles[structures[:, None], best].float()
        profiles = profiles * factors[..., None]
        # 3. Their normals, with errors of the line and of the center
        error = (1 + 2 * noise) / length.clamp_min(0.3)
        turn = ANGLE_ERROR * error * self.normal(*rho.shape)
        cos, sin = cos - turn * sin, sin + turn * cos
        rho = rho + DISTANCE_ERROR * error * self.normal(*rho.shape)
        centers = self._guess_centers(pc)
        offset, height = rho + _middle(cos, sin, centers), centers[..., 2]
        found = torch.stack([cos, -sin, -offset / height], -1)
        found = found / found.norm(dim=-1, keepdim=True)
        # 4. Blurred and noisy profiles, relative to those of the strongest bands
        # At a wrong distance, angles are wrong
        profiles = self._blur(profiles, pc[:, 0, 2])
        profiles = _stretch(profiles, width * height / pc[..., 2])
        profiles = 0.9 * profiles / typical[..., None]
        profiles = profiles + self._noise(profiles.shape, noise, length)
        # 5. What the layer returns
        strength = 4.5 * score.clamp_min(0) ** 0.8
        scalars = [
            length,
            strength / 4,
            (offset / height).abs(),
            torch.log(height * (1 + (offset / height) ** 2)),
            *(self.uniform(2, *rho.shape) / 2),
            strength / strength[:, :1].clamp_min(1e-3),
        ]
        half, reverse = profiles.shape[-1] // 2, profiles.flip(-1)
        even = ((profiles + reverse) / 2)[..., : half + 1]
        odd = ((profiles - reverse).abs() / 2)[..., :half]
        features = torch.cat([even, odd, torch.stack(scalars, -1)], -1)
        return found, features, (score > 0.1).float()

    def _vary(self, structures, normals):
        """Return normals of other lattices and factors of the intensities of families."""
        groups = self.space_groups[structures.cpu().numpy()]
        strains = self._send(random_strains(groups, STRAIN, self.rng))
        normals = normals @ strains
        normals = normals / normals.norm(dim=-1, keepdim=True).clamp_min(1e-6)
        factors = torch.exp(INTENSITY * self.normal(*normals.shape[:2]))
        return normals, factors.gather(1, self.families[structures])

    def _guess_centers(self, pc):
        """Return projection centers (n, 1, 3) with errors, or that for unknown ones."""
        n = len(pc)
        errors = self._send(self.rng.choice(CENTER_ERRORS, (n, 1, 1))).float()
        known = pc + errors * self.normal(n, 1, 3)
        common = self._send(np.float32(UNKNOWN_CENTER))
        return torch.where(self.uniform(n, 1, 1) < UNKNOWN_SHARE, common, known)

    def _blur(self, profiles, pcz):
        """Return profiles blurred by pixels and camera."""
        sigma = 0.8 / pcz * torch.exp(0.3 * self.normal(len(pcz)))
        sigma = sigma.clamp(0.3, 3)[:, None, None]
        point = torch.arange(profiles.shape[-1], device=self.device) * STEP
        kernel = torch.exp(-0.5 * ((point[:, None] - point) / sigma) ** 2)
        return profiles @ (kernel / kernel.sum(-1, keepdim=True))

    def _noise(self, shape, noise, length):
        """Return correlated noise of profiles."""
        white = self.normal(*shape)
        smooth = white + sum(
            share * white.roll(shift, -1)
            for share, shift in ((1, 1), (1, -1), (0.5, 2), (0.5, -2))
        )
        strength = (0.15 + 1.2 * noise) * (0.7 / length.clamp_min(0.2)).sqrt()
        return smooth / 1.9 * strength[..., None]


def _middle(cos, sin, centers):
    """Return the signed distance of the middle of the pattern from the center."""
    return cos * (0.5 - centers[..., 0]) - sin * (centers[..., 1] - 0.5)


def _stretch(profiles: torch.Tensor, width: torch.Tensor) -> torch.Tensor:
    """Return profiles (n, bands, points) of which angles are divided by widths (n, 1)."""
    points = profiles.shape[-1]
    middle = points // 2
    place = torch.arange(points, device=width.device)
    place = middle + (place - middle) * width
    below = place.floor().clamp(0, points - 2)
    share = (place - below).clamp(0, 1)[:, None]
    index = below.long()[:, None].expand(-1, profiles.shape[1], -1)
    here, after = profiles.gather(2, index), profiles.gather(2, index + 1)
    return here * (1 - share) + after * share

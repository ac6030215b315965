# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Vary bands found in patterns, so that a network does not know structures by heart."""

import torch

# Largest share of the bands, and of axes, of a pattern that are hidden
HIDDEN = 0.3
# Standard deviation of the logarithm of widths, of a pattern as a whole
WIDTH = 0.15


def vary_found(bands: tuple, n_steps: int) -> tuple:
    """Return bands and axes of which some are hidden, with other widths of bands.

    As if some had not been found, and the voltage were another.

    Parameters
    ----------
    bands
        Directions (n, bands, 3), features (n, bands, k) and which are there (n, bands),
        of bands and then of axes.
    n_steps
        Number of points of a profile, of which the features begin with.
    """
    n, device = len(bands[0]), bands[0].device
    share = HIDDEN * torch.rand((n, 1), device=device)
    varied = list(bands)
    for i in range(2, len(bands), 3):
        varied[i] = bands[i] * (torch.rand(bands[i].shape, device=device) > share)
    width = torch.exp(WIDTH * torch.randn((n, 1, 1), device=device))
    varied[1] = stretch_found(bands[1], width, n_steps)
    return tuple(varied)


def stretch_found(
    features: torch.Tensor, width: torch.Tensor, n_steps: int
) -> torch.Tensor:
    """Return features (n, bands, k) with bands that are wider by factors (n, 1, 1).

    The first are the even part of the profile, from the side to the middle, and the odd
    part without the middle, where it is zero.
    """
    half = n_steps // 2
    even, odd = features[..., : half + 1], features[..., half + 1 : n_steps]
    odd = torch.cat([odd, torch.zeros_like(odd[..., :1])], -1)
    # Distances from the middle in points, those beyond the side have its value
    place = torch.arange(half, -1, -1, device=features.device) / width
    place = (half - place).clamp(min=0).expand(-1, features.shape[1], -1)
    below = place.floor().clamp(max=half - 1)
    share, index = place - below, below.long()
    even, odd = (
        part.gather(-1, index) * (1 - share) + part.gather(-1, index + 1) * share
        for part in (even, odd)
    )
    return torch.cat([even, odd[..., :-1], features[..., n_steps:]], -1)

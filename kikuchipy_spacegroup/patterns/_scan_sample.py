# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns of a scan by which to adapt a model."""

from typing import TYPE_CHECKING

import numpy as np

from kikuchipy_spacegroup.patterns._checks import check_mask, check_signal
from kikuchipy_spacegroup.patterns._labelled_patterns import read_patterns

if TYPE_CHECKING:
    from kikuchipy.signals import EBSD

# Fewer patterns have no statistics, and too few to train on
FEWEST = 16


def sample_of_scan(
    signal: "EBSD",
    n: int,
    size: int,
    navigation_mask: np.ndarray | None,
    signal_mask: np.ndarray | None,
    static_background: np.ndarray | str | None,
    seed: int,
) -> np.ndarray:
    """Return random patterns of a scan at a size in pixels."""
    nav_shape, sig_shape = check_signal(signal)
    navigation_mask = check_mask(navigation_mask, nav_shape, "navigation_mask")
    signal_mask = check_mask(signal_mask, sig_shape, "signal_mask")
    if n < FEWEST:
        raise ValueError(f"n_patterns must be at least {FEWEST}, not {n}")
    candidates = np.arange(int(np.prod(nav_shape)))
    if navigation_mask is not None:
        candidates = candidates[~navigation_mask.ravel()]
    rng = np.random.default_rng(seed)
    picked = rng.choice(candidates, min(n, candidates.size), replace=False)
    mask = np.ones(int(np.prod(nav_shape)), dtype=bool)
    mask[picked] = False
    patterns, _ = read_patterns(
        signal, mask.reshape(nav_shape), signal_mask, static_background, size
    )
    if len(patterns) < FEWEST:
        raise ValueError(
            f"{len(patterns)} patterns can be classified, which is less than {FEWEST}"
        )
    return patterns

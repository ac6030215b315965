# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns of samples that do not diffract, of a camera that is not in training.

The shot noise and the background are those of :class:`~kikuchipy_spacegroup.Camera`, not
of the layer that training patterns come from. Half of the patterns have a diffuse halo,
as short-range order gives.
"""

from kikuchipy.detectors import EBSDDetector
import numpy as np

from kikuchipy_spacegroup import Camera

SHAPE = (80, 80)


def amorphous(n: int, seed: int) -> np.ndarray:
    """Return raw patterns of shape (n, 80, 80) and dtype uint16."""
    rng = np.random.default_rng([seed, 6])
    patterns = []
    for i in range(n):
        pc = rng.uniform((0.4, 0.1, 0.45), (0.6, 0.45, 0.9))
        camera = Camera(
            dose=np.exp(rng.uniform(*np.log((30, 3000)))),
            contrast=np.exp(rng.uniform(*np.log((0.02, 0.1)))),
            point_spread=rng.uniform(0, 1.5),
            vignetting=rng.uniform(0.2, 1.5),
        )
        background = camera.background(EBSDDetector(shape=SHAPE, pc=pc))
        signal = halo(pc, rng) if i % 2 else np.zeros(SHAPE)
        expected = camera.expected(signal[np.newaxis], background)
        recorded = camera.record(expected, rng)
        patterns.append(camera.digitize(recorded, background, "uint16")[0])
    return np.stack(patterns)


def halo(pc: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a diffuse ring around the direction of the beam."""
    rows, columns = SHAPE
    x = (np.arange(columns) + 0.5) / columns - pc[0]
    y = pc[1] - (np.arange(rows)[:, np.newaxis] + 0.5) / rows
    angle = np.rad2deg(np.arctan2(np.hypot(x, y + rng.uniform(0.2, 0.8)), pc[2]))
    ring = np.exp(-0.5 * ((angle - rng.uniform(15, 40)) / rng.uniform(4, 9)) ** 2)
    return (ring - ring.mean()) / ring.std()

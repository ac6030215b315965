# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calculate the strongest bands of structures, without patterns of them.

Usage::

    python -m recipes.general_model.bands.table BANDS.npz

Writes the normals and the two-beam profiles of the bands of all structures to train on,
those of the table and the further ones, and of the validation lists. It takes 0.15 s a
structure.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
import torch

from kikuchipy_spacegroup.crystals import unit_cell
from kikuchipy_spacegroup.master_patterns import two_beam_profiles
from recipes.general_model.structures.crystals import Structure
from recipes.general_model.structures.simulate import draw_parameters, to_phase
from recipes.general_model.structures.structure_table import (
    FURTHER,
    TABLE,
    read_structures,
)

_logger = logging.getLogger("bands")
# Angles of profiles, of the layer FindBands
PROFILE_ANGLES = np.deg2rad(np.linspace(-7, 7, 29))
# A pattern shows fewer
N_BANDS = 72
MIN_DSPACING = 0.07
DAMPING = 2.0


def strongest_bands(structure: Structure) -> tuple[np.ndarray, np.ndarray]:
    """Return normals (N_BANDS, 3) and profiles (N_BANDS, 29), 0 if there are fewer."""
    normals, profiles = two_beam_profiles(
        unit_cell(to_phase(structure)),
        PROFILE_ANGLES,
        draw_parameters(structure.identifier)["kv"],
        min_dspacing=MIN_DSPACING,
        damping=DAMPING,
    )
    n = min(len(normals), N_BANDS)
    rows = np.zeros((N_BANDS, 3 + len(PROFILE_ANGLES)), "float32")
    rows[:n, :3] = normals[:n]
    rows[:n, 3:] = profiles[:n] / np.sqrt(np.square(profiles[0]).mean())
    return rows[:, :3], rows[:, 3:]


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Calculate bands")
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    structures = [
        s
        for path in (TABLE, FURTHER)
        for s in read_structures(path)
        if not s.extra["split"].startswith("test")
    ]
    kept, normals, profiles = [], [], []
    for i, structure in enumerate(structures):
        if i % 500 == 0:
            _logger.info("%s of %s", i, len(structures))
        try:
            of_structure = strongest_bands(structure)
        except ValueError as error:  # too many beams, or atoms too near
            _logger.warning("%s is left out: %s", structure.identifier, error)
            continue
        kept.append(structure)
        normals.append(of_structure[0])
        profiles.append(of_structure[1].astype("float16"))
    np.savez(
        args.output,
        normals=np.array(normals),
        profiles=np.array(profiles),
        identifiers=[s.identifier for s in kept],
    )


if __name__ == "__main__":
    main()

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure how much brighter zone axes are in simulations than in real patterns.

Usage::

    python -m recipes.default_model.scores.zone_axes_contrast LIBRARY REAL OUTPUT

where LIBRARY is a file written by ``library.py`` and REAL the folder of real patterns.
Real patterns of little noise are matched with the master pattern of their phase
(``match.py``). What is simulated is then compressed, as ``Acquisition.compression`` does,
blurred, and compared with the real one after the model's preprocessing: by the
correlation, and by the skewness of the intensities, which bright zone axes raise. Writes
``compression.csv`` to the folder OUTPUT.
"""

import argparse
from datetime import date
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import skew

from benchmarks.tables import write_table
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.patterns import PreparePatterns
from recipes.default_model.scores.match import SEED, SIZE, projector, search, unit
from recipes.default_model.scores.real_patterns import load_real
from recipes.default_model.scores.twins import SHOWN, entry_of, project

# Map, number of the pattern, and phase
PATTERNS = (
    ("ni_nordif_calibration", 0, "Ni"),
    ("ni_nordif_calibration_230x230", 1, "Ni"),
    ("229_Fe-alpha_AstroEBSD", 0, "Fe"),
    ("229_W_20kV", 0, "W"),
    ("227_Si_OpenECCI", 0, "Si"),
)
STRENGTHS = (0.0, 0.3, 0.6, 1.0, 1.5)
# Standard deviation of the point spread, in pixels
BLUR = 0.7


def compressed(signal: np.ndarray, strength: float) -> np.ndarray:
    """Return a signal in units of its standard deviation, compressed and blurred."""
    if strength:
        signal = np.tanh(strength * signal) / strength
    return gaussian_filter(signal, BLUR)


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Compare zone axes")
    for name in ("library", "real", "output"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    library = MasterPatternLibrary.load(args.library)
    maps = load_real(args.real)
    prepare = PreparePatterns(SHOWN)
    rows = []
    for name, number, phase in PATTERNS:
        stack = maps[name][0]
        pattern = stack.reshape(-1, *stack.shape[-2:])[number].astype("float32")
        entry = entry_of(library, phase, int(maps[name][1]))
        small = PreparePatterns(SIZE)(pattern[np.newaxis, ..., np.newaxis])
        target = unit(np.asarray(small))[0]
        _, matrix, pc = search(projector(library, entry, SIZE), target)
        ideal = project(library, entry, matrix[np.newaxis], [[*pc, 1, 0]])[0]
        ideal = (ideal - ideal.mean()) / ideal.std()
        real = np.asarray(prepare(pattern[np.newaxis, ..., np.newaxis]))[0, ..., 0]
        row = {"map": name, "pattern": number + 1, "phase": phase}
        row |= {f"pc{k}": v for k, v in zip("xyz", pc)}
        row["skewness"] = skew(real.ravel())
        for strength in STRENGTHS:
            signal = compressed(ideal, strength).astype("float32")
            twin = np.asarray(prepare(signal[np.newaxis, ..., np.newaxis]))[..., 0]
            row[f"correlation, {strength:g}"] = unit(twin)[0] @ unit(real[None])[0]
            row[f"skewness, {strength:g}"] = skew(twin.ravel())
        rows.append({k: round(float(v), 3) if k[:2] in ("pc", "sk", "co") else v
                     for k, v in row.items()})  # fmt: skip
        rows[-1] |= {"seed": SEED, "date": date.today().isoformat()}
        print(rows[-1], flush=True)
    write_table(args.output / "compression.csv", rows)


if __name__ == "__main__":
    main()

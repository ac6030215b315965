# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show real patterns beside simulated twins.

Usage::

    python -m recipes.default_model.scores.twins LIBRARY REAL OUTPUT

where LIBRARY is a file written by ``library.py`` and REAL the folder of
real patterns. Twins are of the same phase, orientation and projection
center, from a camera with what :func:`estimate_acquisition` finds in
the real ones, after the model's preprocessing. Those of silicon, whose
patterns are raw, also have the illumination of the real ones. Writes ``twins.png`` and
``twins.csv`` to the folder OUTPUT.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from kikuchipy.data import nickel_ebsd_small
from kikuchipy.signals import EBSD
import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter

from benchmarks.tables import write_table
from kikuchipy_spacegroup import LabelledPatterns
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.patterns import PreparePatterns
from kikuchipy_spacegroup.simulation import (
    SimulateCamera,
    detector_parameters,
    estimate_acquisition,
    simulate_patterns,
)
from recipes.default_model.scores.match import SIZE, projector, search, unit
from recipes.default_model.scores.real_patterns import load_real

SEED = 5
SHOWN = 96


def project(library, entry: int, orientation, geometry) -> np.ndarray:
    """Return patterns as no camera has seen them."""
    n = len(orientation)
    inputs = {
        "upper": np.full(n, library.upper[entry], "int32"),
        "lower": np.full(n, library.lower[entry], "int32"),
        "orientation": np.asarray(orientation, "float32"),
        "geometry": np.asarray(geometry, "float32"),
    }
    return np.asarray(simulate_patterns(library, inputs, SHOWN))


def twins(signal: EBSD, ideal: np.ndarray) -> dict:
    """Return prepared real patterns, ideal ones, and those of a camera."""
    found = estimate_acquisition(signal)
    camera = replace(
        found,
        overlap_probability=0,
        marks_probability=0,
        shadow_probability=0,
        raw_probability=0,
    )
    prepare = PreparePatterns(SHOWN)
    recorded = np.asarray(SimulateCamera(camera, size=SHOWN, seed=SEED)(ideal))
    # With the background divided out as before classification
    real = LabelledPatterns.from_signal(signal, 1, size=SHOWN).patterns
    sets = {"real": real, "simulated": recorded, "without camera": ideal}
    prepared = {
        name: np.asarray(prepare(patterns[..., None].astype("float32")))[..., 0]
        for name, patterns in sets.items()
    }
    return prepared | {"noise": found.noise}


def raw_twins(signal: EBSD, ideal: np.ndarray) -> dict:
    """Return the same as ``twins`` for patterns with their background.

    The twins have the illumination and the contrast of the real ones.
    """
    stack = signal.data.reshape((-1, *signal.data.shape[-2:], 1)).astype("float32")
    raw = np.asarray(PreparePatterns(SHOWN).resize(stack)[0])
    light = illumination(raw.mean(axis=0))
    inner = radius() < 0.6
    # Bands and noise: what changes within a tenth of the side
    detail = raw / light - gaussian_filter(raw / light, (0, SHOWN / 10, SHOWN / 10))
    contrast = detail[:, inner].std()
    found = estimate_acquisition(signal)
    camera = replace(
        found,
        overlap_probability=0,
        marks_probability=0,
        shadow_probability=0,
        aperture_probability=0,
        raw_probability=0,
        vignetting=(0, 0),
        tilt=(0, 0),
    )
    recorded = np.asarray(SimulateCamera(camera, size=SHOWN, seed=SEED)(ideal))
    recorded = recorded - gaussian_filter(recorded, (0, SHOWN / 10, SHOWN / 10))
    recorded *= contrast / recorded[:, inner].std()
    prepare = PreparePatterns(SHOWN)
    sets = {
        "real": LabelledPatterns.from_signal(signal, 1, size=SHOWN).patterns,
        "simulated": LabelledPatterns.from_signal(
            EBSD(light * (1 + recorded)), 1, size=SHOWN
        ).patterns,
        "without camera": ideal,
    }
    prepared = {
        name: np.asarray(prepare(patterns[..., None].astype("float32")))[..., 0]
        for name, patterns in sets.items()
    }
    return prepared | {"noise": found.noise}


def radius() -> np.ndarray:
    """Return the distance of every pixel from the center, 1 at the side."""
    x = (np.arange(SHOWN) + 0.5) * 2 / SHOWN - 1
    return np.hypot(*np.meshgrid(x, x))


def illumination(mean: np.ndarray) -> np.ndarray:
    """Return a mean pattern without its bands, but with its steep rim."""
    ring = np.round(radius() * SHOWN / 2).astype(int)
    counts = np.maximum(np.bincount(ring.ravel()), 1)
    rings = np.bincount(ring.ravel(), mean.ravel()) / counts
    profile = np.maximum(rings[ring], 1e-3 * mean.max())
    return profile * gaussian_filter(mean / profile, SHOWN / 12)


def nickel(library: MasterPatternLibrary) -> dict:
    """Return the twins of kikuchipy's nickel scan."""
    s = nickel_ebsd_small()
    orientation, geometry = detector_parameters(s.xmap.rotations, s.detector)
    entry = entry_of(library, "Ni")
    return twins(s, project(library, entry, orientation, geometry))


def silicon(library: MasterPatternLibrary, folder: Path) -> dict:
    """Return the twins of the silicon patterns, after matching them."""
    patterns = load_real(folder)["si_nordif"][0][0]
    prepare = PreparePatterns(SIZE)
    entry = entry_of(library, "Si")
    found = projector(library, entry, SIZE)
    rows = []
    for pattern in patterns:
        target = unit(np.asarray(prepare(pattern[None, ..., None].astype("f4"))))[0]
        rows.append(search(found, target)[1:])
    matrices, centers = (np.array(values) for values in zip(*rows))
    geometry = np.column_stack([centers, np.ones(len(rows)), np.zeros(len(rows))])
    ideal = project(library, entry, matrices, geometry)
    return raw_twins(EBSD(patterns), ideal)


def entry_of(
    library: MasterPatternLibrary, name: str, space_group: int | None = None
) -> int:
    """Return the entry of a phase closest to 20 kV."""
    of_phase = np.array(library.phase_names)[library.phase_index] == name
    if space_group is not None:  # iron has several
        of_phase &= library.space_groups[library.phase_index] == space_group
    entries = np.flatnonzero(of_phase)
    return int(entries[np.abs(library.energies[entries] - 20).argmin()])


def main() -> None:
    """Make the picture and the table."""
    parser = argparse.ArgumentParser(description="Show real patterns and twins")
    for name in ("library", "real", "output"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    library = MasterPatternLibrary.load(args.library)
    sets = {"Ni": nickel(library), "Si": silicon(library, args.real)}
    rows, columns = [], []
    for name, found in sets.items():
        for i in range(len(found["real"])):
            real, simulated, ideal = (
                unit(found[k][i : i + 1])[0]
                for k in ("real", "simulated", "without camera")
            )
            rows.append(
                {
                    "pattern": f"{name} {i + 1}",
                    "correlation": round(float(real @ ideal), 3),
                    "correlation_of_twin": round(float(simulated @ ideal), 3),
                    "noise_from": round(found["noise"][0], 2),
                    "noise_to": round(found["noise"][1], 2),
                }
            )
            columns.append((f"{name} {i + 1}", found, i))
    args.output.mkdir(parents=True, exist_ok=True)
    write_table(args.output / "twins.csv", rows)
    columns = columns[:3] + columns[-3:]
    fig, axes = plt.subplots(3, len(columns), figsize=(2 * len(columns), 6.4))
    for ax, (title, found, i) in zip(axes.T, columns):
        for a, kind in zip(ax, ("real", "simulated", "without camera")):
            a.imshow(found[kind][i], cmap="gray", vmin=-2.5, vmax=2.5)
            a.set_title(f"{title}, {kind}", fontsize=8)
            a.axis("off")
    fig.tight_layout()
    fig.savefig(args.output / "twins.png", dpi=80)


if __name__ == "__main__":
    main()

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gather simulated master patterns into libraries, one per split.

Usage::

    python -m recipes.general_model.library MASTERS... LIBRARIES [--bands BANDS] [--first 300]

where MASTERS are folders filled by ``structures/simulate.py`` and BANDS one by
``structures/two_beam.py``, which may have further structures. LIBRARIES gets
``training.npz``, ``weights.json`` (how often phases and space groups are drawn) and one
library for every split held out. The validation lists are filled up from BANDS, the test
lists are not. Phases have the identifiers of the table as names, followed by
``" (bands)"`` for those from BANDS to train on.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterable
import json
import logging
from pathlib import Path

import numpy as np

from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from recipes.general_model.structures.crystals import Structure
from recipes.general_model.structures.simulate import path_of
from recipes.general_model.structures.structure_table import (
    FURTHER,
    VARIED,
    read_structures,
)

_logger = logging.getLogger("library")
SPLITS = (
    "training",
    "validation_materials",
    "validation_types",
    "test_materials",
    "test_types",
)
# How often a type is drawn that is made up, next to the others
MADE_UP = 0.5
# Share of patterns of phases that users map, each as often
MAPPED = 0.25
# What the names of phases end with whose master patterns are of two-beam bands
BANDS = " (bands)"


def hemispheres(path: Path) -> tuple[np.ndarray, float]:
    """Return master patterns of a file and the voltage in kV.

    Parameters
    ----------
    path
        File of ``structures/simulate.py``.

    Returns
    -------
    patterns
        Array of shape (depths, hemispheres, n, n) and dtype float32, scaled so that the
        mean of both hemispheres is 1. There is one hemisphere where they are the same.
    kv
        Voltage.
    """
    with np.load(path) as file:
        values = file["values"].astype("float32")
        # Some files have those of both hemispheres where there is one
        limits = file["limits"][:, : values.shape[1]]
        meta = json.loads(str(file["meta"]))
    low, high = limits[..., 0, None, None], limits[..., 1, None, None]
    patterns = low + values * ((high - low) / 255)
    if meta["centrosymmetric"]:
        # I(x, y, -z) = I(-x, -y, z)
        lower = patterns[:, :, ::-1, ::-1]
        if np.abs(lower - patterns).max() > 0.02 * (high - low).max():
            patterns = np.concatenate([patterns, lower], axis=1)
    patterns /= patterns.mean(axis=(1, 2, 3), keepdims=True)
    return patterns, meta["kv"]


def gather(
    structures: Iterable[Structure], folders: Iterable[Path], suffix: str = ""
) -> MasterPatternLibrary | None:
    """Return the master patterns of structures, None if there are none.

    Parameters
    ----------
    structures
        Structures. Those not in any folder are left out.
    folders
        Folders of ``structures/simulate.py``.
    suffix
        What names end with.

    Returns
    -------
    library
        Library with an entry for each exit depth of each structure.
    """
    images, phase_index, upper, lower, energies = [], [], [], [], []
    names, groups = [], []
    for structure in structures:
        paths = (path_of(folder, structure) for folder in folders)
        path = next((path for path in paths if path.exists()), None)
        if path is None:
            continue
        patterns, kv = hemispheres(path)
        for pattern in patterns:
            upper.append(len(images))
            images += list(pattern.astype("float16"))
            lower.append(len(images) - 1)
            phase_index.append(len(names))
            energies.append(kv)
        names.append(structure.identifier + suffix)
        groups.append(structure.space_group)
    if not names:
        return None
    return MasterPatternLibrary(
        np.stack(images),
        phase_index=phase_index,
        upper=upper,
        lower=lower,
        energies=energies,
        phase_names=names,
        space_groups=groups,
    )


def sampling_weights(structures: Iterable[Structure]) -> dict[str, dict]:
    """Return how often phases, by name, and space groups, by number, are drawn.

    Phases that users map are drawn a quarter of the time. Else, crystal systems are drawn
    in equal parts, space groups by the square root of their number of types, types alike
    but for those made up, structures of a type alike.
    """
    of_type = Counter(s.structure_type for s in structures)
    kind = defaultdict(lambda: MADE_UP)
    types, systems = defaultdict(set), defaultdict(set)
    mapped, totals = Counter(), Counter()
    for s in structures:
        if s.made == "real":
            kind[s.structure_type] = 1.0
        types[s.space_group].add(s.structure_type)
        systems[sg.get_space_group(s.space_group).crystal_system].add(s.space_group)
        mapped[s.space_group] += bool(s.extra.get("mapped"))
    phases = {
        s.identifier: kind[s.structure_type] / of_type[s.structure_type]
        for s in structures
    }
    for s in structures:
        totals[s.space_group] += phases[s.identifier]
    groups, share = {}, MAPPED if mapped.total() else 0.0
    for members in systems.values():
        total = sum(len(types[n]) ** 0.5 for n in members)
        groups |= {n: len(types[n]) ** 0.5 / total / len(systems) for n in members}
    # Of all patterns, those of each phase for either reason
    for s in structures:
        n, name = s.space_group, s.identifier
        phases[name] *= (1 - share) * groups[n] / totals[n]
        if s.extra.get("mapped"):
            phases[name] += share / mapped.total()
    groups = {
        n: (1 - share) * groups[n] + share * mapped[n] / max(mapped.total(), 1)
        for n in sorted(groups)
    }
    return {"phases": phases, "space_groups": groups}


def shared_weights(
    structures: Iterable[Structure], library: MasterPatternLibrary
) -> dict[str, dict]:
    """Return weights by which bands and Bloch waves of a structure are drawn alike.

    Structures are drawn by :func:`sampling_weights`, whatever there is of them: were the
    few with Bloch waves drawn more often, the network would know them by heart.

    Parameters
    ----------
    structures
        Structures.
    library
        Library with phases of either kind.
    """
    known = set(library.phase_names)
    kinds = {
        s.identifier: [k for k in ("", BANDS) if s.identifier + k in known]
        for s in structures
    }
    weights = sampling_weights([s for s in structures if kinds[s.identifier]])
    phases = {
        name + kind: share / len(kinds[name])
        for name, share in weights["phases"].items()
        for kind in kinds[name]
    }
    return {"phases": phases, "space_groups": weights["space_groups"]}


def main() -> None:
    """Write the libraries."""
    parser = argparse.ArgumentParser(description="Gather master patterns")
    parser.add_argument("masters", type=Path, nargs="+")
    parser.add_argument("output", type=Path)
    parser.add_argument("--bands", type=Path, help="folder of two-beam bands")
    parser.add_argument("--first", type=int, help="structures to train on, in order")
    args = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(message)s")
    structures = sorted(read_structures(), key=lambda s: s.extra["order"])
    args.output.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        of_split = [s for s in structures if s.extra["split"] == split]
        if split == "training":
            of_split = of_split[: args.first]
            if args.first is None:
                of_split += read_structures(FURTHER) + read_structures(VARIED)
        folders = args.masters
        if split.startswith("validation") and args.bands is not None:
            # To choose by, many structures are worth more than Bloch waves of few
            folders = [*folders, args.bands]
        library = gather(of_split, folders)
        if split == "training" and args.bands is not None:
            bands = gather(of_split, [args.bands], BANDS)
            library = bands if library is None else library + bands
        if library is None:
            _logger.warning("There are no master patterns of %s", split)
            continue
        library.save(args.output / f"{split}.npz")
        _logger.info(
            "%s: %s phases of %s structures, %s space groups",
            split,
            library.n_phases,
            len(of_split),
            len(set(library.space_groups.tolist())),
        )
        if split == "training":
            weights = shared_weights(of_split, library)
            (args.output / "weights.json").write_text(json.dumps(weights, indent=1))


if __name__ == "__main__":
    main()

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Vary the structures of types of which there are few, for their bands alone.

Usage::

    python -m recipes.general_model.structures.vary --kept KEPT [--output OUTPUT]

Two of three structure types that are trained on have one structure, whose intensities a
network may learn by heart. So types are filled up to four structures: other elements are on
the sites, and coordinates that the space group leaves free are shifted. What comes out has
exactly the space group, shows it, is not kept for judging (``KEPT`` as in ``choose.py``),
and is neither a material held out nor like one. The same seed makes the same table.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
import sys
import zlib

import numpy as np

from recipes.general_model.structures.choose import (
    are_alike,
    is_too_large,
    load_kept,
    set_b_factors,
)
from recipes.general_model.structures.crystals import (
    FINE,
    Structure,
    lattice_vectors,
    operations,
)
from recipes.general_model.structures.make_up import counts, have_room, swap_elements
from recipes.general_model.structures.structure_table import (
    FURTHER,
    VARIED,
    read_structures,
    write_structures,
)

# Structures of a type, with those it has, and tries for each that is missing
OF_TYPE, TRIES = 4, 40
# In many of them are more elements than there are kinds that scatter very differently
LEAST_DIFFERENCE = 2
# Standard deviation of shifts in angstrom
SHIFT = 0.15


def shift_sites(structure: Structure, rng: np.random.Generator) -> Structure:
    """Return a structure whose sites are shifted as their symmetry allows.

    Parameters
    ----------
    structure
        Structure. Elements that share a site stay together.
    rng
        Random numbers.
    """
    rotations, translations = operations(structure.space_group)
    to_fractions = np.linalg.inv(lattice_vectors(structure.lattice))
    shifted: dict[tuple, np.ndarray] = {}
    sites = []
    for site in structure.sites:
        position = np.array(site[1:4])
        if tuple(position) not in shifted:
            # The mean of the rotations that leave a site in place projects onto what
            # they leave alone
            moved = rotations @ position + translations - position
            stays = (np.abs(moved - np.round(moved)) < FINE).all(axis=1)
            shift = SHIFT * rng.standard_normal(3) @ to_fractions
            shift = rotations[stays].mean(axis=0) @ shift
            shifted[tuple(position)] = np.round((position + shift) % 1.0, 5)
        x, y, z = shifted[tuple(position)].tolist()
        sites.append(site._replace(x=x, y=y, z=z))
    return Structure(
        structure.identifier,
        structure.space_group,
        structure.lattice,
        sites,
        made=structure.made,
        experimental=False,
        name=structure.name,
    )


def vary(donor: Structure, rng: np.random.Generator) -> Structure | None:
    """Return a structure with other elements and shifts, None if it does not count."""
    made = swap_elements(donor, rng, LEAST_DIFFERENCE)
    if made is None:
        return None
    made = shift_sites(made, rng)
    if made.structure_type != donor.structure_type or is_too_large(made):
        return None
    return made if have_room(made) and counts(made) else None


def fill_types(
    training: Iterable[Structure],
    held_out: Iterable[Structure],
    kept: Callable[[Structure], bool],
) -> list[Structure]:
    """Return varied structures, the first of each type, then the second, and so on."""
    members, apart, materials = defaultdict(list), defaultdict(list), set()
    for structure in training:
        members[structure.structure_type].append(structure)
        materials.add(structure.material)
    for structure in held_out:
        apart[structure.structure_type].append(structure)
        materials.add(structure.material)
    found = []
    for structure_type, donors in members.items():
        rng = np.random.default_rng(zlib.crc32(structure_type.encode()))
        for number in range(len(donors), OF_TYPE):
            for _ in range(TRIES):
                donor = donors[rng.integers(len(donors))]
                made = vary(donor, rng)
                if made is None or made.material in materials or kept(made):
                    continue
                if any(are_alike(made, other) for other in apart[structure_type]):
                    continue
                materials.add(made.material)
                made.identifier = f"{donor.identifier}-v{number}"
                made.source = "made up by this recipe"
                made.licence = "GPL-3.0-or-later"
                made.extra = {"split": "training"}
                set_b_factors(made)
                found.append((number - len(donors), made))
                break
    return [made for _, made in sorted(found, key=lambda item: item[0])]


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Vary structures of rare types")
    parser.add_argument("--kept", type=Path)
    parser.add_argument("--output", type=Path, default=VARIED)
    args = parser.parse_args()
    table = read_structures()
    training = [s for s in table if s.extra["split"] == "training"]
    held_out = [s for s in table if s.extra["split"] != "training"]
    training += read_structures(FURTHER)
    varied = fill_types(training, held_out, load_kept(args.kept))
    write_structures(args.output, varied)
    sys.stdout.write(f"{len(varied)} structures varied\n")


if __name__ == "__main__":
    main()

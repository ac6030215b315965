# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the disordered twin of every ordered alloy, to train on both.

Usage::

    python -m recipes.default_model.structures.disorder [OUTPUT]

Ni3Al is told from nickel by its superlattice lines alone. A network which knows
a few of each also tells them by lattice parameter, voltage or the strength of
bands, and takes a nickel simulated by others for Ni3Si. A twin has the same
lattice, composition and vibrations, but its elements mixed on the sites that
become equivalent, as in a solid solution: only the lines that tell the space
groups apart differ. The table is simulated with
``simulate_masters.py MASTERS --table disordered.csv``.
"""

import argparse
from pathlib import Path
import zlib

from benchmarks.tables import write_table
from recipes.default_model.structures.library import HELD_OUT, RESERVED
from recipes.default_model.structures.simulate_masters import (
    TABLE,
    Site,
    format_sites,
    read_table,
)
from recipes.default_model.structures.variants import LEAST_DIFFERENCE, NOT_NEAR, Z

# Of which types, and how many variants of each beside the structures of the literature
TYPES = {
    "Cu3Au_L12": 40, "CsCl_B2": 30, "Cu2MnAl_L21": 12, "BiF3_D03": 8, "NaTl_B32": 8,
}  # fmt: skip
VARIANTS = TABLE.with_name("variants.csv")
CENTER = (0.5, 0.5, 0.5)


def mixed(sites: list[Site], shares: list[float], position=(0.0, 0.0, 0.0)):
    """Return one site with the elements of several, and its mean atomic number."""
    total = sum(shares)
    content: dict[str, Site] = {}
    for site, share in zip(sites, shares):
        before = content.get(site.element, site._replace(occupancy=0.0))
        occupancy = before.occupancy + share / total
        content[site.element] = before._replace(occupancy=occupancy, position=position)
    new = list(content.values())
    return new, sum(Z[site.element] * site.occupancy for site in new)


def twins(row: dict) -> list[dict]:
    """Return the disordered structures of an ordered one."""
    kind, sites, a = row["prototype"].split("_")[-1], row["sites"], row["a"]
    if kind == "L12":
        all_on_one, z = mixed(sites, [1, 3])
        return [structure(row, "Cu_A1", 225, a, all_on_one, z)]
    if kind == "B2":
        all_on_one, z = mixed(sites, [1, 1])
        return [structure(row, "W_A2", 229, a, all_on_one, z)]
    if kind == "B32":
        all_on_one, z = mixed(sites, [1, 1])
        return [structure(row, "W_A2", 229, a / 2, all_on_one, z)]
    # Heusler alloys, with twice as many atoms on (1/4, 1/4, 1/4)
    shares = [2 if site.position == (0.25, 0.25, 0.25) else 1 for site in sites]
    all_on_one, z = mixed(sites, shares)
    found = [structure(row, "W_A2", 229, a / 2, all_on_one, z)]
    quarter = [site for site, share in zip(sites, shares) if share == 2]
    others = [site for site, share in zip(sites, shares) if share == 1]
    corner, z1 = mixed(quarter, [1])
    center, z2 = mixed(others, [1, 1], CENTER)
    if abs(z1 - z2) >= LEAST_DIFFERENCE:
        found.append(structure(row, "CsCl_B2", 221, a / 2, corner + center, 0))
    return found


def structure(row: dict, prototype: str, group: int, a: float, sites, z) -> dict:
    """Return a row of the table."""
    a = round(a, 5)
    return row | {
        "name": f"{row['name']}_disordered{group}", "prototype": prototype,
        "space_group": group, "origin": 1, "a": a, "b": a, "c": a, "z": z,
        "sites": format_sites(sites), "method": "dynamical",
    }  # fmt: skip


def is_apart(row: dict) -> bool:
    """Return whether a structure is too much like a metal kept apart."""
    return any(
        abs(row["z"] - z) <= 2 and abs(row["a"] / a - 1) < 0.03
        for z, a in NOT_NEAR.get(row["prototype"], {}).items()
    )


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Make disordered twins")
    output = TABLE.with_name("disordered.csv")
    parser.add_argument("output", type=Path, nargs="?", default=output)
    args = parser.parse_args()
    rows = [r for r in read_table() if r["name"] not in (*RESERVED, *HELD_OUT)]
    ordered = [r for r in rows if r["prototype"] in TYPES]
    of_variants = read_table(VARIANTS)
    for prototype, n in TYPES.items():
        ordered += [r for r in of_variants if r["prototype"] == prototype][:n]
    table = {}
    for row in ordered:
        for twin in twins(row):
            if not is_apart(twin):
                del twin["z"]
                table[twin["name"]] = twin
                twin.pop("depths", None)  # three are drawn from the name
    # By name at random, so that an unfinished simulation has some of each
    order = sorted(table, key=lambda name: zlib.crc32(name.encode()))
    write_table(args.output, (table[name] for name in order))


if __name__ == "__main__":
    main()

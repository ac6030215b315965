# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make up structures of known types, for more phases to train on.

Usage::

    python -m recipes.default_model.structures.variants [OUTPUT]

A network that knows one nickel learns this nickel: all master patterns in
training were right at no noise, and an unseen one of nickel in three of
ten cases. Structures of the types in ``structures.csv`` get other elements,
lattice parameters within 6 % of those of their type, and Debye-Waller factors. They need
not exist: what they scatter like does. The table is simulated with
``simulate_masters.py MASTERS --table variants.csv``.
"""

import argparse
from pathlib import Path
import re

from diffsims.utils.atomic_scattering_params import ATOMIC_SCATTERING_PARAMS
import numpy as np

from benchmarks.tables import write_table
from recipes.default_model.structures.library import HELD_OUT, RESERVED
from recipes.default_model.structures.simulate_masters import (
    TABLE,
    format_sites,
    read_table,
)

# One batch of NUMBERS each
SEEDS = 11, 12, 14
NUMBERS = {
    "Cu_A1": 50, "W_A2": 45, "diamond_A4": 30, "Cu3Au_L12": 45, "CsCl_B2": 45,
    "NaCl_B1": 35, "CaF2_C1": 12, "anti-CaF2": 8, "Cu2MnAl_L21": 12, "BiF3_D03": 8,
    "Cr3Si_A15": 20, "MgCu2_C15": 15, "CaTiO3_E21": 20, "antiperovskite": 10,
    "NaTl_B32": 12, "CaB6_D21": 6, "ReO3_D09": 8, "Cu2O_C3": 10, "NaPt3O4": 6,
}  # fmt: skip
# Those with scattering factors, without gases and what is never in a microscope
ELEMENTS = """
    Li Be B C N O F Na Mg Al Si P S Cl K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br
    Rb Sr Y Zr Nb Mo Ru Rh Pd Ag Cd In Sn Sb Te I Cs Ba La Ce Nd Gd Dy Er Yb Hf Ta W Re
    Os Ir Pt Au Tl Pb Bi Th U
""".split()
# What is kept apart by prototype, as sets of elements
APART = {
    "Cu_A1": "Cu Pt Pb", "W_A2": "Mo V Ta Na", "diamond_A4": "Ge",
    "NaCl_B1": "MgO NbC PbTe LiF", "Cu3Au_L12": "FeNi PdSn", "CsCl_B2": "FeAl",
    "CaTiO3_E21": "SrTiO KTaO", "Cr3Si_A15": "MoSi NbSn MoGe", "CaF2_C1": "CeO",
    "Cu2MnAl_L21": "NiMnGa", "MgCu2_C15": "CeAl", "CaB6_D21": "EuB",
}  # fmt: skip
# Element, lattice parameter in nm: not to be imitated by neighbors
NOT_NEAR = {
    "Cu_A1": {29: 0.3615, 78: 0.3924, 82: 0.4951},
    "W_A2": {42: 0.3147, 23: 0.3027, 73: 0.3303, 11: 0.4291},
    "diamond_A4": {32: 0.5658},
}
# Common metals and semiconductors, of which there are other simulations: element, lattice
# parameter and Debye-Waller factor in nm and nm^2
METALS = {
    "Cu_A1": {
        "Ni": (0.3524, 0.0035), "Al": (0.4050, 0.0085), "Ag": (0.4086, 0.0070),
        "Au": (0.4078, 0.0060), "Pd": (0.3891, 0.0045), "Rh": (0.3803, 0.0030),
        "Ir": (0.3839, 0.0025), "Fe_fcc": (0.3591, 0.0055),
    },
    "W_A2": {
        "Fe": (0.2866, 0.0034), "Cr": (0.2885, 0.0026), "W": (0.3165, 0.0016),
        "Nb": (0.3301, 0.0045), "Ti_bcc": (0.3307, 0.0090),
    },
    "diamond_A4": {
        "C_diamond": (0.3567, 0.0014), "Si": (0.5431, 0.0046), "Sn_grey": (0.6489, 0.01),
    },
}  # fmt: skip
# Elements of more alike atomic numbers make patterns of another group
LEAST_DIFFERENCE = 5
# Rock salts of elements more alike than others, as PbTe and KCl, which are told from
# CsCl types with half their lattice parameter by weak reflections alone: number, seed,
# range of the relative difference of atomic numbers, and of lattice parameters in nm
N_ALIKE, SEED_ALIKE = 40, 13
DIFFERENCE_ALIKE, SIZE_ALIKE = (0.06, 0.3), (0.41, 0.66)


Z = {symbol: i + 1 for i, symbol in enumerate(ATOMIC_SCATTERING_PARAMS)}


def is_apart(prototype: str, symbols: list[str], a: float) -> bool:
    """Return whether a structure is, or is too much like, one kept apart."""
    names = APART.get(prototype, "").split()
    if frozenset(symbols) in {frozenset(re.findall("[A-Z][a-z]?", i)) for i in names}:
        return True
    if prototype in NOT_NEAR:
        return any(
            abs(Z[symbols[0]] - z) <= 2 and abs(a / kept - 1) < 0.03
            for z, kept in NOT_NEAR[prototype].items()
        )
    numbers = sorted(Z[i] for i in symbols)
    return min(np.diff(numbers)) < LEAST_DIFFERENCE


def variant(prototype: str, rows: list[dict], rng: np.random.Generator) -> dict:
    """Return a made-up structure of a type."""
    sizes = [row["a"] for row in rows]
    while True:
        row = rows[rng.integers(len(rows))]
        old = list(dict.fromkeys(site.element for site in row["sites"]))
        new = rng.choice(ELEMENTS, len(old), replace=False).tolist()
        a = np.exp(rng.uniform(np.log(min(sizes) * 0.94), np.log(max(sizes) * 1.06)))
        if not is_apart(prototype, new, a):
            break
    swap = dict(zip(old, new))
    b = {symbol: np.exp(rng.uniform(np.log(0.003), np.log(0.012))) for symbol in new}
    sites = [
        site._replace(element=swap[site.element], debye_waller=b[swap[site.element]])
        for site in row["sites"]
    ]
    return row | {
        "name": f"{''.join(new)}_as_{prototype.split('_')[0]}",
        "a": round(a, 4), "b": round(a, 4), "c": round(a, 4),
        "sites": format_sites(sites), "method": "dynamical",
    }  # fmt: skip


def metals(rows: list[dict]) -> list[dict]:
    """Return the common metals and semiconductors."""
    found = []
    for prototype, of_type in METALS.items():
        like = next(row for row in rows if row["prototype"] == prototype)
        for name, (a, b) in of_type.items():
            site = like["sites"][0]._replace(
                element=name.split("_")[0], occupancy=1.0, debye_waller=b
            )
            sizes = {"a": a, "b": a, "c": a}
            text = {"name": name, "sites": format_sites([site]), "method": "dynamical"}
            found.append(like | sizes | text)
    return found


def rock_salts(rows: list[dict]) -> list[dict]:
    """Return rock salts of two elements that scatter alike."""
    rng = np.random.default_rng(SEED_ALIKE)
    like = next(row for row in rows if row["prototype"] == "NaCl_B1")
    kept = [set(re.findall("[A-Z][a-z]?", i)) for i in APART["NaCl_B1"].split()]
    found = {}
    while len(found) < N_ALIKE:
        pair = rng.choice(ELEMENTS, 2, replace=False).tolist()
        a = round(float(rng.uniform(*SIZE_ALIKE)), 4)
        z = sorted(Z[symbol] for symbol in pair)
        low, high = DIFFERENCE_ALIKE
        if set(pair) in kept or not low < (z[1] - z[0]) / sum(z) < high:
            continue
        b = np.exp(rng.uniform(*np.log([0.003, 0.012]), size=2))
        sites = [
            site._replace(element=symbol, debye_waller=value)
            for site, symbol, value in zip(like["sites"], pair, b)
        ]
        name = f"{''.join(pair)}_as_alike_NaCl"
        sizes = {"name": name, "a": a, "b": a, "c": a, "method": "dynamical"}
        found[name] = like | sizes | {"sites": format_sites(sites)}
    return list(found.values())


def batch(rows: list[dict], seed: int, taken: set[str]) -> list[dict]:
    """Return made-up structures of all types with names not taken."""
    rng = np.random.default_rng(seed)
    variants = {}
    for prototype, n in NUMBERS.items():
        of_type = [row for row in rows if row["prototype"] == prototype]
        made = 0
        while made < n:
            new = variant(prototype, of_type, rng)
            if new["name"] not in taken | set(variants):
                variants[new["name"]] = new
                made += 1
    # In turn, so that an unfinished simulation has some of each type
    return [list(variants.values())[i] for i in rng.permutation(len(variants))]


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Make up structures")
    output = TABLE.with_name("variants.csv")
    parser.add_argument("output", type=Path, nargs="?", default=output)
    args = parser.parse_args()
    rows = [row for row in read_table() if row["name"] not in (*RESERVED, *HELD_OUT)]
    table = metals(rows) + rock_salts(rows)
    for seed in SEEDS:
        table += batch(rows, seed, {row["name"] for row in table})
    for row in table:
        row.pop("depths", None)  # three are drawn from the name
    write_table(args.output, table)


if __name__ == "__main__":
    main()

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the structures to simulate, and those held out, of what was collected.

Usage::

    python -m recipes.general_model.structures.choose COLLECTED... --kept KEPT [--output OUTPUT]

``COLLECTED`` are tables of ``collect.py``. ``KEPT`` is a script with ``is_kept(formula,
space_group, multiplicities)``, which says what is kept for judging. Lists of held-out
structures are drawn first, then the structures to train on, in the order in which they
are to be simulated, and thin space groups are filled with made-up ones. What else there is
to train on is written beside, for its bands alone. The same seed makes the same tables.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
import csv
import hashlib
import importlib.util
from pathlib import Path
import sys

import numpy as np

from recipes.general_model.structures.crystals import (
    ATOMIC_NUMBERS,
    FIRST_OF_PAIR,
    SYSTEMS,
    Structure,
    amounts,
    crystal_system,
    format_formula,
)
from recipes.general_model.structures.make_up import random_structure, substitute
from recipes.general_model.structures.structure_table import (
    FURTHER,
    TABLE,
    read_structures,
    write_structures,
)

SEED = 28
# What decides how well the model generalises, however it is called elsewhere
RESERVED = {
    "Cu 225", "Pt 225", "MgO 225", "Mo 229", "V 229", "O3SrTi 221", "Al2MgO4 227",
    "Zr 194", "Co 194", "GaP 216", "GaN 186", "GaN 216",
}  # fmt: skip
# Held out to choose the models before this one
HELD_OUT_BEFORE = {
    "FeNi3 221", "AlFe 221", "KO3Ta 221", "Pd3Sn 221", "B6Eu 221", "Mo3Si 223",
    "Nb3Sn 223", "GeMo3 223", "CNb 225", "Pb 225", "CeO2 225", "PbTe 225",
    "GaMnNi2 225", "FLi 225", "Ge 227", "Al2Ce 227", "Fe3O4 227", "Ta 229", "Na 229",
    "Ir3Sn7 229", "Al5O12Y3 230",
}  # fmt: skip
# Seconds to simulate, estimated; phases that are mapped may take longer
MOST_SECONDS, MOST_SECONDS_MAPPED = 75, 300
# Without symmetry, all take long
MOST_SECONDS_TRICLINIC = 150
# Of the primitive cell, cubic angstrom, of real and of made-up structures
MOST_VOLUME, MOST_VOLUME_MADE = 900, 1400
# Structures of each crystal system in a list, and the most of one type in it
VALIDATION, TEST, OF_TYPE = 18, 40, 2
VALIDATION_TRICLINIC, TEST_TRICLINIC = 15, 18
# What a group keeps to train on: materials and types
LEAST_MATERIALS, LEAST_TYPES = 6, 4
# Structures to train on of each space group: at least, and on top for rich ones as a
# share of its types
LEAST, SHARE, MOST, MOST_OF_TYPE = 10, 0.35, 60, 4
LEAST_IN_SYSTEM = {"triclinic": 60, "monoclinic": 24}
TRIES = 4000
# Materials of one type with lattice parameters and mean atomic numbers this near make
# the same patterns
SAME_LENGTH, SAME_ANGLE, SAME_NUMBER = 0.015, 1.0, 0.06
HELD_OUT = TABLE.with_name("held_out.csv")
SPLITS = "validation_materials", "validation_types", "test_materials", "test_types"


def load_kept(path: Path | None) -> Callable[[Structure], bool]:
    """Return whether a structure is kept for judging, by any reading of its formula."""
    is_kept = None
    if path is not None:
        spec = importlib.util.spec_from_file_location("kept", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        is_kept = module.is_kept

    def check(structure: Structure) -> bool:
        if structure.material in RESERVED:
            return True
        if is_kept is None:
            return False
        return any(
            is_kept(formula, structure.space_group, multiplicities)
            for formula in readings(structure)
            for multiplicities in (
                structure.multiplicities,
                structure.heavy_multiplicities,
            )
        )

    return check


def readings(structure: Structure) -> set[str]:
    """Return formulas the structure may go by: exact, ideal, stated, without H."""
    formulas = {structure.formula, structure.ideal_formula}
    if structure.declared:
        formulas.add(format_formula(amounts(structure.declared)))
        rounded = {e: float(round(n)) for e, n in amounts(structure.declared).items()}
        formulas.add(format_formula({e: n for e, n in rounded.items() if n}))
    for formula in list(formulas):
        heavy = {e: n for e, n in amounts(formula).items() if e != "H"}
        formulas.add(format_formula(heavy))
    return {formula for formula in formulas if formula}


def read_mapped() -> set[str]:
    """Return materials that users of EBSD map first."""
    with open(Path(__file__).with_name("ebsd_phases.csv"), encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        f"{without_hydrogen(formula)} {row['space_group']}"
        for row in rows
        for formula in row["formulas"].split()
    }


def without_hydrogen(formula: str) -> str:
    """Return a formula without hydrogen, which is often not located."""
    heavy = {e: float(n) for e, n in amounts(formula).items() if e != "H"}
    return format_formula(heavy or {"H": 1.0})


def is_mapped(structure: Structure, mapped: set[str]) -> bool:
    """Return whether users of EBSD map it first."""
    formula = without_hydrogen(structure.ideal_formula)
    return f"{formula} {structure.space_group}" in mapped


def draw_number(text: str) -> float:
    """Return a number in [0, 1) that depends on a text and the seed alone."""
    digest = hashlib.sha256(f"{SEED} {text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def are_alike(first: Structure, second: Structure) -> bool:
    """Return whether two structures of one type make nearly the same patterns."""
    a, b = np.array(first.lattice), np.array(second.lattice)
    if (np.abs(a[:3] / b[:3] - 1) > SAME_LENGTH).any():
        return False
    if (np.abs(a[3:] - b[3:]) > SAME_ANGLE).any():
        return False
    one, other = mean_number(first), mean_number(second)
    return abs(one / other - 1) < SAME_NUMBER


def mean_number(structure: Structure) -> float:
    """Return the mean atomic number."""
    composition = structure.cell.composition()
    total = sum(composition.values())
    return sum(ATOMIC_NUMBERS[e] * n for e, n in composition.items()) / total


def one_per_material(structures: Iterable[Structure]) -> list[Structure]:
    """Return the best structure of each material."""
    best: dict[str, Structure] = {}
    for structure in structures:
        if structure.material not in best or quality(structure) > quality(
            best[structure.material]
        ):
            best[structure.material] = structure
    return list(best.values())


def quality(structure: Structure) -> tuple:
    """Return what makes one structure of a material better than another."""
    stated = np.mean([s.debye_waller == s.debye_waller for s in structure.sites])
    ordered = all(s.occupancy == 1 for s in structure.sites)
    hydrogen = "H" in structure.elements
    number = draw_number(structure.identifier)
    return structure.robust, ordered, structure.experimental, stated, hydrogen, number


def usable(
    structures: Iterable[Structure], kept: Callable, mapped: set[str]
) -> list[Structure]:
    """Return structures that are not kept, show their group and can be simulated."""
    found = []
    for structure in structures:
        first = is_mapped(structure, mapped)
        most = MOST_SECONDS_MAPPED if first else most_seconds(structure)
        too_large = structure.primitive_volume > MOST_VOLUME and not first
        if structure.cost > most or too_large:
            continue
        if not (structure.robust or first) or kept(structure):
            continue
        found.append(structure)
    return found


def most_seconds(structure: Structure) -> float:
    """Return how long the simulation of a structure may take."""
    is_triclinic = structure.system == "triclinic"
    return MOST_SECONDS_TRICLINIC if is_triclinic else MOST_SECONDS


def is_too_large(structure: Structure) -> bool:
    """Return whether a made-up structure takes too long."""
    too_long = structure.cost > most_seconds(structure)
    return too_long or structure.primitive_volume > MOST_VOLUME_MADE


class Pool:
    """What is left to train on, by space group (one for a pair) and type."""

    def __init__(self, structures: list[Structure], mapped: set[str]) -> None:
        self.mapped = mapped
        self.groups: dict[int, dict[str, list[Structure]]] = defaultdict(dict)
        for structure in sorted(structures, key=lambda s: draw_number(s.identifier)):
            of_group = self.groups[structure.group_of_pair]
            of_group.setdefault(structure.structure_type, []).append(structure)

    def structures(self) -> list[Structure]:
        """Return all structures that are left."""
        return [
            s
            for types in self.groups.values()
            for members in types.values()
            for s in members
        ]

    def n_materials(self, group: int) -> int:
        """Return the number of materials left in a space group."""
        return sum(len(of_type) for of_type in self.groups[group].values())

    def in_system(self, system: str) -> list[int]:
        """Return the space groups of a crystal system, in the order they are drawn."""
        groups = [g for g in self.groups if crystal_system(g) == system]
        return sorted(groups, key=lambda g: draw_number(f"group {g}"))

    def remove(self, structure: Structure) -> None:
        """Remove a structure."""
        of_group = self.groups[structure.group_of_pair]
        of_group[structure.structure_type].remove(structure)
        if not of_group[structure.structure_type]:
            del of_group[structure.structure_type]

    def take_type(self, group: int) -> list[Structure]:
        """Remove a whole type of a space group, return some structures of it."""
        of_group, n = self.groups[group], self.n_materials(group)
        if len(of_group) <= LEAST_TYPES:
            return []
        for structure_type, members in of_group.items():
            small = len(members) <= max(2, 0.1 * n)
            enough = n - len(members) >= LEAST_MATERIALS
            if small and enough and not any(is_mapped(s, self.mapped) for s in members):
                del of_group[structure_type]
                return members[:OF_TYPE]
        return []

    def take_material(self, group: int, of_type: Counter) -> Structure | None:
        """Remove one material of a type that stays, and those too much like it."""
        if self.n_materials(group) <= LEAST_MATERIALS:
            return None
        types = sorted(
            self.groups[group].items(), key=lambda item: of_type[item[0]]
        )  # sorting is stable: in the order they are drawn
        for structure_type, members in types:
            if of_type[structure_type] >= OF_TYPE:
                continue
            for structure in members:
                alike = [s for s in members if are_alike(s, structure)]
                left = len(members) - len(alike)
                mapped = any(is_mapped(s, self.mapped) for s in alike)
                enough = self.n_materials(group) - len(alike) >= LEAST_MATERIALS
                if left >= 1 and enough and not mapped:
                    for other in alike:
                        self.remove(other)
                    of_type[structure_type] += 1
                    return structure
        return None


def hold_out(pool: Pool) -> dict[str, list[Structure]]:
    """Return the held-out lists, removed from what is left to train on."""
    lists: dict[str, list[Structure]] = {split: [] for split in SPLITS}
    before = [
        s
        for of_group in pool.groups.values()
        for members in of_group.values()
        for s in members
        if s.material in HELD_OUT_BEFORE
    ]
    for structure in before:
        pool.remove(structure)
        lists["validation_materials"].append(structure)
    for structure in before:
        of_group = pool.groups[structure.group_of_pair]
        for other in list(of_group.get(structure.structure_type, [])):
            if are_alike(other, structure) and not is_mapped(other, pool.mapped):
                pool.remove(other)
    # Whole types: once in every group for reporting, then until there are enough
    for split in ("test_types", "validation_types"):
        for system in SYSTEMS:
            least = least_of(split, system)
            groups = pool.in_system(system)
            taken = 0
            for turn in range(40):
                for group in groups:
                    if taken >= least and (turn or split != "test_types"):
                        break
                    members = pool.take_type(group)
                    lists[split] += members
                    taken += len(members)
    # Single materials of types that stay: twice in every group, then until enough
    for split in ("test_materials", "validation_materials"):
        of_type: Counter[str] = Counter()
        for system in SYSTEMS:
            least = least_of(split, system)
            groups = pool.in_system(system)
            taken = 0
            for turn in range(40):
                for group in groups:
                    if taken >= least and (turn > 1 or split != "test_materials"):
                        break
                    structure = pool.take_material(group, of_type)
                    if structure is not None:
                        lists[split].append(structure)
                        taken += 1
    return lists


def least_of(split: str, system: str) -> int:
    """Return how many structures of a crystal system a list is to have."""
    if system == "triclinic":
        return TEST_TRICLINIC if "test" in split else VALIDATION_TRICLINIC
    return TEST if "test" in split else VALIDATION


def choose_real(pool: Pool, needed: set[str]) -> dict[int, list[Structure]]:
    """Return real structures to train on of each group: mapped ones, types in turn.

    ``needed`` are types of which held-out materials are, first in turn.
    """
    chosen: dict[int, list[Structure]] = {}
    for group, types in pool.groups.items():
        least = LEAST_IN_SYSTEM.get(crystal_system(group), LEAST)
        number = min(MOST, int(least + SHARE * len(types)))
        members = [s for of_type in types.values() for s in of_type]
        first = [s for s in members if is_mapped(s, pool.mapped)]
        first = types_in_turn(first, [], needed)
        others = [s for s in members if not is_mapped(s, pool.mapped)]
        others = types_in_turn(others, first, needed)
        left = needed & set(types) - {s.structure_type for s in first}
        chosen[group] = first + others[: max(len(left), number - len(first))]
    return chosen


def types_in_turn(
    structures: list[Structure], before: list[Structure], needed: set[str]
) -> list[Structure]:
    """Return structures so that each next one is of the type with the fewest so far."""
    taken = Counter(s.structure_type for s in before)
    alike: dict[str, list[Structure]] = defaultdict(list)
    for structure in before:
        alike[structure.structure_type].append(structure)
    keyed = []
    for structure in structures:
        of_type = structure.structure_type
        # Mapped ones all count, however alike they are and however many of a type
        if before and any(are_alike(s, structure) for s in alike[of_type]):
            continue
        alike[of_type].append(structure)
        n = taken[of_type]
        taken[of_type] += 1
        if n < MOST_OF_TYPE or not before:
            key = n, of_type not in needed, not structure.experimental, len(keyed)
            keyed.append((*key, structure))
    return [structure for *_, structure in sorted(keyed, key=lambda k: k[:4])]


def fill(
    chosen: dict[int, list[Structure]], held_out: list[Structure], kept: Callable
) -> None:
    """Add substituted and random structures to thin groups, in place."""
    materials = {s.material for of_group in chosen.values() for s in of_group}
    materials |= {s.material for s in held_out}
    types_apart = {s.structure_type for s in held_out if s.extra["split"] in (
        "test_types", "validation_types")}  # fmt: skip
    for group in range(1, 231):
        first = FIRST_OF_PAIR.get(group, group)
        of_group = chosen.setdefault(first, [])
        rng = np.random.default_rng([SEED, group])
        real = [s for s in of_group if s.made == "real"]
        # Of a pair, both hands
        has_pair = first != group or first in FIRST_OF_PAIR.values()
        least = LEAST // 2 if has_pair else LEAST
        own = [s for s in of_group if s.space_group == group]
        n, number = len(own), 0
        for turn in range(TRIES):
            n_types = len({s.structure_type for s in of_group})
            if n >= least and n_types >= LEAST_TYPES:
                break
            donors = [s for s in real if s.space_group == group and s.cost < 40]
            counter = Counter(s.structure_type for s in of_group)
            donors = [s for s in donors if counter[s.structure_type] < MOST_OF_TYPE]
            if donors and rng.random() < 0.5:
                made = substitute(donors[rng.integers(len(donors))], rng)
            else:
                # Some groups show in large cells alone
                made = random_structure(group, rng, 24 if turn < TRIES / 3 else 64)
            if made is None or made.material in materials or is_too_large(made):
                continue
            if made.structure_type in types_apart or kept(made):
                continue
            if counter[made.structure_type] >= MOST_OF_TYPE:
                continue
            number += 1
            made.identifier = f"{made.made}-{group}-{number}"
            made.source, made.licence = "made up by this recipe", "GPL-3.0-or-later"
            materials.add(made.material)
            of_group.append(made)
            n += 1


def order(chosen: dict[int, list[Structure]]) -> list[Structure]:
    """Return structures so that any first part is balanced.

    Crystal systems in turn, weighted by the root of their number of groups, and within
    them groups, weighted by the root of their number of structures.
    """
    queues = {g: list(members) for g, members in chosen.items() if members}
    weights = {g: np.sqrt(len(members)) for g, members in queues.items()}
    taken = dict.fromkeys(queues, 0)
    of_system = dict.fromkeys(SYSTEMS, 0)
    size = {s: np.sqrt(last - first + 1) for s, (first, last) in SYSTEMS.items()}
    ordered = []
    while any(queues.values()):
        systems = {crystal_system(g) for g, q in queues.items() if q}
        system = min(systems, key=lambda s: ((of_system[s] + 1) / size[s], s))
        groups = [g for g, q in queues.items() if q and crystal_system(g) == system]
        group = min(
            groups,
            key=lambda g: ((taken[g] + draw_number(f"turn {g}")) / weights[g], g),
        )
        ordered.append(queues[group].pop(0))
        taken[group] += 1
        of_system[system] += 1
    return ordered


def set_b_factors(structure: Structure) -> None:
    """Set Debye-Waller factors that are not stated, from one distribution for all."""
    rng = np.random.default_rng(int(draw_number(f"B {structure.identifier}") * 2**53))
    usual = float(np.exp(rng.normal(np.log(0.6), 0.35)))
    drawn = structure.made != "real"
    structure.sites = [
        s._replace(debye_waller=round(usual * float(rng.uniform(0.8, 1.25)), 2))
        if drawn or s.debye_waller != s.debye_waller
        else s
        for s in structure.sites
    ]
    structure.__dict__.pop("cell", None)


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Choose structures to simulate")
    parser.add_argument("collected", type=Path, nargs="+")
    parser.add_argument("--kept", type=Path)
    parser.add_argument("--output", type=Path, default=TABLE)
    args = parser.parse_args()
    kept, mapped = load_kept(args.kept), read_mapped()
    collected = [s for path in args.collected for s in read_structures(path)]
    materials = one_per_material(usable(collected, kept, mapped))
    pool = Pool(materials, mapped)
    sys.stdout.write(f"{len(collected)} collected, {len(materials)} materials\n")
    lists = hold_out(pool)
    left = pool.structures()
    for split, members in lists.items():
        for structure in members:
            structure.extra["split"] = split
    held_out = [s for members in lists.values() for s in members]
    of_materials = lists["test_materials"] + lists["validation_materials"]
    chosen = choose_real(pool, {s.structure_type for s in of_materials})
    fill(chosen, held_out, kept)
    training = order(chosen)
    table = []
    for structure in training:
        structure.extra = {"split": "training"}
        table.append(structure)
    # Held-out ones balanced too, each list on its own
    for members in lists.values():
        by_group: dict[int, list[Structure]] = defaultdict(list)
        for structure in members:
            by_group[structure.group_of_pair].append(structure)
        table += order(by_group)
    numbers: Counter[str] = Counter()
    for structure in table:
        split = structure.extra["split"]
        first = is_mapped(structure, mapped) and structure.made == "real"
        structure.extra = {
            "split": split, "order": numbers[split], "cost": round(structure.cost),
            "mapped": int(first),
        }  # fmt: skip
        numbers[split] += 1
        set_b_factors(structure)
    write_structures(args.output, table)
    if args.output == TABLE:
        write_held_out(table)
        write_structures(FURTHER, further(left, training))
    report(table)


def further(left: list[Structure], training: list[Structure]) -> list[Structure]:
    """Return what is left to train on and is not simulated, for its bands alone."""
    simulated = {s.identifier for s in training}
    structures = [s for s in left if s.identifier not in simulated]
    for structure in structures:
        structure.extra = {"split": "training"}
        set_b_factors(structure)
    return structures


def write_held_out(table: list[Structure]) -> None:
    """Write the held-out lists for people to read."""
    with open(HELD_OUT, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["split", "space_group", "formula", "id", "type"])
        for s in table:
            split = s.extra["split"]
            if split in SPLITS:
                row = [split, s.space_group, s.formula, s.identifier, s.structure_type]
                writer.writerow(row)


def report(table: list[Structure]) -> None:
    """Write counts to the screen."""
    for split in ("training", *SPLITS):
        members = [s for s in table if s.extra["split"] == split]
        systems = Counter(s.system for s in members)
        made = Counter(s.made for s in members)
        groups = len({s.space_group for s in members})
        hours = sum(s.cost for s in members) / 3600
        line = (
            f"{split}: {len(members)}, {groups} groups, {dict(made)}, {hours:.1f} h, "
        )
        sys.stdout.write(line + f"{dict(systems)}\n")
    training = [s for s in table if s.extra["split"] == "training"]
    count = Counter(s.group_of_pair for s in training)
    types = {g: len({s.structure_type for s in training if s.group_of_pair == g})
             for g in count}  # fmt: skip
    full = [g for g in count if count[g] >= LEAST and types[g] >= LEAST_TYPES]
    real = Counter(s.group_of_pair for s in training if s.made == "real")
    full_real = sum(real[g] >= LEAST for g in count)
    sys.stdout.write(f"at least {LEAST} of {LEAST_TYPES} types: {len(full)} groups or "
                     f"pairs of {len(count)}, of real ones alone {full_real}\n")  # fmt: skip
    test = Counter(
        s.group_of_pair for s in table if s.extra["split"].startswith("test")
    )
    sys.stdout.write(f"three in tests: {sum(n >= 3 for n in test.values())} groups\n")
    poor = sorted(set(count) - set(full))
    sys.stdout.write(f"fewer: {[(g, count[g], types[g]) for g in poor]}\n")
    thin = sorted(set(range(1, 231)) - {s.space_group for s in training})
    sys.stdout.write(f"groups without any: {thin}\n")


if __name__ == "__main__":
    main()

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Score check_candidates() on patterns of another program and voltage.

Usage::

    python -m recipes.check_candidates.score STRUCTURES MASTERS OUTPUT
        [--materials NAME ...] [--dose NUMBER] [--method METHOD]

STRUCTURES is a table of structures (``.jsonl.xz``), of which CIFs are written to a
temporary folder and searched, and MASTERS a folder of EMsoft's master patterns
(``.sht``). Patterns are simulated from the latter at 15 kV, and candidates at 20 kV, from
the structures, whose lattice parameters are scaled by 1.005. Writes ``candidates.csv``, a
row per material and candidate, and ``materials.csv`` with the rank of the true phase and
the probabilities of *none of these*, with it and without it.
"""

import argparse
from collections.abc import Iterator
from fnmatch import fnmatch
import json
import lzma
from pathlib import Path
import tempfile
import time

import hyperspy.api as hs
import kikuchipy as kp
import numpy as np
import pandas as pd
import spglib

import kikuchipy_spacegroup as kpsg
from kikuchipy_spacegroup import phases
from kikuchipy_spacegroup.io import load_sht

# File of the master pattern (15 kV), elements, and formula as search_structures() has it
DEVELOPMENT = {
    "corundum": ("Al2O3_corundum*15.sht", ["Al", "O"], "Al2O3"),
    "anatase": ("TiO2_anatase*15.sht", ["Ti", "O"], "O2Ti"),
    "cementite": ("Fe3C*15.sht", ["C", "Fe"], "CFe3"),
    "wurtzite": ("ZnS_wurtzite*15.sht", ["S", "Zn"], "SZn"),
    "gamma prime": ("Ni3Al*15.sht", ["Al", "Ni"], "AlNi3"),
    "quartz": ("SiO2_alpha*15.sht", ["O", "Si"], "O2Si"),
}
REPORTED = {
    "forsterite": ("Mg2SiO4*15.sht", ["Mg", "O", "Si"], "Mg2O4Si"),
    "zircon": ("ZrSiO4*15.sht", ["O", "Si", "Zr"], "O4SiZr"),
    "pyrite": ("FeS2*15.sht", ["Fe", "S"], "FeS2"),
    "litharge": ("PbO*15.sht", ["O", "Pb"], "OPb"),
    "phenakite": ("Be2SiO4*15.sht", ["Be", "O", "Si"], "Be2O4Si"),
    "molybdenite": ("MoS2*15.sht", ["Mo", "S"], "MoS2"),
    "mu phase": ("W6Fe7*15.sht", ["Fe", "W"], "Fe7W6"),
    "perovskite": ("CaTiO3*15.sht", ["Ca", "O", "Ti"], "CaO3Ti"),
    "Ni3Sn": ("Ni3Sn*15.sht", ["Ni", "Sn"], "Ni3Sn"),
    "zincite": ("ZnO*15.sht", ["O", "Zn"], "OZn"),
}
N_CANDIDATES = 20
N_PATTERNS = 5
# Relative difference of lattice parameters of one phase
SAME = 0.03
STRETCH = 1.005
# Constants of check_candidates()
SLOPE, NONE_PRIOR = 60.0, 0.1
EVEN = {"dynamical": 0.49, "two-beam": 0.40, "kinematical": 0.27}
# Larger ones take long
MOST_ATOMS = 60


def write_cifs(table: Path, elements: list[str], folder: Path) -> None:
    """Write CIFs of the structures of some elements."""
    for line in lzma.open(table, "rt", encoding="utf-8"):
        row = json.loads(line)
        occupied = {site[0] for site in row["sites"]}
        if not occupied <= set(elements) or row["n_atoms_conventional"] > MOST_ATOMS:
            continue
        if not row["ordered"]:
            continue
        lines = [f"data_{row['id']}"]
        for axis, angle in zip("abc", ("alpha", "beta", "gamma")):
            lines.append(f"_cell_length_{axis} {row[axis] * STRETCH:.5f}")
            lines.append(f"_cell_angle_{angle} {row[angle]}")
        lines += ["loop_", "_space_group_symop_operation_xyz"]
        group = spglib.get_symmetry_from_database(row["hall_number"])
        lines += list(map(as_xyz, group["rotations"], group["translations"]))
        lines += ["loop_", "_atom_site_type_symbol"]
        lines += [f"_atom_site_fract_{axis}" for axis in "xyz"]
        lines += [" ".join(map(str, site[:4])) for site in row["sites"]]
        path = folder / f"{row['id'].replace('/', '_')}.cif"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def as_xyz(rotation: np.ndarray, translation: np.ndarray) -> str:
    """Return an operation as in CIFs."""
    parts = []
    for row, shift in zip(rotation, translation):
        terms = [f"{'+' if i > 0 else '-'}{a}" for i, a in zip(row, "xyz") if i]
        parts.append("".join(terms) + f"+{round(24 * float(shift))}/24")
    return f"'{','.join(parts)}'"


def choose_candidates(
    search: phases.StructureSearch, truth, formula: str
) -> tuple[list, str]:
    """Return the true structure and wrong ones, and the name of the former."""
    table = search.table
    number = truth.space_group.number
    lattice = np.array(truth.structure.lattice.abcABG())
    parameters = table[["a", "b", "c", "alpha", "beta", "gamma"]].to_numpy()
    difference = np.abs(
        parameters / STRETCH ** np.array([1, 1, 1, 0, 0, 0]) / lattice - 1
    )
    numbers = kpsg.space_groups.merge_enantiomorphs(np.zeros(1), [number])[1]
    same = (table["formula"] == formula) & table["space_group"].isin([number, *numbers])
    near = same.to_numpy() & (difference.max(axis=1) < SAME)
    if not near.any():
        raise LookupError(f"{formula} of {number} is not in the table")
    true = int(np.where(near, difference.sum(axis=1), np.inf).argmin())
    others = np.flatnonzero(~near)
    # Those with all elements first, in an order that is the same always
    n_elements = table["formula"].str.count("[A-Z]").to_numpy()[others]
    order = np.lexsort((np.random.default_rng(0).permutation(len(others)), -n_elements))
    chosen = [true, *others[order][: N_CANDIDATES - 1]]
    names = [table["name"][i] for i in chosen]
    picked = [search.phases[name] for name in names]
    return picked, names[0]


def score_material(
    name: str, args: argparse.Namespace, file: str, elements: list[str], formula: str
) -> Iterator[dict]:
    """Yield the rows of the table of a material."""
    paths = [i for i in sorted(args.masters.iterdir()) if fnmatch(i.name, file)]
    master = load_sht(paths[0])
    master.phase.name = "truth"
    with tempfile.TemporaryDirectory() as folder:
        write_cifs(args.structures, elements, Path(folder))
        search = phases.search_structures(elements, source=folder)
    candidates, true = choose_candidates(search, master.phase, formula)
    signal = kpsg.simulate_scan(
        [master],
        (1, N_PATTERNS),
        grain_size=1,
        overlap=0,
        detector=kp.detectors.EBSDDetector(
            (120, 120), pc=(0.5, 0.3, 0.6), sample_tilt=70
        ),
        camera=kpsg.Camera(dose=args.dose),
        seed=args.seed,
        show_progressbar=False,
    )
    # Nothing but the match counts: the network says the same of all space groups
    xmap = kpsg.maps.crystal_map(
        np.full((1, N_PATTERNS, 2), 0.5), [225, 229], keep_probabilities=True
    )
    found = phases.FoundPhases(
        xmap,
        pd.DataFrame({"name": ["phase 1"]}, index=pd.Index([1], name="id")),
        pd.DataFrame([[0.5, 0.5]], index=[1], columns=[225, 229]),
        pd.DataFrame(),
        {1: np.arange(N_PATTERNS)},
    )
    start = time.perf_counter()
    checked = phases.check_candidates(
        signal,
        found,
        candidates,
        energy=20,
        method=args.method,
        show_progressbar=False,
    )
    seconds = time.perf_counter() - start
    reliability = checked.reliabilities[1].mean()
    for row in checked.table.to_dict("records"):
        kept = ("candidate", "formula", "space_group", "simulation", "score", "match")
        line = {"material": name, "true": row["candidate"] == true}
        line |= {key: row[key] for key in (*kept, "probability")}
        line |= {"reliability": reliability, "seconds": seconds}
        line |= {"dose": args.dose, "seed": args.seed}
        yield {k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}


def log_weights(here: pd.DataFrame) -> np.ndarray:
    """Return log-weights of the answers for a material, not normalized.

    They are those of check_candidates(), from the matches, as probabilities in a table
    are rounded. A column ``evidence`` is added, if there is one.
    """
    none = (here["candidate"] == "none of these").to_numpy()
    even = here["simulation"].map(EVEN).to_numpy(dtype="float64")
    logs = SLOPE * (here["match"].to_numpy(dtype="float64") - even)
    logs += np.log((1 - NONE_PRIOR) / (~none).sum())
    if "evidence" in here:
        logs += here["evidence"].to_numpy(dtype="float64")
    return np.where(none, np.log(NONE_PRIOR), logs)


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row per material: how the true phase does, and without it, none."""
    rows = []
    for (name, dose, seed), here in table.groupby(
        ["material", "dose", "seed"], sort=False
    ):
        candidates = here[here["candidate"] != "none of these"]
        candidates = candidates.sort_values("match", ascending=False)
        wrong = candidates[~candidates["true"]]
        best = here.iloc[log_weights(here).argmax()]
        without = here[~here["true"]]
        best_without = without.iloc[log_weights(without).argmax()]
        rows.append(
            {
                "material": name,
                "dose": dose,
                "seed": seed,
                "candidates": len(candidates),
                "rank": int(np.flatnonzero(candidates["true"])[0]) + 1,
                "match": float(candidates["match"][candidates["true"]].iloc[0]),
                "best_wrong_match": float(wrong["match"].max()),
                "best_wrong": f"{wrong['formula'].iloc[0]} {wrong['space_group'].iloc[0]}",
                "answer_right": bool(best["true"]),
                "none_with_it": best["candidate"] == "none of these",
                "none_without_it": best_without["candidate"] == "none of these",
                "seconds": float(here["seconds"].iloc[0]),
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description="Score check_candidates()")
    parser.add_argument("structures", type=Path)
    parser.add_argument("masters", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--materials", nargs="+", default=list(REPORTED))
    parser.add_argument("--dose", type=float, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--method", default="dynamical")
    args = parser.parse_args()
    hs.preferences.General.show_progressbar = False
    args.output.mkdir(parents=True, exist_ok=True)
    rows: list[dict] = []
    for name in args.materials:
        try:
            rows += score_material(name, args, *(DEVELOPMENT | REPORTED)[name])
        except (LookupError, ValueError) as error:
            print(f"{name} is left out: {error}", flush=True)
            continue
        table = pd.DataFrame(rows)
        table.to_csv(args.output / "candidates.csv", index=False)
        summary = summarize(table)
        print(summary.tail(1).to_string(), flush=True)
        summary.to_csv(args.output / "materials.csv", index=False)


if __name__ == "__main__":
    main()

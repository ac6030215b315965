# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers if the composition of the phase was measured, too.

Usage::

    python -m recipes.check_candidates.with_composition FOLDER

Reads ``candidates.csv`` of :mod:`recipes.check_candidates.score` and writes
``materials_composition.csv``. The composition is the true one, with the uncertainties that
check_candidates() takes by default. Nothing is simulated again.
"""

import argparse
from pathlib import Path
import re

from diffpy.structure import Atom, Lattice, Structure
import numpy as np
from orix.crystal_map import Phase
import pandas as pd

from kikuchipy_spacegroup.maps import candidate_probabilities
from recipes.check_candidates.score import summarize


def read_formula(formula: str) -> dict[str, float]:
    """Return atomic fractions by element."""
    parts = re.findall(r"([A-Z][a-z]?)([0-9.]*)", formula)
    amounts = {element: float(number or 1) for element, number in parts}
    return {e: n / sum(amounts.values()) for e, n in amounts.items()}


def log_evidence(formulas: list[str], truth: dict[str, float]) -> np.ndarray:
    """Return how much more a composition speaks for formulas than for any other."""
    phases = []
    for i, formula in enumerate(formulas):
        atoms = [
            Atom(element, [0.2 * k, 0, 0], occupancy=fraction)
            for k, (element, fraction) in enumerate(read_formula(formula).items())
        ]
        structure = Structure(atoms, Lattice(5, 5, 5, 90, 90, 90))
        phases.append(Phase(str(i), space_group=1, structure=structure))
    elements = sorted({e for f in formulas for e in read_formula(f)} | set(truth))
    composition = {e: np.array([truth.get(e, 0.0)]) for e in elements}
    (p,) = candidate_probabilities(
        np.zeros((1, 1)), [225], phases, composition, none_prior=0.5
    )
    logs = np.log(np.clip(p.astype("float64"), 1e-30, None))
    return logs[:-1] - logs[-1] + np.log(len(phases))


def add_composition(here: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a material with the evidence of its composition."""
    here = here.copy()
    named = here["candidate"] != "none of these"
    truth = read_formula(here.loc[here["true"], "formula"].iloc[0])
    here["evidence"] = 0.0
    formulas = here.loc[named, "formula"].tolist()
    here.loc[named, "evidence"] = log_evidence(formulas, truth)
    return here


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Answers with a composition")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    table = pd.read_csv(folder / "candidates.csv")
    parts = [add_composition(here) for _, here in table.groupby("material", sort=False)]
    summary = summarize(pd.concat(parts))
    summary.to_csv(folder / "materials_composition.csv", index=False)
    print(summary.to_string())


if __name__ == "__main__":
    main()

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Score a general model on structures it never saw.

Usage::

    python -m recipes.general_model.scoreboard MODEL LIBRARIES OUTPUT [--split test]

where LIBRARIES is the folder written by ``library.py``. Writes ``scoreboard.csv``,
``groups.csv``, ``structures.csv`` and ``confusion.csv`` to the folder OUTPUT.

Every figure is a mean over structures in which each crystal system counts the same.
Patterns are simulated at 96 px with the ranges of the default camera, but for the noise,
which is 0.2, 0.6 (moderate, by which goals are judged) or 1.5 of the signal. *Unseen
materials* are of structure types that were trained on, *unseen types* are not. Space
groups that the model does not know count as wrong at the level of space groups. A projection
center is *known* with an error of 1 %, or unknown.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from itertools import product
from pathlib import Path

import numpy as np
from scipy.special import softmax

from benchmarks.tables import write_table
from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.models import SpaceGroupModel, load_model
from kikuchipy_spacegroup.simulation import Acquisition
from recipes.default_model.scores.scoreboard import NOISE, SEED, logits_of

# The goals' levels, where the two of an enantiomorphic pair are one, then side views
LEVELS = (
    "crystal_system",
    "laue_class",
    "laue_class_with_lattice",
    "diffraction_symbol",
    "enantiomorphic_pair",
    "bravais_lattice",
    "point_group",
)
POOLED = 4, 16
N_BINS = 15
# Standard deviation of the projection centers that are given to models that use them
CENTERS = {"known": 0.01, "unknown": None}
# Held-out structures from which on a space group has a row of its own
LEAST_STRUCTURES = 3


class Predictions:
    """Probabilities of simulated patterns, and what is right.

    Parameters
    ----------
    probabilities
        Array of shape (structures, n, k), n patterns of each structure.
    space_groups
        k space group numbers.
    truth
        Space group of each structure.
    prior
        Probability of each space group before looking at a pattern, of shape (k,): how
        often it was in training. The same for all if not given.
    """

    def __init__(
        self,
        probabilities: np.ndarray,
        space_groups: Sequence[int],
        truth: Sequence[int],
        prior: np.ndarray | None = None,
    ) -> None:
        self.prior = prior
        self.probabilities = probabilities
        self.space_groups = tuple(space_groups)
        self.truth = np.asarray(truth)
        systems = sg.coarsen(self.truth, "crystal_system")
        _, inverse, counts = np.unique(systems, return_inverse=True, return_counts=True)
        self.weights = 1 / counts[inverse] / len(counts)
        """Weight of each structure, crystal systems in equal parts."""

    def mean(self, values: np.ndarray) -> float:
        """Return the weighted mean of values of shape (structures, ...)."""
        return float(self.weights @ values.reshape(len(values), -1).mean(axis=1))

    def at_level(self, level: str, pooled: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return probabilities of the classes of a level, and where the right one is.

        Parameters
        ----------
        level
            Level of symmetry.
        pooled
            Number of patterns whose likelihoods are multiplied.

        Returns
        -------
        probabilities
            Array of shape (structures, n // pooled, m).
        right
            Index of the right class per structure, -1 where it is not known.
        """
        p = self.probabilities
        if pooled > 1:
            structures, n, k = p.shape
            groups = p[:, : n // pooled * pooled]
            groups = groups.reshape(structures, n // pooled, pooled, k)
            p = multiply_likelihoods(groups, self.prior)
        summed, labels = sg.coarsen_probabilities(p, self.space_groups, level)
        index = {label: i for i, label in enumerate(labels)}
        of_truth = sg.coarsen(self.truth, level).tolist()
        return summed, np.array([index.get(label, -1) for label in of_truth])

    def right(self, level: str, pooled: int = 1, top: int = 1) -> np.ndarray:
        """Return which patterns are right, of shape (structures, n // pooled)."""
        p, right = self.at_level(level, pooled)
        best = np.argsort(-p, axis=-1)[..., :top]
        return (best == right[:, None, None]).any(axis=-1)

    def calibration_error(self, level: str) -> float:
        """Return the expected calibration error of best probabilities."""
        p, _ = self.at_level(level)
        best, right = p.max(axis=-1), self.right(level)
        weights = np.broadcast_to(self.weights[:, None] / best.shape[1], best.shape)
        bins = np.minimum((best * N_BINS).astype(int), N_BINS - 1)
        gaps = np.bincount(bins.ravel(), (weights * (best - right)).ravel(), N_BINS)
        return float(np.abs(gaps).sum())


def multiply_likelihoods(
    probabilities: np.ndarray, prior: np.ndarray | None = None
) -> np.ndarray:
    """Return the probabilities that independent patterns have together.

    Parameters
    ----------
    probabilities
        Array of shape (..., n, k) of n patterns.
    prior
        Prior probabilities of shape (k,), which count once only.

    Returns
    -------
    pooled
        Array of shape (..., k).
    """
    prior = np.ones(probabilities.shape[-1]) if prior is None else prior
    ratios = np.log(np.maximum(probabilities, 1e-9)) - np.log(prior)
    return softmax(ratios.sum(axis=-2) + np.log(prior), axis=-1)


def predict(
    model: SpaceGroupModel,
    library: MasterPatternLibrary,
    n: int,
    noise: float,
    center_error: float | None = None,
) -> Predictions:
    """Return predictions for n patterns of every structure of a library."""
    camera = replace(Acquisition(), noise=(noise, noise + 1e-3))
    given = {"acquisition": camera, "center_error": center_error}
    logits, _ = logits_of(model, library, n, **given)
    p = model.logits_to_probabilities(logits)
    return Predictions(
        p.reshape(library.n_phases, n, -1),
        model.space_groups,
        library.space_groups,
        model.prior,
    )


def level_rows(predictions: Predictions) -> Iterable[dict]:
    """Yield a row per level."""
    for level in LEVELS:
        row = {"level": level, "accuracy": predictions.mean(predictions.right(level))}
        row["top_5"] = predictions.mean(predictions.right(level, top=5))
        for k in POOLED:
            row[f"pooled_{k}"] = predictions.mean(predictions.right(level, k))
        row["calibration_error"] = predictions.calibration_error(level)
        yield row


def group_rows(predictions: Predictions) -> Iterable[dict]:
    """Yield a row per space group or pair that has enough structures."""
    pairs = sg.coarsen(predictions.truth, "enantiomorphic_pair")
    right = {level: predictions.right(level) for level in LEVELS[:5]}
    top = predictions.right("enantiomorphic_pair", top=5)
    pooled = predictions.right("enantiomorphic_pair", POOLED[-1])
    for pair in np.unique(pairs):
        here = pairs == pair
        if here.sum() < LEAST_STRUCTURES:
            continue
        row = {
            "space_group": int(predictions.truth[here].min()),
            "symbol": str(pair),
            "structures": int(here.sum()),
        }
        row |= {level: float(right[level][here].mean()) for level in LEVELS[:5]}
        row["top_5"] = float(top[here].mean())
        row[f"pooled_{POOLED[-1]}"] = float(pooled[here].mean())
        yield row


def structure_rows(predictions: Predictions, names: Sequence[str]) -> Iterable[dict]:
    """Yield a row per structure."""
    right = {level: predictions.right(level) for level in LEVELS[:5]}
    groups = np.array(predictions.space_groups)
    found = groups[predictions.probabilities.argmax(axis=-1)]
    for i, name in enumerate(names):
        numbers, counts = np.unique(found[i], return_counts=True)
        row = {"structure": name, "space_group": int(predictions.truth[i])}
        row |= {level: float(right[level][i].mean()) for level in LEVELS[:5]}
        yield row | {"most_frequent": int(numbers[counts.argmax()])}


def confusion_rows(predictions: Predictions, level: str) -> Iterable[dict]:
    """Yield a row per class that is right, with the shares of what was found."""
    p, _ = predictions.at_level(level)
    _, labels = sg.coarsen_probabilities(
        predictions.probabilities[:1, :1], predictions.space_groups, level
    )
    found = np.array(labels)[p.argmax(axis=-1)]
    truth = sg.coarsen(predictions.truth, level)
    for name in dict.fromkeys(truth[np.argsort(predictions.truth, kind="stable")]):
        here = found[truth == name]
        row = {"level": level, "right": str(name), "structures": len(here)}
        yield row | {label: float((here == label).mean()) for label in labels}


def rounded(rows: Iterable[dict], common: dict) -> list[dict]:
    """Return rows with three decimals, and what they have in common."""
    return [
        {
            key: round(value, 3) if isinstance(value, float) else value
            for key, value in row.items()
        }
        | common
        for row in rows
    ]


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description="Score a general model")
    for name in ("model", "libraries", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--split", choices=["validation", "test"], default="validation")
    parser.add_argument("-n", type=int, default=32, help="patterns per structure")
    parser.add_argument("--noise", nargs="+", choices=list(NOISE), default=list(NOISE))
    args = parser.parse_args()
    model = load_model(args.model)
    centers = list(CENTERS) if model.uses_projection_center else ["unknown"]
    tables = defaultdict(list)
    dated = {"n": args.n, "seed": SEED, "date": date.today().isoformat()}
    for kind in ("materials", "types"):
        path = args.libraries / f"{args.split}_{kind}.npz"
        if not path.exists():
            continue
        library = MasterPatternLibrary.load(path)
        for noise, center in product(args.noise, centers):
            error = CENTERS[center]
            found = predict(model, library, args.n, NOISE[noise], error)
            split = {"split": f"{args.split}_{kind}", "noise": noise, "center": center}
            common = {"structures": library.n_phases} | dated
            rows = rounded(level_rows(found), common)
            tables["scoreboard"] += [split | row for row in rows]
            if noise != "moderate":
                continue
            split = {"split": split["split"], "center": center}
            for name, rows in (
                ("groups", group_rows(found)),
                ("structures", structure_rows(found, library.phase_names)),
                ("confusion", confusion_rows(found, "crystal_system")),
            ):
                tables[name] += [split | row for row in rounded(rows, dated)]
    args.output.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        if rows:
            write_table(args.output / f"{name}.csv", rows)
    for row in tables["scoreboard"]:
        if row["noise"] == "moderate":
            print({k: v for k, v in row.items() if k not in ("seed", "date", "n")})


if __name__ == "__main__":
    main()

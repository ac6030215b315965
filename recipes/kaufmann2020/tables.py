# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of results beside the paper's numbers.

Usage::

    python recipes/kaufmann2020/tables.py OUTPUT

where OUTPUT is the folder of ``run.py``, which writes them too.
"""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

from materials import EXPERIMENTS, MATERIALS, mean_atomic_number
import numpy as np
import pandas as pd
from report import report

from kikuchipy_spacegroup.evaluation import (
    accuracy,
    class_probabilities,
    counts,
    precision_recall,
)

RUN = ["camera", "network", "experiment"]
# Tables that explanations.py writes
EXPLANATIONS = ("zone_axes", "hough_bands")
# Columns with the quality of patterns
QUALITIES = ("quality", "correlation")


class Direction(NamedTuple):
    """Where the paper saw errors go when one material was exchanged.

    Parameters
    ----------
    experiment
        Number of the experiment, to compare with experiment 1.
    patterns
        What patterns, in words.
    materials
        Their materials.
    to
        Space group the errors go to.
    """

    experiment: int
    patterns: str
    materials: tuple[str, ...]
    to: int


def _of(*groups: int) -> tuple[str, ...]:
    return tuple(n for n, m in MATERIALS.items() if m.space_group in groups)


DIRECTIONS = [
    Direction(2, "221, 223, 227, 229 and 230", _of(221, 223, 227, 229, 230), 225),
    Direction(2, "TiC (right)", ("TiC",), 225),
    Direction(3, "225", _of(225), 221),
    Direction(3, "227", _of(227), 221),
    Direction(3, "Fe", ("Fe",), 221),
    Direction(4, "NiAl and FeAl", ("NiAl", "FeAl"), 229),
]


def load_results(output: Path) -> pd.DataFrame:
    """Return the results of all test patterns so far.

    Parameters
    ----------
    output
        Folder of ``run.py``.

    Returns
    -------
    results
        One row per pattern with the columns camera, network and
        experiment, and those of the files.
    """
    parts = []
    for path in sorted(output.glob("*/*/experiment_?.csv")):
        table = pd.read_csv(path)
        table.insert(0, "experiment", int(path.stem[-1]))
        table.insert(0, "network", path.parts[-2])
        table.insert(0, "camera", path.parts[-3])
        parts.append(table)
    if not parts:
        raise FileNotFoundError(f"There are no results in {output}")
    return pd.concat(parts, ignore_index=True)


def by_material(results: pd.DataFrame) -> pd.DataFrame:
    """Return scores per material and what its patterns are called.

    Parameters
    ----------
    results
        As from :func:`load_results`.

    Returns
    -------
    table
        One row per camera, network, experiment and material, in the
        order of the paper's charts. ``materials`` is how many there are
        in the experiment, and the columns ``called_...`` are the paper's
        Tables A1 to A6.
    """
    scores = {}
    for key, part in results.groupby(RUN):
        score = accuracy(part, ["space_group", "material", "in_training"])
        tested = counts(part).rename(columns="called_{}".format)
        of_material = precision_recall(part, "material").reset_index()
        of_material = of_material.set_index("material")[["precision", "recall", "f1"]]
        score = score[["n", "accuracy"]].join(of_material, on="material")
        score = score.assign(chance=1 / len(class_probabilities(part)[1]))
        score = score.assign(materials=part["material"].nunique())
        scores[key] = score.join(tested)
    table = pd.concat(scores, names=RUN).reset_index()
    numbers = [round(mean_atomic_number(name), 1) for name in table["material"]]
    table.insert(table.columns.get_loc("n"), "mean_atomic_number", numbers)
    order = [list(MATERIALS).index(name) for name in table["material"]]
    return table.assign(order=order).sort_values([*RUN, "order"]).drop(columns="order")


def by_experiment(results: pd.DataFrame) -> pd.DataFrame:
    """Return accuracies of the experiments beside the paper's.

    Parameters
    ----------
    results
        As from :func:`load_results`.

    Returns
    -------
    table
        One row per camera, network and experiment. Accuracies are of
        patterns: of all, of materials in training, and of others.
    """
    rows = []
    for key, part in results.groupby(RUN):
        number = key[-1]
        of_all = accuracy(part).iloc[0]
        seen = part[part["in_training"]]
        unseen = part[~part["in_training"]]
        of_material = accuracy(part, "material")["accuracy"]
        below = of_material[of_material < of_all["chance"]].index
        rows.append(
            dict(zip(RUN, key))
            | {
                "figure": EXPERIMENTS[number].figure,
                "materials_seen": int(of_all["materials_seen"]),
                "materials_unseen": int(of_all["materials"] - of_all["materials_seen"]),
                "n": int(of_all["n"]),
                "accuracy": of_all["accuracy"],
                "accuracy_seen": (seen["predicted"] == seen["space_group"]).mean(),
                "accuracy_unseen": (
                    unseen["predicted"] == unseen["space_group"]
                ).mean(),
                "chance": of_all["chance"],
                "below_chance": " ".join(below),
                "paper": EXPERIMENTS[number].accuracy,
            }
        )
    return pd.DataFrame(rows)


def by_space_group(results: pd.DataFrame) -> pd.DataFrame:
    """Return precision and recall per space group.

    Parameters
    ----------
    results
        As from :func:`load_results`.

    Returns
    -------
    table
        One row per camera, network, experiment and space group.
    """
    parts = {key: precision_recall(part) for key, part in results.groupby(RUN)}
    return pd.concat(parts, names=RUN).reset_index()


def directions(results: pd.DataFrame) -> pd.DataFrame:
    """Return where patterns go when one training material is exchanged.

    Parameters
    ----------
    results
        As from :func:`load_results`.

    Returns
    -------
    table
        One row per camera, network and direction: which share of the
        patterns, and of the wrong ones among them, gets the space group
        in experiment 1 and in the experiment, and how many of their
        materials were in training in each.
    """
    rows = []
    for key, part in results.groupby(RUN[:2]):
        for line in DIRECTIONS:
            row = dict(zip(RUN[:2], key)) | {
                "experiment": line.experiment,
                "patterns": line.patterns,
                "to": line.to,
            }
            for number in (1, line.experiment):
                chosen = part[
                    (part["experiment"] == number)
                    & part["material"].isin(line.materials)
                ]
                name = "before" if number == 1 else "after"
                wrong = chosen[chosen["predicted"] != chosen["space_group"]]
                row[f"patterns_{name}"] = (chosen["predicted"] == line.to).mean()
                row[f"errors_{name}"] = (wrong["predicted"] == line.to).mean()
                seen = chosen[chosen["in_training"].astype(bool)]
                row[f"materials_seen_{name}"] = seen["material"].nunique()
            row["materials"] = chosen["material"].nunique()
            row["chance"] = 1 / len(class_probabilities(part)[1])
            rows.append(row)
    shares = ["patterns_before", "patterns_after", "errors_before", "errors_after"]
    table = pd.DataFrame(rows).dropna(subset=shares[:2])
    context = ["materials", "materials_seen_before", "materials_seen_after", "chance"]
    return table[[*RUN, "patterns", "to", *context, *shares]].round(4)


def by_quality(results: pd.DataFrame) -> pd.DataFrame:
    """Return how the quality of right patterns differs from that of wrong ones.

    Parameters
    ----------
    results
        As from :func:`load_results`.

    Returns
    -------
    table
        One row per camera, network, experiment and material with right
        and wrong patterns, and two for all materials: their mean, which
        asks whether quality explains errors, and all patterns in one,
        where materials that differ in both pass for an effect of
        quality. ``..._difference`` is that of the means in standard
        deviations, ``..._error`` its standard error.
    """
    rows = []
    for key, part in results.groupby(RUN):
        run = dict(zip(RUN, key))
        chance = 1 / len(class_probabilities(part)[1])
        of_material = []
        for name in MATERIALS:
            table = part[part["material"] == name]
            row = _difference(table)
            if (
                row["n_right"]
                and row["n_wrong"]
                and row["n_right"] + row["n_wrong"] > 2
            ):
                of_material.append({"material": name} | row)
        whole = {"material": "all patterns in one"} | _difference(part)
        means = {"material": "mean of materials"} | _mean(of_material)
        rows += [run | row | {"chance": chance} for row in [means, whole, *of_material]]
    table = pd.DataFrame(rows)
    counted = ["material", "n_right", "n_wrong", "materials", "materials_seen"]
    ends = ("right", "wrong", "difference", "error")
    values = [f"{name}_{end}" for name in QUALITIES for end in ends]
    return table[[*RUN, *counted, "chance", *values]]


def _difference(table: pd.DataFrame) -> dict[str, float]:
    """Return numbers of right and wrong patterns, and how they differ."""
    is_right = table["predicted"] == table["space_group"]
    right, wrong = table[is_right], table[~is_right]
    n, m = len(right), len(wrong)
    seen = table.loc[table["in_training"].astype(bool), "material"]
    row = {"n_right": n, "n_wrong": m, "materials": table["material"].nunique()}
    row |= {"materials_seen": seen.nunique()}
    for name in QUALITIES:
        squares = sum(each[name].var(ddof=0) * len(each) for each in (right, wrong))
        spread = np.sqrt(squares / (n + m - 2)) if n and m and n + m > 2 else np.nan
        difference = right[name].mean() - wrong[name].mean()
        row[f"{name}_right"], row[f"{name}_wrong"] = (
            each[name].mean() for each in (right, wrong)
        )
        row[f"{name}_difference"] = difference / spread if spread > 0 else np.nan
        row[f"{name}_error"] = np.sqrt(1 / n + 1 / m) if spread > 0 else np.nan
    return row


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of differences, weighted by their errors."""
    table = pd.DataFrame(rows, columns=list(rows[0]) if rows else ["n_right"])
    totals = ["n_right", "n_wrong", "materials", "materials_seen"]
    row = {name: int(table[name].sum()) if rows else 0 for name in totals}
    for name in QUALITIES if rows else ():
        part = table.dropna(subset=f"{name}_difference")
        weight = part[f"{name}_error"] ** -2
        if len(part):
            difference = np.average(part[f"{name}_difference"], weights=weight)
            row[f"{name}_difference"] = difference
            row[f"{name}_error"] = weight.sum() ** -0.5
    return row


def write_tables(output: Path) -> None:
    """Write all tables to the folder ``results``.

    Parameters
    ----------
    output
        Folder of ``run.py``.
    """
    results = load_results(output)
    settings = json.loads((output / "settings.json").read_text())
    tables = {
        "experiments": by_experiment(results),
        "materials": by_material(results),
        "space_groups": by_space_group(results),
        "directions": directions(results),
        "quality": by_quality(results),
    }
    folder = output / "results"
    folder.mkdir(exist_ok=True)
    for name, table in tables.items():
        table.insert(3, "master_patterns", settings["master_patterns"])
        table.insert(4, "grains", settings.get("n_grains") or "one per pattern")
        table.round(4).to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    for name in EXPLANATIONS:
        if (folder / f"{name}.csv").exists():
            tables[name] = pd.read_csv(folder / f"{name}.csv")
    (folder / "results.md").write_text(report(tables, settings), encoding="utf-8")


def main() -> None:
    """Write the tables of a folder."""
    parser = argparse.ArgumentParser(description="Write tables")
    parser.add_argument("output", type=Path)
    write_tables(parser.parse_args().output)


if __name__ == "__main__":
    main()

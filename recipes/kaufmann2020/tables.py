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
import pandas as pd

from kikuchipy_spacegroup.evaluation import (
    accuracy,
    class_probabilities,
    counts,
    precision_recall,
)

RUN = ["camera", "network", "experiment"]


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
    """Return accuracy per material and what its patterns are called.

    Parameters
    ----------
    results
        As from :func:`load_results`.

    Returns
    -------
    table
        One row per camera, network, experiment and material, in the
        order of the paper's charts. ``materials`` is how many there are
        in the experiment.
    """
    scores = {}
    for key, part in results.groupby(RUN):
        score = accuracy(part, ["space_group", "material", "in_training"])
        tested = counts(part).rename(columns="called_{}".format)
        score = score[["n", "accuracy", "chance"]]
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
    }
    folder = output / "results"
    folder.mkdir(exist_ok=True)
    for name, table in tables.items():
        table.insert(3, "master_patterns", settings["master_patterns"])
        table.insert(4, "grains", settings.get("n_grains") or "one per pattern")
        table.round(4).to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    (folder / "results.md").write_text(_report(tables, settings), encoding="utf-8")


def _report(tables: dict[str, pd.DataFrame], settings: dict) -> str:
    """Return the tables as Markdown."""
    experiments, materials = tables["experiments"], tables["materials"]
    lines = [
        "# The six experiments of Kaufmann et al. 2020, on simulated patterns",
        "",
        f"Master patterns: {settings['master_patterns']}. Input {settings['size']} px, "
        f"{settings['n_training']} + {settings['n_validation']} patterns per space "
        f"group to train on and to stop by, at most {settings['epochs']} epochs. Grains "
        f"per material: {settings.get('n_grains') or 'one per pattern'}.",
        "",
        "Accuracies of materials in training are **bold**, the others were never seen.",
    ]
    for (camera, network), table in experiments.groupby(RUN[:2]):
        lines += ["", f"## {camera} camera, {network} network", ""]
        columns = {
            "experiment": str,
            "materials_seen": str,
            "materials_unseen": str,
            "accuracy": _percent,
            "accuracy_seen": _percent,
            "accuracy_unseen": _percent,
            "chance": _percent,
            "paper": _percent,
            "below_chance": lambda text: text or "none",
        }
        lines += _markdown(table, columns)
        chosen = materials[
            (materials["camera"] == camera) & (materials["network"] == network)
        ]
        chance = _percent(chosen["chance"].iloc[0])
        n = chosen["material"].nunique()
        lines += ["", f"{n} materials, in training where bold; chance {chance}.", ""]
        lines += _markdown(_wide(chosen), {})
    lines += ["", "## Where errors go when one training material is exchanged", ""]
    columns = {name: str for name in ("camera", "network", "experiment")}
    names = ("patterns", "to", "materials")
    columns |= dict.fromkeys([*names, "materials_seen_before"], str)
    columns |= {"materials_seen_after": str}
    columns |= dict.fromkeys(tables["directions"].columns[-5:], _percent)
    return "\n".join([*lines, *_markdown(tables["directions"], columns), ""])


def _wide(materials: pd.DataFrame) -> pd.DataFrame:
    """Return one row per material with a column per experiment."""
    table = materials.assign(
        text=[
            f"**{_percent(a)}**" if trained else _percent(a)
            for a, trained in zip(materials["accuracy"], materials["in_training"])
        ],
    )
    keys = ["space_group", "material", "mean_atomic_number"]
    wide = table.pivot(index=keys, columns="experiment", values="text")
    order = [
        (m.space_group, n, round(mean_atomic_number(n), 1))
        for n, m in MATERIALS.items()
    ]
    return wide.reindex(order).reset_index()


def _percent(share: float) -> str:
    return "-" if pd.isna(share) else f"{share:.1%}"


def _markdown(table: pd.DataFrame, columns: dict) -> list[str]:
    """Return the lines of a table, of all columns if none are given."""
    columns = columns or dict.fromkeys(table.columns, str)
    names = [str(name).replace("_", " ") for name in columns]
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    for row in table.to_dict("records"):
        cells = [write(row[name]) for name, write in columns.items()]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Write the tables of a folder."""
    parser = argparse.ArgumentParser(description="Write tables")
    parser.add_argument("output", type=Path)
    write_tables(parser.parse_args().output)


if __name__ == "__main__":
    main()

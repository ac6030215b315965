# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of ``tables.py`` as one page of Markdown."""

from collections.abc import Callable, Mapping

from materials import MATERIALS, mean_atomic_number
import pandas as pd

_Columns = Mapping[str, Callable]


def report(tables: dict[str, pd.DataFrame], settings: dict) -> str:
    """Return tables as Markdown.

    Parameters
    ----------
    tables
        By name, those of ``tables.py``, and of ``explanations.py`` as
        far as they are there.
    settings
        Settings of ``run.py``.

    Returns
    -------
    text
        The page.
    """
    lines = [
        "# The six experiments of Kaufmann et al. 2020, on simulated patterns",
        "",
        f"Master patterns: {settings['master_patterns']}. Input {settings['size']} px, "
        f"{settings['n_training']} + {settings['n_validation']} patterns per space "
        f"group to train on and to stop by, at most {settings['epochs']} epochs. Grains "
        f"per material: {settings.get('n_grains') or 'one per pattern'}.",
        "",
        "Accuracies of materials in training are **bold**, the others were never seen.",
        *_experiments(tables["experiments"], tables["materials"]),
        *_directions(tables["directions"]),
        *_quality(tables["quality"]),
    ]
    if "zone_axes" in tables:
        lines += _zone_axes(tables["zone_axes"])
    if "hough_bands" in tables:
        lines += _hough_bands(tables["hough_bands"])
    lines += _counts(tables["materials"], tables["space_groups"])
    return "\n".join([*lines, ""])


def _experiments(experiments: pd.DataFrame, materials: pd.DataFrame) -> list[str]:
    """Return accuracies per experiment, and per material."""
    lines = []
    for (camera, network), table in experiments.groupby(["camera", "network"]):
        lines += ["", f"## {camera} camera, {network} network", ""]
        columns = {"experiment": str, "materials_seen": str, "materials_unseen": str}
        shares = ["accuracy", "accuracy_seen", "accuracy_unseen", "chance", "paper"]
        columns |= dict.fromkeys(shares, _percent)
        columns |= {"below_chance": lambda text: text or "none"}
        lines += _markdown(table, columns)
        chosen = materials[
            (materials["camera"] == camera) & (materials["network"] == network)
        ]
        chance = _percent(chosen["chance"].iloc[0])
        n = chosen["material"].nunique()
        lines += ["", f"{n} materials, in training where bold; chance {chance}.", ""]
        lines += _markdown(_wide(chosen), {})
    return lines


def _wide(materials: pd.DataFrame) -> pd.DataFrame:
    """Return one row per material with a column per experiment."""
    table = materials.assign(
        text=[
            _bold(_percent(a), trained)
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


def _directions(directions: pd.DataFrame) -> list[str]:
    names = ("patterns", "to", "materials")
    names = ("camera", "network", "experiment", *names, "materials_seen_before")
    columns = dict.fromkeys([*names, "materials_seen_after"], str)
    columns |= dict.fromkeys(directions.columns[-5:], _percent)
    title = "## Where errors go when one training material is exchanged"
    return ["", title, "", *_markdown(directions, columns)]


def _quality(quality: pd.DataFrame) -> list[str]:
    """Return differences of all materials together."""
    lines = [
        "",
        "## Whether quality explains errors",
        "",
        "Mean of right patterns minus mean of wrong ones, in standard deviations, of "
        "kikuchipy's image quality and of the correlation with the pattern before it "
        "was recorded. The mean of materials compares patterns of the same material, as "
        "far as some are right and some wrong. All patterns in one also has what "
        "materials differ in. Standard errors take patterns as independent, which those "
        "of one grain are not. `quality.csv` has every material.",
        "",
    ]
    both = quality[
        quality["material"].isin(["mean of materials", "all patterns in one"])
    ]
    both = both.assign(of=both["material"])
    for name in ("quality", "correlation"):
        both[name] = [
            "-" if pd.isna(a) else f"{a:+.2f} ± {b:.2f}"
            for a, b in zip(both[f"{name}_difference"], both[f"{name}_error"])
        ]
    names = ["camera", "network", "experiment", "of", "materials", "materials_seen"]
    names += ["n_right", "n_wrong", "quality", "correlation"]
    columns = dict.fromkeys(names, str) | {"chance": _percent}
    return [*lines, *_markdown(both, columns)]


def _zone_axes(tests: pd.DataFrame) -> list[str]:
    """Return the tests of all materials together."""
    whole = tests[tests["material"] == "all"]
    lines = [
        "",
        "## Whether networks look at zone axes",
        "",
        "Area under the curve (AUC) of guided Grad-CAM: the chance that a pixel within "
        "5° of a main zone axis has the higher value than one elsewhere. At random: "
        "mean ± standard deviation with the crystals turned at random, "
        f"{int(whole['random_orientations'].max())} times, and p-value the share of "
        "these that is as high, near 1 if the network looks elsewhere. AUC of "
        "untrained: the mean of such networks with random weights, since some places "
        "may be higher than others in any map. AUC of pattern: that of the pattern's "
        "own intensity, of which a bright center and a dark ring are within 5°. Without "
        "map: patterns in which nothing speaks for the space group in this "
        "layer. `zone_axes.csv` has every material.",
        "",
    ]
    random = zip(whole["auc_at_random"], whole["standard_deviation_at_random"])
    table = whole.assign(
        layer=[f"{a}, {b} cells" for a, b in zip(whole["layer"], whole["cells"])],
        at_random=[f"{a:.3f} ± {b:.3f}" for a, b in random],
    )
    names = ["camera", "network", "experiment", "layer", "n", "without_map"]
    columns = dict.fromkeys([*names, "materials", "materials_seen"], str)
    columns |= {"accuracy": _percent, "chance": _percent, "auc": "{:.3f}".format}
    columns |= {"at_random": str, "p_value": str}
    columns |= dict.fromkeys(["auc_of_untrained", "auc_of_pattern"], "{:.3f}".format)
    return [*lines, *_markdown(table, columns)]


def _hough_bands(bands: pd.DataFrame) -> list[str]:
    lines = [
        "",
        "## Whether Hough transforms tell NbC from Ni3Al",
        "",
        "Number of bands found in one pattern that were found in the other too, to 3° "
        "and 3 % of the largest distance. No network is asked here.",
        "",
    ]
    shared = [f"{a:.2f} ± {b:.2f}" for a, b in zip(bands.shared, bands.standard_error)]
    table = bands.assign(
        shared=shared, range=[f"{a} to {b}" for a, b in zip(bands.fewest, bands.most)]
    )
    names = ["camera", "patterns", "orientations", "bands", "shared", "range"]
    return [*lines, *_markdown(table, dict.fromkeys(names, str))]


def _counts(materials: pd.DataFrame, groups: pd.DataFrame) -> list[str]:
    """Return what patterns are called, as in Tables A1 to A6 of the paper."""
    lines = [
        "",
        "## What patterns are called, precision and recall",
        "",
        "As in Tables A1 to A6 of the paper. Materials in training are **bold**. The "
        "precision of a material leaves the other materials of its space group out.",
    ]
    called = [name for name in materials.columns if name.startswith("called_")]
    run = ["camera", "network", "experiment"]
    of_group = dict(list(groups.groupby(run)))
    for key, table in materials.groupby(run):
        chance = _percent(table["chance"].iloc[0])
        title = "### {} camera, {} network, experiment {}".format(*key)
        seen = int(table["in_training"].sum())
        n = f"{len(table)} materials, {seen} in training; chance {chance}."
        table = table.assign(
            material=[_bold(*row) for row in zip(table.material, table.in_training)]
        )
        names = {c: c.removeprefix("called_").replace("-1", "?") for c in called}
        shown = table.dropna(axis="columns", how="all").rename(columns=names)
        there = [name for name in names.values() if name in shown]
        scores = dict.fromkeys(["precision", "recall", "f1"], "{:.2f}".format)
        columns = dict.fromkeys(["space_group", "material", "n"], str)
        columns |= dict.fromkeys(there, "{:.0f}".format) | scores
        lines += ["", title, "", n, "", *_markdown(shown, columns), ""]
        columns = dict.fromkeys(["space_group", "n", "materials"], str)
        columns |= {"materials_seen": str} | scores
        lines += _markdown(of_group[key], columns)
    return lines


def _bold(text: str, is_bold: bool) -> str:
    return f"**{text}**" if is_bold else text


def _percent(share: float) -> str:
    return "-" if pd.isna(share) else f"{share:.1%}"


def _markdown(table: pd.DataFrame, columns: _Columns) -> list[str]:
    """Return the lines of a table, of all columns if none are given."""
    columns = columns or dict.fromkeys(table.columns, str)
    names = [str(name).replace("_", " ") for name in columns]
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    for row in table.to_dict("records"):
        cells = [write(row[name]) for name, write in columns.items()]
        lines.append("| " + " | ".join(cells) + " |")
    return lines

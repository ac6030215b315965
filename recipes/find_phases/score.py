# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Score find_phases() on simulated scans of which the truth is known.

Usage::

    python -m recipes.find_phases.score MASTERS OUTPUT [--model MODEL]
        [--materials NAME ...] [--seeds NUMBER ...] [--doses NUMBER ...]

MASTERS is a library of master patterns (``.npz``) or a folder of files. Give
``--materials`` the names of those the model never saw. For each seed and each number of
phases, a scan of as many materials drawn at random is simulated at each dose. Writes
``scans.csv``, a row per scan and method, and ``summary.csv`` to the folder OUTPUT.

Methods are ``find_phases()`` with grains from patterns and without, and the best label of
every point and of every grain from patterns, where a phase is one label. A true phase is
compared with the found one that covers most of it. A phase found in less than one percent
of the points counts as one too many, like any other, and a label does not, as a few
points are wrong always.
"""

import argparse
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

import hyperspy.api as hs
from kikuchipy.signals import EBSDMasterPattern
import numpy as np
from orix.crystal_map import CrystalMap, Phase
from sklearn.metrics import adjusted_rand_score

from benchmarks.tables import write_table
import kikuchipy_spacegroup as kpsg
from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary

SHAPE = (30, 36)
GRAIN_SIZE = 6
DOSES = (50, 200, 1000)
SEEDS = tuple(range(100, 110))
N_PHASES = (1, 2, 3, 4)
# Labels of fewer points are not counted
LEAST_LABEL = 0.01


def load_masters(path: Path, names: Sequence[str] | None) -> list[EBSDMasterPattern]:
    """Return master patterns of different names at the highest energy."""
    if path.is_dir():
        library = MasterPatternLibrary.from_files(sorted(path.glob("*.h5")))
    else:
        library = MasterPatternLibrary.load(path)
    masters = {}
    for i in np.argsort(np.nan_to_num(library.energies), kind="stable"):
        phase = library.phase_index[i]
        name = library.phase_names[phase]
        both = np.stack(
            [library.data[library.upper[i]], library.data[library.lower[i]]]
        )
        masters[name] = EBSDMasterPattern(
            both.astype("float32"),
            projection="lambert",
            hemisphere="both",
            phase=Phase(name, space_group=int(library.space_groups[phase])),
        )
    missing = sorted(set(names or ()) - set(masters))
    if missing:
        raise ValueError(f"There are no {missing} among {sorted(masters)}")
    return [masters[name] for name in sorted(names or masters)]


def same_group(numbers: Iterable[int], right: Sequence[int], level: str) -> list[bool]:
    """Return whether space groups are right at a level, -1 is not."""
    found = sg.coarsen(np.array(list(numbers)), level)
    return (found == sg.coarsen(np.array(right), level)).tolist()


def score_labels(
    labels: np.ndarray,
    numbers: dict[int, int],
    laue_numbers: dict[int, int],
    truth: np.ndarray,
    groups: Sequence[int],
) -> dict:
    """Return how well labels of points, -1 for none, agree with the truth.

    Numbers are the space groups of labels, and those of their best Laue class.
    """
    best = []
    for i in range(len(groups)):
        there, counts = np.unique(labels[truth == i], return_counts=True)
        best.append(int(there[counts.argmax()]))
    pairs = same_group(
        (numbers.get(i, -1) for i in best), groups, "enantiomorphic_pair"
    )
    laue = same_group((laue_numbers.get(i, -1) for i in best), groups, "laue_class")
    return {
        "adjusted_rand_index": round(adjusted_rand_score(truth, labels), 3),
        "space_groups_right": sum(pairs),
        "laue_classes_right": sum(laue),
    }


def best_laue(probabilities: np.ndarray, numbers: Sequence[int]) -> list[int]:
    """Return a space group of the best Laue class of each row."""
    summed, names = sg.coarsen_probabilities(probabilities, numbers, "laue_class")
    of_number = sg.coarsen(list(numbers), "laue_class").tolist()
    return [int(numbers[of_number.index(names[i])]) for i in summed.argmax(axis=1)]


def score_found(
    xmap: CrystalMap,
    grains: np.ndarray | None,
    truth: np.ndarray,
    groups: list[int],
    scatter: float,
) -> dict:
    """Return how well find_phases() does."""
    found = kpsg.phases.find_phases(xmap, grain_ids=grains, scatter=scatter)
    laue = {}
    if len(found):
        numbers = found.probabilities.columns.tolist()
        best = best_laue(found.probabilities.to_numpy(), numbers)
        laue = dict(zip(found.table.index, best))
    numbers = found.table["space_group"].to_dict()
    scores = score_labels(found.xmap.phase_id, numbers, laue, truth, groups)
    return {"found": len(found)} | scores


def score_best_label(xmap: CrystalMap, truth: np.ndarray, groups: list[int]) -> dict:
    """Return how well the best space groups of points do."""
    labels, counts = np.unique(xmap.phase_id, return_counts=True)
    own = {int(i): int(i) for i in labels if i > 0}
    shares = counts[labels > 0] / xmap.size
    scores = score_labels(xmap.phase_id, own, own, truth, groups)
    return {"found": int((shares >= LEAST_LABEL).sum())} | scores


def score_scan(
    masters: list[EBSDMasterPattern],
    model,
    shape: tuple[int, int],
    dose: float,
    seed: int,
    scatter: float,
) -> Iterable[dict]:
    """Yield a row per method."""
    signal = kpsg.simulate_scan(
        masters,
        shape,
        grain_size=GRAIN_SIZE,
        camera=kpsg.Camera(dose=dose),
        seed=seed,
        show_progressbar=False,
    )
    # A scan of few grains may lack some of the phases
    names_by_id = {i: phase.name for i, phase in signal.xmap.phases}
    names = sorted({names_by_id[i] for i in signal.xmap.phase_id.tolist()})
    truth = np.array(
        [names.index(names_by_id[i]) for i in signal.xmap.phase_id.tolist()]
    )
    of_name = {master.phase.name: master.phase for master in masters}
    groups = [of_name[name].space_group.number for name in names]
    xmap = kpsg.classify_space_group(
        signal,
        model,
        keep_probabilities=True,
        min_probability=0,
        show_progressbar=False,
    )
    grains = kpsg.maps.grains_from_patterns(signal)
    common = {
        "materials": ", ".join(names),
        "phases": len(names),
        "dose": dose,
        "seed": seed,
    }
    pooled = kpsg.pool_grains(xmap, grains)
    for method, scores in (
        ("find_phases, grains", score_found(xmap, grains, truth, groups, scatter)),
        ("find_phases, points", score_found(xmap, None, truth, groups, scatter)),
        ("best label of a point", score_best_label(xmap, truth, groups)),
        ("best label of a grain", score_best_label(pooled, truth, groups)),
    ):
        yield common | {"method": method} | scores


def summarize(rows: list[dict]) -> list[dict]:
    """Return a row per method and dose, of one phase and of more apart."""
    table = []
    for dose in dict.fromkeys(row["dose"] for row in rows):
        for kind, chosen in (("one", {1}), ("several", set(N_PHASES) - {1})):
            for method in dict.fromkeys(row["method"] for row in rows):
                here = [
                    row
                    for row in rows
                    if row["dose"] == dose
                    and row["phases"] in chosen
                    and row["method"] == method
                ]
                if not here:
                    continue
                n_phases = sum(row["phases"] for row in here)
                right = [row["found"] == row["phases"] for row in here]
                index = [row["adjusted_rand_index"] for row in here]
                line = {
                    "dose": dose,
                    "phases": kind,
                    "method": method,
                    "scans": len(here),
                    "number_right": round(float(np.mean(right)), 2),
                    "adjusted_rand_index": round(float(np.mean(index)), 2),
                }
                for level in ("laue_classes_right", "space_groups_right"):
                    share = sum(row[level] for row in here) / n_phases
                    line[level] = round(share, 2)
                table.append(line | {"date": here[0]["date"]})
    return table


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description="Score find_phases()")
    parser.add_argument("masters", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--materials", nargs="+")
    parser.add_argument("--doses", nargs="+", type=float, default=DOSES)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--phases", nargs="+", type=int, default=N_PHASES)
    parser.add_argument("--shape", nargs=2, type=int, default=SHAPE)
    parser.add_argument("--scatter", type=float, default=0.125, help="of find_phases()")
    args = parser.parse_args()
    hs.preferences.General.show_progressbar = False
    masters = load_masters(args.masters, args.materials)
    model = kpsg.load_model(*([args.model] if args.model else []))
    dated = {
        "points": int(np.prod(args.shape)),
        "model": model.metadata.get("date", ""),
        "date": date.today().isoformat(),
    }
    rows = []
    for seed in args.seeds:
        for n in args.phases:
            rng = np.random.default_rng([seed, n])
            drawn = rng.choice(len(masters), n, replace=False)
            for dose in args.doses:
                chosen = [masters[i] for i in drawn]
                how = tuple(args.shape), dose, seed, args.scatter
                for row in score_scan(chosen, model, *how):
                    rows.append(row | dated)
                    print(row, flush=True)
    args.output.mkdir(parents=True, exist_ok=True)
    write_table(args.output / "scans.csv", rows)
    write_table(args.output / "summary.csv", summarize(rows))


if __name__ == "__main__":
    main()

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The classifier, indexing, and both together, on scans of known truth.

Usage::

    python benchmarks/combination.py SCAN_MASTERS INDEX_MASTERS [OUTPUT]
        [--scans NAME ...] [--doses NUMBER ...]

The three scans of ``example_scan()`` are made from the master patterns
``<phase>.sht`` or ``<phase>.h5`` in SCAN_MASTERS, and indexed with those
in INDEX_MASTERS, which should be others (of another voltage or program):
with the same ones, correlation would be perfect. Those of the table are of
the EMsoft SHT database, 20 kV in scans and 15 kV for indexing, but for FeAl,
which it lacks and which is of de-ebsd at the same voltages. So ferrite and
FeAl are not on one scale. For each scan and dose,
a row for

* the bundled model alone, pattern by pattern. A phase of a space group
  it does not know is never right,
* the bundled model pooled over grains found without phases,
* dictionary indexing with all phases, the best score wins, and the same over
  grains (the combination with no weight on the classifier),
* Hough indexing with all phases, and the planes of each that reflect
  best (PyEBSDIndex would take those of an fcc metal for all),
* the combination of the model with Hough indexing, once per phase, since
  it tells no more than the best phase of those it is given; with dictionary
  indexing; both of these over grains; with dictionary indexing of those
  points only that a phase can be of, by itself or by its grain; and with both.

Accuracy is the share of points with the right phase, and the time is that
of classification, indexing and combination, without making dictionaries.
The ratio is the time of dictionary indexing of all points with all phases
over it: what masks save, as classification counts. OUTPUT is a CSV file, by
default ``results/combination.csv`` beside this file, and a summary is
written next to it. For some scans or doses only, OUTPUT must be given.
"""

import argparse
from datetime import date
import os
from pathlib import Path
import platform
import time

from diffsims.crystallography import ReciprocalLatticeVector
import hyperspy.api as hs
import keras
import kikuchipy as kp
import numpy as np
from orix.crystal_map import CrystalMap, Phase, PhaseList
from orix.sampling import get_sample_fundamental
from orix.vector import Miller
from tables import write_table

import kikuchipy_spacegroup as kpsg

RESULT = Path(__file__).parent / "results" / "combination.csv"
SCANS = ("ferrite and FeAl", "austenite, ferrite and cementite", "aluminum and silicon")
DOSES = (1000, 200, 50)
SHAPE = (30, 40)
# Degrees between patterns of a dictionary
RESOLUTION = 3
SEED = 7
ALL_MATCHED = "dictionary indexing"


def load_masters(folder: Path, name: str) -> list[kp.signals.EBSDMasterPattern]:
    """Return the master patterns of the phases of an example."""
    masters = []
    for phase in kpsg.simulation.example_phases(name):
        path = next(folder.glob(f"{phase.name}.*"))
        if path.suffix == ".sht":
            master = kpsg.io.load_sht(path)
        else:
            master = kp.load(path, projection="lambert", hemisphere="both")
        master.phase = phase
        masters.append(master)
    return masters


def dictionaries(masters: list, detector: kp.detectors.EBSDDetector) -> list:
    """Return a dictionary per master pattern."""
    average = detector.deepcopy()
    average.pc = detector.pc_average
    made = []
    for master in masters:
        rotations = get_sample_fundamental(
            RESOLUTION, point_group=master.phase.point_group
        )
        energy = master.axes_manager["energy"].axis.max() if energies(master) else 20
        made.append(
            master.get_patterns(
                rotations, average, energy=energy, dtype_out="float32", compute=True
            )
        )
    return made


def energies(master: kp.signals.EBSDMasterPattern) -> bool:
    """Return whether a master pattern is of several energies."""
    return "energy" in [axis.name for axis in master.axes_manager.navigation_axes]


def names_of(xmap: CrystalMap) -> np.ndarray:
    """Return the name of the phase of every point."""
    names = {i: phase.name for i, phase in xmap.phases}
    return np.array([names[i] for i in xmap.phase_id.tolist()], dtype=object)


def index(s: kp.signals.EBSD, made: list, masks: dict | None = None) -> list:
    """Return maps of dictionary indexing, one per phase."""
    maps = []
    for dictionary in made:
        mask = masks[dictionary.xmap.phases[0].name] if masks else None
        if mask is None or not mask.all():
            maps.append(
                s.dictionary_indexing(dictionary, keep_n=1, navigation_mask=mask)
            )
    return maps


def strong_planes(phase: Phase) -> np.ndarray:
    """Return Miller indices of the planes that reflect best, one per family."""
    n = 4 if phase.space_group.number > 194 else 6
    planes = ReciprocalLatticeVector.from_min_dspacing(phase.deepcopy(), 1)
    planes.sanitise_phase()
    planes = planes.unique(use_symmetry=True)
    planes.calculate_structure_factor()
    order = np.argsort(-np.abs(planes.structure_factor))
    families = {}
    for hkl in np.round(planes.hkl[order]).astype(int):
        hkl //= np.gcd.reduce(hkl)  # Higher orders are the same band
        alike = Miller(hkl=hkl, phase=planes.phase).symmetrise(unique=True).hkl
        families.setdefault(min(map(tuple, alike.round().astype(int).tolist())), hkl)
    return np.array(list(families.values())[:n])


def measure(name: str, dose: float, scan_masters: list, masters: list, model) -> list:
    """Return a row per method."""
    raw = kpsg.simulate_scan(
        scan_masters,
        SHAPE,
        phase_fractions=[1 / len(masters)] * len(masters),
        camera=kpsg.Camera(dose=dose),
        seed=SEED,
    )
    truth = names_of(raw.xmap)
    s = raw.deepcopy()
    s.remove_static_background()
    s.remove_dynamic_background()
    made = dictionaries(masters, s.detector)
    phases = PhaseList([master.phase for master in masters])
    of_group = {phase.space_group.number: phase.name for _, phase in phases}
    rows = []

    def add(method: str, names: np.ndarray, seconds: float, matched: float) -> None:
        row = {
            "scan": name, "dose": dose, "method": method,
            "accuracy": round(float((names == truth).mean()), 3),
            "seconds": round(seconds, 3), "share_matched": round(matched, 3),
        }  # fmt: skip
        rows.append(row)

    start = time.perf_counter()
    xmap = raw.classify_space_group(model, keep_probabilities=True)
    classified = time.perf_counter() - start

    def by_group(found: CrystalMap) -> np.ndarray:
        # Which of the candidates it is: others are not in the question
        p, numbers = kpsg.maps.probabilities_from_map(found)
        there = [i for i, n in enumerate(numbers) if n in of_group]
        best = p[:, there].argmax(axis=1)
        names = [of_group[numbers[i]] for i in there]
        return np.array(names, dtype=object)[best]

    add("classifier", by_group(xmap), classified, 0)
    start = time.perf_counter()
    grains = kpsg.maps.grains_from_patterns(s)
    pooled = kpsg.pool_grains(xmap, grains)
    pooling = time.perf_counter() - start
    add("classifier, pooled over grains", by_group(pooled), classified + pooling, 0)

    start = time.perf_counter()
    maps = index(s, made)
    scores = np.stack([found.scores.ravel() for found in maps])
    best = np.array([names_of(found)[0] for found in maps], dtype=object)
    everywhere = time.perf_counter() - start
    add(ALL_MATCHED, best[scores.argmax(axis=0)], everywhere, 1)
    start = time.perf_counter()
    alone = kpsg.combine(xmap, maps, grain_ids=grains, weights={"classifier": 0})
    seconds = everywhere + pooling + time.perf_counter() - start
    add("dictionary indexing, over grains", names_of(alone), seconds, 1)

    def find_bands(several: PhaseList) -> CrystalMap:
        planes = [strong_planes(phase) for _, phase in several]
        indexer = s.detector.get_indexer(several, planes)
        return s.hough_indexing(several, indexer, verbose=0)

    find_bands(phases)  # What is compiled once does not count
    start = time.perf_counter()
    hough = find_bands(phases)
    bands = time.perf_counter() - start
    add("Hough indexing", names_of(hough), bands, 0)
    start = time.perf_counter()
    each = [find_bands(PhaseList(phase)) for _, phase in phases]
    bands = time.perf_counter() - start

    def index_some(groups: CrystalMap) -> tuple[list, float, float]:
        start = time.perf_counter()
        masks = kpsg.maps.navigation_masks(
            groups, phases, threshold=model.conformal_thresholds[0.9]
        )
        some = index(s, made, masks)
        share = 1 - np.mean(list(masks.values()))
        return some, time.perf_counter() - start, share

    some, matching, matched = index_some(xmap)
    of_grains, matching_grains, matched_grains = index_some(pooled)
    matching_grains += pooling
    for title, several, labels, seconds, share in (
        ("with Hough indexing", each, None, bands, 0),
        ("with Hough indexing, over grains", each, grains, bands + pooling, 0),
        ("with dictionary indexing", maps, None, everywhere, 1),
        ("with dictionaries, over grains", maps, grains, everywhere + pooling, 1),
        ("with dictionaries, masked", some, None, matching, matched),
        (
            "with dictionaries, masked over grains",
            of_grains,
            grains,
            matching_grains,
            matched_grains,
        ),
        ("with both", [*maps, *each], None, everywhere + bands, 1),
    ):
        start = time.perf_counter()
        combined = kpsg.combine(xmap, several, grain_ids=labels)
        seconds += classified + time.perf_counter() - start
        add(title, names_of(combined), seconds, float(share))
    for row in rows:
        row["ratio"] = round(everywhere / row["seconds"], 2)
        print(row, flush=True)
    return rows


def summarize(rows: list[dict], path: Path) -> None:
    """Write a row per method: accuracy per scan and dose, and mean times.

    Ratios are those of the times of all doses of a scan.
    """
    table = []
    there = [name for name in SCANS if name in {row["scan"] for row in rows}]
    for method in dict.fromkeys(row["method"] for row in rows):
        of_method = [row for row in rows if row["method"] == method]
        line = {"method": method}
        for name in there:
            values = [
                float(row["accuracy"]) for row in of_method if row["scan"] == name
            ]
            line[name] = " / ".join(f"{value:.3f}" for value in values)
        line["seconds"] = f"{seconds_of(rows, method, there) / len(of_method):.1f}"
        ratios = [
            seconds_of(rows, ALL_MATCHED, [name]) / seconds_of(rows, method, [name])
            for name in there
        ]
        line["dictionary time / time"] = " / ".join(f"{ratio:.2f}" for ratio in ratios)
        table.append(line)
    write(table, path)


def seconds_of(rows: list[dict], method: str, scans: list[str]) -> float:
    """Return the total time of a method on some scans."""
    return sum(
        float(row["seconds"])
        for row in rows
        if row["method"] == method and row["scan"] in scans
    )


def write(rows: list[dict], path: Path) -> None:
    """Write rows as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, rows)


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description="Classifier, indexing and both")
    parser.add_argument("scan_masters", type=Path)
    parser.add_argument("index_masters", type=Path)
    parser.add_argument("output", type=Path, nargs="?", default=RESULT)
    parser.add_argument("--scans", nargs="+", choices=SCANS, default=SCANS)
    parser.add_argument("--doses", nargs="+", type=float, default=DOSES)
    args = parser.parse_args()
    everything = (tuple(args.scans), tuple(args.doses)) == (SCANS, DOSES)
    if args.output == RESULT and not everything:
        parser.error("Give OUTPUT with --scans or --doses: the table is of all of them")
    hs.preferences.General.show_progressbar = False
    model = kpsg.load_model()
    model.predict(kp.data.nickel_ebsd_small().data.reshape(-1, 60, 60))
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {keras.backend.backend()}"
    rows = []
    for name in args.scans:
        masters = [
            load_masters(i, name) for i in (args.scan_masters, args.index_masters)
        ]
        for dose in args.doses:
            for row in measure(name, dose, *masters, model):
                rows.append(
                    row
                    | {
                        "points": int(np.prod(SHAPE)),
                        "seed": SEED,
                        "model": model.metadata.get("date", ""),
                        "date": date.today().isoformat(),
                        "machine": machine,
                    }
                )
    write(rows, args.output)
    summarize(rows, args.output.with_stem(args.output.stem + "_summary"))


if __name__ == "__main__":
    main()

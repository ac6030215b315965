# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Classify a scan from the shell: ``python -m kikuchipy_spacegroup``."""

import argparse
import logging
import math
import os
from pathlib import Path
import sys
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from kikuchipy.signals import EBSD
    from matplotlib.figure import Figure
    from orix.crystal_map import CrystalMap
    import pandas as pd

    from kikuchipy_spacegroup.phases import (
        CheckedCandidates,
        FoundPhases,
        StructureSearch,
    )

# Not of this module's name, which is "__main__" in a shell
_logger = logging.getLogger("kikuchipy_spacegroup.phases")

# Lines of the summary
_N_SYMMETRIES = 8
# Candidates printed for a phase
_N_CANDIDATES = 10


def summary(xmap: "CrystalMap") -> str:
    """Return the share and mean probability of space groups and symmetries.

    Parameters
    ----------
    xmap
        Map from
        :func:`~kikuchipy_spacegroup.classification.classify_space_group`.

    Returns
    -------
    table
        One line per space group, the most frequent first. Then the same
        of the finest symmetry that is more probable than one half, with
        no more than eight lines, and the levels that say nothing.
    """
    from kikuchipy_spacegroup import space_groups
    from kikuchipy_spacegroup.maps import symmetry_map

    rows = []
    numbers, counts = np.unique(xmap.phase_id, return_counts=True)
    for i in np.argsort(-counts):
        n = int(numbers[i])
        # One of an enantiomorphic pair has the name of both
        name = "not identified" if n < 0 else f"{n} ({xmap.phases[n].name})"
        score = xmap.prop["scores"][xmap.phase_id == n].mean()
        rows.append((name, counts[i] / xmap.size, f"{score:16.2f}"))
    n_groups = len(rows)
    symmetry = symmetry_map(xmap)
    ids, counts = np.unique(symmetry.phase_id, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    for i in order[:_N_SYMMETRIES]:
        n = int(ids[i])
        name = "not identified" if n < 0 else symmetry.phases[n].name
        level = "" if n < 0 else space_groups.CHAIN[n // 1000].replace("_", " ")
        score = symmetry.prop["scores"][symmetry.phase_id == n].mean()
        rows.append((name, counts[i] / xmap.size, f"{score:16.2f}  {level}"))
    if len(rest := order[_N_SYMMETRIES:]):
        rows.append((f"{len(rest)} others", counts[rest].sum() / xmap.size, ""))
    width = max(16, *(len(name) for name, *_ in rows))
    lines = [
        f"{name:{width}} {share:6.1%}  {text}".rstrip() for name, share, text in rows
    ]
    lines.insert(
        n_groups, f"\n{'finest symmetry':{width}}  share  mean probability  level"
    )
    lines.insert(0, f"{'space group':{width}}  share  mean probability")
    known = (xmap.prop["chain_ids"] > 0).any(axis=0)
    if known.any() and not known.all():
        same = [i.replace("_", " ") for i, k in zip(space_groups.CHAIN, known) if not k]
        lines.append(f"The same for all space groups of the model: {', '.join(same)}")
    return "\n".join(lines)


def summary_of_phases(
    found: "FoundPhases", candidates: "pd.DataFrame | None" = None
) -> str:
    """Return a table of phases found in a scan, and of what they may be.

    Parameters
    ----------
    found
        Phases from :func:`~kikuchipy_spacegroup.phases.find_phases`.
    candidates
        Structures from
        :func:`~kikuchipy_spacegroup.phases.list_candidates`.

    Returns
    -------
    table
        One line per phase, the largest first, and one for what is no
        crystal. Below each phase are its candidates, ten at most, with
        the probability of their space group.
    """
    from kikuchipy_spacegroup.space_groups import symbol

    width = max(16, *(len(name) for name in [*found.table["name"], ""]))
    head = f"{'phase':{width}}  share  grains  probability  finest symmetry"
    lines = [head]
    for i, row in found.table.iterrows():
        level = row["level"].replace("_", " ")
        answer, probability = f"{row['symmetry']} ({level})", row["probability"]
        if not level:
            probability = row["space_group_probability"]
            answer = f"not sure, {symbol(row['space_group'])} is best"
        lines.append(
            f"{row['name']:{width}} {row['fraction']:6.1%}  {row['n_grains']:6d}  "
            f"{probability:11.2f}  {answer}"
        )
        if candidates is None:
            continue
        mine = candidates[candidates["phase"] == i]
        for _, structure in mine[:_N_CANDIDATES].iterrows():
            text = f"{structure['candidate']}, {structure['formula']}, "
            text += f"{symbol(structure['space_group'])} ({structure['identifier']})"
            lines.append(f"{'':{width + 17}}{structure['probability']:11.2f}  {text}")
        if (n := len(mine) - _N_CANDIDATES) > 0:
            lines.append(f"{'':{width + 30}}and {n} more")
        if not len(mine):
            lines.append(f"{'':{width + 30}}no candidate among the structures")
    none = float((found.xmap.phase_id == -1).mean())
    lines.append(f"{'no crystal':{width}} {none:6.1%}")
    return "\n".join(lines)


def summary_of_check(checked: "CheckedCandidates") -> str:
    """Return a table of candidates that were matched with patterns.

    Parameters
    ----------
    checked
        Candidates from
        :func:`~kikuchipy_spacegroup.phases.check_candidates`.

    Returns
    -------
    table
        The best ten answers for each phase.
    """
    from kikuchipy_spacegroup.space_groups import symbol

    lines = ["phase  match  probability  candidate"]
    for i, here in checked.table.groupby("phase", sort=False):
        for row in here[:_N_CANDIDATES].to_dict("records"):
            match = f"{row['match']:5.2f}" if row["formula"] else f"{'':5}"
            text = row["candidate"]
            if row["formula"]:
                text += f", {row['formula']}, {symbol(row['space_group'])}"
                text += f" ({row['simulation']})"
            lines.append(f"{i:5d}  {match}  {row['probability']:11.2f}  {text}")
    return "\n".join(lines)


def _make_parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments in a shell."""
    parser = argparse.ArgumentParser(
        prog="python -m kikuchipy_spacegroup",
        description="Read the space group off every EBSD pattern of a scan.",
    )
    parser.add_argument(
        "scan",
        nargs="?",
        help="file of a format kikuchipy reads; if not given, the small nickel scan "
        "that comes with kikuchipy is classified",
    )
    parser.add_argument(
        "-o", "--output", type=Path, help="write the map to this .h5 or .ang file"
    )
    parser.add_argument(
        "--png",
        type=Path,
        help="write the picture to this file (default: beside the output, else "
        "space_groups.png, or phases.png with --phases)",
    )
    parser.add_argument("--model", help="model file (default: the bundled model)")
    parser.add_argument(
        "--space-groups",
        type=int,
        nargs="+",
        metavar="NUMBER",
        help="space groups that are possible (default: all the model knows)",
    )
    parser.add_argument(
        "--min-probability",
        type=float,
        help="smallest probability to count as identified (default: the model's)",
    )
    parser.add_argument(
        "--engine",
        choices=("auto", "keras", "onnxruntime", "openvino"),
        help="what runs the network (default: the fastest that is installed)",
    )
    parser.add_argument(
        "--estimate-center",
        action="store_true",
        help="estimate the projection center from the symmetry of the patterns, "
        "whatever the scan tells",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an existing output file"
    )
    _add_phase_arguments(parser)
    return parser


def _add_phase_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to find phases."""
    group = parser.add_argument_group("phases without any candidates")
    group.add_argument(
        "--phases",
        action="store_true",
        help="find the phases of the scan, print a table and draw a page of them",
    )
    group.add_argument(
        "--elements",
        nargs="+",
        metavar="ELEMENT",
        help="elements that may occur, to list structures the phases may be",
    )
    group.add_argument(
        "--structures",
        metavar="FOLDER",
        help="folder of CIFs to search for structures, or another source of "
        "search_structures() (default: amcsd, which needs larixite)",
    )
    group.add_argument(
        "--check",
        action="store_true",
        help="match these structures with the patterns of each phase, which needs a "
        "calibrated detector in the scan, or --estimate-center",
    )
    group.add_argument(
        "--energy", type=float, help="beam energy in keV, if the scan does not tell it"
    )


def main(arguments: list[str] | None = None) -> int:
    """Classify a scan, print a summary and write a picture.

    Parameters
    ----------
    arguments
        Command line arguments. If not given, those of the process.

    Returns
    -------
    status
        0 if all went well, 2 if the input was not usable, 130 if it was
        interrupted.
    """
    args = _make_parser().parse_args(arguments)
    logging.basicConfig(level="WARNING", format="%(message)s")
    logging.getLogger("kikuchipy_spacegroup").setLevel("INFO")
    try:
        _classify_file(args)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: what was written is kept", file=sys.stderr)
        return 130
    return 0


def _check_picture(path: Path) -> None:
    """Raise an error if a picture cannot be written to a file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    formats = sorted(FigureCanvasAgg.get_supported_filetypes())
    if path.suffix[1:].lower() not in formats:
        raise ValueError(
            f"Pictures are written to files ending with .{', .'.join(formats)}, not "
            f"{path.name!r}"
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write to")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise PermissionError(f"You may not write to {path}")


def _check_paths(args: argparse.Namespace, picture: Path) -> None:
    """Raise an error if results cannot be written, or would replace the scan."""
    from kikuchipy_spacegroup.maps._crystal_map import check_map_path

    if args.output is not None:
        check_map_path(args.output, overwrite=args.overwrite)
    _check_picture(picture)
    if args.scan is None or not os.path.exists(args.scan):
        return
    for path in (args.output, picture):
        if path is not None and path.exists() and path.samefile(args.scan):
            raise ValueError(f"{path} is the scan itself, and is not replaced")


def _classify_file(args: argparse.Namespace) -> None:
    """Classify a scan, print what is in its map, and write picture and map."""
    import kikuchipy as kp
    import matplotlib

    matplotlib.use("Agg")
    from kikuchipy_spacegroup import classify_space_group, plot, save_map
    from kikuchipy_spacegroup.io._scan_file import load_scan
    from kikuchipy_spacegroup.maps._crystal_map import check_map_path
    from kikuchipy_spacegroup.models._engine_choice import engine_of, select_engine

    picture = args.png
    if picture is None:
        default = "phases" if args.phases else "space_groups"
        picture = (args.output or Path(default)).with_suffix(".png")
    _check_paths(args, picture)
    _check_phase_arguments(args)
    s = kp.data.nickel_ebsd_small() if args.scan is None else load_scan(args.scan)
    if args.output is not None:
        n_points = math.prod(s.axes_manager.navigation_shape)
        check_map_path(args.output, overwrite=args.overwrite, n_points=n_points)
    n_points = math.prod(s.axes_manager.navigation_shape)
    model, runner = select_engine(args.model, args.engine, n_points)
    structures = _search_structures(args)
    _set_center(args, s)
    print(model, end="\n\n")
    xmap = classify_space_group(
        s,
        model,
        space_groups=args.space_groups,
        min_probability=args.min_probability,
        keep_probabilities=args.phases,
        engine=engine_of(runner)[0],
    )
    print(xmap, summary(xmap), sep="\n\n")
    if args.phases:
        found = _find_phases(s, xmap, structures)
        xmap, figure = found.xmap, plot.plot_phases(found, s)
    else:
        figure = plot.plot_patterns(s, xmap)
    figure.savefig(picture, dpi=150)
    print(f"\nPicture written to {picture}")
    if args.output is not None:
        save_map(args.output, xmap, overwrite=args.overwrite)
        print(f"Map written to {args.output}")
    if args.check:
        # What is found is printed and written before
        figure = _match_candidates(args, s, found, structures)
        figure.savefig(picture, dpi=150)
        print(f"\nPicture written again to {picture}, with orientations")


def _set_center(args: argparse.Namespace, s: "EBSD") -> None:
    """Estimate the projection center of a scan, or check that it is there if needed."""
    from kikuchipy_spacegroup.patterns._projection_centers import is_unknown

    if args.estimate_center:
        from kikuchipy_spacegroup.detectors import estimate_projection_center

        estimate = estimate_projection_center(s)
        print(estimate, end="\n\n")
        s.detector = estimate.detector
    elif args.check and is_unknown(s.detector.pc):
        raise ValueError(
            "--check needs a calibrated detector, and the projection center of the scan "
            "is unknown. Give --estimate-center, too, or a scan with its detector"
        )


def _match_candidates(
    args: argparse.Namespace,
    s: "EBSD",
    found: "FoundPhases",
    structures: "StructureSearch",
) -> "Figure":
    """Match structures with patterns, print how, and draw the page again."""
    from kikuchipy_spacegroup import plot
    from kikuchipy_spacegroup.phases import check_candidates

    checked = check_candidates(s, found, structures, energy=args.energy)
    print(f"\n{summary_of_check(checked)}")
    return plot.plot_phases(found, s, checked)


def _check_phase_arguments(args: argparse.Namespace) -> None:
    """Raise an error if arguments to find phases do not go together."""
    if args.elements is not None and not args.phases:
        raise ValueError("--elements are those of phases: give --phases, too")
    if args.structures is not None and args.elements is None:
        raise ValueError(
            "--structures are searched by elements: give --phases and --elements, such "
            "as --elements Fe Cr C"
        )
    if args.check and args.elements is None:
        raise ValueError(
            "--check matches structures of some elements: give --phases and --elements"
        )


def _search_structures(args: argparse.Namespace) -> "StructureSearch | None":
    """Return the structures of some elements, if there are elements."""
    from kikuchipy_spacegroup.phases import search_structures

    if args.elements is None:
        return None
    try:
        search = search_structures(args.elements, source=args.structures or "amcsd")
    except ImportError as error:
        raise ImportError(
            f"{error} Or give a folder of CIFs to --structures"
        ) from error
    print(f"{len(search)} structures of {', '.join(args.elements)}", end="\n\n")
    return search


def _find_phases(
    s: "EBSD", xmap: "CrystalMap", structures: "StructureSearch | None"
) -> "FoundPhases":
    """Find the phases of a scan, and print what they may be."""
    from kikuchipy_spacegroup.maps import grains_from_patterns
    from kikuchipy_spacegroup.phases import find_phases, list_candidates

    _logger.info("Finding grains in %i patterns", xmap.is_in_data.size)
    grain_ids = grains_from_patterns(s)
    _logger.info("Finding phases in %i grains", grain_ids.max(initial=-1) + 1)
    found = find_phases(xmap, grain_ids=grain_ids)
    candidates = None if structures is None else list_candidates(found, structures)
    print(f"\n{summary_of_phases(found, candidates)}")
    return found


if __name__ == "__main__":
    sys.exit(main())

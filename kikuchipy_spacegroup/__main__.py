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
    from orix.crystal_map import CrystalMap

# Lines of the summary
_N_SYMMETRIES = 8


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
        "space_groups.png)",
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
        "--overwrite", action="store_true", help="replace an existing output file"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Classify a scan, print a summary and write a picture.

    Parameters
    ----------
    arguments
        Command line arguments. If not given, those of the process.

    Returns
    -------
    status
        0 if all went well, 2 if the input was not usable.
    """
    args = _make_parser().parse_args(arguments)
    logging.basicConfig(level="WARNING", format="%(message)s")
    logging.getLogger("kikuchipy_spacegroup").setLevel("INFO")
    try:
        _classify_file(args)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
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
        picture = (args.output or Path("space_groups")).with_suffix(".png")
    _check_paths(args, picture)
    s = kp.data.nickel_ebsd_small() if args.scan is None else load_scan(args.scan)
    if args.output is not None:
        n_points = math.prod(s.axes_manager.navigation_shape)
        check_map_path(args.output, overwrite=args.overwrite, n_points=n_points)
    n_points = math.prod(s.axes_manager.navigation_shape)
    model, runner = select_engine(args.model, args.engine, n_points)
    print(model, end="\n\n")
    xmap = classify_space_group(
        s,
        model,
        space_groups=args.space_groups,
        min_probability=args.min_probability,
        engine=engine_of(runner)[0],
    )
    print(xmap, summary(xmap), sep="\n\n")
    figure = plot.plot_patterns(s, xmap)
    figure.savefig(picture, dpi=150)
    print(f"\nPicture written to {picture}")
    if args.output is not None:
        save_map(args.output, xmap, overwrite=args.overwrite)
        print(f"Map written to {args.output}")


if __name__ == "__main__":
    sys.exit(main())

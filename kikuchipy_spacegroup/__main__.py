# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Classify a scan from the shell: ``python -m kikuchipy_spacegroup``."""

import argparse
import logging
from pathlib import Path
import sys
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap


def summary(xmap: "CrystalMap") -> str:
    """Return the share and mean probability of every space group.

    Parameters
    ----------
    xmap
        Map from
        :func:`~kikuchipy_spacegroup.classification.classify_space_group`.

    Returns
    -------
    table
        One line per space group, the most frequent first.
    """
    from kikuchipy_spacegroup import space_groups

    numbers, counts = np.unique(xmap.phase_id, return_counts=True)
    lines = ["space group       share  mean probability"]
    for i in np.argsort(-counts):
        n = int(numbers[i])
        name = "not identified" if n < 0 else f"{n} ({space_groups.label(n)})"
        score = xmap.prop["scores"][xmap.phase_id == n].mean()
        lines.append(f"{name:16} {counts[i] / xmap.size:6.1%}  {score:16.2f}")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
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
        "--min-probability",
        type=float,
        help="smallest probability to count as identified (default: the model's)",
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
    args = _parser().parse_args(arguments)
    logging.basicConfig(level="WARNING", format="%(message)s")
    logging.getLogger("kikuchipy_spacegroup").setLevel("INFO")
    try:
        _run(args)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _run(args: argparse.Namespace) -> None:
    import kikuchipy as kp
    import matplotlib

    matplotlib.use("Agg")
    from kikuchipy_spacegroup import classify_space_group, load_model, plot, save_map
    from kikuchipy_spacegroup.crystal_map import check_map_path

    if args.output is not None:
        check_map_path(args.output, overwrite=args.overwrite)
    picture = args.png
    if picture is None:
        picture = (args.output or Path("space_groups")).with_suffix(".png")
    if args.scan is None:
        s = kp.data.nickel_ebsd_small()
    else:
        s = kp.load(args.scan, lazy=True)
    model = load_model(args.model)
    print(model, end="\n\n")
    xmap = classify_space_group(s, model, min_probability=args.min_probability)
    print(xmap, summary(xmap), sep="\n\n")
    figure = plot.plot_patterns(s, xmap)
    figure.savefig(picture, dpi=150)
    print(f"\nPicture written to {picture}")
    if args.output is not None:
        save_map(args.output, xmap, overwrite=args.overwrite)
        print(f"Map written to {args.output}")


if __name__ == "__main__":
    sys.exit(main())

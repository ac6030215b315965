# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repeat the six experiments of Kaufmann et al. 2020 on simulations.

Usage::

    python recipes/kaufmann2020/run.py OUTPUT

Simulates master patterns and patterns, trains and tests, and writes
tables and figures to OUTPUT/results. The same command goes on after an
interruption. See README.md for what is reduced without ``--full``.
"""

import argparse
from dataclasses import asdict, replace
import hashlib
from importlib.util import find_spec
import json
import logging
from pathlib import Path
import subprocess
import sys

from materials import EXPERIMENTS, is_like_a_material

_logger = logging.getLogger("kaufmann2020")
HERE = Path(__file__).parent


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description="Repeat Kaufmann et al. 2020")
    parser.add_argument("output", type=Path)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--full", action="store_true", help="as in the paper")
    size.add_argument("--tiny", action="store_true", help="see that everything runs")
    parser.add_argument("--masters", type=Path, help="folder of master patterns")
    parser.add_argument("--pretrained", type=Path, help="model to go on from")
    parser.add_argument(
        "--grains",
        type=int,
        default=50,
        help="number of grains the patterns of a material are of, 0 for a grain of its "
        "own for every pattern",
    )
    parser.add_argument("--epochs", type=int, help="largest number, of all networks")
    cameras = ["paper", "fast"]
    parser.add_argument("--cameras", nargs="+", choices=cameras, default=cameras)
    networks = ["residual", "pretrained", "xception"]
    parser.add_argument("--networks", nargs="+", choices=networks)
    numbers = list(EXPERIMENTS)
    parser.add_argument(
        "--experiments", type=int, nargs="+", choices=numbers, default=numbers
    )
    args = parser.parse_args(arguments)
    if args.grains < 0:
        parser.error("--grains must be 0 or more")
    return args


def plan(args: argparse.Namespace) -> list[tuple[str, str, int]]:
    """Return cameras, networks and experiments in the order they are run.

    Where networks are not chosen and without ``--full``, Xception, which
    takes ten times as long as the residual network, repeats only what
    the paper has numbers of.
    """
    networks = args.networks
    if networks is None:
        pretrained = ["pretrained"] if args.pretrained else []
        networks = ["residual", *pretrained, "xception"]
    if "pretrained" in networks and args.pretrained is None:
        raise SystemExit("--networks pretrained needs --pretrained MODEL")
    return [
        (camera, network, number)
        for network in networks
        for camera in args.cameras
        for number in args.experiments
        if args.full
        or args.networks
        or network != "xception"
        or (camera == "paper" and EXPERIMENTS[number].accuracy)
    ]


def check_same(path: Path, settings: dict) -> None:
    """Keep settings in a file, or raise if others are there."""
    if not path.exists():
        path.write_text(json.dumps(settings, indent=1))
    before = json.loads(path.read_text())
    if before != json.loads(json.dumps(settings)):
        raise SystemExit(
            f"{path.parent} holds results of other settings: {before}, not "
            f"{settings}. Choose another folder"
        )


def check_pretrained(path: Path) -> str:
    """Return the hash of a model, or raise if it has seen one of the materials."""
    from kikuchipy_spacegroup.models import load_model

    phases = load_model(path).metadata.get("phases")
    if phases is None:
        raise SystemExit(f"{path} does not say what phases it was trained on")
    seen = [phase for phase in phases if is_like_a_material(*_name_and_group(phase))]
    if seen:
        raise SystemExit(
            f"{path} was trained on {sorted(seen)}, so that nothing would be unseen. "
            "See README.md on how to make a model without them"
        )
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _name_and_group(phase: str) -> tuple[str, int | None]:
    """Return the parts of a phase like ``"Al (225)"``."""
    name, _, rest = phase.partition(" (")
    number = rest.removesuffix(")")
    return name, int(number) if number.isdigit() else None


def check_packages() -> None:
    """Raise now if a package is missing that figures need in the end."""
    if find_spec("pyebsdindex") is None:
        raise SystemExit(
            "Figures need the package PyEBSDIndex, which is not installed. Install it "
            "with 'pip install kikuchipy-spacegroup[hough]'"
        )


def simulate_masters(folder: Path, half_width: int, how: str) -> None:
    """Simulate in another process, as TensorFlow and PyTorch do not get along."""
    script = [sys.executable, str(HERE / "masters.py"), str(folder)]
    options = ["--half-width", str(half_width), "--method", how]
    subprocess.run([*script, *options], check=True)


def main(arguments: list[str] | None = None) -> None:
    """Run what is not there yet, then write tables and figures."""
    args = parse(arguments)
    check_packages()
    args.output.mkdir(parents=True, exist_ok=True)
    handlers = [logging.FileHandler(args.output / "log.txt"), logging.StreamHandler()]
    logging.basicConfig(
        level="INFO", format="%(asctime)s %(message)s", handlers=handlers
    )
    runs = plan(args)
    if args.pretrained is not None:
        digest = check_pretrained(args.pretrained)
        check_same(args.output / "pretrained.json", {"sha256": digest})

    import experiment
    import explanations
    import figures
    import masters
    import patterns
    import tables

    from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary

    settings = experiment.REDUCED
    settings = experiment.FULL if args.full else settings
    settings = experiment.TINY if args.tiny else settings
    settings = replace(settings, n_grains=args.grains or None)
    if args.epochs is not None:
        settings = replace(settings, epochs=dict.fromkeys(settings.epochs, args.epochs))
    how = "kinematical" if args.tiny else masters.method()
    source = f"files in {args.masters.name}" if args.masters else masters.describe(how)
    check_same(
        args.output / "settings.json", asdict(settings) | {"master_patterns": source}
    )
    if args.masters:
        library = masters.from_files(args.masters, settings.half_width)
        (args.output / "masters").mkdir(exist_ok=True)
        library.save(args.output / "masters" / "library.npz")
    else:
        if how == "kinematical" and not args.tiny:
            _logger.warning("de-ebsd is not installed: kinematical master patterns")
        simulate_masters(args.output / "masters", settings.half_width, how)
    library = MasterPatternLibrary.load(args.output / "masters" / "library.npz")
    for camera in args.cameras:
        patterns.write_patterns(
            args.output / "patterns" / camera,
            library,
            camera,
            settings.n_patterns,
            settings.size,
            settings.n_grains,
        )
    for camera, network, number in runs:
        folder = args.output / camera / network
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / f"experiment_{number}.csv").exists():
            continue
        experiment.run(
            number,
            network,
            args.output / "patterns" / camera,
            folder,
            settings,
            args.pretrained,
        )
        # What there is so far
        tables.write_tables(args.output)
    explanations.write_explanations(args.output)
    tables.write_tables(args.output)
    figures.write_figures(args.output)


if __name__ == "__main__":
    main()

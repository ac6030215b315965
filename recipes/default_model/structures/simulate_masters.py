# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulate dynamical master patterns of the structures in ``structures.csv``.

Bloch wave master patterns are computed with `de-ebsd
<https://pypi.org/project/de-ebsd>`__ and written in EMsoft's HDF5 layout, so that
``kikuchipy.load(file, projection="lambert", hemisphere="both")`` reads them. Each
file holds one phase at one beam voltage. A file which exists is not simulated again
and a file under way is claimed with a ``.lock`` file beside it, so the script can be
stopped, resumed and run in several processes on the same output folder::

    pip install torch de-ebsd  # the CPU build of PyTorch is enough
    python simulate_masters.py masters/ --threads 1 &
    python simulate_masters.py masters/ --threads 1

The table has one structure per row and these columns:

``name``
    Unique name of the structure, used as file name and phase name.
``prototype``
    Structure type, with its Strukturbericht symbol where it has one.
``space_group``
    Number of the space group in the International Tables, standard setting.
``origin``
    Origin choice of the positions: 2 (inversion center at the origin) in groups
    tabulated with two choices, otherwise 1.
``a``, ``b``, ``c``
    Lattice parameters in nm.
``alpha``, ``beta``, ``gamma``
    Lattice angles in degrees.
``sites``
    Asymmetric unit, sites separated by semicolons, each written as
    ``element x y z occupancy B`` with positions in fractions of the lattice vectors
    and the isotropic Debye-Waller factor B in nm^2. Mixed sites are written as
    several sites with the same position.
``method``
    ``dynamical`` if simulated by this script, ``kinematical`` if the structure has so
    many atoms that it is better simulated kinematically, with kikuchipy and diffsims
    from the phases returned by :func:`load_structures`.
``depths``
    Optional: factors on the exit depths of the Monte Carlo simulation, of which each
    makes a master pattern. If not given, three are drawn from the name: programs and
    energies differ in it, and nickel at half the depth is less like nickel than like
    Ni3Si.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
import csv
import os
from pathlib import Path
import sys
import time
from typing import TYPE_CHECKING, NamedTuple
import zlib

import numpy as np

if TYPE_CHECKING:
    from orix.crystal_map import Phase

TABLE = Path(__file__).with_name("structures.csv")

# Voltages in kV, of which one is drawn per structure from its name
VOLTAGES = (10.0, 15.0, 15.0, 20.0, 20.0, 20.0, 20.0, 25.0, 25.0, 30.0)

# Ranges of factors on the exit depths
DEPTHS = (0.8, 1.4), (0.4, 0.7), (0.2, 0.35)


class Site(NamedTuple):
    """One site of the asymmetric unit.

    Parameters
    ----------
    element
        Element symbol.
    position
        Fractional coordinates.
    occupancy
        Fraction of the site occupied by this element.
    debye_waller
        Isotropic Debye-Waller factor B in nm^2.
    """

    element: str
    position: tuple[float, float, float]
    occupancy: float
    debye_waller: float


def parse_sites(text: str) -> list[Site]:
    """Return the asymmetric unit written in a cell of the table.

    Parameters
    ----------
    text
        Sites separated by semicolons, each ``element x y z occupancy B``.

    Returns
    -------
    sites
        Sites in the order written.
    """
    sites = []
    for part in text.split(";"):
        element, *numbers = part.split()
        x, y, z, occupancy, debye_waller = (float(n) for n in numbers)
        sites.append(Site(element, (x, y, z), occupancy, debye_waller))
    return sites


def format_sites(sites: Iterable[Site]) -> str:
    """Return what :func:`parse_sites` reads."""
    return "; ".join(
        " ".join(
            [
                site.element,
                *(f"{x:.6g}" for x in site.position),
                f"{site.occupancy:g}",
                f"{site.debye_waller:.4f}",
            ]
        )
        for site in sites
    )


def read_table(path: str | Path = TABLE) -> list[dict]:
    """Return the rows of the table of structures.

    Parameters
    ----------
    path
        Path to the table.

    Returns
    -------
    rows
        One dictionary per structure, keyed by the columns, with numbers converted and
        *sites* as a list of :class:`Site`.
    """
    rows = []
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for key in ("space_group", "origin"):
                row[key] = int(row[key])
            for key in ("a", "b", "c", "alpha", "beta", "gamma"):
                row[key] = float(row[key])
            depths = row.get("depths") or exit_depths(row["name"])
            row["depths"] = [float(i) for i in str(depths).split()]
            row["sites"] = parse_sites(row["sites"])
            rows.append(row)
    return rows


def to_phase(row: dict) -> Phase:
    """Return the phase of a row of the table.

    Parameters
    ----------
    row
        Row of the table, see :func:`read_table`.

    Returns
    -------
    phase
        Phase with the atoms of the asymmetric unit in origin choice 1, and lattice
        parameters in angstrom.
    """
    from diffpy.structure import Atom, Lattice, Structure
    from diffpy.structure.spacegroups import GetSpaceGroup
    from orix.crystal_map import Phase

    *edges, alpha, beta, gamma = (
        row[k] for k in ("a", "b", "c", "alpha", "beta", "gamma")
    )
    lattice = Lattice(*(10 * edge for edge in edges), alpha, beta, gamma)
    shift = np.zeros(3)
    if row["origin"] == 2:
        # Half the translation of an inversion, with its center on [111]
        shift = next(
            0.5 * op.t
            for op in GetSpaceGroup(row["space_group"]).iter_symops()
            if np.allclose(op.R, -np.eye(3)) and np.allclose(op.t, op.t[0])
        )
    atoms = []
    for site in row["sites"]:
        position = (np.array(site.position) + shift) % 1.0
        atom = Atom(site.element, position, occupancy=site.occupancy)
        atom.Bisoequiv = 100 * site.debye_waller
        atoms.append(atom)
    structure = Structure(atoms=atoms, lattice=lattice, title=row["name"])
    return Phase(row["name"], space_group=row["space_group"], structure=structure)


def load_structures(
    path: str | Path = TABLE, method: str | None = None
) -> dict[str, Phase]:
    """Return phases of the table, to simulate kinematically for instance.

    Parameters
    ----------
    path
        Path to the table.
    method
        Return structures with this method only, ``"dynamical"`` or
        ``"kinematical"``. If not given, all structures are returned.

    Returns
    -------
    phases
        Phases keyed by name, see :func:`to_phase`.
    """
    return {
        row["name"]: to_phase(row)
        for row in read_table(path)
        if method is None or row["method"] == method
    }


def atoms_per_lattice_point(cell) -> int:
    """Return the number of distinct atom positions in the primitive cell.

    Parameters
    ----------
    cell
        Structure with all atoms of the unit cell.

    Returns
    -------
    count
        Number of positions, counting a mixed site once.
    """
    from kikuchipy_spacegroup.crystals import symmetry_operations

    positions = len(np.unique(np.round(cell.xyz % 1, 4) % 1, axis=0))
    rotations = symmetry_operations(cell).rotations
    return positions // int((rotations == np.eye(3)).all(axis=(1, 2)).sum())


def voltage(name: str) -> float:
    """Return the voltage to simulate a structure at.

    Parameters
    ----------
    name
        Name of the structure.

    Returns
    -------
    voltage
        Voltage in kV, always the same for the same name.
    """
    return VOLTAGES[zlib.crc32(name.encode()) % len(VOLTAGES)]


def exit_depths(name: str) -> str:
    """Return three factors on the exit depths, always the same for the same name."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return " ".join(f"{np.exp(rng.uniform(*np.log(r))):.2f}" for r in DEPTHS)


def save(path: Path, row: dict, energies: np.ndarray, patterns: np.ndarray) -> None:
    """Write a master pattern in EMsoft's HDF5 layout.

    Parameters
    ----------
    path
        Path to the new file.
    row
        Row returned by :func:`read_table`.
    energies
        Energies in keV.
    patterns
        Patterns of shape (energies, 2, width, width).
    """
    from importlib.metadata import version

    from de_ebsd.crystal.scattering import atomic_number
    import h5py

    sites = row["sites"]
    atom_data = np.array([[*s.position, s.occupancy, s.debye_waller] for s in sites])
    numbers = [atomic_number(s.element) for s in sites]
    name = row["name"]
    source = f"simulated with de-ebsd {version('de-ebsd')}".encode()
    compress = {"compression": "gzip", "shuffle": True, "chunks": True}
    with h5py.File(path, "w") as file:
        crystal = file.create_group("CrystalData")
        crystal["AtomData"] = atom_data.T.astype(np.float32)
        crystal["Atomtypes"] = np.array(numbers, np.int32)
        crystal["CrystalSystem"] = np.array([1], np.int32)
        crystal["LatticeParameters"] = np.array(
            [row[k] for k in ("a", "b", "c", "alpha", "beta", "gamma")]
        )
        crystal["Natomtypes"] = np.array([len(sites)], np.int32)
        crystal["Source"] = np.array([source])
        crystal["SpaceGroupNumber"] = np.array([row["space_group"]], np.int32)
        crystal["SpaceGroupSetting"] = np.array([row["origin"]], np.int32)
        master = file.create_group("EMData/EBSDmaster")
        master["EkeVs"] = np.asarray(energies, np.float32)
        master["numset"] = np.array([1], np.int32)
        for i, hemisphere in enumerate(("mLPNH", "mLPSH")):
            data = patterns[np.newaxis, :, i].astype(np.float32)
            master.create_dataset(hemisphere, data=data, **compress)
        header = file.create_group("EMheader/EBSDmaster")
        header["ProgramName"] = np.array([b"EMEBSDmaster.f90"])
        names = file.create_group("NMLparameters/EBSDMasterNameList")
        names["npx"] = np.array([patterns.shape[-1] // 2], np.int32)
        names = file.create_group("NMLparameters/MCCLNameList")
        names["Ebinsize"] = np.array([1.0])
        names["xtalname"] = np.array([f"{name}/{name}.xtal".encode()])


def in_turn(rows: Iterable[dict]) -> list[dict]:
    """Return rows ordered so that space groups take turns.

    Parameters
    ----------
    rows
        Rows in order of priority within each space group.

    Returns
    -------
    ordered
        The same rows.
    """
    count: dict[tuple, int] = {}
    keyed = []
    for row in rows:
        group = row["space_group"]
        of_type = (group, row["prototype"])
        n = count[of_type] = count.get(of_type, -1) + 1
        keyed.append((n, row))
    # One of each structure type, then the second of each and so on
    return [row for _, row in sorted(keyed, key=lambda item: item[0])]


def main(arguments: list[str] | None = None) -> int:
    """Simulate the structures marked dynamical in the table.

    Parameters
    ----------
    arguments
        Command line arguments. If not given, those of the process are used.

    Returns
    -------
    status
        Number of structures which failed.
    """
    parser = argparse.ArgumentParser(description="Simulate dynamical master patterns")
    parser.add_argument("output", type=Path, help="folder to write HDF5 files to")
    parser.add_argument("--table", type=Path, default=TABLE, help="structures")
    parser.add_argument("--only", nargs="+", help="names or space groups to simulate")
    parser.add_argument(
        "--voltages", nargs="+", type=float, help="in kV, all of them for every one"
    )
    parser.add_argument("--max-atoms", type=int, default=16, help="per lattice point")
    parser.add_argument("--half-width", type=int, default=100, help="of Lambert grid")
    parser.add_argument("--dmin", type=float, default=0.05, help="in nm")
    parser.add_argument("--energies", type=int, default=1, help="number to average")
    parser.add_argument("--electrons", type=int, default=50_000, help="Monte Carlo")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    parser.add_argument("--stop-after", type=float, help="minutes, start none after")
    args = parser.parse_args(arguments)

    import torch

    from kikuchipy_spacegroup.crystals import unit_cell
    from kikuchipy_spacegroup.master_patterns import simulate_bloch_waves

    torch.set_num_threads(args.threads)
    args.output.mkdir(parents=True, exist_ok=True)
    rows = [row for row in read_table(args.table) if row["method"] == "dynamical"]
    if args.only:
        only = set(args.only)
        rows = [r for r in rows if {r["name"], str(r["space_group"])} & only]

    started = time.monotonic()
    failed = 0
    jobs = [
        (row, kv)
        for row in in_turn(rows)
        for kv in args.voltages or [voltage(row["name"])]
    ]
    for row, kv in jobs:
        if args.stop_after and time.monotonic() - started > 60 * args.stop_after:
            break
        cell = unit_cell(to_phase(row))
        n_atoms = atoms_per_lattice_point(cell)
        if n_atoms > args.max_atoms:
            continue
        name, group = row["name"], row["space_group"]
        path = args.output / f"{name}_{group}_{kv:g}kv.h5"
        # One file per depth, the first one last
        paths = [
            path,
            *(path.with_stem(f"{path.stem}-x{i:g}") for i in row["depths"][1:]),
        ]
        lock = path.with_suffix(".lock")
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        try:
            if path.exists():
                continue
            start = time.monotonic()
            patterns = simulate_bloch_waves(
                cell,
                kv,
                half_width=args.half_width,
                min_dspacing=args.dmin,
                exit_depths=row["depths"],
                n_energies=args.energies,
                n_electrons=args.electrons,
                bethe_limits=(4, 8, 50),  # EMsoft's
                show_progressbar=False,
            )
            if not np.isfinite(patterns).all():
                raise ValueError("intensities are not finite")
            for each, of_depth in zip(paths[::-1], patterns[::-1]):
                part = each.with_suffix(".part")
                save(part, row, np.array([kv]), of_depth[None])
                part.rename(each)
            contrast = patterns[0].std() / patterns[0].mean()
            message = (
                f"{time.strftime('%H:%M:%S')} {path.name}: {n_atoms} atoms, "
                f"{time.monotonic() - start:.1f} s, contrast {contrast:.3f}"
            )
        except Exception as error:  # one bad structure must not stop the others
            failed += 1
            message = f"{path.name}: failed, {type(error).__name__}: {error}"
        finally:
            lock.unlink()
        print(message, file=sys.stderr, flush=True)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From crystal structures to master patterns, kept on disk."""

import hashlib
from importlib.metadata import version
import json
import logging
import os
from pathlib import Path
import tempfile
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kikuchipy_spacegroup._cif_file import read_cif
from kikuchipy_spacegroup.io._archive import read_arrays
from kikuchipy_spacegroup.kinematical import kinematical_master_pattern
from kikuchipy_spacegroup.structures import standard_cell, unit_cell

if TYPE_CHECKING:
    from kikuchipy.signals import EBSDMasterPattern
    from orix.crystal_map import Phase

_logger = logging.getLogger(__name__)
_FORMAT = 1
_PROGRAMS = {"kinematical": ("kikuchipy", "diffsims"), "dynamical": ("de-ebsd",)}
# Debye-Waller factor in nm^2 where a structure has none
_DEBYE_WALLER = 0.005


def load_phase(path: str | Path) -> "Phase":
    """Return the phase in a CIF in the standard setting.

    Parameters
    ----------
    path
        Path to the Crystallographic Information File.

    Returns
    -------
    phase
        Phase with all atoms of the conventional unit cell, in the
        setting orix and diffsims expect: unique axis b, origin choice
        1, hexagonal axes. Lattice parameters are in Angstrom. Its name
        is that of the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If the package spglib is not installed.
    ValueError
        If the file cannot be read, its atoms have no space group, or
        there are more than a thousand sites.

    See Also
    --------
    orix.crystal_map.Phase.from_cif

    Notes
    -----
    The space group is that of the atoms, since their pattern has it. If
    it is not the one in the file, this is logged as a warning.

    Examples
    --------
    >>> from kikuchipy_spacegroup.phases import load_phase
    >>> load_phase("NiAs.cif")  # doctest: +SKIP
    <name: NiAs. space group: P63/mmc. point group: 6/mmm. ...>
    """
    from diffpy.structure import LatticeError

    path = Path(path)
    structure, declared = read_cif(path)
    try:
        phase = standard_cell(structure, name=path.stem)
    except (ArithmeticError, LatticeError, ValueError) as error:
        raise ValueError(f"{path} is no crystal: {error}") from error
    if declared is not None and declared % 1000 != phase.space_group.number:
        _logger.warning(
            "%s: the file says space group %i, but the atoms have %i (%s), which is used",
            path.name,
            declared,
            phase.space_group.number,
            phase.space_group.short_name,
        )
    return phase


def simulate_master_pattern(
    phase: "Phase | str | Path",
    energy: float = 20,
    *,
    method: Literal["kinematical", "dynamical"] = "kinematical",
    half_width: int = 150,
    cache_dir: str | Path | None = None,
    **kwargs: Any,
) -> "EBSDMasterPattern":
    """Return a master pattern simulated from a structure.

    Parameters
    ----------
    phase
        Phase with a space group and atoms, or the path to a CIF.
    energy
        Beam energy in keV.
    method
        ``"kinematical"`` with kikuchipy and diffsims is fast and has
        an inversion center whatever the structure (Friedel's law).
        ``"dynamical"`` with Bloch waves by the package de-ebsd takes
        seconds to many minutes, and is what patterns look like.
    half_width
        Number of pixels between the center and the edge of the square
        maps.
    cache_dir
        Folder to keep master patterns in. If given, one that was
        simulated before from the same structure, with the same
        parameters and version of the program, is read from there.
    **kwargs
        Keyword arguments passed on to
        :func:`~kikuchipy_spacegroup.kinematical.kinematical_master_pattern`
        or :func:`dynamical_master_pattern`.

    Returns
    -------
    master_pattern
        Master pattern in the square Lambert projection with data of
        shape (2, 2 * half_width + 1, 2 * half_width + 1), the upper
        hemisphere first, and dtype float32.

    Raises
    ------
    ImportError
        If a package is missing.
    ValueError
        If the method is unknown, or the phase has no space group or no
        atoms.

    See Also
    --------
    kikuchipy.simulations.KikuchiPatternSimulator.calculate_master_pattern

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup import simulate_master_pattern
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    >>> simulate_master_pattern(mp.phase, half_width=20)
    <EBSDMasterPattern, title: ni, dimensions: (2|41, 41)>
    """
    if method not in _PROGRAMS:
        raise ValueError(f"method must be one of {list(_PROGRAMS)}, not {method!r}")
    if isinstance(phase, (str, Path)):
        phase = load_phase(phase)
    simulate = (
        dynamical_master_pattern
        if method == "dynamical"
        else kinematical_master_pattern
    )
    if cache_dir is None:
        return simulate(phase, energy, half_width=half_width, **kwargs)
    parameters = {"energy": float(energy), "half_width": half_width, **kwargs}
    path = Path(cache_dir) / f"{_key(phase, method, parameters)}.npz"
    data = _read(path, half_width)
    if data is not None:
        _logger.debug("Master pattern of %s is read from %s", phase.name, path)
        return _to_signal(data, phase, energy, method)
    signal = simulate(phase, energy, half_width=half_width, **kwargs)
    _write(path, signal.data)
    return signal


def dynamical_master_pattern(
    phase: "Phase",
    energy: float = 20,
    *,
    half_width: int = 150,
    min_dspacing: float = 0.05,
    n_electrons: int = 200_000,
) -> "EBSDMasterPattern":
    """Return a master pattern simulated with Bloch waves by de-ebsd.

    Parameters
    ----------
    phase
        Phase with a space group and the atoms of the asymmetric unit,
        or of the unit cell, in the standard setting.
    energy
        Beam energy in keV.
    half_width
        Number of pixels between the center and the edge of the returned
        square maps.
    min_dspacing
        Smallest spacing of reflecting planes in nm.
    n_electrons
        Number of electrons in the Monte Carlo simulation of the depths
        they come from.

    Returns
    -------
    master_pattern
        Master pattern as from
        :func:`~kikuchipy_spacegroup.kinematical.kinematical_master_pattern`,
        of electrons of the beam energy only.

    Raises
    ------
    ImportError
        If the package de-ebsd is not installed.
    ValueError
        If the phase has no space group or no atoms, or a rhombohedral
        lattice, which de-ebsd 0.2 cannot handle.

    Notes
    -----
    Atoms without a Debye-Waller factor get 0.005 nm^2. The time grows
    with the third power of the number of atoms in the primitive cell:
    from 6 s for nickel to 260 s for 112 atoms with half widths of 100,
    on two CPU cores.
    """
    try:
        from de_ebsd.crystal.lattice import AtomSite, Crystal
        from de_ebsd.sim.microscope import Microscope
        from de_ebsd.sim.simulator import MasterPatternSimulator
    except ImportError as error:
        raise ImportError(
            "Simulating dynamically needs the package de-ebsd. Install it with 'pip "
            "install kikuchipy-spacegroup[dynamical]', or use the kinematical method"
        ) from error
    structure = unit_cell(phase)
    number = phase.space_group.number
    if number in (146, 148, 155, 160, 161, 166, 167):
        raise ValueError(
            f"Phase {phase.name!r} has the rhombohedral space group {number}, which "
            "de-ebsd cannot handle. Use the kinematical method"
        )
    sites = [
        AtomSite(atom.element, tuple(atom.xyz), float(atom.occupancy), _b_factor(atom))
        for atom in _asymmetric_unit(phase, structure)
    ]
    # Angstrom to nm
    *edges, alpha, beta, gamma = structure.lattice.abcABG()
    edges = [edge / 10 for edge in edges]
    crystal = Crystal(*edges, alpha, beta, gamma, number, sites, origin=1)
    simulator = MasterPatternSimulator(
        crystal, Microscope(energy=1e3 * energy), npx=half_width, dmin=min_dspacing
    )
    # By default all directions at once, which takes 24 GB with 112 atoms
    result = simulator.compute(device="cpu", mc_electrons=n_electrons, chunk_size=256)
    data = result.data[0].numpy()
    return _to_signal(data.astype("float32"), phase, energy, "dynamical")


def _asymmetric_unit(phase: "Phase", structure) -> list:
    """Return the first atom of every orbit in a unit cell."""
    operations = list(phase.space_group.iter_symops())
    kept: list = []
    for atom in structure:
        images = np.array([operation(atom.xyz) for operation in operations])
        for other in kept:
            difference = images - other.xyz
            difference = np.abs(difference - np.rint(difference)).max(axis=1)
            if other.element == atom.element and difference.min() < 2e-3:
                break
        else:
            kept.append(atom)
    return kept


def _b_factor(atom) -> float:
    """Return the Debye-Waller factor of an atom in nm^2."""
    return float(atom.Bisoequiv) / 100 if atom.Bisoequiv > 0 else _DEBYE_WALLER


def _to_signal(
    data: np.ndarray, phase: "Phase", energy: float, method: str
) -> "EBSDMasterPattern":
    """Return a signal of both hemispheres in the Lambert projection."""
    from kikuchipy.signals import EBSDMasterPattern

    side = data.shape[-1]
    axes = [
        {"name": "hemisphere", "size": 2, "navigate": True},
        *(
            {"name": name, "size": side, "offset": -side // 2, "units": "px"}
            for name in ("height", "width")
        ),
    ]
    signal = EBSDMasterPattern(
        data, axes=axes, projection="lambert", hemisphere="both", phase=phase.deepcopy()
    )
    signal.metadata.set_item("General.title", phase.name or "")
    signal.metadata.set_item("Acquisition_instrument.SEM.beam_energy", float(energy))
    signal.metadata.set_item("Simulation.kinematical", method == "kinematical")
    return signal


def _key(phase: "Phase", method: str, parameters: dict[str, Any]) -> str:
    """Return the name of everything that matters."""
    structure = unit_cell(phase)
    atoms = sorted(
        [
            atom.element,
            *(round(float(x) % 1, 5) % 1 for x in atom.xyz),
            round(float(atom.occupancy), 4),
            round(float(atom.Bisoequiv), 5),
        ]
        for atom in structure
    )
    content = {
        "format": _FORMAT,
        "method": method,
        "programs": {name: version(name) for name in _PROGRAMS[method]},
        "space_group": phase.space_group.number,
        "lattice": [round(float(x), 6) for x in structure.lattice.abcABG()],
        "atoms": atoms,
        "parameters": parameters,
    }
    text = json.dumps(content, sort_keys=True, default=str)
    return f"{method}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _read(path: Path, half_width: int) -> np.ndarray | None:
    """Return data from a file, or None if there is none or it is damaged."""
    if not path.exists():
        return None
    side = 2 * half_width + 1
    try:
        arrays = read_arrays(path, "a master pattern")
        data = arrays.get("data")
        if data is None or (data.shape, data.dtype) != ((2, side, side), "float32"):
            raise ValueError(f"{path} does not have two hemispheres of {side} pixels")
        if not np.isfinite(data).all():
            raise ValueError(f"{path} has intensities that are not finite")
    except (OSError, ValueError) as error:
        _logger.warning("%s is damaged and made again: %s", path, error)
        return None
    return data


def _write(path: Path, data: np.ndarray) -> None:
    """Write data so that there is either the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=path.parent, suffix=".part", delete=False
    ) as file:
        try:
            np.savez_compressed(file, data=data)
        except BaseException:
            file.close()
            os.unlink(file.name)
            raise
    os.replace(file.name, path)

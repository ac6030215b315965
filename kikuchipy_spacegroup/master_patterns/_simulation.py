# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From crystal structures to master patterns, kept on disk."""

from collections.abc import Sequence
import hashlib
from importlib.metadata import version
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kikuchipy_spacegroup.crystals import (
    LatticeUnit,
    load_phase,
    phase_in_angstrom,
    unit_cell,
)
from kikuchipy_spacegroup.crystals._symmetry import lattice_parameters
from kikuchipy_spacegroup.io._archive import read_arrays
from kikuchipy_spacegroup.io._replacing import replacing
from kikuchipy_spacegroup.master_patterns._cost import (
    Progress,
    check_energy_and_size,
    check_number_of_beams,
)
from kikuchipy_spacegroup.master_patterns._kinematical import kinematical_master_pattern

if TYPE_CHECKING:
    from diffpy.structure import Structure
    from kikuchipy.signals import EBSDMasterPattern
    from orix.crystal_map import Phase

_logger = logging.getLogger(__name__)
_FORMAT = 2
_PROGRAMS = {"kinematical": ("kikuchipy", "diffsims"), "dynamical": ("de-ebsd",)}
# Parameters that change nothing in a master pattern
_NOT_IN_KEY = ("max_minutes", "show_progressbar")
# More beams take hours
_MAX_BEAMS = 60_000
# Bands of less, relative to the strongest, are not seen
_LEAST_POWER = 1e-3


def simulate_master_pattern(
    phase: "Phase | str | Path",
    energy: float = 20,
    *,
    method: Literal["kinematical", "dynamical"] = "kinematical",
    half_width: int = 150,
    cache_dir: str | Path | None = None,
    lattice_unit: LatticeUnit = "angstrom",
    **kwargs: Any,
) -> "EBSDMasterPattern":
    """Master pattern simulated from a structure.

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
    lattice_unit
        Unit of the lattice parameters of the phase, ``"angstrom"`` or
        ``"nm"``, as in phases that kikuchipy reads from EMsoft's files.
    **kwargs
        Keyword arguments passed on to
        :func:`~kikuchipy_spacegroup.master_patterns.kinematical_master_pattern`
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
        If the method is unknown, the energy or half width is
        impossible, the phase has no space group or no
        atoms, its atoms are too near or too far apart, as when the
        lattice unit is another one, or the simulation would take hours.

    See Also
    --------
    kikuchipy.simulations.KikuchiPatternSimulator.calculate_master_pattern

    Notes
    -----
    The lattice parameters of the phase of the master pattern are in
    angstrom.

    Examples
    --------
    Phases in EMsoft's files have lattice parameters in nm

    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup import simulate_master_pattern
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    >>> simulate_master_pattern(mp.phase, half_width=20, lattice_unit="nm")
    <EBSDMasterPattern, title: ni, dimensions: (2|41, 41)>
    """
    if method not in _PROGRAMS:
        raise ValueError(f"method must be one of {list(_PROGRAMS)}, not {method!r}")
    if isinstance(phase, (str, Path)):
        if lattice_unit != "angstrom":
            raise ValueError(
                f"lattice_unit={lattice_unit!r} is not for CIFs, which are in angstrom"
            )
        phase = load_phase(phase)
    phase = phase_in_angstrom(phase, lattice_unit)
    simulate = (
        dynamical_master_pattern
        if method == "dynamical"
        else kinematical_master_pattern
    )
    if cache_dir is None:
        return simulate(phase, energy, half_width=half_width, **kwargs)
    parameters = {"energy": float(energy), "half_width": half_width, **kwargs}
    for name in _NOT_IN_KEY:
        parameters.pop(name, None)
    path = Path(cache_dir) / f"{_make_cache_key(phase, method, parameters)}.npz"
    data = _read_cached(path, half_width)
    if data is not None:
        _logger.debug("Master pattern of %s is read from %s", phase.name, path)
        return _to_signal(data, phase, energy, method)
    signal = simulate(phase, energy, half_width=half_width, **kwargs)
    _write_cached(path, signal.data)
    return signal


def dynamical_master_pattern(
    phase: "Phase",
    energy: float = 20,
    *,
    half_width: int = 150,
    min_dspacing: float = 0.05,
    n_energies: int = 1,
    n_electrons: int = 200_000,
    bethe_limits: tuple[float, float, float] = (8.0, 50.0, 100.0),
    fold: bool = True,
    max_minutes: float = 60,
    lattice_unit: LatticeUnit = "angstrom",
    show_progressbar: bool | None = None,
) -> "EBSDMasterPattern":
    """Dynamical master pattern of a phase, with Bloch waves by de-ebsd.

    Parameters
    ----------
    phase
        Phase with a space group and the atoms of the asymmetric unit,
        or of the unit cell, in the setting of its space group.
    energy
        Beam energy in keV.
    half_width
        Number of pixels between the center and the edge of the returned
        square maps.
    min_dspacing
        Smallest spacing of reflecting planes in nm.
    n_energies
        Number of electron energies to average over, in which the time
        is proportional. With 1, electrons have the beam energy. With
        more, their energies split the backscattered electrons into as
        many equal shares, which is what patterns look like.
    n_electrons
        Number of electrons in the Monte Carlo simulation of the
        energies and depths they come from.
    bethe_limits
        Largest ratios of excitation error and potential of strong
        beams, weak beams and beams at all. The defaults are de-ebsd's.
        EMsoft's, (4, 8, 50), take a third to a half of the time, and
        master patterns with them correlate at 0.95 to 0.98 with those
        of more beams.
    fold
        Whether to simulate only one of symmetrically equivalent
        directions. The result is the same without, and takes up to
        fifteen times as long.
    max_minutes
        Longest time to take. A simulation that would take longer is
        refused within seconds.
    lattice_unit
        Unit of the lattice parameters of the phase, ``"angstrom"`` or
        ``"nm"``, as in phases that kikuchipy reads from EMsoft's files.
    show_progressbar
        Whether to show a progress bar. If not given, one is shown if
        the simulation takes more than ten seconds and HyperSpy's
        preferences allow it.

    Returns
    -------
    master_pattern
        Master pattern as from
        :func:`~kikuchipy_spacegroup.master_patterns.kinematical_master_pattern`.

    Raises
    ------
    ImportError
        If the package de-ebsd is not installed.
    ValueError
        If the phase has no space group or no atoms, its atoms are too
        near or too far apart (see
        :func:`~kikuchipy_spacegroup.crystals.unit_cell`), or the
        simulation would take too long.

    See Also
    --------
    simulate_master_pattern, kinematical_master_pattern, simulate_bloch_waves

    Notes
    -----
    Atoms without a Debye-Waller factor get 0.005 nm^2. The pattern has
    the point group of the atoms in the axes of the lattice of the phase,
    whatever its setting. Metals take seconds on two CPU cores. The time
    grows with the third power of the number of atoms in the primitive
    cell and is logged before the simulation.

    Examples
    --------
    >>> from kikuchipy_spacegroup.crystals import load_phase
    >>> from kikuchipy_spacegroup.master_patterns import dynamical_master_pattern
    >>> phase = load_phase("zirconia.cif")  # doctest: +SKIP
    >>> dynamical_master_pattern(phase, n_energies=3)  # doctest: +SKIP
    <EBSDMasterPattern, title: zirconia, dimensions: (2|301, 301)>
    """
    structure = unit_cell(phase, lattice_unit=lattice_unit)
    data = simulate_bloch_waves(
        structure,
        energy,
        half_width=half_width,
        min_dspacing=min_dspacing,
        n_energies=n_energies,
        n_electrons=n_electrons,
        bethe_limits=bethe_limits,
        fold=fold,
        max_minutes=max_minutes,
        show_progressbar=show_progressbar,
    )
    return _to_signal(
        data[0], phase_in_angstrom(phase, lattice_unit), energy, "dynamical"
    )


def simulate_bloch_waves(
    structure: "Structure",
    energy: float = 20,
    *,
    half_width: int = 150,
    min_dspacing: float = 0.05,
    exit_depths: Sequence[float] = (1.0,),
    n_energies: int = 1,
    n_electrons: int = 200_000,
    bethe_limits: tuple[float, float, float] = (8.0, 50.0, 100.0),
    fold: bool = True,
    single: bool = True,
    max_minutes: float = 60,
    show_progressbar: bool | None = None,
) -> np.ndarray:
    """Bloch wave master patterns of a unit cell at several exit depths.

    Parameters
    ----------
    structure
        Structure with all atoms of a unit cell in any setting, and with
        lattice parameters in angstrom, see
        :func:`~kikuchipy_spacegroup.crystals.unit_cell`.
    energy, half_width, min_dspacing
        See :func:`dynamical_master_pattern`.
    exit_depths
        Factors on the depths that electrons leave from. All together
        take hardly longer than one.
    n_energies, n_electrons, bethe_limits, fold
        See :func:`dynamical_master_pattern`.
    single
        Whether to work in single precision.
    max_minutes, show_progressbar
        See :func:`dynamical_master_pattern`.

    Returns
    -------
    data
        Master patterns in the square Lambert projection of shape
        (n_depths, 2, 2 * half_width + 1, 2 * half_width + 1), the upper
        hemisphere first, and dtype float32.

    Raises
    ------
    ImportError
        If the package de-ebsd is not installed.
    ValueError
        If the energy or half width is impossible, or the simulation
        would take too long.

    See Also
    --------
    dynamical_master_pattern

    Examples
    --------
    >>> from diffpy.structure import Atom, Lattice, Structure
    >>> from kikuchipy_spacegroup.master_patterns import simulate_bloch_waves
    >>> iron = Structure(
    ...     [Atom("Fe", [0, 0, 0]), Atom("Fe", [0.5, 0.5, 0.5])],
    ...     Lattice(2.87, 2.87, 2.87, 90, 90, 90),
    ... )
    >>> simulate_bloch_waves(iron, half_width=50).shape  # doctest: +SKIP
    (1, 2, 101, 101)
    """
    check_energy_and_size(energy, half_width)
    n_beams = check_number_of_beams(structure, min_dspacing, _MAX_BEAMS)
    try:
        from de_ebsd.diffraction.backends import SimulationInputs
        from de_ebsd.diffraction.bethe import BetheParameters
        from de_ebsd.diffraction.kvectors import sample_incident_directions
        from de_ebsd.sim.montecarlo.depth import DepthDistribution
        import torch
    except ImportError as error:
        raise ImportError(
            "Simulating dynamically needs the package de-ebsd. Install it with 'pip "
            "install kikuchipy-spacegroup[dynamical]', or use the kinematical method"
        ) from error
    from kikuchipy_spacegroup.master_patterns import _bloch_waves

    # Energies and depths of the electrons, by a Monte Carlo simulation
    crystal = _bloch_waves.ListedCrystal(structure)
    deepest = max(exit_depths)
    profile = DepthDistribution.from_simulation(
        crystal, energy, tilt_deg=70.0, n_electrons=n_electrons, seed=0
    )
    profile.depth_step *= deepest
    # Directions of both hemispheres of the square Lambert grid
    grid = sample_incident_directions(half_width, dtype=torch.float64).flat().numpy()
    directions, index = crystal.fold(grid) if fold else (grid, slice(None))
    backend = _bloch_waves.BlochWaves(single, [i / deepest for i in exit_depths])
    intensities_sum = np.zeros((len(exit_depths), len(directions)), dtype="float32")
    energies = _bloch_waves.shares_of_energy(profile, energy, n_energies)
    progress = Progress(
        structure.title,
        n_energies * len(directions),
        60 * max_minutes,
        show_progressbar,
        lambda: (
            f"{n_beams} beams, of which up to {backend.most_strong} are strong at once, "
            f"in {n_energies * len(directions)} directions"
        ),
    )
    with progress:
        for i, share in enumerate(energies):
            factors = _bloch_waves.structure_factors(crystal, share, min_dspacing)
            inputs = SimulationInputs(
                structure_factors=factors,
                bethe=BetheParameters(*bethe_limits),
                monte_carlo=profile,
                device=torch.device("cpu"),
                dtype=torch.float32,
            )
            backend.prepare(inputs)
            intensities = _bloch_waves.solve(backend, directions, progress.update, i)
            intensities_sum += intensities / (
                intensities.mean() if n_energies > 1 else 1
            )
    side = 2 * half_width + 1
    return intensities_sum[:, index].reshape(-1, 2, side, side)


def simulate_two_beams(
    structure: "Structure",
    energy: float = 20,
    *,
    half_width: int = 150,
    min_dspacing: float = 0.05,
    dampings: Sequence[float] = (1.5,),
) -> np.ndarray:
    r"""Two-beam master patterns of a unit cell, thirty times as fast as Bloch waves.

    Parameters
    ----------
    structure, energy, half_width, min_dspacing
        See :func:`simulate_bloch_waves`.
    dampings
        Factors on the widths of the edges of bands. At 1 they are those
        of two beams in a thick crystal, and they are larger for
        electrons from near the surface. All together take hardly longer
        than one.

    Returns
    -------
    data
        Master patterns in the square Lambert projection of shape
        (n_dampings, 2, 2 * half_width + 1, 2 * half_width + 1), the
        upper hemisphere first, and dtype float32. The mean of each is 0.

    Raises
    ------
    ImportError
        If the package de-ebsd is not installed.
    ValueError
        If the energy or half width is impossible, a damping is not
        positive, or there are too many beams.

    See Also
    --------
    simulate_bloch_waves
    kinematical_master_pattern

    Notes
    -----
    Symmetry, absences, widths and edges of bands are right, crossings of
    bands and fine lines are not: patterns correlate with those of Bloch
    waves at 0.78 on average (115 structures, the lowest 0.54), and take a
    29th of the time (median of ten). Each band is that of two beams, with
    the deviation :math:`w` from the Bragg position in extinction
    distances: two Bloch waves with the excitations
    :math:`\frac{1}{2}(1 \mp w / \sqrt{1 + w^2})`, of which one is at the
    atoms, is scattered more to the detector, and absorbed more
    :cite:`reimer1998scanning`.

    Examples
    --------
    >>> from diffpy.structure import Atom, Lattice, Structure
    >>> from kikuchipy_spacegroup.master_patterns import simulate_two_beams
    >>> iron = Structure(
    ...     [Atom("Fe", [0, 0, 0]), Atom("Fe", [0.5, 0.5, 0.5])],
    ...     Lattice(2.87, 2.87, 2.87, 90, 90, 90),
    ... )
    >>> simulate_two_beams(iron, half_width=50).shape  # doctest: +SKIP
    (1, 2, 101, 101)
    """
    check_energy_and_size(energy, half_width)
    crystal, bands, wavelength = _find_bands(structure, energy, min_dspacing, dampings)
    from de_ebsd.diffraction.kvectors import sample_incident_directions
    import torch

    from kikuchipy_spacegroup.master_patterns import _two_beams

    # Directions of which no two are equivalent, and the bands that matter
    grid = sample_incident_directions(half_width, dtype=torch.float64).flat().numpy()
    directions, index = crystal.fold(grid)
    bands = _two_beams.select_strongest(*bands)
    side = 2 * half_width + 1
    data = np.stack(
        [
            _two_beams.sum_bands(directions, *bands, wavelength, damping)[index]
            for damping in dampings
        ]
    )
    data -= data.mean(axis=1, keepdims=True)
    return data.reshape(-1, 2, side, side)


def two_beam_profiles(
    structure: "Structure",
    angles: np.ndarray,
    energy: float = 20,
    *,
    min_dspacing: float = 0.05,
    damping: float = 1.5,
) -> tuple[np.ndarray, np.ndarray]:
    """Return two-beam profiles across the Kikuchi bands of a unit cell.

    Parameters
    ----------
    structure
        See :func:`simulate_bloch_waves`.
    angles
        Angles from the lattice plane in radians, of shape (k,).
    energy, min_dspacing
        See :func:`simulate_bloch_waves`.
    damping
        See :func:`simulate_two_beams`.

    Returns
    -------
    normals
        Unit normals of lattice planes, one of each pair of opposite ones,
        in the Cartesian frame of the lattice, of shape (n, 3) and dtype
        float32. That with the strongest band is first.
    profiles
        Intensities, sums over the orders of reflection, of shape (n, k)
        and dtype float32. The mean of each is 0.

    Raises
    ------
    ImportError
        If the package de-ebsd is not installed.
    ValueError
        If the energy is impossible, the damping is not positive, or there
        are too many beams.

    See Also
    --------
    simulate_two_beams

    Examples
    --------
    >>> from diffpy.structure import Atom, Lattice, Structure
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.master_patterns import two_beam_profiles
    >>> iron = Structure(
    ...     [Atom("Fe", [0, 0, 0]), Atom("Fe", [0.5, 0.5, 0.5])],
    ...     Lattice(2.87, 2.87, 2.87, 90, 90, 90),
    ... )
    >>> angles = np.deg2rad(np.linspace(-5, 5, 21))
    >>> normals, profiles = two_beam_profiles(iron, angles)  # doctest: +SKIP
    >>> np.sort(np.abs(normals[0])).round(3)  # doctest: +SKIP
    array([0.   , 0.707, 0.707], dtype=float32)
    """
    check_energy_and_size(energy, 1)
    _, bands, wavelength = _find_bands(structure, energy, min_dspacing, [damping])
    from kikuchipy_spacegroup.master_patterns import _two_beams

    vectors, strengths, contrasts = bands
    power = np.square(contrasts).sum(axis=1) * strengths
    seen = power > _LEAST_POWER * power.max()
    normals, profiles = _two_beams.profiles_of_planes(
        np.asarray(angles, dtype="float64"),
        vectors[seen],
        strengths[seen],
        contrasts[seen],
        wavelength,
        damping,
    )
    return normals.astype("float32"), profiles.astype("float32")


def _find_bands(
    structure: "Structure",
    energy: float,
    min_dspacing: float,
    dampings: Sequence[float],
) -> tuple[Any, tuple[np.ndarray, ...], float]:
    """Return the crystal, its reflections and the wavelength in nm, after checks."""
    check_number_of_beams(structure, min_dspacing, _MAX_BEAMS)
    if not dampings or not all(0 < i < np.inf for i in dampings):
        raise ValueError(f"Dampings must be positive numbers, not {list(dampings)}")
    try:
        from de_ebsd.core.constants import electron_wavelength_nm
    except ImportError as error:
        raise ImportError(
            "Scattering factors need the package de-ebsd. Install it with 'pip install "
            "kikuchipy-spacegroup[dynamical]', or use the kinematical method"
        ) from error
    from kikuchipy_spacegroup.master_patterns import _bloch_waves, _two_beams

    crystal = _bloch_waves.ListedCrystal(structure)
    bands = _two_beams.find_reflections(crystal, energy, min_dspacing)
    return crystal, bands, float(electron_wavelength_nm(energy))


def _to_signal(
    data: np.ndarray, phase: "Phase", energy: float, method: str
) -> "EBSDMasterPattern":
    """Return a signal of data (2, n, n) of both hemispheres, Lambert projected."""
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


def _make_cache_key(phase: "Phase", method: str, parameters: dict[str, Any]) -> str:
    """Return the method and a hash of everything that the simulation depends on."""
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
        "lattice": [round(float(x), 6) for x in lattice_parameters(structure.lattice)],
        "atoms": atoms,
        "parameters": parameters,
    }
    text = json.dumps(content, sort_keys=True, default=str)
    return f"{method}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _read_cached(path: Path, half_width: int) -> np.ndarray | None:
    """Return data (2, n, n) of a file, or None if there is none or it is damaged."""
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


def _write_cached(path: Path, data: np.ndarray) -> None:
    """Write data so that there is either the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part, open(part, "wb") as file:
        np.savez_compressed(file, data=data)

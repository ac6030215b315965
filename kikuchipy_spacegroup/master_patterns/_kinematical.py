# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinematical master patterns, with kikuchipy and diffsims."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
import io
from typing import TYPE_CHECKING, Literal

import numpy as np

from kikuchipy_spacegroup.crystals import LatticeUnit, phase_in_angstrom, unit_cell
from kikuchipy_spacegroup.crystals._symmetry import lattice_parameters
from kikuchipy_spacegroup.master_patterns._cost import (
    announce,
    check_energy_and_size,
    check_number_of_beams,
)

if TYPE_CHECKING:
    from diffsims.crystallography import ReciprocalLatticeVector
    from kikuchipy.signals import EBSDMasterPattern
    from orix.crystal_map import Phase

# More take hours
_MAX_PLANES = 100_000
# Planes whose structure factors are found at once
_PIECE = 1000


def kinematical_master_pattern(
    phase: "Phase",
    energy: float = 20,
    *,
    half_width: int = 150,
    min_dspacing: float = 0.07,
    min_structure_factor: float = 0.05,
    scaling: Literal["linear", "square"] | None = "linear",
    lattice_unit: LatticeUnit = "angstrom",
    show_progressbar: bool | None = None,
) -> "EBSDMasterPattern":
    """Kinematical master pattern of a phase, by kikuchipy and diffsims.

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
    min_structure_factor
        Smallest structure factor of reflecting planes, relative to the
        largest.
    scaling
        Intensity of bands: ``"linear"`` (the magnitude of the structure
        factor), ``"square"`` or ``None`` (all the same). See
        :meth:`kikuchipy.simulations.KikuchiPatternSimulator.calculate_master_pattern`.
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
        Master pattern in the square Lambert projection with data of
        shape (2, 2 * half_width + 1, 2 * half_width + 1), the upper
        hemisphere first, and dtype float32.

    Raises
    ------
    ImportError
        If the package diffsims is not installed.
    ValueError
        If the phase has no space group or no atoms, its atoms are too
        near or too far apart (see
        :func:`~kikuchipy_spacegroup.crystals.unit_cell`), no planes
        reflect, or there are more than 100 000 planes.

    See Also
    --------
    kikuchipy.simulations.KikuchiPatternSimulator.calculate_master_pattern

    Notes
    -----
    Friedel's law holds in kinematical patterns: they all have an
    inversion center.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.master_patterns import kinematical_master_pattern
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    >>> kinematical_master_pattern(mp.phase, half_width=20, lattice_unit="nm")
    <EBSDMasterPattern, title: ni, dimensions: (2|41, 41)>
    """
    from kikuchipy.simulations import KikuchiPatternSimulator

    check_energy_and_size(energy, half_width)
    reflectors = reflecting_planes(
        phase,
        energy,
        min_dspacing=min_dspacing,
        min_structure_factor=min_structure_factor,
        lattice_unit=lattice_unit,
    )
    simulator = KikuchiPatternSimulator(reflectors)
    seconds = 1e-8 * reflectors.size * (2 * half_width + 1) ** 2
    show_progressbar = announce(phase.name, reflectors.size, seconds, show_progressbar)
    # The progress bar of kikuchipy has no switch
    quiet = nullcontext() if show_progressbar else redirect_stderr(io.StringIO())
    with quiet, _use_one_thread():
        signal = simulator.calculate_master_pattern(
            half_size=half_width, hemisphere="both", scaling=scaling
        )
    signal = signal.as_lambert(show_progressbar=False)
    np.maximum(signal.data, 0, out=signal.data)  # Splines overshoot
    signal.phase = phase_in_angstrom(phase, lattice_unit)
    signal.metadata.set_item("General.title", phase.name or "")
    signal.metadata.set_item("Acquisition_instrument.SEM.beam_energy", float(energy))
    signal.metadata.set_item("Simulation.kinematical", True)
    return signal


@contextmanager
def _use_one_thread() -> Iterator[None]:
    """Let Numba use one thread.

    Threads of kikuchipy 0.13 sum bands up in the same array without
    waiting for each other, and now and then lose one in some pixel.
    """
    import numba

    n_threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(n_threads)


def reflecting_planes(
    phase: "Phase",
    energy: float = 20,
    *,
    min_dspacing: float = 0.07,
    min_structure_factor: float = 0.05,
    lattice_unit: LatticeUnit = "angstrom",
) -> "ReciprocalLatticeVector":
    """Reflecting planes of a phase, by diffsims.

    Parameters
    ----------
    phase
        Phase with a space group and the atoms of the asymmetric unit,
        or of the unit cell, in the standard setting.
    energy
        Beam energy in keV.
    min_dspacing
        Smallest spacing of the planes in nm.
    min_structure_factor
        Smallest structure factor of the planes, relative to the
        largest.
    lattice_unit
        Unit of the lattice parameters of the phase, ``"angstrom"`` or
        ``"nm"``, as in phases that kikuchipy reads from EMsoft's files.

    Returns
    -------
    reflectors
        Reciprocal lattice vectors with structure factors and Bragg
        angles, ready for
        :class:`kikuchipy.simulations.KikuchiPatternSimulator`.

    Raises
    ------
    ImportError
        If the package diffsims is not installed.
    ValueError
        If the phase has no space group or no atoms, its atoms are too
        near or too far apart (see
        :func:`~kikuchipy_spacegroup.crystals.unit_cell`), no planes
        reflect, or there are more than 100 000 planes.

    See Also
    --------
    kikuchipy.simulations.KikuchiPatternSimulator

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.master_patterns import reflecting_planes
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    >>> planes = reflecting_planes(mp.phase, min_dspacing=0.12, lattice_unit="nm")
    >>> planes.unique(use_symmetry=True).size
    3
    """
    try:
        from diffsims.crystallography import ReciprocalLatticeVector
    except ImportError as error:
        raise ImportError(
            "Simulating kinematically needs the package diffsims. Install it with 'pip "
            "install kikuchipy-spacegroup[simulate]'."
        ) from error
    from diffpy.structure import Lattice, Structure
    from orix.crystal_map import Phase

    structure = unit_cell(phase, lattice_unit=lattice_unit)
    check_number_of_beams(structure, min_dspacing, _MAX_PLANES)
    # diffsims takes coordinates as orix leaves them in a lattice with diffpy's axes
    structure = Structure(
        list(structure), Lattice(*lattice_parameters(structure.lattice))
    )
    # Without symmetry: diffsims would take its default orientation of the point group
    listed = Phase(phase.name, space_group=1, structure=structure)
    error = ValueError(
        f"No planes of phase {phase.name!r} with a spacing above {min_dspacing} nm "
        "reflect. Use a smaller min_dspacing."
    )
    try:
        vectors = ReciprocalLatticeVector.from_min_dspacing(listed, 10 * min_dspacing)
    except ValueError:  # No planes at all
        raise error from None
    # In pieces, as the time grows with the square of their number
    pieces = []
    for start in range(0, vectors.size, _PIECE):
        piece = vectors[start : start + _PIECE]
        piece.calculate_structure_factor()
        pieces.append(np.abs(piece.structure_factor))
    structure_factors = np.concatenate(pieces)
    vectors = vectors[
        (structure_factors > min_structure_factor * structure_factors.max())
        & (structure_factors > 1e-6)
    ]
    if vectors.size == 0:
        raise error
    vectors.calculate_structure_factor()
    vectors.calculate_theta(1e3 * energy)
    vectors.phase = Phase(
        phase.name, space_group=phase.space_group, structure=structure
    )
    return vectors

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check crystal structures and simulate from them."""

from contextlib import redirect_stderr
from dataclasses import dataclass
import io
import logging
import math
from typing import TYPE_CHECKING, Literal
import warnings

import numpy as np

if TYPE_CHECKING:
    from diffpy.structure import Structure
    from kikuchipy.signals import EBSDMasterPattern
    from orix.crystal_map import Phase

_logger = logging.getLogger(__name__)

_SYMBOLS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu "
    "Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba "
    "La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi "
    "Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf"
).split()


@dataclass(frozen=True)
class SpaceGroupCheck:
    """The space group of a phase and that of its atoms.

    Parameters
    ----------
    declared
        Number of the space group of the phase.
    found
        Number of the space group of the arrangement of its atoms.
        ``None`` if none could be found, as when atoms are too close.
    symbol
        Symbol of the space group found.
    n_atoms
        Number of occupied sites in the unit cell.
    """

    declared: int
    found: int | None
    symbol: str
    n_atoms: int

    @property
    def agrees(self) -> bool:
        """Whether the two space groups are the same."""
        return self.declared == self.found


def check_space_group(phase: "Phase", *, tolerance: float = 0.01) -> SpaceGroupCheck:
    """Return which space group the atoms of a phase have.

    Atoms may have more symmetry than the space group they are given
    in. A pattern then has it too, and the space group is the wrong
    label for it.

    Parameters
    ----------
    phase
        Phase with a space group and the atoms of the asymmetric unit,
        or of the unit cell, in the standard setting: unique axis b,
        origin choice 1 and hexagonal axes.
    tolerance
        Distance in Angstrom below which positions are the same.

    Returns
    -------
    check
        The two space groups.

    Raises
    ------
    ImportError
        If the package spglib is not installed.
    ValueError
        If the phase has no space group or no atoms.

    Notes
    -----
    See :func:`unit_cell` on coordinates and units.

    Examples
    --------
    Nickel arsenide is often given without its inversion center

    >>> from diffpy.structure import Atom, Lattice, Structure
    >>> from orix.crystal_map import Phase
    >>> from kikuchipy_spacegroup.structures import check_space_group
    >>> phase = Phase(
    ...     space_group=186,
    ...     structure=Structure(
    ...         lattice=Lattice(0.3602, 0.3602, 0.5009, 90, 90, 120),
    ...         atoms=[
    ...             Atom("Ni", xyz=[0, 0, 0]),
    ...             Atom("As", xyz=[1 / 3, 2 / 3, 1 / 4]),
    ...         ],
    ...     ),
    ... )
    >>> check_space_group(phase)
    SpaceGroupCheck(declared=186, found=194, symbol='P6_3/mmc', n_atoms=4)
    """
    try:
        import spglib
    except ImportError as error:
        raise ImportError(
            "Checking space groups needs the package spglib. Install it with 'pip "
            "install kikuchipy-spacegroup[simulate]'."
        ) from error
    structure = unit_cell(phase, tolerance=tolerance)
    positions, kinds = _sites(structure, tolerance)
    cell = (structure.lattice.base, positions, kinds)
    with warnings.catch_warnings():
        # Of a change in how errors are raised. Both ways are handled here.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            found = spglib.get_symmetry_dataset(cell, symprec=tolerance)
        except getattr(spglib, "SpglibError", ()) as error:
            _logger.debug("No space group found for %s: %s", phase.name, error)
            found = None
    return SpaceGroupCheck(
        declared=phase.space_group.number,
        found=None if found is None else int(found.number),
        symbol="" if found is None else str(found.international),
        n_atoms=len(positions),
    )


def unit_cell(phase: "Phase", *, tolerance: float = 0.01) -> "Structure":
    """Return all atoms in the unit cell of a phase.

    Parameters
    ----------
    phase
        Phase with a space group and the atoms of the asymmetric unit,
        or of the unit cell, in the standard setting.
    tolerance
        Distance in Angstrom below which positions of the same element
        are the same.

    Returns
    -------
    structure
        Structure with lattice parameters in Angstrom and elements by
        their symbols.

    Raises
    ------
    ValueError
        If the phase has no space group or no atoms.

    Notes
    -----
    Lattice parameters are in nm in phases that kikuchipy reads from
    EMsoft's files, and in Angstrom in phases from elsewhere. They are
    taken to be in nm if the volume per atom is less than one, since it
    is 0.005 to 0.1 nm^3 or 5 to 100 Angstrom^3 in crystals.

    orix turns the axes of a lattice given to a phase to have x along a
    and z along c*, but not the atoms. Their fractional coordinates are
    therefore not those that were given if axes are not orthogonal.
    Here, they are found again as those with which the symmetry
    operations give the fewest atoms.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.structures import unit_cell
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    >>> unit_cell(mp.phase)  # doctest: +NORMALIZE_WHITESPACE
    [Ni   0.000000 0.000000 0.000000 1.0000,
     Ni   0.000000 0.500000 0.500000 1.0000,
     Ni   0.500000 0.000000 0.500000 1.0000,
     Ni   0.500000 0.500000 0.000000 1.0000]
    """
    from diffpy.structure import Atom, Lattice, Structure

    if phase.space_group is None or len(phase.structure) == 0:
        raise ValueError(
            f"Phase {phase.name!r} has the space group {phase.space_group} and "
            f"{len(phase.structure)} atoms. Give a phase with a space group and atoms."
        )
    orbits = _orbits(phase)
    n_atoms = sum(len(orbit) for orbit in orbits)
    scale = 10 if phase.structure.lattice.volume < n_atoms else 1
    *edges, alpha, beta, gamma = phase.structure.lattice.abcABG()
    lattice = Lattice(*(scale * edge for edge in edges), alpha, beta, gamma)
    structure = Structure(lattice=lattice, title=phase.name or "")
    for atom, orbit in zip(phase.structure, orbits):
        symbol = _symbol(atom.element)
        for xyz in orbit:
            same = [other.xyz for other in structure if other.element == symbol]
            if _nearest(xyz, same, lattice)[1] > tolerance:
                new = Atom(
                    symbol, xyz, occupancy=atom.occupancy, Uisoequiv=atom.Uisoequiv
                )
                structure.append(new, copy=False)
    return structure


def kinematical_master_pattern(
    phase: "Phase",
    energy: float = 20,
    *,
    half_width: int = 150,
    min_dspacing: float = 0.07,
    min_structure_factor: float = 0.05,
    scaling: Literal["linear", "square"] | None = "linear",
) -> "EBSDMasterPattern":
    """Return a master pattern simulated kinematically.

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
        If the phase has no space group or no atoms, or if no planes
        reflect.

    Notes
    -----
    Friedel's law holds in kinematical patterns: they all have an
    inversion center.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.structures import kinematical_master_pattern
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    >>> kinematical_master_pattern(mp.phase, half_width=20)
    <EBSDMasterPattern, title: ni, dimensions: (2|41, 41)>
    """
    from kikuchipy.simulations import KikuchiPatternSimulator

    reflectors = _reflectors(phase, energy, min_dspacing, min_structure_factor)
    simulator = KikuchiPatternSimulator(reflectors)
    with redirect_stderr(io.StringIO()):  # A progress bar without a switch
        signal = simulator.calculate_master_pattern(
            half_size=half_width, hemisphere="both", scaling=scaling
        )
    signal = signal.as_lambert(show_progressbar=False)
    np.maximum(signal.data, 0, out=signal.data)  # Splines overshoot
    signal.phase = phase.deepcopy()
    signal.metadata.set_item("General.title", phase.name or "")
    signal.metadata.set_item("Acquisition_instrument.SEM.beam_energy", float(energy))
    signal.metadata.set_item("Simulation.kinematical", True)
    return signal


def _reflectors(
    phase: "Phase", energy: float, min_dspacing: float, min_structure_factor: float
):
    """Return reciprocal lattice vectors with structure factors."""
    try:
        from diffsims.crystallography import ReciprocalLatticeVector
    except ImportError as error:
        raise ImportError(
            "Simulating kinematically needs the package diffsims. Install it with 'pip "
            "install kikuchipy-spacegroup[simulate]'."
        ) from error
    from orix.crystal_map import Phase

    # ReciprocalLatticeVector.sanitise_phase() should not expand the unit cell, as it
    # takes the coordinates as orix gives them (see unit_cell())
    phase = Phase(space_group=phase.space_group.number, structure=unit_cell(phase))
    error = ValueError(
        f"No planes of phase {phase.name!r} with a spacing above {min_dspacing} nm "
        "reflect. Use a smaller min_dspacing."
    )
    try:
        vectors = ReciprocalLatticeVector.from_min_dspacing(phase, 10 * min_dspacing)
    except ValueError:  # No planes at all
        raise error from None
    vectors.calculate_structure_factor()
    vectors.calculate_theta(1e3 * energy)
    factor = np.abs(vectors.structure_factor)
    vectors = vectors[(factor > min_structure_factor * factor.max()) & (factor > 1e-6)]
    if vectors.size == 0:
        raise error
    return vectors


def _orbits(phase: "Phase") -> list[np.ndarray]:
    """Return fractional coordinates of the images of each atom."""
    from diffpy.structure import Lattice

    standard = Lattice(*phase.structure.lattice.abcABG())
    candidates = []
    for lattice in (standard, phase.structure.lattice):
        structure = phase.structure.copy()
        structure.placeInLattice(lattice)
        orbits = [_orbit(xyz, phase.space_group) for xyz in structure.xyz]
        candidates.append(orbits)
    return min(candidates, key=lambda orbits: sum(len(orbit) for orbit in orbits))


def _orbit(xyz: np.ndarray, space_group, tolerance: float = 2e-3) -> np.ndarray:
    """Return all different images of a position in the unit cell."""
    images = np.array([operation(xyz) for operation in space_group.iter_symops()])
    images = np.where(np.abs(images - np.rint(images)) < 1e-6, np.rint(images), images)
    orbit: list[np.ndarray] = []
    for image in images:
        difference = np.array(orbit).reshape(-1, 3) - image
        difference = np.abs(difference - np.rint(difference))
        if not (difference < tolerance).all(axis=1).any():
            orbit.append(image - np.floor(image))
    return np.array(orbit)


def _nearest(xyz: np.ndarray, others: list, lattice) -> tuple[int, float]:
    """Return index of and distance to the nearest of other positions."""
    if len(others) == 0:
        return -1, math.inf
    difference = np.asarray(others) - xyz
    distance = lattice.norm(difference - np.rint(difference))
    return int(np.argmin(distance)), float(np.min(distance))


def _sites(structure: "Structure", tolerance: float) -> tuple[list, list[int]]:
    """Return positions and what is there as a number, with atoms in the
    same place taken together.
    """
    positions: list[np.ndarray] = []
    content: list[tuple] = []
    for atom in structure:
        kind = (atom.element, round(float(atom.occupancy), 3))
        i, distance = _nearest(atom.xyz, positions, structure.lattice)
        if distance < tolerance:
            content[i] = tuple(sorted((*content[i], kind)))
        else:
            positions.append(atom.xyz)
            content.append((kind,))
    kinds = sorted(set(content))
    return positions, [kinds.index(i) for i in content]


def _symbol(element: str | int) -> str:
    """Return the symbol of an element, also from its atomic number."""
    if isinstance(element, str) and not element.isdigit():
        return element
    return _SYMBOLS[int(element) - 1]

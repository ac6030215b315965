# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check crystal structures, and bring them to the standard setting."""

from dataclasses import dataclass
import logging
import math
import re
from typing import TYPE_CHECKING
import warnings

import numpy as np

if TYPE_CHECKING:
    from diffpy.structure import Structure
    from orix.crystal_map import Phase

_logger = logging.getLogger(__name__)

# Symbols in the order of atomic numbers
ELEMENTS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu "
    "Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba "
    "La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi "
    "Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr"
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
    structure = unit_cell(phase, tolerance=tolerance)
    positions, kinds, _ = _sites(structure, tolerance)
    found = _symmetry((structure.lattice.base, positions, kinds), tolerance)
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
                # Displacement parameters are in the square of the lattice's unit
                u = scale**2 * atom.Uisoequiv
                new = Atom(symbol, xyz, occupancy=atom.occupancy, Uisoequiv=u)
                structure.append(new, copy=False)
    return structure


def standard_cell(
    structure: "Structure", *, name: str = "", tolerance: float = 0.01
) -> "Phase":
    """Return a structure as a phase in the standard setting.

    Parameters
    ----------
    structure
        Structure with all atoms of a unit cell in any setting, and with
        lattice parameters in Angstrom.
    name
        Name of the phase.
    tolerance
        Distance in Angstrom below which positions are the same.

    Returns
    -------
    phase
        Phase with the space group of the atoms, and all atoms of the
        conventional unit cell with unique axis b, origin choice 1 and
        hexagonal axes.

    Raises
    ------
    ImportError
        If the package spglib is not installed.
    ValueError
        If the atoms have no space group, as when they are too close.

    Examples
    --------
    The primitive cell of aluminium

    >>> from diffpy.structure import Atom, Lattice, Structure
    >>> from kikuchipy_spacegroup.structures import standard_cell
    >>> primitive = Structure([Atom("Al")], Lattice(2.864, 2.864, 2.864, 60, 60, 60))
    >>> phase = standard_cell(primitive, name="Al")
    >>> phase.space_group.number, len(phase.structure)
    (225, 4)
    """
    from diffpy.structure import Atom, Lattice, Structure
    from orix.crystal_map import Phase

    positions, kinds, content = _sites(structure, tolerance)
    found = _symmetry((structure.lattice.base, positions, kinds), tolerance)
    if found is None:
        raise ValueError(
            f"No space group found for the {len(positions)} sites of {name!r}. Check "
            "that lattice parameters are in Angstrom and that no atoms are too close"
        )
    displacements = {
        (_symbol(atom.element), round(float(atom.occupancy), 3)): atom.Uisoequiv
        for atom in structure
    }
    atoms = [
        Atom(
            element,
            xyz,
            occupancy=occupancy,
            Uisoequiv=displacements[element, occupancy],
        )
        for xyz, kind in zip(found.std_positions, found.std_types)
        for element, occupancy in content[kind]
    ]
    lattice = Lattice(base=found.std_lattice)
    return Phase(
        name,
        space_group=int(found.number),
        structure=Structure(atoms, lattice, title=name),
    )


def element_symbol(name: str | int) -> str:
    """Return the symbol of an element from that of one of its ions.

    Parameters
    ----------
    name
        Symbol of an element, ion or isotope of hydrogen, or atomic
        number.

    Returns
    -------
    symbol
        Symbol of the element.

    Raises
    ------
    ValueError
        If there is no such element.

    Examples
    --------
    >>> from kikuchipy_spacegroup.structures import element_symbol
    >>> element_symbol("Fe3+"), element_symbol("O-2"), element_symbol(26)
    ('Fe', 'O', 'Fe')
    """
    text = str(name).strip()
    if text.isdigit() and 0 < int(text) <= len(ELEMENTS):
        return ELEMENTS[int(text) - 1]
    symbol = re.sub(r"([\d.]*[+-]|[+-][\d.]*)$", "", text)
    symbol = {"D": "H", "T": "H"}.get(symbol, symbol)
    if symbol not in ELEMENTS:
        raise ValueError(f"{name!r} is no element")
    return symbol


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


def _sites(structure: "Structure", tolerance: float) -> tuple[list, list, list]:
    """Return positions, what is there as a number, and what numbers stand
    for. Atoms in the same place are taken together.
    """
    positions: list[np.ndarray] = []
    content: list[tuple] = []
    for atom in structure:
        kind = (_symbol(atom.element), round(float(atom.occupancy), 3))
        i, distance = _nearest(atom.xyz, positions, structure.lattice)
        if distance < tolerance:
            content[i] = tuple(sorted((*content[i], kind)))
        else:
            positions.append(atom.xyz)
            content.append((kind,))
    kinds = sorted(set(content))
    return positions, [kinds.index(i) for i in content], kinds


def _symmetry(cell: tuple, tolerance: float):
    """Return what spglib finds, or None."""
    try:
        import spglib
    except ImportError as error:
        raise ImportError(
            "Finding space groups needs the package spglib. Install it with 'pip "
            "install kikuchipy-spacegroup[simulate]'."
        ) from error
    # With others, spglib ends the process
    if not (np.isfinite(cell[0]).all() and np.isfinite(cell[1]).all()):
        return None
    with warnings.catch_warnings():
        # Of a change in how errors are raised. Both ways are handled here.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return spglib.get_symmetry_dataset(cell, symprec=tolerance)
        except getattr(spglib, "SpglibError", ()) as error:
            _logger.debug("No space group found: %s", error)
            return None


def _symbol(element: str | int) -> str:
    """Return the symbol of an element, also from its atomic number."""
    if isinstance(element, str) and not element.isdigit():
        return element
    number = int(element)
    if not 1 <= number <= len(ELEMENTS):
        raise ValueError(f"There is no element {number}, only 1 to {len(ELEMENTS)}")
    return ELEMENTS[number - 1]

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unit cells of phases: expanded, checked, and brought to the standard setting."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from kikuchipy_spacegroup.crystals._axes import choose_axes
from kikuchipy_spacegroup.crystals._elements import ELEMENTS, element_of_site
from kikuchipy_spacegroup.crystals._settings import settings_of_number
from kikuchipy_spacegroup.crystals._symmetry import (
    FULL,
    IMPOSSIBLE_BOND,
    Operations,
    expand_sites,
    find_symmetry,
    join_ions,
    lattice_parameters,
    merge_sites,
    nearest_neighbors,
    shortest_bond,
    wrap,
)

if TYPE_CHECKING:
    from diffpy.structure import Lattice, Structure
    from orix.crystal_map import Phase

LatticeUnit = Literal["angstrom", "nm"]
_ANGSTROM_PER = {"angstrom": 1.0, "nm": 10.0}
# The shortest distance between atoms in crystals, in angstrom. In nm, it is a tenth of
# that, so that the two units cannot be mistaken for each other
_SHORTEST = (0.6, 6.0)
# Neighbors looked at, since the nearest may share a place
_N_NEIGHBORS = 8
# Atoms nearer than this, in angstrom, may share a place
_SAME_PLACE = 0.1


class ShortestDistanceError(ValueError):
    """Atoms are nearer or further apart than in any crystal.

    See Also
    --------
    unit_cell

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.crystals import ShortestDistanceError, unit_cell
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    >>> try:
    ...     structure = unit_cell(mp.phase)
    ... except ShortestDistanceError:
    ...     structure = unit_cell(mp.phase, lattice_unit="nm")
    >>> len(structure)
    4
    """


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

    See Also
    --------
    check_space_group

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.crystals import check_space_group
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    >>> check = check_space_group(mp.phase, lattice_unit="nm")
    >>> check.declared, check.found, check.n_atoms
    (225, 225, 4)
    """

    declared: int
    found: int | None
    symbol: str
    n_atoms: int

    @property
    def agrees(self) -> bool:
        """Whether the two space groups are the same."""
        return self.declared == self.found


def check_space_group(
    phase: "Phase",
    *,
    lattice_unit: LatticeUnit = "angstrom",
    tolerance: float = 0.01,
) -> SpaceGroupCheck:
    """Space group of the atoms of a phase beside that of the phase.

    Atoms may have more symmetry than the space group they are given
    in. A pattern then has it too, and the space group is the wrong
    label for it.

    Parameters
    ----------
    phase
        Phase with a space group and the atoms of the asymmetric unit,
        or of the unit cell, in the setting of its space group.
    lattice_unit
        Unit of the lattice parameters of the phase, ``"angstrom"`` or
        ``"nm"``. See :func:`unit_cell`.
    tolerance
        Distance in angstrom below which positions are the same.

    Returns
    -------
    check
        The two space groups.

    Raises
    ------
    ValueError
        As :func:`unit_cell`.

    See Also
    --------
    unit_cell, standard_cell

    Examples
    --------
    Nickel arsenide is often given without its inversion center

    >>> from diffpy.structure import Atom, Lattice, Structure
    >>> from orix.crystal_map import Phase
    >>> from kikuchipy_spacegroup.crystals import check_space_group
    >>> phase = Phase(
    ...     space_group=186,
    ...     structure=Structure(
    ...         lattice=Lattice(3.602, 3.602, 5.009, 90, 90, 120),
    ...         atoms=[
    ...             Atom("Ni", xyz=[0, 0, 0]),
    ...             Atom("As", xyz=[1 / 3, 2 / 3, 1 / 4]),
    ...         ],
    ...     ),
    ... )
    >>> check_space_group(phase)
    SpaceGroupCheck(declared=186, found=194, symbol='P6_3/mmc', n_atoms=4)
    """
    structure = unit_cell(phase, lattice_unit=lattice_unit, tolerance=tolerance)
    positions, kinds, _ = merge_sites(structure, tolerance)
    found = find_symmetry(structure.lattice.base, positions, kinds, tolerance)
    return SpaceGroupCheck(
        declared=phase.space_group.number,
        found=None if found is None else int(found.number),
        symbol="" if found is None else str(found.international),
        n_atoms=len(positions),
    )


def unit_cell(
    phase: "Phase",
    *,
    lattice_unit: LatticeUnit = "angstrom",
    tolerance: float = 0.01,
) -> "Structure":
    """All atoms in the unit cell of a phase.

    Parameters
    ----------
    phase
        Phase with a space group and the atoms of the asymmetric unit,
        or of the unit cell, in the setting of its space group: unique
        axis b, origin choice 1, and hexagonal axes unless the lattice
        parameters are those of rhombohedral ones.
    lattice_unit
        Unit of the lattice parameters of the phase, ``"angstrom"`` or
        ``"nm"``. Phases that this package reads are in angstrom, as are
        those from CIFs. Those of master patterns that kikuchipy reads
        from EMsoft's files are in nm. Displacement parameters of atoms
        are in square angstrom in all of them.
    tolerance
        Distance in angstrom below which atoms of different elements are
        on the same site.

    Returns
    -------
    structure
        Structure with lattice parameters in angstrom, elements by their
        symbols, and a along x and c* along z.

    Raises
    ------
    ValueError
        If the phase has no space group or no atoms, if an atom is of no
        element, or if the shortest distance between atoms is outside of
        0.6 to 6 angstrom, as when the unit is another one.

    See Also
    --------
    standard_cell, load_phase

    Notes
    -----
    A site nearly in a special position is moved there, and atoms of an
    element that are listed although they are images of others are
    counted once.

    orix turns the axes of a lattice given to a phase to have x along a
    and z along c*, but not the atoms, and forgets how they were when
    the phase is copied. If so, fractional coordinates are those among
    the ones before and after turning with which the symmetry operations
    give the fewest atoms: others would bring atoms out of special
    positions, or give whole cells several times. If that does not tell,
    they are those with possible distances between atoms.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.crystals import unit_cell
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    >>> unit_cell(mp.phase, lattice_unit="nm")
    [Ni   0.000000 0.000000 0.000000 1.0000,
     Ni   0.000000 0.500000 0.500000 1.0000,
     Ni   0.500000 0.000000 0.500000 1.0000,
     Ni   0.500000 0.500000 0.000000 1.0000]
    """
    from diffpy.structure import Atom, Structure

    if phase.space_group is None or len(phase.structure) == 0:
        raise ValueError(
            f"Phase {phase.name!r} has the space group {phase.space_group} and "
            f"{len(phase.structure)} atoms. Give a phase with a space group and atoms."
        )
    if not (np.isfinite(phase.structure.xyz).all()):
        raise ValueError(
            f"Atoms of phase {phase.name!r} have coordinates of NaN or inf"
        )
    scale = _get_angstrom_per(lattice_unit)
    edges_and_angles = np.array(lattice_parameters(phase.structure.lattice))
    edges_and_angles[:3] *= scale
    lattice = aligned_lattice(*edges_and_angles)
    operations = _find_operations(phase, lattice.base)
    elements = [_read_element(atom, phase) for atom in phase.structure]
    names = [(atom.label, atom.element) for atom in phase.structure]
    occupancies = phase.structure.occupancy
    occupancies = join_ions(phase.structure.xyz, elements, occupancies, names)
    (kept,) = np.nonzero((occupancies > 0) | (phase.structure.occupancy == 0))
    choices = [
        expand_sites(
            xyz[kept],
            [elements[i] for i in kept],
            occupancies[kept],
            operations,
            lattice.base,
        )
        for xyz in _guess_fractional_coordinates(phase)
    ]
    counts = [sum(len(images) for _, images in orbits) for orbits in choices]
    choices = [i for i, n in zip(choices, counts) if n == min(counts)]
    orbits = choices[0]
    if len(choices) > 1:
        names, full = [elements[i] for i in kept], occupancies[kept]
        bonds = [_find_shortest_bond(i, names, full, lattice.base) for i in choices]
        likely = [i for i, x in zip(choices, bonds) if x > IMPOSSIBLE_BOND]
        orbits = [*likely, orbits][0]
    structure = Structure(lattice=lattice, title=phase.name or "")
    for i, images in orbits:
        atom = phase.structure[int(kept[i])]
        for xyz in images:
            new = Atom(
                elements[kept[i]],
                xyz,
                label=atom.label,
                occupancy=occupancies[kept[i]],
                Uisoequiv=atom.Uisoequiv,
            )
            structure.append(new, copy=False)
    _check_distances(structure, lattice_unit)
    return structure


def unit_cell_in_any_unit(phase: "Phase") -> "Structure":
    """All atoms in the unit cell of a phase, whatever the unit of its lattice.

    For what does not depend on it, as compositions and symmetry do not.
    """
    try:
        return unit_cell(phase)
    except ShortestDistanceError:
        return unit_cell(phase, lattice_unit="nm")


def symmetry_operations(
    structure: "Structure", *, tolerance: float = 0.01
) -> Operations:
    """Symmetry operations of the atoms in a unit cell, in its own axes.

    Parameters
    ----------
    structure
        Structure with all atoms of a unit cell in any setting, and with
        lattice parameters in angstrom.
    tolerance
        Distance in angstrom below which positions are the same.

    Returns
    -------
    operations
        All operations, lattice translations included, as arrays
        ``rotations`` of shape (n, 3, 3) and ``translations`` of shape
        (n, 3) in fractional coordinates. Only the identity if none are
        found.

    See Also
    --------
    check_space_group, unit_cell

    Examples
    --------
    Body-centered iron

    >>> from diffpy.structure import Atom, Lattice, Structure
    >>> from kikuchipy_spacegroup.crystals import symmetry_operations
    >>> atoms = [Atom("Fe", [0, 0, 0]), Atom("Fe", [0.5, 0.5, 0.5])]
    >>> iron = Structure(atoms, Lattice(2.87, 2.87, 2.87, 90, 90, 90))
    >>> symmetry_operations(iron).rotations.shape
    (96, 3, 3)
    """
    positions, kinds, _ = merge_sites(structure, tolerance)
    symmetry = find_symmetry(structure.lattice.base, positions, kinds, tolerance)
    if symmetry is None:
        return Operations(np.eye(3, dtype=int)[None], np.zeros((1, 3)))
    return Operations(symmetry.rotations, symmetry.translations)


def phase_in_angstrom(phase: "Phase", lattice_unit: LatticeUnit) -> "Phase":
    """Copy of a phase with lattice parameters in angstrom.

    Parameters
    ----------
    phase
        Phase.
    lattice_unit
        Unit of its lattice parameters, ``"angstrom"`` or ``"nm"``.

    Returns
    -------
    phase
        Phase with the same fractional coordinates.

    See Also
    --------
    unit_cell

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.crystals import phase_in_angstrom
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    >>> phase = phase_in_angstrom(mp.phase, "nm")
    >>> round(float(phase.structure.lattice.a), 4)
    3.5236
    """
    scale = _get_angstrom_per(lattice_unit)
    copy = phase.deepcopy()
    if scale != 1:
        from diffpy.structure import Lattice

        base = scale * copy.structure.lattice.base
        copy.structure.lattice = Lattice(base=base)
        if hasattr(copy, "_diffpy_lattice"):
            copy._diffpy_lattice = scale * copy._diffpy_lattice
    return copy


def standard_cell(
    structure: "Structure",
    *,
    name: str = "",
    tolerance: float = 0.01,
) -> "Phase":
    """Structure as a phase in the standard setting.

    Parameters
    ----------
    structure
        Structure with all atoms of a unit cell in any setting, and with
        lattice parameters in angstrom.
    name
        Name of the phase.
    tolerance
        Distance in angstrom below which positions are the same.

    Returns
    -------
    phase
        Phase with the space group of the atoms, and all atoms of the
        conventional unit cell with unique axis b, origin choice 1 and
        hexagonal axes.

    Raises
    ------
    ValueError
        If the atoms have no space group, as when they are too close.

    See Also
    --------
    load_phase, unit_cell

    Notes
    -----
    Where the standard setting leaves the axes open, as two orientations
    of quartz do, one is chosen by the atoms, so that the phase does not
    depend on the axes the structure was given in.

    Examples
    --------
    The primitive cell of aluminium

    >>> from diffpy.structure import Atom, Lattice, Structure
    >>> from kikuchipy_spacegroup.crystals import standard_cell
    >>> primitive = Structure([Atom("Al")], Lattice(2.864, 2.864, 2.864, 60, 60, 60))
    >>> phase = standard_cell(primitive, name="Al")
    >>> phase.space_group.number, len(phase.structure)
    (225, 4)
    """
    from diffpy.structure import Atom, Lattice, Structure
    from orix.crystal_map import Phase

    positions, kinds, content = merge_sites(structure, tolerance)
    symmetry = find_symmetry(structure.lattice.base, positions, kinds, tolerance)
    if symmetry is None:
        raise ValueError(
            f"No space group found for the {len(positions)} sites of {name!r}. Check "
            "that lattice parameters are in angstrom and that no atoms are too close"
        )
    weights = np.array(
        [sum((1 + ELEMENTS.index(i)) * x for i, x in kind) for kind in content]
    )
    base, positions, kinds = choose_axes(
        symmetry.std_lattice,
        symmetry.std_positions,
        symmetry.std_types,
        weights[symmetry.std_types],
    )
    displacements = {
        (atom.element, round(float(atom.occupancy), 3)): atom.Uisoequiv
        for atom in structure
    }
    atoms = [
        Atom(
            element,
            xyz,
            occupancy=occupancy,
            Uisoequiv=displacements[element, occupancy],
        )
        for xyz, kind in zip(wrap(positions), kinds)
        for element, occupancy in content[kind]
    ]
    # Axes as orix turns them, so that it leaves atoms where they are
    lattice = aligned_lattice(*lattice_parameters(Lattice(base=base)))
    return Phase(
        name,
        space_group=int(symmetry.number),
        structure=Structure(atoms, lattice, title=name),
    )


def aligned_lattice(
    a: float, b: float, c: float, alpha: float, beta: float, gamma: float
) -> "Lattice":
    """Lattice with a along x and c* along z, as orix and EMsoft have it.

    Parameters
    ----------
    a, b, c
        Edges.
    alpha, beta, gamma
        Angles in degrees.

    Returns
    -------
    lattice
        Lattice with this base.
    """
    from diffpy.structure import Lattice

    cos_a, cos_b, cos_g = np.cos(np.deg2rad([alpha, beta, gamma]))
    sin_g = np.sin(np.deg2rad(gamma))
    c_y = (cos_a - cos_b * cos_g) / sin_g
    base = np.array(
        [
            [a, 0, 0],
            [b * cos_g, b * sin_g, 0],
            [c * cos_b, c * c_y, c * np.sqrt(1 - cos_b**2 - c_y**2)],
        ]
    )
    # Right angles are exactly so
    base[np.abs(base) < 1e-12 * np.abs(base).max()] = 0
    return Lattice(base=base)


def _get_angstrom_per(lattice_unit: str) -> float:
    """Factor from a unit to angstrom."""
    if lattice_unit not in _ANGSTROM_PER:
        raise ValueError(
            f"lattice_unit must be 'angstrom' or 'nm', not {lattice_unit!r}"
        )
    return _ANGSTROM_PER[lattice_unit]


def _read_element(atom, phase: "Phase") -> str:
    """Element of an atom of a phase."""
    try:
        return element_of_site(str(atom.element))
    except ValueError as error:
        raise ValueError(
            f"Atom {atom.label or atom.element!r} of phase {phase.name!r} is of no "
            "element. Give atoms symbols of elements or atomic numbers"
        ) from error


def _find_operations(phase: "Phase", base: np.ndarray) -> Operations:
    """Operations of the space group of a phase that fit its lattice."""
    operations = [
        (operation.R, operation.t) for operation in phase.space_group.iter_symops()
    ]
    rotations, translations = (np.array(i) for i in zip(*operations))
    standard = Operations(np.rint(rotations).astype(int), translations)
    if standard.fit(base):
        return standard
    # Rhombohedral axes, or another unique axis
    for setting in settings_of_number(phase.space_group.number % 1000):
        if setting.operations.fit(base):
            return setting.operations
    from diffpy.structure import Lattice

    raise ValueError(
        f"The lattice parameters {np.round(lattice_parameters(Lattice(base=base)), 4).tolist()} "
        f"of phase {phase.name!r} are not those of space group "
        f"{phase.space_group.number} ({phase.space_group.short_name}). Give the space "
        "group in the setting of the lattice"
    )


def _guess_fractional_coordinates(phase: "Phase") -> Iterator[np.ndarray]:
    """Fractional coordinates that atoms may have had when orix got them.

    The ones orix recorded come first, see the notes of unit_cell().
    """
    from diffpy.structure import Lattice

    structure = phase.structure
    recorded = getattr(phase, "_diffpy_lattice", structure.lattice.base)
    standard = Lattice(*lattice_parameters(structure.lattice)).base
    bases: list[np.ndarray] = []
    for base in (recorded, structure.lattice.base, standard):
        if not any(np.allclose(base, other, rtol=1e-6) for other in bases):
            bases.append(base)
            yield structure.xyz_cartn @ np.linalg.inv(base)


def _find_shortest_bond(orbits, elements, occupancies, base) -> float:
    """Shortest distance between atoms of orbits over their covalent radii."""
    index = np.concatenate([np.full(len(images), i) for i, images in orbits])
    xyz = np.concatenate([images for _, images in orbits])
    return shortest_bond(xyz, [elements[i] for i in index], occupancies[index], base)


def _check_distances(structure: "Structure", lattice_unit: str) -> None:
    """Raise an error if atoms are nearer or further apart than in any crystal."""
    neighbors, distances = nearest_neighbors(
        structure.xyz, structure.lattice.base, _N_NEIGHBORS
    )
    # Sites that share a place, or are never full at once, may be near to each other
    occupancy = structure.occupancy
    coexist = occupancy[:, None] + occupancy[neighbors] > FULL
    shared = distances < _SAME_PLACE
    shared &= np.array([atom.element for atom in structure])[neighbors] != np.array(
        [[atom.element] for atom in structure]
    )
    distances = np.where(coexist & ~shared, distances, np.inf)
    first, column = np.unravel_index(distances.argmin(), distances.shape)
    shortest = distances[first, column]
    low, high = _SHORTEST
    if low <= shortest <= high or not np.isfinite(shortest):
        return
    names = [
        structure[int(i)].label or structure[int(i)].element
        for i in (first, neighbors[first, column])
    ]
    other = "angstrom" if lattice_unit == "nm" else "nm"
    raise ShortestDistanceError(
        f"The shortest distance between atoms of phase {structure.title!r} is "
        f"{shortest:.3g} angstrom, between {names[0]} and {names[1]}, and it is {low:g} "
        f"to {high:g} in crystals. Lattice parameters are taken to be in "
        f"lattice_unit={lattice_unit!r}: give lattice_unit={other!r} if they are not, or "
        "mend the atoms"
    )

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Atomic numbers of elements and mean ones of phases."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orix.crystal_map import Phase

# In the order of their atomic numbers
_SYMBOLS = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge
As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm
Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th
Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr
""".split()
_ATOMIC_NUMBERS = {symbol: i for i, symbol in enumerate(_SYMBOLS, start=1)}


def mean_atomic_number(phase: "Phase") -> float:
    """Return the mean atomic number of a phase, weighted by the formula.

    Parameters
    ----------
    phase
        Phase with a space group and its atoms, see
        :func:`~kikuchipy_spacegroup.structures.unit_cell`.

    Returns
    -------
    number
        Mean over the atoms in the unit cell, weighted by occupancy.

    Raises
    ------
    ValueError
        If the phase has no space group or no atoms, all its sites are
        empty, or it has atoms of something that is not an element.

    See Also
    --------
    kikuchipy_spacegroup.plot.plot_accuracies

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.evaluation import mean_atomic_number
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    >>> mean_atomic_number(mp.phase)
    28.0
    """
    from kikuchipy_spacegroup.structures import unit_cell

    atoms = unit_cell(phase)
    unknown = sorted({atom.element for atom in atoms} - set(_ATOMIC_NUMBERS))
    if unknown:
        raise ValueError(
            f"Phase {phase.name!r} has atoms of {unknown}, which are no elements from H "
            "to Lr. Give atoms the symbols of elements"
        )
    weight = sum(atom.occupancy for atom in atoms)
    if weight <= 0:
        raise ValueError(
            f"All sites of phase {phase.name!r} have an occupancy of zero. Give at "
            "least one atom an occupancy above zero"
        )
    total = sum(_ATOMIC_NUMBERS[atom.element] * atom.occupancy for atom in atoms)
    return float(total / weight)

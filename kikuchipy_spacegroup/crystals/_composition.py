# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compositions of phases."""

from typing import TYPE_CHECKING

from kikuchipy_spacegroup.crystals._elements import ELEMENTS
from kikuchipy_spacegroup.crystals._unit_cell import unit_cell_in_any_unit

if TYPE_CHECKING:
    from orix.crystal_map import Phase


def phase_composition(phase: "Phase") -> dict[str, float]:
    """Atomic fractions of a phase.

    Parameters
    ----------
    phase
        Phase with a space group and the atoms of the asymmetric unit,
        or of the unit cell. The unit of its lattice parameters does not
        matter.

    Returns
    -------
    fractions
        Fractions by element, which sum up to 1, in the order of the
        atoms. Sites count with their multiplicity and occupancy.

    Raises
    ------
    ValueError
        If the phase has no space group or no atoms, all its sites are
        empty, or it has atoms of something that is no element.

    See Also
    --------
    mean_atomic_number, kikuchipy_spacegroup.maps.identify_phases

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.crystals import phase_composition
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    >>> phase_composition(mp.phase)
    {'Ni': 1.0}
    """
    amounts: dict[str, float] = {}
    for atom in unit_cell_in_any_unit(phase):
        amounts[atom.element] = amounts.get(atom.element, 0.0) + float(atom.occupancy)
    total = sum(amounts.values())
    if not total > 0:
        raise ValueError(
            f"All sites of phase {phase.name!r} are empty. Give at least one atom an "
            "occupancy above zero"
        )
    return {element: amount / total for element, amount in amounts.items()}


def mean_atomic_number(phase: "Phase") -> float:
    """Mean atomic number of a phase, weighted by the formula.

    Parameters
    ----------
    phase
        Phase as for :func:`~kikuchipy_spacegroup.crystals.phase_composition`.

    Returns
    -------
    number
        Mean over the atoms in the unit cell, weighted by occupancy.

    Raises
    ------
    ValueError
        As :func:`~kikuchipy_spacegroup.crystals.phase_composition`.

    See Also
    --------
    kikuchipy_spacegroup.plot.plot_accuracies

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.crystals import mean_atomic_number
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    >>> mean_atomic_number(mp.phase)
    28.0
    """
    fractions = phase_composition(phase)
    return float(sum((1 + ELEMENTS.index(i)) * x for i, x in fractions.items()))

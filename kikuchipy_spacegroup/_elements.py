# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mean atomic numbers of phases."""

from typing import TYPE_CHECKING

from kikuchipy_spacegroup.structures import ELEMENTS, unit_cell

if TYPE_CHECKING:
    from orix.crystal_map import Phase


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
    atoms = unit_cell(phase)
    unknown = sorted({atom.element for atom in atoms} - set(ELEMENTS))
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
    total = sum((1 + ELEMENTS.index(atom.element)) * atom.occupancy for atom in atoms)
    return float(total / weight)

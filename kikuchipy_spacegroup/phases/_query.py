# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is searched for."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
import math
from numbers import Integral, Real
from typing import TYPE_CHECKING

from kikuchipy_spacegroup.crystals import element_symbol, phase_composition
from kikuchipy_spacegroup.space_groups import get_space_group

if TYPE_CHECKING:
    from orix.crystal_map import Phase


@dataclass(frozen=True)
class Query:
    """What a structure must have.

    Parameters
    ----------
    allowed
        Elements that may occur.
    required
        Elements that must occur.
    fractions
        Atomic fractions by element, which sum up to 1, or empty for
        any.
    tolerance
        Largest difference of a fraction.
    space_groups
        Numbers of space groups, with enantiomorphs, or empty for any.
    """

    allowed: frozenset[str]
    required: frozenset[str] = frozenset()
    fractions: tuple[tuple[str, float], ...] = ()
    tolerance: float = 0.05
    space_groups: frozenset[int] = frozenset()

    def fits_elements(self, elements: Collection[str]) -> bool:
        """Whether elements are among those allowed, with all that are required.

        Parameters
        ----------
        elements
            Elements of a structure.
        """
        elements = set(elements)
        return bool(elements) and self.required <= elements <= self.allowed

    def fits(self, phase: "Phase") -> bool:
        """Whether a phase is what is searched for.

        Parameters
        ----------
        phase
            Phase with all atoms of the unit cell.
        """
        if self.space_groups and phase.space_group.number not in self.space_groups:
            return False
        found = phase_composition(phase)
        if not self.fits_elements(found):
            return False
        measured = sum(found.get(element, 0.0) for element, _ in self.fractions)
        if not self.fractions:
            return True
        return measured > 0 and all(
            # Beyond rounding
            abs(found.get(element, 0.0) / measured - fraction) <= self.tolerance + 1e-9
            for element, fraction in self.fractions
        )


def make_query(
    elements: Iterable[str] | None,
    composition: Mapping[str, float] | None,
    tolerance: float,
    space_groups: Iterable[int] | None,
) -> Query:
    """Check what is searched for.

    Parameters
    ----------
    elements, composition, tolerance, space_groups
        As in :func:`search_structures`.

    Returns
    -------
    query
        What a structure must have.

    Raises
    ------
    ValueError
        If anything given makes no sense.
    """
    if elements is None and composition is None:
        raise ValueError(
            "Nothing to search for. Give elements, such as elements=['Fe', 'C'], or a "
            "composition, such as composition={'Fe': 0.75, 'C': 0.25}"
        )
    if isinstance(elements, str):
        raise ValueError(
            f"elements must be a list of names, not the text {elements!r}. Give "
            f"{elements!r}.split() if names are separated by spaces"
        )
    allowed = [] if elements is None else [element_symbol(i) for i in elements]
    if elements is not None and not allowed:
        raise ValueError("elements is empty. Give at least one, or None")
    if isinstance(tolerance, bool) or not (
        isinstance(tolerance, Real) and 0 <= tolerance < 1
    ):
        raise ValueError(
            f"tolerance must be a difference of fractions from 0 to 1, not {tolerance!r}"
        )
    fractions = {} if composition is None else _normalize(composition)
    return Query(
        allowed=frozenset([*allowed, *fractions]),
        required=frozenset(i for i, x in fractions.items() if x > tolerance),
        fractions=tuple(fractions.items()),
        tolerance=float(tolerance),
        space_groups=_with_enantiomorphs(space_groups),
    )


def _normalize(composition: Mapping[str, float]) -> dict[str, float]:
    """Atomic fractions that sum up to 1."""
    if not isinstance(composition, Mapping):
        raise ValueError(
            "composition must be a mapping of elements to atomic fractions, such as "
            f"{{'Fe': 0.75, 'C': 0.25}}, not {composition!r}"
        )
    amounts: dict[str, float] = {}
    for name, amount in composition.items():
        element = element_symbol(name)
        if isinstance(amount, bool) or not (
            isinstance(amount, Real) and math.isfinite(amount) and amount >= 0
        ):
            raise ValueError(
                f"The fraction of {name} must be a number of at least 0, not {amount!r}"
            )
        amounts[element] = amounts.get(element, 0.0) + float(amount)
    total = sum(amounts.values())
    if not total > 0:
        raise ValueError(
            f"The fractions in composition={dict(composition)!r} sum up to zero. Give at "
            "least one above zero"
        )
    return {element: amount / total for element, amount in amounts.items()}


def _with_enantiomorphs(space_groups: Iterable[int] | None) -> frozenset[int]:
    """Numbers of space groups and of their mirror images."""
    if space_groups is None:
        return frozenset()
    if isinstance(space_groups, Integral):
        space_groups = [space_groups]
    groups = [get_space_group(number) for number in space_groups]
    if not groups:
        raise ValueError("space_groups is empty. Give at least one number, or None")
    return frozenset(
        number
        for group in groups
        for number in (group.number, group.enantiomorph)
        if number is not None
    )

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the materials a model was trained on, by name or formula."""

from collections.abc import Iterable, Sequence
import logging
import re
from typing import TYPE_CHECKING, NamedTuple

from kikuchipy_spacegroup.crystals import ELEMENTS, phase_composition

if TYPE_CHECKING:
    from orix.crystal_map import Phase

_logger = logging.getLogger(__name__)

# Atomic fractions that differ by less are the same
_TOLERANCE = 0.01
_AMOUNT = re.compile(r"([A-Z][a-z]?)(\d*\.?\d*)")


class _Material(NamedTuple):
    """A material by its name in small letters, and what else is known."""

    name: str
    space_group: int | None
    fractions: dict[str, float] | None
    made_up: bool = False

    def is_like(self, other: "_Material") -> bool:
        """Return whether another material is the same, as far as known."""
        groups = {self.space_group, other.space_group} - {None}
        if len(groups) == 2:
            return False
        return self.name == other.name or self._has_formula_of(other)

    def _has_formula_of(self, other: "_Material") -> bool:
        """Return whether elements are the same, and fractions if these are told."""
        own, others = self.fractions or {}, other.fractions or {}
        if not own or set(own) != set(others):
            return False
        same = all(abs(own[i] - others[i]) < _TOLERANCE for i in own)
        return same or self.made_up or other.made_up


def seen_materials(
    materials: "Iterable[tuple[str, int, Phase | None]]", trained: Sequence[str]
) -> set[tuple[str, int]]:
    """Return a mask of materials that are among those of training.

    Parameters
    ----------
    materials
        Name, space group number and, where it is known, phase of every
        material.
    trained
        Names of phases in training as models have them in their
        metadata, such as ``"Fe (229)"``.

    Returns
    -------
    seen
        Names and space group numbers of those that were in training.

    Notes
    -----
    The space group must be the same, and the name, in capital or small
    letters, or the formula, of the atoms of the phase or else of the
    name. Names of made-up phases, such as ``"NiBr_as_Cr3Si (223)"`` and
    ``"Ti_invented229 (229)"``, tell the elements but not the ratio, so
    any ratio is the same.

    Materials that are not among those of training are logged, as a
    warning if their formula is not known.

    Examples
    --------
    >>> from kikuchipy_spacegroup.evaluation._seen_materials import seen_materials
    >>> seen_materials([("Fe", 229, None), ("Fe", 225, None)], ["Fe_bcc (229)"])
    {('Fe', 229)}
    """
    trained_materials = [_parse_training_material(str(text)) for text in trained]
    is_seen_by_key: dict[tuple[str, int], bool] = {}
    has_formula: dict[tuple[str, int], bool] = {}
    for name, number, phase in materials:
        key = (name, number)
        material = _describe_scan_material(str(name), number, phase)
        is_seen = any(material.is_like(other) for other in trained_materials)
        is_seen_by_key[key] = is_seen_by_key.get(key, False) or is_seen
        has_formula[key] = has_formula.get(key, False) or bool(material.fractions)
    unseen = [key for key, is_seen in is_seen_by_key.items() if not is_seen]
    if trained_materials:
        _log_unseen(
            [key for key in unseen if not has_formula[key]],
            [key for key in unseen if has_formula[key]],
        )
    elif unseen:
        _logger.warning(
            "The model does not say what it was trained on, so no material counts as "
            "in training. Give the names of those that were as `trained_on`"
        )
    return {key for key, is_seen in is_seen_by_key.items() if is_seen}


def formula_of_name(name: str) -> dict[str, float] | None:
    """Return the atomic fractions that a name says.

    Parameters
    ----------
    name
        Name of a material, such as ``"Fe3Al_disordered221"``.

    Returns
    -------
    fractions
        Fractions by element of the first part of the name that is a
        formula without brackets, or None if there is no such part.

    Examples
    --------
    >>> from kikuchipy_spacegroup.evaluation._seen_materials import formula_of_name
    >>> formula_of_name("ferrite_Fe3Cr")
    {'Fe': 0.75, 'Cr': 0.25}
    >>> formula_of_name("Nickel") is None
    True
    """
    for part in re.split(r"[_\s-]+", name):
        pairs = _AMOUNT.findall(part)
        amounts = {element: text for element, text in pairs}
        whole = part and part == "".join(element + text for element, text in pairs)
        if whole and len(amounts) == len(pairs) and set(amounts) <= set(ELEMENTS):
            numbers = {i: _parse_amount(text) for i, text in amounts.items()}
            total = sum(numbers.values())
            if total > 0:
                return {i: number / total for i, number in numbers.items()}
    return None


def _parse_amount(text: str) -> float:
    return float(text) if text.strip(".") else 1.0


def _parse_training_material(text: str) -> _Material:
    """Return a material of training from its name and space group."""
    match = re.fullmatch(r"(.*?)\s*\((\d+)\)\s*", text)
    name, number = (match[1], int(match[2])) if match else (text, None)
    made_up = "_as_" in name or "_invented" in name
    fractions = formula_of_name(name)
    return _Material(name.strip().casefold(), number, fractions, made_up)


def _describe_scan_material(name: str, number: int, phase: "Phase | None") -> _Material:
    """Return a material of a scan, with the formula of its atoms if known."""
    fractions = None
    if phase is not None and len(phase.structure) > 0:
        try:
            fractions = phase_composition(phase)
        except ValueError as error:
            _logger.info("The formula of %s is that of its name: %s", name, error)
    fractions = fractions or formula_of_name(name)
    return _Material(name.strip().casefold(), number, fractions)


def _log_unseen(unnamed: list[tuple[str, int]], unseen: list[tuple[str, int]]) -> None:
    """Log materials not found in training, without and with a formula."""
    if unnamed:
        _logger.warning(
            "No phase of this name and space group was in training, and the formula is "
            "not known: %s. If the model was trained on it under another name, give "
            "`trained_on`",
            _join_names(unnamed),
        )
    if unseen:
        _logger.info(
            "Neither name nor formula was in training with this space group: %s. If "
            "the model was trained on it under another name, give `trained_on`",
            _join_names(unseen),
        )


def _join_names(materials: list[tuple[str, int]]) -> str:
    return ", ".join(f"{name} ({number})" for name, number in materials)

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The 18 materials and the six experiments of Kaufmann et al. 2020.

Kaufmann, Zhu, Rosengarten, Vecchio, *Deep Neural Network Enabled Space
Group Identification in EBSD*, Microsc. Microanal. 26 (2020) 447-457,
doi:10.1017/S1431927620001506.
"""

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from orix.crystal_map import Phase

SPACE_GROUPS = (221, 223, 225, 227, 229, 230)
CHANCE = 1 / len(SPACE_GROUPS)


class Material(NamedTuple):
    """A cubic structure.

    Parameters
    ----------
    space_group
        Space group number.
    a
        Lattice parameter in nm.
    sites
        Element, position and occupancy of the atoms of the asymmetric
        unit, in the first origin choice as orix expects.
    """

    space_group: int
    a: float
    sites: tuple[tuple[str, tuple[float, float, float], float], ...]


def _l12(a: float, corner: str, face: str) -> Material:
    return Material(221, a, ((corner, (0, 0, 0), 1), (face, (0, 0.5, 0.5), 1)))


def _b2(a: float, first: str, second: str) -> Material:
    return Material(221, a, ((first, (0, 0, 0), 1), (second, (0.5, 0.5, 0.5), 1)))


def _a15(a: float, corner: str, chain: str) -> Material:
    return Material(223, a, ((corner, (0, 0, 0), 1), (chain, (0.25, 0, 0.5), 1)))


def _b1(a: float, metal: str) -> Material:
    return Material(225, a, ((metal, (0, 0, 0), 1), ("C", (0.5, 0.5, 0.5), 1)))


def _element(space_group: int, a: float, element: str) -> Material:
    return Material(space_group, a, ((element, (0, 0, 0), 1),))


def _al4ni3(a: float, **metals: float) -> Material:
    aluminium = (("Al", (0, 0, 0), 1), ("Al", (0.01, 0, 0.25), 1))
    position = (0.125, 0.3835, -0.1335)  # 1/8, y, 1/4 - y
    others = tuple((name, position, share) for name, share in metals.items())
    return Material(230, a, aluminium + others)


# In the order of the paper's bar charts: by group, then by weight
MATERIALS = {
    "FeAl": _b2(0.2909, "Fe", "Al"),
    "NiAl": _b2(0.2887, "Ni", "Al"),
    "Ni3Al": _l12(0.3572, "Al", "Ni"),
    "FeNi3": _l12(0.3552, "Fe", "Ni"),
    "Cr3Si": _a15(0.4564, "Si", "Cr"),
    "Mo3Si": _a15(0.4893, "Si", "Mo"),
    "Al": _element(225, 0.4050, "Al"),
    "TiC": _b1(0.4328, "Ti"),
    "NbC": _b1(0.4470, "Nb"),
    "Ni": _element(225, 0.3524, "Ni"),
    "TaC": _b1(0.4455, "Ta"),
    "Si": _element(227, 0.5431, "Si"),
    "Ge": _element(227, 0.5658, "Ge"),
    "Fe": _element(229, 0.2867, "Fe"),
    "Ta": _element(229, 0.3301, "Ta"),
    "W": _element(229, 0.3165, "W"),
    "Al4Ni3": _al4ni3(1.1408, Ni=1.0),
    "Al4CoNi2": _al4ni3(1.14, Ni=2 / 3, Co=1 / 3),
}

_ATOMIC_NUMBERS = {
    "C": 6, "Al": 13, "Si": 14, "Ti": 22, "Cr": 24, "Fe": 26, "Co": 27, "Ni": 28,
    "Ge": 32, "Nb": 41, "Mo": 42, "Ta": 73, "W": 74,
}  # fmt: skip
_HEAVIEST = ("FeNi3", "Mo3Si", "TaC", "Ge", "Ta", "Al4CoNi2")


# Solid solutions whose patterns are nearly those of one of the materials
_ALIKE = {"TaW_alloy", "SiGe_alloy", "ferrite_FeCr", "austenite_FeCrNi"}


class Experiment(NamedTuple):
    """What was trained on and what came out.

    Parameters
    ----------
    figure
        Number of the figure in the paper.
    training
        Names of the materials trained on.
    accuracy
        Overall accuracy in the paper, None where it has none.
    """

    figure: int
    training: tuple[str, ...]
    accuracy: float | None


def _instead(old: str, new: str) -> tuple[str, ...]:
    return tuple(new if name == old else name for name in _HEAVIEST)


EXPERIMENTS = {
    1: Experiment(2, _HEAVIEST, 0.512),
    2: Experiment(4, _instead("TaC", "Al"), None),
    3: Experiment(5, _instead("Ge", "Si"), None),
    4: Experiment(6, _instead("Ta", "Fe"), None),
    5: Experiment(7, (*_HEAVIEST, "NiAl", "Ni", "Si", "Fe"), 0.80),
    6: Experiment(10, tuple(MATERIALS), 0.93),
}


def phase(name: str) -> "Phase":
    """Return the phase of a material.

    Parameters
    ----------
    name
        Name of the material.

    Returns
    -------
    phase
        Phase with the atoms of the asymmetric unit and the lattice
        parameter in Angstrom.

    Examples
    --------
    >>> phase("Si").space_group.short_name
    'Fd-3m'
    """
    from diffpy.structure import Atom, Lattice, Structure
    from orix.crystal_map import Phase

    material = MATERIALS[name]
    edge = 10 * material.a
    structure = Structure(
        [Atom(symbol, xyz, occupancy=share) for symbol, xyz, share in material.sites],
        Lattice(edge, edge, edge, 90, 90, 90),
        title=name,
    )
    return Phase(name, space_group=material.space_group, structure=structure)


def mean_atomic_number(name: str) -> float:
    """Return the mean atomic number, weighted by the formula.

    Parameters
    ----------
    name
        Name of the material.

    Returns
    -------
    number
        Mean atomic number of the atoms in the unit cell.

    Examples
    --------
    >>> mean_atomic_number("NiAl"), mean_atomic_number("TaC")
    (20.5, 39.5)
    """
    from kikuchipy_spacegroup.crystals import unit_cell

    atoms = unit_cell(phase(name))
    total = sum(_ATOMIC_NUMBERS[atom.element] * atom.occupancy for atom in atoms)
    return float(total / sum(atom.occupancy for atom in atoms))


def elements(name: str) -> frozenset[str]:
    """Return the elements in the name of a phase.

    Parameters
    ----------
    name
        Name, of which the first part that is a formula counts.

    Returns
    -------
    symbols
        Symbols of the elements, none if no part is a formula.

    Examples
    --------
    >>> sorted(elements("Fe3Al_disordered221")), sorted(elements("ferrite_FeCr"))
    (['Al', 'Fe'], ['Cr', 'Fe'])
    """
    from kikuchipy_spacegroup.crystals import ELEMENTS

    for part in name.split("_"):
        symbols = re.findall(r"([A-Z][a-z]?)[\d.]*", part)
        whole = re.fullmatch(r"(?:[A-Z][a-z]?[\d.]*)+", part)
        if whole and set(symbols) <= set(ELEMENTS):
            return frozenset(symbols)
    return frozenset()


def is_like_a_material(name: str, space_group: int | None = None) -> bool:
    """Return whether a phase gives away what one of the materials is.

    Parameters
    ----------
    name
        Name of the phase.
    space_group
        Its space group number, if it is known.

    Returns
    -------
    is_like
        Whether the phase has the elements and the space group of one of
        the materials, in whatever structure or lattice parameter, is
        the disordered twin of a phase of its elements, or a solid
        solution that is much like it.

    Examples
    --------
    >>> [is_like_a_material(*p) for p in [("Al_as_Cu", 225), ("Fe_fcc", 225)]]
    [True, False]
    """
    if name.removesuffix("_shallow") in _ALIKE:
        return True
    any_group = space_group is None or "_disordered" in name
    return any(
        elements(name) == elements(other)
        and (any_group or space_group == material.space_group)
        for other, material in MATERIALS.items()
    )

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The 230 space groups, their names and what they belong to."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
from orix.crystal_map import PhaseList

from kikuchipy_spacegroup.space_groups._absences import diffraction_symbols

# Short Hermann-Mauguin symbols as orix writes them, but with R for
# rhombohedral lattices
_SYMBOLS = """
    P1 P-1 P2 P21 C2 Pm Pc Cm Cc P2/m P21/m C2/m P2/c P21/c C2/c P222 P2221
    P21212 P212121 C2221 C222 F222 I222 I212121 Pmm2 Pmc21 Pcc2 Pma2 Pca21 Pnc2
    Pmn21 Pba2 Pna21 Pnn2 Cmm2 Cmc21 Ccc2 Amm2 Abm2 Ama2 Aba2 Fmm2 Fdd2 Imm2
    Iba2 Ima2 Pmmm Pnnn Pccm Pban Pmma Pnna Pmna Pcca Pbam Pccn Pbcm Pnnm Pmmn
    Pbcn Pbca Pnma Cmcm Cmca Cmmm Cccm Cmma Ccca Fmmm Fddd Immm Ibam Ibca Imma
    P4 P41 P42 P43 I4 I41 P-4 I-4 P4/m P42/m P4/n P42/n I4/m I41/a P422 P4212
    P4122 P41212 P4222 P42212 P4322 P43212 I422 I4122 P4mm P4bm P42cm P42nm P4cc
    P4nc P42mc P42bc I4mm I4cm I41md I41cd P-42m P-42c P-421m P-421c P-4m2 P-4c2
    P-4b2 P-4n2 I-4m2 I-4c2 I-42m I-42d P4/mmm P4/mcc P4/nbm P4/nnc P4/mbm
    P4/mnc P4/nmm P4/ncc P42/mmc P42/mcm P42/nbc P42/nnm P42/mbc P42/mnm P42/nmc
    P42/ncm I4/mmm I4/mcm I41/amd I41/acd P3 P31 P32 R3 P-3 R-3 P312 P321 P3112
    P3121 P3212 P3221 R32 P3m1 P31m P3c1 P31c R3m R3c P-31m P-31c P-3m1 P-3c1
    R-3m R-3c P6 P61 P65 P62 P64 P63 P-6 P6/m P63/m P622 P6122 P6522 P6222 P6422
    P6322 P6mm P6cc P63cm P63mc P-6m2 P-6c2 P-62m P-62c P6/mmm P6/mcc P63/mcm
    P63/mmc P23 F23 I23 P213 I213 Pm-3 Pn-3 Fm-3 Fd-3 Im-3 Pa-3 Ia-3 P432 P4232
    F432 F4132 I432 P4332 P4132 I4132 P-43m F-43m I-43m P-43n F-43c I-43d Pm-3m
    Pn-3n Pm-3n Pn-3m Fm-3m Fm-3c Fd-3m Fd-3c Im-3m Ia-3d
""".split()

# Last number, point group, Laue class and crystal system of each range
_RANGES = (
    (1, "1", "-1", "triclinic"),
    (2, "-1", "-1", "triclinic"),
    (5, "2", "2/m", "monoclinic"),
    (9, "m", "2/m", "monoclinic"),
    (15, "2/m", "2/m", "monoclinic"),
    (24, "222", "mmm", "orthorhombic"),
    (46, "mm2", "mmm", "orthorhombic"),
    (74, "mmm", "mmm", "orthorhombic"),
    (80, "4", "4/m", "tetragonal"),
    (82, "-4", "4/m", "tetragonal"),
    (88, "4/m", "4/m", "tetragonal"),
    (98, "422", "4/mmm", "tetragonal"),
    (110, "4mm", "4/mmm", "tetragonal"),
    (122, "-42m", "4/mmm", "tetragonal"),
    (142, "4/mmm", "4/mmm", "tetragonal"),
    (146, "3", "-3", "trigonal"),
    (148, "-3", "-3", "trigonal"),
    (155, "32", "-3m", "trigonal"),
    (161, "3m", "-3m", "trigonal"),
    (167, "-3m", "-3m", "trigonal"),
    (173, "6", "6/m", "hexagonal"),
    (174, "-6", "6/m", "hexagonal"),
    (176, "6/m", "6/m", "hexagonal"),
    (182, "622", "6/mmm", "hexagonal"),
    (186, "6mm", "6/mmm", "hexagonal"),
    (190, "-6m2", "6/mmm", "hexagonal"),
    (194, "6/mmm", "6/mmm", "hexagonal"),
    (199, "23", "m-3", "cubic"),
    (206, "m-3", "m-3", "cubic"),
    (214, "432", "m-3m", "cubic"),
    (220, "-43m", "m-3m", "cubic"),
    (230, "m-3m", "m-3m", "cubic"),
)
_FAMILIES = {
    "triclinic": "a",
    "monoclinic": "m",
    "orthorhombic": "o",
    "tetragonal": "t",
    "trigonal": "h",
    "hexagonal": "h",
    "cubic": "c",
}
_PROPER = ("1", "2", "3", "4", "6", "222", "32", "422", "622", "23", "432")
_ENANTIOMORPHS = (
    (76, 78),
    (91, 95),
    (92, 96),
    (144, 145),
    (151, 153),
    (152, 154),
    (169, 170),
    (171, 172),
    (178, 179),
    (180, 181),
    (212, 213),
)
_PARTNERS = {a: b for pair in _ENANTIOMORPHS for a, b in (pair, pair[::-1])}


@dataclass(frozen=True)
class SpaceGroup:
    """One of the 230 space groups.

    Parameters
    ----------
    number
        Number from 1 to 230.
    symbol
        Short Hermann-Mauguin symbol without underscores.
    point_group
        Point group.
    laue_class
        One of the 11 Laue classes.
    bravais_lattice
        One of the 14 Bravais lattices as a Pearson symbol, with ``"S"``
        for lattices centered on one face and ``"hR"`` for rhombohedral
        ones.
    crystal_system
        One of the seven crystal systems.
    is_centrosymmetric
        Whether there is an inversion center.
    is_sohncke
        Whether all operations are proper, so that chiral structures
        have a handedness.
    enantiomorph
        Number of the space group of the mirror image, if it is another
        one.

    See Also
    --------
    get_space_group

    Examples
    --------
    >>> from kikuchipy_spacegroup.space_groups import get_space_group
    >>> group = get_space_group(225)
    >>> group.symbol, group.point_group, group.bravais_lattice
    ('Fm-3m', 'm-3m', 'cF')
    """

    number: int
    symbol: str
    point_group: str
    laue_class: str
    bravais_lattice: str
    crystal_system: str
    is_centrosymmetric: bool
    is_sohncke: bool
    enantiomorph: int | None

    @property
    def enantiomorphic_pair(self) -> str:
        """Symbol, with that of the mirror image if this is another one.

        Such as ``"P3121 or P3221"``. There are 219.
        """
        numbers = {self.number, self.enantiomorph or self.number}
        return " or ".join(_SYMBOLS[i - 1] for i in sorted(numbers))

    @property
    def laue_class_with_lattice(self) -> str:
        """Laue class and centering of the lattice, such as ``"6/mmm, P"``.

        There are 23, as lattices centered on one face are all ``"S"``.
        """
        return f"{self.laue_class}, {self.bravais_lattice[1]}"

    @property
    def diffraction_symbol(self) -> str:
        """Laue class and systematic absences, such as ``"m-3m, Fd--"``.

        There are 122. The second part is the extinction symbol of the
        space group with the lowest number that has the same ones. Laue
        class -3m is -3m1 or -31m if the lattice is not rhombohedral.
        """
        return _list_diffraction_symbols()[0][self.number - 1]

    @property
    def extinction_symbol(self) -> str:
        """Crystal family and systematic absences, such as ``"cFd--"``.

        There are 97.
        """
        return _list_diffraction_symbols()[1][self.number - 1]


@cache
def _make_space_group(number: int) -> SpaceGroup:
    """Return the space group of a number, made from tables."""
    symbol = _SYMBOLS[number - 1]
    _, point_group, laue_class, system = next(r for r in _RANGES if number <= r[0])
    centering = "S" if symbol[0] in "ABC" else symbol[0]
    return SpaceGroup(
        number=number,
        symbol=symbol,
        point_group=point_group,
        laue_class=laue_class,
        bravais_lattice=_FAMILIES[system] + centering,
        crystal_system=system,
        is_centrosymmetric=point_group == laue_class,
        is_sohncke=point_group in _PROPER,
        enantiomorph=_PARTNERS.get(number),
    )


@cache
def _list_diffraction_symbols() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the diffraction and extinction symbols of all space groups."""
    groups = [_make_space_group(n) for n in range(1, 231)]
    return diffraction_symbols([(g.laue_class, g.bravais_lattice[0]) for g in groups])


def get_space_group(number: int) -> SpaceGroup:
    """Return a space group by its number.

    Parameters
    ----------
    number
        Number from 1 to 230.

    Returns
    -------
    space_group
        The space group.

    Raises
    ------
    ValueError
        If there is no such space group.

    See Also
    --------
    orix.crystal_map.Phase

    Examples
    --------
    >>> from kikuchipy_spacegroup.space_groups import get_space_group
    >>> get_space_group(225).laue_class
    'm-3m'
    """
    if isinstance(number, bool | np.bool_) or number not in range(1, 231):
        raise ValueError(f"Space group must be a number from 1 to 230, not {number!r}")
    return _make_space_group(int(number))


def symbol(number: int) -> str:
    """Return the short Hermann-Mauguin symbol of a space group.

    Parameters
    ----------
    number
        Number from 1 to 230.

    Returns
    -------
    symbol
        Symbol without underscores or spaces.

    Raises
    ------
    ValueError
        If there is no such space group.

    See Also
    --------
    get_space_group

    Examples
    --------
    >>> from kikuchipy_spacegroup.space_groups import symbol
    >>> symbol(225), symbol(166), symbol(194)
    ('Fm-3m', 'R-3m', 'P63/mmc')
    """
    return get_space_group(number).symbol


def has_enantiomorphic_pair(numbers: Iterable[int]) -> bool:
    """Return whether two of some space groups are mirror images of each other.

    Parameters
    ----------
    numbers
        Space group numbers.

    Returns
    -------
    has_pair
        True if a space group and its enantiomorph are among them: then
        a mirror image of a pattern may be of another class.

    See Also
    --------
    get_space_group

    Examples
    --------
    >>> from kikuchipy_spacegroup.space_groups import has_enantiomorphic_pair
    >>> has_enantiomorphic_pair([152, 154, 225])
    True
    """
    numbers = set(numbers)
    return bool(numbers & {get_space_group(i).enantiomorph for i in numbers})


def phase_list(
    numbers: Iterable[int],
    *,
    classes: Iterable[int] | None = None,
    include_not_indexed: bool = False,
) -> PhaseList:
    """Return phases whose IDs are space group numbers.

    Parameters
    ----------
    numbers
        Space group numbers.
    classes
        Space group numbers that colors are given to, so that they do
        not depend on which of them are in the list. The same as
        *numbers* if not given.
    include_not_indexed
        Whether to add the phase of points that are not indexed, with ID
        -1.

    Returns
    -------
    phases
        Phases with the space groups' symbols as names, in increasing
        order of their IDs and of different colors. If *classes* are
        given, one whose enantiomorph is not among them stands for both,
        and is named ``"P3121 or P3221"``.

    Raises
    ------
    ValueError
        If there is no such space group, or one is not among the
        classes.

    See Also
    --------
    orix.crystal_map.PhaseList

    Examples
    --------
    >>> from kikuchipy_spacegroup.space_groups import phase_list
    >>> phase_list([225, 229])
    Id   Name  Space group  Point group  Proper point group       Color
    225  Fm-3m        Fm-3m         m-3m                 432    tab:blue
    229  Im-3m        Im-3m         m-3m                 432  tab:orange
    """
    numbers = sorted({get_space_group(n).number for n in numbers})
    names = [symbol(n) for n in numbers]
    if classes is None:
        classes = numbers
    else:
        classes = sorted({int(n) for n in classes})
        names = [_choose_name(n, classes) for n in numbers]
    if not set(numbers) <= set(classes):
        raise ValueError(f"Space groups {numbers} must be among the classes {classes}")
    colors = dict(zip(classes, PhaseList(ids=classes).colors))
    phases = PhaseList(
        names=names,
        space_groups=numbers,
        colors=[colors[n] for n in numbers],
        ids=numbers,
    )
    if include_not_indexed:
        phases.add_not_indexed()
    return phases


def _choose_name(number: int, classes: Iterable[int]) -> str:
    """Return the symbol of a space group, or of both that it stands for."""
    group = get_space_group(number)
    if group.enantiomorph is None or group.enantiomorph in classes:
        return symbol(number)
    return group.enantiomorphic_pair

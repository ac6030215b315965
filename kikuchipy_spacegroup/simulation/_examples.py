# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three scans to try things on, of which the truth is known."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kikuchipy_spacegroup.master_patterns import simulate_master_pattern
from kikuchipy_spacegroup.simulation._scans import simulate_scan

if TYPE_CHECKING:
    from kikuchipy.signals import EBSD
    from orix.crystal_map import Phase

# Space group, lattice parameters in Angstrom, atoms of the asymmetric unit
_STRUCTURES = {
    "aluminum": (225, (4.0496,) * 3, [("Al", 0, 0, 0)]),
    "austenite": (225, (3.591,) * 3, [("Fe", 0, 0, 0)]),
    "cementite": (
        62,
        (5.092, 6.741, 4.527),
        [
            ("Fe", 0.1834, 0.0689, 0.3344),
            ("Fe", 0.0388, 0.25, 0.8422),
            ("C", 0.8764, 0.25, 0.4426),
        ],
    ),
    "FeAl": (221, (2.909,) * 3, [("Fe", 0, 0, 0), ("Al", 0.5, 0.5, 0.5)]),
    "ferrite": (229, (2.8665,) * 3, [("Fe", 0, 0, 0)]),
    "silicon": (227, (5.4307,) * 3, [("Si", 0, 0, 0)]),
}
# Fractions of phases
_EXAMPLES = {
    "ferrite and FeAl": {"ferrite": 0.6, "FeAl": 0.4},
    "austenite, ferrite and cementite": {
        "austenite": 0.4,
        "ferrite": 0.4,
        "cementite": 0.2,
    },
    "aluminum and silicon": {"aluminum": 0.7, "silicon": 0.3},
}


def example_phases(name: str) -> list["Phase"]:
    """Return the phases of an example with their structures.

    Parameters
    ----------
    name
        See :func:`example_scan`.

    Returns
    -------
    phases
        Phases in the standard setting with the atoms of the asymmetric
        unit and lattice parameters in Angstrom.

    Raises
    ------
    ValueError
        If there is no such example.

    See Also
    --------
    example_scan
    orix.crystal_map.Phase

    Notes
    -----
    Structures are those of the EMsoft database of master patterns as
    spherical harmonics, https://doi.org/10.1184/R1/9974612, and that of
    FeAl has the lattice parameter 2.909 Angstrom.

    Examples
    --------
    >>> from kikuchipy_spacegroup.simulation import example_phases
    >>> [(i.name, i.space_group.number) for i in example_phases("ferrite and FeAl")]
    [('ferrite', 229), ('FeAl', 221)]
    """
    from diffpy.structure import Atom, Lattice, Structure
    from orix.crystal_map import Phase

    if name not in _EXAMPLES:
        raise ValueError(f"There is no example {name!r}, but there are {[*_EXAMPLES]}")
    phases = []
    for phase in _EXAMPLES[name]:
        space_group, edges, atoms = _STRUCTURES[phase]
        structure = Structure(
            [Atom(element, xyz) for element, *xyz in atoms],
            Lattice(*edges, 90, 90, 90),
        )
        phases.append(Phase(phase, space_group=space_group, structure=structure))
    return phases


def example_scan(
    name: str,
    shape: tuple[int, int] = (60, 80),
    *,
    method: Literal["kinematical", "dynamical"] = "kinematical",
    cache_dir: str | Path | None = None,
    **kwargs: Any,
) -> "EBSD":
    """Return one of three simulated scans with its truth.

    Parameters
    ----------
    name
        ``"ferrite and FeAl"``, which differ in faint superlattice
        bands (space groups 229 and 221), ``"austenite, ferrite and
        cementite"`` (225, 229 and 62, which is not among the classes of
        the default model), or ``"aluminum and silicon"`` (225 and 227).
    shape
        Number of rows and columns of the scan.
    method, cache_dir
        How master patterns are simulated, and a folder to keep them in,
        see :func:`~kikuchipy_spacegroup.master_patterns.simulate_master_pattern`.
    **kwargs
        Keyword arguments passed on to
        :func:`~kikuchipy_spacegroup.simulation.simulate_scan`.

    Returns
    -------
    signal
        Raw patterns, whose phases and orientations are in
        ``signal.xmap``.

    Raises
    ------
    ImportError
        If the package diffsims, or de-ebsd for dynamical master
        patterns, is not installed.
    ValueError
        If there is no such example, or another argument does not fit.

    See Also
    --------
    example_phases
    kikuchipy_spacegroup.simulation.simulate_scan

    Notes
    -----
    Kinematical patterns are good for learning how to index, but not for
    judging a model trained on dynamical ones. For master patterns from
    files, call :func:`~kikuchipy_spacegroup.simulation.simulate_scan`.

    Examples
    --------
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kpsg.example_scan(
    ...     "ferrite and FeAl", (10, 15), grain_size=4, show_progressbar=False
    ... )
    >>> s
    <EBSD, title: ferrite, FeAl, dimensions: (15, 10|60, 60)>
    """
    phases = example_phases(name)
    master_patterns = [
        simulate_master_pattern(phase, method=method, cache_dir=cache_dir)
        for phase in phases
    ]
    fractions = list(_EXAMPLES[name].values())
    kwargs = {"phase_fractions": fractions} | kwargs
    return simulate_scan(master_patterns, shape, **kwargs)

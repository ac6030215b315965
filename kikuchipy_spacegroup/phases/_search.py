# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Search for crystal structures which may be in a sample."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
import logging
import math
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kikuchipy_spacegroup._progress import progress_bar
from kikuchipy_spacegroup.crystals import phase_composition
from kikuchipy_spacegroup.crystals._phase import phase_from_content
from kikuchipy_spacegroup.crystals._symmetry import lattice_parameters
from kikuchipy_spacegroup.phases._amcsd import find_amcsd, read_amcsd
from kikuchipy_spacegroup.phases._entry import OF_SOURCES, Entry, Problem
from kikuchipy_spacegroup.phases._folder import find_cifs, read_folder
from kikuchipy_spacegroup.phases._optimade import (
    PROVIDERS,
    check_requests,
    read_optimade,
)
from kikuchipy_spacegroup.phases._query import Query, make_query
from kikuchipy_spacegroup.phases._result import StructureSearch
from kikuchipy_spacegroup.space_groups import get_space_group, symbol

if TYPE_CHECKING:
    from orix.crystal_map import Phase

_logger = logging.getLogger(__name__)

# As many as there are colors for
_MOST_RESULTS = 1000
# Relative difference of lattice parameters within which structures are one
_SAME_LATTICE = 0.01
# Difference of atomic fractions within which compositions are one
_SAME_FRACTION = 0.01
# Relative difference of amounts from whole numbers, as with a few vacancies
_NEARLY_WHOLE = 0.02
_PARAMETERS = ["a", "b", "c", "alpha", "beta", "gamma"]
_COLUMNS = ["name", "formula", "space_group", *_PARAMETERS]
_COLUMNS += ["source", "identifier", "licence"]
# Problems named in an error
_N_NAMED = 3


def search_structures(
    elements: Iterable[str] | None = None,
    *,
    composition: Mapping[str, float] | None = None,
    tolerance: float = 0.05,
    space_groups: Iterable[int] | None = None,
    source: str | Path,
    max_results: int = 500,
    timeout: float = 120,
    show_progressbar: bool | None = None,
) -> StructureSearch:
    """Search for crystal structures which may be in a sample.

    Parameters
    ----------
    elements
        Names of the elements that may occur. Structures of any subset of
        them are found.
    composition
        Atomic fractions by element of the phase searched for, in any
        unit, as they are normalized. No other elements may occur, unless
        they are among *elements*: these are taken as not measured, may
        occur in any amount, and do not count in the fractions.
    tolerance
        Largest difference of the fraction of any element. An element
        with a smaller fraction may be missing.
    space_groups
        Numbers of the space groups that are possible, if not any. Each
        stands for its enantiomorph too.
    source
        Where to search:

        * a path to a folder of CIFs, which may be in folders within it,
        * ``"amcsd"``, the American Mineralogist database as the package
          larixite ships it, without a network,
        * ``"alexandria"``, ``"cod"`` (Crystallography Open Database),
          ``"mp"`` (Materials Project) or ``"oqmd"``, or
        * the base URL of another database that speaks OPTIMADE.

        The elements are sent to the database that is named, and nothing
        to anyone else.
    max_results
        Number of phases after which to stop, 1000 at most.
    timeout
        Time in seconds to wait for a database, all its answers together.
        Files are read however long that takes.
    show_progressbar
        Whether to show a progress bar. If not given, as in HyperSpy's
        preferences.

    Returns
    -------
    search
        Phases, a table of them, and what was left out and why.

    Raises
    ------
    ImportError
        If the package that a source needs is not installed.
    FileNotFoundError
        If there is no such folder.
    ConnectionError
        If a database did not give any structure that can be read, for a
        reason of its own.
    ValueError
        If what is searched for makes no sense, the source is not known,
        or none of its structures can be read.

    See Also
    --------
    kikuchipy_spacegroup.crystals.load_phase
    kikuchipy_spacegroup.maps.identify_phases
    kikuchipy_spacegroup.master_patterns.simulate_master_pattern

    Notes
    -----
    The space group is that of the atoms. Structures with the same
    elements in fractions within 0.01, space group (or its enantiomorph)
    and lattice parameters within 1 % are one, of which the first is
    kept. Mixed sites are kept with their occupancies.

    When a database fails in the middle, what it gave before is returned,
    and the problem is logged as a warning.

    Examples
    --------
    Structures of iron, chromium and carbon in your own CIFs

    >>> from kikuchipy_spacegroup.phases import search_structures
    >>> search = search_structures(["Fe", "Cr", "C"], source="cifs")  # doctest: +SKIP

    Candidates of a particle in which oxygen was not measured

    >>> search = search_structures(
    ...     ["O"], composition={"Fe": 0.67, "Ti": 0.33}, source="amcsd"
    ... )  # doctest: +SKIP
    >>> search.table[["name", "formula", "space_group"]]  # doctest: +SKIP
    """
    query = make_query(elements, composition, tolerance, space_groups)
    _check_limits(max_results, timeout)
    entries = _open_source(source, timeout)(query)
    found = _Found(str(source), query)
    with progress_bar(show_progressbar, "Structures", "structure") as bar:
        for entry in entries:
            bar.update()
            found.add(entry)
            if len(found.phases) == max_results:
                found.add(
                    Problem(
                        str(source),
                        "limit",
                        f"stopped at max_results={max_results}: there may be more",
                    )
                )
                break
    return found.result()


def _check_limits(max_results: int, timeout: float) -> None:
    """Raise an error if there would be no results, too many, or no end."""
    whole = isinstance(max_results, Integral) and not isinstance(max_results, bool)
    if not whole or not 1 <= max_results <= _MOST_RESULTS:
        raise ValueError(
            f"max_results must be a number from 1 to {_MOST_RESULTS}, not {max_results!r}"
        )
    if isinstance(timeout, bool) or not (
        isinstance(timeout, Real) and 0 < timeout < math.inf
    ):
        raise ValueError(f"timeout must be a time in seconds above 0, not {timeout!r}")


def _open_source(
    source: str | Path, timeout: float
) -> Callable[[Query], Iterator[Entry | Problem]]:
    """Function that reads a source, which is there as far as can be told."""
    if source == "amcsd":
        return partial(read_amcsd, find_amcsd())
    if isinstance(source, str) and source in PROVIDERS:
        check_requests()
        url, licence = PROVIDERS[source]
        return lambda query: read_optimade(url, licence, query, timeout)
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        check_requests()
        return lambda query: read_optimade(source, "", query, timeout)
    if not isinstance(source, str | Path):
        raise ValueError(f"source must be a text or a path, not {source!r}")
    folder = Path(source)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{str(source)!r} is neither a folder, nor 'amcsd' or one of the databases "
            f"{sorted(PROVIDERS)}, nor an address that begins with https://"
        )
    paths = find_cifs(folder)
    return lambda _: read_folder(folder, paths)


class _Found:
    """Phases found so far, their rows of the table, and problems.

    Parameters
    ----------
    source
        What to call the source in tables.
    query
        What is searched for.
    """

    def __init__(self, source: str, query: Query) -> None:
        self.source, self.query = source, query
        self.phases: list[Phase] = []
        self.rows: list[dict[str, Any]] = []
        self.compositions: list[dict[str, float]] = []
        self.problems: list[Problem] = []
        # Index of the phase that each problem is a duplicate of
        self.duplicate_of: list[int | None] = []
        self.n_read = 0

    def add(self, entry: Entry | Problem) -> None:
        """Add a structure if it is one searched for and new, or a problem."""
        if isinstance(entry, Problem):
            _logger.warning("%s: %s", entry.identifier or self.source, entry.message)
            self.problems.append(entry)
            self.duplicate_of.append(None)
            return
        if not self.query.fits_elements({site.element for site in entry.content.sites}):
            self.n_read += 1
            return
        try:
            phase = phase_from_content(entry.content, entry.name, entry.identifier)
        except ValueError as error:
            message = f"it is no crystal: {error}"
            self.add(Problem(entry.identifier, "unreadable", message))
            return
        self.n_read += 1
        if self.query.fits(phase):
            self._add_phase(phase, entry)

    def _add_phase(self, phase: "Phase", entry: Entry) -> None:
        """Add a phase, unless one that is the same is there."""
        lattice = lattice_parameters(phase.structure.lattice)
        row = {
            "name": entry.name,
            "formula": reduced_formula(phase),
            "space_group": phase.space_group.number,
            **dict(zip(_PARAMETERS, map(float, lattice))),
            "source": self.source,
            "identifier": entry.identifier,
            "licence": entry.licence,
        }
        composition = phase_composition(phase)
        same = next(
            (
                i
                for i, other in enumerate(self.rows)
                if _are_same(row, other)
                and _are_near(composition, self.compositions[i])
            ),
            None,
        )
        if same is None:
            self.phases.append(phase)
            self.rows.append(row)
            self.compositions.append(composition)
            return
        message = f"it is the same as {self.rows[same]['identifier']}"
        _logger.info("%s: %s", entry.identifier, message)
        self.problems.append(Problem(entry.identifier, "duplicate", message))
        self.duplicate_of.append(same)

    def result(self) -> StructureSearch:
        """Everything found, or an error if nothing could be read."""
        from orix.crystal_map import PhaseList
        import pandas as pd

        self._check_any()
        names = distinct_names(self.rows)
        colors = PhaseList(ids=list(range(len(names)))).colors if names else []
        for phase, row, name, color in zip(self.phases, self.rows, names, colors):
            phase.name = row["name"] = phase.structure.title = name
            phase.color = color
        problems = pd.DataFrame(
            {
                "identifier": [problem.identifier for problem in self.problems],
                "problem": [problem.kind for problem in self.problems],
                "message": [problem.message for problem in self.problems],
                "duplicate_of": [
                    "" if i is None else names[i] for i in self.duplicate_of
                ],
                "source": [self.source] * len(self.problems),
            },
            dtype=object,
        )
        table = pd.DataFrame(self.rows, columns=_COLUMNS)
        return StructureSearch(PhaseList(self.phases), table, problems)

    def _check_any(self) -> None:
        """Raise an error if there were structures, or none came, and none was read."""
        if self.n_read or not self.problems:
            return
        # What is wrong with the source says more than what is with entries
        problems = sorted(self.problems, key=lambda i: i.kind not in OF_SOURCES)
        texts = [f"{i.identifier}: {i.message}" for i in problems[:_N_NAMED]]
        if len(problems) > _N_NAMED:
            texts.append(f"and {len(problems) - _N_NAMED} more")
        message = f"Nothing in {self.source!r} could be read. " + "; ".join(texts)
        of_source = problems[0].kind in OF_SOURCES
        raise (ConnectionError if of_source else ValueError)(message)


def _are_same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether two rows are of one space group and lattice."""
    numbers = [_pair(row["space_group"]) for row in (first, second)]
    values = [[row[name] for name in _PARAMETERS] for row in (first, second)]
    return numbers[0] == numbers[1] and np.allclose(*values, rtol=_SAME_LATTICE, atol=0)


def _are_near(first: dict[str, float], second: dict[str, float]) -> bool:
    """Whether two compositions have the same elements in nearly the same amounts."""
    return first.keys() == second.keys() and all(
        abs(first[element] - second[element]) < _SAME_FRACTION for element in first
    )


def _pair(number: int) -> int:
    """Number of a space group, the lower one of an enantiomorphic pair."""
    return min(number, get_space_group(number).enantiomorph or number)


def reduced_formula(phase: "Phase") -> str:
    """Reduced formula, with elements in alphabetical order.

    Parameters
    ----------
    phase
        Phase with all atoms of the unit cell.

    Returns
    -------
    formula
        Formula such as ``"C3Cr7"``. If amounts in the unit cell are not
        whole, those that nearly are have no common divisor, as in
        ``"Fe1.8Mg0.2O4Si"``, or if none is, they sum up to 1.
    """
    amounts: dict[str, float] = {}
    for atom in phase.structure:
        amounts[atom.element] = amounts.get(atom.element, 0.0) + float(atom.occupancy)
    whole = [
        round(x) for x in amounts.values() if abs(x - round(x)) < _NEARLY_WHOLE * x
    ]
    divisor = math.gcd(*whole) or sum(amounts.values())
    texts = []
    for element in sorted(amounts):
        text = f"{round(amounts[element] / divisor, 3):g}"
        texts.append(element if text == "1" else f"{element}{text}")
    return "".join(texts)


def distinct_names(rows: list[dict[str, Any]]) -> list[str]:
    """Names of phases, with what tells them apart where they are the same.

    Parameters
    ----------
    rows
        Rows with a name, which may be empty, formula, space group and
        identifier.

    Returns
    -------
    names
        The names, or formulas, followed by the space group or, if that
        does not do, the identifier.
    """
    names = [row["name"] or row["formula"] for row in rows]
    for extra in (
        [symbol(row["space_group"]) for row in rows],
        [row["identifier"] for row in rows],
        [f"#{i}" for i in range(len(rows))],
    ):
        counts = Counter(names)
        names = [
            f"{name} ({text})" if counts[name] > 1 else name
            for name, text in zip(names, extra)
        ]
    return names

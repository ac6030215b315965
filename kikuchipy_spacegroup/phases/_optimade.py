# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Structures from databases that speak OPTIMADE.

The client in the package optimade is not used: it loses the pages it has
when a later one fails, waits for 1000 s, and follows any address.
"""

from collections.abc import Iterator
from importlib.util import find_spec
import logging
import re
from typing import Any

import numpy as np

from kikuchipy_spacegroup.crystals import ELEMENTS, element_symbol
from kikuchipy_spacegroup.crystals._cif import (
    MAX_OCCUPANCY,
    MAX_SITES,
    CifContent,
    CifSite,
    check_cell,
)
from kikuchipy_spacegroup.crystals._elements import read_formula
from kikuchipy_spacegroup.crystals._settings import settings_of_number
from kikuchipy_spacegroup.phases._entry import NOT_STATED, Entry, EntryError, Problem
from kikuchipy_spacegroup.phases._http import Server, ServerError
from kikuchipy_spacegroup.phases._query import Query

_logger = logging.getLogger(__name__)

# Addresses and licences, as the providers state them
PROVIDERS = {
    "alexandria": ("https://alexandria.icams.rub.de/pbe", "CC-BY-4.0"),
    "cod": ("https://www.crystallography.net/cod/optimade", "CC0-1.0"),
    "mp": ("https://optimade.materialsproject.org", "CC-BY-4.0"),
    "oqmd": ("https://oqmd.org/optimade", "CC-BY-4.0"),
}
_PAGE_LIMIT = 100
_FIELDS = (
    "chemical_formula_reduced",
    "dimension_types",
    "lattice_vectors",
    "cartesian_site_positions",
    "species",
    "species_at_sites",
    "assemblies",
    "structure_features",
)
# Answers of servers that allow no page as large
_REFUSED = (400, 403)
# Entries read at most, whatever a server goes on to send
_MAX_ENTRIES = 10_000
# Per cubic angstrom, ten times as dense as diamond. More would exhaust memory
_MAX_SITES_PER_VOLUME = 2
_FEATURES = {"disorder", "implicit_atoms", "site_attachments", "assemblies"}
_INFO_SECONDS = 5


def check_requests() -> None:
    """Raise an error if requests is not installed.

    Raises
    ------
    ImportError
        If it is not.
    """
    if find_spec("requests") is None:
        raise ImportError(
            "OPTIMADE databases are asked with requests, which is not installed. Install "
            "it with 'pip install kikuchipy-spacegroup[optimade]'."
        )


def optimade_filter(query: Query) -> str:
    """Filter in OPTIMADE's language, of features that all servers must have.

    Parameters
    ----------
    query
        What is searched for.

    Returns
    -------
    text
        Filter for elements. Servers know neither fractions nor,
        reliably, space groups.

    Examples
    --------
    >>> from kikuchipy_spacegroup.phases._optimade import optimade_filter
    >>> from kikuchipy_spacegroup.phases._query import Query
    >>> optimade_filter(Query(allowed=frozenset(["Fe", "C"])))[:50]
    'elements HAS ANY "C","Fe" AND nelements<=2 AND NOT'
    """
    others = [element for element in ELEMENTS if element not in query.allowed]
    if query.required:
        first = f"elements HAS ALL {_listed(query.required)}"
    else:
        first = f"elements HAS ANY {_listed(query.allowed)}"
    return (
        f"{first} AND nelements<={len(query.allowed)} "
        f"AND NOT (elements HAS ANY {_listed(others)})"
    )


def _listed(elements: Any) -> str:
    return ",".join(f'"{element}"' for element in sorted(elements))


def read_optimade(
    url: str, licence: str, query: Query, timeout: float
) -> Iterator[Entry | Problem]:
    """Ask a server for structures of some elements, page by page.

    Parameters
    ----------
    url
        Base URL, with or without ``/v1``.
    licence
        Licence of the structures. If empty, the server is asked.
    query
        What is searched for.
    timeout
        Time in seconds to wait for all answers together.

    Yields
    ------
    entry
        A structure, or what is wrong with it or the server.
    """
    server = Server(re.sub("/v1/?$", "", url), timeout)
    address: Any = f"{server.url}/v1/structures"
    parameters: dict[str, str | int] | None = {
        "filter": optimade_filter(query),
        "response_fields": ",".join(_FIELDS),
        "page_limit": _PAGE_LIMIT,
    }
    seen: set[str] = set()
    n_entries = 0
    while address:
        try:
            try:
                page = server.get(address, parameters)
            except ServerError as error:
                if error.status not in _REFUSED or "page_limit" not in (
                    parameters or {}
                ):
                    raise
                del parameters["page_limit"]
                page = server.get(address, parameters)
            entries, next_page = _page_content(page)
            next_page = next_page and server.own(next_page)
        except ServerError as error:
            yield error.problem(address)
            return
        seen.add(address)
        licence = licence or _ask_licence(server)
        for entry in entries:
            yield _to_entry(entry, licence)
        n_entries += len(entries)
        if next_page in seen:
            yield Problem(
                next_page, "page", "the next page is one that was read before"
            )
            return
        if next_page and n_entries >= _MAX_ENTRIES:
            yield Problem(next_page, "limit", f"{n_entries} entries were read, not all")
            return
        address, parameters = next_page, None


def _page_content(page: dict[str, Any]) -> tuple[list, str | None]:
    """Entries of a page, and the address of the next one."""
    entries = page.get("data")
    if not isinstance(entries, list):
        raise ServerError(
            "page", "the answer is not one of OPTIMADE: it has no list of structures"
        )
    links = page.get("links")
    next_page = links.get("next") if isinstance(links, dict) else None
    if isinstance(next_page, dict):
        next_page = next_page.get("href")
    if next_page is not None and not isinstance(next_page, str):
        raise ServerError("page", f"the address of the next page is {next_page!r}")
    return entries, next_page or None


def _ask_licence(server: Server) -> str:
    """Licence that a server states for its data."""
    try:
        answer = server.get(f"{server.url}/v1/info", at_most=_INFO_SECONDS)
        found = answer["data"]["attributes"]["license"]
        found = found["href"] if isinstance(found, dict) else found
    except (ServerError, LookupError, TypeError) as error:
        _logger.debug("%s states no licence: %r", server.url, error)
        return NOT_STATED
    return str(found) if found else NOT_STATED


def _to_entry(entry: Any, licence: str) -> Entry | Problem:
    """Entry of a page, or what is wrong with it."""
    if not isinstance(entry, dict):
        return Problem(
            "", "unreadable", f"an entry is no JSON object but {entry!r:.60}"
        )
    identifier = str(entry.get("id", ""))
    try:
        if entry.get("type", "structures") != "structures":
            raise EntryError("unreadable", f"it is of type {entry['type']!r:.60}")
        attributes = entry.get("attributes")
        if not isinstance(attributes, dict):
            raise EntryError("no_positions", "it has no attributes")
        return Entry(identifier, "", entry_content(attributes), licence)
    except EntryError as error:
        return Problem(identifier, error.kind, str(error))
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        return Problem(identifier, "unreadable", f"it is not as OPTIMADE asks: {error}")


def entry_content(attributes: dict[str, Any]) -> CifContent:
    """What an entry of OPTIMADE states of a structure.

    Parameters
    ----------
    attributes
        Its attributes.

    Returns
    -------
    content
        Cell, and all atoms in it as sites without symmetry.

    Raises
    ------
    EntryError
        If positions or occupancies of atoms are not known.
    ValueError
        If anything else is wrong.
    """
    features = set(attributes.get("structure_features") or [])
    if "implicit_atoms" in features:
        raise EntryError(
            "no_positions", "some atoms have no positions (implicit_atoms)"
        )
    if features - _FEATURES:
        raise EntryError("disorder", f"its features are {sorted(map(str, features))}")
    if list(attributes.get("dimension_types") or [1, 1, 1]) != [1, 1, 1]:
        raise EntryError("unreadable", "it is not periodic in three dimensions")
    base, positions = (
        attributes.get(key) for key in ("lattice_vectors", "cartesian_site_positions")
    )
    if base is None or not positions:
        raise EntryError("no_positions", "it has no lattice or no positions of atoms")
    if len(positions) > MAX_SITES:
        raise EntryError(
            "unreadable", f"it has {len(positions)} sites, more than {MAX_SITES}"
        )
    base, positions = _numbers(base), _numbers(positions)
    names = attributes.get("species_at_sites") or []
    if base.shape != (3, 3) or positions.shape != (len(names), 3):
        raise EntryError(
            "unreadable",
            f"its arrays have shapes {base.shape} and {positions.shape} with {len(names)} "
            "species at sites",
        )
    # The basis is made right-handed by inverting it, and positions with it
    base = base * (np.sign(np.linalg.det(base)) or 1.0)
    edges = np.linalg.norm(base, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = (base @ base.T / np.outer(edges, edges))[[1, 0, 0], [2, 2, 1]]
        angles = np.rad2deg(np.arccos(cosines))
    cell = check_cell([*edges, *angles])
    if len(names) > _MAX_SITES_PER_VOLUME * abs(np.linalg.det(base)):
        raise EntryError(
            "unreadable", f"{len(names)} sites do not fit in its unit cell"
        )
    xyz = positions @ np.linalg.inv(base)
    probabilities = _probabilities(attributes, features, len(names))
    species = _species(attributes, names)
    return CifContent(
        cell=cell,
        sites=[
            CifSite(
                label=f"{element}{i + 1}",
                element=element,
                xyz=xyz[i],
                occupancy=min(occupancy * probabilities[i], 1.0),
                displacement=0.0,
                kind=f"{name} {symbol}",
            )
            for i, name in enumerate(names)
            for symbol, element, occupancy in species[name]
            if occupancy * probabilities[i] > 0
        ],
        settings=list(settings_of_number(1)),
        number=None,
        formula=read_formula(str(attributes.get("chemical_formula_reduced") or "")),
    )


def _numbers(values: Any) -> np.ndarray:
    """Finite numbers of an array, of which none may be missing or text."""
    array = np.asarray(values)
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise EntryError("no_positions", "some coordinates are no numbers")
    return array.astype(float)


def _species(
    attributes: dict[str, Any], names: list[str]
) -> dict[str, list[tuple[str, str, float]]]:
    """Symbols, elements and occupancies of the species at sites, by name."""
    given = attributes.get("species")
    if given is None:
        given = [{"name": name, "chemical_symbols": [name]} for name in set(names)]
    species = {}
    for one in given:
        symbols = one["chemical_symbols"]
        shares = one.get("concentration") or [1.0] * len(symbols)
        shares = [float(share) for share in shares]
        usual = len(shares) == len(symbols) and all(0 <= i <= 1 for i in shares)
        if not usual or sum(shares) > MAX_OCCUPANCY:
            raise EntryError(
                "disorder", f"{symbols} have concentrations of {shares} at one site"
            )
        if set(one.get("attached") or []) - {"H", "D", "vacancy"}:
            raise EntryError(
                "no_positions", f"atoms attached to {one['name']!r} have no positions"
            )
        if "X" in symbols:
            raise EntryError("disorder", f"{one['name']!r} is of an unknown element")
        species[one["name"]] = [
            (symbol, element_symbol(symbol), share)
            for symbol, share in zip(symbols, shares)
            if symbol != "vacancy"
        ]
    missing = set(names) - set(species)
    if missing:
        raise EntryError("disorder", f"species {sorted(missing)} are not described")
    return species


def _probabilities(
    attributes: dict[str, Any], features: set[str], n: int
) -> np.ndarray:
    """Probabilities that sites are there, which are 1 outside of assemblies."""
    probabilities = np.ones(n)
    assemblies = attributes.get("assemblies") or []
    if "assemblies" in features and not assemblies:
        raise EntryError(
            "disorder", "groups of its sites (assemblies) are not described"
        )
    for assembly in assemblies:
        groups = assembly["sites_in_groups"]
        shares = [float(share) for share in assembly["group_probabilities"]]
        if len(shares) != len(groups) or not all(0 <= share <= 1 for share in shares):
            raise EntryError("disorder", f"groups of sites have probabilities {shares}")
        for sites, share in zip(groups, shares):
            for i in sites:
                if isinstance(i, bool) or not 0 <= i < n:
                    raise EntryError("disorder", f"there is no site {i} as in a group")
                probabilities[i] *= share
    return probabilities

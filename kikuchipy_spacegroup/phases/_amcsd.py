# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Structures of the American Mineralogist database, as larixite ships it.

Only its file is read: importing larixite would import pymatgen.
"""

import base64
from collections.abc import Iterator
from contextlib import closing
from functools import lru_cache
from importlib.util import find_spec
import json
from pathlib import Path
import re
from typing import Any

import numpy as np

from kikuchipy_spacegroup.crystals._cif import (
    MAX_OCCUPANCY,
    MAX_SITES,
    CifContent,
    CifSite,
    check_cell,
)
from kikuchipy_spacegroup.crystals._elements import element_of_site, read_formula
from kikuchipy_spacegroup.crystals._settings import (
    Setting,
    complete_group,
    number_of_operations,
    parse_operations,
)
from kikuchipy_spacegroup.phases._entry import Entry, EntryError, Problem
from kikuchipy_spacegroup.phases._query import Query

_FILE = "amcsd_cif1.db"
_LICENCE = (
    "free to use with citation of Downs & Hall-Wallace 2003, American Mineralogist 88, "
    "247"
)
# Integers are fractions times this, and these fractions stand for unknown ones
_SCALE, _UNKNOWN = 4e6, (2.0, 3.0)
_MISSING = (None, "", "0", "<missing>", '"<missing>"')
_QUERY = """select cif.id, minerals.name, spacegroups.symmetry_xyz, cif.formula,
    a, b, c, alpha, beta, gamma, atoms_sites, atoms_x, atoms_y, atoms_z,
    atoms_occupancy, atoms_u_iso from cif
    left join minerals on minerals.id = mineral_id
    left join spacegroups on spacegroups.id = spacegroup_id order by cif.id"""


def find_amcsd() -> Path:
    """Path to the database.

    Returns
    -------
    path
        Path to the file in larixite.

    Raises
    ------
    ImportError
        If larixite is not installed, or holds no such file.
    """
    spec = find_spec("larixite")
    folders = (spec and spec.submodule_search_locations) or []
    paths = [Path(folder) / _FILE for folder in folders]
    path = next(filter(Path.is_file, paths), None)
    if path is None:
        raise ImportError(
            "source='amcsd' reads the database that larixite ships. Install it with "
            "'pip install kikuchipy-spacegroup[databases]'."
        )
    return path


def read_amcsd(path: Path, query: Query) -> Iterator[Entry | Problem]:
    """Read the structures whose elements may be those searched for.

    Parameters
    ----------
    path
        Path to the database.
    query
        What is searched for.

    Yields
    ------
    entry
        A structure, or what is wrong with it.
    """
    import sqlite3

    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            for number, mineral, *row in database.execute(_QUERY):
                formula = read_formula(re.sub("[()]", "", row[1] or ""))
                if formula and not query.fits_elements(formula):
                    continue
                identifier = f"amcsd-{number:05d}"
                name = "" if mineral in _MISSING else str(mineral)
                try:
                    content = _content(formula, *row)
                except EntryError as error:
                    yield Problem(identifier, error.kind, str(error))
                except (LookupError, TypeError, ValueError) as error:
                    yield Problem(identifier, "unreadable", str(error))
                else:
                    yield Entry(identifier, name, content, _LICENCE)
    except sqlite3.Error as error:
        yield Problem(str(path), "provider", f"the database cannot be read: {error}")


def _content(formula: dict[str, float], triplets: str, _: str, *row: Any) -> CifContent:
    """What a row of the database states."""
    labels, *packed = row[6:]
    if labels in _MISSING:
        raise EntryError("no_positions", "it has no atoms")
    labels = json.loads(labels)
    n = len(labels)
    if n > MAX_SITES:
        raise EntryError("unreadable", f"it has {n} sites, more than {MAX_SITES}")
    xyz = np.stack([_unpack(text, n, np.nan) for text in packed[:3]], axis=1)
    if not np.isfinite(xyz).all():
        raise EntryError("no_positions", "positions of some atoms are not known")
    occupancies = _unpack(packed[3], n, 1.0)
    if not (0 <= occupancies.min() and occupancies.max() <= MAX_OCCUPANCY):
        raise EntryError("disorder", f"it has occupancies of {occupancies.max():.3g}")
    displacements = _unpack(packed[4], n, 0.0)
    # Some have a decimal comma, or an uncertainty
    cell = [re.sub(r"\(.*", "", str(i)).replace(",", ".") for i in row[:6]]
    sites = [
        CifSite(
            label=label,
            element=element_of_site(label, formula),
            xyz=position,
            occupancy=min(float(occupancy), 1.0),
            displacement=float(u) if 0 < u < 1 else 0.0,
        )
        for label, position, occupancy, u in zip(
            labels, xyz, occupancies, displacements
        )
        if occupancy > 0
    ]
    if not sites:
        raise EntryError("no_positions", "it has no atoms")
    return CifContent(
        cell=check_cell([float(i) for i in cell]),
        sites=sites,
        settings=[_setting(triplets)],
        number=None,
        formula=formula,
    )


@lru_cache(maxsize=256)
def _setting(triplets: str) -> Setting:
    """Setting of operations, which many structures share."""
    group = complete_group(parse_operations(json.loads(triplets)))
    return Setting("the operations in the file", number_of_operations(group), group)


def _unpack(text: str | None, n: int, default: float) -> np.ndarray:
    """Numbers of a column, with a default for those that are not known."""
    if text in _MISSING:
        return np.full(n, default)
    values = np.frombuffer(base64.b64decode(text), dtype="<i4") / _SCALE
    if len(values) != n:
        raise ValueError(f"it has {n} sites, but {len(values)} numbers for them")
    unknown = np.isclose(values[:, None], _UNKNOWN).any(axis=1)
    return np.where(unknown, default, values)

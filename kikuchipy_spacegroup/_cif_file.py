# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read structures from CIFs that may be damaged or hostile."""

from collections.abc import Iterator
from contextlib import redirect_stdout
import io
from pathlib import Path
import re
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from diffpy.structure import Structure

_MAX_BYTES = 2**22
# More atoms take hours, and show no bands
_MAX_SITES, _MAX_ATOMS = 1000, 5000
# General positions of the largest space groups, with their centring
_MAX_OPERATIONS = 192
_OPERATIONS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
# diffpy.structure evaluates the rest of an operation as Python
_OPERATION = re.compile(r"[0-9xyzXYZ+\-./, \t]{1,80}")


def read_cif(path: Path) -> tuple["Structure", int | None]:
    """Return the structure in a CIF.

    Parameters
    ----------
    path
        Path to the file.

    Returns
    -------
    structure
        First structure in the file, with all atoms of the unit cell.
    space_group
        Number of the space group in the file, if known.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file cannot be read, has no atoms or too many, or has
        symmetry operations that are none.
    """
    from diffpy.structure.parsers.p_cif import P_cif

    if not path.is_file():
        raise FileNotFoundError(f"No such file: {path}")
    with open(path, "rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"{path} is not read, as it is larger than {_MAX_BYTES} bytes")
    parser = P_cif()
    try:
        # The same text twice, so that what is used is what was checked
        text = content.decode("utf-8-sig")
        _check_text(text)
        structure = parser.parse(text)
    # The parser raises errors of all sorts
    except Exception as error:
        raise ValueError(f"{path} cannot be read as a CIF: {error}") from error
    if structure is None or len(structure) == 0:
        raise ValueError(f"{path} has no atoms")
    if len(structure) > _MAX_ATOMS:
        raise ValueError(
            f"{path} has {len(structure)} atoms per unit cell, more than the "
            f"{_MAX_ATOMS} that can be handled"
        )
    edges = structure.lattice.abcABG()[:3]
    numbers = [
        structure.xyz.ravel(),
        structure.occupancy,
        structure.lattice.base.ravel(),
    ]
    if not np.isfinite(np.concatenate(numbers)).all() or min(edges) <= 0:
        raise ValueError(
            f"{path} has the lattice {structure.lattice.abcABG()} and atoms, some of "
            "whose parameters are not positive or not numbers"
        )
    number = getattr(parser.spacegroup, "number", None)
    return structure, number


def _check_text(text: str) -> None:
    """Raise an error if the parser should not see a text."""
    from CifFile import CifFile

    # As diffpy.structure calls it, and without what it prints
    with redirect_stdout(io.StringIO()):
        blocks = CifFile(io.StringIO(text), grammar="auto")
    for name in blocks.keys():
        block = blocks[name]
        n_sites = len(list(_texts(block.get("_atom_site_label", []))))
        if n_sites > _MAX_SITES:
            raise ValueError(f"it has {n_sites} sites, more than {_MAX_SITES}")
        for key in _OPERATIONS:
            operations = list(_texts(block.get(key, [])))
            if len(operations) > _MAX_OPERATIONS:
                raise ValueError(f"it has {len(operations)} symmetry operations")
            for operation in operations:
                if not _OPERATION.fullmatch(operation):
                    raise ValueError(f"{operation!r} is not a symmetry operation")


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in a value, which may be a list of lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))
    else:
        for item in value:
            yield from _texts(item)

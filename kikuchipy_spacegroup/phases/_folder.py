# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Structures in a folder of CIFs."""

from collections.abc import Iterator
from pathlib import Path

from kikuchipy_spacegroup.crystals._cif import read_cif
from kikuchipy_spacegroup.phases._entry import Entry, Problem


def find_cifs(folder: Path) -> list[Path]:
    """CIFs in a folder and in those within it.

    Parameters
    ----------
    folder
        Path to the folder.

    Returns
    -------
    paths
        Paths in alphabetical order.

    Raises
    ------
    ValueError
        If there are none.
    """
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() == ".cif" and path.is_file()
    )
    if not paths:
        raise ValueError(
            f"There are no CIFs in {folder}. Give a folder that holds files that end with "
            ".cif, in itself or in folders within it"
        )
    return paths


def read_folder(folder: Path, paths: list[Path]) -> Iterator[Entry | Problem]:
    """Read CIFs, of which each may hold one structure.

    Parameters
    ----------
    folder
        Path to the folder.
    paths
        Paths to the files.

    Yields
    ------
    entry
        What is in a file, or what is wrong with it.
    """
    for path in paths:
        identifier = path.relative_to(folder).as_posix()
        try:
            yield Entry(identifier, path.stem, read_cif(path))
        except (OSError, ValueError) as error:
            yield Problem(identifier, "unreadable", str(error))

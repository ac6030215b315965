# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our part of a model file: a .keras archive with one more member."""

import json
from pathlib import Path
from typing import Any
import zipfile

# Name of the member and the newest version of it that can be read
MEMBER = "space_groups.json"
FORMAT_VERSION = 1
_KERAS_MEMBERS = ("metadata.json", "config.json", "model.weights.h5")


def read_header(path: Path) -> dict[str, Any]:
    """Return our member of a model file, checked.

    Parameters
    ----------
    path
        Path to the file.

    Returns
    -------
    header
        Space groups, temperature, smallest probability, conformal
        thresholds, version of Keras, and metadata.

    Raises
    ------
    ValueError
        If the file is not one of our models, is damaged, or is of a
        newer format.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            content = archive.read(MEMBER) if MEMBER in names else None
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
        raise ValueError(
            f"{path} is not a model file (a .keras archive) or is truncated: {error}"
        ) from error
    if damaged:
        raise ValueError(f"{path} is damaged: bad checksum of its part {damaged!r}")
    if not names.issuperset(_KERAS_MEMBERS):
        raise ValueError(f"{path} is a zip archive, but not a Keras model")
    if content is None:
        raise ValueError(
            f"{path} is a Keras model without {MEMBER!r}, so its classes are not known."
            " Was it saved by Keras? Save with `SpaceGroupModel.save()`, or make a "
            "`SpaceGroupModel` from the network and its space groups"
        )
    return parse_header(content, path)


def parse_header(content: str | bytes, path: Path) -> dict[str, Any]:
    """Return our member of a model file from its text, checked.

    Parameters
    ----------
    content
        JSON.
    path
        Path to the file, for errors.

    Returns
    -------
    header
        See :func:`read_header`.

    Raises
    ------
    ValueError
        If it is damaged or of a newer format.
    """
    try:
        header = json.loads(content)
        version = int(header["format_version"])
        if version <= FORMAT_VERSION:
            thresholds = header.get("conformal_thresholds", {})
            header = {
                "space_groups": [int(i) for i in header["space_groups"]],
                "temperature": float(header["temperature"]),
                "min_probability": float(header["min_probability"]),
                "conformal_thresholds": {
                    float(k): float(v) for k, v in thresholds.items()
                },
                "keras_version": str(header["keras_version"]),
                "metadata": dict(header["metadata"]),
            }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: {MEMBER!r} is damaged: {error!r}") from error
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{path} is of format {version}, but this version of the package reads up "
            f"to {FORMAT_VERSION}. Update kikuchipy-spacegroup"
        )
    return header

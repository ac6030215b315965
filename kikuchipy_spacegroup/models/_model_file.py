# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our part of a model file: a .keras archive with one more member."""

import json
from pathlib import Path
from typing import Any

from kikuchipy_spacegroup.io._archive import read_archive
from kikuchipy_spacegroup.io._hdf5_file import check_hdf5
from kikuchipy_spacegroup.models._fork import check_not_forked
from kikuchipy_spacegroup.models._temperature import check_temperature

# Name of the member and the newest version of it that can be read
MEMBER = "space_groups.json"
FORMAT_VERSION = 1
WEIGHTS = "model.weights.h5"
_KERAS_MEMBERS = ("metadata.json", "config.json", WEIGHTS)
_MAX_JSON = 2**23


def read_model_file(path: Path, folder: Path) -> tuple[dict[str, Any], Any]:
    """Read the header and description in a model file, and unpack its weights.

    Parameters
    ----------
    path
        Path to the file.
    folder
        Folder to write the weights to.

    Returns
    -------
    header
        Space groups, temperature, smallest probability, conformal
        thresholds, prior, version of Keras, and metadata.
    config
        Description of the network, not checked.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If the file is not one of our models, is damaged, or is of a
        newer format.
    RuntimeError
        If no network can be made of it, see
        :func:`~kikuchipy_spacegroup.models._fork.check_not_forked`.
    """
    check_not_forked()
    limits = dict.fromkeys((MEMBER, "metadata.json", "config.json"), _MAX_JSON)
    members = read_archive(path, "a model file (a .keras archive)", limits)
    if not set(members).issuperset(_KERAS_MEMBERS):
        raise ValueError(f"{path} is a zip archive, but not a Keras model")
    if MEMBER not in members:
        raise ValueError(
            f"{path} is a Keras model without {MEMBER!r}, so its classes are not known."
            " Was it saved by Keras? Save with `SpaceGroupModel.save()`, or make a "
            "`SpaceGroupModel` from the network and its space groups"
        )
    unknown = sorted(set(members) - {MEMBER, *_KERAS_MEMBERS})
    if unknown:
        raise ValueError(
            f"{path} has the members {unknown}, which model files do not have"
        )
    header = parse_header(members[MEMBER], path)
    try:
        config = json.loads(members["config.json"])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: 'config.json' is damaged: {error!r}") from error
    weights = folder / WEIGHTS
    weights.write_bytes(members[WEIGHTS])
    try:
        # Keras writes datasets as they are
        check_hdf5(weights, packed=False)
    except ValueError as error:
        raise ValueError(f"{path}: the weights cannot be read: {error}") from error
    return header, config


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
        See :func:`read_model_file`.

    Raises
    ------
    ValueError
        If it is damaged or of a newer format.
    """
    try:
        header = json.loads(content)
        version = int(header["format_version"])
        if version <= FORMAT_VERSION:
            header = _check_types(header)
    except (
        ArithmeticError,  # As of numbers too large
        AttributeError,
        KeyError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise ValueError(f"{path}: {MEMBER!r} is damaged: {error!r}") from error
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{path} is of format {version}, but this version of the package reads up "
            f"to {FORMAT_VERSION}. Update kikuchipy-spacegroup"
        )
    return header


def _check_types(header: dict[str, Any]) -> dict[str, Any]:
    """Return our member with everything of the type it should be of."""
    numbers = header["space_groups"]
    if not isinstance(numbers, list) or not all(type(i) is int for i in numbers):
        raise ValueError("space_groups is not a list of integers")
    thresholds = header.get("conformal_thresholds", {})
    typed = {
        "space_groups": numbers,
        "temperature": check_temperature(_read_temperature(header["temperature"])),
        "min_probability": float(header["min_probability"]),
        "conformal_thresholds": {
            float(k): _read_threshold(v, numbers) for k, v in thresholds.items()
        },
        "prior": _read_prior(header.get("prior")),
        "keras_version": str(header["keras_version"]),
        "metadata": dict(header["metadata"]),
    }
    for value in typed["metadata"].get("accuracy", {}).values():
        format(value, ".1%")  # As it is shown
    probabilities = [typed["min_probability"]]
    for coverage, value in typed["conformal_thresholds"].items():
        of_groups = value.values() if isinstance(value, dict) else [value]
        probabilities += [coverage, *of_groups]
    if not all(0 <= p <= 1 for p in probabilities):
        raise ValueError(
            f"of the probabilities {probabilities}, some are not in [0, 1]"
        )
    return typed


def _read_temperature(value: Any) -> float | dict[str, float]:
    """Return the temperature, or that of each level of symmetry."""
    if not isinstance(value, dict):
        return float(value)
    return {str(level): float(v) for level, v in value.items()}


def _read_prior(value: Any) -> list[float] | None:
    """Return the prior, or None of older files: all space groups as often."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise ValueError(f"prior is a {type(value).__name__}, not a list of numbers")
    return [float(i) for i in value]


def _read_threshold(value: Any, numbers: list[int]) -> float | dict[int, float]:
    """Return the threshold of all space groups, or that of each."""
    if not isinstance(value, dict):
        return float(value)
    found = {int(k): float(v) for k, v in value.items()}
    if set(found) != set(numbers):
        raise ValueError(
            f"there are thresholds of {sorted(found)}, but space groups {numbers}"
        )
    return found

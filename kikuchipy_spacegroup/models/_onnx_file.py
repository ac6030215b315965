# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our ONNX files: checked before ONNX Runtime sees them.

An ONNX file is a message of Protocol Buffers: fields, each with a number,
of which some are messages again. Only what :func:`save_onnx` needs may be
in them, and the last field of the file is a checksum of all before it.
"""

from collections.abc import Iterator
import hashlib
import math
from pathlib import Path
from typing import Any

# Protocol Buffers have no larger files
_MAX_BYTES = 2**31 - 1
_CHECKSUM = b"sha256"
_MAX_VARINT = 10  # Bytes
_MAX_DIMENSIONS = 64

# Fields that may be in a message by number, and the message in them if it is looked into
_FIELDS: dict[str, dict[int, str | None]] = {
    "model": {**dict.fromkeys(range(1, 7)), 7: "graph", 8: "opset", 14: "metadata"},
    "graph": {
        **dict.fromkeys((2, 10, 11, 12, 13, 14, 16)),
        **{1: "node", 5: "tensor"},
    },
    "node": {**dict.fromkeys((1, 2, 3, 4, 6, 7, 8, 9)), 5: "attribute"},
    "attribute": {
        **dict.fromkeys((1, 2, 3, 4, 7, 8, 9, 13, 20, 21)),
        **{5: "tensor", 10: "tensor"},
    },
    "tensor": dict.fromkeys((1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16)),
    "opset": dict.fromkeys((1, 2)),
    "metadata": dict.fromkeys((1, 2)),
}
_REFUSED = {
    ("model", 20): "training steps",
    ("model", 25): "functions of its own",
    ("graph", 15): "sparse weights",
    ("attribute", 6): "a graph within a graph, as of loops",
    ("attribute", 11): "graphs within a graph, as of loops",
    ("tensor", 13): "weights in another file",
}
# Operators of others are code that is not in ONNX Runtime
_DOMAINS = (b"", b"ai.onnx")


def sealed(content: bytes) -> bytes:
    """Return an ONNX file with its checksum.

    Parameters
    ----------
    content
        The file without.

    Returns
    -------
    content
        The file with one more entry in its metadata.
    """
    return content + _make_seal(content)


def _make_seal(content: bytes) -> bytes:
    """Return the entry of the metadata with the checksum of a file."""
    digest = hashlib.sha256(content).hexdigest().encode()
    entry = b"".join(
        bytes([number << 3 | 2, len(text)]) + text
        for number, text in ((1, _CHECKSUM), (2, digest))
    )
    return bytes([14 << 3 | 2, len(entry)]) + entry


_SEAL_BYTES = len(_make_seal(b""))


def read_onnx_file(path: Path) -> bytes:
    """Return the content of an ONNX file of ours, checked.

    Parameters
    ----------
    path
        Path to the file.

    Returns
    -------
    content
        The file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is damaged or truncated, is too large, or has more in it
        than operators of ONNX and their weights.
    """
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise ValueError(
            f"{path} has {size} bytes, more than the {_MAX_BYTES} of ONNX files"
        )
    content = path.read_bytes()
    try:
        _check_message(memoryview(content), "model")
    except _RefusedError as error:
        raise ValueError(f"{path} is not loaded: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path} is not an ONNX file or damaged: {error}") from None
    return content


def check_seal(content: bytes, path: Path) -> None:
    """Raise an error if a file is not as it was written.

    Parameters
    ----------
    content
        The file.
    path
        Its path, for errors.

    Raises
    ------
    ValueError
        If its checksum is wrong or missing.
    """
    if content[-_SEAL_BYTES:] != _make_seal(content[:-_SEAL_BYTES]):
        raise ValueError(
            f"{path} is damaged or was changed: its checksum is wrong or missing. Write "
            "it again with `kikuchipy_spacegroup.models.save_onnx()`"
        )


def read_metadata(content: bytes) -> dict[str, str]:
    """Return the metadata of an ONNX file.

    Parameters
    ----------
    content
        The file, checked.

    Returns
    -------
    metadata
        Texts by key. The last one of a key counts.
    """
    metadata = {}
    for number, value in _read_fields(memoryview(content)):
        if number == 14:
            entry = {i: bytes(text).decode() for i, text in _read_fields(value)}
            metadata[entry.get(1, "")] = entry.get(2, "")
    return metadata


class _RefusedError(ValueError):
    """An error: what a file has is no damage, but is not allowed."""


def _check_message(message: memoryview, kind: str) -> None:
    """Raise an error if there is more in a message than there may be."""
    allowed = _FIELDS[kind]
    lengths: list[int] = []
    for number, value in _read_fields(message):
        if (kind, number) in _REFUSED:
            raise _RefusedError(f"it has {_REFUSED[kind, number]}")
        if number not in allowed:
            raise ValueError(f"its {kind} has an unknown field {number}")
        inner = allowed[number]
        if inner is not None:
            if isinstance(value, int):
                raise ValueError(f"field {number} of its {kind} is a number")
            _check_message(value, inner)
        _check_value(kind, number, value)
        if (kind, number) == ("tensor", 1):
            lengths += [value] if isinstance(value, int) else _read_varints(value)
            if len(lengths) > _MAX_DIMENSIONS:
                raise ValueError(f"it has weights of {len(lengths)} dimensions")
    # The smallest weights are of four bits
    if lengths and math.prod(lengths) > 2 * len(message):
        raise _RefusedError(
            f"it declares {math.prod(lengths)} weights in {len(message)} bytes"
        )


def _check_value(kind: str, number: int, value: Any) -> None:
    """Raise an error if a field has operators or weights from elsewhere."""
    if (kind, number) == ("node", 7) and value not in _DOMAINS:
        name = value if isinstance(value, int) else bytes(value[:100])
        raise _RefusedError(f"it has operators which are not of ONNX, but of {name!r}")
    if (kind, number) == ("tensor", 14) and value != 0:
        raise _RefusedError("it has weights in another file")


def _read_fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the number and value of every field of a message."""
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == 2:
            size, at = _varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"there are no fields of kind {kind}")
        if at + size > end:
            raise ValueError("it ends too early")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return a number of variable length, and where it ends."""
    value = 0
    for i, byte in enumerate(message[at : at + _MAX_VARINT]):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, at + i + 1
    raise ValueError("it ends too early, or has a number of too many bytes")


def _read_varints(message: memoryview) -> list[int]:
    """Return all numbers of variable length in a message."""
    values, at = [], 0
    while at < len(message):
        value, at = _varint(message, at)
        values.append(value)
    return values

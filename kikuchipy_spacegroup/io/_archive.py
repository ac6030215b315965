# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read zip archives and .npz files that may be damaged or hostile.

Nothing is unpickled, written to disk or unpacked beyond what a file of
its size can hold, and everything is compared with its checksum.
"""

from collections.abc import Iterator
from contextlib import contextmanager
import io
import math
from pathlib import Path
import stat
import struct
import sys
import tokenize
import zipfile
import zlib

import numpy as np

# A file may unpack to this many times its size, and this many bytes
_EXPANSION, _ALLOWANCE = 100, 2**26
_CHUNK = 2**20
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,  # As of seeking to negative positions
    RuntimeError,  # As of encrypted members, NotImplementedError, RecursionError
    OverflowError,
    SyntaxError,  # Of the headers of arrays
    tokenize.TokenError,
    ValueError,
)


def most_bytes(size: int) -> int:
    """Return the number of bytes a file may unpack to.

    Parameters
    ----------
    size
        Size of the file in bytes.

    Returns
    -------
    limit
        Number of bytes.
    """
    return _EXPANSION * size + _ALLOWANCE


@contextmanager
def _open_archive(path: Path, what: str) -> Iterator[zipfile.ZipFile]:
    """Yield a checked archive, and have every error name the file."""
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                _check_members(archive, file.seek(0, io.SEEK_END))
                yield archive
        except _DAMAGED as error:
            raise ValueError(
                f"{path} is not {what}, or it is damaged or truncated: {error}"
            ) from error


def _check_members(archive: zipfile.ZipFile, size: int) -> None:
    """Raise an error if there is more in an archive than plain files."""
    members = archive.infolist()
    if len({member.filename for member in members}) != len(members):
        raise ValueError("two of its members have the same name")
    for member in members:
        name = member.filename
        if "/" in name or "\\" in name or name in ("", ".", ".."):
            raise ValueError(f"its member {name!r} is in a folder")
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
            raise ValueError(f"its member {name!r} is not a plain file")
        # The others can be read only if all is unpacked at once
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"its member {name!r} is packed in an unusual way")
    total = sum(member.file_size for member in members)
    if total > most_bytes(size):
        raise ValueError(f"it claims to unpack from {size} to {total} bytes")


def read_archive(path: Path, what: str, limits: dict[str, int]) -> dict[str, bytes]:
    """Return the members of a zip archive.

    Parameters
    ----------
    path
        Path to the archive.
    what
        What it should be, for errors.
    limits
        Largest size in bytes of members by name. Those without a limit
        may be as large as the file allows.

    Returns
    -------
    members
        Content by name.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is not a zip archive of plain files, is damaged, or
        unpacks to more than a file of its size should.
    """
    with _open_archive(path, what) as archive:
        content = {}
        for member in archive.infolist():
            limit = limits.get(member.filename, member.file_size)
            if member.file_size > limit:
                raise ValueError(
                    f"its member {member.filename!r} has {member.file_size} bytes, more "
                    f"than the {limit} it may have"
                )
            with archive.open(member) as file:
                content[member.filename] = b"".join(_read_chunks(file))
        return content


def _read_chunks(file) -> Iterator[bytes]:
    """Yield the bytes of a member, not more than a chunk being unpacked."""
    while chunk := file.read(_CHUNK):
        yield chunk


def read_arrays(path: Path, what: str) -> dict[str, np.ndarray]:
    """Return the arrays in a .npz file.

    Parameters
    ----------
    path
        Path to the file.
    what
        What it should be, for errors.

    Returns
    -------
    arrays
        Arrays of numbers or texts by name.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is not a .npz file, is damaged, has arrays of Python
        objects, or declares arrays larger than what it holds.
    """
    with _open_archive(path, what) as archive:
        arrays = {}
        for member in archive.infolist():
            with archive.open(member) as file:
                name = member.filename.removesuffix(".npy")
                arrays[name] = _read_array(file, member)
        return arrays


def _read_array(file, member: zipfile.ZipInfo) -> np.ndarray:
    """Return an array whose declared size is that of its member."""
    numpy_format = np.lib.format
    version = numpy_format.read_magic(file)
    if version == (1, 0):
        header = numpy_format.read_array_header_1_0(file)
    elif version == (2, 0):
        header = numpy_format.read_array_header_2_0(file)
    else:
        raise ValueError(f"its array {member.filename!r} is of version {version}")
    shape, fortran_order, dtype = header
    size = member.file_size - file.tell()
    declared = math.prod(shape) * dtype.itemsize
    if dtype.kind not in "biufSU" or dtype.itemsize == 0:
        raise ValueError(f"its array {member.filename!r} is of type {dtype}")
    if min(shape, default=0) < 0 or declared != size:
        raise ValueError(
            f"its array {member.filename!r} declares {declared} bytes and has {size}"
        )
    array = np.empty(math.prod(shape), dtype)
    view = memoryview(array.view("uint8")).cast("B") if size else b""
    position = 0
    for chunk in _read_chunks(file):
        view[position : position + len(chunk)] = chunk
        position += len(chunk)
    if position != size:
        raise EOFError(f"its array {member.filename!r} ends early")
    if dtype.kind == "U" and size:
        codes = array.view(np.dtype("uint32").newbyteorder(dtype.byteorder))
        if codes.max() > sys.maxunicode:
            raise ValueError(f"its array {member.filename!r} has texts that are none")
    return array.reshape(shape, order="F" if fortran_order else "C")

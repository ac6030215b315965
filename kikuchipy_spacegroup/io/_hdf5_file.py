# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look through HDF5 files that may be damaged or hostile, before use."""

import io
import math
import mmap
from pathlib import Path
from typing import TYPE_CHECKING

from kikuchipy_spacegroup.io._archive import most_bytes

if TYPE_CHECKING:
    import h5py

_MAX_OBJECTS = 100_000
_HEAP = b"GCOL\x01"
# Compression, shuffling and checksums. Others are loaded as plugins
_FILTERS = {1, 2, 3, 32000}


def check_hdf5(path: Path, *, packed: bool = True) -> None:
    """Raise an error if an HDF5 file is not safe to read.

    Parameters
    ----------
    path
        Path to the file.
    packed
        Whether datasets may be in chunks, which may be compressed.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If the file is damaged, refers to other files, has links that
        may go in circles, or declares more data than a file of its size
        should hold.
    """
    import h5py

    size = path.stat().st_size
    limit = most_bytes(size) if packed else size
    try:
        _check_heaps(path)
        with h5py.File(path, "r") as file:
            if file.id.get_create_plist().get_sizes() != (8, 8):
                raise ValueError("its addresses and lengths are not of eight bytes")
            declared = 0
            for name, dataset in _walk_datasets(file):
                declared += _count_declared_bytes(name, dataset, packed)
                if declared > limit:
                    raise ValueError(
                        f"it has {size} bytes, but its datasets up to {name!r} declare "
                        f"{declared}"
                    )
    # As h5py raises of damaged files
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is not an HDF5 file that can be read, or it is damaged: {error}"
        ) from error


def _check_heaps(path: Path) -> None:
    """Raise an error if texts are kept in a way on which HDF5 never ends.

    HDF5 1.14 goes from object to object in a global heap by their sizes
    without asking whether it gets on. See section III.E of the HDF5
    file format specification.
    """
    with open(path, "rb") as file:
        if file.seek(0, io.SEEK_END) == 0:
            raise ValueError("it is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            n_left = len(data)
            start = data.find(_HEAP)
            while start >= 0:
                n_left -= _count_objects(data, start)
                if n_left < 0:
                    raise ValueError("its global heaps have too many objects")
                start = data.find(_HEAP, start + 1)


def _count_objects(data: mmap.mmap, start: int) -> int:
    """Return the number of objects in a global heap, checked."""
    stop = start + int.from_bytes(data[start + 8 : start + 16], "little")
    position, n = start + 16, 0
    while position <= stop - 16 and stop <= len(data):
        index = int.from_bytes(data[position : position + 2], "little")
        size = int.from_bytes(data[position + 8 : position + 16], "little")
        # Free space has index 0, and is the last
        step = size if index == 0 else 16 + -(-size // 8) * 8
        if step < 16:
            break
        position, n = position + step, n + 1
    if not stop - 16 < position <= stop <= len(data):
        raise ValueError(f"its global heap at byte {start} is damaged")
    return n


def _walk_datasets(file: "h5py.File"):
    """Yield every dataset and its name, each group being seen once."""
    import h5py

    groups = [file["/"]]
    seen = {_get_address(groups[0])}
    n_objects = 0
    while groups:
        group = groups.pop()
        for key in group:
            name = f"{group.name}/{key}".replace("//", "/")
            n_objects += 1
            if n_objects > _MAX_OBJECTS:
                raise ValueError(f"it has more than {_MAX_OBJECTS} objects")
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise ValueError(f"{name!r} is a link to elsewhere")
            item = group[key]
            if isinstance(item, h5py.Dataset):
                yield name, item
            elif isinstance(item, h5py.Group):
                if _get_address(item) in seen:
                    raise ValueError(f"{name!r} is a group that is found twice")
                seen.add(_get_address(item))
                groups.append(item)


def _get_address(item: "h5py.Group") -> int:
    import h5py

    return h5py.h5o.get_info(item.id).addr


def _count_declared_bytes(name: str, dataset: "h5py.Dataset", packed: bool) -> int:
    """Return the bytes needed to read a dataset that is in the file."""
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{name!r} is in another file")
    properties = dataset.id.get_create_plist()
    filters = {properties.get_filter(i)[0] for i in range(properties.get_nfilters())}
    if not filters <= _FILTERS or (dataset.chunks and not packed):
        raise ValueError(f"{name!r} is packed in an unusual way")
    # One chunk is unpacked as a whole
    values = math.prod(dataset.shape or ()) + math.prod(dataset.chunks or (0,))
    return values * dataset.dtype.itemsize

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probabilities on disk, written as they come.

A store is a zarr array with one file per block of the scan. Files are
written under another name and moved, so that a block is there or is not,
whatever stops the process. What is not there reads as -1.
"""

import errno
from itertools import product
import json
import logging
from pathlib import Path
import sys
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
from dask.array.core import slices_from_chunks
from dask.delayed import Delayed
import numpy as np

if TYPE_CHECKING:
    import zarr

_logger = logging.getLogger(__name__)
_MISSING = -1.0
_FORMAT = 1


def check_output(path: str | Path, resume: bool) -> Path:
    """Return the path of a store if it can be made, or gone on with.

    Parameters
    ----------
    path
        Name of a folder ending with ``.zarr``.
    resume
        Whether it may exist.

    Returns
    -------
    path
        The path.

    Raises
    ------
    ImportError
        If the package zarr is not installed, or is older than version 3.
    ValueError
        If the name ends otherwise.
    FileExistsError
        If it exists and is not to be gone on with.
    FileNotFoundError
        If the folder it is in does not exist.
    """
    try:
        # Which zarr 2 does not have
        from zarr import create_array  # noqa: F401
    except ImportError:
        raise ImportError(_explain_zarr()) from None
    path = Path(path)
    if path.suffix != ".zarr":
        raise ValueError(
            f"`output` must end with '.zarr', not {path.name!r}. (HDF5 files can be lost "
            "when a process is killed)"
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write to")
    if path.exists() and not resume:
        raise FileExistsError(
            f"{path} exists. Go on with it with `resume=True`, or give another name"
        )
    return path


def _explain_zarr() -> str:
    """Return what to do to have the package zarr, as text of an error."""
    text = "`output` needs the package zarr in version 3 or newer"
    if sys.version_info < (3, 11):
        running = ".".join(map(str, sys.version_info[:2]))
        return f"{text}, which needs Python 3.11 or newer. This is Python {running}"
    return f"{text}. Install it with \"pip install 'kikuchipy-spacegroup[scale]'\""


def open_store(
    path: Path, probabilities: da.Array, header: dict[str, Any]
) -> "zarr.Array":
    """Return the store of the probabilities of a scan.

    Parameters
    ----------
    path
        Path from :func:`check_output`.
    probabilities
        Lazy probabilities.
    header
        What must be the same to go on: anything that JSON can hold.

    Returns
    -------
    store
        Array of the shape of the probabilities, new or as it was left.

    Raises
    ------
    ValueError
        If there is a store of something else.
    """
    import zarr

    chunks = tuple(sizes[0] for sizes in probabilities.chunks)
    header = json.loads(json.dumps({"format": _FORMAT, "chunks": chunks} | header))
    if path.exists():
        try:
            store = zarr.open_array(path, mode="r+")
            before = dict(store.attrs)["kikuchipy_spacegroup"]
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise ValueError(f"{path} holds no results to go on with") from error
        different = sorted(
            key for key in header | before if header.get(key) != before.get(key)
        )
        if different or store.shape != probabilities.shape:
            engine = before.get("engine", "keras")
            of = f" (they are of {engine!r})" if "engine" in different else ""
            raise ValueError(
                f"{path} has results of something else: {', '.join(different)} "
                f"differ{of}. Give the same scan, model and options, or another `output`"
            )
        return store
    # Moved to its place when its header is complete
    part = path.with_name(f"{path.name}.{header['scan'][:8]}.partial")
    store = zarr.create_array(
        part,
        shape=probabilities.shape,
        chunks=chunks,
        dtype="float32",
        fill_value=_MISSING,
        attributes={"kikuchipy_spacegroup": header},
        overwrite=True,
    )
    part.rename(path)
    return zarr.open_array(path, mode="r+")


def stored_engine(path: Path | None) -> tuple[str, str] | None:
    """Return the engine and precision of the results in a store.

    Parameters
    ----------
    path
        Path from :func:`check_output`, or None.

    Returns
    -------
    how
        Engine and precision, or None without a store. A store that names
        none is of Keras.
    """
    if path is None or not path.exists():
        return None
    import zarr

    try:
        attributes = dict(zarr.open_array(path, mode="r").attrs)
        engine, precision = (
            attributes["kikuchipy_spacegroup"].get("engine", "keras float32").split()
        )
    except (OSError, KeyError, ValueError, TypeError, AttributeError):
        return None  # Which is an error when it is opened
    return engine, precision


def missing_blocks(store: "zarr.Array") -> list[tuple[int, ...]]:
    """Return the indices of blocks that are not in a store."""
    counts = (-(-n // chunk) for n, chunk in zip(store.shape, store.chunks))
    return [i for i in product(*map(range, counts)) if _is_missing(store, i)]


def _is_missing(store: "zarr.Array", index: tuple[int, ...]) -> bool:
    """Return whether a block is not in a store, or cannot be read."""
    first = tuple(i * n for i, n in zip(index, store.chunks))
    try:
        # A block is written as a whole: its first row tells whether it is there
        return bool((store[first] == _MISSING).all())
    except (RuntimeError, ValueError) as error:
        _logger.warning(
            "The block of results that begins at point %s is damaged and is made again: "
            "%s",
            first[: store.ndim - 1],
            error,
        )
        return True


def blocks_to_store(
    probabilities: da.Array, store: "zarr.Array", missing: list[tuple[int, ...]]
) -> Delayed:
    """Return a task that computes missing blocks and writes them.

    Parameters
    ----------
    probabilities
        Lazy probabilities.
    store
        Where to write them.
    missing
        Indices of the blocks to compute.

    Returns
    -------
    task
        Delayed task, which returns the number of blocks.
    """
    blocks = probabilities.to_delayed()
    regions = np.empty(probabilities.numblocks, dtype=object)
    for index, region in zip(
        np.ndindex(regions.shape), slices_from_chunks(probabilities.chunks)
    ):
        regions[index] = region
    write = dask.delayed(_write_block, pure=False)
    return dask.delayed(sum)([write(blocks[i], store, regions[i]) for i in missing])


def _write_block(
    block: np.ndarray, store: "zarr.Array", region: tuple[slice, ...]
) -> int:
    store[region] = block
    return 1


def is_disk_full(error: BaseException | None) -> bool:
    """Return whether an error, or what caused it, is a full disk."""
    while error is not None:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False

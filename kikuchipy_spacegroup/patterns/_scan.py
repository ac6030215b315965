# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the patterns of a scan in blocks, and find their background."""

import logging
import math
from pathlib import Path

import dask.array as da
from dask.array.core import slices_from_chunks
from kikuchipy.signals import EBSD
import numpy as np

from kikuchipy_spacegroup.patterns._background import (
    background_from_patterns,
    comparable_patterns,
    find_aperture,
    trimmed_mean,
    unusable_patterns,
)

_logger = logging.getLogger(__name__)

# Patterns per block: enough to keep the network busy, few enough that
# blocks of large patterns stay small
_CHUNK_PATTERNS = 1024
_CHUNK_BYTES = 64 * 2**20
# Patterns looked at to find the background
_N_BACKGROUND = 400
_N_BACKGROUND_BLOCKS = 16


def blocks_of_patterns(
    data: np.ndarray | da.Array,
    nav_shape: tuple[int, ...],
    sig_shape: tuple[int, ...],
    chunk_patterns: int | None,
    batch_size: int = _CHUNK_PATTERNS,
) -> da.Array:
    """Return patterns as (n, height, width) in blocks of whole patterns.

    Without a number, they hold a batch, or as many as fit.
    """
    size = 4 * math.prod(sig_shape)
    most = max(batch_size, _CHUNK_PATTERNS)
    fitting = _CHUNK_BYTES * (most // _CHUNK_PATTERNS) // size
    n = chunk_patterns or max(1, min(most, fitting))
    if isinstance(data, da.Array):
        # Whole patterns; along the scan, chunks on disk are kept if small
        data = data.rechunk(
            _choose_navigation_chunks(data.chunks, nav_shape, n) + sig_shape
        )
    else:
        blocks = _choose_navigation_chunks(None, nav_shape, n)
        data = da.from_array(data, chunks=blocks + sig_shape, name=False)
    return data


def _choose_navigation_chunks(chunks: tuple | None, nav_shape: tuple, n: int) -> tuple:
    """Return chunks along the navigation axes of at most n patterns."""
    if not nav_shape:
        return ()
    columns = nav_shape[-1]
    if len(nav_shape) == 1:
        return (min(n, columns),)
    if columns >= n:
        return (1, n)
    if chunks is None:
        return (max(1, n // columns), columns)
    on_disk = max(chunks[0])
    rows = max(1, n // columns)
    # A whole number of chunks on disk per block, or the reverse
    rows = rows // on_disk * on_disk if rows >= on_disk else rows
    return (rows, columns)


def find_background(
    signal: EBSD,
    patterns: da.Array,
    static_background: np.ndarray | str | None,
    navigation_mask: np.ndarray | None,
    signal_mask: np.ndarray | None,
) -> tuple[np.ndarray | None, np.ndarray]:
    """Return background and aperture, and log them."""
    sig_shape = patterns.shape[-2:]
    sample = sample_patterns(patterns, navigation_mask)
    usable = sample[~unusable_patterns(sample)]
    background, reason = None, "none, as asked for"
    if isinstance(static_background, np.ndarray):
        background, reason = static_background, "the given array"
    elif static_background == "auto":
        own = signal.static_background
        own = None if own is None else np.asarray(own)
        if own is not None and own.shape == sig_shape and np.ptp(own) > 0:
            background, reason = own, "that of the signal"
    if background is not None:
        inside = find_aperture(np.asarray(background, dtype="float32"))
    elif len(usable):
        # One bad pattern must not change the answers for others
        usable = comparable_patterns(usable)
        inside = find_aperture(trimmed_mean(usable))
    else:
        inside = np.ones(sig_shape, dtype=bool)
    if signal_mask is not None:
        inside = inside & ~signal_mask
    if background is None and static_background is not None and len(usable):
        background, reason = background_from_patterns(usable, inside)
    _logger.info(
        "Static background: %s; %.0f %% of the pixels used", reason, 100 * inside.mean()
    )
    return background, inside


def sample_patterns(
    patterns: da.Array, navigation_mask: np.ndarray | None
) -> np.ndarray:
    """Return some patterns from a few blocks all over the scan."""
    blocks = slices_from_chunks(patterns.chunks[:-2])
    if navigation_mask is not None:
        blocks = [block for block in blocks if not navigation_mask[block].all()]
    picked = np.linspace(0, len(blocks) - 1, _N_BACKGROUND_BLOCKS)
    blocks = [blocks[i] for i in np.unique(picked.astype(int))]
    per_block = math.ceil(_N_BACKGROUND / len(blocks))
    sample = []
    for block in blocks:
        block_patterns = patterns[block].compute(scheduler="synchronous")
        block_patterns = block_patterns.reshape((-1, *patterns.shape[-2:]))
        if navigation_mask is not None:
            block_patterns = block_patterns[~navigation_mask[block].ravel()]
        step = max(1, math.ceil(len(block_patterns) / per_block))
        sample.append(block_patterns[::step])
    return np.concatenate(sample)


def refuse_lost(patterns: da.Array, path: Path) -> da.Array:
    """Return patterns, of which those lost with the end of a file are errors.

    Parameters
    ----------
    patterns
        Patterns from :func:`blocks_of_patterns`.
    path
        File they are read from.

    Returns
    -------
    patterns
        The same. To compute blocks of an HDF5 file that has lost its end,
        which HDF5 reads as zeros if they are not compressed, is an
        OSError.
    """
    return patterns.map_blocks(
        _read_block, path=path, dtype=patterns.dtype, meta=patterns._meta
    )


def _read_block(patterns: np.ndarray, path: Path) -> np.ndarray:
    """Return patterns, or raise an error if their file has lost its end."""
    if patterns.size and _is_cut_off(path):
        raise OSError(f"{path} has lost its end")
    return patterns


def _is_cut_off(path: Path) -> bool:
    """Return whether a file is shorter than its HDF5 header says."""
    try:
        with open(path, "rb") as file:
            header = file.read(64)
            size = file.seek(0, 2)
    except FileNotFoundError:
        # One that is open can still be read on most systems
        return False
    if len(header) < 64 or not header.startswith(b"\x89HDF\r\n\x1a\n"):
        return False
    # Where the length is, by version of the header
    at = {0: 40, 1: 44, 2: 28, 3: 28}.get(header[8])
    bytes_per_number = header[13 if header[8] < 2 else 9]
    if at is None or bytes_per_number != 8:
        return False
    return size < int.from_bytes(header[at : at + 8], "little")


def first_unreadable(
    patterns: da.Array, blocks: list[tuple[int, ...]] | None = None
) -> tuple[slice, ...] | None:
    """Return the first block of a scan which cannot be read.

    Parameters
    ----------
    patterns
        Patterns from :func:`blocks_of_patterns`.
    blocks
        Indices of the blocks to try. If not given, all are tried.

    Returns
    -------
    block
        Its rows and columns, or None if all blocks can be read.
    """
    regions = slices_from_chunks(patterns.chunks[:-2])
    if blocks is None:
        tried = range(len(regions))
    else:
        counts = patterns.numblocks[:-2]
        tried = [int(np.ravel_multi_index(i[: len(counts)], counts)) for i in blocks]
    for i in tried:
        try:
            patterns[regions[i]].compute(scheduler="synchronous")
        except Exception:
            return regions[i]
    return None

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scans whose patterns may not be readable, and results that are kept anyway."""

from collections.abc import Iterator
from contextlib import contextmanager
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
from kikuchipy.signals import EBSD
import numpy as np

from kikuchipy_spacegroup.classification._blocks import failed_block
from kikuchipy_spacegroup.classification._compute import compute
from kikuchipy_spacegroup.classification._results_store import (
    blocks_to_store,
    is_disk_full,
    missing_blocks,
    open_store,
)
from kikuchipy_spacegroup.models._engine_choice import engine_of
from kikuchipy_spacegroup.models._fingerprint import fingerprint
from kikuchipy_spacegroup.patterns._scan import (
    first_unreadable,
    refuse_lost,
    sample_patterns,
)

if TYPE_CHECKING:
    from kikuchipy_spacegroup.models import SpaceGroupModel

_logger = logging.getLogger(__name__)


class Scan:
    """A scan in memory, or in a file that may be damaged.

    Parameters
    ----------
    signal
        The scan.
    """

    def __init__(self, signal: EBSD) -> None:
        self.data = signal.data
        file = signal.tmp_parameters.as_dictionary()
        name = file.get("filename")
        path = Path(file.get("folder") or "") / f"{name}.{file.get('extension')}"
        self.path = path if name else None

    def refuse_lost(self, patterns: da.Array) -> da.Array:
        """Return patterns of which those lost with the end of a file are errors."""
        if self.path is not None and isinstance(self.data, da.Array):
            return refuse_lost(patterns, self.path)
        return patterns

    @contextmanager
    def unreadable_patterns_named(self, patterns: da.Array) -> Iterator[None]:
        """Raise an error that names the patterns which cannot be read, if any."""
        try:
            yield
        except Exception as error:
            self.name_unreadable(error, patterns)
            raise

    def name_unreadable(
        self,
        error: Exception,
        patterns: da.Array,
        blocks: list[tuple[int, ...]] | None = None,
        kept: str = "",
    ) -> None:
        """Raise an error that names the patterns which cannot be read, if any.

        Parameters
        ----------
        error
            What was raised while patterns were classified.
        patterns
            Patterns in blocks.
        blocks
            Indices of the blocks to look for them in. If not given, in
            all.
        kept
            What to add to the message.

        Raises
        ------
        OSError
            If there are any.
        """
        index = failed_block(error)
        if index is not None:
            # They were read, and then the model failed
            where = _describe_block(tuple(map(_find_slice, patterns.chunks, index)))
            _logger.error("The patterns in %s cannot be classified", where)
            return
        block = first_unreadable(patterns, blocks)
        if block is None:
            return
        of_file = "" if self.path is None else f" of {self.path}"
        raise OSError(
            f"The patterns{of_file} in {_describe_block(block)} cannot be read: "
            f"{error!r}.{kept}"
        ) from error


def _find_slice(chunks: tuple[int, ...], i: int) -> slice:
    """Return where a block is along an axis."""
    start = sum(chunks[:i])
    return slice(start, start + chunks[i])


def _describe_block(block: tuple[slice, ...]) -> str:
    """Return the rows and columns of a block in words."""
    names = ("rows", "columns")[-len(block) :] if block else ()
    parts = [f"{name} {i.start} to {i.stop - 1}" for name, i in zip(names, block)]
    return " and ".join(parts) or "the scan"


def store_header(
    patterns: da.Array,
    model: "SpaceGroupModel",
    background: np.ndarray | None,
    inside: np.ndarray,
    navigation_mask: np.ndarray | None,
    reject_implausible: bool,
    projection_centers: np.ndarray | None = None,
) -> dict[str, str]:
    """Return fingerprints of all that must be the same to go on with results."""
    sample = sample_patterns(patterns, navigation_mask)[::20]
    how = engine_of(model)
    of_keras = getattr(model, "keras_fingerprint", None)
    # As in stores of before there were engines, if it is that of the model
    named = how is not None and (of_keras is not None or how[0] == "openvino")
    # Not the prior of the model, which is in maps and not in results.
    # As in stores of before images were rejected, if none are
    rejection = [str(reject_implausible)] if reject_implausible else []
    # As in stores of before there were models that use it
    uses_center = getattr(model, "uses_projection_center", False)
    centers = {"projection_centers": fingerprint(projection_centers)}
    return (centers if uses_center else {}) | {
        "scan": fingerprint(sample, list(patterns.shape)),
        "model": of_keras or model.fingerprint(),
        **({"engine": " ".join(how)} if named else {}),
        "background": fingerprint(background, inside, *rejection),
        "navigation_mask": fingerprint(navigation_mask),
    }


def compute_into(
    output: Path,
    header: dict[str, Any],
    probabilities: da.Array,
    scan: Scan,
    patterns: da.Array,
    show_progressbar: bool,
    threads: int,
) -> np.ndarray:
    """Return probabilities, which are written to a store as they come.

    Parameters
    ----------
    output
        Path of the store.
    header
        From :func:`store_header`.
    probabilities
        Lazy probabilities.
    scan, patterns
        What they are the probabilities of.
    show_progressbar, threads
        See :func:`~kikuchipy_spacegroup.classification._compute.compute`.

    Returns
    -------
    computed
        Probabilities, those that were in the store before included.

    Raises
    ------
    OSError
        If patterns cannot be read, or the disk is full.
    """
    store = open_store(output, probabilities, header)
    missing = missing_blocks(store)
    n = store.nchunks
    _logger.info("%s: %i of %i blocks are there", output, n - len(missing), n)
    try:
        if missing:
            lazy = blocks_to_store(probabilities, store, missing)
            compute(lazy, show_progressbar, threads)
    except Exception as error:
        left = missing_blocks(store)
        kept = (
            f" {n - len(left)} of {n} blocks are kept in {output}. Go on with the "
            "same call and `resume=True`"
        )
        if is_disk_full(error):
            raise OSError(f"The disk of {output} is full.{kept}") from error
        scan.name_unreadable(error, patterns, left, kept)
        raise
    return store[...]

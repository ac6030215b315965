# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probabilities of the patterns of a scan, block by block."""

from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

import dask
import dask.array as da
import numpy as np

from kikuchipy_spacegroup.classification._compute import Shipped
from kikuchipy_spacegroup.patterns import (
    divide_background,
    implausible_patterns,
    unusable_patterns,
)

if TYPE_CHECKING:
    from kikuchipy_spacegroup.models import SpaceGroupModel

# Attribute of errors of models with the index of the block they failed at. It
# comes with an error from another process
_FAILED = "kikuchipy_spacegroup_block"


def map_model(
    patterns: da.Array,
    model: "SpaceGroupModel",
    background: np.ndarray | None,
    inside: np.ndarray,
    navigation_mask: np.ndarray | None,
    reject_implausible: bool,
    projection_centers: np.ndarray | None = None,
) -> da.Array:
    """Return lazy probabilities of the patterns of a scan."""
    n_dims = patterns.ndim - 2
    n_classes = len(model.space_groups)
    # Names of our own, so that dask does not hash the model
    name = f"classify-space-group-{uuid4().hex}"
    classifier = dask.delayed(
        Shipped((model, background, inside, reject_implausible)),
        name=f"model-{name}",
        traverse=False,
    )
    # Of every point, in the same blocks along the scan
    mask = centers = None
    if navigation_mask is not None:
        mask = da.from_array(
            navigation_mask[..., None, None],
            chunks=(*patterns.chunks[:n_dims], 1, 1),
            name=False,
        )
    if projection_centers is not None:
        centers = da.from_array(
            projection_centers[..., None],
            chunks=(*patterns.chunks[:n_dims], 3, 1),
            name=False,
        )
    return da.map_blocks(
        classify_block,
        patterns,
        mask,
        centers,
        classifier=classifier,
        drop_axis=(n_dims, n_dims + 1),
        new_axis=n_dims,
        chunks=(*patterns.chunks[:n_dims], (n_classes,)),
        dtype="float32",
        meta=np.empty((0,) * (n_dims + 1), dtype="float32"),
        name=name,
    )


def classify_block(
    patterns: np.ndarray,
    mask: np.ndarray | None = None,
    projection_centers: np.ndarray | None = None,
    *,
    classifier: Shipped,
    block_id: tuple[int, ...] = (),
) -> np.ndarray:
    """Return probabilities of a block of patterns.

    Parameters
    ----------
    patterns
        Patterns of shape (..., height, width).
    mask
        True for patterns to leave out.
    projection_centers
        Projection center of every pattern of shape (..., 3, 1), if the model
        uses it.
    classifier
        Model, background and aperture.
    block_id
        Index of the block, which dask fills in.

    Returns
    -------
    probabilities
        Array of shape (..., number of space groups) and dtype float32,
        NaN where patterns cannot be classified.

    Raises
    ------
    Exception
        That of the model, with what :func:`failed_block` returns.
    """
    try:
        return _classify_block(patterns, mask, projection_centers, *classifier.value)
    except Exception as error:
        with suppress(AttributeError):
            setattr(error, _FAILED, block_id[: patterns.ndim - 2])
        raise


def failed_block(error: Exception) -> tuple[int, ...] | None:
    """Return the index of the block a model failed at, or None if it did not."""
    return getattr(error, _FAILED, None)


def _classify_block(
    patterns: np.ndarray,
    mask: np.ndarray | None,
    projection_centers: np.ndarray | None,
    model: "SpaceGroupModel",
    background: np.ndarray | None,
    inside: np.ndarray,
    reject_implausible: bool,
) -> np.ndarray:
    """Return probabilities (..., k) of a block of patterns (..., height, width)."""
    flat = patterns.reshape((-1, *patterns.shape[-2:]))
    usable = ~unusable_patterns(flat)
    if mask is not None:
        usable &= ~mask.ravel()
    probabilities = np.full(
        (len(flat), len(model.space_groups)), np.nan, dtype="float32"
    )
    if usable.any():
        usable_patterns = flat if usable.all() else flat[usable]
        divided = divide_background(usable_patterns, background, inside)
        centers = []
        if projection_centers is not None:
            centers.append(projection_centers.reshape(-1, 3)[usable])
        usable_probabilities = model.predict_proba(divided, *centers)
        if reject_implausible:
            usable_probabilities[implausible_patterns(divided, inside)] = np.nan
        probabilities[usable] = usable_probabilities
    return probabilities.reshape(*patterns.shape[:-2], -1)

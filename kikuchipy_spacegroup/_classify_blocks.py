# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probabilities of the patterns of a scan, block by block."""

from typing import TYPE_CHECKING
from uuid import uuid4

import dask
import dask.array as da
import numpy as np

from kikuchipy_spacegroup._compute import Shipped
from kikuchipy_spacegroup.background import divide_background, unusable_patterns
from kikuchipy_spacegroup.plausibility import implausible_patterns

if TYPE_CHECKING:
    from kikuchipy_spacegroup.model import SpaceGroupModel


def map_model(
    patterns: da.Array,
    model: "SpaceGroupModel",
    background: np.ndarray | None,
    inside: np.ndarray,
    navigation_mask: np.ndarray | None,
    reject_implausible: bool,
) -> da.Array:
    """Return lazy probabilities."""
    n_dims = patterns.ndim - 2
    n_classes = len(model.space_groups)
    # Names of our own, so that dask does not hash the model
    name = f"classify-space-group-{uuid4().hex}"
    classifier = dask.delayed(
        Shipped((model, background, inside, reject_implausible)),
        name=f"model-{name}",
        traverse=False,
    )
    arrays = [patterns]
    if navigation_mask is not None:
        mask = da.from_array(
            navigation_mask[..., None, None],
            chunks=(*patterns.chunks[:n_dims], 1, 1),
            name=False,
        )
        arrays.append(mask)
    return da.map_blocks(
        classify_block,
        *arrays,
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
    *,
    classifier: Shipped,
) -> np.ndarray:
    """Return probabilities of a block of patterns."""
    model, background, inside, reject_implausible = classifier.value
    flat = patterns.reshape((-1, *patterns.shape[-2:]))
    wanted = ~unusable_patterns(flat)
    if mask is not None:
        wanted &= ~mask.ravel()
    out = np.full((len(flat), len(model.space_groups)), np.nan, dtype="float32")
    if wanted.any():
        kept = flat if wanted.all() else flat[wanted]
        divided = divide_background(kept, background, inside)
        found = model.predict_proba(divided)
        if reject_implausible:
            found[implausible_patterns(divided, inside)] = np.nan
        out[wanted] = found
    return out.reshape(*patterns.shape[:-2], -1)

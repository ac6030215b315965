# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a model is trained on: simulated patterns, experimental ones, or both."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kikuchipy_spacegroup._drawing import warn_if_unbalanced
from kikuchipy_spacegroup._keras import keras
from kikuchipy_spacegroup.dataset import (
    ExperimentalDataset,
    MixedDataset,
    SimulatedDataset,
    balanced_share,
)

if TYPE_CHECKING:
    from kikuchipy_spacegroup.experimental import LabelledPatterns
    from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary


def training_set(
    space_groups: Sequence[int],
    library: "MasterPatternLibrary | None",
    experimental: "LabelledPatterns | None",
    batch_size: int,
    share: float | None,
    *,
    common: dict[str, Any],
    simulated: dict[str, Any],
    recorded: dict[str, Any],
) -> keras.utils.PyDataset:
    """Return simulated patterns, experimental ones or both."""
    common = common | {"batch_size": batch_size}
    if library is not None:
        ideal = SimulatedDataset(library, space_groups, **common, **simulated)
        if experimental is None:
            return ideal
    real = ExperimentalDataset(experimental, space_groups, **common, **recorded)
    if library is None:
        return real
    limit = balanced_share(ideal, real) if real.balanced else 0.5
    n = round(batch_size * (limit if share is None else share))
    real.batch_size = min(max(n, 1), batch_size - 1)
    ideal.batch_size = batch_size - real.batch_size
    mixed = MixedDataset(ideal, real)
    if real.balanced:
        warn_if_unbalanced(mixed.class_shares, ideal.class_shares, space_groups, limit)
    return mixed

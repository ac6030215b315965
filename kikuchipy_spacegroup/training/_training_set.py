# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Training sets of simulated patterns, experimental ones, or both."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kikuchipy_spacegroup._keras import keras
from kikuchipy_spacegroup.training._dataset import (
    ExperimentalDataset,
    MixedDataset,
    SimulatedDataset,
    balanced_share,
)
from kikuchipy_spacegroup.training._options import Sampling
from kikuchipy_spacegroup.training._sampling import warn_if_unbalanced

if TYPE_CHECKING:
    from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
    from kikuchipy_spacegroup.patterns import LabelledPatterns
    from kikuchipy_spacegroup.simulation import Geometry


def training_set(
    space_groups: Sequence[int],
    library: "MasterPatternLibrary | None",
    experimental: "LabelledPatterns | None",
    sampling: Sampling,
    geometry: "Geometry | None",
    *,
    batch_size: int,
    steps: int,
    seed: int,
) -> keras.utils.PyDataset:
    """Return batches of simulated patterns, of experimental ones or of both."""
    common = {"batch_size": batch_size, "steps": steps, "seed": seed}
    if library is not None:
        simulated = SimulatedDataset(
            library,
            space_groups,
            outlier_share=sampling.outlier_share,
            phase_weights=sampling.phase_weights,
            space_group_weights=sampling.space_group_weights,
            geometry=geometry,
            blend_share=sampling.blend_share,
            strain_scale=sampling.strain_scale,
            center_error=sampling.center_error,
            unknown_center_share=sampling.unknown_center_share,
            **common,
        )
        if experimental is None:
            return simulated
    recorded = ExperimentalDataset(
        experimental,
        space_groups,
        balanced=sampling.balanced,
        augment=sampling.augment,
        **common,
    )
    if library is None:
        return recorded
    limit = balanced_share(simulated, recorded) if recorded.balanced else 0.5
    share = sampling.experimental_share
    n = round(batch_size * (limit if share is None else share))
    recorded.batch_size = min(max(n, 1), batch_size - 1)
    simulated.batch_size = batch_size - recorded.batch_size
    mixed = MixedDataset(simulated, recorded)
    if recorded.balanced:
        shares = mixed.class_shares, simulated.class_shares
        warn_if_unbalanced(*shares, space_groups, limit)
    return mixed

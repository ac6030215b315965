# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metadata of a model on its training."""

import logging
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
    from kikuchipy_spacegroup.models import SpaceGroupModel
    from kikuchipy_spacegroup.patterns import LabelledPatterns

_logger = logging.getLogger(__name__)
# Metadata which describe weights that further training changes
_OF_WEIGHTS = ("calibrated_on", "accuracy", "averaged", "adapted", "seed", "date")
_FURTHER = ", trained further"


def record_training(
    model: "SpaceGroupModel",
    library: "MasterPatternLibrary | None",
    experimental: "LabelledPatterns | None",
    class_shares: np.ndarray | None = None,
) -> None:
    """Write into a model what it is trained on, and take out what is not true then.

    What was measured with the weights before is not known of those to
    come: temperature and thresholds, accuracies, and how they were made.
    The prior becomes the shares of the space groups, if these are given.
    """
    if class_shares is not None:
        _record_prior(model, class_shares)
    parts, phases = [], set(model.metadata.get("phases") or ())
    if library is not None:
        parts.append(f"{library.n_phases} simulated phases")
        pairs = zip(library.phase_names, library.space_groups)
        phases |= {f"{name} ({number})" for name, number in pairs}
    if experimental is not None:
        pairs = set(zip(map(str, experimental.materials), experimental.space_groups))
        n = len({name for name, _ in pairs})
        parts.append(f"{len(experimental)} experimental patterns of {n} material(s)")
        phases |= {f"{name} ({number})" for name, number in pairs}
    text, before = " and ".join(parts), model.metadata.get("trained_on")
    if before:
        for name in _OF_WEIGHTS:
            model.metadata.pop(name, None)
        name = model.metadata.get("name")
        if name and not name.endswith(_FURTHER):
            model.metadata["name"] = name + _FURTHER
        if not f"; then {before}".endswith(f"; then {text}"):
            text = f"{before}; then {text}"
        else:
            text = before
    model.metadata |= {"trained_on": text, "phases": sorted(phases)}
    # Only what `calibrate()` sets: a threshold alone is the user's own
    if model.temperature != 1 or model.conformal_thresholds:
        model.temperature, model.min_probability = 1.0, 0.0
        model.conformal_thresholds = {}
        model.metadata.pop("borrowed_thresholds", None)
        _logger.warning(
            "Temperature, min_probability and conformal thresholds were those of the "
            "model before this training, and are taken back: probabilities are not "
            "calibrated, and no pattern counts as not identified. Call `calibrate()` "
            "with phases the model was not trained on"
        )


def _record_prior(model: "SpaceGroupModel", class_shares: np.ndarray) -> None:
    """Write into a model how often each of its space groups is in training.

    Space groups that are not in it keep the prior they had, as what the
    model says of them is from before.
    """
    before = np.array(model.metadata.pop("training_prior", model.prior))
    kept = np.where(class_shares > 0, 0, before)
    prior = kept + (1 - kept.sum()) * class_shares
    # So that rounding does not make equal shares differ
    model.prior = np.round(prior, 12)


def record_steps(model: "SpaceGroupModel", steps: int) -> None:
    """Write into a model how many batches it was trained with in all."""
    model.metadata["steps"] = int(model.metadata.get("steps") or 0) + steps

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
from ._adaptation import adapt_normalization, self_train
from ._calibration import (
    calibrate,
    calibration_error,
    fit_chain_temperatures,
    fit_temperature,
    precision_threshold,
    simulate_logits,
)
from ._conformal import class_conformal_thresholds, conformal_threshold, prediction_sets
from ._dataset import (
    ExperimentalDataset,
    MixedDataset,
    SimulatedDataset,
    balanced_share,
)
from ._fit import KAUFMANN2020, fit, fit_kaufmann2020, recalibrate, training_graph
from ._matching import match_acquisition
from ._optimizer import make_optimizer
from ._options import EarlyStopping, Optimization, Sampling
from ._sampling import similar_entries

__all__ = [
    "KAUFMANN2020",
    "EarlyStopping",
    "ExperimentalDataset",
    "MixedDataset",
    "Optimization",
    "Sampling",
    "SimulatedDataset",
    "adapt_normalization",
    "balanced_share",
    "calibrate",
    "calibration_error",
    "class_conformal_thresholds",
    "conformal_threshold",
    "fit",
    "fit_chain_temperatures",
    "fit_kaufmann2020",
    "fit_temperature",
    "make_optimizer",
    "match_acquisition",
    "precision_threshold",
    "prediction_sets",
    "recalibrate",
    "self_train",
    "similar_entries",
    "simulate_logits",
    "training_graph",
]

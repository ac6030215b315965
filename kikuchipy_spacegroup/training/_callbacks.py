# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Callbacks of training."""

import numpy as np

from kikuchipy_spacegroup._keras import keras
from kikuchipy_spacegroup.training._options import EarlyStopping


class FollowEpoch(keras.callbacks.Callback):
    """Tell the dataset its epoch, so that resumed training goes on."""

    def __init__(self, dataset: keras.utils.PyDataset) -> None:
        super().__init__()
        self.dataset = dataset

    def on_epoch_begin(self, epoch, logs=None):
        self.dataset.epoch = epoch


class Validate(keras.callbacks.Callback):
    """Put loss and accuracy of other patterns into the logs."""

    def __init__(
        self, evaluator: keras.Model, patterns: np.ndarray, targets: np.ndarray
    ) -> None:
        super().__init__()
        self.evaluator = evaluator
        self.data = ({"patterns": patterns}, targets)

    def on_epoch_end(self, epoch, logs=None):
        found = self.evaluator.evaluate(*self.data, verbose=0, return_dict=True)
        logs |= {f"val_{name}": value for name, value in found.items()}


def early_stopping(stopping: EarlyStopping) -> keras.callbacks.EarlyStopping:
    """Return the callback that stops training and keeps the best weights."""
    return keras.callbacks.EarlyStopping(
        "val_loss",
        stopping.min_delta,
        stopping.patience,
        mode="min",
        restore_best_weights=True,
    )

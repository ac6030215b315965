# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of trainings that may be interrupted."""

from collections.abc import Sequence
from contextlib import suppress
import json
import os
from pathlib import Path
import random
from typing import Any
from zipfile import BadZipFile

import numpy as np

from kikuchipy_spacegroup._keras import keras

# What early stopping knows beside the best weights
_STOPPING = ("wait", "best", "best_epoch", "stopped_epoch")


class Backup(keras.callbacks.Callback):
    """Keep all that training needs to go on as if it had not stopped.

    Keras' own backup has neither the history nor the state of early
    stopping and of random numbers (of the camera, of dropout, and of
    Python's :mod:`random`, by which Keras shuffles batches), and is gone
    before statistics of averaged weights are right. Only PyTorch draws
    dropout from random numbers that are not kept.

    Parameters
    ----------
    folder
        Folder for the one file of the backup.
    variables
        Variables of the model to keep: weights, and states of random
        numbers.
    stopping
        Early stopping to keep the state of, which must come before this
        callback.
    """

    def __init__(
        self,
        folder: str | Path,
        variables: Sequence[keras.Variable],
        stopping: keras.callbacks.EarlyStopping | None = None,
    ) -> None:
        super().__init__()
        self.path = Path(folder) / "backup.npz"
        self.kept = list(variables)
        self.stopping = stopping
        self.logs: list[dict[str, float]] = []
        self.stopped: dict[str, Any] = {}
        self.order: list | None = None
        self.values: list[np.ndarray] = []
        self.best: list[np.ndarray] = []

    @classmethod
    def of(
        cls,
        trainer: keras.Model,
        folder: str | Path,
        stopping: keras.callbacks.EarlyStopping | None,
    ) -> "Backup":
        """Return the backup of a compiled model without its master patterns."""
        trainer.optimizer.build(trainer.trainable_variables)
        layers = [layer for layer in trainer.layers if layer.name != "project"]
        return cls(folder, [v for i in layers for v in i.variables], stopping)

    def read(self, optimizer: keras.optimizers.Optimizer) -> int:
        """Read the file, if there is one, and return the number of epochs done."""
        self.kept.extend(optimizer.variables)
        if not self.path.exists():
            return 0
        state, self.values, self.best = self._read_arrays()
        if [v.shape for v in self.values] != [tuple(v.shape) for v in self.kept]:
            raise ValueError(
                f"{self.path} is of another model or optimizer, and training cannot "
                "go on from there. Give another `backup_dir`, or remove the file"
            )
        self.logs, self.order = state["logs"], state["order"]
        self.stopped = state["stopping"]
        return len(self.logs)

    def _read_arrays(self) -> tuple[dict[str, Any], list[np.ndarray], list[np.ndarray]]:
        """Return the state, and values of variables now and at their best."""
        try:
            with np.load(self.path, allow_pickle=False) as file:
                state = json.loads(str(file["state"]))
                values = [file[f"kept_{i}"] for i in range(state["kept"])]
                best_values = [file[f"best_{i}"] for i in range(state["best"])]
        except (OSError, ValueError, LookupError, TypeError, BadZipFile) as error:
            raise ValueError(
                f"{self.path} cannot be read ({error}), so that training cannot go on "
                "from there. Remove it to start anew"
            ) from error
        return state, values, best_values

    def on_train_begin(self, logs=None):
        # Not sooner, since Keras tries the model, and early stopping starts anew
        for variable, value in zip(self.kept, self.values):
            variable.assign(value)
        if self.stopping is not None and self.stopped:
            vars(self.stopping).update(self.stopped)
        if self.stopping is not None and self.best:
            kept = iter(self.best)
            self.stopping.best_weights = [
                next(kept) if self._is_kept(v) else keras.ops.convert_to_numpy(v)
                for v in self.model.weights
            ]
        if self.order:
            version, numbers, gauss = self.order
            random.setstate((version, tuple(numbers), gauss))
        self.values, self.best = [], []

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(dict(logs))
        stopping, best_values = {}, []
        if self.stopping is not None:
            stopping = {name: getattr(self.stopping, name) for name in _STOPPING}
            weights = zip(self.model.weights, self.stopping.best_weights or [])
            best_values = [
                value for variable, value in weights if self._is_kept(variable)
            ]
        state = {"logs": self.logs, "stopping": stopping, "order": random.getstate()}
        state |= {"kept": len(self.kept), "best": len(best_values)}
        text = json.dumps(state, default=lambda value: np.asarray(value).tolist())
        arrays = {"state": np.array(text)}
        for i, variable in enumerate(self.kept):
            arrays[f"kept_{i}"] = keras.ops.convert_to_numpy(variable)
        arrays |= {f"best_{i}": value for i, value in enumerate(best_values)}
        self._write_arrays(arrays)

    def _is_kept(self, variable: keras.Variable) -> bool:
        """Return whether a variable is in the backup, as master patterns are not."""
        return any(variable is other for other in self.kept)

    def _write_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Write the file so that there is either the new one or the old."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Always of the same name, unlike that of `replacing()`: what a killed training
        # leaves is written over by the next one, or removed at the end
        part = self.path.with_suffix(".part")
        with open(part, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, self.path)

    @property
    def has_stopped(self) -> bool:
        """Return whether early stopping had ended training."""
        return bool(self.stopped.get("stopped_epoch"))

    def complete(self, history: keras.callbacks.History) -> None:
        """Put the epochs before the interruption into a history."""
        history.epoch = list(range(len(self.logs)))
        names = dict.fromkeys(name for logs in self.logs for name in logs)
        history.history = {
            name: [logs[name] for logs in self.logs if name in logs] for name in names
        }

    def remove(self) -> None:
        """Remove the file, and the folder if nothing else is in it."""
        for path in (self.path, self.path.with_suffix(".part")):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.path.parent.rmdir()

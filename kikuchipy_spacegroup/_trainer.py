# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of training: callbacks, optimizer, precision, backups, what to balance."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
import json
import os
from pathlib import Path
import random
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np

# What early stopping knows beside the best weights
_STOPPING = ("wait", "best", "best_epoch", "stopped_epoch")


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

    def read(self, optimizer: keras.optimizers.Optimizer) -> int:
        """Read the file, if there is one, and return the number of epochs done."""
        self.kept.extend(optimizer.variables)
        if not self.path.exists():
            return 0
        state, self.values, self.best = self._arrays()
        if [v.shape for v in self.values] != [tuple(v.shape) for v in self.kept]:
            raise ValueError(
                f"{self.path} is of another model or optimizer, and training cannot "
                "go on from there. Give another `backup_dir`, or remove the file"
            )
        self.logs, self.order = state["logs"], state["order"]
        self.stopped = state["stopping"]
        return len(self.logs)

    def _arrays(self) -> tuple[dict[str, Any], list[np.ndarray], list[np.ndarray]]:
        """Return the state, and values of variables now and at their best."""
        try:
            with np.load(self.path, allow_pickle=False) as file:
                state = json.loads(str(file["state"]))
                values = [file[f"kept_{i}"] for i in range(state["kept"])]
                best = [file[f"best_{i}"] for i in range(state["best"])]
        except (OSError, ValueError, LookupError, TypeError, BadZipFile) as error:
            raise ValueError(
                f"{self.path} cannot be read ({error}), so that training cannot go on "
                "from there. Remove it to start anew"
            ) from error
        return state, values, best

    def on_train_begin(self, logs=None):
        # Not sooner, since Keras tries the model, and early stopping starts anew
        for variable, value in zip(self.kept, self.values):
            variable.assign(value)
        if self.stopping is not None and self.stopped:
            vars(self.stopping).update(self.stopped)
        if self.stopping is not None and self.best:
            kept = iter(self.best)
            self.stopping.best_weights = [
                next(kept) if self._keeps(v) else keras.ops.convert_to_numpy(v)
                for v in self.model.weights
            ]
        if self.order:
            version, numbers, gauss = self.order
            random.setstate((version, tuple(numbers), gauss))
        self.values, self.best = [], []

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(dict(logs))
        stopping, best = {}, []
        if self.stopping is not None:
            stopping = {name: getattr(self.stopping, name) for name in _STOPPING}
            weights = zip(self.model.weights, self.stopping.best_weights or [])
            best = [value for variable, value in weights if self._keeps(variable)]
        state = {"logs": self.logs, "stopping": stopping, "order": random.getstate()}
        state |= {"kept": len(self.kept), "best": len(best)}
        text = json.dumps(state, default=lambda value: np.asarray(value).tolist())
        arrays = {"state": np.array(text)}
        for i, variable in enumerate(self.kept):
            arrays[f"kept_{i}"] = keras.ops.convert_to_numpy(variable)
        arrays |= {f"best_{i}": value for i, value in enumerate(best)}
        self._write(arrays)

    def _keeps(self, variable: keras.Variable) -> bool:
        """Return whether a variable is in the backup, as master patterns are not."""
        return any(variable is other for other in self.kept)

    def _write(self, arrays: dict[str, np.ndarray]) -> None:
        """Write the file so that there is either the new one or the old."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
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


def make_optimizer(
    steps: int,
    learning_rate: float,
    decay: bool,
    weight_decay: float,
    average: float | None,
) -> keras.optimizers.Optimizer:
    """Return the optimizer with its schedule."""
    schedule = learning_rate
    if decay:
        warmup = min(500, steps // 20)
        schedule = keras.optimizers.schedules.CosineDecay(
            learning_rate / 100,
            max(steps - warmup, 1),
            alpha=0.0,
            warmup_target=learning_rate,
            warmup_steps=warmup,
        )
    optimizer = keras.optimizers.AdamW(
        schedule,
        weight_decay=weight_decay,
        use_ema=average is not None,
        ema_momentum=average or 0.99,
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer


def compile_graph(
    graph: keras.Model, optimizer: Any, label_smoothing: float = 0.0
) -> None:
    """Compile a graph for training, with the loss of logits."""
    graph.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=label_smoothing
        ),
        metrics=["accuracy"],
        # JAX would run every operation by itself, and XLA does not pay under others
        jit_compile=keras.backend.backend() == "jax",
    )


@contextmanager
def network_precision(network: keras.Model, policy: str | None) -> Iterator[None]:
    """Let the layers of a network but the last compute in another precision."""
    # Those made with a precision of their own, such as the logits, keep it
    changed = {
        layer: layer.dtype_policy for layer in (network.layers[:-1] if policy else [])
    }
    for layer in changed:
        layer.dtype_policy = policy
    try:
        yield
    finally:
        for layer, before in changed.items():
            layer.dtype_policy = before

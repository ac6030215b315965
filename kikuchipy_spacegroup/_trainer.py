# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of training: callbacks, backups, optimizer, precision and what stays."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
import json
import logging
import os
from pathlib import Path
import random
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import keras
import numpy as np

if TYPE_CHECKING:
    from kikuchipy_spacegroup.experimental import LabelledPatterns
    from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
    from kikuchipy_spacegroup.model import SpaceGroupModel

_logger = logging.getLogger(__name__)
# Metadata which describe weights that further training changes
_OF_WEIGHTS = ("calibrated_on", "accuracy", "averaged", "adapted", "seed", "date")
_FURTHER = ", trained further"
# What early stopping knows beside the best weights
_STOPPING = ("wait", "best", "best_epoch", "stopped_epoch")


def check_training(
    epochs: int,
    steps_per_epoch: int | None,
    library: Any,
    experimental: Any,
    experimental_share: float | None,
) -> None:
    """Raise if there is nothing to train on or a number is out of range."""
    if library is None and experimental is None:
        raise ValueError("Give a `library`, `experimental` patterns, or both")
    for name, value in [("epochs", epochs), ("steps_per_epoch", steps_per_epoch)]:
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    if experimental_share is not None and not 0 < experimental_share < 1:
        raise ValueError(
            f"experimental_share must be between 0 and 1, not {experimental_share}"
        )


def check_stopping(patience: int | None, validation: Any, average: Any) -> None:
    """Raise if training cannot stop early as asked."""
    if patience is not None and (validation is None or average is not None):
        raise ValueError(
            "`patience` needs `validation` patterns, and `average=None` since the best "
            "weights are kept instead"
        )


def record_training(
    model: "SpaceGroupModel",
    library: "MasterPatternLibrary | None",
    experimental: "LabelledPatterns | None",
) -> None:
    """Write into a model what it is trained on, and take out what is not true then.

    What was measured with the weights before is not known of those to
    come: temperature and thresholds, accuracies, and how they were made.
    """
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
        _logger.warning(
            "Temperature, min_probability and conformal thresholds were those of the "
            "model before this training, and are taken back: probabilities are not "
            "calibrated, and no pattern counts as not identified. Call `calibrate()` "
            "with phases the model was not trained on"
        )


def record_steps(model: "SpaceGroupModel", steps: int) -> None:
    """Write into a model how many batches it was trained with in all."""
    model.metadata["steps"] = int(model.metadata.get("steps") or 0) + steps


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
    if not isinstance(optimizer, str):
        _skip_all_reduce(optimizer)
    graph.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=label_smoothing
        ),
        metrics=["accuracy"],
        # JAX would run every operation by itself, and XLA does not pay under others
        jit_compile=keras.backend.backend() == "jax",
    )


def _skip_all_reduce(optimizer: keras.optimizers.Optimizer) -> None:
    """Let an optimizer of a single device leave gradients as they are.

    TensorFlow's ``all_reduce()``, by which Keras adds up the gradients of all
    devices, registers a gradient of its own under a new name for every graph,
    and so keeps the graph and its variables, master patterns too, for good.
    """
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        optimizer._all_reduce_sum_gradients = lambda pairs: pairs


class Borrowed(keras.layers.Layer):
    """Compute with the layer of a model that outlives the graph.

    Every layer remembers all graphs it was put into, and by them the layers
    before it, such as master patterns. This one is remembered instead.

    Parameters
    ----------
    layer
        Layer or model to use, with its weights.
    """

    def __init__(self, layer: keras.layers.Layer) -> None:
        super().__init__(name=layer.name, autocast=False)
        self.layer = layer
        self.built = True

    def call(self, x, training=None):
        """Return what the layer returns."""
        if isinstance(self.layer, keras.Model):
            return self.layer(x, training=training)
        return self.layer(x)

    def compute_output_spec(self, x, training=None):
        """Return what the layer says, without which JAX has no shapes."""
        return self.layer.compute_output_spec(x)


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


@contextmanager
def kept_normalization(network: keras.Model, keep: bool) -> Iterator[None]:
    """Let batch normalisation stay as it is in training compiled within, if asked."""
    kept = [
        layer
        for layer in (network.layers if keep else [])
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    for layer in kept:
        layer.trainable = False
    try:
        yield
    finally:
        for layer in kept:
            layer.trainable = True

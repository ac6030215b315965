# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Train a model on simulated patterns."""

from collections.abc import Mapping, Sequence
import logging
from pathlib import Path

import keras

from kikuchipy_spacegroup.acquisition import Acquisition, SimulateCamera
from kikuchipy_spacegroup.dataset import SimulatedDataset
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.model import SpaceGroupModel
from kikuchipy_spacegroup.simulation import Geometry, ProjectPatterns

_logger = logging.getLogger(__name__)


def fit(
    model: SpaceGroupModel,
    library: MasterPatternLibrary,
    *,
    epochs: int = 10,
    steps_per_epoch: int = 100,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    weight_decay: float = 1e-2,
    label_smoothing: float = 0.0,
    outlier_share: float = 0.1,
    phase_weights: Mapping[str, float] | None = None,
    average: float | None = 0.999,
    acquisition: Acquisition | None = None,
    geometry: Geometry | None = None,
    seed: int = 0,
    backup_dir: str | Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    show_progressbar: bool = True,
) -> keras.callbacks.History:
    """Train a model in place on patterns simulated as training goes on.

    No pattern is seen twice: every batch draws space groups, phases,
    energies, orientations, detector geometries, and what the camera
    does to the patterns anew.

    Parameters
    ----------
    model
        Model to train. A trained one is trained further.
    library
        Master patterns. Phases of space groups the model does not know
        are used as outliers.
    epochs
        Number of epochs.
    steps_per_epoch
        Number of batches per epoch.
    batch_size
        Number of patterns per batch.
    learning_rate
        Learning rate after a short warm-up, from where it falls to zero
        along a cosine.
    weight_decay
        Weight decay of AdamW :cite:`loshchilov2019decoupled`.
    label_smoothing
        Share of every target spread evenly over all classes.
    outlier_share, phase_weights
        Share of patterns of outliers and weights of phases, see
        :class:`~kikuchipy_spacegroup.dataset.SimulatedDataset`.
    average
        Momentum of the running average of the weights, which replaces
        the weights in the end. If None, weights are not averaged.
    acquisition
        Ranges of what the camera does.
    geometry
        Ranges of detector geometries.
    seed
        Seed of the random numbers.
    backup_dir
        Folder for a backup after every epoch. If training was
        interrupted, the same call goes on from there. The folder is
        emptied in the end.
    callbacks
        Further callbacks.
    show_progressbar
        Whether to show a progress bar.

    Returns
    -------
    history
        Loss and accuracy per epoch. Accuracy counts outliers as wrong.

    Raises
    ------
    ValueError
        If the library lacks one of the model's space groups, or a
        number is out of range.
    """
    for name, value in [("epochs", epochs), ("steps_per_epoch", steps_per_epoch)]:
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    dataset = SimulatedDataset(
        library,
        model.space_groups,
        batch_size=batch_size,
        steps=steps_per_epoch,
        outlier_share=outlier_share,
        phase_weights=phase_weights,
        geometry=geometry,
        seed=seed,
    )
    trainer = training_graph(model, library, acquisition=acquisition, seed=seed)
    steps = epochs * steps_per_epoch
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
    trainer.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=label_smoothing
        ),
        metrics=["accuracy"],
        # JAX would run every operation by itself, and XLA does not pay under others
        jit_compile=keras.backend.backend() == "jax",
    )
    every = [_FollowEpoch(dataset), *callbacks]
    if backup_dir is not None:
        every.append(keras.callbacks.BackupAndRestore(str(backup_dir)))
    history = trainer.fit(
        dataset,
        epochs=epochs,
        callbacks=every,
        verbose="auto" if show_progressbar else 0,
    )
    if average is not None:
        recalibrate(trainer, dataset)
    return history


def training_graph(
    model: SpaceGroupModel,
    library: MasterPatternLibrary,
    *,
    acquisition: Acquisition | None = None,
    seed: int = 0,
) -> keras.Model:
    """Return the Keras model from recipes of patterns to logits.

    Parameters
    ----------
    model
        Model whose preprocessing and network are used.
    library
        Master patterns.
    acquisition
        Ranges of what the camera does.
    seed
        Seed of the random numbers.

    Returns
    -------
    graph
        Model of the input described in
        :meth:`kikuchipy_spacegroup.simulation.ProjectPatterns.call`.
        Its layers ``"project"``, ``"camera"`` and ``"prepare_patterns"``
        make the patterns.
    """
    size = model.size
    inputs = {
        "upper": keras.Input((), dtype="int32", name="upper"),
        "lower": keras.Input((), dtype="int32", name="lower"),
        "orientation": keras.Input((3, 3), name="orientation"),
        "geometry": keras.Input((5,), name="geometry"),
    }
    x = ProjectPatterns(library, (size, size), name="project")(inputs)
    x = SimulateCamera(acquisition, size=size, seed=seed, name="camera")(x)
    x = keras.layers.Reshape((size, size, 1), name="channel")(x)
    return keras.Model(inputs, model.network(model.prepare(x)), name="trainer")


def recalibrate(
    graph: keras.Model, dataset: keras.utils.PyDataset, *, steps: int = 200
) -> None:
    """Bring batch normalisation in line with averaged weights.

    Parameters
    ----------
    graph
        Model to change in place.
    dataset
        Batches of input.
    steps
        Number of batches to go through.
    """
    # A step of length zero runs compiled, unlike calls of the model
    graph.compile(
        keras.optimizers.SGD(0.0),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        jit_compile=keras.backend.backend() == "jax",
    )
    graph.fit(dataset, steps_per_epoch=min(steps, len(dataset)), verbose=0)


class _FollowEpoch(keras.callbacks.Callback):
    """Tell the dataset its epoch, so that resumed training goes on."""

    def __init__(self, dataset: SimulatedDataset) -> None:
        super().__init__()
        self.dataset = dataset

    def on_epoch_begin(self, epoch, logs=None):
        self.dataset.epoch = epoch

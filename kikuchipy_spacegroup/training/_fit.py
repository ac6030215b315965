# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Train a model on simulated patterns."""

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from kikuchipy_spacegroup._keras import keras
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.models import SpaceGroupModel
from kikuchipy_spacegroup.models._inference import network_input
from kikuchipy_spacegroup.patterns import LabelledPatterns
from kikuchipy_spacegroup.patterns._labelled_patterns import class_indices
from kikuchipy_spacegroup.simulation import (
    Acquisition,
    Geometry,
    SimulateCamera,
    pattern_inputs,
    simulate_patterns,
)
from kikuchipy_spacegroup.training._backup import Backup
from kikuchipy_spacegroup.training._callbacks import (
    FollowEpoch,
    Validate,
    early_stopping,
)
from kikuchipy_spacegroup.training._memory import Borrowed, frees_graphs
from kikuchipy_spacegroup.training._optimizer import (
    compile_graph,
    kept_normalization,
    make_optimizer,
    network_precision,
)
from kikuchipy_spacegroup.training._options import (
    EarlyStopping,
    Optimization,
    Sampling,
    check_stopping,
    check_training,
)
from kikuchipy_spacegroup.training._record import record_steps, record_training
from kikuchipy_spacegroup.training._training_set import training_set

# What Kaufmann et al. 2020 trained with, as arguments of :func:`fit`, see
# :func:`fit_kaufmann2020`
KAUFMANN2020 = MappingProxyType(
    {
        "epochs": 1000,
        "batch_size": 32,
        "sampling": Sampling(augment=False),
        "optimization": Optimization(
            learning_rate=1e-3, decay=False, weight_decay=1e-5, average=None
        ),
        "stopping": EarlyStopping(patience=25, min_delta=1e-3),
    }
)


@frees_graphs
def fit(
    model: SpaceGroupModel,
    library: MasterPatternLibrary | None = None,
    experimental: LabelledPatterns | None = None,
    *,
    epochs: int = 10,
    steps_per_epoch: int | None = None,
    batch_size: int = 64,
    sampling: Sampling = Sampling(),
    optimization: Optimization = Optimization(),
    validation: LabelledPatterns | None = None,
    stopping: EarlyStopping | None = None,
    acquisition: Acquisition | None = None,
    geometry: Geometry | None = None,
    seed: int = 0,
    backup_dir: str | Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    show_progressbar: bool = True,
) -> keras.callbacks.History:
    """Train a model in place, on simulated or experimental patterns.

    No simulated pattern is seen twice: every batch draws space groups,
    phases, energies, orientations, detector geometries, and what the
    camera does to the patterns anew.

    Parameters
    ----------
    model
        Model to train. A trained one is trained further (fine-tuned),
        and is no longer calibrated, see the notes.
    library
        Master patterns to simulate patterns from. Phases of space
        groups the model does not know are used as outliers.
    experimental
        Experimental patterns. They need not be of all space groups of
        the model, but without a library it forgets the others.
    epochs
        Number of epochs.
    steps_per_epoch
        Number of batches per epoch. If not given, 100, or without a
        library as many as show every pattern once on average.
    batch_size
        Number of patterns per batch.
    sampling
        What patterns batches are made of.
    optimization
        Learning rate, weight decay and so on.
    validation
        Experimental patterns whose loss and accuracy are part of the
        history after every epoch.
    stopping
        When to stop early, by the loss of validation patterns. If not
        given, all epochs are trained.
    acquisition
        Ranges of what the camera does to simulated patterns.
    geometry
        Ranges of detector geometries of simulated patterns.
    seed
        Seed of the random numbers.
    backup_dir
        Folder for a backup after every epoch. If training was
        interrupted, the same call goes on from there as if it had not
        been, with the history and early stopping so far. The backup is
        removed when this function is done, so save the model then.
    callbacks
        Further callbacks. Backups do not have their state.
    show_progressbar
        Whether to show a progress bar.

    Returns
    -------
    history
        Loss and accuracy per epoch. Accuracy counts outliers as wrong.

    Raises
    ------
    ValueError
        If there is nothing to train on, the library lacks one of the
        model's space groups, there are experimental patterns of other
        space groups, or a number is out of range.

    See Also
    --------
    kikuchipy_spacegroup.training.calibrate, fit_kaufmann2020

    Notes
    -----
    What was measured of the weights a model had does not hold for those
    it gets. A calibrated model becomes as a new one, with a temperature
    of 1, a ``min_probability`` of 0, so that every pattern gets a space
    group, and no conformal thresholds. This is logged: call
    :func:`~kikuchipy_spacegroup.training.calibrate` afterwards.

    ``model.prior`` becomes the shares of the space groups in the batches
    of this training. Space groups that none of its patterns is of keep
    the prior they had.

    ``model.metadata`` says what the model was trained on. The phases of
    the library and the materials of experimental patterns join those
    in ``"phases"``, which
    :func:`~kikuchipy_spacegroup.evaluation.evaluate` takes as seen.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> model = kpsg.SpaceGroupModel.create([225, 229], size=32, filters=(8,), stem=8)
    >>> s = kp.data.nickel_ebsd_small()
    >>> patterns = kpsg.LabelledPatterns.from_signal(s, size=32)
    >>> kpsg.fit(model, None, patterns, epochs=1, show_progressbar=False).epoch
    [0]
    """
    check_training(epochs, steps_per_epoch, library, experimental)
    check_stopping(stopping, validation, optimization)
    if steps_per_epoch is None:
        n = 100 * batch_size if library is not None else len(experimental)
        steps_per_epoch = -(-n // batch_size)

    # Batches, and the graph that makes patterns and logits of them
    dataset = training_set(
        model.space_groups,
        library,
        experimental,
        sampling,
        geometry,
        batch_size=batch_size,
        steps=steps_per_epoch,
        seed=seed,
    )
    trainer = training_graph(
        model,
        library,
        experimental is not None,
        acquisition=acquisition,
        seed=seed,
        **_inputs_of(sampling),
    )
    validate = None if validation is None else _make_validation(model, validation)
    stopper = None if stopping is None else early_stopping(stopping)
    followers = [FollowEpoch(dataset), *filter(None, [validate, stopper]), *callbacks]

    with kept_normalization(model.network, not optimization.train_normalization):
        optimizer = make_optimizer(epochs * steps_per_epoch, optimization)
        compile_graph(trainer, optimizer, optimization.label_smoothing)
        # What an interrupted training has left
        backup, done = None, 0
        if backup_dir is not None:
            backup = Backup.of(trainer, backup_dir, stopper)
            dataset.epoch = done = backup.read(optimizer)
            followers.append(backup)
        record_training(model, library, experimental, dataset.class_shares)
        with network_precision(model.network, optimization.mixed_precision):
            history = trainer.fit(
                dataset,
                epochs=epochs,
                initial_epoch=epochs if backup and backup.has_stopped else done,
                callbacks=followers,
                verbose="auto" if show_progressbar else 0,
            )

    # Averaged weights need statistics of their own
    if backup is not None:
        backup.complete(history)
    if optimization.average is not None and optimization.train_normalization:
        dataset.epoch = len(history.epoch)
        recalibrate(trainer, dataset)
    if backup is not None:
        backup.remove()
    record_steps(model, len(history.epoch) * steps_per_epoch)
    # Or else whoever keeps the history keeps the master patterns
    history.set_model(None)
    return history


def fit_kaufmann2020(
    patterns: LabelledPatterns,
    *,
    n_train: int = 400,
    n_validation: int = 100,
    seed: int = 0,
    **kwargs: Any,
) -> tuple[SpaceGroupModel, LabelledPatterns, keras.callbacks.History]:
    """Train a model from scratch as :cite:t:`kaufmann2020deep` did.

    An Xception network learns from batches of 32 patterns, with Adam, a
    learning rate of 1e-3 and a weight decay of 1e-5, until the
    validation loss has not fallen by 1e-3 for 25 epochs. The kind of
    weight decay is not known to us. Here it is that of :func:`fit`, by
    which weights lose 1e-8 of themselves per step: next to nothing.

    Parameters
    ----------
    patterns
        Patterns of the materials to train on, at the size of the network
        input, which is 246 x 299 px in the paper.
    n_train, n_validation
        How many patterns of every space group to train on and to stop
        by, shared evenly by its materials.
    seed
        Seed of the random numbers. Weights in the beginning have that of
        :func:`keras.utils.set_random_seed`.
    **kwargs
        Other arguments of :func:`fit` than those of ``KAUFMANN2020``.

    Returns
    -------
    model, test, history
        Trained model, all other patterns, and loss and accuracy per
        epoch. The paper also tests with materials not trained on.

    See Also
    --------
    fit, kikuchipy_spacegroup.models.xception

    Examples
    --------
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kpsg.io.load_aztec_grain_list("list.txt")  # doctest: +SKIP
    >>> known = kpsg.LabelledPatterns.from_signal(s, size=299)  # doctest: +SKIP
    >>> model, test, history = fit_kaufmann2020(known)  # doctest: +SKIP
    """
    training, validation, test = patterns.split(
        n_train, n_validation, share_materials=True, rest=True, seed=seed
    )
    groups = np.unique(patterns.space_groups)
    size = patterns.patterns.shape[-1]
    model = SpaceGroupModel.create(groups, size=size, network="xception")
    arguments = {"experimental": training, "validation": validation, "seed": seed}
    history = fit(model, **arguments | dict(KAUFMANN2020) | kwargs)
    return model, test, history


def _inputs_of(sampling: Sampling) -> dict[str, bool]:
    """Return which inputs beside the common ones simulated patterns need."""
    return {
        "blend": sampling.blend_share > 0,
        "strain": sampling.strain_scale > 0,
        "centers": max(sampling.center_error, sampling.unknown_center_share) > 0,
    }


def training_graph(
    model: SpaceGroupModel,
    library: MasterPatternLibrary | None,
    experimental: bool = False,
    *,
    acquisition: Acquisition | None = None,
    blend: bool = False,
    strain: bool = False,
    centers: bool = False,
    seed: int = 0,
) -> keras.Model:
    """Return the Keras model from batches of a dataset to logits.

    Parameters
    ----------
    model
        Model whose preprocessing and network are used.
    library
        Master patterns to simulate patterns from, if any.
    experimental
        Whether there is an input ``"patterns"`` of experimental
        patterns, which follow the simulated ones in the output.
    acquisition
        Ranges of what the camera does to simulated patterns.
    blend
        Whether there are inputs for master patterns to blend with.
    strain
        Whether there is an input for strains.
    centers
        Whether there is an input for projection centers as they are known.
        If not, the right ones are used.
    seed
        Seed of the random numbers.

    Returns
    -------
    graph
        Model of the input described in
        :meth:`kikuchipy_spacegroup.simulation.ProjectPatterns.call`. If
        the network uses the projection center, it gets that of simulated
        patterns, and NaN of experimental ones.
        Its layers ``"project"``, ``"camera"`` and ``"prepare_patterns"``
        make the patterns.

    Raises
    ------
    ValueError
        If there is an input for projection centers, and the model does not
        use them.

    See Also
    --------
    SimulatedDataset, recalibrate

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(
    ...     projection="lambert", hemisphere="both"
    ... )
    >>> library = kpsg.MasterPatternLibrary.from_signals([mp], ["Ni"], half_width=20)
    >>> model = kpsg.SpaceGroupModel.create([225, 229], size=32, filters=(8,), stem=8)
    >>> graph = kpsg.training.training_graph(model, library)
    >>> graph.output_shape
    (None, 2)
    """
    if centers and not model.uses_projection_center:
        raise ValueError(
            "center_error and unknown_center_share are for models that use the "
            "projection center, and this one does not"
        )
    size = model.size
    prepare, network = Borrowed(model.prepare), Borrowed(model.network)
    inputs, prepared = {}, []
    if library is not None:
        inputs = pattern_inputs(blend=blend, strain=strain, centers=centers)
        camera = SimulateCamera(acquisition, size=size, seed=seed, name="camera")
        x = simulate_patterns(library, inputs, size, camera)
        x = keras.layers.Reshape((size, size, 1), name="channel")(x)
        prepared.append(prepare(x))
    if experimental:
        inputs["patterns"] = keras.Input((None, None), name="patterns")
        prepared.append(prepare(keras.ops.expand_dims(inputs["patterns"], -1)))
    x = prepared[0]
    if len(prepared) == 2:
        x = keras.ops.concatenate(prepared, axis=0)
    if model.uses_projection_center:
        x = network_input(model.network, x, _join_centers(inputs, prepared))
    return keras.Model(inputs, network(x), name="trainer")


def _join_centers(inputs: dict[str, Any], prepared: list) -> Any:
    """Return projection centers (n, 3): of simulated patterns, then unknown ones."""
    centers = []
    if "geometry" in inputs:
        # Simulated patterns are square
        right = inputs["geometry"][:, :3]
        centers.append(inputs.get("projection_centers", right))
    if "patterns" in inputs:
        centers.append(keras.ops.full_like(prepared[-1][:, 0, :3, 0], np.nan))
    return keras.ops.concatenate(centers, axis=0) if centers[1:] else centers[0]


def recalibrate(
    graph: keras.Model, dataset: keras.utils.PyDataset, *, steps: int = 200
) -> None:
    """Bring batch normalization in line with averaged weights.

    Parameters
    ----------
    graph
        Model to change in place.
    dataset
        Batches of input.
    steps
        Number of batches to go through.

    See Also
    --------
    fit

    Examples
    --------
    >>> import numpy as np
    >>> import kikuchipy_spacegroup as kpsg
    >>> library = kpsg.MasterPatternLibrary(
    ...     np.ones((2, 9, 9), dtype="float16"),
    ...     phase_index=[0, 1],
    ...     upper=[0, 1],
    ...     lower=[0, 1],
    ...     energies=[20, 20],
    ...     phase_names=["Ni", "Fe"],
    ...     space_groups=[225, 229],
    ... )
    >>> model = kpsg.SpaceGroupModel.create([225, 229], size=32, filters=(8,), stem=8)
    >>> graph = kpsg.training.training_graph(model, library)
    >>> dataset = kpsg.training.SimulatedDataset(library, [225, 229], batch_size=8)
    >>> kpsg.training.recalibrate(graph, dataset, steps=2)
    """
    # A step of length zero runs compiled, unlike calls of the model
    compile_graph(graph, keras.optimizers.SGD(0.0))
    graph.fit(dataset, steps_per_epoch=min(steps, len(dataset)), verbose=0)


def _make_validation(model: SpaceGroupModel, patterns: LabelledPatterns) -> Validate:
    """Return the callback that looks at patterns not trained on."""
    labels = class_indices(patterns, model.space_groups)
    targets = np.eye(len(model.space_groups), dtype="float32")[labels]
    evaluator = training_graph(model, None, True)
    compile_graph(evaluator, "sgd")
    return Validate(evaluator, patterns.patterns.astype("float32"), targets)

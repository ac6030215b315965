# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adapt a model to a scan without labels.

Both functions return a new model and leave the given one as it is. They
do not know whether they help: compare the maps of both models. The
temperature and the thresholds of the new model are those of the given
one, and were not measured anew. Its prior is that of the given one after
:func:`adapt_normalization`, and what space groups had for shares in the
batches after :func:`self_train`, the patterns of the scan included.

What they bring the default model is in
``recipes/default_model/results/adaptation.csv``, from simulated scans
of materials never trained on by four cameras, one of them unlike those
in training, and from real scans of one phase. With self-training, 1 to
5 % more of the patterns of twelve materials are right, and 2 to 6 % more
in other scans by the same cameras. Scans of one phase gain 4 to 21 %,
but FeAl, whose disordered form is another space group, loses 8 %. Real
ones stay as right as they were. Statistics of the first layers bring
nothing to speak of, and those of all layers do harm to scans of one
phase. So does maximum classifier discrepancy, see ``discrepancy.py``
there.
"""

from copy import deepcopy
from dataclasses import replace
import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup._keras import keras
from kikuchipy_spacegroup.patterns import LabelledPatterns
from kikuchipy_spacegroup.patterns._projection_centers import (
    refuse_projection_centers,
)
from kikuchipy_spacegroup.patterns._scan_sample import FEWEST, sample_of_scan
from kikuchipy_spacegroup.training._fit import fit
from kikuchipy_spacegroup.training._matching import match_acquisition
from kikuchipy_spacegroup.training._options import Optimization, Sampling

if TYPE_CHECKING:
    from kikuchipy.signals import EBSD

    from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
    from kikuchipy_spacegroup.models import SpaceGroupModel
    from kikuchipy_spacegroup.simulation import Acquisition

_logger = logging.getLogger(__name__)


# How models are trained further on what they are sure of
SELF_TRAINING = Optimization(
    learning_rate=3e-4, average=0.99, train_normalization=False
)


def adapt_normalization(
    model: "SpaceGroupModel",
    signal: "EBSD",
    *,
    share: float = 0.3,
    n_layers: int | None = 3,
    n_patterns: int = 1000,
    navigation_mask: np.ndarray | None = None,
    signal_mask: np.ndarray | None = None,
    static_background: np.ndarray | str | None = "auto",
    seed: int = 0,
) -> "SpaceGroupModel":
    """Mix batch normalization statistics with those of a scan.

    Parameters
    ----------
    model
        Trained model.
    signal
        Scan without labels, which may be lazy.
    share
        Share of the scan's statistics, between 0 (the model as it is)
        and 1.
    n_layers
        How many batch normalization layers to change, from the first one
        on. If None, all are.
    n_patterns
        Number of patterns of the scan to use, at random.
    navigation_mask, signal_mask, static_background
        See :func:`~kikuchipy_spacegroup.classification.classify_space_group`.
    seed
        Seed of the random numbers.

    Returns
    -------
    adapted
        New model.

    Raises
    ------
    TypeError
        If the signal is of another type.
    ValueError
        If a number or mask does not fit, or the scan has fewer than 16
        patterns that can be classified.
    NotImplementedError
        If the model uses the projection center.

    See Also
    --------
    self_train
    kikuchipy_spacegroup.training.fit

    Notes
    -----
    The mean and variance of every layer's input are mixed
    :cite:`schneider2020improving`, layer by layer, so that later layers
    see what earlier ones have become. The statistics of a scan of a
    single phase in few orientations are those of the phase as much as
    of the camera, and the more so the later the layer. To take these
    away does harm, so only the first layers are changed, which see
    noise and blur.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import numpy as np
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> s = kp.signals.EBSD(np.tile(s.data, (2, 1, 1, 1)))  # A scan of 18 patterns
    >>> model = kpsg.SpaceGroupModel.create([225, 229], size=32, filters=(8,), stem=8)
    >>> adapted = kpsg.training.adapt_normalization(model, s, share=0.2)
    >>> adapted.metadata["adapted"]
    'normalization, share 0.2 in 3 layers'
    """
    refuse_projection_centers(model, "Adaptation to a scan")
    if not 0 <= share <= 1:
        raise ValueError(f"share must be from 0 to 1, not {share}")
    if n_layers is not None and n_layers < 1:
        raise ValueError(f"n_layers must be at least 1 or None, not {n_layers}")
    patterns = sample_of_scan(
        signal,
        n_patterns,
        model.size,
        navigation_mask,
        signal_mask,
        static_background,
        seed,
    )
    adapted = model.copy()
    network = adapted.network
    prepared = _apply_in_batches(adapted.prepare, patterns[..., None].astype("float32"))
    layers = [
        i for i in network.layers if isinstance(i, keras.layers.BatchNormalization)
    ]
    for layer in layers[:n_layers]:
        before = keras.Model(network.input, layer.input)
        values = _apply_in_batches(before, prepared)
        axes = tuple(range(values.ndim - 1))
        for variable, scan_statistic in (
            (layer.moving_mean, values.mean(axis=axes, dtype="float64")),
            (layer.moving_variance, values.var(axis=axes, dtype="float64")),
        ):
            statistic = keras.ops.convert_to_numpy(variable)
            variable.assign((1 - share) * statistic + share * scan_statistic)
    adapted.metadata["adapted"] = (
        f"normalization, share {share} in {len(layers[:n_layers])} layers"
    )
    return adapted


def self_train(
    model: "SpaceGroupModel",
    library: "MasterPatternLibrary",
    signal: "EBSD",
    *,
    acquisition: "Acquisition | None" = None,
    confidence: float = 0.6,
    least_sure: float = 0.35,
    rounds: int = 1,
    n_patterns: int = 4000,
    share: float = 0.5,
    steps: int = 300,
    sampling: Sampling = Sampling(),
    optimization: Optimization = SELF_TRAINING,
    navigation_mask: np.ndarray | None = None,
    signal_mask: np.ndarray | None = None,
    static_background: np.ndarray | str | None = "auto",
    seed: int = 0,
    show_progressbar: bool = True,
    **kwargs: Any,
) -> "SpaceGroupModel":
    """Train a model further on a scan by its own pseudo-labels.

    Simulated patterns with true labels are made by a camera like that
    of the scan. Beside these, the patterns of the scan which the model
    is sure of, seen as they are and mirrored, get its label.

    Parameters
    ----------
    model
        Trained model.
    library
        Master patterns the model was trained on, of all of its space
        groups.
    signal
        Scan without labels, which may be lazy.
    acquisition
        What the camera of the scan does. If not given, it is found by
        :func:`~kikuchipy_spacegroup.training.match_acquisition`.
    confidence
        Lowest probability, averaged over both images, of a pattern to
        train on.
    least_sure
        Smallest share of patterns with that probability to train on
        any. A model that is sure of less is often wrong of these, too.
    rounds
        Number of times to choose patterns and to train.
    n_patterns
        Number of patterns of the scan to choose from, at random.
    share
        Share of patterns of the scan in a batch.
    steps
        Number of batches per round.
    sampling
        What patterns batches are made of. Its *experimental_share* and
        *balanced* are without effect.
    optimization
        Learning rate and so on of every round. By default, batch
        normalization stays as it is, and weights are averaged.
    navigation_mask, signal_mask, static_background
        See :func:`~kikuchipy_spacegroup.classification.classify_space_group`.
    seed
        Seed of the random numbers.
    show_progressbar
        Whether to show a progress bar.
    **kwargs
        Keyword arguments passed on to
        :func:`kikuchipy_spacegroup.training.fit`, such as the
        ``geometry`` of the detector.

    Returns
    -------
    adapted
        New model. If the model is sure of a smaller share or of fewer
        than 16 patterns, it learns the camera alone, and this is
        logged.

    Raises
    ------
    TypeError
        If the signal is of another type.
    ValueError
        If a number or mask does not fit, the scan has fewer than 16
        patterns that can be classified, or the library lacks one of the
        model's space groups.
    NotImplementedError
        If the model uses the projection center.

    See Also
    --------
    adapt_normalization
    kikuchipy_spacegroup.training.match_acquisition
    kikuchipy_spacegroup.training.fit

    Notes
    -----
    This is self-training on pseudo-labels with a confidence threshold,
    as in FixMatch :cite:`sohn2020fixmatch`. Patterns of the scan are
    drawn as often as they occur, and not balanced by class: in a scan
    of one phase, the few which got a wrong label stay few.

    Batch normalization stays as it is: when it was trained too, the
    model forgot more than it learned. Weights are averaged.

    Examples
    --------
    A new model is sure of nothing, and learns the camera alone

    >>> import kikuchipy as kp
    >>> import numpy as np
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> s = kp.signals.EBSD(np.tile(s.data, (2, 1, 1, 1)))  # A scan of 18 patterns
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(
    ...     projection="lambert", hemisphere="both"
    ... )
    >>> library = kpsg.MasterPatternLibrary.from_signals(
    ...     [mp, mp], ["Ni", "As if it were Fe"], [225, 229], half_width=20, check=False
    ... )
    >>> model = kpsg.SpaceGroupModel.create([225, 229], size=32, filters=(8,), stem=8)
    >>> adapted = kpsg.training.self_train(
    ...     model,
    ...     library,
    ...     s,
    ...     acquisition=kpsg.simulation.estimate_acquisition(s),
    ...     confidence=0.99,
    ...     steps=2,
    ...     show_progressbar=False,
    ... )
    >>> adapted.metadata["adapted"]
    'camera and self-training, 1 rounds'
    """
    refuse_projection_centers(model, "Adaptation to a scan")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, not {confidence}")
    if not 0 <= least_sure <= 1:
        raise ValueError(f"least_sure must be from 0 to 1, not {least_sure}")
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, not {rounds}")
    masks = {
        "navigation_mask": navigation_mask,
        "signal_mask": signal_mask,
        "static_background": static_background,
    }
    patterns = sample_of_scan(signal, n_patterns, model.size, *masks.values(), seed)
    if acquisition is None:
        geometry = kwargs.get("geometry")
        acquisition = match_acquisition(
            model, library, signal, geometry=geometry, seed=seed, **masks
        )
    adapted = model.copy()
    calibration = model.temperature, model.min_probability
    for i in range(rounds):
        chosen = _label_sure_patterns(adapted, patterns, confidence, least_sure)
        # As it is not a training after which to calibrate
        adapted.temperature, adapted.conformal_thresholds = 1.0, {}
        if chosen is not None:
            sampling = replace(sampling, experimental_share=share, balanced=False)
        fit(
            adapted,
            library,
            chosen,
            sampling=sampling,
            optimization=optimization,
            acquisition=acquisition,
            seed=seed + i,
            show_progressbar=show_progressbar,
            **{"epochs": 1, "steps_per_epoch": steps} | kwargs,
        )
        # So that all rounds choose alike
        adapted.temperature, adapted.min_probability = calibration
    adapted.conformal_thresholds = deepcopy(model.conformal_thresholds)
    adapted.metadata["adapted"] = f"camera and self-training, {rounds} rounds"
    return adapted


def _label_sure_patterns(
    model: "SpaceGroupModel", patterns: np.ndarray, confidence: float, least: float
) -> LabelledPatterns | None:
    """Return patterns with pseudo-labels the model is sure of, or None if few."""
    probabilities = _predict_views(model, patterns)
    sure = probabilities.max(axis=1) >= confidence
    if sure.sum() < max(FEWEST, least * sure.size):
        _logger.warning(
            "The model is sure of %i of %i patterns only, which is too few to train on. "
            "It learns the camera alone",
            sure.sum(),
            sure.size,
        )
        return None
    numbers = np.array(model.space_groups)[probabilities[sure].argmax(axis=1)]
    names = np.full(len(numbers), "scan", dtype=object)
    chosen = LabelledPatterns(patterns[sure], numbers, names)
    _logger.info("Sure of %s", chosen)
    return chosen


def _predict_views(model: "SpaceGroupModel", patterns: np.ndarray) -> np.ndarray:
    """Return probabilities averaged over an image and its mirror image."""
    views = [patterns]
    if not sg.has_enantiomorphic_pair(model.space_groups):
        views.append(patterns[:, :, ::-1])
    return np.mean([model.predict_proba(view) for view in views], axis=0)


def _apply_in_batches(layer: Any, inputs: np.ndarray, size: int = 250) -> np.ndarray:
    """Return the output of a layer or model in inference."""
    outputs = [
        keras.ops.convert_to_numpy(layer(inputs[i : i + size], training=False))
        for i in range(0, len(inputs), size)
    ]
    return np.concatenate(outputs)

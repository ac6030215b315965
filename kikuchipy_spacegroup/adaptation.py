# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adapt a model to a scan without labels.

Both functions return a new model and leave the given one as it is. They
do not know whether they help: compare the maps of both models. The
temperature and the thresholds of the new model are those of the given
one, and were not measured anew.

What they bring the default model is nothing to speak of, see
``recipes/default_model/results/adaptation.csv``: with the statistics of
the first three layers, between 2.8 % less and 1.2 % more are right in
seven simulated scans of a camera unlike those in training, and as many
as before of real ones. Statistics of all layers do harm to scans of one
phase. Self-training did not help the models before this one, and
maximum classifier discrepancy did harm, see ``discrepancy.py`` there.
"""

from copy import deepcopy
import logging
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup._checks import check_mask, check_signal
from kikuchipy_spacegroup.experimental import LabelledPatterns, read_patterns
from kikuchipy_spacegroup.training import fit

if TYPE_CHECKING:
    from kikuchipy.signals import EBSD

    from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
    from kikuchipy_spacegroup.model import SpaceGroupModel

_logger = logging.getLogger(__name__)
# Fewer patterns have no statistics, and too few to train on
_FEWEST = 16


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
    """Mix batch normalisation statistics with those of a scan.

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
        How many batch normalisation layers to change, from the first one
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
    >>> adapted = kpsg.adapt_normalization(model, s, share=0.2)
    >>> adapted.metadata["adapted"]
    'normalisation, share 0.2 in 3 layers'
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be from 0 to 1, not {share}")
    if n_layers is not None and n_layers < 1:
        raise ValueError(f"n_layers must be at least 1 or None, not {n_layers}")
    patterns = _sample(
        model, signal, n_patterns, navigation_mask, signal_mask, static_background, seed
    )
    adapted = model.copy()
    network = adapted.network
    prepared = _in_batches(adapted.prepare, patterns[..., None].astype("float32"))
    layers = [
        i for i in network.layers if isinstance(i, keras.layers.BatchNormalization)
    ]
    for layer in layers[:n_layers]:
        before = keras.Model(network.input, layer.input)
        values = _in_batches(before, prepared)
        axes = tuple(range(values.ndim - 1))
        for variable, new in (
            (layer.moving_mean, values.mean(axis=axes, dtype="float64")),
            (layer.moving_variance, values.var(axis=axes, dtype="float64")),
        ):
            old = keras.ops.convert_to_numpy(variable)
            variable.assign((1 - share) * old + share * new)
    adapted.metadata["adapted"] = (
        f"normalisation, share {share} in {len(layers[:n_layers])} layers"
    )
    return adapted


def self_train(
    model: "SpaceGroupModel",
    library: "MasterPatternLibrary",
    signal: "EBSD",
    *,
    confidence: float = 0.7,
    rounds: int = 2,
    n_patterns: int = 4000,
    share: float = 0.3,
    steps: int = 200,
    learning_rate: float = 2e-4,
    navigation_mask: np.ndarray | None = None,
    signal_mask: np.ndarray | None = None,
    static_background: np.ndarray | str | None = "auto",
    seed: int = 0,
    show_progressbar: bool = True,
    **kwargs: Any,
) -> "SpaceGroupModel":
    """Train a model further on what it is sure of in a scan.

    In every round, the patterns which the model is sure of in all
    orientations of the image (turned by multiples of 90 degrees and
    mirrored) get its label, and it is trained on them beside simulated
    patterns with true labels, which keep it from forgetting.

    Parameters
    ----------
    model
        Trained model.
    library
        Master patterns the model was trained on, of all of its space
        groups.
    signal
        Scan without labels, which may be lazy.
    confidence
        Lowest probability, averaged over the orientations of the image,
        of a pattern to train on.
    rounds
        Number of times to choose patterns and to train.
    n_patterns
        Number of patterns of the scan to choose from, at random.
    share
        Share of patterns of the scan in a batch.
    steps
        Number of batches per round.
    learning_rate
        Learning rate in the beginning of a round.
    navigation_mask, signal_mask, static_background
        See :func:`~kikuchipy_spacegroup.classification.classify_space_group`.
    seed
        Seed of the random numbers.
    show_progressbar
        Whether to show a progress bar.
    **kwargs
        Keyword arguments passed on to
        :func:`kikuchipy_spacegroup.training.fit`.

    Returns
    -------
    adapted
        New model. If the model is sure of fewer than 16 patterns, it is
        a copy of the model, and this is logged.

    Raises
    ------
    TypeError
        If the signal is of another type.
    ValueError
        If a number or mask does not fit, or the scan has fewer than 16
        patterns that can be classified.

    See Also
    --------
    adapt_normalization
    kikuchipy_spacegroup.training.fit

    Notes
    -----
    This is self-training on pseudo-labels with a confidence threshold,
    as in FixMatch :cite:`sohn2020fixmatch`. Patterns of the scan are
    drawn as often as they occur, and not balanced by class: in a scan
    of one phase, the few which got a wrong label stay few.

    Examples
    --------
    A new model is sure of nothing, so that it stays as it is

    >>> import kikuchipy as kp
    >>> import numpy as np
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> s = kp.signals.EBSD(np.tile(s.data, (2, 1, 1, 1)))  # A scan of 18 patterns
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(
    ...     projection="lambert", hemisphere="both"
    ... )
    >>> library = kpsg.MasterPatternLibrary.from_signals([mp], half_width=20)
    >>> model = kpsg.SpaceGroupModel.create([225, 229], size=32, filters=(8,), stem=8)
    >>> adapted = kpsg.self_train(
    ...     model, library, s, confidence=0.99, show_progressbar=False
    ... )
    >>> adapted.fingerprint() == model.fingerprint()
    True
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, not {confidence}")
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, not {rounds}")
    patterns = _sample(
        model, signal, n_patterns, navigation_mask, signal_mask, static_background, seed
    )
    adapted = model.copy()
    calibration = model.temperature, model.min_probability
    for i in range(rounds):
        probabilities = _probabilities_of_views(adapted, patterns)
        sure = probabilities.max(axis=1) >= confidence
        if sure.sum() < _FEWEST:
            _logger.warning(
                "The model is sure of %i patterns only, which is too few to train on",
                sure.sum(),
            )
            break
        numbers = np.array(model.space_groups)[probabilities[sure].argmax(axis=1)]
        chosen = LabelledPatterns(
            patterns[sure], numbers, np.full(len(numbers), "scan", dtype=object)
        )
        _logger.info("Round %i: %s", i + 1, chosen)
        # As it is not a training after which to calibrate
        adapted.temperature, adapted.conformal_thresholds = 1.0, {}
        fit(
            adapted,
            library,
            chosen,
            epochs=1,
            steps_per_epoch=steps,
            experimental_share=share,
            balanced=False,
            learning_rate=learning_rate,
            seed=seed + i,
            show_progressbar=show_progressbar,
            **kwargs,
        )
        # So that all rounds choose alike
        adapted.temperature, adapted.min_probability = calibration
    adapted.conformal_thresholds = deepcopy(model.conformal_thresholds)
    adapted.metadata["adapted"] = f"self-training, {rounds} rounds"
    return adapted


def _sample(
    model, signal, n, navigation_mask, signal_mask, static_background, seed
) -> np.ndarray:
    """Return random patterns of a scan at the size of the model."""
    nav_shape, sig_shape = check_signal(signal)
    navigation_mask = check_mask(navigation_mask, nav_shape, "navigation_mask")
    signal_mask = check_mask(signal_mask, sig_shape, "signal_mask")
    if n < _FEWEST:
        raise ValueError(f"n_patterns must be at least {_FEWEST}, not {n}")
    candidates = np.arange(int(np.prod(nav_shape)))
    if navigation_mask is not None:
        candidates = candidates[~navigation_mask.ravel()]
    rng = np.random.default_rng(seed)
    picked = rng.choice(candidates, min(n, candidates.size), replace=False)
    mask = np.ones(int(np.prod(nav_shape)), dtype=bool)
    mask[picked] = False
    patterns, _ = read_patterns(
        signal, mask.reshape(nav_shape), signal_mask, static_background, model.size
    )
    if len(patterns) < _FEWEST:
        raise ValueError(
            f"{len(patterns)} patterns can be classified, which is less than {_FEWEST}"
        )
    return patterns


def _probabilities_of_views(
    model: "SpaceGroupModel", patterns: np.ndarray
) -> np.ndarray:
    """Return probabilities averaged over the orientations of images."""
    partners = {sg.get_space_group(i).enantiomorph for i in model.space_groups}
    views = [patterns]
    if not partners & set(model.space_groups):
        views.append(patterns[:, :, ::-1])
    return np.mean(
        [
            model.predict_proba(np.rot90(view, k, axes=(1, 2)))
            for view in views
            for k in range(4)
        ],
        axis=0,
    )


def _in_batches(layer: Any, x: np.ndarray, size: int = 250) -> np.ndarray:
    """Return the output of a layer or model in inference."""
    parts = [
        keras.ops.convert_to_numpy(layer(x[i : i + size], training=False))
        for i in range(0, len(x), size)
    ]
    return np.concatenate(parts)

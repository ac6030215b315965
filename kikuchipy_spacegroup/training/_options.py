# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of training, in groups."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sampling:
    """Options of sampling: what patterns batches are made of.

    Parameters
    ----------
    experimental_share
        Share of experimental patterns in a batch if there is a library
        as well. If not given, half, or less if space groups of few
        scans would be too frequent otherwise, see
        :func:`~kikuchipy_spacegroup.training.balanced_share`.
    balanced, augment
        How to draw and to vary experimental patterns, see
        :class:`~kikuchipy_spacegroup.training.ExperimentalDataset`. If
        balanced, simulated ones are drawn so that batches are, see
        :class:`~kikuchipy_spacegroup.training.MixedDataset`.
    outlier_share, phase_weights, space_group_weights, blend_share, strain_scale
        Share of patterns of outliers, how often phases and space groups
        are simulated, share of blended master patterns, and strains, see
        :class:`~kikuchipy_spacegroup.training.SimulatedDataset`.
    center_error, unknown_center_share
        How well projection centers are known, see
        :class:`~kikuchipy_spacegroup.training.SimulatedDataset`.

    Raises
    ------
    ValueError
        If *experimental_share* is not between 0 and 1.

    See Also
    --------
    kikuchipy_spacegroup.training.fit

    Examples
    --------
    >>> from kikuchipy_spacegroup.training import Sampling
    >>> Sampling(outlier_share=0, phase_weights={"Ni": 3}).balanced
    True
    """

    experimental_share: float | None = None
    balanced: bool = True
    augment: bool = True
    outlier_share: float = 0.1
    phase_weights: Mapping[str, float] | None = None
    space_group_weights: Mapping[int, float] | None = None
    blend_share: float = 0.0
    strain_scale: float = 0.0
    center_error: float = 0.0
    unknown_center_share: float = 0.0

    def __post_init__(self) -> None:
        share = self.experimental_share
        if share is not None and not 0 < share < 1:
            raise ValueError(f"experimental_share must be between 0 and 1, not {share}")


@dataclass(frozen=True)
class Optimization:
    """Options of optimization: how weights are changed.

    Parameters
    ----------
    learning_rate
        Learning rate of AdamW :cite:`loshchilov2019decoupled`.
    decay
        Whether the learning rate falls to zero along a cosine, after a
        short warm-up, or stays as it is.
    weight_decay
        Weight decay, which Keras multiplies by the learning rate.
    label_smoothing
        Share of every target spread evenly over all classes.
    average
        Momentum of the running average of the weights, which replaces
        the weights in the end. If None, weights are not averaged.
    train_normalization
        Whether batch normalization is trained. If not, it stays as it
        is, which a trained model forgets less by.
    mixed_precision
        Whether the network computes in bfloat16 while it is trained,
        which is faster on GPUs that have it. Weights stay in float32.

    See Also
    --------
    kikuchipy_spacegroup.training.fit

    Examples
    --------
    >>> from kikuchipy_spacegroup.training import Optimization
    >>> Optimization(learning_rate=1e-3, average=None).decay
    True
    """

    learning_rate: float = 2e-3
    decay: bool = True
    weight_decay: float = 1e-2
    label_smoothing: float = 0.0
    average: float | None = 0.999
    train_normalization: bool = True
    mixed_precision: bool = False


@dataclass(frozen=True)
class EarlyStopping:
    """Options of early stopping, by the validation loss.

    The best weights are kept then.

    Parameters
    ----------
    patience
        Number of epochs after which training stops if the validation
        loss has not become better by *min_delta*.
    min_delta
        Smallest difference that counts as better.

    See Also
    --------
    kikuchipy_spacegroup.training.fit

    Examples
    --------
    >>> from kikuchipy_spacegroup.training import EarlyStopping
    >>> EarlyStopping(patience=25).min_delta
    0.0
    """

    patience: int
    min_delta: float = 0.0


def check_training(
    epochs: int,
    steps_per_epoch: int | None,
    library: Any,
    experimental: Any,
) -> None:
    """Raise if there is nothing to train on or a number is out of range."""
    if library is None and experimental is None:
        raise ValueError("Give a `library`, `experimental` patterns, or both")
    for name, value in [("epochs", epochs), ("steps_per_epoch", steps_per_epoch)]:
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")


def check_stopping(
    stopping: EarlyStopping | None, validation: Any, optimization: Optimization
) -> None:
    """Raise if training cannot stop early as asked."""
    averaged = optimization.average is not None
    if stopping is not None and (validation is None or averaged):
        raise ValueError(
            "`stopping` needs `validation` patterns, and `Optimization(average=None)` "
            "since the best weights are kept instead"
        )

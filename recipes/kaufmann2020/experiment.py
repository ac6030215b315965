# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Train and test one of the six experiments."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
import json
import logging
import os
from pathlib import Path

import keras
from materials import EXPERIMENTS, MATERIALS, SPACE_GROUPS
import numpy as np
from orix.quaternion import Rotation
import pandas as pd
from patterns import load_patterns

from kikuchipy_spacegroup.evaluation import pattern_table
from kikuchipy_spacegroup.models import SpaceGroupModel, load_model
from kikuchipy_spacegroup.patterns import LabelledPatterns
from kikuchipy_spacegroup.training import KAUFMANN2020, fit

_logger = logging.getLogger("kaufmann2020")
# Training goes on from a trained network in smaller steps
PRETRAINED = 2e-4


@dataclass(frozen=True)
class Settings:
    """How much is computed.

    Parameters
    ----------
    size
        Side length of patterns in pixels.
    n_patterns
        Number of patterns per material.
    n_training, n_validation
        Number of patterns per space group to train on and to stop by.
    n_test
        Largest number of test patterns per material. If None, all that
        are neither trained on nor validated with.
    epochs
        Largest number of epochs per network.
    half_width
        Half the width of master patterns in pixels.
    decay
        Whether the learning rate falls to zero along a cosine, so that
        few epochs suffice, or is constant as in the paper.
    momentum
        Momentum of the statistics of batch normalisation. Keras' 0.99
        takes a thousand steps to forget where it started.
    n_grains
        Number of grains the patterns of a material are of, or None if
        every pattern is of another.
    """

    size: int
    n_patterns: int
    n_training: int
    n_validation: int
    n_test: int | None
    epochs: dict[str, int]
    half_width: int
    decay: bool
    momentum: float
    n_grains: int | None = None


_PAPER = KAUFMANN2020["epochs"]
FULL = Settings(
    size=299,
    n_patterns=2500,
    n_training=400,
    n_validation=100,
    n_test=None,
    epochs={"residual": _PAPER, "xception": _PAPER, "pretrained": _PAPER},
    half_width=200,
    decay=False,
    momentum=0.99,
)
REDUCED = replace(
    FULL,
    size=72,
    n_patterns=700,
    n_test=200,
    epochs={"residual": 12, "xception": 6, "pretrained": 8},
    half_width=100,
    decay=True,
    momentum=0.95,
)
# To see that everything runs
TINY = replace(
    REDUCED,
    n_patterns=20,
    n_training=8,
    n_validation=5,
    n_test=6,
    epochs={"residual": 1, "xception": 1, "pretrained": 1},
)


def shares(total: int, names: Sequence[str]) -> dict[str, int]:
    """Return how many patterns of each material make a total.

    Parameters
    ----------
    total
        Number of patterns of a space group.
    names
        Materials of the space group.

    Returns
    -------
    numbers
        Number of patterns per material, which differ by one at most.

    Examples
    --------
    >>> shares(400, ["Fe", "Ta", "W"])
    {'Fe': 134, 'Ta': 133, 'W': 133}
    """
    each, rest = divmod(total, len(names))
    return {name: each + (i < rest) for i, name in enumerate(names)}


def split(number: int, settings: Settings) -> dict[str, dict[str, slice]]:
    """Return which patterns are trained on, validated with and tested.

    Patterns are in random order, so that ranges are random choices.

    Parameters
    ----------
    number
        Number of the experiment.
    settings
        How much is computed.

    Returns
    -------
    parts
        Slices ``"training"``, ``"validation"`` and ``"test"`` per
        material. They do not overlap.

    Examples
    --------
    >>> parts = split(6, REDUCED)["Fe"]
    >>> parts["training"], parts["validation"], parts["test"]
    (slice(0, 134, None), slice(134, 168, None), slice(500, 700, None))
    """
    n = settings.n_patterns
    parts = {}
    for group in SPACE_GROUPS:
        names = [m for m in EXPERIMENTS[number].training if _group(m) == group]
        training = shares(settings.n_training, names)
        validation = shares(settings.n_validation, names)
        for name in (m for m in MATERIALS if _group(m) == group):
            i = training.get(name, 0)
            j = i + validation.get(name, 0)
            start = j if settings.n_test is None else n - settings.n_test
            if start < j or start >= n:
                raise ValueError(f"{n} patterns of {name} are too few")
            parts[name] = {
                "training": slice(0, i),
                "validation": slice(i, j),
                "test": slice(start, n),
            }
    return parts


def _group(material: str) -> int:
    return MATERIALS[material].space_group


def run(
    number: int,
    network: str,
    patterns: Path,
    output: Path,
    settings: Settings,
    pretrained: Path | None = None,
) -> None:
    """Train a network and write what it says of every test pattern.

    Parameters
    ----------
    number
        Number of the experiment.
    network
        ``"xception"``, ``"residual"`` or ``"pretrained"``.
    patterns
        Folder of the patterns of a camera.
    output
        Folder that gets the model, the history of its training and the
        result of every pattern.
    settings
        How much is computed.
    pretrained
        Trained model to go on from with ``"pretrained"``.
    """
    name = f"experiment_{number}"
    path = output / f"{name}.keras"
    if not path.exists():
        # Memory of the last one, and the same random numbers whatever ran before
        keras.utils.clear_session()
        keras.utils.set_random_seed(number)
        model = _new_model(network, settings, pretrained)
        training, validation = _training_patterns(number, patterns, settings)
        _logger.info("%s of %s: %s", name, network, training)
        arguments = dict(KAUFMANN2020) | {"epochs": settings.epochs[network]}
        optimization = replace(arguments["optimization"], decay=settings.decay)
        if network == "pretrained":
            optimization = replace(optimization, learning_rate=PRETRAINED)
        arguments["optimization"] = optimization
        history = fit(
            model,
            experimental=training,
            validation=validation,
            seed=number,
            backup_dir=output / f"{name}_backup",
            callbacks=[_Log()],
            show_progressbar=False,
            **arguments,
        )
        text = json.dumps(history.history, indent=1)
        (output / f"{name}.json").write_text(text)
        model.metadata["name"] = f"{name} of Kaufmann et al. 2020"
        model.save(path)
    _write(output / f"{name}.csv", _test(load_model(path), number, patterns, settings))


class _Log(keras.callbacks.Callback):
    """Log loss and accuracy after every epoch."""

    def on_epoch_end(self, epoch, logs=None):
        values = ", ".join(f"{k} {v:.3f}" for k, v in logs.items())
        _logger.info("epoch %i: %s", epoch + 1, values)


def _new_model(
    network: str, settings: Settings, pretrained: Path | None
) -> SpaceGroupModel:
    """Return a model to train."""
    if network == "pretrained":
        return with_new_classes(load_model(pretrained), SPACE_GROUPS)
    model = SpaceGroupModel.create(SPACE_GROUPS, size=settings.size, network=network)
    for layer in model.network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = settings.momentum
    return model


def with_new_classes(
    model: SpaceGroupModel, space_groups: Sequence[int]
) -> SpaceGroupModel:
    """Return a model of other space groups with the same weights.

    Parameters
    ----------
    model
        Trained model.
    space_groups
        Space groups of the new model.

    Returns
    -------
    model
        Its last layer has the weights of the space groups the model
        knows, and random weights for the others.

    Examples
    --------
    >>> model = SpaceGroupModel.create([225, 229, 230], size=32, filters=(8,), stem=8)
    >>> new = with_new_classes(model, [221, 230, 225])
    >>> x = np.random.default_rng(1).normal(size=(2, 32, 32, 1)).astype("float32")
    >>> old_logits, logits = (np.array(m.network(x)) for m in (model, new))
    >>> np.allclose(logits[:, [1, 2]], old_logits[:, [2, 0]], atol=1e-6)
    True
    """
    network = model.copy().network
    body = keras.Model(network.input, network.layers[-1].input)
    old = network.layers[-1]
    new = keras.layers.Dense(len(space_groups), dtype="float32", name=old.name)
    new.build(body.output_shape)
    kernel, bias = new.get_weights()
    for i, number in enumerate(space_groups):
        if number in model.space_groups:
            j = model.space_groups.index(number)
            kernel[:, i], bias[i] = (w[..., j] for w in old.get_weights())
    new.set_weights([kernel, bias])
    network = keras.Model(body.input, new(body.output), name=network.name)
    prepare = type(model.prepare).from_config(model.prepare.get_config())
    return SpaceGroupModel(
        network,
        space_groups,
        prepare,
        metadata={"network": model.metadata.get("network", "pretrained")},
    )


def _training_patterns(
    number: int, folder: Path, settings: Settings
) -> tuple[LabelledPatterns, LabelledPatterns]:
    """Return patterns to train on and to stop by."""
    found = {"training": [], "validation": []}
    for name, parts in split(number, settings).items():
        if name not in EXPERIMENTS[number].training:
            continue
        patterns = load_patterns(folder / f"{name}.npz").patterns
        for key, chosen in found.items():
            part = patterns[parts[key]]
            n = len(part)
            labels = np.full(n, _group(name)), np.full(n, name, dtype=object)
            chosen.append(LabelledPatterns(part, *labels))
    return tuple(LabelledPatterns.concatenate(parts) for parts in found.values())


def _test(
    model: SpaceGroupModel, number: int, folder: Path, settings: Settings
) -> pd.DataFrame:
    """Return one row per test pattern."""
    tables = []
    for name, parts in split(number, settings).items():
        data = load_patterns(folder / f"{name}.npz")
        index = np.arange(settings.n_patterns)[parts["test"]]
        table = pattern_table(
            model.predict_proba(data.patterns[index]),
            model.space_groups,
            truth=_group(name),
            material=name,
            trained_on=EXPERIMENTS[number].training,
            rotations=Rotation(data.rotations[index]),
            pattern=index,
            quality=data.quality[index],
            correlation=data.correlation[index],
        )
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _write(path: Path, table: pd.DataFrame) -> None:
    """Write a table so that there is either the whole file or none."""
    part = path.with_suffix(".part")
    # Digits enough that the best class stays the best one
    table.to_csv(part, index=False, float_format="%.9g", lineterminator="\n")
    os.replace(part, path)

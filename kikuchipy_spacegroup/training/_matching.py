# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the camera whose simulated scans look like a scan to a model."""

from dataclasses import replace
import logging
from typing import TYPE_CHECKING

import numpy as np

from kikuchipy_spacegroup._keras import keras, ops
from kikuchipy_spacegroup.patterns._projection_centers import (
    refuse_projection_centers,
)
from kikuchipy_spacegroup.patterns._scan_sample import sample_of_scan
from kikuchipy_spacegroup.simulation import (
    Acquisition,
    Geometry,
    SimulateCamera,
    pattern_inputs,
    simulate_patterns,
)
from kikuchipy_spacegroup.simulation._acquisition import LOGARITHMIC
from kikuchipy_spacegroup.training._dataset import SimulatedDataset
from kikuchipy_spacegroup.training._memory import Borrowed, frees_graphs

if TYPE_CHECKING:
    from kikuchipy.signals import EBSD

    from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
    from kikuchipy_spacegroup.models import SpaceGroupModel

_logger = logging.getLogger(__name__)
# What is found, and from cameras how different
_FOUND = {
    "gamma": (0.5, 2.5),
    "compression": (0.0, 1.2),
    "excess_deficiency": (-1.3, 1.3),
    "resolution": (45.0, 260.0),
    "point_spread": (0.2, 1.6),
    "noise": (0.05, 2.5),
    "blotches": (0.0, 1.0),
}
# Patterns per camera, cameras per batch, and layers whose input is looked at
_PER_CAMERA, _CAMERAS, _N_LAYERS = 32, 8, 7
# Part of the cameras by which to tell how far off what is found is
_JUDGING = 0.15


@frees_graphs
def match_acquisition(
    model: "SpaceGroupModel",
    library: "MasterPatternLibrary",
    signal: "EBSD",
    *,
    n_cameras: int = 1000,
    n_patterns: int = 1000,
    geometry: Geometry | None = None,
    navigation_mask: np.ndarray | None = None,
    signal_mask: np.ndarray | None = None,
    static_background: np.ndarray | str | None = "auto",
    seed: int = 0,
) -> Acquisition:
    """Match the camera of a scan with simulated cameras.

    Parameters
    ----------
    model
        Model whose first layers look at the patterns.
    library
        Master patterns of the model's space groups.
    signal
        Scan, which may be lazy. Its phases need not be known, nor be in
        the library.
    n_cameras
        Number of cameras to simulate, of 32 patterns each.
    n_patterns
        Number of patterns of the scan to use, at random.
    geometry
        Ranges of detector geometries of the simulated cameras.
    navigation_mask, signal_mask, static_background
        See :func:`~kikuchipy_spacegroup.classification.classify_space_group`.
    seed
        Seed of the random numbers.

    Returns
    -------
    acquisition
        Ranges of gamma, compression, excess and deficiency, resolution,
        point spread, noise and blotches: what was found, plus and minus
        the standard deviation by which it is off for simulated cameras.
        The others are as in
        :class:`~kikuchipy_spacegroup.simulation.Acquisition`.

    Raises
    ------
    TypeError
        If the signal is of another type.
    ValueError
        If a number or mask does not fit, the scan has fewer than 16
        patterns that can be classified, the library lacks one of the
        model's space groups, or its network has no batch normalization.
    NotImplementedError
        If the model uses the projection center.

    See Also
    --------
    kikuchipy_spacegroup.simulation.estimate_acquisition :
        From noise in the images alone, without a model or library.
    kikuchipy_spacegroup.training.self_train

    Notes
    -----
    A linear regression with a penalty learns, from simulated cameras,
    what the mean and variance of the input of the first seven batch
    normalizations say about a camera. One half of the cameras see many
    phases, the others one only, so that it learns to look past the
    phases. Noise that the camera has blurred, which
    :func:`~kikuchipy_spacegroup.simulation.estimate_acquisition` takes
    for signal, is found. How well, is logged.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import numpy as np
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> s = kp.signals.EBSD(np.tile(s.data, (2, 1, 1, 1)))  # A scan of 18 patterns
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(
    ...     projection="lambert", hemisphere="both"
    ... )
    >>> library = kpsg.MasterPatternLibrary.from_signals([mp], half_width=20)
    >>> model = kpsg.SpaceGroupModel.create([225], size=32, filters=(8,), stem=8)
    >>> found = kpsg.training.match_acquisition(model, library, s, n_cameras=16)
    >>> 45 <= found.resolution[0] < found.resolution[1] <= 260
    True
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    refuse_projection_centers(model, "Matching of cameras by a network")
    if n_cameras < 16:
        raise ValueError(f"n_cameras must be at least 16, not {n_cameras}")
    patterns = sample_of_scan(
        signal,
        n_patterns,
        model.size,
        navigation_mask,
        signal_mask,
        static_background,
        seed,
    )
    features, settings = _simulate_moments(model, library, n_cameras, geometry, seed)
    scale = settings.mean(axis=0), settings.std(axis=0)
    targets = (settings - scale[0]) / scale[1]
    regression = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 5, 13)))
    n = len(features) - max(round(_JUDGING * len(features)), 1)
    regression.fit(features[:n], targets[:n])
    errors = np.std(regression.predict(features[n:]) - targets[n:], axis=0)
    prediction = regression.predict(_measure_moments(model, patterns)).mean(axis=0)
    ranges = {}
    for i, (name, limits) in enumerate(_FOUND.items()):
        value = scale[0][i] + scale[1][i] * (
            prediction[i] + errors[i] * np.array([-1, 1])
        )
        if name in LOGARITHMIC:
            value = np.exp(value)
        low, high = np.clip(value, *limits).tolist()
        ranges[name] = low, high
    _logger.info("Found by %i cameras: %s", n_cameras, ranges)
    _logger.info(
        "Off by, of all the differences: %s", dict(zip(_FOUND, errors.round(2)))
    )
    return replace(Acquisition(), **ranges)


class _Cameras(SimulateCamera):
    """Cameras which record several patterns each, and say how."""

    def call(self, patterns):
        self._settings = {}
        recorded = super().call(patterns)
        settings = [self._settings[name] for name in _FOUND]
        return recorded, ops.concatenate(settings, axis=1)[..., 0]

    def draw(self, n, name):
        low, high = getattr(self.acquisition, name)
        if name in LOGARITHMIC:
            low, high = np.log(low), np.log(high)
        value = low + (high - low) * self._draw_per_camera(n)
        self._settings.setdefault(name, value[::_PER_CAMERA])
        return ops.exp(value) if name in LOGARITHMIC else value

    def chance(self, n, probability):
        return ops.cast(self._draw_per_camera(n) < probability, "float32")

    def _draw_per_camera(self, n):
        """Return numbers from 0 to 1 of shape (n, 1, 1), the same within a camera."""
        drawn = keras.random.uniform((n // _PER_CAMERA, 1, 1), seed=self.generator)
        return ops.repeat(drawn, _PER_CAMERA, axis=0)


def _cut_to_first_layers(model: "SpaceGroupModel") -> keras.Model:
    """Return a network up to the input of its first batch normalizations."""
    inputs = [
        layer.input
        for layer in model.network.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    if not inputs:
        raise ValueError(
            "The network has no batch normalization, by the input of which cameras are "
            "matched. Use `estimate_acquisition()` instead"
        )
    return keras.Model(model.network.input, inputs[:_N_LAYERS])


def _calculate_moments(values: list, n: int):
    """Return mean and log variance of channels per n patterns, (n_cameras, m)."""
    moments = []
    for value in values:
        value = ops.reshape(value, (-1, n, *value.shape[1:]))
        mean = ops.mean(value, axis=(1, 2, 3), keepdims=True)
        variance = ops.mean((value - mean) ** 2, axis=(1, 2, 3))
        moments += [mean[:, 0, 0, 0], ops.log(variance + 1e-4)]
    return ops.concatenate(moments, axis=1)


def _measure_moments(model: "SpaceGroupModel", patterns: np.ndarray) -> np.ndarray:
    """Return moments of up to as many patterns as a camera records at a time."""
    first, n = _cut_to_first_layers(model), min(_PER_CAMERA, len(patterns))
    parts = [
        _calculate_moments(
            first(model.prepare(patterns[i : i + n, ..., None]), training=False), n
        )
        for i in range(0, len(patterns) - n + 1, n)
    ]
    return np.concatenate([ops.convert_to_numpy(part) for part in parts])


def _simulate_moments(
    model: "SpaceGroupModel",
    library: "MasterPatternLibrary",
    n_cameras: int,
    geometry: Geometry | None,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return moments of patterns of random cameras, and their settings."""
    dataset = SimulatedDataset(library, model.space_groups, geometry=geometry)
    # A whole number of cameras, also while JAX and PyTorch find out shapes
    size, n = model.size, _PER_CAMERA * _CAMERAS
    inputs = pattern_inputs(batch_size=n)
    wide = replace(Acquisition(), overlap_probability=0.0, **_FOUND)
    cameras = _Cameras(wide, size=size, seed=seed)
    patterns, settings = simulate_patterns(library, inputs, size, cameras)
    patterns = Borrowed(model.prepare)(keras.layers.Reshape((size, size, 1))(patterns))
    moments = _calculate_moments(_cut_to_first_layers(model)(patterns), _PER_CAMERA)
    graph = keras.Model(inputs, [moments, settings])
    rng = np.random.default_rng(seed)
    batches = [
        graph.predict_on_batch(_draw_recipe(dataset, rng))
        for _ in range(-(-n_cameras // _CAMERAS))
    ]
    features, settings = (np.concatenate(i)[:n_cameras] for i in zip(*batches))
    return features, settings


def _draw_recipe(dataset: SimulatedDataset, rng: np.random.Generator) -> dict:
    """Return the recipe of patterns of some cameras, half of them of one phase."""
    parts = []
    for _ in range(_CAMERAS):
        classes = rng.integers(len(dataset.space_groups), size=_PER_CAMERA)
        phases = np.array([rng.choice(dataset._phases[i]) for i in classes])
        if rng.random() < 0.5:
            phases[:] = phases[0]
        recipe = dataset.recipe(phases, rng)
        recipe["geometry"][:] = recipe["geometry"][0]
        parts.append(recipe)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

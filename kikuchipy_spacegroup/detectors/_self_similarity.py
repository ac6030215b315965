# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much patterns are like themselves, rotated, for a projection center."""

import numpy as np

from kikuchipy_spacegroup._keras import keras, layers, ops
from kikuchipy_spacegroup.models._bands import FindBands
from kikuchipy_spacegroup.models._zone_axes import FindZoneAxes
from kikuchipy_spacegroup.patterns import PreparePatterns

SIZE = 64
_N_BANDS, _N_AXES, _N_POINTS = 16, 12, 1600
# Rotations of a pattern that count, those it is most like itself after
_N_BEST = 6
_LARGEST_CORRELATION = 0.99
# Least share of pixels that are compared, where all correlations count alike
_LEAST_COVER = 0.12


def prepare(patterns: np.ndarray) -> np.ndarray:
    """Return patterns (n, size, size, 1), prepared.

    The windows are as wide as bands: background that was left in is like itself however it
    is rotated.
    """
    layer = PreparePatterns(SIZE, background_sigma=0.05, contrast_sigma=0.05)
    return ops.convert_to_numpy(layer(patterns))


class SelfSimilarity:
    """How much patterns are like themselves, rotated, for a projection center.

    Parameters
    ----------
    prepared_patterns
        Patterns of shape (n, 64, 64, 1).
    """

    def __init__(self, prepared_patterns: np.ndarray) -> None:
        self.patterns = prepared_patterns
        self._network = _network()

    def __call__(self, center: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the self-similarity of every pattern.

        Parameters
        ----------
        center
            Projection center of shape (3,), the same for all patterns.

        Returns
        -------
        significance
            Array of shape (n,): the mean of the six largest correlations of
            the pattern with itself, after Fisher's transform, in standard
            deviations of what pixels without symmetry have.
        correlation
            Array of shape (n,): the same without dividing by these standard
            deviations. It is less sure where little is compared, but does not
            rise with the share of the pattern that is.
        """
        n = len(self.patterns)
        centers = np.tile(np.asarray(center, "float32"), (n, 1))
        found = self._network.predict_on_batch([self.patterns, centers])
        return tuple(np.asarray(values, "float64") for values in found)


def _network() -> keras.Model:
    """Return the network from patterns and centers to self-similarities."""
    patterns = keras.Input((SIZE, SIZE, 1))
    centers = keras.Input((3,))
    bands = FindBands(_N_BANDS)([patterns, centers])
    axes = FindZoneAxes(_N_AXES, n_points=_N_POINTS)([patterns, centers, *bands])
    return keras.Model([patterns, centers], _MeanOfBest()([axes[1], axes[3]]))


class _MeanOfBest(layers.Layer):
    """Mean of the largest correlations, from what FindZoneAxes returns."""

    def call(self, inputs):
        """Return self-similarities, twice (n,)."""
        of_axes, of_bands = inputs
        n_folds = (of_axes.shape[-1] - 3) // 2
        correlation = ops.concatenate(
            [_flat(of_axes[..., :n_folds]), of_bands[..., 0]], axis=1
        )
        cover = ops.concatenate(
            [_flat(of_axes[..., n_folds : 2 * n_folds]), of_bands[..., 1]], axis=1
        )
        z = ops.clip(correlation, -_LARGEST_CORRELATION, _LARGEST_CORRELATION)
        z = ops.arctanh(z)
        # The standard deviation of Fisher's z is 1 / sqrt(n - 3) for n pixels
        significance = z * ops.sqrt(ops.maximum(cover * _N_POINTS - 3, 0.0))
        z = ops.where(cover > _LEAST_COVER, z, 0.0)
        best = (ops.top_k(i, _N_BEST)[0] for i in (significance, z))
        return [ops.mean(i, axis=1) for i in best]


def _flat(values):
    """Return values (n, axes * rotations)."""
    return ops.reshape(values, (-1, values.shape[1] * values.shape[2]))

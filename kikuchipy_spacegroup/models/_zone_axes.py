# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A layer of the band network: how symmetric a pattern is about its zone axes.

Angles between bands say what a lattice is like, and a lattice may be nearly more symmetric
than it is. Whether a pattern is mapped onto itself by a rotation is seen in all its pixels.
"""

import numpy as np

from kikuchipy_spacegroup._keras import keras, ops
from kikuchipy_spacegroup.models._bands import known_centers

FOLDS = 2, 3, 4, 6
# Bands whose intersections are looked at
_N_CROSSING = 12
# Least angle between two of them, and standard deviation of a band from an axis
_LEAST_ANGLE, _DEVIATION = np.deg2rad(10), np.deg2rad(1.2)
# Axes nearer than this to a better one are the same
_SAME = np.deg2rad(4)
# Farthest from the middle of the pattern, in sides of the pattern
_FARTHEST = 1.6
# Standard deviation in pixels of the blur before patterns are compared
_BLUR = 0.8
# Least share of pixels that are seen after the rotation
_LEAST_COVER = 0.08


def sample_points(size: int, n_points: int) -> np.ndarray:
    """Return rows and columns of pixels evenly in a circle, of shape (n_points, 2)."""
    i = np.arange(n_points) + 0.5
    radius = (size / 2 - 1.5) * np.sqrt(i / n_points)
    angle = np.pi * (1 + np.sqrt(5)) * i
    points = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    return np.rint(points + size / 2 - 0.5).astype("int32")


def blur_matrix(size: int) -> np.ndarray:
    """Return the matrix (size, size) of a Gaussian blur."""
    offset = np.subtract.outer(np.arange(size), np.arange(size))
    kernel = np.exp(-0.5 * (offset / _BLUR) ** 2)
    return (kernel / kernel.sum(axis=1, keepdims=True)).astype("float32")


@keras.saving.register_keras_serializable("kikuchipy_spacegroup")
class FindZoneAxes(keras.layers.Layer):
    r"""Find zone axes, and how symmetric a pattern is about them and about bands.

    Parameters
    ----------
    n_axes
        Number of zone axes.
    n_points
        Number of pixels that are compared. Patterns are not rotated if this
        is 0.
    **kwargs
        Keyword arguments passed on to :class:`keras.layers.Layer`.

    Notes
    -----
    Zone axes are where bands cross. A pattern is rotated about each by a
    half, a third, a quarter and a sixth of a turn, and by half a turn about
    the normal of each band, which is a mirror for a pattern with an
    inversion center. The normalized cross-correlation with itself, where
    both are seen, is 1 for an axis of symmetry without noise.
    """

    def __init__(self, n_axes: int = 20, n_points: int = 480, **kwargs) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.n_axes, self.n_points = n_axes, n_points

    def build(self, input_shape) -> None:
        """Make what depends on the size of patterns only."""
        size = self.size = input_shape[0][1]
        n_bands = input_shape[2][1]
        n = min(_N_CROSSING, n_bands)
        self._pairs = np.array(np.triu_indices(n, 1)).astype("int32")
        if self.n_points:
            self._points = sample_points(size, self.n_points)
            self._blur = blur_matrix(size)
        self.built = True

    def call(self, inputs):
        """Return axes and correlations.

        Parameters
        ----------
        inputs
            Prepared patterns (n, size, size, 1), projection centers (n, 3),
            NaN where unknown, and what :class:`FindBands` returns: normals
            (n, bands, 3), features (n, bands, k) and which are bands
            (n, bands).

        Returns
        -------
        axes
            Unit vectors of zone axes, of shape (n, n_axes, 3).
        of_axes
            Array of shape (n, n_axes, 11): correlations and shares of
            pixels seen for each rotation, and three scalars. These alone if
            patterns are not rotated.
        is_axis
            1 for axes, 0 where there are fewer, of shape (n, n_axes).
        of_bands
            Correlation and share of pixels for half a turn about the normals
            of bands, of shape (n, bands, 2). Not returned if patterns are not
            rotated.
        """
        patterns, centers, normals, features, is_band = inputs
        centers = known_centers(centers)
        # The second of the seven scalars of a band
        strengths = ops.maximum(features[..., -6], 0.0) * is_band
        # 1. Where bands cross
        axes, scores, position = self._cross(normals, strengths, centers)
        is_axis = ops.cast(scores > 0, "float32")
        scalars = ops.stack([scores, position, ops.abs(axes[..., 2])], axis=-1)
        if not self.n_points:
            return axes, scalars * is_axis[..., None], is_axis
        # 2. How patterns correlate with themselves, rotated
        rotations = [
            rotation_matrices(axes, FOLDS),
            rotation_matrices(normals, FOLDS[:1]),
        ]
        n_folds, n_bands = len(FOLDS), normals.shape[1]
        rotations = ops.concatenate(rotations, axis=1)
        correlation, cover = self._correlate(patterns, centers, rotations)
        n_turned = self.n_axes * n_folds
        both = [
            ops.reshape(i[:, :n_turned], (-1, self.n_axes, n_folds))
            for i in (correlation, cover)
        ]
        of_axes = ops.concatenate([*both, scalars], axis=-1)
        of_bands = ops.stack([correlation[:, n_turned:], cover[:, n_turned:]], axis=-1)
        of_bands = ops.reshape(of_bands, (-1, n_bands, 2))
        return (
            axes,
            of_axes * is_axis[..., None],
            is_axis,
            of_bands * is_band[..., None],
        )

    def _cross(self, normals, strengths, centers):
        """Return axes (n, axes, 3), scores, and distances from the middle (n, axes)."""
        pairs = [ops.convert_to_tensor(i) for i in self._pairs]
        first, second = (ops.take(normals, i, axis=1) for i in pairs)
        axes = _cross_product(first, second)
        length = ops.sqrt(ops.sum(axes**2, axis=-1, keepdims=True) + 1e-12)
        axes = axes / length
        # 1. Seen, and of two bands that are not nearly parallel
        position = self._distances(axes, centers)
        weakest = ops.minimum(*(ops.take(strengths, i, axis=1) for i in pairs))
        is_good = ops.logical_and(position < _FARTHEST, weakest > 0)
        is_good = ops.logical_and(is_good, length[..., 0] > np.sin(_LEAST_ANGLE))
        # 2. Those through which the most bands go
        scores = ops.sum(self._passing(axes, normals, strengths), axis=-1)
        order = 1e-5 * ops.arange(self._pairs.shape[1], dtype="float32")
        scores = ops.where(is_good, scores - order, 0.0)
        # 3. One of those that are the same
        cosines = ops.abs(ops.matmul(axes, ops.transpose(axes, (0, 2, 1))))
        is_better = scores[:, None, :] > scores[..., None]
        is_same = ops.logical_and(cosines > np.cos(_SAME), is_better)
        scores = ops.where(ops.any(is_same, axis=-1), 0.0, scores)
        n = min(self.n_axes, scores.shape[1])
        scores, index = ops.top_k(scores, n)
        axes = ops.take_along_axis(axes, index[..., None], axis=1)
        if n < self.n_axes:
            more = self.n_axes - n
            scores = ops.pad(scores, ((0, 0), (0, more)))
            axes = ops.pad(axes, ((0, 0), (0, more), (0, 0)))
        # 4. The best axis of all bands that go through, by least squares
        weights = self._passing(axes, normals, strengths)
        spread = ops.einsum("nab,nbi,nbj->naij", weights, normals, normals)
        trace = ops.sum(weights, axis=-1)[..., None, None]
        inverse = 1.001 * ops.eye(3, dtype="float32") - spread / (trace + 1e-6)
        for _ in range(3):
            inverse = ops.matmul(inverse, inverse)
        axes = ops.matmul(inverse, axes[..., None])[..., 0]
        axes = axes / ops.sqrt(ops.sum(axes**2, axis=-1, keepdims=True) + 1e-12)
        return axes, scores, self._distances(axes, centers)

    def _passing(self, axes, normals, strengths):
        """Return how strong bands are that go through axes, (n, axes, bands)."""
        sines = ops.matmul(axes, ops.transpose(normals, (0, 2, 1)))
        return strengths[:, None] * ops.exp(-0.5 * (sines / _DEVIATION) ** 2)

    def _distances(self, axes, centers):
        """Return distances of axes from the middle of the pattern, in its sides."""
        z = ops.where(ops.abs(axes[..., 2]) < 1e-3, 1e-3, axes[..., 2])
        x = centers[:, :1] - 0.5 + axes[..., 0] / z * centers[:, 2:]
        y = centers[:, 1:2] - 0.5 - axes[..., 1] / z * centers[:, 2:]
        return ops.minimum(ops.sqrt(x**2 + y**2), 2.0)

    def _correlate(self, patterns, centers, rotations):
        """Return correlations and shares of pixels seen, (n, rotations)."""
        size = self.size
        blur = ops.convert_to_tensor(self._blur)
        image = ops.matmul(ops.matmul(blur, patterns[..., 0]), ops.transpose(blur))
        flat = ops.reshape(image, (-1, size * size))
        # 1. Values (n, points) and directions (n, 3, points) of pixels
        row, column = self._points.T
        values = ops.take(flat, ops.convert_to_tensor(row * size + column), axis=1)
        row, column = (
            ops.convert_to_tensor(((i + 0.5) / size).astype("float32"))
            for i in (row, column)
        )
        x = column - centers[:, :1]
        y = centers[:, 1:2] - row
        z = centers[:, 2:] * ops.ones_like(x)
        directions = ops.stack([x, y, z], axis=1)
        # 2. Where they are after rotation, (n, rotations, points), of either sign
        turned = ops.matmul(rotations, directions[:, None])
        height = turned[:, :, 2]
        height = ops.where(ops.abs(height) < 1e-2, 1e-2, height)
        scale = centers[:, 2, None, None] * size / height
        columns = centers[:, :1, None] * size - 0.5 + turned[:, :, 0] * scale
        rows = centers[:, 1:2, None] * size - 0.5 - turned[:, :, 1] * scale
        middle = size / 2 - 0.5
        far = (columns - middle) ** 2 + (rows - middle) ** 2
        seen = ops.cast(far < (size / 2 - 1.0) ** 2, "float32")
        # 3. Values of the nearest pixels there
        index = ops.round(rows) * size + ops.round(columns)
        index = ops.cast(ops.where(seen > 0.5, index, 0.0), "int32")
        n_rotations = rotations.shape[1]
        others = ops.take_along_axis(
            flat, ops.reshape(index, (-1, n_rotations * self.n_points)), axis=1
        )
        others = ops.reshape(others, (-1, n_rotations, self.n_points)) * seen
        # 4. Correlation of both where both are seen
        count = ops.sum(seen, axis=-1)
        n = ops.maximum(count, 1.0)
        sums = ops.matmul(seen, ops.stack([values, values**2], axis=-1))
        mean, mean_other = sums[..., 0] / n, ops.sum(others, axis=-1) / n
        both = ops.matmul(others, values[..., None])[..., 0] / n - mean * mean_other
        variance = sums[..., 1] / n - mean**2
        variance_other = ops.sum(others**2, axis=-1) / n - mean_other**2
        power = ops.sqrt(
            ops.maximum(variance, 1e-4) * ops.maximum(variance_other, 1e-4)
        )
        cover = count / self.n_points
        correlation = ops.clip(both / power, -1.0, 1.0)
        return ops.where(cover > _LEAST_COVER, correlation, 0.0), cover

    def compute_output_shape(self, input_shape):
        """Return the shapes of the outputs."""
        n, n_bands = input_shape[0][0], input_shape[2][1]
        n_features = 2 * len(FOLDS) + 3 if self.n_points else 3
        shapes = (n, self.n_axes, 3), (n, self.n_axes, n_features), (n, self.n_axes)
        return (*shapes, (n, n_bands, 2)) if self.n_points else shapes

    def get_config(self) -> dict:
        """Return the arguments that make the same layer again."""
        return super().get_config() | {
            "n_axes": self.n_axes,
            "n_points": self.n_points,
        }


def _cross_product(first, second):
    """Return cross products of vectors (..., 3)."""
    a, b, c = (first[..., i] for i in range(3))
    d, e, f = (second[..., i] for i in range(3))
    return ops.stack([b * f - c * e, c * d - a * f, a * e - b * d], axis=-1)


def rotation_matrices(axes, folds):
    """Return matrices of rotations about axes by parts of a turn.

    Parameters
    ----------
    axes
        Unit vectors of shape (n, n_axes, 3).
    folds
        Parts of a turn, as 4 for a quarter.

    Returns
    -------
    matrices
        Tensor of shape (n, n_axes * n_folds, 3, 3).
    """
    angles = 2 * np.pi / np.array(folds)
    cos, sin = (
        ops.convert_to_tensor(i.astype("float32")[:, None, None])
        for i in (np.cos(angles), np.sin(angles))
    )
    x, y, z = (axes[..., i] for i in range(3))
    zero = ops.zeros_like(x)
    crossing = ops.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1)
    n_axes = axes.shape[1]
    crossing = ops.reshape(crossing, (-1, n_axes, 1, 3, 3))
    outer = (axes[..., :, None] * axes[..., None, :])[:, :, None]
    # Rodrigues' rotation formula
    matrices = cos * ops.eye(3, dtype="float32") + sin * crossing + (1 - cos) * outer
    return ops.reshape(matrices, (-1, n_axes * len(folds), 3, 3))

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A layer of the band network: whether bands fall on bands when they are rotated.

The Radon transform says how strong a band is on any line. It sums along lines, and so sees
bands through noise that hides them from a comparison of pixels.
"""

import numpy as np

from kikuchipy_spacegroup._keras import keras, ops
from kikuchipy_spacegroup.models._bands import known_centers, largest_near
from kikuchipy_spacegroup.models._zone_axes import FOLDS, rotation_matrices

# Bands whose bisectors may be twofold axes
_N_BISECTED = 12
# Two axes nearer than this are the same
_SAME = np.deg2rad(4)
# A band is mapped onto itself if it comes nearer than this, and says nothing
_ITSELF = np.deg2rad(4)
# Responses in standard deviations are not larger than this
_LARGEST_RESPONSE = 4.0
# Angles and distances around a line in which a band is looked for
_TOLERANCE = 1, 1
# Largest distance of a line from the middle of the pattern in sides of the pattern
_FARTHEST = 0.44
# Sum of the strengths of bands that are compared, below which nothing is said
_LEAST_WEIGHT = 3.0
# Features of a rotation
N_FEATURES = 4


@keras.saving.register_keras_serializable("kikuchipy_spacegroup")
class RotateBands(keras.layers.Layer):
    r"""Rotate bands, and see whether there are bands where they come to be.

    Parameters
    ----------
    n_twofolds
        Number of twofold axes that are looked for among the bisectors of
        bands.
    **kwargs
        Keyword arguments passed on to :class:`keras.layers.Layer`.

    Notes
    -----
    A rotation of the crystal by a symmetry operation maps each band onto one
    that is as strong. Bands that are mapped onto themselves, as those
    through a twofold axis are, do not count. A rotation by half a turn that
    maps a band onto another is about one of the two bisectors of their
    normals, up to inversion. So twofold axes, and the normals of mirrors,
    that map a band found onto another are among the bisectors, seen or not.
    """

    def __init__(self, n_twofolds: int = 8, **kwargs) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.n_twofolds = n_twofolds

    def build(self, input_shape) -> None:
        """Make what depends on the number of bands only."""
        n_bands = input_shape[2][1]
        pairs = np.triu_indices(min(_N_BISECTED, n_bands), 1)
        self._pairs = np.array(pairs).astype("int32")
        self.built = True

    def call(self, inputs):
        """Return how well rotated bands match.

        Parameters
        ----------
        inputs
            What :class:`FindBands` returns, the response of shape
            (n, angles, distances) first: response, projection centers
            (n, 3), NaN where unknown, normals (n, bands, 3), features
            (n, bands, k), which are bands (n, bands); and axes (n, axes, 3)
            of :class:`FindZoneAxes`.

        Returns
        -------
        of_axes
            Array of shape (n, axes, 16): for a half, a third, a quarter and
            a sixth of a turn, how much of the bands is found again, by how
            much their strengths differ, the sum of the responses weighted by
            strengths over the root of that of squared strengths, an
            eighth of it; and a twentieth of the sum of the strengths of the
            bands compared.
        of_bands
            The same for half a turn about the normals of bands, of shape
            (n, bands, 4).
        twofolds
            Unit vectors of possible twofold axes, of shape
            (n, n_twofolds, 3).
        of_twofolds
            The same for half a turn about them, of shape (n, n_twofolds, 4).
        is_twofold
            1 for axes, 0 where there are fewer, of shape (n, n_twofolds).
        """
        response, centers, normals, features, is_band, axes = inputs
        centers = known_centers(centers)
        strengths = ops.clip(4 * features[..., -6], 0.0, _LARGEST_RESPONSE) * is_band
        response = ops.minimum(largest_near(response, *_TOLERANCE), _LARGEST_RESPONSE)

        def match(rotations):
            return _match(response, centers, normals, strengths, rotations)

        # 1. About zone axes, and by half a turn about normals
        n_axes = axes.shape[1]
        both = [rotation_matrices(axes, FOLDS), rotation_matrices(normals, FOLDS[:1])]
        matched = match(ops.concatenate(both, axis=1))
        n_turned = n_axes * len(FOLDS)
        of_axes = ops.reshape(
            matched[:, :n_turned], (-1, n_axes, len(FOLDS) * N_FEATURES)
        )
        of_bands = matched[:, n_turned:]
        # 2. By half a turn about bisectors
        bisectors, is_good = self._bisect(normals, is_band)
        matched = match(rotation_matrices(bisectors, FOLDS[:1]))
        scores = ops.where(is_good, matched[..., 2], 0.0)
        # 3. The best of them, and one of those that are the same
        cosines = ops.abs(ops.matmul(bisectors, ops.transpose(bisectors, (0, 2, 1))))
        is_better = scores[:, None, :] > scores[..., None]
        is_same = ops.logical_and(cosines > np.cos(_SAME), is_better)
        scores = ops.where(ops.any(is_same, axis=-1), 0.0, scores)
        scores, index = ops.top_k(scores, min(self.n_twofolds, scores.shape[1]))
        twofolds = ops.take_along_axis(bisectors, index[..., None], axis=1)
        of_twofolds = ops.take_along_axis(matched, index[..., None], axis=1)
        more = ((0, 0), (0, self.n_twofolds - scores.shape[1]))
        is_twofold = ops.pad(ops.cast(scores > 0, "float32"), more)
        twofolds = ops.pad(twofolds, (*more, (0, 0)))
        of_twofolds = ops.pad(of_twofolds, (*more, (0, 0))) * is_twofold[..., None]
        of_bands = of_bands * is_band[..., None]
        return of_axes, of_bands, twofolds, of_twofolds, is_twofold

    def _bisect(self, normals, is_band):
        """Return bisectors of pairs of normals (n, 2 * pairs, 3), and which are."""
        pairs = [ops.convert_to_tensor(i) for i in self._pairs]
        first, second = (ops.take(normals, i, axis=1) for i in pairs)
        bisectors = ops.concatenate([first + second, first - second], axis=1)
        length = ops.sqrt(ops.sum(bisectors**2, axis=-1, keepdims=True) + 1e-12)
        is_pair = ops.minimum(*(ops.take(is_band, i, axis=1) for i in pairs))
        is_good = ops.concatenate([is_pair, is_pair], axis=1) > 0.5
        return bisectors / length, is_good

    def compute_output_shape(self, input_shape):
        """Return the shapes of the outputs."""
        n, n_bands, n_axes = input_shape[0][0], input_shape[2][1], input_shape[5][1]
        return (
            (n, n_axes, len(FOLDS) * N_FEATURES),
            (n, n_bands, N_FEATURES),
            (n, self.n_twofolds, 3),
            (n, self.n_twofolds, N_FEATURES),
            (n, self.n_twofolds),
        )

    def get_config(self) -> dict:
        """Return the arguments that make the same layer again."""
        return super().get_config() | {"n_twofolds": self.n_twofolds}


def _match(response, centers, normals, strengths, rotations):
    """Return how well rotated bands match, (n, rotations, 4)."""
    # 1. Where bands come to be, (n, rotations, 3, bands)
    rotated = ops.matmul(rotations, ops.transpose(normals, (0, 2, 1))[:, None])
    cosines = ops.sum(rotated * ops.transpose(normals, (0, 2, 1))[:, None], axis=2)
    others = ops.cast(ops.abs(cosines) < np.cos(_ITSELF), "float32")
    # 2. The response there, each (n, rotations, bands)
    found, is_seen = _look_up(response, centers, rotated)
    weights = strengths[:, None] * is_seen * others
    # 3. Means over bands
    total = ops.sum(weights, axis=-1)
    power = ops.sum(weights * strengths[:, None], axis=-1) + 1e-3
    again = ops.sum(weights * ops.minimum(found, strengths[:, None]), axis=-1) / power
    differ = ops.sum(weights * ops.abs(found - strengths[:, None]), axis=-1) / power
    mean = ops.sum(weights * found, axis=-1) / ops.sqrt(power)
    enough = ops.cast(total > _LEAST_WEIGHT, "float32")
    features = [again * enough, differ * enough, mean * enough / 8, total / 20]
    return ops.stack(features, axis=-1)


def _look_up(response, centers, normals):
    """Return responses on lines, and which are seen, each (n, rotations, bands).

    From normals (n, rotations, 3, bands) of lattice planes, of either sign.
    """
    n_angles, size = response.shape[1:]
    a, b, c = (normals[:, :, i] for i in range(3))
    pcx, pcy, pcz = (centers[:, i, None, None] for i in range(3))
    # 1. The line x cos(theta) + y sin(theta) = rho, theta from 0 to pi
    length = ops.sqrt(a**2 + b**2 + 1e-9)
    cos, sin = a / length, -b / length
    sign = ops.where(sin < 0, -1.0, 1.0)
    cos, sin = cos * sign, sin * sign
    rho = -c / length * sign * pcz - cos * (0.5 - pcx) + sin * (pcy - 0.5)
    # 2. The nearest sample
    angle = ops.arccos(ops.clip(cos, -1.0, 1.0)) * (n_angles / np.pi) - 0.5
    distance = (rho + 0.5) * size - 0.5
    is_seen = ops.cast(ops.abs(rho) < _FARTHEST, "float32")
    angle = ops.clip(ops.round(angle), 0.0, n_angles - 1.0)
    index = angle * size + ops.round(distance)
    index = ops.cast(ops.where(is_seen > 0.5, index, 0.0), "int32")
    flat = ops.reshape(response, (-1, n_angles * size))
    shape = (-1, *index.shape[1:])
    index = ops.reshape(index, (-1, shape[1] * shape[2]))
    found = ops.reshape(ops.take_along_axis(flat, index, axis=1), shape)
    return found * is_seen, is_seen

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers of the band network: from a pattern to its bands, and from bands to features.

The angles between bands, their widths and their profiles are what symmetry is read from,
whatever the orientation and the projection center. So the network sees these.
"""

import numpy as np

from kikuchipy_spacegroup._keras import keras, layers, ops

# Where the center is taken to be if it is unknown: the middle of what is common
_UNKNOWN_CENTER = (0.5, 0.3, 0.65)
# Width and reach in pixels of the filter that finds bands
_FILTER_WIDTH, _FILTER_REACH = 1.0, 6
# Neighborhood (angles, distances) in which a band is the strongest
_HALF_WINDOW = 3, 2
# Larger ones take too much memory
_MAX_SIZE, _MAX_ANGLES = 128, 192
# Shortest line that is looked at, in pixels
_SHORTEST = 6.0
# Least response of a band in standard deviations
_LEAST_RESPONSE = 0.5


def radon_matrix(size: int, n_angles: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrix of line integrals over the circle in a square.

    Parameters
    ----------
    size
        Side length of the square in pixels, and number of lines per angle.
    n_angles
        Number of angles in half a turn. The matrix is of the first quarter
        of them, from which the others follow by reflections.

    Returns
    -------
    matrix
        Array of shape (n_angles / 4 * size, size**2) and dtype float32.
        Lines are weighted by the inverse square root of their length, so
        that white noise has the same variance on all of them.
    lengths
        Mean length of the lines in pixels, of shape (size,).
    """
    position = (np.arange(size) + 0.5) - size / 2
    x, y = np.meshgrid(position, position)
    inside = x**2 + y**2 <= (size / 2) ** 2
    pixels = np.flatnonzero(inside)
    weights = np.zeros((n_angles // 4, size, size * size))
    quarter = (-0.25, 0.25)
    for i, angle in enumerate((np.arange(n_angles // 4) + 0.5) * np.pi / n_angles):
        # Each pixel is four points, each shared by the two nearest lines
        for dx in quarter:
            for dy in quarter:
                distance = np.cos(angle) * (x + dx) + np.sin(angle) * (y + dy)
                distance = distance[inside] + size / 2 - 0.5
                line = np.floor(distance).astype(int)
                share = distance - line
                for k, part in ((line, 1 - share), (line + 1, share)):
                    ok = (k >= 0) & (k < size)
                    np.add.at(weights[i], (k[ok], pixels[ok]), part[ok] / 4)
    lengths = weights.sum(axis=-1)
    scale = np.where(
        lengths < _SHORTEST, 0, 1 / np.sqrt(np.maximum(lengths, _SHORTEST))
    )
    # Rounded, so that it is the same on all machines
    weights = np.round(weights * scale[..., None], 5).astype("float32")
    lengths = np.round(lengths.mean(axis=0), 3).astype("float32")
    return weights.reshape(-1, size * size), lengths


def filter_matrix(size: int) -> np.ndarray:
    """Return the matrix (size, size) of the second derivative of a Gaussian."""
    offset = np.arange(size)[None] - np.arange(size)[:, None]
    reach = np.arange(-_FILTER_REACH, _FILTER_REACH + 1)

    def kernel(x):
        return (1 - (x / _FILTER_WIDTH) ** 2) * np.exp(-0.5 * (x / _FILTER_WIDTH) ** 2)

    values = kernel(reach)
    norm = np.sqrt(((values - values.mean()) ** 2).sum())
    near = np.abs(offset) <= _FILTER_REACH
    return np.where(near, (kernel(offset) - values.mean()) / norm, 0).astype("float32")


@keras.saving.register_keras_serializable("kikuchipy_spacegroup")
class FindBands(keras.layers.Layer):
    r"""Find the strongest Kikuchi bands by a Radon transform.

    Parameters
    ----------
    n_bands
        Number of bands.
    n_angles
        Number of angles of the Radon transform in half a turn, a multiple of
        four.
    reach
        Half the width of the profiles in degrees.
    n_steps
        Odd number of points of a profile.
    return_response
        Whether to return the response too.
    **kwargs
        Keyword arguments passed on to :class:`keras.layers.Layer`.

    Raises
    ------
    ValueError
        If the number of angles is not a multiple of four up to 192, the number
        of points is even, or patterns have more than 128 pixels a side.

    Notes
    -----
    A band is a line in the gnomonic projection but for its edges, which are
    hyperbolas. Bands are local maxima of the Radon transform
    :cite:`krieger1992image` filtered with the second derivative of a
    Gaussian. With the projection center, the line
    :math:`x\cos\theta + y\sin\theta = \rho` becomes the normal of a lattice
    plane, and profiles are sampled at equal angles from it.
    """

    def __init__(
        self,
        n_bands: int = 20,
        n_angles: int = 96,
        reach: float = 7.0,
        n_steps: int = 29,
        return_response: bool = False,
        **kwargs,
    ) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        if n_angles % 4 or not 4 <= n_angles <= _MAX_ANGLES:
            raise ValueError(
                f"n_angles must be a multiple of 4 up to {_MAX_ANGLES}, not {n_angles}"
            )
        if n_steps % 2 == 0:
            raise ValueError(f"n_steps must be odd, not {n_steps}")
        self.n_bands, self.n_angles = n_bands, n_angles
        self.reach, self.n_steps = reach, n_steps
        self.return_response = return_response

    def build(self, input_shape) -> None:
        """Make the matrices for patterns of a size."""
        size = self.size = input_shape[0][1]
        if size > _MAX_SIZE:
            raise ValueError(f"Patterns must have at most {_MAX_SIZE} pixels a side")
        matrix, lengths = radon_matrix(size, self.n_angles)
        # Constants, and no weights: they follow from the arguments. Pixels outside of the
        # circle are on no line
        inside = np.flatnonzero(matrix.any(axis=0))
        self._matrix = np.ascontiguousarray(matrix.T[inside])
        pixels = np.arange(size * size).reshape(size, size)
        # The transposed image has the angles pi/2 - theta, the mirrored pi - theta
        views = pixels, pixels.T, pixels[:, ::-1].T, pixels[:, ::-1]
        self._views = np.stack([view.ravel()[inside] for view in views]).astype("int32")
        self._lengths = lengths
        self._is_long = (lengths >= _SHORTEST).astype("float32")
        self._filter_matrix = filter_matrix(size)
        self._profile_angles = np.deg2rad(
            np.linspace(-self.reach, self.reach, self.n_steps)
        ).astype("float32")
        self.built = True

    def call(self, inputs):
        """Return bands.

        Parameters
        ----------
        inputs
            Prepared patterns of shape (n, size, size, 1), and projection
            centers of shape (n, 3), NaN where unknown.

        Returns
        -------
        normals
            Unit normals of lattice planes in the frame of the detector, of
            shape (n, n_bands, 3).
        features
            Array of shape (n, n_bands, n_steps + 7): the symmetric and the
            absolute antisymmetric part of the profile, and scalars.
        is_band
            1 for bands, 0 where there are fewer, of shape (n, n_bands).
        response
            How much a line looks like a band in standard deviations, of shape
            (n, n_angles, size). Returned if *return_response* is True.
        """
        patterns, centers = inputs
        # 1. Radon transform (n, angles, distances)
        radon = self.transform(patterns)
        response = self._filter(radon)
        # 2. The strongest local maxima
        is_peak = ops.cast(response >= largest_near(response, *_HALF_WINDOW), "float32")
        is_long = ops.convert_to_tensor(self._is_long)
        peaks = ops.where(is_peak * is_long > 0.5, response, -9.0)
        flat = ops.reshape(peaks, (-1, self.n_angles * self.size))
        strengths, index = ops.top_k(flat, self.n_bands)
        angle_index = index // self.size
        distance_index = index - angle_index * self.size
        one_hot = ops.cast(
            ops.equal(distance_index[..., None], ops.arange(self.size)), "float32"
        )
        # 3. Lines between the samples, from parabolas through three of them
        d_angle, d_distance = self._refine(response, angle_index, one_hot)
        angles = (ops.cast(angle_index, "float32") + 0.5 + d_angle) * (
            np.pi / self.n_angles
        )
        distances = ops.cast(distance_index, "float32") + d_distance
        # 4. Normals of lattice planes, profiles, and what else there is to know
        normals, along = self._to_normals(angles, distances, centers)
        profiles = self._sample(radon, angle_index, distances, along)
        is_band = ops.cast(strengths > _LEAST_RESPONSE, "float32")
        lengths = one_hot * ops.convert_to_tensor(self._lengths / self.size)
        lengths = ops.sum(lengths, axis=-1)
        offset, height = along
        scalars = [
            lengths,
            strengths / 4,
            ops.abs(offset / height),
            ops.log(height * (1 + (offset / height) ** 2)),
            ops.abs(d_angle),
            ops.abs(d_distance),
            strengths / ops.maximum(strengths[:, :1], 1e-3),
        ]
        reverse = ops.flip(profiles, axis=-1)
        half = self.n_steps // 2
        features = ops.concatenate(
            [
                (profiles + reverse)[..., : half + 1] / 2,
                ops.abs(profiles - reverse)[..., :half] / 2,
                ops.stack(scalars, axis=-1),
            ],
            axis=-1,
        )
        if self.return_response:
            return normals, features, is_band, response
        return normals, features, is_band

    def transform(self, patterns):
        """Return the Radon transform.

        Parameters
        ----------
        patterns
            Patterns of shape (n, size, size, 1).

        Returns
        -------
        radon
            Tensor of shape (n, n_angles, size). Angles are
            :math:`(i + 1/2)\\pi / n`, distances from the center are
            :math:`j + 1/2 - size/2` pixels.
        """
        size, n_angles = self.size, self.n_angles
        flat = ops.reshape(patterns, (-1, size * size))
        # 1. Pixels in the circle of the four views, (4 * n, pixels)
        views = ops.take(flat, ops.convert_to_tensor(self._views.ravel()), axis=1)
        views = ops.reshape(views, (-1, self._views.shape[1]))
        # 2. A quarter of the angles of each
        quarters = ops.matmul(views, ops.convert_to_tensor(self._matrix))
        quarters = ops.reshape(quarters, (-1, 4, n_angles // 4, size))
        # 3. Two views see them backwards
        parts = [quarters[:, k] for k in range(4)]
        parts = [ops.flip(p, axis=1) if k % 2 else p for k, p in enumerate(parts)]
        return ops.concatenate(parts, axis=1)

    def _filter(self, radon):
        """Return the response (n, angles, distances) in standard deviations."""
        wrapped = _wrap(radon, 1)
        smooth = (wrapped[:, :-2] + 2 * wrapped[:, 1:-1] + wrapped[:, 2:]) / 4
        response = ops.matmul(smooth, self._filter_matrix)
        response = response * ops.convert_to_tensor(self._is_long)
        power = ops.mean(response**2, axis=(1, 2), keepdims=True)
        return response / ops.maximum(ops.sqrt(power), 1e-6)

    def _refine(self, response, angle_index, one_hot):
        """Return the places of maxima between samples, twice (n, bands)."""
        wrapped = _wrap(response, 1)
        rows = [
            ops.take_along_axis(wrapped, (angle_index + i)[..., None], axis=1)
            for i in range(3)
        ]
        before, here, after = (ops.sum(row * one_hot, axis=-1) for row in rows)
        empty = ops.zeros_like(one_hot[..., :1])
        left = ops.concatenate([one_hot[..., 1:], empty], axis=-1)
        right = ops.concatenate([empty, one_hot[..., :-1]], axis=-1)
        sides = (ops.sum(rows[1] * k, axis=-1) for k in (left, right))
        return _vertex(before, here, after), _vertex(next(sides), here, next(sides))

    def _to_normals(self, angles, distances, centers):
        """Return normals (n, bands, 3), and offset and height of the center."""
        centers = known_centers(centers)
        pcx, pcy, pcz = (centers[:, i : i + 1] for i in range(3))
        cos, sin = ops.cos(angles), ops.sin(angles)
        rho = (distances + 0.5) / self.size - 0.5
        # With x to the right and y up from the projection center
        offset = cos * (0.5 - pcx) - sin * (pcy - 0.5) + rho
        height = pcz * ops.ones_like(offset)
        normals = ops.stack([cos, -sin, -offset / height], axis=-1)
        norm = ops.sqrt(ops.sum(normals**2, axis=-1, keepdims=True))
        return normals / norm, (offset, height)

    def _sample(self, radon, angle_index, distances, along):
        """Return profiles (n, bands, steps) at equal angles from lattice planes."""
        offset, height = along
        steps = ops.convert_to_tensor(self._profile_angles)
        tilt = ops.arctan2(offset, height)[..., None] + steps
        shift = height[..., None] * ops.tan(ops.clip(tilt, -1.45, 1.45))
        shift = (shift - offset[..., None]) * self.size
        rows = ops.take_along_axis(radon, angle_index[..., None], axis=1)
        # Mean along a line, from sums over the root of its length
        scale = self._is_long / np.sqrt(np.maximum(self._lengths, _SHORTEST))
        rows = rows * ops.convert_to_tensor((3 * scale).astype("float32"))
        # Linear interpolation by hat functions
        distance = (distances[..., None] + shift)[..., None]
        grid = ops.arange(self.size, dtype="float32")
        hats = ops.maximum(1 - ops.abs(distance - grid), 0.0)
        return ops.matmul(hats, rows[..., None])[..., 0]

    def compute_output_shape(self, input_shape):
        """Return the shapes of the outputs."""
        n = input_shape[0][0]
        shapes = (
            (n, self.n_bands, 3),
            (n, self.n_bands, self.n_steps + 7),
            (n, self.n_bands),
        )
        if self.return_response:
            return *shapes, (n, self.n_angles, input_shape[0][1])
        return shapes

    def get_config(self) -> dict:
        """Return the arguments that make the same layer again."""
        names = "n_bands", "n_angles", "reach", "n_steps", "return_response"
        return super().get_config() | {name: getattr(self, name) for name in names}


def largest_near(response, angles: int, distances: int):
    """Return the largest response in a window around each line.

    Parameters
    ----------
    response
        Tensor of shape (n, n_angles, size).
    angles, distances
        Half the size of the window.

    Returns
    -------
    largest
        Tensor of shape (n, n_angles, size).
    """
    n_angles, size = response.shape[1:]
    padded = _wrap(response, angles)
    largest = padded[:, :n_angles]
    for i in range(1, 2 * angles + 1):
        largest = ops.maximum(largest, padded[:, i : i + n_angles])
    side = ops.full_like(largest[..., :distances], -9.0)
    padded = ops.concatenate([side, largest, side], axis=2)
    largest = padded[..., :size]
    for i in range(1, 2 * distances + 1):
        largest = ops.maximum(largest, padded[..., i : i + size])
    return largest


def _wrap(values, k):
    """Return values (n, angles + 2 * k, distances): half a turn is a mirror."""
    before = ops.flip(values[:, -k:], axis=2)
    after = ops.flip(values[:, :k], axis=2)
    return ops.concatenate([before, values, after], axis=1)


def known_centers(centers):
    """Return projection centers (n, 3) with a common one where they are unknown."""
    unknown = ops.any(ops.isnan(centers), axis=-1, keepdims=True)
    return ops.where(unknown, ops.convert_to_tensor(_UNKNOWN_CENTER), centers)


def _vertex(before, here, after):
    """Return where the parabola through three values is highest, -0.5 to 0.5."""
    curvature = before - 2 * here + after
    curvature = ops.where(ops.abs(curvature) < 1e-4, -1e-4, curvature)
    return ops.clip(0.5 * (before - after) / curvature, -0.5, 0.5)


@keras.saving.register_keras_serializable("kikuchipy_spacegroup")
class CompareBands(keras.layers.Layer):
    """Self-attention of bands that sees the angles between them.

    Parameters
    ----------
    units
        Length of the features of a band.
    heads
        Number of heads, a divisor of *units*.
    n_angles
        Number of Gaussians that describe an angle from 0 to 90 degrees.
    width
        Their standard deviation in degrees.
    **kwargs
        Keyword arguments passed on to :class:`keras.layers.Layer`.

    Notes
    -----
    The attention :cite:`vaswani2017attention` of band :math:`i` to band
    :math:`j` has a term from their angle, and the angle is part of what it
    gets from it. As only angles are seen, the orientation changes nothing.
    """

    def __init__(
        self,
        units: int,
        heads: int = 4,
        n_angles: int = 30,
        width: float = 2.5,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if units % heads:
            raise ValueError(f"heads must divide the {units} units, not {heads}")
        self.units, self.heads = units, heads
        self.n_angles, self.width = n_angles, width
        self.norm_before = layers.LayerNormalization(epsilon=1e-5, name="norm_before")
        self.project = layers.Dense(3 * units, name="project")
        self.prefer = layers.Dense(heads, name="prefer")
        self.combine = layers.Dense(units, name="combine")
        self.norm_between = layers.LayerNormalization(epsilon=1e-5, name="norm_between")
        self.expand = layers.Dense(2 * units, activation="gelu", name="expand")
        self.contract = layers.Dense(units, name="contract")

    def build(self, input_shape) -> None:
        """Make the weights."""
        x = (None, input_shape[0][1], self.units)
        self.norm_before.build(x)
        self.project.build(x)
        self.prefer.build((None, x[1], x[1], self.n_angles))
        self.angle_values = self.add_weight(
            name="angle_values",
            shape=(self.heads, self.n_angles, self.units // self.heads),
            initializer=keras.initializers.RandomNormal(stddev=0.1),
        )
        self.combine.build((None, x[1], 2 * self.units))
        self.norm_between.build(x)
        self.expand.build(x)
        self.contract.build((None, x[1], 2 * self.units))
        self.built = True

    def call(self, inputs):
        """Return new features of bands.

        Parameters
        ----------
        inputs
            Features of shape (n, bands, units), unit normals of shape
            (n, bands, 3), and 1 for bands, 0 for none, of shape (n, bands).

        Returns
        -------
        features
            Tensor of the shape of the features.
        """
        x, normals, is_band = inputs
        angles = self._describe(normals)
        n_bands, size = x.shape[1], self.units // self.heads
        # 1. Queries, keys and values, each (n, heads, bands, size)
        projected = self.project(self.norm_before(x))
        projected = ops.reshape(projected, (-1, n_bands, 3, self.heads, size))
        query, key, value = ops.unstack(ops.transpose(projected, (2, 0, 3, 1, 4)), 3)
        # 2. Attention (n, heads, bands, bands), also by angles
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) / size**0.5
        scores = scores + ops.transpose(self.prefer(angles), (0, 3, 1, 2))
        scores = scores - 1e4 * (1 - is_band)[:, None, None]
        attention = ops.softmax(scores, axis=-1)
        # 3. Values of the bands, and of the angles to them
        of_bands = ops.transpose(ops.matmul(attention, value), (0, 2, 1, 3))
        of_angles = ops.matmul(ops.transpose(attention, (0, 2, 1, 3)), angles)
        of_angles = ops.matmul(of_angles[..., None, :], self.angle_values)[..., 0, :]
        both = [
            ops.reshape(i, (-1, n_bands, self.units)) for i in (of_bands, of_angles)
        ]
        x = x + self.combine(ops.concatenate(both, axis=-1))
        # 4. Two dense layers for each band
        return x + self.contract(self.expand(self.norm_between(x)))

    def _describe(self, normals):
        """Return Gaussians of the angles between bands, (n, bands, bands, k)."""
        cosines = ops.abs(ops.matmul(normals, ops.transpose(normals, (0, 2, 1))))
        angles = ops.arccos(ops.clip(cosines, 0.0, 1 - 1e-6)) * (180 / np.pi)
        centers = ops.linspace(0.0, 90.0, self.n_angles)
        return ops.exp(-0.5 * ((angles[..., None] - centers) / self.width) ** 2)

    def compute_output_shape(self, input_shape):
        """Return the shape of the output."""
        return input_shape[0]

    def get_config(self) -> dict:
        """Return the arguments that make the same layer again."""
        names = "units", "heads", "n_angles", "width"
        return super().get_config() | {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable("kikuchipy_spacegroup")
class PoolBands(keras.layers.Layer):
    """Mean and maximum of the features of bands."""

    def call(self, inputs):
        """Return what all bands have together.

        Parameters
        ----------
        inputs
            Features of shape (n, bands, units), and 1 for bands, 0 for none,
            of shape (n, bands).

        Returns
        -------
        pooled
            Tensor of shape (n, 2 * units).
        """
        x, is_band = inputs
        is_band = is_band[..., None]
        n = ops.maximum(ops.sum(is_band, axis=1), 1.0)
        mean = ops.sum(x * is_band, axis=1) / n
        largest = ops.max(ops.where(is_band > 0.5, x, -9.0), axis=1)
        return ops.concatenate([mean, largest], axis=-1)

    def compute_output_shape(self, input_shape):
        """Return the shape of the output."""
        return (input_shape[0][0], 2 * input_shape[0][2])

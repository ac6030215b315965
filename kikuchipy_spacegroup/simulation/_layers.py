# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers that project master patterns and record them with a camera.

They run where the network does.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from kikuchipy_spacegroup._keras import keras, ops
from kikuchipy_spacegroup.patterns._matrices import separable
from kikuchipy_spacegroup.simulation._acquisition import LOGARITHMIC, Acquisition

if TYPE_CHECKING:
    from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary


@keras.saving.register_keras_serializable("kikuchipy_spacegroup")
class ProjectPatterns(keras.layers.Layer):
    """Project master patterns onto square or rectangular detectors.

    Parameters
    ----------
    library
        Master patterns in the square Lambert projection.
    shape
        Number of rows and columns of the detector.
    **kwargs
        Keyword arguments passed on to :class:`keras.layers.Layer`.

    See Also
    --------
    kikuchipy.signals.EBSDMasterPattern.get_patterns

    Notes
    -----
    The intensity of every pixel is looked up bilinearly on the square
    Lambert projection of the upper or lower hemisphere
    :cite:`callahan2013dynamical`, as in
    :meth:`kikuchipy.signals.EBSDMasterPattern.get_patterns`.

    The master patterns are a weight of the layer, which lies on the
    device, but is not written to files.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import numpy as np
    >>> import kikuchipy_spacegroup as kpsg
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(
    ...     projection="lambert", hemisphere="both"
    ... )
    >>> library = kpsg.MasterPatternLibrary.from_signals([mp], ["Ni"], half_width=20)
    >>> rng = np.random.default_rng(1)
    >>> inputs = {
    ...     "upper": library.upper[[0, 0]],
    ...     "lower": library.lower[[0, 0]],
    ...     "orientation": kpsg.simulation.random_rotation_matrices(2, rng),
    ...     "geometry": kpsg.simulation.Geometry().sample(2, rng),
    ... }
    >>> project = kpsg.simulation.ProjectPatterns(library, (32, 48))
    >>> tuple(project.call(inputs).shape)
    (2, 32, 48)
    """

    def __init__(
        self, library: "MasterPatternLibrary", shape: tuple[int, int], **kwargs
    ) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.shape = tuple(shape)
        self.side = library.data.shape[-1]
        self.stack = self.add_weight(
            name="master_patterns",
            shape=(library.data.size,),
            dtype="float16",
            trainable=False,
            initializer="zeros",
        )
        self.stack.assign(library.data.ravel())
        self._fused_project = _fuse_steps(self._project_patterns)
        self._fused_project_strained = _fuse_steps(self._project_strained)
        self.built = True

    def call(self, inputs: Mapping):
        """Return projected patterns.

        Parameters
        ----------
        inputs
            Mapping with ``"upper"`` and ``"lower"``, indices of shape
            (n,) of images in the stack of the library,
            ``"orientation"`` of shape (n, 3, 3) with the matrices from
            the detector to the crystal frame, and ``"geometry"`` of
            shape (n, 5), see :meth:`Geometry.sample`. It may also have
            ``"partner_upper"`` and ``"partner_lower"``, images to blend
            with, and ``"partner_share"`` of shape (n,), their shares, and
            ``"strain"`` of shape (n, 3, 3), see :func:`random_strains`.

        Returns
        -------
        patterns
            Patterns of shape (n, rows, columns) and dtype float32.

        See Also
        --------
        simulate_patterns
        """
        names = ("orientation", "geometry", "upper", "lower")
        partner = ("partner_upper", "partner_lower", "partner_share")
        if partner[0] in inputs:
            names += partner
        if "strain" in inputs:
            strained = ops.matmul(inputs["strain"], inputs["orientation"])
            inputs = dict(inputs) | {"orientation": strained}
            return self._fused_project_strained(*(inputs[name] for name in names))
        return self._fused_project(*(inputs[name] for name in names))

    def _project_strained(self, orientation, geometry, upper, lower, *partner):
        """Return projected patterns if orientations are no rotations."""
        x, y, z = self._crystal_directions(orientation, geometry)
        norm = ops.rsqrt(x * x + y * y + z * z)
        directions = x * norm, y * norm, z * norm
        return self._look_at(directions, upper, lower, *partner)

    def _project_patterns(self, orientation, geometry, upper, lower, *partner):
        """Return projected patterns (n, rows, columns), blended with a partner's."""
        directions = self._crystal_directions(orientation, geometry)
        return self._look_at(directions, upper, lower, *partner)

    def _look_at(self, directions, upper, lower, *partner):
        """Return intensities (n, rows, columns) in directions of crystals."""
        x, y, z = directions
        column, row = _lambert(x, y, z)
        half = (self.side - 1) / 2
        column = (column + 1) * half
        row = (row + 1) * half
        patterns = self._interpolate_images(row, column, z >= 0, upper, lower)
        if partner:
            *others, share = partner
            other = self._interpolate_images(row, column, z >= 0, *others)
            patterns = patterns + share[:, None, None] * (other - patterns)
        return patterns

    def _interpolate_images(self, row, column, is_upper, upper, lower):
        """Return intensities (n, rows, columns) at places between pixels."""
        i = ops.clip(ops.floor(row), 0, self.side - 2)
        j = ops.clip(ops.floor(column), 0, self.side - 2)
        di, dj = row - i, column - j
        upper = ops.cast(upper, "int32")[:, None, None]
        lower = ops.cast(lower, "int32")[:, None, None]
        image = ops.where(is_upper, upper, lower)
        index = (image * self.side + ops.cast(i, "int32")) * self.side
        index = index + ops.cast(j, "int32")
        top = self._look_up(index) * (1 - dj) + self._look_up(index + 1) * dj
        index = index + self.side
        bottom = self._look_up(index) * (1 - dj) + self._look_up(index + 1) * dj
        return top * (1 - di) + bottom * di

    def _look_up(self, index):
        return ops.cast(ops.take(self.stack, index), "float32")

    def _crystal_directions(self, orientation, geometry):
        """Return x, y and z of the unit vector of every pixel, (n, rows, columns)."""
        rows, columns = self.shape
        pcx, pcy, pcz, aspect, distortion = (
            geometry[:, i, None, None] for i in range(5)
        )
        u = (ops.arange(columns, dtype="float32")[None, None, :] + 0.5) / columns
        v = (ops.arange(rows, dtype="float32")[None, :, None] + 0.5) / rows
        r2 = (2 * u - 1) ** 2 + (2 * v - 1) ** 2
        factor = 1 + distortion * r2
        # In units of the detector's height
        x = ((0.5 - pcx) + (u - 0.5) * factor) * aspect
        y = (pcy - 0.5) - (v - 0.5) * factor
        norm = ops.rsqrt(x * x + y * y + pcz * pcz)
        x, y, z = x * norm, y * norm, pcz * norm
        m = orientation[..., None, None]
        return tuple(m[:, i, 0] * x + m[:, i, 1] * y + m[:, i, 2] * z for i in range(3))

    def save_own_variables(self, store) -> None:
        """Save nothing: master patterns have files of their own."""

    def load_own_variables(self, store) -> None:
        """Load nothing: master patterns have files of their own."""


def _fuse_steps(function: Callable) -> Callable:
    """Return a function whose steps run as one, pixel by pixel.

    TensorFlow runs one step after another over all pixels unless told
    to use XLA, which is four times as fast on a CPU. JAX does so by
    itself, and PyTorch runs one step after another.
    """
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.function(function, jit_compile=True, autograph=False)


def _lambert(x, y, z):
    """Return coordinates in [-1, 1] on the square Lambert projection, x then y.

    Notes
    -----
    The mapping is equation (10) in :cite:`callahan2013dynamical`,
    scaled to half the side length 1.
    """
    # sqrt(1 - |z|) without cancellation near the poles
    radius = ops.sqrt((x * x + y * y) / (1 + ops.abs(z)))
    x_is_larger = ops.abs(x) >= ops.abs(y)
    larger = ops.where(x_is_larger, x, y)
    smaller = ops.where(x_is_larger, y, x)
    divisor = ops.where(ops.abs(larger) > 1e-12, larger, 1e-12)
    along_larger = ops.sign(larger) * radius
    along_smaller = along_larger * (4 / np.pi) * ops.arctan(smaller / divisor)
    return ops.where(x_is_larger, along_larger, along_smaller), ops.where(
        x_is_larger, along_smaller, along_larger
    )


@keras.saving.register_keras_serializable("kikuchipy_spacegroup")
class SimulateCamera(keras.layers.Layer):
    """Degrade ideal patterns as a camera would.

    Parameters
    ----------
    acquisition
        Ranges to draw from. If not given, the defaults are used.
    size
        Side length of the patterns in pixels.
    seed
        Seed of the random numbers.
    **kwargs
        Keyword arguments passed on to :class:`keras.layers.Layer`.

    See Also
    --------
    kikuchipy_spacegroup.simulation.Camera

    Notes
    -----
    Input are positive intensities of shape (n, size, size), output the
    recorded intensities of the same shape, with NaN outside apertures.
    Layers made from this one may draw otherwise: all that is random but
    noise is from :meth:`draw` and :meth:`chance`.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.simulation import SimulateCamera
    >>> rng = np.random.default_rng(1)
    >>> ideal = rng.uniform(1, 2, size=(2, 32, 32)).astype("float32")
    >>> camera = SimulateCamera(size=32)
    >>> tuple(camera.call(ideal).shape)
    (2, 32, 32)
    >>> tuple(camera.draw(2, "noise").shape)
    (2, 1, 1)
    >>> tuple(camera.chance(2, 0.5).shape)
    (2, 1, 1)
    """

    def __init__(
        self,
        acquisition: Acquisition | None = None,
        *,
        size: int = 96,
        seed: int = 0,
        **kwargs,
    ) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        if isinstance(acquisition, dict):
            acquisition = Acquisition(**acquisition)
        self.acquisition = acquisition or Acquisition()
        self.size = size
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)
        pixel = np.arange(size, dtype="float32")
        self._offset = pixel[:, None] - pixel[None, :]
        self._position = (pixel + 0.5) * 2 / size - 1

    def call(self, patterns):
        """Return recorded patterns.

        Parameters
        ----------
        patterns
            Ideal patterns of shape (n, size, size).

        Returns
        -------
        recorded
            Patterns of the same shape and dtype float32, NaN outside of
            apertures.

        See Also
        --------
        simulate_patterns
        """
        a = self.acquisition
        n = ops.shape(patterns)[0]
        signal = self._degrade_diffraction(patterns, n)
        # Width of a camera pixel in pixels of this pattern
        pixel = self.size / self.draw(n, "resolution")
        spread = ops.sqrt(
            (self.draw(n, "point_spread") * pixel) ** 2
            + ops.maximum(pixel**2 - 1, 0) / 12
        )
        signal = _standardize_patterns(self._blur_patterns(signal, spread))
        illumination = self._draw_illumination(n)
        signal = signal * self._draw_marks(n, illumination)
        strength = self.draw(n, "noise")
        noise = self._draw_noise(n, pixel) * strength
        # A camera finer than this pattern averages its noise
        noise = noise * ops.minimum(pixel, 1.0) / ops.sqrt(illumination)
        blotches = self._draw_blotches(n, "blotches") * (0.3 + strength)
        if max(a.residues) > 0:
            blotches = blotches + self._draw_blotches(n, "residues")
        signal = signal + noise + blotches + self._draw_dead_pixels(n)
        signal = self._saturate_signal(signal, n)
        raw = self.chance(n, a.raw_probability)
        background = raw * illumination + (1 - raw)
        contrast = self.draw(n, "contrast")
        return self._shade_patterns(background * (1 + contrast * signal), n)

    def _degrade_diffraction(self, patterns, n):
        """Return the standardized signal (n, size, size) of one or two grains."""
        a = self.acquisition
        patterns = ops.maximum(patterns, 0.05)
        signal = _standardize_patterns(
            ops.exp(ops.log(patterns) * self.draw(n, "gamma"))
        )
        if max(a.compression) > 0:
            strength = ops.maximum(self.draw(n, "compression"), 1e-3)
            signal = ops.tanh(strength * signal) / strength
        weight = self.draw(n, "overlap") * self.chance(n, a.overlap_probability)
        signal = signal + weight * ops.roll(signal, 1, axis=0)
        k = max(self.size // 32, 1)
        top, bottom = (
            ops.repeat(i, k, axis=1) for i in (signal[:, :1], signal[:, -1:])
        )
        up = ops.concatenate([signal[:, k:], bottom], axis=1)
        down = ops.concatenate([top, signal[:, :-k]], axis=1)
        return signal + self.draw(n, "excess_deficiency") * (up - down) / 2

    def _blur_patterns(self, patterns, sigma):
        """Return patterns (n, size, size) blurred by Gaussians of n widths."""
        sigma = ops.maximum(sigma, 0.2)
        offset = ops.convert_to_tensor(self._offset[None])
        matrix = ops.exp(-0.5 * (offset / sigma) ** 2)
        matrix = matrix / ops.sum(matrix, axis=-1, keepdims=True)
        return separable(matrix, patterns, matrix)

    def _draw_illumination(self, n):
        """Return the illumination (n, size, size) of every pixel, 1 on average."""
        x, y = self._get_grid()
        x = x - self.draw_uniform(n, (-0.4, 0.4))
        y = y - self.draw_uniform(n, (-0.4, 0.4))
        log_light = -self.draw(n, "vignetting") * (x**2 + y**2)
        log_light = log_light + self.draw(n, "tilt") * x + self.draw(n, "tilt") * y
        light = ops.exp(log_light)
        return light / ops.mean(light, axis=(1, 2), keepdims=True)

    def _draw_marks(self, n, illumination):
        """Return the share (n, size, size) of the signal that marks let through."""
        a = self.acquisition
        transmission = ops.ones_like(illumination)
        grid_x, grid_y = self._get_grid()
        has_marks = self.chance(n, a.marks_probability)
        for _ in range(3):
            radius = self.draw_log_uniform(n, (0.02, 0.15))
            x = (grid_x - self.draw_uniform(n, (-1, 1))) / radius
            y = (grid_y - self.draw_uniform(n, (-1, 1))) / radius
            depth = has_marks * self.draw(n, "marks")
            transmission = transmission * (1 - depth * ops.exp(-((x**2 + y**2) ** 2)))
        return transmission

    def _draw_noise(self, n, pixel):
        """Return noise (n, size, size) of unit variance in grains of camera pixels."""
        noise = self.draw_normal(n)
        sigma = ops.maximum(0.45 * pixel, 0.2) * ops.cast(pixel > 1.0, "float32")
        return _standardize_patterns(self._blur_patterns(noise, sigma))

    def _draw_blotches(self, n, name):
        """Return wide noise (n, size, size) of the strength of a quantity."""
        noise = self._blur_patterns(
            self.draw_normal(n), self.draw_log_uniform(n, (1.5, 10))
        )
        return _standardize_patterns(noise) * self.draw(n, name)

    def _draw_dead_pixels(self, n):
        """Return what dead pixels add, of shape (n, size, size), 0 elsewhere."""
        chance = self.draw_uniform(n, (0.0, 1.0), per_pixel=True)
        dead = ops.cast(chance < self.draw(n, "dead_pixels"), "float32")
        return dead * self.draw_uniform(n, (-4, 6))

    def _saturate_signal(self, signal, n):
        """Return the signal, of which that of some patterns is cut off on top."""
        cut = self.draw_uniform(n, (1.0, 3.0))
        cut = cut + 100 * (1 - self.chance(n, self.acquisition.saturation_probability))
        return ops.minimum(signal, cut)

    def _shade_patterns(self, patterns, n):
        """Return patterns (n, size, size) with shadows, NaN outside of apertures."""
        a = self.acquisition
        x, y = self._get_grid()
        angle = self.draw_uniform(n, (0, 2 * np.pi))
        along = x * ops.cos(angle) + y * ops.sin(angle)
        shadow = ops.cast(along > self.draw_uniform(n, (0.5, 1.0)), "float32")
        shadow = shadow * self.chance(n, a.shadow_probability)
        patterns = patterns * (1 - shadow * self.draw_uniform(n, (0.2, 0.95)))
        center_x = self.draw_uniform(n, (-0.06, 0.06))
        center_y = self.draw_uniform(n, (-0.06, 0.06))
        radius = self.draw(n, "aperture")
        beyond_rim = ops.sqrt((x - center_x) ** 2 + (y - center_y) ** 2) - radius
        has_aperture = self.chance(n, a.aperture_probability)
        penumbra = self.draw_log_uniform(n, (0.003, 0.04))
        patterns = patterns * (
            1 - 0.98 * has_aperture * ops.sigmoid(beyond_rim / penumbra)
        )
        is_masked = has_aperture * (1 - self.chance(n, 1 / 3))
        outside = is_masked * ops.cast(beyond_rim > 0, "float32")
        return ops.where(outside > 0.5, np.nan, patterns)

    def _get_grid(self):
        """Return coordinates from -1 to 1 along columns and rows."""
        position = ops.convert_to_tensor(self._position)
        return position[None, None, :], position[None, :, None]

    def draw(self, n, name: str):
        """Return random values of a quantity of the acquisition.

        Parameters
        ----------
        n
            Number of patterns.
        name
            Name of the quantity, such as ``"noise"``.

        Returns
        -------
        values
            Tensor of shape (n, 1, 1) and dtype float32.

        See Also
        --------
        chance, Acquisition
        """
        draw = self.draw_log_uniform if name in LOGARITHMIC else self.draw_uniform
        return draw(n, getattr(self.acquisition, name))

    def draw_uniform(self, n, limits, per_pixel: bool = False):
        """Return random values between limits.

        All random numbers are drawn by this method, :meth:`chance` and
        :meth:`draw_normal`. A subclass that overrides these three draws
        with another generator.

        Parameters
        ----------
        n
            Number of patterns.
        limits
            Lowest and highest value.
        per_pixel
            Whether to draw for every pixel of a pattern.

        Returns
        -------
        values
            Tensor of shape (n, 1, 1), or (n, size, size) for every pixel,
            and dtype float32.

        See Also
        --------
        draw, draw_log_uniform, draw_normal

        Examples
        --------
        >>> from kikuchipy_spacegroup.simulation import SimulateCamera
        >>> values = SimulateCamera(size=32).draw_uniform(2, (0.5, 1.0))
        >>> tuple(values.shape)
        (2, 1, 1)
        """
        low, high = limits
        shape = (n, self.size, self.size) if per_pixel else (n, 1, 1)
        value = keras.random.uniform(shape, seed=self.generator)
        return low + (high - low) * value

    def draw_log_uniform(self, n, limits):
        """Return random values between limits, uniform in their logarithm.

        Parameters
        ----------
        n
            Number of patterns.
        limits
            Lowest and highest value, both positive.

        Returns
        -------
        values
            Tensor of shape (n, 1, 1) and dtype float32.

        See Also
        --------
        draw_uniform

        Examples
        --------
        >>> from kikuchipy_spacegroup.simulation import SimulateCamera
        >>> values = SimulateCamera(size=32).draw_log_uniform(2, (0.5, 1.0))
        >>> tuple(values.shape)
        (2, 1, 1)
        """
        return ops.exp(self.draw_uniform(n, np.log(limits).astype("float32")))

    def chance(self, n, probability: float):
        """Return a random choice of patterns that something happens to.

        Parameters
        ----------
        n
            Number of patterns.
        probability
            Probability of 1, from 0 to 1.

        Returns
        -------
        happens
            Tensor of ones and zeros of shape (n, 1, 1) and dtype float32.

        See Also
        --------
        draw
        """
        value = keras.random.uniform((n, 1, 1), seed=self.generator)
        return ops.cast(value < probability, "float32")

    def draw_normal(self, n):
        """Return random numbers of the standard normal distribution.

        Parameters
        ----------
        n
            Number of patterns.

        Returns
        -------
        values
            Tensor of shape (n, size, size) and dtype float32.

        See Also
        --------
        draw_uniform

        Examples
        --------
        >>> from kikuchipy_spacegroup.simulation import SimulateCamera
        >>> values = SimulateCamera(size=32).draw_normal(2)
        >>> tuple(values.shape)
        (2, 32, 32)
        """
        return keras.random.normal((n, self.size, self.size), seed=self.generator)

    def get_config(self) -> dict:
        """Return the arguments that make the same layer again."""
        own = {"acquisition": asdict(self.acquisition), "size": self.size}
        return super().get_config() | own | {"seed": self.seed}


def _standardize_patterns(patterns):
    """Return patterns (n, rows, columns) of mean 0 and variance 1."""
    mean = ops.mean(patterns, axis=(1, 2), keepdims=True)
    patterns = patterns - mean
    variance = ops.mean(patterns**2, axis=(1, 2), keepdims=True)
    return patterns * ops.rsqrt(variance + 1e-12)


def pattern_inputs(
    *,
    blend: bool = False,
    strain: bool = False,
    centers: bool = False,
    batch_size: int | None = None,
) -> dict[str, keras.KerasTensor]:
    """Return the inputs of a graph that simulates patterns.

    Parameters
    ----------
    blend
        Whether there are inputs for master patterns to blend with.
    strain
        Whether there is an input for strains.
    centers
        Whether there is an input for projection centers as they are known,
        with errors or not at all, beside those of the geometries.
    batch_size
        Number of patterns per batch, if it is always the same.

    Returns
    -------
    inputs
        Inputs by the names that :meth:`ProjectPatterns.call` takes.

    See Also
    --------
    simulate_patterns

    Examples
    --------
    >>> from kikuchipy_spacegroup.simulation import pattern_inputs
    >>> inputs = pattern_inputs(batch_size=8)
    >>> inputs["orientation"].shape
    (8, 3, 3)
    """
    kinds = {
        "upper": ((), "int32"),
        "lower": ((), "int32"),
        "orientation": ((3, 3), "float32"),
        "geometry": ((5,), "float32"),
    }
    if blend:
        kinds |= {
            "partner_upper": ((), "int32"),
            "partner_lower": ((), "int32"),
            "partner_share": ((), "float32"),
        }
    if strain:
        kinds["strain"] = ((3, 3), "float32")
    if centers:
        kinds["projection_centers"] = ((3,), "float32")
    return {
        name: keras.Input(shape, batch_size, dtype=dtype, name=name)
        for name, (shape, dtype) in kinds.items()
    }


def simulate_patterns(
    library: "MasterPatternLibrary",
    inputs: Mapping,
    size: int,
    camera: SimulateCamera | None = None,
):
    """Return patterns projected from master patterns and recorded by a camera.

    Parameters
    ----------
    library
        Master patterns in the square Lambert projection.
    inputs
        Which master patterns, orientations and geometries, see
        :meth:`ProjectPatterns.call`: arrays, such as
        :meth:`~kikuchipy_spacegroup.training.SimulatedDataset.recipe`
        returns, or :func:`pattern_inputs` to make a graph.
    size
        Side length of the patterns in pixels.
    camera
        Layer that records them. If not given, they are ideal.

    Returns
    -------
    patterns
        Tensor of shape (n, size, size) and dtype float32, or whatever
        the camera returns.

    See Also
    --------
    pattern_inputs, ProjectPatterns, SimulateCamera

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import numpy as np
    >>> import kikuchipy_spacegroup as kpsg
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(
    ...     projection="lambert", hemisphere="both"
    ... )
    >>> library = kpsg.MasterPatternLibrary.from_signals([mp], half_width=20)
    >>> rng = np.random.default_rng(1)
    >>> recipe = {
    ...     "upper": library.upper[[0, 0]],
    ...     "lower": library.lower[[0, 0]],
    ...     "orientation": kpsg.simulation.random_rotation_matrices(2, rng),
    ...     "geometry": kpsg.simulation.Geometry().sample(2, rng),
    ... }
    >>> camera = kpsg.simulation.SimulateCamera(size=32)
    >>> patterns = kpsg.simulation.simulate_patterns(library, recipe, 32, camera)
    >>> tuple(patterns.shape)
    (2, 32, 32)
    """
    ideal = ProjectPatterns(library, (size, size), name="project")(inputs)
    return ideal if camera is None else camera(ideal)

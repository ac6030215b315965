# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Project master patterns onto detectors, where the network runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kikuchipy_spacegroup._keras import keras, ops

if TYPE_CHECKING:
    from kikuchipy.detectors import EBSDDetector
    from orix.quaternion import Rotation

    from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary


@dataclass(frozen=True)
class Geometry:
    """Ranges of detector geometries to draw training patterns from.

    Parameters
    ----------
    pcx, pcy, pcz
        Lowest and highest projection center in Bruker's convention, as
        fractions of the side of a square pattern: x from the left, y
        from the top, and z the distance from the sample.
    distortion
        Lowest and highest coefficient of radial lens distortion,
        :math:`r' = r (1 + k r^2)` with r = 1 at half the side.
    stretch
        Largest relative difference between the width and the height of
        a pixel.

    See Also
    --------
    kikuchipy.detectors.EBSDDetector

    Notes
    -----
    The tilts of sample and detector do not enter: with orientations
    drawn uniformly from SO(3), they change nothing.

    Examples
    --------
    >>> from kikuchipy_spacegroup import Geometry
    >>> Geometry(pcz=(0.5, 0.6)).pcz
    (0.5, 0.6)
    """

    pcx: tuple[float, float] = (0.35, 0.65)
    pcy: tuple[float, float] = (0.0, 0.6)
    pcz: tuple[float, float] = (0.38, 1.0)
    distortion: tuple[float, float] = (-0.03, 0.03)
    stretch: float = 0.03

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return random geometries.

        Parameters
        ----------
        n
            Number of geometries.
        rng
            Random number generator.

        Returns
        -------
        geometry
            Array of shape (n, 5) and dtype float32 with the columns
            PCx, PCy, PCz, aspect (pixel width over height) and lens
            distortion.

        See Also
        --------
        detector_parameters
        kikuchipy.detectors.EBSDDetector

        Examples
        --------
        >>> import numpy as np
        >>> from kikuchipy_spacegroup import Geometry
        >>> geometry = Geometry(pcx=(0.5, 0.5), stretch=0)
        >>> geometry.sample(2, np.random.default_rng(1))[:, [0, 3]]
        array([[0.5, 1. ],
               [0.5, 1. ]], dtype=float32)
        """
        low, high = np.log(self.pcz)
        columns = [
            rng.uniform(*self.pcx, n),
            rng.uniform(*self.pcy, n),
            np.exp(rng.uniform(low, high, n)),
            1 + rng.uniform(-self.stretch, self.stretch, n),
            rng.uniform(*self.distortion, n),
        ]
        return np.stack(columns, axis=1).astype("float32")


def random_rotation_matrices(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return rotation matrices drawn uniformly from SO(3).

    Parameters
    ----------
    n
        Number of matrices.
    rng
        Random number generator.

    Returns
    -------
    matrices
        Array of shape (n, 3, 3) and dtype float32.

    Notes
    -----
    A normalised vector of four normal deviates is a uniformly
    distributed unit quaternion :cite:`muller1959note`.
    """
    q = rng.normal(size=(n, 4))
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    matrices = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(matrices), 2, 0).astype("float32")


def detector_parameters(
    rotations: "Rotation", detector: "EBSDDetector"
) -> tuple[np.ndarray, np.ndarray]:
    """Return what :class:`ProjectPatterns` needs for given orientations.

    Parameters
    ----------
    rotations
        Rotations from the sample to the crystal reference frame of
        shape (n,).
    detector
        Detector with one projection center or one per rotation.

    Returns
    -------
    orientation
        Matrices from the detector to the crystal frame of shape
        (n, 3, 3) and dtype float32.
    geometry
        Array of shape (n, 5) and dtype float32, see
        :meth:`Geometry.sample`.

    See Also
    --------
    kikuchipy.detectors.EBSDDetector
    """
    # Gnomonic detector frame: X_d right, Y_d up, Z_d along the view
    sample_to_detector = detector.sample_to_detector.to_matrix().squeeze()
    orientation = rotations.flatten().to_matrix() @ sample_to_detector.T
    n = orientation.shape[0]
    pc = np.broadcast_to(detector.pc_flattened, (n, 3))
    geometry = np.column_stack([pc, np.full(n, detector.aspect_ratio), np.zeros(n)])
    return orientation.astype("float32"), geometry.astype("float32")


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
        self._fused_project = _fused(self._project)
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
            with, and ``"partner_share"`` of shape (n,), their shares.

        Returns
        -------
        patterns
            Patterns of shape (n, rows, columns) and dtype float32.
        """
        names = ("orientation", "geometry", "upper", "lower")
        partner = ("partner_upper", "partner_lower", "partner_share")
        if partner[0] in inputs:
            names += partner
        return self._fused_project(*(inputs[name] for name in names))

    def _project(self, orientation, geometry, upper, lower, *partner):
        x, y, z = self._crystal_directions(orientation, geometry)
        column, row = _lambert(x, y, z)
        half = (self.side - 1) / 2
        column = (column + 1) * half
        row = (row + 1) * half
        patterns = self._interpolate(row, column, z >= 0, upper, lower)
        if partner:
            *others, share = partner
            other = self._interpolate(row, column, z >= 0, *others)
            patterns = patterns + share[:, None, None] * (other - patterns)
        return patterns

    def _interpolate(self, row, column, is_upper, upper, lower):
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
        """Return the three components of unit vectors of every pixel."""
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


def _fused(function: Callable) -> Callable:
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
    """Return coordinates in [-1, 1] on the square Lambert projection.

    Notes
    -----
    The mapping is equation (10) in :cite:`callahan2013dynamical`,
    scaled to half the side length 1.
    """
    # sqrt(1 - |z|) without cancellation near the poles
    radius = ops.sqrt((x * x + y * y) / (1 + ops.abs(z)))
    wide = ops.abs(x) >= ops.abs(y)
    large = ops.where(wide, x, y)
    small = ops.where(wide, y, x)
    safe = ops.where(ops.abs(large) > 1e-12, large, 1e-12)
    first = ops.sign(large) * radius
    second = first * (4 / np.pi) * ops.arctan(small / safe)
    return ops.where(wide, first, second), ops.where(wide, second, first)

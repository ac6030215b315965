# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orientations and detectors to simulate patterns for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kikuchipy_spacegroup.space_groups import coarsen

if TYPE_CHECKING:
    from kikuchipy.detectors import EBSDDetector
    from orix.quaternion import Rotation


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
    >>> from kikuchipy_spacegroup.simulation import Geometry
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
        >>> from kikuchipy_spacegroup.simulation import Geometry
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

    See Also
    --------
    orix.quaternion.Rotation

    Notes
    -----
    A normalized vector of four normal deviates is a uniformly
    distributed unit quaternion :cite:`muller1959note`.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.simulation import random_rotation_matrices
    >>> matrices = random_rotation_matrices(2, np.random.default_rng(1))
    >>> np.allclose(matrices @ matrices.transpose(0, 2, 1), np.eye(3), atol=1e-6)
    True
    """
    q = rng.normal(size=(n, 4))
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    matrices = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(matrices), 2, 0).astype("float32")


def random_strains(
    space_groups: Sequence[int] | np.ndarray, scale: float, rng: np.random.Generator
) -> np.ndarray:
    """Return random strains that leave a crystal its space group.

    Parameters
    ----------
    space_groups
        Space group numbers of n crystals in standard settings (unique axis b,
        hexagonal axes).
    scale
        Standard deviation of the logarithm of a stretch along one axis,
        relative to another in uniaxial crystals 1.5 times that.
    rng
        Random number generator.

    Returns
    -------
    strains
        Symmetric matrices in the Cartesian frame of the lattice, with z
        along c or c* and y along b or b*, of shape (n, 3, 3) and dtype
        float32. Those of cubic crystals are unity.

    See Also
    --------
    random_rotation_matrices, kikuchipy_spacegroup.training.SimulatedDataset

    Notes
    -----
    A strain commutes with all rotations of the crystal system: of uniaxial
    crystals it changes c/a, of orthorhombic ones the ratios of edges, of
    monoclinic ones the angle also, and of triclinic ones everything. A
    strained master pattern is that of another lattice with the same
    symmetry, but that the widths of bands are not those of its spacings.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.simulation import random_strains
    >>> strains = random_strains([225, 194], 0.1, np.random.default_rng(1))
    >>> strains.round(2)[0].tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    >>> print(np.diag(strains[1]).round(2))
    [1.   1.   0.92]
    """
    systems = coarsen(np.asarray(space_groups), "crystal_system")
    n = len(systems)
    drawn = rng.normal(0, scale, (n, 6))
    logarithms = np.zeros((n, 3, 3))
    uniaxial = np.isin(systems, ("tetragonal", "trigonal", "hexagonal"))
    logarithms[uniaxial, 2, 2] = 1.5 * drawn[uniaxial, 0]
    # Index pairs of the six components, and the systems that have them free
    systems_of = {
        ((0, 0), (1, 1), (2, 2)): ("orthorhombic", "monoclinic", "triclinic"),
        ((0, 2),): ("monoclinic", "triclinic"),
        ((0, 1), (1, 2)): ("triclinic",),
    }
    column = 0
    for pairs, names in systems_of.items():
        has = np.isin(systems, names)
        for i, j in pairs:
            logarithms[has, i, j] = logarithms[has, j, i] = drawn[has, column]
            column += 1
    # Exponential of symmetric matrices
    values, vectors = np.linalg.eigh(logarithms)
    strains = (vectors * np.exp(values)[:, None]) @ vectors.swapaxes(1, 2)
    return strains.astype("float32")


def detector_parameters(
    rotations: "Rotation", detector: "EBSDDetector"
) -> tuple[np.ndarray, np.ndarray]:
    """Return matrices and geometries of a detector for given orientations.

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

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.simulation import detector_parameters
    >>> s = kp.data.nickel_ebsd_small()
    >>> orientation, geometry = detector_parameters(s.xmap.rotations, s.detector)
    >>> orientation.shape, geometry.shape
    ((9, 3, 3), (9, 5))
    """
    # Gnomonic detector frame: X_d right, Y_d up, Z_d along the view
    sample_to_detector = detector.sample_to_detector.to_matrix().squeeze()
    orientation = rotations.flatten().to_matrix() @ sample_to_detector.T
    n = orientation.shape[0]
    pc = np.broadcast_to(detector.pc_flattened, (n, 3))
    geometry = np.column_stack([pc, np.full(n, detector.aspect_ratio), np.zeros(n)])
    return orientation.astype("float32"), geometry.astype("float32")

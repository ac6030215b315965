# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulate scans of which the truth is known."""

from collections.abc import Sequence
from contextlib import nullcontext
import math
from typing import TYPE_CHECKING
from uuid import uuid4

import dask.array as da
from dask.diagnostics import ProgressBar
from kikuchipy.detectors import EBSDDetector
from kikuchipy.signals import EBSD, EBSDMasterPattern, LazyEBSD
import numpy as np

from kikuchipy_spacegroup._progress import shows_progressbar
from kikuchipy_spacegroup.maps._copy_map import copy_of
from kikuchipy_spacegroup.simulation._camera import Camera
from kikuchipy_spacegroup.simulation._microstructure import random_map
from kikuchipy_spacegroup.simulation._scan_simulator import (
    Points,
    check_detector,
    standardized_masters,
)

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

# Memory of the patterns of a block in double precision
_CHUNK_BYTES = 8 * 2**20
_DTYPES = ("uint8", "uint16", "float32")


def simulate_scan(
    master_patterns: Sequence[EBSDMasterPattern],
    shape: tuple[int, int] = (60, 80),
    *,
    phase_fractions: Sequence[float] | None = None,
    grain_size: float = 12.0,
    orientation_spread: float = 0.5,
    overlap: float = 1.0,
    step_size: float = 1.0,
    detector: EBSDDetector | None = None,
    pc_drift: tuple[float, float, float] = (0.005, 0.005, 0.002),
    camera: Camera | None = None,
    energy: float | None = None,
    dtype: str = "uint8",
    seed: int = 0,
    lazy: bool = False,
    show_progressbar: bool | None = None,
) -> EBSD:
    """Return a scan of random grains with its truth.

    Parameters
    ----------
    master_patterns
        Master patterns of the phases in the square Lambert projection.
        Their phases must have different names.
    shape
        Number of rows and columns of the scan.
    phase_fractions, grain_size, orientation_spread, overlap, step_size
        See :func:`~kikuchipy_spacegroup.simulation.random_map`.
    detector
        Detector with one projection center (PC) or one per point. If not
        given, patterns have 60 x 60 pixels and the PC is
        (0.5, 0.3, 0.6) in Bruker's convention.
    pc_drift
        How far the PC (x, y, z) moves from the first to the last point,
        row by row and as steadily as time goes by, about that of the
        detector.
    camera, energy, dtype, seed, lazy, show_progressbar
        See :func:`simulate_scan_from_map`.

    Returns
    -------
    signal
        See :func:`simulate_scan_from_map`.

    Raises
    ------
    ValueError
        If a master pattern, the detector or a number does not fit.

    See Also
    --------
    kikuchipy_spacegroup.master_patterns.simulate_master_pattern
    kikuchipy.signals.EBSDMasterPattern.get_patterns

    Examples
    --------
    Austenite and ferrite from their structures, without any file

    >>> from diffpy.structure import Atom, Lattice, Structure
    >>> from orix.crystal_map import Phase
    >>> import kikuchipy_spacegroup as kpsg
    >>> iron = [Atom("Fe", [0, 0, 0])]
    >>> austenite = Phase(
    ...     "austenite",
    ...     space_group=225,
    ...     structure=Structure(iron, Lattice(3.65, 3.65, 3.65, 90, 90, 90)),
    ... )
    >>> ferrite = Phase(
    ...     "ferrite",
    ...     space_group=229,
    ...     structure=Structure(iron, Lattice(2.87, 2.87, 2.87, 90, 90, 90)),
    ... )
    >>> mp = [
    ...     kpsg.simulate_master_pattern(phase, half_width=50)
    ...     for phase in (austenite, ferrite)
    ... ]
    >>> s = kpsg.simulate_scan(
    ...     mp, (10, 15), grain_size=5, camera=kpsg.Camera(dose=100),
    ...     show_progressbar=False,
    ... )
    >>> s
    <EBSD, title: austenite, ferrite, dimensions: (15, 10|60, 60)>
    >>> s.xmap.phases.names
    ['austenite', 'ferrite']
    """
    masters = standardized_masters(master_patterns, energy)
    if detector is None:
        detector = EBSDDetector(shape=(60, 60), pc=(0.5, 0.3, 0.6), sample_tilt=70)
    xmap = random_map(
        [master.phase for master in masters.values()],
        shape,
        phase_fractions=phase_fractions,
        grain_size=grain_size,
        orientation_spread=orientation_spread,
        overlap=overlap,
        step_size=step_size,
        seed=seed,
    )
    return _simulate_map(
        xmap,
        masters,
        _move_projection_center(detector, xmap.shape, pc_drift),
        camera or Camera(),
        dtype=dtype,
        seed=seed,
        lazy=lazy,
        show_progressbar=show_progressbar,
    )


def simulate_scan_from_map(
    xmap: "CrystalMap",
    master_patterns: Sequence[EBSDMasterPattern],
    detector: EBSDDetector,
    *,
    camera: Camera | None = None,
    energy: float | None = None,
    dtype: str = "uint8",
    seed: int = 0,
    lazy: bool = False,
    show_progressbar: bool | None = None,
) -> EBSD:
    r"""Return the scan a camera would record of a map.

    Parameters
    ----------
    xmap
        Map with phases and orientations. Points which are not indexed
        (-1) give the background without diffraction. Patterns overlap
        if it has the properties ``purity`` and ``mixed_with``, see
        :func:`~kikuchipy_spacegroup.simulation.overlap_grains`.
    master_patterns
        Master patterns in the square Lambert projection, one per phase
        in the map, found by the names of their phases.
    detector
        Detector with one projection center (PC) or one per point.
    camera
        The camera. If not given, it is ``Camera()``.
    energy
        Beam energy in keV, of which the nearest is used of master
        patterns with several. If not given, it is the highest.
    dtype
        Data type of the patterns: ``"uint8"``, ``"uint16"`` or
        ``"float32"``. As floats, intensities are in units of the mean
        intensity.
    seed
        Seed of the noise.
    lazy
        Whether patterns are simulated when they are asked for.
    show_progressbar
        Whether to show a progress bar. If not given, the value of
        :obj:`hyperspy.api.preferences.General.show_progressbar` is
        used.

    Returns
    -------
    signal
        Raw patterns with their static background. ``signal.xmap`` is
        a copy of the map, and ``signal.detector`` of the detector.

    Raises
    ------
    ValueError
        If the map, a master pattern, the detector or a number does not
        fit.

    See Also
    --------
    simulate_scan
    kikuchipy_spacegroup.simulation.overlap_grains
    kikuchipy.signals.EBSDMasterPattern.get_patterns

    Notes
    -----
    Master patterns are brought to a mean of 0 and a standard deviation
    of 1 over the sphere, and patterns :math:`p` projected from them are
    mixed where grains overlap. With the contrast :math:`c`, the dose
    :math:`N` and the background :math:`b` with a mean of 1, the expected
    number of electrons in a pixel is :math:`N b (1 + c p)`, which is
    counted with Poisson statistics. The gain is the same for the whole
    scan.

    Noise depends on the seed and the point only: a scan is the same,
    lazy or not.

    Examples
    --------
    The real scan in kikuchipy, with less noise

    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(
    ...     projection="lambert", hemisphere="both"
    ... )
    >>> kpsg.simulation.simulate_scan_from_map(
    ...     s.xmap, [mp], s.detector, camera=kpsg.Camera(dose=1e4),
    ...     show_progressbar=False,
    ... )
    <EBSD, title: ni, dimensions: (3, 3|60, 60)>
    """
    return _simulate_map(
        xmap,
        standardized_masters(master_patterns, energy),
        detector,
        camera or Camera(),
        dtype=dtype,
        seed=seed,
        lazy=lazy,
        show_progressbar=show_progressbar,
    )


def _move_projection_center(
    detector: EBSDDetector, shape: tuple[int, ...], drift: tuple[float, float, float]
) -> EBSDDetector:
    """Return a detector whose projection center moves with time."""
    distance = np.asarray(drift, dtype="float64")
    if distance.shape != (3,) or not (np.abs(distance) < 1).all():
        raise ValueError(f"pc_drift must be three numbers within -1 to 1, not {drift}")
    check_detector(detector, shape)
    n = math.prod(shape)
    if n == 1 or not distance.any():
        return detector
    time = np.linspace(-0.5, 0.5, n).reshape((*shape, 1))
    moving = detector.deepcopy()
    pc = detector.pc if detector.navigation_shape == shape else detector.pc_flattened
    moving.pc = pc + time * distance
    return moving


def _simulate_map(
    xmap: "CrystalMap",
    masters: dict[str, EBSDMasterPattern],
    detector: EBSDDetector,
    camera: Camera,
    *,
    dtype: str,
    seed: int,
    lazy: bool,
    show_progressbar: bool | None,
) -> EBSD:
    """Return the scan of a map."""
    if np.dtype(dtype).name not in _DTYPES:
        raise ValueError(f"dtype must be one of {_DTYPES}, not {dtype!r}")
    dtype = np.dtype(dtype)
    points = Points(xmap, masters, detector, camera, dtype, seed)
    n_dims, sig_shape = xmap.ndim, detector.shape
    chunks = da.core.normalize_chunks(
        ("auto",) * n_dims + (-1, -1),
        shape=xmap.shape + sig_shape,
        limit=_CHUNK_BYTES,
        dtype="float64",
    )
    index = np.arange(xmap.size).reshape(xmap.shape)
    patterns = da.map_blocks(
        points.patterns,
        da.from_array(index, chunks=chunks[:-2], name=False),
        dtype=dtype,
        chunks=chunks,
        new_axis=(n_dims, n_dims + 1),
        meta=np.empty((0,) * (n_dims + 2), dtype),
        name=f"simulate-scan-{uuid4().hex}",
    )
    if not lazy:
        shown = shows_progressbar(show_progressbar)
        with ProgressBar() if shown else nullcontext():
            patterns = patterns.compute()
    step = {"x": xmap.dx, "y": xmap.dy}
    names = ["y", "x"] if n_dims == 2 else [i for i in "xy" if step[i]][:n_dims]
    axes = [{"name": i, "scale": step[i], "units": xmap.scan_unit} for i in names]
    axes += [{"name": i, "scale": 1.0, "units": "px"} for i in ("dy", "dx")]
    signal = (LazyEBSD if lazy else EBSD)(
        patterns,
        axes=[axis | {"size": n} for axis, n in zip(axes, patterns.shape)],
        detector=detector.deepcopy(),
        static_background=camera.digitize(points.background, points.background, dtype),
        xmap=copy_of(xmap),
    )
    signal.metadata.set_item("General.title", ", ".join(points.names))
    return signal

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read master patterns stored as spherical harmonics (.sht files).

The meaning of the coefficients is that in ``EMsoft-org/EMSphInx``
:cite:`lenthe2019spherical`.
"""

from functools import lru_cache
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from kikuchipy_spacegroup.io._sht_file import Content, read_sht, to_phase

if TYPE_CHECKING:
    from kikuchipy.signals import EBSDMasterPattern

_logger = logging.getLogger(__name__)

_LEGENDRE_GRID = 2


def load_sht(
    path: str | Path,
    *,
    half_width: int = 150,
    correct_latitude: bool | Literal["auto"] = "auto",
) -> "EBSDMasterPattern":
    """Load a master pattern stored as spherical harmonics.

    Parameters
    ----------
    path
        Path to a ``.sht`` file, e.g. from the repository
        ``EMsoft-org/SHTdatabase``.
    half_width
        Number of pixels between the center and the edge of the returned
        square maps. The default of 150 suits the bandwidth of 384 of
        the files in that repository: more pixels only interpolate.
    correct_latitude
        Whether to undo a shift of the latitudes by one grid ring in
        files written by EMsoft's program ``EMEBSDmasterSHT``: ``True``,
        ``False``, or, by default, ``"auto"``: where the grid in the
        file is that program's. See *Notes*.

    Returns
    -------
    master_pattern
        Master pattern in the square Lambert projection with data of
        shape (2, 2 * half_width + 1, 2 * half_width + 1), the upper
        hemisphere first, and dtype float32. Intensities have a mean of
        about 0 and a standard deviation of about 1 in each hemisphere,
        since the files lack absolute values. They are weighted averages
        over the energies of the backscattered electrons. The lattice
        parameters of the phase are in angstrom, other than in EMsoft's
        HDF5 files.

    Raises
    ------
    ImportError
        If the package ducc0 is not installed.
    ValueError
        If the file is not a ``.sht`` file, is damaged or incomplete, or
        holds something that is not an EBSD master pattern of one
        crystal; or if *half_width* or *correct_latitude* is not valid.

    See Also
    --------
    kikuchipy.load
    kikuchipy.signals.EBSDMasterPattern

    Notes
    -----
    ``EMEBSDmasterSHT`` simulates on rings of a square Legendre grid of
    half width d at the latitudes of the previous ring. With the
    colatitudes :math:`\\theta_k` of the zeros of the Legendre polynomial
    of degree 2d - 1, the value at :math:`\\theta_{k-1}` is therefore
    found at :math:`\\theta_k` (0.47 degrees off for d = 193). The ring
    next to the pole is wrong and is replaced here by a parabola through
    its neighbors. The correction is made if the file says that its grid
    is of this type with d equal to half the bandwidth plus one.

    Examples
    --------
    >>> from kikuchipy_spacegroup.io import load_sht
    >>> mp = load_sht("Ni.sht")  # doctest: +SKIP
    >>> mp  # doctest: +SKIP
    <EBSDMasterPattern, title: Ni, dimensions: (2|301, 301)>
    """
    if correct_latitude not in ("auto", True, False):
        raise ValueError(
            f"correct_latitude={correct_latitude!r} is not one of 'auto', True and "
            "False. Leave it out to have it found from the file."
        )
    if not isinstance(half_width, (int, np.integer)) or not 2 <= half_width <= 4096:
        raise ValueError(
            f"half_width={half_width!r} is not an integer between 2 and 4096. Leave it "
            "out to have 150."
        )
    path = Path(path)
    content = read_sht(path)
    if correct_latitude == "auto":
        correct_latitude = (
            content.grid_type == _LEGENDRE_GRID
            and content.half_width == content.bandwidth // 2 + 1
        )
    data = _expand_harmonics(content, int(half_width), bool(correct_latitude))
    _logger.info("Read %s (latitudes corrected: %s)", path, correct_latitude)
    return _to_signal(data, content, path, bool(correct_latitude))


def _import_ducc0():
    """Return the module ducc0, or raise an error that says how to get it."""
    try:
        import ducc0
    except ImportError as error:
        raise ImportError(
            "Expanding spherical harmonics needs the package ducc0. Install it with "
            "'pip install kikuchipy-spacegroup[simulate]'."
        ) from error
    return ducc0


def _describe_rings(theta: np.ndarray, nphi: np.ndarray, bandwidth: int) -> dict:
    """Return the rings on the sphere as ducc0 describes them."""
    n = np.asarray(nphi, dtype="uint64")
    return {
        "theta": np.asarray(theta, dtype="float64"),
        "nphi": n,
        "phi0": np.zeros(n.size),
        "ringstart": np.concatenate([[0], np.cumsum(n)[:-1]]).astype("uint64"),
        "lmax": bandwidth - 1,
        "spin": 0,
        "nthreads": 1,
    }


def _expand_harmonics(content: Content, half_width: int, correct: bool) -> np.ndarray:
    """Return maps of shape (2, n, n) from coefficients.

    The pixels of the square Lambert projection lie on rings of equal
    latitude, k of them away from the center having 8k points at equal
    distances in azimuth :cite:`callahan2013dynamical`.
    """
    synthesis = _import_ducc0().sht.synthesis
    k = np.arange(half_width + 1)
    theta = np.arccos(1 - (k / half_width) ** 2)
    nphi = np.maximum(8 * k, 1)
    alm = content.alm
    theta_in_file = theta
    if correct:
        alm = _repair_pole_rings(alm, content.bandwidth)
        theta_in_file = theta + _latitude_shift(theta, content.bandwidth)
    rings = _describe_rings(
        np.concatenate([theta_in_file, np.pi - theta_in_file]),
        np.concatenate([nphi, nphi]),
        content.bandwidth,
    )
    points = synthesis(alm=alm[np.newaxis], **rings)[0].reshape(2, -1)
    if correct:
        squared = theta[1:3] ** 2
        for hemisphere in points:
            means = hemisphere[1:9].mean(), hemisphere[9:25].mean()
            hemisphere[0] = _extrapolate_to_pole(means, squared)
    return points[:, _pixels_to_points(half_width)].astype("float32", order="C")


def _extrapolate_to_pole(means: tuple[float, float], squared: np.ndarray) -> float:
    """Return a parabola in colatitude through two rings, at the pole."""
    return means[0] + (means[0] - means[1]) * squared[0] / (squared[1] - squared[0])


@lru_cache(maxsize=4)
def _pixels_to_points(half_width: int) -> np.ndarray:
    """Return the index of every pixel into the points on all rings, of shape (n, n)."""
    y, x = np.mgrid[-half_width : half_width + 1, -half_width : half_width + 1]
    k = np.maximum(np.abs(x), np.abs(y))
    # Points are counted counter-clockwise from phi = 0 along each ring
    along_y = np.where(x > 0, y, 4 * k - y) % np.maximum(8 * k, 1)
    along_x = np.where(y > 0, 2 * k - x, 6 * k + x)
    index = np.where(np.abs(y) <= np.abs(x), along_y, along_x)
    return np.where(k > 0, 1 + 4 * k * (k - 1) + index, 0)


@lru_cache(maxsize=4)
def _legendre_rings(bandwidth: int) -> tuple[np.ndarray, float]:
    """Return colatitudes of the rings down to the equator, without the
    pole, and the weight of the first in a Gauss-Legendre quadrature.
    """
    from scipy.special import roots_legendre

    half_width = bandwidth // 2 + 1
    nodes, weights = roots_legendre(2 * half_width - 1)
    return np.arccos(nodes[::-1][:half_width]), float(weights[0])


def _latitude_shift(theta: np.ndarray, bandwidth: int) -> np.ndarray:
    """Return how much further from the pole than *theta*, up to the
    equator, the file has what belongs to *theta*.
    """
    rings, _ = _legendre_rings(bandwidth)
    true, shift = rings[:-2], np.diff(rings)[:-1]
    return np.interp(theta, [*true, np.pi / 2], [*shift, 0])


def _repair_pole_rings(alm: np.ndarray, bandwidth: int) -> np.ndarray:
    """Return coefficients with the wrong rings around both poles
    replaced by values extrapolated from the next two.
    """
    sht = _import_ducc0().sht
    theta, weight = _legendre_rings(bandwidth)
    north = theta[:3]
    rings = _describe_rings(
        np.concatenate([north, np.pi - north]), [8, 16, 24, 8, 16, 24], bandwidth
    )
    points = sht.synthesis(alm=alm[np.newaxis], **rings)[0].reshape(2, -1)
    # Rings 2 and 3 hold what belongs to the latitudes of rings 1 and 2
    squared = north[:2] ** 2
    poles = [
        _extrapolate_to_pole((p[8:24].mean(), p[24:].mean()), squared) for p in points
    ]
    residuals = np.array(poles)[:, np.newaxis] - points[:, :8]
    pole_rings = _describe_rings([north[0], np.pi - north[0]], [8, 8], bandwidth)
    correction = sht.adjoint_synthesis(map=residuals.reshape(1, -1), **pole_rings)[0]
    return alm + correction * (2 * np.pi / 8 * weight)


def _to_signal(
    data: np.ndarray, content: Content, path: Path, corrected: bool
) -> "EBSDMasterPattern":
    """Return the signal of data (2, n, n) with the metadata of a file."""
    from kikuchipy.signals import EBSDMasterPattern

    n = data.shape[-1]
    axes = [{"name": "hemisphere", "size": 2, "scale": 1, "offset": 0, "units": ""}]
    for name in ("height", "width"):
        offset = -n // 2  # As kikuchipy has it
        axes.append(
            {"name": name, "size": n, "scale": 1, "offset": offset, "units": "px"}
        )
    sem = {"beam_energy": content.energy, "Stage": {"tilt_alpha": content.tilt}}
    metadata = {
        "General": {
            "title": path.stem,
            "original_filename": path.name,
            "doi": content.doi,
        },
        "Acquisition_instrument": {"SEM": sem},
        "Simulation": {
            "modality": content.modality,
            "bandwidth": content.bandwidth,
            "latitude_corrected": corrected,
            "absolute_intensities": False,
        },
    }
    return EBSDMasterPattern(
        data,
        axes=axes,
        metadata=metadata,
        original_metadata=content.texts,
        phase=to_phase(content, path),
        projection="lambert",
        hemisphere="both",
    )

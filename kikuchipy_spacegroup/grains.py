# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the grains of a scan."""

from kikuchipy.signals import EBSD
import numpy as np
from orix.crystal_map import CrystalMap
from orix.quaternion import Orientation
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from kikuchipy_spacegroup._checks import check_mask, check_signal
from kikuchipy_spacegroup._map_like import neighbours, pairs

# Pairs of points per step, to save memory
_PAIRS = 200_000


def grains_from_orientations(xmap: CrystalMap, *, tolerance: float = 5.0) -> np.ndarray:
    """Return the grains of an indexed scan.

    Parameters
    ----------
    xmap
        Map with orientations, from Hough or dictionary indexing, say.
    tolerance
        Largest misorientation in degrees of two neighbours in a grain.

    Returns
    -------
    labels
        Integer array of shape (n,) with the grain of each of the n
        points in the data, numbered from 0. -1 for points that are not
        indexed.

    Raises
    ------
    ValueError
        If there are no orientations, or a phase has no point group.

    Notes
    -----
    Up to four neighbours of a point above, below, left and right of it
    are in its grain if they are of the same phase and not misoriented
    by more than the tolerance, all symmetrically equivalent rotations
    considered.

    See Also
    --------
    grains_from_patterns
    kikuchipy_spacegroup.pooling.pool_grains

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.grains import grains_from_orientations
    >>> s = kp.data.nickel_ebsd_small()
    >>> s.xmap.get_map_data(grains_from_orientations(s.xmap)).astype(int)
    array([[0, 1, 1],
           [0, 1, 1],
           [0, 1, 1]])
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance must be above 0 degrees, not {tolerance}")
    phase_id = xmap.phase_id
    rotations = xmap.rotations.reshape(xmap.size, -1)[:, 0]
    if xmap.size > 1 and np.allclose(rotations.angle, 0):
        raise ValueError(
            "All rotations of the map are identity, so it has no orientations. Give a "
            "map from indexing, or use `grains_from_patterns()`"
        )
    first, second = neighbours(xmap)
    same = (phase_id[first] == phase_id[second]) & (phase_id[first] != -1)
    first, second = first[same], second[same]
    inside = np.zeros(len(first), dtype=bool)
    for i in np.unique(phase_id[phase_id != -1]).tolist():
        phase = xmap.phases[i]
        if phase.point_group is None:
            raise ValueError(f"Phase {phase.name!r} of the map has no point group")
        pairs = np.flatnonzero(phase_id[first] == i)
        for part in np.split(pairs, range(_PAIRS, len(pairs), _PAIRS)):
            a, b = (
                Orientation(rotations[j[part]], symmetry=phase.point_group)
                for j in (first, second)
            )
            inside[part] = a.angle_with(b, degrees=True) <= tolerance
    return _components(first[inside], second[inside], phase_id != -1)


def grains_from_patterns(
    signal: EBSD,
    *,
    threshold: float = 0.7,
    navigation_mask: np.ndarray | None = None,
    show_progressbar: bool | None = None,
) -> np.ndarray:
    r"""Return the grains of a scan from how alike its patterns are.

    Neither phases nor orientations need to be known.

    Parameters
    ----------
    signal
        Scan with one or two navigation dimensions. Remove the static
        and dynamic background before, as it is alike in all patterns.
    threshold
        Lowest correlation of two neighbours in a grain.
    navigation_mask
        Boolean array of the navigation shape, True for points that are
        left out.
    show_progressbar
        Whether to show a progress bar. If not given, the value of
        ``hyperspy.api.preferences.General.show_progressbar`` is used.

    Returns
    -------
    labels
        Integer array of the navigation shape with the grain of each
        point, numbered from 0. -1 for points that are left out and for
        constant patterns.

    Raises
    ------
    ValueError
        If the mask or the threshold does not fit.

    Notes
    -----
    Patterns are compared by the normalized dot product :math:`s_{ij}`
    from
    :meth:`~kikuchipy.signals.EBSD.get_neighbour_dot_product_matrices`.
    Noise makes it smaller, the more the noisier a phase or grain is, and
    is corrected for by what a point and its best neighbour have in
    common, :math:`m_i = \max_j s_{ij}`, :cite:`spearman1904proof`

    .. math::

        r_{ij} = \frac{s_{ij}}{\sqrt{m_i m_j}}

    with :math:`m_i` not below a third of its median. Neighbours are in one
    grain if :math:`r_{ij}` is not below the threshold. Lower it if
    grains are deformed and fall to pieces.

    See Also
    --------
    grains_from_orientations
    kikuchipy_spacegroup.pooling.pool_grains

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.grains import grains_from_patterns
    >>> s = kp.data.nickel_ebsd_small()
    >>> s.remove_static_background(show_progressbar=False)
    >>> s.remove_dynamic_background(show_progressbar=False)
    >>> grains_from_patterns(s, show_progressbar=False)
    array([[0, 1, 1],
           [0, 1, 1],
           [0, 1, 1]])
    """
    shape, _ = check_signal(signal)
    mask = check_mask(navigation_mask, shape, "navigation_mask")
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must be between 0 and 1, not {threshold}")
    wanted = np.ones(shape, dtype=bool) if mask is None else ~mask
    if len(shape) == 0:
        return np.array(0)
    products = signal.get_neighbour_dot_product_matrices(
        show_progressbar=show_progressbar
    )
    # Rows and columns, and in the last axes what is above and left first
    products = np.asarray(products).reshape(*shape[-2:], -1, 3)
    products = products if len(shape) == 2 else products[None]
    middle = products.shape[2] // 2
    right, below = products[:, :-1, middle, 2], products[:-1, :, -1, 1]
    alike = np.concatenate([right.ravel(), below.ravel()])
    first, second = pairs(np.arange(wanted.size).reshape(products.shape[:2]))
    # Products with constant patterns are not numbers
    wanted = wanted.ravel() & np.isfinite(products[..., middle, 1].ravel())
    there = wanted[first] & wanted[second] & np.isfinite(alike)
    first, second, alike = first[there], second[there], alike[there]
    best = np.zeros(wanted.size)
    np.maximum.at(best, first, alike)
    np.maximum.at(best, second, alike)
    if (best > 0).any():
        best = np.maximum(best, np.median(best[best > 0]) / 3)
    inside = alike >= threshold * np.sqrt(best[first] * best[second])
    inside &= alike > 0
    return _components(first[inside], second[inside], wanted).reshape(shape)


def _components(first: np.ndarray, second: np.ndarray, wanted: np.ndarray):
    """Return labels of points that are linked, -1 where not wanted."""
    links = coo_array((np.ones(len(first)), (first, second)), shape=(wanted.size,) * 2)
    _, found = connected_components(links, directed=False)
    labels = np.full(wanted.size, -1)
    _, start, inverse = np.unique(found[wanted], return_index=True, return_inverse=True)
    # In the order of their first points
    labels[wanted] = np.argsort(np.argsort(start))[inverse]
    return labels

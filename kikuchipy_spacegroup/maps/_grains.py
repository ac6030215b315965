# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the grains of a scan."""

import logging

from kikuchipy.signals import EBSD
import numpy as np
from orix.crystal_map import CrystalMap
from orix.quaternion import Orientation
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from kikuchipy_spacegroup.maps._map_like import neighbors, pairs
from kikuchipy_spacegroup.patterns import divide_background, unusable_patterns
from kikuchipy_spacegroup.patterns._background import flatten_patterns
from kikuchipy_spacegroup.patterns._checks import (
    check_background,
    check_mask,
    check_signal,
)
from kikuchipy_spacegroup.patterns._scan import blocks_of_patterns, find_background

_logger = logging.getLogger(__name__)

# Pairs of points per step, to save memory
_PAIRS = 200_000
# Patterns from all over the scan that are compared to each other, and what
# neighbors have in common at least if grains can be found
_N_COMPARED = 100
_LEAST_IN_COMMON = 0.1


def grains_from_orientations(xmap: CrystalMap, *, tolerance: float = 5.0) -> np.ndarray:
    """Return the grains of an indexed scan.

    Parameters
    ----------
    xmap
        Map with orientations, from Hough or dictionary indexing, say.
    tolerance
        Largest misorientation in degrees of two neighbors in a grain.

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

    See Also
    --------
    grains_from_patterns
    kikuchipy_spacegroup.maps.pool_grains

    Notes
    -----
    Up to four neighbors of a point above, below, left and right of it
    are in its grain if they are of the same phase and not misoriented
    by more than the tolerance, all symmetrically equivalent rotations
    considered.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.maps import grains_from_orientations
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
    first, second = neighbors(xmap)
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
    return _label_components(first[inside], second[inside], phase_id != -1)


def grains_from_patterns(
    signal: EBSD,
    *,
    threshold: float = 0.6,
    navigation_mask: np.ndarray | None = None,
    signal_mask: np.ndarray | None = None,
    static_background: np.ndarray | str | None = "auto",
) -> np.ndarray:
    r"""Return the grains of a scan from how alike its patterns are.

    Neither phases nor orientations need to be known.

    Parameters
    ----------
    signal
        Scan with at most two navigation dimensions and raw or corrected
        patterns. It may be lazy, and is not changed.
    threshold
        Lowest correlation of patterns in a grain, without noise.
    navigation_mask
        Boolean array of the navigation shape, True for points that are
        left out.
    signal_mask, static_background
        See :func:`~kikuchipy_spacegroup.classification.classify_space_group`,
        which handles the background in the same way.

    Returns
    -------
    labels
        Integer array of the navigation shape with the grain of each
        point, numbered from 0. -1 for points that are left out and for
        patterns that are constant, saturated or not finite everywhere on
        the screen.

    Raises
    ------
    TypeError
        If the signal is of another type.
    ValueError
        If the scan, a mask, the background or the threshold does not
        fit.

    See Also
    --------
    grains_from_orientations
    kikuchipy_spacegroup.maps.pool_grains
    kikuchipy.signals.EBSD.get_neighbour_dot_product_matrices

    Notes
    -----
    Patterns are divided by the static background, and what varies slowly
    over them is subtracted, as background is alike in all patterns. Then
    they are compared by the normalized dot product :math:`s_{ij}`, as in
    :meth:`~kikuchipy.signals.EBSD.get_neighbour_dot_product_matrices`.
    Noise makes it smaller, the more the noisier a phase or grain is.
    This is corrected for with how much a point has in common with the
    most similar one of its neighbors, :math:`m_i = \max_j s_{ij}`, but
    at least a third of its median, :cite:`spearman1904proof`

    .. math::

        r_{ij} = \frac{s_{ij}}{\sqrt{m_i m_j}}

    At a boundary, the beam excites both grains, and the patterns there
    are like those on either side. So points are first compared across:
    one is within a grain if its left and right neighbors are alike,
    and the upper and lower ones are, which means that their
    :math:`r_{ij}` is not below the threshold. Points within grains are
    linked to their neighbors that are, too. Then, all other points join
    the grain of the neighbor most like them if it is alike, and those
    left, as in grains two points wide, are linked to each other if they
    are alike. At last, grains are merged if they are alike on both sides
    of their common boundary, with a mean not below half way from the
    threshold to 1.

    Lower the threshold if grains are deformed and fall to pieces. If
    patterns are so noisy that neighbors have less than about 0.1 in
    common, grains are not found, which is logged as a warning. So is if
    all patterns are alike, those far apart, too: the scan is of one grain,
    or has a background that is still in all patterns. Where grains are
    few, none better can be found from the patterns. Give that of the
    camera, or a threshold above what is logged.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.maps import grains_from_patterns
    >>> s = kp.data.nickel_ebsd_small()
    >>> grains_from_patterns(s)
    array([[0, 1, 1],
           [0, 1, 1],
           [0, 1, 1]])
    """
    shape, sig_shape = check_signal(signal)
    mask = check_mask(navigation_mask, shape, "navigation_mask")
    signal_mask = check_mask(signal_mask, sig_shape, "signal_mask")
    check_background(static_background, sig_shape)
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must be between 0 and 1, not {threshold}")
    options = static_background, mask, signal_mask
    # 1. Normalized dot products of neighbors and next but one neighbors
    right, below, usable, anywhere = _multiply_neighbors(signal, *options)
    # 2. What a point has in common with the most similar neighbor, (rows, columns)
    best = np.zeros(usable.shape)
    for here, there, s in (
        (np.s_[:, :-1], np.s_[:, 1:], right[0]),
        (np.s_[:-1], np.s_[1:], below[0]),
    ):
        best[here] = np.fmax(best[here], s)
        best[there] = np.fmax(best[there], s)
    # Of no two neighbors, nothing can be said
    in_common = 1.0
    if (best > 0).any():
        in_common = float(np.median(best[best > 0]))
        best = np.maximum(best, in_common / 3)
    # 3. Dot products corrected for noise
    scale = np.sqrt(best)
    with np.errstate(invalid="ignore", divide="ignore"):
        right = [
            s / (scale[:, : -i or None] * scale[:, i:]) for i, s in enumerate(right, 1)
        ]
        below = [s / (scale[: -i or None] * scale[i:]) for i, s in enumerate(below, 1)]
    # 4. Points within grains: neighbors on opposite sides are alike
    alike = np.fmin(_compare_across(*(s.T for s in right)).T, _compare_across(*below))
    within = (alike >= threshold).ravel() & usable.ravel()
    # 5. Grains grow from these over links (pairs,) of points that are alike
    first, second = pairs(np.arange(usable.size).reshape(usable.shape))
    similarity = np.concatenate([right[0].ravel(), below[0].ravel()])
    linked = similarity >= threshold
    links = first[linked], second[linked], similarity[linked]
    labels = _grow_grains(*links, within, usable.ravel())
    # 6. Grains that are alike on both sides of their boundary are merged
    grid = labels.reshape(usable.shape)
    sides = (
        _compare_sides(*(s.T for s in right), grid.T).T,
        _compare_sides(*below, grid),
    )
    similarity = np.concatenate([s.ravel() for s in sides])
    labels = _merge_grains(labels, first, second, similarity, (1 + threshold) / 2)
    _warn_of_what_cannot_tell(labels, in_common, anywhere, threshold)
    return labels.reshape(shape)


def _warn_of_what_cannot_tell(
    labels: np.ndarray, in_common: float, anywhere: float, threshold: float
) -> None:
    """Log why grains cannot be told by what is left of the patterns."""
    if in_common < _LEAST_IN_COMMON:
        _logger.warning(
            "Neighboring patterns have only %.2f in common, less than %.1f, which does not "
            "tell grains: they are too noisy, or have no bands. Average or bin patterns",
            in_common,
            _LEAST_IN_COMMON,
        )
    elif labels.max(initial=-1) == 0 and anywhere / in_common >= threshold:
        _logger.warning(
            "All patterns are alike, those far apart, too (%.2f, and the threshold is %.2f). "
            "The scan is of one grain, or a background is left that all patterns share. "
            "In the latter case, give `static_background` or raise `threshold`",
            anywhere / in_common,
            threshold,
        )


def _multiply_neighbors(
    signal: EBSD,
    static_background: np.ndarray | str | None,
    mask: np.ndarray | None,
    signal_mask: np.ndarray | None,
) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray, float]:
    """Return normalized dot products with the first and second patterns
    to the right and below, NaN if one is not used, which are used, and
    what nineteen of twenty pairs of patterns anywhere have in common.
    """
    nav_shape, sig_shape = check_signal(signal)
    patterns = blocks_of_patterns(signal.data, nav_shape, sig_shape, None)
    background, inside = find_background(
        signal, patterns, static_background, mask, signal_mask
    )
    if len(nav_shape) < 2:
        patterns = patterns.reshape((1, -1, *sig_shape))
    rows, columns = patterns.shape[:2]
    wanted = np.ones((rows, columns), dtype=bool)
    if mask is not None:
        wanted = ~mask.reshape(rows, columns)
    right = [np.full((rows, max(columns - i, 0)), np.nan) for i in (1, 2)]
    below = [np.full((max(rows - i, 0), columns), np.nan) for i in (1, 2)]
    usable = np.zeros((rows, columns), dtype=bool)
    before: list[np.ndarray] = []
    sample: list[np.ndarray] = []
    picked = np.linspace(0, rows * columns - 1, _N_COMPARED).astype(int)
    y = 0
    for n in patterns.chunks[0]:
        block = patterns[y : y + n].compute(scheduler="synchronous")
        for row in block:
            unusable = unusable_patterns(row) | ~wanted[y]
            row = flatten_patterns(divide_background(row, background, inside), inside)
            row = _standardize(row.reshape(columns, -1), unusable)
            usable[y] = np.isfinite(row).all(axis=1)
            for i in (1, 2):
                if columns > i:
                    right[i - 1][y] = np.einsum("ij,ij->i", row[:-i], row[i:])
                if len(before) >= i:
                    below[i - 1][y - i] = np.einsum("ij,ij->i", before[-i], row)
            before = [*before[-1:], row]
            here = np.unique(picked[picked // columns == y] % columns)
            sample.append(row[here[usable[y, here]]])
            y += 1
    return right, below, usable, _compare_anywhere(np.concatenate(sample))


def _compare_anywhere(sample: np.ndarray) -> float:
    """Return what nineteen of twenty pairs of patterns have in common."""
    if len(sample) < 2:
        return 0.0
    products = (sample @ sample.T)[np.triu_indices(len(sample), 1)]
    return float(np.percentile(products, 5))


def _standardize(patterns: np.ndarray, unusable: np.ndarray) -> np.ndarray:
    """Return patterns of zero mean and unit norm, NaN if unusable."""
    patterns = patterns - patterns.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(patterns, axis=1, keepdims=True)
    varied = (norm > 0) & ~unusable[:, None]
    return np.divide(patterns, norm, out=np.full_like(patterns, np.nan), where=varied)


def _compare_across(next_one: np.ndarray, next_but_one: np.ndarray) -> np.ndarray:
    """Return the similarity of the patterns above and below each one.

    Where there is only one, it is compared to the pattern itself.
    """
    nothing = np.full((1, next_one.shape[1]), np.nan)
    with_one = np.fmin(
        np.concatenate([nothing, next_one]), np.concatenate([next_one, nothing])
    )
    if len(next_but_one) == 0:
        return with_one
    across = np.concatenate([nothing, next_but_one, nothing])
    return np.where(np.isfinite(across), across, with_one)


def _grow_grains(
    first: np.ndarray,
    second: np.ndarray,
    alike: np.ndarray,
    within: np.ndarray,
    usable: np.ndarray,
) -> np.ndarray:
    """Return labels from points within grains and links to all others."""
    # Connected points within grains
    inside = within[first] & within[second]
    labels = _label_components(first[inside], second[inside], within)
    # Other points join the neighbor most like them, layer by layer
    ends = np.concatenate([first, second])
    starts = np.concatenate([second, first])
    strength = np.tile(alike, 2)
    while True:
        joins = (labels[starts] >= 0) & (labels[ends] < 0)
        if not joins.any():
            break
        rank = np.argsort(strength[joins], kind="stable")
        # The last of several is kept, which is the one most alike
        labels[ends[joins][rank]] = labels[starts[joins][rank]]
    # Those left, as in grains two points wide, are linked to each other
    left = usable & (labels < 0)
    inside = left[first] & left[second]
    others = _label_components(first[inside], second[inside], left)
    return np.where(left, others + labels.max(initial=-1) + 1, labels)


def _compare_sides(
    next_one: np.ndarray, next_but_one: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Return how alike each pattern and the one below are, and the one
    above the first and the one below the second, if of the same labels.
    """
    alike = next_one.copy()
    if len(next_but_one):
        same = labels[1:] == labels[:-1]
        above = np.where(same[:-1], next_but_one, np.nan)
        below = np.where(same[1:], next_but_one, np.nan)
        alike[1:] = np.fmin(alike[1:], above)
        alike[:-1] = np.fmin(alike[:-1], below)
    return alike


def _merge_grains(
    labels: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    alike: np.ndarray,
    threshold: float,
) -> np.ndarray:
    """Return labels with grains merged that are alike along their boundary."""
    a, b = labels[first], labels[second]
    between = (a != b) & (a >= 0) & (b >= 0) & np.isfinite(alike)
    # Mean similarity along the boundary of each pair of grains
    n = labels.max(initial=-1) + 1
    key = np.minimum(a, b)[between] * n + np.maximum(a, b)[between]
    found, index = np.unique(key, return_inverse=True)
    mean = np.bincount(index, alike[between]) / np.bincount(index)
    # Grains linked by those that are alike become one
    merged = found[mean >= threshold]
    of_grain = _label_components(merged // n, merged % n, np.ones(n, dtype=bool))
    known = labels >= 0
    result = np.full(labels.size, -1)
    result[known] = of_grain[labels[known]]
    return _renumber(result)


def _label_components(
    first: np.ndarray, second: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """Return labels of points that are linked, -1 where not wanted."""
    links = coo_array((np.ones(len(first)), (first, second)), shape=(wanted.size,) * 2)
    _, labels = connected_components(links, directed=False)
    return _renumber(np.where(wanted, labels, -1))


def _renumber(labels: np.ndarray) -> np.ndarray:
    """Return labels in the order of their first points, -1 kept."""
    known = labels >= 0
    _, start, inverse = np.unique(labels[known], return_index=True, return_inverse=True)
    result = np.full(labels.size, -1)
    result[known] = np.argsort(np.argsort(start))[inverse]
    return result

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Estimate the projection center of a scan whose phases nobody knows."""

from dataclasses import dataclass
from itertools import product
import logging
from typing import TYPE_CHECKING
import warnings

import numpy as np

from kikuchipy_spacegroup._progress import progress_bar
from kikuchipy_spacegroup.patterns._checks import (
    check_background,
    check_mask,
    check_signal,
)
from kikuchipy_spacegroup.patterns._labelled_patterns import read_patterns
from kikuchipy_spacegroup.patterns._projection_centers import relative_to_pattern

if TYPE_CHECKING:
    from kikuchipy.detectors import EBSDDetector
    from kikuchipy.signals import EBSD
    from tqdm import tqdm

    from kikuchipy_spacegroup.detectors._self_similarity import SelfSimilarity

_logger = logging.getLogger(__name__)
# Where to look first, relative to the central square
_PCX, _PCY = (0.4, 0.47, 0.53, 0.6), (0.0, 0.12, 0.24, 0.36, 0.48)
_PCZ = (0.4, 0.5, 0.6, 0.72, 0.86, 1.03)
# Patterns that are looked at then, and centers from which to go on
_FEW, _N_STARTS = 32, 4
# Steps to begin with, calls per start, and how near is near enough
_STEPS, _N_CALLS, _TOLERANCE = (0.03, 0.04, 0.05), 60, 2e-3
# Centers to which a paraboloid is fitted, how far they are away, and how often
_N_NEAR, _NEAR, _N_FITS = 40, (0.015, 0.015, 0.02), 2
# Larger standard errors are warned of, and fewer orientations
_LARGE_ERROR, _FEW_ORIENTATIONS = 0.03, 4
# Patterns that correlate more, and more than this share of the largest correlation, are of
# one orientation
_LEAST_ALIKE, _ALIKE = 0.15, 0.6


@dataclass(frozen=True, repr=False, eq=False)
class ProjectionCenterEstimate:
    """A projection center that was estimated, and how sure it is.

    Parameters
    ----------
    detector
        The signal's detector with this projection center, a copy.
    pc
        PCx, PCy and PCz in Bruker's convention, of shape (3,).
    standard_errors
        Their standard errors, of shape (3,), NaN if there is no maximum.
    self_similarity
        How much patterns are like themselves there, in standard
        deviations of what pixels without symmetry have.
    typical_self_similarity
        The median of that for the centers that were tried first.
    n_patterns
        Number of patterns.
    n_orientations
        Number of groups of patterns that look alike, as those of a grain.

    See Also
    --------
    estimate_projection_center

    Examples
    --------
    >>> from kikuchipy_spacegroup.detectors import estimate_projection_center
    >>> estimate = estimate_projection_center(s)  # doctest: +SKIP
    >>> estimate  # doctest: +SKIP
    ProjectionCenterEstimate(0.498 +/- 0.002, 0.299 +/- 0.003, 0.606 +/- 0.005, ...
    >>> s.detector = estimate.detector  # doctest: +SKIP
    """

    detector: "EBSDDetector"
    pc: np.ndarray
    standard_errors: np.ndarray
    self_similarity: float
    typical_self_similarity: float
    n_patterns: int
    n_orientations: int

    def __repr__(self) -> str:
        values = ", ".join(
            f"{value:.3f} +/- {error:.3f}"
            for value, error in zip(self.pc, self.standard_errors)
        )
        return (
            f"ProjectionCenterEstimate({values}, from {self.n_patterns} patterns of "
            f"{self.n_orientations} orientations, self-similarity "
            f"{self.self_similarity:.1f}, elsewhere {self.typical_self_similarity:.1f})"
        )


def estimate_projection_center(
    signal: "EBSD",
    *,
    navigation_mask: np.ndarray | None = None,
    signal_mask: np.ndarray | None = None,
    static_background: np.ndarray | str | None = "auto",
    n_patterns: int = 64,
    seed: int = 0,
    show_progressbar: bool | None = None,
) -> ProjectionCenterEstimate:
    """Estimate the projection center of a scan whose phases are unknown.

    Kikuchi patterns of crystals with rotation axes or mirror planes are like
    themselves when they are rotated on the sphere, and only with the right
    projection center do they look so on the screen. So nothing needs to be
    known of the phases.

    Parameters
    ----------
    signal
        Scan, which may be lazy. Neither it nor its detector is changed.
        Grains of many orientations say more than many patterns of a few.
    navigation_mask, signal_mask, static_background
        See :func:`~kikuchipy_spacegroup.classification.classify_space_group`.
    n_patterns
        Number of patterns, drawn at random.
    seed
        Seed of the random numbers.
    show_progressbar
        Whether to show a progress bar. If not given, the value of
        :obj:`hyperspy.api.preferences.General.show_progressbar` is used.

    Returns
    -------
    estimate
        Its :attr:`~ProjectionCenterEstimate.detector` is a copy of the
        signal's with one projection center, for all points.

    Raises
    ------
    TypeError
        If the signal is of another type.
    ValueError
        If a mask or background does not fit, there are less than one
        *n_patterns*, or no pattern can be used.

    Warns
    -----
    UserWarning
        If a standard error is above 0.03 or unknown, or there are less than
        four orientations. Then patterns have little symmetry or much noise,
        or are too much alike.

    See Also
    --------
    kikuchipy.signals.EBSD.hough_indexing_optimize_pc
    kikuchipy.signals.EBSD.refine_projection_center

    Notes
    -----
    Patterns are rotated about the zone axes where their bands cross, by a
    half, a third, a quarter and a sixth of a turn, and by half a turn about
    the normals of bands. The mean of the six largest correlations with
    themselves is maximized: over a coarse grid, by the method of Nelder and
    Mead :cite:`nelder1965simplex` from its best points, and by paraboloids
    fitted to it. Standard errors follow from how its slope differs between groups of
    patterns that look alike, since patterns of one grain have the same errors.
    Errors that all grains share are not in them: in simulated scans they are
    about three times too small.

    Triclinic crystals have neither axes nor mirrors, and say nothing. Once a
    phase is known, kikuchipy's refinement is more accurate, and this is
    where to start from.

    Examples
    --------
    Patterns of nine points of two grains, which are few

    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.detectors import estimate_projection_center
    >>> s = kp.data.nickel_ebsd_small()
    >>> estimate = estimate_projection_center(s)  # doctest: +SKIP
    >>> s.detector = estimate.detector  # doctest: +SKIP
    """
    nav_shape, sig_shape = check_signal(signal)
    navigation_mask = check_mask(navigation_mask, nav_shape, "navigation_mask")
    signal_mask = check_mask(signal_mask, sig_shape, "signal_mask")
    check_background(static_background, sig_shape)
    if n_patterns < 1:
        raise ValueError(f"n_patterns must be at least 1, not {n_patterns}")
    from kikuchipy_spacegroup.detectors._self_similarity import (
        SIZE,
        SelfSimilarity,
        prepare,
    )

    rng = np.random.default_rng(seed)
    mask = _draw_points(nav_shape, navigation_mask, n_patterns, rng)
    patterns, _ = read_patterns(signal, mask, signal_mask, static_background, SIZE)
    prepared = prepare(rng.permutation(patterns)[..., None].astype("float32"))
    n_centers = len(_PCX) * len(_PCY) * len(_PCZ)
    n_centers += _N_STARTS * _N_CALLS + _N_FITS * _N_NEAR
    bar = progress_bar(show_progressbar, "Projection centers", "center", n_centers)
    with bar:
        center, typical = _search(SelfSimilarity(prepared[:_FEW]), bar)
        similarity = SelfSimilarity(prepared)
        groups = _group_alike(prepared)
        center, errors = _fit(similarity, center, groups, rng, bar)
    value = float(similarity(center)[0].mean())
    in_pattern = [relative_to_pattern(i, sig_shape) for i in (center, center + errors)]
    detector = signal.detector.deepcopy()
    detector.shape, detector.pc = sig_shape, in_pattern[0]
    estimate = ProjectionCenterEstimate(
        detector,
        in_pattern[0],
        in_pattern[1] - in_pattern[0],
        value,
        typical,
        len(patterns),
        int(groups.max()) + 1,
    )
    _logger.info("Projection center: %s", estimate)
    _warn_of_errors(estimate)
    return estimate


def _draw_points(
    nav_shape: tuple[int, ...],
    navigation_mask: np.ndarray | None,
    n: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return a mask of the navigation shape that leaves n random points."""
    points = np.arange(int(np.prod(nav_shape)))
    if navigation_mask is not None:
        points = points[~navigation_mask.ravel()]
    mask = np.ones(int(np.prod(nav_shape)), dtype=bool)
    mask[rng.choice(points, min(n, points.size), replace=False)] = False
    return mask.reshape(nav_shape)


def _search(similarity: "SelfSimilarity", bar: "tqdm") -> tuple[np.ndarray, float]:
    """Return the best center of a coarse grid, improved, and the median of the grid."""
    from scipy.optimize import minimize

    def cost(center: np.ndarray) -> float:
        bar.update()
        return -similarity(center)[0].mean() if center[2] > 0.1 else np.inf

    # 1. A coarse grid
    grid = np.array(list(product(_PCX, _PCY, _PCZ)))
    costs = np.array([cost(center) for center in grid])
    # 2. Nelder-Mead simplices from its best points
    best = None
    for start in grid[np.argsort(costs)[:_N_STARTS]]:
        simplex = np.vstack([start, start + np.diag(_STEPS)])
        options = {
            "initial_simplex": simplex,
            "maxfev": _N_CALLS,
            "xatol": _TOLERANCE,
            "fatol": 0,
        }
        found = minimize(cost, start, method="Nelder-Mead", options=options)
        if best is None or found.fun < best.fun:
            best = found
    return best.x, float(-np.median(costs))


def _group_alike(prepared: np.ndarray) -> np.ndarray:
    """Return the group of each pattern (n,), of those that look alike."""
    from scipy.sparse.csgraph import connected_components

    flat = prepared.reshape(len(prepared), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    flat = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)
    correlation = flat @ flat.T
    np.fill_diagonal(correlation, 0)
    limit = max(_LEAST_ALIKE, _ALIKE * correlation.max())
    return connected_components(correlation > limit)[1]


def _fit(
    similarity: "SelfSimilarity",
    center: np.ndarray,
    groups: np.ndarray,
    rng: np.random.Generator,
    bar: "tqdm",
) -> tuple[np.ndarray, np.ndarray]:
    """Return the maximum of a paraboloid fitted around a center, and standard errors."""
    near = np.array(_NEAR)
    errors = np.full(3, np.nan)
    upper = np.triu_indices(3)
    for _ in range(_N_FITS):
        # 1. Self-similarity of all patterns around the center, (centers, patterns)
        offsets = rng.standard_normal((_N_NEAR, 3))
        values = []
        for offset in offsets:
            values.append(similarity(center + near * offset)[1])
            bar.update()
        # 2. A paraboloid per pattern, (10, patterns), by least squares
        squares = offsets[:, upper[0]] * offsets[:, upper[1]]
        terms = np.column_stack([np.ones(_N_NEAR), offsets, squares])
        terms_of_patterns = np.linalg.lstsq(terms, np.array(values), rcond=None)[0]
        slopes, curvature = terms_of_patterns[1:4], np.zeros((3, 3))
        curvature[upper] = terms_of_patterns[4:].mean(axis=1)
        curvature = curvature + curvature.T
        # 3. Newton's step to the maximum, no further than was looked at
        if np.linalg.eigvalsh(curvature).max() >= 0:
            return center, np.full(3, np.nan)
        inverse = np.linalg.inv(curvature)
        step = -inverse @ slopes.mean(axis=1)
        step = step / max(1.0, np.linalg.norm(step) / 2)
        center = center + near * step
        # 4. How far grains differ about where it is (clustered sandwich estimator)
        n_groups = groups.max() + 1
        if n_groups > 1:
            of_groups = np.stack([np.bincount(groups, slope) for slope in slopes])
            of_groups = of_groups - of_groups.mean(axis=1, keepdims=True)
            scatter = of_groups @ of_groups.T * n_groups / (n_groups - 1)
            covariance = inverse @ scatter @ inverse / len(groups) ** 2
            errors = near * np.sqrt(np.diag(covariance))
    return center, errors


def _warn_of_errors(estimate: ProjectionCenterEstimate) -> None:
    """Warn if the center is not sure."""
    is_sure = (estimate.standard_errors <= _LARGE_ERROR).all()
    if not is_sure or estimate.n_orientations < _FEW_ORIENTATIONS:
        warnings.warn(
            f"The projection center is not sure: {estimate!r}. Take patterns of more "
            "orientations or less noise, or calibrate with a known phase",
            stacklevel=3,
        )

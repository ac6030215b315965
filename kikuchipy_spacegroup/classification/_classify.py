# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Classify every pattern of a scan."""

from collections.abc import Sequence
import logging
import math
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import dask.array as da
from kikuchipy.signals import EBSD
import numpy as np

from kikuchipy_spacegroup._progress import shows_progressbar
from kikuchipy_spacegroup.classification._blocks import map_model
from kikuchipy_spacegroup.classification._compute import compute as compute_lazy
from kikuchipy_spacegroup.classification._compute import n_threads
from kikuchipy_spacegroup.classification._engine_record import record_engine
from kikuchipy_spacegroup.classification._results_store import (
    check_output,
    stored_engine,
)
from kikuchipy_spacegroup.classification._scan import Scan, compute_into, store_header
from kikuchipy_spacegroup.maps import crystal_map
from kikuchipy_spacegroup.models._engine_choice import engine_of, select_engine
from kikuchipy_spacegroup.models._engines import describe_engine
from kikuchipy_spacegroup.patterns._checks import (
    check_background,
    check_mask,
    check_probability,
    check_signal,
)
from kikuchipy_spacegroup.patterns._projection_centers import read_projection_centers
from kikuchipy_spacegroup.patterns._scan import blocks_of_patterns, find_background
from kikuchipy_spacegroup.space_groups._levels import candidate_members

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

    from kikuchipy_spacegroup.models import SpaceGroupModel

_logger = logging.getLogger(__name__)
# Together, candidates that are this improbable are said to be
_UNLIKELY = 0.1


def classify_space_group(
    signal: EBSD,
    model: "SpaceGroupModel | str | Path | None" = None,
    *,
    navigation_mask: np.ndarray | None = None,
    signal_mask: np.ndarray | None = None,
    static_background: np.ndarray | str | None = "auto",
    reject_implausible: bool = True,
    space_groups: Sequence[int] | None = None,
    separate_enantiomorphs: bool = False,
    min_probability: float | None = None,
    keep_n: int = 3,
    keep_probabilities: bool = False,
    chunk_patterns: int | None = None,
    engine: str | None = None,
    output: str | Path | None = None,
    resume: bool = False,
    compute: bool = True,
    show_progressbar: bool | None = None,
) -> "CrystalMap | da.Array":
    """Return a map of the space group of every pattern in a scan.

    Parameters
    ----------
    signal
        Scan with none, one or two navigation dimensions and raw or
        corrected patterns of any shape and real data type. It may be
        lazy. It is not changed. If the model uses the projection center,
        it is that of the signal's detector, one for all points or one
        for each. If this is kikuchipy's default (0.5, 0.5, 0.5), or NaN,
        it is unknown, which is logged.
    model
        Model, path to a model file (``.keras``, or ``.onnx`` written with
        :func:`~kikuchipy_spacegroup.models.save_onnx`), or name of a
        bundled model. If not given, the default model is used. One that
        was read is kept for the next call, see
        :func:`~kikuchipy_spacegroup.models.clear_model_cache`.
    navigation_mask
        Boolean array of the navigation shape (rows, columns), True for
        patterns to leave out, as in
        :meth:`kikuchipy.signals.EBSD.dictionary_indexing`.
    signal_mask
        Boolean array of the signal shape, True for pixels to leave out.
    static_background
        What patterns are divided by before the model sees them:
        ``"auto"``, an array of the signal shape, or None for nothing.
        With ``"auto"``, it is the signal's own static background if it
        has one, or else the mean of up to 400 patterns, blurred unless
        its fine structure is sound. Bad patterns do not spoil it. See
        :func:`kikuchipy_spacegroup.patterns.background_from_patterns`.
        What was used is logged. Pixels outside of the camera's aperture
        or where the background is not positive are left out.
    reject_implausible
        Whether images whose values are distributed as in no diffraction
        pattern are not classified, as most drawings and text, see
        :func:`kikuchipy_spacegroup.patterns.implausible_patterns`.
    space_groups
        Space groups that are possible, which probabilities are
        restricted to. If not given, all the model knows. Where the right
        one is not among them, the map is wrong: its property
        ``candidates_probability`` says what probability they had
        together before, and a warning is logged where most points have
        less than 0.1. One of an enantiomorphic pair stands for both.
    separate_enantiomorphs
        Whether the two space groups of an enantiomorphic pair are two
        answers. If not, they are one, since a pattern hardly tells them
        apart: the lower number stands for both.
    min_probability
        Points with a lower best probability are not identified. If not
        given, the model's own limit is used.
    keep_n
        Number of best space groups to keep per point.
    keep_probabilities
        Whether the map holds the probabilities of all space groups.
    chunk_patterns
        Number of patterns classified at a time, about. If not given, it
        is at most 1024, or more on a large GPU.
    engine
        What runs the network: ``"keras"``, ``"onnxruntime"`` or
        ``"openvino"``. With ``"auto"``, it is Keras with a GPU, and else the
        fastest one that is installed and has the same answers. This is
        measured for the first scan of at least 10 000 patterns, and
        remembered. If not given, it is that of the model, which is
        ``"auto"`` unless it was set. The engine is logged, and is in the map,
        see :func:`engine_of_map`.
    output
        Name of a folder ending with ``.zarr`` to write probabilities to
        as they come, so that they are not lost whatever happens. Needs
        the package zarr.
    resume
        Whether to go on with *output* if it exists. What is in it is
        not classified again. The scan, the model, its engine, masks,
        background, chunks, and projection centers if the model uses them,
        must be the same, which is checked. Of the scan, its
        shape and some 20 patterns from all over it are compared (fewer
        of small ones), so a change of others is not noticed.
    compute
        Whether to classify now. If False, a dask array of probabilities
        is returned, which :func:`compute_classification_map` turns into
        a map.
    show_progressbar
        Whether to show a progress bar. If not given, the value of
        :obj:`hyperspy.api.preferences.General.show_progressbar` is
        used.

    Returns
    -------
    xmap
        Crystal map as described in
        :func:`kikuchipy_spacegroup.maps.crystal_map`, or
        probabilities of shape navigation shape + (number of space
        groups,) and dtype float32 if ``compute=False``. Rows of patterns
        that cannot be classified (constant, saturated, without any
        finite pixel, implausible, or masked) are NaN.

    Raises
    ------
    TypeError
        If the signal or the model is of another type.
    ValueError
        If the scan has more than two navigation dimensions, if a mask,
        the background, the detector of a model that uses the projection
        center, or a number does not fit, or *output* has results of
        something else.
    ImportError
        If the engine that was asked for is not installed.
    FileExistsError
        If *output* exists and is not to be gone on with.
    OSError
        If patterns cannot be read, or results cannot be written.

    See Also
    --------
    kikuchipy.signals.EBSD.dictionary_indexing
    kikuchipy.signals.EBSD.hough_indexing
    compute_classification_map

    Notes
    -----
    With a given background, or that of the signal, patterns are
    classified one by one: chunks, the order and number of points, masked
    points and the data type change probabilities by less than 1e-5, or 0.01
    where the engine is of lower precision.
    Multiplying all intensities by a positive number changes them by less
    than 1e-3, as does adding one of their order if nothing is divided
    out. A background or an aperture found from the patterns depends on
    all of them, but hardly on any single one.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> xmap = s.classify_space_group(show_progressbar=False)
    >>> xmap.shape
    (3, 3)
    """
    # What is asked for is checked before any work is done
    nav_shape, sig_shape = check_signal(signal)
    navigation_mask = check_mask(navigation_mask, nav_shape, "navigation_mask")
    signal_mask = check_mask(signal_mask, sig_shape, "signal_mask")
    check_background(static_background, sig_shape)
    if chunk_patterns is not None and chunk_patterns < 1:
        raise ValueError(f"chunk_patterns must be at least 1, not {chunk_patterns}")
    if output is not None:
        if not compute or not nav_shape:
            raise ValueError("`output` is for scans, and needs `compute=True`")
        output = check_output(output, resume)
    n_patterns = math.prod(nav_shape)
    model, runner = select_engine(model, engine, n_patterns, stored_engine(output))
    options = _check_map_options(model, space_groups, min_probability, keep_n) | {
        "separate_enantiomorphs": separate_enantiomorphs,
        "keep_probabilities": keep_probabilities,
    }

    centers = None
    if getattr(model, "uses_projection_center", False):
        centers = read_projection_centers(signal, nav_shape, sig_shape)

    # The background is that of patterns all over the scan
    scan = Scan(signal)
    patterns = blocks_of_patterns(scan.data, nav_shape, sig_shape, chunk_patterns)
    patterns = scan.refuse_lost(patterns)
    with scan.unreadable_patterns_named(patterns):
        background, inside = find_background(
            signal, patterns, static_background, navigation_mask, signal_mask
        )

    # Blocks are larger on a GPU
    batch_size = getattr(runner, "batch_size", 1)
    patterns = blocks_of_patterns(
        patterns, nav_shape, sig_shape, chunk_patterns, batch_size
    )
    how = (runner, background, inside, navigation_mask, reject_implausible, centers)
    probabilities = map_model(patterns, *how)
    if not compute:
        return probabilities

    # Lazy until here
    run = {
        "show_progressbar": shows_progressbar(show_progressbar),
        "threads": n_threads(runner),
    }
    start = perf_counter()
    if output is None:
        with scan.unreadable_patterns_named(patterns):
            computed = compute_lazy(probabilities, **run)
    else:
        header = store_header(patterns, *how)
        computed = compute_into(output, header, probabilities, scan, patterns, **run)
    _log_speed(computed, navigation_mask, perf_counter() - start, runner)
    xmap = _make_map_of_scan(computed, signal, model, navigation_mask, options)
    return record_engine(xmap, engine_of(runner))


def compute_classification_map(
    probabilities: da.Array | np.ndarray,
    signal: EBSD,
    model: "SpaceGroupModel | str | Path | None" = None,
    *,
    navigation_mask: np.ndarray | None = None,
    space_groups: Sequence[int] | None = None,
    separate_enantiomorphs: bool = False,
    min_probability: float | None = None,
    keep_n: int = 3,
    keep_probabilities: bool = False,
    show_progressbar: bool | None = None,
) -> "CrystalMap":
    """Return a map from the probabilities of a scan.

    Parameters
    ----------
    probabilities
        Probabilities from :func:`classify_space_group` with
        ``compute=False``, computed or not.
    signal
        The scan, for its step sizes.
    model
        The model that was used.
    navigation_mask
        The mask that was used.
    space_groups, separate_enantiomorphs, min_probability, keep_n, keep_probabilities, show_progressbar
        See :func:`classify_space_group`.

    Returns
    -------
    xmap
        Crystal map as described in
        :func:`kikuchipy_spacegroup.maps.crystal_map`.

    Raises
    ------
    TypeError
        If the signal or the model is of another type.
    ValueError
        If the probabilities do not fit the scan or the model.

    See Also
    --------
    classify_space_group
    kikuchipy_spacegroup.maps.crystal_map

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> model = kpsg.SpaceGroupModel.create([225, 229], size=32, filters=(8,), stem=8)
    >>> p = kpsg.classify_space_group(s, model, compute=False)
    >>> xmap = kpsg.classification.compute_classification_map(p, s, model, show_progressbar=False)
    >>> xmap.shape
    (3, 3)
    """
    nav_shape, _ = check_signal(signal)
    navigation_mask = check_mask(navigation_mask, nav_shape, "navigation_mask")
    model, runner = select_engine(model)
    options = _check_map_options(model, space_groups, min_probability, keep_n) | {
        "separate_enantiomorphs": separate_enantiomorphs,
        "keep_probabilities": keep_probabilities,
    }
    expected = (*nav_shape, len(model.space_groups))
    if probabilities.shape != expected:
        raise ValueError(
            f"Probabilities of shape {probabilities.shape} do not fit a scan and a "
            f"model which together need {expected}"
        )
    start = perf_counter()
    computed = compute_lazy(
        da.asarray(probabilities),
        shows_progressbar(show_progressbar),
        n_threads(runner),
    )
    _log_speed(computed, navigation_mask, perf_counter() - start)
    return _make_map_of_scan(computed, signal, model, navigation_mask, options)


def _check_map_options(
    model: "SpaceGroupModel",
    space_groups: Sequence[int] | None,
    min_probability: float | None,
    keep_n: int,
) -> dict[str, Any]:
    """Return the options of a crystal map, checked."""
    if space_groups is not None:
        candidate_members(model.space_groups, space_groups)
    if min_probability is None:
        min_probability = model.min_probability
    check_probability("min_probability", min_probability)
    if keep_n < 1:
        raise ValueError(f"keep_n must be at least 1, not {keep_n}")
    return {
        "candidates": space_groups,
        "min_probability": min_probability,
        "keep_n": keep_n,
    }


def _log_speed(
    computed: np.ndarray,
    navigation_mask: np.ndarray | None,
    seconds: float,
    runner: "SpaceGroupModel | None" = None,
) -> None:
    """Log how many patterns were classified, how many per second, and by what."""
    n_masked = 0 if navigation_mask is None else navigation_mask.sum()
    n = computed[..., 0].size - n_masked
    how = None if runner is None else engine_of(runner)
    by = "" if how is None else f", {describe_engine(*how)}"
    _logger.info("Classified %i patterns, %.0f patterns/s%s", n, n / seconds, by)


def _make_map_of_scan(
    computed: np.ndarray,
    signal: EBSD,
    model: "SpaceGroupModel",
    navigation_mask: np.ndarray | None,
    options: dict[str, Any],
) -> "CrystalMap":
    """Return the map of probabilities, with the steps and unit of a scan."""
    axes = signal.axes_manager.navigation_axes[::-1]
    unit = str(axes[-1].units) if axes else "px"
    xmap = crystal_map(
        computed,
        model.space_groups,
        navigation_mask=navigation_mask,
        step_sizes=[axis.scale for axis in axes],
        scan_unit="px" if unit in ("<undefined>", "None", "") else unit,
        prior=getattr(model, "prior", None),
        **options,
    )
    _warn_of_wrong_candidates(xmap, options["candidates"])
    return xmap


def _warn_of_wrong_candidates(
    xmap: "CrystalMap", candidates: Sequence[int] | None
) -> None:
    """Log a warning if the right space groups are hardly among the candidates."""
    if candidates is None:
        return
    totals = xmap.prop["candidates_probability"]
    totals = totals[xmap.prop["scores"] > 0]
    unlikely = totals < _UNLIKELY
    if len(totals) and unlikely.mean() > 0.5:
        _logger.warning(
            "The space groups %s had less than %s of the probability together for %.0f %% "
            "of the points: the right ones may not be among them",
            list(candidates),
            _UNLIKELY,
            100 * unlikely.mean(),
        )

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Classify every pattern of a scan."""

from contextlib import nullcontext
from functools import partial
import logging
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dask.array as da
from dask.diagnostics import ProgressBar
import hyperspy.api as hs
from kikuchipy.signals import EBSD
import numpy as np

from kikuchipy_spacegroup._checks import (
    check_background,
    check_mask,
    check_signal,
    map_options,
)
from kikuchipy_spacegroup._scan import blocks_of_patterns, find_background
from kikuchipy_spacegroup.background import divide_background, unusable_patterns
from kikuchipy_spacegroup.crystal_map import crystal_map

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

    from kikuchipy_spacegroup.model import SpaceGroupModel

_logger = logging.getLogger(__name__)


def classify_space_group(
    signal: EBSD,
    model: "SpaceGroupModel | str | Path | None" = None,
    *,
    navigation_mask: np.ndarray | None = None,
    signal_mask: np.ndarray | None = None,
    static_background: np.ndarray | str | None = "auto",
    min_probability: float | None = None,
    keep_n: int = 3,
    keep_probabilities: bool = False,
    chunk_patterns: int | None = None,
    compute: bool = True,
    show_progressbar: bool | None = None,
) -> "CrystalMap | da.Array":
    """Return a map of the space group of every pattern in a scan.

    Parameters
    ----------
    signal
        Scan with none, one or two navigation dimensions and raw or
        corrected patterns of any shape and real data type. It may be
        lazy. It is not changed.
    model
        Model, path to a model file (``.keras``, or ``.onnx`` written with
        :func:`~kikuchipy_spacegroup.onnx.save_onnx`), or name of a
        bundled model. If not given, the default model is used.
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
        has one, or else the mean of up to 400 patterns if that is
        sound, or else this mean blurred. See
        :func:`kikuchipy_spacegroup.background.background_from_patterns`.
        What was used is logged. Pixels outside of the camera's aperture
        or where the background is not positive are left out.
    min_probability
        Points with a lower best probability are not identified. If not
        given, the model's own limit is used.
    keep_n
        Number of best space groups to keep per point.
    keep_probabilities
        Whether the map holds the probabilities of all space groups.
    chunk_patterns
        Number of patterns classified at a time, about. If not given, it
        is at most 1024.
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
        :func:`kikuchipy_spacegroup.crystal_map.crystal_map`, or
        probabilities of shape navigation shape + (number of space
        groups,) and dtype float32 if ``compute=False``. Rows of patterns
        that cannot be classified (constant, saturated, without any
        finite pixel, or masked) are NaN.

    Raises
    ------
    TypeError
        If the signal or the model is of another type.
    ValueError
        If the scan has more than two navigation dimensions, or if a
        mask, the background or a number does not fit.

    See Also
    --------
    kikuchipy.signals.EBSD.dictionary_indexing
    kikuchipy.signals.EBSD.hough_indexing

    Notes
    -----
    With a given background, or that of the signal, patterns are
    classified one by one: chunks, the order and number of points, masked
    points and the data type change probabilities by less than 1e-5.
    Multiplying all intensities by a positive number changes them by less
    than 1e-3, as does adding one of their order if nothing is divided
    out. A background or an aperture found from the patterns depends on
    all of them.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> xmap = s.classify_space_group(show_progressbar=False)
    >>> xmap.shape
    (3, 3)
    """
    nav_shape, sig_shape = check_signal(signal)
    navigation_mask = check_mask(navigation_mask, nav_shape, "navigation_mask")
    signal_mask = check_mask(signal_mask, sig_shape, "signal_mask")
    check_background(static_background, sig_shape)
    if chunk_patterns is not None and chunk_patterns < 1:
        raise ValueError(f"chunk_patterns must be at least 1, not {chunk_patterns}")
    model = _get_model(model)
    options = map_options(model, min_probability, keep_n, keep_probabilities)
    patterns = blocks_of_patterns(signal.data, nav_shape, sig_shape, chunk_patterns)
    background, inside = find_background(
        signal, patterns, static_background, navigation_mask, signal_mask
    )
    probabilities = _map_model(patterns, model, background, inside, navigation_mask)
    if not compute:
        return probabilities
    return _finish(
        probabilities, signal, model, navigation_mask, options, show_progressbar
    )


def compute_classification_map(
    probabilities: da.Array | np.ndarray,
    signal: EBSD,
    model: "SpaceGroupModel | str | Path | None" = None,
    *,
    navigation_mask: np.ndarray | None = None,
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
    min_probability, keep_n, keep_probabilities, show_progressbar
        See :func:`classify_space_group`.

    Returns
    -------
    xmap
        Crystal map as described in
        :func:`kikuchipy_spacegroup.crystal_map.crystal_map`.

    Raises
    ------
    TypeError
        If the signal or the model is of another type.
    ValueError
        If the probabilities do not fit the scan or the model.
    """
    nav_shape, _ = check_signal(signal)
    navigation_mask = check_mask(navigation_mask, nav_shape, "navigation_mask")
    model = _get_model(model)
    options = map_options(model, min_probability, keep_n, keep_probabilities)
    expected = (*nav_shape, len(model.space_groups))
    if probabilities.shape != expected:
        raise ValueError(
            f"Probabilities of shape {probabilities.shape} do not fit a scan and a "
            f"model which together need {expected}"
        )
    return _finish(
        da.asarray(probabilities),
        signal,
        model,
        navigation_mask,
        options,
        show_progressbar,
    )


def _get_model(model: Any) -> "SpaceGroupModel":
    if isinstance(model, str | Path) and Path(model).suffix == ".onnx":
        from kikuchipy_spacegroup.onnx import OnnxModel

        return OnnxModel(model)
    if model is None or isinstance(model, str | Path):
        from kikuchipy_spacegroup.model import load_model

        return load_model(model)
    if not hasattr(model, "predict_proba") or not hasattr(model, "space_groups"):
        raise TypeError(
            "Model must be a SpaceGroupModel, a path or a name, not "
            f"{type(model).__name__}"
        )
    return model


def _map_model(
    patterns: da.Array,
    model: "SpaceGroupModel",
    background: np.ndarray | None,
    inside: np.ndarray,
    navigation_mask: np.ndarray | None,
) -> da.Array:
    """Return lazy probabilities."""
    n_dims = patterns.ndim - 2
    n_classes = len(model.space_groups)
    function = partial(
        _classify_block,
        model=model,
        background=background,
        inside=inside,
    )
    arrays = [patterns]
    if navigation_mask is not None:
        mask = da.from_array(
            navigation_mask[..., None, None],
            chunks=(*patterns.chunks[:n_dims], 1, 1),
            name=False,
        )
        arrays.append(mask)
    return da.map_blocks(
        function,
        *arrays,
        drop_axis=(n_dims, n_dims + 1),
        new_axis=n_dims,
        chunks=(*patterns.chunks[:n_dims], (n_classes,)),
        dtype="float32",
        meta=np.empty((0,) * (n_dims + 1), dtype="float32"),
        # A name of our own, so that dask does not hash the model
        name=f"classify-space-group-{uuid4().hex}",
    )


def _classify_block(
    patterns: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    model: "SpaceGroupModel",
    background: np.ndarray | None,
    inside: np.ndarray,
) -> np.ndarray:
    """Return probabilities of a block of patterns."""
    flat = patterns.reshape((-1, *patterns.shape[-2:]))
    wanted = ~unusable_patterns(flat)
    if mask is not None:
        wanted &= ~mask.ravel()
    out = np.full((len(flat), len(model.space_groups)), np.nan, dtype="float32")
    if wanted.any():
        divided = divide_background(flat[wanted], background, inside)
        out[wanted] = model.predict_proba(divided)
    return out.reshape(*patterns.shape[:-2], -1)


def _finish(
    probabilities: da.Array,
    signal: EBSD,
    model: "SpaceGroupModel",
    navigation_mask: np.ndarray | None,
    options: dict[str, Any],
    show_progressbar: bool | None,
) -> "CrystalMap":
    """Return the map of computed probabilities."""
    if show_progressbar is None:
        show_progressbar = hs.preferences.General.show_progressbar
    start = perf_counter()
    with ProgressBar() if show_progressbar else nullcontext():
        # The network uses all cores by itself: one block is read while
        # another one is classified
        computed = probabilities.compute(scheduler="threads", num_workers=2)
    n = computed[..., 0].size - (
        0 if navigation_mask is None else navigation_mask.sum()
    )
    seconds = perf_counter() - start
    _logger.info("Classified %i patterns, %.0f patterns/s", n, n / seconds)
    axes = signal.axes_manager.navigation_axes[::-1]
    unit = str(axes[-1].units) if axes else "px"
    return crystal_map(
        computed,
        model.space_groups,
        navigation_mask=navigation_mask,
        step_sizes=[axis.scale for axis in axes],
        scan_unit="px" if unit in ("<undefined>", "None", "") else unit,
        **options,
    )

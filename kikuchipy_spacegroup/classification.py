# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Classify every pattern of a scan."""

from collections.abc import Callable, Sequence
from functools import partial
import logging
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import dask.array as da
import hyperspy.api as hs
from kikuchipy.signals import EBSD
import numpy as np

from kikuchipy_spacegroup._checks import (
    check_background,
    check_mask,
    check_signal,
    map_options,
)
from kikuchipy_spacegroup._classify_blocks import classify_block, map_model
from kikuchipy_spacegroup._compute import compute as _compute
from kikuchipy_spacegroup._compute import n_threads
from kikuchipy_spacegroup._fingerprint import fingerprint
from kikuchipy_spacegroup._results_store import (
    blocks_to_store,
    check_output,
    is_disk_full,
    missing_blocks,
    open_store,
)
from kikuchipy_spacegroup._scan import (
    blocks_of_patterns,
    find_background,
    first_unreadable,
    refuse_lost,
    sample_patterns,
)
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
    reject_implausible: bool = True,
    min_probability: float | None = None,
    keep_n: int = 3,
    keep_probabilities: bool = False,
    chunk_patterns: int | None = None,
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
        has one, or else the mean of up to 400 patterns, blurred unless
        its fine structure is sound. Bad patterns do not spoil it. See
        :func:`kikuchipy_spacegroup.background.background_from_patterns`.
        What was used is logged. Pixels outside of the camera's aperture
        or where the background is not positive are left out.
    reject_implausible
        Whether images whose values are distributed as in no diffraction
        pattern are not classified, as most drawings and text, see
        :func:`kikuchipy_spacegroup.plausibility.implausible_patterns`.
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
    output
        Name of a folder ending with ``.zarr`` to write probabilities to
        as they come, so that they are not lost whatever happens. Needs
        the package zarr.
    resume
        Whether to go on with *output* if it exists. What is in it is
        not classified again. The scan, the model, masks, background and
        chunks must be the same, which is checked. Of the scan, its
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
        :func:`kikuchipy_spacegroup.crystal_map.crystal_map`, or
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
        the background or a number does not fit, or *output* has results
        of something else.
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
    points and the data type change probabilities by less than 1e-5.
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
    model = _get_model(model)
    options = map_options(model, min_probability, keep_n, keep_probabilities)
    shapes = nav_shape, sig_shape
    patterns = blocks_of_patterns(signal.data, *shapes, chunk_patterns)
    scan = _Scan(signal, patterns, navigation_mask, n_threads(model))
    background, inside = scan.find_background(static_background, signal_mask)
    # Blocks are larger on a GPU, but the background is that from others
    batch = getattr(model, "batch_size", 1)
    scan.patterns = blocks_of_patterns(scan.patterns, *shapes, chunk_patterns, batch)
    masks = inside, navigation_mask
    probabilities = map_model(
        scan.patterns, model, background, *masks, reject_implausible
    )
    if not compute:
        return probabilities
    if output is None:
        run = partial(scan.compute, probabilities)
    else:
        parts = (model.fingerprint(), background, *masks, reject_implausible)
        run = partial(scan.compute_into, output, probabilities, parts)
    return _finish(run, signal, model, navigation_mask, options, show_progressbar)


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

    See Also
    --------
    classify_space_group
    kikuchipy_spacegroup.crystal_map.crystal_map

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> model = kpsg.SpaceGroupModel.create([225, 229], size=32, filters=(8,), stem=8)
    >>> p = kpsg.classify_space_group(s, model, compute=False)
    >>> xmap = kpsg.compute_classification_map(p, s, model, show_progressbar=False)
    >>> xmap.shape
    (3, 3)
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
    run = partial(_compute, da.asarray(probabilities), threads=n_threads(model))
    return _finish(run, signal, model, navigation_mask, options, show_progressbar)


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


class _Scan:
    """A scan whose patterns may not be readable."""

    def __init__(
        self,
        signal: EBSD,
        patterns: da.Array,
        navigation_mask: np.ndarray | None,
        threads: int,
    ) -> None:
        self.signal = signal
        self.threads = threads
        self.navigation_mask = navigation_mask
        file = signal.tmp_parameters.as_dictionary()
        name = file.get("filename")
        path = Path(file.get("folder") or "") / f"{name}.{file.get('extension')}"
        self.file = f" of {path}" if name else ""
        is_read = name and isinstance(signal.data, da.Array)
        self.patterns = refuse_lost(patterns, path) if is_read else patterns

    def find_background(
        self,
        static_background: np.ndarray | str | None,
        signal_mask: np.ndarray | None,
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """Return background and aperture."""
        try:
            return find_background(
                self.signal,
                self.patterns,
                static_background,
                self.navigation_mask,
                signal_mask,
            )
        except Exception as error:
            self._explain(error, None, "")
            raise

    def compute(self, probabilities: da.Array, show_progressbar: bool) -> np.ndarray:
        """Return computed probabilities."""
        try:
            return _compute(probabilities, show_progressbar, self.threads)
        except Exception as error:
            self._explain(error, None, "")
            raise

    def compute_into(
        self,
        output: Path,
        probabilities: da.Array,
        parts: Sequence[Any],
        show_progressbar: bool,
    ) -> np.ndarray:
        """Return probabilities, which are written to a store as they come."""
        model, background, inside, mask, reject_implausible = parts
        sample = sample_patterns(self.patterns, self.navigation_mask)[::20]
        header = {
            "scan": fingerprint(sample, list(self.patterns.shape)),
            "model": model,
            "background": fingerprint(background, inside, str(reject_implausible)),
            "navigation_mask": fingerprint(mask),
        }
        store = open_store(output, probabilities, header)
        missing = missing_blocks(store)
        n = store.nchunks
        _logger.info("%s: %i of %i blocks are there", output, n - len(missing), n)
        try:
            if missing:
                lazy = blocks_to_store(probabilities, store, missing)
                _compute(lazy, show_progressbar, self.threads)
        except Exception as error:
            left = missing_blocks(store)
            kept = (
                f" {n - len(left)} of {n} blocks are kept in {output}. Go on with the "
                "same call and `resume=True`"
            )
            if is_disk_full(error):
                raise OSError(f"The disk of {output} is full.{kept}") from error
            self._explain(error, left, kept)
            raise
        return store[...]

    def _explain(
        self, error: Exception, blocks: list[tuple[int, ...]] | None, kept: str
    ) -> None:
        """Raise an error that names the patterns which cannot be read."""
        frame = error.__traceback__
        while frame is not None:
            if frame.tb_frame.f_code.co_name == classify_block.__name__:
                return  # It was not reading that failed
            frame = frame.tb_next
        found = first_unreadable(self.patterns, blocks)
        if found is not None:
            names = ("rows", "columns")[-len(found) :]
            where = " and ".join(
                f"{name} {i.start} to {i.stop - 1}" for name, i in zip(names, found)
            )
            raise OSError(
                f"The patterns{self.file} in {where} cannot be read: {error!r}.{kept}"
            ) from error


def _finish(
    run: Callable[[bool], np.ndarray],
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
    computed = run(show_progressbar)
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

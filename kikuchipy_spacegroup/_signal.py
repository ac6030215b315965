# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make :meth:`EBSD.classify_space_group` appear."""

from typing import TYPE_CHECKING
import warnings

from kikuchipy.signals import EBSD

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import dask.array as da
    import numpy as np
    from orix.crystal_map import CrystalMap

    from kikuchipy_spacegroup.models import SpaceGroupModel

_NAME = "classify_space_group"


def classify_space_group(
    self: EBSD,
    model: "SpaceGroupModel | str | Path | None" = None,
    *,
    navigation_mask: "np.ndarray | None" = None,
    signal_mask: "np.ndarray | None" = None,
    static_background: "np.ndarray | str | None" = "auto",
    reject_implausible: bool = True,
    space_groups: "Sequence[int] | None" = None,
    separate_enantiomorphs: bool = False,
    min_probability: float | None = None,
    keep_n: int = 3,
    keep_probabilities: bool = False,
    chunk_patterns: int | None = None,
    engine: str | None = None,
    output: "str | Path | None" = None,
    resume: bool = False,
    compute: bool = True,
    show_progressbar: bool | None = None,
) -> "CrystalMap | da.Array":
    """Return a map of the space group of every pattern.

    If the model uses the projection center, it is that of the signal's
    detector, one for all points or one for each. If this is kikuchipy's
    default (0.5, 0.5, 0.5), or NaN, it is unknown, which is logged.

    Parameters
    ----------
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
        see :func:`~kikuchipy_spacegroup.classification.engine_of_map`.
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
        is returned, which :func:`~kikuchipy_spacegroup.classification.compute_classification_map` turns into
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
    kikuchipy_spacegroup.classification.classify_space_group

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
    >>> import kikuchipy_spacegroup
    >>> s = kp.data.nickel_ebsd_small()
    >>> xmap = s.classify_space_group(show_progressbar=False)
    >>> xmap.shape
    (3, 3)
    """
    from kikuchipy_spacegroup import classification

    return classification.classify_space_group(
        self,
        model,
        navigation_mask=navigation_mask,
        signal_mask=signal_mask,
        static_background=static_background,
        reject_implausible=reject_implausible,
        space_groups=space_groups,
        separate_enantiomorphs=separate_enantiomorphs,
        min_probability=min_probability,
        keep_n=keep_n,
        keep_probabilities=keep_probabilities,
        chunk_patterns=chunk_patterns,
        engine=engine,
        output=output,
        resume=resume,
        compute=compute,
        show_progressbar=show_progressbar,
    )


def register() -> None:
    """Set the method on the class of EBSD signals.

    Calling it again changes nothing. A method of the same name that is
    not ours is replaced with a warning.
    """
    present = EBSD.__dict__.get(_NAME)
    if present is not None and present.__module__ != __name__:
        warnings.warn(
            f"EBSD.{_NAME}() of {present.__module__} is replaced by the one of "
            "kikuchipy_spacegroup",
            stacklevel=2,
        )
    setattr(EBSD, _NAME, classify_space_group)

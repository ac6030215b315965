# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables with one row per pattern, made by classifying scans."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.classification import classify_space_group
from kikuchipy_spacegroup.evaluation._seen_materials import seen_materials
from kikuchipy_spacegroup.maps import probabilities_from_map
from kikuchipy_spacegroup.models._kept_model import get_model
from kikuchipy_spacegroup.patterns._checks import (
    check_mask,
    check_signal,
    points_of_map,
)

if TYPE_CHECKING:
    from kikuchipy.signals import EBSD
    from orix.crystal_map import CrystalMap, Phase
    from orix.quaternion import Rotation

    from kikuchipy_spacegroup.models import SpaceGroupModel

_COLUMNS = ("material", "space_group", "in_training", "predicted", "probability")
_PLACES = ("phi1", "Phi", "phi2", "scan", "row", "column")
_PREFIX = "p_"


def pattern_table(
    probabilities: np.ndarray,
    space_groups: Sequence[int],
    *,
    truth: int | np.ndarray,
    material: str | np.ndarray,
    trained_on: Collection[str] = (),
    min_probability: float = 0.0,
    rotations: "Rotation | None" = None,
    **quality: np.ndarray,
) -> pd.DataFrame:
    """Return a table with one row per pattern.

    Parameters
    ----------
    probabilities
        Array of shape (n, k). Rows which are NaN or zero could not be
        classified.
    space_groups
        The k space group numbers.
    truth
        Space group number of all patterns or of each of shape (n,).
    material
        Name of the material of all patterns or of each of shape (n,).
    trained_on
        Names of the materials that were in training.
    min_probability
        Patterns with a lower best probability are not identified.
    rotations
        Orientations of shape (n,), if they are known.
    **quality
        Numbers per pattern of shape (n,), such as the band contrast.

    Returns
    -------
    table
        Columns are

        * ``material``, ``space_group`` (the true one, or its enantiomorph
          if only this is a class) and ``in_training``
        * ``predicted``, a space group number, or -1 for patterns that
          are not identified, and ``probability`` of the best one
        * ``phi1``, ``Phi`` and ``phi2``, Euler angles in degrees in the
          Bunge convention, if rotations are given
        * those of *quality*
        * ``p_225`` and so on, the probability of every class

    Raises
    ------
    ValueError
        If arrays do not fit together, or a space group does not exist.

    See Also
    --------
    evaluate, class_probabilities

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.evaluation import pattern_table
    >>> pattern_table(
    ...     np.array([[0.9, 0.1], [0.2, 0.8]]), [225, 229], truth=225, material="Ni"
    ... )
      material  space_group  in_training  predicted  probability  p_225  p_229
    0       Ni          225        False        225          0.9    0.9    0.1
    1       Ni          225        False        229          0.8    0.2    0.8
    """
    probabilities = np.asarray(probabilities, dtype="float64")
    n, k = probabilities.shape if probabilities.ndim == 2 else (0, 0)
    if k != len(space_groups) or k == 0:
        raise ValueError(
            f"Probabilities of shape {probabilities.shape} do not have one column for "
            f"each of the {len(space_groups)} space groups"
        )
    for number in {*np.unique(truth).tolist(), *space_groups}:
        sg.symbol(int(number))  # Raises if out of range
    classified = np.nan_to_num(probabilities).sum(axis=1) > 0
    best = np.where(classified[:, None], probabilities, 0).argmax(axis=1)
    score = np.where(classified, probabilities[np.arange(n), best], np.nan)
    identified = classified & (np.nan_to_num(score) >= min_probability)
    columns: dict[str, Any] = {
        "material": material,
        "space_group": _match_space_groups(truth, space_groups),
        "in_training": np.isin(np.broadcast_to(material, n), list(trained_on)),
        "predicted": np.where(identified, np.array(space_groups)[best], -1),
        "probability": score,
    }
    if rotations is not None:
        angles = np.rad2deg(rotations.flatten().to_euler())
        columns |= dict(zip(("phi1", "Phi", "phi2"), angles.T))
    columns |= quality
    columns |= {
        f"{_PREFIX}{number}": np.where(classified, column, np.nan)
        for number, column in zip(space_groups, probabilities.T)
    }
    for name, column in columns.items():
        if np.shape(column) not in ((), (n,)):
            raise ValueError(
                f"{name} must be of shape ({n},) as there are {n} patterns, not "
                f"{np.shape(column)}"
            )
    return pd.DataFrame(columns, index=pd.RangeIndex(n))


def evaluate(
    model: "SpaceGroupModel",
    scans: "Mapping[str, EBSD | tuple[EBSD, int]]",
    *,
    trained_on: Collection[str] | None = None,
    min_probability: float = 0.0,
    navigation_masks: Mapping[str, np.ndarray] | None = None,
    image_quality: bool = False,
    show_progressbar: bool | None = None,
) -> pd.DataFrame:
    """Classify scans of known phases, and return a row per pattern.

    Parameters
    ----------
    model
        Model, see :func:`~kikuchipy_spacegroup.classification.classify_space_group`.
    scans
        By name, scans whose ``xmap`` says the phase of every point, as
        those of :func:`~kikuchipy_spacegroup.io.load_aztec_grain_list`, or scans
        and the space group number of all points.
    trained_on
        Names of the materials that were in training. If not given, they
        are found among the phases in the metadata of the model, as the
        bundled one has them, see Notes.
    min_probability
        Patterns with a lower best probability are not identified. By
        default all are, as in :cite:`kaufmann2020deep`, so that
        accuracies are comparable.
    navigation_masks
        By name, boolean arrays of the navigation shape, True for
        patterns to leave out.
    image_quality
        Whether to compute the image quality of patterns as they are
        given, see :meth:`kikuchipy.signals.EBSD.get_image_quality`.
    show_progressbar
        See :func:`~kikuchipy_spacegroup.classification.classify_space_group`.

    Returns
    -------
    table
        See :func:`pattern_table`. There are more columns: ``scan``,
        ``row`` and ``column`` (from 0, where a pattern is in its scan),
        and ``image_quality`` if asked for. Materials have the names of
        phases where these are known, and otherwise of scans. Numeric
        properties of ``xmap`` are columns, with ``xmap_`` before names
        that are taken.

    Raises
    ------
    TypeError
        If something in *scans* is not a scan.
    ValueError
        If the space group of a scan is not known.

    See Also
    --------
    kikuchipy_spacegroup.evaluation.accuracy
    kikuchipy_spacegroup.classification.classify_space_group

    Notes
    -----
    Points that are not indexed, not in the data of ``xmap``, or of a
    phase without space group are left out, since their phase is not
    known. Patterns that cannot be classified count as not identified.

    If *trained_on* is not given, a material was in training if a phase
    in the metadata of the model has its space group and its name, in
    capital or small letters, or its formula. This is that of the atoms
    of its phase in ``xmap``, or else of its name: ``"Nickel"`` is only
    found if there are atoms. Of made-up phases, such as
    ``"NiBr_as_Cr3Si (223)"``, the elements count. A warning names
    materials that may have been in training under another name, and is
    logged too if the model does not say what it was trained on: then
    none was. With ``kpsg.set_log_level("INFO")``, all that were not in
    training are named.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> table = kpsg.evaluation.evaluate(kpsg.load_model(), {"Ni": s}, show_progressbar=False)
    >>> len(table)
    9
    >>> bool(table["in_training"].all())
    True
    """
    if not isinstance(scans, Mapping) or not scans:
        raise TypeError(f"Scans must be a mapping from names, not {scans!r}")
    scan_truths = {
        name: _read_truth(name, scan, (navigation_masks or {}).get(name))
        for name, scan in scans.items()
    }
    seen = None
    if trained_on is None:
        model = get_model(model)
        materials = [i for *_, of_scan in scan_truths.values() for i in of_scan]
        phases = getattr(model, "metadata", {}).get("phases") or []
        seen = seen_materials(materials, phases)
    tables = []
    for name, (signal, mask, labels, _) in scan_truths.items():
        labels |= _find_positions(mask)
        if image_quality:
            quality = _compute_image_quality(signal, mask, show_progressbar)
            if "image_quality" in labels:
                labels["xmap_image_quality"] = labels["image_quality"]
            labels["image_quality"] = quality
        xmap = classify_space_group(
            signal,
            model,
            navigation_mask=mask if mask.any() else None,
            min_probability=min_probability,
            keep_probabilities=True,
            show_progressbar=show_progressbar,
        )
        table = pattern_table(
            *probabilities_from_map(xmap),
            min_probability=min_probability,
            trained_on=() if trained_on is None else trained_on,
            **labels,
        )
        if seen is not None:
            pairs = pd.MultiIndex.from_frame(table[["material", "space_group"]])
            _, numbers = class_probabilities(table)
            seen_pairs = [
                (m, int(_match_space_groups(number, numbers))) for m, number in seen
            ]
            table["in_training"] = pairs.isin(seen_pairs)
        table.insert(0, "scan", name)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _match_space_groups(
    numbers: int | np.ndarray, space_groups: Sequence[int]
) -> int | np.ndarray:
    """Return space groups as they are called among others."""
    matched = sg.match_enantiomorphs(numbers, space_groups)
    return matched if np.ndim(numbers) else int(matched)


def _read_truth(
    name: str, scan: "EBSD | tuple[EBSD, int]", mask: np.ndarray | None
) -> tuple["EBSD", np.ndarray, dict[str, Any], list[tuple[str, int, "Phase | None"]]]:
    """Return a scan, which points to leave out, labels of others, materials."""
    labels: dict[str, Any]
    signal, number = scan if isinstance(scan, tuple) else (scan, None)
    nav_shape, _ = check_signal(signal)
    mask = check_mask(mask, nav_shape, f"The navigation mask of {name!r}")
    mask = np.zeros(nav_shape, dtype=bool) if mask is None else mask.copy()
    if number is not None:
        sg.symbol(number)  # Raises if out of range
        labels = {"truth": number, "material": name}
        return signal, mask, labels, [(name, number, None)]
    xmap = signal.xmap
    number_by_id = {} if xmap is None else _read_space_groups(xmap)
    if not number_by_id:
        raise ValueError(
            f"The space group of scan {name!r} is not known: it has no `xmap` with "
            "phases that have one. Give a tuple of the scan and the number"
        )
    index = points_of_map(xmap, mask.size)
    rows = np.isin(xmap.phase_id, list(number_by_id)) & ~mask.ravel()[index]
    if not rows.any():
        raise ValueError(f"Scan {name!r} has no point of a phase with a space group")
    ids = xmap.phase_id[rows]
    mask = np.ones(mask.size, dtype=bool)
    mask[index[rows]] = False
    rotations = xmap.rotations[rows]
    phases = {i: xmap.phases[i] for i in np.unique(ids).tolist()}
    names = {i: phase.name or name for i, phase in phases.items()}
    labels = {
        "truth": np.array([number_by_id[i] for i in ids]),
        "material": np.array([names[i] for i in ids.tolist()]),
        "rotations": rotations[:, 0] if rotations.ndim > 1 else rotations,
    }
    for key, values in xmap.prop.items():  # Also of points not in the data
        if np.shape(values) == xmap.is_in_data.shape and values.dtype.kind in "uifb":
            taken = key in (*_COLUMNS, *_PLACES, *labels)
            labels[f"xmap_{key}" if taken else key] = values[xmap.is_in_data][rows]
    materials = [(names[i], number_by_id[i], phase) for i, phase in phases.items()]
    return signal, mask.reshape(nav_shape), labels, materials


def _find_positions(mask: np.ndarray) -> dict[str, np.ndarray]:
    """Return rows and columns of points that are not left out."""
    row, column = np.nonzero(~np.atleast_2d(mask))
    return {"row": row, "column": column}


def _compute_image_quality(
    signal: "EBSD", mask: np.ndarray, show_progressbar: bool | None
) -> np.ndarray:
    """Return the image quality (n,) of patterns that are not left out."""
    quality = signal.get_image_quality(show_progressbar=show_progressbar)
    return np.asarray(quality).reshape(mask.shape)[~mask]


def _read_space_groups(xmap: "CrystalMap") -> dict[int, int]:
    """Return the space group numbers of phases that have one, by ID."""
    return {
        int(i): int(phase.space_group.number)
        for i, phase in xmap.phases
        if i != -1 and phase.space_group is not None
    }


def class_probabilities(table: pd.DataFrame) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return the probabilities of all classes from a table.

    Parameters
    ----------
    table
        Table with a row per pattern.

    Returns
    -------
    probabilities
        Array of shape (n, k), with rows of NaN for patterns that could
        not be classified.
    space_groups
        The k space group numbers.

    Raises
    ------
    ValueError
        If the table has no such columns.

    See Also
    --------
    pattern_table

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.evaluation import class_probabilities, pattern_table
    >>> probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> table = pattern_table(probabilities, [225, 229], truth=225, material="Ni")
    >>> class_probabilities(table)
    (array([[0.9, 0.1],
           [0.2, 0.8]]), (225, 229))
    """
    names = [
        c
        for c in table.columns
        if c.startswith(_PREFIX) and c[len(_PREFIX) :].isdigit()
    ]
    if not names or not set(_COLUMNS) <= set(table.columns):
        raise ValueError(
            f"The table must have the columns {list(_COLUMNS)} and 'p_225' or the like, "
            f"but has {list(table.columns)}. Make it with `pattern_table()`"
        )
    groups = tuple(int(name[len(_PREFIX) :]) for name in names)
    return table[names].to_numpy("float64"), groups

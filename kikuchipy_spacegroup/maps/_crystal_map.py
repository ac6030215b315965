# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From probabilities to crystal maps and back.

The only module that knows how results are laid out in a map.
"""

from collections.abc import Mapping, Sequence
import os
from pathlib import Path

import numpy as np
from orix import io
from orix.crystal_map import CrystalMap, create_coordinate_arrays
from orix.quaternion import Rotation

from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.io._replacing import replacing
from kikuchipy_spacegroup.maps._ang_file import check_ang_size, write_ang
from kikuchipy_spacegroup.maps._copy_map import copy_of
from kikuchipy_spacegroup.space_groups._prior import check_prior

_SUFFIXES = (".h5", ".hdf5", ".ang")


def crystal_map(
    probabilities: np.ndarray,
    space_groups: Sequence[int],
    *,
    candidates: Sequence[int] | None = None,
    separate_enantiomorphs: bool = False,
    min_probability: float = 0.0,
    navigation_mask: np.ndarray | None = None,
    step_sizes: Sequence[float] | None = None,
    scan_unit: str = "px",
    keep_n: int = 3,
    keep_probabilities: bool = False,
    prior: Sequence[float] | np.ndarray | None = None,
) -> CrystalMap:
    """Return a crystal map whose phases are space groups.

    Parameters
    ----------
    probabilities
        Probabilities of shape (..., k) with none, one or two navigation
        dimensions and k space groups. Rows which are NaN could not be
        classified.
    space_groups
        The k space group numbers.
    candidates
        Space groups that are possible, see
        :func:`~kikuchipy_spacegroup.space_groups.restrict_probabilities`.
        If not given, all.
    separate_enantiomorphs
        Whether the two of an enantiomorphic pair are two answers. If
        not, the lower number stands for both, with the probability of
        both, and its phase is named ``"P3121 or P3221"``.
    min_probability
        Points with a lower best probability are not identified.
    navigation_mask
        Boolean array of the navigation shape, True for points that are
        left out.
    step_sizes
        Step sizes, one per navigation dimension, vertical first.
    scan_unit
        Unit of the step sizes.
    keep_n
        Number of best space groups to keep per point.
    keep_probabilities
        Whether to keep all probabilities.
    prior
        Prior probabilities of the k space groups, as those of
        :attr:`SpaceGroupModel.prior
        <kikuchipy_spacegroup.models.SpaceGroupModel.prior>`. They are
        restricted and added up as probabilities are. If not given, those
        of all space groups of the map are the same, pairs counting as
        one.

    Returns
    -------
    xmap
        Crystal map. IDs of phases are space group numbers, -1 are
        points that are not identified, and masked points are not in the
        data. **Rotations are all identity**, since no orientations are
        known. Properties are

        * ``scores`` (n,), the best probability, 0 where it is not known
        * ``top_space_groups`` and ``top_probabilities`` (n, keep_n),
          the best space groups, the best first, -1 and 0 where they are
          not known
        * ``chain_ids`` and ``chain_probabilities`` (n, 6), what is most
          probable at each level of symmetry, see
          :func:`~kikuchipy_spacegroup.space_groups.symmetry_chain` and
          :func:`symmetry_map`, also of points that are not identified
        * ``candidates_probability`` (n,), if there are candidates: the
          probability they had together before they were the only ones.
          Where it is small, the right space group is hardly among them
        * ``probabilities`` and ``probabilities_space_groups`` (n, k),
          if asked for: all probabilities and, in every row, their space
          groups, see :func:`probabilities_from_map`
        * ``probabilities_prior`` (n, k), beside these unless it is the
          same for all: in every row, the prior of their space groups,
          see :func:`prior_from_map`

    Raises
    ------
    ValueError
        If a space group does not exist or is there twice, a candidate is
        none of the space groups, there are probabilities which are
        negative or do not add up to 1, or the prior is not one positive
        number per space group.

    See Also
    --------
    probabilities_from_map, prior_from_map, save_map, symmetry_map
    orix.crystal_map.CrystalMap

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.maps import crystal_map
    >>> probabilities = np.array([[[0.9, 0.1], [0.4, 0.6]]])
    >>> xmap = crystal_map(probabilities, [225, 229], min_probability=0.7)
    >>> xmap.phase_id
    array([225,  -1])
    >>> xmap.prop["top_space_groups"]
    array([[225, 229],
           [229, 225]], dtype=int16)
    """
    navigation_shape = probabilities.shape[:-1] or (1,)
    flat_probabilities = np.asarray(probabilities, dtype="float32").reshape(
        -1, probabilities.shape[-1]
    )
    prior = _find_map_prior(prior, space_groups, candidates, separate_enantiomorphs)
    totals = None
    if candidates is not None:
        flat_probabilities, totals = sg.restrict_probabilities(
            flat_probabilities, space_groups, candidates
        )
        space_groups = candidates
    if navigation_mask is None:
        in_data = np.ones(len(flat_probabilities), dtype=bool)
    else:
        in_data = ~np.ravel(navigation_mask)
    classified = in_data & ~np.isnan(flat_probabilities).any(axis=1)
    flat_probabilities = np.where(classified[:, None], flat_probabilities, 0)
    chain_ids, chain_probabilities = sg.symmetry_chain(flat_probabilities, space_groups)
    if not separate_enantiomorphs:
        flat_probabilities, space_groups = sg.merge_enantiomorphs(
            flat_probabilities, space_groups
        )
    numbers = np.array(space_groups, dtype=int)
    order = np.argsort(-flat_probabilities, axis=1, kind="stable")[:, :keep_n]
    top_probabilities = np.take_along_axis(flat_probabilities, order, axis=1)
    top_numbers = np.where(classified[:, None], numbers[order], -1)
    scores = top_probabilities[:, 0].copy()
    phase_id = np.where(classified & (scores >= min_probability), top_numbers[:, 0], -1)
    prop = {
        "scores": scores,
        "top_space_groups": top_numbers.astype("int16"),
        "top_probabilities": top_probabilities,
        "chain_ids": chain_ids,
        "chain_probabilities": chain_probabilities,
    }
    if totals is not None:
        prop["candidates_probability"] = np.where(classified, totals, np.float32(0))
    if keep_probabilities:
        prop |= _all_probabilities(flat_probabilities, numbers, prior)
    if step_sizes is None or len(step_sizes) != len(navigation_shape):
        step_sizes = (1,) * len(navigation_shape)
    coordinates, _ = create_coordinate_arrays(navigation_shape, tuple(step_sizes))
    # The constructor zips IDs of points and phases, so they must agree
    found_ids = np.unique(phase_id)
    phases = sg.phase_list(
        found_ids[found_ids > 0], classes=numbers, include_not_indexed=-1 in found_ids
    )
    return CrystalMap(
        rotations=Rotation.identity((len(flat_probabilities),)),
        phase_id=phase_id,
        phase_list=phases,
        prop=prop,
        scan_unit=scan_unit,
        is_in_data=in_data,
        **coordinates,
    )


def _all_probabilities(
    probabilities: np.ndarray, numbers: np.ndarray, prior: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Return the properties that hold all probabilities (n, k)."""
    rows = {"probabilities_space_groups": numbers.astype("int16")}
    if prior is not None and (prior != prior[0]).any():
        rows["probabilities_prior"] = prior.astype("float32")
    tiled = {name: np.tile(row, (len(probabilities), 1)) for name, row in rows.items()}
    return {"probabilities": probabilities} | tiled


def _find_map_prior(
    prior: Sequence[float] | np.ndarray | None,
    space_groups: Sequence[int],
    candidates: Sequence[int] | None,
    separate_enantiomorphs: bool,
) -> np.ndarray | None:
    """Return the prior of the space groups of a map, or None if it is not given."""
    if prior is None:
        return None
    prior = check_prior(prior, len(space_groups))
    if candidates is not None:
        prior, _ = sg.restrict_probabilities(prior, space_groups, candidates)
        space_groups = candidates
    if not separate_enantiomorphs:
        prior, _ = sg.merge_enantiomorphs(prior, space_groups)
    return prior


def probabilities_from_map(xmap: CrystalMap) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return all probabilities and their space groups from a map.

    Parameters
    ----------
    xmap
        Map made with ``keep_probabilities=True``, possibly saved and
        loaded again.

    Returns
    -------
    probabilities
        Array of shape (n, k) for the n points in the data.
    space_groups
        The k space group numbers.

    Raises
    ------
    ValueError
        If the map has no probabilities, or those of its points are of
        different space groups.

    See Also
    --------
    crystal_map, prior_from_map, save_map

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.maps import (
    ...     crystal_map, probabilities_from_map
    ... )
    >>> xmap = crystal_map(
    ...     np.array([[0.75, 0.25]]), [225, 229], keep_probabilities=True
    ... )
    >>> probabilities_from_map(xmap)
    (array([[0.75, 0.25]], dtype=float32), (225, 229))
    """
    names = ("probabilities", "probabilities_space_groups")
    if not set(names) <= set(xmap.prop):
        raise ValueError(
            f"The map has the properties {list(xmap.prop)}, but not {names}. Classify "
            "with `keep_probabilities=True`"
        )
    probabilities, space_groups = (xmap.prop[name] for name in names)
    unlike = np.flatnonzero((space_groups != space_groups[0]).any(axis=1))
    if len(unlike):
        raise ValueError(
            f"Probabilities of point 0 are of space groups {space_groups[0].tolist()}, "
            f"but those of point {unlike[0]} of {space_groups[unlike[0]].tolist()}. "
            "Give a map that was classified with one model"
        )
    return probabilities, tuple(int(i) for i in space_groups[0])


def prior_from_map(xmap: CrystalMap) -> np.ndarray:
    """Return the prior probabilities of the space groups of a map.

    Parameters
    ----------
    xmap
        Map made with ``keep_probabilities=True``, possibly saved and
        loaded again.

    Returns
    -------
    prior
        Array of shape (k,) for the k space groups from
        :func:`probabilities_from_map`, which adds up to 1. All are the
        same in maps that have none, as older ones.

    Raises
    ------
    ValueError
        If the map has no probabilities, or those of its points are of
        different space groups or priors.

    See Also
    --------
    crystal_map, probabilities_from_map
    kikuchipy_spacegroup.models.SpaceGroupModel

    Notes
    -----
    It is how often space groups were in training, as probabilities have
    it. Maps pooled or smoothed have that of the map they were made from,
    as it counts once in their probabilities, too.

    Maps without all probabilities have no prior. What multiplies
    probabilities needs all of them, and prediction sets, symmetry maps
    and masks, which do not, look at probabilities as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.maps import crystal_map, prior_from_map
    >>> xmap = crystal_map(
    ...     np.array([[0.9, 0.1]]), [225, 229], keep_probabilities=True, prior=[3, 1]
    ... )
    >>> prior_from_map(xmap)
    array([0.75, 0.25])
    """
    _, space_groups = probabilities_from_map(xmap)
    name = "probabilities_prior"
    if name not in xmap.prop:
        return check_prior(None, len(space_groups))
    priors = xmap.prop[name]
    if (priors != priors[0]).any():
        raise ValueError(
            f"Points of the map have different values of {name!r}. Give a map that was "
            "classified with one model"
        )
    return check_prior(priors[0], len(space_groups))


def prediction_sets_from_map(
    xmap: CrystalMap, threshold: float | Mapping[int, float]
) -> list[tuple[int, ...]]:
    """Return the space groups every point may be of.

    Parameters
    ----------
    xmap
        Map of space groups.
    threshold
        Lowest probability of a space group in a set, of all or of each
        by number, one of ``model.conformal_thresholds``.

    Returns
    -------
    sets
        Space group numbers per point in the data, the most probable one
        first and always there. Empty for points that could not be
        classified.

    Raises
    ------
    ValueError
        If a threshold is not between 0 and 1, that of a space group is
        missing, or it is so low that the map does not have all space
        groups of a set.

    See Also
    --------
    kikuchipy_spacegroup.training.prediction_sets
    kikuchipy_spacegroup.training.calibrate

    Examples
    --------
    >>> import numpy as np
    >>> from kikuchipy_spacegroup.maps import crystal_map, prediction_sets_from_map
    >>> probabilities = np.array([[0.5, 0.4, 0.1], [0.1, 0.0, 0.9]])
    >>> xmap = crystal_map(probabilities, [221, 225, 229])
    >>> prediction_sets_from_map(xmap, 0.2)
    [(221, 225), (229,)]
    >>> prediction_sets_from_map(xmap, {221: 0.05, 225: 0.5, 229: 0.5})
    [(221,), (229, 221)]
    """
    if "probabilities" in xmap.prop:
        probabilities, space_groups = probabilities_from_map(xmap)
        order = np.argsort(-probabilities, axis=1, kind="stable")
        probabilities = np.take_along_axis(probabilities, order, axis=1)
        classified = xmap.prop["top_space_groups"][:, :1] > 0
        numbers = np.where(classified, np.array(space_groups)[order], 0)
    else:
        numbers = xmap.prop["top_space_groups"]
        probabilities = xmap.prop["top_probabilities"]
        # Those not kept are no more probable than the last one that is
        highest_left_out = np.minimum(
            probabilities[:, -1], 1 - probabilities.sum(axis=1)
        )
        lowest = _find_lowest_of_others(threshold, numbers)
        if (highest_left_out >= lowest)[numbers[:, 0] > 0].any():
            raise ValueError(
                f"Sets of the threshold {threshold} may have more than the "
                f"{numbers.shape[1]} space groups kept in the map. Classify with a "
                "larger `keep_n` or `keep_probabilities=True`"
            )
    in_set = probabilities >= _spread_threshold(threshold, numbers)
    in_set[:, 0] = True
    in_set &= numbers > 0
    return [tuple(row[i].tolist()) for row, i in zip(numbers, in_set)]


def _spread_threshold(
    threshold: float | Mapping[int, float], numbers: np.ndarray
) -> np.ndarray:
    """Return the threshold of every space group in an array, 1 of number 0."""
    thresholds = np.ones(numbers.shape)
    for number in np.unique(numbers[numbers > 0]).tolist():
        value = threshold
        if isinstance(threshold, Mapping):
            if number not in threshold:
                raise ValueError(
                    f"There are thresholds of the space groups {sorted(threshold)}, but "
                    f"{number} is in the map. Give those of the model the scan was "
                    "classified with"
                )
            value = threshold[number]
        if not 0 < value <= 1:
            raise ValueError(f"The threshold must be in (0, 1], not {value}")
        thresholds[numbers == number] = value
    return thresholds


def _find_lowest_of_others(
    threshold: float | Mapping[int, float], numbers: np.ndarray
) -> np.ndarray:
    """Return the lowest threshold of a space group not in a row, (n,)."""
    if not isinstance(threshold, Mapping):
        return np.full(len(numbers), threshold)
    is_left_out = np.array([(numbers != i).all(axis=1) for i in threshold])
    thresholds = np.array(list(threshold.values()))[:, None]
    return np.where(is_left_out, thresholds, np.inf).min(axis=0)


def check_map_path(
    path: str | Path, *, overwrite: bool = False, n_points: int | None = None
) -> Path:
    """Return a path if a map can be written there.

    Parameters
    ----------
    path
        File name ending with ``.h5``, ``.hdf5`` or ``.ang``.
    overwrite
        Whether an existing file may be replaced.
    n_points
        Number of points of the map, if known.

    Returns
    -------
    path
        The path.

    Raises
    ------
    ValueError
        If the file name ends otherwise, or a map of one point is to be
        written to an .ang file.
    FileExistsError
        If the file exists and ``overwrite`` is False.
    OSError
        If the folder does not exist or cannot be written to.
    """
    path = Path(path)
    if path.suffix not in _SUFFIXES:
        raise ValueError(
            f"Maps are written to files ending with {', '.join(_SUFFIXES)}, not "
            f"{path.name!r}"
        )
    if path.suffix == ".ang" and n_points is not None:
        check_ang_size(n_points, path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write to")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{path} exists. Pass `overwrite=True` (in a shell, --overwrite) to "
            "replace it"
        )
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"Files cannot be written to the folder {path.parent}")
    return path


def save_map(path: str | Path, xmap: CrystalMap, *, overwrite: bool = False) -> None:
    """Write a map of space groups to a file.

    Parameters
    ----------
    path
        File name ending with ``.h5``, ``.hdf5`` (nothing is lost, read
        it with :func:`orix.io.load`) or ``.ang``.
    xmap
        Map of space groups.
    overwrite
        Whether to replace an existing file.

    Raises
    ------
    ValueError
        If the file name ends otherwise, or a map of one point or of
        more than some 140 phases is to be written to an .ang file, which
        could not be read back.
    FileExistsError
        If the file exists and ``overwrite`` is False.
    OSError
        If the folder does not exist or cannot be written to.

    See Also
    --------
    orix.io.save
    orix.io.load

    Notes
    -----
    An .ang file numbers phases from 1 and has no place for space groups,
    so these are in an extra column ``space_group``, followed by the
    column ``scores``, and ``symmetry_levels`` and ``symmetry_ids`` of a map
    from :func:`symmetry_map`. Euler angles are all zero, since no orientations
    are known, unless the map has some, as a combined one.

    Points that are not identified cannot be told from those left out by
    a mask: space group and score are 0, Euler angles are
    4 pi, the confidence index is -1, and the phase is 0, or -1 if the map
    has less than two phases. If none is identified, the file has a phase
    ``not identified`` that no point is of. Rows and columns at the edges
    in which all points are left out are cut off. Other properties are
    lost.

    Examples
    --------
    >>> import numpy as np
    >>> from orix import io
    >>> from kikuchipy_spacegroup.maps import crystal_map, save_map
    >>> xmap = crystal_map(np.array([[0.9, 0.1], [0.4, 0.6]]), [225, 229])
    >>> save_map("map.h5", xmap)
    >>> io.load("map.h5").phase_id
    array([225, 229])
    """
    path = check_map_path(path, overwrite=overwrite, n_points=xmap.size)
    with replacing(path) as part:
        if path.suffix == ".ang":
            _save_ang(part, xmap)
        else:
            io.save(str(part), xmap, overwrite=True)


def _save_ang(path: Path, xmap: CrystalMap) -> None:
    """Write a map to an .ang file with its space groups and scores as columns."""
    numbers = np.zeros(xmap.size)
    for i, phase in xmap.phases:
        if phase.space_group is not None:
            numbers[xmap.phase_id == i] = phase.space_group.number
    copy = copy_of(xmap)
    copy.prop["space_group"] = numbers
    names = ("space_group", "scores", "symmetry_levels", "symmetry_ids")
    write_ang(path, copy, [name for name in names if name in copy.prop])

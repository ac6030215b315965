# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uncertainties of compositions, of all points or of each."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from orix.crystal_map import CrystalMap

from kikuchipy_spacegroup.crystals import element_symbol
from kikuchipy_spacegroup.maps._composition import (
    as_array,
    grain_means,
    normalized_fractions,
    read_composition,
)
from kikuchipy_spacegroup.maps._map_like import of_points

_LEAST = 1e-3
_DEFAULT = 0.05


def of_map(
    xmap: CrystalMap,
    composition: Any,
    elements: Sequence[str] | None,
    uncertainty: Any,
    grain_id: np.ndarray | None,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return compositions of points or grains, and their uncertainties.

    Parameters
    ----------
    xmap
        Map of the scan.
    composition, elements, uncertainty
        See :func:`~kikuchipy_spacegroup.maps.identify_phases`.
    grain_id
        Grain of each of the n points in the data, -1 for points of none.
        If None, compositions are not averaged.

    Returns
    -------
    arrays
        Fractions of shape (n,) by element.
    uncertainties
        Standard deviations of shape () or (n,) by element.

    Raises
    ------
    TypeError
        If the composition or its uncertainty is of another type.
    ValueError
        If arrays and numbers do not fit.
    """
    arrays = read_composition(composition, elements)
    uncertainties = read_uncertainties(uncertainty, composition, arrays)
    arrays = {
        element: of_points(values, xmap, f"Fractions of {element}")
        for element, values in arrays.items()
    }
    uncertainties = {
        element: values if values.ndim == 0 else of_points(values, xmap, element)
        for element, values in uncertainties.items()
    }
    if grain_id is None:
        return arrays, uncertainties
    known = np.isfinite(normalized_fractions(arrays)).all(axis=1)
    uncertainty_table(uncertainties, known)  # Raises if one is too small
    means = grain_means(arrays, grain_id)
    return means, _average_in_grains(uncertainties, known, grain_id)


def read_uncertainties(
    uncertainty: Any, composition: Any, arrays: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return standard deviations by element from any way to give them.

    Parameters
    ----------
    uncertainty, composition
        See :func:`~kikuchipy_spacegroup.maps.identify_phases`.
    arrays
        The composition as read, by element.

    Returns
    -------
    uncertainties
        For each element, an array of shape () if all points have the
        same uncertainty, or of the shape of the composition.

    Raises
    ------
    TypeError
        If the uncertainty is of another type.
    ValueError
        If there is no such element, or arrays are not numbers of the
        composition's shape.
    """
    elements = list(arrays)
    if isinstance(uncertainty, Mapping):
        given = _key_by_symbol(uncertainty, elements)
        uncertainties = {name: as_array(given.get(name, _DEFAULT)) for name in elements}
    elif isinstance(uncertainty, Real | np.ndarray) and np.ndim(uncertainty) == 0:
        uncertainties = dict.fromkeys(elements, as_array(uncertainty))
    elif isinstance(uncertainty, np.ndarray) and isinstance(composition, np.ndarray):
        if uncertainty.shape != composition.shape:
            raise ValueError(
                f"Uncertainties of shape {uncertainty.shape} do not fit a composition of "
                f"shape {composition.shape}. Give an array of the same shape, one "
                "number, or a dictionary with a number per element"
            )
        uncertainties = dict(zip(elements, np.moveaxis(uncertainty, -1, 0)))
    else:
        raise TypeError(
            "uncertainty must be a number, a dictionary of numbers, arrays or signals by "
            "element, or, if the composition is an array, an array of its shape, not "
            f"{type(uncertainty).__name__} with a composition given as "
            f"{type(composition).__name__}"
        )
    for name, values in uncertainties.items():
        if values.dtype.kind not in "uif":
            raise ValueError(
                f"Uncertainties of {name} are not numbers but {values.dtype}"
            )
        if values.shape not in ((), arrays[name].shape):
            raise ValueError(
                f"Uncertainties of {name} of shape {values.shape} do not fit its "
                f"fractions of shape {arrays[name].shape}. Give one per fraction, or "
                "one number"
            )
    return uncertainties


def _key_by_symbol(uncertainty: Mapping, elements: list[str]) -> dict[str, Any]:
    """Return values by the symbols of elements."""
    given = {element_symbol(name): values for name, values in uncertainty.items()}
    if len(given) < len(uncertainty):
        raise ValueError(
            f"Uncertainties of an element are there twice: {list(uncertainty)}"
        )
    unknown = sorted(set(given) - set(elements))
    if unknown:
        raise ValueError(
            f"There are uncertainties of {unknown}, but elements are {elements}"
        )
    return given


def uncertainty_table(
    uncertainties: Mapping[str, np.ndarray], known: np.ndarray
) -> np.ndarray:
    """Return standard deviations in one array.

    Parameters
    ----------
    uncertainties
        Arrays of shape () or of n numbers by element.
    known
        Boolean array of shape (n,), True for points which have a
        composition. Uncertainties of the others are not looked at.

    Returns
    -------
    table
        Array of shape (e,) if all points have the same uncertainties,
        or of shape (n, e).

    Raises
    ------
    ValueError
        If a number is too small, or NaN.
    """
    for name, values in uncertainties.items():
        bad = ~(values >= _LEAST)
        if values.ndim == 0 and bad:
            raise ValueError(
                f"Uncertainties must be at least {_LEAST}, not {values} as that of {name}"
            )
        if values.ndim > 0 and (bad := bad.ravel() & known).any():
            raise ValueError(
                f"Uncertainties must be at least {_LEAST}, but those of {name} are "
                f"{_count_bad_numbers(values.ravel()[bad])}. Set them to a larger number, "
                "to infinity where the fraction says nothing, or the fraction to NaN where "
                "nothing is known"
            )
    columns = [np.ravel(i).astype("float64") for i in uncertainties.values()]
    if all(values.ndim == 0 for values in uncertainties.values()):
        return np.concatenate(columns)
    return np.stack([np.broadcast_to(i, known.shape) for i in columns], axis=1)


def _count_bad_numbers(values: np.ndarray) -> str:
    """Count numbers that are NaN, negative or small."""
    counts = {
        "NaN": np.isnan(values).sum(),
        "negative": (values < 0).sum(),
        "smaller": ((values >= 0) & (values < _LEAST)).sum(),
    }
    return " and ".join(f"{name} at {n} points" for name, n in counts.items() if n)


def _average_in_grains(
    uncertainties: Mapping[str, np.ndarray], counted: np.ndarray, grain_id: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the uncertainties of the mean compositions of grains.

    Root mean squares, and no smaller for many points, as what X-rays
    from around a point add is common to the points of a grain.
    """
    counted = counted & (grain_id >= 0)
    grains, index = np.unique(grain_id, return_inverse=True)
    size = np.bincount(index[counted], minlength=len(grains))
    result = {}
    for name, values in uncertainties.items():
        if values.ndim > 0:
            squares = np.square(values[counted], dtype="float64")
            sums = np.bincount(index[counted], squares, minlength=len(grains))
            mean_square = np.divide(
                sums, size, out=np.full(len(size), np.nan), where=size > 0
            )
            values = np.where(grain_id >= 0, np.sqrt(mean_square)[index], values)
        result[name] = values
    return result

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compositions of points and phases, and how well they fit together."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
import re
from typing import Any

from hyperspy.signal import BaseSignal
import numpy as np
from scipy.signal import fftconvolve

from kikuchipy_spacegroup.crystals import element_symbol

# Steps per unit of the atomic fraction in integrals over compositions
_STEPS = 4096
# Integrals found per phase, and relative steps to which uncertainties are
# rounded if there would be more
_MOST_ROWS, _ROUNDING = 1000, 0.05


def read_composition(
    composition: Any, elements: Sequence[str] | None
) -> dict[str, np.ndarray]:
    """Return arrays by element from any way to give a composition.

    Parameters
    ----------
    composition, elements
        See :func:`~kikuchipy_spacegroup.maps.identify_phases`.

    Returns
    -------
    arrays
        Arrays as they were given, by element.

    Raises
    ------
    TypeError
        If the composition is of another type, as a single signal is.
    ValueError
        If elements are unknown or there twice, or fractions are
        negative or infinite, or are weight fractions.
    """
    if isinstance(composition, BaseSignal):
        raise TypeError(_explain_single_signal(composition))
    if isinstance(composition, Mapping):
        given = [(name, as_array(values)) for name, values in composition.items()]
    elif isinstance(composition, np.ndarray):
        if elements is None or composition.shape[-1:] != (len(elements),):
            raise ValueError(
                f"A composition of shape {composition.shape} needs the names of as many "
                f"`elements` as the last axis is long, not {elements}"
            )
        given = list(zip(elements, np.moveaxis(composition, -1, 0)))
    elif isinstance(composition, Sequence) and all(
        isinstance(i, BaseSignal) for i in composition
    ):
        given = [(_read_element(i), as_array(i)) for i in composition]
    else:
        raise TypeError(
            "composition must be a dictionary of arrays by element, an array, or a list "
            f"of HyperSpy signals, not {type(composition).__name__}"
        )
    arrays = {element_symbol(name): values for name, values in given}
    if len(arrays) == 0 or len(arrays) < len(given):
        names = [name for name, _ in given]
        raise ValueError(f"Elements must be there, and each only once, not {names}")
    for name, values in arrays.items():
        if values.dtype.kind not in "uif":
            raise ValueError(f"Fractions of {name} are not numbers but {values.dtype}")
        if (values < 0).any() or np.isinf(values).any():
            raise ValueError(
                f"Fractions of {name} are negative or infinite at "
                f"{((values < 0) | np.isinf(values)).sum()} points. Set them to 0, or "
                "to NaN where nothing is known"
            )
    return arrays


def as_array(values: Any) -> np.ndarray:
    """Return the array of a HyperSpy signal, lazy or not, or of numbers.

    Parameters
    ----------
    values
        Signal, array or whatever makes one.

    Returns
    -------
    array
        Array of the same shape.
    """
    return np.asarray(values.data if isinstance(values, BaseSignal) else values)


def _explain_single_signal(signal: BaseSignal) -> str:
    """Return why a signal is no composition."""
    axes = signal.axes_manager
    return (
        "composition must be a dictionary of arrays or signals by element, an array, or "
        f"a list of signals, one per element, not a single {type(signal).__name__} of "
        f"navigation shape {axes.navigation_shape} and signal shape {axes.signal_shape}. "
        "If it holds X-ray spectra, quantify them with exSpy: give the list that "
        "`signal.quantification(..., composition_units='atomic')` returns. If its "
        "signal axis holds the elements, give `signal.data` and their names as "
        "`elements`. If it is the map of one element, give `{'Fe': signal}`"
    )


def _read_element(signal: BaseSignal) -> str:
    """Return the element of a map as exSpy returns them."""
    title = signal.metadata.get_item("General.title", "")
    if "weight" in title.lower():
        raise ValueError(
            f"The signal {title!r} has weight percents, and atomic ones are needed. "
            "With exSpy, quantify with `composition_units='atomic'`"
        )
    elements = list(signal.metadata.get_item("Sample.elements", []))
    in_title = re.findall(r"\b[A-Z][a-z]?$", title.strip())
    candidates = elements if len(elements) == 1 else in_title
    if len(candidates) != 1:
        raise ValueError(
            f"The signal {title!r} does not tell its element: its `Sample.elements` in "
            f"the metadata are {elements}. Give a dictionary of signals by element"
        )
    return candidates[0]


def normalized_fractions(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return atomic fractions in one array.

    Parameters
    ----------
    arrays
        Arrays of n numbers by element.

    Returns
    -------
    fractions
        Array of shape (n, e) whose rows sum up to 1, or are NaN where
        all elements are zero or one is NaN.
    """
    amounts = np.stack([np.ravel(i) for i in arrays.values()], axis=1).astype("float64")
    total = amounts.sum(axis=1, keepdims=True)
    return np.divide(amounts, total, out=np.full_like(amounts, np.nan), where=total > 0)


def log_evidence(
    fractions: np.ndarray, expected: np.ndarray, uncertainty: np.ndarray
) -> np.ndarray:
    r"""Return the log-evidence of compositions for a phase, against any composition.

    Parameters
    ----------
    fractions
        Atomic fractions of shape (n, e) which sum up to 1, or are NaN.
    expected
        Atomic fractions of the phase of shape (e,).
    uncertainty
        Standard deviations of shape (e,), or (n, e) if they differ from
        point to point.

    Returns
    -------
    log_evidence
        Logarithm of the probability density over that of the uniform
        distribution of shape (n,). 0 where nothing is known.

    Notes
    -----
    The density at fractions :math:`x` which are not negative and sum up
    to 1 is that of independent normal deviates,

    .. math::

        p(x) = \frac{1}{Z} \exp\Big(
            -\frac{1}{2} \sum_j \frac{(x_j - c_j)^2}{\sigma_j^2}\Big),

    and its integral :math:`Z` that of a convolution of :math:`e`
    functions of one variable at 1. It is found once for each different
    row of uncertainties, and for 1000 rows at most: if there are more,
    those in :math:`Z` are rounded to steps of 5 %, or of 10, 20, 40 %
    and so on if these are still too many. Those in the exponent are
    never rounded.
    """
    has_composition = np.isfinite(fractions).all(axis=1)
    fractions = fractions[has_composition]
    if uncertainty.ndim == 2:
        uncertainty = uncertainty[has_composition]
        rows, index = _find_different_rows(uncertainty)
    else:
        rows, index = uncertainty[None], np.zeros(len(fractions), dtype=int)
    integrals = np.array([_log_integral(expected, row) for row in rows])
    chi_squared = (((fractions - expected) / uncertainty) ** 2).sum(axis=1)
    evidence = np.zeros(has_composition.size)
    evidence[has_composition] = np.nan_to_num(-0.5 * chi_squared - integrals[index])
    return evidence


def _log_integral(expected: np.ndarray, uncertainty: np.ndarray) -> float:
    """Return the logarithm of the mean of a density that is not normalized."""
    fractions = np.linspace(0, 1, _STEPS + 1)
    bells = np.exp(-0.5 * ((fractions - expected[:, None]) / uncertainty[:, None]) ** 2)
    return float(np.log(_convolve_at_one(bells) / _convolve_uniform(len(expected))))


@lru_cache
def _convolve_uniform(n: int) -> float:
    """Return the convolution at 1 of n uniform densities."""
    return _convolve_at_one(np.ones((n, _STEPS + 1)))


def _convolve_at_one(functions: np.ndarray) -> float:
    """Return the convolution at 1 of functions (n, steps) given from 0 to 1."""
    convolution = np.ones(1)
    for values in functions:
        values[[0, -1]] /= 2
        convolution = fftconvolve(convolution, values)[: values.size]
    return float(convolution[-1])


def _find_different_rows(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different rows of positive numbers, rounded if too many.

    The second array has the position of each row of the table in them.
    """
    with np.errstate(over="ignore"):
        first, index = _find_unique_rows(table.astype("float32"))
    rows, step = table[first], _ROUNDING
    while len(rows) > _MOST_ROWS:
        # Beyond 1000, a standard deviation tells nothing at all
        powers = np.round(np.log(np.minimum(table, 1e3)) / np.log1p(step))
        first, index = _find_unique_rows(powers)
        rows, step = (1 + step) ** powers[first], 2 * step
    return rows, index


def _find_unique_rows(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return first and inverse indices of unique rows, faster than NumPy."""
    first, index = np.zeros(0, dtype=int), np.zeros(len(table), dtype=int)
    for column in table.T:
        unique_values, column_index = np.unique(column, return_inverse=True)
        _, first, index = np.unique(
            index * len(unique_values) + column_index,
            return_index=True,
            return_inverse=True,
        )
    return first, index


def grain_means(
    arrays: Mapping[str, np.ndarray], grain_id: np.ndarray
) -> dict[str, np.ndarray]:
    """Return compositions with those of grains averaged.

    Parameters
    ----------
    arrays
        Arrays of shape (n,) by element.
    grain_id
        Grain of each point of shape (n,), -1 for points of none, which
        keep their own.

    Returns
    -------
    arrays
        Atomic fractions of shape (n,) by element.
    """
    if not arrays:
        return {}
    fractions = normalized_fractions(arrays)
    has_composition = (grain_id >= 0) & np.isfinite(fractions).all(axis=1)
    grains, index = np.unique(grain_id, return_inverse=True)
    size = np.bincount(index[has_composition], minlength=len(grains))
    means = {}
    for element, values in zip(arrays, fractions.T):
        sums = np.bincount(
            index[has_composition], values[has_composition], minlength=len(grains)
        )
        mean = np.divide(sums, size, out=np.full(len(size), np.nan), where=size > 0)
        means[element] = np.where(grain_id >= 0, mean[index], values)
    return means

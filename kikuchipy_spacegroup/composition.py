# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compositions of points and phases, and how well they fit together."""

from collections.abc import Mapping, Sequence
import re
from typing import TYPE_CHECKING, Any

from hyperspy.signal import BaseSignal
import numpy as np
from scipy.signal import fftconvolve

from kikuchipy_spacegroup.structures import element_symbol, unit_cell

if TYPE_CHECKING:
    from orix.crystal_map import Phase

# Steps per unit of the atomic fraction in integrals over compositions
_STEPS = 4096
_LEAST_UNCERTAINTY = 1e-3


def phase_composition(phase: "Phase") -> dict[str, float]:
    """Return the atomic fractions of a phase.

    Parameters
    ----------
    phase
        Phase with a space group and the atoms of the asymmetric unit,
        or of the unit cell.

    Returns
    -------
    fractions
        Fractions by element, which sum up to 1, in the order of the
        atoms. Sites count with their multiplicity and occupancy.

    Raises
    ------
    ValueError
        If the phase has no space group or no atoms.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.composition import phase_composition
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    >>> phase_composition(mp.phase)
    {'Ni': 1.0}
    """
    amounts: dict[str, float] = {}
    for atom in unit_cell(phase):
        element = element_symbol(atom.element)
        amounts[element] = amounts.get(element, 0.0) + float(atom.occupancy)
    total = sum(amounts.values())
    if not total > 0:
        raise ValueError(f"All sites of phase {phase.name!r} are empty")
    return {element: amount / total for element, amount in amounts.items()}


def read_composition(
    composition: Any, elements: Sequence[str] | None
) -> dict[str, np.ndarray]:
    """Return arrays by element from any way to give a composition.

    Parameters
    ----------
    composition, elements
        See :func:`~kikuchipy_spacegroup.candidates.identify_phases`.

    Returns
    -------
    arrays
        Arrays as they were given, by element.

    Raises
    ------
    TypeError
        If the composition is of another type.
    ValueError
        If elements are unknown or there twice, or fractions are
        negative or infinite, or are weight fractions.
    """
    if isinstance(composition, Mapping):
        given = [(name, _data(values)) for name, values in composition.items()]
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
        given = [(_element_of_signal(i), _data(i)) for i in composition]
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


def _data(values: Any) -> np.ndarray:
    return np.asarray(values.data if isinstance(values, BaseSignal) else values)


def _element_of_signal(signal: BaseSignal) -> str:
    """Return the element of a map as exSpy returns them."""
    title = signal.metadata.get_item("General.title", "")
    if "weight" in title.lower():
        raise ValueError(
            f"The signal {title!r} has weight percents, and atomic ones are needed. "
            "With exSpy, quantify with `composition_units='atomic'`"
        )
    elements = list(signal.metadata.get_item("Sample.elements", []))
    in_title = re.findall(r"\b[A-Z][a-z]?$", title.strip())
    found = elements if len(elements) == 1 else in_title
    if len(found) != 1:
        raise ValueError(
            f"The signal {title!r} does not tell its element: its `Sample.elements` in "
            f"the metadata are {elements}. Give a dictionary of signals by element"
        )
    return found[0]


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
    table = np.stack([np.ravel(i) for i in arrays.values()], axis=1).astype("float64")
    total = table.sum(axis=1, keepdims=True)
    return np.divide(table, total, out=np.full_like(table, np.nan), where=total > 0)


def log_evidence(
    fractions: np.ndarray, expected: np.ndarray, uncertainty: np.ndarray
) -> np.ndarray:
    r"""Return how well compositions fit a phase, against any composition.

    Parameters
    ----------
    fractions
        Atomic fractions of shape (n, e) which sum up to 1, or are NaN.
    expected
        Atomic fractions of the phase of shape (e,).
    uncertainty
        Standard deviations of shape (e,).

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
    functions of one variable at 1.
    """
    x = np.linspace(0, 1, _STEPS + 1)
    weights = np.where((x == 0) | (x == 1), 0.5, 1.0)
    normal, uniform = np.ones(1), np.ones(1)
    for c, sigma in zip(expected, uncertainty):
        bell = weights * np.exp(-0.5 * ((x - c) / sigma) ** 2)
        normal = fftconvolve(normal, bell)[: x.size]
        uniform = fftconvolve(uniform, weights)[: x.size]
    distance = (((fractions - expected) / uncertainty) ** 2).sum(axis=1)
    return np.nan_to_num(-0.5 * distance - np.log(normal[-1] / uniform[-1]))


def check_uncertainties(
    elements: list[str], uncertainty: float | Mapping[str, float], default: float = 0.05
) -> np.ndarray:
    """Return the standard deviation of each element.

    Parameters
    ----------
    elements
        Names of the elements.
    uncertainty
        Standard deviation for all elements, or for some by name.
    default
        Standard deviation of the others.

    Returns
    -------
    uncertainties
        Array of shape (e,).

    Raises
    ------
    ValueError
        If a number is too small, or there is no such element.
    """
    if isinstance(uncertainty, Mapping):
        given = {element_symbol(name): u for name, u in uncertainty.items()}
        unknown = sorted(set(given) - set(elements))
        if unknown:
            raise ValueError(
                f"There are uncertainties of {unknown}, but elements are {elements}"
            )
        values = [given.get(element, default) for element in elements]
    else:
        values = [uncertainty] * len(elements)
    values = np.array(values, dtype="float64")
    if not (values >= _LEAST_UNCERTAINTY).all():
        raise ValueError(
            f"Uncertainties must be at least {_LEAST_UNCERTAINTY}, not {values.tolist()}"
        )
    return values


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
    known = (grain_id >= 0) & np.isfinite(fractions).all(axis=1)
    grains, index = np.unique(grain_id, return_inverse=True)
    size = np.bincount(index[known], minlength=len(grains))
    result = {}
    for element, values in zip(arrays, fractions.T):
        total = np.bincount(index[known], values[known], minlength=len(grains))
        mean = np.divide(total, size, out=np.full(len(size), np.nan), where=size > 0)
        result[element] = np.where(grain_id >= 0, mean[index], values)
    return result

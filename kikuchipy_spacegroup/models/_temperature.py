# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Temperatures of models, checked without Keras."""

from collections.abc import Mapping

import numpy as np

from kikuchipy_spacegroup.space_groups import CHAIN


def check_temperature(
    temperature: float | Mapping[str, float],
) -> float | dict[str, float]:
    """Return a temperature, or one for every level of the chain of symmetry.

    Parameters
    ----------
    temperature
        Positive number, or one for each of ``space_groups.CHAIN``.

    Returns
    -------
    temperature
        A number, or a new dictionary in the order of the chain.

    Raises
    ------
    ValueError
        If a number is not positive and finite, or levels are others.
    """
    if not isinstance(temperature, Mapping):
        if not 0 < temperature < np.inf:
            raise ValueError(f"Temperature must be positive, not {temperature}")
        return float(temperature)
    if set(temperature) != set(CHAIN):
        raise ValueError(
            f"There must be temperatures of the levels {CHAIN}, not of "
            f"{tuple(temperature)}"
        )
    return {level: check_temperature(temperature[level]) for level in CHAIN}

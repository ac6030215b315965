# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Structures that the phases found in a scan may be."""

import logging

import pandas as pd

from kikuchipy_spacegroup.patterns._checks import check_probability
from kikuchipy_spacegroup.phases._found import FoundPhases
from kikuchipy_spacegroup.phases._result import StructureSearch
from kikuchipy_spacegroup.space_groups import get_space_group

_logger = logging.getLogger(__name__)

_COLUMNS = ["phase", "candidate", "formula", "space_group", "probability"]
_COLUMNS += ["source", "identifier"]


def list_candidates(
    found: FoundPhases, search: StructureSearch, *, min_probability: float = 0.05
) -> pd.DataFrame:
    """List the structures that the phases found in a scan may be.

    Parameters
    ----------
    found
        Phases from :func:`find_phases`.
    search
        Structures from :func:`search_structures`.
    min_probability
        Lowest probability of the space group of a candidate.

    Returns
    -------
    candidates
        One row per phase and structure, in the order of phases, the most
        probable first, with the columns

        * ``phase``, the ID of the phase found
        * ``candidate``, ``formula``, ``space_group`` (number),
          ``source`` and ``identifier`` of the structure
        * ``probability`` of its space group, which **all candidates of
          this space group share**. A space group stands for its
          enantiomorph, too.

    Raises
    ------
    ValueError
        If min_probability is not from 0 to 1.

    See Also
    --------
    find_phases
    search_structures
    kikuchipy_spacegroup.maps.identify_phases

    Notes
    -----
    Candidates are told apart by their space group only: lattice
    parameters, atoms and composition have no part in it, and nothing is
    compared with patterns. Structures of a space group that the model
    does not know are not listed, as it says nothing of them. How many
    these are is logged as a warning.

    Examples
    --------
    >>> import numpy as np
    >>> from orix.crystal_map import PhaseList
    >>> import pandas as pd
    >>> from kikuchipy_spacegroup import phases
    >>> from kikuchipy_spacegroup.maps import crystal_map
    >>> xmap = crystal_map(
    ...     np.tile([0.8, 0.2], (20, 1)), [225, 229], keep_probabilities=True
    ... )
    >>> found = phases.find_phases(xmap, grain_ids=np.arange(20) // 5)
    >>> table = pd.DataFrame(
    ...     {
    ...         "name": ["austenite", "ferrite"],
    ...         "formula": ["Fe", "Fe"],
    ...         "space_group": [225, 229],
    ...         "source": ["cifs", "cifs"],
    ...         "identifier": ["a.cif", "f.cif"],
    ...     }
    ... )
    >>> search = phases.StructureSearch(PhaseList(), table, pd.DataFrame())
    >>> candidates = phases.list_candidates(found, search)
    >>> candidates["candidate"].tolist()
    ['austenite', 'ferrite']
    """
    check_probability("min_probability", min_probability)
    table = search.table
    known = set(found.probabilities.columns)
    columns = [_column(number, known) for number in table["space_group"]]
    if n := columns.count(None):
        _logger.warning(
            "%i of %i structures are of space groups that the model does not know, and "
            "are no candidates",
            n,
            len(columns),
        )
    rows = []
    for phase, probabilities in found.probabilities.iterrows():
        of_phase = [
            (float(probabilities[column]), i)
            for i, column in enumerate(columns)
            if column is not None and probabilities[column] >= min_probability
        ]
        for probability, i in sorted(of_phase, key=lambda pair: -pair[0]):
            structure = table.iloc[i]
            rows.append(
                {
                    "phase": int(phase),
                    "candidate": structure["name"],
                    "formula": structure["formula"],
                    "space_group": int(structure["space_group"]),
                    "probability": probability,
                    "source": structure["source"],
                    "identifier": structure["identifier"],
                }
            )
    return pd.DataFrame(rows, columns=_COLUMNS)


def _column(number: int, known: set[int]) -> int | None:
    """Return the space group that stands for one and its enantiomorph, if any."""
    for i in (int(number), get_space_group(int(number)).enantiomorph):
        if i in known:
            return i
    return None

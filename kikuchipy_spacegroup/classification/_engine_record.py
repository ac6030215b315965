# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine of a classification in its map."""

from typing import TYPE_CHECKING

import numpy as np

from kikuchipy_spacegroup.models._engines import engine_code, engine_of_code

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

# Files of maps keep no texts, so it is a number per point
_PROPERTY = "engine"


def record_engine(xmap: "CrystalMap", how: tuple[str, str] | None) -> "CrystalMap":
    """Return a map with the engine and precision it was made with, if known."""
    if how is not None:
        xmap.prop[_PROPERTY] = np.full(xmap.size, engine_code(*how), dtype="int8")
    return xmap


def engine_of_map(xmap: "CrystalMap") -> tuple[str, str] | None:
    """Return the engine and precision a map was classified with.

    Parameters
    ----------
    xmap
        Map from :func:`classify_space_group`, saved and loaded or not.

    Returns
    -------
    how
        Engine (``"keras"``, ``"onnxruntime"`` or ``"openvino"``) and precision
        of the network, or None if it is not known, as in maps of lazy
        probabilities and of earlier versions.

    See Also
    --------
    classify_space_group

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> xmap = s.classify_space_group(engine="keras", show_progressbar=False)
    >>> kpsg.classification.engine_of_map(xmap)
    ('keras', 'float32')
    """
    if _PROPERTY not in xmap.prop or not xmap.size:
        return None
    return engine_of_code(xmap.prop[_PROPERTY][0])

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make :meth:`EBSD.classify_space_group` appear."""

from typing import TYPE_CHECKING, Any
import warnings

from kikuchipy.signals import EBSD

if TYPE_CHECKING:
    import dask.array as da
    from orix.crystal_map import CrystalMap

_NAME = "classify_space_group"


def classify_space_group(self, model: Any = None, **kwargs) -> "CrystalMap | da.Array":
    """Return a map of the space group of every pattern.

    Parameters
    ----------
    model
        Model, path to a model file, or name of a bundled model. If not
        given, the default model is used.
    **kwargs
        Keyword arguments passed on to
        :func:`~kikuchipy_spacegroup.classification.classify_space_group`, of which this
        method is an alias.

    Returns
    -------
    xmap
        Map whose phase IDs are space group numbers, or, with
        ``compute=False``, a dask array of probabilities.

    See Also
    --------
    kikuchipy_spacegroup.classify_space_group
    """
    from kikuchipy_spacegroup import classification

    return classification.classify_space_group(self, model, **kwargs)


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

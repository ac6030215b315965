# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose how much the package tells."""

import logging


def set_log_level(level: int | str) -> None:
    """Set the level of what the package logs.

    Parameters
    ----------
    level
        Level of the standard library's :mod:`logging`, e.g. ``"INFO"``
        to be told which background was used and how many patterns were
        classified per second.

    See Also
    --------
    kikuchipy.set_log_level

    Notes
    -----
    Messages go to the handlers of the root logger, which gets one that
    writes to standard error if it has none.

    Examples
    --------
    >>> import kikuchipy_spacegroup as kpsg
    >>> kpsg.set_log_level("WARNING")
    """
    logging.basicConfig()
    logging.getLogger("kikuchipy_spacegroup").setLevel(level)

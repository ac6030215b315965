# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Free memory when a function is done with it."""

from collections.abc import Callable
from functools import wraps
import gc


def frees_graphs(function: Callable) -> Callable:
    """Decorate a function to free the graphs it has made, on the device too.

    Graphs of Keras refer to themselves, so that Python frees them when it
    comes to it. That may be many graphs later, each with a copy of all master
    patterns.
    """

    @wraps(function)
    def freeing(*args, **kwargs):
        result = function(*args, **kwargs)
        gc.collect()
        return result

    return freeing

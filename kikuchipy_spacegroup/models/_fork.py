# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Detect processes that were forked while a network had threads."""

import os

# The process that first had a network. A fork copies this, but not the threads
_first: dict[str, int] = {}


def check_not_forked() -> None:
    """Raise an error if a network would never return in this process.

    Raises
    ------
    RuntimeError
        If this process was forked from one that had a network.
    """
    if _first.get("process", os.getpid()) != os.getpid():
        raise RuntimeError(
            f"Process {os.getpid()} was forked from process {_first['process']}, which "
            "had a network already. The threads that run networks are not forked, so "
            "this would wait for them forever. Start processes with "
            "`multiprocessing.get_context('spawn')` or 'forkserver', use threads or "
            "dask.distributed, or fork before the first model is loaded"
        )


def remember_process() -> None:
    """Remember this process, if it is the first, as one with a network.

    Raises
    ------
    RuntimeError
        If this process was forked from one that had a network.
    """
    _first.setdefault("process", os.getpid())
    check_not_forked()

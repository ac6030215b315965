# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run lazy arrays where the user wants them to run."""

from contextlib import nullcontext
from functools import lru_cache
import os
import pickle
from typing import Any

import dask
from dask.diagnostics import ProgressBar


class Shipped:
    """Something large that every process unpickles only once.

    Parameters
    ----------
    value
        Anything that can be pickled.

    Notes
    -----
    Processes may get it with every task, but :func:`_unpickle` knows
    those that came before. On a cluster, it is a task of its own, and
    goes to every worker once.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self):
        return _unpickle, (pickle.dumps(self.value),)


@lru_cache(maxsize=2)
def _unpickle(content: bytes) -> Shipped:
    return Shipped(pickle.loads(content))


def active_client() -> Any:
    """Return the client of dask.distributed that is active, or None."""
    client = getattr(dask.base.get_scheduler(), "__self__", None)
    is_client = type(client).__module__.split(".")[0] == "distributed"
    return client if is_client else None


def n_threads(model: Any) -> int:
    """Return the number of blocks of patterns to work on at a time.

    The network uses all cores by itself: one block is read while another
    one is classified. If it is on a GPU, cores only read and divide.
    """
    on_gpu = getattr(model, "batch_size", 0) > 256
    return max(2, min(6, (os.cpu_count() or 1) // 2)) if on_gpu else 2


def compute(lazy: Any, show_progressbar: bool, threads: int = 2) -> Any:
    """Compute a lazy array or task.

    Parameters
    ----------
    lazy
        Dask array or delayed task.
    show_progressbar
        Whether to show a progress bar.
    threads
        Number of threads, see :func:`n_threads`.

    Returns
    -------
    computed
        The result. It is computed by the client of dask.distributed that
        is active, or by the scheduler set with :func:`dask.config.set`.
        Otherwise by these threads.
    """
    client = active_client()
    if client is not None:
        return _compute_on_cluster(client, lazy, show_progressbar)
    chosen = dask.base.get_scheduler() is not None
    kwargs = {} if chosen else {"scheduler": "threads", "num_workers": threads}
    with ProgressBar() if show_progressbar else nullcontext():
        return lazy.compute(**kwargs)


def _compute_on_cluster(client: Any, lazy: Any, show_progressbar: bool) -> Any:
    """Return the result of a lazy array or task from the workers of a client."""
    future = client.compute(lazy)
    try:
        if show_progressbar:
            from distributed import progress

            progress(future, notebook=False)
        return future.result()
    finally:
        # After an error or Ctrl-C, workers do not go on
        future.cancel()

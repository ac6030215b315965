# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep the model that a classification has read last.

Beside the method of EBSD signals, this is the only thing the package
remembers by itself: to read and compile a model takes seconds, and to
classify a small scan with it a twentieth of a second. Users never get
the model that is kept, so nobody can change it.
"""

from collections.abc import Callable
import gc
import os
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from kikuchipy_spacegroup import data

if TYPE_CHECKING:
    from kikuchipy_spacegroup.models._model import SpaceGroupModel
    from kikuchipy_spacegroup.models._onnx import OnnxModel


class _KeptModel:
    """One model, what it was read from, and a lock of both."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.key: tuple | None = None
        self.model: Any = None
        self.of_parent: Any = None

    def get(self, key: tuple, read: Callable[[], Any]) -> Any:
        """Return the model of a key, read only if another one is kept."""
        with self.lock:
            if self.key != key:
                self.key = self.model = None
                self.model = read()
                self.key = key
            return self.model

    def clear(self) -> None:
        """Keep nothing."""
        with self.lock:
            self.key = self.model = None

    def start_again(self) -> None:
        """Keep nothing in a process that was forked just now.

        Another thread may have held the lock, and will never release it.
        The threads of the network are not there either, so its model is
        put aside and not deleted.
        """
        self.lock = Lock()
        if self.model is not None:
            self.of_parent = self.model
        self.key = self.model = None


_kept = _KeptModel()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_kept.start_again)


def get_model(
    model: "SpaceGroupModel | OnnxModel | str | Path | None",
) -> "SpaceGroupModel | OnnxModel":
    """Return the model to classify with.

    Parameters
    ----------
    model
        Model, path to a model file, name of a bundled model, or None
        for the default model.

    Returns
    -------
    model
        The model itself if one was given. Otherwise that of the file,
        which is kept until another file is asked for,
        :func:`clear_model_cache` is called, or the file is replaced. It
        is not to be changed.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if model is None or isinstance(model, str | Path):
        return _read_or_keep("default" if model is None else model)
    if not hasattr(model, "predict_proba") or not hasattr(model, "space_groups"):
        raise TypeError(
            "Model must be a SpaceGroupModel, a path or a name, not "
            f"{type(model).__name__}"
        )
    return model


def clear_model_cache() -> None:
    """Free the memory of the model that was last given by name or path.

    :func:`~kikuchipy_spacegroup.classification.classify_space_group`
    keeps the default model, or the one of the last file it was given, so
    that only the first call reads it. Models you have loaded are your
    own and not kept.

    See Also
    --------
    kikuchipy_spacegroup.classification.classify_space_group
    kikuchipy_spacegroup.models.load_model

    Notes
    -----
    The next call without a model reads it again. A classification that
    is running in another thread keeps its model until it is done.
    Forked processes start without a model, and a file that was replaced
    is read again.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kp.data.nickel_ebsd_small()
    >>> xmap = s.classify_space_group(show_progressbar=False)
    >>> kpsg.clear_model_cache()
    """
    _kept.clear()
    # Models refer to themselves
    gc.collect()


def _read_or_keep(path_or_name: str | Path) -> Any:
    """Return the model of a file or name, read or kept."""
    if Path(path_or_name).suffix == ".onnx":
        return keep_model(Path(path_or_name), "onnxruntime")
    from kikuchipy_spacegroup._keras import keras
    from kikuchipy_spacegroup.models._model import load_model

    path = data.find_model(path_or_name).absolute()
    key = (path, keras.backend.backend(), stat_file(path))
    return _kept.get(key, lambda: load_model(path))


def keep_model(
    path: Path,
    engine: str,
    precision: str = "float32",
    read: Callable[[], Any] | None = None,
) -> Any:
    """Return the model of a file in an engine for ONNX files, read or kept.

    Parameters
    ----------
    path
        Model file.
    engine, precision
        See :class:`~kikuchipy_spacegroup.models.OnnxModel`.
    read
        Function that returns the model. If not given, the file is an ONNX
        file and is read.

    Returns
    -------
    model
        Model, which is not to be changed.
    """
    from kikuchipy_spacegroup.models._onnx import OnnxModel

    path = path.absolute()
    if read is None:
        read = lambda: OnnxModel(path, engine=engine, precision=precision)  # noqa: E731
    return _kept.get((path, engine, precision, stat_file(path)), read)


def stat_file(path: Path) -> tuple[int, ...] | None:
    """Return inode, size and times, which change if a file is written to."""
    try:
        stat = path.stat()
    except OSError:
        return None  # Reading it will say why
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns

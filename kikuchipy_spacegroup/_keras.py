# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Import Keras, and leave out what TensorFlow tells of its build.

TensorFlow 2.21 writes of oneDNN and CUDA to file descriptor 2 before it
looks at TF_CPP_MIN_LOG_LEVEL, so this is held back while it is imported.
All other modules import Keras from here.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
import ctypes
import os
import re
import sys
import tempfile

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_SEVERITIES = b"IWEF"
# "I0000 00:00:1795974866.620128 9250 port.cc:153] ..." since 2.20, and
# "2026-11-29 18:00:00.123456: I path/to/port.cc:153] ..." before
_LINE = re.compile(
    rb"(?:([IWEF])\d{4} \d\d:\d\d:[\d.]+\s+\d+ |[\d-]+ [\d:.]+: ([IWEF]) )"
    rb"(\S+?):\d+\] (.*)"
)
_BEFORE = b"WARNING: All log messages before absl::InitializeLog()"
# Second lines of messages
_MORE = re.compile(rb"To enable the following instructions: .* compiler flags\.\s*$")
# Where it tells of GPUs
_OF_GPU = re.compile(rb"(.*/)?(cuda\w*|computation_placer|py_utils)\.cc$")


@contextmanager
def _hold_back_messages() -> Iterator[None]:
    """Hold back what is written to file descriptor 2, and then filter it.

    Lines of TensorFlow that are less severe than TF_CPP_MIN_LOG_LEVEL
    are left out, or, if this is not set, those that only inform. So are
    those of a GPU if there is no driver of one. All others are written
    in the end. With TF_CPP_MIN_LOG_LEVEL=0, nothing is held back, which
    is of use if the process does not survive the import.
    """
    level, is_set = os.environ.get(_LEVEL, ""), _LEVEL in os.environ
    kept = None
    with tempfile.TemporaryFile() if _can_hold_back(level) else nullcontext() as file:
        if file is not None:
            kept = os.dup(2)
            os.dup2(file.fileno(), 2)
            # TensorFlow reads it once, when it is imported
            os.environ.setdefault(_LEVEL, "1")
        try:
            yield
        finally:
            if file is not None:
                if not is_set:
                    os.environ.pop(_LEVEL, None)
                sys.stderr.flush()
                os.dup2(kept, 2)
                os.close(kept)
                file.seek(0)
                lowest = int(level) if level.isdecimal() else 1
                left = filter_messages(file.read(), lowest, _has_driver())
                with open(2, "wb", closefd=False) as stderr:
                    stderr.write(left)


def _can_hold_back(level: str) -> bool:
    """Return whether there is something to hold back, and a way to do it."""
    if level == "0" or "tensorflow" in sys.modules or sys.stderr is None:
        return False
    try:
        sys.stderr.flush()
        os.fstat(2)
        tempfile.gettempdir()
    except (OSError, ValueError):
        return False
    return True


def filter_messages(text: bytes, level: int, has_driver: bool) -> bytes:
    """Return what is left of what was written while TensorFlow was imported.

    Parameters
    ----------
    text
        What was written.
    level
        Lowest severity of lines of TensorFlow that are kept: 1 for
        warnings, 2 for errors, 3 for what ends the process.
    has_driver
        Whether lines of a GPU are kept if they are severe enough.

    Returns
    -------
    left
        The same without less severe lines of TensorFlow.
    """
    left, announced, is_dropped = [], b"", False
    for line in text.splitlines(keepends=True):
        match = _LINE.match(line)
        if line.startswith(_BEFORE):
            # Kept if a message follows it
            announced = line
        elif match is not None:
            severity = _SEVERITIES.index(match[1] or match[2])
            no_use = not has_driver and severity < 3 and _OF_GPU.match(match[3])
            is_dropped = bool(severity < level or no_use)
            if not is_dropped:
                left += [announced, line]
                announced = b""
        elif not (is_dropped and _MORE.match(line)):
            left.append(line)
    return b"".join(left)


def _look_for_gpu() -> None:
    """Let TensorFlow look for a GPU where there is no driver of one.

    It would do so with the first array, and write of an error. Where
    there is a driver, a process that is to be forked must not do this.
    """
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or keras.backend.backend() != "tensorflow":
        return
    if tensorflow.test.is_built_with_cuda() and not _has_driver():
        tensorflow.config.list_physical_devices("GPU")


def _has_driver() -> bool:
    """Return whether there is a driver of NVIDIA's GPUs."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


with _hold_back_messages():
    import keras
    from keras import layers, ops

    _look_for_gpu()

__all__ = ["keras", "layers", "ops"]

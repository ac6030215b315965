# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write files that are there as a whole, or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import tempfile


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file beside another one, which it replaces when it is complete.

    Parameters
    ----------
    path
        File to replace, or to make.

    Yields
    ------
    part
        File of the same name in another folder on the same disk, to
        write to. It is removed after an error, and *path* is as it was.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        part = Path(folder) / path.name
        yield part
        os.replace(part, path)

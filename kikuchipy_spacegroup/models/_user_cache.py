# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered on this machine: chosen engines, and exported models.

Every choice and every model is a file of its own, which is there as a
whole or not at all, so that processes do not get in each other's way.
Nothing here fails: without a folder to write to, nothing is remembered.
"""

import json
import logging
import os
from pathlib import Path
import sys
from typing import Any

from kikuchipy_spacegroup.io._replacing import replacing

_logger = logging.getLogger(__name__)
VARIABLE = "KIKUCHIPY_SPACEGROUP_CACHE_DIR"


def cache_folder() -> Path | None:
    """Return the folder of this package in the user's cache, or None.

    It need not exist. The environment variable
    ``KIKUCHIPY_SPACEGROUP_CACHE_DIR`` names another one, or, if it is
    empty, none.
    """
    if VARIABLE in os.environ:
        chosen = os.environ[VARIABLE]
        return Path(chosen) if chosen else None
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "win32":
        parent = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        parent = home / "Library" / "Caches"
    else:
        parent = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return parent / "kikuchipy-spacegroup"


def recall(key: str) -> dict[str, Any] | None:
    """Return what is remembered under a key, or None if nothing is or can be read."""
    folder = cache_folder()
    if folder is None:
        return None
    try:
        content = json.loads((folder / "engines" / f"{key}.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def remember(key: str, content: dict[str, Any]) -> None:
    """Remember something that JSON can hold under a key, if that is possible."""
    folder = cache_folder()
    if folder is None:
        return
    path = folder / "engines" / f"{key}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_text(json.dumps(content, indent=1), encoding="utf-8")
    except OSError as error:
        _logger.info("The engine is not remembered: %s", error)


def exported_path(identity: str) -> Path | None:
    """Return where the exported form of a model is or would be, or None."""
    folder = cache_folder()
    return None if folder is None else folder / "exported" / f"{identity}.onnx"

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write tables."""

from collections.abc import Iterable, Mapping
import csv
from pathlib import Path
from typing import Any


def write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as CSV, with the columns of the first one.

    Parameters
    ----------
    path
        File to write. It is overwritten.
    rows
        Rows by column.
    """
    rows = list(rows)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)

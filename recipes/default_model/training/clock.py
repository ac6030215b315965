# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The time of a training run, across interruptions."""

from pathlib import Path
import time


class Clock:
    """How long training has taken, interruptions not counted."""

    def __init__(self, output: Path, limit: float) -> None:
        self.backup, self.file = output / "backup.pt", output / "seconds.txt"
        self.limit = limit
        self.before = float(self.file.read_text()) if self.file.exists() else 0.0

    def start(self) -> None:
        """Start to count."""
        self.started = self.logged = time.monotonic()

    def seconds(self) -> float:
        """Return the time taken in seconds."""
        return self.before + time.monotonic() - self.started

    @property
    def done(self) -> float:
        """Return the share of the time that is taken."""
        return self.seconds() / self.limit

    def since_log(self) -> float:
        """Return the time since the last message in seconds."""
        return time.monotonic() - self.logged

    def restart_log(self) -> None:
        """Count from now since the last message."""
        self.logged = time.monotonic()

    def save(self) -> None:
        """Write the time taken."""
        self.file.write_text(str(self.seconds()))

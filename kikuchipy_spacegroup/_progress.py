# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress bars, shown if the user or HyperSpy's preferences want them."""

from typing import TYPE_CHECKING

import hyperspy.api as hs

if TYPE_CHECKING:
    from tqdm import tqdm


def shows_progressbar(show_progressbar: bool | None) -> bool:
    """Return whether to show a progress bar, by HyperSpy's preferences if None."""
    if show_progressbar is None:
        return bool(hs.preferences.General.show_progressbar)
    return show_progressbar


def progress_bar(
    show_progressbar: bool | None, what: str, unit: str, total: int | None = None
) -> "tqdm":
    """Return a progress bar, shown if it is wanted."""
    from tqdm.auto import tqdm

    show = shows_progressbar(show_progressbar)
    return tqdm(desc=what, unit=unit, total=total, disable=not show)

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long simulations of master patterns take, told before."""

from collections.abc import Callable
import logging
import math
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from kikuchipy_spacegroup._progress import shows_progressbar

if TYPE_CHECKING:
    from diffpy.structure import Structure

_logger = logging.getLogger(__name__)

# In keV. More is in eV
_MAX_ENERGY = 1000
# Seconds from which on a progress bar is shown, and a simulation is told of
_LONG = 10.0
# Directions in a batch from which on the time of each is that of the others
_LARGE_BATCH = 64


def check_energy_and_size(energy: float, half_width: int) -> None:
    """Raise an error if a simulation's energy or size is impossible.

    Parameters
    ----------
    energy
        Beam energy in keV.
    half_width
        Number of pixels between the center and the edge of the square
        maps.

    Raises
    ------
    ValueError
        If the energy is not above 0 and at most 1000 keV, or the half
        width is not a whole number of at least 1.
    """
    if not 0 < energy <= _MAX_ENERGY:
        raise ValueError(
            f"energy must be above 0 and at most {_MAX_ENERGY} keV, not {energy}"
        )
    if half_width != int(half_width) or half_width < 1:
        raise ValueError(
            f"half_width must be a whole number of at least 1, not {half_width}"
        )


def check_number_of_beams(
    structure: "Structure", min_dspacing: float, most: int
) -> int:
    """Raise an error if a structure has too many beams.

    Parameters
    ----------
    structure
        Structure with all atoms of a unit cell and lattice parameters
        in angstrom.
    min_dspacing
        Smallest spacing of reflecting planes in nm.
    most
        Largest number of beams.

    Returns
    -------
    n_beams
        Number of reciprocal lattice points with a larger spacing.

    Raises
    ------
    ValueError
        If the spacing is not positive, or there are too many.
    """
    if not min_dspacing > 0:
        raise ValueError(f"min_dspacing must be positive, not {min_dspacing} nm")
    volume = structure.lattice.volume / 1e3
    n_beams = int(4 / 3 * math.pi * volume / min_dspacing**3)
    if n_beams > most:
        enough = (4 / 3 * math.pi * volume / most) ** (1 / 3)
        raise ValueError(
            f"Phase {structure.title!r} has a unit cell of {volume:.3g} nm^3, and so "
            f"some {n_beams} beams with a spacing above {min_dspacing} nm, which takes "
            f"hours: at most {most} are simulated. Use a min_dspacing of at least "
            f"{np.ceil(1e3 * enough) / 1e3:g} nm, or check the unit of the lattice "
            "parameters (lattice_unit)"
        )
    return n_beams


def announce(
    name: str, n_beams: int, seconds: float, show_progressbar: bool | None
) -> bool:
    """Log how long a simulation takes, if that is long.

    Parameters
    ----------
    name
        Name of the phase.
    n_beams
        Number of beams.
    seconds
        Estimated time.
    show_progressbar
        Whether a progress bar is asked for. ``None`` leaves it to
        HyperSpy's preferences and the estimated time.

    Returns
    -------
    show
        Whether to show one.
    """
    long = seconds > _LONG
    if long:
        _logger.info(
            "Simulating %s with %i beams takes about %s",
            name,
            n_beams,
            duration(seconds),
        )
    if show_progressbar is None:
        return long and shows_progressbar(None)
    return show_progressbar


class Progress:
    """Progress of a simulation, whose time is told before and limited.

    Parameters
    ----------
    name
        Name of the phase.
    total
        Number of directions.
    max_seconds
        Longest time to take.
    show_progressbar
        Whether to show a progress bar, see :func:`announce`.
    details
        Function that says what the simulation consists of.
    """

    def __init__(
        self,
        name: str,
        total: int,
        max_seconds: float,
        show_progressbar: bool | None,
        details: Callable[[], str],
    ) -> None:
        self.name, self.total = name, total
        self.max_seconds, self.show_progressbar = max_seconds, show_progressbar
        self.details = details
        self._bar: Any = None
        self._start = perf_counter()
        self._told, self._done = False, 0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, done: int, seconds_each: float) -> None:
        """Tell how many directions are done, and how long each takes.

        Parameters
        ----------
        done
            Number of directions done.
        seconds_each
            Time in seconds that a direction takes.

        Raises
        ------
        ValueError
            If it would take too long.
        """
        elapsed = perf_counter() - self._start
        remaining = seconds_each * (self.total - done)
        # Directions are slower in small batches, of which the first ones are
        large = done - self._done >= _LARGE_BATCH
        self._done = done
        if not self._told and ((elapsed > 3 and large) or elapsed > 20):
            self._told = True
            self._announce_duration(remaining)
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    def _announce_duration(self, remaining: float) -> None:
        """Log how long it takes and begin a progress bar, or refuse to go on."""
        if remaining > self.max_seconds:
            raise ValueError(
                f"Simulating {self.name!r} would take about {duration(remaining)}, with "
                f"{self.details()}. Use a larger min_dspacing or a smaller half_width, "
                f"or allow more than max_minutes={self.max_seconds / 60:g}"
            )
        show = self.show_progressbar
        if remaining > _LONG:
            _logger.info(
                "Simulating %s takes about %s, with %s",
                self.name,
                duration(remaining),
                self.details(),
            )
            if show is None:
                show = shows_progressbar(None)
        if show:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=self.total, desc=self.name, unit="direction")


def duration(seconds: float) -> str:
    """Duration in words.

    Parameters
    ----------
    seconds
        Number of seconds.

    Returns
    -------
    text
        Such as ``"90 s"``, ``"5 min"`` or ``"3.2 h"``.
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"

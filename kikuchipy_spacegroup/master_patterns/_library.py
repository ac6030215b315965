# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Libraries of master patterns to simulate training patterns from."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kikuchipy_spacegroup.crystals import load_phase
from kikuchipy_spacegroup.io._archive import read_arrays
from kikuchipy_spacegroup.master_patterns._library_builder import (
    Builder,
    Energies,
    check_content,
    index_of,
)
from kikuchipy_spacegroup.master_patterns._simulation import simulate_master_pattern

if TYPE_CHECKING:
    from kikuchipy.signals import EBSDMasterPattern
    from orix.crystal_map import Phase

_VERSION = 1


class MasterPatternLibrary:
    """Master patterns of phases of known space group.

    Use :meth:`from_files`, :meth:`from_signals`, :meth:`from_phases` or
    :meth:`load` to get a library.

    Parameters
    ----------
    data
        Images of hemispheres in the square Lambert projection in an
        array of shape (number of images, n, n) with n odd. Row r and
        column c hold Y = (r - p) / p and X = (c - p) / p, with p being
        *half_width*, as in kikuchipy.
    phase_index
        Index into *phase_names* per entry.
    upper, lower
        Index into *data* of the upper and of the lower hemisphere per
        entry. They are the same where a mirror plane makes the
        hemispheres the same.
    energies
        Beam energies in keV per entry. NaN if unknown.
    phase_names
        Names of the phases. Two phases of different space groups may
        have the same name.
    space_groups
        Numbers of the space groups of the phases, 1 to 230.
    sources
        Where each entry is from. Empty strings if not given.

    Raises
    ------
    ValueError
        If the arrays do not fit together.

    See Also
    --------
    kikuchipy.signals.EBSDMasterPattern

    Notes
    -----
    An entry is one phase at one energy. Images are scaled so that the
    mean of the two hemispheres is 1. The contrast of the source is
    kept where it has one. Where it has none, as with integers and
    spherical harmonics, the standard deviation is set to 0.3. Negative
    values are set to 0.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
    >>> mp = kp.data.nickel_ebsd_master_pattern_small(
    ...     projection="lambert", hemisphere="both"
    ... )
    >>> library = MasterPatternLibrary.from_signals([mp], names=["Ni"])
    >>> library.save("library.npz")
    >>> MasterPatternLibrary.load("library.npz")
    MasterPatternLibrary: 1 phase, 1 entry, 1 image of (301, 301)
    phase  space group   keV  source
    Ni     225 (Fm-3m)  20.1  ni_mc_mp_20kv_uint8_gzip_opts9
    """

    def __init__(
        self,
        data: np.ndarray,
        *,
        phase_index: Sequence[int],
        upper: Sequence[int],
        lower: Sequence[int],
        energies: Sequence[float],
        phase_names: Sequence[str],
        space_groups: Sequence[int],
        sources: Sequence[str] | None = None,
    ) -> None:
        self.data = data
        self.phase_index = np.asarray(phase_index, dtype="int32")
        self.upper = np.asarray(upper, dtype="int32")
        self.lower = np.asarray(lower, dtype="int32")
        self.energies = np.asarray(energies, dtype="float32")
        self.phase_names = [str(name) for name in phase_names]
        self.space_groups = np.asarray(space_groups, dtype="int32")
        n = self.phase_index.size
        self.sources = [str(i) for i in ([""] * n if sources is None else sources)]
        self._check_arrays()

    def _check_arrays(self) -> None:
        """Raise a ValueError if the arrays do not fit."""
        shape = self.data.shape
        if len(shape) != 3 or shape[1] != shape[2] or shape[1] % 2 == 0:
            raise ValueError(
                f"data of shape {shape} is not a stack of square images with odd sides."
            )
        n, n_phases = self.phase_index.size, self.n_phases
        lengths = {
            key: len(getattr(self, key))
            for key in ("phase_index", "upper", "lower", "energies", "sources")
        }
        if n == 0 or set(lengths.values()) != {n}:
            raise ValueError(f"These lengths should be the same and not 0: {lengths}.")
        stops = {"phase_index": n_phases, "upper": shape[0], "lower": shape[0]}
        for name, stop in stops.items():
            values = getattr(self, name)
            if values.min() < 0 or values.max() >= stop:
                raise ValueError(f"{name} has values outside of 0 to {stop - 1}.")
        space_groups = self.space_groups.tolist()
        if len(space_groups) != n_phases or not set(space_groups) <= set(range(1, 231)):
            raise ValueError(
                f"space_groups={space_groups} are not {n_phases} numbers from 1 to 230, "
                "one per phase."
            )

    @property
    def half_width(self) -> int:
        """Number of pixels between the center and the edge of images."""
        return self.data.shape[-1] // 2

    @property
    def n_phases(self) -> int:
        """Number of phases."""
        return len(self.phase_names)

    def __len__(self) -> int:
        return self.phase_index.size

    def __repr__(self) -> str:
        n_images, *shape = self.data.shape
        counts = (
            f"{n} {one if n == 1 else many}"
            for n, one, many in (
                (self.n_phases, "phase", "phases"),
                (len(self), "entry", "entries"),
                (n_images, "image", "images"),
            )
        )
        lines = [f"MasterPatternLibrary: {', '.join(counts)} of {tuple(shape)}"]
        rows = [("phase", "space group", "keV", "source")]
        rows += [self._describe_phase(i) for i in range(self.n_phases)]
        name, symbol, energy, _ = (max(map(len, column)) for column in zip(*rows))
        for row in rows:
            line = f"{row[0]:{name}}  {row[1]:{symbol}}  {row[2]:>{energy}}  {row[3]}"
            lines.append(line.rstrip())
        return "\n".join(lines)

    def _describe_phase(self, phase: int) -> tuple[str, ...]:
        """Return name, space group, energies and sources of a phase."""
        from orix.crystal_map import Phase

        number = int(self.space_groups[phase])
        symbol = Phase(space_group=number).space_group.short_name
        if symbol.startswith("H"):
            symbol = "R" + symbol[1:]  # Hexagonal axes
        entries = np.flatnonzero(self.phase_index == phase)
        energies = sorted({f"{i:g}" for i in self.energies[entries]}, key=float)
        sources = [self.sources[i] for i in entries]
        n_more = len(set(sources)) - 1
        source = sources[0] if sources else ""
        source += f" and {n_more} more" if n_more > 0 else ""
        name = self.phase_names[phase]
        return name, f"{number} ({symbol})", ", ".join(energies), source

    @classmethod
    def from_signals(
        cls,
        signals: Iterable["EBSDMasterPattern"],
        names: Sequence[str] | None = None,
        space_groups: Sequence[int] | None = None,
        *,
        half_width: int = 150,
        energies: Energies = "all",
        check: bool = True,
    ) -> "MasterPatternLibrary":
        """Return a library from master patterns in memory.

        Parameters
        ----------
        signals
            Master patterns in the square Lambert projection with both
            hemispheres. May be a generator, to have only one in memory
            at a time.
        names
            Names of the phases, one per signal. Signals of the same
            name and space group are of one phase. If not given, the
            names in the signals' phases are used.
        space_groups
            Space group numbers, one per signal. If not given, the space
            groups of the signals' phases are used.
        half_width
            Number of pixels between the center and the edge of the
            images. Signals of other sizes are interpolated linearly.
        energies
            Which energies to use of signals with many: ``"all"`` (one
            entry for each), ``"highest"``, or ``"sum"`` (their average
            as one entry, with the highest energy as its energy).
        check
            Whether to warn of phases whose atoms have another space
            group, if the package spglib is installed.

        Returns
        -------
        library
            New library.

        Raises
        ------
        ValueError
            If a signal has the wrong projection or only one hemisphere,
            if a space group is not known, or if *energies* is not
            valid.
        """
        if hasattr(signals, "axes_manager"):
            signals = [signals]
        builder = Builder(names, space_groups, half_width, energies, check)
        for signal in signals:
            builder.add(signal)
        return cls(**builder.finish())

    @classmethod
    def from_files(
        cls,
        paths: Iterable[str | Path],
        names: Sequence[str] | None = None,
        space_groups: Sequence[int] | None = None,
        *,
        half_width: int = 150,
        energies: Energies = "all",
        check: bool = True,
    ) -> "MasterPatternLibrary":
        """Return a library from files.

        Parameters
        ----------
        paths
            Paths to files of spherical harmonics with the suffix
            ``.sht`` (see :func:`~kikuchipy_spacegroup.io.load_sht`) or
            to files of any format from which :func:`kikuchipy.load`
            reads master patterns in the square Lambert projection, e.g.
            EMsoft's HDF5 files. Only one is in memory at a time.
        names
            Names of the phases, one per file. Files of the same name
            and space group are of one phase. If not given, the names in
            the files are used, or the names of the files.
        space_groups, half_width
            See :meth:`from_signals`.
        energies
            See :meth:`from_signals`. For ``"sum"``, energies are
            weighted by their number of backscattered electrons where
            EMsoft's Monte Carlo simulation is in the file.
        check
            See :meth:`from_signals`.

        Returns
        -------
        library
            New library.

        Raises
        ------
        ValueError
            See :meth:`from_signals` and
            :func:`~kikuchipy_spacegroup.io.load_sht`.

        See Also
        --------
        kikuchipy.load
        kikuchipy_spacegroup.io.load_sht

        Examples
        --------
        >>> from pathlib import Path
        >>> import kikuchipy as kp
        >>> from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
        >>> folder = Path(kp.data.__file__).parent / "emsoft_ebsd_master_pattern"
        >>> file = folder / "ni_mc_mp_20kv_uint8_gzip_opts9.h5"
        >>> library = MasterPatternLibrary.from_files([file], ["Ni"], half_width=20)
        >>> library.phase_names, library.space_groups
        (['Ni'], array([225], dtype=int32))
        """
        if isinstance(paths, (str, Path)):
            paths = [paths]
        builder = Builder(names, space_groups, half_width, energies, check)
        for path in paths:
            builder.add_file(path)
        return cls(**builder.finish())

    @classmethod
    def from_phases(
        cls,
        phases: Iterable["Phase | str | Path"],
        energies: Sequence[float] = (20,),
        *,
        half_width: int = 150,
        **kwargs,
    ) -> "MasterPatternLibrary":
        """Return a library simulated from structures.

        Parameters
        ----------
        phases
            Phases with a space group and atoms, or paths to CIFs.
        energies
            Beam energies in keV to simulate every phase at.
        half_width
            Number of pixels between the center and the edge of the
            images.
        **kwargs
            Keyword arguments passed on to
            :func:`~kikuchipy_spacegroup.master_patterns.simulate_master_pattern`,
            such as *method* and *cache_dir*.

        Returns
        -------
        library
            New library.

        Raises
        ------
        ImportError
            If a package needed to simulate is missing.
        ValueError
            If a phase has no space group or no atoms.

        Examples
        --------
        >>> import kikuchipy as kp
        >>> from kikuchipy_spacegroup import MasterPatternLibrary
        >>> ni = kp.data.nickel_ebsd_master_pattern_small(projection="lambert").phase
        >>> library = MasterPatternLibrary.from_phases(
        ...     [ni], [15, 20], half_width=20, lattice_unit="nm"
        ... )
        >>> library.phase_names, library.energies.tolist()
        (['ni'], [15.0, 20.0])
        """
        loaded = [load_phase(p) if isinstance(p, (str, Path)) else p for p in phases]
        pairs = [(phase, energy) for phase in loaded for energy in energies]
        signals = (
            simulate_master_pattern(phase, energy, half_width=half_width, **kwargs)
            for phase, energy in pairs
        )
        names = [phase.name for phase, _ in pairs]
        return cls.from_signals(signals, names, half_width=half_width)

    def select(
        self,
        phases: Iterable[str] | None = None,
        space_groups: Iterable[int] | None = None,
        *,
        exclude: Iterable[str] = (),
    ) -> "MasterPatternLibrary":
        """Return a library with some of the phases.

        Parameters
        ----------
        phases
            Names of phases to keep. If not given, all are kept.
        space_groups
            Numbers of space groups to keep. If not given, all are kept.
        exclude
            Names of phases to leave out.

        Returns
        -------
        library
            New library with a copy of the images.

        Raises
        ------
        ValueError
            If a phase is not in the library, or no phase is left.

        Examples
        --------
        >>> import numpy as np
        >>> from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
        >>> library = MasterPatternLibrary(
        ...     np.ones((2, 9, 9), dtype="float16"),
        ...     phase_index=[0, 1],
        ...     upper=[0, 1],
        ...     lower=[0, 1],
        ...     energies=[20, 20],
        ...     phase_names=["Ni", "Fe"],
        ...     space_groups=[225, 229],
        ... )
        >>> library.select(space_groups=[229]).phase_names
        ['Fe']
        """
        names = np.array(self.phase_names)
        keep = np.ones(self.n_phases, dtype=bool)
        if phases is not None:
            keep &= np.isin(names, self._check_phase_names(phases))
        keep &= ~np.isin(names, self._check_phase_names(exclude))
        if space_groups is not None:
            keep &= np.isin(self.space_groups, [int(i) for i in space_groups])
        if not keep.any():
            raise ValueError(
                "No phase is left. The space groups in the library are "
                f"{np.unique(self.space_groups).tolist()} and its phases "
                f"{self.phase_names}."
            )
        entries = np.flatnonzero(keep[self.phase_index])
        images, upper_lower = np.unique(
            [self.upper[entries], self.lower[entries]], return_inverse=True
        )
        upper, lower = upper_lower.reshape(2, -1)
        return type(self)(
            self.data[images],
            phase_index=(np.cumsum(keep) - 1)[self.phase_index[entries]],
            upper=upper,
            lower=lower,
            energies=self.energies[entries],
            phase_names=names[keep],
            space_groups=self.space_groups[keep],
            sources=[self.sources[i] for i in entries],
        )

    def _check_phase_names(self, names: Iterable[str]) -> list[str]:
        """Return names of phases as a list, or raise a ValueError if one is unknown."""
        names = [names] if isinstance(names, str) else list(names)
        unknown = sorted(set(names) - set(self.phase_names))
        if unknown:
            raise ValueError(
                f"Phases {unknown} are not in the library. Its phases are "
                f"{self.phase_names}."
            )
        return names

    def __add__(self, other: "MasterPatternLibrary") -> "MasterPatternLibrary":
        if not isinstance(other, MasterPatternLibrary):
            return NotImplemented
        if other.half_width != self.half_width:
            raise ValueError(
                f"Libraries with half widths of {self.half_width} and "
                f"{other.half_width} cannot be added. Make them with the same."
            )
        phases = list(zip(self.phase_names, self.space_groups.tolist()))
        index = [
            index_of(phase, phases)
            for phase in zip(other.phase_names, other.space_groups.tolist())
        ]
        n = len(self.data)
        names, space_groups = zip(*phases)
        return type(self)(
            np.concatenate([self.data, other.data]),
            phase_index=[*self.phase_index, *np.array(index)[other.phase_index]],
            upper=[*self.upper, *(other.upper + n)],
            lower=[*self.lower, *(other.lower + n)],
            energies=[*self.energies, *other.energies],
            phase_names=names,
            space_groups=space_groups,
            sources=self.sources + other.sources,
        )

    def save(self, path: str | Path) -> None:
        """Save the library to a file in NumPy's ``.npz`` format.

        Parameters
        ----------
        path
            Path to a file with the suffix ``.npz``. It is overwritten.

        Raises
        ------
        ValueError
            If the path has another suffix.
        """
        path = Path(path)
        if path.suffix != ".npz":
            raise ValueError(f"Path {str(path)!r} should end with '.npz'.")
        np.savez(
            path,
            version=_VERSION,
            data=self.data,
            phase_index=self.phase_index,
            upper=self.upper,
            lower=self.lower,
            energies=self.energies,
            phase_names=np.array(self.phase_names),
            space_groups=self.space_groups,
            sources=np.array(self.sources),
        )

    @classmethod
    def load(cls, path: str | Path) -> "MasterPatternLibrary":
        """Load a library from a file written by :meth:`MasterPatternLibrary.save`.

        Parameters
        ----------
        path
            Path to the file.

        Returns
        -------
        library
            The library.

        Raises
        ------
        ValueError
            If the file was not written by :meth:`MasterPatternLibrary.save`.
        """
        path = Path(path)
        content = read_arrays(path, "a library of master patterns")
        try:
            version = int(content.pop("version"))
            if version != _VERSION:
                raise ValueError(f"its version is {version} and not {_VERSION}")
            check_content(content)
            return cls(content.pop("data"), **content)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is not a library of master patterns ({error}). Make one with "
                "MasterPatternLibrary.from_files() and save()."
            ) from error

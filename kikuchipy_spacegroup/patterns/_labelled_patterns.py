# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Experimental patterns with labels, to train on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
import logging

from kikuchipy.signals import EBSD
import numpy as np

from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.patterns._background import (
    divide_background,
    unusable_patterns,
)
from kikuchipy_spacegroup.patterns._checks import (
    check_background,
    check_mask,
    check_signal,
    points_of_map,
)
from kikuchipy_spacegroup.patterns._scan import blocks_of_patterns, find_background

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelledPatterns:
    """Patterns of known space group.

    Parameters
    ----------
    patterns
        Patterns of shape (n, side, side) and dtype float16, with the
        background divided out, and NaN where nothing was recorded.
    space_groups
        Space group numbers of shape (n,).
    materials
        Names of materials of shape (n,), since patterns of one material
        tell little of others with the same space group.

    Raises
    ------
    ValueError
        If the arrays do not fit together, or a space group does not
        exist.

    See Also
    --------
    kikuchipy_spacegroup.training.fit, kikuchipy.signals.EBSD

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup import LabelledPatterns
    >>> s = kp.data.nickel_ebsd_small()
    >>> LabelledPatterns.from_signal(s, size=48)
    LabelledPatterns of 9 patterns at 48 x 48 px
      225 (Fm-3m): ni 9
    """

    patterns: np.ndarray
    space_groups: np.ndarray
    materials: np.ndarray

    def __post_init__(self) -> None:
        n = self.patterns.shape[:1]
        if self.patterns.ndim != 3 or n == (0,):
            raise ValueError(
                f"Patterns must be of shape (n, side, side), not {self.patterns.shape}"
            )
        for name in ("space_groups", "materials"):
            if getattr(self, name).shape != n:
                raise ValueError(
                    f"{name} must be of shape {n}, not {getattr(self, name).shape}"
                )
        for number in np.unique(self.space_groups):
            sg.symbol(int(number))  # Raises if out of range

    def __len__(self) -> int:
        return len(self.patterns)

    def __repr__(self) -> str:
        side = self.patterns.shape[-1]
        lines = [f"LabelledPatterns of {len(self)} patterns at {side} x {side} px"]
        for number in np.unique(self.space_groups):
            of_group = self.materials[self.space_groups == number]
            counts = zip(*np.unique(of_group, return_counts=True), strict=True)
            text = ", ".join(f"{name} {count}" for name, count in counts)
            lines.append(f"  {number} ({sg.symbol(int(number))}): {text}")
        return "\n".join(lines)

    @classmethod
    def from_signal(
        cls,
        signal: EBSD,
        space_group: int | None = None,
        *,
        material: str | None = None,
        navigation_mask: np.ndarray | None = None,
        signal_mask: np.ndarray | None = None,
        static_background: np.ndarray | str | None = "auto",
        size: int = 96,
    ) -> "LabelledPatterns":
        """Return the patterns of a scan with labels.

        Parameters
        ----------
        signal
            Scan as for
            :func:`~kikuchipy_spacegroup.classification.classify_space_group`, which may
            be lazy. It is not changed.
        space_group
            Space group number of all patterns. If not given, those of
            the phases in ``signal.xmap`` are used, and points that are
            not indexed or not in the data are left out, as are phases
            without a space group.
        material
            Name of the material. If not given, names of the phases.
        navigation_mask
            Boolean array of the navigation shape, True for patterns to
            leave out.
        signal_mask, static_background
            See :func:`~kikuchipy_spacegroup.classification.classify_space_group`.
        size
            Side length to keep the patterns at in pixels, best that of
            the model to train.

        Returns
        -------
        patterns
            Labelled patterns. Patterns that cannot be classified
            (constant, saturated, without any finite pixel) are left
            out. A pattern needs 2 * size**2 bytes.

        Raises
        ------
        TypeError
            If the signal is of another type.
        ValueError
            If there are no labels, or something does not fit the scan.

        See Also
        --------
        kikuchipy.signals.EBSD

        Examples
        --------
        >>> import kikuchipy as kp
        >>> from kikuchipy_spacegroup import LabelledPatterns
        >>> s = kp.data.nickel_ebsd_small()
        >>> patterns = LabelledPatterns.from_signal(s, 225, material="Ni", size=48)
        """
        nav_shape, sig_shape = check_signal(signal)
        navigation_mask = check_mask(navigation_mask, nav_shape, "navigation_mask")
        signal_mask = check_mask(signal_mask, sig_shape, "signal_mask")
        check_background(static_background, sig_shape)
        numbers, materials = _read_labels(signal, space_group, material, nav_shape)
        if navigation_mask is not None:
            numbers = np.where(navigation_mask.ravel(), 0, numbers)
        if not (numbers > 0).any():
            raise ValueError("No pattern is left that has a label")
        mask = (numbers <= 0).reshape(nav_shape)
        patterns, index = read_patterns(
            signal, mask, signal_mask, static_background, size
        )
        return cls(patterns, numbers[index], materials[index])

    @classmethod
    def concatenate(cls, parts: Sequence["LabelledPatterns"]) -> "LabelledPatterns":
        """Return several sets of patterns as one.

        Parameters
        ----------
        parts
            Patterns of one size.

        Returns
        -------
        patterns
            All of them.

        Raises
        ------
        ValueError
            If they are of different sizes.

        See Also
        --------
        numpy.concatenate

        Examples
        --------
        >>> import kikuchipy as kp
        >>> from kikuchipy_spacegroup import LabelledPatterns
        >>> s = kp.data.nickel_ebsd_small()
        >>> patterns = LabelledPatterns.from_signal(s, 225, material="Ni", size=48)
        >>> LabelledPatterns.concatenate([patterns, patterns])
        LabelledPatterns of 18 patterns at 48 x 48 px
          225 (Fm-3m): Ni 18
        """
        sizes = sorted({part.patterns.shape[1:] for part in parts})
        if len(sizes) != 1:
            raise ValueError(f"Patterns must be of one size, not {sizes}")
        return cls(
            np.concatenate([part.patterns for part in parts]),
            np.concatenate([part.space_groups for part in parts]),
            np.concatenate([part.materials for part in parts]),
        )

    def __getitem__(self, index) -> "LabelledPatterns":
        """Return some of the patterns."""
        return type(self)(
            self.patterns[index], self.space_groups[index], self.materials[index]
        )

    def split(
        self,
        n_train: int,
        n_validation: int,
        *,
        by: str = "space_group",
        share_materials: bool = False,
        rest: bool = False,
        seed: int = 0,
    ) -> tuple["LabelledPatterns", ...]:
        """Return patterns to train on and others to validate with.

        Parameters
        ----------
        n_train, n_validation
            How many of every space group or material, at random.
        by
            ``"space_group"`` or ``"material"``.
        share_materials
            Whether the materials of a space group share its numbers
            evenly, as in :cite:`kaufmann2020deep`. Otherwise patterns of
            a space group are drawn whatever their material. Where
            numbers cannot be divided, materials that come first in
            alphabetical order get one more.
        rest
            Whether to return the patterns that are left as well, to
            test with.
        seed
            Seed of the random numbers.

        Returns
        -------
        training, validation
            Distinct patterns. Note that patterns of one grain may be in
            both, so that the validation says nothing about other
            materials.
        rest
            All other patterns, if asked for.

        Raises
        ------
        ValueError
            If there are too few patterns, or materials are to share
            numbers which are of each material.

        See Also
        --------
        kikuchipy_spacegroup.training.fit_kaufmann2020

        Examples
        --------
        >>> import numpy as np
        >>> from kikuchipy_spacegroup import LabelledPatterns
        >>> names = np.array(["Al"] * 20 + ["Cu"] * 5)
        >>> patterns = np.zeros((25, 48, 48), dtype="float16")
        >>> patterns = LabelledPatterns(patterns, np.full(25, 225), names)
        >>> patterns.split(6, 2, share_materials=True, rest=True)
        (LabelledPatterns of 6 patterns at 48 x 48 px
          225 (Fm-3m): Al 3, Cu 3,
        LabelledPatterns of 2 patterns at 48 x 48 px
          225 (Fm-3m): Al 1, Cu 1,
        LabelledPatterns of 17 patterns at 48 x 48 px
          225 (Fm-3m): Al 16, Cu 1)
        """
        if by not in ("space_group", "material"):
            raise ValueError(f"`by` must be 'space_group' or 'material', not {by!r}")
        if share_materials and by == "material":
            raise ValueError(
                "`share_materials` is for numbers of every space group. Leave out "
                "`by='material'`, or `share_materials`"
            )
        rng = np.random.default_rng(seed)
        training, validation = [], []
        for what, part, i, parts in self._iterate_parts(by, share_materials):
            n, m = (
                total // parts + (i < total % parts)
                for total in (n_train, n_validation)
            )
            if part.size < n + m:
                raise ValueError(
                    f"There are {part.size} patterns of {what}, which is less than "
                    f"{n} + {m}. Take fewer, or leave its patterns out"
                )
            index = rng.permutation(part)
            training.append(index[:n])
            validation.append(index[n : n + m])
        index = [np.concatenate(training), np.concatenate(validation)]
        if rest:
            index.append(np.setdiff1d(np.arange(len(self)), np.concatenate(index)))
            if not index[-1].size:
                raise ValueError(
                    f"None of {len(self)} patterns is left to test with. Train on "
                    "fewer, or leave out `rest`"
                )
        return tuple(self[i] for i in index)

    def _iterate_parts(
        self, by: str, share_materials: bool
    ) -> Iterator[tuple[str, np.ndarray, int, int]]:
        """Yield name and index of parts, and which one of how many they are."""
        key = self.space_groups if by == "space_group" else self.materials
        for value in np.unique(key):
            index = np.flatnonzero(key == value)
            if not share_materials:
                yield f"{by} {value}", index, 0, 1
                continue
            materials = self.materials[index]
            names = np.unique(materials)
            for i, name in enumerate(names):
                part = index[materials == name]
                yield f"{name} of {by} {value}", part, i, len(names)


def class_indices(
    patterns: "LabelledPatterns", space_groups: Sequence[int]
) -> np.ndarray:
    """Return the index of the class of labelled patterns.

    Parameters
    ----------
    patterns
        Labelled patterns.
    space_groups
        Space group numbers in the order of the classes.

    Returns
    -------
    labels
        Indices of shape (n,).

    Raises
    ------
    ValueError
        If there are patterns of other space groups.
    """
    others = sorted(set(patterns.space_groups.tolist()) - set(space_groups))
    if others:
        raise ValueError(
            f"There are patterns of space group(s) {others}, which the model does not "
            f"know: it has {list(space_groups)}. Leave them out, or create a model "
            "with them"
        )
    index = {number: i for i, number in enumerate(space_groups)}
    return np.array([index[number] for number in patterns.space_groups.tolist()])


def _read_labels(
    signal: EBSD, space_group: int | None, material: str | None, nav_shape: tuple
) -> tuple[np.ndarray, np.ndarray]:
    """Return space group (0 if none) and material per point, of shape (n,)."""
    n = int(np.prod(nav_shape))
    if space_group is not None:
        label = sg.symbol(space_group)
        name = material or f"{space_group} ({label})"
        return np.full(n, space_group), np.full(n, name, dtype=object)
    xmap = signal.xmap
    if xmap is None:
        raise ValueError(
            "Patterns have no labels: give `space_group`, or a signal with a `xmap`"
        )
    numbers = np.zeros(n, dtype=int)
    materials = np.full(n, "", dtype=object)
    # Points that are not in the data have no phase, but keep their place
    inside = points_of_map(xmap, n)
    for i, phase in xmap.phases:
        if i < 0 or phase.space_group is None:
            continue
        points = inside[xmap.phase_id == i]
        numbers[points] = phase.space_group.number
        materials[points] = material or phase.name
    return numbers, materials


def read_patterns(
    signal: EBSD,
    mask: np.ndarray,
    signal_mask: np.ndarray | None = None,
    static_background: np.ndarray | str | None = "auto",
    size: int = 96,
) -> tuple[np.ndarray, np.ndarray]:
    """Return resized patterns of a scan.

    Parameters
    ----------
    signal
        Scan, which may be lazy.
    mask
        Boolean array of the navigation shape, True for patterns to
        leave out.
    signal_mask, static_background
        See :func:`~kikuchipy_spacegroup.classification.classify_space_group`.
    size
        Side length of the patterns in pixels.

    Returns
    -------
    patterns
        Patterns of shape (n, size, size) and dtype float16 with the
        background divided out. Those that cannot be classified are left
        out.
    index
        Flat indices in the scan of shape (n,).

    Raises
    ------
    ValueError
        If no pattern can be classified.
    """
    from kikuchipy_spacegroup._keras import keras
    from kikuchipy_spacegroup.patterns._preprocessing import PreparePatterns

    sig_shape = signal.axes_manager.signal_shape[::-1]
    data = blocks_of_patterns(signal.data, mask.shape, sig_shape, None)
    background, inside = find_background(
        signal, data, static_background, mask, signal_mask
    )
    resize = PreparePatterns(size).resize
    index = np.arange(mask.size).reshape(mask.shape)
    resized_blocks, indices = [], []
    for block in _list_blocks(data):
        labelled = ~mask[block].ravel()
        if not labelled.any():
            continue
        patterns = data[block].compute(scheduler="synchronous")
        patterns = patterns.reshape((-1, *sig_shape))[labelled]
        usable = ~unusable_patterns(patterns)
        patterns = divide_background(patterns[usable], background, inside)
        resized, valid = (
            keras.ops.convert_to_numpy(i) for i in resize(patterns[..., None])
        )
        resized_blocks.append(_standardize_patterns(resized, valid > 0))
        indices.append(index[block].ravel()[labelled][usable])
    if not sum(map(len, resized_blocks)):
        raise ValueError(
            "All patterns are constant, saturated or without finite pixels"
        )
    return np.concatenate(resized_blocks), np.concatenate(indices)


def _standardize_patterns(patterns: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return patterns (n, size, size) in float16, of mean 0 and deviation 1."""
    patterns = np.where(valid, patterns, np.nan)
    patterns = patterns - np.nanmean(patterns, axis=(1, 2), keepdims=True)
    scale = np.nanstd(patterns, axis=(1, 2), keepdims=True)
    return (patterns / np.maximum(scale, 1e-30)).astype("float16")


def _list_blocks(data) -> list[tuple[slice, ...]]:
    from dask.array.core import slices_from_chunks

    return slices_from_chunks(data.chunks[:-2])

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring master patterns of all sorts into one stack of images.

See
:class:`kikuchipy_spacegroup.master_patterns.MasterPatternLibrary`.
"""

from collections.abc import Iterator, Sequence
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal
import warnings

import numpy as np

from kikuchipy_spacegroup.crystals import ShortestDistanceError, check_space_group
from kikuchipy_spacegroup.io import load_sht
from kikuchipy_spacegroup.io._archive import read_arrays
from kikuchipy_spacegroup.io._hdf5_file import check_hdf5

if TYPE_CHECKING:
    from kikuchipy.signals import EBSDMasterPattern

_logger = logging.getLogger(__name__)

# Standard deviation over mean where a source lacks a scale; dynamical
# simulations of metals have 0.29 to 0.38
_CONTRAST = 0.3

Energies = Literal["all", "highest", "sum"]


def index_of(phase: tuple[str, int], phases: list[tuple[str, int]]) -> int:
    """Return the index of a phase in a list, adding it if need be."""
    if phase not in phases:
        phases.append(phase)
    return phases.index(phase)


class Builder:
    """A library in the making, with a growing stack of images.

    Parameters
    ----------
    names, space_groups
        What the user gives, to go before what is in the signals.
    half_width, energies, check
        See :class:`~kikuchipy_spacegroup.master_patterns.MasterPatternLibrary`.
    """

    def __init__(
        self,
        names: Sequence[str] | None,
        space_groups: Sequence[int] | None,
        half_width: int,
        energies: Energies,
        check: bool,
    ) -> None:
        if energies not in ("all", "highest", "sum"):
            raise ValueError(
                f"energies={energies!r} is not one of 'all', 'highest' and 'sum'."
            )
        self.given = {"names": names, "space_groups": space_groups}
        self.energies = energies
        self.check = check
        side = 2 * half_width + 1
        self.data = np.empty((16, side, side), dtype="float16")
        self.n_signals = 0
        self.n_images = 0
        self.phases: list[tuple[str, int]] = []
        self.rows: list[tuple] = []

    def add_file(self, path: str | Path) -> None:
        """Add the master patterns in a file."""
        path = Path(path)
        if path.suffix.lower() == ".sht":
            signal = load_sht(path, half_width=self.data.shape[-1] // 2)
            self.add(signal, source=path.name)
            return
        check_master_pattern(path)
        try:
            signal = _load_signal(path)
            self.add(signal, *_read_emsoft_energies(path), source=path.name)
        except ImportError:
            raise
        # What is missing, empty or of another shape shows in many ways
        except Exception as error:
            text = str(error) if isinstance(error, ValueError) else repr(error)
            raise ValueError(
                f"{path} cannot be used as a master pattern: {text}"
            ) from error

    def add(
        self,
        signal: "EBSDMasterPattern",
        energies: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        source: str | None = None,
    ) -> None:
        """Add a master pattern."""
        name, space_group = self._label_signal(signal, source)
        n_phases = len(self.phases)
        phase = index_of((name, space_group), self.phases)
        if self.check and phase == n_phases:
            _warn_of_space_group(signal, name, space_group)
        for energy, image in _choose_energies(signal, energies, weights, self.energies):
            image = _normalize_images(
                _resample_images(image, self.data.shape[-1]), signal, name
            )
            upper = self._append_image(image[0])
            same = np.allclose(image[0], image[1], rtol=0, atol=5e-3)
            lower = upper if same else self._append_image(image[1])
            title = signal.metadata.get_item("General.title", "")
            self.rows.append((phase, upper, lower, energy, source or title))

    def _label_signal(
        self, signal: "EBSDMasterPattern", source: str | None
    ) -> tuple[str, int]:
        """Return name and space group of the next signal."""
        given = {}
        for key, values in self.given.items():
            if values is not None and len(values) <= self.n_signals:
                raise ValueError(
                    f"{len(values)} {key} were given for more master patterns. Give "
                    "one for each."
                )
            given[key] = None if values is None else values[self.n_signals]
        self.n_signals += 1
        stem = Path(source).stem if source else None
        title = signal.metadata.get_item("General.title", "")
        # orix has a phase without a name called "None"
        own = signal.phase.name if signal.phase.name != "None" else None
        name = str(given["names"] or own or stem or title or "unknown")
        if signal.projection != "lambert" or signal.hemisphere != "both":
            raise ValueError(
                f"Master pattern of {name!r} has the projection "
                f"{signal.projection!r} and the hemisphere {signal.hemisphere!r}, but "
                "'lambert' and 'both' are needed. Load it with these, or use its "
                "method as_lambert()."
            )
        if signal.data.shape[-1] != signal.data.shape[-2] or signal.data.ndim > 4:
            raise ValueError(
                f"Master pattern of {name!r} has data of shape {signal.data.shape}, which "
                "are not square images."
            )
        space_group = given["space_groups"]
        if space_group is None and signal.phase.space_group is None:
            raise ValueError(
                f"The phase of master pattern {name!r} has no space group. Give "
                "space_groups."
            )
        return name, int(space_group or signal.phase.space_group.number)

    def _append_image(self, image: np.ndarray) -> int:
        """Return the index of an image (n, n) after adding it to the stack."""
        if self.n_images == len(self.data):
            # In place, as two copies of a stack may not fit into memory
            new_shape = (2 * self.n_images, *self.data.shape[1:])
            self.data.resize(new_shape, refcheck=False)
        self.data[self.n_images] = image
        self.n_images += 1
        return self.n_images - 1

    def finish(self) -> dict:
        """Return the arguments to make a library of."""
        if not self.rows:
            raise ValueError("No master patterns were given. Give at least one.")
        for key, values in self.given.items():
            if values is not None and len(values) != self.n_signals:
                raise ValueError(
                    f"{len(values)} {key} were given for {self.n_signals} master "
                    "patterns. Give one for each."
                )
        self.data.resize((self.n_images, *self.data.shape[1:]), refcheck=False)
        phase_index, upper, lower, energies, sources = zip(*self.rows)
        names, space_groups = zip(*self.phases)
        return {
            "data": self.data,
            "phase_index": phase_index,
            "upper": upper,
            "lower": lower,
            "energies": energies,
            "phase_names": names,
            "space_groups": space_groups,
            "sources": sources,
        }


def _warn_of_space_group(
    signal: "EBSDMasterPattern", name: str, space_group: int
) -> None:
    """Warn if the atoms of a phase have another space group."""
    if signal.phase.space_group is None or len(signal.phase.structure) == 0:
        return
    # In nm if kikuchipy read it from EMsoft's files, else in angstrom
    try:
        check = check_space_group(signal.phase)
    except ShortestDistanceError:
        check = check_space_group(signal.phase, lattice_unit="nm")
    if check.found is not None and check.found != space_group:
        warnings.warn(
            f"Phase {name!r} has the space group {space_group}, but its atoms have the "
            f"space group {check.found} ({check.symbol}). Give space_groups, leave it "
            "out, or use check=False.",
            stacklevel=5,
        )


def check_master_pattern(path: Path) -> None:
    """Raise an error if a file should not be read by kikuchipy."""
    import h5py

    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}")
    if path.suffix.lower() == ".npz":
        read_arrays(path, "a master pattern")
    elif h5py.is_hdf5(path):
        check_hdf5(path)
    else:
        raise ValueError(f"{path} is not a file of master patterns, or it is damaged")


def _load_signal(path: Path) -> "EBSDMasterPattern":
    """Return the master pattern in a file kikuchipy reads."""
    import kikuchipy as kp
    from kikuchipy.signals import EBSDMasterPattern

    # Files of ebsdsim have one projection only
    one = path.suffix.lower() == ".npz"
    kwargs = {} if one else {"projection": "lambert"}
    signal = kp.load(path, hemisphere="both", **kwargs)
    if not isinstance(signal, EBSDMasterPattern):
        raise ValueError("it does not have one EBSD master pattern")
    return signal


def _read_emsoft_energies(path: Path) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return energies and numbers of backscattered electrons."""
    import h5py

    if not h5py.is_hdf5(path):
        return None, None
    with h5py.File(path, "r") as file:
        energies = file.get("EMData/EBSDmaster/EkeVs")
        electrons = file.get("EMData/MCOpenCL/accum_e")
        energies = None if energies is None else np.atleast_1d(energies[()])
        weights = None
        if electrons is not None and energies is not None:
            weights = electrons[()].reshape(-1, electrons.shape[-1]).sum(axis=0)
            weights = weights if weights.size == energies.size else None
    return energies, weights


def _choose_energies(
    signal: "EBSDMasterPattern",
    energies: np.ndarray | None,
    weights: np.ndarray | None,
    which: Energies,
) -> Iterator[tuple[float, np.ndarray]]:
    """Yield wanted energies and their images of shape (2, n, n)."""
    data = signal.data
    if data.ndim == 3:
        if energies is None:
            energies = [_read_beam_energy(signal)]
        data = data[:, np.newaxis]
    else:
        energies = signal.axes_manager["energy"].axis
    if which == "sum":
        image = np.average(np.asarray(data), axis=1, weights=weights)
        yield float(np.max(energies)), image
        return
    order = np.argsort(energies)
    for i in order if which == "all" else order[-1:]:
        yield float(energies[i]), np.asarray(data[:, i])


def _read_beam_energy(signal: "EBSDMasterPattern") -> float:
    """Return the only energy of a signal. NaN if unknown."""
    for tree, key in (
        (signal.metadata, "Acquisition_instrument.SEM.beam_energy"),
        (signal.original_metadata, "MCCLNameList.EkeV"),  # EMsoft's HDF5 files
    ):
        energy = tree.get_item(key)
        if energy is not None:
            return float(energy)
    return np.nan


def _resample_images(image: np.ndarray, side: int) -> np.ndarray:
    """Return both hemispheres in float32 of shape (2, side, side)."""
    if image.shape[-1] == side:
        return image.astype("float32")
    from scipy.ndimage import gaussian_filter, zoom

    factor = (image.shape[-1] - 1) / (side - 1)
    image = image.astype("float32")
    if factor > 1:
        sigma = (factor - 1) / 2  # Against aliasing
        image = gaussian_filter(image, (0, sigma, sigma), mode="nearest")
    scale = side / image.shape[-1]
    # Corners stay where they are
    return zoom(image, (1, scale, scale), order=1, grid_mode=False)


def _normalize_images(
    image: np.ndarray, signal: "EBSDMasterPattern", name: str
) -> np.ndarray:
    """Return images (2, n, n) in float32, not negative, with a joint mean of 1."""
    mean, std = image.mean(dtype="float64"), image.std(dtype="float64")
    if not np.isfinite(std) or std == 0:
        raise ValueError(
            f"Master pattern of {name!r} has a standard deviation of {std}. Its "
            "intensities should be finite and not all the same."
        )
    if signal.data.dtype.kind in "iu" or image.min() < 0:
        image = 1 + _CONTRAST * (image - mean) / std
    else:
        image = image / mean
    return np.maximum(image, 0).astype("float32")


# Kinds of data types in a file, by the names of the arrays
_KINDS = {
    "data": "f",
    "phase_index": "iu",
    "upper": "iu",
    "lower": "iu",
    "energies": "f",
    "phase_names": "U",
    "space_groups": "iu",
    "sources": "U",
}


def check_content(content: dict[str, np.ndarray]) -> None:
    """Raise a ValueError if arrays from a file are not of a library."""
    missing = sorted(_KINDS.keys() - content.keys())
    unknown = sorted(content.keys() - _KINDS.keys())
    if missing or unknown:
        raise ValueError(f"it lacks {missing} and has {unknown}")
    for name, array in content.items():
        n_dimensions = 3 if name == "data" else 1
        if array.dtype.kind not in _KINDS[name] or array.ndim != n_dimensions:
            raise ValueError(f"{name} is of type {array.dtype} and shape {array.shape}")
    # One by one, since there may be gigabytes
    if not all(np.isfinite(image).all() for image in content["data"]):
        raise ValueError("data has intensities that are not finite")

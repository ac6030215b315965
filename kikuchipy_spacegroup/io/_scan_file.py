# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the file of a scan, or say what it is instead."""

import codecs
import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
import warnings

import numpy as np

if TYPE_CHECKING:
    import h5py
    from kikuchipy.signals import LazyEBSD

READABLE = (
    "Scans are read from files with EBSD patterns of kikuchipy, EMsoft, EDAX, Bruker or "
    "Oxford Instruments (.h5, .hdf5, .h5ebsd, .h5oina, .up1, .up2, .ebsp) or NORDIF "
    "(.dat), and from images ('folder/*.tif')"
)
# How files begin that are taken for scans
_BEGINNINGS = {
    b"PK\x03\x04": "a zip archive, as model files are",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a PNG image",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"BM": "a BMP image",
    b"\x1f\x8b": "a compressed file",
}
# What may be in a file instead of a scan
_SIGNALS = {
    "EBSDMasterPattern": "an EBSD master pattern",
    "ECPMasterPattern": "an ECP master pattern",
    "TKDMasterPattern": "a TKD master pattern",
    "VirtualBSEImage": "a virtual image",
    "list": "several signals",
}
# Groups that tell what an HDF5 file has. Master patterns come with the last one
_GROUPS = {
    "crystal_map": "a crystal map of orix",
    "EMData/EBSDmaster": "an EBSD master pattern of EMsoft",
    "EMData/TKDmaster": "a TKD master pattern of EMsoft",
    "EMData/ECPmaster": "an ECP master pattern of EMsoft",
    "EMData/MCOpenCL": "a Monte Carlo simulation of EMsoft",
}


def load_scan(path: str | Path) -> "LazyEBSD":
    """Return the scan in a file, which is read when it is needed.

    Parameters
    ----------
    path
        File of a format kikuchipy reads, or a pattern of file names of
        images.

    Returns
    -------
    signal
        The scan.

    Raises
    ------
    OSError
        If there is no such file, or it cannot be opened.
    ValueError
        If it has no EBSD patterns, or is damaged. The message says what
        was found and what is read.
    """
    import kikuchipy as kp
    from kikuchipy.signals import EBSD

    _check_file(path)
    try:
        # Warnings of what cannot be read are not of interest
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            signal = kp.load(path, lazy=True)
            # Files without points can be opened, but not looked at
            repr(signal)
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read as a scan: {_describe_file(Path(path))}"
            f"{_shorten_error(error)}. {READABLE}"
        ) from error
    if not isinstance(signal, EBSD):
        name = type(signal).__name__.removeprefix("Lazy")
        found = _SIGNALS.get(name, f"something else ({name})")
        raise ValueError(f"{path} has no scan, but {found}. {READABLE}")
    # Some versions of kikuchipy fill up what is not there with zeros
    if 0 in signal.data.shape or _has_only_empty_images(Path(path)):
        raise ValueError(f"{path} has a scan with no patterns. {READABLE}")
    for warning in caught:
        warnings.warn_explicit(
            warning.message, warning.category, warning.filename, warning.lineno
        )
    return signal


def _has_only_empty_images(path: Path) -> bool:
    """Return whether an HDF5 file has stacks of images, and nothing in them."""
    import h5py

    if not path.is_file() or not h5py.is_hdf5(path):
        return False
    sizes = []
    with h5py.File(path, "r") as file:
        file.visititems(
            lambda name, item: (
                sizes.append(item.size) if getattr(item, "ndim", 0) > 2 else None
            )
        )
    return bool(sizes) and not any(sizes)


def _check_file(path: str | Path) -> None:
    """Raise an error if there is no file that can be opened."""
    if not os.path.exists(path):
        if glob.glob(str(path)):
            return
        raise FileNotFoundError(f"There is no file {path}")
    if os.path.isdir(path):
        raise IsADirectoryError(f"{path} is a folder. {READABLE}")
    try:
        with open(path, "rb"):
            pass
    except PermissionError as error:
        raise PermissionError(f"{path} may not be read by you") from error


def _shorten_error(error: Exception) -> str:
    """Return what an error says, in short and in brackets, if it says something."""
    text = " ".join(str(error).split())
    if "please report this error" in text:
        return ""  # No format is known for the end of the name
    text = text if len(text) <= 120 else f"{text[:117]}..."
    return f" ({type(error).__name__}: {text})"


def _describe_file(path: Path) -> str:
    """Return what a file seems to be, to follow its name and a colon."""
    import h5py

    start, size = b"", 0
    try:
        with open(path, "rb") as file:
            start = file.read(1024)
            size = file.seek(0, os.SEEK_END)
        if not start:
            return "it is empty"
        if h5py.is_hdf5(path):
            with h5py.File(path) as content:
                return f"it is an HDF5 file with {_describe_hdf5_file(content)}"
    except Exception:
        if start.startswith(b"\x89HDF"):
            return f"it is an HDF5 file of {size} bytes that is damaged or cut off"
        return "it may be damaged"
    for beginning, name in _BEGINNINGS.items():
        if start.startswith(beginning):
            return f"it is {name}"
    kind = "a text file" if _is_text(start) else "a file of another format"
    return f"it is {kind} of {size} bytes, or it is damaged or cut off"


def _is_text(start: bytes) -> bool:
    """Return whether a file begins with text."""
    try:
        # The last letter may have more bytes
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c.isspace() for c in text)


def _describe_hdf5_file(file: "h5py.File") -> str:
    """Return what is in an HDF5 file that is not read as a scan."""
    for group, name in _GROUPS.items():
        if group in file:
            return name
    names = list(file)
    if not names:
        return "nothing in it"
    values = [
        file[name][()] for name in names if name.strip().lower() == "manufacturer"
    ]
    maker = f" of {_decode_text(values[0])}" if values else ""
    listed = ", ".join(repr(name.strip()) for name in names[:5])
    listed += ", ..." if len(names) > 5 else ""
    return f"data{maker} under {listed}, and no patterns where they are looked for"


def _decode_text(value: Any) -> str:
    """Return a text of an HDF5 file."""
    value = np.ravel(value)[:1].tolist()[0] if np.size(value) else ""
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return "".join(c for c in text if c.isprintable())[:40].strip()

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read scans exported from AZtec as images with a list of grains."""

import codecs
from collections.abc import Mapping
import csv
import io
import math
from pathlib import Path, PureWindowsPath
import re

import dask
import dask.array as da
from kikuchipy.signals import EBSD, LazyEBSD
import numpy as np
from orix.crystal_map import CrystalMap, Phase, PhaseList
from orix.quaternion import Rotation

from kikuchipy_spacegroup import space_groups as sg

_COLUMNS = ("ID", "Phase", "X", "Y", "phi1", "PHI", "phi2")
_PROPERTIES = ("MAD", "AFI", "BC", "BS", "Grain ID")
_MAX_PIXELS = 2**26
_NOT_INDEXED = ("Zero solution", "Not indexed", "")
_SUFFIXES = (".tif", ".tiff")
# Encodings by the marks that texts begin with. The mark of UTF-32 begins like another
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}
# Numbers with decimal commas, and those of them whose comma may part thousands, as it
# never does in angles
_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


def load_aztec_grain_list(
    path: str | Path,
    space_groups: Mapping[str, int] | None = None,
    *,
    folder: str | Path | None = None,
    first_image: int = 1,
    lazy: bool = False,
) -> EBSD:
    """Return a scan from AZtec's list of grains and its TIFF images.

    Parameters
    ----------
    path
        Text file separated by tabs, in UTF-8 or UTF-16, with a header
        and the columns ID, Phase, X, Y, phi1, PHI, phi2 (degrees), and,
        if there, MAD, AFI, BC, BS and Grain ID.
    space_groups
        Space group number by name of the phase, for phases whose
        patterns are to be labelled.
    folder
        Folder of the images. If not given, that of the list or its
        subfolder ``Images``.
    first_image
        Number of the image of ID 0. AZtec counts IDs from zero and
        images from one.
    lazy
        Whether to read images when they are needed.

    Returns
    -------
    signal
        Signal of the points which have an image, whose ``xmap`` has
        orientations, phases, and the further columns as properties
        (``grain_id`` for Grain ID). Points without solution have phase
        ID -1. The signal has two navigation dimensions if the points
        fill a rectangle, otherwise one, or none if there is one point,
        and then the properties ``X`` and ``Y`` have the positions.

    Raises
    ------
    FileNotFoundError
        If there is no such list, or no image for it.
    ValueError
        If the list lacks columns or points, cannot be read, the images
        are of different shapes, or *space_groups* has a phase that is
        not in the list.

    See Also
    --------
    kikuchipy.load

    Notes
    -----
    An image belongs to the point whose ID plus *first_image* is the
    number at the end of its name, as in ``Map Data 2_0001.tiff`` or
    ``.TIF``.

    Numbers may have decimal commas if none of the list has a point, and
    one of them shows that commas do not part thousands: 1,5 or 0,250 or
    any angle with a comma does, and 1,250 does not.

    Backslashes in *path* and *folder* are read as slashes where there is
    nothing of the name with backslashes.

    Examples
    --------
    >>> import kikuchipy_spacegroup as kpsg
    >>> s = kpsg.io.load_aztec_grain_list(
    ...     "Al/Grain List.txt", space_groups={"Al": 225}
    ... )  # doctest: +SKIP
    """
    path = _with_slashes(path)
    rows = _read_list(path)
    names = sorted({row["Phase"] for row in rows} - set(_NOT_INDEXED))
    space_groups = dict(space_groups or {})
    for name, number in space_groups.items():
        sg.symbol(number)  # Raises if out of range
        if name not in names:
            raise ValueError(f"{path} has no phase {name!r}, only {names}")
    images = _find_images(path, folder)
    rows = [row for row in rows if int(row["ID"]) + first_image in images]
    if not rows:
        raise FileNotFoundError(
            f"No image belongs to a point of {path}. Images have numbers from "
            f"{min(images)} to {max(images)}; `first_image` is {first_image}"
        )
    rows, shape, steps = _arrange_points(rows)
    patterns = _read_images([images[int(r["ID"]) + first_image] for r in rows], lazy)
    patterns = patterns.reshape((*shape, *patterns.shape[-2:]))
    signal = (LazyEBSD if lazy else EBSD)(patterns)
    if len(shape) == 2:
        axes = signal.axes_manager.navigation_axes
        for axis, step, name in zip(axes, steps[::-1], "xy", strict=True):
            axis.name, axis.scale, axis.units = name, step, "um"
    signal.xmap = _make_crystal_map(rows, shape, steps, names, space_groups)
    return signal


def _read_list(path: Path) -> list[dict[str, str]]:
    """Return the points of a list."""
    if not path.is_file():
        raise FileNotFoundError(f"No list of grains {path}")
    try:
        text = _decode_text(path.read_bytes())
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{path} is not a text file in UTF-8 or UTF-16: {error}"
        ) from error
    if not rows:
        raise ValueError(f"{path} has no points")
    missing = [name for name in _COLUMNS if name not in rows[0]]
    if missing:
        raise ValueError(
            f"{path} lacks the columns {missing}, it has {list(rows[0])}. Columns must "
            "be separated by tabs"
        )
    numbers = _COLUMNS[2:] + tuple(n for n in _PROPERTIES if rows[0].get(n))
    _replace_commas(rows, numbers, path)
    ids = set()
    for i, row in enumerate(rows):
        try:
            _check_point(row, numbers)
            if int(row["ID"]) in ids:
                raise ValueError(f"another point has its ID {row['ID']}")
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}, point {i + 1}: {error}") from error
        ids.add(int(row["ID"]))
    return rows


def _with_slashes(path: str | Path) -> Path:
    """Return a path, in which backslashes are slashes if it exists only so."""
    path = Path(path)
    slashes = Path(PureWindowsPath(path).as_posix())
    return slashes if slashes.exists() and not path.exists() else path


def _decode_text(content: bytes) -> str:
    """Return the text in a file, whose encoding is shown by how it begins."""
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            return content.decode(encoding)
    # Texts in UTF-16 that begin with a letter of ASCII
    if len(content) > 1 and 0 in content[:2]:
        return content.decode("utf-16-le" if content[1] == 0 else "utf-16-be")
    return content.decode("utf-8")


def _replace_commas(
    rows: list[dict[str, str]], numbers: tuple[str, ...], path: Path
) -> None:
    """Write decimal commas of a list as points, if they are no other commas."""
    places = [(row, name) for row in rows for name in numbers]
    texts = [row[name].strip() for row, name in places if row[name]]
    commas = [value for value in texts if _COMMA.fullmatch(value)]
    if not commas:
        return
    other = next((value for value in texts if "." in value), None)
    if other is not None:
        raise ValueError(
            f"{path} has the numbers {commas[0]!r} and {other!r}, so that commas may be "
            "decimal commas or part thousands. Export it with decimal points"
        )
    angles = [row[name] or "" for row in rows for name in _COLUMNS[4:]]
    in_angles = any("," in angle for angle in angles)
    if not in_angles and all(_THOUSANDS.fullmatch(value) for value in commas):
        raise ValueError(
            f"{path} has numbers such as {commas[0]!r}, which may have a decimal comma "
            "or be thousands. Export it with decimal points"
        )
    for row, name in places:
        if row[name] and _COMMA.fullmatch(row[name].strip()):
            row[name] = row[name].replace(",", ".")


def _check_point(row: dict[str, str], numbers: tuple[str, ...]) -> None:
    """Raise an error if a point lacks something or has no numbers."""
    if None in (row[name] for name in ("ID", "Phase", *numbers)):
        raise ValueError("it has fewer values than there are columns")
    int(row["ID"])
    for name in numbers:
        if not math.isfinite(float(row[name])):
            raise ValueError(f"its {name} is {row[name]}")


def _find_images(path: Path, folder: str | Path | None) -> dict[int, Path]:
    """Return images by the number at the end of their names."""
    if folder is not None:
        folders = [_with_slashes(folder)]
    else:
        subfolders = sorted(i for i in path.parent.iterdir() if i.is_dir())
        subfolders = [i for i in subfolders if i.name.lower() == "images"]
        folders = [path.parent, *(subfolders or [path.parent / "Images"])]
    images: dict[int, Path] = {}
    # Archives of Windows may be unpacked to one folder, with backslashes in names
    prefix = path.name.rpartition("\\")[0] if folder is None else ""
    for place in folders:
        for image in sorted(place.iterdir()) if place.is_dir() else []:
            number = re.search(r"(\d+)$", image.stem)
            is_image = image.suffix.lower() in _SUFFIXES and image.name[0] != "."
            if number is None or not is_image or not image.name.startswith(prefix):
                continue
            if int(number[1]) in images:
                raise ValueError(
                    f"{image} and {images[int(number[1])]} have the same number"
                )
            images[int(number[1])] = image
    if not images:
        raise FileNotFoundError(
            f"No TIFF images with a number at the end of their names in "
            f"{' or '.join(str(place) for place in folders)}"
        )
    return images


def _arrange_points(
    rows: list[dict],
) -> tuple[list[dict], tuple[int, ...], list[float]]:
    """Return points, navigation shape and steps in y and x, on a grid if possible."""
    x, y = (np.array([float(row[name]) for row in rows]) for name in "XY")
    unique_x, unique_y = np.unique(x), np.unique(y)
    shape = (unique_y.size, unique_x.size)
    order = np.lexsort((x, y))
    is_grid = len(rows) == shape[0] * shape[1] and min(shape) > 1
    if is_grid:
        expected = np.meshgrid(unique_y, unique_x, indexing="ij")
        is_grid = np.array_equal(y[order], expected[0].ravel())
        is_grid &= np.array_equal(x[order], expected[1].ravel())
    if not is_grid:
        # A map of one point has no dimensions
        return rows, (len(rows),) if len(rows) > 1 else (), [1.0]
    steps = [float(np.diff(values).mean()) for values in (unique_y, unique_x)]
    return [rows[i] for i in order], shape, steps


def _read_images(paths: list[Path], lazy: bool) -> np.ndarray | da.Array:
    """Return images of one shape as a stack of shape (n, height, width)."""
    first = _read_image(paths[0])
    shape, dtype = like = first.shape, first.dtype
    if lazy:
        read = dask.delayed(_read_image, pure=True)
        return da.stack(
            [da.from_delayed(read(path, paths[0], like), *like) for path in paths]
        )
    images = np.empty((len(paths), *shape), dtype)
    for i, path in enumerate(paths):
        images[i] = _read_image(path, paths[0], like)
    return images


def _read_image(
    path: Path, other: Path | None = None, like: tuple | None = None
) -> np.ndarray:
    """Return an image (height, width), of the shape and type of another."""
    from imageio.v3 import imopen

    try:
        with imopen(path, "r") as file:
            # Before there is memory for it
            shape = file.properties().shape
            if math.prod(shape) > _MAX_PIXELS:
                raise ValueError(f"it declares the shape {shape}")
            image = np.asarray(file.read())
    except Exception as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
    if image.ndim == 3 and image.shape[-1] in (3, 4):
        image = image[..., :3].mean(axis=-1).astype(image.dtype)
    if image.ndim != 2 or image.size == 0:
        raise ValueError(f"{path} is not a single image, but of shape {image.shape}")
    if like is not None and (image.shape, image.dtype) != like:
        raise ValueError(
            f"{path} is of shape {image.shape} and type {image.dtype}, but "
            f"{other} of {like[0]} and {like[1]}"
        )
    return image


def _make_crystal_map(
    rows: list[dict],
    shape: tuple[int, ...],
    steps: list[float],
    names: list[str],
    space_groups: Mapping[str, int],
) -> CrystalMap:
    """Return the map of what the list says."""
    euler = np.array([[float(row[name]) for name in _COLUMNS[4:]] for row in rows])
    ids = {name: i for i, name in enumerate(names)}
    phases = [Phase(name, space_group=space_groups.get(name)) for name in names]
    phase_id = np.array([ids.get(row["Phase"], -1) for row in rows])
    if (phase_id < 0).any():
        phases, ids = [Phase("not_indexed"), *phases], {"": -1} | ids
    if len(shape) == 2:
        x, y = np.meshgrid(np.arange(shape[1]) * steps[1], np.arange(shape[0]))
        coordinates = {"x": x.ravel(), "y": y.ravel() * steps[0]}
        prop = {}
    else:
        coordinates = {"x": np.arange(len(rows), dtype="float64")}
        prop = {n: np.array([float(row[n]) for row in rows]) for n in "XY"}
    for name in _PROPERTIES:
        if rows[0].get(name) not in (None, ""):
            key = name.replace(" ", "_").lower() if " " in name else name
            prop[key] = np.array([float(row[name]) for row in rows])
    return CrystalMap(
        Rotation.from_euler(euler, degrees=True),
        phase_id=phase_id,
        phase_list=PhaseList(phases, ids=list(ids.values())),
        prop=prop,
        scan_unit="um" if len(shape) == 2 else "px",
        **coordinates,
    )

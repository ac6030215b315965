# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Load the real patterns whose space group is known."""

import csv
from pathlib import Path

import kikuchipy as kp
import numpy as np
from PIL import Image


def load_real(folder: Path) -> dict[str, tuple[np.ndarray, str]]:
    """Return real patterns by map.

    Parameters
    ----------
    folder
        Folder with ``index.csv``, images and scans as arrays.

    Returns
    -------
    maps
        Patterns of shape (n rows, n columns, height, width) and space
        group ("225", or "212 or 213") per map. Patterns of different
        shape are in maps of their own. The nickel scan in kikuchipy is
        the first map.
    """
    s = kp.data.nickel_ebsd_small()
    maps: dict[str, list] = {"nickel_ebsd_small": [s.data, "225"]}
    with open(folder / "index.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    images: dict[tuple[str, str, tuple[int, ...]], list[np.ndarray]] = {}
    for row in rows:
        path = folder / row["file"]
        if path.suffix == ".npy":
            maps[row["map"]] = [np.load(path), row["space_group"]]
            continue
        image = np.array(Image.open(path))
        image = image if image.ndim == 2 else image[..., :3].mean(axis=-1)
        key = (row["map"], row["space_group"], image.shape)
        images.setdefault(key, []).append(image)
    for (name, group, shape), stack in images.items():
        name = name if name not in maps else f"{name}_{shape[0]}x{shape[1]}"
        maps[name] = [np.stack(stack)[None], group]
    return {name: (patterns, group) for name, (patterns, group) in maps.items()}

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a library small enough to be carried to another machine.

Usage::

    python -m recipes.default_model.training.pack LIBRARIES PACKED [--parts 2]

Of hemispheres with mirror planes only the part between them is kept, one eighth or one
quarter, in 64 levels, which is finer than any noise in training. PACKED becomes ``PACKED-0.npz.xz`` and so on.
"""

import argparse
import io
import json
import lzma
from pathlib import Path

import numpy as np

from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.training import similar_entries

TOLERANCE = 0.01
# One less than the number of levels
HIGHEST = 63
N_PARTNERS = 8
NAMES = ("phase_index", "upper", "lower", "energies", "phase_names", "space_groups")


def is_same(image: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two images are the same but for rounding."""
    return np.sqrt(np.mean((image - other) ** 2)) <= TOLERANCE * max(image.std(), 1e-6)


def pack(images: np.ndarray) -> dict[str, np.ndarray]:
    """Return images of shape (n, side, side) as arrays of bytes.

    Parts are ``eighth``, ``quarter`` and ``whole``, ``kind`` tells which of them an image
    is in, and ``limits`` are its lowest and highest value.
    """
    p = images.shape[-1] // 2
    eighth = np.tril_indices(p + 1)
    parts, kind, limits = {0: [], 1: [], 2: []}, [], []
    for image in images.astype("float32"):
        quarter = image[p:, p:]
        if not (is_same(image, image[::-1]) and is_same(image, image[:, ::-1])):
            i, part = 2, image
        elif is_same(image, image.T):
            i, part = 0, quarter[eighth]
        else:
            i, part = 1, quarter
        low, high = part.min(), part.max()
        levels = np.round((part - low) * (HIGHEST / max(high - low, 1e-6)))
        parts[i].append(levels.astype("uint8"))
        kind.append(i)
        limits.append((low, high))
    shapes = (len(eighth[0]),), (p + 1, p + 1), (2 * p + 1, 2 * p + 1)
    arrays = {
        name: np.array(parts[i], "uint8").reshape(-1, *shapes[i])
        for i, name in enumerate(("eighth", "quarter", "whole"))
    }
    return arrays | {"kind": np.array(kind), "limits": np.array(limits, "float32")}


def unpack(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Return images of shape (n, side, side) and dtype float16."""
    p = arrays["quarter"].shape[-1] - 1
    eighth = np.tril_indices(p + 1)
    out = np.empty((len(arrays["kind"]), 2 * p + 1, 2 * p + 1), "float16")
    parts = [iter(arrays[name]) for name in ("eighth", "quarter", "whole")]
    for image, i, (low, high) in zip(out, arrays["kind"], arrays["limits"]):
        part = next(parts[i]) * ((high - low) / np.float32(HIGHEST)) + low
        if i == 2:
            image[:] = part
            continue
        quarter = part
        if i == 0:
            quarter = np.empty((p + 1, p + 1), "float32")
            quarter[eighth] = part
            quarter.T[eighth] = part
        image[p:, p:] = quarter
        image[p:, :p] = image[p:, :p:-1]
        image[:p] = image[:p:-1]
    return out


def load_packed(paths: list[Path]) -> tuple[MasterPatternLibrary, dict, np.ndarray]:
    """Return library, weights of phases, and partners to blend with."""
    files = [
        np.load(io.BytesIO(lzma.decompress(p.read_bytes()))) for p in sorted(paths)
    ]
    images = np.concatenate([unpack(file) for file in files])
    first = files[0]
    library = MasterPatternLibrary(images, **{name: first[name] for name in NAMES})
    return library, json.loads(str(first["weights"])), first["partners"]


def main() -> None:
    """Write the parts."""
    parser = argparse.ArgumentParser(description="Pack a library")
    parser.add_argument("libraries", type=Path)
    parser.add_argument("packed", type=Path)
    parser.add_argument("--parts", type=int, default=2)
    args = parser.parse_args()
    library = MasterPatternLibrary.load(args.libraries / "training.npz")
    partners = [np.resize(i, N_PARTNERS) for i in similar_entries(library, N_PARTNERS)]
    extra = {name: np.asarray(getattr(library, name)) for name in NAMES}
    extra["weights"] = np.array((args.libraries / "weights.json").read_text())
    extra["partners"] = np.array(partners, "int32")
    for i, images in enumerate(np.array_split(library.data, args.parts)):
        buffer = io.BytesIO()
        np.savez(buffer, **pack(images), **(extra if i == 0 else {}))
        path = args.packed.with_name(f"{args.packed.name}-{i}.npz.xz")
        path.write_bytes(lzma.compress(buffer.getvalue()))


if __name__ == "__main__":
    main()

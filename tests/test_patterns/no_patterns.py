# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make images that are no diffraction patterns, and see what they are called.

To classify 180 images of every kind one by one with the default model::

    python tests/test_patterns/no_patterns.py --output benchmarks/results/no_patterns.csv

``test_plausibility.py`` looks at some of them.
"""

import argparse
import csv

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

LETTERS = [*"abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789"]


def grid(size):
    """Return coordinates from -0.5 to 0.5."""
    x = (np.arange(size) + 0.5) / size - 0.5
    return np.meshgrid(x, x)


def canvas(size, rng):
    """Return a black or white sheet of four times the size, and its ink."""
    paper = int(rng.choice([0, 255]))
    return Image.new("L", (4 * size, 4 * size), paper), 255 - paper


def shrunk(image, size):
    return np.array(image.resize((size, size), Image.Resampling.BILINEAR))


def line_drawing(size, rng):
    """Lines, circles and a lattice, black on white or white on black."""
    image, ink = canvas(size, rng)
    draw = ImageDraw.Draw(image)
    width = int(rng.integers(size // 15, size // 3))
    kind, n = rng.integers(3), int(rng.integers(2, 8))
    if kind == 2:
        for at in range(0, 4 * size, 4 * size // (n + 2)):
            draw.line([at, 0, at, 4 * size], fill=ink, width=width // 2 + 1)
            draw.line([0, at, 4 * size, at], fill=ink, width=width // 2 + 1)
    for _ in range(n if kind < 2 else 0):
        x, y, radius, *end = rng.integers(4 * size, size=5).tolist()
        radius = radius // 4 + width
        if kind == 0:
            draw.line([x, y, *end], fill=ink, width=width)
        else:
            box = [x - radius, y - radius, x + radius, y + radius]
            draw.ellipse(box, outline=ink, width=width)
    return shrunk(image, size)


def shapes(size, rng):
    """Rectangles and polygons in greys, chessboards and stripes."""
    kind = rng.integers(4)
    x, y = grid(size)
    if kind == 0:
        n = rng.integers(4, 12)
        return ((x * n).astype(int) + (y * n).astype(int)) % 2 * 255
    if kind == 1:
        angle, n = rng.uniform(0, np.pi), rng.uniform(3, 12)
        return np.sin(2 * np.pi * n * (x * np.cos(angle) + y * np.sin(angle))) > 0
    image, _ = canvas(size, rng)
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(2, 8)):
        corners = rng.integers(4 * size, size=(rng.integers(3, 6), 2))
        grey = int(rng.integers(256))
        if kind == 2:
            corners = corners[:2]
            draw.rectangle([*corners.min(0).tolist(), *corners.max(0).tolist()], grey)
        else:
            draw.polygon([tuple(i) for i in corners.tolist()], grey)
    return shrunk(image, size)


def text(size, rng):
    """Lines of letters."""
    image, ink = canvas(size, rng)
    draw = ImageDraw.Draw(image)
    height = int(rng.integers(size // 3, 5 * size // 2))
    font = ImageFont.load_default(height)
    for y in range(0, 4 * size, int(1.2 * height)):
        line = "".join(rng.choice(LETTERS, 40))
        draw.text((int(rng.integers(-height, height)), y), line, ink, font)
    return shrunk(image, size)


def recorded(image, rng):
    """Return an image as a detector with some noise records it."""
    dose = 10 ** rng.uniform(1.3, 3.5)
    image = np.clip(gaussian_filter(image, 0.6), 0.01, None)
    return np.clip(rng.poisson(image * dose) / dose * 160, 0, 255).astype("uint8")


def blobs(size, rng, low, high):
    """Return a smooth random image with a standard deviation of 1."""
    image = gaussian_filter(
        rng.normal(size=(size, size)), rng.uniform(low, high) * size
    )
    return image / image.std()


def micrograph_of_phases(size, rng):
    """Particles, pores and lamellae: few grey levels."""
    kind = rng.integers(3)
    x, y = grid(size)
    if kind == 0:
        image = np.full((size, size), 0.3)
        for _ in range(rng.integers(5, 40)):
            at, radius = rng.uniform(-0.5, 0.5, 2), rng.uniform(0.02, 0.12)
            r = np.hypot(x - at[0], y - at[1]) / radius
            image = np.where(r < 1, 0.5 + 0.5 * r**4, image)
    elif kind == 1:
        height = blobs(size, rng, 0.015, 0.05)
        image = np.where(height < -0.8, 0.1, 0.7) + 0.05 * height
    else:
        angle, n = rng.uniform(0, np.pi), rng.uniform(4, 12)
        phase = 2 * np.pi * n * (x * np.cos(angle) + y * np.sin(angle))
        image = 0.5 + 0.4 * np.sign(np.sin(phase + blobs(size, rng, 0.06, 0.07)))
    return recorded(image, rng)


def micrograph_of_grains(size, rng):
    """Channeling contrast of grains, and rough surfaces: many grey levels."""
    if rng.integers(2):
        at = rng.uniform(0, size, (rng.integers(8, 60), 2))
        i = np.indices((size, size))[..., None]
        nearest = ((i - at.T[:, None, None]) ** 2).sum(axis=0).argmin(axis=-1)
        image = rng.uniform(0.4, 1, len(at))[nearest]
    else:
        dy, dx = np.gradient(blobs(size, rng, 0.02, 0.08))
        image = 0.5 + 0.02 * size * dx + 0.015 * size * np.abs(dy)
    return recorded(image, rng)


def gradient(size, rng):
    """Smooth light, rounded or not."""
    x, y = grid(size)
    a, b, c, d = rng.normal(size=4)
    image = a * x + b * y
    if rng.integers(2):
        image = np.exp(-rng.uniform(0.5, 4) * ((x - c / 3) ** 2 + (y - d / 3) ** 2))
    image = 20 + 200 * (image - image.min()) / np.ptp(image)
    return image.round() if rng.integers(2) else image


def noise(size, rng):
    """White, blurred, and of large grain."""
    image = rng.normal(size=(size, size))
    kind = rng.integers(3)
    if kind:
        sigma = rng.uniform(0.5, 1.5) if kind == 1 else rng.uniform(2, 5) * size / 60
        image = gaussian_filter(image, sigma)
    return 128 + 30 * image / image.std()


KINDS = {
    "line drawings": line_drawing,
    "shapes, chessboards, stripes": shapes,
    "text": text,
    "micrographs of particles, pores, lamellae": micrograph_of_phases,
    "micrographs of grains, surfaces": micrograph_of_grains,
    "gradients": gradient,
    "noise": noise,
}


def make_images(kind, n, size, seed=1):
    """Return n images of a kind as an array of shape (n, size, size)."""
    rng = np.random.default_rng(seed)
    return np.stack([KINDS[kind](size, rng) for _ in range(n)]).astype("float32")


def row(kind, model):
    """Return what is made of images of a kind that are classified one by one."""
    from kikuchipy.signals import EBSD

    best = {True: [], False: []}
    for size in (60, 120, 240):
        for image in make_images(kind, 60, size):
            for reject, found in best.items():
                xmap = EBSD(image).classify_space_group(
                    model, reject_implausible=reject, show_progressbar=False
                )
                found.append(float(xmap.prop["scores"][0]))
    best = {reject: np.array(found) for reject, found in best.items()}
    identified = {i: best[i] >= model.min_probability for i in best}
    return {
        "images": kind,
        "rejected": f"{(best[True] == 0).mean():.0%}",
        "called a space group": f"{identified[True].mean():.0%}",
        "highest probability": f"{best[True].max():.2f}",
        "called one with ``reject_implausible=False``": (
            f"{identified[False].mean():.0%}"
        ),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", required=True, help="table to write")
    args = parser.parse_args()

    import kikuchipy_spacegroup as kpsg

    model = kpsg.load_model()
    rows = [row(kind, model) for kind in KINDS]
    with open(args.output, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

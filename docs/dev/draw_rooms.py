# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw the rooms of the package, and which of them import from which.

    python docs/dev/draw_rooms.py

writes ``docs/dev/rooms.png``. Levels are read from the docstring of the
package, and arrows from its import statements. Arrows that follow from
others are left out.
"""

import ast
from pathlib import Path
import textwrap

from matplotlib.patches import FancyBboxPatch
import matplotlib.pyplot as plt

PACKAGE = Path(__file__).parents[2] / "kikuchipy_spacegroup"
OUTPUT = Path(__file__).with_name("rooms.png")
WIDTH, HEIGHT, GAP = 2.5, 0.62, 1.25


def levels() -> list[list[str]]:
    """Return the names of each level, the lowest first."""
    doc = ast.get_docstring(ast.parse((PACKAGE / "__init__.py").read_text("utf-8")))
    lines = textwrap.dedent(doc.split("::")[1]).strip().splitlines()
    return [line.split() for line in reversed(lines)]


def files_of(room: str) -> list[Path]:
    """Return the modules of a room, or the one module."""
    path = PACKAGE / room
    return sorted(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def imports_of(room: str, rooms: set[str]) -> set[str]:
    """Return which other rooms a room imports from."""
    found = set()
    for path in files_of(room):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                parts = [name.split(".") for name in names]
                found |= {i[1] for i in parts if i[0] == PACKAGE.name and len(i) > 1}
    return (found & rooms) - {room}


def without_shortcuts(below: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return imports without those that others imply."""
    everything: dict[str, set[str]] = {}

    def reached(room: str) -> set[str]:
        if room not in everything:
            parts = [{other} | reached(other) for other in below[room]]
            everything[room] = set().union(*parts)
        return everything[room]

    return {
        room: {i for i in others if not any(i in reached(j) for j in others - {i})}
        for room, others in below.items()
    }


def main() -> None:
    """Draw and save the picture."""
    rows = levels()
    rooms = {name for row in rows for name in row}
    below = without_shortcuts({room: imports_of(room, rooms) for room in rooms})
    places = {}
    for y, row in enumerate(rows):
        for i, name in enumerate(row):
            x = (i - (len(row) - 1) / 2) * (WIDTH + 0.8)
            places[name] = (x, y * GAP)
    fig, ax = plt.subplots(figsize=(10.5, 8.5), layout="constrained")
    for room, others in below.items():
        for other in others:
            (x, y), (to_x, to_y) = places[room], places[other]
            ax.annotate(
                "",
                (to_x, to_y + HEIGHT / 2),
                (x, y - HEIGHT / 2),
                arrowprops={"arrowstyle": "-|>", "color": "0.6", "shrinkB": 1},
                zorder=0,
            )
    for name, (x, y) in places.items():
        is_room = (PACKAGE / name).is_dir()
        corner = (x - WIDTH / 2, y - HEIGHT / 2)
        color = "#cfe2f3" if is_room else "#eeeeee"
        style = "round,pad=0.02,rounding_size=0.1"
        box = FancyBboxPatch(corner, WIDTH, HEIGHT, style, fc=color, ec="0.3", zorder=1)
        ax.add_patch(box)
        n = len(files_of(name))
        text = f"{name}\n{n - 1} modules" if is_room and n > 1 else name
        ax.text(x, y, text, ha="center", va="center", fontsize=9, linespacing=1.1)
    widest = max(abs(x) for x, _ in places.values()) + WIDTH / 2 + 0.1
    ax.set(xlim=(-widest, widest), ylim=(-0.6, (len(rows) - 1) * GAP + 0.6))
    ax.axis("off")
    fig.savefig(OUTPUT, dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    main()

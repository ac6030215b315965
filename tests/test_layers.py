# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The house stands as the package's docstring says."""

import ast
import importlib
from pathlib import Path
import pkgutil
import subprocess
import sys

import pytest

import kikuchipy_spacegroup

FOLDER = Path(kikuchipy_spacegroup.__file__).parent
NAME = FOLDER.name
# Folders with several modules, and what stands at the top
ROOMS = sorted(path.parent.name for path in FOLDER.glob("*/__init__.pyi"))
TOP = sorted(
    {p.stem for p in FOLDER.glob("*.py")} - {"__init__"}
    | {p.parent.name for p in FOLDER.glob("*/__init__.py")}
)
# All files, as "room.module"
MODULES = sorted(
    ".".join(path.relative_to(FOLDER).with_suffix("").parts)
    for path in FOLDER.rglob("*.py")
    if path.parent != FOLDER or path.stem != "__init__"
)
HEAVY = {"keras", "tensorflow", "torch", "jax"}
# Where heavy dependencies are imported at the top of a module
DOORS = {
    "keras": ["_keras"],
    f"{NAME}._keras": [
        "patterns._matrices",
        "patterns._preprocessing",
        "simulation._layers",
        "models",
        "detectors._self_similarity",
        "training",
        "explanation",
    ],
    "tensorflow": [],
    "torch": ["master_patterns._bloch_waves", "master_patterns._two_beams"],
    "jax": [],
    "matplotlib": ["plot"],
    "dask": ["patterns", "classification", "simulation._scans", "io._aztec"],
    "hyperspy": ["_progress", "maps._composition", "plot._plot_navigator"],
}
MAX_FUNCTION, MAX_MODULE = 60, 800
# Of before there was the limit
LONG_FUNCTIONS: dict[str, int] = {}


def levels():
    """Return the level of every room, read from the docstring."""
    lines = kikuchipy_spacegroup.__doc__.split("::")[1].strip().splitlines()
    return {
        name: len(lines) - i for i, line in enumerate(lines) for name in line.split()
    }


def source(module):
    return (FOLDER / Path(*module.split("."))).with_suffix(".py").read_text("utf-8")


def walk(nodes, skip=()):
    """Yield all nodes but those of some types, and what is in them."""
    for node in nodes:
        if not isinstance(node, skip):
            yield node
            yield from walk(ast.iter_child_nodes(node), skip)


def imported(nodes):
    """Yield the full names that import statements ask for."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports within the package are absolute"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def is_type_checking(node):
    return isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"


def run_imports(module):
    """Yield the names imported when a module is, not those in functions."""
    skip = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    body = ast.parse(source(module)).body
    # In functions imports are free; in "if", "try" and classes they run
    nodes = [n for n in body if not is_type_checking(n)]
    yield from imported(walk(nodes, skip))


def test_every_room_has_a_level():
    assert sorted(levels()) == TOP


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_only(module):
    """From room to room, imports for type checkers included."""
    level = levels()
    room = module.split(".")[0]
    for name in imported(ast.walk(ast.parse(source(module)))):
        package, *rest = name.split(".")
        if package != NAME:
            continue
        if not rest or rest[0] not in level:
            assert module == "__main__", f"{module} imports the package itself"
        elif rest[0] == room:
            assert ".".join(rest[:2]) in MODULES, f"{module} imports its own room"
        else:
            assert level[rest[0]] < level[room], f"{module} imports {rest[0]}"


@pytest.mark.parametrize("room", ROOMS)
def test_no_circles_in_rooms(room):
    """Modules of a room can be read one after another."""
    below = {}
    for module in (m for m in MODULES if m.split(".")[0] == room):
        names = imported(ast.walk(ast.parse(source(module))))
        parts = (name.split(".")[1:3] for name in names if name.startswith(f"{NAME}."))
        below[module] = {".".join(p) for p in parts if p[0] == room} - {module}
    while below:
        free = [m for m, names in below.items() if not names & set(below)]
        assert free, f"{sorted(below)} import each other"
        for module in free:
            del below[module]


def packages(name):
    """Return what a full name is in: the package, and the module."""
    return {name.split(".")[0], name.rpartition(".")[0]}


@pytest.mark.parametrize("module", MODULES)
def test_doors(module):
    """Every heavy dependency is imported in few places."""
    for name in run_imports(module):
        doors = {module, module.split(".")[0]}
        for package in packages(name):
            assert package not in DOORS or doors & set(DOORS[package]), (
                f"{module} imports {package}"
            )


def test_keras_is_imported_quietly():
    """In functions too: what TensorFlow tells of its build is left out."""
    for module in MODULES:
        names = imported(ast.walk(ast.parse(source(module))))
        others = [name for name in names if name.split(".")[0] == "keras"]
        assert not others or module == "_keras", f"{module} imports {others}"


def test_doors_are_needed():
    used = {}
    for module in MODULES:
        for name in run_imports(module):
            for package in packages(name):
                used.setdefault(package, set()).add(module)
    for package, doors in DOORS.items():
        for door in doors:
            needed = (m == door or m.split(".")[0] == door for m in used[package])
            assert any(needed), f"{door} does not import {package}"


def own_length(function):
    """Return the number of lines of a function below its docstring."""
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("module", MODULES)
def test_manners(module):
    text = source(module)
    tree = ast.parse(text)
    assert len(text.splitlines()) <= MAX_MODULE
    assert "SPDX-License-Identifier: GPL-3.0-or-later" in text
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            limit = LONG_FUNCTIONS.get(f"{module}.{node.name}", MAX_FUNCTION)
            assert own_length(node) <= limit, f"{node.name}() is too long"
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
    prints = [n for n in calls if getattr(n.func, "id", "") == "print"]
    assert not prints or module == "__main__"


def loaded(code):
    """Return the names of modules in a fresh process after some code."""
    code = f"import sys\n{code}\nprint(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    return set(result.stdout.splitlines()[-1].split())


def test_import_is_light():
    """Importing the package loads what kikuchipy's signals need, and no more."""
    without = loaded("from kikuchipy.signals import EBSD")
    ours = loaded(
        "import kikuchipy_spacegroup\n"
        "from kikuchipy.signals import EBSD\n"
        "assert hasattr(EBSD, 'classify_space_group')\n"
        "assert 'SpaceGroupModel' in dir(kikuchipy_spacegroup)\n"
    )
    more = ours - without
    assert {i for i in more if i.split(".")[0] != NAME} <= {"lazy_loader"}
    assert more >= {NAME, f"{NAME}._signal"}
    assert not HEAVY & {name.split(".")[0] for name in ours}


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_public_names_exist(room):
    place = importlib.import_module(f"{NAME}.{room}".rstrip("."))
    assert place.__all__ == sorted(place.__all__)
    for name in place.__all__:
        assert getattr(place, name) is not None
        assert name in dir(place)


@pytest.mark.parametrize("folder", ["recipes", "benchmarks", "tutorials"])
def test_scripts_import_what_exists(folder):
    """Scripts that no test runs still follow the package, and use its door."""
    root = Path(__file__).parents[1]
    for path in sorted((root / folder).rglob("*.py")):
        for name in imported(ast.walk(ast.parse(path.read_text("utf-8")))):
            first, *parts = name.split(".")
            if first in ("recipes", "benchmarks"):
                assert (root / first / Path(*parts[:-1])).with_suffix(".py").is_file()
            if first != NAME or not parts:
                continue
            private = any(part.startswith("_") for part in parts)
            assert not private, f"{path} imports {name}"
            try:
                pkgutil.resolve_name(name)
            except AttributeError:
                importlib.import_module(name)

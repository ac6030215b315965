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
MODULES = sorted(
    {p.stem for p in FOLDER.glob("*.py")} - {"__init__"}
    | {p.parent.name for p in FOLDER.glob("*/__init__.py")}
)
HEAVY = {"keras", "tensorflow", "torch", "jax"}
# Where heavy dependencies are imported at the top of a module
KERAS = "preprocessing network acquisition simulation model dataset training _training_set matching _trainer adaptation explanation _network_layers _rebuild _inference".split()
DOORS = {
    "keras": KERAS,
    "tensorflow": [],
    "torch": [],
    "jax": [],
    "matplotlib": ["plot", "_plot_evaluation", "_plot_explanation", "_plot_navigator"],
    "dask": [
        "classification",
        "_classify_blocks",
        "_compute",
        "_results_store",
        "_scan",
        "aztec",
        "scans",
    ],
    "hyperspy": ["classification", "composition", "_plot_navigator", "scans"],
}


def levels():
    """Return the level of every module, read from the docstring."""
    lines = kikuchipy_spacegroup.__doc__.split("::")[1].strip().splitlines()
    return {
        name: len(lines) - i for i, line in enumerate(lines) for name in line.split()
    }


def source(module):
    path = FOLDER / f"{module}.py"
    return (path if path.exists() else FOLDER / module / "__init__.py").read_text(
        "utf-8"
    )


def walk(nodes, skip=()):
    """Yield all nodes but those that only type checkers see."""
    for node in nodes:
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            yield from walk(node.orelse, skip)
        elif not isinstance(node, skip):
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


def test_every_module_has_a_level():
    assert sorted(levels()) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_only(module):
    level = levels()
    for name in imported(walk(ast.parse(source(module)).body)):
        package, *rest = name.split(".")
        if package != NAME:
            continue
        if not rest or rest[0] not in level:
            assert module == "__main__", f"{module} imports the package itself"
        else:
            assert level[rest[0]] < level[module], f"{module} imports {rest[0]}"


@pytest.mark.parametrize("module", MODULES)
def test_doors(module):
    """Every heavy dependency is imported in few places."""
    functions = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    # In functions imports are free; in "if", "try" and classes they run
    for name in imported(walk(ast.parse(source(module)).body, functions)):
        package = name.split(".")[0]
        if package in DOORS:
            assert module in DOORS[package], f"{module} imports {package}"


@pytest.mark.parametrize("module", MODULES)
def test_manners(module):
    text = source(module)
    assert len(text.splitlines()) <= 450
    assert "SPDX-License-Identifier: GPL-3.0-or-later" in text
    calls = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call)]
    prints = [n for n in calls if getattr(n.func, "id", "") == "print"]
    assert not prints or module == "__main__"


def test_import_is_light():
    """Importing the package sets the method, but imports no network."""
    code = (
        "import sys, kikuchipy_spacegroup\n"
        "from kikuchipy.signals import EBSD\n"
        "assert hasattr(EBSD, 'classify_space_group')\n"
        f"assert not {HEAVY} & set(sys.modules), 'heavy'\n"
        "assert 'SpaceGroupModel' in dir(kikuchipy_spacegroup)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_exist():
    for name in kikuchipy_spacegroup.__all__:
        assert getattr(kikuchipy_spacegroup, name) is not None


@pytest.mark.parametrize("folder", ["recipes", "benchmarks", "tutorials"])
def test_scripts_import_what_exists(folder):
    """Scripts that no test runs still follow the package."""
    scripts = sorted((Path(__file__).parents[1] / folder).rglob("*.py"))
    for path in scripts:
        for name in imported(ast.walk(ast.parse(path.read_text("utf-8")))):
            if name.split(".")[0] == NAME and name != NAME:
                try:
                    pkgutil.resolve_name(name)
                except AttributeError:
                    importlib.import_module(name)

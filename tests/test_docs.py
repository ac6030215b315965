# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages say of the package, without running or building them."""

import ast
from pathlib import Path
import pkgutil
import re
import sys
import textwrap

import pytest

import kikuchipy_spacegroup
from kikuchipy_spacegroup import data
from kikuchipy_spacegroup.classification import _results_store

ROOT = Path(__file__).parents[1]
NAME = kikuchipy_spacegroup.__name__
# Written by the build, and not by us
BUILT = ("_build", "generated", "tutorials", "backreferences")
PAGES = sorted(
    path
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.rst")]
    if path.is_file() and not set(BUILT) & set(path.parts)
)
TROUBLES = ROOT / "docs" / "user" / "troubleshooting.rst"
# A message of Python, and those in which words are put in
OTHERS = (
    "'EBSD' object has no attribute 'classify_space_group'",
    "navigation_mask must be a boolean array of shape ...",
    "The patterns of ... in rows 4 to 4 and columns 4 to 7 cannot be read",
    "... is a Keras model without 'space_groups.json'",
)


def blocks(text, suffix):
    """Yield the number of the first line and the code of Python blocks."""
    lines = text.splitlines()
    if suffix == ".md":
        for match in re.finditer(r"^```python\n(.*?)^```", text, re.M | re.S):
            yield text[: match.start()].count("\n") + 2, match[1]
        return
    for i, line in enumerate(lines):
        match = re.match(r"( *)\.\. (plot|code-block:: python|code:: python)\b", line)
        if not match:
            continue
        body = []
        for other in lines[i + 1 :]:
            if other.strip() and not other.startswith(match[1] + " "):
                break
            body.append(other)
        options = [re.match(r" *:[\w-]+:", other) is not None for other in body]
        first = options.index(False)
        yield i + 2 + first, textwrap.dedent("\n".join(body[first:]))


def names_in(tree):
    """Yield what is imported from the package or looked up in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == NAME:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (i.name for i in node.names if i.name.split(".")[0] == NAME)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_python_blocks(path):
    """Blocks are Python, and what they import exists."""
    for line, code in blocks(path.read_text("utf-8"), path.suffix):
        try:
            tree = ast.parse(code)
        except SyntaxError as error:
            pytest.fail(f"{path.name}, block at line {line}: {error}")
        for name in names_in(tree):
            pkgutil.resolve_name(name)


@pytest.mark.parametrize(
    "path",
    [*PAGES, *sorted((ROOT / "tutorials").glob("*.py"))],
    ids=lambda path: path.name,
)
def test_names_exist(path):
    """Every ``kpsg.name`` exists, in blocks and in prose."""
    for name in set(
        re.findall(r"\bkpsg((?:\.[A-Za-z_]\w*)+)", path.read_text("utf-8"))
    ):
        found = kikuchipy_spacegroup
        for part in name.split(".")[1:]:
            assert hasattr(found, part), f"There is no kpsg{name}"
            found = getattr(found, part)


def test_there_are_blocks():
    """The expressions above still find what they look for."""
    if not PAGES:
        pytest.skip("no documentation beside the tests")
    found = [i for p in PAGES for i in blocks(p.read_text("utf-8"), p.suffix)]
    assert len(found) > 25
    assert any("plot_grad_cam" in code for _, code in found)
    assert any("SLURMCluster" in code for _, code in found)
    assert any("fit_correlation" not in code and "pooled" in code for _, code in found)


def texts():
    """Return all texts of the package, with "..." for what is put in."""
    found = []
    for path in Path(kikuchipy_spacegroup.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (getattr(part, "value", None) for part in node.values)
                found.append("".join(i if isinstance(i, str) else "..." for i in parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


@pytest.mark.skipif(not TROUBLES.is_file(), reason="no documentation beside the tests")
def test_troubles_have_messages():
    """Messages that are explained are messages of the package."""
    everything = texts()
    page = TROUBLES.read_text("utf-8").split("By symptom\n")[0]
    terms = re.findall(r"^``.*``$", page, re.M)
    assert len(terms) > 15
    missing = []
    for message in (i for term in terms for i in re.split("``, ``", term[2:-2])):
        # Numbers are examples
        parts = re.split(r"\.\.\.?|\b\d+\b", message)
        pattern = ".*".join(re.escape(part.strip()) for part in parts if part.strip())
        if not any(re.search(pattern, text, re.S) for text in everything):
            missing.append(message)
    assert sorted(missing) == sorted(OTHERS)


class TestMessages:
    """They tell what to do."""

    @pytest.mark.parametrize(
        ("version", "expected"),
        [
            ((3, 10, 4), "needs Python 3.11 or newer. This is Python 3.10"),
            (None, "scale"),
        ],
    )
    def test_no_zarr(self, tmp_path, monkeypatch, version, expected):
        monkeypatch.setitem(sys.modules, "zarr", None)
        if version:
            monkeypatch.setattr(sys, "version_info", version)
        with pytest.raises(ImportError, match="zarr in version 3") as error:
            _results_store.check_output(tmp_path / "map.zarr", False)
        if version or sys.version_info >= (3, 11):
            assert expected in str(error.value)

    def test_old_zarr(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "zarr", object())
        with pytest.raises(ImportError, match="zarr in version 3"):
            _results_store.check_output(tmp_path / "map.zarr", False)

    def test_onnx_is_not_a_bundled_model(self):
        with pytest.raises(ValueError, match="for `classify_space_group\\(\\)`"):
            data.find_model("model.onnx")


def test_every_dependency_has_a_reason():
    """Why it is there, or why not in an older version."""
    path = ROOT / "pyproject.toml"
    if not path.is_file():
        pytest.skip("no source tree")
    content = path.read_text("utf-8")
    start = content.index("\ndependencies = [")
    table = content[start : content.index("\n[tool.", start)]
    lines = re.findall(r"^ *\"(?!kikuchipy-spacegroup).*", table, re.M)
    assert len(lines) > 20
    assert [line for line in lines if not re.search("# .{5}", line)] == []

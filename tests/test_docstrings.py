# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docstrings have what numpydoc asks for, in its order."""

import ast
from importlib.metadata import version
import inspect
import pkgutil
import textwrap

import pytest

import kikuchipy_spacegroup

validate = pytest.importorskip("numpydoc.validate").validate

# Documented by Keras, whose method it is
KERAS = {
    "get_config",
    "compute_output_shape",
    "save_own_variables",
    "load_own_variables",
    "on_epoch_begin",
    "on_epoch_end",
    "__getitem__",
}
# Types are in the signatures, as in kikuchipy, and short things need
# neither an extended summary nor links nor examples
NOT_CHECKED = {"PR04", "SA01", "SA04", "ES01", "EX01", "RT02", "YD01"}
# Earlier versions of numpydoc want summaries on a line of their own
if tuple(int(i) for i in version("numpydoc").split(".")[:2]) < (1, 11):
    NOT_CHECKED.add("GL01")
# The links of the class are enough
LINKS_OF_CLASS = {
    "master_patterns.MasterPatternLibrary",
    "models.SpaceGroupModel",
    "models.OnnxModel",
}


def public_names():
    """Yield the full names of all that the reference shows."""
    for name in kikuchipy_spacegroup.__all__:
        module = getattr(kikuchipy_spacegroup, name)
        if not inspect.ismodule(module):
            continue
        for key in getattr(module, "__all__", dir(module)):
            value = getattr(module, key)
            own = getattr(value, "__module__", None) == module.__name__
            shown = own or key in getattr(module, "__all__", ())
            if key.startswith("_") or not shown:
                continue
            if inspect.isfunction(value):
                yield f"{module.__name__}.{key}"
            elif inspect.isclass(value):
                yield f"{module.__name__}.{key}"
                for method, function in vars(value).items():
                    callable_ = isinstance(
                        function, (property, classmethod, staticmethod)
                    ) or inspect.isfunction(function)
                    if callable_ and not (method.startswith("_") or method in KERAS):
                        yield f"{module.__name__}.{key}.{method}"


@pytest.mark.parametrize("name", sorted(public_names()))
def test_docstring(name):
    errors = [e for e in validate(name)["errors"] if e[0] not in NOT_CHECKED]
    assert not errors


def shown_names():
    """Yield the public functions, classes and methods of rooms."""
    for name in public_names():
        parts = name.split(".")[1:]
        if parts[-1] not in KERAS and not isinstance(found(name), property):
            yield ".".join(parts)


def found(name):
    return pkgutil.resolve_name(name)


def class_example_calls(name):
    """Return whether a method is called in the example of its class."""
    *owner, method = name.split(".")
    if len(owner) < 2:
        return False
    text = found(f"kikuchipy_spacegroup.{'.'.join(owner)}").__doc__
    return f".{method}(" in text.partition("Examples\n")[2]


@pytest.mark.parametrize("name", sorted(shown_names()))
def test_examples_and_links(name):
    """What is public shows how it is used, and what is related."""
    errors = {code for code, _ in validate(f"kikuchipy_spacegroup.{name}")["errors"]}
    if class_example_calls(name):
        errors.discard("EX01")
    if name.rpartition(".")[0] in LINKS_OF_CLASS:
        errors.discard("SA01")
    assert not errors & {"EX01", "SA01"}


@pytest.mark.parametrize("name", sorted(shown_names()))
def test_own_errors_are_documented(name):
    """What a function, or a class as it is made, raises itself is under Raises."""
    value = inspect.unwrap(found(f"kikuchipy_spacegroup.{name}"))
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(value))).body
    nodes = [node]
    if isinstance(node, ast.ClassDef):
        made_by = ("__init__", "__post_init__")
        nodes = [n for n in node.body if getattr(n, "name", "") in made_by]
    raised = {
        ast.unparse(n.exc.func)
        for part in nodes
        for n in ast.walk(part)
        if isinstance(n, ast.Raise) and isinstance(n.exc, ast.Call)
    }
    documented = inspect.getdoc(value).partition("Raises\n------\n")[2]
    assert not [error for error in raised if error not in documented]

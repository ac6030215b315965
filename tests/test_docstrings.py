# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docstrings have what numpydoc asks for, in its order."""

import inspect

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
# Of what is at the top, where examples and links are asked for: what needs
# files or has nothing to show, and what would make its module too long
NO_EXAMPLE = {
    "LabelledPatterns.concatenate",
    "MasterPatternLibrary.from_files",
    "MasterPatternLibrary.select",
    "OnnxModel.fingerprint",
    "SpaceGroupModel.copy",
    "SpaceGroupModel.fingerprint",
    "SpaceGroupModel.header",
    "SpaceGroupModel.predict",
    "SpaceGroupModel.save",
}
# As for length, the links of the class are enough
LINKS_OF_CLASS = {"MasterPatternLibrary", "SpaceGroupModel"}


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


def top_names():
    """Yield the name and full name of functions, classes and methods."""
    for name in kikuchipy_spacegroup.__all__:
        value = getattr(kikuchipy_spacegroup, name)
        if inspect.ismodule(value):
            continue
        full = f"{value.__module__}.{name}"
        yield name, full
        if inspect.isclass(value):
            for method, function in vars(value).items():
                callable_ = isinstance(
                    function, classmethod | staticmethod
                ) or inspect.isfunction(function)
                if callable_ and not (method.startswith("_") or method in KERAS):
                    yield f"{name}.{method}", f"{full}.{method}"


def class_example_calls(name):
    """Return whether a method is called in the example of its class."""
    class_name, _, method = name.partition(".")
    text = getattr(kikuchipy_spacegroup, class_name).__doc__
    return bool(method) and f".{method}(" in text.partition("Examples\n")[2]


@pytest.mark.parametrize(("name", "full"), sorted(top_names()))
def test_examples_and_links(name, full):
    """What is found at the top shows how it is used, and what is related."""
    errors = {code for code, _ in validate(full)["errors"]}
    if name in NO_EXAMPLE or class_example_calls(name):
        errors.discard("EX01")
    if "." in name and name.partition(".")[0] in LINKS_OF_CLASS:
        errors.discard("SA01")
    assert not errors & {"EX01", "SA01"}


def test_exceptions_are_needed():
    """Names without an example are there, and still have none."""
    full = dict(top_names())
    for name in NO_EXAMPLE:
        codes = {code for code, _ in validate(full[name])["errors"]}
        assert "EX01" in codes and not class_example_calls(name)

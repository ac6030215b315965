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


def public_names():
    """Yield the full names of all that the reference shows."""
    for name in kikuchipy_spacegroup.__all__:
        module = getattr(kikuchipy_spacegroup, name)
        if not inspect.ismodule(module):
            continue
        for key, value in vars(module).items():
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

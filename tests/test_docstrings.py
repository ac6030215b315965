# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docstrings have what numpydoc asks for, in its order."""

import inspect
import pkgutil

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
# Of what is public, where examples and links are asked for: what needs files
# or has nothing to show, and what nobody has written yet
NO_EXAMPLE = set(
    """
crystals.ShortestDistanceError
crystals.SpaceGroupCheck
data.find_model
data.model_path
evaluation.class_probabilities
evaluation.reliability_diagram
explanation.ZoneAxisTest
explanation.guided_backpropagation
explanation.zone_axis_test
maps.candidate_probabilities
master_patterns.MasterPatternLibrary.from_files
master_patterns.MasterPatternLibrary.select
models.OnnxModel.fingerprint
models.SpaceGroupModel.copy
models.SpaceGroupModel.fingerprint
models.SpaceGroupModel.header
models.SpaceGroupModel.predict
models.SpaceGroupModel.save
models.build_network
models.xception
patterns.LabelledPatterns.concatenate
patterns.PreparePatterns.call
patterns.PreparePatterns.resize
patterns.background_from_patterns
patterns.divide_background
plot.InteractivePlot
plot.InteractivePlot.close
plot.InteractivePlot.update
plot.find_bands
plot.n_shared
plot.plot_confusion_matrix
plot.plot_hough
plot.plot_inverse_pole_figures
plot.plot_patterns
plot.plot_quality
plot.plot_reliability_diagram
simulation.ProjectPatterns
simulation.ProjectPatterns.call
simulation.SimulateCamera
simulation.SimulateCamera.call
simulation.SimulateCamera.chance
simulation.SimulateCamera.draw
simulation.detector_parameters
simulation.pattern_inputs
simulation.random_rotation_matrices
space_groups.SpaceGroup
training.ExperimentalDataset
training.MixedDataset
training.SimulatedDataset
training.SimulatedDataset.draw
training.SimulatedDataset.recipe
training.balanced_share
training.make_optimizer
training.recalibrate
training.similar_entries
training.simulate_logits
training.training_graph
""".split()
)
NO_LINKS = set(
    """
data.available_models
data.find_model
data.model_path
evaluation.accuracy
evaluation.class_probabilities
evaluation.confusion_matrix
evaluation.counts
evaluation.pattern_table
evaluation.reliability_diagram
explanation.ZoneAxisTest
explanation.guided_backpropagation
explanation.to_pattern_frame
explanation.zone_axis_test
maps.fit_correlation
models.build_network
models.residual_network
models.xception
patterns.PreparePatterns.call
patterns.PreparePatterns.resize
patterns.find_aperture
patterns.unusable_patterns
plot.InteractivePlot
plot.InteractivePlot.close
plot.InteractivePlot.update
plot.find_bands
plot.n_shared
plot.plot_accuracies
plot.plot_confusion_matrix
plot.plot_hough
plot.plot_interactive
plot.plot_inverse_pole_figures
plot.plot_patterns
plot.plot_quality
plot.plot_reliability_diagram
simulation.ProjectPatterns.call
simulation.SimulateCamera.call
simulation.SimulateCamera.chance
simulation.SimulateCamera.draw
simulation.random_rotation_matrices
space_groups.SpaceGroup
space_groups.coarsen
space_groups.coarsen_probabilities
space_groups.symbol
training.ExperimentalDataset
training.MixedDataset
training.SimulatedDataset
training.SimulatedDataset.draw
training.SimulatedDataset.recipe
training.fit_kaufmann2020
training.balanced_share
training.make_optimizer
training.prediction_sets
training.recalibrate
training.similar_entries
training.simulate_logits
training.training_graph
""".split()
)
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
    if name in NO_EXAMPLE or class_example_calls(name):
        errors.discard("EX01")
    if name in NO_LINKS or name.rpartition(".")[0] in LINKS_OF_CLASS:
        errors.discard("SA01")
    assert not errors & {"EX01", "SA01"}


@pytest.mark.parametrize(("code", "names"), [("EX01", NO_EXAMPLE), ("SA01", NO_LINKS)])
def test_exceptions_are_needed(code, names):
    """Names without an example or links are there, and still have none."""
    for name in names:
        codes = {c for c, _ in validate(f"kikuchipy_spacegroup.{name}")["errors"]}
        assert code in codes, name

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can run a network, and in which precision. Nothing heavy is imported."""

from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
import sys
from threading import Lock, local
from typing import Any

import numpy as np

ENGINES = ("keras", "onnxruntime", "openvino")
_LABELS = {"keras": "Keras", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
# Of the network alone: preparation and softmax are always in 32 bits
PRECISIONS = ("float32", "bfloat16", "float16", "int8")
_SHORT = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
# Two best probabilities this close are calculated in 32 bits, some patterns at a time
CLOSE, _ROWS = 0.08, 16
_importing = Lock()


def check_engine(engine: str) -> None:
    """Raise an error if an engine is not known or not installed.

    Parameters
    ----------
    engine
        One of ``ENGINES``, or ``"auto"``.

    Raises
    ------
    ValueError
        If there is no such engine.
    ImportError
        If its package is not installed.
    """
    if engine not in ("auto", *ENGINES):
        raise ValueError(
            f"engine must be 'auto', {', '.join(map(repr, ENGINES))}, not {engine!r}"
        )
    if engine not in ("auto", *installed_engines()):
        raise ImportError(
            f"The engine {engine!r} needs the package {engine}, which is not installed. "
            f"Install it with `pip install {engine}`, or give engine='auto'"
        )


def installed_engines() -> list[str]:
    """Return the engines whose packages are installed. None is imported."""
    return [name for name in ENGINES if name == "keras" or _is_installed(name)]


def _is_installed(package: str) -> bool:
    """Return whether a package is there, and was not taken out of ``sys.modules``."""
    try:
        return find_spec(package) is not None
    except ValueError:
        return False


@lru_cache
def engine_version(engine: str) -> str:
    """Return the version of the package of an engine, or an empty text."""
    try:
        return version(engine)
    except PackageNotFoundError:
        return ""


def describe_engine(engine: str, precision: str) -> str:
    """Return an engine in words, as in "OpenVINO 2026.4.1 in bfloat16"."""
    label = _LABELS.get(engine, engine)
    return f"{label} {engine_version(engine)}".strip() + f" in {precision}"


def engine_code(engine: str, precision: str) -> int:
    """Return the number an engine and its precision have in a map.

    Parameters
    ----------
    engine, precision
        One of ``ENGINES`` and ``PRECISIONS``.

    Returns
    -------
    code
        Number from 0 to 127.
    """
    return ENGINES.index(engine) * len(PRECISIONS) + PRECISIONS.index(precision)


def engine_of_code(code: int) -> tuple[str, str]:
    """Return the engine and precision of a number in a map."""
    engine, precision = divmod(int(code), len(PRECISIONS))
    return ENGINES[engine], PRECISIONS[precision]


class OnnxRuntimeSession:
    """An ONNX file in ONNX Runtime.

    Parameters
    ----------
    content
        The file, checked.
    providers
        Execution providers in order of preference. If not given, all
        those installed, the fastest first.
    """

    batch_size = 64

    def __init__(self, content: bytes, providers: Sequence[str] | None = None) -> None:
        import onnxruntime

        # Builds for Windows send events to Microsoft unless told otherwise
        onnxruntime.disable_telemetry_events()
        self.providers = list(providers or onnxruntime.get_available_providers())
        # From memory, so that no other file can be referred to
        self._session = onnxruntime.InferenceSession(content, providers=self.providers)
        self._input = self._session.get_inputs()[0].name

    def find_ends(self) -> list[list[tuple]]:
        """Return whether inputs and outputs are float32, with dimensions and last."""
        return [
            [(i.type == "tensor(float)", len(i.shape), i.shape[-1]) for i in side]
            for side in (self._session.get_inputs(), self._session.get_outputs())
        ]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the output for patterns (n, height, width, 1) of float32."""
        return self._session.run(None, {self._input: x})[0]


class OpenVinoSession:
    """An ONNX file in OpenVINO, on the CPU.

    Parameters
    ----------
    content
        The file, checked.
    precision
        Precision of the network: ``"float32"``, ``"bfloat16"`` or
        ``"float16"``.
    parts
        Names of the prepared patterns and of the logits, which the
        file is cut at if the network is of another precision.
    min_probability
        Probability below which a pattern is not identified.

    Raises
    ------
    ValueError
        If the processor has no instructions for the precision.

    Notes
    -----
    With 16 bits, patterns whose label is not safe pass the network once
    more, in float32: those with the two best probabilities closer than
    ``CLOSE``, or the best one half as close to *min_probability*.
    """

    batch_size = 128

    def __init__(
        self,
        content: bytes,
        precision: str = "float32",
        parts: tuple[str, str] | None = None,
        min_probability: float = 0.0,
    ) -> None:
        openvino = import_openvino()
        core = openvino.Core()
        if precision not in openvino_precisions():
            raise ValueError(
                f"This processor has no instructions for {precision}, but OpenVINO can "
                f"calculate in {', '.join(openvino_precisions())}"
            )
        model = core.read_model(content)
        self._ends = [
            [_describe_end(end) for end in side]
            for side in (model.inputs, model.outputs)
        ]
        pieces = {"all": (None, None, "float32")}
        if precision != "float32":
            prepared, logits = parts
            pieces = {
                "prepare": (None, prepared, "float32"),
                "fast": (prepared, logits, precision),
                "exact": (prepared, logits, "float32"),
                "softmax": (logits, None, "float32"),
            }
        # All cores for one batch, since blocks come one after another
        self._compiled = {
            name: core.compile_model(
                _cut(openvino, core.read_model(content), start, end),
                "CPU",
                {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": _SHORT[p]},
            )
            for name, (start, end, p) in pieces.items()
        }
        self._min_probability = min_probability
        self._openvino, self._local = openvino, local()

    def find_ends(self) -> list[list[tuple]]:
        """Return whether inputs and outputs are float32, with dimensions and last."""
        return self._ends

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the output for patterns (n, height, width, 1) of float32."""
        # A request is for one thread
        if not hasattr(self._local, "requests"):
            self._local.requests = {
                name: piece.create_infer_request()
                for name, piece in self._compiled.items()
            }
        if "all" in self._compiled:
            return self._run("all", x).copy()
        prepared = self._run("prepare", x)
        probabilities = self._run("softmax", self._run("fast", prepared)).copy()
        rows = np.flatnonzero(is_unsafe(probabilities, self._min_probability))
        if len(rows):
            # Few numbers of patterns occur, since OpenVINO compiles for each
            padded = np.resize(rows, -(-len(rows) // _ROWS) * _ROWS)
            exact = self._run("exact", prepared[padded])
            probabilities[rows] = self._run("softmax", exact)[: len(rows)]
        return probabilities

    def _run(self, name: str, x: np.ndarray) -> np.ndarray:
        """Return the output of a piece, which the next call of it overwrites."""
        request = self._local.requests[name]
        x = np.ascontiguousarray(x)
        request.set_input_tensor(self._openvino.Tensor(x, shared_memory=True))
        request.infer()
        return request.get_output_tensor().data


def is_unsafe(probabilities: np.ndarray, min_probability: float) -> np.ndarray:
    """Return whether small errors might change the labels of patterns.

    Parameters
    ----------
    probabilities
        Array of shape (n, k).
    min_probability
        Probability below which a pattern is not identified.

    Returns
    -------
    unsafe
        Boolean array of shape (n,).
    """
    best = np.sort(probabilities, axis=1)[:, -2:]
    unsafe = np.abs(best[:, -1] - min_probability) < CLOSE / 2
    if best.shape[1] == 2:
        unsafe |= best[:, 1] - best[:, 0] < CLOSE
    return unsafe


def _describe_end(end: Any) -> tuple:
    """Return whether an input or output is float32, its dimensions and the last one."""
    shape = end.get_partial_shape()
    last = shape[len(shape) - 1]
    length = last.get_length() if last.is_static else None
    return end.get_element_type().get_type_name() == "f32", len(shape), length


def _cut(openvino: Any, model: Any, start: str | None, end: str | None) -> Any:
    """Return the part of a graph between two tensors, by their names."""
    if start is None and end is None:
        return model
    outputs = {
        name: output
        for op in model.get_ordered_ops()
        for output in op.outputs()
        for name in output.get_names()
    }
    parameters = model.get_parameters()
    if start is not None:
        source = outputs[start]
        parameter = openvino.op.Parameter(
            source.get_element_type(), source.get_partial_shape()
        )
        for target in source.get_target_inputs():
            target.replace_source_output(parameter.output(0))
        parameters = [parameter]
    results = model.get_results() if end is None else [outputs[end]]
    return openvino.Model(results, parameters)


def openvino_precisions() -> list[str]:
    """Return the precisions OpenVINO has instructions for on this processor."""
    core = import_openvino().Core()
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    names = {"BF16": "bfloat16", "FP16": "float16"}
    return ["float32", *(names[i] for i in names if i in capabilities)]


def import_openvino() -> Any:
    """Return the package openvino.

    With ``openvino_telemetry``, it would tell Google Analytics that it was
    imported, which it does not if there is no such package.
    """
    name = "openvino_telemetry"
    with _importing:
        hidden = "openvino" not in sys.modules and name not in sys.modules
        if hidden:
            sys.modules[name] = None
        try:
            import openvino
        finally:
            if hidden:
                del sys.modules[name]
    return openvino

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the engine of a classification, and remember it."""

import ctypes
from functools import lru_cache
import json
import logging
import os
from pathlib import Path
import platform
import sys
from time import perf_counter
from typing import Any

import numpy as np

from kikuchipy_spacegroup import data
from kikuchipy_spacegroup.models import _user_cache
from kikuchipy_spacegroup.models._engines import (
    CLOSE,
    check_engine,
    describe_engine,
    engine_version,
    installed_engines,
    is_unsafe,
    openvino_precisions,
)
from kikuchipy_spacegroup.models._exported import Exported
from kikuchipy_spacegroup.models._fingerprint import fingerprint
from kikuchipy_spacegroup.models._kept_model import get_model, keep_model, stat_file

_logger = logging.getLogger(__name__)

# Patterns of a scan that is worth the time to measure engines, and to export
WORTH_MEASURING = 10_000
# Patterns to measure with
_N_TEST = 384
# How much faster than Keras another engine must be
_MARGIN = 1.05
# Answers of an engine: labels may change only where the two best probabilities are
# closer than the first number, and of no more than the second share of patterns
_CLOSE, _MAX_CHANGED = 0.02, 0.005
# Probabilities may differ by this. In 16 bits, only patterns that are clearer than twice
# this are not calculated again, so that no label changes
_MAX_DIFFERENCE = {"float32": 0.01, "bfloat16": CLOSE / 2, "float16": CLOSE / 2}


def select_engine(
    model: Any,
    engine: str | None = None,
    n_patterns: int = 0,
    resumed: tuple[str, str] | None = None,
) -> tuple[Any, Any]:
    """Return a model, and what runs it.

    Parameters
    ----------
    model
        See :func:`~kikuchipy_spacegroup.models._kept_model.get_model`.
    engine
        One of ``ENGINES`` or ``"auto"``. If not given, that of the model.
    n_patterns
        Number of patterns to classify. Engines are measured for many only.
    resumed
        Engine and precision of results to go on with, which ``"auto"`` is
        then.

    Returns
    -------
    model
        Model with space groups and thresholds.
    runner
        Model with the same probabilities, of the chosen engine.

    Raises
    ------
    ImportError
        If an engine given by name is not installed, or the model cannot be
        exported for it.
    TypeError, ValueError
        If there is no such engine or model, or the model is of another
        engine.
    """
    if engine is not None:
        check_engine(engine)
    if model is not None and not isinstance(model, str | Path):
        if not _is_keras(model):
            runner = _run_as_is(get_model(model), engine or "auto")
            return runner, runner
        return _select_for_object(model, engine or model.engine, n_patterns, resumed)
    if model is not None and Path(model).suffix == ".onnx":
        engine = engine or "auto"
        if engine == "auto":
            others = [i for i in installed_engines() if i != "keras"]
            engine = others[0] if others else "onnxruntime"
        runner = keep_model(Path(model), engine)
        return runner, runner
    return _select_for_file(
        data.find_model("default" if model is None else model),
        engine or "auto",
        n_patterns,
        resumed,
    )


def engine_of(runner: Any) -> tuple[str, str] | None:
    """Return the engine and precision of a model that classifies.

    Parameters
    ----------
    runner
        Runner from :func:`select_engine`.

    Returns
    -------
    how
        Engine and precision, or None of a model of the user's own kind.
    """
    if _is_keras(runner):
        return "keras", "float16" if runner.mixed_precision else "float32"
    engine = getattr(runner, "engine", None)
    return None if engine is None else (engine, runner.precision)


def _is_keras(model: Any) -> bool:
    """Return whether a model is one of Keras, without importing it."""
    module = sys.modules.get("kikuchipy_spacegroup.models._model")
    return module is not None and isinstance(model, module.SpaceGroupModel)


def _run_as_is(model: Any, engine: str) -> Any:
    """Return a model that is not one of Keras, in another engine if it can be."""
    own = getattr(model, "engine", None)
    if engine in ("auto", own):
        return model
    if not hasattr(model, "_run_by"):
        raise ValueError(
            f"A {type(model).__name__} is run by itself, not by the engine {engine!r}"
        )
    return model._run_by(engine)


def _select_for_file(
    path: Path, engine: str, n_patterns: int, resumed: tuple[str, str] | None
) -> tuple[Any, Any]:
    """Return model and runner of a model file, which are the same."""
    if engine == "keras" or len(installed_engines()) == 1 or _has_gpu():
        if engine in ("auto", "keras"):
            model = get_model(path)
            return model, model
    exported = Exported(path, "file", _hash_file(path, stat_file(path)))
    selection = _Selection(exported, engine, lambda: get_model(path))
    how = selection.find(n_patterns, resumed)
    if how is None and (engine != "auto" or exported.find_bundled() is not None):
        # To import Keras takes longer than a small scan
        how = (selection.others[0], "float32")
    model = None
    if how is not None and how[0] != "keras":
        model = selection.load_or_log(
            lambda: keep_model(path, *how, read=lambda: selection.load(how)), resumed
        )
    model = get_model(path) if model is None else model
    return model, model


def _select_for_object(
    model: Any, engine: str, n_patterns: int, resumed: tuple[str, str] | None
) -> tuple[Any, Any]:
    """Return a model of Keras and what runs it."""
    of_keras_alone = {
        "has mixed_precision": model.mixed_precision,
        "uses the projection center": model.uses_projection_center,
    }
    for what, has in of_keras_alone.items():
        if has and engine not in ("auto", "keras"):
            raise ValueError(f"The model {what}, which is of Keras, not of {engine!r}")
    if any(of_keras_alone.values()):
        engine = "keras"
    if engine == "keras" or len(installed_engines()) == 1 or _has_gpu():
        if engine in ("auto", "keras"):
            return model, model
    exported = Exported(model, "fingerprint", model.fingerprint())
    selection = _Selection(exported, engine, lambda: model)
    how = selection.find(n_patterns, resumed)
    if how is None and engine != "auto":
        how = (selection.others[0], "float32")
    if how is None or how[0] == "keras":
        return model, model
    key = (exported.identity, *how)
    runner = selection.load_or_log(
        lambda: model._keep_runner(key, lambda: selection.load(how)), resumed
    )
    return model, model if runner is None else runner


class _Selection:
    """The choice of an engine for one model on this machine.

    Parameters
    ----------
    exported
        The ONNX form of the model.
    engine
        What was asked for.
    load_keras
        Function that returns the model of Keras.
    """

    def __init__(self, exported: Exported, engine: str, load_keras: Any) -> None:
        self.exported, self.engine, self.load_keras = exported, engine, load_keras
        others = [name for name in installed_engines() if name != "keras"]
        self.others = [name for name in others if engine in ("auto", name)]
        self.key = fingerprint(exported.identity, engine, describe_machine())
        self._runners: dict[tuple[str, str], Any] = {}

    def find(
        self, n_patterns: int, resumed: tuple[str, str] | None
    ) -> tuple[str, str] | None:
        """Return engine and precision of results, in memory or measured, or None."""
        if resumed is not None and self.engine in ("auto", resumed[0]):
            return resumed
        how = self.recall()
        if how is None and n_patterns >= WORTH_MEASURING:
            how = self.measure()
        return how

    def recall(self) -> tuple[str, str] | None:
        """Return the engine and precision that are remembered, if they are valid."""
        found = _user_cache.recall(self.key) or {}
        engine, precision = found.get("engine"), found.get("precision")
        known = ["keras"] if self.engine == "auto" else []
        if engine not in [*known, *self.others] or precision not in (
            ["float32"] if engine != "openvino" else ["float32", "bfloat16", "float16"]
        ):
            return None
        return engine, precision

    def measure(self) -> tuple[str, str] | None:
        """Return the fastest engine and precision with the answers of Keras.

        Returns
        -------
        how
            Engine and precision, or None if the model cannot be exported.
        """
        if self.engine == "onnxruntime":
            return None  # There is nothing to choose
        reference = self.load_keras()
        runners = {("keras", "float32"): reference} if self.engine == "auto" else {}
        for name in self.others:
            precisions = openvino_precisions() if name == "openvino" else ["float32"]
            for precision in precisions:
                runner = self.load_or_log(
                    lambda how=(name, precision): self.exported.load(*how)
                )
                if runner is None:
                    return None
                runners[name, precision] = runner
        self._runners = runners
        patterns = make_test_patterns()
        expected = reference.predict_proba(patterns)
        unsafe = is_unsafe(expected, reference.min_probability)
        seconds = _measure_seconds(runners, patterns[_pick_typical(unsafe)])
        for how in [how for how in runners if how[0] != "keras"]:
            found = runners[how].predict_proba(patterns)
            if not have_same_answers(found, expected, _MAX_DIFFERENCE[how[1]]):
                del seconds[how]
                largest = np.abs(found - expected).max()
                _logger.info(
                    "%s is not used here: probabilities differ by up to %.3f",
                    describe_engine(*how),
                    largest,
                )
        best = min(seconds, key=seconds.get)
        keras = seconds.get(("keras", "float32"))
        if keras is not None and keras < _MARGIN * seconds[best]:
            best = ("keras", "float32")
        rates = {" ".join(how): round(_N_TEST / s) for how, s in seconds.items()}
        _logger.info("Patterns/s of engines on this machine: %s", rates)
        machine = describe_machine()
        content = {"engine": best[0], "precision": best[1]}
        content |= {"patterns_per_s": rates, "machine": machine}
        # The same model is known by its file, or by its fingerprint
        for identity in {self.exported.identity, reference.fingerprint()}:
            key = fingerprint(identity, self.engine, machine)
            _user_cache.remember(key, content)
        return best

    def load(self, how: tuple[str, str]) -> Any:
        """Return the model in an engine and precision, as it was measured or new."""
        return self._runners.get(how) or self.exported.load(*how)

    def load_or_log(self, load: Any, resumed: Any = None) -> Any:
        """Return a model, or None if it cannot be exported and Keras is allowed."""
        try:
            return load()
        except Exception as error:
            if self.engine != "auto" or resumed is not None:
                raise
            _logger.info("Keras is used, since the model cannot be exported: %s", error)
            return None


def have_same_answers(
    found: np.ndarray, expected: np.ndarray, max_difference: float
) -> bool:
    """Return whether probabilities are as good as those in 32 bits.

    Parameters
    ----------
    found, expected
        Probabilities of shape (n, k), those expected in 32 bits.
    max_difference
        How much probabilities may differ by.

    Returns
    -------
    same
        Whether no probability differs by more than that, the best space
        group differs only where the two best probabilities are closer than
        0.02, and this is so for at most 0.5 % of the patterns.
    """
    if not np.array_equal(np.isnan(found), np.isnan(expected)):
        return False
    classified = ~np.isnan(expected).any(axis=1)
    found, expected = found[classified], expected[classified]
    if not expected.size:
        return True
    changed = found.argmax(axis=1) != expected.argmax(axis=1)
    best = np.sort(expected, axis=1)[:, -2:]
    gaps = best[:, -1] - best[:, 0] if best.shape[1] == 2 else np.ones(len(best))
    return bool(
        np.abs(found - expected).max() <= max_difference
        and (gaps[changed] < _CLOSE).all()
        and changed.sum() <= _MAX_CHANGED * len(changed)
    )


def make_test_patterns() -> np.ndarray:
    """Return patterns between which a model hardly knows, to compare answers on.

    Returns
    -------
    patterns
        Array of shape (384, 60, 60) and dtype uint8, always the same: each
        is the mean of two of kikuchipy's patterns of nickel, turned and
        with noise.
    """
    import kikuchipy as kp

    rng = np.random.default_rng(1)
    s = kp.data.nickel_ebsd_small()
    real = s.data.reshape(-1, 60, 60) / s.static_background.astype("float32")
    real -= real.mean(axis=(1, 2), keepdims=True)
    real /= real.std(axis=(1, 2), keepdims=True)
    turned = np.concatenate([np.rot90(real, k, (1, 2)) for k in range(4)])
    turned = np.concatenate([turned, turned[:, :, ::-1]])
    first, second = turned[rng.integers(0, len(turned), (2, _N_TEST))]
    weights = rng.uniform(0, 0.4, (_N_TEST, 1, 1))
    noise = rng.uniform(0, 0.8, (_N_TEST, 1, 1)) * rng.normal(size=first.shape)
    mixed = (1 - weights) * first + weights * second + noise
    return np.clip(128 + 30 * mixed, 0, 255).astype("uint8")


def _pick_typical(unsafe: np.ndarray) -> np.ndarray:
    """Return indices of as many patterns, with as many close ones as in a scan.

    Parameters
    ----------
    unsafe
        Boolean array of shape (n,), True for patterns which are calculated
        again after the network was run in 16 bits.

    Returns
    -------
    indices
        n indices, of which 15 % are of such patterns if there are both.
    """
    clear, close = np.flatnonzero(~unsafe), np.flatnonzero(unsafe)
    rows = np.concatenate([clear, close[: round(0.15 / 0.85 * len(clear))]])
    rows = rows if len(rows) else close
    rows = np.random.default_rng(1).permutation(rows)
    return np.resize(rows, len(unsafe))


def _measure_seconds(runners: dict[Any, Any], patterns: np.ndarray) -> dict[Any, float]:
    """Return the shortest of some times of each model, measured in turns."""
    seconds = dict.fromkeys(runners, np.inf)
    for runner in runners.values():
        runner.predict_proba(patterns[:128])
    for _ in range(3):
        for how, runner in runners.items():
            start = perf_counter()
            runner.predict_proba(patterns)
            seconds[how] = min(seconds[how], perf_counter() - start)
    return seconds


def describe_machine() -> dict[str, Any]:
    """Return what the speed of engines depends on. Keras is not imported."""
    backend = _keras_backend()
    packages = ("keras", backend, "onnxruntime", "openvino", "tf2onnx")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "backend": backend,
        "versions": {name: engine_version(name) for name in packages},
    }


@lru_cache
def _hash_file(path: Path, stat: tuple[int, ...] | None) -> str:
    """Return the SHA-256 of a file, which is read again if it was written to."""
    return fingerprint(path.read_bytes())


@lru_cache(1)
def _processor() -> str:
    """Return the name of the processor, and a hash of its instructions."""
    name, flags = platform.processor() or platform.machine(), ""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            lines = dict(line.split(":", 1) for line in file if ":" in line)
    except (OSError, ValueError):
        return name
    items = {key.strip(): value.strip() for key, value in lines.items()}
    flags = items.get("flags", items.get("Features", ""))
    return f"{items.get('model name', name)}, {fingerprint(sorted(flags.split()))[:8]}"


def _keras_backend() -> str:
    """Return the backend Keras has, or would have."""
    if "keras" in sys.modules:
        return sys.modules["keras"].backend.backend()
    if chosen := os.environ.get("KERAS_BACKEND"):
        return chosen
    home = os.environ.get("KERAS_HOME")
    try:
        folder = Path(home) if home else Path.home() / ".keras"
        return str(json.loads((folder / "keras.json").read_bytes())["backend"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return "tensorflow"


def _has_gpu() -> bool:
    """Return whether Keras has a GPU. It is imported only if there may be one."""
    drivers = ("libcuda.so.1", "nvcuda.dll", "libamdhip64.so")
    if not engine_version("tensorflow-metal") and not any(map(_is_library, drivers)):
        return False
    from kikuchipy_spacegroup.models._inference import gpu_memory

    return gpu_memory() > 0


def _is_library(name: str) -> bool:
    """Return whether there is a shared library."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True

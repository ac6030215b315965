# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models for ONNX Runtime, which needs neither Keras nor TensorFlow."""

from importlib.util import find_spec
import json
from pathlib import Path
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np

from kikuchipy_spacegroup import data
from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.io._replacing import replacing
from kikuchipy_spacegroup.models._engines import (
    OnnxRuntimeSession,
    OpenVinoSession,
    check_engine,
    describe_engine,
)
from kikuchipy_spacegroup.models._fingerprint import fingerprint
from kikuchipy_spacegroup.models._fork import remember_process
from kikuchipy_spacegroup.models._model_file import FORMAT_VERSION, MEMBER, parse_header
from kikuchipy_spacegroup.models._onnx_file import (
    check_seal,
    read_metadata,
    read_onnx_file,
    sealed,
)
from kikuchipy_spacegroup.models._predict import (
    check_patterns,
    most_probable,
    predict_in_batches,
)
from kikuchipy_spacegroup.patterns._projection_centers import (
    refuse_projection_centers,
)
from kikuchipy_spacegroup.space_groups._prior import check_prior

if TYPE_CHECKING:
    from kikuchipy_spacegroup.models._model import SpaceGroupModel

OPSET = 15
# Keys of metadata: where the network begins and ends, and what a file is of
PARTS, SOURCE = "parts", "source"


def save_onnx(
    path: str | Path,
    model: "SpaceGroupModel | str",
    *,
    calibration_patterns: np.ndarray | None = None,
    overwrite: bool = False,
) -> None:
    """Write a model, with its preprocessing, to an ONNX file.

    Parameters
    ----------
    path
        File name ending with ``.onnx``.
    model
        Model to write, path to a model file, or name of a bundled model.
        The file knows what it was written from.
    calibration_patterns
        Raw patterns of shape (n, height, width), like those to be
        classified. If given, the convolutions are done with integers of
        eight bits, with ranges from these patterns. A hundred are
        enough. This is about twice as fast on CPUs with instructions
        for it (AVX-512 VNNI, AMX), the file is a quarter as large, and
        probabilities change by less than a hundredth on average, and
        some by up to a tenth, more or less by processor.
    overwrite
        Whether to replace an existing file.

    Raises
    ------
    ValueError
        If the file name ends otherwise, or the patterns are not a stack
        of images.
    FileExistsError
        If the file exists and ``overwrite`` is False.
    ImportError
        If onnx, onnxruntime or tf2onnx are not installed, or Keras uses another
        backend than TensorFlow.
    NotImplementedError
        If the model uses the projection center.

    See Also
    --------
    OnnxModel
    kikuchipy_spacegroup.models.SpaceGroupModel.save

    Notes
    -----
    The graph is of opset 15. It takes patterns of shape (n, height,
    width, 1) and dtype float32, pixels to leave out being NaN, to
    probabilities of shape (n, number of space groups). These agree with
    those of the model to within 1e-4 without *calibration_patterns*. Space
    groups, thresholds, prior and
    metadata are in the metadata of the file under the key
    ``space_groups.json``.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> model = kpsg.SpaceGroupModel.create([225, 229], size=32, filters=(8,), stem=8)
    >>> kpsg.models.save_onnx("model.onnx", model)
    >>> s = kp.data.nickel_ebsd_small()
    >>> xmap = s.classify_space_group("model.onnx", show_progressbar=False)
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise ValueError(f"File name must end with '.onnx', but is {path.name!r}")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists. Pass `overwrite=True` to replace it")
    for package in ("onnx", "onnxruntime", "tf2onnx"):
        if find_spec(package) is None:
            raise ImportError(
                f"{package} is needed to write ONNX files. Install it with `pip install "
                "kikuchipy-spacegroup[onnx]`"
            )
    if calibration_patterns is not None:
        check_patterns(calibration_patterns)
    import onnx

    from kikuchipy_spacegroup._keras import keras

    if keras.backend.backend() != "tensorflow":
        raise ImportError(
            "ONNX files are written under the TensorFlow backend of Keras, not "
            f"{keras.backend.backend()}. Save the model, set KERAS_BACKEND=tensorflow, "
            "and load it in a new process"
        )
    source = {"file": None, "calibrated": calibration_patterns is not None}
    if isinstance(model, str | Path):
        from kikuchipy_spacegroup.models._model import load_model

        file = data.find_model(model)
        source["file"] = fingerprint(file.read_bytes())
        model = load_model(file)
    refuse_projection_centers(model, "Export to ONNX")
    source["fingerprint"] = model.fingerprint()
    signature = keras.InputSpec(
        shape=(None, None, None, 1), dtype="float32", name="patterns"
    )
    with replacing(path) as part:
        export_graph(model).export(
            part,
            format="onnx",
            verbose=False,
            input_signature=[signature],
            opset_version=OPSET,
        )
        content = onnx.load(part)
        # The outputs of export_graph(), of which two are only marks
        prepared, logits = (end.name for end in content.graph.output[1:])
        del content.graph.output[1:]
        onnx.save(content, part)
        if calibration_patterns is not None:
            _quantize_convolutions(part, calibration_patterns)
            content = onnx.load(part)
        content.producer_name = "kikuchipy-spacegroup"
        header = model.header() | {"format_version": FORMAT_VERSION}
        texts = {MEMBER: header, PARTS: [prepared, logits], SOURCE: source}
        for key, value in texts.items():
            content.metadata_props.add(key=key, value=json.dumps(value))
        part.write_bytes(sealed(content.SerializeToString()))


def export_graph(model: "SpaceGroupModel") -> Any:
    """Return the graph of a model with three outputs.

    Parameters
    ----------
    model
        Model.

    Returns
    -------
    graph
        Keras model from raw patterns to probabilities, prepared patterns
        and logits, in this order.
    """
    from kikuchipy_spacegroup._keras import keras
    from kikuchipy_spacegroup.models._inference import layers_of

    inputs = keras.Input((None, None, 1), name="patterns")
    prepared = model.prepare(inputs)
    x = logits = model.network(prepared)
    for layer in layers_of(model.graph)[2:]:
        x = layer(x)
    return keras.Model(inputs, [x, prepared, logits])


def _quantize_convolutions(path: Path, patterns: np.ndarray) -> None:
    """Replace a file by one whose convolutions are of integers."""
    import onnx
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            batches = np.array_split(patterns, -(-len(patterns) // 16))
            self.batches = iter(batches)

        def get_next(self):
            batch = next(self.batches, None)
            if batch is None:
                return None
            return {"patterns": batch.astype("float32")[..., None]}

    # Nothing in the preprocessing, whose sums need more than eight bits
    kinds = {"Conv", "Add", "Relu"}
    nodes = [
        node.name
        for node in onnx.load(path).graph.node
        if node.op_type in kinds and "prepare_patterns" not in node.name
    ]
    quantization.quantize_static(
        path,
        path,
        Reader(),
        nodes_to_quantize=nodes,
        op_types_to_quantize=sorted(kinds),
        per_channel=True,
        # Where types are mixed, ONNX Runtime goes back to floating point
        activation_type=quantization.QuantType.QUInt8,
    )


class OnnxModel:
    """A model that ONNX Runtime or OpenVINO runs.

    It can be used wherever a
    :class:`~kikuchipy_spacegroup.models.SpaceGroupModel` classifies, but
    cannot be trained.

    Parameters
    ----------
    path
        File written with :func:`save_onnx`.
    providers
        Execution providers of ONNX Runtime in order of preference. If
        not given, all those installed, the fastest first.
    engine
        ``"onnxruntime"``, or ``"openvino"``, which uses the CPU.
    precision
        Precision of the network under OpenVINO: ``"float32"``,
        ``"bfloat16"`` or ``"float16"``, as the processor can. Preparation
        and probabilities are calculated in float32, and so is the network
        for patterns whose two best probabilities differ by less than 0.08,
        or whose best one is close to ``min_probability``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If the package of the engine is not installed.
    ValueError
        If the processor, or ONNX Runtime, cannot do with the precision, or
        the file is damaged or truncated, was changed or not written
        with :func:`save_onnx`, or has more in it than operators of ONNX
        and their weights.

    See Also
    --------
    save_onnx
    kikuchipy_spacegroup.models.SpaceGroupModel

    Notes
    -----
    A file may not have operators of others than ONNX, functions or
    loops, nor refer to other files. Its last entry is a checksum.

    Examples
    --------
    >>> import kikuchipy as kp
    >>> import kikuchipy_spacegroup as kpsg
    >>> model = kpsg.SpaceGroupModel.create([225, 229], size=32, filters=(8,), stem=8)
    >>> kpsg.models.save_onnx("model.onnx", model)
    >>> model = kpsg.models.OnnxModel("model.onnx")
    >>> model.space_groups
    (225, 229)
    >>> patterns = kp.data.nickel_ebsd_small().data[0]
    >>> model.predict_proba(patterns).shape, model.predict(patterns).shape
    ((3, 2), (3,))
    >>> model.fingerprint() == kpsg.models.OnnxModel("model.onnx").fingerprint()
    True
    """

    # Of the model it stands for, if it was exported to classify faster
    keras_fingerprint: str | None = None

    def __init__(
        self,
        path: str | Path,
        *,
        providers: list[str] | None = None,
        engine: str = "onnxruntime",
        precision: str = "float32",
    ) -> None:
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"There is no model file {path}")
        _check_how(engine, precision, providers)
        # Its threads are not forked
        remember_process()
        content = read_onnx_file(path)
        if MEMBER.encode() not in content:
            raise ValueError(
                f"{path} is an ONNX file without {MEMBER!r}, so its classes are not "
                "known. Write it with `kikuchipy_spacegroup.models.save_onnx()`"
            )
        check_seal(content, path)
        texts = read_metadata(content)
        header = parse_header(texts[MEMBER], path)
        parts = json.loads(texts.get(PARTS, "null"))
        if precision != "float32" and parts is None:
            raise ValueError(
                f"{path} does not say where its network begins, so it cannot be run in "
                f"{precision}. Write it again with "
                "`kikuchipy_spacegroup.models.save_onnx()`"
            )
        try:
            if engine == "openvino":
                lowest = header["min_probability"]
                session = OpenVinoSession(content, precision, parts, lowest)
            else:
                session = OnnxRuntimeSession(content, providers)
        except Exception as error:
            raise ValueError(
                f"{path} cannot be run by {describe_engine(engine, precision)}: "
                f"{str(error)[:500]}"
            ) from None
        _check_ends(session.find_ends(), len(header["space_groups"]), path)
        self._file = path.name, content, providers, engine, precision
        self._session = session
        self._engine = engine
        self._precision = "int8" if b"QuantizeLinear" in content else precision
        self._source = json.loads(texts.get(SOURCE, "{}"))
        self._space_groups = tuple(header["space_groups"])
        self.min_probability: float = header["min_probability"]
        self.conformal_thresholds: dict[float, dict[int, float] | float] = header[
            "conformal_thresholds"
        ]
        self._prior = check_prior(header["prior"], len(self._space_groups))
        self.metadata: dict[str, Any] = header["metadata"]

    def __repr__(self) -> str:
        numbers = [f"{n} ({sg.symbol(n)})" for n in self.space_groups]
        text = (
            f"{type(self).__name__} {self.metadata.get('name', '(unnamed)')} of "
            f"{len(numbers)} space groups: {', '.join(numbers)}. Engine: "
            f"{describe_engine(self.engine, self.precision)}"
        )
        # What a file says is shown, and does not command the terminal
        return "".join(c if c.isprintable() else "?" for c in text)

    @property
    def space_groups(self) -> tuple[int, ...]:
        """Return the space group numbers in the order of the classes."""
        return self._space_groups

    @property
    def prior(self) -> np.ndarray:
        """Return how often each space group was in training.

        That of the model the file was written from, see
        :attr:`SpaceGroupModel.prior
        <kikuchipy_spacegroup.models.SpaceGroupModel.prior>`.
        """
        return self._prior.copy()

    @property
    def engine(self) -> str:
        """Return what runs the model, ``"onnxruntime"`` or ``"openvino"``."""
        return self._engine

    def _run_by(self, engine: str, precision: str = "float32") -> "OnnxModel":
        """Return the same model in another engine.

        Parameters
        ----------
        engine, precision
            See :class:`OnnxModel`.

        Returns
        -------
        model
            New model of the same file.

        """
        name, content, *_ = self._file
        model = _from_bytes(name, content, None, engine, precision)
        model.keras_fingerprint = self.keras_fingerprint
        return model

    @property
    def precision(self) -> str:
        """Return the precision of the network, ``"int8"`` if it was calibrated so."""
        return self._precision

    @property
    def source(self) -> dict[str, Any]:
        """Return what the file was written from.

        The SHA-256 of a model file (``"file"``, or None if it was a model
        in memory), the fingerprint of the model and whether it was
        calibrated. Files written by earlier versions say nothing.
        """
        return dict(self._source)

    def fingerprint(self) -> str:
        """Return a hash of all that the model's probabilities depend on.

        Returns
        -------
        fingerprint
            The same for the same file.

        See Also
        --------
        kikuchipy_spacegroup.models.SpaceGroupModel.fingerprint
        """
        return fingerprint(self._file[1])

    def __reduce__(self):
        return _from_bytes, self._file

    def predict_proba(
        self, patterns: np.ndarray, *, batch_size: int | None = None
    ) -> np.ndarray:
        """Return the probability of every space group for every pattern.

        Parameters
        ----------
        patterns
            Patterns of shape (n, height, width).
        batch_size
            Number of patterns that pass the network at a time. If not
            given, 64 with ONNX Runtime and 128 with OpenVINO.

        Returns
        -------
        probabilities
            As from
            :meth:`kikuchipy_spacegroup.models.SpaceGroupModel.predict_proba`.

        See Also
        --------
        kikuchipy_spacegroup.models.SpaceGroupModel.predict_proba
        """

        remember_process()

        def call(x):
            return self._session(x.astype("float32", copy=False))

        n = self._session.batch_size if batch_size is None else batch_size
        return predict_in_batches(call, patterns, len(self.space_groups), n)

    def predict(
        self, patterns: np.ndarray, *, batch_size: int | None = None
    ) -> np.ndarray:
        """Return the most probable space group of every pattern.

        Parameters
        ----------
        patterns
            Patterns of shape (n, height, width).
        batch_size
            See :meth:`predict_proba`.

        Returns
        -------
        numbers
            As from
            :meth:`kikuchipy_spacegroup.models.SpaceGroupModel.predict`.

        See Also
        --------
        kikuchipy_spacegroup.models.SpaceGroupModel.predict
        """
        probabilities = self.predict_proba(patterns, batch_size=batch_size)
        return most_probable(probabilities, self.space_groups, self.min_probability)


def _check_how(engine: str, precision: str, providers: list[str] | None) -> None:
    """Raise an error if an engine cannot run ONNX files like this."""
    check_engine(engine)
    if engine not in ("onnxruntime", "openvino"):
        raise ValueError(
            f"ONNX files are run by 'onnxruntime' or 'openvino', not by {engine!r}"
        )
    if precision not in ("float32", "bfloat16", "float16"):
        raise ValueError(
            f"precision must be 'float32', 'bfloat16' or 'float16', not {precision!r}"
        )
    if engine == "onnxruntime" and precision != "float32":
        raise ValueError(
            f"ONNX Runtime runs networks as they are in the file, not in {precision}. "
            "Give engine='openvino', or write the file with `calibration_patterns`"
        )
    if engine == "openvino" and providers is not None:
        raise ValueError("`providers` are of ONNX Runtime, but engine is 'openvino'")


def _check_ends(ends: list[list[tuple]], n_classes: int, path: Path) -> None:
    """Raise an error if a network is not from patterns to probabilities."""
    if ends != [[(True, 4, 1)], [(True, 2, n_classes)]]:
        raise ValueError(
            f"{path} has inputs and outputs (of float32, dimensions, length of the "
            f"last) of {ends}, which cannot be patterns and the probabilities of "
            f"{n_classes} space groups"
        )


def _from_bytes(
    name: str,
    content: bytes,
    providers: list[str] | None,
    engine: str = "onnxruntime",
    precision: str = "float32",
) -> OnnxModel:
    """Return the model of a file, to unpickle it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        return OnnxModel(path, providers=providers, engine=engine, precision=precision)

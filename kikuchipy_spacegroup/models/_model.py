# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network with its preprocessing, its classes and where it is from."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
import json
import logging
from pathlib import Path
import tempfile
from typing import Any
import zipfile

import numpy as np

from kikuchipy_spacegroup import data
from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup._keras import keras, ops
from kikuchipy_spacegroup.io._replacing import replacing
from kikuchipy_spacegroup.models._engines import check_engine, describe_engine
from kikuchipy_spacegroup.models._fingerprint import fingerprint
from kikuchipy_spacegroup.models._fork import check_not_forked
from kikuchipy_spacegroup.models._inference import (
    compiled,
    default_batch_size,
    joined,
    layers_of,
    padded_size,
    uses_projection_center,
)
from kikuchipy_spacegroup.models._model_file import FORMAT_VERSION, MEMBER
from kikuchipy_spacegroup.models._network import build_network
from kikuchipy_spacegroup.models._predict import (
    check_patterns,
    most_probable,
    predict_in_batches,
)
from kikuchipy_spacegroup.models._rebuild import NETWORK, PREPARE, read_model
from kikuchipy_spacegroup.models._temperature import check_temperature
from kikuchipy_spacegroup.patterns import PreparePatterns
from kikuchipy_spacegroup.patterns._projection_centers import (
    check_projection_centers,
    relative_to_square,
)
from kikuchipy_spacegroup.space_groups._prior import check_prior

_logger = logging.getLogger(__name__)


class SpaceGroupModel:
    """A convolutional network that reads space groups off patterns.

    Raw patterns of any height, width and data type go in, probabilities
    come out. Make a model with :meth:`create`, train it with
    :func:`~kikuchipy_spacegroup.training.fit`, or load a trained one
    with :func:`load_model`.

    Parameters
    ----------
    network
        Network from prepared patterns of shape (n, size, size, 1) to
        one logit per space group. It may have a second input, named
        ``"projection_centers"``, of shape (n, 3), see
        :attr:`uses_projection_center`.
    space_groups
        Space group numbers in the order of the logits.
    prepare
        Layer from raw patterns to network input.
    temperature
        Number the logits are divided by before the softmax, or one for
        every level of the chain of symmetry, by its name in
        ``space_groups.CHAIN``, see
        :func:`~kikuchipy_spacegroup.training.fit_chain_temperatures`.
    min_probability
        Probability below which a pattern counts as not identified
        unless the user says otherwise.
    conformal_thresholds
        Lowest probability of a space group in the prediction set of a
        pattern, by coverage: of each space group by number, see
        :func:`~kikuchipy_spacegroup.training.class_conformal_thresholds`,
        or one of all.
    prior
        How often each space group was in training, of shape (n,), see
        :attr:`prior`. If not given, all as often.
    metadata
        What else is to be known of the model (what it was trained on,
        licences and so on), as JSON can hold it.

    Raises
    ------
    ValueError
        If the space groups are not distinct numbers from 1 to 230, or
        not as many as the network has outputs, the network has other
        inputs, or the prior is not one positive number for each.

    See Also
    --------
    load_model, kikuchipy_spacegroup.training.fit

    Examples
    --------
    >>> import kikuchipy as kp
    >>> from kikuchipy_spacegroup import SpaceGroupModel
    >>> model = SpaceGroupModel.create([225, 229], size=48)
    >>> model.prior
    array([0.5, 0.5])
    >>> patterns = kp.data.nickel_ebsd_small().data[0]
    >>> model.predict_proba(patterns).shape, model.predict(patterns).shape
    ((3, 2), (3,))
    >>> model.uses_projection_center
    False
    >>> model.copy().fingerprint() == model.fingerprint()
    True
    >>> model.header()["space_groups"]
    [225, 229]
    >>> model.save("model.keras")
    """

    _mixed_precision = False
    _engine = "auto"
    _runner: tuple[Any, Any] = (None, None)

    def __init__(
        self,
        network: keras.Model,
        space_groups: Sequence[int],
        prepare: PreparePatterns,
        *,
        temperature: float | Mapping[str, float] = 1.0,
        min_probability: float = 0.0,
        conformal_thresholds: dict[float, dict[int, float] | float] | None = None,
        prior: Sequence[float] | np.ndarray | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        space_groups = tuple(int(i) for i in space_groups)
        if len(set(space_groups)) != len(space_groups) or not space_groups:
            raise ValueError(
                f"Space groups must be distinct and at least one, not {space_groups}"
            )
        for number in space_groups:
            sg.symbol(number)  # Raises if out of range
        if network.output_shape[-1] != len(space_groups):
            raise ValueError(
                f"Network has {network.output_shape[-1]} outputs, which cannot stand "
                f"for {len(space_groups)} space groups"
            )
        self._uses_projection_center = uses_projection_center(network)
        self._temperature = check_temperature(temperature)
        self._space_groups = space_groups
        self.prior = prior
        self._prepare = prepare
        self._network = network
        self.min_probability = float(min_probability)
        self.conformal_thresholds = deepcopy(conformal_thresholds or {})
        self.metadata = dict(metadata or {})
        self._build_graph()

    @classmethod
    def create(
        cls,
        space_groups: Sequence[int],
        *,
        size: int = 96,
        network: str = "residual",
        prepare_kwargs: dict[str, Any] | None = None,
        **kwargs,
    ) -> "SpaceGroupModel":
        """Return a new model, not trained.

        Parameters
        ----------
        space_groups
            Space group numbers to tell apart.
        size
            Side length of the network input in pixels.
        network
            Name of the network, see
            :func:`~kikuchipy_spacegroup.models.build_network`.
        prepare_kwargs
            Keyword arguments passed on to
            :class:`~kikuchipy_spacegroup.patterns.PreparePatterns`.
        **kwargs
            Keyword arguments passed on to the builder of the network.

        Returns
        -------
        model
            Model with random weights.
        """
        check_not_forked()
        space_groups = list(space_groups)
        prepare = PreparePatterns(size, name=PREPARE, **(prepare_kwargs or {}))
        net = build_network(network, (size, size, 1), len(space_groups), **kwargs)
        metadata = {"network": network}
        return cls(net, space_groups, prepare, metadata=metadata)

    def copy(self) -> "SpaceGroupModel":
        """Return a model of its own with the same weights.

        Returns
        -------
        model
            Changes to it do not change this model.
        """
        network = keras.models.clone_model(self._network)
        network.set_weights(self._network.get_weights())
        copy = type(self)(
            network,
            self.space_groups,
            PreparePatterns.from_config(self._prepare.get_config()),
            temperature=self.temperature,
            min_probability=self.min_probability,
            conformal_thresholds=self.conformal_thresholds,
            prior=self.prior,
            metadata=json.loads(json.dumps(self.metadata)),
        )
        copy.mixed_precision = self.mixed_precision
        copy.engine = self.engine
        return copy

    def __repr__(self) -> str:
        numbers = [f"{n} ({sg.symbol(n)})" for n in self.space_groups]
        lines = [
            f"{type(self).__name__} {self.metadata.get('name', '(unnamed)')}",
            f"  space groups ({len(numbers)}): {', '.join(numbers)}",
            f"  input: any pattern, prepared at {self.size} x {self.size} px",
            f"  network: {self.metadata.get('network', self.network.name)}, "
            f"{self.network.count_params():,} parameters",
            f"  temperature {_format_temperature(self.temperature)}, "
            f"min_probability {self.min_probability:.3g}",
            f"  trained on: {self.metadata.get('trained_on', 'nothing yet')}",
            f"  engine for scans: {self._describe_engine()}",
        ]
        if self.uses_projection_center:
            lines.insert(3, "  uses the projection center")
        if borrowed := self.metadata.get("borrowed_thresholds"):
            text = ", ".join(str(n) for n in borrowed)
            lines.append(f"  thresholds of sets borrowed from Laue classes: {text}")
        for name, value in self.metadata.get("accuracy", {}).items():
            lines.append(f"  accuracy, {name}: {value:.1%}")
        # What a file says is shown, and does not command the terminal
        return "\n".join(
            "".join(c if c.isprintable() else "?" for c in line) for line in lines
        )

    @property
    def space_groups(self) -> tuple[int, ...]:
        """Return the space group numbers in the order of the classes."""
        return self._space_groups

    @property
    def size(self) -> int:
        """Return the side length of the network input in pixels."""
        return self.prepare.size

    @property
    def network(self) -> keras.Model:
        """Return the network from prepared patterns to logits."""
        return self._network

    @property
    def uses_projection_center(self) -> bool:
        """Return whether the network is told the projection center of patterns.

        If so, :meth:`predict_proba` takes it, and
        :func:`~kikuchipy_spacegroup.classification.classify_space_group`
        gets it from the detector of the signal. The network gets PCx, PCy
        and PCz in Bruker's convention relative to the central square of a
        pattern: from its left edge, from its top edge, and in units of its
        side. NaN is a center that is not known.
        """
        return self._uses_projection_center

    @property
    def prepare(self) -> PreparePatterns:
        """Return the layer from raw patterns to network input."""
        return self._prepare

    @property
    def graph(self) -> keras.Model:
        """Return the Keras model from raw patterns to probabilities."""
        return self._graph

    @property
    def temperature(self) -> float | dict[str, float]:
        """Return or set the number the logits are divided by, or that of each level.

        See :class:`SpaceGroupModel`.
        """
        return deepcopy(self._temperature)

    @temperature.setter
    def temperature(self, value: float | Mapping[str, float]) -> None:
        self._temperature = check_temperature(value)
        self._build_graph()

    @property
    def prior(self) -> np.ndarray:
        """Return or set how often each space group was in training.

        Probabilities of shape (number of space groups,) which add up to
        1, all the same unless the model says otherwise. Set to None, all
        are the same. The network learns these as what is probable before
        looking at a pattern, so a likelihood is a probability over the
        prior. What multiplies probabilities of patterns needs it, as
        :func:`~kikuchipy_spacegroup.maps.pool_grains`, and predictions
        do not depend on it. See
        :func:`~kikuchipy_spacegroup.training.fit` for what training does
        to it.
        """
        return self._prior.copy()

    @prior.setter
    def prior(self, value: Sequence[float] | np.ndarray | None) -> None:
        self._prior = check_prior(value, len(self._space_groups))

    @property
    def mixed_precision(self) -> bool:
        """Return or set whether predictions pass the network in float16.

        False unless set, and not kept in files. Preparation, logits and
        probabilities stay float32.
        """
        return self._mixed_precision

    @mixed_precision.setter
    def mixed_precision(self, value: bool) -> None:
        self._mixed_precision = bool(value)
        self._call = compiled(self._graph, self._mixed_precision)

    @property
    def engine(self) -> str:
        """Return or set what runs the model when scans are classified.

        ``"auto"``, ``"keras"``, ``"onnxruntime"`` or ``"openvino"``, see
        :func:`~kikuchipy_spacegroup.classification.classify_space_group`. Not
        kept in files. All methods of the model are run by Keras.
        """
        return self._engine

    @engine.setter
    def engine(self, value: str) -> None:
        check_engine(value)
        self._engine = value

    def _describe_engine(self) -> str:
        """Return the engine, and the one it was for the last scan."""
        key, _ = self._runner
        return self.engine + ("" if key is None else f", {describe_engine(*key[-2:])}")

    def _keep_runner(self, key: tuple[str, ...], read: Callable[[], Any]) -> Any:
        """Return the model in another engine, which is kept while the key is the same.

        Parameters
        ----------
        key
            Fingerprint, engine and precision.
        read
            Function that returns the model.

        Returns
        -------
        runner
            Model with the same probabilities.
        """
        known, runner = self._runner
        if known != key:
            runner = read()
            self._runner = (key, runner)
        return runner

    @property
    def batch_size(self) -> int:
        """Return the default number of patterns that pass the network at a time.

        256 without a GPU, and more with one, as its memory allows.
        """
        return default_batch_size()

    def _build_graph(self) -> None:
        self._prepare.name, self._network.name = PREPARE, NETWORK
        self._graph = joined(
            self._prepare, self._network, self._temperature, self._space_groups
        )
        self._call = compiled(self._graph, self._mixed_precision)

    def predict_proba(
        self,
        patterns: np.ndarray,
        projection_centers: np.ndarray | None = None,
        *,
        batch_size: int | None = None,
    ) -> np.ndarray:
        """Return the probability of every space group for every pattern.

        Parameters
        ----------
        patterns
            Patterns of shape (n, height, width) and any real data type.
            Pixels that are not finite are left out.
        projection_centers
            PCx, PCy and PCz of each pattern of shape (n, 3), or of all of
            shape (3,), as in
            ``pc`` of :class:`kikuchipy.detectors.EBSDDetector`: from the left in
            units of the width, from the top in units of the height, and
            in units of the height. If not given, or NaN, they are unknown.
            Ignored unless the model uses them, see
            :attr:`uses_projection_center`.
        batch_size
            Number of patterns at a time. If None, :attr:`batch_size`.

        Returns
        -------
        probabilities
            Array of shape (n, number of space groups) and dtype
            float32. Rows of patterns that cannot be classified
            (constant, saturated or without any finite pixel) are NaN.

        Raises
        ------
        ValueError
            If the patterns are not a stack of images, the projection
            centers do not fit them, or the batch size is not positive.

        Notes
        -----
        May be called from several threads at once.
        """
        n = self.batch_size if batch_size is None else batch_size
        k = len(self.space_groups)
        centers = None
        if self.uses_projection_center:
            patterns = check_patterns(patterns)
            centers = check_projection_centers(projection_centers, len(patterns))
            centers = relative_to_square(centers, patterns.shape[1:])
        return predict_in_batches(self._call, patterns, k, n, padded_size, centers)

    def logits_to_probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Return the probabilities of logits, scaled as the model is calibrated.

        Parameters
        ----------
        logits
            Output of :attr:`network` of shape (n, number of space
            groups).

        Returns
        -------
        probabilities
            Array of the same shape and dtype float32.

        See Also
        --------
        predict_proba
        kikuchipy_spacegroup.training.simulate_logits

        Examples
        --------
        >>> import numpy as np
        >>> from kikuchipy_spacegroup import SpaceGroupModel
        >>> model = SpaceGroupModel.create([225, 229], size=48)
        >>> model.temperature = 2
        >>> model.logits_to_probabilities(np.array([[2 * np.log(3), 0]])).round(3)
        array([[0.75, 0.25]], dtype=float32)
        """
        x = ops.convert_to_tensor(np.asarray(logits, dtype="float32"))
        for layer in layers_of(self._graph)[2:]:
            x = layer(x)
        return ops.convert_to_numpy(x)

    def predict(
        self,
        patterns: np.ndarray,
        projection_centers: np.ndarray | None = None,
        *,
        batch_size: int | None = None,
    ) -> np.ndarray:
        """Return the most probable space group of every pattern.

        Parameters
        ----------
        patterns, projection_centers, batch_size
            See :meth:`predict_proba`.

        Returns
        -------
        numbers
            Space group numbers of shape (n,), -1 where the best
            probability is below ``min_probability`` or the pattern
            cannot be classified. The lower one of an enantiomorphic pair
            stands for both.
        """
        probabilities = self.predict_proba(
            patterns, projection_centers, batch_size=batch_size
        )
        return most_probable(probabilities, self.space_groups, self.min_probability)

    def header(self) -> dict[str, Any]:
        """Return the header that is written to files beside the network.

        Returns
        -------
        header
            Classes, temperature, thresholds, prior and metadata, as JSON
            can hold them.
        """
        return {
            "space_groups": list(self.space_groups),
            "temperature": self.temperature,
            "min_probability": self.min_probability,
            "conformal_thresholds": self.conformal_thresholds,
            "prior": self._prior.tolist(),
            "keras_version": keras.version(),
            "metadata": self.metadata,
        }

    def fingerprint(self) -> str:
        """Return a hash of all that the model's probabilities depend on.

        Returns
        -------
        fingerprint
            The same for models which are equal, saved and loaded or not.
        """
        return fingerprint(
            list(self.space_groups),
            self.temperature,
            keras.saving.serialize_keras_object(self._prepare)["config"],
            *self._network.get_weights(),
            *(["mixed precision"] if self.mixed_precision else []),
        )

    def __reduce__(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            self.save(path)
            content = path.read_bytes()
        return _from_bytes, (content, self.mixed_precision, self.engine)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the model to one file.

        Parameters
        ----------
        path
            File name ending with ``.keras``.
        overwrite
            Whether to replace an existing file.

        Raises
        ------
        ValueError
            If the file name ends otherwise.
        FileExistsError
            If the file exists and ``overwrite`` is False.
        """
        path = Path(path)
        if path.suffix != ".keras":
            raise ValueError(f"File name must end with '.keras', but is {path.name!r}")
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists. Pass `overwrite=True` to replace it")
        header = {"format_version": FORMAT_VERSION} | self.header()
        with replacing(path) as part:
            self.graph.save(part)
            with zipfile.ZipFile(part, "a", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(MEMBER, json.dumps(header, indent=1))


def _format_temperature(temperature: float | Mapping[str, float]) -> str:
    """Return a temperature, or those of the levels from the finest, as text."""
    if not isinstance(temperature, Mapping):
        return f"{temperature:.3g}"
    return ", ".join(f"{value:.3g}" for value in temperature.values()) + " by level"


def load_model(
    path_or_name: str | Path | None = None,
    *,
    custom_objects: Mapping[str, type] | None = None,
    engine: str = "auto",
) -> SpaceGroupModel:
    """Return a model from a file.

    Nothing in the file is unpickled or executed, and no other file read.

    Parameters
    ----------
    path_or_name
        Path to a file written with :meth:`SpaceGroupModel.save`, or the
        name of a model that comes with the package. If not given, the
        default model is loaded.
    custom_objects
        Layers of your own that the file may use, by the name Keras has
        registered them under. The file decides how they are made and
        called, so pass this only for files you trust.
    engine
        What runs the model when scans are classified, see
        :func:`~kikuchipy_spacegroup.classification.classify_space_group`.

    Returns
    -------
    model
        The model.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not one of our models, is damaged, or is of a
        newer format, if its network has layers other than those known
        to be safe or is larger than the file, or if there is no bundled
        model or no engine of this name.
    ImportError
        If the engine is not installed.

    See Also
    --------
    kikuchipy.load, kikuchipy_spacegroup.models.OnnxModel

    Examples
    --------
    >>> import kikuchipy_spacegroup as kpsg
    >>> kpsg.load_model().space_groups
    (221, 222, 223, 224, 225, 226, 227, 228, 229, 230)
    """
    check_engine(engine)
    path = data.find_model("default" if path_or_name is None else path_or_name)
    # Keras may leave the weights open if they do not fit, as Windows minds
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        model = read_model(path, Path(folder), custom_objects, SpaceGroupModel)
    model.engine = engine
    return model


def _from_bytes(
    content: bytes, mixed_precision: bool = False, engine: str = "auto"
) -> SpaceGroupModel:
    """Return the model of a file, to unpickle it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(content)
        model = load_model(path)
    model.mixed_precision = mixed_precision
    # Which need not be installed here
    model._engine = engine
    return model

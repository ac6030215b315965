# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the Keras model that a model file describes."""

from collections.abc import Callable, Mapping
import json
import math
from pathlib import Path
from threading import Thread
from typing import Any

from kikuchipy_spacegroup._keras import keras
from kikuchipy_spacegroup.models._model_file import WEIGHTS, read_model_file
from kikuchipy_spacegroup.models._network_config import RefusedError, check_config
from kikuchipy_spacegroup.patterns import PreparePatterns

# Names of layers in files
PREPARE, NETWORK = "prepare_patterns", "network"

# Values that a layer may put out per pattern: 64 MiB of single precision
_MAX_OUTPUT = 2**24


def read_model(
    path: Path,
    folder: Path,
    custom_objects: Mapping[str, type] | None,
    make: Callable[..., Any],
) -> Any:
    """Make a model of the parts of a model file.

    Parameters
    ----------
    path
        Model file.
    folder
        Empty folder to work in.
    custom_objects
        Classes of the user's that the model may have.
    make
        Function of the network and, as keywords, the preprocessing layer
        and what the header says.

    Returns
    -------
    model
        What the function returns.

    Raises
    ------
    ValueError
        If the file is refused or damaged.
    """
    header, config = read_model_file(path, folder)
    version = header.pop("keras_version")
    try:
        graph = rebuild(config, folder, custom_objects)
        prepare = graph.get_layer(PREPARE)
        if not isinstance(prepare, PreparePatterns):
            raise RefusedError(f"its layer {PREPARE!r} is something else")
        return make(graph.get_layer(NETWORK), prepare=prepare, **header)
    except RefusedError as error:
        raise ValueError(f"{path} is not loaded: {error}") from error
    except Exception as error:
        raise ValueError(
            f"{path} cannot be loaded, the file is damaged or was made by versions "
            f"of Keras too far apart ({version} and {keras.version()}): "
            f"{str(error)[:500]}"
        ) from error


def rebuild(
    config: Any,
    folder: Path,
    custom_objects: Mapping[str, type] | None = None,
) -> keras.Model:
    """Return the model with its weights.

    Parameters
    ----------
    config
        Description of the model.
    folder
        Folder with the file of the weights.
    custom_objects
        Classes of the user's that the model may have.

    Returns
    -------
    model
        Keras model.

    Raises
    ------
    RefusedError
        If the model asks for classes not known to be safe, or for more
        weights than there are in the file.
    Exception
        Whatever Keras raises of a description without sense.
    """
    custom_objects = dict(custom_objects or {})
    registered = set(keras.saving.get_custom_objects()) | set(custom_objects)
    config = check_config(config, registered=registered, custom_objects=custom_objects)
    weights = folder / WEIGHTS
    _check_sizes(config, weights.stat().st_size, custom_objects)
    model = keras.saving.deserialize_keras_object(
        config, custom_objects=custom_objects, safe_mode=True
    )
    model.load_weights(weights)
    return model


def _check_sizes(config: Any, n_bytes: int, custom_objects: dict[str, type]) -> None:
    """Raise an error if a model needs more than it should.

    It is made without its weights to see what they would be. Keras makes
    up for them when the scope is left, which therefore never happens:
    the scope is known in its thread only, and ends with it.
    """
    errors: list[Exception] = []
    # Keras changes what it is given
    config = json.loads(json.dumps(config))

    def check():
        keras.StatelessScope().__enter__()
        try:
            model = keras.saving.deserialize_keras_object(
                config, custom_objects=custom_objects, safe_mode=True
            )
            _check_model(model, n_bytes)
        except Exception as error:
            errors.append(error)

    thread = Thread(target=check, daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def _check_model(model: Any, n_bytes: int) -> None:
    """Raise an error if a model has too many weights, or layers put out too much."""
    if not isinstance(model, keras.Model):
        raise RefusedError("config.json does not describe a network")
    n_weights = sum(math.prod(variable.shape) for variable in model.variables)
    # Every weight takes one byte or more
    if n_weights > n_bytes:
        raise RefusedError(
            f"its network has {n_weights} weights, which do not fit into the {n_bytes} "
            f"bytes of {WEIGHTS!r}"
        )
    layers = [model]
    while layers:
        layer = layers.pop()
        layers += getattr(layer, "layers", [])
        for node in getattr(layer, "_inbound_nodes", []):
            for tensor in node.output_tensors:
                size = math.prod(n for n in tensor.shape[1:] if n is not None)
                if size > _MAX_OUTPUT:
                    raise RefusedError(
                        f"its layer {layer.name!r} puts out {size} values per pattern, "
                        f"more than {_MAX_OUTPUT}"
                    )

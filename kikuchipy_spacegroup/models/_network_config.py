# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Allowed layers: what the description of a network in a file may ask for.

Keras makes whatever class a file names, with whatever arguments. Some
run code or read files. Here are those that only compute.
"""

from collections.abc import Collection
from typing import Any

# Layers, nested models being counted as often as they are called. The
# largest of keras.applications has 1039
MAX_LAYERS = 4096
_MAX_DEPTH = 100

_LAYERS = """
Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average
AveragePooling1D AveragePooling2D BatchNormalization CenterCrop Concatenate Conv1D
Conv1DTranspose Conv2D Conv2DTranspose Cropping1D Cropping2D Dense DepthwiseConv1D
DepthwiseConv2D Dot Dropout ELU EinsumDense Flatten GaussianDropout GaussianNoise
GlobalAveragePooling1D GlobalAveragePooling2D GlobalMaxPooling1D GlobalMaxPooling2D
GroupNormalization GroupQueryAttention Identity InputLayer LayerNormalization LeakyReLU
Masking MaxPooling1D MaxPooling2D Maximum Minimum MultiHeadAttention Multiply
Normalization PReLU Permute RMSNormalization RandomBrightness RandomContrast RandomCrop
RandomFlip RandomRotation RandomTranslation RandomZoom ReLU RepeatVector Rescaling
Reshape Resizing SeparableConv1D SeparableConv2D Softmax SpatialDropout1D
SpatialDropout2D Subtract UnitNormalization UpSampling1D UpSampling2D ZeroPadding1D
ZeroPadding2D
""".split()
_INITIALIZERS = """
Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer
LecunNormal LecunUniform Ones Orthogonal OrthogonalInitializer RandomNormal
RandomUniform TruncatedNormal VarianceScaling Zeros
""".split()
_ACTIVATIONS = """
celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh
leaky_relu linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink
softmax softplus softsign sparse_plus sparse_sigmoid sparsemax squareplus swish tanh
tanh_shrink threshold
""".split()
# Of what operators on tensors make: x + y, x[..., :1] and so on
_OPERATIONS = """
Absolute Add Divide GetItem Matmul Maximum Minimum Multiply Negative Power Subtract
TrueDivide
""".split()

_ALLOWED: dict[str | None, Collection[str]] = {
    "keras": {"DTypePolicy", "Functional", "Model", "Sequential"},
    "keras.models": {"Functional", "Model", "Sequential"},
    "keras.src.models.functional": {"Functional"},
    "keras.src.models.model": {"Model"},
    "keras.src.models.sequential": {"Sequential"},
    "keras.dtype_policies": {"DTypePolicy", "FloatDTypePolicy"},
    "keras.layers": set(_LAYERS),
    "keras.initializers": set(_INITIALIZERS),
    "keras.regularizers": {"L1", "L1L2", "L2", "OrthogonalRegularizer"},
    "keras.constraints": {"MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"},
    "keras.src.ops.numpy": set(_OPERATIONS),
    "kikuchipy_spacegroup.models._bands": {"CompareBands", "FindBands", "PoolBands"},
    "kikuchipy_spacegroup.models._zone_axes": {"FindZoneAxes"},
    "kikuchipy_spacegroup.models._rotate_bands": {"RotateBands"},
    "kikuchipy_spacegroup.models._chain_softmax": {"ChainSoftmax"},
    "kikuchipy_spacegroup.patterns._preprocessing": {"PreparePatterns"},
    # Where it was before the rooms: files that say so are read for good
    "kikuchipy_spacegroup.preprocessing": {"PreparePatterns"},
    None: {"__keras_tensor__", "__slice__", "__ellipsis__"},
}
_OURS = {
    f"kikuchipy_spacegroup>{name}"
    for name in (
        "ChainSoftmax",
        "CompareBands",
        "FindBands",
        "FindZoneAxes",
        "RotateBands",
        "PoolBands",
        "PreparePatterns",
    )
}
# Arguments that newer versions of Keras write, older ones do not know, and that
# change nothing when they have these values, which are the defaults
_SINCE = {
    "input_axes": None,
    "output_axes": None,
    "quantization_config": None,
    "ragged": False,
    "renorm": False,
    "renorm_clipping": None,
    "renorm_momentum": 0.99,
}


class RefusedError(ValueError):
    """An error: what a file asks for is not safe, or too much."""


def check_config(
    config: Any,
    *,
    registered: Collection[str] = (),
    custom_objects: Collection[str] = (),
) -> Any:
    """Return the description of a network without what is of no use.

    Parameters
    ----------
    config
        Content of a model file's ``config.json``.
    registered
        Names under which Keras knows classes and functions that are not
        its own. No text in the description may be one of them.
    custom_objects
        Names among them that are allowed.

    Returns
    -------
    config
        Copy without what is needed only to go on training.

    Raises
    ------
    RefusedError
        If a class is not known to be safe, or there are too many
        layers.
    """
    forbidden = set(registered) - set(custom_objects) - _OURS
    checked = _check_value(config, forbidden, set(custom_objects), 0)
    if not isinstance(checked, dict):
        raise RefusedError("config.json does not describe a network")
    n = _count_layers(checked)
    if n > MAX_LAYERS:
        raise RefusedError(f"its network has more than {MAX_LAYERS} layers")
    return checked


def _check_value(value: Any, forbidden: set[str], custom: set[str], depth: int) -> Any:
    """Return a part of a description, checked, without what is of no use."""
    if depth > _MAX_DEPTH:
        raise RefusedError(f"config.json is nested more than {_MAX_DEPTH} deep")
    if isinstance(value, str) and value in forbidden:
        raise RefusedError(f"its network asks for {value!r}{_REMEDY}")
    if isinstance(value, list):
        return [_check_value(i, forbidden, custom, depth + 1) for i in value]
    if not isinstance(value, dict):
        return value
    if "class_name" in value:
        _check_class(value, custom)
        value = _drop_defaults(value)
    return {
        key: _check_value(item, forbidden, custom, depth + 1)
        for key, item in value.items()
        if key != "compile_config"  # Optimizer, loss and metrics
    }


def _drop_defaults(value: dict) -> dict:
    """Return an object of Keras without arguments that older versions refuse."""
    config, module = value.get("config"), value.get("module")
    if not isinstance(config, dict) or not str(module).startswith("keras."):
        return value
    kept = {k: v for k, v in config.items() if k not in _SINCE or v != _SINCE[k]}
    return value | {"config": kept}


_REMEDY = (
    ", which is not among the layers that are known to be safe. If you trust whoever "
    "made the file, and it is a class of yours, pass it as `custom_objects`"
)


def _check_class(value: dict, custom: set[str]) -> None:
    """Raise an error if an object is not of an allowed class."""
    module, name = value.get("module"), value["class_name"]
    registered = value.get("registered_name")
    if isinstance(registered, str) and registered in custom:
        return
    if name == "function":
        # Functions have their name where classes have their arguments
        name, allowed = value.get("config"), _ACTIVATIONS
        is_known = module in ("builtins", "keras.activations")
    else:
        is_known = isinstance(module, str | None) and isinstance(name, str)
        allowed = _ALLOWED.get(module, ()) if is_known else ()
    # A registered name goes before the module and the name of a class
    ours = f"kikuchipy_spacegroup>{name}"
    names = (ours,) if ours in _OURS else (None, "", name)
    if not is_known or name not in allowed or registered not in names:
        raise RefusedError(
            f"its network asks for {name!r} of {module!r} (registered as "
            f"{registered!r}){_REMEDY}"
        )


def _count_layers(value: dict) -> int:
    """Return the number of calls of layers in a model."""
    config = value.get("config")
    layers = config.get("layers") if isinstance(config, dict) else None
    n_layers = 1
    for layer in layers if isinstance(layers, list) else []:
        if isinstance(layer, dict):
            nodes = layer.get("inbound_nodes")
            n_calls = max(1, len(nodes)) if isinstance(nodes, list) else 1
            n_layers += n_calls * _count_layers(layer)
            if n_layers > MAX_LAYERS:
                break
    return n_layers

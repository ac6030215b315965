# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
from ._band_network import band_network
from ._kept_model import clear_model_cache
from ._model import SpaceGroupModel, load_model
from ._network import build_network, residual_network, xception
from ._onnx import OnnxModel, save_onnx

__all__ = [
    "OnnxModel",
    "SpaceGroupModel",
    "band_network",
    "build_network",
    "clear_model_cache",
    "load_model",
    "residual_network",
    "save_onnx",
    "xception",
]

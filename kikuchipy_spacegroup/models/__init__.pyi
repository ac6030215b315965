# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
from ._model import SpaceGroupModel, load_model
from ._network import build_network, residual_network, xception
from ._onnx import OnnxModel, save_onnx

__all__ = [
    "OnnxModel",
    "SpaceGroupModel",
    "build_network",
    "load_model",
    "residual_network",
    "save_onnx",
    "xception",
]

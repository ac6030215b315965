from . import (
    acquisition,
    adaptation,
    aztec,
    background,
    calibration,
    classification,
    crystal_map,
    data,
    dataset,
    estimation,
    evaluation,
    experimental,
    explanation,
    kinematical,
    master_patterns,
    model,
    network,
    onnx,
    phases,
    plot,
    preprocessing,
    sht,
    simulation,
    space_groups,
    structures,
    training,
    zone_axes,
)
from ._logging import set_log_level
from .acquisition import Acquisition
from .adaptation import adapt_normalization, self_train
from .aztec import load_grain_list
from .calibration import calibrate
from .classification import classify_space_group, compute_classification_map
from .crystal_map import probabilities_from_map, save_map, space_group_sets
from .estimation import estimate_acquisition
from .evaluation import evaluate
from .experimental import LabelledPatterns
from .explanation import GradCAM, grad_cam, guided_grad_cam
from .master_patterns import MasterPatternLibrary
from .model import SpaceGroupModel, load_model
from .onnx import OnnxModel, save_onnx
from .phases import load_phase, simulate_master_pattern
from .sht import load_sht
from .simulation import Geometry
from .training import fit

__version__: str
__all__ = [
    "Acquisition",
    "Geometry",
    "GradCAM",
    "LabelledPatterns",
    "MasterPatternLibrary",
    "OnnxModel",
    "SpaceGroupModel",
    "acquisition",
    "adapt_normalization",
    "adaptation",
    "aztec",
    "background",
    "calibrate",
    "calibration",
    "classification",
    "classify_space_group",
    "compute_classification_map",
    "crystal_map",
    "data",
    "dataset",
    "estimate_acquisition",
    "estimation",
    "evaluate",
    "evaluation",
    "experimental",
    "explanation",
    "fit",
    "grad_cam",
    "guided_grad_cam",
    "kinematical",
    "load_grain_list",
    "load_model",
    "load_phase",
    "load_sht",
    "master_patterns",
    "model",
    "network",
    "onnx",
    "phases",
    "plot",
    "preprocessing",
    "probabilities_from_map",
    "save_map",
    "save_onnx",
    "self_train",
    "set_log_level",
    "sht",
    "simulate_master_pattern",
    "simulation",
    "space_group_sets",
    "space_groups",
    "structures",
    "training",
    "zone_axes",
]

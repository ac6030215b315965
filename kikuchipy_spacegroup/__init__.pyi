from . import (
    acquisition,
    adaptation,
    aztec,
    background,
    calibration,
    camera,
    candidates,
    classification,
    composition,
    crystal_map,
    data,
    dataset,
    estimation,
    evaluation,
    examples,
    experimental,
    explanation,
    fusion,
    grains,
    kinematical,
    levels,
    masks,
    master_patterns,
    matching,
    microstructure,
    model,
    network,
    onnx,
    phases,
    plausibility,
    plot,
    pooling,
    preprocessing,
    scans,
    sht,
    simulation,
    smoothing,
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
from .camera import Camera
from .candidates import identify_phases
from .classification import classify_space_group, compute_classification_map
from .crystal_map import probabilities_from_map, save_map, space_group_sets
from .estimation import estimate_acquisition
from .evaluation import evaluate
from .examples import example_phases, example_scan
from .experimental import LabelledPatterns
from .explanation import GradCAM, grad_cam, guided_grad_cam
from .fusion import combine
from .grains import grains_from_orientations, grains_from_patterns
from .levels import coarsen_map
from .masks import navigation_masks
from .master_patterns import MasterPatternLibrary
from .matching import match_acquisition
from .microstructure import overlap_grains, random_map
from .model import SpaceGroupModel, load_model
from .onnx import OnnxModel, save_onnx
from .phases import load_phase, simulate_master_pattern
from .pooling import pool_grains
from .scans import simulate_scan, simulate_scan_of_map
from .sht import load_sht
from .simulation import Geometry
from .smoothing import smooth_probabilities
from .training import fit

__version__: str
__all__ = [
    "Acquisition",
    "Camera",
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
    "camera",
    "candidates",
    "classification",
    "classify_space_group",
    "coarsen_map",
    "combine",
    "composition",
    "compute_classification_map",
    "crystal_map",
    "data",
    "dataset",
    "estimate_acquisition",
    "estimation",
    "evaluate",
    "evaluation",
    "example_phases",
    "example_scan",
    "examples",
    "experimental",
    "explanation",
    "fit",
    "fusion",
    "grad_cam",
    "grains",
    "grains_from_orientations",
    "grains_from_patterns",
    "guided_grad_cam",
    "identify_phases",
    "kinematical",
    "levels",
    "load_grain_list",
    "load_model",
    "load_phase",
    "load_sht",
    "masks",
    "master_patterns",
    "match_acquisition",
    "matching",
    "microstructure",
    "model",
    "navigation_masks",
    "network",
    "onnx",
    "overlap_grains",
    "phases",
    "plausibility",
    "plot",
    "pool_grains",
    "pooling",
    "preprocessing",
    "probabilities_from_map",
    "random_map",
    "save_map",
    "save_onnx",
    "scans",
    "self_train",
    "set_log_level",
    "sht",
    "simulate_master_pattern",
    "simulate_scan",
    "simulate_scan_of_map",
    "simulation",
    "smooth_probabilities",
    "smoothing",
    "space_group_sets",
    "space_groups",
    "structures",
    "training",
    "zone_axes",
]

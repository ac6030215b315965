from . import (
    classification,
    crystals,
    data,
    detectors,
    evaluation,
    explanation,
    io,
    maps,
    master_patterns,
    models,
    patterns,
    phases,
    plot,
    simulation,
    space_groups,
    training,
)
from ._logging import set_log_level
from .classification import classify_space_group
from .crystals import load_phase
from .maps import combine, identify_phases, pool_grains, save_map
from .master_patterns import MasterPatternLibrary, simulate_master_pattern
from .models import SpaceGroupModel, clear_model_cache, load_model
from .patterns import LabelledPatterns
from .simulation import Acquisition, Camera, example_scan, simulate_scan
from .training import calibrate, fit

__version__: str
__all__ = [
    "Acquisition",
    "Camera",
    "LabelledPatterns",
    "MasterPatternLibrary",
    "SpaceGroupModel",
    "calibrate",
    "classification",
    "classify_space_group",
    "clear_model_cache",
    "combine",
    "crystals",
    "data",
    "detectors",
    "evaluation",
    "example_scan",
    "explanation",
    "fit",
    "identify_phases",
    "io",
    "load_model",
    "load_phase",
    "maps",
    "master_patterns",
    "models",
    "patterns",
    "phases",
    "plot",
    "pool_grains",
    "save_map",
    "set_log_level",
    "simulate_master_pattern",
    "simulate_scan",
    "simulation",
    "space_groups",
    "training",
]

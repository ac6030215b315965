# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the space group off every EBSD pattern of a scan.

Importing this package makes the method ``classify_space_group()`` appear
on :class:`kikuchipy.signals.EBSD`. It imports neither Keras nor any of
its backends: these are imported with the first model.

The modules are layers, and import from lower ones only::

    __main__
    _signal  plot
    _plot_navigator  _plot_evaluation
    evaluation  candidates  fusion
    calibration  adaptation  _plot_explanation  _pattern_table  grains  pooling  smoothing  levels  _combined_map  _uncertainty
    classification  training  explanation  _map_like  masks
    _training_set  matching
    model  onnx  dataset  crystal_map  estimation  _scan_sample  zone_axes  examples  _seen_materials
    network  acquisition  simulation  scans  experimental  _rebuild
    preprocessing  master_patterns
    _library_builder
    phases
    sht  kinematical  aztec  composition  _elements
    structures  _classify_blocks  _score_model
    _results_store  _compute  _inference  _scan  _scan_simulator  _evidence  _predict  _map_image  _model_file  plausibility
    _hdf5_file  _cif_file  _network_config  microstructure
    space_groups  conformal  background  camera  data  _archive  _fingerprint  _checks  _copy_map  _logging  _sht_file  _drawing  _trainer  _network_layers  _fork  _onnx_file
"""

import lazy_loader

__version__ = "0.1.0.dev0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

from kikuchipy_spacegroup._signal import register

register()
del register, lazy_loader

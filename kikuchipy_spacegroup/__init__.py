# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the space group off every EBSD pattern of a scan.

Importing this package makes the method ``classify_space_group()`` appear
on :class:`kikuchipy.signals.EBSD`. It imports neither Keras nor any of
its backends: these are imported with the first model.

The package is a house of rooms, which are layers and import from lower
ones only::

    __main__
    plot
    evaluation
    _signal  training  phases
    classification  detectors  explanation  simulation
    maps  master_patterns
    models  crystals
    patterns  io
    space_groups  data  _logging  _progress  _keras
"""

import lazy_loader

__version__ = "0.1.0.dev0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

from kikuchipy_spacegroup._signal import register

register()
del register, lazy_loader

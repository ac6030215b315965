# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The 230 space groups, their names and what they belong to.

``LEVELS`` are all levels of symmetry, and ``CHAIN`` those of which each
is a division of the next, from space group to crystal system.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

del lazy_loader

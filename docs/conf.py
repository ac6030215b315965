# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration of Sphinx."""

from datetime import date
import os
from pathlib import Path
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import hyperspy.api as hs
from inventories import INVENTORIES, write_inventories

import kikuchipy_spacegroup

# The summary of a room is of what is in its __all__, which Sphinx uses if it
# is in dir(), where lazy_loader has only what is in it
for name in kikuchipy_spacegroup.__all__:
    room = getattr(kikuchipy_spacegroup, name)
    if hasattr(room, "__all__"):
        room.__dir__ = lambda names=room.__all__: [*names, "__all__"]

hs.preferences.General.show_progressbar = False

project = "kikuchipy-spacegroup"
copyright = f"{date.today().year}, the kikuchipy-spacegroup developers"
author = "the kikuchipy-spacegroup developers"
release = kikuchipy_spacegroup.__version__
version = release

extensions = [
    "matplotlib.sphinxext.plot_directive",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "inventories"]
root_doc = "index"
nitpicky = True
# Types numpydoc finds in prose, and what other projects do not document
nitpick_ignore_regex = [
    ("py:class", r"(optional|callable|array_like|array|sequence|mapping|scalar)"),
    ("py:.*", r"(keras|tensorflow|pandas|matplotlib|diffpy|collections|pathlib)\..*"),
    ("py:.*", r"kikuchipy_spacegroup\.(\w+\.)?_.*"),
    ("py:mod", "logging"),
    # In the docstring of what it returns, which is in another module
    ("py:func", "plot_interactive"),
]

html_theme = "pydata_sphinx_theme"
html_title = "kikuchipy-spacegroup"
html_show_sourcelink = False
html_theme_options = {
    "header_links_before_dropdown": 6,
    "navigation_with_keys": True,
    "show_toc_level": 2,
    "use_edit_page_button": False,
    "navbar_end": ["theme-switcher", "navbar-icon-links"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version", "theme-version"],
}
html_sidebars = {"changelog": [], "index": []}

# Links to other projects go by tables of names beside this file, so that
# the pages are built without a network
intersphinx_mapping = write_inventories(HERE / "_build" / "inventories")
assert set(intersphinx_mapping) == set(INVENTORIES)

autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = False
autodoc_typehints = "none"
autodoc_default_options = {"show-inheritance": True}
numpydoc_show_class_members = False
numpydoc_use_plots = True
numpydoc_xref_param_type = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
bibtex_bibfiles = ["bibliography.bib"]
bibtex_reference_style = "author_year"
plot_html_show_formats = False
plot_html_show_source_link = False
plot_formats = [("png", 100)]

sphinx_gallery_conf = {
    "backreferences_dir": "reference/backreferences",
    # The latter for the method on its signal
    "doc_module": ("kikuchipy_spacegroup", "kikuchipy"),
    "examples_dirs": "../tutorials",
    "gallery_dirs": "tutorials",
    "filename_pattern": r"/\d\d_",
    "within_subsection_order": "FileNameSortKey",
    "remove_config_comments": True,
    "show_memory": False,
    "abort_on_example_error": True,
    "image_scrapers": ("matplotlib",),
    "matplotlib_animations": False,
    "min_reported_time": 1,
    "plot_gallery": True,
}

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where other projects document the names that these pages link to.

A name is followed by what it is. Addresses follow each project's rule, so
that a new link needs one more line here and no network.
"""

from pathlib import Path
import posixpath
import zlib

# Project: (base address, rule for the page of a name, names by role)
INVENTORIES: dict[str, tuple[str, str, dict[str, str]]] = {
    "python": (
        "https://docs.python.org/3",
        "library/stdtypes.html#{name}",
        {"class": "bool dict float int list object str tuple"},
    ),
    "numpy": (
        "https://numpy.org/doc/stable",
        "reference/generated/{name}.html",
        {
            "class": "numpy.ndarray numpy.random.Generator",
            "function": "numpy.concatenate",
        },
    ),
    "dask": (
        "https://docs.dask.org/en/stable",
        "generated/{name}.html",
        {"class": "dask.array.Array", "function": "dask.array.map_blocks"},
    ),
    "hyperspy": (
        "https://hyperspy.org/hyperspy-doc/current",
        "reference/api.signals/{last}.html#{name}",
        {
            "class": "hyperspy.api.signals.BaseSignal",
            "attribute": "hyperspy.api.preferences.General.show_progressbar",
        },
    ),
    "keras": (
        "https://keras.io",
        "api/",
        {
            "class": "keras.Model keras.layers.Layer keras.utils.PyDataset "
            "keras.callbacks.Callback keras.callbacks.History"
        },
    ),
    "orix": (
        "https://orix.readthedocs.io/en/stable",
        "reference/generated/{name}.html",
        {
            "class": "orix.crystal_map.CrystalMap orix.crystal_map.Phase "
            "orix.crystal_map.PhaseList orix.quaternion.Rotation "
            "orix.quaternion.Orientation",
            "function": "orix.io.load orix.io.save",
            "method": "orix.crystal_map.CrystalMap.plot "
            "orix.crystal_map.Phase.from_cif",
        },
    ),
    "kikuchipy": (
        "https://kikuchipy.org/en/stable",
        "reference/generated/{name}.html",
        {
            "class": "kikuchipy.signals.EBSD kikuchipy.signals.LazyEBSD "
            "kikuchipy.signals.EBSDMasterPattern kikuchipy.detectors.EBSDDetector "
            "kikuchipy.simulations.KikuchiPatternSimulator",
            "function": "kikuchipy.load kikuchipy.set_log_level "
            "kikuchipy.indexing.merge_crystal_maps",
            "method": "kikuchipy.signals.EBSD.dictionary_indexing "
            "kikuchipy.signals.EBSD.hough_indexing "
            "kikuchipy.signals.EBSD.hough_indexing_optimize_pc "
            "kikuchipy.signals.EBSD.refine_orientation "
            "kikuchipy.signals.EBSD.refine_projection_center "
            "kikuchipy.detectors.EBSDDetector.fit_pc "
            "kikuchipy.signals.EBSD.remove_static_background "
            "kikuchipy.signals.EBSD.remove_dynamic_background "
            "kikuchipy.signals.EBSD.average_neighbour_patterns "
            "kikuchipy.signals.EBSD.adaptive_histogram_equalization "
            "kikuchipy.signals.EBSD.downsample "
            "kikuchipy.signals.EBSD.rescale_intensity "
            "kikuchipy.signals.EBSD.get_image_quality "
            "kikuchipy.signals.EBSD.get_neighbour_dot_product_matrices "
            "kikuchipy.signals.EBSDMasterPattern.get_patterns "
            "kikuchipy.signals.EBSDMasterPattern.as_lambert "
            "kikuchipy.simulations.KikuchiPatternSimulator.calculate_master_pattern "
            "kikuchipy.simulations.KikuchiPatternSimulator.on_detector",
        },
    ),
    "sklearn": (
        "https://scikit-learn.org/stable",
        "modules/generated/{name}.html",
        {"function": "sklearn.metrics.precision_recall_fscore_support"},
    ),
}


def write_inventories(folder: Path) -> dict[str, tuple[str, str]]:
    """Write one inventory per project, and return Sphinx's mapping."""
    folder.mkdir(parents=True, exist_ok=True)
    mapping = {}
    for project, (base, rule, roles) in INVENTORIES.items():
        lines = []
        for role, names in roles.items():
            for name in names.split():
                page = rule.format(name=name, last=name.rsplit(".", 1)[-1])
                if "#" not in page and "{" in rule:
                    page = f"{page}#{name}"
                lines.append(f"{name} py:{role} 1 {page} -")
        header = (
            "# Sphinx inventory version 2\n"
            f"# Project: {project}\n# Version: \n"
            "# The remainder of this file is compressed using zlib.\n"
        )
        path = folder / f"{project}.inv"
        body = zlib.compress(("\n".join(lines) + "\n").encode())
        path.write_bytes(header.encode() + body)
        mapping[project] = (posixpath.join(base, ""), str(path))
    return mapping

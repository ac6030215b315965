# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's figures, from the results of ``run.py``.

Usage::

    python recipes/kaufmann2020/figures.py OUTPUT
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import keras
from kikuchipy.detectors import EBSDDetector
from materials import (
    EXPERIMENTS,
    MATERIALS,
    SPACE_GROUPS,
    mean_atomic_number,
    phase,
)
import matplotlib.pyplot as plt
import numpy as np
from orix.quaternion import Rotation
from patterns import CAMERAS, PROJECTION_CENTER, record_patterns
from PIL import Image
from tables import load_results

from kikuchipy_spacegroup.acquisition import SimulateCamera
from kikuchipy_spacegroup.explanation import GradCAM
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.model import SpaceGroupModel, load_model
from kikuchipy_spacegroup.plot import (
    plot_accuracies,
    plot_hough,
    plot_inverse_pole_figures,
    plot_quality,
)
from kikuchipy_spacegroup.preprocessing import PreparePatterns
from kikuchipy_spacegroup.simulation import ProjectPatterns, detector_parameters
from kikuchipy_spacegroup.space_groups import label
from kikuchipy_spacegroup.zone_axes import simulate_geometry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Feature maps to look at where the last ones are smaller than this
_FEWEST_CELLS = 8
_LAYERS = ("stage2_out", "block4_sepconv1_act")
_SIDE = 240


def plot_masters(library: MasterPatternLibrary) -> "Figure":
    """Draw a simulated pattern of every space group along [001].

    Parameters
    ----------
    library
        Master patterns of the materials.

    Returns
    -------
    figure
        The heaviest material of every group, and below the zone axis
        enlarged.
    """
    names = EXPERIMENTS[1].training
    figure, axes = plt.subplots(
        2, len(names), figsize=(10.5, 4.1), layout="constrained"
    )
    figure.suptitle(
        f"{len(names)} of {len(MATERIALS)} materials, all in training in experiment 1; "
        f"chance {1 / len(SPACE_GROUPS):.1%}",
        fontsize="small",
    )
    for row, pcz in zip(axes, (0.6, 1.6)):
        patterns = ideal_patterns(library, names, np.eye(3), (0.5, 0.5, pcz))
        for ax, pattern, name in zip(row, patterns, names):
            low, high = np.percentile(pattern, (0.5, 99.5))
            ax.imshow(pattern, cmap="gray", vmin=low, vmax=high)
            ax.set(xticks=[], yticks=[])
            if pcz < 1:
                group = MATERIALS[name].space_group
                ax.set_title(f"{name}, {group} ({label(group)})", fontsize="small")
    return figure


def ideal_patterns(
    library: MasterPatternLibrary,
    names: tuple[str, ...],
    orientation: np.ndarray,
    pc: tuple[float, float, float],
    side: int = _SIDE,
) -> np.ndarray:
    """Return patterns of several materials in one orientation.

    Parameters
    ----------
    library
        Master patterns of the materials.
    names
        Names of the materials.
    orientation
        Matrix from the detector to the crystal frame.
    pc
        Projection center in Bruker's convention.
    side
        Side length in pixels.

    Returns
    -------
    patterns
        Patterns of shape (n, side, side) without noise.
    """
    entries = [int(np.flatnonzero(library.phase_index == library.phase_names.index(n))[0]) for n in names]  # fmt: skip
    n = len(names)
    recipe = {
        "upper": library.upper[entries].astype("int32"),
        "lower": library.lower[entries].astype("int32"),
        "orientation": np.broadcast_to(orientation, (n, 3, 3)).astype("float32"),
        "geometry": np.tile([*pc, 1, 0], (n, 1)).astype("float32"),
    }
    return keras.ops.convert_to_numpy(ProjectPatterns(library, (side, side))(recipe))


def recorded_patterns(
    library: MasterPatternLibrary,
    names: tuple[str, ...],
    rotation: Rotation,
    camera: str,
    size: int,
) -> np.ndarray:
    """Return patterns of one orientation as networks were trained on.

    Parameters
    ----------
    library
        Master patterns of the materials.
    names
        Names of the materials.
    rotation
        Orientation.
    camera
        Name of the camera.
    size
        Side length patterns are reduced to, that of the model.

    Returns
    -------
    patterns
        Patterns of shape (n, size, size) and dtype uint8.
    """
    side = min(CAMERAS[camera].rows, 2 * size)
    detector = EBSDDetector((side, side), pc=PROJECTION_CENTER, sample_tilt=70)
    orientation, _ = detector_parameters(rotation, detector)
    ideal = ideal_patterns(library, names, orientation[0], PROJECTION_CENTER, side)
    record = SimulateCamera(CAMERAS[camera].acquisition, size=side, seed=1)
    return record_patterns(record, PreparePatterns(size), ideal)


def plot_explanation(
    library: MasterPatternLibrary,
    model: SpaceGroupModel,
    camera: str = "paper",
    trained_on: tuple[str, ...] = tuple(MATERIALS),
) -> "Figure":
    """Draw Grad-CAM beside the Hough transform of NbC and Ni3Al.

    Parameters
    ----------
    library
        Master patterns of the materials.
    model
        Trained model.
    camera
        Name of the camera.
    trained_on
        Names of the materials the model was trained on.

    Returns
    -------
    figure
        The same orientation of two materials whose bands are alike, as
        the camera records them and the network gets them.
    """
    names = ("NbC", "Ni3Al")
    size = model.prepare.size
    rotation = Rotation.from_euler([[20, 50, 35]], degrees=True)
    patterns = recorded_patterns(library, names, rotation, camera, size)
    detector = EBSDDetector((size, size), pc=PROJECTION_CENTER, sample_tilt=70)
    simulations = [simulate_geometry(phase(n), detector, rotation) for n in names]
    titles = [
        f"{n} ({MATERIALS[n].space_group}), read as {found},\n"
        f"{'' if n in trained_on else 'not '}in training"
        for n, found in zip(names, model.predict(patterns))
    ]
    return plot_hough(
        list(patterns),
        _explain(model)(patterns),
        names=titles,
        simulations=simulations,
        caption=f"{camera} camera; {len(names)} materials, "
        f"{len(set(names).intersection(trained_on))} in training; "
        f"chance {1 / len(model.space_groups):.1%}",
    )


def _explain(model: SpaceGroupModel) -> GradCAM:
    """Return guided Grad-CAM on feature maps that are not too small."""
    explain = GradCAM(model, guided=True)
    layers = {layer.name for layer in model.network.layers}.intersection(_LAYERS)
    if explain.feature_shape[0] < _FEWEST_CELLS and layers:
        explain = GradCAM(model, layers.pop(), guided=True)
    return explain


def write_figures(output: Path) -> None:
    """Write all figures to the folder ``results``.

    Parameters
    ----------
    output
        Folder of ``run.py``.
    """
    results = load_results(output)
    library = MasterPatternLibrary.load(output / "masters" / "library.npz")
    numbers = {name: mean_atomic_number(name) for name in MATERIALS}
    _save(plot_masters(library), output, "master_patterns", 80)
    for key, table in results.groupby(["camera", "network", "experiment"]):
        figure = plot_accuracies(table, atomic_numbers=numbers)[0].figure
        name = "{} camera, {}, experiment {}".format(*key)
        figure.suptitle(f"{name}\n{figure.get_suptitle()}", fontsize=6)
        _save(figure, output, "accuracies_{}_{}_{}".format(*key))
    for (camera, network), table in results.groupby(["camera", "network"]):
        name = f"{camera}_{network}"
        first, last = table["experiment"].min(), table["experiment"].max()
        unseen = table[(table["experiment"] == first) & ~table["in_training"]]
        figure, axes = plt.subplots(1, 2, figsize=(6.7, 2.1), layout="constrained")
        for ax, column in zip(axes, ("quality", "correlation")):
            plot_quality(unseen, column, ax=ax)
        _save(figure, output, f"quality_{name}")
        axes = plot_inverse_pole_figures(unseen)
        _save(axes[0, 0].figure, output, f"orientations_{name}")
        model = load_model(output / camera / network / f"experiment_{last}.keras")
        trained_on = EXPERIMENTS[last].training
        figure = plot_explanation(library, model, camera, trained_on)
        _save(figure, output, f"grad_cam_{name}", 80)


def _save(figure: "Figure", output: Path, name: str, dpi: int = 150) -> None:
    path = output / "results" / f"{name}.png"
    figure.savefig(path, dpi=dpi)
    plt.close(figure)
    # Few colors take a third of the space
    Image.open(path).convert("RGB").quantize(160).save(path, optimize=True)


def main() -> None:
    """Write the figures of a folder."""
    parser = argparse.ArgumentParser(description="Draw figures")
    parser.add_argument("output", type=Path)
    write_figures(parser.parse_args().output)


if __name__ == "__main__":
    main()

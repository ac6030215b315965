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
from materials import CHANCE, EXPERIMENTS, MATERIALS, SPACE_GROUPS, phase
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
import matplotlib.pyplot as plt
from matplotlib.ticker import PercentFormatter
import numpy as np
from orix.quaternion import Orientation, Rotation
from orix.vector import Vector3d
import pandas as pd
from patterns import PROJECTION_CENTER, load_patterns
from PIL import Image
from tables import by_material, load_results

from kikuchipy_spacegroup.explanation import GradCAM
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.model import SpaceGroupModel, load_model
from kikuchipy_spacegroup.plot import plot_hough
from kikuchipy_spacegroup.simulation import ProjectPatterns, detector_parameters
from kikuchipy_spacegroup.space_groups import label
from kikuchipy_spacegroup.zone_axes import simulate_geometry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 80
COLORS = {"xception": "C0", "residual": "C1", "pretrained": "C2"}
# Feature maps to look at where the last ones are smaller than this
_FEWEST_CELLS = 8
_LAYERS = {"residual": "stage2_out", "xception": "block4_sepconv1_act"}
_SIDE = 240


def plot_experiment(table: pd.DataFrame, number: int) -> "Figure":
    """Draw a bar chart per space group, as figures 2, 4 to 7 and 10.

    Parameters
    ----------
    table
        Accuracy per material of one camera and experiment, as from
        :func:`tables.by_material`.
    number
        Number of the experiment.

    Returns
    -------
    figure
        Materials in training are hatched. The dashed line is chance,
        and the number under a name is the mean atomic number.
    """
    networks = [name for name in COLORS if name in set(table["network"])]
    groups = [[n for n in MATERIALS if MATERIALS[n].space_group == g] for g in SPACE_GROUPS]  # fmt: skip
    figure, axes = plt.subplots(
        1,
        len(groups),
        figsize=(13, 3.4),
        sharey=True,
        width_ratios=[max(len(names), 1.6) for names in groups],
        layout="constrained",
    )
    width = 0.8 / len(networks)
    for ax, names, group in zip(axes, groups, SPACE_GROUPS):
        for i, network in enumerate(networks):
            rows = table[table["network"] == network].set_index("material").loc[names]
            x = np.arange(len(names)) + (i + 0.5) * width - 0.4
            hatch = ["////" if trained else "" for trained in rows["in_training"]]
            heights = rows["accuracy"]
            ax.bar(
                x, heights, width, color=COLORS[network], hatch=hatch, edgecolor="white"
            )
        numbers = rows["mean_atomic_number"]
        ax.set_xticks(
            range(len(names)),
            [f"{n}\n{z:.1f}" for n, z in zip(names, numbers)],
            fontsize="x-small" if len(names) > 3 else "small",
        )
        ax.set(title=f"{group} ({label(group)})", xlim=(-0.5, len(names) - 0.5))
        ax.axhline(CHANCE, color="black", linestyle="--", linewidth=1)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set(ylim=(0, 1), ylabel="accuracy")
    axes[0].yaxis.set_major_formatter(PercentFormatter(1))
    handles = [Patch(color=COLORS[name], label=name) for name in networks]
    trained = {"facecolor": "0.6", "hatch": "////", "edgecolor": "white"}
    handles.append(Patch(**trained, label="in training"))
    handles.append(Line2D([], [], color="black", linestyle="--", label="chance"))
    figure.legend(
        handles=handles, loc="outside lower center", ncols=len(handles), frameon=False
    )
    experiment = EXPERIMENTS[number]
    figure.suptitle(
        f"Experiment {number} (figure {experiment.figure} of the paper)", x=0.01, ha="left"
    )  # fmt: skip
    return figure


def plot_quality(results: pd.DataFrame) -> "Figure":
    """Draw histograms of quality of all, right and wrong patterns.

    Parameters
    ----------
    results
        Results of one experiment.

    Returns
    -------
    figure
        Histograms of the image quality, in place of the band contrast,
        and of the correlation with the undisturbed pattern, in place of
        the mean angular deviation.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    parts = {"all": results, "right": results[results["right"]], "wrong": results[~results["right"]]}  # fmt: skip
    titles = {
        "quality": "image quality",
        "correlation": "correlation with the ideal pattern",
    }
    for ax, (column, title) in zip(axes, titles.items()):
        bins = np.linspace(results[column].min(), results[column].max(), 31)
        for (name, part), color in zip(parts.items(), ("0.75", "C0", "C3")):
            values = part[column]
            style = {"color": color} if name == "all" else {"histtype": "step", "color": color}  # fmt: skip
            text = f"{name}, mean {values.mean():.3f}"
            ax.hist(values, bins, density=True, label=text, **style)
        ax.set(xlabel=title, yticks=[])
        ax.legend(frameon=False, fontsize="small", loc="upper left")
        ax.spines[["top", "right", "left"]].set_visible(False)
    return figure


def plot_orientations(rotations: Rotation, right: np.ndarray) -> "Figure":
    """Draw inverse pole figures of all, right and wrong patterns.

    Parameters
    ----------
    rotations
        Rotations from the sample to the crystal frame of shape (n,).
    right
        Which patterns are right, of shape (n,).

    Returns
    -------
    figure
        Densities in multiples of a random distribution.
    """
    symmetry = phase("Ni").point_group
    orientations = Orientation(rotations.data, symmetry=symmetry)
    directions = {"X": Vector3d.xvector(), "Y": Vector3d.yvector(), "Z": Vector3d.zvector()}  # fmt: skip
    limits = {"vmin": 0, "vmax": 2}
    parts = {"all": np.full(right.size, True), "right": right, "wrong": ~right}
    figure = plt.figure(figsize=(8, 6.6), layout="constrained")
    for i, (name, chosen) in enumerate(parts.items()):
        for j, (axis, direction) in enumerate(directions.items()):
            ax = figure.add_subplot(
                3, 3, 3 * i + j + 1, projection="ipf", symmetry=symmetry
            )
            if chosen.any():
                ax.pole_density_function(
                    orientations[chosen] * direction,
                    resolution=1,
                    sigma=7.5,
                    colorbar=False,
                    cmap="coolwarm",
                    **limits,
                )
            ax.set_title(f"{name} ({chosen.sum()}), {axis}", fontsize=9, loc="left")
    mappable = plt.cm.ScalarMappable(plt.Normalize(*limits.values()), "coolwarm")
    figure.colorbar(mappable, ax=figure.axes, shrink=0.5, label="M.U.D.")
    return figure


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
    figure, axes = plt.subplots(2, len(names), figsize=(10.5, 3.9), layout="constrained")
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
    return keras.ops.convert_to_numpy(ProjectPatterns(library, (_SIDE, _SIDE))(recipe))


def plot_explanation(
    library: MasterPatternLibrary, model: SpaceGroupModel, network: str
) -> "Figure":
    """Draw Grad-CAM beside the Hough transform of NbC and Ni3Al.

    Parameters
    ----------
    library
        Master patterns of the materials.
    model
        Trained model.
    network
        Its network.

    Returns
    -------
    figure
        The same orientation of two materials whose bands are alike.
    """
    names = ("NbC", "Ni3Al")
    detector = EBSDDetector((_SIDE, _SIDE), pc=PROJECTION_CENTER, sample_tilt=70)
    rotation = Rotation.from_euler([[20, 50, 35]], degrees=True)
    orientation, _ = detector_parameters(rotation, detector)
    patterns = ideal_patterns(library, names, orientation[0], PROJECTION_CENTER)
    explain = GradCAM(model, guided=True)
    if explain.feature_shape[0] < _FEWEST_CELLS and network in _LAYERS:
        explain = GradCAM(model, _LAYERS[network], guided=True)
    simulations = [simulate_geometry(phase(n), detector, rotation) for n in names]
    found = model.predict(patterns)
    titles = [f"{n} ({MATERIALS[n].space_group}), read as {f}" for n, f in zip(names, found)]  # fmt: skip
    return plot_hough(
        list(patterns), explain(patterns), names=titles, simulations=simulations
    )


def write_figures(output: Path) -> None:
    """Write all figures to the folder ``results``.

    Parameters
    ----------
    output
        Folder of ``run.py``.
    """
    results = load_results(output)
    materials = by_material(results)
    library = MasterPatternLibrary.load(output / "masters" / "library.npz")
    _save(plot_masters(library), output, "master_patterns")
    for (camera, number), table in materials.groupby(["camera", "experiment"]):
        name = f"experiment_{number}_{camera}"
        _save(plot_experiment(table, number), output, name)
    for camera in results["camera"].unique():
        # The paper's network if it was run
        of_camera = results[results["camera"] == camera]
        network = next(n for n in COLORS if n in set(of_camera["network"]))
        chosen = of_camera[of_camera["network"] == network]
        first, last = chosen["experiment"].min(), chosen["experiment"].max()
        unseen = chosen[(chosen["experiment"] == first) & ~chosen["in_training"]]
        _save(plot_quality(unseen), output, f"quality_{camera}")
        rotations = _rotations(output / "patterns" / camera, unseen)
        figure = plot_orientations(rotations, unseen["right"].to_numpy())
        _save(figure, output, f"orientations_{camera}")
        model = load_model(output / camera / network / f"experiment_{last}.keras")
        _save(plot_explanation(library, model, network), output, f"grad_cam_{camera}")


def _rotations(folder: Path, results: pd.DataFrame) -> Rotation:
    """Return the rotations of patterns, in the order of results."""
    parts = [
        load_patterns(folder / f"{name}.npz").rotations[part["pattern"]]
        for name, part in results.groupby("material", sort=False)
    ]
    return Rotation(np.concatenate(parts))


def _save(figure: "Figure", output: Path, name: str) -> None:
    path = output / "results" / f"{name}.png"
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
    # Few colors take a third of the space
    Image.open(path).convert("RGB").quantize(96).save(path, optimize=True)


def main() -> None:
    """Write the figures of a folder."""
    parser = argparse.ArgumentParser(description="Draw figures")
    parser.add_argument("output", type=Path)
    write_figures(parser.parse_args().output)


if __name__ == "__main__":
    main()

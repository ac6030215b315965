# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's figures, from the results of ``run.py``.

Usage::

    python recipes/kaufmann2020/figures.py OUTPUT
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from explanations import explainer
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
import pandas as pd
from patterns import PROJECTION_CENTER, ideal_patterns, recorded_patterns
from PIL import Image
from tables import load_results

from kikuchipy_spacegroup.explanation import simulate_geometry
from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.models import SpaceGroupModel, load_model
from kikuchipy_spacegroup.plot import (
    plot_accuracies,
    plot_hough,
    plot_inverse_pole_figures,
    plot_quality,
)
from kikuchipy_spacegroup.space_groups import symbol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Width of two columns of a journal in inches, size of text in points
_WIDTH, _SMALL = 6.7, 7
# Of the simulated patterns in pixels
_SIDE = 240
_DPI = 200


def plot_masters(library: MasterPatternLibrary, source: str = "") -> "Figure":
    """Draw a simulated pattern of every space group along [001].

    Parameters
    ----------
    library
        Master patterns of the materials.
    source
        How they were simulated.

    Returns
    -------
    figure
        The heaviest material of every group, and below the zone axis
        enlarged.
    """
    names = EXPERIMENTS[1].training
    figure, axes = plt.subplots(
        2, len(names), figsize=(_WIDTH, 2.8), layout="constrained"
    )
    figure.suptitle(
        f"Master patterns along [001]{': ' if source else ''}{source}\n"
        f"{len(names)} of {len(MATERIALS)} materials, all in training in experiment 1; "
        f"chance {1 / len(SPACE_GROUPS):.1%}",
        fontsize=_SMALL,
    )
    for row, pcz in zip(axes, (0.6, 1.6)):
        patterns = ideal_patterns(library, names, np.eye(3), (0.5, 0.5, pcz), _SIDE)
        for ax, pattern, name in zip(row, patterns, names):
            low, high = np.percentile(pattern, (0.5, 99.5))
            ax.imshow(pattern, cmap="gray", vmin=low, vmax=high)
            ax.set(xticks=[], yticks=[])
            if pcz < 1:
                group = MATERIALS[name].space_group
                ax.set_title(f"{name}\n{group} {symbol(group)}", fontsize=_SMALL)
    return figure


def plot_explanation(
    library: MasterPatternLibrary,
    model: SpaceGroupModel,
    camera: str = "paper",
    trained_on: tuple[str, ...] = tuple(MATERIALS),
    name: str = "",
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
    name
        What model it is, to write on top.

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
    explain = explainer(model)
    maps = explain(patterns)
    titles = [
        f"{n} ({MATERIALS[n].space_group}), read as {found},\n"
        f"{'' if n in trained_on else 'not '}in training"
        f"{'' if cam.any() else ', map is empty'}"
        for n, found, cam in zip(names, model.predict(patterns), maps)
    ]
    return plot_hough(
        list(patterns),
        maps,
        names=titles,
        simulations=simulations,
        caption=f"{name or f'{camera} camera'}; guided Grad-CAM at {explain.layer} "
        f"({explain.feature_shape[0]} x {explain.feature_shape[1]} cells)\n"
        f"{len(names)} materials, {len(set(names).intersection(trained_on))} in "
        f"training; chance {1 / len(model.space_groups):.1%}",
    )


def chosen_patterns(results: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return the patterns to ask what errors have to do with, and which.

    Parameters
    ----------
    results
        Of one camera and network.

    Returns
    -------
    table
        Those of the first experiment and of materials not in training,
        or of all materials if there are no others.
    name
        What they are, in words.
    """
    first = results["experiment"].min()
    table = results[results["experiment"] == first]
    unseen = table[~table["in_training"].astype(bool)]
    if len(unseen):
        return unseen, f"experiment {first}, materials not in training"
    return table, f"experiment {first}, all materials, as all were in training"


def write_figures(output: Path) -> None:
    """Write all figures to the folder ``results``.

    Parameters
    ----------
    output
        Folder of ``run.py``.
    """
    results = load_results(output)
    library = MasterPatternLibrary.load(output / "masters" / "library.npz")
    settings = json.loads((output / "settings.json").read_text())
    numbers = {name: mean_atomic_number(name) for name in MATERIALS}
    (output / "results").mkdir(exist_ok=True)
    _save(plot_masters(library, settings["master_patterns"]), output, "master_patterns")
    for key, table in results.groupby(["camera", "network", "experiment"]):
        figure = plot_accuracies(table, atomic_numbers=numbers)[0].figure
        _add_title(figure, "{} camera, {}, experiment {}".format(*key))
        _save(figure, output, "accuracies_{}_{}_{}".format(*key))
    for (camera, network), table in results.groupby(["camera", "network"]):
        run, file = f"{camera} camera, {network}", f"{camera}_{network}"
        chosen, which = chosen_patterns(table)
        figure, axes = plt.subplots(1, 2, figsize=(_WIDTH, 2.3), layout="constrained")
        for ax, column in zip(axes, ("quality", "correlation")):
            plot_quality(chosen, column, ax=ax)
        _add_title(figure, f"{run}, {which}")
        _save(figure, output, f"quality_{file}")
        figure = plot_inverse_pole_figures(chosen)[0, 0].figure
        _add_title(figure, f"{run}, {which}")
        _save(figure, output, f"orientations_{file}")
        last = table["experiment"].max()
        model = load_model(output / camera / network / f"experiment_{last}.keras")
        trained_on = EXPERIMENTS[last].training
        name = f"{run}, experiment {last}"
        figure = plot_explanation(library, model, camera, trained_on, name)
        _save(figure, output, f"grad_cam_{file}")


def _add_title(figure: "Figure", title: str) -> None:
    """Write a line above the title there is."""
    figure.suptitle(f"{title}\n{figure.get_suptitle()}".strip(), fontsize=6)


def _save(figure: "Figure", output: Path, name: str) -> None:
    path = output / "results" / f"{name}.png"
    figure.savefig(path, dpi=_DPI)
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

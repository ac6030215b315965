# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw the picture of the README.

Usage::

    python -m recipes.default_model.scores.picture [OUTPUT]

The real nickel patterns that come with kikuchipy, what the bundled model
says of them, and where it looked.
"""

import argparse
from pathlib import Path

import kikuchipy as kp
import matplotlib.pyplot as plt
import numpy as np

import kikuchipy_spacegroup as kpsg

OUTPUT = Path(__file__).parents[3] / "docs" / "readme.png"


def main() -> None:
    """Draw and save the picture."""
    parser = argparse.ArgumentParser(description="Draw the picture of the README")
    parser.add_argument("output", type=Path, nargs="?", default=OUTPUT)
    args = parser.parse_args()
    s = kp.data.nickel_ebsd_small()
    model = kpsg.load_model()
    xmap = s.classify_space_group(
        model, keep_probabilities=True, show_progressbar=False
    )
    probabilities, numbers = kpsg.maps.probabilities_from_map(xmap)
    patterns = (s.data / s.static_background.astype("float32")).reshape(-1, 60, 60)
    chosen = [0, 4, 8]
    fig, axes = plt.subplots(
        3, 3, figsize=(6.4, 5.6), height_ratios=(2, 2, 1.2), sharey="row"
    )
    for column, i in zip(axes.T, chosen):
        pattern = patterns[i]
        low, high = np.percentile(pattern, (1, 99))
        column[0].imshow(pattern, cmap="gray", vmin=low, vmax=high)
        number = int(xmap.phase_id[i])
        name = kpsg.space_groups.symbol(number) if number > 0 else "not identified"
        column[0].set_title(f"{number} {name}: {xmap.prop['scores'][i]:.0%}")
        kpsg.plot.plot_grad_cam(
            pattern, kpsg.explanation.grad_cam(model, pattern[None])[0], ax=column[1]
        )
        column[1].set_title("")
        colors = ["tab:red" if n == number else "lightgray" for n in numbers]
        column[2].bar(range(len(numbers)), probabilities[i], color=colors)
        column[2].set_xticks(range(len(numbers)), numbers, rotation=90, fontsize=7)
        column[2].set(ylim=(0, 1))
        for ax in column[:2]:
            ax.set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel("Real nickel pattern")
    axes[1, 0].set_ylabel("What speaks for it")
    axes[2, 0].set_ylabel("Probability")
    fig.subplots_adjust(wspace=0.05, hspace=0.12)
    fig.savefig(args.output, dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    main()

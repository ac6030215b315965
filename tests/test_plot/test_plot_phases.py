# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of phases found in a scan."""

from kikuchipy.signals import EBSD
import numpy as np
import pytest

from kikuchipy_spacegroup.maps import crystal_map
from kikuchipy_spacegroup.phases import find_phases
from kikuchipy_spacegroup.plot import plot_phases


def scan_and_phases(shape, rows, mask=None):
    """Each pattern says where it is: a ramp of as many steps as its index."""
    n = int(np.prod(shape))
    p = np.repeat(rows, n // len(rows), axis=0).reshape(*shape, -1)
    xmap = crystal_map(p, [225, 229], keep_probabilities=True, navigation_mask=mask)
    rng = np.random.default_rng(1)
    signal = EBSD(rng.integers(0, 200, (*shape, 10, 12), dtype="uint8"))
    grains = np.arange(n).reshape(shape) // 10
    return signal, find_phases(xmap, grain_ids=grains)


def texts(figure):
    return [ax.get_title() for ax in figure.axes if ax.get_title()]


def test_two_phases():
    signal, found = scan_and_phases((8, 10), [[0.95, 0.05], [0.05, 0.95]])
    before = signal.data.copy()
    figure = plot_phases(found, signal)
    figure.canvas.draw()
    titles = texts(figure)
    assert titles[:2] == ["Phases", "Confidence of each pattern"]
    for title, (i, row) in zip(titles[2:], found.table.iterrows(), strict=True):
        assert title == f"phase {i}\n{row['symmetry']}, {row['probability']:.2f}"
    legend = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    assert legend == [f"{name}: 50.0%" for name in found.table["name"]]
    # Each pattern is sure of its phase's symmetry
    confidence = figure.axes[1].images[1].get_array()
    assert np.allclose(confidence, 0.95)
    # Patterns are the typical ones, and the map has the phases' colors
    image = figure.axes[0].images[0].get_array()
    patterns = [ax for ax in figure.axes if "\n" in ax.get_title()]
    for ax, (i, points) in zip(patterns, found.representatives.items()):
        index = np.unravel_index(points[0], (8, 10))
        shown = np.asarray(ax.images[0].get_array()).ravel()
        assert np.corrcoef(shown, signal.data[index].ravel())[0, 1] > 0.9
        assert tuple(image[index]) == found.xmap.phases[i].color_rgb
    assert np.array_equal(signal.data, before)
    assert len(texts(plot_phases(found, signal, n_patterns=1))) == 3


def test_points_left_out():
    """Representatives are of the points in the data."""
    mask = np.zeros((8, 10), dtype=bool)
    mask[:2] = True
    signal, found = scan_and_phases((8, 10), [[0.95, 0.05]], mask)
    figure = plot_phases(found, signal)
    shown = next(ax for ax in figure.axes if "\n" in ax.get_title())
    index = np.unravel_index(found.xmap.id[found.representatives[1][0]], (8, 10))
    shown = np.asarray(shown.images[0].get_array()).ravel()
    assert np.corrcoef(shown, signal.data[index].ravel())[0, 1] > 0.9
    image = figure.axes[0].images[0].get_array()
    assert (image[:2] == 1).all()


@pytest.mark.parametrize("shape", [(), (20,), (1, 20)])
def test_shapes(shape):
    signal, found = scan_and_phases(shape, [[0.95, 0.05]])
    plot_phases(found, signal).canvas.draw()


def test_no_phases():
    signal, found = scan_and_phases((4, 5), [[0.5, 0.5]])
    figure = plot_phases(found, signal)
    figure.canvas.draw()
    (text,) = figure.axes[0].get_legend().get_texts()
    assert text.get_text() == "no crystal: 100.0%"


def test_errors():
    signal, found = scan_and_phases((4, 5), [[0.95, 0.05]])
    with pytest.raises(ValueError, match="are of 20 points, but the scan has 8"):
        plot_phases(found, signal.inav[:2])
    with pytest.raises(ValueError, match="n_patterns"):
        plot_phases(found, signal, n_patterns=0)

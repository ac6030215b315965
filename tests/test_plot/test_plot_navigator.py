# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
import kikuchipy as kp
import matplotlib.pyplot as plt
import numpy as np
import pytest

from kikuchipy_spacegroup import classify_space_group
from kikuchipy_spacegroup.plot import plot_interactive


def classified(signal, model, **kwargs):
    return classify_space_group(
        signal, model, min_probability=0, show_progressbar=False, **kwargs
    )


def shown(plot):
    """Return the probabilities that are drawn, by name."""
    _, ax = plot.figure.axes
    names = [label.get_text() for label in ax.get_yticklabels()]
    return dict(zip(names, [bar.get_width() for bar in ax.patches]))


def is_followed(signal, plot):
    return plot.update in signal.axes_manager.events.indices_changed.connected


@pytest.mark.parametrize("lazy", [False, True])
def test_follows_the_pointer(nickel, tiny_model, lazy):
    mask = np.zeros((3, 3), dtype=bool)
    mask[2, 0] = True
    xmap = classified(nickel, tiny_model, navigation_mask=mask, keep_probabilities=True)
    signal = nickel.as_lazy() if lazy else nickel
    data, metadata = nickel.data.copy(), nickel.metadata.as_dictionary()
    plot = plot_interactive(signal, xmap, tiny_model)
    assert plot.index == (0, 0)
    pattern_ax, bar_ax = plot.figure.axes
    probabilities = np.full((9, 3), np.nan)
    probabilities[xmap.is_in_data] = xmap.prop["probabilities"]
    before = None
    for x, y in [(1, 0), (2, 1), (0, 2)]:
        signal.axes_manager.indices = (x, y)
        assert plot.index == (y, x)
        cam = pattern_ax.images[1].get_array().copy()
        assert not np.array_equal(cam, before)
        before = cam
        found = shown(plot)
        assert list(found) == sorted(found, key=found.get, reverse=True)
        winner = next(iter(found))
        assert pattern_ax.get_title() == f"Grad-CAM of {winner}"
        if mask[y, x]:
            assert bar_ax.get_title() == "map: left out\nx = 0, y = 2"
        else:
            best = sorted(probabilities[3 * y + x], reverse=True)
            assert np.allclose(list(found.values()), best, atol=1e-5)
            assert winner in bar_ax.get_title()
    assert np.array_equal(nickel.data, data)
    assert nickel.metadata.as_dictionary() == metadata


def test_navigator_has_the_colors(nickel, tiny_model):
    xmap = classified(nickel, tiny_model)
    plot = plot_interactive(nickel, xmap, tiny_model, space_group=229)
    image = nickel._plot.navigator_plot.ax.images[0].get_array()
    color = xmap.phases[int(xmap.phase_id[4])].color_rgb
    score = xmap.prop["scores"][4]
    expected = 255 * (score * np.array(color) + 1 - score)
    assert np.allclose(image[1, 1, :3], expected, atol=1)
    assert plot.figure.axes[0].get_title() == "Grad-CAM of 229 Im-3m"


def test_closes(nickel, tiny_model):
    xmap = classified(nickel, tiny_model)
    plot = plot_interactive(nickel, xmap, tiny_model)
    assert is_followed(nickel, plot)
    # By us
    plot.close()
    assert not is_followed(nickel, plot)
    assert not plt.fignum_exists(plot.figure.number)
    plot.close()
    # With the figures of the scan
    plot = plot_interactive(nickel, xmap, tiny_model)
    nickel._plot.close()
    assert not is_followed(nickel, plot)
    assert not plt.fignum_exists(plot.figure.number)
    # By Matplotlib
    plot = plot_interactive(nickel, xmap, tiny_model)
    plt.close(plot.figure)
    nickel.axes_manager.indices = (1, 1)
    assert not is_followed(nickel, plot)
    # By the next one
    plot = plot_interactive(nickel, xmap, tiny_model)
    other = plot_interactive(nickel, xmap, tiny_model)
    assert not is_followed(nickel, plot)
    assert is_followed(nickel, other)


def test_other_dimensions(nickel, tiny_model):
    line = nickel.inav[:, 1]
    plot = plot_interactive(line, classified(line, tiny_model), tiny_model)
    line.axes_manager.indices = (2,)
    assert plot.index == (2,)
    assert plot.figure.axes[1].get_title().endswith("x = 2")
    point = nickel.inav[0, 0]
    plot = plot_interactive(point, classified(point, tiny_model), tiny_model)
    assert plot.index == ()
    assert "\n" not in plot.figure.axes[1].get_title()
    assert len(shown(plot)) == 3


def test_unusable_pattern(nickel, tiny_model):
    nickel.data[0, 0] = 3
    xmap = classified(nickel, tiny_model)
    plot = plot_interactive(nickel, xmap, tiny_model)
    assert plot.figure.axes[0].get_title() == "cannot be classified"
    assert not any(shown(plot).values())


def test_does_not_fit(nickel, tiny_model):
    xmap = classified(nickel, tiny_model)
    with pytest.raises(ValueError, match="is not of the scan"):
        plot_interactive(nickel.inav[:2], xmap, tiny_model)
    with pytest.raises(ValueError, match="The model knows"):
        plot_interactive(nickel, xmap, tiny_model, space_group=230)
    with pytest.raises(ValueError, match="no layer 'x'"):
        plot_interactive(nickel, xmap, tiny_model, layer="x")
    with pytest.raises(ValueError, match="signal_mask"):
        plot_interactive(nickel, xmap, tiny_model, signal_mask=np.ones((2, 2)))
    with pytest.raises(TypeError, match="kikuchipy EBSD"):
        plot_interactive(kp, xmap, tiny_model)
    assert not plt.get_fignums()

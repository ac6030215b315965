# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
import kikuchipy as kp
from kikuchipy.detectors import EBSDDetector
import matplotlib.pyplot as plt
import numpy as np
from orix.quaternion import Rotation
import pytest

from kikuchipy_spacegroup.plot import plot_grad_cam, plot_hough

ROTATIONS = Rotation.from_euler(np.deg2rad([[10, 40, 80], [100, 20, 5]]))
DETECTOR = EBSDDetector((60, 80), pc=(0.45, 0.35, 0.6), sample_tilt=70)


@pytest.fixture(scope="module")
def master_pattern():
    return kp.data.nickel_ebsd_master_pattern_small(projection="lambert")


@pytest.fixture(scope="module")
def simulation(master_pattern):
    pytest.importorskip("diffsims")
    from kikuchipy_spacegroup.explanation import simulate_geometry

    return simulate_geometry(
        master_pattern.phase, DETECTOR, ROTATIONS, lattice_unit="nm"
    )


@pytest.fixture(scope="module")
def patterns(master_pattern):
    simulated = master_pattern.get_patterns(
        ROTATIONS, DETECTOR, compute=True, show_progressbar=False
    )
    return simulated.data.astype("float32")


def zone_axes(ax):
    return {text.get_text(): text.xy for text in ax.texts}


class TestGradCAM:
    def test_image(self, patterns):
        cam = np.linspace(0, 1, 32 * 32).reshape(32, 32)
        ax = plot_grad_cam(patterns[0], cam)
        pattern, overlay = ax.images
        assert pattern.get_array().shape == overlay.get_array().shape == (60, 80)
        opacity = overlay.get_alpha()
        # Not outside of what the network sees, and increasing to the bottom
        assert not opacity[:, :10].any() and not opacity[:, -10:].any()
        assert (np.diff(opacity[2:58, 40]) > 0).all()
        assert not ax.texts and not ax.lines
        ax = plot_grad_cam(patterns[0], cam, caption="chance 50 %")
        assert ax.get_xlabel() == "chance 50 %"

    @pytest.mark.parametrize("size", [32, 60])
    def test_nothing_outside_of_the_circle(self, patterns, size):
        """Also where the map has the size of the pattern already."""
        pattern = patterns[0, :, 10:70]
        cam = np.zeros((size, size))
        cam[: size // 8, : size // 8] = 1
        cam[size // 2 - 4 : size // 2 + 4, size // 2 - 4 : size // 2 + 4] = 0.4
        opacity = plot_grad_cam(pattern, cam).images[1].get_alpha()
        assert not opacity[:8, :8].any()
        # The highest value inside is drawn as the highest of all
        corners = plot_grad_cam(pattern, cam, radius=None).images[1].get_alpha()
        assert corners[:4, :4].all()
        assert opacity[30, 30] == opacity.max() == pytest.approx(corners.max())
        # A map which is low everywhere stays low
        low = plot_grad_cam(pattern, np.full((size, size), 0.2))
        assert low.images[1].get_alpha().max() == pytest.approx(0.2 * corners.max())

    def test_figure_is_a_column_wide(self, patterns):
        figure = plot_grad_cam(patterns[0], np.ones((32, 32))).figure
        np.testing.assert_allclose(figure.get_size_inches(), (3.346, 2.51), atol=0.01)

    def test_given_axes_and_gaps(self, patterns):
        pattern = patterns[0].copy()
        pattern[:10] = np.nan
        ax = plt.subplots()[1]
        cam = np.full((60, 80), np.nan)
        assert plot_grad_cam(pattern, cam, ax=ax) is ax
        assert not ax.images[1].get_alpha().any()
        plot_grad_cam(np.full((60, 80), np.nan), cam, ax=ax)
        ax.figure.canvas.draw()

    def test_zone_axes_are_bright(self, patterns, simulation):
        """In a simulated pattern, bands cross and are bright there."""
        for i, pattern in enumerate(patterns):
            ax = plot_grad_cam(
                pattern, np.zeros((60, 80)), simulation=simulation, index=i, max_index=1
            )
            found = zone_axes(ax)
            assert len(found) >= 2
            for x, y in found.values():
                x, y = round(x), round(y)
                around = pattern[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
                assert around.mean() > np.percentile(pattern, 80)
            assert (ax.get_xlim(), ax.get_ylim()) == ((-0.5, 79.5), (59.5, -0.5))
            assert len(ax.lines) > 20

    def test_labels(self, patterns, simulation):
        cam = np.zeros((60, 80))
        few, many = (
            plot_grad_cam(patterns[0], cam, simulation=simulation, max_index=i)
            for i in (1, 3)
        )
        assert set(zone_axes(few)) < set(zone_axes(many))
        assert any(r"\overline{1}" in label for label in zone_axes(many))
        none = plot_grad_cam(patterns[0], cam, simulation=simulation, max_index=0)
        assert not none.texts

    def test_shapes(self, patterns, simulation):
        with pytest.raises(ValueError, match="simulation is of patterns of shape"):
            plot_grad_cam(patterns[0, :50], np.zeros((50, 80)), simulation=simulation)
        with pytest.raises(ValueError, match=r"must be of shape \(rows, columns\)"):
            plot_grad_cam(patterns, np.zeros((32, 32)))
        with pytest.raises(ValueError, match="size, size"):
            plot_grad_cam(patterns[0], np.zeros((32, 30)))


class TestHough:
    def test_missing(self, patterns, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "pyebsdindex.band_detect", None)
        with pytest.raises(ImportError, match=r"kikuchipy-spacegroup\[hough\]"):
            plot_hough(patterns, np.zeros((2, 32, 32)))

    def test_shapes(self, patterns):
        with pytest.raises(ValueError, match="of the same shape"):
            plot_hough([patterns[0], patterns[0, :30]], np.zeros((2, 32, 32)))
        with pytest.raises(ValueError, match="2 patterns need as many"):
            plot_hough(patterns, np.zeros((2, 32, 32)), names=["a"])

    def test_bands(self, patterns, simulation):
        """Found are bands that are there, the same in the same pattern."""
        pytest.importorskip("pyebsdindex")
        three = [patterns[0], patterns[1], 2 * patterns[0] + 7]
        figure = plot_hough(
            three, np.zeros((3, 32, 32)), names="abc", n_bands=5, caption="1 material"
        )
        assert figure.get_suptitle() == "1 material"
        assert figure.get_figwidth() <= 6.7
        sizes = [text.get_fontsize() for text in figure.findobj(plt.Text)]
        assert min(sizes) >= 6
        axes = np.reshape(figure.axes, (3, 3))
        assert [ax.get_ylabel() for ax in axes[:, 0]] == list("abc")
        assert axes[2, 1].get_title() == "5 of 5 bands as in the first"
        assert axes[1, 1].get_title() != "5 of 5 bands as in the first"
        assert all(len(ax.lines) == 5 for ax in axes[:, 0])
        expected = plot_grad_cam(
            patterns[0], np.zeros((32, 32)), simulation=simulation, max_index=0
        )

        def to_center(line):
            (x0, x1), (y0, y1) = line.get_data()
            normal = np.array([y1 - y0, x0 - x1]) / np.hypot(x1 - x0, y1 - y0)
            rho = normal @ (x0 - 39.5, y0 - 29.5)
            return np.array([rho * normal[0], rho * normal[1]])

        simulated = np.array([to_center(line) for line in expected.lines])
        for line in axes[0, 0].lines:
            distance = np.linalg.norm(simulated - to_center(line), axis=1)
            assert distance.min() < 2.5

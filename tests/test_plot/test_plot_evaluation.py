# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures show what the tables say."""

import matplotlib as mpl
import numpy as np
from orix.quaternion import Rotation
import pandas as pd
import pytest

from kikuchipy_spacegroup import evaluation as ev
from kikuchipy_spacegroup import plot

GROUPS = (221, 225, 229)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(1)
    tables = []
    for name, group in {"NiAl": 221, "Ni": 225, "Al": 225, "Fe": 229}.items():
        p = rng.dirichlet(np.ones(3), 60)
        p += (np.array(GROUPS) == group) * rng.random((60, 1))
        tables.append(
            ev.pattern_table(
                p / p.sum(axis=1, keepdims=True), GROUPS, truth=group, material=name,
                trained_on=["Ni"], min_probability=0.4, bc=rng.normal(100, 9, 60),
                rotations=Rotation.random(60),
            )
        )  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def text_of(figure):
    import matplotlib.pyplot as plt

    return " ".join(t.get_text() for t in figure.findobj(plt.Text))


def check_summary(figure):
    """Chance, number of materials and those in training stand in all."""
    text = text_of(figure)
    assert "4 materials" in text
    assert "1 in training" in text or "1 in\ntraining" in text
    assert "33.3%" in text


def test_accuracies(table):
    axes = plot.plot_accuracies(table, atomic_numbers={"Al": 13.46, "Ni": 28})
    assert [ax.get_title()[:3] for ax in axes] == ["221", "225", "229"]
    scores = ev.accuracy(table, "material")["accuracy"]
    heights = [bar.get_height() for bar in axes[1].patches]
    np.testing.assert_allclose(heights, scores[["Al", "Ni"]])
    labels = [label.get_text() for label in axes[1].get_xticklabels()]
    assert labels == ["Al\n13.5", "Ni\n28"]
    assert [bool(bar.get_hatch()) for bar in axes[1].patches] == [False, True]
    check_summary(axes[0].figure)


def boxes_of_names(axes):
    axes[0].figure.draw_without_rendering()
    boxes = [
        label.get_window_extent()
        for ax in axes
        for label in ax.get_xticklabels()
        if label.get_text()
    ]
    whole = axes[0].figure.bbox
    for box in boxes:
        assert whole.x0 <= box.x0 and box.x1 <= whole.x1 and box.y0 >= whole.y0
    return boxes


class TestNames:
    """Names of materials never overlap, in a panel or across panels."""

    @pytest.mark.parametrize(
        "names", [
            {"Ni": "Austenite (FCC iron)", "Al": "Titanium carbide"},
            {"Ni": "Austenite", "Al": "Aluminium", "NiAl": "Nickel aluminide"},
            {"Fe": "Tetrataenite_of_a_long_name"},
            {"Ni": "Nickel-base superalloy", "Al": "Molybdenumhemicarbide"},
        ],
    )  # fmt: skip
    def test_long(self, table, names):
        table = table.replace({"material": names})
        axes = plot.plot_accuracies(table, atomic_numbers={"Austenite": 26})
        boxes = boxes_of_names(axes)
        assert len(boxes) == 4
        for i, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[i + 1 :])
        text = "".join(text_of(axes[0].figure).split())
        assert all(name.replace(" ", "") in text for name in names.values())
        assert len({round(ax.bbox.height) for ax in axes}) == 1

    def test_many(self, table):
        many = [table.assign(material=table["material"] + f" {i}") for i in range(4)]
        boxes = boxes_of_names(plot.plot_accuracies(pd.concat(many)))
        assert len(boxes) == 16
        for i, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[i + 1 :])

    def test_short_ones_stand_as_they_are(self, table):
        figure = plot.plot_accuracies(table)[0].figure
        assert figure.get_figheight() == pytest.approx(2.6)


@pytest.mark.parametrize(
    "draw", [
        plot.plot_accuracies, plot.plot_confusion_matrix, plot.plot_reliability_diagram,
        plot.plot_inverse_pole_figures, lambda table: plot.plot_quality(table, "bc"),
    ],
)  # fmt: skip
def test_nothing_to_draw(table, draw):
    with pytest.raises(ValueError, match="The table has no patterns"):
        draw(table[:0])


@pytest.mark.parametrize("normalize", [True, False])
def test_confusion(table, normalize):
    ax = plot.plot_confusion_matrix(table, normalize=normalize)
    image = ax.images[0].get_array()
    np.testing.assert_allclose(image, ev.confusion_matrix(table, normalize=True))
    assert ax.get_xticklabels()[-1].get_text() == "?"
    check_summary(ax.figure)


def test_reliability(table):
    ax = plot.plot_reliability_diagram(table)
    bins = ev.reliability_diagram(table).dropna()
    points = ax.collections[0].get_offsets()
    np.testing.assert_allclose(points, bins[["probability", "accuracy"]])
    check_summary(ax.figure)


def test_quality(table):
    ax = plot.plot_quality(table, "bc")
    labels = [t.get_text() for t in ax.get_legend().get_texts()]
    right = int((table["predicted"] == table["space_group"]).sum())
    assert labels == ["all (240)", f"right ({right})", f"wrong ({240 - right})"]
    check_summary(ax.figure)
    with pytest.raises(ValueError, match="No column 'material' of numbers"):
        plot.plot_quality(table, "material")


class TestInversePoleFigures:
    def test_panels(self, table):
        axes = plot.plot_inverse_pole_figures(table, directions="z")
        assert axes.shape == (3, 1)
        assert axes[0, 0].get_title() == "Z, all (240)"
        check_summary(axes[0, 0].figure)

    def test_labels_are_apart(self, table):
        # Matplotlib 3.8 is a part of a pixel off
        rounding = 0 if mpl.__version_info__ >= (3, 9) else 1
        axes = plot.plot_inverse_pole_figures(table)
        figure = axes[0, 0].figure
        figure.draw_without_rendering()
        texts = [text for ax in axes.flat for text in (*ax.texts, ax.title)]
        boxes = [text.get_window_extent() for text in texts if text.get_text()]
        boxes.append(figure.axes[-1].get_tightbbox())
        for i, box in enumerate(boxes):
            assert -rounding <= box.x0 and box.x1 <= figure.bbox.x1 + rounding
            assert not any(box.overlaps(other) for other in boxes[i + 1 :])

    def test_nothing_wrong(self, table):
        right = table[table["predicted"] == table["space_group"]]
        axes = plot.plot_inverse_pole_figures(right, "m-3m", directions="x")
        assert "wrong (0)" in axes[2, 0].get_title()

    def test_errors(self, table):
        with pytest.raises(ValueError, match="no patterns with orientations"):
            plot.plot_inverse_pole_figures(table.assign(Phi=np.nan))
        with pytest.raises(ValueError, match="no orientations"):
            plot.plot_inverse_pole_figures(table.drop(columns="phi1"))
        mixed = table.assign(space_group=np.where(table.index < 9, 194, 225))
        with pytest.raises(ValueError, match="give `symmetry`"):
            plot.plot_inverse_pole_figures(mixed)
        with pytest.raises(ValueError, match="no point group 'x'"):
            plot.plot_inverse_pole_figures(table, "x")

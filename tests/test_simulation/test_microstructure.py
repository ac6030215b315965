# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Made-up maps have the microstructure that was asked for."""

import numpy as np
from orix import io
from orix.crystal_map import CrystalMap, Phase, create_coordinate_arrays
from orix.quaternion import Orientation, Rotation
import pytest
from scipy.ndimage import label
from scipy.stats import kstest, norm
from sklearn.metrics import adjusted_rand_score

from kikuchipy_spacegroup.maps import grains_from_orientations
from kikuchipy_spacegroup.simulation import overlap_grains, random_map

PHASES = [
    Phase("austenite", space_group=225),
    Phase("ferrite", space_group=229),
    Phase("cementite", space_group=62),
]


@pytest.fixture(scope="module")
def xmap():
    fractions = (0.5, 0.3, 0.2)
    return random_map(PHASES, (90, 110), phase_fractions=fractions, seed=4)


class TestRandomMap:
    def test_is_a_map(self, xmap):
        assert xmap.shape == (90, 110)
        assert xmap.phases.ids == [0, 1, 2]
        assert xmap.phases.names == ["austenite", "ferrite", "cementite"]
        assert [p.space_group.number for _, p in xmap.phases] == [225, 229, 62]
        assert len({p.color for _, p in xmap.phases}) == 3
        assert xmap.scan_unit == "um"
        assert xmap.rotations_per_point == 1

    def test_fractions(self, xmap):
        largest = np.bincount(xmap.grain_id).max() / xmap.size
        for i, fraction in enumerate((0.5, 0.3, 0.2)):
            assert np.mean(xmap.phase_id == i) == pytest.approx(fraction, abs=largest)

    def test_fractions_of_many_grains(self):
        fractions = (0.9, 0.02, 0.08)
        xmap = random_map(PHASES, phase_fractions=fractions, grain_size=3)
        shares = np.bincount(xmap.phase_id) / xmap.size
        assert np.allclose(shares, fractions, atol=0.01)

    def test_phase_without_share(self):
        xmap = random_map(PHASES, (20, 20), phase_fractions=(0.6, 0, 0.4))
        assert xmap.phases.names == ["austenite", "cementite"]
        assert xmap.phases.ids == [0, 2]
        assert set(xmap.phase_id) == {0, 2}

    @pytest.mark.parametrize("size", [5, 12, 30])
    def test_grain_size(self, size):
        xmap = random_map(PHASES, (100, 150), grain_size=size)
        area = np.bincount(xmap.grain_id).mean()
        assert np.sqrt(4 * area / np.pi) == pytest.approx(size, rel=0.03)

    def test_grains(self, xmap):
        """Each grain is one piece of one phase, numbered as it appears."""
        grid = xmap.get_map_data("grain_id")
        corners = np.ones((3, 3))
        assert all(label(grid == i, corners)[1] == 1 for i in np.unique(grid))
        values, first = np.unique(xmap.grain_id, return_index=True)
        assert (np.diff(first) > 0).all()
        assert np.array_equal(values, np.arange(len(values)))
        for i in values:
            assert len(set(xmap.phase_id[xmap.grain_id == i])) == 1

    def test_found_by_orientations(self):
        """Neighbors in a grain are alike, and others are not."""
        xmap = random_map(PHASES[:1], (50, 50))
        found = grains_from_orientations(xmap)
        assert adjusted_rand_score(found, xmap.grain_id) > 0.99

    @pytest.mark.parametrize("spread", [0.5, 3])
    def test_spread(self, spread):
        xmap = random_map(PHASES[1:2], (60, 80), orientation_spread=spread)
        group = PHASES[1].point_group
        angles = np.zeros(xmap.size)
        for i in np.unique(xmap.grain_id):
            of_grain = xmap.grain_id == i
            o = Orientation(xmap.rotations[of_grain], group)
            angles[of_grain] = o.angle_with(o.mean(), degrees=True)
        assert angles.mean() == pytest.approx(spread, rel=0.02)

    def test_no_spread(self):
        xmap = random_map(PHASES, (20, 20), orientation_spread=0)
        for i in np.unique(xmap.grain_id):
            q = xmap.rotations[xmap.grain_id == i].data
            assert np.allclose(q, q[0], atol=1e-12)

    def test_uniform_orientations(self):
        """The angle w of rotations goes as (w - sin w) / pi."""
        xmap = random_map(PHASES, (60, 80), grain_size=2, orientation_spread=0)
        _, first = np.unique(xmap.grain_id, return_index=True)
        angles = xmap.rotations[first].angle
        assert len(first) > 1000
        assert kstest(angles, lambda w: (w - np.sin(w)) / np.pi).pvalue > 0.01

    def test_seed(self, xmap):
        fractions = (0.5, 0.3, 0.2)
        again, other = (
            random_map(PHASES, (90, 110), phase_fractions=fractions, seed=seed)
            for seed in (4, 5)
        )
        assert np.array_equal(again.rotations.data, xmap.rotations.data)
        assert np.array_equal(again.phase_id, xmap.phase_id)
        for name in xmap.prop:
            assert np.array_equal(again.prop[name], xmap.prop[name])
        assert not np.array_equal(other.phase_id, xmap.phase_id)

    def test_purity(self, xmap):
        grain, other = xmap.grain_id, xmap.mixed_with
        pure = xmap.purity == 1
        assert 0.5 < pure.mean() < 0.95
        assert xmap.purity.min() >= 0.5
        assert (other[pure] == -1).all() and (xmap.second_phase_id[pure] == -1).all()
        assert (grain[other[~pure]] != grain[~pure]).all()
        assert np.array_equal(xmap.second_phase_id[~pure], xmap.phase_id[other[~pure]])
        y, x = np.divmod(other[~pure], 110)
        apart = np.hypot(
            y - np.nonzero(~pure)[0] // 110, x - np.nonzero(~pure)[0] % 110
        )
        assert apart.max() < 2.5

    def test_purity_of_boundaries_anywhere(self, xmap):
        """Points next to boundaries are at all distances from them."""
        grid = xmap.get_map_data("grain_id")
        across = grid[:, 1:] != grid[:, :-1]
        purity = xmap.get_map_data("purity")
        lower = np.minimum(purity[:, 1:], purity[:, :-1])[across]
        assert lower.min() < 0.52 and lower.max() > 0.8

    def test_no_overlap(self):
        xmap = random_map(PHASES, (20, 20), overlap=0)
        assert (xmap.purity == 1).all() and (xmap.mixed_with == -1).all()

    def test_one_grain(self):
        xmap = random_map(PHASES[:1], (10, 10), grain_size=100)
        assert (xmap.grain_id == 0).all() and (xmap.purity == 1).all()

    def test_step_size(self):
        xmap = random_map(PHASES, (4, 5), step_size=0.25)
        assert (xmap.dx, xmap.dy) == (0.25, 0.25)

    def test_input_is_not_changed(self):
        phases = [phase.deepcopy() for phase in PHASES]
        random_map(phases, (4, 5))
        assert [p.color for p in phases] == [p.color for p in PHASES]

    def test_saved_and_loaded(self, xmap, tmp_path):
        io.save(str(tmp_path / "a.h5"), xmap)
        loaded = io.load(str(tmp_path / "a.h5"))
        assert np.array_equal(loaded.phase_id, xmap.phase_id)
        for name in xmap.prop:
            assert np.array_equal(loaded.prop[name], xmap.prop[name])
            assert loaded.prop[name].dtype == xmap.prop[name].dtype

    @pytest.mark.parametrize(
        ["kwargs", "match"],
        [
            ({"shape": (0, 3)}, "shape"),
            ({"shape": (3,)}, "shape"),
            ({"phases": []}, "different names"),
            ({"phases": [Phase(space_group=1)]}, "different names"),
            ({"phases": PHASES + PHASES[:1]}, "different names"),
            ({"phase_fractions": (0.5, 0.5)}, "one number per phase"),
            ({"phase_fractions": (0.5, 0.2, 0.2)}, "add up to 1"),
            ({"phase_fractions": (1.5, -0.5, 0)}, "none negative"),
            ({"phase_fractions": (np.nan, 0.5, 0.5)}, "none negative"),
            ({"grain_size": 0}, "grain_size"),
            ({"orientation_spread": -1}, "orientation_spread"),
            ({"overlap": np.inf}, "overlap"),
            ({"step_size": 0}, "step_size"),
        ],
    )
    def test_errors(self, kwargs, match):
        with pytest.raises(ValueError, match=match):
            random_map(**({"phases": PHASES, "shape": (6, 6)} | kwargs))


class TestOverlapGrains:
    @staticmethod
    def map_of(labels, phase_id=None):
        labels = np.asarray(labels)
        coordinates, _ = create_coordinate_arrays(labels.shape)
        return CrystalMap(
            rotations=Rotation.random(labels.size),
            phase_id=np.zeros(labels.size, int) if phase_id is None else phase_id,
            **coordinates,
        )

    def test_straight_boundary(self):
        labels = np.repeat([[7, 7, 7, 2, 2, 2]], 4, axis=0)
        sigma = 2 / np.sqrt(8 * np.log(2))
        new = overlap_grains(self.map_of(labels), labels, overlap=2)
        expected = norm.cdf(np.array([2.5, 1.5, 0.5, 0.5, 1.5, 2.5]) / sigma)
        expected[[0, -1]] = new.purity[[0, 5]]
        assert np.allclose(new.get_map_data("purity"), expected)
        assert new.get_map_data("mixed_with")[1, 1:5].tolist() == [9, 9, 8, 8]

    def test_one_dimension(self):
        xmap = self.map_of([0, 0, 1])
        new = overlap_grains(xmap, np.array([0, 0, 1]))
        assert new.mixed_with.tolist() == [-1, 2, 1]

    def test_not_indexed(self):
        labels = np.array([[0, -1], [0, -1]])
        new = overlap_grains(self.map_of(labels, np.ravel(labels)), labels)
        assert new.mixed_with.tolist() == [1, 0, 3, 2]
        assert new.second_phase_id.tolist() == [-1, 0, -1, 0]

    def test_input_is_not_changed(self):
        xmap = self.map_of([[0, 1]])
        overlap_grains(xmap, np.array([0, 1]))
        assert list(xmap.prop) == []

    def test_errors(self):
        labels = np.zeros((3, 4), int)
        xmap = self.map_of(labels)
        with pytest.raises(ValueError, match="grain_ids must be 12 integers"):
            overlap_grains(xmap, labels[:2])
        with pytest.raises(ValueError, match="grain_ids must be 12 integers"):
            overlap_grains(xmap, labels.astype(float))
        with pytest.raises(ValueError, match="overlap must"):
            overlap_grains(xmap, labels, -1)
        with pytest.raises(ValueError, match="rectangular map"):
            overlap_grains(xmap[:2], labels[:2])

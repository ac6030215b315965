# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps of the finest symmetry that is probable enough."""

import numpy as np
from orix import io
from orix.crystal_map import Phase
import pytest

from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.maps import (
    coarsen_map,
    crystal_map,
    navigation_masks,
    pool_grains,
    probabilities_from_map,
    save_map,
    symmetry_map,
)

ALL = range(1, 231)


@pytest.fixture
def table():
    rng = np.random.default_rng(6)
    p = np.concatenate([rng.dirichlet(np.full(230, a), 15) for a in (0.003, 0.01)])
    p = p.reshape(5, 6, 230)
    p[0, 0] = np.nan
    return p


@pytest.fixture
def mask():
    mask = np.zeros((5, 6), dtype=bool)
    mask[2, 1:3] = True
    return mask


@pytest.fixture
def xmap(table, mask):
    return crystal_map(table, ALL, min_probability=0.7, navigation_mask=mask)


class TestCrystalMap:
    """What maps of many space groups hold."""

    def test_few_columns(self, xmap):
        """The best few groups and the chain, not all 230."""
        widths = {np.reshape(xmap.prop[i], (xmap.size, -1)).shape[1] for i in xmap.prop}
        assert max(widths) == len(sg.CHAIN)
        sizes = [xmap.prop[i].nbytes for i in xmap.prop]
        assert sum(sizes) / xmap.size < 64

    def test_chain(self, xmap, table, mask):
        ids, probabilities = sg.symmetry_chain(table.astype("float32")[~mask], ALL)
        assert np.array_equal(xmap.prop["chain_ids"], ids)
        assert np.array_equal(xmap.prop["chain_probabilities"], probabilities)

    def test_chain_of_pooled_points(self, table):
        """New probabilities have a new chain."""
        table[0, 0] = table[0, 1]
        xmap = crystal_map(table, ALL, keep_probabilities=True)
        pooled = pool_grains(xmap, np.arange(30) // 6)
        ids, probabilities = sg.symmetry_chain(*probabilities_from_map(pooled))
        assert np.array_equal(pooled.prop["chain_ids"], ids)
        assert np.allclose(pooled.prop["chain_probabilities"], probabilities, atol=1e-6)


class TestSymmetryMap:
    """Answers at the points of a map."""

    @pytest.mark.parametrize("threshold", [0.5, 0.8])
    def test_answers(self, xmap, table, mask, threshold):
        levels, ids, best = sg.finest_symmetry(table[~mask], ALL, threshold)
        found = symmetry_map(xmap, threshold)
        assert np.array_equal(found.prop["symmetry_levels"], levels)
        assert np.array_equal(found.prop["symmetry_ids"], ids)
        assert np.allclose(found.prop["scores"], best, atol=1e-6)
        assert found.shape == xmap.shape
        assert np.array_equal(found.is_in_data, xmap.is_in_data)
        assert len(set(levels)) > 2
        for i, level, number in zip(found.phase_id, levels, ids):
            if level == -1:
                assert i == -1
                continue
            assert i == 1000 * level + number
            phase = found.phases[i]
            assert phase.name == sg.coarsen(number, sg.CHAIN[level])
            group = sg.get_space_group(number)
            reference = Phase(space_group=int(number)).point_group
            if level == 0:
                assert phase.space_group.number == number == i
            elif 2 <= level <= 4 and group.point_group != "m":
                assert phase.point_group.name == reference.laue.name

    def test_what_was_not_identified_may_be_known(self, xmap):
        found = symmetry_map(xmap)
        assert ((xmap.phase_id == -1) & (found.phase_id > 1000)).any()
        assert found.phase_id[0] == -1  # NaN
        assert (symmetry_map(xmap, 1).phase_id == -1).mean() > 0.5

    def test_pairs(self):
        p = np.array([[0.3, 0.6, 0.1], [0.45, 0.45, 0.1]])
        xmap = crystal_map(p, [152, 154, 225])
        found = symmetry_map(xmap)
        assert found.phase_id.tolist() == [1152, 1152]
        assert found.phases[1152].name == "P3121 or P3221"
        assert np.allclose(found.prop["scores"], 0.9)
        found = symmetry_map(xmap, separate_enantiomorphs=True)
        assert found.phase_id.tolist() == [154, 1152]

    def test_colors(self, xmap):
        found = symmetry_map(xmap)
        colors = [phase.color for _, phase in found.phases]
        assert len(set(colors)) == len(colors) > 5
        few = crystal_map(np.array([[0.9, 0.1, 0], [0.4, 0.4, 0.2]]), [221, 225, 194])
        found = symmetry_map(few)
        assert found.phases[221].color == few.phases[221].color
        assert found.phases[found.phase_id[1]].color != few.phases[221].color

    @pytest.mark.filterwarnings("ignore:Setting space group to")
    def test_h5(self, xmap, tmp_path):
        """Before or after saving is the same."""
        found = symmetry_map(xmap, 0.6)
        save_map(tmp_path / "map.h5", xmap)
        again = symmetry_map(io.load(str(tmp_path / "map.h5")), 0.6)
        save_map(tmp_path / "symmetry.h5", found)
        for other in (again, io.load(str(tmp_path / "symmetry.h5"))):
            assert np.array_equal(other.phase_id, found.phase_id)
            names = [phase.name for _, phase in found.phases]
            assert [phase.name for _, phase in other.phases] == names
            for name in found.prop:
                assert np.array_equal(other.prop[name], found.prop[name])
                assert other.prop[name].dtype == found.prop[name].dtype

    def test_ang(self, table, tmp_path):
        found = symmetry_map(crystal_map(table, ALL), 0.6)
        save_map(tmp_path / "map.ang", found)
        other = io.load(str(tmp_path / "map.ang"))
        known = found.phase_id > 0
        for name in ("symmetry_levels", "symmetry_ids", "scores"):
            assert np.allclose(
                other.prop[name][known], found.prop[name][known], atol=1e-4
            )
            assert (other.prop[name][~known] == 0).all()

    def test_slices(self, xmap):
        found = symmetry_map(xmap)
        part = symmetry_map(xmap[1:3, 2:5])
        assert np.array_equal(part.phase_id, found[1:3, 2:5].phase_id)
        assert symmetry_map(xmap[xmap.scores > 2]).size == 0

    def test_maps_of_before(self, table):
        """All probabilities are enough."""
        xmap = crystal_map(table, ALL, keep_probabilities=True)
        expected = symmetry_map(xmap)
        del xmap.prop["chain_ids"]
        assert np.array_equal(symmetry_map(xmap).phase_id, expected.phase_id)
        del xmap.prop["probabilities"]
        with pytest.raises(ValueError, match="classify the scan again"):
            symmetry_map(xmap)

    def test_threshold(self, xmap):
        with pytest.raises(ValueError, match=r"from 0\.5 to 1"):
            symmetry_map(xmap, 0.4)

    def test_other_steps_stay_with_space_groups(self, xmap):
        """What works on space groups finds them in the map of symmetry too."""
        found = symmetry_map(xmap)
        masks = navigation_masks(xmap, index_not_identified=False)
        again = navigation_masks(found, index_not_identified=False)
        assert set(masks) == set(again)
        p = np.array([[0.9, 0.1], [0.4, 0.6]])
        few = symmetry_map(crystal_map(p, [225, 194], keep_probabilities=True))
        assert coarsen_map(few, "crystal_system").phases.names == ["hexagonal", "cubic"]


@pytest.mark.parametrize("level", ["diffraction_symbol", "laue_class_with_lattice"])
def test_coarsen_map_has_laue_groups(level):
    xmap = crystal_map(np.eye(230)[None], ALL, keep_probabilities=True)
    coarse = coarsen_map(xmap, level)
    for i in (1, 16, 75, 150, 189, 216, 230):
        phase = coarse.phases[coarse.phase_id[i - 1]]
        assert phase.name == sg.coarsen(i, level)
        assert phase.point_group.name == Phase(space_group=i).point_group.laue.name

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layout of results, and what survives in files."""

import kikuchipy as kp
import numpy as np
from orix import io
import pytest

from kikuchipy_spacegroup.maps import (
    crystal_map,
    prediction_sets_from_map,
    probabilities_from_map,
    save_map,
)

GROUPS = (229, 225, 194, 62)


@pytest.fixture
def probabilities():
    rng = np.random.default_rng(1)
    p = rng.dirichlet([0.3] * 4, size=(3, 5)).astype("float32")
    p[0, 0] = np.nan
    p[0, 1] = [0.4, 0.3, 0.2, 0.1]
    p[0, 2] = [0.05, 0.9, 0.05, 0]
    return p


@pytest.fixture
def mask():
    mask = np.zeros((3, 5), dtype=bool)
    mask[2, 1:3] = True
    return mask


@pytest.fixture
def xmap(probabilities, mask):
    return crystal_map(
        probabilities,
        GROUPS,
        min_probability=0.5,
        navigation_mask=mask,
        step_sizes=(1.5, 0.5),
        scan_unit="um",
        keep_probabilities=True,
    )


def assert_equal_maps(a, b):
    assert a.shape == b.shape
    assert np.array_equal(a.phase_id, b.phase_id)
    assert np.array_equal(a.is_in_data, b.is_in_data)
    assert np.allclose(a.x, b.x)
    assert np.allclose(a.y, b.y)
    assert a.scan_unit == b.scan_unit
    for name in set(a.prop) | set(b.prop):
        assert np.array_equal(a.prop[name], b.prop[name]), name
        assert a.prop[name].dtype == b.prop[name].dtype


class TestCrystalMap:
    """Phases, points and properties."""

    def test_phases_are_space_groups(self, xmap, probabilities, mask):
        best = np.nan_to_num(probabilities).argmax(axis=-1)
        score = np.nan_to_num(probabilities).max(axis=-1)
        expected = np.where(score >= 0.5, np.array(GROUPS)[best], -1)
        assert np.array_equal(xmap.phase_id, expected[~mask])
        for number, phase in xmap.phases:
            assert number == -1 or phase.space_group.number == number

    def test_colors_depend_on_the_classes_only(self, xmap, probabilities):
        one = crystal_map(probabilities[:1, :1], GROUPS)
        for number in one.phases.ids:
            assert one.phases[number].color == xmap.phases[number].color
        several = crystal_map(np.eye(10), range(221, 231))
        last = crystal_map(np.eye(10)[9:], range(221, 231))
        assert len(set(several.phases.colors)) == 10
        assert last.phases.colors == several.phases.colors[9:]

    def test_not_identified_and_masked(self, xmap, mask):
        assert xmap[0, 0].phase_id == -1
        assert xmap[0, 0].prop["scores"] == 0
        assert xmap[0, 0].prop["top_space_groups"].tolist() == [[-1, -1, -1]]
        assert xmap[0, 1].phase_id == -1
        assert xmap[0, 1].prop["scores"] == np.float32(0.4)
        assert xmap[0, 2].phase_id == 225
        assert np.array_equal(xmap.is_in_data, ~mask.ravel())

    def test_top(self, xmap, probabilities):
        point = xmap[0, 1]
        assert point.prop["top_space_groups"].tolist() == [[229, 225, 194]]
        assert np.allclose(point.prop["top_probabilities"], [[0.4, 0.3, 0.2]])

    def test_keep_n_beyond_classes(self, probabilities):
        xmap = crystal_map(probabilities, GROUPS, keep_n=10)
        assert xmap.prop["top_space_groups"].shape == (15, 4)

    def test_coordinates(self, xmap):
        assert xmap.dx == 0.5
        assert xmap.dy == 1.5
        assert xmap.shape == (3, 5)
        assert xmap.scan_unit == "um"

    def test_no_navigation_dimension(self):
        xmap = crystal_map(np.array([0.1, 0.7, 0.1, 0.1]), GROUPS)
        assert xmap.size == 1
        assert xmap.phase_id.tolist() == [225]

    def test_probabilities(self, xmap, probabilities, mask):
        p, groups = probabilities_from_map(xmap)
        assert groups == GROUPS
        assert np.array_equal(p, np.nan_to_num(probabilities)[~mask])
        with pytest.raises(ValueError, match="keep_probabilities=True"):
            probabilities_from_map(crystal_map(probabilities, GROUPS))

    def test_all_unknown(self):
        xmap = crystal_map(np.full((2, 2, 4), np.nan), GROUPS)
        assert (xmap.phase_id == -1).all()

    def test_all_classes(self):
        groups = range(1, 231)
        given = np.eye(230)[None], list(groups)
        xmap = crystal_map(*given, separate_enantiomorphs=True)
        assert np.array_equal(xmap.phase_id, groups)


class TestFiles:
    """What survives."""

    def test_orix(self, xmap, tmp_path):
        path = tmp_path / "map.h5"
        save_map(path, xmap)
        loaded = io.load(str(path))
        assert_equal_maps(loaded, xmap)
        assert probabilities_from_map(loaded)[1] == GROUPS
        assert [p.name for p in tmp_path.iterdir()] == ["map.h5"]

    def test_kikuchipy(self, xmap, tmp_path):
        s = kp.signals.EBSD(np.random.default_rng(1).random((3, 5, 10, 10)))
        for axis, name, scale in zip(
            s.axes_manager.navigation_axes, "xy", (0.5, 1.5), strict=True
        ):
            axis.name, axis.scale, axis.units = name, scale, "um"
        s.xmap = xmap
        s.save(tmp_path / "scan.h5")
        loaded = kp.load(tmp_path / "scan.h5")
        assert_equal_maps(loaded.xmap, xmap)
        assert np.array_equal(loaded.data, s.data)
        part = loaded.inav[1:3, :2].xmap
        assert np.array_equal(part.phase_id, xmap[:2, 1:3].phase_id)

    def test_kikuchipy_without_masked_edges(self, probabilities):
        """Such a map cannot be attached to its scan."""
        mask = np.zeros((3, 5), dtype=bool)
        mask[:, 0] = True
        s = kp.signals.EBSD(np.zeros((3, 5, 10, 10)))
        for axis, name in zip(s.axes_manager.navigation_axes, "xy", strict=True):
            axis.name = name
        with pytest.raises(ValueError, match=r"Crystal map shape \(3, 4\)"):
            s.xmap = crystal_map(probabilities, GROUPS, navigation_mask=mask)

    @pytest.mark.parametrize("looked_at", ["not", "whole", "part"])
    def test_ang(self, xmap, tmp_path, looked_at):
        """The space group is a column, whatever happens to phases."""
        if looked_at == "whole":
            repr(xmap)
        elif looked_at == "part":
            repr(xmap[0, :2])
        path = tmp_path / "map.ang"
        save_map(path, xmap)
        assert "space_group" not in xmap.prop
        columns = np.loadtxt(path)
        assert columns.shape == (15, 12)
        phase_id = np.full(15, -1)
        phase_id[xmap.is_in_data] = xmap.phase_id
        known = phase_id != -1
        scores = xmap.prop["scores"][xmap.phase_id != -1]
        assert np.array_equal(columns[known, 10], phase_id[known])
        assert np.allclose(columns[known, 11], scores, atol=1e-4)
        assert not columns[known, :3].any()
        # Not identified, and masked: nothing tells which
        assert (~known).sum() == (xmap.phase_id == -1).sum() + 2
        assert np.allclose(columns[~known, :3], 4 * np.pi, atol=1e-4)
        assert (columns[~known, 6] == -1).all()
        assert (columns[~known, 7] == 0).all()
        assert not columns[~known, 10:].any()

    def test_ang_of_one_phase(self, tmp_path):
        p = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.9, 0.1]])
        save_map(tmp_path / "map.ang", crystal_map(p, (225, 229), min_probability=0.7))
        columns = np.loadtxt(tmp_path / "map.ang")
        assert columns[:, 7].tolist() == [1, -1, 1, 1]
        assert columns[:, 10].tolist() == [225, 0, 225, 225]

    def test_ang_of_other_ids(self, xmap, tmp_path):
        """Candidates and combined maps have IDs of their own."""
        nickel = kp.data.nickel_ebsd_small().xmap
        save_map(tmp_path / "nickel.ang", nickel)
        columns = np.loadtxt(tmp_path / "nickel.ang")
        assert nickel.phase_id.tolist() == [0] * 9
        assert columns[:, 10].tolist() == [225] * 9
        assert np.allclose(columns[:, :3], nickel.rotations.to_euler(), atol=1e-4)

    def test_ang_without_masked_edges(self, probabilities, tmp_path):
        mask = np.zeros((3, 5), dtype=bool)
        mask[:, 0] = True
        xmap = crystal_map(probabilities, GROUPS, navigation_mask=mask)
        save_map(tmp_path / "map.ang", xmap)
        columns = np.loadtxt(tmp_path / "map.ang")
        assert len(columns) == 12
        assert columns[0, 3:5].tolist() == [0, 0]
        assert np.array_equal(columns[columns[:, 10] > 0, 10], xmap.phase_id)

    def test_errors_before_work(self, xmap, tmp_path):
        with pytest.raises(ValueError, match="not 'map.ctf'"):
            save_map(tmp_path / "map.ctf", xmap)
        with pytest.raises(FileNotFoundError, match="no folder"):
            save_map(tmp_path / "no" / "map.h5", xmap)
        path = tmp_path / "map.h5"
        path.write_text("mine")
        with pytest.raises(FileExistsError, match="overwrite=True"):
            save_map(path, xmap)
        assert path.read_text() == "mine"
        save_map(path, xmap, overwrite=True)
        assert io.load(str(path)).size == xmap.size


class TestSpaceGroupSets:
    def test_agrees_with_all_probabilities(self, xmap, probabilities, mask):
        sets = prediction_sets_from_map(xmap, 0.15)
        for row, found in zip(probabilities[~mask], sets, strict=True):
            if np.isnan(row).any():
                assert found == ()
                continue
            expected = {GROUPS[i] for i in np.flatnonzero(row >= 0.15)}
            assert set(found) == expected | {GROUPS[row.argmax()]}
            assert found[0] == GROUPS[row.argmax()]

    def test_threshold_above_all_leaves_the_best(self, xmap):
        assert {len(i) for i in prediction_sets_from_map(xmap, 1)} == {0, 1}

    def test_of_a_saved_map(self, xmap, tmp_path):
        save_map(tmp_path / "map.h5", xmap)
        loaded = io.load(tmp_path / "map.h5")
        assert prediction_sets_from_map(loaded, 0.2) == prediction_sets_from_map(
            xmap, 0.2
        )

    def test_groups_that_were_not_kept(self, probabilities):
        xmap = crystal_map(probabilities, GROUPS, keep_n=2)
        with pytest.raises(ValueError, match="larger `keep_n`"):
            prediction_sets_from_map(xmap, 0.05)
        everything = crystal_map(
            probabilities, GROUPS, keep_n=2, keep_probabilities=True
        )
        enough = crystal_map(probabilities, GROUPS, keep_n=4)
        assert prediction_sets_from_map(everything, 0.05) == prediction_sets_from_map(
            enough, 0.05
        )

    def test_threshold_of_each_space_group(self, probabilities):
        everything = crystal_map(probabilities, GROUPS, keep_probabilities=True)
        one = dict.fromkeys(GROUPS, 0.15)
        assert prediction_sets_from_map(everything, one) == prediction_sets_from_map(
            everything, 0.15
        )
        first = one | {GROUPS[0]: 0.01}
        sets = prediction_sets_from_map(everything, first)
        p = probabilities.reshape(-1, len(GROUPS))
        expected = (p[:, 0] >= 0.01) | (p.argmax(axis=1) == 0)
        known = np.isfinite(p).all(axis=1)
        assert [GROUPS[0] in i for i in sets] == (expected & known).tolist()
        assert sets != prediction_sets_from_map(everything, one)
        # Of those that are not kept, none may have reached its threshold
        few = crystal_map(probabilities, GROUPS, keep_n=2)
        with pytest.raises(ValueError, match="larger `keep_n`"):
            prediction_sets_from_map(few, first)
        high = dict.fromkeys(GROUPS, 0.9)
        assert prediction_sets_from_map(few, high) == prediction_sets_from_map(
            everything, 0.9
        )

    def test_threshold_that_is_missing(self, xmap):
        with pytest.raises(ValueError, match=f"but {GROUPS[0]} is in the map"):
            prediction_sets_from_map(
                xmap, {GROUPS[1]: 0.1, GROUPS[2]: 0.1, GROUPS[3]: 0.1}
            )

    @pytest.mark.parametrize("threshold", [0, 1.1, -1])
    def test_bad_threshold(self, xmap, threshold):
        with pytest.raises(ValueError, match="The threshold must be in"):
            prediction_sets_from_map(xmap, threshold)

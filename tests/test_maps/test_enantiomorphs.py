# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two space groups of an enantiomorphic pair are one answer unless asked otherwise."""

import numpy as np
from orix import io
from orix.crystal_map import CrystalMap, Phase, PhaseList
from orix.quaternion import Rotation
import pytest

from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.evaluation import pattern_table
from kikuchipy_spacegroup.maps import (
    candidate_probabilities,
    coarsen_map,
    combine,
    crystal_map,
    identify_phases,
    navigation_masks,
    pool_grains,
    prediction_sets_from_map,
    probabilities_from_map,
    save_map,
    symmetry_map,
)
from kikuchipy_spacegroup.models._predict import most_probable

GROUPS = [225, 152, 154, 194]
# The pair together, 225, 154 alone
P = np.array([[0.4, 0.3, 0.25, 0.05], [0.6, 0.2, 0.1, 0.1], [0.1, 0.1, 0.8, 0.0]])
MERGED = np.array([[0.4, 0.55, 0.05], [0.6, 0.3, 0.1], [0.1, 0.9, 0.0]])


@pytest.fixture
def xmap():
    return crystal_map(P, GROUPS, keep_probabilities=True)


def quartz(number):
    """Left- or right-handed quartz, and nickel."""
    return [Phase("quartz", space_group=number), Phase("nickel", space_group=225)]


def indexed(number):
    """Maps of dictionary indexing with both."""
    return [
        CrystalMap(
            rotations=Rotation.identity((3,)),
            phase_list=PhaseList(phase),
            prop={"scores": np.array([0.3, 0.3, 0.3])},
            x=np.arange(3),
        )
        for phase in quartz(number)
    ]


class TestMap:
    def test_one_answer(self, xmap):
        assert xmap.phase_id.tolist() == [152, 225, 152]
        assert xmap.phases[152].name == "P3121 or P3221"
        assert xmap.phases[225].name == "Fm-3m"
        np.testing.assert_allclose(xmap.prop["scores"], [0.55, 0.6, 0.9], rtol=1e-6)
        found, numbers = probabilities_from_map(xmap)
        assert numbers == (225, 152, 194)
        np.testing.assert_allclose(found, MERGED, atol=1e-6)

    def test_asked_otherwise(self):
        xmap = crystal_map(P, GROUPS, separate_enantiomorphs=True)
        assert xmap.phase_id.tolist() == [225, 225, 154]
        assert xmap.phases[154].name == "P3221"

    def test_chain_tells_them_apart_if_asked(self, xmap):
        found = symmetry_map(xmap)
        assert found.phase_id.tolist() == [1152, 225, 1152]
        found = symmetry_map(xmap, separate_enantiomorphs=True)
        assert found.phase_id.tolist() == [1152, 225, 154]

    def test_pair_of_which_only_one_is_known(self):
        """It stands for both, so that the handedness is never an answer."""
        xmap = crystal_map(np.array([[0.1, 0.9]]), [225, 154])
        assert xmap.phases[154].name == "P3121 or P3221"
        assert symmetry_map(xmap, separate_enantiomorphs=True).phase_id[0] == 1152

    def test_pooled(self, xmap):
        pooled = pool_grains(xmap, np.array([0, 0, 0]))
        assert pooled.phase_id.tolist() == [152] * 3
        assert pooled.phases[152].name == "P3121 or P3221"
        assert symmetry_map(pooled, separate_enantiomorphs=True).phase_id[0] == 1152

    def test_saved(self, xmap, tmp_path):
        save_map(tmp_path / "map.h5", xmap)
        loaded = io.load(tmp_path / "map.h5")
        assert loaded.phases[152].name == "P3121 or P3221"
        assert probabilities_from_map(loaded)[1] == (225, 152, 194)
        np.testing.assert_array_equal(
            symmetry_map(loaded).phase_id, symmetry_map(xmap).phase_id
        )

    def test_levels(self, xmap):
        for level in sg.LEVELS[1:]:
            expected, _ = sg.coarsen_probabilities(P, GROUPS, level)
            found = coarsen_map(xmap, level).prop["level_probabilities"]
            np.testing.assert_allclose(found, expected, atol=1e-6)

    def test_sets(self, xmap):
        assert prediction_sets_from_map(xmap, 0.3) == [(152, 225), (225, 152), (152,)]
        thresholds = {225: 0.5, 152: 0.1, 154: 0.1, 194: 0.5}
        expected = [(152,), (225, 152), (152,)]
        assert prediction_sets_from_map(xmap, thresholds) == expected


@pytest.mark.parametrize("number", [152, 154])
class TestPhases:
    """A phase of either hand is looked up under the name of the pair."""

    def test_masks(self, xmap, number):
        masks = navigation_masks(xmap, quartz(number), threshold=0.35)
        assert masks["quartz"].tolist() == [False, True, False]
        assert masks["nickel"].tolist() == [False, False, True]
        few = crystal_map(P, GROUPS)
        masks = navigation_masks(few, quartz(number), keep_n=1, space_groups=GROUPS)
        assert masks["quartz"].tolist() == [False, True, False]

    def test_candidates(self, xmap, number):
        found = candidate_probabilities(MERGED, [225, 152, 194], quartz(number))
        ratio = found[:, 0] / found[:, 1]
        np.testing.assert_allclose(ratio, MERGED[:, 1] / MERGED[:, 0], rtol=1e-5)
        identified = identify_phases(xmap, quartz(number))
        assert identified.phase_id.tolist() == [0, 1, 0]

    def test_combine(self, xmap, number):
        combined = combine(xmap, indexed(number), weights={"classifier": 1})
        assert combined.phase_id.tolist() == [0, 1, 0]
        np.testing.assert_allclose(
            combined.prop["classifier_scores"], [0.55, 0.6, 0.9], rtol=1e-6
        )
        assert not (combined.prop["disagreement"] & 1).any()

    def test_evaluation(self, xmap, number):
        table = pattern_table(
            *probabilities_from_map(xmap), truth=number, material="quartz"
        )
        assert (table["predicted"] == table["space_group"]).tolist() == [
            True,
            False,
            True,
        ]


def test_predict():
    assert most_probable(P, GROUPS, 0.58).tolist() == [-1, 225, 152]


def test_calibrated_as_one():
    """Thresholds of both are those of the pair's probability."""
    from kikuchipy_spacegroup import MasterPatternLibrary, SpaceGroupModel, calibrate

    rng = np.random.default_rng(1)
    library = MasterPatternLibrary(
        rng.uniform(0.5, 1.5, (3, 41, 41)).astype("float16"),
        phase_index=[0, 1, 2],
        upper=[0, 1, 2],
        lower=[0, 1, 2],
        energies=[20] * 3,
        phase_names=["nickel", "right", "left"],
        space_groups=[225, 152, 154],
    )
    model = SpaceGroupModel.create([225, 152, 154], size=32, filters=(8,), stem=8)
    calibrate(model, library, n_patterns=90, coverage=[0.8])
    thresholds = model.conformal_thresholds[0.8]
    assert set(thresholds) == {225, 152, 154}
    # The network is not trained: each has a third, and would be in no set with a half
    assert thresholds[152] == thresholds[154] == pytest.approx(1 / 3, abs=0.05)

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks in kikuchipy's indexing and refinement, and what is made of both.

What is in the masks is tested with ``combine()``.
"""

import kikuchipy as kp
import numpy as np
from orix.crystal_map import CrystalMap, Phase, PhaseList
from orix.quaternion import Rotation
import pytest

import kikuchipy_spacegroup as kpsg
from kikuchipy_spacegroup.maps import crystal_map

IRON = Phase("iron", space_group=229)


@pytest.fixture(scope="module")
def master():
    return kp.data.nickel_ebsd_master_pattern_small(projection="lambert")


@pytest.fixture
def scan(nickel):
    """Patterns without background, and the orientations as properties."""
    nickel.remove_static_background(show_progressbar=False)
    nickel.remove_dynamic_background(show_progressbar=False)
    nickel.detector.pc = nickel.detector.pc_average
    return nickel


def classified(is_nickel):
    """Return a map of which every point is of one space group."""
    is_nickel = np.asarray(is_nickel, dtype=float).reshape(3, 3)
    return crystal_map(
        np.stack([is_nickel, 1 - is_nickel], axis=-1),
        [225, 229],
        keep_probabilities=True,
        step_sizes=(1.5, 1.5),
        scan_unit="um",
    )


def dictionary_of_nickel(scan, master):
    rough = Rotation.from_euler([[1, 1, -1]], degrees=True) * scan.xmap.rotations
    return master.get_patterns(
        rough,
        scan.detector,
        energy=20,
        dtype_out="float32",
        compute=True,
        show_progressbar=False,
    )


def dictionary_of_iron():
    """Return noise, of which some will fit best."""
    rng = np.random.default_rng(1)
    dictionary = kp.signals.EBSD(rng.random((5, 60, 60)).astype("float32"))
    dictionary.axes_manager[0].name = "x"
    dictionary.xmap = CrystalMap(
        rotations=Rotation(rng.normal(size=(5, 4))),
        phase_list=PhaseList(IRON),
        x=np.arange(5),
    )
    return dictionary


def refine(scan, xmap, master, mask):
    return scan.refine_orientation(
        xmap,
        scan.detector,
        master,
        energy=20,
        navigation_mask=mask,
        method_kwargs={"options": {"maxfev": 40}},
    )


class TestRefinement:
    """Dictionary indexing, refinement and both together, with masks."""

    def test_map_with_gaps(self, scan, master):
        is_nickel = np.arange(9) % 2 == 0
        xmap = classified(is_nickel)
        masks = kpsg.maps.navigation_masks(xmap, [master.phase, IRON], keep_n=1)
        rough = scan.dictionary_indexing(
            dictionary_of_nickel(scan, master), keep_n=3, navigation_mask=masks["ni"]
        )
        refined = refine(scan, rough, master, masks["ni"])
        for found in (rough, refined):
            assert np.array_equal(found.is_in_data, is_nickel)
        assert rough.rotations_per_point == 3
        assert (refined.scores > rough.scores[:, 0]).all()

        combined = kpsg.combine(xmap, [rough, refined])
        assert combined.rotations_per_point == 1
        assert combined.is_in_data.all()
        assert combined.phase_id.tolist() == [0, -1] * 4 + [0]
        assert combined.phases.names == ["not_indexed", "ni"]
        assert np.allclose(combined.rotations[is_nickel].data, refined.rotations.data)
        assert np.allclose(combined.indexing_scores[is_nickel], refined.scores)
        assert np.isnan(combined.indexing_scores[~is_nickel]).all()
        assert np.array_equal(combined.num_evals[is_nickel], refined.num_evals)
        # Only where a map has them
        assert combined.indexing_map.tolist() == [1, -1] * 4 + [1]

        iron = scan.dictionary_indexing(
            dictionary_of_iron(), keep_n=2, navigation_mask=masks["iron"]
        )
        both = kpsg.combine(xmap, [rough, refined, iron])
        assert both.phase_id.tolist() == [0, 1] * 4 + [0]
        assert np.allclose(both.rotations[~is_nickel].data, iron.rotations[:, 0].data)
        expected = rough.simulation_indices.shape[1]
        assert both.simulation_indices.shape == (9, expected)
        assert np.array_equal(
            both.simulation_indices[~is_nickel][:, :2], iron.simulation_indices
        )

    def test_map_that_ends_before_the_scan(self, scan, master):
        """The combined map has all points, as refinement wants it."""
        xmap = classified(np.arange(9) < 6)
        mask = kpsg.maps.navigation_masks(xmap, [master.phase], keep_n=1)["ni"]
        rough = scan.dictionary_indexing(
            dictionary_of_nickel(scan, master), keep_n=1, navigation_mask=mask
        )
        assert rough.shape == (2, 3)
        combined = kpsg.combine(xmap, rough)
        assert combined.shape == (3, 3)
        refined = refine(scan, combined, master, mask)
        assert np.flatnonzero(refined.is_in_data).tolist() == list(range(6))
        again = kpsg.combine(xmap, [rough, refined])
        for found in (combined, again):
            assert found.phase_id.tolist() == [0] * 6 + [-1] * 3
        assert np.allclose(again.rotations[:6].data, refined.rotations.data)

    def test_map_that_was_there_before(self, scan, master):
        """As from the microscope, of all points."""
        is_nickel = np.arange(9) % 4 > 0
        xmap = classified(is_nickel)
        mask = kpsg.maps.navigation_masks(xmap, [master.phase], keep_n=1)["ni"]
        refined = refine(scan, scan.xmap, master, mask)
        assert np.array_equal(refined.is_in_data, is_nickel)
        combined = kpsg.combine(xmap, refined)
        assert np.array_equal(combined.phase_id == 0, is_nickel)


class TestHoughIndexing:
    """It takes no masks, so points are left out of its maps."""

    def test_left_out_afterwards(self, scan, master):
        pytest.importorskip("pyebsdindex")
        is_nickel = np.arange(9) % 2 == 0
        xmap = classified(is_nickel)
        mask = kpsg.maps.navigation_masks(xmap, [master.phase], keep_n=1)["ni"]
        phases = PhaseList(master.phase.deepcopy())
        indexer = scan.detector.get_indexer(phases)
        everywhere = scan.hough_indexing(phases, indexer, verbose=0)
        hough = everywhere[~mask.ravel()]
        assert np.array_equal(hough.is_in_data, is_nickel)
        combined = kpsg.combine(xmap, hough)
        assert combined.phase_id.tolist() == [0, -1] * 4 + [0]
        assert np.allclose(combined.rotations[is_nickel].data, hough.rotations.data)
        assert np.allclose(combined.indexing_scores[is_nickel], hough.cm)
        assert np.allclose(combined.prop["fit"][is_nickel], hough.fit)

        refined = refine(scan, everywhere, master, mask)
        again = kpsg.combine(xmap, [hough, refined])
        assert np.array_equal(again.phase_id, combined.phase_id)
        assert np.allclose(again.rotations[is_nickel].data, refined.rotations.data)
        # From the map the rotation is of, and not the one of the bands
        assert np.isnan(again.prop["fit"]).all()

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Candidates compared with the patterns of found phases."""

from diffpy.structure import Atom, Lattice, Structure
import kikuchipy as kp
import numpy as np
from orix.crystal_map import Phase, PhaseList
from orix.quaternion import Orientation
import pandas as pd
import pytest

from kikuchipy_spacegroup.maps import crystal_map
from kikuchipy_spacegroup.phases import StructureSearch, check_candidates, find_phases
from kikuchipy_spacegroup.phases import _check as check
from kikuchipy_spacegroup.phases._match import (
    add_inverted,
    laue_rotations,
    prepare_patterns,
)


def cubic(name, number, element, a):
    """Phase of one element with an atom at the origin."""
    structure = Structure([Atom(element, [0, 0, 0])], Lattice(a, a, a, 90, 90, 90))
    return Phase(name, space_group=number, structure=structure)


NICKEL = cubic("nickel", 225, "Ni", 3.524)
IRON = cubic("iron", 229, "Fe", 2.866)
SILICON = cubic("silicon", 227, "Si", 5.431)


@pytest.fixture(scope="module")
def scan():
    return kp.data.nickel_ebsd_small()


@pytest.fixture(scope="module")
def found(scan):
    """One phase, of which the network says Fm-3m or Im-3m alike."""
    p = np.tile([0.45, 0.45, 0.1], (3, 3, 1))
    p[:] += np.random.default_rng(0).normal(0, 0.01, p.shape)
    p /= p.sum(axis=-1, keepdims=True)
    xmap = crystal_map(p, [225, 229, 227], keep_probabilities=True)
    return find_phases(xmap, grain_ids=np.arange(9) // 3)


def run(scan, found, candidates, **kwargs):
    """Check with few patterns and a coarse dictionary."""
    options = {"method": "kinematical", "resolution": 6, "n_patterns": 2}
    return check_candidates(
        scan, found, candidates, show_progressbar=False, **(options | kwargs)
    )


@pytest.fixture(scope="module")
def checked(scan, found):
    return run(scan, found, [IRON, SILICON, NICKEL])


class TestNickel:
    """Real patterns of nickel."""

    def test_ranked(self, checked):
        table = checked.table
        matches = table.set_index("candidate")["match"].drop("none of these")
        assert matches.idxmax() == "nickel"
        assert (matches <= 1).all()
        assert table["probability"].is_monotonic_decreasing
        assert table["probability"].sum() == pytest.approx(1)
        assert set(table["simulation"]) == {"kinematical", ""}

    def test_summary(self, checked):
        assert len(checked) == 1
        assert "3 candidates" in repr(checked)
        assert "<table" in checked._repr_html_()
        assert set(checked.best) == {1}

    def test_nothing_changes(self, scan, found, capfd):
        """Neither scan nor phases, and nothing is printed."""
        data, pc = scan.data.copy(), scan.detector.pc.copy()
        table = found.table.copy()
        run(scan, found, {1: [IRON]}, n_patterns=1, resolution=10)
        assert capfd.readouterr() == ("", "")
        assert np.array_equal(scan.data, data)
        assert np.array_equal(scan.detector.pc, pc)
        assert found.table.equals(table)


class TestEvidence:
    """Symmetry and composition."""

    def test_symmetry(self, checked):
        """Both are as probable to the network, and silicon is less."""
        evidence = checked.table.set_index("candidate")["symmetry_evidence"]
        assert evidence["nickel"] == pytest.approx(evidence["iron"], abs=0.3)
        assert evidence["silicon"] < evidence["nickel"]
        assert evidence["none of these"] == 0

    def test_composition(self, found):
        measured = type(found)(
            found.xmap,
            found.table.assign(Ni=1.0, Fe=0.0),
            found.probabilities,
            found.chain,
            found.representatives,
        )
        evidence = check._find_evidence(measured, PhaseList([NICKEL, IRON]), 0.05)[1]
        assert evidence["composition_evidence"][0] > 2
        assert evidence["composition_evidence"][1] < -5
        assert evidence["composition_distance"].tolist() == [0, 1]


class TestPatterns:
    """Patterns before they are matched."""

    @pytest.mark.parametrize("side", [40, 80, 120])
    def test_reliability(self, side):
        """The share of variance that is signal is what it was made with."""
        rng = np.random.default_rng(1)
        rows, columns = np.indices((side, side)) * 40 / side
        image = np.sin(rows * 0.9) + np.sin(columns * 0.7 + rows * 0.5)
        n_bin = side // 40
        noise = rng.normal(0, n_bin * image.std(), (3, side, side))
        raw = (100 + 5 * (image + noise)).astype("float32")
        inside = np.ones((side, side), dtype=bool)
        detector = kp.detectors.EBSDDetector((side, side), pc=(0.5, 0.3, 0.6))
        pc = np.tile([0.5, 0.3, 0.6], (3, 1))
        patterns = prepare_patterns(raw, None, inside, detector, pc, 40)
        assert patterns.data.shape == (3, 40, 40)
        assert patterns.reliabilities == pytest.approx([0.5] * 3, abs=0.12)

    def test_projection_center(self):
        """Rows and columns that fill no bin are left out."""
        raw = np.random.default_rng(0).random((1, 85, 121), dtype="float32")
        detector = kp.detectors.EBSDDetector((85, 121))
        pc = np.array([[0.4, 0.2, 0.7]])
        inside = np.ones((85, 121), dtype=bool)
        patterns = prepare_patterns(raw, None, inside, detector, pc, 40)
        height, width = 84, 120
        assert patterns.data.shape == (1, 42, 60)
        pixels = patterns.detector.pc * [width, height, height]
        assert pixels.ravel() == pytest.approx((pc * [121, 85, 85]).ravel())

    @pytest.mark.parametrize(
        ("number", "n"), [(225, 1), (216, 2), (25, 2), (1, 1), (6, 2), (186, 2)]
    )
    def test_inverted(self, number, n):
        starts = np.array([[[1.0, 0, 0, 0]], [[0.6, 0.8, 0, 0]]])
        phase = Phase("x", space_group=number)
        assert add_inverted(starts, phase).shape == (2, n, 4)
        assert laue_rotations(phase).size == n * phase.point_group.proper_subgroup.size


class TestCandidates:
    """Ways to give them."""

    @pytest.mark.parametrize("kind", ["list", "phases", "search", "by ID"])
    def test_kinds(self, found, kind):
        phases = PhaseList([NICKEL, IRON])
        given = {
            "list": [NICKEL, IRON],
            "phases": phases,
            "search": StructureSearch(phases, pd.DataFrame(), pd.DataFrame()),
            "by ID": {1: phases},
        }[kind]
        listed, of_phase = check._read_candidates(given, found)
        assert listed.names == ["nickel", "iron"]
        assert of_phase == {1: [0, 1]}

    def test_nothing_found(self, found):
        with pytest.raises(ValueError, match="no candidates"):
            check._read_candidates(PhaseList(), found)


class TestErrors:
    """What is wrong is said before any work."""

    def test_detector(self, scan, found):
        wrong = scan.deepcopy()
        wrong.detector = kp.detectors.EBSDDetector((60, 60))
        with pytest.raises(ValueError, match=r"never calibrated.*signal\.detector = "):
            run(wrong, found, [NICKEL])

    def test_energy(self, scan, found):
        wrong = scan.deepcopy()
        wrong.metadata.Acquisition_instrument.SEM.beam_energy = -1
        with pytest.raises(ValueError, match="Give `energy` in keV"):
            run(wrong, found, [NICKEL])

    def test_noise(self, scan, found):
        noise = scan.deepcopy()
        rng = np.random.default_rng(0)
        noise.data = rng.integers(0, 255, noise.data.shape).astype("uint8")
        with pytest.raises(ValueError, match="No typical pattern of any phase"):
            run(noise, found, [NICKEL], static_background=None)

    @pytest.mark.parametrize(
        ("kwargs", "match"),
        [
            ({"method": "bloch"}, "'bloch'"),
            ({"resolution": 0.1}, "not 0.1"),
            ({"n_patterns": 0}, "not 0"),
            ({"none_prior": 2}, "not 2"),
            ({"signal_mask": np.ones((60, 60), dtype=bool)}, "True everywhere"),
        ],
    )
    def test_numbers(self, scan, found, kwargs, match):
        with pytest.raises(ValueError, match=match):
            run(scan, found, [NICKEL], **kwargs)

    @pytest.mark.parametrize(
        ("candidates", "match"),
        [
            ([], "no candidates"),
            ({7: [NICKEL]}, r"phases \[7\]"),
            ([Phase("empty", space_group=225)], "empty"),
            ([Phase("nowhere")], "no space group"),
        ],
    )
    def test_candidates(self, scan, found, candidates, match):
        with pytest.raises(ValueError, match=match):
            run(scan, found, candidates)

    def test_extra(self, scan, found, monkeypatch):
        monkeypatch.setattr(check, "find_spec", lambda name: None)
        with pytest.raises(ImportError, match=r"\[dynamical\]"):
            run(scan, found, [NICKEL], method="dynamical")

    def test_other_scan(self, scan, found):
        with pytest.raises(ValueError, match="9 points"):
            run(scan.inav[:2], found, [NICKEL])


def test_dynamical(scan, found, tmp_path):
    """The best candidates are simulated again, and orientations kikuchipy's own."""
    pytest.importorskip("de_ebsd")
    options = {"method": "dynamical", "cache_dir": tmp_path}
    checked = run(scan, found, [NICKEL, IRON], **options)
    table = checked.table.set_index("candidate")
    assert set(table["simulation"]) == {"dynamical", ""}
    assert table.loc["nickel", "match"] > 2 * table.loc["iron", "match"]
    assert checked.best == {1: "nickel"}
    own = checked.orientations[1]["nickel"]
    theirs = Orientation(scan.xmap.rotations[checked.patterns[1]].data, own.symmetry)
    assert (np.rad2deg(own.angle_with(theirs)) < 1).all()
    # Without it, it is none
    wrong = run(scan, found, [IRON], n_patterns=1, **options)
    assert wrong.best == {1: "none of these"}

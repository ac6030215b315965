# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grains from orientations and from patterns."""

from pathlib import Path

from diffpy.structure import Lattice, Structure
import kikuchipy as kp
from kikuchipy.signals import EBSD
import numpy as np
from orix.crystal_map import CrystalMap, Phase, PhaseList, create_coordinate_arrays
from orix.quaternion import Orientation, Rotation, symmetry
import pytest
from scipy.ndimage import label

import kikuchipy_spacegroup as kpsg
from kikuchipy_spacegroup.maps import (
    crystal_map,
    grains_from_orientations,
    grains_from_patterns,
)

# Three grains, the last one in two pieces
TRUTH = np.array([[0, 0, 0, 1, 1], [0, 0, 1, 1, 1], [2, 2, 1, 1, 2], [2, 2, 2, 1, 2]])
# As grains are numbered by their first points
LABELS = np.array([[0, 0, 0, 1, 1], [0, 0, 1, 1, 1], [2, 2, 1, 1, 3], [2, 2, 2, 1, 3]])


def indexed(rotations, phase_id, shape, phases=None, is_in_data=None):
    coordinates, _ = create_coordinate_arrays(shape)
    return CrystalMap(
        rotations=rotations,
        phase_id=np.ravel(phase_id),
        phase_list=phases or PhaseList(names=["a", "b"], space_groups=[225, 229]),
        is_in_data=is_in_data,
        **coordinates,
    )


def three_grains(seed=0, jitter=0.5):
    """Return orientations of grains, each point by another equivalent."""
    rng = np.random.default_rng(seed)
    of_grain = Rotation.random(3)[TRUTH.ravel()]
    angles = np.deg2rad(rng.uniform(-jitter, jitter, TRUTH.size))
    axes = rng.normal(size=(TRUTH.size, 3))
    equivalent = Rotation(symmetry.O.data[rng.integers(24, size=TRUTH.size)])
    return equivalent * Rotation.from_axes_angles(axes, angles) * of_grain


class TestGrainsFromOrientations:
    def test_symmetry(self):
        xmap = indexed(three_grains(), np.zeros(20, int), (4, 5))
        labels = grains_from_orientations(xmap)
        assert np.array_equal(labels.reshape(4, 5), LABELS)

    def test_low_symmetry(self):
        # Equivalent in m-3m only
        phases = PhaseList(names=["triclinic"], space_groups=[2])
        xmap = indexed(three_grains(), np.zeros(20, int), (4, 5), phases)
        assert grains_from_orientations(xmap).max() > 5

    @pytest.mark.parametrize(
        ["angle", "tolerance", "n"], [(4, 5, 1), (6, 5, 2), (6, 7, 1), (86, 5, 1)]
    )
    def test_tolerance(self, angle, tolerance, n):
        rotations = Rotation.from_axes_angles([0, 0, 1], [0, angle], degrees=True)
        xmap = indexed(rotations, [0, 0], (2,))
        assert len(set(grains_from_orientations(xmap, tolerance=tolerance))) == n

    def test_same_as_orix(self):
        rotations = Rotation.random(30)
        xmap = indexed(rotations, np.zeros(30, int), (30,))
        o = Orientation(rotations, symmetry=symmetry.Oh)
        far = o[:-1].angle_with(o[1:], degrees=True) > 30
        expected = np.concatenate([[0], np.cumsum(far)])
        assert np.array_equal(grains_from_orientations(xmap, tolerance=30), expected)

    def test_phases_and_not_indexed(self):
        phase_id = np.array([[0, 0, 1], [0, -1, 1], [-1, 0, 0]])
        rotations = Rotation.from_axes_angles([1, 2, 3], np.full(9, 0.3))
        labels = grains_from_orientations(indexed(rotations, phase_id, (3, 3)))
        assert labels.tolist() == [0, 0, 1, 0, -1, 1, -1, 2, 2]

    def test_masked(self):
        mask = np.ones(20, bool)
        mask[[2, 7, 12]] = False
        xmap = indexed(three_grains(), np.zeros(20, int), (4, 5), is_in_data=mask)
        expected = np.zeros((4, 5), dtype=int)
        for i in range(3):
            pieces, _ = label((TRUTH == i) & mask.reshape(4, 5))
            expected[pieces > 0] = pieces[pieces > 0] + expected.max()
        found = grains_from_orientations(xmap)
        assert found.shape == (17,)
        pairs = set(zip(found.tolist(), expected.ravel()[mask].tolist()))
        assert len(pairs) == len(set(found.tolist())) == expected.max()

    def test_several_rotations_per_point(self):
        one = three_grains()
        several = Rotation(np.stack([one.data, Rotation.random(20).data], axis=1))
        xmap = indexed(several, np.zeros(20, int), (4, 5))
        assert np.array_equal(grains_from_orientations(xmap).reshape(4, 5), LABELS)

    def test_one_point(self):
        xmap = indexed(Rotation.random(1), [0], (1,))
        assert grains_from_orientations(xmap).tolist() == [0]

    def test_no_orientations(self):
        xmap = crystal_map(np.full((2, 2, 2), 0.5), [225, 229])
        with pytest.raises(ValueError, match="identity, so it has no orientations"):
            grains_from_orientations(xmap)

    def test_errors(self):
        rotations = Rotation.random(2)
        with pytest.raises(ValueError, match="above 0 degrees, not 0"):
            grains_from_orientations(indexed(rotations, [0, 0], (2,)), tolerance=0)
        phases = PhaseList(Phase("x", structure=Structure(lattice=Lattice())))
        with pytest.raises(ValueError, match="'x' of the map has no point group"):
            grains_from_orientations(indexed(rotations, [0, 0], (2,), phases))


def patterns(truth, noise, seed=0, size=40):
    """Return patterns of nickel in random orientations, with noise."""
    mp = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    detector = kp.detectors.EBSDDetector(shape=(size, size), pc=(0.5, 0.3, 0.6))
    ideal = mp.get_patterns(
        Rotation(np.random.default_rng(8).normal(size=(truth.max() + 1, 4))),
        detector,
        energy=20,
        compute=True,
        show_progressbar=False,
    ).data.astype("float32")
    ideal -= ideal.mean(axis=(1, 2), keepdims=True)
    ideal /= ideal.std(axis=(1, 2), keepdims=True)
    rng = np.random.default_rng(seed)
    level = np.asarray(noise)[truth] if np.ndim(noise) else np.full(truth.shape, noise)
    random = rng.normal(size=(*truth.shape, size, size)) * level[..., None, None]
    return EBSD((ideal[truth] + random).astype("float32"))


def raw_patterns(truth):
    """Return patterns as a camera with uneven light and screen records them."""
    ideal = patterns(truth, 0, size=60).data
    x = np.linspace(-1, 1, 60)
    light = np.exp(-(x**2) - 3 * np.abs(x[:, None] - 0.1))
    light = light * np.random.default_rng(5).normal(1, 0.05, size=(60, 60))
    light /= light.max()
    rng = np.random.default_rng(1)
    electrons = rng.poisson(2000 * light * (1 + 0.03 * ideal))
    return EBSD(electrons.astype("float32"), static_background=light)


def warnings_in(caplog):
    """Return what is logged as a warning, whatever the level of the log is."""
    return [i for i in caplog.records if i.levelname == "WARNING"]


def same_pairs(labels, truth):
    """Return the share of pairs of neighbours which agree on being in a grain."""
    truth = truth.reshape(labels.shape)
    agree = []
    for i in (np.diff, lambda a: np.diff(a, axis=0)):
        agree.append(((i(labels) == 0) == (i(truth) == 0)).ravel())
    return np.concatenate(agree).mean()


class TestGrainsFromPatterns:
    @pytest.mark.parametrize("noise", [0.1, 1, 2, [0.2, 1.7, 0.5]])
    @pytest.mark.parametrize("lazy", [True, False])
    def test_grains(self, noise, lazy):
        signal = patterns(TRUTH, noise)
        before = signal.data.copy()
        signal = signal.as_lazy() if lazy else signal
        labels = grains_from_patterns(signal)
        assert np.array_equal(labels, LABELS)
        assert np.array_equal(np.asarray(signal.data), before)

    @pytest.mark.parametrize("index", [np.s_[:, :1], np.s_[:1, :], np.s_[1]])
    def test_lines(self, index):
        truth = TRUTH[index]
        labels = grains_from_patterns(patterns(truth, 0.5))
        assert labels.shape == truth.shape
        changes = np.diff(truth.ravel()) != 0
        assert labels.ravel().tolist() == [0, *np.cumsum(changes)]

    def test_one_pattern(self, nickel):
        labels = grains_from_patterns(nickel.inav[0, 0])
        assert labels.shape == ()

    def test_one_grain(self):
        signal = patterns(np.zeros((6, 7), int), 1.5)
        assert not grains_from_patterns(signal).any()

    def test_mask_and_constant_patterns(self):
        signal = patterns(np.zeros((3, 5), int), 0.5)
        signal.data[:, 1] = 0.1
        mask = np.zeros((3, 5), bool)
        mask[:, 3] = True
        labels = grains_from_patterns(signal, navigation_mask=mask)
        assert labels.tolist() == [[0, -1, 1, -1, 2]] * 3

    def test_only_noise(self):
        signal = EBSD(np.random.default_rng(1).normal(size=(3, 3, 20, 20)))
        labels = grains_from_patterns(signal)
        assert labels.min() == 0
        signal.data[:] = 1
        labels = grains_from_patterns(signal)
        assert (labels == -1).all()

    @pytest.mark.parametrize("threshold", [0, 1, np.nan])
    def test_errors(self, nickel, threshold):
        with pytest.raises(ValueError, match="threshold must be between 0 and 1"):
            grains_from_patterns(nickel, threshold=threshold)

    @pytest.mark.parametrize("own_background", [True, False])
    @pytest.mark.parametrize("lazy", [True, False])
    def test_raw_patterns(self, own_background, lazy, caplog):
        """As they come, the background is removed as before classifying."""
        signal = kpsg.example_scan(
            "aluminum and silicon", (10, 12), grain_size=4, show_progressbar=False
        )
        truth = grains_from_orientations(signal.xmap)
        if not own_background:
            signal = EBSD(signal.data)
        before = signal.data.copy()
        labels = grains_from_patterns(signal.as_lazy() if lazy else signal)
        assert same_pairs(labels, truth) > 0.9
        assert np.array_equal(signal.data, before)
        assert not warnings_in(caplog)

    def test_given_background(self, caplog):
        signal = raw_patterns(TRUTH)
        own = signal.static_background
        signal = EBSD(signal.data)
        labels = grains_from_patterns(signal, static_background=own)
        assert np.array_equal(labels, LABELS)
        # With nothing divided out, bright corners of an uneven screen stay
        labels = grains_from_patterns(signal, static_background=None)
        assert not labels.any()
        (record,) = warnings_in(caplog)
        assert "All patterns are alike" in record.getMessage()
        assert "static_background" in record.getMessage()

    def test_threshold_of_the_message(self, caplog):
        """Above what is logged, grains are told."""
        signal = EBSD(raw_patterns(TRUTH).data)
        assert not grains_from_patterns(signal).any()
        least = warnings_in(caplog)[0].args[0]
        labels = grains_from_patterns(signal, threshold=least + 0.05)
        assert np.array_equal(labels, LABELS)

    def test_guide(self):
        """Its lines pool grains of two phases, and not the map."""
        path = Path(__file__).parents[2] / "docs" / "user" / "at_a_glance.rst"
        if not path.is_file():
            pytest.skip("no documentation beside the tests")
        lines = [
            line.strip()
            for line in path.read_text("utf-8").splitlines()
            if line.strip().startswith(("xmap = s.classify", "grain_ids", "pooled = "))
        ]
        assert len(lines) >= 3
        names = {"kpsg": kpsg, "model": kpsg.load_model()}
        names["s"] = kpsg.example_scan(
            "aluminum and silicon", (10, 12), grain_size=4, show_progressbar=False
        )
        # That with all probabilities is the last one
        lines.sort(key=lambda line: not line.startswith("xmap"))
        exec("\n".join(lines), names)
        assert names["grain_ids"].max() > 3
        assert len(set(names["pooled"].phase_id.tolist()) - {-1}) > 1

    def test_signal_mask(self):
        """Pixels left out may be anything."""
        signal = raw_patterns(TRUTH)
        mask = np.zeros((60, 60), bool)
        mask[:20, 10:30] = True
        signal.data[..., mask] = np.random.default_rng(1).integers(
            0, 255, size=(4, 5, mask.sum())
        )
        labels = grains_from_patterns(signal, signal_mask=mask)
        assert np.array_equal(labels, LABELS)

    def test_dark_corners_and_bad_patterns(self):
        """Patterns that cannot be compared are in no grain."""
        signal = raw_patterns(np.zeros((6, 7), int))
        x = np.linspace(-1, 1, 60)
        data = np.where(x**2 + x[:, None] ** 2 < 0.9, signal.data, np.nan)
        data[0, 0], data[2, 3, 30, 30], data[5, 6, :40] = (
            7,
            np.nan,
            data[5, 6, 30].max(),
        )
        labels = grains_from_patterns(EBSD(data))
        expected = np.zeros((6, 7), int)
        expected[0, 0] = expected[2, 3] = expected[5, 6] = -1
        assert np.array_equal(labels, expected)

    def test_only_noise_is_told(self, caplog):
        rng = np.random.default_rng(1)
        grains_from_patterns(EBSD(rng.poisson(50, size=(6, 6, 60, 60))))
        assert "Neighboring patterns have only 0.0" in caplog.text

    @pytest.mark.parametrize("kwargs", [{"signal_mask": [1]}, {"static_background": 1}])
    def test_what_does_not_fit(self, nickel, kwargs):
        with pytest.raises(ValueError, match=f"{next(iter(kwargs))} must be"):
            grains_from_patterns(nickel, **kwargs)

    def test_mixed_patterns_at_boundaries(self):
        """As the beam excites both grains there."""
        truth = np.repeat(np.arange(3), 5)[None].repeat(8, axis=0)
        pure = patterns(truth, 0).data
        rng = np.random.default_rng(3)
        share = rng.uniform(0.2, 0.8, (8, 2, 1, 1))
        mixed = pure.copy()
        for i, x in enumerate((5, 10)):
            left, right = pure[:, x - 1], pure[:, x]
            mixed[:, x] = share[:, i] * left + (1 - share[:, i]) * right
        mixed += rng.normal(size=mixed.shape)
        labels = grains_from_patterns(EBSD(mixed))
        assert labels.max() == 2
        assert np.array_equal(labels[:, [0, 3, 7, 8, 12, 14]], [[0, 0, 1, 1, 2, 2]] * 8)

    @pytest.mark.parametrize("turn", [np.s_[::-1], np.s_[:, ::-1], "transpose"])
    def test_symmetries(self, turn):
        signal = patterns(TRUTH, 1)
        if turn == "transpose":
            data, expected = signal.data.swapaxes(0, 1), LABELS.T
        else:
            data, expected = signal.data[turn], LABELS[turn]
        labels = grains_from_patterns(EBSD(np.ascontiguousarray(data)))
        found = set(zip(labels.ravel().tolist(), expected.ravel().tolist()))
        assert len(found) == 4

    def test_contrast_does_not_matter(self):
        signal = patterns(TRUTH, 1)
        gain = np.random.default_rng(2).uniform(1, 5, (4, 5, 1, 1))
        other = EBSD((20 * (signal.data + 6) * gain).astype("uint16"))
        assert np.array_equal(grains_from_patterns(other), LABELS)

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
from kikuchipy.detectors import EBSDDetector
import numpy as np
from orix.crystal_map import Phase
from orix.quaternion import Orientation, Rotation, symmetry
from orix.vector import Miller
import pytest
from sklearn.metrics import roc_auc_score

from kikuchipy_spacegroup.crystals import phase_in_angstrom
from kikuchipy_spacegroup.explanation import (
    main_zone_axes,
    simulate_geometry,
    zone_axis_test,
)

pytest.importorskip("diffsims")

ROTATIONS = Rotation.from_euler(np.deg2rad([[10, 40, 80], [100, 20, 5], [1, 2, 3]]))
DETECTOR = EBSDDetector(
    (48, 64), pc=(0.45, 0.35, 0.6), tilt=5, azimuthal=3, sample_tilt=70
)


@pytest.fixture(scope="module")
def phase():
    import kikuchipy as kp

    master_pattern = kp.data.nickel_ebsd_master_pattern_small(projection="lambert")
    return phase_in_angstrom(master_pattern.phase, "nm")


@pytest.fixture(scope="module")
def zone_axes(phase):
    return Miller(uvw=[[1, 1, 0], [1, 0, 0]], phase=phase).symmetrise(unique=True)


@pytest.fixture(scope="module")
def angles(phase, zone_axes):
    """Angle of every pixel to the next zone axis, by kikuchipy."""
    simulation = simulate_geometry(phase, DETECTOR, ROTATIONS)
    rows, columns = np.indices(DETECTOR.shape)
    x0, x1 = DETECTOR.x_range[0]
    y0, y1 = DETECTOR.y_range[0]
    x = x0 + (columns + 0.5) / DETECTOR.ncols * (x1 - x0)
    y = y1 + (rows + 0.5) / DETECTOR.nrows * (y0 - y1)
    pixels = np.stack((x, y, np.ones_like(x)), axis=-1)
    pixels /= np.linalg.norm(pixels, axis=-1, keepdims=True)
    uvw = simulation._zone_axes.vector.coordinates.round().astype(int)
    wanted = {tuple(i) for i in zone_axes.coordinates.round().astype(int)}
    wanted = np.array([tuple(i) in wanted for i in uvw])
    angles = []
    for i in range(ROTATIONS.size):
        xy = simulation.zone_axes_coordinates(i, "gnomonic", exclude_nan=False)
        xy = xy[wanted & np.isfinite(xy).all(axis=1)]
        axes = np.column_stack((xy, np.ones(len(xy))))
        axes /= np.linalg.norm(axes, axis=1, keepdims=True)
        angles.append(np.rad2deg(np.arccos((pixels @ axes.T).max(axis=-1))))
    return np.stack(angles)


def inside_only(maps, n=8):
    """Return maps without their rim, where axes off the screen are near."""
    out = np.full(maps.shape, np.nan)
    out[:, n:-n, n:-n] = maps[:, n:-n, n:-n]
    return out


def indices(axes):
    """Return the set of [uvw]."""
    return {tuple(i) for i in axes.coordinates.reshape(-1, 3).round().astype(int)}


class TestMainZoneAxes:
    def test_nickel(self, phase):
        axes = main_zone_axes(phase, min_strength=0.6)
        assert {
            tuple(sorted(np.abs(i))) for i in axes.coordinates.round().tolist()
        } == {
            (0, 1, 1),
            (0, 0, 1),
        }
        assert axes.size == 12 + 6
        # The strongest bands cross in <011>
        assert (np.abs(axes[:12].coordinates.round()).sum(axis=1) == 2).all()

    def test_more_with_less_strength(self, phase):
        few, many = (main_zone_axes(phase, min_strength=x) for x in (0.6, 0.3))
        assert np.allclose(many[: few.size].coordinates, few.coordinates)
        assert indices(many.symmetrise()) == indices(many)

    def test_not_cubic(self):
        from diffpy.structure import Atom, Lattice, Structure

        lattice = Lattice(3.209, 3.209, 5.211, 90, 90, 120)
        atoms = [Atom("Mg", (1 / 3, 2 / 3, 1 / 4)), Atom("Mg", (2 / 3, 1 / 3, 3 / 4))]
        magnesium = Phase(space_group=194, structure=Structure(atoms, lattice))
        axes = main_zone_axes(magnesium, min_strength=0.5)
        assert indices(axes.symmetrise()) == indices(axes)
        assert (0, 0, 1) in indices(axes)


class TestWeigh:
    def test_as_scikit_learn_with_kikuchipy(self, zone_axes, angles):
        rng = np.random.default_rng(1)
        maps = inside_only((rng.random(angles.shape) / (5 + angles)).round(2))
        result = zone_axis_test(
            maps, ROTATIONS, DETECTOR, zone_axes, radius=4, n_random=2
        )
        assert len(np.unique(maps)) < 50  # There are ties
        for i, seen in enumerate(np.isfinite(maps)):
            near, weight = angles[i][seen] <= 4, maps[i][seen]
            assert np.isclose(result.auc[i], roc_auc_score(near, weight), atol=1e-6)
            share = weight[near].sum() / weight.sum()
            assert np.isclose(result.weight_ratio[i], share / near.mean())

    def test_high_and_low(self, zone_axes, angles):
        near = inside_only(np.exp(-((angles / 5) ** 2)))
        arguments = (ROTATIONS, DETECTOR, zone_axes)
        high = zone_axis_test(near, *arguments, n_random=99)
        low = zone_axis_test(1 - near, *arguments, n_random=99)
        assert high.mean_auc > 0.99 and high.p_value == 0.01 and high.z_score > 3
        assert (high.weight_ratio > 2).all()
        assert low.mean_auc < 0.01 and low.p_value == 1 and low.z_score < -3
        assert np.allclose(high.auc + low.auc, 1)
        assert "of 3 map(s): AUC" in repr(high)

    def test_center_is_no_evidence(self, zone_axes):
        """Weight in the center at all times is as in random orientations."""
        rows, columns = np.indices(DETECTOR.shape)
        blob = np.exp(-(((rows - 24) / 9) ** 2) - ((columns - 32) / 9) ** 2)
        rng = np.random.default_rng(4)
        q = rng.normal(size=(30, 4))
        rotations = Rotation(q / np.linalg.norm(q, axis=1, keepdims=True))
        maps = np.tile(blob, (30, 1, 1))
        result = zone_axis_test(maps, rotations, DETECTOR, zone_axes, n_random=50)
        assert abs(result.z_score) < 3

    def test_symmetry_changes_nothing(self, phase, zone_axes):
        """Nor does one projection center per pattern, if they are equal."""
        rng = np.random.default_rng(2)
        maps = rng.random((3, *DETECTOR.shape))
        detector = DETECTOR.deepcopy()
        detector.pc = np.tile(DETECTOR.pc, (3, 1))
        same = Rotation.stack(
            [symmetry.Oh[i] * ROTATIONS[j] for i, j in ((3, 0), (10, 1), (20, 2))]
        ).flatten()
        one = zone_axis_test(maps, ROTATIONS, DETECTOR, zone_axes, n_random=5)
        other = zone_axis_test(maps, same, detector, zone_axes, n_random=5)
        assert np.allclose(one.auc, other.auc)
        assert np.allclose(one.control, other.control)
        orientations = Orientation(ROTATIONS, symmetry=phase.point_group)
        again = zone_axis_test(maps**3, orientations, DETECTOR, zone_axes, n_random=5)
        assert np.allclose(one.auc, again.auc)

    def test_nothing_to_tell(self, zone_axes):
        maps = np.zeros((3, *DETECTOR.shape))
        maps[2] = np.nan
        result = zone_axis_test(maps, ROTATIONS, DETECTOR, zone_axes, n_random=3)
        assert np.array_equal(result.auc, [0.5, 0.5, np.nan], equal_nan=True)
        assert np.isnan(result.weight_ratio).all()
        assert (result.p_value, result.z_score) == (1, 0)
        assert "weight ratio nan" in repr(result)

    def test_large_patterns(self, zone_axes, angles):
        near = np.exp(-((angles / 5) ** 2))
        detector = DETECTOR.deepcopy()
        detector.shape = (480, 640)
        large = near.repeat(10, axis=1).repeat(10, axis=2)
        arguments = (ROTATIONS, detector, zone_axes)
        result = zone_axis_test(large, *arguments, n_random=2)
        arguments = (ROTATIONS, DETECTOR, zone_axes)
        expected = zone_axis_test(near, *arguments, n_random=2)
        assert np.allclose(result.auc, expected.auc, atol=0.02)

    @pytest.mark.parametrize(
        "change, match",
        [
            ({"maps": np.ones((3, 48, 48))}, "Maps must have the shape"),
            ({"maps": np.ones((2, 48, 64))}, "2 maps need 2 rotations"),
            ({"radius": 90}, "radius must be"),
            ({"n_random": 1}, "radius must be"),
        ],
    )
    def test_does_not_fit(self, zone_axes, change, match):
        arguments = {"maps": np.ones((3, 48, 64)), "radius": 5, "n_random": 2}
        arguments |= change
        with pytest.raises(ValueError, match=match):
            zone_axis_test(
                rotations=ROTATIONS,
                detector=DETECTOR,
                zone_axes=zone_axes,
                **arguments,
            )


def test_simulate_geometry_is_silent(phase, capsys):
    simulation = simulate_geometry(phase, DETECTOR, ROTATIONS[:1])
    assert len(simulation.lines_coordinates()) > 10
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""

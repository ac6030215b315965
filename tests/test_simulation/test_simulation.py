# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Projection against kikuchipy's, and laws of symmetry."""

from dataclasses import replace

from diffpy.structure import Lattice
from diffpy.structure.spacegroups import GetSpaceGroup
from keras import ops
import kikuchipy as kp
import numpy as np
from orix.crystal_map import Phase
from orix.quaternion import Rotation
from orix.quaternion.symmetry import Oh
import pytest
from scipy.stats import kurtosis, zscore

from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
from kikuchipy_spacegroup.simulation import (
    Acquisition,
    Geometry,
    ProjectPatterns,
    SimulateCamera,
    detector_parameters,
    random_rotation_matrices,
    random_strains,
)


def smooth_master_pattern(space_group):
    """Return a master pattern without any symmetry of its own."""
    p = 60
    rng = np.random.default_rng(space_group)
    grid = np.linspace(-1, 1, 2 * p + 1)
    x, y = np.meshgrid(grid, grid)
    data = np.zeros((2, 2 * p + 1, 2 * p + 1), dtype="float32")
    for _ in range(12):
        k, phase = rng.normal(scale=5, size=2), rng.uniform(0, 6, 2)
        for i in range(2):
            data[i] += np.cos(k[0] * x + k[1] * y + phase[i])
    # Both hemispheres share the equator
    data[1][[0, -1]], data[1][:, [0, -1]] = data[0][[0, -1]], data[0][:, [0, -1]]
    return kp.signals.EBSDMasterPattern(
        data - data.min() + 1,
        projection="lambert",
        hemisphere="both",
        phase=Phase(space_group=space_group),
        axes=[
            {"name": name, "size": size}
            for name, size in zip(("hemisphere", "height", "width"), data.shape)
        ],
    )


def project(library, shape, rotations, detector):
    orientation, geometry = detector_parameters(rotations, detector)
    n = len(orientation)
    inputs = {
        "upper": np.full(n, library.upper[0]),
        "lower": np.full(n, library.lower[0]),
        "orientation": orientation,
        "geometry": geometry,
    }
    return ops.convert_to_numpy(ProjectPatterns(library, shape)(inputs))


def correlations(a, b):
    return [np.corrcoef(x.ravel(), y.ravel())[0, 1] for x, y in zip(a, b)]


IDEAL = Acquisition(
    gamma=(1, 1),
    compression=(0, 0),
    overlap_probability=0,
    excess_deficiency=(0, 0),
    resolution=(400, 401),
    point_spread=(0, 0),
    noise=(1e-6, 2e-6),
    blotches=(0, 0),
    raw_probability=0,
    marks_probability=0,
    dead_pixels=(0, 0),
    aperture_probability=0,
    shadow_probability=0,
    saturation_probability=0,
)


class TestProjectPatterns:
    """The same patterns as kikuchipy makes."""

    @pytest.mark.parametrize("space_group", [225, 194, 186, 1])
    def test_kikuchipy(self, space_group):
        mp = smooth_master_pattern(space_group)
        library = MasterPatternLibrary.from_signals([mp], ["a"], half_width=60)
        detector = kp.detectors.EBSDDetector(
            shape=(50, 70), pc=(0.4, 0.25, 0.6), tilt=7, azimuthal=3, sample_tilt=68
        )
        rotations = Rotation.random(20)
        reference = mp.get_patterns(
            rotations, detector, compute=True, show_progressbar=False
        ).data
        ours = project(library, (50, 70), rotations, detector)
        assert min(correlations(ours, reference)) > 0.999

    def test_one_projection_center_per_pattern(self, nickel):
        mp = kp.data.nickel_ebsd_master_pattern_small(
            projection="lambert", hemisphere="both"
        )
        library = MasterPatternLibrary.from_signals([mp], ["Ni"], half_width=200)
        reference = mp.get_patterns(
            nickel.xmap.rotations.reshape(3, 3),
            nickel.detector,
            energy=20,
            compute=True,
            show_progressbar=False,
        ).data.reshape(9, 60, 60)
        ours = project(library, (60, 60), nickel.xmap.rotations, nickel.detector)
        assert min(correlations(ours, reference)) > 0.999

    def test_symmetry(self):
        """Rotations of the point group change nothing."""
        mp = kp.data.nickel_ebsd_master_pattern_small(
            projection="lambert", hemisphere="both"
        )
        library = MasterPatternLibrary.from_signals([mp], ["Ni"], half_width=200)
        detector = kp.detectors.EBSDDetector(shape=(60, 60), pc=(0.5, 0.3, 0.5))
        operations = Oh[~Oh.improper]
        rotation = Rotation.from_euler([0.3, 0.5, 0.7])
        patterns = project(library, (60, 60), operations * rotation, detector)
        assert len(patterns) == 24
        assert (
            min(correlations(patterns, np.broadcast_to(patterns[0], patterns.shape)))
            > 0.98
        )
        other = project(library, (60, 60), Rotation.random(1), detector)
        assert correlations(other, patterns[:1])[0] < 0.9

    def test_blends_with_partners(self):
        signals = [smooth_master_pattern(i) for i in (221, 225)]
        library = MasterPatternLibrary.from_signals(signals, ["a", "b"], check=False)
        rng = np.random.default_rng(1)
        layer = ProjectPatterns(library, (20, 30))
        common = {
            "orientation": random_rotation_matrices(3, rng),
            "geometry": Geometry().sample(3, rng),
        }
        first, second = (
            {
                "upper": np.full(3, library.upper[i]),
                "lower": np.full(3, library.lower[i]),
            }
            for i in range(2)
        )
        a, b = (ops.convert_to_numpy(layer(common | i)) for i in (first, second))
        partner = {f"partner_{key}": value for key, value in second.items()}
        shares = np.array([0, -0.25, 1], dtype="float32")
        both = layer(common | first | partner | {"partner_share": shares})
        expected = [a[0], 1.25 * a[1] - 0.25 * b[1], b[2]]
        assert np.allclose(ops.convert_to_numpy(both), expected, atol=1e-5)

    def test_distortion_leaves_the_center(self):
        mp = smooth_master_pattern(225)
        library = MasterPatternLibrary.from_signals([mp], ["a"], half_width=60)
        geometry = np.tile(np.float32([0.5, 0.5, 0.6, 1, 0]), (2, 1))
        geometry[1, 4] = 0.1
        inputs = {
            "upper": np.zeros(2, dtype=int),
            "lower": np.ones(2, dtype=int),
            "orientation": np.tile(np.eye(3, dtype="float32"), (2, 1, 1)),
            "geometry": geometry,
        }
        a, b = ops.convert_to_numpy(ProjectPatterns(library, (51, 51))(inputs))
        assert np.isclose(a[25, 25], b[25, 25], rtol=1e-5)
        assert not np.allclose(a, b, rtol=1e-2)


class TestStrains:
    """Strains that leave a crystal its symmetry."""

    LATTICES = {
        2: (5.1, 6.3, 7.7, 82, 97, 110),
        14: (5.1, 6.3, 7.7, 90, 104, 90),
        62: (5.1, 6.3, 7.7, 90, 90, 90),
        88: (5.1, 5.1, 7.7, 90, 90, 90),
        152: (5.1, 5.1, 7.7, 90, 90, 120),
        166: (5.1, 5.1, 7.7, 90, 90, 120),
        194: (5.1, 5.1, 7.7, 90, 90, 120),
        227: (5.1, 5.1, 5.1, 90, 90, 90),
    }

    @pytest.mark.parametrize("axes", ["c along z", "a along x"])
    @pytest.mark.parametrize("space_group", LATTICES)
    def test_commute_with_the_operations_of_diffpy(self, space_group, axes):
        lattice = Lattice(*self.LATTICES[space_group])
        base = lattice.base.T
        if axes == "a along x":
            # The same lattice with a along x and c* along z
            base = np.linalg.qr(base)[1]
            base = base * np.sign(np.diag(base))[:, None]
        assert np.allclose(base.T @ base, lattice.base @ lattice.base.T)
        strain = random_strains([space_group], 0.2, np.random.default_rng(1))[0]
        assert np.allclose(strain, strain.T)
        is_cubic = space_group == 227
        assert np.allclose(strain, np.eye(3), atol=0.01) == is_cubic
        for operation in GetSpaceGroup(space_group).iter_symops():
            rotation = base @ operation.R @ np.linalg.inv(base)
            assert np.allclose(strain @ rotation, rotation @ strain, atol=1e-5)

    def test_all_that_is_free_is_strained(self):
        """As many components as a lattice has parameters, less its volume or not."""
        groups = [2, 14, 62, 88, 152, 194, 227]
        rng = np.random.default_rng(1)
        drawn = np.array([random_strains(groups, 0.1, rng) for _ in range(50)])
        free = [
            np.linalg.matrix_rank(i.reshape(50, 9) - np.eye(3).ravel(), 1e-4)
            for i in drawn.swapaxes(0, 1)
        ]
        assert free == [6, 4, 3, 1, 1, 1, 0]

    def test_projection(self):
        """Of a rotation it is that of the rotated crystal, of a dilation the same."""
        signal = smooth_master_pattern(1)
        library = MasterPatternLibrary.from_signals([signal], half_width=60)
        rng = np.random.default_rng(2)
        orientation = random_rotation_matrices(3, rng)
        inputs = {
            "upper": library.upper[np.zeros(3, int)],
            "lower": library.lower[np.zeros(3, int)],
            "orientation": orientation,
            "geometry": Geometry().sample(3, rng),
        }
        layer = ProjectPatterns(library, (20, 24))
        expected = ops.convert_to_numpy(layer.call(inputs))
        dilation = np.tile(1.3 * np.eye(3, dtype="float32"), (3, 1, 1))
        found = ops.convert_to_numpy(layer.call(inputs | {"strain": dilation}))
        assert np.allclose(found, expected, atol=1e-3)
        turn = random_rotation_matrices(3, rng)
        given = inputs | {"strain": turn, "orientation": turn.swapaxes(1, 2)}
        one = inputs | {"orientation": np.tile(np.eye(3, dtype="float32"), (3, 1, 1))}
        found = ops.convert_to_numpy(layer.call(given))
        assert np.allclose(found, ops.convert_to_numpy(layer.call(one)), atol=1e-3)
        stretch = np.tile(np.diag([1, 1, 1.2]).astype("float32"), (3, 1, 1))
        found = ops.convert_to_numpy(layer.call(inputs | {"strain": stretch}))
        assert not np.allclose(found, expected, atol=0.05)


class TestRandomNumbers:
    """Orientations and geometries."""

    def test_rotations_are_uniform(self):
        m = random_rotation_matrices(4000, np.random.default_rng(1))
        assert np.allclose(m @ m.transpose(0, 2, 1), np.eye(3), atol=1e-5)
        assert np.allclose(np.linalg.det(m), 1, atol=1e-5)
        # Rotated vectors are uniform on the sphere: mean 0, covariance 1/3
        v = m @ [0.6, 0, 0.8]
        assert np.abs(v.mean(axis=0)).max() < 0.04
        assert np.allclose(np.cov(v.T), np.eye(3) / 3, atol=0.03)
        # Density of the angle w is (1 - cos w) / pi: its mean is pi/2 + 2/pi
        angle = np.arccos((np.trace(m, axis1=1, axis2=2) - 1) / 2)
        assert abs(angle.mean() - (np.pi / 2 + 2 / np.pi)) < 0.03

    def test_geometry_in_range(self):
        g = Geometry().sample(500, np.random.default_rng(1))
        ranges = [Geometry().pcx, Geometry().pcy, Geometry().pcz]
        for column, (low, high) in zip(g.T, ranges):
            assert low <= column.min() < column.max() <= high


class TestSimulateCamera:
    """What the camera does."""

    @pytest.fixture
    def patterns(self):
        rng = np.random.default_rng(2)
        return (1 + 0.3 * rng.normal(size=(16, 48, 48))).astype("float32")

    def test_same_seed_same_patterns(self, patterns):
        a, b, c = (
            ops.convert_to_numpy(SimulateCamera(size=48, seed=s)(patterns))
            for s in (1, 1, 2)
        )
        assert np.array_equal(a, b, equal_nan=True)
        assert not np.array_equal(a, c, equal_nan=True)

    def test_finite_but_for_apertures(self, patterns):
        out = ops.convert_to_numpy(SimulateCamera(size=48)(patterns))
        assert np.isfinite(out[:, 20:28, 20:28]).all()
        masked = np.isnan(out).any(axis=(1, 2))
        assert 0 < masked.sum() < len(out)

    def test_ideal_camera_changes_no_more_than_the_scale(self, patterns):
        out = ops.convert_to_numpy(SimulateCamera(IDEAL, size=48)(patterns))
        assert min(correlations(out, patterns)) > 0.999

    def test_compression_is_that_of_the_docstring(self, patterns):
        strong = replace(IDEAL, compression=(0.8, 0.8))
        out = ops.convert_to_numpy(SimulateCamera(strong, size=48)(patterns))
        signal = patterns - patterns.mean(axis=(1, 2), keepdims=True)
        signal /= patterns.std(axis=(1, 2), keepdims=True)
        assert min(correlations(out, np.tanh(0.8 * signal))) > 0.999
        # What is brightest and darkest stands out less
        tails = (kurtosis(i.reshape(16, -1), axis=1) for i in (out, patterns))
        assert np.less(*tails).all()

    def test_residues_are_smooth_and_as_strong_as_the_signal(self, patterns):
        uneven = replace(IDEAL, residues=(1, 1))
        out = ops.convert_to_numpy(SimulateCamera(uneven, size=48)(patterns))
        assert np.allclose(correlations(out, patterns), 0.5**0.5, atol=0.15)
        signal, out = (zscore(i.reshape(16, -1), axis=1) for i in (patterns, out))
        slope = (signal * out).mean(axis=1, keepdims=True)
        rest = (out - slope * signal).reshape(16, 48, 48)
        assert np.mean(correlations(rest[:, 1:], rest[:, :-1])) > 0.8

    def test_config_makes_the_same_layer(self, patterns):
        layer = SimulateCamera(Acquisition(gamma=(1, 2)), size=48, seed=3)
        again = SimulateCamera.from_config(layer.get_config())
        assert again.acquisition == layer.acquisition
        a, b = (ops.convert_to_numpy(i(patterns)) for i in (layer, again))
        assert np.array_equal(a, b, equal_nan=True)

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated scans are what a camera would record of their truth."""

from dataclasses import replace

from diffpy.structure import Atom, Lattice, Structure
import hyperspy.api as hs
import kikuchipy as kp
from kikuchipy.detectors import EBSDDetector
from kikuchipy.signals import EBSD, EBSDMasterPattern, LazyEBSD
import numpy as np
from orix.crystal_map import CrystalMap, Phase, PhaseList
from orix.quaternion import Rotation
import pytest

from kikuchipy_spacegroup.crystals import check_space_group
from kikuchipy_spacegroup.io import load_sht
from kikuchipy_spacegroup.master_patterns import simulate_master_pattern
from kikuchipy_spacegroup.simulation import (
    Camera,
    example_phases,
    example_scan,
    random_map,
    simulate_scan,
    simulate_scan_from_map,
)
from kikuchipy_spacegroup.simulation import _scans as scans

# Neither noise nor anything else but the patterns and their contrast
PLAIN = Camera(dose=np.inf, point_spread=0, vignetting=0)


@pytest.fixture(autouse=True)
def _no_progressbar():
    hs.preferences.General.show_progressbar = False


@pytest.fixture(scope="module")
def masters():
    """Master patterns of ferrite and FeAl."""
    phases = [
        Phase(
            name,
            space_group=number,
            structure=Structure(
                [Atom(symbol, xyz) for symbol, xyz in atoms],
                Lattice(a, a, a, 90, 90, 90),
            ),
        )
        for name, number, a, atoms in (
            ("ferrite", 229, 2.87, [("Fe", [0, 0, 0])]),
            ("FeAl", 221, 2.91, [("Fe", [0, 0, 0]), ("Al", [0.5, 0.5, 0.5])]),
        )
    ]
    return [simulate_master_pattern(phase, half_width=40) for phase in phases]


@pytest.fixture
def detector():
    return EBSDDetector(shape=(20, 24), pc=(0.45, 0.3, 0.6), sample_tilt=70)


def projected(master, rotations, detector):
    """Return patterns as kikuchipy projects them, in float32."""
    s = master.get_patterns(
        rotations, detector, dtype_out="float32", compute=True, show_progressbar=False
    )
    return s.data


def standardized(master, patterns):
    return (patterns - master.data.mean()) / master.data.std()


class TestPatterns:
    @pytest.mark.parametrize("drift", [(0, 0, 0), (0.1, -0.05, 0.08)])
    def test_same_as_kikuchipy(self, masters, detector, drift):
        s = simulate_scan(
            masters,
            (6, 7),
            grain_size=3,
            overlap=0,
            detector=detector,
            pc_drift=drift,
            camera=PLAIN,
            dtype="float32",
        )
        for i, master in enumerate(masters):
            patterns = projected(
                master, s.xmap.rotations.reshape(6, 7), s.detector
            ).reshape(6, 7, 20, 24)
            of_phase = s.xmap.get_map_data("phase_id") == i
            expected = 1 + PLAIN.contrast * standardized(master, patterns)[of_phase]
            assert of_phase.any()
            assert np.allclose(s.data[of_phase], expected, atol=1e-5)

    def test_mixture(self, masters, detector):
        """The pattern at a boundary is the weighted mean of two pure ones."""
        kwargs = {"detector": detector, "camera": PLAIN, "dtype": "float32"}
        mixed, pure = (
            simulate_scan(
                masters, (8, 9), grain_size=4, overlap=i, pc_drift=(0, 0, 0), **kwargs
            )
            for i in (1.5, 0)
        )
        xmap = mixed.xmap
        own = pure.data.reshape(-1, 20, 24)
        other = own[xmap.mixed_with]
        share = xmap.purity[:, None, None]
        expected = share * own + (1 - share) * other
        assert (xmap.second_phase_id[xmap.purity < 1] != -1).any()
        assert np.allclose(mixed.data.reshape(-1, 20, 24), expected, atol=1e-5)
        inside = xmap.purity == 1
        assert np.array_equal(mixed.data.reshape(own.shape)[inside], own[inside])

    def test_mixture_with_drift(self, masters, detector):
        """Both patterns at a boundary have the projection center there."""
        s = simulate_scan(
            masters[:1],
            (3, 4),
            grain_size=2,
            detector=detector,
            pc_drift=(0.3, 0.2, 0.1),
            camera=PLAIN,
            dtype="float32",
        )
        xmap = s.xmap
        i = int(np.argmin(xmap.purity))
        at = detector.deepcopy()
        at.pc = s.detector.pc_flattened[i]
        own, other = (
            standardized(masters[0], projected(masters[0], xmap.rotations[j], at))
            for j in (i, xmap.mixed_with[i])
        )
        signal = xmap.purity[i] * own + (1 - xmap.purity[i]) * other
        assert np.allclose(s.data.reshape(-1, 20, 24)[i], 1 + 0.1 * signal, atol=1e-5)

    def test_not_indexed(self, masters, detector):
        xmap = random_map([masters[0].phase], (4, 5), overlap=0)
        xmap[1, 2].phase_id = -1
        s = simulate_scan_from_map(
            xmap, masters, detector, camera=PLAIN, dtype="float32"
        )
        assert np.ptp(s.data[1, 2]) == 0 and np.ptp(s.data[1, 1]) > 0.1
        assert s.xmap.phase_id.tolist() == xmap.phase_id.tolist()

    def test_real_map(self, nickel):
        """What is simulated is like what was recorded."""
        mp = kp.data.nickel_ebsd_master_pattern_small(
            projection="lambert", hemisphere="both"
        )
        camera = Camera(dose=1e4)
        s = simulate_scan_from_map(nickel.xmap, [mp], nickel.detector, camera=camera)
        for signal in (s, nickel):
            signal.remove_static_background()
            signal.remove_dynamic_background()
        first = s.data.reshape(9, -1)
        second = nickel.data.reshape(9, -1)
        r = np.corrcoef(first, second)[:9, 9:]
        # The first column is of another grain than the others
        grain = np.tile([0, 1, 1], 3)
        same = grain[:, None] == grain
        assert r[~same].max() < 0.25 < 0.35 < r[same].min()

    def test_refined(self, masters):
        """kikuchipy finds the orientations where they were put."""
        s = simulate_scan(
            masters[:1],
            (2, 3),
            overlap=0,
            pc_drift=(0.05, 0.05, 0.05),
            camera=Camera(dose=1e5, vignetting=0),
        )
        truth = s.xmap.orientations
        off = CrystalMap(
            rotations=Rotation.from_axes_angles([1, 2, 3], 1, degrees=True) * truth,
            x=s.xmap.x,
            y=s.xmap.y,
            phase_list=s.xmap.phases,
            scan_unit="um",
        )
        refined = s.refine_orientation(off, s.detector, masters[0], energy=20)
        assert refined.orientations.angle_with(truth, degrees=True).max() < 0.1

    def test_energies(self, masters, detector):
        data = np.stack([masters[0].data, masters[1].data], axis=1)
        axes = [
            {"name": "hemisphere", "size": 2},
            {"name": "energy", "size": 2, "offset": 15, "scale": 5},
            {"name": "height", "size": 81},
            {"name": "width", "size": 81},
        ]
        kwargs = {"projection": "lambert", "phase": masters[1].phase}
        both = EBSDMasterPattern(data, axes=axes, hemisphere="both", **kwargs)
        upper = EBSDMasterPattern(data[0], axes=axes[1:], hemisphere="upper", **kwargs)
        xmap = random_map([masters[1].phase], (2, 3))
        expected, lower = (
            simulate_scan_from_map(
                xmap,
                [EBSDMasterPattern(data[:, i], hemisphere="both", **kwargs)],
                detector,
            )
            for i in (1, 0)
        )
        for master in (both, both.as_lazy(), upper):
            s = simulate_scan_from_map(xmap, master, detector)
            assert np.array_equal(s.data, expected.data)
            s = simulate_scan_from_map(xmap, [master], detector, energy=16)
            assert np.array_equal(s.data, lower.data)
            with pytest.raises(ValueError, match="from 15 to 20 keV, not 30"):
                simulate_scan_from_map(xmap, [master], detector, energy=30)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1)])
    def test_small_maps(self, masters, detector, shape, tmp_path):
        s = simulate_scan(masters, shape, detector=detector, step_size=0.5)
        n = max(shape)
        assert s.data.shape == ((n,) if n > 1 else ()) + (20, 24)
        assert s.xmap.size == n
        s.xmap = s.xmap
        s.detector = s.detector
        if n > 1:
            (axis,) = s.axes_manager.navigation_axes
            assert axis.scale == 0.5
            assert axis.name == ("x" if shape[0] == 1 else "y")


class TestSignal:
    def test_truth(self, masters):
        s = simulate_scan(masters, (5, 6), grain_size=3, step_size=0.2)
        assert type(s) is EBSD and s.data.dtype == "uint8"
        assert s.data.shape == (5, 6, 60, 60)
        assert s.xmap.phases.names == ["ferrite", "FeAl"]
        assert [len(p.structure) for _, p in s.xmap.phases] == [1, 2]
        assert set(s.xmap.prop) == {
            "grain_id", "purity", "mixed_with", "second_phase_id"
        }  # fmt: skip
        for axis in s.axes_manager.navigation_axes:
            assert (axis.scale, axis.units) == (0.2, "um")
        assert s.static_background.dtype == "uint8"
        assert s.metadata.General.title == "ferrite, FeAl"
        # Setters check that all fit
        s.xmap, s.detector, s.static_background = (
            s.xmap,
            s.detector,
            s.static_background,
        )

    @pytest.mark.parametrize("lazy", [False, True])
    def test_saved_and_loaded(self, masters, detector, tmp_path, lazy):
        s = simulate_scan(masters, (5, 6), detector=detector, grain_size=3, lazy=lazy)
        s.save(tmp_path / "scan.h5")
        loaded = kp.load(tmp_path / "scan.h5")
        assert np.array_equal(loaded.data, np.asarray(s.data))
        assert np.array_equal(loaded.static_background, s.static_background)
        assert np.allclose(loaded.detector.pc, s.detector.pc)
        assert loaded.detector.navigation_shape == (5, 6)
        assert loaded.xmap.phases.names == s.xmap.phases.names
        assert np.allclose(np.abs(loaded.xmap.rotations.dot(s.xmap.rotations)), 1)
        for name in s.xmap.prop:
            assert np.array_equal(loaded.xmap.prop[name], s.xmap.prop[name])

    def test_projection_centers(self, masters, detector):
        s = simulate_scan(masters, (3, 5), detector=detector, pc_drift=(0.1, 0, -0.2))
        pc = s.detector.pc_flattened
        assert np.allclose(pc[-1] - pc[0], (0.1, 0, -0.2))
        assert np.allclose(np.diff(pc, axis=0), (pc[-1] - pc[0]) / 14)
        assert np.allclose(s.detector.pc_average, detector.pc_average)
        # On top of those of the detector
        again = simulate_scan(
            masters, (3, 5), detector=s.detector, pc_drift=(0, 0, 0.2)
        )
        assert np.allclose(
            again.detector.pc_flattened[-1] - again.detector.pc_flattened[0],
            (0.1, 0, 0),
        )

    def test_lazy(self, masters, monkeypatch):
        kwargs = {"shape": (9, 7), "grain_size": 4, "seed": 3}
        eager = simulate_scan(masters, **kwargs)
        lazy = simulate_scan(masters, lazy=True, **kwargs)
        assert type(lazy) is LazyEBSD
        part = lazy.inav[2:4, 5].data.compute()
        assert np.array_equal(part, eager.inav[2:4, 5].data)
        lazy.compute(show_progressbar=False)
        assert np.array_equal(lazy.data, eager.data)
        monkeypatch.setattr(scans, "_CHUNK_BYTES", 5 * 8 * 3600)
        chunked = simulate_scan(masters, lazy=True, **kwargs)
        assert chunked.data.npartitions > 10
        assert np.array_equal(chunked.data.compute(), eager.data)

    def test_seed(self, masters, detector):
        xmap = random_map([m.phase for m in masters], (3, 4))
        first, same, other = (
            simulate_scan_from_map(xmap, masters, detector, seed=i).data
            for i in (1, 1, 2)
        )
        assert np.array_equal(first, same)
        assert (first != other).mean() > 0.8
        # No two points share their noise
        assert len(np.unique(first.reshape(12, -1), axis=0)) == 12

    def test_input_is_not_changed(self, masters, detector):
        before = [master.data.copy() for master in masters]
        pc = detector.pc.copy()
        xmap = random_map([m.phase for m in masters], (3, 4))
        s = simulate_scan_from_map(xmap, masters, detector)
        simulate_scan(masters, (3, 4), detector=detector)
        s.xmap.prop["purity"][:] = 0
        s.detector.pc = (0, 0, 1)
        assert xmap.purity.any() and np.array_equal(detector.pc, pc)
        for master, data in zip(masters, before):
            assert np.array_equal(master.data, data)


class TestCamera:
    @pytest.mark.parametrize(
        ["dose", "read_noise"], [(1, 0), (50, 0), (50, 10), (1e4, 0)]
    )
    def test_noise(self, masters, detector, dose, read_noise):
        """The variance of counts is their mean and that of the read-out."""
        camera = Camera(dose=dose, read_noise=read_noise)
        xmap = random_map([masters[0].phase], (10, 10))
        noisy, mean = (
            simulate_scan_from_map(xmap, masters, detector, camera=i, dtype="float32")
            for i in (camera, replace(camera, dose=np.inf))
        )
        electrons = noisy.data * dose
        expected = mean.data * dose
        z = (electrons - expected) / np.sqrt(expected + read_noise**2)
        # Standard errors of means and variances of n values
        n = z.size
        assert abs(z.mean()) < 4 / np.sqrt(n)
        assert abs(z.var() - 1) < 5 * np.sqrt((2 + 1 / dose) / n)
        assert electrons.mean() == pytest.approx(dose, rel=0.05)
        if not read_noise:
            assert np.allclose(electrons, np.rint(electrons), atol=1e-6 * dose)

    @pytest.mark.parametrize("contrast", [0.02, 0.2])
    def test_contrast(self, masters, detector, contrast):
        camera = replace(PLAIN, contrast=contrast)
        xmap = random_map([m.phase for m in masters], (20, 20), grain_size=2, overlap=0)
        s = simulate_scan_from_map(
            xmap, masters, detector, camera=camera, dtype="float32"
        )
        for i in range(2):
            data = s.data[xmap.get_map_data("phase_id") == i]
            assert data.mean() == pytest.approx(1, abs=0.3 * contrast)
            assert data.std() == pytest.approx(contrast, rel=0.2)

    def test_background(self, masters, detector):
        """The static background is the mean of many patterns."""
        xmap = random_map([masters[0].phase], (20, 20), grain_size=1)
        camera = Camera(contrast=0.05)
        s = simulate_scan_from_map(
            xmap, masters, detector, camera=camera, dtype="uint16"
        )
        background = s.static_background.astype(float)
        assert background.max() == pytest.approx(0.6 * 65535, abs=1)
        ratio = s.data.mean(axis=(0, 1)) / background
        assert ratio.std() < 0.03
        row, column = np.unravel_index(background.argmax(), background.shape)
        assert abs((row + 0.5) / 20 - 0.4) <= 0.05
        assert abs((column + 0.5) / 24 - 0.475) <= 0.05

    def test_integers(self, masters, detector):
        xmap = random_map([masters[0].phase], (3, 3))
        kwargs = {"camera": Camera(exposure=0.5, dose=np.inf)}
        as_float, small, large = (
            simulate_scan_from_map(xmap, masters, detector, dtype=dtype, **kwargs)
            for dtype in ("float32", "uint8", "uint16")
        )
        for s, highest in ((small, 255), (large, 65535)):
            gain = 0.5 * highest / as_float.static_background.max()
            expected = np.minimum(as_float.data * gain, highest)
            assert np.abs(s.data - expected).max() < 0.51
        bright = simulate_scan_from_map(
            xmap, masters, detector, camera=Camera(exposure=1, contrast=1)
        )
        assert bright.data.max() == 255

    def test_point_spread(self, masters, detector):
        xmap = random_map([masters[0].phase], (3, 3))
        cameras = (PLAIN, replace(PLAIN, point_spread=1.5))
        plain, blurred = (
            simulate_scan_from_map(xmap, masters, detector, camera=i, dtype="float32")
            for i in cameras
        )
        assert blurred.data.std() < 0.9 * plain.data.std()
        assert blurred.data.mean() == pytest.approx(plain.data.mean(), rel=1e-2)

    @pytest.mark.parametrize(
        ["name", "value"],
        [
            ("dose", 0),
            ("dose", np.nan),
            ("contrast", -0.1),
            ("read_noise", -1),
            ("exposure", 1.2),
            ("vignetting", -1),
            ("point_spread", np.inf),
        ],
    )
    def test_errors(self, name, value):
        with pytest.raises(ValueError, match=f"{name} must be from"):
            Camera(**{name: value})


class TestExamples:
    @pytest.mark.parametrize(
        ["name", "space_groups", "n_atoms"],
        [
            ("ferrite and FeAl", [229, 221], [2, 2]),
            ("austenite, ferrite and cementite", [225, 229, 62], [4, 2, 16]),
            ("aluminum and silicon", [225, 227], [4, 8]),
        ],
    )
    def test_structures(self, name, space_groups, n_atoms):
        pytest.importorskip("spglib")
        phases = example_phases(name)
        checks = [check_space_group(phase) for phase in phases]
        assert [check.found for check in checks] == space_groups
        assert all(check.agrees for check in checks)
        assert [check.n_atoms for check in checks] == n_atoms
        # Metallic atoms take 7 to 21 cubic Angstrom
        for phase, n in zip(phases, n_atoms):
            assert 7 < phase.structure.lattice.volume / n < 21

    def test_scan(self, detector, tmp_path):
        kwargs = {"grain_size": 4, "detector": detector, "cache_dir": tmp_path}
        s = example_scan("aluminum and silicon", (12, 10), **kwargs)
        assert s.xmap.phases.names == ["aluminum", "silicon"]
        assert np.mean(s.xmap.phase_id == 0) == pytest.approx(0.7, abs=0.15)
        assert len(list(tmp_path.iterdir())) == 2
        fractions = {"phase_fractions": (0, 1)}
        s = example_scan("aluminum and silicon", (3, 4), **kwargs, **fractions)
        assert s.xmap.phases.names == ["silicon"]

    def test_default_model_knows(self, shared_data):
        """Patterns of another program are of the space groups of the truth."""
        masters = []
        for name, file in (
            ("ferrite", "Fe_alpha_iron_A2__229"),
            ("Al", "Al_aluminum_A1__225"),
        ):
            masters.append(load_sht(shared_data / "sht" / f"{file}__20.sht"))
            masters[-1].phase.name = name
        s = simulate_scan(masters, (10, 12), grain_size=3, camera=Camera(dose=2000))
        found = s.classify_space_group(show_progressbar=False)
        truth = np.array([229, 225])[s.xmap.phase_id]
        pure = s.xmap.purity > 0.9
        assert np.mean(found.phase_id[pure] == truth[pure]) > 0.75

    def test_unknown(self):
        with pytest.raises(ValueError, match="no example 'steel', but there are"):
            example_scan("steel")


class TestErrors:
    def test_master_patterns(self, masters, detector):
        xmap = random_map([masters[0].phase], (2, 2))

        def simulate(*signals):
            simulate_scan_from_map(xmap, signals, detector)

        def changed(**kwargs):
            new = masters[0].deepcopy()
            for name, value in kwargs.items():
                setattr(new, name, value)
            return new

        with pytest.raises(ValueError, match="at least one"):
            simulate()
        with pytest.raises(TypeError, match="not Phase"):
            simulate(masters[0].phase)
        with pytest.raises(ValueError, match="Two master patterns .* 'ferrite'"):
            simulate(masters[0], masters[0])
        with pytest.raises(ValueError, match="has no name"):
            simulate(changed(phase=Phase(space_group=229)))
        with pytest.raises(ValueError, match="no point group"):
            simulate(changed(phase=Phase("ferrite")))
        with pytest.raises(ValueError, match="stereographic projection"):
            simulate(changed(projection="stereographic"))
        polar = changed(phase=Phase("GaAs", space_group=216), hemisphere="upper")
        with pytest.raises(ValueError, match="no inversion center"):
            simulate(polar)
        with pytest.raises(ValueError, match="standard deviation of 0"):
            simulate(changed(data=np.ones((2, 5, 5))))
        with pytest.raises(ValueError, match="standard deviation of nan"):
            simulate(changed(data=np.full((2, 5, 5), np.nan)))

    def test_map(self, masters, detector):
        xmap = random_map([m.phase for m in masters], (3, 6), grain_size=2)
        with pytest.raises(ValueError, match="no master pattern of the phase 'FeAl'"):
            simulate_scan_from_map(xmap, masters[:1], detector)
        with pytest.raises(ValueError, match="rectangular map"):
            simulate_scan_from_map(xmap[:2], masters, detector)
        new = xmap.deepcopy()
        del new.prop["mixed_with"]
        with pytest.raises(ValueError, match="overlap_grains"):
            simulate_scan_from_map(new, masters, detector)
        for name, value in (("purity", 1.5), ("purity", np.nan), ("mixed_with", 99)):
            new = xmap.deepcopy()
            new.prop[name] = np.full(18, value)
            with pytest.raises(ValueError, match="must be from 0 to 1"):
                simulate_scan_from_map(new, masters, detector)
        new = xmap.deepcopy()
        new.phases = PhaseList(names=["ferrite", "FeAl"], space_groups=[229, 186])
        with pytest.raises(ValueError, match="6mm in the map and m-3m"):
            simulate_scan_from_map(new, masters, detector)

    def test_detector(self, masters, detector):
        with pytest.raises(ValueError, match="three numbers"):
            simulate_scan(masters, (2, 3), pc_drift=(0, 0))
        with pytest.raises(ValueError, match="three numbers"):
            simulate_scan(masters, (2, 3), pc_drift=(0, np.nan, 0))
        with pytest.raises(ValueError, match="too small"):
            simulate_scan(masters, (2, 3), detector=EBSDDetector(shape=(4, 60)))
        many = detector.deepcopy()
        many.pc = np.full((3, 2, 3), 0.5)
        for function in (
            lambda: simulate_scan(masters, (2, 3), detector=many),
            lambda: simulate_scan_from_map(
                random_map([masters[0].phase], (2, 3)), masters, many
            ),
        ):
            with pytest.raises(ValueError, match=r"shape \(3, 2\), but must have one"):
                function()

    def test_dtype(self, masters):
        with pytest.raises(ValueError, match="dtype must be one of"):
            simulate_scan(masters, (2, 3), dtype="int8")

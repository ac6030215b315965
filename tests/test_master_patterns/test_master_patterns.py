# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test libraries of master patterns."""

from pathlib import Path

from diffpy.structure import Atom, Lattice, Structure
import h5py
import kikuchipy as kp
from kikuchipy.signals import EBSDMasterPattern
import numpy as np
from orix.crystal_map import Phase
import pytest

from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="needs the shared data")
NICKEL = Path(kp.data.__file__).parent / "emsoft_ebsd_master_pattern"
NICKEL /= "ni_mc_mp_20kv_uint8_gzip_opts9.h5"


def signal(
    space_group: int | None = 225,
    name: str = "A",
    *,
    seed: int = 0,
    same: bool = True,
    side: int = 21,
    n_energies: int = 0,
    **kwargs,
) -> EBSDMasterPattern:
    """Return a master pattern of noise without atoms."""
    rng = np.random.default_rng(seed)
    data = rng.uniform(1, 3, (2, max(n_energies, 1), side, side)).astype("float32")
    if same:
        data[1] = data[0]
    axes = [
        {"name": "hemisphere", "size": 2},
        {"name": "energy", "size": n_energies, "scale": 5, "offset": 10},
        {"name": "height", "size": side},
        {"name": "width", "size": side},
    ]
    if not n_energies:
        data = data[:, 0]
        del axes[1]
    phase = Phase(name=name, space_group=space_group)
    kwargs = {"projection": "lambert", "hemisphere": "both"} | kwargs
    return EBSDMasterPattern(data, axes=axes, phase=phase, **kwargs)


def images(library: MasterPatternLibrary, entry: int = 0) -> np.ndarray:
    """Return both hemispheres of an entry."""
    pair = library.upper[entry], library.lower[entry]
    return library.data[list(pair)].astype("float64")


@pytest.fixture
def library() -> MasterPatternLibrary:
    signals = [
        signal(225, "A"),
        signal(186, "B", seed=1, same=False),
        signal(229, "C", seed=2, n_energies=3),
        signal(225, "D", seed=3),
    ]
    return MasterPatternLibrary.from_signals(signals, half_width=10)


def assert_same(a: MasterPatternLibrary, b: MasterPatternLibrary) -> None:
    assert a.phase_names == b.phase_names
    assert a.sources == b.sources
    for key in ("data", "phase_index", "upper", "lower", "energies", "space_groups"):
        left, right = getattr(a, key), getattr(b, key)
        assert left.dtype == right.dtype
        assert np.array_equal(left, right, equal_nan=key == "energies"), key


class TestFromSignals:
    def test_attributes(self, library):
        assert len(library) == 6
        assert library.n_phases == 4
        assert library.half_width == 10
        assert library.data.dtype == "float16"
        assert library.data.shape == (7, 21, 21)
        assert library.phase_names == ["A", "B", "C", "D"]
        assert library.space_groups.tolist() == [225, 186, 229, 225]
        assert library.phase_index.tolist() == [0, 1, 2, 2, 2, 3]
        assert library.upper.tolist() == [0, 1, 3, 4, 5, 6]
        assert library.lower.tolist() == [0, 2, 3, 4, 5, 6]
        assert library.energies[2:5].tolist() == [10, 15, 20]
        assert np.isnan(library.energies[[0, 1, 5]]).all()

    def test_keeps_contrast_of_intensities(self, library):
        original = signal(186, seed=1, same=False).data
        expected = original / original.mean()
        assert np.allclose(images(library, 1), expected, atol=1e-3)

    @pytest.mark.parametrize("change", ["sign", "integers"])
    def test_sets_contrast_without_intensities(self, change):
        s = signal(same=False)
        if change == "sign":
            s.data[0] -= 5
            s.data[0, 0, 0] = -30
        else:
            s.data = (50 * s.data).astype("uint8")
        library = MasterPatternLibrary.from_signals(s, half_width=10)
        values = s.data.astype("float64")
        expected = np.maximum(1 + 0.3 * (values - values.mean()) / values.std(), 0)
        assert np.allclose(images(library), expected, atol=2e-3)

    def test_orientation_of_images_is_kept(self):
        s = signal(same=False)
        s.data[:] = 1
        s.data[0, 3, 15] = 10
        s.data[1, 0, 20] = 5
        library = MasterPatternLibrary.from_signals([s], half_width=20)
        upper, lower = images(library)
        assert np.unravel_index(upper.argmax(), upper.shape) == (6, 30)
        assert np.unravel_index(lower.argmax(), lower.shape) == (0, 40)

    @pytest.mark.parametrize("side", [11, 21, 41, 61])
    def test_resampling(self, side):
        s = signal(side=side)
        axis = np.linspace(-1, 1, side)
        s.data[:] = 3 + axis + 0.5 * axis[:, np.newaxis]
        library = MasterPatternLibrary.from_signals([s], half_width=15)
        axis = np.linspace(-1, 1, 31)
        expected = (3 + axis + 0.5 * axis[:, np.newaxis]) / 3
        assert np.allclose(
            images(library)[:, 3:-3, 3:-3], expected[3:-3, 3:-3], atol=0.01
        )

    def test_which_energies(self):
        s = signal(n_energies=4)
        kwargs = {"half_width": 10}
        highest = MasterPatternLibrary.from_signals([s], energies="highest", **kwargs)
        summed = MasterPatternLibrary.from_signals([s], energies="sum", **kwargs)
        assert highest.energies.tolist() == summed.energies.tolist() == [25]
        for library, data in ((highest, s.data[:, -1]), (summed, s.data.mean(axis=1))):
            assert np.allclose(images(library), data / data.mean(), atol=2e-3)

    def test_same_phase(self):
        signals = [signal(name="A"), signal(229, name="A"), signal(name="A", seed=1)]
        library = MasterPatternLibrary.from_signals(iter(signals), half_width=10)
        assert library.phase_names == ["A", "A"]
        assert library.phase_index.tolist() == [0, 1, 0]

    def test_given_names_and_space_groups(self):
        library = MasterPatternLibrary.from_signals(
            [signal(None), signal(225)], ["X", "Y"], [194, 186], half_width=10
        )
        assert library.phase_names == ["X", "Y"]
        assert library.space_groups.tolist() == [194, 186]

    def test_lazy(self):
        s = signal(n_energies=2)
        eager = MasterPatternLibrary.from_signals([s], half_width=10)
        lazy = MasterPatternLibrary.from_signals([s.as_lazy()], half_width=10)
        assert np.array_equal(eager.data, lazy.data)

    def test_many(self):
        signals = (signal(name=str(i), seed=i) for i in range(40))
        library = MasterPatternLibrary.from_signals(signals, half_width=10)
        assert library.data.shape[0] == len(library) == 40
        expected = signal(seed=39).data[0]
        assert np.allclose(library.data[39], expected / expected.mean(), atol=2e-3)

    @pytest.mark.parametrize(
        "signals, kwargs, message",
        [
            ([], {}, "No master patterns"),
            ([signal()], {"energies": "lowest"}, "energies='lowest' is not one of"),
            ([signal(None)], {}, "has no space group"),
            ([signal()], {"space_groups": [231]}, "numbers from 1 to 230"),
            ([signal()], {"names": []}, "0 names were given for more"),
            ([signal()], {"names": ["A", "B"]}, "2 names were given for 1 master"),
            ([signal(projection="stereographic")], {}, "'lambert' and 'both'"),
            ([signal(hemisphere="upper")], {}, "'lambert' and 'both'"),
        ],
    )
    def test_errors(self, signals, kwargs, message):
        with pytest.raises(ValueError, match=message):
            MasterPatternLibrary.from_signals(signals, **kwargs)

    @pytest.mark.parametrize("value", [np.nan, np.inf, 1])
    def test_bad_intensities(self, value):
        s = signal()
        s.data[:] = value
        with pytest.raises(ValueError, match="should be finite"):
            MasterPatternLibrary.from_signals([s])


class TestSpaceGroupCheck:
    @pytest.fixture
    def nickeline(self) -> EBSDMasterPattern:
        s = signal()
        atoms = [Atom("Ni", xyz=[0, 0, 0]), Atom("As", xyz=[1 / 3, 2 / 3, 1 / 4])]
        lattice = Lattice(0.36, 0.36, 0.5, 90, 90, 120)
        structure = Structure(atoms, lattice=lattice)
        s.phase = Phase("NiAs", space_group=186, structure=structure)
        return s

    def test_warns(self, nickeline):
        pytest.importorskip("spglib")
        with pytest.warns(UserWarning, match=r"group 186, but .* group 194 \(P6_3/mmc"):
            library = MasterPatternLibrary.from_signals([nickeline], half_width=10)
        assert library.space_groups.tolist() == [186]

    # But not what orix calls of newer versions of diffpy.structure
    @pytest.mark.filterwarnings("ignore:'diffpy.structure:DeprecationWarning")
    @pytest.mark.filterwarnings("error")
    def test_does_not_warn(self, nickeline):
        for kwargs in ({"check": False}, {"space_groups": [194]}):
            MasterPatternLibrary.from_signals([nickeline], half_width=10, **kwargs)


class TestFromFiles:
    def test_emsoft(self):
        library = MasterPatternLibrary.from_files(NICKEL)
        assert library.phase_names == ["ni"]
        assert library.energies.tolist() == [20]
        assert library.sources == [NICKEL.name]
        assert library.data.shape == (1, 301, 301)
        assert np.isclose(images(library).mean(), 1, atol=1e-3)
        assert np.isclose(images(library).std(), 0.3, atol=1e-3)

    def test_weights_of_energies(self, tmp_path):
        path = tmp_path / "many.h5"
        data = write_emsoft(path, electrons=[1, 1, 6])
        kwargs = {"half_width": 6, "check": False}
        library = MasterPatternLibrary.from_files([path], ["A"], **kwargs)
        assert library.energies.tolist() == [10, 11, 12]
        library = MasterPatternLibrary.from_files([path], energies="sum", **kwargs)
        assert library.phase_names == ["many"]
        assert library.energies.tolist() == [12]
        expected = np.average(data, axis=1, weights=[1, 1, 6])
        assert np.allclose(images(library), expected / expected.mean(), atol=2e-3)

    @needs_data
    # But not what orix calls of newer versions of diffpy.structure
    @pytest.mark.filterwarnings("ignore:'diffpy.structure:DeprecationWarning")
    @pytest.mark.filterwarnings("error")
    def test_harmonics_and_hdf5(self):
        pytest.importorskip("ducc0")
        names = [
            "Ni_nickel_A1__225__15",
            "Ni_nickel_A1__225__20",
            "ZnO_zincite_B4__186__20",
        ]
        paths = [DATA / "sht" / f"{name}.sht" for name in names]
        paths.append(DATA / "masters" / "ni_225_20kv.h5")
        library = MasterPatternLibrary.from_files(paths, half_width=100)
        assert library.phase_names == ["Ni (nickel) [A1]", "ZnO (zincite) [B4]", "Ni"]
        assert library.phase_index.tolist() == [0, 0, 1, 2]
        assert library.energies.tolist() == [15, 20, 20, 20]
        assert library.upper.tolist() == [0, 1, 2, 4]
        assert library.lower.tolist() == [0, 1, 3, 4]
        r = np.corrcoef(library.data[1].ravel(), library.data[4].ravel())[0, 1]
        assert r > 0.93
        stds = [images(library, i).std() for i in range(4)]
        assert np.allclose(stds[:3], 0.3, atol=1e-3)
        assert 0.3 < stds[3] < 0.4


def write_emsoft(path: Path, electrons: list[int]) -> np.ndarray:
    """Write master patterns of many energies and return them."""
    n = len(electrons)
    rng = np.random.default_rng(0)
    data = rng.uniform(1, 3, (2, 1, n, 13, 13)).astype("float32")
    with h5py.File(path, "w") as file:
        file["EMheader/EBSDmaster/ProgramName"] = [b"EMEBSDmaster.f90"]
        crystal = file.create_group("CrystalData")
        crystal["AtomData"] = np.array([[0, 0, 0, 1, 0.005]]).T
        crystal["Atomtypes"] = [28]
        crystal["LatticeParameters"] = [0.35, 0.35, 0.35, 90, 90, 90]
        crystal["Natomtypes"] = [1]
        crystal["SpaceGroupNumber"] = [225]
        master = file.create_group("EMData/EBSDmaster")
        master["EkeVs"] = np.arange(n) + 10.0
        master["numset"] = [1]
        master["mLPNH"], master["mLPSH"] = data
        file["EMData/MCOpenCL/accum_e"] = np.ones((5, 5, 1), int) * electrons
        file["NMLparameters/EBSDMasterNameList/npx"] = [6]
        file["NMLparameters/MCCLNameList/Ebinsize"] = [1.0]
    return data[:, 0]


class TestSelectAndAdd:
    def test_select(self, library):
        assert_same(library.select(), library)
        some = library.select(["B", "C"])
        assert some.phase_names == ["B", "C"]
        assert some.phase_index.tolist() == [0, 1, 1, 1]
        assert some.data.shape[0] == 5
        assert np.array_equal(images(some, 0), images(library, 1))
        assert np.array_equal(images(some, 3), images(library, 4))
        assert library.select("A").phase_names == ["A"]
        assert library.select(space_groups=[225]).phase_names == ["A", "D"]
        assert library.select(space_groups=[225], exclude="A").phase_names == ["D"]
        assert library.select(exclude=["A", "C"]).phase_names == ["B", "D"]

    def test_select_does_not_share_memory(self, library):
        assert not np.shares_memory(library.select().data, library.data)

    def test_select_errors(self, library):
        with pytest.raises(ValueError, match=r"\['E'\] are not in the library"):
            library.select(["A", "E"])
        with pytest.raises(ValueError, match=r"\['E'\] are not in the library"):
            library.select(exclude="E")
        with pytest.raises(ValueError, match="No phase is left"):
            library.select(space_groups=[194])

    def test_add(self, library):
        left, right = library.select(["A", "B"]), library.select(["C", "D"])
        assert_same(left + right, library)
        doubled = library + library
        assert doubled.n_phases == 4
        assert len(doubled) == 12
        assert np.array_equal(images(doubled, 7), images(library, 1))

    def test_add_errors(self, library):
        other = MasterPatternLibrary.from_signals([signal()], half_width=11)
        with pytest.raises(ValueError, match="half widths of 10 and 11"):
            library + other
        with pytest.raises(TypeError):
            library + 1

    def test_repr(self, library):
        lines = repr(library).split("\n")
        assert lines[0] == (
            "MasterPatternLibrary: 4 phases, 6 entries, 7 images of (21, 21)"
        )
        assert lines[1] == "phase  space group         keV  source"
        assert lines[4] == "C      229 (Im-3m)  10, 15, 20"
        assert len(lines) == 6
        trigonal = MasterPatternLibrary.from_signals([signal(166)], half_width=10)
        assert "166 (R-3m)" in repr(trigonal)


class TestFile:
    def test_round_trip(self, library, tmp_path):
        library.save(tmp_path / "a.npz")
        assert_same(MasterPatternLibrary.load(tmp_path / "a.npz"), library)

    def test_suffix(self, library, tmp_path):
        with pytest.raises(ValueError, match=r"should end with '\.npz'"):
            library.save(tmp_path / "a.h5")

    def test_damaged_or_foreign(self, library, tmp_path):
        path = tmp_path / "a.npz"
        library.save(path)
        data = path.read_bytes()
        for size in range(0, len(data), 97):
            path.write_bytes(data[:size])
            with pytest.raises(ValueError, match="is not a library"):
                MasterPatternLibrary.load(path)
        np.savez(path, a=1)
        with pytest.raises(ValueError, match="is not a library"):
            MasterPatternLibrary.load(path)
        np.savez(path, version=2, a=1)
        with pytest.raises(ValueError, match="version is 2 and not 1"):
            MasterPatternLibrary.load(path)
        np.save(tmp_path / "a.npy", np.zeros(3))
        with pytest.raises(ValueError, match="is not a library"):
            MasterPatternLibrary.load(tmp_path / "a.npy")
        with pytest.raises(FileNotFoundError):
            MasterPatternLibrary.load(tmp_path / "none.npz")

    @pytest.mark.parametrize(
        "key, value, message",
        [
            ("data", np.zeros((3, 4, 4)), "odd sides"),
            ("phase_index", [0, 2], "phase_index has values outside of 0 to 0"),
            ("upper", [0, 3], "upper has values outside of 0 to 2"),
            ("lower", [-1, 0], "lower has values outside of 0 to 2"),
            ("energies", [20], "should be the same"),
            ("space_groups", [225, 1], "are not 1 numbers"),
            ("space_groups", [0], "from 1 to 230"),
        ],
    )
    def test_arrays_that_do_not_fit(self, key, value, message):
        arrays = {
            "data": np.zeros((3, 5, 5)),
            "phase_index": [0, 0],
            "upper": [0, 1],
            "lower": [0, 2],
            "energies": [20, 30],
            "phase_names": ["A"],
            "space_groups": [225],
        }
        MasterPatternLibrary(**arrays)
        with pytest.raises(ValueError, match=message):
            MasterPatternLibrary(**arrays | {key: value})

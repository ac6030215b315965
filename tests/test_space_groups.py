# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of space groups against orix, diffpy and spglib."""

from collections import Counter
from itertools import pairwise
import warnings

import numpy as np
from orix.crystal_map import Phase
import pytest

from kikuchipy_spacegroup import space_groups as sg

NUMBERS = range(1, 231)
ALL = [sg.get_space_group(n) for n in NUMBERS]


@pytest.fixture(scope="module")
def spglib_types():
    spglib = pytest.importorskip("spglib")
    types = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for hall in range(1, 531):
            entry = spglib.get_spacegroup_type(hall)
            types.setdefault(entry.number, entry)
    return types


class TestTables:
    """The tables against those of others."""

    def test_labels_are_those_of_orix(self):
        for g in ALL:
            reference = Phase(space_group=g.number).space_group.short_name
            if g.bravais_lattice == "hR":
                reference = "R" + reference[1:]
            assert g.symbol == reference

    def test_labels_are_unique(self):
        assert len({g.symbol for g in ALL}) == 230

    def test_point_groups_are_those_of_orix(self):
        # orix names two settings of the same type differently
        same = {"-4m2": "-42m", "-62m": "-6m2"}
        for g in ALL:
            name = Phase(space_group=g.number).point_group.name
            name = {"321": "32", "312": "32", "211": "2", "121": "2", "112": "2"}.get(
                name, same.get(name, name)
            )
            name = {"m11": "m", "1m1": "m", "11m": "m"}.get(name, name)
            assert name == g.point_group, g

    def test_point_groups_are_those_of_spglib(self, spglib_types):
        for g in ALL:
            assert spglib_types[g.number].pointgroup_international == g.point_group

    def test_laue_classes_are_those_of_orix(self):
        for g in ALL:
            if g.point_group != "m":  # None in orix
                point_group = Phase(space_group=g.number).point_group
                assert point_group.laue.name == g.laue_class

    def test_counts(self):
        assert Counter(g.laue_class for g in ALL) == {
            "-1": 2, "2/m": 13, "mmm": 59, "4/m": 14, "4/mmm": 54, "-3": 6,
            "-3m": 19, "6/m": 9, "6/mmm": 18, "m-3": 12, "m-3m": 24,
        }  # fmt: skip
        assert len({g.bravais_lattice for g in ALL}) == 14
        assert len({g.point_group for g in ALL}) == 32
        assert len({g.crystal_system for g in ALL}) == 7
        assert sum(g.is_centrosymmetric for g in ALL) == 92
        assert sum(g.is_sohncke for g in ALL) == 65

    def test_enantiomorphs(self):
        pairs = {(g.number, g.enantiomorph) for g in ALL if g.enantiomorph}
        assert len(pairs) == 22
        assert pairs == {(b, a) for a, b in pairs}
        assert all(ALL[a - 1].is_sohncke for a, _ in pairs)

    @pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
    def test_operations_of_spglib(self, spglib_types):
        """Inversion, handedness and mirror image from the operations."""
        spglib = pytest.importorskip("spglib")
        for g in ALL:
            hall = spglib_types[g.number].hall_number
            operations = spglib.get_symmetry_from_database(hall)
            rotations = operations["rotations"]
            inversion = (rotations == -np.eye(3)).all(axis=(1, 2)).any()
            assert g.is_centrosymmetric == inversion, g
            assert g.is_sohncke == np.allclose(np.linalg.det(rotations), 1), g
            # Inverting space keeps rotations and inverts translations
            mirrored = spglib.get_spacegroup_type_from_symmetry(
                rotations, -operations["translations"] % 1
            ).number
            assert (g.enantiomorph or g.number) == mirrored, g

    def test_crystal_systems_are_those_of_diffpy(self):
        for g in ALL:
            reference = Phase(space_group=g.number).space_group.crystal_system
            assert g.crystal_system == reference.lower()

    def test_centrosymmetric_is_what_orix_says(self):
        for g in ALL:
            point_group = Phase(space_group=g.number).point_group
            assert point_group.contains_inversion == g.is_centrosymmetric


class TestPhaseList:
    """Phases with space group numbers as IDs."""

    def test_ids_names_groups(self):
        phases = sg.phase_list([229, 225, 225], include_not_indexed=True)
        assert phases.ids == [-1, 225, 229]
        assert phases.names == ["not_indexed", "Fm-3m", "Im-3m"]
        assert [g.number for g in phases.space_groups[1:]] == [225, 229]
        assert len(set(phases.colors)) == 3

    def test_all(self):
        phases = sg.phase_list(NUMBERS)
        assert phases.ids == list(NUMBERS)
        assert len(set(phases.colors)) == 230

    def test_empty(self):
        with pytest.raises(ValueError, match="must be among the classes"):
            sg.phase_list([225, 229], classes=[225])
        assert sg.phase_list([], include_not_indexed=True).ids == [-1]

    @pytest.mark.parametrize(
        "number", [0, 231, -1, 225.5, True, np.True_, None, "225", np.nan, np.inf]
    )
    @pytest.mark.parametrize(
        "function", [sg.get_space_group, sg.symbol, lambda n: sg.phase_list([n])]
    )
    def test_no_such_group(self, function, number):
        with pytest.raises(ValueError, match="number from 1 to 230"):
            function(number)

    @pytest.mark.parametrize("number", [225, 225.0, np.uint8(225), np.float32(225)])
    def test_any_kind_of_number(self, number):
        assert sg.get_space_group(number) is sg.get_space_group(225)
        assert type(sg.get_space_group(number).number) is int


class TestCoarsen:
    """Levels of symmetry."""

    def test_shape_and_not_indexed(self):
        labels = sg.coarsen(np.array([[225, -1], [194, 62]]), "crystal_system")
        expected = [["cubic", "not_indexed"], ["hexagonal", "orthorhombic"]]
        assert labels.tolist() == expected

    @pytest.mark.parametrize("level", sg.LEVELS)
    def test_probabilities_add_up(self, level):
        rng = np.random.default_rng(1)
        probabilities = rng.dirichlet(np.ones(230), size=(2, 3))
        summed, labels = sg.coarsen_probabilities(probabilities, NUMBERS, level)
        assert summed.shape == (2, 3, len(labels))
        assert np.allclose(summed.sum(axis=-1), 1)
        of_group = sg.coarsen(NUMBERS, level)
        i = len(labels) // 2
        expected = probabilities[..., of_group == labels[i]].sum(axis=-1)
        assert np.allclose(summed[..., i], expected)

    def test_errors(self):
        with pytest.raises(ValueError, match="Unknown level 'lattice'"):
            sg.coarsen([225], "lattice")
        with pytest.raises(ValueError, match="number from 1 to 230, not nan"):
            sg.coarsen([225, np.nan], "laue_class")
        with pytest.raises(ValueError, match="one column for each of the 2"):
            sg.coarsen_probabilities(np.ones((4, 3)), [1, 2], "laue_class")


def groups_of(level):
    """Return the space groups of every node of a level."""
    labels = sg.coarsen(NUMBERS, level)
    return {
        name: {int(i) + 1 for i in np.flatnonzero(labels == name)}
        for name in np.unique(labels)
    }


class TestLevels:
    """Nodes of the levels."""

    @pytest.mark.parametrize(
        ("level", "n"),
        [
            ("crystal_system", 7),
            ("laue_class", 11),
            ("laue_class_with_lattice", 23),
            ("diffraction_symbol", 122),
            ("enantiomorphic_pair", 219),
            ("space_group", 230),
            ("bravais_lattice", 14),
            ("point_group", 32),
            ("extinction_symbol", 97),
        ],
    )
    def test_counts(self, level, n):
        assert len(groups_of(level)) == n

    @pytest.mark.parametrize("i", range(len(sg.CHAIN) - 1))
    def test_nodes_are_within_nodes(self, i):
        coarse = groups_of(sg.CHAIN[i + 1]).values()
        for node in groups_of(sg.CHAIN[i]).values():
            assert sum(node <= other for other in coarse) == 1

    def test_side_views_are_within_nodes(self):
        for fine, coarse in [
            ("diffraction_symbol", "extinction_symbol"),
            ("extinction_symbol", "bravais_lattice"),
            ("point_group", "laue_class"),
        ]:
            for node in groups_of(fine).values():
                assert sum(node <= i for i in groups_of(coarse).values()) == 1

    def test_known_diffraction_symbols(self):
        """International Tables for Crystallography A, table 1.6.4."""
        nodes = groups_of("diffraction_symbol")
        for name, expected in {
            "-1, P-": {1, 2},
            "2/m, P21": {4, 11},
            "2/m, P21/c": {14},
            "mmm, P---": {16, 25, 47},
            "mmm, I---": {23, 24, 44, 71},
            "mmm, Pna-": {33, 62},
            "mmm, Pbca": {61},
            "4/m, P42/n--": {86},
            "4/mmm, P---": {89, 99, 111, 115, 123},
            "4/mmm, P4121-": {92, 96},
            "4/mmm, P-n-": {102, 118, 136},
            "4/mmm, Ia-d": {141},
            "-3m1, P---": {150, 156, 164},
            "-31m, P---": {149, 157, 162},
            "-3m1, P31--": {152, 154},
            "-3m, R-c": {161, 167},
            "6/m, P63--": {173, 176},
            "6/mmm, P61--": {178, 179},
            "6/mmm, P--c": {186, 190, 194},
            "m-3, Pa--": {205},
            "m-3, Ia--": {206},
            "m-3m, F---": {209, 216, 225},
            "m-3m, P41--": {212, 213},
            "m-3m, Fd--": {227},
            "m-3m, Ia-d": {230},
        }.items():
            assert nodes.get(name) == expected, name

    def test_what_is_told(self):
        """Most symbols leave several space groups that are no pair."""
        nodes = list(groups_of("diffraction_symbol").values())
        pairs = [n for n in groups_of("enantiomorphic_pair").values() if len(n) == 2]
        assert sum(len(n) == 1 for n in nodes) == 50
        assert sum(n in pairs for n in nodes) == len(pairs) == 11

    @pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
    def test_absences_are_zeros_of_structure_factors(self, spglib_types):
        """Atoms in general positions, with the operations of spglib."""
        spglib = pytest.importorskip("spglib")
        from kikuchipy_spacegroup.space_groups._absences import _HKL, Absences

        rng = np.random.default_rng(3)
        in_zone = (np.sort(np.abs(_HKL), axis=1)[:, 0] == 0) | (
            np.abs(_HKL[:, 0]) == np.abs(_HKL[:, 1])
        )
        chosen = np.flatnonzero(in_zone)[::3]
        chosen = np.union1d(chosen, rng.choice(len(_HKL), 200))
        hkl = _HKL[chosen]
        atoms = rng.random((3, 3))
        for g in ALL:
            hall = spglib_types[g.number].hall_number
            operations = spglib.get_symmetry_from_database(hall)
            images = operations["rotations"] @ atoms.T
            images += operations["translations"][:, :, None]
            phase = np.exp(2j * np.pi * (hkl @ images)).sum(axis=0)
            vanishes = (np.abs(phase) < 1e-6 * len(images)).all(axis=1)
            absences = Absences(g.number, g.laue_class, g.bravais_lattice[0])
            assert (absences.all[chosen] == vanishes).all(), g


class TestChain:
    """The finest symmetry that is probable enough."""

    @pytest.fixture
    def probabilities(self):
        rng = np.random.default_rng(4)
        return np.concatenate(
            [rng.dirichlet(np.full(230, a), 300) for a in (0.003, 0.01, 0.1)]
        )

    @staticmethod
    def node(level, number):
        """Return the space groups of an answer."""
        label = sg.coarsen(number, sg.CHAIN[level])
        return groups_of(sg.CHAIN[level])[str(label)]

    def test_one_hot_vectors_give_their_group_or_pair(self):
        levels, ids, best = sg.finest_symmetry(np.eye(230), NUMBERS, 1)
        for g, level, i in zip(ALL, levels, ids):
            assert sg.CHAIN[level] == sg.CHAIN[g.enantiomorph is not None]
            assert i == min(g.number, g.enantiomorph or 230)
        assert (best == 1).all()
        levels, ids, _ = sg.finest_symmetry(
            np.eye(230), NUMBERS, 1, separate_enantiomorphs=True
        )
        assert (levels == 0).all()
        assert ids.tolist() == list(NUMBERS)

    def test_probabilities_are_sums(self, probabilities):
        ids, best = sg.symmetry_chain(probabilities, NUMBERS)
        for k, level in enumerate(sg.CHAIN):
            summed, labels = sg.coarsen_probabilities(probabilities, NUMBERS, level)
            assert np.allclose(best[:, k], summed.max(axis=1), atol=1e-6)
            expected = np.array(labels)[summed.argmax(axis=1)]
            assert (sg.coarsen(ids[:, k], level) == expected).mean() > 0.99
        assert (np.diff(best, axis=1) >= -1e-6).all()

    def test_answer_is_the_finest_that_is_probable(self, probabilities):
        threshold = 0.6
        levels, ids, best = sg.finest_symmetry(probabilities, NUMBERS, threshold)
        assert set(levels) == {-1, 0, 1, 2, 3, 4, 5}
        for p, level, i, found in zip(probabilities, levels, ids, best):
            largest = [
                max(p[[n - 1 for n in node]].sum() for node in groups_of(k).values())
                for k in sg.CHAIN[: level if level > 0 else 0]
            ]
            if level == 1:  # Its group may be as probable
                continue
            assert all(x < threshold for x in largest)
            if level == -1:
                assert (i, found) == (-1, 0)
                continue
            node = self.node(level, i)
            assert i == min(node)
            assert np.isclose(found, p[[n - 1 for n in node]].sum())
            assert found >= threshold - 1e-6

    def test_most_probable_group_may_be_elsewhere(self):
        """0.45 of one group are less than 0.55 of many others together."""
        p = [0.45, 0.1, 0.1, 0.1, 0.1, 0.15]
        levels, ids, best = sg.finest_symmetry(p, [194, 221, 225, 227, 229, 216])
        assert sg.CHAIN[levels] == "laue_class"
        assert sg.coarsen(ids, "laue_class") == "m-3m"
        assert np.isclose(best, 0.55)

    @pytest.mark.parametrize("separate", [False, True])
    def test_answers_lie_on_one_path(self, probabilities, separate):
        thresholds = [0.5, 0.55, 0.7, 0.9, 0.99, 1]
        answers = [
            sg.finest_symmetry(
                probabilities, NUMBERS, t, separate_enantiomorphs=separate
            )
            for t in thresholds
        ]
        for (levels, ids, _), (coarser, other, _) in pairwise(answers):
            for a, i, b, j in zip(levels, ids, coarser, other):
                if b != -1:
                    assert b >= a > -1
                    assert self.node(a, i) <= self.node(b, j)

    def test_order_of_classes_changes_nothing(self, probabilities):
        expected = sg.symmetry_chain(probabilities, NUMBERS)
        order = np.random.default_rng(5).permutation(230)
        found = sg.symmetry_chain(
            probabilities[:, order].reshape(9, 100, 230), order + 1
        )
        for a, b in zip(found, expected):
            assert np.array_equal(a.reshape(-1, 6), b)

    def test_no_other_groups_are_like_zeros(self, probabilities):
        """But for levels that are the same for all that are known."""
        known = [1, 14, 62, 139, 166, 194, 225, 229]
        p = probabilities[:, [n - 1 for n in known]] + 1e-9
        p /= p.sum(axis=1, keepdims=True)
        full = np.zeros_like(probabilities)
        full[:, [n - 1 for n in known]] = p
        found = sg.finest_symmetry(p, known)
        expected = sg.finest_symmetry(full, NUMBERS)
        for a, b in zip(found, expected):
            assert np.array_equal(a, b)

    def test_levels_that_say_nothing(self):
        """All are m-3m: that is no result of a pattern."""
        p = [[0.3, 0.3, 0.4, 0], [0.2, 0.2, 0.3, 0.3], [0, 0.9, 0.1, 0]]
        ids, best = sg.symmetry_chain(p, [221, 225, 227, 229])
        assert (ids[:, 4:] == -1).all()
        assert (best[:, 4:] == 0).all()
        levels, ids, _ = sg.finest_symmetry(p, [221, 225, 227, 229])
        assert levels.tolist() == [3, -1, 0]
        assert ids.tolist() == [196 + 13, -1, 225]
        assert sg.finest_symmetry([1.0], [225])[0] == -1

    def test_ties_are_no_answers(self):
        levels, ids, _ = sg.finest_symmetry([0.5, 0.5], [225, 194])
        assert (levels, ids) == (-1, -1)
        levels, _, _ = sg.finest_symmetry([0.5, 0.5, 0], [225, 229, 194])
        assert sg.CHAIN[levels] == "laue_class"

    @pytest.mark.parametrize("row", [[np.nan] * 3, [0.5, np.nan, 0.5], [0, 0, 0]])
    def test_not_classified(self, row):
        p = np.array([row, [0, 0.1, 0.9]])
        levels, ids, best = sg.finest_symmetry(p, [225, 229, 194])
        assert levels.tolist() == [-1, 0]
        assert ids.tolist() == [-1, 194]
        assert np.allclose(best, [0, 0.9])
        assert sg.finest_symmetry(p[:0], [225, 229, 194])[0].shape == (0,)

    def test_many_rows(self, probabilities, monkeypatch):
        from kikuchipy_spacegroup.space_groups import _chain

        expected = sg.symmetry_chain(probabilities, NUMBERS)
        monkeypatch.setattr(_chain, "_N_ROWS", 7)
        for a, b in zip(sg.symmetry_chain(probabilities, NUMBERS), expected):
            assert np.array_equal(a, b)

    @pytest.mark.parametrize("threshold", [0.49, 1.1, np.nan, True, -1])
    def test_thresholds_without_sense(self, threshold):
        with pytest.raises(ValueError, match=r"from 0\.5 to 1, .* exclude each other"):
            sg.finest_symmetry([0.5, 0.5], [225, 194], threshold)

    def test_errors(self):
        for p, groups, message in [
            ([0.5, 0.5], [225], "one column for each of the 1"),
            ([], [], "one column for each of the 0"),
            ([0.5, 0.5], [225, 225], "must be different"),
            ([0.5, 0.5], [225, 231], "number from 1 to 230"),
            ([0.5, 0.6], [225, 229], "add up to 1"),
            ([-0.5, 1.5], [225, 229], "not be negative"),
        ]:
            with pytest.raises(ValueError, match=message):
                sg.symmetry_chain(p, groups)
        with pytest.raises(ValueError, match="one column for each of the levels"):
            sg.finest_symmetry_from_chain(np.ones((2, 5)), np.ones((2, 5)))

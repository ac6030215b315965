# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of space groups against orix, diffpy and spglib."""

from collections import Counter
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

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables say what scikit-learn says, and what can be counted by hand."""

from diffpy.structure import Atom, Lattice, Structure
import numpy as np
from orix.crystal_map import CrystalMap, Phase, PhaseList
from orix.quaternion import Rotation
import pandas as pd
import pytest
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    top_k_accuracy_score,
)

import kikuchipy_spacegroup as kpsg
from kikuchipy_spacegroup import evaluation as ev
from kikuchipy_spacegroup.evaluation._seen_materials import seen_materials

GROUPS = (225, 227, 229, 194, 186)
MATERIALS = {"Ni": 225, "Al": 225, "Si": 227, "Fe": 229, "Ti": 194, "GaN": 186}


def make_table(n=400, seed=1, **kwargs):
    rng = np.random.default_rng(seed)
    material = rng.choice(list(MATERIALS), n)
    truth = np.array([MATERIALS[m] for m in material])
    probabilities = rng.dirichlet(np.ones(len(GROUPS)), n)
    probabilities += (truth[:, None] == np.array(GROUPS)) * rng.random((n, 1))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return ev.pattern_table(
        probabilities, GROUPS, truth=truth, material=material, **kwargs
    )


@pytest.fixture
def table():
    return make_table(trained_on=["Ni", "Si"])


@pytest.fixture
def told_model(tiny_model, monkeypatch):
    """A model that says what it was trained on."""

    def tell(*phases):
        metadata = tiny_model.metadata | {"phases": list(phases)}
        monkeypatch.setattr(tiny_model, "metadata", metadata)
        return tiny_model

    return tell


class TestAgainstScikitLearn:
    def test_accuracy(self, table):
        row = ev.accuracy(table).iloc[0]
        expected = accuracy_score(table["space_group"], table["predicted"])
        assert row["accuracy"] == pytest.approx(expected)
        probabilities, groups = ev.class_probabilities(table)
        labels = [groups.index(i) for i in table["space_group"]]
        for k in (2, 3):
            expected = top_k_accuracy_score(labels, probabilities, k=k)
            assert row[f"top_{k}"] == pytest.approx(expected)

    def test_precision_recall(self, table):
        scores = ev.precision_recall(table)
        for name, function in (
            ("precision", precision_score),
            ("recall", recall_score),
            ("f1", f1_score),
        ):
            expected = function(
                table["space_group"], table["predicted"],
                average=None, labels=sorted(GROUPS),
            )  # fmt: skip
            np.testing.assert_allclose(scores[name], expected)

    def test_confusion(self, table):
        expected = confusion_matrix(
            table["space_group"], table["predicted"], labels=GROUPS
        )
        found = ev.confusion_matrix(table).loc[list(GROUPS), list(GROUPS)]
        np.testing.assert_array_equal(found, expected)
        shares = ev.confusion_matrix(table, normalize=True)
        np.testing.assert_allclose(shares.sum(axis=1), 1)


class TestLaws:
    def test_order_of_patterns_and_classes_changes_nothing(self, table):
        columns = [c for c in table.columns if not c.startswith("p_")]
        shuffled = table.sample(frac=1, random_state=3)
        other = shuffled[[*columns, "p_186", "p_229", "p_225", "p_194", "p_227"]]
        for function in (ev.accuracy, ev.precision_recall, ev.reliability_diagram):
            pd.testing.assert_frame_equal(function(table), function(other))
        pd.testing.assert_frame_equal(ev.counts(table), ev.counts(other)[list(GROUPS)])

    def test_coarser_levels_are_no_harder_for_sure_models(self):
        # With one class per level of symmetry they are the same
        table = make_table()
        row = ev.accuracy(table).iloc[0]
        assert row["crystal_system"] >= row["laue_class"] - 0.05
        assert row["laue_class"] > row["accuracy"]

    def test_parts_make_the_whole(self, table):
        parts = ev.accuracy(table, "material")
        whole = ev.accuracy(table).iloc[0]
        assert parts["n"].sum() == whole["n"] == len(table)
        mean = np.average(parts["accuracy"], weights=parts["n"])
        assert mean == pytest.approx(whole["accuracy"])
        assert whole["materials"] == 6
        assert whole["materials_seen"] == 2
        assert whole["chance"] == 0.2
        total = ev.counts(table).to_numpy().sum()
        assert total == len(table)

    def test_all_tables_say_chance_and_materials(self, table):
        expected = {"materials": 6, "materials_seen": 2, "chance": 0.2}
        for matrix in (ev.counts(table), ev.confusion_matrix(table)):
            assert matrix.attrs == expected
        assert (ev.reliability_diagram(table)[list(expected)] == expected).all(
            axis=None
        )
        scores = ev.precision_recall(table)
        assert scores.loc[225, list(expected)].tolist() == [2, 1, 0.2]
        scores = ev.precision_recall(table, "material")
        assert (scores["materials"] == 1).all()
        seen = scores.index[scores["materials_seen"] == 1]
        assert sorted(seen) == ["Ni", "Si"]
        assert ev.reliability_diagram(table).attrs["calibration_error"] > 0

    @pytest.mark.parametrize(
        "function", [ev.accuracy, ev.counts, ev.confusion_matrix, ev.precision_recall]
    )
    def test_no_patterns_make_no_rows(self, table, function):
        empty = function(table[:0])
        assert len(empty) == 0
        assert list(empty.columns) == list(function(table).columns)

    def test_context_in_files(self, table, tmp_path):
        expected = {"materials": 6, "materials_seen": 2, "chance": 0.2}
        for matrix, index in (
            (ev.counts(table), [0, 1, 2]),
            (ev.confusion_matrix(table), 0),
        ):
            matrix.assign(**matrix.attrs).to_csv(tmp_path / "table.csv")
            again = pd.read_csv(tmp_path / "table.csv", index_col=index)
            assert (again[list(expected)] == expected).all(axis=None)
            numbers = again[[str(column) for column in matrix.columns]]
            np.testing.assert_array_equal(numbers, matrix)

    def test_file_and_back(self, table, tmp_path):
        table.to_csv(tmp_path / "table.csv", index=False)
        again = pd.read_csv(tmp_path / "table.csv")
        pd.testing.assert_frame_equal(ev.accuracy(again), ev.accuracy(table))
        pd.testing.assert_frame_equal(ev.counts(again), ev.counts(table))

    @pytest.mark.parametrize("digits", [None, "%.1f"])
    def test_all_tables_count_the_same(self, table, tmp_path, digits):
        # With one digit, several classes are often as probable as each other
        table.to_csv(tmp_path / "table.csv", index=False, float_format=digits)
        again = pd.read_csv(tmp_path / "table.csv")
        right = (again["predicted"] == again["space_group"]).mean()
        row = ev.accuracy(again, top=(1, 2)).iloc[0]
        assert row["accuracy"] == row["top_1"] == pytest.approx(right)
        matrix = ev.confusion_matrix(again)
        diagonal = sum(matrix.loc[i, i] for i in GROUPS)
        assert diagonal == pytest.approx(row["accuracy"] * len(again))
        recall = ev.precision_recall(again)["recall"]
        each = ev.accuracy(again, "space_group")["accuracy"]
        np.testing.assert_allclose(recall, each)

    def test_coarser_levels_have_their_own_answer(self):
        table = ev.pattern_table(
            np.array([[0.4, 0.3, 0.3]]), [194, 225, 229], truth=194, material="Ti"
        )
        row = ev.accuracy(table).iloc[0]
        assert row["accuracy"] == 1
        assert row["point_group"] == row["laue_class"] == row["crystal_system"] == 0

    @pytest.mark.parametrize("predicted", [225, 194])
    def test_what_is_predicted_wins_if_as_probable(self, predicted):
        table = ev.pattern_table(
            np.array([[0.5, 0.5]]), [225, 194], truth=194, material="Ti"
        )
        row = ev.accuracy(table.assign(predicted=predicted), top=(1,)).iloc[0]
        shares = row[["accuracy", "point_group", "crystal_system", "top_1"]]
        assert (shares == (predicted == 194)).all()

    def test_reliability_of_a_calibrated_model(self):
        rng = np.random.default_rng(4)
        p = rng.uniform(0.5, 1, 20000)
        truth = np.where(rng.random(len(p)) < p, 225, 229)
        table = ev.pattern_table(
            np.column_stack([p, 1 - p]), [225, 229], truth=truth, material="x"
        )
        bins = ev.reliability_diagram(table)
        assert bins.attrs["calibration_error"] < 0.02
        full = bins[bins["n"] > 0]
        assert len(full) == 5
        np.testing.assert_allclose(full["accuracy"], full["probability"], atol=0.05)


class TestNameWithTwoSpaceGroups:
    @pytest.fixture
    def iron(self):
        # Ni is called as it is, fcc Fe once, bcc Fe twice of three times
        truth = np.array([225, 225, 225, 225, 229, 229, 229])
        predicted = np.array([225, 225, 225, 229, 229, 229, 225])
        return ev.pattern_table(
            (predicted[:, None] == [225, 229]).astype(float), [225, 229], truth=truth,
            material=np.array(["Ni", "Ni", *["Fe"] * 5]), trained_on=["Ni"],
        )  # fmt: skip

    def test_precision_recall(self, iron):
        scores = ev.precision_recall(iron, "material").reset_index()
        expected = pd.DataFrame(
            {
                "material": ["Fe", "Fe", "Ni"],
                "space_group": [225, 229, 225],
                "precision": [1 / 2, 2 / 3, 2 / 3],
                "recall": [1 / 2, 2 / 3, 1],
                "n": [2, 3, 2],
                "materials": [1, 1, 1],
                "materials_seen": [0, 0, 1],
            }
        )
        pd.testing.assert_frame_equal(scores[list(expected)], expected)

    def test_is_two_materials(self, iron):
        row = ev.accuracy(iron).iloc[0]
        assert (row["materials"], row["materials_seen"]) == (3, 1)
        assert ev.accuracy(iron, "material")["materials"].to_dict() == {
            "Fe": 2,
            "Ni": 1,
        }
        assert ev.confusion_matrix(iron).attrs["materials"] == 3
        assert ev.counts(iron).index.droplevel(2).tolist() == [
            (225, "Fe"), (225, "Ni"), (229, "Fe")
        ]  # fmt: skip


class TestNotIdentified:
    def test_counts_as_wrong(self):
        probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [np.nan, np.nan], [0, 0]])
        table = ev.pattern_table(
            probabilities, [225, 229], truth=225, material="Ni", min_probability=0.7
        )
        assert table["predicted"].tolist() == [225, -1, -1, -1]
        row = ev.accuracy(table).iloc[0]
        assert row["accuracy"] == row["identified"] == 0.25
        assert row["crystal_system"] == 0.25
        assert ev.counts(table)[-1].tolist() == [3]
        assert ev.confusion_matrix(table).loc[225].tolist() == [1, 0, 3]
        assert ev.precision_recall(table)["precision"].tolist() == [1]
        assert ev.reliability_diagram(table)["n"].sum() == 2

    def test_unknown_group_is_never_right(self):
        table = ev.pattern_table(
            np.array([[0.9, 0.1]]), [225, 229], truth=194, material="Ti"
        )
        assert ev.accuracy(table, "space_group")["accuracy"].tolist() == [0]
        assert ev.reliability_diagram(table).attrs[
            "calibration_error"
        ] == pytest.approx(0.9)


class TestEvaluate:
    def test_scan_with_map(self, nickel, tiny_model):
        xmap = nickel.xmap.deepcopy()
        nickel.xmap.prop["bc"] = np.arange(9.0)
        nickel.xmap.prop["material"] = np.arange(9)
        table = ev.evaluate(tiny_model, {"scan": nickel}, show_progressbar=False)
        assert table["material"].unique().tolist() == [xmap.phases[0].name]
        assert (table["space_group"] == 225).all()
        assert table["bc"].tolist() == list(range(9))
        assert "xmap_material" in table
        angles = table[["phi1", "Phi", "phi2"]].to_numpy()
        again = Rotation.from_euler(angles, degrees=True)
        assert np.allclose(again.angle_with(xmap.rotations), 0, atol=1e-3)
        expected = kpsg.classify_space_group(
            nickel, tiny_model, min_probability=0, show_progressbar=False
        )
        np.testing.assert_array_equal(table["predicted"], expected.phase_id)

    def test_places_and_image_quality(self, nickel, tiny_model):
        mask = np.zeros((3, 3), dtype=bool)
        mask[1, :2] = True
        arguments = {"show_progressbar": False, "image_quality": True}
        table = ev.evaluate(
            tiny_model, {"Ni": nickel}, navigation_masks={"Ni": mask}, **arguments
        )
        assert table["row"].tolist() == [0, 0, 0, 1, 2, 2, 2]
        assert table["column"].tolist() == [0, 1, 2, 2, 0, 1, 2]
        expected = nickel.get_image_quality(show_progressbar=False)
        np.testing.assert_allclose(table["image_quality"], expected[~mask])
        every = ev.evaluate(tiny_model, {"Ni": (nickel, 225)}, **arguments)
        for (_, one), (_, other) in zip(
            table.iterrows(), every.drop(index=[3, 4]).iterrows()
        ):
            assert one["p_225"] == pytest.approx(other["p_225"], abs=1e-5)
            assert (one["row"], one["column"]) == (other["row"], other["column"])
        lazy = ev.evaluate(tiny_model, {"Ni": nickel.as_lazy()}, **arguments)
        np.testing.assert_allclose(lazy["image_quality"], expected.ravel())

    def test_places_of_line_and_point(self, nickel, tiny_model):
        scans = {"line": (nickel.inav[:, 1], 225), "point": (nickel.inav[2, 1], 225)}
        table = ev.evaluate(
            tiny_model, scans, image_quality=True, show_progressbar=False
        )
        assert table["row"].tolist() == [0, 0, 0, 0]
        assert table["column"].tolist() == [0, 1, 2, 0]
        assert table["image_quality"].iloc[2] == table["image_quality"].iloc[3]

    def test_properties_of_the_same_name(self, nickel, tiny_model):
        for name in ("row", "image_quality"):
            nickel.xmap.prop[name] = np.arange(9.0) + 10
        table = ev.evaluate(
            tiny_model, {"a": nickel}, image_quality=True, show_progressbar=False
        )
        assert table["row"].max() == 2 and table["image_quality"].max() < 1
        assert table["xmap_row"].tolist() == (np.arange(9.0) + 10).tolist()
        assert table["xmap_image_quality"].tolist() == table["xmap_row"].tolist()

    def test_scans_with_numbers_and_masks(self, nickel, tiny_model):
        mask = np.zeros((3, 3), dtype=bool)
        mask[0] = True
        table = ev.evaluate(
            tiny_model,
            {"Ni": (nickel, 225), "W": (nickel.inav[0], 229)},
            trained_on=["W"],
            navigation_masks={"Ni": mask},
            show_progressbar=False,
        )
        assert table["scan"].value_counts().to_dict() == {"Ni": 6, "W": 3}
        assert table.groupby("material")["in_training"].all().to_dict() == {
            "Ni": False, "W": True
        }  # fmt: skip

    def test_model_knows_what_it_was_trained_on(self, nickel, told_model):
        model = told_model("NI (225)", "Ta (229)", "Fe (229)")
        scans = {"Ni": (nickel, 225), "W": (nickel.inav[0], 229)}
        table = ev.evaluate(model, scans, show_progressbar=False)
        assert table.groupby("material")["in_training"].all().to_dict() == {
            "Ni": True, "W": False
        }  # fmt: skip
        table = ev.evaluate(model, scans, trained_on=[], show_progressbar=False)
        assert not table["in_training"].any()

    def test_one_name_with_two_space_groups(self, nickel, told_model):
        model = told_model("Fe (225)")
        old = nickel.xmap
        phases = PhaseList(names=["Fe", "fe"], space_groups=[225, 229], ids=[0, 1])
        nickel.xmap = CrystalMap(
            old.rotations, np.repeat([0, 1], [4, 5]), old.x, old.y, phases
        )
        scans = {"map": nickel, "Fe": (nickel.inav[0], 229)}
        table = ev.evaluate(model, scans, show_progressbar=False)
        seen = table.groupby(["material", "space_group"])["in_training"].mean()
        assert seen.to_dict() == {
            ("Fe", 225): 1, ("fe", 229): 0, ("Fe", 229): 0
        }  # fmt: skip

    def test_atoms_tell_what_the_name_does_not(self, nickel, told_model, caplog):
        model = told_model("Ni_as_Cu (225)")
        nickel.xmap.phases[0].name = "Nickel"
        with caplog.at_level("WARNING", "kikuchipy_spacegroup"):
            table = ev.evaluate(model, {"a": nickel}, show_progressbar=False)
        assert table["material"].unique().tolist() == ["Nickel"]
        assert table["in_training"].all()
        assert not caplog.records
        del nickel.xmap.phases[0].structure[:]
        with caplog.at_level("WARNING", "kikuchipy_spacegroup"):
            table = ev.evaluate(model, {"a": nickel}, show_progressbar=False)
        assert not table["in_training"].any()
        assert "Nickel (225)" in caplog.text and "`trained_on`" in caplog.text

    def test_model_that_does_not_tell(self, nickel, tiny_model, caplog):
        scans = {"Ni": (nickel, 225)}
        with caplog.at_level("WARNING", "kikuchipy_spacegroup"):
            ev.evaluate(tiny_model, scans, trained_on=(), show_progressbar=False)
            assert not caplog.records
            table = ev.evaluate(tiny_model, scans, show_progressbar=False)
        assert not table["in_training"].any()
        assert "does not say what it was trained on" in caplog.text

    def test_leaves_out_points_of_unknown_phase(self, nickel, tiny_model):
        phases = PhaseList(names=["a", "b"], space_groups=[221, None], ids=[0, 1])
        old = nickel.xmap
        phase_id = np.array([0, 0, 0, 1, 1, 1, -1, 0, 0])
        in_data = np.arange(9) != 8
        phases.add_not_indexed()
        nickel.xmap = CrystalMap(
            old.rotations, phase_id, old.x, old.y, phases, is_in_data=in_data
        )
        table = ev.evaluate(tiny_model, {"scan": nickel}, show_progressbar=False)
        assert len(table) == 4
        assert set(table["material"]) == {"a"}

    def test_part_of_a_scan(self, nickel, tiny_model):
        part = nickel.inav[1:, 2]
        table = ev.evaluate(tiny_model, {"scan": part}, show_progressbar=False)
        assert len(table) == 2
        angles = table[["phi1", "Phi", "phi2"]].to_numpy()
        again = Rotation.from_euler(angles, degrees=True)
        expected = nickel.xmap.rotations[7:]
        assert np.allclose(again.angle_with(expected), 0, atol=1e-3)

    def test_changes_nothing(self, nickel, tiny_model):
        before = nickel.data.copy(), nickel.xmap.phase_id.copy()
        ev.evaluate(tiny_model, {"scan": nickel}, show_progressbar=False)
        np.testing.assert_array_equal(nickel.data, before[0])
        np.testing.assert_array_equal(nickel.xmap.phase_id, before[1])


def make_phase(*sites, space_group=221, name="x"):
    atoms = [Atom(symbol, xyz, occupancy=share) for symbol, xyz, share in sites]
    structure = Structure(atoms, Lattice(3.5, 3.5, 3.5, 90, 90, 90))
    return Phase(name, space_group=space_group, structure=structure)


class TestSeenMaterials:
    TRAINED = (
        "Fe (229)", "Fe3Al_disordered221 (221)", "TaW_alloy (229)", "Al_as_Cu (225)",
        "NiBr_as_Cr3Si (223)", "ferrite_FeCr (229)", "YAG_Y3Al5O12 (230)",
        "pentlandite_Fe4.5Ni4.5S8 (225)", "no_diffraction (1)", "Sn_grey",
    )  # fmt: skip

    @pytest.mark.parametrize(
        ("name", "number"),
        [
            ("fe", 229), ("Fe (229)", 229), ("Fe-bcc", 229), ("W0.5Ta.5", 229),
            ("Fe3Al", 221), ("Al", 225), ("Ni3Br", 223), ("NiBr3", 223), ("FeCr", 229),
            ("Y3Al5O12", 230), ("Fe9Ni9S16", 225), ("Sn", 227), ("SN_GREY", 227),
        ],
    )  # fmt: skip
    def test_seen(self, name, number):
        found = seen_materials([(name, number, None)], self.TRAINED)
        assert found == {(name, number)}

    @pytest.mark.parametrize(
        ("name", "number"),
        [
            ("Fe", 225), ("FeAl", 221), ("Fe3Al", 225), ("Cu", 225), ("Al", 229),
            ("NiBr", 225), ("BCC", 229), ("Ferrite", 229), ("No", 1), ("", 1), ("Fe0", 229),
        ],
    )  # fmt: skip
    def test_unseen(self, name, number):
        assert not seen_materials([(name, number, None)], self.TRAINED)

    def test_atoms_say_more_than_the_name(self):
        corner, face = (0, 0, 0), (0, 0.5, 0.5)
        ordered = make_phase(("Al", corner, 1), ("Fe", face, 1), name="D03")
        equal = make_phase(("Al", corner, 0.5), ("Fe", corner, 0.5), name="Fe3Al B2")
        for phase, expected in ((ordered, True), (equal, False)):
            key = (phase.name, 221)
            assert (key in seen_materials([(*key, phase)], self.TRAINED)) is expected
        # The same material in two scans, one of which has no atoms
        twice = [("D03", 221, None), ("D03", 221, ordered)]
        assert seen_materials(twice, self.TRAINED) == {("D03", 221)}

    def test_atoms_of_no_element(self):
        phase = make_phase(("Xx", (0, 0, 0), 1), space_group=229)
        assert seen_materials([("Fe", 229, phase)], self.TRAINED) == {("Fe", 229)}

    def test_only_names_without_formula_are_a_warning(self, caplog):
        materials = [("Nickel", 225, None), ("Cu", 225, None)]
        with caplog.at_level("INFO", "kikuchipy_spacegroup"):
            seen_materials(materials * 2, self.TRAINED)
        levels = {record.levelname: record.getMessage() for record in caplog.records}
        assert levels["WARNING"].count("Nickel (225)") == 1
        assert "Cu" not in levels["WARNING"]
        assert "Cu (225)" in levels["INFO"]


class TestMeanAtomicNumber:
    def test_weighted_by_formula_and_occupancy(self):
        corner, face = (0, 0, 0), (0, 0.5, 0.5)
        ni3al = make_phase(("Al", corner, 1), ("Ni", face, 1))
        assert ev.mean_atomic_number(ni3al) == pytest.approx((13 + 3 * 28) / 4)
        mixed = make_phase(("Ta", corner, 0.5), ("W", corner, 0.25))
        assert ev.mean_atomic_number(mixed) == pytest.approx((73 * 2 + 74) / 3)
        last = make_phase(("Lr", corner, 1))
        assert ev.mean_atomic_number(last) == 103

    def test_errors(self):
        with pytest.raises(ValueError, match="'Xx'.*of no element"):
            ev.mean_atomic_number(make_phase(("Xx", (0, 0, 0), 1)))
        with pytest.raises(ValueError, match="an occupancy above zero"):
            ev.mean_atomic_number(make_phase(("Ni", (0, 0, 0), 0)))


class TestErrors:
    def test_not_scans(self, nickel, tiny_model):
        with pytest.raises(TypeError, match="mapping"):
            ev.evaluate(tiny_model, [nickel])
        with pytest.raises(TypeError, match="EBSD signal"):
            ev.evaluate(tiny_model, {"a": nickel.data})

    def test_unknown_truth(self, nickel, tiny_model):
        with pytest.raises(ValueError, match="'a' is not known"):
            ev.evaluate(tiny_model, {"a": nickel.rebin(scale=(3, 3, 1, 1))})
        with pytest.raises(ValueError, match="230"):
            ev.evaluate(tiny_model, {"a": (nickel, 231)})

    def test_table_of_something_else(self):
        with pytest.raises(ValueError, match="pattern_table"):
            ev.accuracy(pd.DataFrame({"a": [1]}))

    def test_arrays_that_do_not_fit(self):
        with pytest.raises(ValueError, match="space groups"):
            ev.pattern_table(np.ones((2, 3)), [225], truth=225, material="a")
        with pytest.raises(ValueError, match="bc must be of shape"):
            ev.pattern_table(
                np.ones((2, 1)), [225], truth=225, material="a", bc=np.ones(3)
            )

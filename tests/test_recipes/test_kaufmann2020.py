# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Materials and splits of the recipe that repeats Kaufmann et al. 2020."""

import json
from pathlib import Path
import sys

import numpy as np
import pytest

from kikuchipy_spacegroup.models import SpaceGroupModel

FOLDER = Path(__file__).parents[2] / "recipes" / "kaufmann2020"


SETTINGS = {
    "master_patterns": "none", "size": 32, "n_training": 1, "n_validation": 1,
    "epochs": {}, "n_grains": 50,
}  # fmt: skip


@pytest.fixture
def recipe(monkeypatch):
    """Modules of the recipe, which are not part of the package."""
    if not FOLDER.is_dir():
        pytest.skip("no recipes")
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(FOLDER))
    import experiment
    import materials

    yield experiment, materials
    # Their names are common ones
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == FOLDER:
            del sys.modules[name]


def test_structures_have_their_space_group(recipe):
    from kikuchipy_spacegroup.crystals import check_space_group

    _, materials = recipe
    for name, material in materials.MATERIALS.items():
        check = check_space_group(materials.phase(name))
        assert check.found == check.declared == material.space_group, name


@pytest.mark.parametrize("size", ["FULL", "REDUCED", "TINY"])
def test_split_is_the_papers(recipe, size):
    experiment, materials = recipe
    settings = getattr(experiment, size)
    index = np.arange(settings.n_patterns)
    for number, what in materials.EXPERIMENTS.items():
        totals = dict.fromkeys(materials.SPACE_GROUPS, np.zeros(2, int))
        for name, parts in experiment.split(number, settings).items():
            chosen = [index[parts[k]] for k in ("training", "validation", "test")]
            assert len(np.unique(np.concatenate(chosen))) == sum(map(len, chosen))
            assert len(chosen[2]) > 0
            used = np.array([len(chosen[0]), len(chosen[1])])
            assert (used > 0).all() == (name in what.training)
            group = materials.MATERIALS[name].space_group
            totals[group] = totals[group] + used
        expected = [settings.n_training, settings.n_validation]
        assert {tuple(total) for total in totals.values()} == {tuple(expected)}
        groups = {materials.MATERIALS[name].space_group for name in what.training}
        assert groups == set(materials.SPACE_GROUPS)


def test_patterns_of_a_few_grains(recipe):
    import kikuchipy as kp
    from orix.quaternion import Rotation
    import patterns

    from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary
    from kikuchipy_spacegroup.simulation import ProjectPatterns

    master = kp.data.nickel_ebsd_master_pattern_small(
        projection="lambert", hemisphere="both"
    )
    library = MasterPatternLibrary.from_signals([master], ["Ni"], half_width=50)
    project = ProjectPatterns(library, (32, 32))
    made = patterns.simulate(project, library, 0, "fast", 30, 16, n_grains=2)
    assert made.patterns.shape == (30, 16, 16)
    rotations = Rotation(made.rotations)
    angles = np.rad2deg((rotations * ~rotations[0]).angle)
    same = angles < 5
    assert same.any() and not same.all()
    others = rotations[~same]
    assert np.rad2deg((others * ~others[0]).angle).max() < 5


@pytest.mark.parametrize(
    "name, group, is_like", [
        ("Ni", 225, True), ("Ni_shallow", 225, True), ("Al_as_Cu", 225, True),
        ("AlNi_as_CsCl", 221, True), ("Fe3Al_disordered221", 221, True),
        ("Fe3Al_disordered229", 229, True), ("TaW_alloy", 229, True),
        ("austenite_FeCrNi", 225, True), ("Al", None, True),
        ("Fe_fcc", 225, False), ("W_beta", 223, False), ("Ni_as_W", 229, False),
        ("Cu", 225, False), ("Fe3Al", 225, False), ("NbTi_alloy", 229, False),
        ("pyrope_Mg3Al2Si3O12", 230, False), ("no_diffraction", 1, False),
    ],
)  # fmt: skip
def test_phases_like_the_materials(recipe, name, group, is_like):
    _, materials = recipe
    assert materials.is_like_a_material(name, group) is is_like


def test_phases_are_left_out_of_a_library(recipe):
    from leave_out import left_out

    from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary

    names = ["Al_as_Cu", "Cu", "Fe", "NbC", "Ni_as_W"]
    library = MasterPatternLibrary(
        np.ones((5, 3, 3), "float16"), phase_index=range(5), upper=range(5),
        lower=range(5), energies=[20] * 5, phase_names=names,
        space_groups=[225, 225, 229, 225, 229],
    )  # fmt: skip
    assert left_out(library) == ["Al_as_Cu", "Fe", "NbC"]


def test_pretrained_model_has_seen_none_of_the_materials(recipe, tmp_path):
    from run import check_pretrained

    model = SpaceGroupModel.create([225, 229], size=32)
    for phases, message in [
        (None, "does not say"),
        (["Cu (225)", "Ni (225)"], r"'Ni \(225\)'"),
        (["Al_as_Cu (225)"], "Al_as_Cu"),
    ]:
        model.metadata["phases"] = phases
        model.save(tmp_path / "seen.keras", overwrite=True)
        with pytest.raises(SystemExit, match=message):
            check_pretrained(tmp_path / "seen.keras")
    model.metadata["phases"] = ["Cu (225)", "Fe_fcc (225)"]
    model.save(tmp_path / "unseen.keras")
    assert len(check_pretrained(tmp_path / "unseen.keras")) == 64


def test_grains_are_shared_unless_told_otherwise(recipe, capsys):
    import run

    assert run.parse(["output"]).grains == 50
    assert run.parse(["output", "--grains", "0"]).grains == 0
    with pytest.raises(SystemExit):
        run.parse(["output", "--grains", "-1"])
    assert "--grains must be 0 or more" in capsys.readouterr().err


def test_pyebsdindex_is_missed_at_the_start(recipe, tmp_path, monkeypatch):
    import run

    monkeypatch.setattr(run, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"kikuchipy-spacegroup\[hough\]"):
        run.main([str(tmp_path / "output")])
    assert not (tmp_path / "output").exists()


@pytest.fixture
def library(recipe):
    """Nickel by the names of all materials."""
    import kikuchipy as kp

    from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary

    master = kp.data.nickel_ebsd_master_pattern_small(
        projection="lambert", hemisphere="both"
    )
    materials = recipe[1].MATERIALS
    groups = [material.space_group for material in materials.values()]
    return MasterPatternLibrary.from_signals(
        [master] * len(groups), list(materials), groups, half_width=50, check=False
    )


@pytest.fixture
def output(recipe, library, tmp_path):
    """Folder of a run with random results and an untrained model."""
    import patterns

    from kikuchipy_spacegroup.evaluation import pattern_table
    from kikuchipy_spacegroup.simulation import ProjectPatterns

    _, materials = recipe
    groups = materials.SPACE_GROUPS
    n = 4
    made = patterns.simulate(
        ProjectPatterns(library, (64, 64)), library, 0, "paper", n, 32
    )
    for folder in ("masters", "patterns/paper", "paper/residual"):
        (tmp_path / folder).mkdir(parents=True)
    library.save(tmp_path / "masters" / "library.npz")
    for name in materials.MATERIALS:
        np.savez(tmp_path / "patterns/paper" / f"{name}.npz", **made._asdict())
    names = np.repeat(list(materials.MATERIALS), n)
    truth = np.array([materials.MATERIALS[name].space_group for name in names])
    rng = np.random.default_rng(1)
    for number in (1, 2, 6):
        table = pattern_table(
            rng.dirichlet(np.ones(6), len(names)), groups, truth=truth, material=names,
            trained_on=materials.EXPERIMENTS[number].training,
            pattern=np.tile(np.arange(n), len(materials.MATERIALS)),
            quality=rng.random(len(names)), correlation=rng.random(len(names)),
            rotations=patterns.Rotation(np.tile(made.rotations, (18, 1))),
        )  # fmt: skip
        path = tmp_path / "paper" / "residual" / f"experiment_{number}.csv"
        table.to_csv(path, index=False)
    model = SpaceGroupModel.create(groups, size=32, filters=(8, 8), stem=8)
    model.save(tmp_path / "paper" / "residual" / "experiment_6.keras")
    (tmp_path / "settings.json").write_text(json.dumps(SETTINGS))
    return tmp_path


def test_explanation_is_of_recorded_patterns(recipe, library):
    pytest.importorskip("pyebsdindex")
    pytest.importorskip("diffsims")
    import figures

    model = SpaceGroupModel.create([221, 225], size=64, filters=(8, 8), stem=8)
    figure = figures.plot_explanation(library, model, "fast", ("NbC",), "experiment 7")
    assert figure.axes[0].images[0].get_array().shape == (64, 64)
    names = [figure.axes[i].get_ylabel() for i in (0, 3)]
    assert names[0].startswith("NbC (225), read as 22")
    assert ",\nin training" in names[0]
    assert ",\nnot in training" in names[1]
    caption = figure.get_suptitle()
    assert caption.startswith("experiment 7; guided Grad-CAM at stage2_out (8 x 8")
    assert caption.endswith("2 materials, 1 in training; chance 50.0%")


def test_all_figures_are_drawn(output):
    pytest.importorskip("pyebsdindex")
    pytest.importorskip("diffsims")
    import figures

    # No material is unseen in the first experiment
    for number in (1, 2):
        (output / "paper" / "residual" / f"experiment_{number}.csv").unlink()
    figures.write_figures(output)
    drawn = sorted(path.stem for path in (output / "results").glob("*.png"))
    assert drawn == [
        "accuracies_paper_residual_6", "grad_cam_paper_residual", "master_patterns",
        "orientations_paper_residual", "quality_paper_residual",
    ]  # fmt: skip


def test_patterns_of_unseen_materials_are_drawn(recipe, output):
    from figures import chosen_patterns
    from tables import load_results

    results = load_results(output)
    chosen, name = chosen_patterns(results)
    assert not chosen["in_training"].any() and chosen["material"].nunique() == 12
    assert name == "experiment 1, materials not in training"
    chosen, name = chosen_patterns(results[results["experiment"] == 6])
    assert chosen["material"].nunique() == 18
    assert name == "experiment 6, all materials, as all were in training"


def test_maps_are_weighed_near_zone_axes(recipe, output, monkeypatch):
    pytest.importorskip("diffsims")
    import explanations
    import keras
    from tables import load_results

    from kikuchipy_spacegroup.models import load_model

    model = load_model(output / "paper" / "residual" / "experiment_6.keras")

    class Brightness:
        """Says that bright pixels are looked at, which zone axes are."""

        layer, feature_shape = "none", (9, 9)

        def __call__(self, patterns):
            images = keras.ops.convert_to_numpy(model.prepare(patterns[..., None]))
            return images[..., 0]

    monkeypatch.setattr(explanations, "explainer", lambda model: Brightness())
    monkeypatch.setattr(explanations, "N_RANDOM", 49)
    some = {name: recipe[1].MATERIALS[name] for name in ("NiAl", "Ni", "Fe")}
    monkeypatch.setattr(explanations, "MATERIALS", some)
    results = load_results(output)
    results = results[results["experiment"] == 6]
    table = explanations.zone_axes(model, results, output / "patterns" / "paper")
    assert list(table["material"]) == ["all", *some]
    whole = table.iloc[0]
    assert whole["n"] == 12 and whole["materials"] == whole["materials_seen"] == 3
    assert whole["auc"] == pytest.approx(whole["auc_of_pattern"])
    assert whole["auc"] > 0.6 > whole["auc_at_random"]
    assert whole["p_value"] == 0.02
    assert whole["without_map"] == 0
    np.testing.assert_allclose(table["chance"], 1 / 6)


def test_untrained_network_is_another_one(recipe):
    from explanations import explainer, untrained

    model = SpaceGroupModel.create([221, 225], size=32, filters=(8, 8), stem=8)
    before = [w.copy() for w in model.network.get_weights()]
    new = untrained(model, seed=1)
    x = np.random.default_rng(1).normal(size=(2, 32, 32))
    assert new.predict_proba(x).shape == (2, 2)
    assert not np.allclose(new.predict_proba(x), model.predict_proba(x))
    for old, now in zip(before, model.network.get_weights()):
        np.testing.assert_array_equal(old, now)
    assert explainer(new).layer == explainer(model).layer


def test_bands_of_the_same_orientation_are_shared(recipe, library, monkeypatch):
    pytest.importorskip("pyebsdindex")
    import explanations

    monkeypatch.setattr(explanations, "N_ORIENTATIONS", 4)
    table = explanations.hough_bands(library, "paper", 48)
    same, different = table["shared"].iloc[:3], table["shared"].iloc[3]
    assert (same > 5).all() and different < 3


def test_tables_say_chance_and_materials(recipe, output):
    import pandas as pd
    import tables

    tables.write_tables(output)
    read = {
        name: pd.read_csv(output / "results" / f"{name}.csv")
        for name in ("materials", "space_groups", "quality", "directions")
    }
    for name, table in read.items():
        assert np.allclose(table["chance"], 1 / 6, atol=1e-3), name
        seen = [c for c in table if c.startswith(("materials_seen", "in_training"))]
        assert "materials" in table and seen, name
    tic = read["directions"].set_index("patterns").loc["TiC (right)"]
    context = ["materials", "materials_seen_before", "materials_seen_after"]
    assert tic[context].tolist() == [1, 0, 0]
    of_material = read["materials"]
    np.testing.assert_allclose(of_material["recall"], of_material["accuracy"])
    assert of_material["precision"].between(0, 1).all()
    report = (output / "results" / "results.md").read_text()
    assert "18 materials, in training where bold; chance 16.7%." in report
    assert "### paper camera, residual network, experiment 6" in report
    assert "Hough" not in report
    (output / "results" / "hough_bands.csv").write_text(
        "camera,patterns,orientations,bands,shared,standard_error,fewest,most\n"
        "paper,NbC and Ni3Al,50,9,7.92,0.1,6,9\n"
    )
    tables.write_tables(output)
    report = (output / "results" / "results.md").read_text()
    assert "| paper | NbC and Ni3Al | 50 | 9 | 7.92 ± 0.10 | 6 to 9 |" in report


def test_quality_is_compared_within_materials(recipe):
    """Materials that are both better and easier do not pass for an effect."""
    import pandas as pd
    import tables

    from kikuchipy_spacegroup.evaluation import pattern_table

    rng = np.random.default_rng(1)
    parts = []
    for name, level, share in [("Ni", 0, 0.2), ("Al", 5, 0.8)]:
        p = (rng.random(400) < share) * 0.8 + 0.1
        table = pattern_table(
            np.stack([p, 1 - p], axis=1), [225, 229], truth=225, material=name,
            quality=rng.normal(level, 1, 400),
            correlation=rng.normal(level, 1, 400) + (p > 0.5),
        )  # fmt: skip
        parts.append(table)
    results = pd.concat(parts).assign(camera="paper", network="x", experiment=1)
    table = tables.by_quality(results).set_index("material")
    means = table.loc["mean of materials"]
    assert abs(means["quality_difference"]) < 3 * means["quality_error"]
    assert means["correlation_difference"] == pytest.approx(1, abs=0.25)
    assert table.loc["all patterns in one", "quality_difference"] > 1
    assert table.loc["Al", "n_right"] + table.loc["Al", "n_wrong"] == 400

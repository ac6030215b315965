# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Materials and splits of the recipe that repeats Kaufmann et al. 2020."""

from pathlib import Path
import sys

import numpy as np
import pytest

from kikuchipy_spacegroup.model import SpaceGroupModel

FOLDER = Path(__file__).parents[1] / "recipes" / "kaufmann2020"


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
    from kikuchipy_spacegroup.structures import check_space_group

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


def test_pretrained_model_has_seen_none_of_the_materials(recipe, tmp_path):
    from run import check_pretrained

    model = SpaceGroupModel.create([225, 229], size=32)
    for phases, message in [(None, "does not say"), (["Cu (225)", "Ni (225)"], "'Ni'")]:
        model.metadata["phases"] = phases
        model.save(tmp_path / "seen.keras", overwrite=True)
        with pytest.raises(SystemExit, match=message):
            check_pretrained(tmp_path / "seen.keras")
    model.metadata["phases"] = ["Cu (225)"]
    model.save(tmp_path / "unseen.keras")
    assert len(check_pretrained(tmp_path / "unseen.keras")) == 64


def test_pyebsdindex_is_missed_at_the_start(recipe, tmp_path, monkeypatch):
    import run

    monkeypatch.setattr(run, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"kikuchipy-spacegroup\[hough\]"):
        run.main([str(tmp_path / "output")])
    assert not (tmp_path / "output").exists()


def test_explanation_is_of_recorded_patterns(recipe):
    pytest.importorskip("pyebsdindex")
    import figures
    import kikuchipy as kp

    from kikuchipy_spacegroup.master_patterns import MasterPatternLibrary

    master = kp.data.nickel_ebsd_master_pattern_small(
        projection="lambert", hemisphere="both"
    )
    library = MasterPatternLibrary.from_signals(
        [master] * 2, ["NbC", "Ni3Al"], [225, 221], half_width=50, check=False
    )
    model = SpaceGroupModel.create([221, 225], size=64, filters=(8, 8), stem=8)
    figure = figures.plot_explanation(library, model, "fast", ("NbC",))
    assert figure.axes[0].images[0].get_array().shape == (64, 64)
    names = [figure.axes[i].get_ylabel() for i in (0, 3)]
    assert names[0].startswith("NbC (225), read as 22")
    assert names[0].endswith(",\nin training")
    assert names[1].endswith(",\nnot in training")
    caption = "fast camera; 2 materials, 1 in training; chance 50.0%"
    assert figure.get_suptitle() == caption


def test_tables_say_chance_and_materials(recipe, tmp_path):
    import json

    import pandas as pd
    import tables

    from kikuchipy_spacegroup.evaluation import pattern_table

    _, materials = recipe
    groups = materials.SPACE_GROUPS
    rng = np.random.default_rng(1)
    folder = tmp_path / "fast" / "residual"
    folder.mkdir(parents=True)
    names = np.repeat(list(materials.MATERIALS), 3)
    truth = np.array([materials.MATERIALS[n].space_group for n in names])
    for number in (1, 2):
        table = pattern_table(
            rng.dirichlet(np.ones(6), len(names)), groups, truth=truth, material=names,
            trained_on=materials.EXPERIMENTS[number].training,
        )  # fmt: skip
        table.to_csv(folder / f"experiment_{number}.csv", index=False)
    settings = {"master_patterns": "none", "size": 72, "n_training": 1}
    settings |= {"n_validation": 1, "epochs": {}}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    tables.write_tables(tmp_path)
    for name in ("materials", "space_groups", "directions"):
        table = pd.read_csv(tmp_path / "results" / f"{name}.csv")
        assert np.allclose(table["chance"], 1 / 6, atol=1e-3), name
        seen = [c for c in table if c.startswith(("materials_seen", "in_training"))]
        assert "materials" in table and seen, name
    tic = table[table["patterns"] == "TiC (right)"].iloc[0]
    context = ["materials", "materials_seen_before", "materials_seen_after"]
    assert tic[context].tolist() == [1, 0, 0]
    report = (tmp_path / "results" / "results.md").read_text()
    assert "18 materials, in training where bold; chance 16.7%." in report

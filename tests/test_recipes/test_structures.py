# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the table of structures that the general model is trained on."""

from collections import Counter, defaultdict
import importlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "general_model" / "structures"
# Beside the checkout or in it
SHARED = [folder / "shared" / "data" for folder in (ROOT, ROOT.parent)]


@pytest.fixture(scope="module")
def recipe():
    """Modules of the recipe, which are not part of the package."""
    pytest.importorskip("spglib")
    if not RECIPE.is_dir():
        pytest.skip("no recipes")
    folder = "recipes.general_model.structures"
    names = ("choose", "crystals", "structure_table")
    modules = {name: importlib.import_module(f"{folder}.{name}") for name in names}
    return SimpleNamespace(**modules)


@pytest.fixture(scope="module")
def table(recipe):
    """Structures of the committed table."""
    return recipe.structure_table.read_structures()


@pytest.fixture(scope="module")
def further(recipe):
    """Structures of which only the bands are calculated."""
    return recipe.structure_table.read_structures(recipe.structure_table.FURTHER)


@pytest.fixture(scope="module")
def varied(recipe):
    """Structures with other elements on the sites of those of rare types."""
    return recipe.structure_table.read_structures(recipe.structure_table.VARIED)


def of_split(table, *splits):
    """Return structures of some splits."""
    return [s for s in table if s.extra["split"] in splits]


class TestTable:
    """The committed table."""

    def test_groups(self, table):
        """spglib finds the stated space group, also at a coarse tolerance."""
        wrong = [
            s.identifier for s in table if s.cell.find_group(0.002) != s.space_group
        ]
        assert wrong == []

    def test_robust(self, recipe, table):
        """No structure is a slight distortion of a more symmetric one.

        Phases that are mapped are in it whatever they are.
        """
        sample = [s for s in table[::5] if s.robust]
        assert len(sample) > 0.9 * len(table[::5])
        tolerance = recipe.crystals.COARSE_TOLERANCE
        assert all(s.cell.find_group(tolerance) == s.space_group for s in sample)

    def test_kept(self, recipe, table, further, varied):
        """Nothing that is kept for judging is in it, made-up ones included."""
        paths = [folder / "structures" / "kept.py" for folder in SHARED]
        path = next((path for path in paths if path.exists()), None)
        if path is None:
            pytest.skip("what is kept is not there")
        kept = recipe.choose.load_kept(path)
        everything = table + further + varied
        assert [s.identifier for s in everything if kept(s)] == []

    def test_reserved(self, recipe, table, further, varied):
        """The materials that decide are not in it."""
        materials = {s.material for s in table + further + varied}
        assert materials & recipe.choose.RESERVED == set()

    @pytest.mark.parametrize("which, least", [("further", 5000), ("varied", 6000)])
    def test_structures_of_bands_alone(self, recipe, table, request, which, least):
        """They are other ones, and nothing like what is held out."""
        structures = request.getfixturevalue(which)
        assert len(structures) > least
        assert {s.extra["split"] for s in structures} == {"training"}
        names = {s.identifier for s in structures}
        assert len(names) == len(structures)
        assert {s.identifier for s in table} & names == set()
        held_out = [s for s in table if s.extra["split"] != "training"]
        of_types = of_split(table, "test_types", "validation_types")
        types = {s.structure_type for s in of_types}
        assert [s.identifier for s in structures if s.structure_type in types] == []
        by_type = defaultdict(list)
        for structure in held_out:
            by_type[structure.structure_type].append(structure)
        alike = [
            s.identifier
            for s in structures
            for other in by_type[s.structure_type]
            if recipe.choose.are_alike(s, other)
        ]
        assert alike == []
        materials = {s.material for s in held_out}
        assert [s.identifier for s in structures if s.material in materials] == []
        assert all(s.licence for s in structures)

    def test_varied_structures(self, recipe, table, further, varied):
        """Types are those of their donors, filled up to four, and have their group."""
        training = of_split(table, "training") + further
        donors = {s.identifier: s for s in training}
        for structure in varied:
            donor = donors[structure.identifier.rpartition("-v")[0]]
            assert structure.structure_type == donor.structure_type
            assert structure.space_group == donor.space_group
            assert structure.material != donor.material
        counts = Counter(s.structure_type for s in training)
        filled = Counter(s.structure_type for s in varied)
        assert all(counts[t] + n <= 4 for t, n in filled.items())
        for structure in varied[::40]:
            for tolerance in (0.002, recipe.crystals.COARSE_TOLERANCE):
                assert structure.cell.find_group(tolerance) == structure.space_group

    def test_shifts_keep_special_positions(self, recipe):
        """Of rutile, oxygen moves along (x, x, 0) alone, and titanium not at all."""
        vary = importlib.import_module("recipes.general_model.structures.vary")
        Site = recipe.crystals.Site
        rutile = recipe.crystals.Structure(
            "rutile",
            136,
            (4.594, 4.594, 2.959, 90, 90, 90),
            [Site("Ti", 0, 0, 0, 1, 0.5), Site("O", 0.305, 0.305, 0, 1, 0.5)],
        )
        shifted = [vary.shift_sites(rutile, np.random.default_rng(i)) for i in range(9)]
        assert all(s.sites[0][1:4] == (0, 0, 0) for s in shifted)
        x, y, z = np.array([s.sites[1][1:4] for s in shifted]).T
        assert (x == y).all() and not z.any()
        assert 0.03 < np.std(x) * 4.594 * 2**0.5 < 0.3
        assert {s.multiplicities for s in shifted} == {(2, 4)}

    def test_sources(self, table):
        """All have a source and a licence, and identifiers are unique."""
        assert all(s.source and s.licence for s in table)
        assert len({s.identifier for s in table}) == len(table)

    def test_sites(self, table):
        """Occupancies and Debye-Waller factors are possible, cells are simulable."""
        sites = [site for s in table for site in s.sites]
        assert all(0 < site.occupancy <= 1 for site in sites)
        assert all(0.05 < site.debye_waller < 5 for site in sites)
        assert max(s.n_primitive for s in table) <= 150

    def test_size(self, recipe):
        """It is small."""
        assert recipe.structure_table.TABLE.stat().st_size < 1.5e6


class TestSplits:
    """Lists held out and trained on."""

    def test_materials(self, table):
        """No material is in two lists."""
        seen = {(s.material, s.extra["split"]) for s in table}
        assert max(Counter(material for material, _ in seen).values()) == 1

    def test_types(self, recipe, table):
        """Types held out whole are in no other list, those of materials are known."""
        types = {
            split: {s.structure_type for s in of_split(table, split)}
            for split in ("training", *recipe.choose.SPLITS)
        }
        others = types["training"] | types["test_materials"]
        others |= types["validation_materials"] & types["training"]
        assert types["test_types"] & (others | types["validation_types"]) == set()
        assert types["validation_types"] & others == set()
        assert types["test_materials"] <= types["training"]

    def test_real(self, recipe, table):
        """Held-out structures are real ones."""
        held_out = of_split(table, *recipe.choose.SPLITS)
        assert {s.made for s in held_out} == {"real"}
        assert {s.made for s in table} == {"real", "substituted", "random"}

    def test_systems(self, recipe, table):
        """Each list has enough of each crystal system."""
        for split in recipe.choose.SPLITS:
            systems = Counter(s.system for s in of_split(table, split))
            assert set(systems) == set(recipe.crystals.SYSTEMS)
            assert min(systems.values()) >= 15

    def test_groups(self, table):
        """At least ten of four types to train on in 130 groups, three to report."""
        training = of_split(table, "training")
        assert len(training) >= 1500
        count = Counter(s.space_group for s in training)
        types = Counter(
            g for g, _ in {(s.space_group, s.structure_type) for s in training}
        )
        full = [g for g in count if count[g] >= 10 and types[g] >= 4]
        assert len(full) >= 130
        tests = Counter(
            s.group_of_pair for s in of_split(table, "test_materials", "test_types")
        )
        assert sum(n >= 3 for n in tests.values()) >= 90

    @pytest.mark.parametrize("first", [300, 600, 1200])
    def test_order(self, table, first):
        """The first structures to be simulated have all systems and many groups."""
        training = of_split(table, "training")
        assert [s.extra["order"] for s in training] == list(range(len(training)))
        systems = Counter(s.system for s in training[:first])
        assert min(systems.values()) > 0.03 * first
        assert max(systems.values()) < 0.27 * first
        assert len({s.group_of_pair for s in training[:first]}) > 180


class TestReading:
    """What the table is read into."""

    def test_rock_salt(self, recipe):
        """Sites are expanded to the conventional cell."""
        sites = [
            recipe.crystals.Site("Na", 0, 0, 0, 1, 0.5), recipe.crystals.Site("Cl", 0.5, 0.5, 0.5, 1, 0.5)
        ]  # fmt: skip
        salt = recipe.crystals.Structure("", 225, (5.64, 5.64, 5.64, 90, 90, 90), sites)
        assert salt.formula == "ClNa"
        assert salt.multiplicities == (4, 4)
        assert salt.n_primitive == 2
        assert salt.structure_type == "225 1:1 4 4"
        np.testing.assert_allclose(salt.primitive_volume, 5.64**3 / 4)

    def test_rounded(self, recipe):
        """Rounded thirds give a special position."""
        titanium = recipe.crystals.Structure(
            "", 194, (2.95, 2.95, 4.68, 90, 90, 120),
            [recipe.crystals.Site("Ti", 0.33333, 0.66667, 0.25, 1, 0.5)],
        )  # fmt: skip
        assert titanium.multiplicities == (2,)
        assert titanium.cell.find_group(1e-4) == 194

    def test_mixed(self, recipe):
        """Mixed sites are one position, and have a formula of the majority."""
        sites = [
            recipe.crystals.Site("Fe", 0, 0, 0, 0.75, 0.5), recipe.crystals.Site("Cr", 0, 0, 0, 0.25, 0.5)
        ]  # fmt: skip
        alloy = recipe.crystals.Structure(
            "", 229, (2.87, 2.87, 2.87, 90, 90, 90), sites
        )
        assert alloy.formula == "CrFe3"
        assert alloy.ideal_formula == "Fe"
        assert alloy.multiplicities == (2,)

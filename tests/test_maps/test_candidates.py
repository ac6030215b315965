# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Phases identified by space group and composition together."""

import logging

from diffpy.structure import Atom, Lattice, Structure
import hyperspy.api as hs
import numpy as np
from orix import io
from orix.crystal_map import Phase, PhaseList
import pytest
from scipy.stats import truncnorm

from kikuchipy_spacegroup.crystals import element_symbol, phase_composition
from kikuchipy_spacegroup.maps import _composition as composition_module
from kikuchipy_spacegroup.maps import (
    candidate_probabilities,
    crystal_map,
    identify_phases,
    pool_grains,
)
from kikuchipy_spacegroup.maps._composition import log_evidence, read_composition


def phase(name, number, cell, *atoms):
    cell = (cell, cell, cell, 90, 90, 90) if np.isscalar(cell) else cell
    atoms = [Atom(e, xyz, occupancy=o[0] if o else 1) for e, xyz, *o in atoms]
    structure = Structure(atoms, Lattice(*cell))
    return Phase(name, space_group=number, structure=structure)


ORIGIN, CENTER = [0, 0, 0], [0.5, 0.5, 0.5]
FERRITE = phase("ferrite", 229, 2.867, ("Fe", ORIGIN))
AUSTENITE = phase("austenite", 225, 3.65, ("Fe", ORIGIN))
CEMENTITE = phase(
    "cementite",
    62,
    (5.09, 6.74, 4.53, 90, 90, 90),
    ("Fe", [0.036, 0.25, 0.852]),
    ("Fe", [0.186, 0.063, 0.328]),
    ("C", [0.89, 0.25, 0.45]),
)
AL = phase("Al", 225, 4.05, ("Al", ORIGIN))
SI = phase("Si", 227, 5.431, ("Si", ORIGIN))
FEAL = phase("FeAl", 221, 2.909, ("Fe", ORIGIN), ("Al", CENTER))
NBC = phase("NbC", 225, 4.470, ("Nb", ORIGIN), ("C", CENTER))
TIC = phase("TiC", 225, 4.328, ("Ti", ORIGIN), ("C", CENTER))
MAGNETITE = phase(
    "magnetite",
    227,
    8.396,
    ("Fe3+", [0, 0, 0]),
    ("Fe2.5+", [0.625, 0.625, 0.625]),
    ("O2-", [0.3799, 0.3799, 0.3799]),
)
STEEL = [FERRITE, AUSTENITE, CEMENTITE]
GROUPS = [221, 225, 227, 229]
NOTHING = np.full(4, 0.25)


def sure_of(group, p=0.9):
    return np.where(np.array(GROUPS) == group, p, (1 - p) / 3)


def ask(probabilities, candidates, composition=None, **kwargs):
    """Return probabilities of one point."""
    if composition is not None:
        composition = {name: np.array([x]) for name, x in composition.items()}
    return candidate_probabilities(
        np.array([probabilities]), GROUPS, candidates, composition, **kwargs
    )[0]


class TestComposition:
    @pytest.mark.parametrize(
        ["given", "expected"],
        [
            (FERRITE, {"Fe": 1}),
            (CEMENTITE, {"Fe": 0.75, "C": 0.25}),
            (FEAL, {"Fe": 0.5, "Al": 0.5}),
            (SI, {"Si": 1}),
            (MAGNETITE, {"Fe": 3 / 7, "O": 4 / 7}),
            # Vacancies, and a shared site
            (
                phase("a", 225, 4.4, ("Nb", ORIGIN), ("C", CENTER, 0.8)),
                {"Nb": 5 / 9, "C": 4 / 9},
            ),
            (
                phase("a", 229, 2.9, ("Fe", ORIGIN, 0.7), ("Cr", ORIGIN, 0.3)),
                {"Fe": 0.7, "Cr": 0.3},
            ),
            # Atomic numbers and lattices in nm, as in EMsoft's files
            (
                phase("a", 221, 0.2909, ("26", ORIGIN), ("13", CENTER)),
                {"Fe": 0.5, "Al": 0.5},
            ),
        ],
    )
    def test_phases(self, given, expected):
        assert phase_composition(given) == pytest.approx(expected)

    def test_empty_sites(self):
        with pytest.raises(ValueError, match="All sites of phase 'a' are empty"):
            phase_composition(phase("a", 225, 4, ("Al", ORIGIN, 0)))

    @pytest.mark.parametrize(
        ["name", "symbol"],
        [("Fe", "Fe"), ("Fe3+", "Fe"), ("O2-", "O"), ("O-2", "O"), ("Cl-", "Cl")]
        + [("Mn+3", "Mn"), ("D", "H"), (22, "Ti"), ("41", "Nb"), (" Al ", "Al")],
    )
    def test_symbols(self, name, symbol):
        assert element_symbol(name) == symbol

    @pytest.mark.parametrize("name", ["", "Fe_Ka", "fe", "X", 0, 200, "3+"])
    def test_no_symbols(self, name):
        with pytest.raises(ValueError, match="is no element"):
            element_symbol(name)

    def test_evidence_of_two_elements(self):
        """It is a truncated normal distribution on a line."""
        c, sigma, x = 0.9, np.array([0.1, 0.3]), np.linspace(0, 1, 21)
        scale = (sigma**-2.0).sum() ** -0.5
        expected = truncnorm.logpdf(x, -c / scale, (1 - c) / scale, c, scale)
        found = log_evidence(
            np.stack([x, 1 - x], axis=1), np.array([c, 1 - c]), np.array(sigma)
        )
        assert np.allclose(found, expected, atol=1e-3)

    @pytest.mark.parametrize("n", [1, 3, 6])
    @pytest.mark.parametrize("sigma", [0.1, 0.3, 1])
    def test_evidence_is_a_density(self, n, sigma):
        """Its mean over all compositions is one."""
        rng = np.random.default_rng(0)
        x = rng.dirichlet(np.ones(n), 400_000)
        expected = np.eye(n)[0] * 0.7 + 0.3 / n
        uncertainty = np.linspace(1, 2, n) * sigma
        found = np.exp(log_evidence(x, expected, uncertainty))
        assert found.mean() == pytest.approx(1, abs=max(0.01, 5 * found.std() / 632))

    def test_signals(self):
        """As quantification in exSpy returns them."""
        maps = [hs.signals.BaseSignal(np.full((2, 3), x)).T for x in (60, 40)]
        for signal, name in zip(maps, ["Fe", "Al"]):
            signal.metadata.General.title = f"atomic percent of {name}"
        maps[0].metadata.set_item("Sample.elements", ["Fe"])
        # Of the whole sample, so that the title tells
        maps[1].metadata.set_item("Sample.elements", ["Al", "Fe"])
        arrays = read_composition(maps, None)
        assert {name: a.shape for name, a in arrays.items()} == {
            "Fe": (2, 3),
            "Al": (2, 3),
        }
        assert (arrays["Al"] == 40).all()
        assert set(read_composition({"Fe": maps[0].as_lazy()}, None)) == {"Fe"}
        maps[1].metadata.General.title = "weight percent of Al"
        with pytest.raises(ValueError, match="composition_units='atomic'"):
            read_composition(maps, None)
        maps[1].metadata.General.title = "a map"
        with pytest.raises(ValueError, match="does not tell its element"):
            read_composition(maps, None)

    @pytest.mark.parametrize("n", [1, 2, 4])
    def test_evidence_of_uncertainties_that_differ(self, n):
        """It is that of each point alone."""
        rng = np.random.default_rng(2)
        x, expected = rng.dirichlet(np.ones(n), 20), rng.dirichlet(np.ones(n))
        sigma = rng.choice([0.02, 0.1, 0.3, np.inf], (20, n))
        x[3], sigma[3] = np.nan, np.nan
        found = log_evidence(x, expected, sigma)
        for i, value in enumerate(found):
            assert value == pytest.approx(
                log_evidence(x[i : i + 1], expected, sigma[i])[0], abs=1e-6
            )
        assert found[3] == 0
        assert log_evidence(x[:0], expected, sigma[:0]).shape == (0,)

    def test_very_many_uncertainties(self, monkeypatch):
        """The integrals are of rounded ones, and few."""
        rng = np.random.default_rng(3)
        x, expected = rng.dirichlet([5, 3, 1], 400), np.array([0.6, 0.4, 0])
        sigma = rng.uniform(0.05, 0.2, (400, 3))
        exact = log_evidence(x, expected, sigma)
        counted = []
        integral = composition_module._log_integral
        monkeypatch.setattr(
            composition_module,
            "_log_integral",
            lambda *args: (counted.append(1), integral(*args))[1],
        )
        for most, error in ((300, 0.25), (10, 1)):
            counted.clear()
            monkeypatch.setattr(composition_module, "_MOST_ROWS", most)
            found = log_evidence(x, expected, sigma)
            assert len(counted) <= most
            assert np.abs(found - exact).max() < error

    def test_single_signals(self):
        """They are not a list of one, whatever they hold."""
        spectra = hs.signals.Signal1D(np.ones((2, 3, 8)))
        spectra.metadata.set_item("Sample.elements", ["Fe", "Al"])
        for signal in (spectra, spectra.as_lazy(), hs.signals.BaseSignal([1.0])):
            for elements in (None, ["Fe"]):
                with pytest.raises(TypeError, match="not a single") as error:
                    read_composition(signal, elements)
            for hint in (
                type(signal).__name__,
                str(signal.axes_manager.signal_shape),
                "exSpy",
                "composition_units='atomic'",
                "`signal.data`",
            ):
                assert hint in str(error.value)

    def test_errors(self):
        table = np.ones((3, 2))
        with pytest.raises(ValueError, match="needs the names of as many `elements`"):
            read_composition(table, None)
        with pytest.raises(ValueError, match="needs the names of as many `elements`"):
            read_composition(table, ["Fe"])
        with pytest.raises(ValueError, match="each only once"):
            read_composition(table, ["Fe", "Fe2+"])
        with pytest.raises(ValueError, match="each only once"):
            read_composition({}, None)
        with pytest.raises(TypeError, match="not float"):
            read_composition(3.0, None)
        for bad in (-0.1, np.inf):
            with pytest.raises(ValueError, match="negative or infinite at 1 points"):
                read_composition({"Fe": np.array([1, bad])}, None)


class TestCandidateProbabilities:
    @pytest.mark.parametrize(
        ["candidates", "group", "composition", "best"],
        [
            # Chemistry decides
            ([NBC, TIC], 225, {"Nb": 0.96, "Ti": 0.04}, 0),
            ([NBC, TIC], 225, {"Nb": 0.03, "Ti": 0.97}, 1),
            # Both agree
            ([AL, SI], 225, {"Al": 0.97, "Si": 0.03}, 0),
            ([AL, SI], 227, {"Al": 0.06, "Si": 0.94}, 1),
            # The space group is wrong, as so often on cubic pairs
            ([FERRITE, FEAL], 229, {"Fe": 0.54, "Al": 0.46}, 1),
            ([AL, SI], 225, {"Al": 0.06, "Si": 0.94}, 1),
            # Space groups decide, as carbon is not measured
            (STEEL, 225, {"Fe": 1.0}, 1),
            (STEEL, 229, {"Fe": 1.0}, 0),
            # A space group the model does not know
            (STEEL, 229, {"Fe": 0.74, "C": 0.26}, 2),
            # Another phase
            ([NBC, TIC], 225, {"Nb": 0.5, "Ti": 0.5}, -1),
            ([AL, SI], 225, {"Al": 0.3, "Si": 0.1, "Cu": 0.6}, -1),
            ([FERRITE, FEAL], 221, {"Fe": 0.25, "Al": 0.75}, -1),
        ],
    )
    def test_materials(self, candidates, group, composition, best):
        table = ask(sure_of(group), candidates, composition)
        assert table.sum() == pytest.approx(1)
        assert table.argmax() == best % (len(candidates) + 1)

    def test_without_composition(self):
        p = sure_of(225, 0.7)
        weights = [0.3 * 4 * p[3], 0.3 * 4 * p[1], 0.3, 0.1]
        assert np.allclose(ask(p, STEEL), np.array(weights) / sum(weights))

    def test_nothing_known(self):
        assert np.allclose(ask(NOTHING, STEEL), [0.3, 0.3, 0.3, 0.1])

    @pytest.mark.parametrize("nothing", [np.zeros(4), np.full(4, np.nan)])
    def test_not_classified(self, nothing):
        composition = {"Al": 0.8, "Si": 0.2}
        a = ask(nothing, [AL, SI], composition)
        assert np.array_equal(a, ask(NOTHING, [AL, SI], composition))

    @pytest.mark.parametrize("group", GROUPS)
    @pytest.mark.parametrize("uncertainty", [np.inf, {"Fe": np.inf, "C": np.inf}])
    def test_uncertain_composition(self, group, uncertainty):
        composition = {"Fe": 0.1, "C": 0.9}
        found = ask(sure_of(group), STEEL, composition, uncertainty=uncertainty)
        assert np.array_equal(found, ask(sure_of(group), STEEL))

    def test_composition_not_known(self):
        for composition in ({"Fe": 0.0, "C": 0.0}, {"Fe": np.nan, "C": 0.5}):
            found = ask(sure_of(225), STEEL, composition)
            assert np.array_equal(found, ask(sure_of(225), STEEL))

    def test_one_element_tells_nothing(self):
        found = ask(sure_of(225), STEEL, {"Fe": 12.0})
        assert np.allclose(found, ask(sure_of(225), STEEL))

    def test_evidence_multiplies(self):
        """Both together have the odds of one times those of the other."""
        composition = {"Fe": 0.8, "Al": 0.2}
        pair = [FERRITE, FEAL]
        prior, chemistry = ask(NOTHING, pair), ask(NOTHING, pair, composition)
        symmetry = ask(sure_of(221), pair)
        both = chemistry.astype(float) * symmetry / prior
        assert np.allclose(ask(sure_of(221), pair, composition), both / both.sum())

    def test_order_does_not_matter(self):
        composition = {"Fe": 0.7, "C": 0.1, "Al": 0.2}
        a = ask(sure_of(221), [*STEEL, FEAL], composition)
        b = ask(sure_of(221), [FEAL, *STEEL[::-1]], composition)
        assert np.allclose(a[:-1], b[:-1][::-1])
        assert a[-1] == pytest.approx(b[-1])
        composition = {"Al": 0.2, "Fe": 0.7, "C": 0.1}
        assert np.allclose(a, ask(sure_of(221), [*STEEL, FEAL], composition))

    def test_order_of_space_groups_does_not_matter(self):
        p = sure_of(225)
        a = candidate_probabilities(p[None], GROUPS, STEEL)
        b = candidate_probabilities(p[None, ::-1], GROUPS[::-1], STEEL)
        assert np.allclose(a, b)

    def test_percents(self):
        a = ask(NOTHING, [NBC, TIC], {"Nb": 80, "Ti": 10})
        assert np.allclose(a, ask(NOTHING, [NBC, TIC], {"Nb": 0.8, "Ti": 0.1}))

    def test_no_element_measured(self, caplog):
        """Then any composition is as likely as any other."""
        with caplog.at_level(logging.WARNING, "kikuchipy_spacegroup"):
            found = ask(NOTHING, [FEAL, SI], {"Nb": 0.5, "Ti": 0.5})
        assert "FeAl has none of the elements ['Nb', 'Ti']" in caplog.text
        assert np.allclose(found, [0.45, 0.45, 0.1])

    def test_smaller_uncertainty_is_surer(self):
        composition = {"Nb": 1.0, "Ti": 0.0}
        found = [
            ask(NOTHING, [NBC, TIC], composition, uncertainty=u)[0]
            for u in (0.05, 0.2, 0.5, 5)
        ]
        assert found == sorted(found, reverse=True)

    def test_uncertainty_of_one_element(self):
        """Manganese in place of iron is fine, in place of aluminium not."""
        options = {"uncertainty": {"Fe": np.inf, "Mn": np.inf}}
        for_iron = {"Fe": 0.25, "Mn": 0.25, "Al": 0.5}
        for_aluminium = {"Fe": 0.5, "Mn": 0.25, "Al": 0.25}
        assert ask(NOTHING, [FEAL], for_iron)[0] < 0.5
        assert ask(NOTHING, [FEAL], for_iron, **options)[0] > 0.9
        assert ask(NOTHING, [FEAL], for_aluminium, **options)[0] < 0.5

    @pytest.mark.parametrize("number", [0.05, 0.0123, 0.4, np.inf])
    def test_constant_uncertainties(self, number):
        table = np.random.default_rng(0).dirichlet([3, 2, 1], 12)
        elements, pair = ["Fe", "Al", "Nb"], [FERRITE, FEAL, NBC]
        by_element = dict(zip(elements, table.T))
        p = np.tile(sure_of(221), (12, 1))
        expected = candidate_probabilities(
            p, GROUPS, pair, by_element, uncertainty=number
        )
        constant = np.full(12, number)
        for composition, uncertainty in [
            (table, np.full((12, 3), number)),
            (table, dict.fromkeys(elements, constant)),
            (by_element, dict.fromkeys(elements, constant)),
            (by_element, {"Fe": constant, "Al": number, "Nb3+": constant}),
            (by_element, dict.fromkeys(elements, hs.signals.BaseSignal(constant).T)),
            (table, np.array(number)),
        ]:
            found = candidate_probabilities(
                p, GROUPS, pair, composition, elements=elements, uncertainty=uncertainty
            )
            assert np.allclose(found, expected, rtol=1e-5)
        # An element left out has the default
        found, expected = (
            candidate_probabilities(p, GROUPS, pair, by_element, uncertainty={"Fe": u})
            for u in (constant, number)
        )
        assert np.allclose(found, expected, rtol=1e-5)

    def test_less_certain_point(self):
        """It is less sure, and others stay as they were."""
        composition = {"Nb": np.full(5, 0.95), "Ti": np.full(5, 0.05)}
        p = np.tile(NOTHING, (5, 1))
        before = candidate_probabilities(p, GROUPS, [NBC, TIC], composition)
        uncertainty = np.full(5, 0.05)
        uncertainty[2], uncertainty[3] = 0.4, np.inf
        after = candidate_probabilities(
            p,
            GROUPS,
            [NBC, TIC],
            composition,
            uncertainty=dict.fromkeys(composition, uncertainty),
        )
        assert np.array_equal(after[[0, 1, 4]], before[[0, 1, 4]])
        assert 0.5 < after[2, 0] < before[2, 0] - 0.04
        assert np.allclose(after[3], [0.45, 0.45, 0.1])
        # One of two fractions that sum up to 1 tells as much as both
        after = candidate_probabilities(
            p, GROUPS, [NBC, TIC], composition, uncertainty={"Nb": uncertainty}
        )
        assert np.allclose(after, before, atol=0.02)

    def test_prior(self):
        found = ask(NOTHING, STEEL, prior={"cementite": 0, "ferrite": 3})
        assert np.allclose(found, [0.675, 0.225, 0, 0.1])
        assert ask(NOTHING, STEEL, none_prior=0.4)[-1] == pytest.approx(0.4)

    def test_extreme(self):
        """Nothing overflows, and none of them is always possible."""
        p = np.array([0, 0, 0, 1.0])
        found = ask(p, [NBC, TIC], {"Nb": 0, "Ti": 1}, uncertainty=1e-3)
        assert np.allclose(found, [0, 0, 1])
        found = ask(p, [FERRITE], {"Fe": 1, "Cr": 0, "Ni": 0}, uncertainty=1e-3)
        assert found[0] > 0.999

    def test_errors(self):
        one = {"Fe": 0.5, "Al": 0.5}
        with pytest.raises(ValueError, match="do not have one column"):
            candidate_probabilities(np.ones((2, 3)), GROUPS, STEEL)
        with pytest.raises(ValueError, match="do not fit 1 rows"):
            candidate_probabilities(NOTHING[None], GROUPS, STEEL, {"Fe": np.ones(3)})
        for names in ([], [AL, AL], [phase("", 225, 4, ("Al", ORIGIN))]):
            with pytest.raises(ValueError, match="must have different names"):
                ask(NOTHING, names)
        with pytest.raises(TypeError, match="not a single phase"):
            ask(NOTHING, AL)
        with pytest.raises(ValueError, match="Candidate 'x' has no space group"):
            ask(NOTHING, [Phase("x", point_group="m-3m")])
        with pytest.raises(ValueError, match="Give a phase with a space group and at"):
            ask(NOTHING, [Phase("x", space_group=225)], one)
        for prior in ({"x": 1}, {"ferrite": -1}, dict.fromkeys("Al Si".split(), 0)):
            with pytest.raises(ValueError, match="riors"):
                ask(NOTHING, [AL, SI], prior=prior)
        for number in (0, 1, np.nan):
            with pytest.raises(ValueError, match="none_prior must be between"):
                ask(NOTHING, STEEL, none_prior=number)
        for u in (0, -1, np.nan, {"Fe": 0}):
            with pytest.raises(ValueError, match="Uncertainties must be at least"):
                ask(NOTHING, STEEL, one, uncertainty=u)
        with pytest.raises(ValueError, match=r"uncertainties of \['Nb'\]"):
            ask(NOTHING, STEEL, one, uncertainty={"Nb": 0.1})
        with pytest.raises(ValueError, match="must not be negative"):
            ask(NOTHING, STEEL, one, relative_uncertainty=-0.1)

    @pytest.mark.parametrize(
        ["uncertainty", "message"],
        [
            ({"Fe": np.array([0.1, np.nan, 0.1])}, "of Fe are NaN at 1 points"),
            ({"Fe": np.array([-0.1, 0.1, -2])}, "negative at 2 points"),
            ({"Al": np.array([0, 0.1, np.nan])}, "NaN at 1 points and smaller at 1"),
            ({"Al": np.array([0, 0, 0])}, "at least 0.001"),
            (
                {"Al": np.full(2, 0.1)},
                r"of Al of shape \(2,\) do not fit its fractions",
            ),
            ({"Al": np.full((3, 1), 0.1)}, r"of shape \(3, 1\) do not fit"),
            ({"Al": np.array(["a", "b", "c"])}, "are not numbers"),
            ({"Al": True}, "are not numbers but bool"),
            ({"Fe": 0.1, "Fe3+": 0.2}, "are there twice"),
            (np.full(2, 0.1), r"of shape \(2,\) do not fit a composition of shape"),
            (np.full((2, 3), 0.1), r"of shape \(2, 3\) do not fit a composition"),
        ],
    )
    def test_bad_uncertainties(self, uncertainty, message):
        p, table = np.tile(NOTHING, (3, 1)), np.full((3, 2), 0.5)
        with pytest.raises(ValueError, match=message):
            candidate_probabilities(
                p,
                GROUPS,
                [FERRITE, FEAL],
                table,
                elements=["Fe", "Al"],
                uncertainty=uncertainty,
            )

    def test_uncertainties_of_other_types(self):
        one = {"Fe": np.full(3, 0.5), "Al": np.full(3, 0.5)}
        p = np.tile(NOTHING, (3, 1))
        signal = hs.signals.BaseSignal(np.full(3, 0.1))
        for bad in ([0.1, 0.1], "0.1", None, signal, np.full((3, 2), 0.1)):
            with pytest.raises(TypeError, match="uncertainty must be a number, a dict"):
                candidate_probabilities(p, GROUPS, [FEAL], one, uncertainty=bad)

    def test_uncertainties_where_nothing_is_known(self):
        """They may be anything, as ratios of no counts are."""
        fe = np.array([0.5, np.nan, 0.0])
        composition = {"Fe": fe, "Al": np.array([0.5, 0.5, 0.0])}
        p = np.tile(sure_of(221), (3, 1))
        found = candidate_probabilities(
            p,
            GROUPS,
            [FERRITE, FEAL],
            composition,
            uncertainty={"Fe": np.array([0.05, np.nan, -1])},
        )
        expected = candidate_probabilities(p, GROUPS, [FERRITE, FEAL], composition)
        assert np.array_equal(found, expected)


class TestIdentifyPhases:
    # Al, Si, Al with Si's pattern, other phase, not classified, nothing known
    p = np.array(
        [sure_of(225), sure_of(227), sure_of(227), sure_of(225), [np.nan] * 4]
        + [[np.nan] * 4]
    ).reshape(2, 3, 4)
    composition = {
        "Al": np.array([[0.95, 0.1, 0.97], [0.5, 0.04, np.nan]]),
        "Si": np.array([[0.05, 0.9, 0.03], [0.5, 0.96, 0.0]]),
    }
    expected = [0, 1, 0, -1, 1, -1]

    def map(self, p=None, **kwargs):
        p = self.p if p is None else p
        return crystal_map(p, GROUPS, keep_probabilities=True, **kwargs)

    def test_map(self):
        xmap = self.map(step_sizes=(0.5, 2), scan_unit="um")
        before = xmap.deepcopy()
        found = identify_phases(xmap, [AL, SI], self.composition)
        assert found.phase_id.tolist() == self.expected
        assert found.phases.names == ["not_indexed", "Al", "Si"]
        assert found.phases["Si"].space_group.number == 227
        assert found.phases["Si"].structure[0].element == "Si"
        assert len(set(found.phases.colors)) == 3
        assert (found.shape, found.dx, found.dy) == ((2, 3), 2, 0.5)
        table = found.prop["candidate_probabilities"]
        assert table.shape == (6, 3)
        assert np.array_equal(found.prop["scores"], table.max(axis=1))
        for name in ("probabilities", "top_space_groups"):
            assert np.array_equal(found.prop[name], before.prop[name])
        assert list(xmap.prop) == list(before.prop)
        assert np.array_equal(xmap.phase_id, before.phase_id)
        assert AL.color == SI.color

    def test_saved(self, tmp_path):
        found = identify_phases(self.map(), [AL, SI], self.composition)
        io.save(str(tmp_path / "a.h5"), found)
        loaded = io.load(str(tmp_path / "a.h5"))
        assert loaded.phase_id.tolist() == self.expected
        assert loaded.phases["Al"].space_group.number == 225
        for name in ("scores", "candidate_probabilities"):
            assert np.array_equal(loaded.prop[name], found.prop[name])

    def test_ways_to_give_a_composition(self):
        xmap = self.map()
        expected = identify_phases(xmap, [AL, SI], self.composition)
        table = np.stack(list(self.composition.values()), axis=-1)
        signals = [hs.signals.BaseSignal(i).T for i in self.composition.values()]
        for signal, name in zip(signals, self.composition):
            signal.metadata.set_item("Sample.elements", [name])
        for given, elements in [
            (table, ["Al", "Si"]),
            (100 * table.reshape(6, 2), ["Al", "Si"]),
            (signals, None),
        ]:
            found = identify_phases(xmap, [AL, SI], given, elements=elements)
            name = "candidate_probabilities"
            assert np.allclose(found.prop[name], expected.prop[name])

    def test_order_of_candidates(self):
        xmap = self.map()
        a = identify_phases(xmap, [AL, SI, NBC, TIC], self.composition)
        b = identify_phases(xmap, [TIC, SI, NBC, AL], self.composition)
        names = [
            [x.phases[i].name if i >= 0 else "" for i in x.phase_id.tolist()]
            for x in (a, b)
        ]
        assert names[0] == names[1]
        assert np.allclose(a.scores, b.scores)

    def test_cannot_be_told_apart(self):
        """Two carbides without chemistry."""
        xmap = self.map(sure_of(225)[None])
        found = identify_phases(xmap, [NBC, TIC])
        assert found.phase_id.tolist() == [-1]
        assert np.allclose(found.candidate_probabilities[0, :2], found.scores)

    def test_nothing_known(self):
        xmap = self.map(np.full((1, 4), np.nan))
        assert identify_phases(xmap, [AL]).phase_id.tolist() == [-1]

    def test_phase_list(self):
        """Not-indexed phases are none, and colors are kept."""
        phases = PhaseList([AL.deepcopy(), SI.deepcopy()], ids=[225, 4])
        phases[225].color, phases[4].color = "lime", "navy"
        phases.add_not_indexed()
        found = identify_phases(self.map(), phases, self.composition)
        names = [found.phases[i].name for i in (0, 1)]
        assert sorted(names) == ["Al", "Si"]
        assert found.phases["Al"].color == "lime"
        assert phases.ids == [-1, 4, 225]
        al = found.phases.id_from_name("Al")
        assert (found.phase_id == al).tolist() == [i == 0 for i in self.expected]

    def test_masked(self):
        mask = np.array([[True, False, False], [False, False, False]])
        found = identify_phases(
            self.map(navigation_mask=mask), [AL, SI], self.composition
        )
        assert found.phase_id.tolist() == self.expected[1:]
        flat = {name: a[~mask] for name, a in self.composition.items()}
        again = identify_phases(self.map(navigation_mask=mask), [AL, SI], flat)
        assert np.array_equal(found.scores, again.scores)

    def test_grains(self):
        """Compositions are averaged, over points which have one."""
        p = np.tile(sure_of(225, 0.8), (8, 1))
        nb = np.array([0.9, 0.8, 1.0, 0.98, np.nan, 0.1, 0.0, 0.15])
        labels = np.array([0, 0, 0, 0, 0, 1, 1, -1])
        xmap = pool_grains(self.map(p), labels)
        found = identify_phases(
            xmap, [NBC, TIC], {"Nb": nb, "Ti": 1 - nb}, grain_ids=labels
        )
        assert found.phase_id.tolist() == [0] * 5 + [1] * 3
        means = np.array([0.92, 0.05, 0.15])
        expected = candidate_probabilities(
            xmap.probabilities[[0, 5, 7]],
            GROUPS,
            [NBC, TIC],
            {"Nb": means, "Ti": 1 - means},
        )
        table = found.candidate_probabilities
        assert np.allclose(table[[0, 5, 7]], expected)
        assert np.allclose(table, table[[0] * 5 + [5] * 2 + [7]])
        assert np.array_equal(found.grain_id, labels)

    def test_uncertainties_of_points(self):
        """Of the scan or of the data, as the composition."""
        mask = np.array([[True, False, False], [False, False, False]])
        xmap = self.map(navigation_mask=mask)
        uncertainty = np.full((2, 3), 0.05)
        uncertainty[0, 2], uncertainty[0, 0], uncertainty[1, 2] = 0.5, np.nan, np.nan
        maps = dict.fromkeys(self.composition, uncertainty)
        signals = {
            name: hs.signals.BaseSignal(values).T.as_lazy()
            for name, values in maps.items()
        }
        flat = {name: values[~mask] for name, values in self.composition.items()}
        sure = identify_phases(xmap, [AL, SI], self.composition)
        for composition, given in [
            (self.composition, maps),
            (self.composition, signals),
            (flat, {name: values[~mask] for name, values in maps.items()}),
        ]:
            found = identify_phases(xmap, [AL, SI], composition, uncertainty=given)
            assert found.scores[1] < sure.scores[1]
            others = [0, 2, 3, 4]
            assert np.array_equal(found.scores[others], sure.scores[others])
        table, u = (
            np.stack(list(i.values()), axis=-1) for i in (self.composition, maps)
        )
        again = identify_phases(
            xmap, [AL, SI], table, elements=["Al", "Si"], uncertainty=u
        )
        assert np.allclose(again.scores, found.scores)
        with pytest.raises(ValueError, match="do not fit its fractions"):
            identify_phases(
                xmap,
                [AL, SI],
                self.composition,
                uncertainty={"Al": uncertainty.ravel()},
            )

    def test_uncertainties_of_grains(self):
        """Root mean squares of points that have a composition."""
        p = np.tile(sure_of(225, 0.8), (7, 1))
        nb = np.array([0.9, 0.8, 1.0, np.nan, 0.1, 0.05, 0.15])
        labels = np.array([0, 0, 0, 0, 1, 1, -1])
        u = np.array([0.05, 0.1, 0.4, np.nan, 0.2, 0.2, 0.3])
        composition = {"Nb": nb, "Ti": 1 - nb}
        found = identify_phases(
            self.map(p),
            [NBC, TIC],
            composition,
            grain_ids=labels,
            uncertainty={"Nb": u},
        ).candidate_probabilities
        means = np.array([0.9, 0.075, 0.15])
        rms = np.array([np.sqrt((0.05**2 + 0.1**2 + 0.4**2) / 3), 0.2, 0.3])
        expected = candidate_probabilities(
            p[:3],
            GROUPS,
            [NBC, TIC],
            {"Nb": means, "Ti": 1 - means},
            uncertainty={"Nb": rms},
        )
        assert np.allclose(found, expected[[0] * 4 + [1] * 2 + [2]], rtol=1e-5)
        # The same number everywhere is that of the mean
        same = identify_phases(
            self.map(p),
            [NBC, TIC],
            composition,
            grain_ids=labels,
            uncertainty={"Nb": np.full(7, 0.1)},
        )
        scalar = identify_phases(
            self.map(p),
            [NBC, TIC],
            composition,
            grain_ids=labels,
            uncertainty={"Nb": 0.1},
        )
        assert np.allclose(same.scores, scalar.scores, rtol=1e-5)
        for bad in (0, np.nan):
            u[4] = bad
            with pytest.raises(ValueError, match="those of Nb are"):
                identify_phases(
                    self.map(p),
                    [NBC, TIC],
                    composition,
                    grain_ids=labels,
                    uncertainty={"Nb": u},
                )

    def test_cif(self, tmp_path):
        pytest.importorskip("spglib")
        path = tmp_path / "aluminium.cif"
        face_centered = ([0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0])
        atoms = [Atom("Al", xyz) for xyz in face_centered]
        Structure(atoms, Lattice(4.05, 4.05, 4.05, 90, 90, 90)).write(str(path), "cif")
        found = identify_phases(self.map(), [str(path), SI], self.composition)
        assert found.phase_id.tolist() == self.expected
        assert found.phases[0].name == "aluminium"

    def test_min_probability(self):
        found = identify_phases(
            self.map(), [AL, SI], self.composition, min_probability=0.99999
        )
        low = found.scores < 0.99999
        assert low.any()
        assert (found.phase_id[low] == -1).all()

    def test_errors(self):
        xmap = self.map()
        with pytest.raises(ValueError, match="keep_probabilities=True"):
            identify_phases(crystal_map(self.p, GROUPS), [AL])
        with pytest.raises(ValueError, match="min_probability must be in"):
            identify_phases(xmap, [AL], min_probability=2)
        with pytest.raises(ValueError, match="Fractions of Al of shape"):
            identify_phases(xmap, [AL], {"Al": np.ones(3)})
        with pytest.raises(TypeError, match="not a single Signal1D"):
            identify_phases(xmap, [AL], hs.signals.Signal1D(np.ones((2, 3, 64))))
        with pytest.raises(ValueError, match="IDs of grains of shape"):
            identify_phases(xmap, [AL], grain_ids=np.zeros(3, int))

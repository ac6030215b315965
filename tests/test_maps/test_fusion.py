# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Space groups and indexing together, and what each of them decides."""

from diffpy.structure import Lattice, Structure
import kikuchipy as kp
import numpy as np
from orix import io
from orix.crystal_map import CrystalMap, Phase, PhaseList, create_coordinate_arrays
from orix.quaternion import Rotation
import pytest

import kikuchipy_spacegroup as kpsg
from kikuchipy_spacegroup.maps import crystal_map, symmetry_map

SHAPE = (6, 10)
N = 60


def phase(name, number, a=3.6):
    return Phase(
        name,
        space_group=number,
        structure=Structure(lattice=Lattice(a, a, a, 90, 90, 90)),
    )


NI, AL, FE, SI = (
    phase("Ni", 225),
    phase("Al", 225, 4.05),
    phase("Fe", 229, 2.87),
    phase("Si", 227, 5.43),
)


def classified(probabilities, numbers=(225, 227, 229), shape=SHAPE, **kwargs):
    table = np.broadcast_to(probabilities, (*shape, len(numbers)))
    kwargs = {"step_sizes": (0.5,) * len(shape), "scan_unit": "um"} | kwargs
    return crystal_map(table, numbers, keep_probabilities=True, **kwargs)


def indexed(phases, scores, phase_id=None, shape=SHAPE, seed=1, step=0.5, **prop):
    """Return a map with random orientations."""
    phases = phases if isinstance(phases, list) else [phases]
    coordinates, n = create_coordinate_arrays(shape, (step,) * len(shape))
    phase_id = np.zeros(n, int) if phase_id is None else np.asarray(phase_id).ravel()
    there = [i for i in range(len(phases)) if i in phase_id]
    phase_list = PhaseList({i: phases[i] for i in there})
    if -1 in phase_id:
        phase_list.add_not_indexed()
    is_in_data = prop.pop("is_in_data", None)
    name = prop.pop("score_name", "scores")
    values = np.broadcast_to(scores, n).astype("float64")
    return CrystalMap(
        rotations=Rotation.random(n)
        if seed is None
        else Rotation(np.random.default_rng(seed).normal(size=(n, 4))),
        phase_id=phase_id,
        phase_list=phase_list,
        prop={name: values, **prop},
        scan_unit="um",
        is_in_data=is_in_data,
        **coordinates,
    )


class TestCombine:
    """Phases by evidence."""

    def test_sure_classifier_decides_where_scores_are_equal(self):
        xmap = classified([0.05, 0.05, 0.9])
        found = kpsg.combine(xmap, [indexed(NI, 0.5), indexed(FE, 0.5, seed=2)])
        assert found.phases[found.phase_id[0]].name == "Fe"
        assert found.prop["scores"] == pytest.approx(0.9 / 0.95, abs=1e-6)
        assert not found.prop["disagreement"].any()

    def test_indexing_decides_where_the_classifier_does_not_know(self):
        xmap = classified([1 / 3, 1 / 3, 1 / 3])
        scores = np.where(np.arange(N) % 2, 0.6, 0.4)
        maps = [indexed(NI, scores), indexed(FE, 1 - scores, seed=2)]
        found = kpsg.combine(xmap, maps)
        names = [found.phases[i].name for i in found.phase_id]
        assert names == ["Fe", "Ni"] * (N // 2)
        # The same as kikuchipy's, which can do this and no more
        merged = kp.indexing.merge_crystal_maps(maps)
        assert names == [merged.phases[i].name for i in merged.phase_id]
        assert np.allclose(found.rotations.data, merged.rotations.data)

    def test_indexing_decides_between_phases_of_a_space_group(self):
        xmap = classified([0.9, 0.05, 0.05])
        scores = np.where(np.arange(N) < 20, 0.6, 0.45)
        maps = [indexed(NI, scores), indexed(AL, 0.5), indexed(FE, 0.52)]
        found = kpsg.combine(xmap, maps)
        names = np.array([found.phases[i].name for i in found.phase_id])
        assert (names[:20] == "Ni").all()
        assert (names[20:] == "Al").all()
        assert (found.prop["disagreement"][20:] == 2).all()

    def test_properties_are_those_of_the_point(self):
        # In a map with gaps, properties are not to move to other points
        mask = np.ones(N, dtype=bool)
        mask[[0, 1, 7]] = False
        position = np.arange(N, dtype=float)
        maps = [
            indexed(NI, 0.4 + position / 1000, is_in_data=mask, place=position),
            indexed(FE, 0.1, seed=2),
        ]
        found = kpsg.combine(classified([0.9, 0.05, 0.05]), maps)
        assert np.allclose(found.prop["place"][mask], position[mask])
        scores = found.prop["indexing_scores"][mask]
        assert np.allclose(scores, 0.4 + position[mask] / 1000)

    def test_no_score_of_the_chosen_phase_is_no_disagreement(self):
        xmap = classified([0.9, 0.05, 0.05])
        refined = indexed(FE, 0.35, num_evals=np.ones(N))
        found = kpsg.combine(xmap, [indexed(NI, 0.6), indexed(FE, 0.3), refined])
        assert found.phases[found.phase_id[0]].name == "Ni"
        assert not found.prop["disagreement"].any()

    def test_maps_of_probabilities_are_not_indexed_maps(self):
        xmap = classified([0.9, 0.05, 0.05])
        combined = kpsg.combine(xmap, [indexed(NI, 0.5), indexed(FE, 0.4)])
        for other in (xmap, combined):
            with pytest.raises(ValueError, match="'scores' are probabilities"):
                kpsg.combine(xmap, [other])

    def test_grains_are_not_counted_twice(self):
        xmap = classified([0.9, 0.05, 0.05])
        labels = np.arange(N).reshape(SHAPE) // 5
        pooled = kpsg.pool_grains(xmap, labels)
        with pytest.raises(ValueError, match="count them twice"):
            kpsg.combine(pooled, [indexed(NI, 0.5)], grain_ids=labels)
        with pytest.raises(ValueError, match="do not fit the map"):
            kpsg.combine(xmap, [indexed(NI, 0.5)], grain_ids=labels.T)

    def test_order_of_maps_does_not_matter(self):
        rng = np.random.default_rng(3)
        xmap = classified(rng.dirichlet(np.ones(3), SHAPE))
        maps = [
            indexed(p, rng.uniform(0.3, 0.6, N), seed=i)
            for i, p in enumerate((NI, FE, SI, AL))
        ]
        a, b = (kpsg.combine(xmap, m) for m in (maps, maps[::-1]))
        names = [[m.phases[i].name for i in m.phase_id] for m in (a, b)]
        assert names[0] == names[1]
        assert np.allclose(a.rotations.data, b.rotations.data)
        assert np.allclose(a.prop["scores"], b.prop["scores"])
        reverse = a.prop["candidate_probabilities"][:, ::-1]
        assert np.allclose(reverse, b.prop["candidate_probabilities"], atol=1e-5)

    def test_weights_follow_how_well_neighbours_agree(self):
        shape = (20, 30)
        truth = np.add.outer(np.arange(20) // 7, np.arange(30) // 6).ravel() % 2
        n = truth.size

        def accuracy(quality, right, seed):
            rng = np.random.default_rng(seed)
            p = np.full((n, 3), 0.05)
            says = np.where(rng.random(n) < right, truth, rng.integers(0, 2, n))
            p[np.arange(n), np.where(says, 2, 0)] = 0.9
            xmap = classified(p.reshape(*shape, 3), shape=shape)
            scores = rng.normal(0.4, 0.05, (2, n))
            scores[truth, np.arange(n)] += quality
            maps = [indexed(i, s, shape=shape) for i, s in zip((NI, FE), scores)]
            found = kpsg.combine(xmap, maps)
            names = np.array([found.phases[i].name for i in found.phase_id])
            return [
                np.mean(names == np.where(truth, "Fe", "Ni")),
                (says == truth).mean(),
                (scores.argmax(axis=0) == truth).mean(),
            ]

        # Whichever is the better one, or both together
        for quality, right in [(0.3, 0.1), (0.0, 0.95), (0.08, 0.7)]:
            both, classifier, indexing = accuracy(quality, right, 5)
            assert both >= max(classifier, indexing) - 0.02

    @pytest.mark.parametrize("masked", [False, True])
    def test_better_master_pattern_of_one_phase(self, masked):
        """Nickel correlates better with all patterns, those of iron among them."""
        shape = (20, 30)
        truth = np.add.outer(np.arange(20) // 7, np.arange(30) // 6).ravel() % 2
        n = truth.size
        rng = np.random.default_rng(3)
        sure = np.clip(0.7 + 0.2 * rng.normal(size=n), 0.05, 0.95)
        p = np.stack([np.where(truth, 1 - sure, sure), 0 * sure, sure], axis=1)
        p[:, 2] = 1 - p[:, 0]
        xmap = classified(p.reshape(*shape, 3), shape=shape)
        scores = rng.normal([[0.6], [0.4]], 0.02, (2, n))
        scores[truth, np.arange(n)] += 0.08
        there = [np.ones(n, bool), rng.random(n) < 0.7 if masked else np.ones(n, bool)]
        maps = [
            indexed(i, s, shape=shape, is_in_data=data)
            for i, s, data in zip((NI, FE), scores, there)
        ]
        wanted = np.where(truth & there[1], "Fe", "Ni")

        def right(**kwargs):
            found = kpsg.combine(xmap, maps, **kwargs)
            return np.mean([found.phases[i].name for i in found.phase_id] == wanted)

        assert (scores.argmax(axis=0) == 0).all()
        both, classifier = right(), right(weights={"correlation": 0, "classifier": 1})
        assert both > classifier + 0.05
        # With a weight that is given, scores are compared as they are
        assert right(weights={"correlation": 100}) < classifier
        flags = kpsg.combine(xmap, maps).prop["disagreement"]
        assert np.mean(flags & 2 > 0) < 0.1

    def test_scores_of_one_phase_are_compared_as_they_are(self):
        """What the classifier says has nothing to do with scores then."""
        shape = (20, 30)
        rng = np.random.default_rng(4)
        p = rng.dirichlet([6, 0.5, 4], 600)
        scores = rng.normal([[0.5], [0.45]], 0.02, (2, 600))
        maps = [indexed(i, s, shape=shape) for i, s in zip((NI, FE), scores)]
        found = kpsg.combine(classified(p.reshape(*shape, 3), shape=shape), maps)
        best = [found.phases[i].name == "Ni" for i in found.phase_id]
        assert np.mean(best) >= (scores[0] > scores[1]).mean() - 0.02

    def test_sure_and_wrong_classifier(self):
        """It calls everything by one name, and neighbors agree."""
        shape = (20, 30)
        truth = (np.arange(600) % 30 >= 15).astype(int)
        scores = np.random.default_rng(1).normal(0.4, 0.03, (2, 600))
        scores[truth, np.arange(600)] += 0.08
        maps = [indexed(i, s, shape=shape) for i, s in zip((NI, FE), scores)]
        found = kpsg.combine(classified([0.9, 0.05, 0.05], shape=shape), maps)
        given = kpsg.combine(
            classified([0.9, 0.05, 0.05], shape=shape), maps, weights={"classifier": 0}
        )
        right = [
            np.mean(
                [m.phases[i].name for i in m.phase_id] == np.where(truth, "Fe", "Ni")
            )
            for m in (found, given)
        ]
        assert right[0] > 0.8
        assert right[1] > 0.9

    def test_grains_have_one_phase(self):
        rng = np.random.default_rng(6)
        truth = (np.arange(N) % 10 >= 5).astype(int)
        scores = rng.normal(0.4, 0.05, (2, N))
        scores[truth, np.arange(N)] += 0.05
        maps = [indexed(i, s) for i, s in zip((NI, FE), scores)]
        found = kpsg.combine(classified([0.4, 0.2, 0.4]), maps, grain_ids=truth)
        names = np.array([found.phases[i].name for i in found.phase_id])
        assert (names == np.where(truth, "Fe", "Ni")).all()
        # Points which are in no grain have a say of their own
        labels = np.where(np.arange(N) < 30, truth, -1)
        found = kpsg.combine(classified([0.4, 0.2, 0.4]), maps, grain_ids=labels)
        names = np.array([found.phases[i].name for i in found.phase_id])
        assert len(np.unique(names[30:][truth[30:] == 0])) == 2

    def test_unknown_space_group_is_neither_likely_nor_unlikely(self):
        cementite = phase("Fe3C", 62)
        maps = [indexed(FE, 0.5), indexed(cementite, 0.5, seed=2)]
        sure = kpsg.combine(classified([0.05, 0.05, 0.9]), maps)
        denied = kpsg.combine(classified([0.9, 0.05, 0.05]), maps)
        assert sure.phases[sure.phase_id[0]].name == "Fe"
        assert denied.phases[denied.phase_id[0]].name == "Fe3C"
        assert np.isnan(denied.prop["classifier_scores"]).all()
        assert (denied.prop["disagreement"] == 1).all()

    def test_not_indexed_points_and_gaps(self):
        xmap = classified(
            [0.5, 0.2, 0.3], navigation_mask=np.arange(N).reshape(SHAPE) == 7
        )
        hidden = np.arange(N) < 10
        none = np.where(np.arange(N) < 5, -1, 0)
        maps = [
            indexed(NI, 0.9, phase_id=none),
            indexed(FE, 0.3, is_in_data=~hidden, seed=2),
        ]
        found = kpsg.combine(xmap, maps)
        assert found.size == N - 1
        assert np.array_equal(found.is_in_data, xmap.is_in_data)
        # A score of a point that is not indexed does not count
        assert (found.phase_id[:5] == -1).all()
        assert (found.phase_id[5:] >= 0).all()
        assert (found.prop["scores"][:5] == 0).all()
        assert (found.prop["indexing_map"][:5] == -1).all()
        assert np.isnan(found.prop["indexing_scores"][:5]).all()
        assert found.prop["scores"][5:9] == pytest.approx(1)

    def test_part_of_a_scan(self):
        xmap = classified([0.5, 0.2, 0.3])
        maps = [indexed(NI, 0.5)[1:3, 2:5], indexed(FE, 0.5)]
        found = kpsg.combine(xmap[1:4, 2:6], maps)
        assert found.shape == (3, 4)
        part = found.phase_id.reshape(3, 4)
        assert found.phases[part[2, 3]].name == "Fe"
        assert found.phases[part[0, 0]].name == "Ni"

    def test_hough_map_of_two_phases(self):
        choice = (np.arange(N) >= 30).astype(int)
        hough = indexed(
            [NI, FE], 0.8, phase_id=choice, score_name="cm", fit=np.full(N, 0.7)
        )
        probabilities = np.full((N, 3), 1 / 3)
        probabilities[50:] = [0.9, 0.05, 0.05]
        xmap = classified(probabilities.reshape(*SHAPE, 3))
        found = kpsg.combine(xmap, [hough], weights={"hough": 3})
        assert np.array_equal(found.phase_id, choice)
        assert (found.prop["disagreement"][50:] == 1).all()
        # With another map that has nickel there
        both = kpsg.combine(xmap, [hough, indexed(NI, 0.4)], weights={"hough": 1})
        names = [both.phases[i].name for i in both.phase_id]
        assert set(names[50:]) == {"Ni"}
        assert (both.prop["disagreement"][50:] == 2).all()
        assert np.allclose(both.prop["fit"][:30], np.nan, equal_nan=True)

    def test_refined_rotations_are_preferred(self):
        xmap = classified([0.9, 0.05, 0.05])
        rough = indexed(NI, 0.9, seed=1)
        fine = indexed(NI, 0.5, seed=2, num_evals=np.arange(N))
        for maps in ([rough, fine], [fine, rough]):
            found = kpsg.combine(xmap, maps)
            assert np.allclose(found.rotations.data, fine.rotations.data)
            assert np.array_equal(found.prop["num_evals"], np.arange(N))
            assert np.allclose(found.prop["indexing_scores"], 0.5)

    def test_all_properties_are_kept(self):
        xmap = classified([0.5, 0.2, 0.3])
        half = np.where(np.arange(N) < 30, 0.6, 0.3)
        a = indexed(NI, half, simulation_indices=np.ones((N, 3), "uint32"))
        b = indexed(
            FE, 0.45, simulation_indices=np.full((N, 2), 7), ok=np.ones(N, bool)
        )
        found = kpsg.combine(xmap, [a, b], weights={"correlation": 300})
        assert np.array_equal(found.prop["simulation_indices"][0], [1, 1, 1])
        assert np.array_equal(found.prop["simulation_indices"][-1], [7, 7, -1])
        assert found.prop["ok"].tolist() == [False] * 30 + [True] * 30
        assert set(xmap.prop) - {"scores"} <= set(found.prop)

    def test_several_rotations_and_scores_per_point(self):
        dictionary = kp.signals.EBSD(
            np.random.default_rng(1).random((5, 60, 60)).astype("float32")
        )
        dictionary.xmap = CrystalMap(
            rotations=Rotation.random(5), phase_list=PhaseList(NI)
        )
        dictionary.axes_manager[0].name = "x"
        s = kp.data.nickel_ebsd_small()
        maps = [s.dictionary_indexing(dictionary, keep_n=3)]
        xmap = classified(
            [0.5, 0.2, 0.3], shape=(3, 3), step_sizes=(1.5, 1.5), scan_unit="um"
        )
        found = kpsg.combine(xmap, maps)
        assert found.rotations_per_point == 1
        assert np.allclose(found.rotations.data, maps[0].rotations[:, 0].data)
        assert np.allclose(found.prop["indexing_scores"], maps[0].scores[:, 0])
        assert found.prop["simulation_indices"].shape == (9, 3)

    def test_several_rotations_with_gaps_and_not_indexed_points(self):
        hidden, none = np.arange(N) < 7, np.isin(np.arange(N), (9, 30))
        rotations = Rotation(np.random.default_rng(4).normal(size=(N, 3, 4)))
        scores = np.linspace(0.7, 0.6, N)[:, None] - [0, 0.1, 0.2]
        y, x = (i.ravel() * 0.5 for i in np.indices(SHAPE))
        phases = PhaseList(NI)
        phases.add_not_indexed()
        several = CrystalMap(
            rotations=rotations,
            phase_id=np.where(none, -1, 0),
            phase_list=phases,
            x=x,
            y=y,
            prop={
                "scores": scores,
                "simulation_indices": np.arange(3 * N).reshape(N, 3),
            },
            scan_unit="um",
            is_in_data=~hidden,
        )
        hough = indexed(FE, 0.4, score_name="cm", is_in_data=np.arange(N) != 3)
        found = kpsg.combine(classified([0.9, 0.05, 0.05]), [several, hough])
        names = np.array([found.phases[i].name for i in found.phase_id])
        nickel = ~hidden & ~none
        assert (names[nickel] == "Ni").all()
        assert (names[~nickel] == "Fe").sum() == (~nickel).sum() - 1
        assert found.phase_id[3] == -1
        assert found.rotations_per_point == 1
        assert np.allclose(found.rotations.data[nickel], rotations[nickel, 0].data)
        assert np.allclose(found.prop["indexing_scores"][nickel], scores[nickel, 0])
        indices = found.prop["simulation_indices"]
        assert np.array_equal(indices[nickel], np.arange(3 * N).reshape(N, 3)[nickel])
        assert (indices[~nickel] == -1).all()

    def test_phases_of_the_same_name_are_one(self):
        """With other IDs, colors and lattices the same to a percent."""
        xmap = classified([0.4, 0.2, 0.4])
        again = phase("Ni", 225, 3.601)
        again.color = "lime"
        choice = (np.arange(N) >= 40).astype(int)
        early, late = np.where(np.arange(N) < 20, [[0.6], [0.4]], [[0.4], [0.6]])
        maps = [
            indexed(NI, early, seed=1),
            indexed(again, late, seed=2),
            indexed(FE, 0.3, seed=3),
            indexed([FE, again], 0.8, phase_id=choice, score_name="cm", seed=4),
        ]
        weights = {"classifier": 1, "correlation": 100, "hough": 0}
        found = kpsg.combine(xmap, maps, weights=weights)
        assert found.prop["candidate_probabilities"].shape == (N, 2)
        assert found.phases.names == ["Ni"]
        assert found.prop["indexing_map"].tolist() == [0] * 20 + [1] * 40
        expected = np.vstack([maps[0].rotations.data[:20], maps[1].rotations.data[20:]])
        assert np.allclose(found.rotations.data, expected)
        # The better of both counts, and not their sum
        best = [indexed(NI, np.maximum(early, late)), maps[2]]
        assert np.allclose(
            kpsg.combine(xmap, best, weights=weights).prop["scores"],
            kpsg.combine(xmap, maps[:3], weights=weights).prop["scores"],
        )

    def test_phase_that_never_wins(self):
        """There is no other phase in its place."""
        xmap = classified([0.9, 0.05, 0.05])
        maps = [indexed(FE, 0.1), indexed(NI, 0.5), indexed(NI, 0.5)]
        found = kpsg.combine(xmap, maps)
        assert found.phases.names == ["Ni"]
        assert found.phases.ids == [1]
        assert (found.prop["indexing_map"] == 1).all()

    @pytest.mark.parametrize(
        "other", [phase("Ni", 229), phase("Ni", 225, 4.05), phase("Ni", 225, 0.36)]
    )
    def test_other_phases_of_the_same_name(self, other):
        xmap = classified([0.5, 0.2, 0.3])
        both = indexed([NI, FE], 0.5, phase_id=np.arange(N) % 2, score_name="cm")
        for maps in (
            [indexed(NI, 0.5), indexed(other, 0.5)],
            [both, indexed(other, 1)],
        ):
            with pytest.raises(
                ValueError, match="'Ni' have different space groups or lattices"
            ):
                kpsg.combine(xmap, maps)

    def test_saved_and_loaded(self, tmp_path):
        xmap = classified([0.5, 0.2, 0.3])
        maps = [indexed(NI, 0.5), indexed(FE, 0.6, seed=2)]
        found = kpsg.combine(xmap, maps)
        loaded = []
        for i, each in enumerate([xmap, *maps]):
            io.save(str(tmp_path / f"{i}.h5"), each)
            loaded.append(io.load(str(tmp_path / f"{i}.h5")))
        again = kpsg.combine(loaded[0], loaded[1:])
        assert np.array_equal(found.phase_id, again.phase_id)
        assert np.allclose(found.prop["scores"], again.prop["scores"])
        io.save(str(tmp_path / "found.h5"), found)
        assert np.array_equal(
            io.load(str(tmp_path / "found.h5")).phase_id, found.phase_id
        )

    def test_nothing_is_changed(self):
        xmap = classified([0.5, 0.2, 0.3])
        maps = [indexed(NI, 0.5), indexed(FE, 0.6)]
        before = [m.deepcopy() for m in (xmap, *maps)]
        found = kpsg.combine(xmap, maps)
        found.phases[found.phases.ids[0]].name = "x"
        found.prop["scores"][:] = 0
        for old, new in zip(before, (xmap, *maps)):
            assert np.array_equal(old.phase_id, new.phase_id)
            assert np.array_equal(old.rotations.data, new.rotations.data)
            assert old.phases.names == new.phases.names
            assert all(np.array_equal(old.prop[i], new.prop[i]) for i in old.prop)

    def test_new_map_has_its_own_coordinates(self):
        xmap = classified([0.5, 0.2, 0.3])
        found = kpsg.combine(xmap, [indexed(NI, 0.5)])
        pooled = kpsg.pool_grains(xmap, np.zeros(SHAPE, int))
        for new in (found, pooled):
            new._all_coordinates["x"][:] = -1
        assert xmap.x.min() == 0

    def test_one_map_need_not_be_in_a_list(self):
        xmap = classified([0.5, 0.2, 0.3])
        one, listed = (
            kpsg.combine(xmap, m) for m in (indexed(NI, 1), [indexed(NI, 1)])
        )
        assert np.array_equal(one.phase_id, listed.phase_id)
        assert np.array_equal(one.rotations.data, listed.rotations.data)
        with pytest.raises(
            TypeError, match="map 1 must be an orix CrystalMap, not str"
        ):
            kpsg.combine(xmap, [indexed(NI, 1), "map.h5"])

    @pytest.mark.parametrize("step", [2e-7, 0.5, 5e4])
    def test_any_unit_of_steps(self, step):
        xmap = classified([0.5, 0.2, 0.3], step_sizes=(step, step))
        found = kpsg.combine(xmap, [indexed(NI, 0.5, step=step)])
        assert (found.phase_id == 0).all()
        with pytest.raises(ValueError, match="other step sizes"):
            kpsg.combine(xmap, [indexed(NI, 0.5, step=1.1 * step)])

    def test_scores_that_cannot_be_compared_are_in_the_log(self, caplog):
        xmap = classified([0.5, 0.2, 0.3])
        unlike = [indexed(NI, 0.5), indexed(FE, 0.6, score_name="cm")]
        with caplog.at_level("WARNING", "kikuchipy_spacegroup"):
            kpsg.combine(xmap, unlike)
        assert "correlation of ['Ni'], hough of ['Fe']" in caplog.text
        caplog.clear()
        kpsg.combine(xmap, [*unlike, indexed(FE, 0.4)])
        assert not caplog.text

    def test_probabilities_of_two_models(self):
        xmap = classified([0.5, 0.2, 0.3])
        numbers = xmap.prop["probabilities_space_groups"].copy()
        numbers[7] = [221, 227, 229]
        xmap.prop["probabilities_space_groups"] = numbers
        with pytest.raises(ValueError, match="point 7 of .221, 227, 229"):
            kpsg.combine(xmap, [indexed(NI, 0.5)])

    @pytest.mark.parametrize("shape", [(1,), (7,), (1, 5)])
    def test_small_maps(self, shape):
        xmap = classified([0.5, 0.2, 0.3], shape=shape)
        found = kpsg.combine(xmap, [indexed(NI, 0.5, shape=shape)])
        assert (found.phase_id == 0).all()

    def test_uncertain_points_are_not_indexed(self):
        xmap = classified([0.4, 0.2, 0.4])
        found = kpsg.combine(
            xmap, [indexed(NI, 0.5), indexed(FE, 0.5)], min_probability=0.6
        )
        assert (found.phase_id == -1).all()
        assert (found.prop["candidate_probabilities"] == 0.5).all()

    def test_errors(self):
        xmap = classified([0.5, 0.2, 0.3])
        good = indexed(NI, 0.5)
        plain = crystal_map(np.ones((*SHAPE, 1)), [225])
        for message, arguments, kwargs in [
            ("keep_probabilities", (plain, [good]), {}),
            ("at least one", (xmap, []), {}),
            ("scan of 9 points", (xmap, [indexed(NI, 0.5, shape=(3, 3))]), {}),
            ("another shape", (xmap, [indexed(NI, 0.5, shape=(10, 6))]), {}),
            ("other step sizes", (xmap, [indexed(NI, 0.5, step=2)]), {}),
            ("no space group", (xmap, [indexed(Phase("a"), 0.5)]), {}),
            ("must have names", (xmap, [indexed(phase("", 225), 0.5)]), {}),
            (
                "different space groups or lattices",
                (xmap, [good, indexed(phase("Ni", 229), 0.5)]),
                {},
            ),
            ("property 'scores'", (xmap, [indexed(NI, 1, score_name="a")]), {}),
            ("kinds must be", (xmap, [good]), {"kinds": ["ncc"]}),
            ("1 maps, but 2 kinds", (xmap, [good]), {"kinds": ["hough"] * 2}),
            ("weights must be", (xmap, [good]), {"weights": {"ncc": 1}}),
            ("min_probability", (xmap, [good]), {"min_probability": 2}),
            ("no phases", (xmap, [indexed(NI, 1, phase_id=[-1] * N)]), {}),
        ]:
            with pytest.raises(ValueError, match=message):
                kpsg.combine(*arguments, **kwargs)


class TestNavigationMasks:
    """What to index with which phase."""

    def test_dictionary_indexing_takes_them(self, nickel):
        s = kp.data.nickel_ebsd_small()
        probabilities = np.zeros((3, 3, 2))
        probabilities[..., 0] = np.arange(9).reshape(3, 3) < 4
        probabilities[..., 1] = 1 - probabilities[..., 0]
        xmap = crystal_map(probabilities, [225, 229])
        masks = kpsg.maps.navigation_masks(xmap, [NI, FE], keep_n=1)
        assert list(masks) == ["Ni", "Fe"]
        dictionary = kp.signals.EBSD(
            np.random.default_rng(1).random((5, 60, 60)).astype("float32")
        )
        dictionary.xmap = CrystalMap(
            rotations=Rotation.random(5), phase_list=PhaseList(NI)
        )
        found = s.dictionary_indexing(dictionary, navigation_mask=masks["Ni"])
        assert np.array_equal(np.flatnonzero(found.is_in_data), np.arange(4))

    def test_sets_and_unidentified_points(self):
        probabilities = np.array(
            [[0.6, 0.3, 0.1], [0.34, 0.33, 0.33], [np.nan] * 3, [0, 0.1, 0.9]]
        ).reshape(2, 2, 3)
        xmap = crystal_map(
            probabilities, [225, 227, 229], min_probability=0.5, keep_n=3
        )
        masks = kpsg.maps.navigation_masks(xmap, keep_n=1)
        assert {i: (~m).ravel().tolist() for i, m in masks.items()} == {
            225: [True, True, True, False],
            229: [False, True, True, True],
        }
        masks = kpsg.maps.navigation_masks(
            xmap, threshold=0.2, index_not_identified=False
        )
        assert (~masks[227]).ravel().tolist() == [True, False, False, False]

    def test_masked_points_are_left_out(self):
        mask = np.array([[True, False], [False, False]])
        xmap = crystal_map(np.ones((2, 2, 1)), [225], navigation_mask=mask)
        assert np.array_equal(kpsg.maps.navigation_masks(xmap, keep_n=1)[225], mask)
        part = xmap[1:2]
        expected = [[True, True], [False, False]]
        found = kpsg.maps.navigation_masks(part, keep_n=1)[225]
        assert np.array_equal(found, expected)

    def test_finest_symmetry(self):
        """A point known to be hexagonal can be of every hexagonal phase."""
        table = np.array(
            [
                [0.9, 0.1, 0, 0, 0],
                [0.4, 0.5, 0, 0, 0.1],
                [0.45, 0, 0.35, 0, 0.2],
                [0.2, 0.3, 0, 0.4, 0.1],
                [0.3, 0, 0.2, 0.3, 0.2],
                [0, 0, 0, 0.9, 0.1],
            ]
        )
        xmap = symmetry_map(crystal_map(table, [194, 191, 176, 225, 229]), 0.6)
        phases = [phase("Ti", 194), phase("WC", 187), phase("apatite", 176), NI]
        masks = kpsg.maps.navigation_masks(xmap, phases, index_not_identified=False)
        # P6_3/mmc; 6/mmm, P; hexagonal; nothing; nothing; Fm-3m
        assert {name: (~m).tolist() for name, m in masks.items()} == {
            "Ti": [True, True, True, False, False, False],
            "WC": [False, True, True, False, False, False],
            "apatite": [False, False, True, False, False, False],
            "Ni": [False, False, False, False, False, True],
        }
        masks = kpsg.maps.navigation_masks(xmap, phases)
        assert (~masks["Ni"]).tolist() == [False, False, False, True, True, True]
        # If a number of space groups is asked for, these are compared
        masks = kpsg.maps.navigation_masks(
            xmap, [NI, phase("Ti", 194)], keep_n=1, space_groups=[194, 225]
        )
        assert (~masks["Ti"]).tolist() == [True, False, True, True, True, False]

    def test_unknown_space_groups_are_indexed_everywhere(self):
        numbers, table = [225, 227, 229], np.array([[0.9, 0.06, 0.04]])
        cementite = phase("Fe3C", 62)
        xmap = crystal_map(table, numbers, keep_n=1)
        with pytest.raises(ValueError, match=r"space_groups=model.space_groups"):
            kpsg.maps.navigation_masks(xmap, [NI, FE, cementite], keep_n=1)
        masks = kpsg.maps.navigation_masks(
            xmap, PhaseList([NI, FE, cementite]), keep_n=1, space_groups=numbers
        )
        assert {name: bool(m[0]) for name, m in masks.items()} == {
            "Ni": False,
            "Fe": True,
            "Fe3C": False,
        }

    def test_errors(self):
        xmap = crystal_map(np.array([[0.9, 0.1]]), [225, 229])
        for message, kwargs in [
            ("either", {"threshold": 0.1, "keep_n": 1}),
            ("keep_n must be from 1 to 2", {"keep_n": 3}),
            ("different names", {"phases": [NI, NI]}),
            ("no space group", {"phases": [Phase("a")]}),
            ("threshold", {"threshold": 2}),
        ]:
            with pytest.raises(ValueError, match=message):
                kpsg.maps.navigation_masks(xmap, **kwargs)
        with pytest.raises(ValueError, match="top_space_groups"):
            kpsg.maps.navigation_masks(indexed(NI, 0.5))


class TestCoarsenMap:
    """Probabilities add up."""

    @pytest.mark.parametrize("level", kpsg.space_groups.LEVELS)
    def test_sums(self, level):
        rng = np.random.default_rng(5)
        table = rng.dirichlet(np.full(230, 0.05), (4, 5))
        xmap = crystal_map(
            table,
            range(1, 231),
            keep_probabilities=True,
            separate_enantiomorphs=level == "space_group",
        )
        coarse = kpsg.maps.coarsen_map(xmap, level, min_probability=0)
        expected, labels = kpsg.space_groups.coarsen_probabilities(
            table.reshape(20, 230), range(1, 231), level
        )
        names = [coarse.phases[i].name for i in coarse.phase_id]
        assert names == [labels[i] for i in expected.argmax(axis=1)]
        assert np.allclose(coarse.prop["scores"], expected.max(axis=1), atol=1e-5)
        assert np.allclose(coarse.prop["level_probabilities"].sum(axis=1), 1, atol=1e-5)
        assert coarse.shape == xmap.shape

    def test_point_groups_are_those_of_orix(self):
        xmap = crystal_map(np.eye(230)[None], range(1, 231), keep_probabilities=True)
        points = kpsg.maps.coarsen_map(xmap, "point_group")
        laue = kpsg.maps.coarsen_map(xmap, "laue_class")
        for i in (1, 8, 16, 150, 189, 216, 230):
            ours = points.phases[points.phase_id[i - 1]].point_group
            assert ours.name == Phase(space_group=i).point_group.name
            ours = laue.phases[laue.phase_id[i - 1]].point_group
            assert ours.contains_inversion

    def test_identified_again(self):
        table = np.array([[0.4, 0.35, 0.25], [0.4, 0.1, 0.5], [np.nan] * 3])
        xmap = crystal_map(
            table, [221, 225, 194], min_probability=0.6, keep_probabilities=True
        )
        assert (xmap.phase_id == -1).all()
        coarse = kpsg.maps.coarsen_map(xmap, "crystal_system", min_probability=0.6)
        assert coarse.phase_id.tolist() == [195, -1, -1]

    def test_errors(self):
        xmap = crystal_map(np.array([[0.9, 0.1]]), [225, 229])
        with pytest.raises(ValueError, match="keep_probabilities"):
            kpsg.maps.coarsen_map(xmap, "point_group")
        xmap = classified([0.5, 0.2, 0.3])
        with pytest.raises(ValueError, match="Unknown level"):
            kpsg.maps.coarsen_map(xmap, "family")
        with pytest.raises(ValueError, match="min_probability"):
            kpsg.maps.coarsen_map(xmap, "point_group", min_probability=-1)

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps of every shape are read back from .ang files, or refused."""

import numpy as np
from orix import io
from orix.crystal_map import CrystalMap, Phase, PhaseList
from orix.quaternion import Rotation
import pytest

from kikuchipy_spacegroup import space_groups as sg
from kikuchipy_spacegroup.maps import crystal_map, save_map
from kikuchipy_spacegroup.maps._crystal_map import check_map_path

GROUPS = (221, 225, 229)


def probabilities(shape, seed=0):
    p = np.random.default_rng(seed).random((*shape, 3))
    return p / p.sum(axis=-1, keepdims=True)


def saved_and_loaded(folder, xmap):
    save_map(folder / "map.ang", xmap, overwrite=True)
    return io.load(str(folder / "map.ang"))


def positions(values, n):
    """Return coordinates, which orix does not give of a single row or column."""
    return np.zeros(n) if values is None else values


@pytest.mark.parametrize("low", [0.0, 0.5, 1.0], ids=["all", "some", "none"])
@pytest.mark.parametrize(
    "shape",
    [(2,), (3,), (4,), (7,), (1, 2), (2, 1), (1, 3), (3, 1), (1, 5), (5, 1), (2, 2), (3, 4)],
)  # fmt: skip
def test_read_back(tmp_path, shape, low):
    steps = (0.5, 0.25)[-len(shape) :]
    xmap = crystal_map(
        probabilities(shape), GROUPS, min_probability=low, step_sizes=steps
    )
    before = repr(xmap)
    back = saved_and_loaded(tmp_path, xmap)
    assert repr(xmap) == before
    assert back.size == xmap.size
    rows, columns = (1, *shape)[-2:]
    y, x = np.indices((rows, columns)).reshape(2, -1)
    assert np.allclose(positions(back.x, back.size), 0.25 * x, atol=1e-5)
    assert np.allclose(positions(back.y, back.size), 0.5 * y, atol=1e-5)
    known = xmap.phase_id > 0
    assert np.array_equal(back.phase_id > 0, known)
    assert np.array_equal(back.prop["space_group"], np.where(known, xmap.phase_id, 0))
    assert np.allclose(back.prop["scores"], known * xmap.prop["scores"], atol=1e-5)
    names = {int(i): phase.name for i, phase in back.phases}
    for i, number in zip(back.phase_id, xmap.phase_id, strict=True):
        assert i == -1 or names[i] == sg.symbol(int(number))


def test_phase_of_none(tmp_path):
    xmap = crystal_map(probabilities((2, 2)), GROUPS, min_probability=1)
    back = saved_and_loaded(tmp_path, xmap)
    assert back.phase_id.tolist() == [-1] * 4
    text = (tmp_path / "map.ang").read_text()
    assert [i for i in text.splitlines() if "MaterialName" in i] == [
        "# MaterialName    not identified"
    ]


@pytest.mark.parametrize(
    "left", [[0, 1], [0, 1, 2], [4, 5, 7], [2, 5], [2, 6], [3, 4, 5]]
)
def test_masks(tmp_path, left):
    """What a mask leaves is where it was, in the smallest rectangle."""
    mask = np.ones(9, dtype=bool)
    mask[left] = False
    xmap = crystal_map(
        probabilities((3, 3)), GROUPS, navigation_mask=mask.reshape(3, 3)
    )
    back = saved_and_loaded(tmp_path, xmap)
    row, column = np.divmod(left, 3)
    n_columns = np.ptp(column) + 1
    assert back.size == (np.ptp(row) + 1) * n_columns
    expected = np.zeros(back.size)
    expected[(row - row.min()) * n_columns + column - column.min()] = xmap.phase_id
    assert np.array_equal(back.prop["space_group"], expected)
    assert np.array_equal(back.phase_id == -1, expected == 0)


@pytest.mark.parametrize("low", [0.0, 0.5])
def test_same_as_orix(tmp_path, low):
    """Where the writer of orix does well, nothing is written otherwise."""
    p = probabilities((4, 5), seed=1)
    mask = np.zeros((4, 5), dtype=bool)
    mask[2, 1:4] = True
    xmap = crystal_map(
        p, GROUPS, min_probability=low, navigation_mask=mask, step_sizes=(1.5, 0.5)
    )
    save_map(tmp_path / "ours.ang", xmap)
    xmap.prop["space_group"] = np.maximum(xmap.phase_id, 0).astype(float)
    columns = ["space_group", "scores"]
    io.save(str(tmp_path / "orix.ang"), xmap, extra_prop=columns)
    assert (tmp_path / "ours.ang").read_text() == (tmp_path / "orix.ang").read_text()


def indexed_map(names, shape=(2, 2), prop=None, rotations_per_point=1):
    """Return a map as indexing gives it, with all phases in turn."""
    rng = np.random.default_rng(2)
    n = int(np.prod(shape))
    euler = rng.random((n, rotations_per_point, 3))
    y, x = np.indices(shape).reshape(2, -1)
    phases = PhaseList([Phase(name, space_group=225) for name in names])
    return CrystalMap(
        Rotation.from_euler(euler),
        phase_id=np.arange(n) % len(names),
        phase_list=phases,
        prop=prop,
        x=x,
        y=y,
    )


@pytest.mark.parametrize("names", [["α-Fe", "Fe 3 C"], ["ni"], ["a, b", "#1"]])
def test_orientations_and_names(tmp_path, names):
    xmap = indexed_map(names, (1, 3), rotations_per_point=4)
    back = saved_and_loaded(tmp_path, xmap)
    angles = back.rotations.angle_with(Rotation(xmap.rotations.data[:, 0]))
    assert angles.max() < 1e-4
    # There is no column of scores if the map has none
    assert "scores" not in back.prop
    assert back.prop["space_group"].tolist() == [225] * 3
    assert len(set(back.phase_id)) == len(names)


def test_scores_that_are_no_numbers(tmp_path):
    scores = np.array([0.5, np.nan, np.inf, 0.25])
    back = saved_and_loaded(tmp_path, indexed_map(["ni"], prop={"scores": scores}))
    assert back.prop["scores"].tolist() == [0.5, 0, 0, 0.25]


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_point(tmp_path, shape):
    xmap = crystal_map(probabilities(shape), GROUPS)
    with pytest.raises(ValueError, match="one point.*'.h5'"):
        save_map(tmp_path / "map.ang", xmap)
    with pytest.raises(ValueError, match="one point.*'.h5'"):
        check_map_path(tmp_path / "map.ang", n_points=1)
    assert not list(tmp_path.iterdir())
    save_map(tmp_path / "map.h5", xmap)
    assert io.load(str(tmp_path / "map.h5")).phase_id.tolist() == xmap.phase_id.tolist()


def test_one_point_left_by_a_mask(tmp_path):
    mask = np.ones((3, 3), dtype=bool)
    mask[1, 2] = False
    xmap = crystal_map(probabilities((3, 3)), GROUPS, navigation_mask=mask)
    with pytest.raises(ValueError, match="one point"):
        save_map(tmp_path / "map.ang", xmap)
    assert not list(tmp_path.iterdir())


def test_many_phases(tmp_path):
    """As many space groups as orix reads, and not one more."""
    groups = range(1, 231)
    one_each = crystal_map(np.eye(230), groups, separate_enantiomorphs=True)
    with pytest.raises(ValueError, match=r"230 phases.*'\.h5'"):
        save_map(tmp_path / "map.ang", one_each)
    n = 130
    some = crystal_map(np.eye(230)[:n], groups, separate_enantiomorphs=True)
    back = saved_and_loaded(tmp_path, some)
    assert back.prop["space_group"].tolist() == list(groups[:n])

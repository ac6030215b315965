# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipe of the band network: bands that are drawn, and weights in PyTorch."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from kikuchipy_spacegroup.models import band_network

ROOT = Path(__file__).parents[2]
if not (ROOT / "recipes" / "general_model").is_dir():
    pytest.skip("no recipes", allow_module_level=True)
torch = pytest.importorskip("torch")

N_BANDS, POINTS = 12, 29


def module(name):
    """A module of the recipe."""
    return importlib.import_module(f"recipes.general_model.bands.{name}")


@pytest.fixture
def drawer():
    """Bands of a cubic and a triclinic crystal, the first with families of planes."""
    rng = np.random.default_rng(1)
    planes = np.array(
        [[1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, 1], [2, 0, 0], [0, 2, 0], [0, 0, 2]]
        + [[1, 1, 0], [1, -1, 0], [1, 0, 1], [1, 0, -1], [0, 1, 1], [0, 1, -1]],
        float,
    )
    normals = np.zeros((2, 24, 3), "float32")
    normals[0, :13] = planes / np.linalg.norm(planes, axis=1, keepdims=True)
    normals[1] = rng.normal(size=(24, 3))
    normals[1] /= np.linalg.norm(normals[1], axis=1, keepdims=True)
    angles = np.linspace(-7, 7, POINTS)
    profiles = np.zeros((2, 24, POINTS), "float32")
    for rows, width in ((slice(0, 4), 0.8), (slice(4, 7), 1.0), (slice(7, 13), 1.5)):
        profiles[0, rows] = np.exp(-0.5 * (angles / width) ** 2)
    width = rng.uniform(0.5, 2, 24)[:, None]
    profiles[1] = np.exp(-0.5 * (angles / width) ** 2)
    profiles -= profiles.mean(axis=-1, keepdims=True)
    groups = np.array([225, 2])
    return module("draw").BandDrawer(normals, profiles, groups, N_BANDS, seed=3)


class TestDraw:
    """Bands that are drawn without patterns."""

    def test_families_are_the_planes_with_the_same_profile(self, drawer):
        families = drawer.families[0].tolist()
        parts = families[:4], families[4:7], families[7:13]
        assert [len(set(i)) for i in parts] == [1, 1, 1]
        assert len({i[0] for i in parts}) == 3

    def test_as_the_layer_returns_them(self, drawer):
        layer = band_network((64, 64, 1), 2, n_bands=N_BANDS, n_axes=0).get_layer(
            "find_bands"
        )
        shapes = layer.compute_output_shape([(5, 64, 64, 1), (5, 3)])
        bands = drawer.draw(np.array([0, 1, 0, 1, 0]))
        assert [tuple(i.shape) for i in bands] == list(shapes)
        assert all(bool(torch.isfinite(i).all()) for i in bands)
        assert bands[0].norm(dim=-1).numpy() == pytest.approx(1, abs=1e-5)
        assert set(bands[2].unique().tolist()) <= {0.0, 1.0}

    def test_angles_are_those_of_the_crystal(self, drawer, monkeypatch):
        """Without errors, angles between bands are those between planes."""
        draw = module("draw")
        for name in ("ANGLE_ERROR", "DISTANCE_ERROR", "UNKNOWN_SHARE"):
            monkeypatch.setattr(draw, name, 0.0)
        monkeypatch.setattr(draw, "CENTER_ERRORS", (0.0,))
        normals, _, is_band = drawer.draw(np.zeros(6, int))
        planes = drawer.normals[0, :13]
        expected = np.unique(np.round((planes @ planes.T).abs(), 3))
        for of_pattern, there in zip(normals, is_band > 0.5):
            found = (of_pattern[there] @ of_pattern[there].T).abs().numpy()
            gaps = np.abs(found[..., None] - expected).min(axis=-1)
            assert gaps.max() < 2e-3

    def test_lattices_are_varied_as_the_space_group_allows(self, drawer):
        draws = [torch.zeros(40, dtype=int), torch.ones(40, dtype=int)]
        varied = [drawer._vary(i, drawer.normals[i])[0] for i in draws]
        cubic, triclinic = (
            float((new - drawer.normals[i]).abs().max())
            for new, i in zip(varied, draws)
        )
        assert cubic < 1e-6
        assert triclinic > 0.1


@pytest.fixture
def inputs():
    """Patterns without bands, and projection centers of which one is unknown."""
    rng = np.random.default_rng(2)
    patterns = rng.normal(size=(3, 64, 64, 1)).astype("float32")
    centers = np.array([[0.5, 0.4, 0.6], [0.4, 0.2, 0.8], [np.nan] * 3], "float32")
    return [patterns, centers]


def find(network, inputs):
    """Return what the layers of a network find in patterns."""
    model = SimpleNamespace(network=network)
    found = importlib.import_module("recipes.general_model.train").find_layers(model)
    tensors = [keras.ops.convert_to_tensor(i) for i in inputs]
    return [
        torch.as_tensor(keras.ops.convert_to_numpy(i).copy()) for i in found(tensors)
    ]


@pytest.mark.parametrize(
    "n_axes, n_twofolds, n_points", [(0, 0, 0), (6, 0, 50), (6, 5, 0), (6, 5, 50)]
)
def test_weights_in_pytorch_are_those_of_keras(inputs, n_axes, n_twofolds, n_points):
    """The same logits both ways, from what the layers find in patterns."""
    keras.utils.set_random_seed(1)
    given = {"n_bands": N_BANDS, "n_axes": n_axes, "n_twofolds": n_twofolds}
    given |= {"n_points": n_points, "units": 16, "blocks": 2}
    network = band_network((64, 64, 1), 7, **given)
    bands = find(network, inputs)
    ours = module("torch_network").Bands(network).eval()
    with torch.no_grad():
        expected = keras.ops.convert_to_numpy(network(inputs))
        assert ours(*bands).numpy() == pytest.approx(expected, abs=1e-4)
        for parameter in ours.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        changed = ours(*bands).numpy()
    assert np.abs(changed - expected).max() > 0.05
    ours.to_keras()
    again = keras.ops.convert_to_numpy(network(inputs))
    assert again == pytest.approx(changed, abs=1e-4)


def test_dense_layers_in_16_bits(inputs):
    """Angles stay in 32 bits, so logits are nearly the same."""
    keras.utils.set_random_seed(1)
    network = band_network((64, 64, 1), 7, n_bands=N_BANDS, n_axes=6, units=16)
    bands = find(network, inputs)
    whole, half = (
        module("torch_network").Bands(network, bfloat16).eval()
        for bfloat16 in (False, True)
    )
    with torch.no_grad():
        whole, half = whole(*bands), half(*bands)
    assert half.dtype == torch.float32
    assert not torch.equal(half, whole)
    assert half.numpy() == pytest.approx(whole.numpy(), abs=0.05)


class TestVariedBands:
    """What is found in patterns is varied to train on it."""

    @pytest.fixture
    def bands(self):
        rng = np.random.default_rng(1)
        torch.manual_seed(1)
        shapes = [(400, *i) for i in ((12, 3), (12, 36), (12,), (9, 3), (9, 19), (9,))]
        bands = [torch.as_tensor(rng.normal(size=i).astype("float32")) for i in shapes]
        bands[2] = (bands[2] > -1).float()
        bands[5] = torch.ones(400, 9)
        return tuple(bands)

    def test_some_are_hidden(self, bands):
        varied = module("vary_found").vary_found(bands, 29)
        for i in (0, 3, 4):
            assert torch.equal(varied[i], bands[i])
        for i in (2, 5):
            assert set(varied[i].unique().tolist()) == {0.0, 1.0}
            assert (varied[i] <= bands[i]).all()
            share = 1 - float(varied[i].sum() / bands[i].sum())
            assert share == pytest.approx(0.15, abs=0.02)
        # Scalars after the profile are as they were
        assert torch.equal(varied[1][..., 29:], bands[1][..., 29:])
        assert not torch.equal(varied[1][..., :29], bands[1][..., :29])

    def test_widths(self):
        """Of a profile as an expression, a quarter wider."""

        def features(angle):
            even = np.exp(-0.5 * (angle / 4) ** 2)
            odd = np.abs(angle) / 10 * np.exp(-0.5 * (angle / 6) ** 2)
            values = np.concatenate([even[:15], odd[:14], [3.0, 4.0]])
            return torch.as_tensor(values.astype("float32"))[None, None]

        angle, stretch = np.arange(-14.0, 15), module("vary_found").stretch_found
        wider = stretch(features(angle), torch.full((1, 1, 1), 1.25), 29)
        assert wider.numpy() == pytest.approx(features(angle / 1.25).numpy(), abs=0.01)
        same = stretch(features(angle), torch.ones(1, 1, 1), 29)
        assert torch.equal(same, features(angle))


class TestStart:
    """A network starts from a smaller one."""

    def start(self, inputs, **more):
        """Return logits of a network, and of one that started from it."""
        keras.utils.set_random_seed(1)
        given = {"n_bands": N_BANDS, "n_axes": 0, "units": 16, "blocks": 1}
        old = band_network((64, 64, 1), 7, **given)
        for weight in old.trainable_weights:
            weight.assign(weight + 0.1 * keras.random.normal(weight.shape))
        new = band_network((64, 64, 1), 7, **(given | more))
        module("trainer").start_from(old, new)
        return [keras.ops.convert_to_numpy(i(inputs)) for i in (old, new)], new

    @pytest.mark.parametrize("more", [{}, {"blocks": 3}, {"units": 32}])
    def test_logits_are_the_same(self, inputs, more):
        (old, new), _ = self.start(inputs, **more)
        assert new == pytest.approx(old, abs=1e-4)

    def test_what_is_twice_becomes_different(self, inputs):
        _, network = self.start(inputs, units=32)
        kernel = keras.ops.convert_to_numpy(network.get_layer("embed_2").kernel)
        assert np.abs(kernel[:16] - kernel[16:]).max() > 0.01

    def test_bands_see_symmetry_later(self, inputs):
        """New features count nothing at first, for networks of both widths."""
        for units in (16, 32):
            _, network = self.start(inputs, units=units, n_axes=4, n_twofolds=3)
            kernel = keras.ops.convert_to_numpy(network.get_layer("embed_1").kernel)
            assert np.abs(kernel[:-4]).max(axis=0).all()
            assert not kernel[-4:].any()

    def test_without_correlations(self, inputs):
        """What counted nothing can be left out, whatever comes after it."""
        keras.utils.set_random_seed(1)
        given = {"n_bands": N_BANDS, "n_axes": 4, "n_twofolds": 3, "units": 16}
        old = band_network((64, 64, 1), 7, n_points=50, **given)
        new = band_network((64, 64, 1), 7, **given)
        for name, first, n in (("embed_1", 36, 2), ("embed_axes_1", 0, 8)):
            kernel, bias = old.get_layer(name).get_weights()
            kernel[first : first + n] = 0
            old.get_layer(name).set_weights([kernel, bias])
        module("trainer").start_from(old, new)
        old, new = (keras.ops.convert_to_numpy(i(inputs)) for i in (old, new))
        assert new == pytest.approx(old, abs=1e-4)

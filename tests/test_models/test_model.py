# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Predictions and the model file."""

from concurrent.futures import ThreadPoolExecutor
import inspect
import json
import pickle
import zipfile

import keras
import numpy as np
import pytest

from kikuchipy_spacegroup import data
from kikuchipy_spacegroup.models import SpaceGroupModel, build_network, load_model
from kikuchipy_spacegroup.models._model_file import MEMBER
from kikuchipy_spacegroup.models._network_config import _SINCE, check_config


@pytest.fixture
def patterns(nickel):
    return nickel.data.reshape(9, 60, 60)


@pytest.fixture
def model_file(tiny_model, tmp_path):
    path = tmp_path / "tiny.keras"
    tiny_model.save(path)
    return path


def edit(path, **changes):
    """Rewrite our member of a model file."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(members.pop(MEMBER)) | changes
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr(MEMBER, json.dumps(header))


class TestPredict:
    """Probabilities and labels."""

    def test_probabilities(self, tiny_model, patterns):
        p = tiny_model.predict_proba(patterns)
        assert p.shape == (9, 3)
        assert p.dtype == np.float32
        assert np.allclose(p.sum(axis=1), 1, atol=1e-5)

    @pytest.mark.parametrize(
        "dtype", ["uint8", "uint16", "int32", "float32", "float64"]
    )
    def test_dtype(self, tiny_model, patterns, dtype):
        reference = tiny_model.predict_proba(patterns)
        p = tiny_model.predict_proba(patterns.astype(dtype))
        assert np.allclose(p, reference, atol=1e-5)

    def test_batch_size(self, tiny_model, patterns):
        reference = tiny_model.predict_proba(patterns)
        p = tiny_model.predict_proba(patterns, batch_size=2)
        assert np.allclose(p, reference, atol=1e-5)

    def test_no_batch(self, tiny_model, patterns):
        with pytest.raises(ValueError, match="at least 1, not 0"):
            tiny_model.predict_proba(patterns, batch_size=0)

    def test_mixed_precision(self, tiny_model, patterns):
        """Close to single precision, and kept, but not in files."""
        model = tiny_model.copy()
        reference = model.predict_proba(patterns)
        model.mixed_precision = True
        mixed = model.predict_proba(patterns)
        assert 0 < np.abs(mixed - reference).max() < 0.02
        assert model.fingerprint() != tiny_model.fingerprint()
        model.temperature = 1.5
        model.temperature = tiny_model.temperature
        for same in (model, model.copy(), pickle.loads(pickle.dumps(model))):
            assert same.mixed_precision
            assert np.allclose(same.predict_proba(patterns), mixed, atol=1e-3)
        model.mixed_precision = False
        again = model.predict_proba(patterns)
        assert np.abs(again - reference).max() < np.abs(mixed - reference).max() / 10
        assert model.fingerprint() == tiny_model.fingerprint()

    def test_mixed_precision_follows_weights(self, tiny_model, patterns):
        model = tiny_model.copy()
        model.mixed_precision = True
        model.predict_proba(patterns)
        weights = [w + 0.1 * (w.ndim == 1) for w in model.network.get_weights()]
        model.network.set_weights(weights)
        mixed = model.predict_proba(patterns)
        model.mixed_precision = False
        assert np.allclose(mixed, model.predict_proba(patterns), atol=0.02)

    def test_gain_and_offset(self, tiny_model, patterns):
        reference = tiny_model.predict_proba(patterns)
        p = tiny_model.predict_proba(patterns * 20.0 + 300)
        assert np.allclose(p, reference, atol=1e-3)

    @pytest.mark.parametrize("shape", [(8, 8), (33, 47), (240, 120)])
    def test_any_shape(self, tiny_model, shape):
        rng = np.random.default_rng(1)
        p = tiny_model.predict_proba(rng.normal(size=(2, *shape)))
        assert np.isfinite(p).all()

    def test_plain_keras_gives_the_same(self, tiny_model, patterns):
        graph = tiny_model.graph
        reference = graph.predict(patterns[..., None].astype("float32"), verbose=0)
        assert np.allclose(tiny_model.predict_proba(patterns), reference, atol=1e-5)

    def test_threads(self, tiny_model, patterns):
        reference = tiny_model.predict_proba(patterns)
        with ThreadPoolExecutor(4) as pool:
            for p in pool.map(tiny_model.predict_proba, [patterns] * 16):
                assert np.allclose(p, reference, atol=1e-5)

    def test_unusable_patterns(self, tiny_model, patterns):
        bad = patterns[:5].astype("float32")
        bad[0] = 12
        bad[1] = np.nan
        bad[2, :40] = 255
        bad[3] = np.inf
        p = tiny_model.predict_proba(bad)
        assert np.isnan(p[:4]).all()
        assert np.isfinite(p[4]).all()
        assert tiny_model.predict(bad)[:4].tolist() == [-1] * 4

    def test_min_probability(self, tiny_model, patterns):
        p = tiny_model.predict_proba(patterns)
        best = np.array(tiny_model.space_groups)[p.argmax(axis=1)]
        assert np.array_equal(tiny_model.predict(patterns), best)
        limit = np.median(p.max(axis=1))
        model = SpaceGroupModel(
            tiny_model.network,
            tiny_model.space_groups,
            tiny_model.prepare,
            min_probability=limit,
        )
        expected = np.where(p.max(axis=1) >= limit, best, -1)
        assert np.array_equal(model.predict(patterns), expected)

    def test_temperature(self, tiny_model, patterns):
        model = SpaceGroupModel(
            tiny_model.network, tiny_model.space_groups, tiny_model.prepare
        )
        p = model.predict_proba(patterns)
        model.temperature = 2
        expected = np.sqrt(p) / np.sqrt(p).sum(axis=1, keepdims=True)
        assert np.allclose(model.predict_proba(patterns), expected, atol=1e-5)

    @pytest.mark.parametrize(
        "bad", [np.ones((4, 5)), np.ones((2, 3, 4), dtype=complex), np.ones((2, 0, 5))]
    )
    def test_wrong_patterns(self, tiny_model, bad):
        with pytest.raises(ValueError, match="[Pp]atterns"):
            tiny_model.predict_proba(bad)


class TestCreate:
    """Arguments of a model."""

    @pytest.mark.parametrize(
        ("space_groups", "match"),
        [([], "at least one"), ([225, 225], "distinct"), ([225, 231], "from 1 to 230")],
    )
    def test_wrong_space_groups(self, space_groups, match):
        network = build_network("residual", (32, 32, 1), len(space_groups) or 1)
        from kikuchipy_spacegroup.patterns import PreparePatterns

        with pytest.raises(ValueError, match=match):
            SpaceGroupModel(network, space_groups, PreparePatterns(32))

    def test_wrong_number_of_outputs(self, tiny_model):
        with pytest.raises(ValueError, match="3 outputs, which cannot stand for 2"):
            SpaceGroupModel(tiny_model.network, [225, 229], tiny_model.prepare)

    def test_unknown_network(self):
        with pytest.raises(ValueError, match="'vit', must be one of"):
            SpaceGroupModel.create([225], network="vit")

    def test_repr(self, tiny_model):
        text = repr(tiny_model)
        for part in ("225 (Fm-3m)", "32 x 32 px", "nothing yet"):
            assert part in text


def test_copy_is_of_its_own(nickel):
    model = SpaceGroupModel.create([225, 229], size=48, filters=(8,), stem=8)
    model.metadata["list"] = [1]
    copy = model.copy()
    patterns = nickel.data.reshape(9, 60, 60)
    before = model.predict_proba(patterns)
    assert np.allclose(copy.predict_proba(patterns), before)
    copy.network.set_weights([w + 1 for w in copy.network.get_weights()])
    copy.metadata["list"].append(2)
    copy.temperature = 2
    assert np.array_equal(model.predict_proba(patterns), before)
    assert (model.metadata["list"], model.temperature) == ([1], 1)


class TestPrior:
    """How often space groups were in training."""

    @pytest.fixture
    def model(self, tiny_model):
        model = tiny_model.copy()
        model.prior = [6, 1, 1]
        return model

    def test_adds_up_to_one(self, tiny_model, model):
        assert np.array_equal(tiny_model.prior, np.full(3, 1 / 3))
        assert model.prior.tolist() == [0.75, 0.125, 0.125]
        model.prior[0] = 0
        assert model.prior[0] == 0.75
        model.prior = None
        assert np.array_equal(model.prior, tiny_model.prior)

    def test_travels_with_the_model(self, model, tmp_path):
        model.prior = np.random.default_rng(1).random(3)
        model.save(tmp_path / "a.keras")
        again = load_model(tmp_path / "a.keras")
        again.save(tmp_path / "b.keras")
        others = [again, load_model(tmp_path / "b.keras"), model.copy()]
        for other in [*others, pickle.loads(pickle.dumps(model))]:
            assert np.array_equal(other.prior, model.prior)
        assert model.header()["prior"] == model.prior.tolist()

    def test_predictions_do_not_depend_on_it(self, tiny_model, model, patterns):
        expected = tiny_model.predict_proba(patterns)
        assert np.array_equal(model.predict_proba(patterns), expected)
        assert model.fingerprint() == tiny_model.fingerprint()

    def test_files_without_it(self, tiny_model, model, tmp_path):
        """Files of before there were priors, as the bundled one."""
        path = tmp_path / "a.keras"
        model.save(path)
        edit(path, prior=None)
        assert np.array_equal(load_model(path).prior, tiny_model.prior)
        assert np.array_equal(load_model().prior, np.full(10, 0.1))

    @pytest.mark.parametrize(
        "prior",
        [
            "123",
            1,
            {"1": 1},
            [0.5, 0.5],
            [1, 0, 1],
            [1, -1, 1],
            [1, "a", 1],
            [[1, 1, 1]],
        ],
    )
    def test_wrong_prior(self, model, prior, tmp_path):
        path = tmp_path / "a.keras"
        model.save(path)
        edit(path, prior=prior)
        with pytest.raises(ValueError, match="damaged"):
            load_model(path)
        if isinstance(prior, list) and prior[0] == 1 and "a" not in prior:
            with pytest.raises(ValueError, match="3 positive numbers"):
                model.prior = prior


class TestFile:
    """One file is a model."""

    def test_round_trip(self, tiny_model, model_file, patterns):
        model = load_model(model_file)
        assert model.space_groups == tiny_model.space_groups
        assert model.metadata == tiny_model.metadata
        assert np.allclose(
            model.predict_proba(patterns), tiny_model.predict_proba(patterns), atol=1e-6
        )
        model.save(model_file, overwrite=True)
        again = load_model(str(model_file))
        assert np.array_equal(
            again.predict_proba(patterns), model.predict_proba(patterns)
        )

    def test_settings_survive(self, tiny_model, tmp_path):
        model = SpaceGroupModel(
            tiny_model.network,
            tiny_model.space_groups,
            tiny_model.prepare,
            temperature=1.5,
            min_probability=0.25,
            metadata={"name": "mine", "accuracy": {"unseen": 0.5}},
        )
        model.save(tmp_path / "a.keras")
        loaded = load_model(tmp_path / "a.keras")
        assert loaded.temperature == 1.5
        assert loaded.min_probability == 0.25
        assert loaded.metadata == model.metadata
        assert "accuracy, unseen: 50.0%" in repr(loaded)

    def test_plain_keras_loads_it(self, tiny_model, model_file, patterns):
        graph = keras.models.load_model(model_file, compile=False)
        p = graph.predict(patterns[..., None].astype("float32"), verbose=0)
        assert np.allclose(p, tiny_model.predict_proba(patterns), atol=1e-5)

    def test_saving_keeps_what_is_there(self, tiny_model, model_file):
        before = model_file.read_bytes()
        with pytest.raises(FileExistsError, match="overwrite=True"):
            tiny_model.save(model_file)
        assert model_file.read_bytes() == before
        with pytest.raises(ValueError, match="must end with '.keras'"):
            tiny_model.save(model_file.with_suffix(".h5"))
        assert [p.name for p in model_file.parent.iterdir()] == [model_file.name]

    def test_missing(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no model file"):
            load_model(tmp_path / "no.keras")
        with pytest.raises(ValueError, match="no bundled model 'no'"):
            load_model("no")

    def test_truncated(self, model_file):
        content = model_file.read_bytes()
        for share in (0, 0.1, 0.5, 0.9, 0.999):
            model_file.write_bytes(content[: int(share * len(content))])
            with pytest.raises(ValueError, match="truncated|damaged"):
                load_model(model_file)

    def test_flipped_bytes(self, model_file):
        """A changed byte of the weights does not go unseen."""
        content = bytearray(model_file.read_bytes())
        content[len(content) // 2] ^= 255
        model_file.write_bytes(content)
        with pytest.raises(ValueError, match="damaged|truncated"):
            load_model(model_file)

    def test_other_kinds_of_files(self, tmp_path, tiny_model):
        path = tmp_path / "a.keras"
        path.write_text("no model at all")
        with pytest.raises(ValueError, match="not a model file"):
            load_model(path)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.txt", "no model either")
        with pytest.raises(ValueError, match="not a Keras model"):
            load_model(path)
        tiny_model.graph.save(path)
        with pytest.raises(ValueError, match="without 'space_groups.json'"):
            load_model(path)

    @pytest.mark.parametrize(
        ("changes", "match"),
        [
            ({"format_version": 99}, "of format 99.*Update"),
            ({"space_groups": [225, 229]}, "cannot stand for 2"),
            ({"space_groups": "all"}, "damaged"),
            ({"temperature": None}, "damaged"),
            ({"temperature": -1}, "must be positive"),
        ],
    )
    def test_changed_header(self, model_file, changes, match):
        edit(model_file, **changes)
        with pytest.raises(ValueError, match=match):
            load_model(model_file)

    def test_runs_no_code(self, tmp_path, tiny_model, model_file):
        """A file with a Python lambda in it is refused."""
        inputs = keras.Input((None, None, 1))
        x = keras.layers.Lambda(lambda x: x)(inputs)
        keras.Model(inputs, x).save(tmp_path / "b.keras")
        with zipfile.ZipFile(model_file) as archive:
            header = archive.read(MEMBER)
        with zipfile.ZipFile(tmp_path / "b.keras", "a") as archive:
            archive.writestr(MEMBER, header)
        with pytest.raises(ValueError, match="[Ll]ambda"):
            load_model(tmp_path / "b.keras")


class TestBundled:
    """The model that comes with the package."""

    def test_nickel_is_225(self, nickel):
        model = load_model()
        assert model.space_groups == tuple(range(221, 231))
        patterns = nickel.data.reshape(9, 60, 60) / nickel.static_background
        p = model.predict_proba(patterns)
        pooled = np.log(p).mean(axis=0)
        assert model.space_groups[pooled.argmax()] == 225

    def test_a_few_megabytes(self):
        assert data.model_path().stat().st_size < 10e6


class TestOtherVersionsOfKeras:
    """What newer ones write beside the rest is not known to older ones."""

    def test_left_out_if_it_is_the_default(self):
        dense = {"name": "a", "units": 2, "quantization_config": None}
        layer = {"module": "keras.layers", "class_name": "Dense", "config": dense}
        assert check_config(layer)["config"] == {"name": "a", "units": 2}

    def test_kept_if_it_changes_something(self):
        norm = {"name": "a", "renorm": True, "renorm_momentum": 0.9}
        layer = {"module": "keras.layers", "class_name": "BatchNormalization"}
        assert check_config(layer | {"config": norm})["config"] == norm

    @pytest.mark.parametrize("name", sorted(_SINCE))
    def test_default(self, name):
        """Where this version of Keras knows the argument."""
        module = keras.initializers if name.endswith("_axes") else keras.layers
        defaults = [
            inspect.signature(known).parameters[name].default
            for known in vars(module).values()
            if isinstance(known, type)
            and known.__module__.startswith("keras.")
            and name in inspect.signature(known).parameters
        ]
        neutral = {_SINCE[name], None if _SINCE[name] is False else _SINCE[name]}
        assert set(defaults) <= neutral

# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
import keras
from keras import layers
import numpy as np
import pytest

from kikuchipy_spacegroup.explanation import (
    GradCAM,
    grad_cam,
    guided_backpropagation,
    guided_grad_cam,
    to_pattern_frame,
)
from kikuchipy_spacegroup.models import SpaceGroupModel
from kikuchipy_spacegroup.patterns import PreparePatterns
from kikuchipy_spacegroup.patterns._matrices import resize_matrix

BACKEND = keras.backend.backend()
SIZE = 32


@pytest.fixture(scope="module")
def patterns():
    rng = np.random.default_rng(2)
    return rng.integers(0, 255, size=(5, 40, 50)).astype("uint8")


def model_of(*steps, name=None):
    """Return a model of a user's own network."""
    keras.utils.set_random_seed(5)
    network = keras.Sequential([keras.Input((SIZE, SIZE, 1)), *steps], name=name)
    return SpaceGroupModel(network, [221, 225], PreparePatterns(SIZE))


def prepared(model, patterns):
    x = model.prepare(patterns[..., None].astype("float32"))
    return keras.ops.convert_to_numpy(x)


def resized(maps):
    matrix = keras.ops.convert_to_numpy(
        resize_matrix(SIZE, maps.shape[1], maps.shape[1])
    )
    maps = matrix @ maps @ matrix.T
    return maps / np.maximum(maps.max(axis=(1, 2), keepdims=True), 1e-20)


class TestGradCAM:
    @pytest.mark.skipif(BACKEND != "tensorflow", reason="Reference is in TensorFlow")
    @pytest.mark.parametrize("layer", ["stem_conv", "stage2_a_conv"])
    def test_as_in_keras_example(self, tiny_model, patterns, layer):
        """As in keras.io/examples/vision/grad_cam by F. Chollet."""
        import tensorflow as tf

        network = tiny_model.network
        both = keras.Model(
            network.input, [network.get_layer(layer).output, network.output]
        )

        @tf.function  # Not compiled, TensorFlow 2.21 crashes
        def record(x):
            with tf.GradientTape() as tape:
                features, logits = both(x)
                channel = logits[:, 1]
            return features, tape.gradient(channel, features)

        features, gradient = record(prepared(tiny_model, patterns))
        weights = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
        expected = tf.nn.relu(tf.reduce_sum(weights * features, axis=-1)).numpy()
        maps = grad_cam(tiny_model, patterns, 225, layer=layer)
        assert maps.shape == (5, SIZE, SIZE)
        assert maps.dtype == "float32"
        assert np.allclose(maps, resized(expected), atol=1e-4)

    def test_is_class_activation_map(self, tiny_model, patterns):
        """As Zhou et al. (2016), behind whom is pooling and one matrix."""
        network = tiny_model.network
        before = keras.Model(network.input, network.get_layer("stage2_out").output)
        features = keras.ops.convert_to_numpy(before(prepared(tiny_model, patterns)))
        kernel = network.get_layer("logits").get_weights()[0]
        explain = GradCAM(tiny_model)
        assert explain.layer == "stage2_out"
        assert explain.feature_shape == (4, 4)
        for i, number in enumerate(tiny_model.space_groups):
            expected = np.maximum(features @ kernel[:, i], 0)
            maps = explain(patterns, number)
            assert np.allclose(maps, resized(expected), atol=1e-4)

    def test_nothing_speaks_for_it(self, patterns):
        model = model_of(
            layers.Conv2D(2, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, kernel_initializer="zeros"),
        )
        assert not guided_backpropagation(model, patterns, 221).any()
        assert not grad_cam(model, patterns, 221).any()

    def test_space_groups(self, tiny_model, patterns):
        explain = GradCAM(tiny_model)
        winners = tiny_model.predict(patterns)
        best = explain(patterns)
        assert np.allclose(best, explain(patterns, winners))
        assert np.allclose(best, explain(patterns, np.full(5, -1)))
        mixed = explain(patterns, np.array([221, 225, 229, 221, 225]))
        assert np.allclose(mixed[1], explain(patterns, 225)[1])
        assert np.allclose(best, explain(patterns, batch_size=2), atol=1e-5)
        assert explain(patterns[:0]).shape == (0, SIZE, SIZE)

    def test_unusable_patterns(self, tiny_model, patterns):
        patterns = patterns.copy()
        patterns[1] = 7
        maps = grad_cam(tiny_model, patterns)
        assert np.isnan(maps[1]).all()
        assert np.isfinite(maps[[0, 2, 3, 4]]).all()

    @pytest.mark.parametrize(
        "space_group, match",
        [
            (230, "knows the space groups"),
            (225.0, "one number or 5"),
            (np.array([225, 221]), "one number or 5"),
        ],
    )
    def test_wrong_space_group(self, tiny_model, patterns, space_group, match):
        with pytest.raises(ValueError, match=match):
            grad_cam(tiny_model, patterns, space_group)

    def test_wrong_patterns(self, tiny_model, patterns):
        for wrong in (patterns[0], patterns[:, :0], patterns.astype("complex64")):
            with pytest.raises(ValueError, match="Patterns must be real numbers"):
                grad_cam(tiny_model, wrong)
        with pytest.raises(ValueError, match="batch_size"):
            grad_cam(tiny_model, patterns, batch_size=0)

    def test_product_and_model_not_changed(self, tiny_model, patterns):
        before = tiny_model.predict_proba(patterns)
        weights = tiny_model.network.get_weights()
        maps = guided_grad_cam(tiny_model, patterns)
        product = grad_cam(tiny_model, patterns) * guided_backpropagation(
            tiny_model, patterns
        )
        product /= product.max(axis=(1, 2), keepdims=True)
        assert np.allclose(maps, product, atol=1e-5)
        assert np.array_equal(tiny_model.predict_proba(patterns), before)
        for old, new in zip(weights, tiny_model.network.get_weights()):
            assert np.array_equal(old, new)
        for layer in tiny_model.network.layers:
            assert "call" not in vars(layer)
            assert len(layer._inbound_nodes) == 1


class TestLayers:
    def test_nested(self, patterns):
        inside = keras.Sequential(
            [
                keras.Input((SIZE, SIZE, 1)),
                layers.Conv2D(4, 3, strides=2, name="first"),
                layers.Conv2D(4, 3, activation="relu", name="last"),
            ],
            name="inside",
        )
        x = keras.Input((SIZE, SIZE, 1))
        middle = keras.Model(x, inside(x), name="middle")
        model = model_of(middle, layers.Flatten(), layers.Dense(2))
        explain = GradCAM(model)
        assert explain.layer == "last"
        best = explain(patterns)
        assert best.max() == 1
        for layer in ("last", inside.layers[-1], "inside", "middle"):
            assert np.allclose(grad_cam(model, patterns, layer=layer), best)
        first = grad_cam(model, patterns, layer="first")
        assert not np.allclose(first, best)
        guided = guided_backpropagation(model, patterns)
        assert guided.max() == 1

    def test_default_is_before_pooling(self):
        model = model_of(
            layers.Conv2D(4, 3, name="convolution"),
            layers.BatchNormalization(name="normalization"),
            layers.Activation("relu", name="activation"),
            layers.MaxPooling2D(name="pooling"),
            layers.Flatten(),
            layers.Dense(2),
        )
        assert GradCAM(model).layer == "activation"
        assert GradCAM(model, "pooling").feature_shape == (15, 15)

    def test_xception(self, patterns):
        keras.utils.set_random_seed(1)
        model = SpaceGroupModel.create([221, 225], size=71, network="xception")
        explain = GradCAM(model, guided=True)
        assert explain.layer == "block14_sepconv2_act"
        assert explain(patterns[:1], 225).shape == (1, 71, 71)

    def test_refused(self, patterns):
        shared = layers.Conv2D(1, 3, padding="same", name="shared")
        same = keras.Sequential([layers.Conv2D(1, 3, name="twin")])
        model = model_of(
            layers.Conv2D(1, 3, name="twin"), same, layers.Flatten(), layers.Dense(2)
        )
        with pytest.raises(ValueError, match="2 layers with the name 'twin'"):
            GradCAM(model, "twin")
        with pytest.raises(ValueError, match=r"no layer 'x'. .* are \['twin'"):
            GradCAM(model, "x")
        with pytest.raises(TypeError, match="not int"):
            GradCAM(model, 3)
        x = keras.Input((SIZE, SIZE, 1))
        y = layers.Flatten(name="flat")(shared(shared(x)))
        network = keras.Model(x, layers.Dense(2)(y))
        model = SpaceGroupModel(network, [221, 225], PreparePatterns(SIZE))
        with pytest.raises(ValueError, match="is called 2 times"):
            GradCAM(model, "shared")
        with pytest.raises(ValueError, match=r"has the shape \(1, 1024\)"):
            GradCAM(model, "flat")
        with pytest.raises(
            ValueError, match="no convolution layer that is called once"
        ):
            GradCAM(model)


class TestGuided:
    """ReLUs in layers of all kinds pass on only positive gradients."""

    @pytest.mark.parametrize("kind", ["argument", "activation", "layer", "relu6"])
    def test_by_hand(self, patterns, kind):
        """1 x 1 convolutions are matrices, which NumPy differentiates."""
        maximum = 0.3 if kind == "relu6" else np.inf
        relus = {
            "argument": lambda: [],
            "activation": lambda: [layers.Activation("relu")],
            "layer": lambda: [layers.ReLU()],
            "relu6": lambda: [layers.ReLU(max_value=maximum)],
        }[kind]
        activation = "relu" if kind == "argument" else None
        model = model_of(
            layers.Conv2D(6, 1, activation=activation, use_bias=False),
            *relus(),
            layers.Conv2D(6, 1, activation=activation, use_bias=False),
            *relus(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        )
        first, second, kernel, _ = model.network.get_weights()
        x = prepared(model, patterns)
        a = x @ first[0, 0]
        b = np.clip(a, 0, maximum) @ second[0, 0]
        gradient = np.broadcast_to(kernel[:, 1], b.shape)
        gradient = np.maximum(gradient, 0) * ((b > 0) & (b < maximum)) @ second[0, 0].T
        gradient = np.maximum(gradient, 0) * ((a > 0) & (a < maximum)) @ first[0, 0].T
        expected = np.abs(gradient[..., 0])
        expected /= expected.max(axis=(1, 2), keepdims=True)
        maps = guided_backpropagation(model, patterns, 225)
        assert np.allclose(maps, expected, atol=1e-4)

    def test_weights(self, tiny_model, patterns):
        """Behind the last ReLU, nothing is left to guide."""
        patterns = patterns[:2]
        plain, guided = (
            [
                grad_cam(tiny_model, patterns, 225, layer=layer, guided=guided)
                for layer in ("stem_relu", None)
            ]
            for guided in (False, True)
        )
        assert not np.allclose(plain[0], guided[0], atol=1e-2)
        assert np.allclose(plain[1], guided[1], atol=1e-5)

    @pytest.mark.parametrize(
        "step",
        [
            layers.Activation("swish", name="bad"),
            layers.Conv2D(2, 3, activation="gelu", name="bad"),
            layers.LeakyReLU(name="bad"),
            layers.ReLU(negative_slope=0.1, name="bad"),
            layers.PReLU(name="bad"),
            layers.Softmax(name="bad"),
        ],
    )
    def test_other_activations(self, patterns, step):
        model = model_of(
            layers.Conv2D(2, 3, activation="relu"),
            step,
            layers.Flatten(),
            layers.Dense(2),
        )
        with pytest.raises(ValueError, match=r"something else: \['bad'\]"):
            guided_grad_cam(model, patterns)
        assert GradCAM(model).layer == step.name

    def test_functions(self, patterns):
        x = keras.Input((SIZE, SIZE, 1))
        y = layers.ReLU()(keras.ops.relu(layers.Conv2D(2, 3)(x)))
        network = keras.Model(x, layers.Dense(2)(layers.Flatten()(y)))
        model = SpaceGroupModel(network, [221, 225], PreparePatterns(SIZE))
        with pytest.raises(ValueError, match=r"something else: \['relu'\]"):
            guided_grad_cam(model, patterns)

    def test_no_relu(self, patterns):
        model = model_of(layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2))
        with pytest.raises(ValueError, match="there is none"):
            GradCAM(model, guided=True)


class TestPatternFrame:
    @pytest.mark.parametrize("shape", [(32, 32), (60, 60), (60, 81), (100, 75)])
    def test_finds_place_again(self, shape):
        """What is prepared and carried back is where it was."""
        rows, columns = np.indices(shape)
        side = min(shape)
        for row, column in [(0.5, 0.5), (0.3, 0.6)]:
            # In the central square
            row = (shape[0] - side) / 2 + row * side
            column = (shape[1] - side) / 2 + column * side
            distance = (rows + 0.5 - row) ** 2 + (columns + 0.5 - column) ** 2
            blob = np.exp(-distance / (2 * (0.08 * side) ** 2)).astype("float32")
            small, _ = PreparePatterns(SIZE).resize(blob[None, ..., None])
            maps = to_pattern_frame(keras.ops.convert_to_numpy(small), shape)
            assert maps.shape == (1, *shape)
            weight = np.nan_to_num(maps[0])
            weight /= weight.sum()
            center = ((rows + 0.5) * weight).sum(), ((columns + 0.5) * weight).sum()
            assert np.allclose(center, (row, column), atol=0.01 * side)

    def test_not_seen(self):
        maps = to_pattern_frame(np.ones((3, 8, 8)), (20, 30))
        assert maps.dtype == "float32"
        assert np.isnan(maps[:, :, :5]).all() and np.isnan(maps[:, :, -5:]).all()
        assert np.isnan(maps[:, 0, 5]).all()
        assert np.allclose(maps[np.isfinite(maps)], 1)
        square = to_pattern_frame(np.ones((3, 8, 8)), (20, 30), radius=None)
        assert np.isfinite(square).sum() == 3 * 20 * 20

    def test_same_shape_is_same(self):
        maps = np.random.default_rng(1).random((2, 12, 12)).astype("float32")
        assert np.allclose(to_pattern_frame(maps, (12, 12), radius=None), maps)

    def test_not_square(self):
        with pytest.raises(ValueError, match="size, size"):
            to_pattern_frame(np.ones((3, 4)), (6, 8))

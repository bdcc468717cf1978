"""nimakit.nn.networks.heads: from features to a distribution or a score."""

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from nimakit.config import TrainConfig
from nimakit.errors import ModelError
from nimakit.nn.networks import heads
from nimakit.stats.histogram import default_bins

BINS = default_bins(5)
AVERAGE = np.array([0.1, 0.2, 0.4, 0.2, 0.1], np.float32)


def _base() -> keras.Model:
    """Three resolutions: 8x8 with 4 channels, 4x4 with 6 and 2x2 with 7."""
    keras.utils.set_random_seed(0)
    image = x = keras.Input((16, 16, 3))
    for channels in (4, 6, 7):
        x = keras.layers.Conv2D(channels, 3, strides=2, padding="same")(x)
        x = keras.layers.ReLU()(x)
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))


def _config(**changes: Any) -> TrainConfig:
    return replace(TrainConfig(base_model_name="", dropout_rate=0.0, l2_reg=0.0), **changes)


def _images(count: int = 3) -> Any:
    return np.random.default_rng(0).normal(size=(count, 16, 16, 3)).astype(np.float32)


def _without_kernel(model: keras.Model) -> keras.Model:
    """The same model, whose head sees no features: what is left is the prior."""
    dense = model.get_layer(heads.HEAD_NAME)
    kernel, bias = dense.get_weights()
    dense.set_weights([kernel * 0, bias])
    return model


@pytest.mark.parametrize("head", ["histogram", "classification"])
def test_gives_distributions(head: Any) -> None:
    """A softmax over the bins, as float32 also where the rest computes in 16 bits."""
    model = heads.add_head(_base(), BINS, _config(head=head))
    shares = np.asarray(model(_images()))
    assert shares.shape == (3, 5)
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    assert model.get_layer(heads.HEAD_NAME).dtype_policy.name == "float32"


@pytest.mark.parametrize("activation", ["linear", "sigmoid"])
def test_a_score_is_one_number_and_a_sigmoid_stays_in_range(activation: str) -> None:
    """A sigmoid's score is always between the first and the last bin; a linear score is not."""
    model = heads.add_head(_base(), BINS, _config(head="regression", score_activation=activation))
    scores = np.asarray(model(_images(50) * 1000))
    assert scores.shape == (50, 1)
    outside = (scores < BINS[0]) | (scores > BINS[-1])
    assert outside.any() == (activation == "linear")


@pytest.mark.parametrize("head", ["histogram", "classification"])
def test_a_distribution_starts_at_the_average(head: Any) -> None:
    """Without features a new head gives the average label, also one with empty bins."""
    for average in (AVERAGE, np.array([0, 0, 0.5, 0.5, 0], np.float32)):
        model = heads.add_head(_base(), BINS, _config(head=head))
        heads.set_prior(model, average, BINS)
        shares = np.asarray(_without_kernel(model)(_images()))
        np.testing.assert_allclose(shares, np.tile(average, (3, 1)), atol=1e-6)


@pytest.mark.parametrize("activation", ["linear", "sigmoid"])
def test_a_score_starts_at_the_mean_rating(activation: str) -> None:
    """Whatever the activation makes of the bias."""
    model = heads.add_head(_base(), BINS, _config(head="regression", score_activation=activation))
    heads.set_prior(model, np.array([3.7], np.float32), BINS)
    np.testing.assert_allclose(np.asarray(_without_kernel(model)(_images())), 3.7, rtol=1e-5)


def test_a_prior_leaves_the_kernel_alone() -> None:
    """Only the bias changes."""
    model = heads.add_head(_base(), BINS, _config())
    kernel = model.get_layer(heads.HEAD_NAME).get_weights()[0].copy()
    heads.set_prior(model, AVERAGE, BINS)
    np.testing.assert_array_equal(model.get_layer(heads.HEAD_NAME).get_weights()[0], kernel)


@pytest.mark.parametrize(("levels", "blocks"), [(1, [7]), (2, [7, 6]), (3, [7, 6, 4])])
def test_features_are_pooled_from_as_many_resolutions_as_asked_for(levels: int, blocks: list[int]) -> None:
    """The coarsest first; each is the mean of its last map."""
    model = heads.add_head(_base(), BINS, _config(pooled_levels=levels))
    assert heads.feature_blocks(model) == blocks
    features = np.asarray(heads.backbone_only(model)(_images()))
    assert features.shape == (3, sum(blocks))
    maps = [layer for layer in model.layers if isinstance(layer, keras.layers.ReLU)][::-1][:levels]
    outputs = [np.asarray(keras.Model(model.input, layer.output)(_images())) for layer in maps]
    expected = np.concatenate([output.mean(axis=(1, 2)) for output in outputs], axis=1)
    np.testing.assert_allclose(features, expected, atol=1e-5)


@pytest.mark.parametrize("levels", [1, 2])
def test_backbone_and_head_alone_make_the_model(levels: int) -> None:
    """One after the other they give what the model gives, with the very same weights."""
    model = heads.add_head(_base(), BINS, _config(pooled_levels=levels, dropout_rate=0.5))
    backbone, head = heads.backbone_only(model), heads.head_only(model)
    np.testing.assert_allclose(np.asarray(head(backbone(_images()))), np.asarray(model(_images())), rtol=1e-5)
    assert head.layers[-1] is model.layers[-1]
    assert len(head.trainable_variables) == 2


def test_drops_features_and_penalises_the_kernel_where_asked_to() -> None:
    """dropout_rate and l2_reg reach the layers they are meant for."""
    model = heads.add_head(_base(), BINS, _config(dropout_rate=0.25, l2_reg=0.1))
    assert model.get_layer(heads.DROPOUT_NAME).rate == 0.25
    kernel = model.get_layer(heads.HEAD_NAME).kernel.numpy()
    assert float(sum(model.losses)) == pytest.approx(0.1 * (kernel**2).sum(), rel=1e-5)
    assert heads.add_head(_base(), BINS, _config()).losses == []


def test_levels_are_resolutions_not_paddings_or_gates() -> None:
    """A padded map and a map of one pixel are no resolutions of their own."""
    image = keras.Input((16, 16, 3))
    fine = keras.layers.Conv2D(4, 3, strides=2, padding="same")(image)
    padded = keras.layers.ZeroPadding2D(((0, 1), (0, 1)))(fine)
    coarse = keras.layers.Conv2D(6, 3, strides=2)(padded)
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(coarse)
    gated = keras.layers.Multiply()([coarse, gate])
    base = keras.Model(image, keras.layers.GlobalAveragePooling2D()(gated))
    assert heads.feature_blocks(heads.add_head(base, BINS, _config(pooled_levels=2))) == [6, 4]


def test_rejects_more_levels_than_resolutions() -> None:
    """What is not there cannot be pooled."""
    with pytest.raises(ModelError, match=r"at most the number .* Received: 4, it has 3"):
        heads.add_head(_base(), BINS, _config(pooled_levels=4))

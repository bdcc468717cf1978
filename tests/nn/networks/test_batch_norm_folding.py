"""nimakit.nn.networks.batch_norm_folding: frozen normalisation folded into convolutions."""

from typing import Any

import keras
import numpy as np
import pytest

from nimakit.nn.networks import backbones, batch_norm_folding


def _randomised(model: keras.Model) -> keras.Model:
    """The same model, whose frozen normalisation has random statistics."""
    random = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, value.shape) for value in layer.get_weights()])
            layer.trainable = False
    return model


def _small(**options: Any) -> keras.Model:
    """A convolution, a depthwise one, and a dense layer, each with normalisation after it."""
    image = x = keras.Input((9, 9, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, strides=2, use_bias=False, **options)(x))
    x = keras.layers.BatchNormalization(scale=False)(keras.layers.DepthwiseConv2D(2, use_bias=False)(x))
    x = keras.layers.BatchNormalization()(keras.layers.Dense(5)(x))
    return _randomised(keras.Model(image, x))


def _images(side: int) -> Any:
    return np.random.default_rng(1).normal(size=(3, side, side, 3)).astype(np.float32)


def _kinds(model: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]


def test_gives_the_same_numbers_in_fewer_passes() -> None:
    """Normalisation after convolutions is folded, that after a dense layer stays; the numbers agree."""
    model = _small()
    folded = batch_norm_folding.fold(model)
    assert _kinds(folded).count("BatchNormalization") == 1
    np.testing.assert_allclose(folded(_images(9)), model(_images(9)), rtol=1e-4, atol=1e-5)


def test_folds_where_the_network_computes_in_16_bits() -> None:
    """Statistics stay in 32 bits; folded and unfolded outputs agree to the precision of float16."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = _small()
    finally:
        keras.config.set_dtype_policy("float32")
    folded = batch_norm_folding.fold(model)
    assert _kinds(folded).count("BatchNormalization") == 1
    given, plain = (np.asarray(one(_images(9))) for one in (folded, model))
    assert given.dtype == np.float16
    np.testing.assert_allclose(given, plain, rtol=0.02, atol=0.02)


def test_trains_the_given_model() -> None:
    """A step on the folded model changes the weights like a step on the given model."""
    images, targets = _images(9), np.zeros((3, 3, 3, 5), np.float32)
    kernels = []
    changes: list[Any] = [lambda model: model, batch_norm_folding.fold]
    for change in changes:
        keras.utils.set_random_seed(0)
        model = _small()
        trained = change(model)
        trained.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
        trained.train_on_batch(images, targets)
        kernels.append(model.layers[1].get_weights()[0])
    before = (keras.utils.set_random_seed(0), _small().layers[1].get_weights()[0])[1]
    np.testing.assert_allclose(kernels[1], kernels[0], rtol=1e-3, atol=1e-6)
    assert np.abs(kernels[1] - before).max() > 1e-3


def test_keeps_layers_it_cannot_fold() -> None:
    """Trainable normalisation, a convolution with an activation, and one that feeds two layers stay."""
    trainable = _small()
    for layer in trainable.layers:
        layer.trainable = True
    assert batch_norm_folding.fold(trainable) is trainable
    assert "Conv2D" in _kinds(batch_norm_folding.fold(_small(activation="relu")))
    image = keras.Input((9, 9, 3))
    shared = keras.layers.Conv2D(4, 3, use_bias=False)(image)
    both = keras.layers.Add()([keras.layers.BatchNormalization()(shared), shared])
    twice = _randomised(keras.Model(image, both))
    assert batch_norm_folding.fold(twice) is twice


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("MobileNet", marks=pytest.mark.slow),
        pytest.param("ResNet50", marks=pytest.mark.slow),
        pytest.param("EfficientNetLite0", marks=pytest.mark.exhaustive),
    ],
)
def test_whole_backbones_agree(name: str) -> None:
    """No normalisation is left in a backbone of convolutions, and its features are the same."""
    model = _randomised(backbones.get(name).build(input_size=(64, 64)))
    folded = batch_norm_folding.fold(model)
    expected = np.asarray(model(_images(64)))
    if name != "ResNet50":  # whose convolutions have biases
        assert "BatchNormalization" not in _kinds(folded)
    np.testing.assert_allclose(folded(_images(64)), expected, atol=1e-4 * np.abs(expected).max())

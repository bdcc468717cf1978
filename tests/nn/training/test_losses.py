"""nimakit.nn.training.losses: losses of the heads, and the optimiser."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nimakit.nn.training import losses
from nimakit.stats import histogram
from nimakit.stats.histogram import normalise


def test_emd_is_the_one_of_the_metrics() -> None:
    """What training lowers is what evaluation reports: r=2 over the cumulative shares."""
    random = np.random.default_rng(0)
    labels, predictions = (normalise(random.random((20, 10)) ** 3) for _ in range(2))
    received = losses.emd(labels.astype(np.float32), predictions.astype(np.float32))
    np.testing.assert_allclose(received, histogram.emd(labels, predictions, r=2), rtol=1e-5)


def test_emd_keeps_its_gradient_finite_at_equality() -> None:
    """A perfect prediction is a loss of nearly 0, and a gradient without NaN."""
    shares = tf.constant([[0.25, 0.5, 0.25]])
    with tf.GradientTape() as tape:
        tape.watch(shares)
        loss = losses.emd(tf.constant([[0.25, 0.5, 0.25]]), shares)
    assert 0 <= float(loss[0]) < 1e-6
    assert np.isfinite(tape.gradient(loss, shares).numpy()).all()


def test_each_head_has_its_loss() -> None:
    """EMD, mean squared error, cross-entropy."""
    label, share = np.array([[0.0, 1.0]], np.float32), np.array([[0.5, 0.5]], np.float32)
    rating, score = np.array([[3.0]], np.float32), np.array([[5.0]], np.float32)
    assert float(losses.for_head("histogram")(label, share)[0]) == pytest.approx(np.sqrt(0.125), rel=1e-5)
    assert float(losses.for_head("regression")(rating, score)[0]) == pytest.approx(4)
    assert float(losses.for_head("classification")(label, share)[0]) == pytest.approx(np.log(2), rel=1e-5)


def _moves(layer_decay: float) -> list[float]:
    """How far one step moves the kernels of three layers whose gradients are alike."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(3, kernel_initializer="identity") for _ in range(3)]
    model = keras.Sequential([keras.Input((3,)), *layers])
    optimizer = losses.LayerwiseAdam(model, 0.01, layer_decay)
    optimizer.build(model.trainable_variables)
    before = [layer.kernel.numpy() for layer in layers]
    optimizer.apply([tf.ones_like(variable) for variable in model.trainable_variables])
    return [
        float(np.abs(layer.kernel.numpy() - old).mean()) for layer, old in zip(layers, before, strict=True)
    ]


def test_layerwise_adam_moves_the_first_layer_least() -> None:
    """The learning rate falls geometrically from the head to the first layer; 1 is Adam itself."""
    np.testing.assert_allclose(_moves(0.25), [0.0025, 0.005, 0.01], rtol=1e-3)
    np.testing.assert_allclose(_moves(1.0), [0.01] * 3, rtol=1e-3)


def test_layerwise_adam_leaves_frozen_layers_out() -> None:
    """Shares belong to the variables that are trained, in their order."""
    layers = [keras.layers.Dense(2) for _ in range(3)]
    layers[0].trainable = False
    model = keras.Sequential([keras.Input((2,)), *layers])
    optimizer = losses.LayerwiseAdam(model, 0.01, 0.5)
    optimizer.build(model.trainable_variables)
    before = model.get_weights()
    optimizer.apply([tf.ones_like(variable) for variable in model.trainable_variables])
    moved = [float(np.abs(new - old).max()) for new, old in zip(model.get_weights(), before, strict=True)]
    np.testing.assert_allclose(moved, [0, 0, 0.005, 0.005, 0.01, 0.01], rtol=1e-3)

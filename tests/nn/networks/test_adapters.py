"""nimakit.nn.networks.adapters: small layers that start as nothing."""

from collections.abc import Iterator

import keras
import numpy as np
import pytest

import small_backbone
from nimakit.config import TrainConfig
from nimakit.errors import ModelError
from nimakit.nn.networks import adapters, backbones, heads
from nimakit.nn.networks.adapters import Placement
from nimakit.stats.histogram import default_bins

pytestmark = [
    # Keras and TensorFlow are behind NumPy 2 in two places.
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

SIDE = 64


@pytest.fixture
def small_backbone_adapts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The small backbone is registered, and may have adapters despite its size."""
    monkeypatch.setattr(adapters, "MAX_SHARE", 1.0)
    with small_backbone.registered():
        yield


WIDE = "Wide"
"""A backbone of few layers with so many channels that adapters are a small share of it."""


def _wide() -> keras.Model:
    image = x = keras.Input((SIDE, SIDE, 3))
    convolutions = [
        keras.layers.Conv2D(32, 3, strides=4, use_bias=False, name="conv0"),
        keras.layers.Conv2D(160, 3, use_bias=False, name="conv1"),
        keras.layers.DepthwiseConv2D(3, use_bias=False, name="conv2"),
        keras.layers.Conv2D(128, 1, use_bias=False, name="conv3"),
    ]
    for number, convolution in enumerate(convolutions):
        x = keras.layers.BatchNormalization(name=f"norm{number}")(convolution(x))
        x = keras.layers.ReLU()(x)
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))


def _network(name: str, head: str) -> keras.Model:
    config = TrainConfig(base_model_name=name, head=head)  # type: ignore[arg-type]
    base = _wide() if name == WIDE else backbones.get(name).build(input_size=(SIDE, SIDE))
    return heads.add_head(base, default_bins(5), config)


def _pixels(count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, SIDE, SIDE, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "head", "placement", "batch_norm"),
    [
        (WIDE, "histogram", "parallel", False),
        (WIDE, "histogram", "parallel", True),
        (WIDE, "regression", "series", False),
        (WIDE, "regression", "series", True),
        pytest.param("MobileNet", "histogram", "parallel", True, marks=pytest.mark.slow),
        pytest.param("ResNet18", "regression", "series", True, marks=pytest.mark.slow),
    ],
)
def test_an_adapted_network_starts_with_the_outputs_of_its_base(
    name: str, head: str, placement: Placement, batch_norm: bool
) -> None:
    """Adapters have at most a twentieth of its parameters; those that start at zero are trainable."""
    network = _network(name, head)
    adapted = adapters.adapt(network, placement=placement, batch_norm=batch_norm)
    layers = adapters.adapter_layers(adapted)
    own = sum(layer.count_params() for layer in layers)
    assert 0.005 < own / network.count_params() <= adapters.MAX_SHARE
    assert own == sum(array.size for array in adapters.get_arrays(adapted).values())
    learning = {id(weight) for weight in adapted.trainable_weights}
    for layer in layers:
        for weight in layer.weights:
            assert (id(weight) in learning) == (not np.asarray(weight).any())
    assert len(learning) == len(adapted.trainable_weights)
    convolutions = sum(type(layer) is keras.layers.Conv2D for layer in network.layers)
    norms = sum(isinstance(layer, keras.layers.BatchNormalization) for layer in network.layers)
    assert len(layers) == 2 * (convolutions - 1) + batch_norm * norms
    assert len(learning) == convolutions - 1 + 2 * batch_norm * norms
    assert np.abs(np.asarray(adapted(_pixels())) - np.asarray(network(_pixels()))).max() < 1e-5


@pytest.mark.usefixtures("small_backbone_adapts")
def test_scale_and_shift_are_those_of_normalisation() -> None:
    """A person's factor and constant after a layer have the effect of other weights in the layer."""
    network = _network(small_backbone.NAME, "regression")
    adapted = adapters.adapt(network, batch_norm=True)
    arrays = adapters.get_arrays(adapted)
    random = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            name = f"{adapters.PREFIX}_{layer.name}_scale"
            factor, constant = random.normal(0, 0.1, (2, len(gamma))).astype(np.float32)
            arrays[name], arrays[f"{name}_bias"] = factor.reshape(-1, 1, 1, 1), constant
            layer.set_weights([(1 + factor) * gamma, (1 + factor) * beta + constant, mean, variance])
    assert adapters.set_arrays(adapted, arrays)
    changed, merged = np.asarray(adapted(_pixels())), np.asarray(network(_pixels()))
    assert np.abs(changed - merged).max() < 1e-4 * max(1.0, float(np.abs(merged).max()))


@pytest.mark.usefixtures("small_backbone_adapts")
def test_arrays_of_other_adapters_change_nothing() -> None:
    """Arrays of adapters with batch normalisation do not fit adapters without."""
    network = _network(small_backbone.NAME, "histogram")
    adapted = adapters.adapt(network)
    before = adapters.get_arrays(adapted)
    assert not adapters.set_arrays(adapted, adapters.get_arrays(adapters.adapt(network, batch_norm=True)))
    after = adapters.get_arrays(adapted)
    assert all(np.array_equal(after[name], before[name]) for name in before)


def test_a_parallel_adapter_is_part_of_the_convolution() -> None:
    """It sees the centre of each window, so it has the effect of a change to the kernel's centre."""
    network = _network(WIDE, "regression")
    adapted = adapters.adapt(network, placement="parallel")
    random = np.random.default_rng(0)
    for layer in adapters.adapter_layers(adapted):
        layer.set_weights([random.normal(0, 0.1, layer.kernel.shape)])
    for layer in network.layers[2:]:
        name = f"{adapters.PREFIX}_{layer.name}"
        if type(layer) is keras.layers.Conv2D and any(x.name == f"{name}_up" for x in adapted.layers):
            down, up = (
                np.asarray(adapted.get_layer(f"{name}_{part}").kernel)[0, 0] for part in ("down", "up")
            )
            [kernel] = layer.get_weights()
            kernel[kernel.shape[0] // 2, kernel.shape[1] // 2] += down @ up
            layer.set_weights([kernel])
    changed, merged = np.asarray(adapted(_pixels())), np.asarray(network(_pixels()))
    assert np.abs(changed - merged).max() < 1e-4 * max(1.0, float(np.abs(merged).max()))


def test_refuses_a_network_that_is_too_small() -> None:
    """Adapters of rank one would already be more than a twentieth of it."""
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(2, 1)(keras.layers.Conv2D(2, 1)(image))
    base = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    small = heads.add_head(base, default_bins(5), TrainConfig(base_model_name="tiny"))
    with pytest.raises(ModelError, match="at most 5% of a network's parameters"):
        adapters.adapt(small)

"""nimakit.nn.adapters: small layers that start as nothing."""

import keras
import numpy as np
import pytest

from nimakit.config import TrainConfig
from nimakit.errors import ModelError
from nimakit.histogram import default_bins
from nimakit.nn import adapters, backbones, heads
from nimakit.nn.adapters import Placement

pytestmark = [
    # Keras and TensorFlow are behind NumPy 2 in two places.
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

SIDE = 64


def _network(name: str, head: str) -> keras.Model:
    config = TrainConfig(base_model_name=name, head=head)  # type: ignore[arg-type]
    return heads.of_config(backbones.get(name).build(input_size=(SIDE, SIDE)), default_bins(5), config)


def _pixels(count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, SIDE, SIDE, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "head", "placement"),
    [("MobileNet", "histogram", "parallel"), ("ResNet18", "regression", "series")],
)
def test_an_adapted_network_begins_as_the_one_it_adapts(name: str, head: str, placement: Placement) -> None:
    """With a twentieth of its parameters at the most, which alone learn, in nearly every convolution."""
    network = _network(name, head)
    adapted = adapters.adapt(network, placement=placement)
    layers = adapters.adapter_layers(adapted)
    own = sum(layer.count_params() for layer in layers)
    assert 0.005 < own / network.count_params() <= adapters.SHARE
    assert sum(int(np.prod(weight.shape)) for weight in adapted.trainable_weights) == own
    convolutions = sum(type(layer) is keras.layers.Conv2D for layer in network.layers)
    assert len(layers) == 2 * (convolutions - 1)
    assert np.abs(np.asarray(adapted(_pixels())) - np.asarray(network(_pixels()))).max() < 1e-5


def test_a_parallel_adapter_is_part_of_the_convolution() -> None:
    """It looks at the middle of each window: the same as a change of the kernel's middle."""
    network = _network("ResNet18", "regression")
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
    small = heads.add_head(
        keras.Model(image, keras.layers.GlobalAveragePooling2D()(x)), default_bins(5), head="histogram"
    )
    with pytest.raises(ModelError, match="at most 5% of a network's parameters"):
        adapters.adapt(small)

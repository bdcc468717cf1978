"""nimakit.nn.training.devices: where training computes, in which number format, and the same way twice."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from nimakit.nn.training import devices


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Compute capabilities of the GPUs there seem to be; the number format is as before afterwards."""
    capabilities: list[Any] = []
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind=None: list(capabilities) if kind == "GPU" else []
    )
    monkeypatch.setattr(
        tf.config.experimental,
        "get_device_details",
        lambda capability: {"compute_capability": capability} if capability else {},
    )
    yield capabilities
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(
    ("found", "expected"),
    [([], False), ([(7, 0)], True), ([(6, 1)], False), ([(9, 0), (6, 1)], False), ([None], False)],
    ids=["no GPU", "Volta", "Pascal", "an old one too", "unknown"],
)
def test_computes_in_16_bits_where_all_gpus_are_fast_at_it(
    gpus: list[Any], found: list[Any], expected: bool
) -> None:
    """By default the GPUs decide; without GPUs, 32 bits are used."""
    gpus.extend(found)
    assert devices.set_precision(None) is expected
    assert keras.config.dtype_policy().name == ("mixed_float16" if expected else "float32")


@pytest.mark.parametrize("wanted", [True, False])
def test_computes_in_the_format_asked_for(gpus: list[Any], wanted: bool) -> None:
    """Whatever the GPUs are."""
    gpus.append((9, 0) if not wanted else (3, 0))
    assert devices.set_precision(wanted) is wanted
    assert keras.config.dtype_policy().name == ("mixed_float16" if wanted else "float32")


@pytest.mark.parametrize("names", [None, [], ["CPU:0"]])
def test_one_device_needs_no_strategy(names: list[str] | None) -> None:
    """Copies on several devices are for several devices."""
    opened = devices.scope(names)
    for _ in range(2):
        with opened():
            assert not tf.distribute.has_strategy()


def test_the_same_seed_gives_the_same_weights() -> None:
    """Random weights and random masks come again."""
    drawn = []
    for seed in (3, 3, 4):
        devices.set_seed(seed)
        layer = keras.layers.Dense(4)
        layer.build((None, 5))
        dropped = keras.layers.Dropout(0.5)(np.ones((4, 8), np.float32), training=True)
        drawn.append((layer.kernel.numpy(), np.asarray(dropped), np.random.default_rng(seed).random()))
    for first, second, other in zip(*drawn, strict=True):
        np.testing.assert_array_equal(first, second)
        assert np.any(first != other)

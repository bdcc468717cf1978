"""nimakit.nn.networks.torch_weights: PyTorch state dicts into Keras models."""

from pathlib import Path

import keras
import numpy as np
import pytest

from nimakit.errors import WeightsError
from nimakit.nn.networks import torch_weights
from state_dicts import ARRAYS, Array, pretend_torch, write_archive


@pytest.fixture(autouse=True)
def torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What state dicts are written with."""
    pretend_torch(monkeypatch)


def _model() -> keras.Model:
    image = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(2, 2, use_bias=False, name="conv")(image)
    x = keras.layers.DepthwiseConv2D(3, use_bias=False, name="blocks.0.depthwise")(x)
    return keras.Model(image, keras.layers.BatchNormalization(name="bn")(x))


STATE: dict[str, Array] = {
    "_conv.weight": ARRAYS["conv.weight"],
    "_blocks.0._depthwise.weight": np.arange(18, dtype=np.float32).reshape(2, 1, 3, 3),
    **{f"_bn.{part}": np.full(2, n, np.float32) for n, part in enumerate(("weight", "bias"), start=1)},
    **{
        f"_bn.{part}": np.full(2, n, np.float32)
        for n, part in enumerate(("running_mean", "running_var"), start=3)
    },
    "_bn.num_batches_tracked": np.array(0, np.int64),
    "_fc.weight": np.zeros((5, 2), np.float32),
}


def test_loads_by_the_names_of_modules(tmp_path: Path) -> None:
    """Axes are turned as Keras has them; the classifier is left out."""
    model = _model()
    torch_weights.load(model, write_archive(tmp_path / "w.pth", STATE))
    kernel, depthwise, *norm = model.get_weights()
    assert kernel[1, 0, 2, 1] == STATE["_conv.weight"][1, 2, 1, 0]
    assert depthwise[2, 1, 1, 0] == STATE["_blocks.0._depthwise.weight"][1, 0, 2, 1]
    assert [float(values[0]) for values in norm] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"_conv.weight": None}, "2 of 3 layers of the model are in it"),
        ({"_bn.running_var": None}, "bn.running_var"),
        ({"_conv.weight": np.zeros((2, 3, 1, 1), np.float32)}, r"conv must be \(2, 2, 3, 2\), and is"),
    ],
)
def test_rejects_a_state_dict_of_another_network(
    tmp_path: Path, change: dict[str, Array | None], reason: str
) -> None:
    """Missing tensors and other shapes are named, and the model keeps its weights."""
    state = {name: array for name, array in {**STATE, **change}.items() if array is not None}
    model = _model()
    before = model.get_weights()
    with pytest.raises(WeightsError, match=rf"must be of the base model.*{reason}"):
        torch_weights.load(model, write_archive(tmp_path / "w.pth", state))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)

"""nimakit.nn.torch_weights: PyTorch state dicts without PyTorch."""

import io
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from nimakit.errors import WeightsError
from nimakit.nn import torch_weights

Array = NDArray[Any]

ARRAYS: dict[str, Array] = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "half": np.linspace(0, 1, 5, dtype=np.float16),
    "count": np.array(7, np.int64),
}
_STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}


class _Stored:
    """A tensor on its way into a pickle, written as PyTorch writes it."""

    def __init__(self, key: str, array: Array) -> None:
        self.key, self.array = key, array
        self.offset = 0
        self.strides = tuple(step // array.itemsize for step in array.strides)

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild = vars(sys.modules["torch._utils"])["_rebuild_tensor_v2"]
        storage = _Storage(self.key, self.array)
        return rebuild, (storage, self.offset, self.array.shape, self.strides, False, OrderedDict())


class _Storage:
    def __init__(self, key: str, array: Array) -> None:
        self.key, self.array = key, array


class _Pickler(pickle.Pickler):
    def persistent_id(self, thing: Any) -> Any:
        if not isinstance(thing, _Storage):
            return None
        kind = vars(sys.modules["torch"])[_STORAGES[thing.array.dtype.name]]
        return ("storage", kind, thing.key, "cpu", thing.array.size)


@pytest.fixture(autouse=True)
def torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names pickles of PyTorch refer to, as far as writing them needs them."""

    def _rebuild_tensor_v2() -> None: ...

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils = ModuleType("torch._utils")
    vars(utils)["_rebuild_tensor_v2"] = _rebuild_tensor_v2
    package = ModuleType("torch")
    for name in _STORAGES.values():
        vars(package)[name] = type(name, (), {"__module__": "torch"})
    monkeypatch.setitem(sys.modules, "torch", package)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


def _stored(arrays: dict[str, Array]) -> OrderedDict[str, Any]:
    return OrderedDict((name, _Stored(str(key), array)) for key, (name, array) in enumerate(arrays.items()))


def _pickled(content: Any) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=2).dump(content)
    return buffer.getvalue()


def _write_archive(path: Path, arrays: dict[str, Array], content: Any = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", _pickled(content or _stored(arrays)))
        archive.writestr("model/byteorder", "little")
        for key, array in enumerate(arrays.values()):
            archive.writestr(f"model/data/{key}", array.tobytes("A"))
    return path


def _write_legacy(path: Path, arrays: dict[str, Array], content: Any = None) -> Path:
    keys = [str(key) for key in range(len(arrays))]
    system = {"protocol_version": 1001, "little_endian": True}
    heads = (0x1950A86A20F9469CFC6C, 1001, system, content or _stored(arrays), keys)
    rows = [struct.pack("<q", array.size) + array.tobytes("A") for array in arrays.values()]
    path.write_bytes(b"".join([*map(_pickled, heads), *rows]))
    return path


WRITERS = pytest.mark.parametrize("write", [_write_archive, _write_legacy])


@WRITERS
def test_reads_both_layouts(tmp_path: Path, write: Any) -> None:
    """Shapes, types and numbers come back as they were."""
    read = torch_weights.read(write(tmp_path / "w.pth", ARRAYS))
    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


@WRITERS
def test_reads_a_tensor_that_is_stored_transposed(tmp_path: Path, write: Any) -> None:
    """What was converted from TensorFlow often lies the other way round in its storage."""
    turned = np.asfortranarray(ARRAYS["conv.weight"])
    read = torch_weights.read(write(tmp_path / "w.pth", {"conv.weight": turned}))
    np.testing.assert_array_equal(read["conv.weight"], turned)


class _Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@WRITERS
@pytest.mark.parametrize("place", ["whole", "value"])
def test_runs_no_code(tmp_path: Path, write: Any, place: str) -> None:
    """A pickle that would call anything is refused before it does."""
    trap: Any = _Trap(tmp_path / "sprung")
    content = trap if place == "whole" else OrderedDict(weight=trap)
    with pytest.raises(WeightsError, match=r"no code\. Received: .*w\.pth .* is no tensor\); save it anew"):
        torch_weights.read(write(tmp_path / "w.pth", ARRAYS, content))
    assert not (tmp_path / "sprung").exists()


@WRITERS
@pytest.mark.parametrize(("offset", "strides"), [(1, (4, 1)), (-1, (4, 1)), (0, (5, 1)), (0, (-4, 1))])
def test_reads_nothing_outside_a_storage(
    tmp_path: Path, write: Any, offset: int, strides: tuple[int, ...]
) -> None:
    """A tensor that claims more than its storage holds is refused."""
    arrays: dict[str, Array] = {"w": np.zeros((3, 4), np.float32)}
    content = _stored(arrays)
    content["w"].offset, content["w"].strides = offset, strides
    with pytest.raises(WeightsError, match="reaches out of its storage"):
        torch_weights.read(write(tmp_path / "w.pth", arrays, content))


@WRITERS
def test_rejects_what_is_no_state_dict(tmp_path: Path, write: Any) -> None:
    """A checkpoint with more than tensors by name is told to be saved anew."""
    content = {"epoch": 3, "state_dict": _stored(ARRAYS)}
    with pytest.raises(WeightsError, match="holds more than tensors by name"):
        torch_weights.read(write(tmp_path / "w.pth", ARRAYS, content))


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x05\x06" + bytes(18)])
def test_rejects_a_damaged_file(tmp_path: Path, content: bytes) -> None:
    """What is neither layout is refused by name."""
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=r"must be a state dict.*w\.pth"):
        torch_weights.read(tmp_path / "w.pth")


@WRITERS
def test_rejects_a_truncated_file(tmp_path: Path, write: Any) -> None:
    """A download that stopped halfway is refused."""
    path = write(tmp_path / "w.pth", ARRAYS)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(WeightsError, match="must be a state dict"):
        torch_weights.read(path)


def test_rejects_a_missing_file(tmp_path: Path) -> None:
    """A path without a file is refused by name."""
    with pytest.raises(WeightsError, match=r"must exist. Received: .*none\.pth"):
        torch_weights.read(tmp_path / "none.pth")


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
    torch_weights.load(model, _write_archive(tmp_path / "w.pth", STATE))
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
        torch_weights.load(model, _write_archive(tmp_path / "w.pth", state))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)

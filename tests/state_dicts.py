"""PyTorch state dicts as torch.save writes them, made without PyTorch."""

import io
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

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


def pretend_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the names that pickles of PyTorch refer to, as far as writing them needs them."""

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


def stored(arrays: dict[str, Array]) -> OrderedDict[str, Any]:
    """Arrays by name, as tensors that can be pickled."""
    return OrderedDict((name, _Stored(str(key), array)) for key, (name, array) in enumerate(arrays.items()))


def pickled(content: Any) -> bytes:
    """A pickle as PyTorch makes it."""
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=2).dump(content)
    return buffer.getvalue()


def write_archive(path: Path, arrays: dict[str, Array], content: Any = None) -> Path:
    """Write a zip archive; its content is the arrays unless another is given."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", pickled(content or stored(arrays)))
        archive.writestr("model/byteorder", "little")
        for key, array in enumerate(arrays.values()):
            archive.writestr(f"model/data/{key}", array.tobytes("A"))
    return path


def write_legacy(path: Path, arrays: dict[str, Array], content: Any = None) -> Path:
    """Write a row of pickles, as releases before 1.6 did."""
    keys = [str(key) for key in range(len(arrays))]
    system = {"protocol_version": 1001, "little_endian": True}
    heads = (0x1950A86A20F9469CFC6C, 1001, system, content or stored(arrays), keys)
    rows = [struct.pack("<q", array.size) + array.tobytes("A") for array in arrays.values()]
    path.write_bytes(b"".join([*map(pickled, heads), *rows]))
    return path

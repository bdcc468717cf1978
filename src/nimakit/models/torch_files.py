"""Reader of PyTorch state dicts that needs no PyTorch and never executes code in a file.

It reads both layouts of ``torch.save``: the zip archive, and the sequence of pickles before release 1.6.
PyTorch itself would be gigabytes, to read a few megabytes.
"""

import math
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nimakit.errors import WeightsError, first_line, machine_fault
from nimakit.io import zip_files

SUFFIXES = (".pth", ".pt")

_DTYPES: dict[str, np.dtype[Any]] = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "IntStorage": np.dtype("<i4"),
    "LongStorage": np.dtype("<i8"),
}
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

Arrays = dict[str, NDArray[Any]]


class _Tensor(NamedTuple):
    """Location of a tensor in a storage; offset and strides count elements."""

    key: str
    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Unpickler(pickle.Unpickler):
    """Unpickles tensors in dictionaries; anything else is refused before it is imported."""

    def find_class(self, module: str, name: str) -> Any:
        """The object for a global name in the pickle."""
        # A bound method and strings: a pickle can call the method, but cannot modify either.
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _DTYPES:
            return name
        raise pickle.UnpicklingError(f"it contains {module}.{name}, which is not a tensor")

    def persistent_load(self, pid: Any) -> Any:
        """Key and type of a storage."""
        kind, storage, key, *_ = pid
        if kind != "storage" or storage not in _DTYPES:
            raise pickle.UnpicklingError("it contains a storage of unknown type")
        return str(key), storage

    def _tensor(self, stored: tuple[str, str], offset: int, size: Any, stride: Any, *_: Any) -> _Tensor:
        key, storage = stored
        return _Tensor(key, storage, int(offset), tuple(map(int, size)), tuple(map(int, stride)))


def read(path: Path) -> Arrays:
    """Read a state dict.

    Args:
        path: A .pth or .pt file that contains tensors by name, and nothing else.

    Returns:
        Name -> array, of the tensor's shape and dtype.

    Raises:
        WeightsError: A missing or damaged file, or one that contains anything else (a whole model, code).
    """
    if not path.is_file():
        raise WeightsError(f"A weights file must exist. Received: {path}")
    try:
        if zipfile.is_zipfile(path):
            tensors, storages = _read_archive(path)
        else:
            with path.open("rb") as file:
                tensors, storages = _read_pickles(file)
        return {str(name): _array(tensor, storages) for name, tensor in tensors.items()}
    except Exception as error:
        if machine_fault(error, path):
            raise
        raise WeightsError(
            f"A PyTorch file must be a state dict: tensors by name, no code. Received: {path}"
            f" ({first_line(error)}); save it with torch.save(model.state_dict(), FILE)."
        ) from error


def read_modules(path: Path) -> Arrays:
    """Read a state dict, with the names of modules without their leading underscores.

    Raises:
        WeightsError: As for `read`.
    """
    return {
        ".".join(part.lstrip("_") for part in name.split(".")): array for name, array in read(path).items()
    }


def _read_archive(path: Path) -> tuple[Mapping[str, _Tensor], Mapping[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        zip_files.check(archive, path.stat().st_size)
        [index] = [name for name in archive.namelist() if name.endswith("data.pkl")]
        folder = index.removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("its numbers are big-endian")
        with archive.open(index) as file:
            tensors = _mapping(_Unpickler(file).load())
        keys = {tensor.key for tensor in tensors.values()}
        return tensors, {key: archive.read(f"{folder}data/{key}") for key in keys}


def _read_pickles(file: IO[bytes]) -> tuple[Mapping[str, _Tensor], Mapping[str, bytes]]:
    """Magic number, version, system, tensors, keys of the storages; then each storage, its length first."""
    if _Unpickler(file).load() != _LEGACY_MAGIC:
        raise ValueError("it does not start like one")
    for _ in ("version", "system"):
        _Unpickler(file).load()
    tensors = _mapping(_Unpickler(file).load())
    keys = _Unpickler(file).load()
    widths = {tensor.key: _DTYPES[tensor.storage].itemsize for tensor in tensors.values()}
    storages, left = {}, os.fstat(file.fileno()).st_size
    for key in keys:
        size = int.from_bytes(file.read(8), "little") * widths[key]
        left -= size
        if left < 0:
            raise ValueError("its storages are declared larger than the file")
        storages[key] = file.read(size)
    return tensors, storages


def _mapping(content: Any) -> Mapping[str, _Tensor]:
    if not isinstance(content, dict) or not all(isinstance(value, _Tensor) for value in content.values()):
        raise TypeError("it contains more than tensors by name")
    return content


def _array(tensor: _Tensor, storages: Mapping[str, bytes]) -> NDArray[Any]:
    dtype = _DTYPES[tensor.storage]
    numbers = np.frombuffer(storages[tensor.key], dtype)
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    if min(tensor.offset, *tensor.strides, 0) < 0 or min(tensor.shape, default=1) < 1 or last >= numbers.size:
        raise ValueError("a tensor extends beyond its storage")
    if math.prod(tensor.shape) > numbers.size:  # a stride of 0 repeats elements without limit
        raise ValueError("a tensor is larger than its storage")
    strides = [step * dtype.itemsize for step in tensor.strides]
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, strides, writeable=False)

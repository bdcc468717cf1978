"""nimakit.models.torch_files: PyTorch state dicts without PyTorch."""

import errno
import os
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nimakit.errors import WeightsError
from nimakit.models import torch_files
from state_dicts import ARRAYS, Array, pickled, pretend_torch, stored, write_archive, write_legacy


@pytest.fixture(autouse=True)
def torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What state dicts are written with."""
    pretend_torch(monkeypatch)


WRITERS = pytest.mark.parametrize("write", [write_archive, write_legacy])


@WRITERS
def test_reads_both_layouts(tmp_path: Path, write: Any) -> None:
    """Shapes, types and numbers come back as they were."""
    read = torch_files.read(write(tmp_path / "w.pth", ARRAYS))
    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_a_fault_of_the_machine_is_not_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The original error is raised."""

    def fail(_: Path) -> Any:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    path = write_archive(tmp_path / "w.pth", ARRAYS)
    monkeypatch.setattr(torch_files, "_read_archive", fail)
    with pytest.raises(OSError, match="Too many open files"):
        torch_files.read(path)


@WRITERS
def test_reads_a_tensor_that_is_stored_transposed(tmp_path: Path, write: Any) -> None:
    """Weights converted from TensorFlow are often transposed in their storage."""
    turned = np.asfortranarray(ARRAYS["conv.weight"])
    read = torch_files.read(write(tmp_path / "w.pth", {"conv.weight": turned}))
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
    with pytest.raises(
        WeightsError, match=r"no code\. Received: .*w\.pth .* is not a tensor\); save it with"
    ):
        torch_files.read(write(tmp_path / "w.pth", ARRAYS, content))
    assert not (tmp_path / "sprung").exists()


@WRITERS
@pytest.mark.parametrize(("offset", "strides"), [(1, (4, 1)), (-1, (4, 1)), (0, (5, 1)), (0, (-4, 1))])
def test_reads_nothing_outside_a_storage(
    tmp_path: Path, write: Any, offset: int, strides: tuple[int, ...]
) -> None:
    """A tensor larger than its storage is refused."""
    arrays: dict[str, Array] = {"w": np.zeros((3, 4), np.float32)}
    content = stored(arrays)
    content["w"].offset, content["w"].strides = offset, strides
    with pytest.raises(WeightsError, match="a tensor extends beyond its storage"):
        torch_files.read(write(tmp_path / "w.pth", arrays, content))


@WRITERS
def test_reads_no_tensor_larger_than_its_storage(tmp_path: Path, write: Any) -> None:
    """A stride of 0 would repeat one element without limit."""
    arrays: dict[str, Array] = {"w": np.zeros((3, 4), np.float32)}
    content = stored(arrays)
    content["w"].array = np.broadcast_to(arrays["w"][0, 0], (2**20, 2**20))
    content["w"].strides = (0, 0)
    with pytest.raises(WeightsError, match="is larger than its storage"):
        torch_files.read(write(tmp_path / "w.pth", arrays, content))


def test_unpacks_no_archive_that_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compressed archives are refused: PyTorch does not compress."""
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("unpacked"))
    with zipfile.ZipFile(tmp_path / "w.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", pickled(stored(ARRAYS)))
        archive.writestr("model/data/0", bytes(2**20))
    with pytest.raises(WeightsError, match="more than its own size"):
        torch_files.read(tmp_path / "w.pth")


def test_reads_no_storage_larger_than_the_file(tmp_path: Path) -> None:
    """A storage declared larger than the file is refused before memory is allocated."""
    path = write_legacy(tmp_path / "w.pth", {"w": np.zeros(3, np.float32)})
    content = path.read_bytes()
    path.write_bytes(content[:-20] + struct.pack("<q", 2**40) + content[-12:])
    with pytest.raises(WeightsError, match="are declared larger than the file"):
        torch_files.read(path)


@WRITERS
def test_rejects_what_is_no_state_dict(tmp_path: Path, write: Any) -> None:
    """A checkpoint with more than tensors by name is refused."""
    content = {"epoch": 3, "state_dict": stored(ARRAYS)}
    with pytest.raises(WeightsError, match="contains more than tensors by name"):
        torch_files.read(write(tmp_path / "w.pth", ARRAYS, content))


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x05\x06" + bytes(18)])
def test_rejects_a_damaged_file(tmp_path: Path, content: bytes) -> None:
    """A file of neither layout is named in the error."""
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=r"must be a state dict.*w\.pth"):
        torch_files.read(tmp_path / "w.pth")


@WRITERS
def test_rejects_a_truncated_file(tmp_path: Path, write: Any) -> None:
    """A truncated file is refused."""
    path = write(tmp_path / "w.pth", ARRAYS)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(WeightsError, match="must be a state dict"):
        torch_files.read(path)


def test_rejects_a_missing_file(tmp_path: Path) -> None:
    """A missing file is named in the error."""
    with pytest.raises(WeightsError, match=r"must exist. Received: .*none\.pth"):
        torch_files.read(tmp_path / "none.pth")

"""nimakit.nn.training.disk_array: arrays in files that have their room on the disk."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from nimakit.errors import OutputError
from nimakit.nn.training.disk_array import disk_array


def test_an_array_has_all_its_room_from_the_start(tmp_path: Path) -> None:
    """The file is not sparse, so a disk that fills up later takes none of it away."""
    path = tmp_path / "values"
    path.write_bytes(b"something longer than the array" * 100_000)
    values = disk_array(path, np.float32, (100, 3, 70))
    assert values.shape == (100, 3, 70)
    assert values.dtype == np.float32
    assert not values.any()
    status = path.stat()
    assert status.st_blocks * 512 >= status.st_size == values.nbytes
    values[3, 2, 1] = 5
    assert np.fromfile(path, np.float32).sum() == 5


def test_an_empty_array_is_none_the_less_one(tmp_path: Path) -> None:
    """A set all of whose photographs were left out has no features."""
    assert disk_array(tmp_path / "none", np.float32, (0, 2, 8)).shape == (0, 2, 8)


def test_a_full_disk_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the file, how much it needs, and what to do; nothing is left of it."""

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    path = tmp_path / "values"
    with pytest.raises(OutputError) as caught:
        disk_array(path, np.uint8, (2_500_000,))
    assert str(caught.value) == (
        f"{path} needs 2.5 MB on its disk. Received: No space left on device; free some space, then"
        " continue with --resume."
    )
    assert not path.exists()

"""nimakit.models.weight_files: checks of Keras weight files."""

import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from nimakit.errors import WeightsError
from nimakit.models.weight_files import stored_layers

VARIABLES = "layers/dense/vars"


def _read(path: Path) -> dict[str, list[float]]:
    with stored_layers(path) as layers:
        return {layer.name: layer.values()[0].ravel().tolist() for layer in layers}


def _external(file: h5py.File, secret: Path) -> None:
    file.create_dataset(f"{VARIABLES}/0", (4,), "f4", external=[(str(secret), 0, 16)])


def _external_link(file: h5py.File, secret: Path) -> None:
    with h5py.File(secret, "w") as other:
        other["0"] = np.ones(4, np.float32)
    file.require_group(VARIABLES)["0"] = h5py.ExternalLink(str(secret), "0")


def _soft_link(file: h5py.File, secret: Path) -> None:
    file.require_group(VARIABLES)["0"] = h5py.SoftLink("/elsewhere")


def _virtual(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource(str(secret), "0", (4,))
    file.create_virtual_dataset(f"{VARIABLES}/0", layout)


def _never_written(file: h5py.File, secret: Path) -> None:
    file.create_dataset(f"{VARIABLES}/0", (2**40,), "f4", chunks=(1024,))


def _barely_written(file: h5py.File, secret: Path) -> None:
    file.create_dataset(f"{VARIABLES}/0", (2**40,), "f4", chunks=(1024,), compression="gzip")[0] = 1


def _large_chunk(file: h5py.File, secret: Path) -> None:
    chunks, options = (2**27,), {"compression": "gzip", "compression_opts": 1}
    array = file.create_dataset(f"{VARIABLES}/0", (4,), "f4", maxshape=(None,), chunks=chunks, **options)
    array.id.write_direct_chunk((0,), zlib.compress(bytes(2**16)))


def _lying(file: h5py.File, secret: Path) -> None:
    """Both the array and its storage are declared larger than the file."""
    file[f"{VARIABLES}/0"] = np.ones(12345, np.float32)
    name = Path(file.filename)
    file.close()
    content = name.read_bytes()
    for old, new in ((12345, 2**37), (4 * 12345, 2**39)):
        assert struct.pack("<Q", old) in content
        content = content.replace(struct.pack("<Q", old), struct.pack("<Q", new))
    name.write_bytes(content)


def _in_circles(file: h5py.File, secret: Path) -> None:
    group = file.create_group("layers")
    group["again"] = group


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (_external, "must contain all its arrays"),
        (_external_link, "must have no links"),
        (_soft_link, "must have no links"),
        (_virtual, "must contain all its arrays"),
        (_never_written, r"not be larger than its stored data.*0 bytes"),
        (_barely_written, "at most 4 times the bytes of the file"),
        (_large_chunk, "at most 4 times the bytes of the file"),
        (_lying, "must be whole"),
        (_in_circles, "groups and arrays, 64 deep"),
    ],
)
@pytest.mark.parametrize("name", ["w.h5", "w.keras"])
def test_refuses_numbers_that_are_not_in_the_file(
    tmp_path: Path, write: Callable[[h5py.File, Path], None], message: str, name: str
) -> None:
    """No other file is read, and no memory is allocated for missing data."""
    secret, path = tmp_path / "secret", tmp_path / "w.h5"
    secret.write_bytes(b"root:x:0:0:root:")
    with h5py.File(path, "w") as file:
        write(file, secret)
    if name == "w.keras":
        path = _archive(path, {})
    with pytest.raises(WeightsError, match=message):
        _read(path)


def test_reads_compressed_numbers(tmp_path: Path) -> None:
    """Files may be compressed."""
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.create_dataset(f"{VARIABLES}/0", data=np.arange(4096, dtype=np.float32), compression="gzip")
    assert _read(tmp_path / "w.h5")["dense"][:3] == [0, 1, 2]


def test_reads_layers_of_the_last_releases_of_keras_2(tmp_path: Path) -> None:
    """Their list of layers has another name; the tenth layer comes after the second."""
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        for number, name in enumerate(("conv2d", "conv2d_1", "conv2d_2", "conv2d_10")):
            file[f"_layer_checkpoint_dependencies/{name}/vars/0"] = np.full(1, number, np.float32)
        file["_layer_checkpoint_dependencies/dropout/seed_generator/vars/0"] = np.zeros(2, np.uint32)
        file["optimizer/vars/0"] = np.zeros(1, np.float32)
    assert list(_read(tmp_path / "w.weights.h5").values()) == [[0], [1], [2], [3]]


def _archive(weights: Path, config: object, *, padding: int = 0, packing: int = zipfile.ZIP_STORED) -> Path:
    path = weights.with_name("w.keras")
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr("config.json", json.dumps(config) + " " * padding)
        archive.write(weights, "model.weights.h5")
    return path


def test_looks_at_the_sizes_in_an_archive_before_it_unpacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive that would unpack to gigabytes is refused by its declared sizes."""
    monkeypatch.setattr(zipfile.ZipFile, "extract", lambda *_: pytest.fail("unpacked"))
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("unpacked"))
    weights = tmp_path / "w.h5"
    weights.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(2**20))
    with pytest.raises(WeightsError, match="more than 4 times its own size"):
        _read(_archive(weights, {}, packing=zipfile.ZIP_DEFLATED))
    with pytest.raises(WeightsError, match=r"its config\.json has more than 16777216 bytes"):
        _read(_archive(weights, {}, padding=17 * 2**20))
    with pytest.raises(WeightsError, match="compressed by another method than deflate"):
        _read(_archive(weights, {}, packing=zipfile.ZIP_LZMA))


def test_numbers_that_cannot_be_read_are_a_damaged_file(tmp_path: Path) -> None:
    """Although all around them is whole."""
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        values = np.arange(4096, dtype=np.float32)
        array = file.create_dataset(f"{VARIABLES}/0", data=values, chunks=(4096,), compression="gzip")
        chunk = array.id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"must be whole.*dense \(4096,\) cannot be read.*is damaged"):
        _read(path)


def test_refuses_an_archive_of_absurd_depth(tmp_path: Path) -> None:
    """Brackets without end are no model, and no traceback."""
    path = tmp_path / "deep.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "[" * 100_000)
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(WeightsError, match="must be a Keras 3 archive"):
        _read(path)

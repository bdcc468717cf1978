"""nimakit.nn.training.pixels: decoded images in memory, on disk, or decoded anew."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nimakit.errors import ImageError
from nimakit.images import photo
from nimakit.images.photo import Preprocessing
from nimakit.models.engine import Member, Model, Scorer
from nimakit.models.network import Network
from nimakit.nn.training import pixels
from nimakit.nn.training.pixels import MEGABYTE, PixelCache
from samples import metadata, random_pixels, write_model

SIZE = Preprocessing(height=8, width=6, resize_filter="nearest", fit="squash")
ROW_MB = 8 * 6 * 3 / MEGABYTE
COUNT = 9

Open = Callable[..., PixelCache]


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Nine pictures of noise."""
    paths = [tmp_path / f"{index}.png" for index in range(COUNT)]
    for index, path in enumerate(paths):
        Image.fromarray(random_pixels(20, 15, index)).save(path)
    return paths


@pytest.fixture
def opened(paths: list[Path], tmp_path: Path) -> Iterator[Open]:
    """Opens caches with this many pictures in memory and on disk, and closes them at the end."""
    every: list[PixelCache] = []

    def make(in_memory: float, on_disk: float) -> PixelCache:
        bounds: dict[str, Any] = {"memory_mb": in_memory * ROW_MB, "disk_mb": on_disk * ROW_MB}
        scratch = tmp_path / f"{len(every)}.pixels"
        every.append(PixelCache(paths, SIZE, scratch, workers=2, **bounds))
        return every[-1]

    yield make
    for one in every:
        one.close()


def test_memory_disk_and_decoding_anew_give_the_same(opened: Open, paths: list[Path]) -> None:
    """Wherever a picture is kept, it is what scoring would see, in the order asked for."""
    expected = np.stack([photo.prepare(photo.open_photo(path), SIZE) for path in paths])
    order = [8, 0, 4, 4, 7, 1, 2, 6, 3, 5]
    for in_memory, on_disk in ((COUNT, 0), (0, COUNT), (0, 0), (3.5, 3.5), (100, 100)):
        kept = opened(in_memory, on_disk)
        assert kept.decode_all("decoding") == {}
        taken = kept.take(order)
        assert taken.dtype == np.uint8
        np.testing.assert_array_equal(taken, expected[order])


@pytest.mark.parametrize(
    ("in_memory", "on_disk", "decoded"),
    [(COUNT, 0, 0), (2, 3, COUNT - 5), (2.9, 0, COUNT - 2), (0, 0, COUNT), (0, 100, 0)],
)
def test_decodes_anew_only_what_is_past_both_bounds(
    opened: Open, monkeypatch: pytest.MonkeyPatch, in_memory: float, on_disk: float, decoded: int
) -> None:
    """What was kept is never decoded again: a bound keeps as many whole pictures as fit into it."""
    kept = opened(in_memory, on_disk)
    kept.decode_all("decoding")
    again: list[object] = []

    def prepare(*arguments: Any) -> photo.PixelArray:
        again.append(arguments)
        return photo.prepare(*arguments)

    monkeypatch.setattr(pixels, "prepare", prepare)
    kept.take(range(COUNT))
    assert len(again) == decoded


def test_the_file_is_as_large_as_its_bound(opened: Open, tmp_path: Path) -> None:
    """Past the memory, the disk takes what it may and no more; without a need there is no file."""
    opened(COUNT, 100)
    assert list(tmp_path.glob("*.pixels")) == []
    opened(2, 3.9)
    status = (tmp_path / "1.pixels").stat()
    assert status.st_size == 3 * 8 * 6 * 3
    assert status.st_blocks  # not sparse


@pytest.mark.parametrize(
    ("in_memory", "on_disk"), [(COUNT, 0), (0, COUNT), (0, 0)], ids=["memory", "disk", "neither"]
)
def test_filling_names_all_damaged_files(
    opened: Open, paths: list[Path], in_memory: float, on_disk: float
) -> None:
    """Each is reported by index and path; the others are decoded."""
    paths[1].write_bytes(paths[1].read_bytes()[:-200])
    paths[5].write_bytes(b"no picture")
    kept = opened(in_memory, on_disk)
    failed = kept.decode_all("decoding")
    assert sorted(failed) == [1, 5]
    assert all(str(paths[index]) in str(error) for index, error in failed.items())
    expected = photo.prepare(photo.open_photo(paths[6]), SIZE)
    np.testing.assert_array_equal(kept.take([6])[0], expected)


def test_a_file_that_is_damaged_later_is_named_when_taken(opened: Open, paths: list[Path]) -> None:
    """What is not kept is decoded anew, and nothing black slips into a batch."""
    kept = opened(2, 2)
    assert kept.decode_all("decoding") == {}
    paths[5].write_bytes(b"no picture")
    with pytest.raises(ImageError, match=str(paths[5])):
        kept.take([4, 5, 6])


@pytest.mark.parametrize("resize_filter", ["nearest", "bicubic"])
def test_training_sees_a_jpeg_as_scoring_will(tmp_path: Path, resize_filter: Any) -> None:
    """One rule decodes for both, at a quarter of the size where the model allows it."""
    about = metadata(resize_filter=resize_filter, decode="full" if resize_filter == "nearest" else "scaled")
    path = tmp_path / "photo.jpg"
    Image.fromarray(random_pixels(70, 90)).save(path, quality=90)
    size = about.preprocessing
    cache = PixelCache([path], size, tmp_path / "pixels", workers=1, memory_mb=0, disk_mb=0)
    learned = cache.take([0])
    cache.close()
    scored = Scorer(Model([Member(Network(write_model(tmp_path / "model.onnx", about)))])).prepare(path)
    assert not isinstance(scored, ImageError)
    np.testing.assert_array_equal(learned, scored.views[size])
    assert (learned == photo.prepare(photo.open_photo(path), size)).all() == (resize_filter == "nearest")

"""nimakit.features.extraction: features of many photographs, computed once."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nimakit.errors import ModelError, UsageError
from nimakit.features import VIEWS, extract, stream
from nimakit.images.photo import PixelArray, open_photo, prepare
from nimakit.models import preparation
from nimakit.models.encoders import Encoder, load_encoder
from nimakit.models.session import Stop
from nimakit.stats.histogram import Float32Array
from samples import png_header, random_pixels
from small_encoders import SIDE, WIDTH, write_encoder

pytestmark = pytest.mark.usefixtures("empty_cache")


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> list[Encoder]:
    """Two encoders, the second at a larger size."""
    folder = tmp_path_factory.mktemp("encoders")
    files = [write_encoder(folder / f"{seed}.onnx", seed=seed, name=f"e{seed}") for seed in range(2)]
    return [load_encoder(files[0]), load_encoder(files[1]).at((24, 32))]


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Twenty photographs of noise, one of them a copy of another."""
    paths = [tmp_path / f"{number:02}.png" for number in range(20)]
    for number, path in enumerate(paths):
        Image.fromarray(random_pixels(30, 40, min(number, 18))).save(path)
    return paths


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are decoded."""
    names: list[str] = []

    def counting(source: Path, **options: Any) -> Any:
        names.append(source.name)
        return open_photo(source, **options)

    monkeypatch.setattr(preparation, "open_photo", counting)
    return names


def test_gives_what_each_encoder_gives_itself(encoders: list[Encoder], photos: list[Path]) -> None:
    """For each encoder and view a vector per photograph, in their order."""
    table = extract(encoders, photos, views=VIEWS)
    assert table.paths == tuple(photos)
    assert table.ids[:2] == ("00", "01")
    assert [block.shape for block in table.blocks] == [(2, 20, WIDTH)] * 2
    assert table.errors == {}
    for encoder, block in zip(encoders, table.blocks, strict=True):
        pixels = np.stack([prepare(open_photo(path), encoder.preprocessing) for path in photos])
        np.testing.assert_allclose(block[0], encoder.encode(pixels), atol=1e-5)
        np.testing.assert_allclose(block[1], encoder.encode(pixels[:, :, ::-1]), atol=1e-5)


def test_decodes_a_photograph_once_and_never_again(
    encoders: list[Encoder], photos: list[Path], decoded: list[str]
) -> None:
    """Not for a second encoder, not for a copy, not in a second run, not under another name."""
    first = extract(encoders, photos)
    assert sorted(decoded) == [path.name for path in photos[:19]]
    assert first.computed == 20
    moved = [path.rename(path.with_name(f"moved {path.name}")) for path in photos]
    again = extract(encoders, moved)
    assert (again.computed, len(decoded)) == (0, 19)
    for block, other in zip(first.blocks, again.blocks, strict=True):
        np.testing.assert_array_equal(block, other)


def test_computes_only_what_is_missing(
    encoders: list[Encoder], photos: list[Path], decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new photograph, another size or view is computed; the rest comes from the store."""
    before = extract(encoders[:1], photos[:10])
    batches: list[int] = []
    own = encoders[0].encode

    def counting(pixels: PixelArray, stop: Stop) -> Float32Array:
        batches.append(len(pixels))
        return own(pixels, stop)

    monkeypatch.setattr(encoders[0], "encode", counting)
    after = extract(encoders, photos[:12])
    assert (after.computed, sum(batches)) == (12, 2)
    np.testing.assert_array_equal(after.blocks[0][:, :10], before.blocks[0])
    del decoded[:]
    Image.fromarray(random_pixels(30, 40, 99)).save(photos[3])
    changed = extract(encoders, photos[:12])
    assert (changed.computed, decoded) == (1, ["03.png"])
    assert (changed.blocks[0][0, 3] != after.blocks[0][0, 3]).any()
    assert extract(encoders, photos[:12], views=VIEWS).computed == 12


def test_asks_for_admission_before_it_decodes(
    encoders: list[Encoder], photos: list[Path], decoded: list[str]
) -> None:
    """For each photograph that is decoded, and for none that is known."""
    admitted: list[str] = []

    @contextmanager
    def admit(path: Path) -> Iterator[None]:
        assert path.name not in decoded
        admitted.append(path.name)
        yield

    extract(encoders, photos[:2])
    assert len(list(stream(encoders, photos[:4], admit=admit))) == 4
    assert sorted(admitted) == ["02.png", "03.png"]


def test_puts_the_features_of_all_encoders_side_by_side(encoders: list[Encoder], photos: list[Path]) -> None:
    """A row for each photograph."""
    table = extract(encoders, photos[:3], views=VIEWS)
    assert table.vectors.shape == (3, 2 * WIDTH)
    np.testing.assert_array_equal(table.vectors[:, WIDTH:], table.blocks[1][0])


def test_an_interrupted_run_keeps_what_it_computed(
    encoders: list[Encoder], photos: list[Path], decoded: list[str]
) -> None:
    """The next run computes only the others."""
    running = stream(encoders, photos)
    for _ in range(9):
        next(running)
    running.close()
    del decoded[:]
    assert extract(encoders, photos).computed <= 11
    assert not {path.name for path in photos[:9]} & set(decoded)


def test_a_bad_photograph_does_not_end_the_batch(encoders: list[Encoder], photos: list[Path]) -> None:
    """It is left out with its reason, and tried again in the next run."""
    photos[2].write_bytes(b"no picture")
    photos[4].write_bytes(png_header(40_000, 40_000))
    photos[5].unlink()
    for _ in range(2):
        table = extract(encoders, photos)
        assert {path.name for path in table.errors} == {"02.png", "04.png", "05.png"}
        assert len(table.paths) == 17
        assert table.blocks[0].shape == (1, 17, WIDTH)
    assert "its content is none of these" in str(table.errors[photos[2]])


def test_a_photograph_that_changes_meanwhile_is_not_kept(
    encoders: list[Encoder], photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise its features would be those of its earlier content for ever."""

    def changing(source: Path, **options: Any) -> Any:
        photo = open_photo(source, **options)
        shutil.copy(photos[1], source)
        return photo

    with monkeypatch.context() as patch:
        patch.setattr(preparation, "open_photo", changing)
        extract(encoders, photos[:1])
    assert extract(encoders, photos[:2]).computed == 2


def test_none_is_needed(encoders: list[Encoder], tmp_path: Path) -> None:
    """A table without rows still has the width of each encoder."""
    table = extract(encoders, [tmp_path / "none.jpg"])
    assert [block.shape for block in table.blocks] == [(1, 0, WIDTH)] * 2


@pytest.mark.parametrize("views", [(), ("mirrored",), ("original", "upside down")])
def test_refuses_views_there_are_none(encoders: list[Encoder], views: Sequence[str]) -> None:
    """The message lists them."""
    with pytest.raises(UsageError, match="original"):
        extract(encoders, [], views=views)


def test_refuses_no_encoder() -> None:
    """Features need one."""
    with pytest.raises(UsageError, match="at least one encoder"):
        extract([], [])


def test_a_failing_encoder_ends_the_run(
    encoders: list[Encoder], photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would fail for every photograph; those that were done are kept."""

    def fail(pixels: Any, stop: Any) -> Any:
        raise ModelError("broken")

    extract(encoders[:1], photos[:3])
    with monkeypatch.context() as patch:
        patch.setattr(encoders[1], "encode", fail)
        with pytest.raises(ModelError, match="broken"):
            extract(encoders, photos)
    assert extract(encoders[:1], photos[:3]).computed == 0
    assert encoders[0].input_size[0] == SIDE

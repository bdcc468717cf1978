"""nimakit.datasets.posts.image_store: a folder of pictures, and a log of which URL each came from."""

import hashlib
import json
from datetime import datetime
from pathlib import Path

import pytest

from nimakit.datasets.posts.image_store import ImageStore, image_suffix
from nimakit.errors import ImageError, OutputError, UsageError
from picture_server import picture


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "new" / "images"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log that is not there yet."""
    return tmp_path / "log.jsonl"


def test_a_file_is_named_by_its_content(images: Path, log: Path) -> None:
    """The same picture from two URLs is one file; the log has a line for each URL."""
    content = picture("x")
    with ImageStore.open(images, log) as store:
        first, second = store.add("a", content, ".jpg"), store.add("b", content, ".jpg")
    digest = hashlib.sha256(content).hexdigest()
    assert [path.name for path in images.iterdir()] == [f"{digest[:32]}.jpg"]
    assert (first.file, first.sha256, first.size) == (f"{digest[:32]}.jpg", digest, len(content))
    assert datetime.fromisoformat(first.time).utcoffset() is not None
    assert second.url == "b"
    assert [json.loads(line)["url"] for line in log.read_text("utf-8").splitlines()] == ["a", "b"]


def test_knows_what_it_has_the_next_time(images: Path, log: Path) -> None:
    """What a URL gave is found again, unless its file changed or is gone."""
    with ImageStore.open(images, log) as store:
        kept = [store.add(url, picture(url), ".jpg") for url in "abc"]
    (images / kept[1].file).write_bytes(picture("a")[:-1] + b"?")
    (images / kept[2].file).unlink()
    with ImageStore.open(images, log) as store:
        assert [store.find(url) for url in "abcd"] == [kept[0], None, None, None]


def test_a_line_that_was_not_finished_is_taken_off(images: Path, log: Path) -> None:
    """A killed process leaves half a line at most; the lines before it count, and so do those after."""
    with ImageStore.open(images, log) as store:
        kept = store.add("a", picture("a"), ".jpg")
    whole = log.read_bytes()
    for torn in (whole[:20], b"\x00" * 30):
        log.write_bytes(whole + torn)
        with ImageStore.open(images, log) as store:
            assert store.find("a") == kept
            store.add("b", picture("b"), ".jpg")
        assert len(log.read_bytes().splitlines()) == 2


@pytest.mark.parametrize("line", ["", "?", "[]", '{"url": "b"}', '{"url": "b", "file": 1}', "\x00"])
def test_a_line_that_says_nothing_is_passed_over(images: Path, log: Path, line: str) -> None:
    """Its picture is fetched anew; the others are known."""
    with ImageStore.open(images, log) as store:
        kept = store.add("a", picture("a"), ".jpg")
    log.write_text(f"{line}\n{log.read_text('utf-8')}{line}\n", "utf-8")
    with ImageStore.open(images, log) as store:
        assert (store.find("a"), store.find("b")) == (kept, None)


def test_sweeps_up_after_a_killed_process(images: Path, log: Path) -> None:
    """Half a picture never stays."""
    images.mkdir(parents=True)
    (images / ".0123456789ab.partial").write_bytes(b"half")
    with ImageStore.open(images, log):
        assert list(images.iterdir()) == []


def test_is_open_once_at_a_time(images: Path, log: Path) -> None:
    """A second process would fetch everything twice."""
    with (
        ImageStore.open(images, log),
        pytest.raises(UsageError, match="Only one process at a time"),
        ImageStore.open(images, log),
    ):
        pass
    with ImageStore.open(images, log):
        pass


def test_says_where_it_cannot_write(tmp_path: Path) -> None:
    """A file in the way of the folder, or a folder in the way of the log."""
    (tmp_path / "file").touch()
    for images, log in ((tmp_path / "file", tmp_path / "log"), (tmp_path / "images", tmp_path)):
        with pytest.raises(OutputError, match="could not be written"), ImageStore.open(images, log):
            pass


@pytest.mark.parametrize(
    ("image_format", "suffix"),
    [
        ("JPEG", ".jpg"),
        ("PNG", ".png"),
        ("WEBP", ".webp"),
        ("BMP", ".bmp"),
        ("TIFF", ".tiff"),
        ("GIF", ".gif"),
    ],
)
def test_the_suffix_is_that_of_the_format(image_format: str, suffix: str) -> None:
    """Every supported format has one."""
    assert image_suffix(picture("x", image_format), 10_000) == suffix


@pytest.mark.parametrize("content", [b"", b"<html>", picture("x")[:-100]], ids=["nothing", "a page", "half"])
def test_what_is_no_whole_picture_has_no_suffix(content: bytes) -> None:
    """It is decoded to the end to see that it is one."""
    with pytest.raises(ImageError):
        image_suffix(content, 10_000)

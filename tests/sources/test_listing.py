"""nimakit.sources.listing: what an image source may be."""

import tarfile
from pathlib import Path

import pytest

from nimakit.errors import UsageError
from nimakit.progress import say
from nimakit.sources import Entry, Source, is_listed, open_source
from samples import write_photo


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photos, and one in a sub-folder that has the name of another."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "b.png", "sub/a.png"):
        write_photo(folder / name)
    (folder / "notes.txt").write_text("no image", encoding="utf-8")
    return folder


def _open(text: object, *, recursive: bool = False) -> Source:
    return open_source(str(text), recursive=recursive, notify=say)


def test_a_folder_names_photos_by_their_file_names(photos: Path) -> None:
    """As scoring a folder always did; the path in the folder is added where names repeat."""
    assert [entry.key for entry in _open(photos)] == ["a", "b"]
    assert [entry.key for entry in _open(photos, recursive=True)] == ["a.png", "b.png", "sub/a.png"]
    assert [entry.image_id for entry in _open(photos / "b.png")] == ["b"]


def test_a_pattern_names_photos_by_their_paths(photos: Path) -> None:
    """Only images count, in the order of their paths."""
    source = _open(photos / "**" / "a.*")
    assert [entry.key for entry in source] == [str(photos / "a.png"), str(photos / "sub" / "a.png")]
    assert source.count() == 2
    with pytest.raises(UsageError, match="must match an image"):
        _open(photos / "*.txt*")


def test_a_folder_with_the_characters_of_a_pattern_is_a_folder(tmp_path: Path) -> None:
    """Brackets are common in the names of folders."""
    folder = tmp_path / "shoot [2026]"
    folder.mkdir()
    write_photo(folder / "a.png")
    assert not is_listed(str(folder))
    assert [entry.key for entry in _open(folder)] == ["a"]


def test_numbered_tar_files_are_read_in_order(photos: Path, tmp_path: Path) -> None:
    """Each photo comes with its content; its id is the tar's path and its name in it."""
    for number in (8, 9, 10):
        with tarfile.open(tmp_path / f"s-{number:02}.tar", "w") as tar:
            tar.add(photos / "a.png", f"{number}.png")
            tar.add(photos / "notes.txt", f"{number}.txt")
    source = _open(tmp_path / "s-{08..10}.tar")
    entries = list(source)
    assert [Path(entry.key).name for entry in entries] == ["8.png", "9.png", "10.png"]
    assert entries[0].key == f"{tmp_path}/s-08.tar/8.png"
    assert {entry.content for entry in entries} == {(photos / "a.png").read_bytes()}
    assert source.count() is None


def test_a_tar_that_breaks_off_gives_what_is_before_the_break(photos: Path, tmp_path: Path) -> None:
    """And an entry with the error, so that the run continues with the next tar."""
    with tarfile.open(tmp_path / "1.tar", "w") as tar:
        for name in ("a.png", "b.png", "c.png"):
            tar.add(photos / "a.png", name)
    with tarfile.open(tmp_path / "1.tar") as tar:
        middle = tar.getmembers()[1].offset_data + 10
    (tmp_path / "0.tar").write_bytes((tmp_path / "1.tar").read_bytes()[:middle])
    keys = [Path(entry.key).name for entry in _open(tmp_path / "{0..1}.tar")]
    assert keys == ["a.png", "0.tar", "a.png", "b.png", "c.png"]
    [failed] = [entry for entry in _open(tmp_path / "{0..1}.tar") if entry.key.endswith("0.tar")]
    assert "breaks off after" in str(failed.content)


def test_a_store_has_folders_and_patterns(photos: Path) -> None:
    """Read through fsspec; ids are as those of a folder, or whole URLs."""
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    for name in ("a.png", "sub/b.png", "notes.txt"):
        store.pipe_file(f"/bucket/{name}", (photos / "a.png").read_bytes())
    try:
        assert list(_open("memory://bucket/")) == [Entry(image_id="a", place="memory://bucket/a.png")]
        assert [entry.key for entry in _open("memory://bucket", recursive=True)] == ["a", "b"]
        assert [entry.key for entry in _open("memory://bucket/**/*.png")] == [
            "memory://bucket/a.png",
            "memory://bucket/sub/b.png",
        ]
        with pytest.raises(UsageError, match="exists"):
            _open("memory://bucket/none.png")
    finally:
        store.rm("/bucket", recursive=True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("https://example.org/a.jpg", "must be a row of a manifest"),
        ("ftp://example.org/a.jpg", "must be a file or a folder that exists"),
    ],
)
def test_refuses_other_urls(text: str, reason: str) -> None:
    """A web address is read only from a manifest."""
    with pytest.raises(UsageError, match=reason):
        _open(text)

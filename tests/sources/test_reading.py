"""nimakit.sources.reading: photographs are read ahead of their use."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from nimakit.errors import ImageError
from nimakit.sources import Entry, Reader


@pytest.fixture
def reader() -> Iterator[Reader]:
    """A reader that ends with the test."""
    with closing(Reader()) as reader:
        yield reader


def _places(*places: str) -> Iterator[Entry]:
    return (Entry(image_id=place, place=place) for place in places)


def test_files_of_this_machine_are_not_opened(reader: Reader) -> None:
    """Their paths are passed on, so that whatever decodes them says what is wrong with them."""
    assert [content for _, content in reader.read_ahead(_places("a.jpg", "/b.jpg"))] == [
        Path("a.jpg"),
        Path("/b.jpg"),
    ]


def test_a_store_is_read_in_order(reader: Reader) -> None:
    """One that is missing is an error in its place."""
    store = pytest.importorskip("fsspec").filesystem("memory")
    names = [f"{number}.jpg" for number in range(50)]
    for name in names:
        store.pipe_file(f"/read/{name}", name.encode())
    try:
        names.insert(25, "none.jpg")
        read = list(reader.read_ahead(_places(*(f"memory://read/{name}" for name in names))))
    finally:
        store.rm("/read", recursive=True)
    assert [entry.place for entry, _ in read] == [f"memory://read/{name}" for name in names]
    contents = [content for _, content in read]
    assert isinstance(contents.pop(25), ImageError)
    del names[25]
    assert contents == [name.encode() for name in names]


def test_a_private_address_is_never_asked(reader: Reader) -> None:
    """A manifest may come from a stranger."""
    [(_, content)] = reader.read_ahead(_places("http://127.0.0.1:9/a.jpg"))
    assert "is not public" in str(content)


def test_refuses_other_schemes(reader: Reader) -> None:
    """As an error of the row."""
    [(_, content)] = reader.read_ahead(_places("ftp://example.org/a.jpg"))
    assert isinstance(content, ImageError)


def test_reads_only_so_far_ahead(reader: Reader) -> None:
    """Of a source without end, too."""
    taken = 0

    def endless() -> Iterator[Entry]:
        nonlocal taken
        while True:
            taken += 1
            yield Entry(image_id="a", place="a.jpg")

    next(reader.read_ahead(endless()))
    assert taken < 100

"""nimakit.reports.html: what every HTML page is made of."""

import base64
import io
import sys
from pathlib import Path

import pytest
from PIL import Image

from nimakit.errors import MissingExtraError
from nimakit.images.photo import MAX_PIXELS
from nimakit.reports import html
from samples import write_photo


def test_draws_small_copies_in_order(tmp_path: Path) -> None:
    """The longer side is at most as asked for; what has no picture has an empty address."""
    large = write_photo(tmp_path / "large.png", 255, (200, 100))
    small = write_photo(tmp_path / "small.png", 0, (10, 20))
    found = html.thumbnails([large, None, tmp_path / "gone.png", small], side=50, max_pixels=MAX_PIXELS)
    assert found[1:3] == ["", ""]
    sizes = []
    for address in (found[0], found[3]):
        kind, _, encoded = address.partition(";base64,")
        assert kind == "data:image/jpeg"
        sizes.append(Image.open(io.BytesIO(base64.b64decode(encoded))).size)
    assert sizes == [(50, 25), (10, 20)]


def test_writes_thumbnails_that_are_missing_and_removes_old_ones(tmp_path: Path) -> None:
    """A picture of the same key is not drawn again, one that is gone has none, and other files stay."""
    folder = tmp_path / "page_files"
    first, second = (write_photo(tmp_path / f"{level}.png", level, (200, 100)) for level in (0, 255))
    options = {"side": 50, "max_pixels": MAX_PIXELS}
    assert html.write_thumbnails({"a": first, "b": second}, folder, **options) == {
        "a": "thumb-a.jpg",
        "b": "thumb-b.jpg",
    }
    with Image.open(folder / "thumb-a.jpg") as drawn:
        assert drawn.size == (50, 25)
    (folder / "mine.jpg").touch()
    (folder / "thumb-a.jpg").write_bytes(b"kept")
    again = html.write_thumbnails({"a": first, "c": tmp_path / "gone.png"}, folder, **options)
    assert again == {"a": "thumb-a.jpg"}
    assert {path.name for path in folder.iterdir()} == {"mine.jpg", "thumb-a.jpg"}
    assert (folder / "thumb-a.jpg").read_bytes() == b"kept"


def test_heights_of_nothing_are_none() -> None:
    """Bars that are all 0 are not drawn."""
    assert html.heights([0, 0]) == html.heights([]) == []


def test_says_how_to_install_jinja(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Jinja2 the error holds the line that installs it."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nimakit\[report\]'"):
        html.require_jinja()

"""nimakit.datasets.posts.mirrors: other places of the pictures of a list of URLs."""

from pathlib import Path

import pytest

from nimakit.datasets.posts.mirrors import mirrored
from nimakit.errors import UsageError

BASE = "http://127.0.0.1:8000/copies/"


def test_a_server_has_a_picture_under_the_path_of_its_url() -> None:
    """With its query, whatever the host; http and https are the same picture."""
    urls = [
        "http://a.example/x/1.jpg",
        "https://a.example/x/1.jpg",
        "https://b.example:8443/2.jpg?name=large",
    ]
    assert mirrored(urls, BASE) == {
        urls[0]: "http://127.0.0.1:8000/copies/x/1.jpg",
        urls[1]: "http://127.0.0.1:8000/copies/x/1.jpg",
        urls[2]: "http://127.0.0.1:8000/copies/2.jpg?name=large",
    }


def test_a_folder_has_it_there_or_flat(tmp_path: Path) -> None:
    """The path of the URL comes first, then its last part alone; without either, the first is named."""
    (tmp_path / "x").mkdir()
    for name in ("x/1.jpg", "1.jpg", "b c.jpg"):
        (tmp_path / name).touch()
    urls = ["http://a.example/x/1.jpg", "http://a.example/y/b%20c.jpg?s=1", "http://a.example/z/3.jpg"]
    assert list(mirrored(urls, str(tmp_path)).values()) == [
        tmp_path / "x" / "1.jpg",
        tmp_path / "b c.jpg",
        tmp_path / "z" / "3.jpg",
    ]


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/a/..%2f..%2fetc/passwd", "//etc/passwd", ""]
)
def test_a_folder_is_never_left(tmp_path: Path, path: str) -> None:
    """Whatever a URL is made of."""
    [place] = mirrored([f"http://a.example{path}"], str(tmp_path)).values()
    assert isinstance(place, Path)
    assert place.resolve().is_relative_to(tmp_path)


@pytest.mark.parametrize("path", ["/%00.jpg", f"/{'a' * 5000}.jpg"])
def test_a_name_no_file_can_have_is_for_the_download_to_say(tmp_path: Path, path: str) -> None:
    """One such URL does not end the run."""
    assert len(mirrored([f"http://a.example{path}"], str(tmp_path))) == 1


def test_two_pictures_are_never_mixed_up(tmp_path: Path) -> None:
    """A mirror that would give one for the other is refused."""
    (tmp_path / "1.jpg").touch()
    urls = ["http://a.example/x/1.jpg", "http://a.example/y/1.jpg"]
    assert len(mirrored(urls, BASE)) == 2
    with pytest.raises(UsageError, match=r"1\.jpg for http://a.example/x/1\.jpg and http://a.example/y/1"):
        mirrored(urls, str(tmp_path))
    with pytest.raises(UsageError, match="A mirror must have a different location"):
        mirrored(["http://a.example/1.jpg", "http://b.example/1.jpg"], BASE)


def test_what_is_no_url_stays_as_it_is() -> None:
    """It is for the download to say."""
    assert mirrored(["http://a\x00/"], BASE) == {"http://a\x00/": "http://a\x00/"}


@pytest.mark.parametrize("base", ["nowhere", "ftp://a.example", "http://", "http://a\x00"])
def test_refuses_what_is_no_mirror(base: str) -> None:
    """Neither a server nor a folder."""
    with pytest.raises(UsageError, match=r"http:// or https://, or a folder\. Received: "):
        mirrored([], base)

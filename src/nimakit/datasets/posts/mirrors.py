"""Other places of the pictures of a list of URLs: a server or a folder that has copies of them."""

from collections.abc import Iterable
from pathlib import Path

import httpx

from nimakit.errors import UsageError


def is_url(base: str) -> bool:
    """Whether a mirror is a server; else it is a folder.

    >>> is_url("http://localhost:8000"), is_url("photos")
    (True, False)
    """
    return base.startswith(("http://", "https://"))


def mirrored(urls: Iterable[str], base: str) -> dict[str, str | Path]:
    """Where a mirror has each picture: under the path its URL has, whatever the host.

    Args:
        urls: Of the pictures.
        base: The mirror: a URL, or a folder, where a picture may also lie without the folders of its path.

    Returns:
        URL -> its place in the mirror.

    Raises:
        UsageError: The base is neither a URL nor a folder, or has one place for the pictures of two URLs.

    >>> mirrored(["https://img.example/media/a.jpg?s=1"], "http://localhost:8000/copies")
    {'https://img.example/media/a.jpg?s=1': 'http://localhost:8000/copies/media/a.jpg?s=1'}
    """
    if not (_has_host(base) if is_url(base) else Path(base).is_dir()):
        raise UsageError(
            f"A mirror is a URL that starts with http:// or https://, or a folder. Received: {base}"
        )
    places: dict[str, str | Path] = {}
    taken: dict[str | Path, str] = {}
    for url in urls:
        try:
            path = httpx.URL(url).raw_path.decode("ascii")
        except (httpx.InvalidURL, ValueError):
            places[url] = url  # no URL, which is for the download to say
            continue
        place = base.rstrip("/") + path if is_url(base) else _file(Path(base), httpx.URL(url).path)
        other = taken.setdefault(place, url)
        if other.partition("://")[2] != url.partition("://")[2]:
            raise UsageError(
                f"A mirror has a place for each picture. Received: {place}, for {other} and {url}"
            )
        places[url] = place
    return places


def _has_host(base: str) -> bool:
    try:
        return bool(httpx.URL(base).host)
    except httpx.InvalidURL:
        return False


def _file(folder: Path, path: str) -> Path:
    """The file of a picture, never outside the folder."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    whole = folder.joinpath(*parts)
    flat = folder / parts[-1] if parts else whole
    return flat if not _is_file(whole) and _is_file(flat) else whole


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # no file can have that name
        return False

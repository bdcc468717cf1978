"""Mirrors: servers or folders with copies of the images of a list of URLs."""

from collections.abc import Iterable
from pathlib import Path

import httpx

from nimakit.errors import UsageError


def is_url(base: str) -> bool:
    """Whether a mirror is a server, not a folder.

    >>> is_url("http://localhost:8000"), is_url("photos")
    (True, False)
    """
    return base.startswith(("http://", "https://"))


def mirrored(urls: Iterable[str], base: str) -> dict[str, str | Path]:
    """Find where a mirror has each image: under the path of its URL, whatever the host.

    Args:
        urls: URLs of the images.
        base: The mirror: a URL, or a folder, which may have the images without the folders of their paths.

    Returns:
        URL -> its location in the mirror.

    Raises:
        UsageError: The base is neither a URL nor a folder, or has the same location for two URLs.

    >>> mirrored(["https://img.example/media/a.jpg?s=1"], "http://localhost:8000/copies")
    {'https://img.example/media/a.jpg?s=1': 'http://localhost:8000/copies/media/a.jpg?s=1'}
    """
    if not (_has_host(base) if is_url(base) else Path(base).is_dir()):
        raise UsageError(
            f"--images-from must be a URL starting with http:// or https://, or a folder. Received: {base}"
        )
    places: dict[str, str | Path] = {}
    taken: dict[str | Path, str] = {}
    for url in urls:
        try:
            path = httpx.URL(url).raw_path.decode("ascii")
        except (httpx.InvalidURL, ValueError):
            places[url] = url  # not a URL, which the download reports
            continue
        place = base.rstrip("/") + path if is_url(base) else _file(Path(base), httpx.URL(url).path)
        other = taken.setdefault(place, url)
        if other.partition("://")[2] != url.partition("://")[2]:
            raise UsageError(
                f"A mirror must have a different location for each. Received: {place} for {other} and {url}"
            )
        places[url] = place
    return places


def _has_host(base: str) -> bool:
    try:
        return bool(httpx.URL(base).host)
    except httpx.InvalidURL:
        return False


def _file(folder: Path, path: str) -> Path:
    """The file of an image, never outside the folder."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    whole = folder.joinpath(*parts)
    flat = folder / parts[-1] if parts else whole
    return flat if not _is_file(whole) and _is_file(flat) else whole


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # not a possible file name
        return False

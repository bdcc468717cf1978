"""nimakit.io.downloads: one known file, whatever the connection does."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from nimakit.io import downloads
from nimakit.io.downloads import FailedDownloadError, download, retry_after
from picture_server import Exchange, PictureServer, picture_server

CONTENT = bytes(range(256)) * 1000
HALF = len(CONTENT) // 2


@pytest.fixture(scope="module")
def shared() -> Iterator[PictureServer]:
    """One server for all tests."""
    with picture_server() as server:
        yield server


@pytest.fixture
def server(shared: PictureServer, monkeypatch: pytest.MonkeyPatch) -> PictureServer:
    """The server without scripts and requests of other tests; no attempt waits."""
    shared.scripts.clear()
    shared.requests.clear()
    monkeypatch.setattr(downloads, "_BACKOFF_S", 0.0)
    return shared


@pytest.fixture
def get(server: PictureServer, tmp_path: Path) -> Callable[..., bytes]:
    """Downloads /file."""

    def run(max_bytes: int = 10**6, path: str = "/file") -> bytes:
        download(f"{server.base}{path}", tmp_path / "file", max_bytes=max_bytes, label="downloading")
        return (tmp_path / "file").read_bytes()

    return run


def _cut(exchange: Exchange) -> None:
    """Half of the file under the length of the whole."""
    exchange.answer(Content_Length=str(len(CONTENT)))
    exchange.write(CONTENT[:HALF])
    exchange.hang_up()


def _rest(exchange: Exchange) -> None:
    """The second half, for a request that asks for it."""
    assert exchange.headers["Range"] == f"bytes={HALF}-"
    span = f"bytes {HALF}-{len(CONTENT) - 1}/{len(CONTENT)}"
    exchange.answer(206, CONTENT[HALF:], Content_Range=span)


def test_follows_redirects(server: PictureServer, get: Callable[..., bytes]) -> None:
    """The content is that at the end of the chain."""
    server.scripts["/file"] = lambda exchange: exchange.answer(302, Location="/next")
    server.scripts["/next"] = lambda exchange: exchange.answer(301, Location=f"{server.base}/last")
    server.scripts["/last"] = lambda exchange: exchange.answer(body=CONTENT)
    assert get() == CONTENT


def test_resumes_where_it_was_cut_off(server: PictureServer, get: Callable[..., bytes]) -> None:
    """Only the missing part is sent again."""
    server.scripts["/file"] = lambda exchange: [_cut, _rest][exchange.attempt - 1](exchange)
    assert get() == CONTENT
    assert server.requests["/file"] == 2


@pytest.mark.parametrize("status", [200, 206, 416])
def test_starts_anew_where_it_cannot_resume(
    server: PictureServer, get: Callable[..., bytes], status: int
) -> None:
    """The server sends the whole file, another part, or says that there is no such part."""

    def again(exchange: Exchange) -> None:
        if status == 200:
            exchange.answer(200, CONTENT)
        elif status == 206:
            exchange.answer(206, CONTENT, Content_Range=f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}")
        elif exchange.headers["Range"]:
            exchange.answer(416)
        else:
            exchange.answer(200, CONTENT)

    server.scripts["/file"] = lambda exchange: (_cut if exchange.attempt == 1 else again)(exchange)
    assert get() == CONTENT


def test_gives_up_after_some_attempts(server: PictureServer, get: Callable[..., bytes]) -> None:
    """A connection that is always lost ends in an error."""
    server.scripts["/file"] = _cut
    with pytest.raises(FailedDownloadError, match=r"the connection was lost.* \(6 attempts\)"):
        get()


def test_waits_for_a_server_that_asks_for_it(server: PictureServer, get: Callable[..., bytes]) -> None:
    """A temporary status is tried again; a wait that is too long is an error at once."""

    def busy(exchange: Exchange) -> None:
        exchange.answer(503) if exchange.attempt == 1 else exchange.answer(body=CONTENT)

    server.scripts["/file"] = busy
    assert get() == CONTENT
    server.scripts["/later"] = lambda exchange: exchange.answer(429, Retry_After="3600")
    with pytest.raises(FailedDownloadError, match=r"HTTP 429 .* the server asks to wait 3600 s"):
        get(path="/later")


def test_does_not_retry_what_stays_so(
    server: PictureServer, get: Callable[..., bytes], tmp_path: Path
) -> None:
    """A missing file, an address without a server, and one that is no address."""
    server.scripts["/file"] = lambda exchange: exchange.answer(404)
    with pytest.raises(FailedDownloadError, match=r"^HTTP 404 Not Found$"):
        get()
    assert server.requests["/file"] == 1
    for url, reason in (
        ("http://127.0.0.1:9/file", "^no connection: .*refused"),
        ("http://127.0.0.1:port/file", "^no connection: "),
        ("ftp://127.0.0.1/file", "must start with http"),
    ):
        with pytest.raises(FailedDownloadError, match=reason):
            download(url, tmp_path / "file", max_bytes=1, label="downloading")


def test_shows_progress_in_hundredths(
    server: PictureServer, get: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bar has a hundred steps, whatever the size."""
    totals: list[int] = []

    def track(pieces: Iterable[bytes], total: int, label: str) -> Iterator[bytes]:
        totals.append(total)
        assert label == "downloading"
        yield from pieces

    monkeypatch.setattr(downloads, "track", track)
    monkeypatch.setattr(downloads, "_SMALLEST_PART", 1)
    server.scripts["/file"] = lambda exchange: exchange.answer(body=CONTENT)
    assert get() == CONTENT
    assert totals == [100]


def test_limits_the_size(server: PictureServer, get: Callable[..., bytes]) -> None:
    """By the length that is announced, and by what comes if none is."""
    server.scripts["/file"] = lambda exchange: exchange.answer(body=CONTENT)
    with pytest.raises(FailedDownloadError, match="larger than 1000 bytes"):
        get(1000)

    def endless(exchange: Exchange) -> None:
        exchange.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + CONTENT)
        exchange.hang_up()

    server.scripts["/endless"] = endless
    assert get(path="/endless") == CONTENT
    with pytest.raises(FailedDownloadError, match="larger than 1000 bytes"):
        get(1000, "/endless")


def test_uses_the_proxy_of_the_environment(
    server: PictureServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy gets the whole address, except of hosts in no_proxy."""
    asked: list[str] = []

    def answer(exchange: Exchange) -> None:
        asked.append(exchange.path)
        exchange.answer(body=b"ok")

    server.scripts["http://weights.example/file"] = answer
    monkeypatch.setenv("http_proxy", server.base)
    download("http://weights.example/file", tmp_path / "file", max_bytes=10, label="downloading")
    assert asked == ["http://weights.example/file"]
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(FailedDownloadError, match="no connection"):
        download("http://127.0.0.1:9/file", tmp_path / "file", max_bytes=10, label="downloading")
    assert len(asked) == 1


@pytest.mark.parametrize(("value", "seconds"), [("7", 7), ("", 0), ("soon", 0)])
def test_reads_how_long_to_wait(value: str, seconds: float) -> None:
    """Seconds; anything else but a date is no wait."""
    assert retry_after(value) == seconds

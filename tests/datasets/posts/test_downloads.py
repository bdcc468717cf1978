"""nimakit.datasets.posts.downloads: pictures from URLs to a folder."""

import io
import shutil
import time
from collections.abc import Generator, Iterator
from email.utils import formatdate
from pathlib import Path

import pytest
from PIL import Image

from nimakit.datasets.posts.downloads import Failure, Limits, Source, download
from nimakit.datasets.posts.image_store import ImageStore, Stored
from nimakit.errors import OutputError
from picture_server import Exchange, PictureServer, Script, drip, picture, picture_server
from samples import png_header

QUICK = Limits(
    max_bytes=20_000,
    max_pixels=10_000,
    connect_seconds=10,
    read_seconds=10,
    total_seconds=20,
    redirects=3,
    attempts=3,
    backoff_seconds=0.01,
    longest_wait_seconds=2,
)


@pytest.fixture
def server() -> Iterator[PictureServer]:
    """A server of the test's own."""
    with picture_server() as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ImageStore]:
    """An empty folder for pictures."""
    with ImageStore.open(tmp_path / "images", tmp_path / "log.jsonl") as store:
        yield store


def _fetch(
    server: PictureServer, store: ImageStore, *paths: str, limits: Limits = QUICK, concurrency: int = 4
) -> list[Stored | Failure]:
    sources: dict[str, Source] = {path: server.base + path for path in paths}
    trusted = ("127.0.0.1", server.port)
    found = {
        done.url: done
        for done in download(store, sources, limits=limits, concurrency=concurrency, trusted=trusted)
    }
    return [found[path] for path in paths]


def _many(server: PictureServer, store: ImageStore, concurrency: int) -> Generator[Stored | Failure]:
    """Fifty pictures, one by one."""
    sources: dict[str, Source] = {f"/{i}": f"{server.base}/{i}" for i in range(50)}
    trusted = ("127.0.0.1", server.port)
    yield from download(store, sources, limits=QUICK, concurrency=concurrency, trusted=trusted)


def _reason(server: PictureServer, store: ImageStore, script: Script, limits: Limits = QUICK) -> str:
    server.scripts["/x.jpg"] = script
    [done] = _fetch(server, store, "/x.jpg", limits=limits)
    assert isinstance(done, Failure)
    assert done.url == "/x.jpg"
    return done.reason


# --- what goes well ------------------------------------------------------------------------------------


def test_keeps_what_came_byte_for_byte(server: PictureServer, store: ImageStore, tmp_path: Path) -> None:
    """A picture is the file the server has, under the suffix of its format, whatever the URL says."""
    server.scripts["/b.jpg"] = lambda x: x.answer(200, picture("b", "PNG"), Content_Type="text/plain")
    a, b = _fetch(server, store, "/a.jpg", "/b.jpg")
    assert isinstance(a, Stored)
    assert isinstance(b, Stored)
    assert (tmp_path / "images" / a.file).read_bytes() == picture("/a.jpg")
    assert (tmp_path / "images" / b.file).read_bytes() == picture("b", "PNG")
    assert Path(b.file).suffix == ".png"


def test_fetches_several_at_once_and_no_more(server: PictureServer, store: ImageStore) -> None:
    """As many requests are in the works as were asked for."""

    def slow(exchange: Exchange) -> None:
        time.sleep(0.1)
        exchange.picture()

    paths = [f"/{number}.jpg" for number in range(12)]
    server.scripts = dict.fromkeys(paths, slow)
    assert all(isinstance(done, Stored) for done in _fetch(server, store, *paths, concurrency=4))
    assert server.most_at_once == 4


def test_fetches_nothing_a_second_time(server: PictureServer, store: ImageStore, tmp_path: Path) -> None:
    """What the folder has is taken from there; a file that changed or went is fetched anew."""
    paths = ("/a.jpg", "/b.jpg", "/c.jpg", "/d.jpg")
    first = _fetch(server, store, *paths)
    files = [tmp_path / "images" / done.file for done in first if isinstance(done, Stored)]
    files[1].write_bytes(files[1].read_bytes()[:-1] + b"x")
    files[2].write_bytes(b"")
    files[3].unlink()
    again = _fetch(server, store, *paths)
    assert again[0] == first[0]
    assert [server.requests[path] for path in paths] == [1, 2, 2, 2]
    assert [file.read_bytes() for file in files] == [picture(path) for path in paths]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_tries_again_what_may_pass(server: PictureServer, store: ImageStore, status: int) -> None:
    """A server that is busy or down for a moment costs a second attempt."""
    server.scripts["/x.jpg"] = lambda x: x.answer(status) if x.attempt == 1 else x.picture()
    [done] = _fetch(server, store, "/x.jpg")
    assert isinstance(done, Stored)
    assert server.requests["/x.jpg"] == 2


def test_tries_again_where_the_connection_broke_off(server: PictureServer, store: ImageStore) -> None:
    """Nothing of a body that ended early is kept."""

    def truncated(exchange: Exchange) -> None:
        if exchange.attempt > 1:
            exchange.picture()
        else:
            exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + picture("x")[:200])
            exchange.hang_up()

    server.scripts["/x.jpg"] = truncated
    [done] = _fetch(server, store, "/x.jpg")
    assert isinstance(done, Stored)
    assert done.size == len(picture("/x.jpg"))


@pytest.mark.parametrize("as_date", [False, True], ids=["seconds", "date"])
@pytest.mark.slow
def test_waits_as_long_as_the_server_asks(server: PictureServer, store: ImageStore, *, as_date: bool) -> None:
    """Retry-After holds for every picture of that host, and in both its forms."""
    asked: list[float] = []
    until = formatdate(time.time() + 2, usegmt=True) if as_date else "1"

    def busy(exchange: Exchange) -> None:
        asked.append(time.monotonic())
        if len(asked) == 1:
            exchange.answer(429, Retry_After=until)
        else:
            exchange.picture()

    server.scripts = {"/x.jpg": busy, "/y.jpg": busy}
    done = _fetch(server, store, "/x.jpg", "/y.jpg", concurrency=1)
    assert all(isinstance(one, Stored) for one in done)
    assert asked[1] - asked[0] > 0.9


def test_follows_redirects(server: PictureServer, store: ImageStore) -> None:
    """To a full URL or a path, some few of them."""
    server.scripts["/a"] = lambda x: x.answer(301, Location=f"{server.base}/b")
    server.scripts["/b"] = lambda x: x.answer(302, Location="c")
    server.scripts["/c"] = lambda x: x.answer(307, Location="/d.jpg")
    [done] = _fetch(server, store, "/a")
    assert isinstance(done, Stored)
    assert server.requests == {"/a": 1, "/b": 1, "/c": 1, "/d.jpg": 1}


def test_takes_files_too(server: PictureServer, store: ImageStore, tmp_path: Path) -> None:
    """A picture that is on this machine already is checked and kept like any other."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(picture("x"))
    bad.write_bytes(b"x" * 30_000)
    sources: dict[str, Source] = {"good": good, "bad": bad, "none": tmp_path / "none"}
    sources["odd"] = tmp_path / "a\x00b"
    done = {one.url: one for one in download(store, sources, limits=QUICK)}
    assert isinstance(done["good"], Stored)
    assert done["bad"] == Failure("bad", "larger than 20000 bytes")
    for url in ("none", "odd"):
        assert isinstance(failure := done[url], Failure)
        assert "cannot be read" in failure.reason


# --- what does not -------------------------------------------------------------------------------------


def test_gives_up_at_once_what_will_not_change(server: PictureServer, store: ImageStore) -> None:
    """A picture that is gone is asked for once."""
    assert _reason(server, store, lambda x: x.answer(404)) == "HTTP 404 Not Found"
    assert server.requests["/x.jpg"] == 1


def test_gives_up_after_some_attempts(server: PictureServer, store: ImageStore) -> None:
    """The reason says how often it was tried."""
    assert _reason(server, store, lambda x: x.answer(503)) == "HTTP 503 Service Unavailable (3 attempts)"
    assert server.requests["/x.jpg"] == 3


def test_gives_up_where_the_wait_would_be_long(server: PictureServer, store: ImageStore) -> None:
    """An hour is longer than anybody sits and waits."""
    reason = _reason(server, store, lambda x: x.answer(429, Retry_After="3600"))
    assert reason == "HTTP 429 Too Many Requests: the server asks to wait 3600 s"


@pytest.mark.parametrize("header", ["soon", "-5", "1e9", "Mon, 99 Foo 2020 00:00:00 GMT", ""])
def test_a_retry_after_that_says_nothing_is_passed_over(
    server: PictureServer, store: ImageStore, header: str
) -> None:
    """The usual pause is made instead."""
    server.scripts["/x.jpg"] = lambda x: x.answer(503, Retry_After=header) if x.attempt == 1 else x.picture()
    [done] = _fetch(server, store, "/x.jpg")
    assert isinstance(done, Stored)


@pytest.mark.parametrize(
    "script",
    [
        lambda x: drip(x, b""),
        lambda x: drip(x, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"."),
        lambda x: drip(x, b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
    ],
    ids=["silent", "a body without end", "headers without end"],
)
def test_a_slow_server_is_waited_for_so_long(
    server: PictureServer, store: ImageStore, script: Script
) -> None:
    """Neither silence nor a byte now and then holds a download up for longer than its limit."""
    started = time.monotonic()
    limits = Limits(read_seconds=0.3, total_seconds=0.5, attempts=2, backoff_seconds=0.01)
    assert _reason(server, store, script, limits) == "no response in time (2 attempts)"
    assert time.monotonic() - started < 6


def _endless(exchange: Exchange) -> None:
    exchange.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(10_000):
        exchange.write(b"400\r\n" + b"x" * 1024 + b"\r\n")


@pytest.mark.parametrize(
    "script",
    [
        lambda x: x.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 99),
        _endless,
        lambda x: x.answer(200, b"x" * 20_001),
    ],
    ids=["Content-Length", "endless chunks", "a byte too many"],
)
def test_a_large_body_is_cut_off(server: PictureServer, store: ImageStore, script: Script) -> None:
    """By what the server says of it, or as it comes; and it is not asked for again."""
    assert _reason(server, store, script) == "larger than 20000 bytes"
    assert server.requests["/x.jpg"] == 1


def _bomb() -> bytes:
    stream = io.BytesIO()
    Image.new("L", (500, 500)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "content is none of these"),
        (b"<!DOCTYPE html><title>Gone</title>", "none of these. The server's content type is text/html."),
        (picture("x")[:-200], "cannot be decoded"),
        (png_header(8, 8), "cannot be decoded"),
        (_bomb(), "An image has at most 10000 pixels. Received: 500x500"),
        (png_header(60_000, 60_000), "at most 10000 pixels"),
    ],
    ids=["nothing", "a page", "half a picture", "no pixels", "a bomb", "a larger bomb"],
)
def test_what_is_no_whole_picture_is_not_kept(
    server: PictureServer, store: ImageStore, tmp_path: Path, body: bytes, reason: str
) -> None:
    """The content decides, not the status nor the type the server gives it."""
    assert reason in _reason(server, store, lambda x: x.answer(200, body, Content_Type="text/html"))
    assert list((tmp_path / "images").iterdir()) == []


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        (
            "file:///etc/passwd",
            "the address must start with http:// or https://; received file:///etc/passwd",
        ),
        ("ftp://example.org/x.jpg", "the address must start with http:// or https://"),
        ("http://127.0.0.2:9/x.jpg", "the address of 127.0.0.2 is not public: 127.0.0.2"),
        ("http://localhost/x.jpg", "the address of localhost is not public: "),
        ("http://169.254.169.254/latest/meta-data", "is not public: 169.254.169.254"),
        ("http://[::ffff:10.0.0.1]/x.jpg", "is not public: "),
        ("http://2130706433/", "is not public: 127.0.0.1"),
        ("http://\x01/", "not a URL: http://"),
        ("/x.jpg", "more than 3 redirects"),
    ],
)
def test_a_redirect_is_held_to_the_same_rules(
    server: PictureServer, store: ImageStore, location: str, reason: str
) -> None:
    """Private addresses, other schemes and loops are refused wherever they come up."""
    assert reason in _reason(server, store, lambda x: x.answer(302, Location=location))


def test_the_body_of_a_redirect_is_not_read(server: PictureServer, store: ImageStore) -> None:
    """An endless one costs no more than any."""

    def endless(exchange: Exchange) -> None:
        exchange.write(b"HTTP/1.1 302 Found\r\nLocation: /y.jpg\r\nTransfer-Encoding: chunked\r\n\r\n")
        _endless(exchange)

    server.scripts["/x.jpg"] = endless
    [done] = _fetch(server, store, "/x.jpg")
    assert isinstance(done, Stored)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: " + b"b" * 200_000,
        b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_whatever_a_server_sends_is_a_reason(server: PictureServer, store: ImageStore, answer: bytes) -> None:
    """Nonsense fails one picture, never the run."""

    def nonsense(exchange: Exchange) -> None:
        exchange.write(answer)
        exchange.hang_up()

    assert _reason(server, store, nonsense)


@pytest.mark.parametrize(
    "url",
    ["", "x.jpg", "file:///x.jpg", "http://", "http:///x", "javascript:1", "http://a\x00b/", "http://[x/"],
)
def test_what_is_no_url_is_a_reason(store: ImageStore, url: str) -> None:
    """Before anything is connected to."""
    [done] = download(store, {"x": url}, limits=QUICK)
    assert isinstance(done, Failure)
    assert done.reason


def test_refuses_a_private_address(server: PictureServer, store: ImageStore) -> None:
    """Where no host is trusted, or another port of it, nothing is asked for."""
    url = f"{server.base}/x.jpg"
    for trusted in (None, ("127.0.0.1", server.port + 1)):
        [done] = download(store, {"x": url}, limits=QUICK, trusted=trusted)
        assert done == Failure("x", "the address of 127.0.0.1 is not public: 127.0.0.1")
    assert not server.requests


def test_a_host_that_is_not_there_is_a_reason(store: ImageStore) -> None:
    """It is tried again all the same: the way there may be broken for a moment."""
    for port in (9,):
        [done] = download(
            store, {"x": f"http://127.0.0.1:{port}/"}, limits=QUICK, trusted=("127.0.0.1", port)
        )
        assert isinstance(done, Failure)
        assert "no connection" in done.reason
        assert "(3 attempts)" in done.reason


def test_ends_where_the_folder_cannot_be_written(
    server: PictureServer, store: ImageStore, tmp_path: Path
) -> None:
    """A full disk ends the run; every picture before it is kept."""
    found = _many(server, store, concurrency=1)
    for _ in range(3):
        next(found)
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(OutputError, match="could not be written"):
        next(found)
    assert server.requests.total() == 4


def test_whoever_stops_asking_stops_the_work(server: PictureServer, store: ImageStore) -> None:
    """A list that is left in the middle leaves no request behind."""
    found = _many(server, store, concurrency=2)
    next(found)
    found.close()
    asked = server.requests.total()
    assert asked < 6

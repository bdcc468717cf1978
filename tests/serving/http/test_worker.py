"""nimakit.serving.http.worker: real sockets, including slow and hostile ones, against a real server."""

import errno
import http.client
import json
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, cast

import pytest
from gunicorn.config import Config  # type: ignore[import-untyped]

from clients import encode, multipart, noise
from nimakit.errors import BusyError, NimakitError
from nimakit.serving.http.connection import Connection, Connections
from nimakit.serving.http.request_reader import RequestReader
from nimakit.serving.http.worker import BufferingWorker, _start_threads
from nimakit.serving.problems import CONTENT_TYPE
from samples import metadata, write_model
from servers import Server, running

IMAGE = {"Content-Type": "image/png"}
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_file: Path) -> Iterator[Server]:
    """A server with tight limits, that the tests of this module share."""
    limits = {
        "header_timeout_s": 0.6,
        "body_timeout_s": 1.0,
        "keepalive_timeout_s": 1.5,
        "max_body_bytes": 300_000,
        "max_connections": 60,
    }
    with running(tmp_path_factory.mktemp("worker"), models=[str(tiny_file)], **limits) as started:
        yield started


def _read_to_end(sock: socket.socket) -> bytes:
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def _problem(answer: bytes) -> dict[str, Any]:
    """The last response of an answer, which must be a problem."""
    head, _, body = answer.rpartition(b"\r\n\r\n")
    assert f"Content-Type: {CONTENT_TYPE}".encode() in head
    found: dict[str, Any] = json.loads(body)
    return found


def _send(server: Server, data: bytes) -> bytes:
    """Send bytes, and read until the server closes."""
    with server.open_socket() as sock:
        sock.sendall(data)
        return _read_to_end(sock)


# --- requests ------------------------------------------------------------------------------------------


def test_a_connection_serves_many_requests(server: Server) -> None:
    """Of several kinds, errors among them, one after the other."""
    connection = server.connect()
    body, kind = multipart([("a.png", noise())])
    for _ in range(3):
        for method, path, content, headers, status in (
            ("POST", "/predict", noise(), IMAGE, 200),
            ("POST", "/predict", body, {"Content-Type": kind}, 200),
            ("GET", "/nowhere", None, {}, 404),
            ("POST", "/predict", b"no image", IMAGE, 422),
            ("HEAD", "/models", None, {}, 200),
        ):
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            response.read()
            assert response.status == status
            assert response.headers["Connection"] == "keep-alive"
    connection.close()


def test_a_head_with_too_many_headers_is_too_large(server: Server) -> None:
    """Refused as one that is too long is, whichever limit it reaches first."""
    for headers in (b"X-A: b\r\n" * 200, b"X-A: " + b"b" * 10_000 + b"\r\n", b"X-A: b\r\n" * 20_000):
        answer = _send(server, b"GET / HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n")
        assert (_status(answer), _problem(answer)["status"]) == (431, 431)


def test_a_body_may_come_in_chunks(server: Server) -> None:
    """As it does from a client that does not know its length yet."""
    image = noise(5)
    pieces = [image[:10], image[10:11], image[11:]]
    connection = server.connect()
    connection.request("POST", "/predict", iter(pieces), IMAGE, encode_chunked=True)
    chunked = connection.getresponse().read()
    connection.close()
    assert chunked == server.ask("POST", "/predict", image, IMAGE)[2]


def test_a_body_may_come_slowly_within_its_time(server: Server) -> None:
    """Byte by byte costs the server nothing but the time."""
    image = noise(6)
    with server.open_socket() as sock:
        sock.sendall(HEAD + f"Content-Length: {len(image)}\r\nConnection: close\r\n\r\n".encode())
        for start in range(0, len(image), 30):
            sock.sendall(image[start : start + 30])
            time.sleep(0.01)
        assert _status(_read_to_end(sock)) == 200


def test_a_client_that_waits_to_send_is_told_to(server: Server) -> None:
    """100 Continue once, then the answer."""
    image = noise()
    head = (
        HEAD + f"Content-Length: {len(image)}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n".encode()
    )
    with server.open_socket() as sock:
        sock.sendall(head)
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(image)
        answer = _read_to_end(sock)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(server: Server) -> None:
    """413 to whoever waits to be told, and to whoever sends it all the same, chunked or not."""
    wait = HEAD + b"Content-Length: 300001\r\nExpect: 100-continue\r\n\r\n"
    large = HEAD + b"Content-Length: 3000000\r\n\r\n" + 3_000_000 * b"x"
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + 40 * (b"2710\r\n" + 10_000 * b"x" + b"\r\n")
    for data in (wait, large, chunked):
        answer = _send(server, data)
        assert answer.count(b"HTTP/1.1") == 1
        assert _problem(answer)["status"] == 413
    assert server.ask("POST", "/predict", noise(), IMAGE)[0] == 200


def test_what_follows_a_request_too_early_is_not_answered(server: Server) -> None:
    """The first of two requests sent at once is answered, then the connection ends."""
    answer = _send(server, b"GET /models HTTP/1.1\r\nHost: x\r\n\r\nGET /models HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert b"Connection: close" in answer


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (HEAD + b"Content-Length: x\r\n\r\n", 400),
        (HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nnot a size\r\n", 400),
        (HEAD + 40_000 * b"x", 431),
    ],
)
def test_what_is_no_request_is_a_problem(server: Server, data: bytes, status: int) -> None:
    """And the end of the connection."""
    answer = _send(server, data)
    assert _status(answer) == status
    assert _problem(answer)["status"] == status
    assert b"Connection: close" in answer


def test_refusals_have_their_lines_too(server: Server) -> None:
    """A request that no application saw is in the log."""
    before = len(server.lines())
    _send(server, b"nonsense\r\n\r\n")
    [line] = server.lines()[before:]
    assert (line["status"], line["route"]) == (400, None)


# --- slow clients --------------------------------------------------------------------------------------


def _drip(sock: socket.socket, data: bytes, stop: threading.Event) -> None:
    """Send a byte now and then, as long as the other side takes it."""
    for byte in data:
        if stop.wait(0.1):
            return
        try:
            sock.send(bytes([byte]))
        except OSError:
            return


@pytest.mark.parametrize(
    ("begin", "rest", "seconds"),
    [
        (b"GET / HTTP/1.1\r\n", 100 * b"X-A: b\r\n", 0.6),
        (HEAD + b"Content-Length: 1000\r\n\r\n", 1000 * b"x", 1.0),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", 1000 * b"1\r\nx\r\n", 1.0),
    ],
    ids=["head", "body", "chunks"],
)
@pytest.mark.slow
def test_a_slow_client_is_ended_when_its_time_is_up(
    server: Server, begin: bytes, rest: bytes, seconds: float
) -> None:
    """However regularly its bytes come: 408, and the connection ends."""
    stop = threading.Event()
    with server.open_socket() as sock:
        sock.sendall(begin)
        started = time.monotonic()
        dripping = threading.Thread(target=_drip, args=(sock, rest, stop))
        dripping.start()
        answer = _read_to_end(sock)
        taken = time.monotonic() - started
        stop.set()
        dripping.join()
    assert _problem(answer)["status"] == 408
    assert seconds * 0.8 < taken < seconds + 2


@pytest.mark.parametrize(
    "begin", [b"", b"GET / HTT", HEAD + b"Content-Length: 9\r\n\r\n"], ids=["idle", "head", "body"]
)
def test_many_slow_clients_stop_nobody(server: Server, begin: bytes) -> None:
    """More of them than connections there may be: each request of another is answered at once."""
    with ExitStack() as stack:
        for _ in range(150):
            sock = stack.enter_context(server.open_socket())
            sock.sendall(begin)
        started = time.monotonic()
        for _ in range(5):
            assert server.ask("POST", "/predict", noise(), IMAGE)[0] == 200
        assert time.monotonic() - started < 2


@pytest.mark.slow
def test_an_idle_connection_is_closed(server: Server) -> None:
    """Without a word: its client has had every answer."""
    with server.open_socket() as sock:
        sock.sendall(b"GET /models HTTP/1.1\r\nHost: x\r\n\r\n")
        started = time.monotonic()
        answer = _read_to_end(sock)
    assert answer.count(b"HTTP/1.1") == 1
    assert 1.0 < time.monotonic() - started < 4


@pytest.mark.slow
def test_clients_that_read_nothing_stop_nobody(tmp_path: Path) -> None:
    """More of them than threads: an answer waits for its client without one, and in the end is given up."""
    write_model(tmp_path / "wide.onnx", metadata(bins=range(100_000)))  # 12 MB: more than a kernel keeps
    path = "/v2/models/wide/infer"
    tensor = {"name": "image", "datatype": "UINT8", "shape": [30, 1, 1, 3], "data": 90 * [9]}
    outputs = [{"name": "predictions", "parameters": {"binary_data": True}}]
    body = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    limits = {"queue_size": 1, "workers": 1, "batch_size": 1, "body_timeout_s": 3.0, "request_timeout_s": 60}
    with running(tmp_path, models=["wide.onnx"], **limits) as server, ExitStack() as stack:
        socks = []
        for _ in range(20):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", server.port))
            sock.sendall(head.encode() + body)
            assert sock.recv(15, socket.MSG_WAITALL) == b"HTTP/1.1 200 OK"
            socks.append(sock)
            started = time.monotonic()
            assert server.ask("GET", "/v2/health/ready")[0] == 200
            assert time.monotonic() - started < 2
        whole = server.ask("POST", path, body)[2]
        time.sleep(5)  # until their time is up: who reads before has the rest
        assert len(_read_to_end(socks[0])) < len(whole)


@pytest.mark.slow
def test_clients_that_go_away_leave_nothing_behind(server: Server) -> None:
    """In mid-head, in mid-body and before the answer: no thread, no descriptor, no line of an error."""

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{server.worker}/fd"))

    time.sleep(2)
    before, said = descriptors(), server.err.read_text("utf-8")
    image = noise()
    for number in range(60):
        data = HEAD + f"Content-Length: {len(image)}\r\n\r\n".encode() + image
        with server.open_socket() as sock:
            sock.sendall(data[: number * len(data) // 50])
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert server.ask("GET", "/v2/health/ready")[0] == 200
    time.sleep(0.5)
    assert descriptors() <= before + 2
    assert server.err.read_text("utf-8") == said


@pytest.mark.slow
def test_bodies_that_are_held_are_limited_together(tmp_path: Path, tiny_file: Path) -> None:
    """Past the limit the slowest gives way; who sends at once is answered."""
    limits = {"max_buffered_bytes": 1_000_000, "max_body_bytes": 400_000}
    with running(tmp_path, models=[str(tiny_file)], **limits) as server, ExitStack() as stack:
        slow = []
        for _ in range(6):
            sock = stack.enter_context(server.open_socket())
            sock.sendall(HEAD + b"Content-Length: 350000\r\n\r\n" + 300_000 * b"x")
            slow.append(sock)
            time.sleep(0.05)
        assert server.ask("POST", "/predict", noise(), IMAGE)[0] == 200
        answer = _problem(_read_to_end(slow[0]))
        assert answer["status"] == 503
        metrics = server.ask("GET", "/metrics")[2].decode()
        assert 'nimakit_rejected_total{reason="busy"}' in metrics
        slow[-1].sendall(50_000 * b"x")
        assert slow[-1].recv(100).startswith(b"HTTP/1.1 422 ")


def test_connections_are_never_more_than_they_may_be(server: Server) -> None:
    """Descriptors are counted: making room ends a connection, and does not wait for its client."""

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{server.worker}/fd"))

    before = descriptors()
    begins = [b"", b"GET / HTT", HEAD + b"Content-Length: 9\r\n\r\n"]
    with ExitStack() as stack:
        for number in range(400):
            sock = stack.enter_context(server.open_socket())
            with suppress(OSError):
                sock.sendall(begins[number % 3])
            if number % 50 == 49:
                assert server.ask("GET", "/v2/health/live")[0] == 200
                assert descriptors() <= before + 60 + 1
        assert server.ask("POST", "/predict", noise(), IMAGE)[0] == 200


def test_a_large_answer_waits_without_being_made(tmp_path: Path, tiny_file: Path) -> None:
    """Of what a client does not read no more is made than a piece."""
    made = []

    class Piecewise:
        def __call__(self, _environ: Any, start_response: Any) -> Iterator[bytes]:
            start_response("200 OK", [("Content-Length", str(100 << 20))])
            for _ in range(100):
                made.append(1)
                yield bytes(1 << 20)

    worker = BufferingWorker.__new__(BufferingWorker)
    worker.cfg, worker.wsgi, worker.alive = Config(), Piecewise(), True
    with socket.socket() as sock:
        connection = Connection(sock, ("127.0.0.1", 1), RequestReader(100), 5.0)
        connection.request.feed(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        rest = worker._respond(connection)
        next(rest)
        assert len(made) == 1
        assert 1 << 20 <= connection.unsent < 2 << 20
        rest.close()


def test_a_listener_rests_while_there_are_no_descriptors() -> None:
    """With every connection being answered none can be ended, and a listener that is ready would spin."""

    class Exhausted:
        def __init__(self, sock: socket.socket) -> None:
            self.fileno = sock.fileno

        def accept(self) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    worker = BufferingWorker.__new__(BufferingWorker)
    with socket.socket() as sock, selectors.DefaultSelector() as selector:
        listener = Exhausted(sock)
        worker._selector, worker._connections, worker.sockets = selector, Connections(), [listener]
        worker._listen()
        assert listener in selector.get_map()
        worker._accept(listener)
        assert listener not in selector.get_map()
        worker._listen()
        assert listener in selector.get_map()


def test_all_threads_run_from_the_start() -> None:
    """Later the machine may have none left."""
    with _start_threads(5, "nimakit-test") as threads:
        assert len(threads._threads) == 5
        assert threads.submit(lambda: 7).result(5) == 7


def test_threads_that_cannot_be_started_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a sentence, at the start; those that did start end."""
    start = threading.Thread.start
    begun: list[threading.Thread] = []

    def start_two(thread: threading.Thread) -> None:
        if len(begun) == 2:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start_two)
        with pytest.raises(NimakitError, match="able to start 5 threads"):
            _start_threads(5, "nimakit-test")
    for thread in begun:
        thread.join(5)
    assert not any(thread.is_alive() for thread in begun)


def test_numbers_of_a_thousand_digits_are_not_read(server: Server) -> None:
    """The time to read one grows by the square of its digits, and nothing else runs meanwhile."""
    tensor = b'{"name": "image", "datatype": "BYTES", "shape": [%b], "data": []}' % (1000 * b"7")
    status, _, answer = server.ask("POST", "/v2/models/tiny/infer", b'{"inputs": [%b]}' % tensor)
    assert (status, b"A shape must be a list of integers" in answer) == (400, True)


def test_only_probes_are_answered_before_all_else(server: Server) -> None:
    """By their exact paths, without a body; any other request waits its turn."""
    assert server.ask("GET", "/v2/health/live")[0] == 200
    assert server.ask("GET", "/v2/health/live", b"x")[0] == 413
    worker = BufferingWorker.__new__(BufferingWorker)
    worker._front = cast("Any", _Front())
    for line, is_probe in {
        b"GET /v2/health/live HTTP/1.1": True,
        b"GET /v2/health/ready HTTP/1.0": True,
        b"GET /v2/health/other HTTP/1.1": False,
        b"GET /v2/health/live/../../../predict HTTP/1.1": False,
        b"GET /v2/health/ HTTP/1.1": False,
        b"POST /v2/health/live HTTP/1.1": False,
        b"GET": False,
    }.items():
        assert worker._is_probe(line + b"\r\n\r\n") == is_probe
        assert worker._max_body(line + b"\r\n\r\n") == (0 if is_probe else 9)


def test_only_so_many_probes_wait() -> None:
    """They take no room from other requests, and have no more than their own."""
    worker = BufferingWorker.__new__(BufferingWorker)
    worker._front, worker._connections = cast("Any", _Front()), Connections()
    request = RequestReader(0)
    request.feed(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    with socket.socket() as sock:
        connections = [Connection(sock, None, request, 1) for _ in range(64)]
        worker._probed = set(connections)
        with pytest.raises(BusyError):
            worker._admit(connections[0])


class _Front:
    """As much of a `Front` as its probes take."""

    probes = frozenset({b"/v2/health/live", b"/v2/health/ready"})

    def max_body(self, _head: bytes) -> int:
        return 9


@pytest.mark.slow
def test_lists_without_end_do_not_keep_probes_waiting(tmp_path: Path, tiny_file: Path) -> None:
    """Sixty clients that send half a million of them each: those are counted, and not read."""
    body = b'{"inputs": [' + 500_000 * b"[]," + b"[]]}"
    with running(tmp_path, models=[str(tiny_file)]) as server:
        stop, statuses = threading.Event(), set[int]()

        def press() -> None:
            while not stop.is_set():
                statuses.add(server.ask("POST", "/v2/models/tiny/infer", body)[0])

        threads = [threading.Thread(target=press) for _ in range(60)]
        for thread in threads:
            thread.start()
        waits = []
        for _ in range(20):
            started = time.monotonic()
            assert server.ask("GET", "/v2/health/live")[0] == 200
            waits.append(time.monotonic() - started)
        stop.set()
        for thread in threads:
            thread.join()
    assert statuses <= {400, 503}
    assert sorted(waits)[10] < 1  # these clients take the cores, too


@pytest.mark.slow
def test_at_rest_memory_is_given_back(tmp_path: Path, tiny_file: Path) -> None:
    """After bodies and pictures as large as they may be, a server is about as small as it was."""
    with running(tmp_path, models=[str(tiny_file)], workers=2) as server:

        def resident() -> int:
            return int(Path(f"/proc/{server.worker}/statm").read_text("ascii").split()[1])

        assert server.ask("POST", "/predict", noise(), IMAGE)[0] == 200
        time.sleep(2)
        before = resident()
        junk = json.dumps(_bytes_tensor(19_000_000 * "A")).encode()
        large = encode(9, "PNG", (8000, 6000))
        asks = [("/v2/models/tiny/infer", junk, {}), ("/predict", large, IMAGE)] * 6
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda one: server.ask("POST", *one), asks))
        time.sleep(3)
        assert resident() < 1.3 * before


def _bytes_tensor(text: str) -> dict[str, Any]:
    return {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [text]}]}


# --- the end -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_stop_lets_requests_finish_and_takes_no_more(tmp_path: Path, tiny_file: Path) -> None:
    """What was on its way is answered; open connections are told; new ones find nobody; exit code 0."""
    with running(tmp_path, models=[str(tiny_file)]) as server:
        image = noise()
        kept = server.connect()
        kept.request("GET", "/v2/health/ready")
        assert kept.getresponse().read() == b'{"ready":true}\n'
        with server.open_socket() as sock:
            sock.sendall(HEAD + f"Content-Length: {len(image)}\r\n\r\n".encode() + image[:50])
            time.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            kept.request("GET", "/v2/health/ready")
            refused = kept.getresponse()
            assert (refused.status, refused.headers["Connection"]) == (503, "close")
            assert b"stopping" in refused.read()
            with pytest.raises(ConnectionRefusedError):
                server.ask("GET", "/v2/health/live")
            sock.sendall(image[50:])
            answer = _read_to_end(sock)
        assert _status(answer) == 200
        assert b"Connection: close" in answer
        assert server.process.wait(10) == 0
        assert "abort" not in server.err.read_text("utf-8").lower()


@pytest.mark.slow
def test_a_stop_waits_no_longer_than_it_may(tmp_path: Path, tiny_file: Path) -> None:
    """A request that never becomes whole does not keep the server."""
    with (
        running(tmp_path, models=[str(tiny_file)], drain_timeout_s=1) as server,
        server.open_socket() as sock,
    ):
        sock.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        time.sleep(0.2)
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 6


@pytest.mark.slow
def test_a_killed_worker_is_replaced(tmp_path: Path, tiny_file: Path) -> None:
    """Ready within three seconds, and its scores are the same."""
    with running(tmp_path, models=[str(tiny_file)]) as server:
        body = server.ask("POST", "/predict", noise(), IMAGE)[2]
        first = server.worker
        os.kill(first, signal.SIGKILL)
        killed = time.monotonic()
        while True:
            try:
                status = server.ask("GET", "/v2/health/ready")[0]
            except (OSError, http.client.HTTPException):
                status = 0
            if status == 200:
                break
            assert time.monotonic() - killed < 10
            time.sleep(0.02)
        assert time.monotonic() - killed < 3
        assert server.worker != first
        assert server.ask("POST", "/predict", noise(), IMAGE)[2] == body


@pytest.mark.slow
def test_large_pictures_do_not_keep_probes_waiting(tmp_path: Path, tiny_file: Path) -> None:
    """While every core decodes, the server still says that it is there."""
    with running(tmp_path, models=[str(tiny_file)]) as server:
        large = encode(90, "JPEG", (5000, 4000))
        body, kind = multipart([("a.jpg", large)] * 8)
        asking = threading.Thread(target=server.ask, args=("POST", "/predict", body, {"Content-Type": kind}))
        asking.start()
        time.sleep(0.1)
        worst = 0.0
        while asking.is_alive():
            started = time.monotonic()
            assert server.ask("GET", "/v2/health/ready")[0] == 200
            worst = max(worst, time.monotonic() - started)
        assert worst < 1

"""Attacks on both servers: their memory, health responses and honest clients while each attack runs.

    python benchmarks/attack.py [--docker] [--seconds S] [--only WORD] [--image NAME] > table.md

Each attack runs a limited number of clients for a limited time, over the loopback interface only. By default
the servers run natively; with --docker each runs in a container of the image nima-serve, with the memory
limit of compose.yaml. Meanwhile an honest client scores photographs (or rates them) and another requests the
server's health, 20 times a second. The attacking process has the lowest priority (nice 19) because real
attackers have their own machines: only the work they cause the server is measured.

Linux only. Natively, memory is the worker's resident memory, from /proc; with --docker it is everything
charged to the container's cgroup, including files in tmpfs and in the page cache.
"""

import argparse
import http.client
import io
import json
import multiprocessing
import os
import selectors
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import httpx
from attacked_servers import USERS, Target, rating, scoring
from PIL import Image

IDLE = 5000
SLOW = 16
TOLERANCE = 1e-5  # of a mean, which is answered with six decimals
PAUSE_S = 0.05
PATIENCE_S = 20.0
REST_S = 4.0
REST_AFTER_S = 20.0  # longer than any request may take


def main() -> None:
    """Run each attack on each server, and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--docker", action="store_true", help="in containers, with the memory of compose.yaml"
    )
    parser.add_argument("--image", default="nima-serve", help="the containers' image  [default: nima-serve]")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each attack  [default: 10]")
    parser.add_argument("--only", default="", help="attacks whose name contains this")
    options = parser.parse_args()
    image = options.image if options.docker else None
    print(
        "| server | attack | killed | peak / plan | at rest / start | slowest health | honest p50, idle |",
        end="",
    )
    print(" p50 | p99 | refused | wrong | lost |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="nimakit-attack-") as name:
        for start, honest, attacks in (
            (scoring, Scores, SCORING_ATTACKS),
            (rating, Ratings, RATING_ATTACKS),
        ):
            for attack, make in attacks.items():
                if options.only in attack:
                    folder = Path(tempfile.mkdtemp(dir=name))
                    with start(folder, image) as target:
                        print(
                            measure(target, honest(target), attack, make(target), options.seconds), flush=True
                        )


# --- what is measured ----------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Seen:
    """Observations of a client.

    Attributes:
        latencies: Seconds of each answered request.
        durations: Seconds of each request, answered or not.
        refused: Number of refused requests (503, or a closed connection).
        wrong: Number of wrong responses.
        acknowledged: Picture -> last acknowledged rating.
    """

    latencies: list[float] = field(default_factory=list)
    durations: list[float] = field(default_factory=list)
    refused: int = 0
    wrong: int = 0
    acknowledged: dict[int, int] = field(default_factory=dict)


class Scores:
    """Scores one photograph repeatedly; the first score is the expected one."""

    def __init__(self, target: Target) -> None:
        stream = io.BytesIO()
        [source] = (Path(__file__).parent.parent / "data" / "samples").glob("courtyard.*")
        Image.open(source).convert("RGB").resize((640, 480)).save(stream, "JPEG", quality=90)
        self._body, self._port = stream.getvalue(), target.port
        self._mean = self._ask()

    def ask(self, seen: Seen) -> None:
        """Score once."""
        mean = self._ask()
        if mean is None:
            raise ConnectionRefusedError
        seen.wrong += abs(mean - (self._mean or 0)) > TOLERANCE

    def lost(self, _seen: Seen) -> int:
        """The server stores nothing, so nothing is lost."""
        return 0

    def _ask(self) -> float | None:
        status, body = ask(self._port, "POST", "/predict", self._body, {"Content-Type": "image/jpeg"})
        return json.loads(body)[0]["mean_score_prediction"] if status == 200 else None


class Ratings:
    """Rates pictures one after the other, and records the acknowledged ratings."""

    def __init__(self, target: Target) -> None:
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{target.port}", timeout=PATIENCE_S, trust_env=False,
            headers={"Accept": "application/json"}, limits=httpx.Limits(max_keepalive_connections=0),
        )  # fmt: skip
        session = self._client.get("/session").raise_for_status().json()
        self._client.headers["X-CSRFToken"] = session["csrf"]
        self._rater, self._count = session["rater"], 0
        while not (items := self._deck()["items"]):
            time.sleep(0.1)
        self._pictures = [item["id"] for item in items]

    def ask(self, seen: Seen) -> None:
        """Rate a picture."""
        self._count += 1
        picture, value = self._pictures[self._count % len(self._pictures)], 1 + self._count % 10
        event = {"id": f"attack-{self._count}", "kind": "rating", "image": picture, "value": value}
        answer = self._client.post("/c/photos/events", json={"rater": self._rater, "events": [event]})
        if answer.status_code == 503:
            raise ConnectionRefusedError
        seen.wrong += answer.status_code != 200
        seen.acknowledged[picture] = value

    def lost(self, seen: Seen) -> int:
        """Number of pictures without their last acknowledged rating."""
        stored = {item["id"]: item["value"] for item in self._deck()["history"]}
        return sum(stored.get(picture) != value for picture, value in seen.acknowledged.items())

    def _deck(self) -> dict[str, list[dict[str, int]]]:
        deck: dict[str, list[dict[str, int]]] = self._client.get("/c/photos/deck").raise_for_status().json()
        return deck


Honest = Scores | Ratings


def measure(target: Target, honest: Honest, attack: str, send: "Attack", seconds: float) -> str:
    """Run an attack and format its row of the table."""
    idle, calm = Seen(), time.monotonic() + 3
    while time.monotonic() < calm:
        repeat_once(honest.ask, idle)
    time.sleep(REST_S)
    at_start = target.memory.resident_bytes()
    target.memory.reset_peak()
    stop, seen, health = threading.Event(), Seen(), Seen()
    clients = [
        threading.Thread(target=repeat, args=(work, result, stop))
        for work, result in ((honest.ask, seen), (lambda _: healthy(target), health))
    ]
    sending = multiprocessing.get_context("spawn").Process(target=run_attack, args=(send, seconds))
    sending.start()
    time.sleep(1.5)  # until it has started
    for client in clients:
        client.start()
    sending.join(seconds + 30)
    sending.kill()
    stop.set()
    for client in clients:
        client.join()
    peak = target.memory.peak_bytes()
    time.sleep(REST_AFTER_S)
    rest = target.memory.resident_bytes() / at_start
    p50 = statistics.median(idle.latencies)
    median = statistics.median(seen.latencies) if seen.latencies else float("nan")
    p99 = sorted(seen.latencies)[int(0.99 * len(seen.latencies))] if seen.latencies else float("nan")
    kills = target.memory.kills()
    return (
        f"| {target.name} | {attack} | {kills} | {peak / 1e9:.2f} / {target.plan / 1e9:.1f} GB |"
        f" {rest:.2f} | {max(health.durations, default=float('nan')):.2f} s ({health.refused} refused) |"
        f" {1000 * p50:.0f} ms | {1000 * median:.0f} ms | {1000 * p99:.0f} ms ({p99 / p50:.1f}x) |"
        f" {seen.refused} of {seen.refused + len(seen.latencies)} | {seen.wrong} | {honest.lost(seen)} |"
    )


def repeat(work: Callable[[Seen], None], seen: Seen, stop: threading.Event) -> None:
    """Do something repeatedly, with a pause after each time."""
    while not stop.wait(PAUSE_S):
        repeat_once(work, seen)


def repeat_once(work: Callable[[Seen], None], seen: Seen) -> None:
    """Do something, and record how long it took and whether it was refused."""
    started = time.perf_counter()
    try:
        work(seen)
    except (OSError, http.client.HTTPException, httpx.TransportError):
        seen.refused += 1
    else:
        seen.latencies.append(time.perf_counter() - started)
    seen.durations.append(time.perf_counter() - started)


def healthy(target: Target) -> None:
    """Request the server's health."""
    status, _ = ask(target.port, "GET", target.health)
    if status != 200:
        raise ConnectionRefusedError


def ask(
    port: int, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Send one request on a new connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


# --- attacks -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Clients:
    """A group of identical clients.

    Attributes:
        port: Port of the server.
        count: Number of clients.
        data: Bytes that each sends repeatedly, on new connections.
        waits: Whether each reads the response before it continues; else it only keeps its connection open.
    """

    port: int
    count: int
    data: bytes
    waits: bool = True


Attack = Sequence[Clients]


def run_attack(attack: Attack, seconds: float) -> None:
    """Run the clients of an attack in this process, at the lowest priority."""
    os.nice(19)
    until = time.monotonic() + seconds
    threads = [
        threading.Thread(target=press if clients.waits else hold, args=(clients, until), daemon=True)
        for clients in attack
        for _ in range(clients.count if clients.waits else 1)
    ]
    for thread in threads:
        thread.start()
    time.sleep(max(0.0, until - time.monotonic()))


def press(clients: Clients, until: float) -> None:
    """Send, read the response, and repeat."""
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", clients.port), timeout=5) as sock:
            sock.sendall(clients.data)
            while sock.recv(65536):
                pass


def hold(clients: Clients, until: float) -> None:
    """Open connections, send incomplete requests, keep them open, and replace closed ones."""
    with selectors.DefaultSelector() as selector:
        while time.monotonic() < until:
            for _ in range(clients.count - len(selector.get_map())):
                with suppress(OSError):
                    sock = socket.create_connection(("127.0.0.1", clients.port), timeout=5)
                    selector.register(sock, selectors.EVENT_READ)
                    sock.sendall(clients.data)
                if time.monotonic() > until:
                    break
            for key, _ in selector.select(PAUSE_S):
                if is_closed(cast("socket.socket", key.fileobj)):
                    selector.unregister(key.fileobj)
                    cast("socket.socket", key.fileobj).close()


def is_closed(sock: socket.socket) -> bool:
    """Whether the server has closed a connection that is ready to read."""
    try:
        return not sock.recv(65536)
    except OSError:
        return True


def post(path: str, kind: str, body: bytes, more: str = "") -> bytes:
    """A complete request that closes its connection."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nConnection: close\r\n{more}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def wide_webp(width: int, height: int) -> bytes:
    """A picture of a few kilobytes that takes 16 bytes a pixel to decode."""
    stream = io.BytesIO()
    Image.new("RGB", (width, height), (9, 9, 9)).save(stream, "WEBP", lossless=True, quality=0, method=0)
    return stream.getvalue()


def form(name: str, content: bytes) -> tuple[str, bytes]:
    """Type and body of a form with one file."""
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="a.webp"\r\n\r\n'
    return "multipart/form-data; boundary=x", head.encode() + content + b"\r\n--x--\r\n"


def infer(data: bytes) -> bytes:
    """An inference request of encoded images, as JSON."""
    body = b'{"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ' + data + b"}]}"
    return post("/v2/models/aesthetic/infer", "application/json", body)


def large_png() -> bytes:
    """The largest picture that is decoded."""
    stream = io.BytesIO()
    Image.new("RGBA", (10_000, 5_000)).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _junk(target: Target) -> Attack:
    return (
        Clients(port=target.port, count=20, data=infer(b'["' + 19_000_000 * b"A" + b'"]')),
        Clients(port=target.port, count=4, data=post("/predict", "image/webp", wide_webp(16383, 3050))),
        Clients(port=target.port, count=4, data=post("/predict", "image/png", large_png())),
    )


def _characters(target: Target) -> Attack:
    text = '["' + "\N{FACE WITH TEARS OF JOY}" + 9_000_000 * "A" + '"]'
    return (Clients(port=target.port, count=20, data=infer(text.encode())),)


def _forms(target: Target) -> Attack:
    kind, body = form("image", 19_000_000 * b"x")
    large = form("image", large_png())
    return (
        Clients(port=target.port, count=20, data=post("/predict", kind, body)),
        Clients(port=target.port, count=4, data=post("/predict", *large)),
    )


def _lists(target: Target) -> Attack:
    return (Clients(port=target.port, count=60, data=infer(b"[" + 500_000 * b"[]," + b"[]]")),)


def _allowed_lists(target: Target) -> Attack:
    return (Clients(port=target.port, count=60, data=infer(b"[" + 100_000 * b"[]," + b"[]]")),)


def _spaced(target: Target) -> Attack:
    return (Clients(port=target.port, count=20, data=infer(b'["' + 9_500_000 * b"A " + b'"]')),)


def _tensors(target: Target) -> Attack:
    side = 1290
    size = side * side * 3 * 4
    parameters = f'"parameters": {{"binary_data_size": {size}}}'
    tensor = f'{{"name": "image", "datatype": "FP32", "shape": [1, {side}, {side}, 3], {parameters}}}'
    text = f'{{"inputs": [{tensor}]}}'.encode()
    more = f"Inference-Header-Content-Length: {len(text)}\r\n"
    path, kind = "/v2/models/aesthetic/infer", "application/octet-stream"
    return (Clients(port=target.port, count=20, data=post(path, kind, text + bytes(size), more)),)


def _tastes(target: Target) -> Attack:
    """Each client is another user, so that the server keeps loading their files."""
    stream = io.BytesIO()
    Image.new("RGB", (64, 64)).save(stream, "PNG")
    paths = [f"/predict?user={user}" for user in USERS]
    return [
        Clients(port=target.port, count=1, data=post(path, "image/png", stream.getvalue())) for path in paths
    ]


def _tables(target: Target) -> Attack:
    """Large tables for the administrator's import, whose bodies are received from any visitor."""
    head = '--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    body = (
        head.encode()
        + b"image_id,user_id,rating\r\n"
        + 2_000_000 * b"coffee,somebody,7\r\n"
        + b"\r\n--x--\r\n"
    )
    data = post("/c/photos/transfer", "multipart/form-data; boundary=x", body, _visit(target))
    return (Clients(port=target.port, count=4, data=data),)


def _visit(target: Target) -> str:
    """Headers of a visitor with a valid form token."""
    signed_in = httpx.get(f"http://127.0.0.1:{target.port}/session", trust_env=False)
    cookies = "; ".join(f"{name}={value}" for name, value in signed_in.cookies.items())
    token = f"X-CSRFToken: {signed_in.json()['csrf']}\r\n"
    return f"{token}Referer: http://127.0.0.1:{target.port}/\r\nCookie: {cookies}\r\n"


def _idle(target: Target) -> Attack:
    return (Clients(port=target.port, count=IDLE, data=b"", waits=False),)


def _heads(target: Target) -> Attack:
    return (
        Clients(port=target.port, count=SLOW, data=b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", waits=False),
    )


def _bodies(target: Target) -> Attack:
    begun = post("/login", "application/x-www-form-urlencoded", 1000 * b"x")[:-900]
    return (Clients(port=target.port, count=SLOW, data=begun, waits=False),)


def _uploads(target: Target) -> Attack:
    kind, body = form("picture", wide_webp(16383, 5371))
    data = post("/c/photos/similarity/upload", kind, body, _visit(target))
    return (Clients(port=target.port, count=SLOW, data=data),)


SCORING_ATTACKS: dict[str, Callable[[Target], Attack]] = {
    "20 x 19 MB of JSON, 4 x WebP and 4 x PNG of 50 megapixels": _junk,
    "20 x 9 MB of JSON beyond ASCII": _characters,
    "20 x 19 MB of base64 with whitespace": _spaced,
    "20 x 20 MB of pixels as binary data": _tensors,
    f"{len(USERS)} users with a taste of their own": _tastes,
    "20 x 19 MB forms, 4 x PNG of 50 megapixels": _forms,
    "60 x 1.5 MB of [[],[],...]": _lists,
    "60 x as many [] as are allowed": _allowed_lists,
    f"{IDLE} idle connections": _idle,
    f"{SLOW} unfinished heads": _heads,
}
RATING_ATTACKS: dict[str, Callable[[Target], Attack]] = {
    f"{SLOW} unfinished heads, rating": _heads,
    f"{SLOW} unfinished bodies for /login, rating": _bodies,
    f"{IDLE} idle connections, rating": _idle,
    f"{SLOW} uploads of a WebP of 88 megapixels, rating": _uploads,
    "4 tables of 38 MB for the import, rating": _tables,
}

if __name__ == "__main__":
    main()

"""Fifty people rate at once: how long a rating takes over HTTP, and whether any is lost or counted twice.

    python benchmarks/rate.py [--database URL] [--ratings N] [--raters N] [--seconds S] > table.md

Each rater is a browser as the server sees it: a session and a connection of its own, pictures to come asked
for a dozen at a time, each picture loaded, and a rating sent again, under the same name, until it is
acknowledged. Two loads: raters who come one after the other and give a rating about every second (--seconds);
and all as fast as answers come, while the server is killed (SIGKILL) on the way and started again. After each
the database is held against what was acknowledged. All traffic is on the loopback interface, and the raters
share the cores with the server.

With PostgreSQL the server of the database runs already; its user may create databases, and each load gets one
of its own.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from http.cookies import SimpleCookie
from pathlib import Path

import numpy as np
from flask_login.utils import encode_cookie  # type: ignore[import-untyped]
from local_servers import answers, free_port
from PIL import Image as Pillow
from sqlalchemy import create_engine, func, make_url, select

from nimakit.web.accounts import raters as rater_accounts
from nimakit.web.collections.setup import open_collections
from nimakit.web.db.database import Database, sqlite_url
from nimakit.web.db.tables import Collection, Event, Image, Rating
from nimakit.web.pictures.inventory import synchronise
from nimakit.web.settings import SECRET_VARIABLE, read_settings

SECRET = uuid.uuid4().hex
COOKIE = "nimakit_rate_rater"
SIZE = (800, 600)
DECK = 12
COMING = 10  # ratings that the first rater has given when the last one comes
SWITCH_INTERVAL_S = 0.0002  # as the server's
PAUSE_S = 0.2  # before what was not acknowledged is sent again
KILLED_AFTER = 0.3  # of the ratings


def main() -> None:
    """Run each load, and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", help="postgresql://USER@HOST/postgres  [default: SQLite]")
    parser.add_argument("--ratings", type=int, default=10_000)
    parser.add_argument("--raters", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=1.0, help="between a rater's ratings, on average")
    options = parser.parse_args()
    print("| database | load | ratings | a second | p50 | p95 | p99 | sent again | lost | doubled |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for load, seconds, is_killed in (
        (f"each every {options.seconds:g} s", options.seconds, False),
        ("each as fast as answers come; killed on the way", 0.0, True),
    ):
        size = {"ratings": options.ratings, "raters": options.raters}
        report = measure(options.database, **size, seconds=seconds, is_killed=is_killed)
        kind = "PostgreSQL" if options.database else "SQLite"
        print(f"| {kind} | {load} | {report} |", flush=True)


@dataclass(kw_only=True)
class Report:
    """What came of a load.

    Attributes:
        latencies: Seconds from sending to acknowledgement, of ratings that were sent once.
        repeated: Ratings that were sent again.
        seconds: From the first rating to the last.
        acknowledged: Names of the ratings that were acknowledged.
        lost: How many of these are not in the database.
        doubled: How many are there more than once, or count more than once for their picture.
    """

    latencies: list[float] = field(default_factory=list)
    repeated: int = 0
    seconds: float = 0.0
    acknowledged: set[str] = field(default_factory=set)
    lost: int = 0
    doubled: int = 0

    def percentile(self, percent: float) -> float:
        """Seconds within which so many ratings were acknowledged."""
        return float(np.percentile(self.latencies, percent))

    def __str__(self) -> str:
        count = len(self.acknowledged)
        times = " | ".join(f"{1000 * self.percentile(percent):.0f} ms" for percent in (50, 95, 99))
        return (
            f"{count} | {count / self.seconds:.0f} | {times} | {self.repeated} | {self.lost} | {self.doubled}"
        )


def measure(
    url: str | None,
    *,
    ratings: int,
    raters: int,
    seconds: float,
    is_killed: bool = False,
    meanwhile: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> Report:
    """Let people rate, and hold the database against what they were told.

    Args:
        url: PostgreSQL's server; None for an SQLite file.
        ratings: How many in all.
        raters: How many people at once.
        seconds: Between two ratings of one of them, on average.
        is_killed: Whether the server is killed on the way.
        meanwhile: What else happens to the server at this address while they rate.
    """
    report = Report()
    with tempfile.TemporaryDirectory(prefix="nimakit-benchmark-") as name, database(url, Path(name)) as place:
        folder = Path(name)
        cookies = prepare(folder, place, each=ratings // raters, raters=raters)
        server = Server(folder, place.engine.url.render_as_string(hide_password=False))
        server.start()
        try:
            crowd = [Rater(server.address, cookie, report) for cookie in cookies]
            with meanwhile(server.address):
                load(crowd, server, ratings // raters, seconds, is_killed=is_killed)
        finally:
            server.kill()
        check(place, report)
    return report


# --- what is prepared and checked ----------------------------------------------------------------------


@contextmanager
def database(url: str | None, folder: Path) -> Iterator[Database]:
    """A database of the load's own, without tables."""
    if url is None:
        place = Database(sqlite_url(folder / "ratings.db"))
        yield place
        place.close()
        return
    name = f"nimakit_benchmark_{os.getpid()}"
    address = make_url(url).set(drivername="postgresql+psycopg")
    engine = create_engine(address, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
        place = Database(address.set(database=name).render_as_string(hide_password=False))
        try:
            yield place
        finally:
            place.close()
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()


def prepare(folder: Path, place: Database, *, each: int, raters: int) -> list[str]:
    """Make as many pictures as each rater rates, their collection, and the raters.

    Returns:
        What each rater's browser remembers of them.
    """
    photos = folder / "photos"
    photos.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (SIZE[1] // 8, SIZE[0] // 8, 3), np.uint8)
    for number in range(each):
        Pillow.fromarray(np.roll(noise, number, 1)).resize(SIZE).save(photos / f"{number}.jpg")
    address = place.engine.url.render_as_string(hide_password=False)
    open_collections(read_settings(folders=(photos,), data_dir=folder / "data", database=address), {})
    with place.read() as session:
        collection = session.scalars(select(Collection)).one()
    synchronise(place, collection)
    cookies = []
    with place.write() as session:
        for _ in range(raters):
            rater = rater_accounts.new_rater(session)
            rater_accounts.join(session, rater, collection.id)
            cookies.append(encode_cookie(f"{rater.id}.{rater.link_version}", key=SECRET))
    return cookies


def check(place: Database, report: Report) -> None:
    """Hold what is in the database against what was acknowledged."""
    with place.read() as session:
        names = list(session.scalars(select(Event.client_id)))
        counted = session.scalar(select(func.sum(Image.count))) or 0
        held = session.scalar(select(func.count()).select_from(Rating)) or 0
    report.lost = len(report.acknowledged - set(names)) + max(held - counted, 0)
    report.doubled = len(names) - len(set(names)) + max(counted - held, 0)


# --- who takes part ------------------------------------------------------------------------------------


class Server:
    """`nimakit rate`, in processes of its own.

    Args:
        folder: Where photographs and data are.
        url: The database.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self._port = free_port()
        self._command = [sys.executable, "-m", "nimakit", "rate", "--images", str(folder / "photos")]
        self._command += ["--data-dir", str(folder / "data"), "--port", str(self._port)]
        self._environment = {**os.environ, "DATABASE_URL": url, SECRET_VARIABLE: SECRET}
        self.address = f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, until it answers."""
        self._process = subprocess.Popen(
            self._command, env=self._environment, stderr=subprocess.DEVNULL, process_group=0
        )
        while not answers(self._port, "/health"):
            if self._process.poll() is not None:
                raise SystemExit(f"{self._command} ended with {self._process.returncode}")
            time.sleep(0.05)

    def kill(self) -> None:
        """As the kernel does where there is no memory left: all its processes, at once."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Rater:
    """Somebody's browser.

    Args:
        address: The server's, HOST:PORT.
        cookie: Who it is.
        report: Where it notes what came of its ratings.
    """

    def __init__(self, address: str, cookie: str, report: Report) -> None:
        # The standard library's client, because httpx takes a third of the two cores that the server needs.
        self._connection = HTTPConnection(address, timeout=60)
        self._cookies = {COOKIE: cookie}
        self._headers = {"Accept": "application/json", "Content-Type": "application/json"}
        self.report = report

    def enter(self) -> None:
        """Open the app."""
        session = json.loads(self._get("/session"))
        self._code = session["rater"]
        self._headers["X-CSRFToken"] = session["csrf"]

    def work(self, count: int, seconds: float) -> None:
        """Rate so many pictures."""
        deck: list[dict[str, str]] = []
        chance = random.Random(self._code)  # noqa: S311 - when people rate is no secret
        time.sleep(chance.uniform(0, COMING * seconds))
        for number in range(count):
            if not deck:
                deck = json.loads(self._get(f"/c/photos/deck?amount={DECK}"))["items"]
            picture = deck.pop(0)
            self._get(f"{picture['src']}1280")
            self._rate(picture["id"], 1 + number % 10)
            time.sleep(chance.uniform(0.5, 1.5) * seconds)
        self._connection.close()

    def _rate(self, image: str, value: int) -> None:
        name = uuid.uuid4().hex
        event = {"id": name, "kind": "rating", "image": image, "value": value}
        body = json.dumps({"rater": self._code, "events": [event]}).encode()
        started, attempts = time.perf_counter(), 0
        while True:
            attempts += 1
            answer = self._ask("POST", "/c/photos/events", body)
            if answer is not None and name in json.loads(answer)["accepted"]:
                break
            time.sleep(PAUSE_S)
        if attempts == 1:
            self.report.latencies.append(time.perf_counter() - started)
        self.report.repeated += attempts > 1
        self.report.acknowledged.add(name)

    def _get(self, path: str) -> bytes:
        while (answer := self._ask("GET", path)) is None:
            time.sleep(PAUSE_S)
        return answer

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes | None:
        """An answer; None where none came, or the server says that it cannot."""
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        try:
            self._connection.request(method, path, body, {**self._headers, "Cookie": cookies})
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, HTTPException):
            self._connection.close()
            return None
        for line in answer.headers.get_all("Set-Cookie", []):
            self._cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
        if answer.status >= HTTPStatus.BAD_REQUEST and answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise SystemExit(f"{method} {path} was answered with {answer.status}: {content[:200]!r}")
        return content if answer.status < HTTPStatus.BAD_REQUEST else None


def load(crowd: list[Rater], server: Server, count: int, seconds: float, *, is_killed: bool) -> None:
    """Everybody rates so many pictures."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with ThreadPoolExecutor(len(crowd)) as threads:
        list(threads.map(Rater.enter, crowd))
        report, started = crowd[0].report, time.monotonic()
        work = [threads.submit(rater.work, count, seconds) for rater in crowd]
        if is_killed:
            while len(report.acknowledged) < KILLED_AFTER * count * len(crowd):
                time.sleep(0.01)
            server.kill()
            server.start()
        for rater in work:
            rater.result()
        report.seconds = time.monotonic() - started


if __name__ == "__main__":
    main()

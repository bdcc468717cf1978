"""How fast `nimakit serve` is, and how it takes too much load and a killed worker, as ratios of one run.

    python benchmarks/serve.py [--quick] > table.md

Needs hey (Debian's package of that name) to make the load, the train extra (the plain way runs on Keras) and,
the first time, a network for the public weights. All traffic is on the loopback interface, and hey shares the
cores with the server: the table says how much of them it took. The photographs are some of data/samples, as
JPEGs of 640x480.
"""

import argparse
import csv
import http.client
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle, takewhile
from pathlib import Path

import numpy as np
from local_servers import Server, plain_server, served
from PIL import Image

from nimakit.io.threads import cores
from nimakit.models import loading
from nimakit.models.engine import Model, Scorer
from nimakit.models.score import Score

HERE = Path(__file__).parent
SAMPLES = HERE.parent / "data" / "samples"
SIZE = (640, 480)
CONNECTIONS = (1, 8, 32, 128)
SHORT_QUEUE = 32  # so that most of 128 connections are refused
TOLERANCE = 1e-5  # of a mean, which is answered with six decimals


def main() -> None:
    """Run every benchmark and print Markdown tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests, 4 seconds a load")
    quick = parser.parse_args().quick
    if shutil.which("hey") is None:
        parser.error("the load is made by hey, which is not installed: apt-get install hey")
    seconds = 4.0 if quick else 20.0
    with tempfile.TemporaryDirectory(prefix="nimakit-benchmark-") as name:
        folder = Path(name)
        photos = make_photos(folder)
        model = loading.load_model()
        with served(folder / "log") as server:
            loads = measure_load(server, model, photos, seconds)
            measure_memory(server, photos, 2_000 if quick else 20_000)
            measure_kill(server, model, photos, seconds)
        with served(folder / "log", NIMAKIT_SERVE_QUEUE_SIZE=str(SHORT_QUEUE)) as server:
            measure_refusals(server, photos, seconds, loads[32])


# --- what is measured ----------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Load:
    """What came of a load.

    Attributes:
        latencies: Seconds of each request that was answered with 200.
        others: Status -> how many answers had another one.
        seconds: From the first request to the last answer.
        tool_seconds: Processor time of the load tool.
    """

    latencies: list[float] = field(default_factory=list)
    others: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    tool_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Scored images a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: float) -> float:
        """Seconds within which so many of those were answered."""
        return float(np.percentile(self.latencies, percent))


def measure_load(server: Server, model: Model, photos: Sequence[Path], seconds: float) -> dict[int, Load]:
    """(a) and (b): throughput by connections, beside the engine's own and the plain way's."""
    loads: dict[int, Load] = {}
    shares: dict[int, float] = {}
    rates = [engine_rate(model, photos, seconds)]
    for connections in CONNECTIONS:
        loads[connections] = press(server.url, photos, connections, seconds)
        # The machine's speed drifts: each load is compared with the engine just before and just after it.
        rates.append(engine_rate(model, photos, seconds))
        shares[connections] = loads[connections].rate / statistics.mean(rates[-2:])
    with plain_server() as url:
        plain = press(url, photos, 8, seconds)
    print("| connections | requests/s | of the engine's own | p50 | p99 | refused | cores hey took |")
    print("|---|---|---|---|---|---|---|")
    for connections, load in loads.items():
        p50, p99 = (round(1000 * load.percentile(percent)) for percent in (50, 99))
        took = f"{load.tool_seconds / load.seconds:.2f} of {cores()}"
        refused = load.others.total()
        share = f"{shares[connections]:.0%}"
        print(f"| {connections} | {load.rate:.0f} | {share} | {p50} ms | {p99} ms | {refused} | {took} |")
    engine = f"{min(rates):.0f} to {max(rates):.0f}"
    print(f"\nThe engine alone: {engine} images/s; the plain way: {plain.rate:.1f}.")
    print(f"Ready {server.seconds_to_ready:.1f} s after its start.\n")
    print("| what | ratio, or figure | wanted |\n|---|---|---|")
    for connections in CONNECTIONS[1:]:
        row(f"(a) {connections} connections: throughput / the engine's own", shares[connections], ">= 0.80")
    row("(b) 8 connections: nimakit / Flask and Keras model.predict", loads[8].rate / plain.rate, ">= 5")
    return loads


def measure_refusals(server: Server, photos: Sequence[Path], seconds: float, at_ease: Load) -> None:
    """(c): a queue that is full all the time, as refused clients try again at once."""
    load = press(server.url, photos, 128, seconds)
    others = load.others.total()
    label = f"(c) queue of {SHORT_QUEUE}, 128 connections: p99 of accepted requests"
    row(f"{label} / p50 at 32 connections", load.percentile(99) / at_ease.percentile(50), "< 5")
    row(f"(c) of {others:,} refusals, share with a 503", load.others[503] / others, "1")
    row("(c) throughput meanwhile / at 32 connections", load.rate / at_ease.rate, "")


def measure_memory(server: Server, photos: Sequence[Path], requests: int) -> None:
    """(c): resident memory of the worker after all requests, over that after the first tenth of them."""
    first = requests // 10
    done = len(press(server.url, photos, 32, count=first).latencies)
    early = server.resident_bytes()
    done += len(press(server.url, photos, 32, count=requests - first).latencies)
    row(f"(c) memory after {done:,} requests / {first:,}", server.resident_bytes() / early, "1.0")


def measure_kill(server: Server, model: Model, photos: Sequence[Path], seconds: float) -> None:
    """(d): the worker is killed in mid-load; how long until the next one is ready, and what clients saw."""
    stop = threading.Event()
    seen: list[str] = []
    scores = [score for score in Scorer(model).score(photos) if isinstance(score, Score)]
    bodies = [(photo.read_bytes(), score.mean) for photo, score in zip(photos, scores, strict=True)]
    clients = [threading.Thread(target=ask, args=(server, bodies, stop, seen)) for _ in range(8)]
    for client in clients:
        client.start()
    time.sleep(seconds / 4)
    before = server.worker()
    os.kill(before, 9)
    killed = time.monotonic()
    while server.worker() in (before, 0) or not server.is_ready():
        time.sleep(0.01)
    ready = time.monotonic() - killed
    time.sleep(seconds / 4)
    stop.set()
    for client in clients:
        client.join()
    row("(d) seconds from kill -9 of the worker to ready", ready, "< 3")
    counted = Counter(seen)
    label = f"(d) wrong answers, beside {counted['right']} right ones, {counted['lost']} lost"
    row(label, counted["wrong"], "0")


def ask(
    server: Server, bodies: Sequence[tuple[bytes, float]], stop: threading.Event, seen: list[str]
) -> None:
    """A client that knows the right answers."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for body, mean in cycle(bodies):
        if stop.is_set():
            break
        try:
            connection.request("POST", "/predict", body, {"Content-Type": "image/jpeg"})
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            seen.append("lost")
            time.sleep(0.01)
            continue
        [record] = json.loads(text) if answer.status == 200 else [{}]
        right = abs(record.get("mean_score_prediction", 0) - mean) < TOLERANCE
        seen.append("right" if right else "refused" if answer.status == 503 else "wrong")


def row(label: str, figure: float, wanted: str) -> None:
    """Print a row as soon as it is known."""
    print(f"| {label} | {figure:.2f} | {wanted} |", flush=True)


# --- the load ------------------------------------------------------------------------------------------


def press(url: str, photos: Sequence[Path], connections: int, seconds: float = 0, count: int = 0) -> Load:
    """Send each photo in turn over so many connections: so many seconds, or so many times, in all."""
    whole = Load()
    for photo in photos:
        share = ["-z", f"{seconds / len(photos):.2f}s"] if seconds else ["-n", str(count // len(photos))]
        command = ["hey", *share, "-c", str(connections), "-t", "60", "-m", "POST", "-o", "csv"]
        command += ["-T", "image/jpeg", "-D", str(photo), url]
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(command, stdout=output)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise SystemExit(f"{command} ended with {process.returncode}")
            output.seek(0)
            answers = list(csv.DictReader(output))
        for answer in answers:
            if answer["status-code"] == "200":
                whole.latencies.append(float(answer["response-time"]))
            else:
                whole.others[int(answer["status-code"])] += 1
        whole.seconds += max(float(a["offset"]) + float(a["response-time"]) for a in answers)
        whole.tool_seconds += usage.ru_utime + usage.ru_stime
    return whole


def make_photos(folder: Path) -> list[Path]:
    """Four of the sample photographs, each a JPEG of 640x480."""
    photos = []
    for name in ("courtyard", "flowers", "landscape", "room"):
        [source] = SAMPLES.glob(f"{name}.*")
        photos.append(folder / f"{name}.jpg")
        Image.open(source).convert("RGB").resize(SIZE, Image.Resampling.BICUBIC).save(photos[-1], quality=90)
    return photos


def engine_rate(model: Model, photos: Sequence[Path], seconds: float) -> float:
    """Images a second that the engine scores on all cores, from memory, with no server around it."""
    contents = [photo.read_bytes() for photo in photos]
    started = time.perf_counter()
    images = takewhile(lambda _: time.perf_counter() - started < seconds / 2, cycle(contents))
    count = sum(isinstance(result, Score) for result in Scorer(model).score(images))
    return count / (time.perf_counter() - started)


if __name__ == "__main__":
    main()

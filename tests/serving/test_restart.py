"""A worker killed under load is replaced, and no client gets a wrong score."""

import json
import os
import signal
import threading
import time
from collections import Counter
from http.client import HTTPException
from itertools import cycle
from pathlib import Path

import pytest

from clients import noise
from nimakit.models.engine import Model, Scorer
from nimakit.models.score import Score
from servers import Server, running

CLIENTS = 8
READY_S = 3.0


class Load:
    """Clients that send images whose scores they know, until told to stop.

    Args:
        server: Where to.
        model: What the server scores with.
    """

    def __init__(self, server: Server, model: Model) -> None:
        self.seen: list[str] = []
        self._server = server
        images = [noise(seed) for seed in range(20)]
        scores = [score for score in Scorer(model).score(images) if isinstance(score, Score)]
        self._known = [(image, score.mean) for image, score in zip(images, scores, strict=True)]
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(CLIENTS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        """Wait until so many more requests have been answered rightly."""
        wanted = self.seen.count("right") + count
        give_up = time.monotonic() + 30
        while self.seen.count("right") < wanted:
            assert time.monotonic() < give_up, Counter(self.seen)
            time.sleep(0.01)

    def _send(self) -> None:
        connection = self._server.connect()
        for image, mean in cycle(self._known):
            if self._stop.is_set():
                break
            try:
                connection.request("POST", "/predict", image, {"Content-Type": "image/png"})
                response = connection.getresponse()
                body = response.read()
            except (OSError, HTTPException):
                connection.close()
                self.seen.append("lost")
                time.sleep(0.01)
                continue
            self.seen.append(_judge(response.status, body, mean))
        connection.close()


def _judge(status: int, body: bytes, mean: float) -> str:
    if status == 503:
        return "refused"
    records = json.loads(body)
    right = status == 200 and records[0]["mean_score_prediction"] == pytest.approx(mean, abs=1e-5)
    return "right" if right else "wrong"


@pytest.mark.slow
def test_a_killed_worker_is_replaced(tmp_path: Path, tiny_file: Path, tiny: Model) -> None:
    """After each kill -9 in mid-load a new worker is ready within 3 s; no answer is ever wrong."""
    with running(tmp_path, models=[str(tiny_file)]) as server, Load(server, tiny) as load:
        for _ in range(3):
            load.wait_for(100)
            os.kill(server.worker, signal.SIGKILL)
            killed = time.monotonic()
            load.wait_for(CLIENTS + 1)  # more than were on their way to the clients
            assert time.monotonic() - killed < READY_S
        assert load.seen.count("wrong") == 0
        assert load.seen.count("lost") >= 1

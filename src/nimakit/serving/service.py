"""What the routes of a server share: its settings, models, batcher and measurements."""

import re
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from flask import current_app, g

from nimakit.errors import BusyError, ImageError
from nimakit.images.photo import ImageInput
from nimakit.io.threads import cores
from nimakit.models.engine import Augmentation, Scorer
from nimakit.models.score import Score
from nimakit.serving import EXTENSION
from nimakit.serving.admission import Admission
from nimakit.serving.batcher import Batcher, Timing
from nimakit.serving.http.front import Limits
from nimakit.serving.http.request_reader import MAX_HEAD_BYTES
from nimakit.serving.metrics import Metrics
from nimakit.serving.models import Models, ServedModel, make_scorers
from nimakit.serving.request_log import write_line
from nimakit.serving.settings import Settings
from nimakit.serving.uploads import FORM_COPIES
from nimakit.serving.users import Users

_MOST_PARSED = 16
"""Bodies of JSON that may wait to be parsed, one at a time, and forms that may wait to be read."""

_FORM = re.compile(rb"\r\ncontent-type[ \t]*:[ \t]*multipart/", re.IGNORECASE)

_SPARE_THREADS = 32
"""More threads than requests that can be waiting for scores: for refusals, and for bodies that are read."""


class Service:
    """One server.

    Args:
        settings: How it runs.
        models: What it scores with.
        metrics: Where it is measured.

    Attributes:
        settings: How it runs.
        models: What it scores with.
        metrics: Where it is measured.
        forms: Admits forms, whose parts are copied out of the body.
        parsing: Admits JSON, of which several copies are made.
        limits: What may be held and waited for.
        probes: As for `Front`.
        open_file: None: bodies are kept in memory.
    """

    def __init__(self, settings: Settings, models: Models, metrics: Metrics) -> None:
        workers = settings.workers or cores()
        # Half of what may be buffered is for requests and answers, half for what is made of them.
        half = settings.max_buffered_bytes // 2
        self.limits = Limits(
            threads=settings.queue_size + workers * (settings.batch_size or 8) + _SPARE_THREADS,
            max_connections=settings.max_connections,
            max_buffered_bytes=max(half, settings.max_body_bytes + MAX_HEAD_BYTES),
            header_timeout_s=settings.header_timeout_s,
            body_timeout_s=settings.body_timeout_s,
            keepalive_timeout_s=settings.keepalive_timeout_s,
        )
        self.probes = frozenset({b"/v2/health/live", b"/v2/health/ready"})
        self.open_file = None
        self.forms = Admission(FORM_COPIES * settings.max_body_bytes, at_once=2, most_waiting=_MOST_PARSED)
        self.parsing = Admission(max(half, settings.max_body_bytes), at_once=1, most_waiting=_MOST_PARSED)
        self.settings = settings
        self.models = models
        self.metrics = metrics
        self._users = Users(
            Path(settings.users_dir) if settings.users_dir else None,
            settings.max_users,
            partial(make_scorers, settings=settings),
        )
        self._draining = threading.Event()
        self._batcher = Batcher(
            workers=workers,
            batch_wait=settings.batch_wait_ms / 1000,
            queue_size=settings.queue_size,
            metrics=metrics,
        )

    @property
    def is_ready(self) -> bool:
        """Whether requests are welcome."""
        return self.models.are_ready and not self._draining.is_set()

    def max_body(self, head: bytes) -> int:
        """Largest body of a request, in bytes: the same for all.

        Raises:
            BusyError: As many bodies of its kind as may wait to be read.
        """
        is_json = head.startswith(b"POST /v2/")
        if self.parsing.is_full if is_json else self.forms.is_full and _FORM.search(head):
            raise BusyError("The server has as many requests as it can read. Try again later.")
        return self.settings.max_body_bytes

    def note_refusal(self, status: int, reason: str) -> None:
        """Count a request that was refused before a route saw it, and write its line."""
        self.metrics.rejected.labels(reason).inc()
        write_line(status=status)

    def drain(self) -> None:
        """Be ready no more: the server is about to stop, and finishes what it has."""
        self._draining.set()

    def check_room(self) -> None:
        """Refuse a request before any of its images are looked at.

        Raises:
            BusyError: The queue is full.
        """
        self._batcher.check_room()

    def score(
        self,
        served: ServedModel,
        tta: Augmentation,
        sources: Sequence[ImageInput],
        *,
        deadline: float,
        user: str | None = None,
    ) -> tuple[list[Score | ImageError], Timing]:
        """Score the images of a request, together with those of others.

        Args:
            served: What scores them.
            tta: Test-time augmentation.
            sources: One or more images.
            deadline: When the answer must be there, by `time.monotonic`.
            user: Whose scores; None for those of people in general.

        Returns:
            The results in the order of the images, and how long they took.

        Raises:
            BusyError: A broken model, no room in the queue, or no answer in time.
            UnknownUserError: No such user.
        """
        job = self._batcher.submit(self.scorers(served, user)[tta], sources)
        results = job.wait(deadline - time.monotonic())
        self._measure(served.name, results, job.timing)
        return results, job.timing

    def scorers(self, served: ServedModel, user: str | None) -> dict[Augmentation, Scorer]:
        """What scores with a model as a user would, or as people in general do.

        Raises:
            BusyError: A broken model.
            UnknownUserError: No such user.
            TasteError: The user's file is broken.
        """
        if served.model is None:
            raise BusyError(f"The model {served.name} is not ready: {served.problem}")
        return served.scorers if user is None else self._users.find(user, served.name, served.model)

    def _measure(self, model: str, results: Sequence[Score | ImageError], timing: Timing) -> None:
        stages = self.metrics.stage_seconds
        stages.labels("queue").observe(timing.queue / 1000)
        stages.labels("decode").observe(timing.decode / 1000)
        stages.labels("inference").observe(timing.inference / 1000)
        failed = sum(isinstance(result, ImageError) for result in results)
        self.metrics.images.labels(model, "scored").inc(len(results) - failed)
        self.metrics.images.labels(model, "failed").inc(failed)

    def close(self) -> None:
        """Finish what is in progress, and end the threads."""
        self.drain()
        self._batcher.close()


def current_service() -> Service:
    """The server that answers this request."""
    service: Service = current_app.extensions[EXTENSION]
    return service


def score_for_request(
    model: str, tta: Augmentation, sources: Sequence[ImageInput], user: str | None = None
) -> list[Score | ImageError]:
    """Score the images of this request within its time, and note in its line what it was.

    Raises:
        UnknownModelError: No such model.
        UnknownUserError: No such user.
        BusyError: As `Service.score`.
    """
    service = current_service()
    served = service.models.find(model)
    g.note |= {"model": served.name, "images": len(sources)}
    deadline = g.started + service.settings.request_timeout_s
    results, timing = service.score(served, tta, sources, deadline=deadline, user=user)
    g.note |= {
        "queue_ms": round(timing.queue, 2),
        "decode_ms": round(timing.decode, 2),
        "inference_ms": round(timing.inference, 2),
    }
    return results

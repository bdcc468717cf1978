"""Shared state of the server's routes: settings, models, batcher and metrics."""

import re
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from flask import current_app, g

from nimakit.errors import BusyError, ImageError, UsageError
from nimakit.images.photo import ImageInput
from nimakit.io.threads import cores
from nimakit.models.engine import Scorer
from nimakit.models.preparation import Augmentation
from nimakit.models.score import Score, Scores
from nimakit.models.side_by_side import SideBySide
from nimakit.serving import EXTENSION
from nimakit.serving.admission import Admission
from nimakit.serving.batcher import Batcher
from nimakit.serving.http.front import Limits
from nimakit.serving.http.request_reader import MAX_HEAD_BYTES
from nimakit.serving.metrics import Metrics
from nimakit.serving.models import Models, make_scorers
from nimakit.serving.request_log import write_line
from nimakit.serving.settings import Settings
from nimakit.serving.traces import Traces
from nimakit.serving.uploads import FORM_COPIES
from nimakit.serving.users import Users, Wanted

_MOST_PARSED = 16
"""JSON bodies, and forms, that may wait to be parsed."""

_FORM = re.compile(rb"\r\ncontent-type[ \t]*:[ \t]*multipart/", re.IGNORECASE)

_MOST_COMBINATIONS = 64
"""Combinations of models side by side whose scorers are cached, so that their requests share batches."""

_SPARE_THREADS = 32
"""Threads in addition to the requests that can wait for scores: for refusals, and for parsing."""


class Service:
    """The shared state of one server; to the worker it is a `Front`.

    Attributes:
        settings: The server's settings.
        models: The served models.
        metrics: The server's metrics.
        forms: Admits forms, whose parts are copied out of the body.
        parsing: Admits JSON, of which parsing makes several copies.
        limits: See `Front`.
        probes: See `Front`.
        open_file: None: bodies are kept in memory.
    """

    def __init__(
        self, settings: Settings, models: Models, metrics: Metrics, traces: Traces | None = None
    ) -> None:
        workers = settings.workers or cores()
        # Half of the buffers is for requests and responses, half for what parsing makes of them.
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
        self._traces = traces
        self._users = Users(
            Path(settings.users_dir) if settings.users_dir else None,
            settings.max_users,
            partial(make_scorers, settings=settings),
        )
        self._side_by_side = lru_cache(_MOST_COMBINATIONS)(self._make_side_by_side)
        self._draining = threading.Event()
        self._batcher = Batcher(
            workers=workers,
            batch_wait=settings.batch_wait_ms / 1000,
            queue_size=settings.queue_size,
            metrics=metrics,
        )
        self.check_room = self._batcher.check_room

    @property
    def is_ready(self) -> bool:
        """Whether the server takes requests."""
        return self.models.are_ready and not self._draining.is_set()

    def max_body(self, head: bytes) -> int:
        """Largest body of a request, in bytes.

        Raises:
            BusyError: Too many bodies of this kind are waiting to be parsed.
        """
        is_json = head.startswith(b"POST /v2/")
        if self.parsing.is_full if is_json else self.forms.is_full and _FORM.search(head):
            raise BusyError("The server is reading as many requests as it can. Try again later.")
        return self.settings.max_body_bytes

    def note_refusal(self, status: int, reason: str) -> None:
        """Count and log a request that the worker refused."""
        self.metrics.rejected.labels(reason).inc()
        write_line(status=status)

    def drain(self) -> None:
        """Report not ready from now on: the server is stopping and finishes its requests."""
        self._draining.set()

    def score(
        self,
        models: Sequence[str],
        tta: Augmentation,
        sources: Sequence[ImageInput],
        user: str | None = None,
        *,
        measures: bool = False,
    ) -> list[Score | Scores | ImageError]:
        """Score images by the deadline of the current request, in batches with those of other requests.

        Args:
            models: Name of a served model, or of several, each with its own score.
            tta: Test-time augmentation.
            sources: One or more images.
            user: User for personal scores; None for general ones.
            measures: Whether scores contain technical measures of their images.

        Returns:
            Results in the order of the images; the request's log line gets their times.

        Raises:
            UnknownModelError: There is no such model.
            UnknownUserError: There is no such user.
            UsageError: Personal scores of several models.
            BusyError: A model is broken, the queue is full, or the time is up.
        """
        scorers = self.scorers(models, user)
        g.log_fields |= {"model": ", ".join(models), "images": len(sources)}
        deadline = g.started + self.settings.request_timeout_s
        job = self._batcher.submit(scorers[tta, measures], sources)
        try:
            results = job.wait(deadline - time.monotonic())
        finally:
            if self._traces is not None:
                self._traces.record(job, models)
        for stage, milliseconds in asdict(job.timing).items():
            self.metrics.stage_seconds.labels(stage).observe(milliseconds / 1000)
            g.log_fields[f"{stage}_ms"] = round(milliseconds, 2)
        self.metrics.note_scores(models, results, are_general=user is None)
        return results

    def scorers(self, models: Sequence[str], user: str | None = None) -> dict[Wanted, Scorer[Any]]:
        """Scorers of a model, or of several side by side; personal ones for a user.

        Raises:
            UnknownModelError: There is no such model.
            UnknownUserError: There is no such user.
            UsageError: Personal scores of several models, or a model whose name is a key of score records.
            BusyError: A model is broken.
            TasteError: The user's file is broken.
        """
        served = [self.models.find(name) for name in models]
        for one in served:
            if one.model is None:
                raise BusyError(f"The model {one.name} is not ready: {one.problem}")
        if len(served) > 1:
            if user is not None:
                raise UsageError(
                    f"Scores of one user come from one model. Received: user {user} and {len(served)} models"
                )
            return self._side_by_side(*models)
        [only] = served
        if user is None or only.model is None:
            return only.scorers
        return self._users.find(user, only.name, only.model)

    def _make_side_by_side(self, *names: str) -> dict[Wanted, Scorer[Scores]]:
        found = [self.models.find(name) for name in names]
        models = {served.name: served.model for served in found if served.model is not None}
        return make_scorers(SideBySide(models), self.settings)

    def close(self) -> None:
        """Finish the work in progress and stop the threads."""
        self.drain()
        self._batcher.close()
        if self._traces is not None:
            self._traces.close()


def current_service() -> Service:
    """The service of the current application."""
    service: Service = current_app.extensions[EXTENSION]
    return service

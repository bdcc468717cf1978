"""Batcher: one set of threads decodes the images of all requests and scores them in batches."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Generic

import numpy as np

from nimakit.errors import BusyError, ImageError, ImageTooLargeError, ImageUnreadError
from nimakit.images.photo import ImageInput
from nimakit.io.child_process import ChildProcess
from nimakit.models.engine import Result, Scorer
from nimakit.models.preparation import Preparation, Prepared
from nimakit.serving.http.memory import configure_child
from nimakit.serving.metrics import Metrics
from nimakit.serving.timing import Times, Timing

_IDLE_S = 10.0
"""Seconds without a large image after which the child process, and its memory, is given up."""


@dataclass(slots=True, eq=False)
class _Task:
    """An image to be decoded and scored."""

    job: "Job[Any]"
    source: ImageInput
    times: Times
    prepared: Prepared | None = None
    result: Any = None  # what the scorer makes of the image, or an ImageError
    is_large: bool = False


class Job(Generic[Result]):
    """The images of one request."""

    def __init__(self, scorer: Scorer[Result], sources: Sequence[ImageInput]) -> None:
        now = time.monotonic()
        self.scorer = scorer
        self.tasks = [_Task(self, source, Times(now)) for source in sources]
        self.abandoned = False
        self._left = len(self.tasks)
        self._error: Exception | None = None
        self._done = threading.Event()

    def wait(self, seconds: float) -> list[Result | ImageError]:
        """Wait for the results, in the order of the images; after `seconds` the job is abandoned.

        Raises:
            BusyError: The time is up.
            Exception: Any error raised while scoring.
        """
        if not self._done.wait(seconds):
            self.abandoned = True
            raise BusyError("The request could not be answered in time. Try again later.")
        if self._error is not None:
            raise self._error
        return [task.result for task in self.tasks if task.result is not None]

    @property
    def timing(self) -> Timing:
        """Longest time of any of the images, by stage."""
        return Timing(*map(max, zip(*(astuple(task.times.timing) for task in self.tasks), strict=True)))

    def finish(self, task: _Task, result: Result | ImageError) -> None:
        """Set the result of an image; call it under the batcher's lock."""
        task.result = result
        task.prepared = None
        self._left -= 1
        if self._left == 0:
            self._done.set()

    def fail(self, error: Exception) -> None:
        """Fail the whole job with an error."""
        self._error = error
        self.abandoned = True
        self._done.set()


class Batcher:
    """Threads that decode and score the images of all requests, with a queue of limited length.

    Each thread takes the most urgent work: decoded images of one model, once they fill a batch or the first
    has waited long enough; else an image to decode; else, with nothing to decode, all decoded images. So a
    single image never waits for others, and batches fill up under load.

    Images that take long to decode, or whose decoder blocks all threads, are decoded one at a time in a child
    process of lower priority, so that they do not delay other images and take their memory only once.

    Args:
        workers: Number of threads.
        batch_wait: Seconds a decoded image may wait while others are decoded.
        queue_size: Views that may wait.
        metrics: Metrics of the queue and the batches.
    """

    def __init__(self, *, workers: int, batch_wait: float, queue_size: int, metrics: Metrics) -> None:
        self._workers = workers
        self._batch_wait = batch_wait
        self._queue_size = queue_size
        self._metrics = metrics
        metrics.queue_size.set(queue_size)
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        self._large_changed = threading.Condition(lock)
        self._undecoded: deque[_Task] = deque()
        self._large: deque[_Task] = deque()
        self._decoded: dict[Scorer[Any], deque[_Task]] = {}
        self._waiting = 0
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"nimakit-batch-{number}", daemon=True)
            for number in range(workers)
        ]
        self._child = ChildProcess(configure_child)
        self._threads.append(threading.Thread(target=self._work_large, name="nimakit-large", daemon=True))
        for thread in self._threads:
            thread.start()

    def check_room(self, views: int = 1) -> None:
        """Check that the queue has room for so many views; an empty queue takes a request of any size.

        Raises:
            BusyError: The queue is full.
        """
        if self._waiting and self._waiting + views > self._queue_size:
            raise BusyError("The queue is full. Try again later.")

    def submit(self, scorer: Scorer[Result], sources: Sequence[ImageInput]) -> Job[Result]:
        """Queue the images of a request.

        Args:
            scorer: Scores the images; images of all requests with the same scorer share batches.
            sources: One or more images.

        Raises:
            BusyError: The queue has no room for all of them.
        """
        job = Job(scorer, sources)
        views = scorer.views * len(sources)
        with self._changed:
            self.check_room(views)
            self._undecoded.extend(job.tasks)
            self._count(views)
            self._changed.notify(len(sources))
        return job

    def close(self) -> None:
        """Finish the queue and stop the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._large_changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._child.close()

    def _count(self, views: int) -> None:
        self._waiting += views
        self._metrics.queue_depth.set(self._waiting)
        if self._closed and not self._waiting:  # the threads wait for nothing more
            self._changed.notify_all()
            self._large_changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                while (work := self._next()) is None:
                    if self._closed and not self._waiting:
                        return
                    self._changed.wait()
            work()

    def _work_large(self) -> None:
        while True:
            with self._changed:
                while not self._large:
                    if self._closed and not self._waiting:
                        return
                    if not self._large_changed.wait(_IDLE_S):
                        self._child.close(wait=False)
                    self._drop_abandoned()
                task = self._large.popleft()
            self._decode(task)

    def _make_elsewhere(self, preparation: Preparation, source: ImageInput) -> Prepared | ImageError:
        """Decode a large image; an array needs no decoding, and a view of a body cannot be pickled."""
        if isinstance(source, np.ndarray):
            return preparation.make(source)
        return self._child.run(preparation.make, bytes(source) if isinstance(source, memoryview) else source)

    def _next(self) -> Callable[[], None] | None:
        """The most urgent work, removed from its queue; None if there is none."""
        self._drop_abandoned()
        urgent = self._most_urgent()
        if urgent is not None:
            batch = self._take_batch(urgent)
            return lambda: self._score(urgent, batch)
        if self._undecoded:
            task = self._undecoded.popleft()
            return lambda: self._decode(task)
        return None

    def _take_batch(self, scorer: Scorer[Any]) -> list[_Task]:
        queue = self._decoded[scorer]
        size = min(len(queue), max(1, scorer.batch_size // scorer.views))
        if not self._undecoded:  # nothing else to do, so the threads share the rest evenly
            size = min(size, -(-len(queue) // self._workers))
        batch = [queue.popleft() for _ in range(size)]
        if not queue:
            del self._decoded[scorer]
        self._count(-scorer.views * size)
        return batch

    def _most_urgent(self) -> Scorer[Any] | None:
        """The scorer whose first decoded image has waited longest, if a batch is due; else None."""
        if not self._decoded:
            return None
        scorer, queue = min(self._decoded.items(), key=lambda item: item[1][0].times.decoded)
        if (
            not self._undecoded
            or time.monotonic() - queue[0].times.decoded >= self._batch_wait
            or len(queue) * scorer.views >= scorer.batch_size
        ):
            return scorer
        return None

    def _drop_abandoned(self) -> None:
        for waiting in (self._undecoded, self._large):
            while waiting and waiting[0].job.abandoned:
                self._count(-waiting.popleft().job.scorer.views)

    def _decode(self, task: _Task) -> None:
        task.times.decoding = time.monotonic()
        scorer = task.job.scorer
        try:
            if task.is_large:
                prepared = self._make_elsewhere(scorer.preparation, task.source)
            else:
                prepared = scorer.preparation.make(task.source, briefly=True)
            if isinstance(prepared, ImageUnreadError):
                raise prepared
        except Exception as error:  # noqa: BLE001 - the request gets any error, and the thread continues
            with self._changed:
                self._count(-task.job.scorer.views)
                task.job.fail(error)
            return
        if isinstance(prepared, ImageTooLargeError) and not task.is_large:
            task.is_large = True
            with self._changed:
                self._large.append(task)
                self._large_changed.notify()
            return
        task.times.decoded = time.monotonic()
        with self._changed:
            if isinstance(prepared, ImageError):
                self._count(-task.job.scorer.views)
                task.job.finish(task, prepared)
            else:
                task.prepared = prepared
                self._decoded.setdefault(task.job.scorer, deque()).append(task)
                self._changed.notify()
            task.source = b""

    def _score(self, scorer: Scorer[Any], batch: list[_Task]) -> None:
        wanted = [task for task in batch if not task.job.abandoned and task.prepared is not None]
        if not wanted:
            return
        self._metrics.batch_images.observe(len(wanted))
        started = time.monotonic()
        try:
            results = scorer.score_batch([task.prepared for task in wanted if task.prepared is not None])
        except Exception as error:  # noqa: BLE001 - as above
            for task in wanted:
                task.job.fail(error)
            return
        ended = time.monotonic()
        with self._changed:
            for task, result in zip(wanted, results, strict=True):
                task.times.scoring, task.times.scored = started, ended
                task.job.finish(task, result)

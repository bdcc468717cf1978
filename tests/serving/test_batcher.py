"""nimakit.serving.batcher: one set of threads scores the images of all requests."""

import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from PIL import Image

from nimakit.errors import BusyError, ImageError, ImageTooLargeError
from nimakit.io.child_process import ChildProcess
from nimakit.models.engine import Scorer
from nimakit.models.score import Score
from nimakit.serving import batcher as serving_batcher
from nimakit.serving.batcher import Batcher
from nimakit.serving.metrics import Metrics

if TYPE_CHECKING:
    from nimakit.models.preparation import Prepared

NOBODY_WAITS = 10.0


class StandIn:
    """A scorer whose images are numbers, and whose work waits until it is let go."""

    def __init__(self, *, views: int = 1, batch_size: int = 4) -> None:
        self.views = views
        self.batch_size = batch_size
        self.batches: list[list[int]] = []
        self.decoded: list[int] = []
        self.begun = threading.Event()
        self.decoding = threading.Event()
        self.scoring = threading.Event()
        self.decoding.set()
        self.scoring.set()

    @property
    def preparation(self) -> "StandIn":
        """Prepares images, as this class does."""
        return self

    def make(self, source: Any, *, briefly: bool = False) -> Any:
        """The number itself, which has as many pixels; an error for a negative one."""
        if source > (10_000 if briefly else 20_000):
            return ImageTooLargeError("too large")
        self.begun.set()
        assert self.decoding.wait(NOBODY_WAITS)
        self.decoded.append(source)
        if source == 99:
            raise MemoryError
        return ImageError("negative") if source < 0 else source

    def score_batch(self, batch: Sequence[Any]) -> list[Score]:
        """A mean ten times the number."""
        self.batches.append(list(batch))
        assert self.scoring.wait(NOBODY_WAITS)
        if 66 in batch:
            raise RuntimeError("broken model")
        return [Score(mean=10.0 * number, sd=None, histogram=None, percentile=None) for number in batch]


def scorer(stand_in: StandIn) -> Scorer[Score]:
    """The stand-in as what it stands in for."""
    return cast("Scorer[Score]", stand_in)


def images(*numbers: int) -> Any:
    """Numbers as images."""
    return numbers


Start = Callable[..., Batcher]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts batchers, and closes them."""
    batchers = []

    def run(*, workers: int = 1, wait: float = 1000.0, queue_size: int = 8) -> Batcher:
        batchers.append(Batcher(workers=workers, batch_wait=wait, queue_size=queue_size, metrics=Metrics()))
        return batchers[-1]

    yield run
    for batcher in batchers:
        batcher.close()


def _means(results: Sequence[Score | ImageError]) -> list[float | str]:
    return [str(r) if isinstance(r, ImageError) else r.mean for r in results]


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + NOBODY_WAITS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_results_come_in_the_order_of_the_images(start: Start) -> None:
    """Errors stand where their images stood."""
    job = start(workers=3).submit(scorer(StandIn()), images(1, -1, 2, 3, -1))
    assert _means(job.wait(NOBODY_WAITS)) == [10, "negative", 20, 30, "negative"]


def test_images_of_several_requests_share_a_run(start: Start) -> None:
    """What waits while a run goes on is scored together, up to the size of a batch."""
    stand_in, batcher = StandIn(), start()
    stand_in.scoring.clear()
    jobs = [batcher.submit(scorer(stand_in), images(1))]
    _until(lambda: stand_in.batches == [[1]])
    jobs += [batcher.submit(scorer(stand_in), images(number)) for number in (2, 3, 4, 5, 6)]
    stand_in.scoring.set()
    assert [_means(job.wait(NOBODY_WAITS)) for job in jobs] == [[10], [20], [30], [40], [50], [60]]
    assert stand_in.batches == [[1], [2, 3, 4, 5], [6]]


def test_an_image_alone_does_not_wait_for_others(start: Start) -> None:
    """With nothing else to do a run begins with what there is, however long it might wait."""
    job = start(wait=1000.0).submit(scorer(StandIn()), images(1))
    assert _means(job.wait(NOBODY_WAITS)) == [10]


def test_a_decoded_image_waits_no_longer_than_it_may(start: Start) -> None:
    """Then it is scored before the next one is decoded."""
    stand_in = StandIn()
    job = start(wait=0.0).submit(scorer(stand_in), images(1, 2, 3))
    job.wait(NOBODY_WAITS)
    assert stand_in.batches == [[1], [2], [3]]


def test_models_do_not_mix(start: Start) -> None:
    """A run holds images of one model alone."""
    one, other, batcher = StandIn(), StandIn(), start()
    one.decoding.clear()
    jobs = [batcher.submit(scorer(who), images(n)) for n, who in enumerate((one, other, one, other))]
    one.decoding.set()
    for job in jobs:
        job.wait(NOBODY_WAITS)
    assert (one.batches, other.batches) == ([[0, 2]], [[1, 3]])


def test_views_count(start: Start) -> None:
    """A batch of four views holds two images of two views; the queue counts views too."""
    stand_in, batcher = StandIn(views=2), start(queue_size=8)
    stand_in.decoding.clear()
    job = batcher.submit(scorer(stand_in), images(1, 2, 3, 4))
    with pytest.raises(BusyError, match="queue is full"):
        batcher.submit(scorer(stand_in), images(5))
    stand_in.decoding.set()
    job.wait(NOBODY_WAITS)
    assert stand_in.batches == [[1, 2], [3, 4]]


def test_what_is_left_is_shared_out(start: Start) -> None:
    """At the end no thread idles while another has several images to score."""
    stand_in, batcher = StandIn(), start(workers=2)
    stand_in.decoding.clear()
    job = batcher.submit(scorer(stand_in), images(1, 2, 3))
    stand_in.decoding.set()
    job.wait(NOBODY_WAITS)
    assert max(map(len, stand_in.batches)) <= 2


def test_a_full_queue_refuses_at_once_and_takes_again_later(start: Start) -> None:
    """Nothing piles up; an empty queue takes a request of any size."""
    stand_in, batcher = StandIn(), start(queue_size=3)
    stand_in.decoding.clear()
    job = batcher.submit(scorer(stand_in), images(*range(1, 11)))
    with pytest.raises(BusyError):
        batcher.check_room()
    with pytest.raises(BusyError):
        batcher.submit(scorer(stand_in), images(1))
    stand_in.decoding.set()
    job.wait(NOBODY_WAITS)
    batcher.check_room()
    assert _means(batcher.submit(scorer(stand_in), images(1)).wait(NOBODY_WAITS)) == [10]


def test_who_waited_too_long_is_told_and_costs_nothing_more(start: Start) -> None:
    """Images of a request that was given up are dropped from the queue."""
    stand_in, batcher = StandIn(), start()
    stand_in.decoding.clear()
    first = batcher.submit(scorer(stand_in), images(1))
    late = batcher.submit(scorer(stand_in), images(2, 3))
    with pytest.raises(BusyError, match="in time"):
        late.wait(0.0)
    last = batcher.submit(scorer(stand_in), images(4))
    stand_in.decoding.set()
    assert (_means(first.wait(NOBODY_WAITS)), _means(last.wait(NOBODY_WAITS))) == ([10], [40])
    assert stand_in.decoded == [1, 4]


@pytest.mark.parametrize(("number", "error"), [(99, MemoryError), (66, RuntimeError)])
def test_a_failure_is_its_request_s_own(start: Start, number: int, error: type[Exception]) -> None:
    """Whatever decoding or scoring raises reaches the request, and the threads go on."""
    stand_in, batcher = StandIn(), start()
    with pytest.raises(error):
        batcher.submit(scorer(stand_in), images(number, 1)).wait(NOBODY_WAITS)
    assert _means(batcher.submit(scorer(stand_in), images(1)).wait(NOBODY_WAITS)) == [10]


def test_closing_finishes_what_is_queued(start: Start) -> None:
    """Nobody who was let in is left without an answer."""
    stand_in, batcher = StandIn(), start()
    stand_in.decoding.clear()
    jobs = [batcher.submit(scorer(stand_in), images(number)) for number in range(5)]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    stand_in.decoding.set()
    closing.join(NOBODY_WAITS)
    assert [_means(job.wait(0)) for job in jobs] == [[0], [10], [20], [30], [40]]


def test_the_queue_and_the_runs_are_measured() -> None:
    """The depth goes up and down again; runs are counted by their size; stages are timed."""
    metrics, stand_in = Metrics(), StandIn()
    batcher = Batcher(workers=1, batch_wait=1000, queue_size=8, metrics=metrics)
    stand_in.decoding.clear()
    job = batcher.submit(scorer(stand_in), images(1, 2, 3))
    value = metrics.registry.get_sample_value
    assert (value("nimakit_queue_depth"), value("nimakit_queue_size")) == (3, 8)
    assert stand_in.begun.wait(NOBODY_WAITS)
    time.sleep(0.01)
    stand_in.decoding.set()
    job.wait(NOBODY_WAITS)
    batcher.close()
    assert value("nimakit_queue_depth") == 0
    assert value("nimakit_batch_images_bucket", {"le": "2.0"}) == 0
    assert value("nimakit_batch_images_bucket", {"le": "4.0"}) == 1
    assert job.timing.decode >= 10
    assert job.timing.queue > 0


def test_many_requests_at_once_get_their_own_scores(start: Start) -> None:
    """No result goes to another request, whatever the threads do."""
    stand_in = StandIn(batch_size=3)
    batcher = start(workers=4, wait=0.0005, queue_size=1000)
    found: dict[int, list[float | str]] = {}

    def ask(first: int) -> None:
        job = batcher.submit(scorer(stand_in), images(first, first + 1, first + 2))
        found[first] = _means(job.wait(NOBODY_WAITS))

    numbers = np.arange(0, 6000, 100).tolist()
    threads = [threading.Thread(target=ask, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(NOBODY_WAITS)
    assert found == {n: [10.0 * n, 10.0 * (n + 1), 10.0 * (n + 2)] for n in numbers}


def test_a_prepared_image_is_what_the_scorer_gave(start: Start, tiny: Any) -> None:
    """With a real scorer the scores are those of the engine alone."""
    pixels = np.full((8, 8, 3), 77, np.uint8)
    real = Scorer(tiny)
    prepared: Prepared | ImageError = real.prepare(pixels)
    [expected] = real.score_batch([prepared])
    [found] = start().submit(real, [pixels]).wait(NOBODY_WAITS)
    assert isinstance(expected, Score)
    assert isinstance(found, Score)
    assert found.mean == expected.mean


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large images are decoded in this process: stand-ins cannot be sent to another."""
    monkeypatch.setattr(ChildProcess, "run", lambda _, call, *args: call(*args))


@pytest.mark.usefixtures("here")
def test_of_large_images_one_is_decoded_at_a_time(start: Start) -> None:
    """Small ones that come later do not wait for them; all get their own scores."""
    stand_in, batcher = StandIn(), start(workers=1, wait=0.0)
    entered = threading.Semaphore(0)
    passing, let_go = stand_in.make, threading.Event()

    def make(source: Any, *, briefly: bool = False) -> Any:
        if source > 10_000 and not briefly:
            entered.release()
            assert let_go.wait(NOBODY_WAITS)
        return passing(source, briefly=briefly)

    stand_in.make = make  # type: ignore[method-assign]
    large = batcher.submit(scorer(stand_in), images(15_000, 16_000))
    assert entered.acquire(timeout=NOBODY_WAITS)
    small = batcher.submit(scorer(stand_in), images(1, 2)).wait(NOBODY_WAITS)
    assert [score.mean for score in small if isinstance(score, Score)] == [10, 20]
    assert not entered.acquire(blocking=False)
    let_go.set()
    found = large.wait(NOBODY_WAITS)
    assert [score.mean for score in found if isinstance(score, Score)] == [150_000, 160_000]


@pytest.mark.usefixtures("here")
def test_closing_waits_for_large_images(start: Start) -> None:
    """An image that is decoded last is scored, too."""
    stand_in, batcher = StandIn(), start()
    stand_in.decoding.clear()
    jobs = [batcher.submit(scorer(stand_in), images(number)) for number in (15_000, 1)]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    stand_in.decoding.set()
    closing.join(NOBODY_WAITS)
    assert [_means(job.wait(0)) for job in jobs] == [[150_000], [10]]


def test_formats_that_block_threads_are_decoded_in_another_process(start: Start, tiny: Any) -> None:
    """The scores are those of this process, for encoded bytes and for views of a request's body."""
    stream = io.BytesIO()
    Image.linear_gradient("L").resize((2000, 1500)).convert("RGB").save(stream, "WEBP", method=0)
    real = Scorer(tiny)
    assert isinstance(real.preparation.make(stream.getvalue(), briefly=True), ImageTooLargeError)
    [expected] = real.score([stream.getvalue()])
    found = start().submit(real, [stream.getvalue(), memoryview(stream.getvalue())]).wait(6 * NOBODY_WAITS)
    assert isinstance(expected, Score)
    assert _means(found) == [expected.mean, expected.mean]


@pytest.mark.usefixtures("here")
def test_an_idle_child_process_is_given_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its memory returns to the system; the next large image starts another one."""
    closed = threading.Event()
    monkeypatch.setattr(ChildProcess, "close", lambda _, **__: closed.set())
    monkeypatch.setattr(serving_batcher, "_IDLE_S", 0.01)
    batcher = start()
    for _ in range(2):
        assert closed.wait(NOBODY_WAITS)
        assert _means(batcher.submit(scorer(StandIn()), images(15_000)).wait(NOBODY_WAITS)) == [150_000]
        closed.clear()


@pytest.mark.usefixtures("here")
def test_what_is_too_large_is_refused(start: Start) -> None:
    """As its request's own error, after the large ones before it."""
    [result] = start().submit(scorer(StandIn()), images(20_001)).wait(NOBODY_WAITS)
    assert isinstance(result, ImageTooLargeError)

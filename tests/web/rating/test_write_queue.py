"""Batches of events that arrive at the same time are written together, each with its own outcome."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from nimakit.errors import StorageError
from nimakit.web.accounts.raters import new_rater
from nimakit.web.rating.validation import Batch, record
from nimakit.web.rating.write_queue import Written
from web.study import Study, on_both

RATERS = 8


@pytest.fixture
def batches(study: Study) -> list[Batch]:
    """A rating of the first picture by each of a few people."""
    raters = study.change(lambda session: [new_rater(session) for _ in range(RATERS)])
    [image, *_] = study.images
    return [
        Batch(
            study.collection, rater, [{"id": "a", "kind": "rating", "image": image.id, "value": 1 + number}]
        )
        for number, rater in enumerate(raters)
    ]


def write_at_once(study: Study, batches: Sequence[Batch]) -> list[Future[Written]]:
    """Write each batch from its own thread while another transaction is open; return the results."""
    queue = study.services.write_queue
    with ThreadPoolExecutor(len(batches)) as pool, study.database.write():
        futures = [pool.submit(queue.write, batch) for batch in batches]
        for _ in range(1000):
            if len(queue._waiting) == len(batches) - 1:
                return futures
            threading.Event().wait(0.01)
    raise AssertionError("the batches never arrived")


@on_both
def test_people_who_rate_at_once_lose_nothing(study: Study, batches: list[Batch]) -> None:
    """Each rating is stored and summed once, and each rater gets their own outcome."""
    with ThreadPoolExecutor(RATERS) as pool:
        written = list(pool.map(study.services.write_queue.write, batches * 3))
    assert [(one.outcome.accepted, one.outcome.refused, one.done) for one in written] == [(["a"], [], 1)] * 24
    assert sorted(rating.value or 0 for rating in study.ratings) == list(range(1, RATERS + 1))
    assert len(study.events) == RATERS
    assert (study.images[0].count, study.images[0].total) == (RATERS, sum(range(1, RATERS + 1)))


def test_what_waits_is_written_together(study: Study, batches: list[Batch]) -> None:
    """There is one transaction for the first batch, and one for all that arrived while it waited."""
    commits: list[Any] = []
    event.listen(study.database.engine, "commit", commits.append)
    futures = write_at_once(study, batches)
    assert [future.result().outcome.accepted for future in futures] == [["a"]] * RATERS
    assert len(commits) == 2
    assert len(study.events) == RATERS


def test_a_transaction_has_a_limited_number_of_events(
    study: Study, batches: list[Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Further batches are left for the next transaction."""
    monkeypatch.setattr("nimakit.web.rating.write_queue._MOST_EVENTS", 3)
    commits: list[Any] = []
    event.listen(study.database.engine, "commit", commits.append)
    write_at_once(study, batches)
    assert len(commits) == 1 + 3
    assert len(study.events) == RATERS


def test_a_batch_that_cannot_be_written_fails_no_other(
    study: Study, batches: list[Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its own thread gets the error, and nothing of it is stored."""
    bad = batches[RATERS // 2]

    def fail(session: Session, batches: Sequence[Batch]) -> Any:
        outcomes = record(session, batches)
        if bad in batches:
            raise ValueError("no room for this one")
        return outcomes

    monkeypatch.setattr("nimakit.web.rating.write_queue.record", fail)
    futures = write_at_once(study, batches)
    for batch, future in zip(batches, futures, strict=True):
        if batch is bad:
            with pytest.raises(ValueError, match="no room"):
                future.result()
        else:
            assert future.result().outcome.accepted == ["a"]
    assert {rating.rater_id for rating in study.ratings} == {
        batch.rater.id for batch in batches if batch is not bad
    }


def test_when_the_database_is_away_all_batches_fail_at_once(
    study: Study, batches: list[Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not tried one by one, and nothing is stored."""
    tried: list[int] = []

    def fail(_session: Session, batches: Sequence[Batch]) -> Any:
        tried.append(len(batches))
        raise StorageError("the database is away")

    monkeypatch.setattr("nimakit.web.rating.write_queue.record", fail)
    for future in write_at_once(study, batches):
        with pytest.raises(StorageError, match="is away"):
            future.result()
    assert tried == [1, RATERS - 1]
    assert study.events == []

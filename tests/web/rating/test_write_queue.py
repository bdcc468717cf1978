"""What raters did is written together with what others did at the same time, and each hears of its own."""

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
from nimakit.web.rating.write_queue import Taken
from web.study import Study, on_both

CROWD = 8


@pytest.fixture
def batches(study: Study) -> list[Batch]:
    """A rating of the first picture by each of a few people."""
    raters = study.change(lambda session: [new_rater(session) for _ in range(CROWD)])
    [image, *_] = study.images
    return [
        Batch(
            study.collection, rater, [{"id": "a", "kind": "rating", "image": image.id, "value": 1 + number}]
        )
        for number, rater in enumerate(raters)
    ]


def take_at_once(study: Study, batches: Sequence[Batch]) -> list[Future[Taken]]:
    """Bring batches, each from a thread of its own, while somebody else writes; what became of each."""
    intake = study.services.intake
    with ThreadPoolExecutor(len(batches)) as pool, study.database.write():
        futures = [pool.submit(intake.take, batch) for batch in batches]
        for _ in range(1000):
            if len(intake._waiting) == len(batches) - 1:
                return futures
            threading.Event().wait(0.01)
    raise AssertionError("they never came")


@on_both
def test_people_who_rate_at_once_lose_nothing(study: Study, batches: list[Batch]) -> None:
    """Every rating is there once, in its picture's sums too, and everyone is told of their own."""
    with ThreadPoolExecutor(CROWD) as pool:
        taken = list(pool.map(study.services.intake.take, batches * 3))
    assert [(one.outcome.accepted, one.outcome.refused, one.done) for one in taken] == [(["a"], [], 1)] * 24
    assert sorted(rating.value or 0 for rating in study.ratings) == list(range(1, CROWD + 1))
    assert len(study.events) == CROWD
    assert (study.images[0].count, study.images[0].total) == (CROWD, sum(range(1, CROWD + 1)))


def test_what_waits_is_written_together(study: Study, batches: list[Batch]) -> None:
    """One transaction for the first, and one for all that came while it could not be written."""
    commits: list[Any] = []
    event.listen(study.database.engine, "commit", commits.append)
    futures = take_at_once(study, batches)
    assert [future.result().outcome.accepted for future in futures] == [["a"]] * CROWD
    assert len(commits) == 2
    assert len(study.events) == CROWD


def test_a_transaction_takes_so_much_and_no_more(
    study: Study, batches: list[Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is too much for one is left for the next."""
    monkeypatch.setattr("nimakit.web.rating.write_queue._MOST_EVENTS", 3)
    commits: list[Any] = []
    event.listen(study.database.engine, "commit", commits.append)
    take_at_once(study, batches)
    assert len(commits) == 1 + 3
    assert len(study.events) == CROWD


def test_one_that_cannot_be_written_spoils_no_other(
    study: Study, batches: list[Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its error is for whoever brought it alone; nothing of it is kept."""
    bad = batches[CROWD // 2]

    def fail(session: Session, batches: Sequence[Batch]) -> Any:
        outcomes = record(session, batches)
        if bad in batches:
            raise ValueError("no room for this one")
        return outcomes

    monkeypatch.setattr("nimakit.web.rating.write_queue.record", fail)
    futures = take_at_once(study, batches)
    for batch, future in zip(batches, futures, strict=True):
        if batch is bad:
            with pytest.raises(ValueError, match="no room"):
                future.result()
        else:
            assert future.result().outcome.accepted == ["a"]
    assert {rating.rater_id for rating in study.ratings} == {
        batch.rater.id for batch in batches if batch is not bad
    }


def test_where_the_database_is_away_all_hear_it_at_once(
    study: Study, batches: list[Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits while it is tried for each of the others; nothing is kept."""
    tried: list[int] = []

    def fail(_session: Session, batches: Sequence[Batch]) -> Any:
        tried.append(len(batches))
        raise StorageError("the database is away")

    monkeypatch.setattr("nimakit.web.rating.write_queue.record", fail)
    for future in take_at_once(study, batches):
        with pytest.raises(StorageError, match="is away"):
            future.result()
    assert tried == [1, CROWD - 1]
    assert study.events == []

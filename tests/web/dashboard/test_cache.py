"""Statistics are computed once for each state of a collection, and pages do not wait for slow ones."""

import threading
from typing import Any

import pytest

from nimakit.errors import StorageError
from nimakit.web.dashboard import cache
from nimakit.web.dashboard.cache import Statistics, StatisticsCache
from web.study import Study, Visitor


class Slow:
    """Replaces the computation: counts its calls, and can be made to wait."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = threading.Event()
        self.go.set()
        self.error: Exception | None = None

    def __call__(self, *_given: Any) -> Any:
        """As `rating_statistics`."""
        self.asked += 1
        self.go.wait(20)
        if self.error:
            raise self.error
        return f"statistics {self.asked}"


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    """The replaced computation."""
    made = Slow()
    monkeypatch.setattr(cache, "rating_statistics", made)
    return made


def ask(study: Study, found: StatisticsCache, patience: float = 20) -> tuple[Any, bool]:
    """The statistics of the collection, and whether they are current."""
    with study.database.read() as session:
        statistics, is_current = found.of(session, study.collection, patience=patience)
    return statistics and statistics.ratings, is_current


def test_statistics_are_cached_until_the_ratings_change(study: Study, visitor: Visitor, slow: Slow) -> None:
    """A rating, a skip, an excluded rater or another scale cause a new computation; a reload does not."""
    found = StatisticsCache(study.database)
    assert [ask(study, found), ask(study, found)] == [("statistics 1", True)] * 2
    visitor.rate(study.images[0].id, 5)
    assert [ask(study, found), ask(study, found)] == [("statistics 2", True)] * 2
    visitor.send({"kind": "skip", "image": study.images[0].id})
    assert ask(study, found) == ("statistics 3", True)
    visitor.post(visitor.address(f"people/{visitor.rater.id}"), {"excluded": "1"})
    assert ask(study, found) == ("statistics 4", True)
    study.set(high=7)
    assert ask(study, found) == ("statistics 5", True)


def test_a_page_does_not_wait_for_slow_statistics(study: Study, visitor: Visitor, slow: Slow) -> None:
    """It has none at first, later those of before; they are computed once however many ask."""
    found = StatisticsCache(study.database)
    slow.go.clear()
    assert [ask(study, found, 0.05) for _ in range(2)] == [(None, False)] * 2
    slow.go.set()
    assert ask(study, found) == ("statistics 1", True)
    slow.go.clear()
    visitor.rate(study.images[0].id, 5)
    assert [ask(study, found, 0.05) for _ in range(2)] == [("statistics 1", False)] * 2
    slow.go.set()
    assert ask(study, found) == ("statistics 2", True)
    assert slow.asked == 2


def test_what_failed_is_tried_again(study: Study, slow: Slow) -> None:
    """After a failure of the database, the next request computes again."""
    found = StatisticsCache(study.database)
    slow.error = StorageError("away")
    with pytest.raises(StorageError):
        ask(study, found)
    slow.error = None
    assert ask(study, found) == ("statistics 2", True)


def test_few_collections_are_kept(study: Study, visitor: Visitor, slow: Slow) -> None:
    """The one looked at longest ago goes first."""
    found = StatisticsCache(study.database)
    collection = study.collection

    def look(key: int) -> Statistics | None:
        collection.id = key
        with study.database.read() as session:
            return found.of(session, collection, patience=20)[0]

    for key in (1, 2, 3, 4, 1, 5):
        look(key)
    assert slow.asked == 5
    look(1)
    assert slow.asked == 5
    look(2)
    assert slow.asked == 6

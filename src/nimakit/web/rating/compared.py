"""What has been compared in a collection, from which the next comparisons are designed."""

import threading
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit.stats.best_worst import Balance, decided_pairs
from nimakit.stats.bradley_terry import PRIOR_SD, mode
from nimakit.stats.histogram import FloatArray, IntArray
from nimakit.stats.pairwise import Pairs, curvature
from nimakit.web.db.outcomes import places
from nimakit.web.db.tables import FIRST, SKIP, Choice, Collection
from nimakit.web.rating.ordering import Candidates

_PLACES = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Compared:
    """The comparisons that were decided, among the pictures that can be shown at one moment.

    Attributes:
        candidates: The pictures.
        sets: (J, k) intp, the pictures of each comparison, as places among the candidates; -1 for pictures
            that cannot be shown now.
        best: (J,) intp, place in the set of the chosen picture; -1 for a tie.
        worst: (J,) intp, place in the set of the worst picture; -1 where nobody was asked.
    """

    candidates: Candidates
    sets: IntArray
    best: IntArray
    worst: IntArray

    @property
    def differences(self) -> float:
        """Independent differences that the comparisons tell, per picture."""
        return float(self.pairs.times.sum() / max(len(self.candidates.images), 1))

    @cached_property
    def pairs(self) -> Pairs:
        """The pairs that are decided, among the pictures that can be shown."""
        left, right, share, weight = decided_pairs(self.sets, self.best, self.worst)
        here = (left >= 0) & (right >= 0)
        return Pairs.count(left[here], right[here], share[here], weight[here], len(self.candidates.images))

    @cached_property
    def score(self) -> FloatArray:
        """(N,) float64, the most probable Bradley-Terry score of each picture, in logits."""
        return mode(self.pairs)

    @cached_property
    def information(self) -> FloatArray:
        """(N,) float64, how precisely each score would be known if all others were: 1 / variance."""
        return self.pairs.sum_by_image(self._curvature, self._curvature) + PRIOR_SD**-2

    def covariance(self, pool: IntArray) -> FloatArray:
        """(m, m) posterior covariance of the scores of some pictures, as if the others were known.

        With all pictures this is that of `nimakit.stats.bradley_terry.posterior`. A part of them takes
        milliseconds, however many there are.

        Args:
            pool: (m,) intp, their places.
        """
        pairs = self.pairs
        place = np.full(len(self.candidates.images), -1)
        place[pool] = np.arange(len(pool))
        first, second = place[pairs.first], place[pairs.second]
        inside = (first >= 0) & (second >= 0)
        between = self._curvature[inside]
        precision = np.diag(self.information[pool])
        precision[first[inside], second[inside]] -= between
        precision[second[inside], first[inside]] -= between
        return np.asarray(np.linalg.inv(precision), np.float64)

    def balance(self, pool: IntArray, count: FloatArray) -> Balance:
        """How often some pictures, and their pairs, were compared.

        Args:
            pool: (m,) intp, their places.
            count: (m,) float64, number of comparisons of each.
        """
        place = np.full(len(self.candidates.images) + 1, -1)  # the last is for pictures that cannot be shown
        place[pool] = np.arange(len(pool))
        known = place[self.sets]
        known = known[(known >= 0).sum(axis=1) > 1]
        together = np.zeros((len(pool), len(pool)))
        for left, right in combinations(range(known.shape[1]), 2):
            both = known[(known[:, left] >= 0) & (known[:, right] >= 0)][:, [left, right]]
            np.add.at(together, (both[:, 0], both[:, 1]), 1)
            np.add.at(together, (both[:, 1], both[:, 0]), 1)
        return Balance(count.copy(), together, self._parts[pool])

    @cached_property
    def _curvature(self) -> FloatArray:
        """(P,) float64, of each pair, at the most probable scores."""
        return curvature(self.pairs.margins(self.score), self.pairs.times)

    @cached_property
    def _parts(self) -> IntArray:
        """(N,) intp, equal for pictures that a chain of comparisons connects: the lowest place among them."""
        part = np.arange(len(self.candidates.images) + 1)
        members = np.where(self.sets >= 0, self.sets, len(part) - 1)
        while len(members):
            lowest = part[members].min(axis=1)
            before = part.copy()
            np.minimum.at(part, members.ravel(), np.repeat(lowest, members.shape[1]))
            part[-1] = len(part) - 1
            part = part[part]  # halves the chains
            if (part == before).all():
                break
        return part[:-1]


@dataclass(slots=True)
class _Log:
    """The latest answer to each comparison of a collection; a skip has neither best nor tie."""

    last: int = 0
    events: list[int] = field(default_factory=list)
    """The event of each row."""
    row: dict[tuple[int, str], int] = field(default_factory=dict)
    shown: _PLACES = field(default_factory=lambda: np.empty((0, 0), np.int64))
    outcome: _PLACES = field(default_factory=lambda: np.empty((0, 3), np.int64))
    """Whether it was decided, and the places of the best and the worst."""
    compared: Compared | None = None

    def read(self, session: Session, collection: Collection) -> None:
        """Add what was answered since."""
        columns = (
            *(Choice.rater_id, Choice.trial, Choice.event_id),
            *(Choice.kind, Choice.shown, Choice.chosen, Choice.worst),
        )
        wanted = select(*columns).where(
            Choice.collection_id == collection.id, Choice.round == FIRST, Choice.event_id > self.last
        )
        new: list[tuple[list[int], list[int]]] = []
        for rater, trial, event, kind, shown, chosen, worst in session.execute(wanted):
            self.last = max(self.last, event)
            answer = (list(shown), [int(kind != SKIP), *places(kind, shown, chosen, worst)])
            place = self.row.setdefault((rater, trial), len(self.row))
            self.events[place : place + 1] = [event]
            if place < len(self.shown):
                self.shown[place], self.outcome[place] = answer
            else:
                new.append(answer)
        if new:
            shown_now = np.array([shown for shown, _ in new], np.int64)
            outcomes = np.array([outcome for _, outcome in new], np.int64)
            self.shown = np.concatenate([self.shown, shown_now]) if len(self.shown) else shown_now
            self.outcome = np.concatenate([self.outcome, outcomes])

    def among(self, candidates: Candidates, choices: int) -> Compared:
        """What was decided, among the pictures that can be shown."""
        decided = self.outcome[:, 0] == 1
        shown = self.shown[decided] if len(self.shown) else np.empty((0, choices), np.int64)
        images = candidates.images.astype(np.int64)
        place = np.searchsorted(images, shown)
        is_there = np.append(images, 0)[place] == shown
        outcome = self.outcome[decided].astype(np.intp)
        return Compared(candidates, np.where(is_there, place, -1), outcome[:, 1], outcome[:, 2])


class ComparedCache:
    """What has been compared in each collection, as old as its candidates."""

    def __init__(self) -> None:
        self._logs: dict[int, _Log] = {}
        self._lock = threading.Lock()

    def get(self, session: Session, collection: Collection, candidates: Candidates) -> Compared:
        """What has been compared in a collection.

        Args:
            session: From `Database.read`.
            collection: One whose pictures are compared.
            candidates: Its pictures, from `CandidateCache`.
        """
        with self._lock:
            log = self._logs.setdefault(collection.id, _Log())
            if log.compared is None or log.compared.candidates is not candidates:
                own = (Choice.collection_id == collection.id, Choice.round == FIRST)
                stored = select(func.count(), func.coalesce(func.sum(Choice.event_id), 0)).where(*own)
                state = session.execute(stored).one()
                log.read(session, collection)
                if (len(log.events), sum(log.events)) != tuple(state):  # deleted, or committed out of order
                    log = self._logs[collection.id] = _Log()
                    log.read(session, collection)
                log.compared = log.among(candidates, collection.choices)
            return log.compared

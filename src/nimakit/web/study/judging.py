"""What answers say about how carefully raters rate: by agreement, gold pictures and attention checks."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nimakit.stats.best_worst import Pair
from nimakit.stats.bradley_terry import Comparisons
from nimakit.stats.careless import CAREFUL_PASSES, conformity, conformity_of_ratings, evidence_of_checks
from nimakit.stats.histogram import IntArray
from nimakit.web.db.outcomes import decided
from nimakit.web.db.tables import REPEAT, TIE

Looked = int | None
"""Milliseconds that a rater looked at a picture before the answer, if known."""

_ALIKE = -1
_MAX_COMPARED = 3000
"""Pictures whose comparisons are judged: the agreement of raters would take minutes for ten times as many."""
_MOST_MISSED = 0.1
_MIN_ANSWERED = 20
_CHANCE = 0.5


@dataclass(slots=True)
class Tally:
    """How often raters who agree with the others missed a gold picture.

    One that many of them miss does not tell careless raters from careful ones: its right answer is too
    narrow, or wrong. Raters who answer at random say nothing about it.

    Attributes:
        answered: Number of answers.
        missed: Number of wrong ones.
    """

    answered: int = 0
    missed: int = 0

    @property
    def counts(self) -> bool:
        """Whether it says anything about raters: not if more than 10 % of 20 or more answers are wrong."""
        return self.answered < _MIN_ANSWERED or self.missed <= _MOST_MISSED * self.answered


@dataclass(slots=True)
class Evidence:
    """What is known about one rater.

    Attributes:
        answers: First answers, without skips: a rating, or the place of the chosen picture (-1 for a tie).
        times: Milliseconds each of these took, where known.
        gold: For each gold picture answered that counts (`Tally`), whether the answer was right.
        attention: For each attention check answered, whether it was passed.
        differences: Absolute differences between first and second ratings.
        agreement: Nats in favour of a careful rater, by agreement with the others and by checks; below 0 for
            one who answers at random.
        judged: Number of answers that the agreement is from: ratings, or comparisons by the weights of their
            pairs, without ties.
    """

    answers: list[float] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    gold: list[bool] = field(default_factory=list)
    attention: list[bool] = field(default_factory=list)
    differences: list[float] = field(default_factory=list)
    agreement: float = 0.0
    judged: float = 0.0

    def add(self, answer: float, milliseconds: Looked) -> None:
        """Add a first answer and the time it took."""
        self.answers.append(answer)
        if milliseconds is not None:
            self.times.append(milliseconds)

    @property
    def gold_missed(self) -> int:
        """Number of gold pictures missed."""
        return self.gold.count(False)

    @property
    def attention_missed(self) -> int:
        """Number of attention checks missed."""
        return self.attention.count(False)

    @property
    def same(self) -> float:
        """Share of the most frequent answer among all; 0 without answers."""
        if not self.answers:
            return 0.0
        return float(np.unique(self.answers, return_counts=True)[1].max()) / len(self.answers)

    @property
    def median_seconds(self) -> float | None:
        """Median time per answer; None if no time is known."""
        return float(np.median(self.times)) / 1000 if self.times else None

    def faster(self, milliseconds: float) -> float:
        """Share of the answers whose time is known that took less; 0 without any."""
        return float((np.array(self.times) < milliseconds).mean()) if self.times else 0.0

    @property
    def difference(self) -> float | None:
        """Mean difference between first and second ratings; None without second ratings."""
        return float(np.mean(self.differences)) if self.differences else None


@dataclass(frozen=True, slots=True)
class Judged:
    """What is known about the raters and the gold pictures of a collection.

    Attributes:
        raters: By the ids of raters, those who answered only checks among them.
        gold: By the ids of gold pictures, those that were answered.
    """

    raters: dict[int, Evidence]
    gold: dict[int, Tally]


def judge_ratings(
    rows: Iterable[tuple[int, int, int, float, Looked]],
    ranges: Mapping[int, tuple[float, float]],
    values: Sequence[float],
    attention: Mapping[int, Sequence[bool]],
) -> Judged:
    """Judge raters by their ratings.

    Args:
        rows: Ids of rater and picture, round, rating and time; first ratings before repeats.
        ranges: Id of each gold picture -> lowest and highest right rating.
        values: All values of the scale.
        attention: Id of each rater -> whether each attention check was passed.
    """
    found: defaultdict[int, Evidence] = defaultdict(Evidence)
    first: dict[tuple[int, int], float] = {}
    results = []
    for rater, image, turn, value, elapsed in rows:
        one = found[rater]
        if turn == REPEAT:
            if (rater, image) in first:
                one.differences.append(abs(value - first[rater, image]))
            continue
        first[rater, image] = value
        one.add(value, elapsed)
        if image in ranges:
            low, high = ranges[image]
            results.append((rater, image, low <= value <= high))
    if first:
        users, user = np.unique([rater for rater, _ in first], return_inverse=True)
        images = np.unique([image for _, image in first], return_inverse=True)[1]
        agreement = conformity_of_ratings(images, user, np.array(list(first.values())))
        for rater, nats in zip(users.tolist(), agreement.tolist(), strict=True):
            found[rater].agreement, found[rater].judged = nats, len(found[rater].answers)
    scale, gold = np.array(values), _add_gold(found, results)
    counted = [right for image, right in ranges.items() if image not in gold or gold[image].counts]
    hits = [((scale >= low) & (scale <= high)).mean() for low, high in counted]
    chance = float(np.clip(np.mean(hits), 1 / len(scale), None)) if hits else _CHANCE
    _add_checks(found, attention, gold, chance, 1 / len(scale))
    return Judged(dict(found), gold)


def judge_choices(
    rows: Iterable[tuple[int, str, Sequence[int], int | None, int | None, Looked]],
    better: Mapping[int, int],
    choices: int,
    attention: Mapping[int, Sequence[bool]],
) -> Judged:
    """Judge raters by their comparisons.

    Args:
        rows: Id of the rater, kind, pictures shown, the chosen and the worst one, and time, without skips.
        better: Id of each gold picture -> id of the picture that it must win against.
        choices: Number of pictures that are compared.
        attention: As for `judge_ratings`.
    """
    found: defaultdict[int, Evidence] = defaultdict(Evidence)
    pairs, results = [], []
    for rater, kind, shown, chosen, worst, elapsed in rows:
        found[rater].add(_ALIKE if kind == TIE or chosen is None else shown.index(chosen), elapsed)
        for pair in decided(kind, shown, chosen, worst):
            pairs.append((rater, pair))
            if pair.right == better.get(pair.left):
                results.append((rater, pair.left, pair.share == 1))
            elif pair.left == better.get(pair.right):
                results.append((rater, pair.right, pair.share == 0))
    given = _comparisons(pairs)
    if given is not None:
        agreement = conformity(given)
        for place, name in enumerate(agreement.user_ids):
            one = found[int(name)]
            one.agreement, one.judged = float(agreement.evidence[place]), float(agreement.comparisons[place])
    gold = _add_gold(found, results)
    _add_checks(found, attention, gold, _CHANCE, 1 / choices)
    return Judged(dict(found), gold)


def _add_gold(found: Mapping[int, Evidence], results: Iterable[tuple[int, int, bool]]) -> dict[int, Tally]:
    """Add the gold pictures that count; returns how often each was missed by raters who agree with others."""
    results = list(results)
    tallies: defaultdict[int, Tally] = defaultdict(Tally)
    for rater, image, right in results:
        tally = tallies[image]
        if found[rater].agreement >= 0:
            tally.answered += 1
            tally.missed += not right
    for rater, image, right in results:
        if tallies[image].counts:
            found[rater].gold.append(right)
    return dict(tallies)


def _add_checks(
    found: defaultdict[int, Evidence],
    attention: Mapping[int, Sequence[bool]],
    gold: Mapping[int, Tally],
    gold_chance: float,
    attention_chance: float,
) -> None:
    """Add the attention checks, and to the evidence what they and gold pictures say."""
    for rater, passed in attention.items():
        found[rater].attention.extend(passed)
    counted = [tally for tally in gold.values() if tally.counts]
    answered, missed = (sum(getattr(one, name) for one in counted) for name in ("answered", "missed"))
    careful = 1 - (missed + (1 - CAREFUL_PASSES) * _MIN_ANSWERED) / (answered + _MIN_ANSWERED)
    raters = list(found.values())
    checks = evidence_of_checks(*_numbers(one.gold for one in raters), gold_chance, careful)
    checks += evidence_of_checks(*_numbers(one.attention for one in raters), attention_chance)
    for one, more in zip(raters, checks.tolist(), strict=True):
        one.agreement += more


def _numbers(results: Iterable[Sequence[bool]]) -> tuple[IntArray, IntArray]:
    """(U,) each: numbers of checks passed and missed."""
    pairs = np.array([(sum(one), len(one) - sum(one)) for one in results], np.intp).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _comparisons(pairs: Sequence[tuple[int, Pair]]) -> Comparisons | None:
    """Pairs with the ids of their raters as comparisons; None without any, or with too many pictures."""
    images, places = np.unique([pair[:2] for _, pair in pairs], return_inverse=True)
    if not pairs or len(images) > _MAX_COMPARED:
        return None
    users, user = np.unique([rater for rater, _ in pairs], return_inverse=True)
    places = places.reshape(-1, 2)
    return Comparisons(
        tuple(map(str, images.tolist())),
        places[:, 0],
        places[:, 1],
        np.array([pair.share for _, pair in pairs]),
        weight=np.array([pair.weight for _, pair in pairs]),
        user_ids=tuple(map(str, users.tolist())),
        user=user,
    )

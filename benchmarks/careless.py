"""How many careless and careful raters the app's rule excludes: the figures of docs/rate.md.

    python benchmarks/careless.py [--studies 12] [--seed 5000]

Simulated studies of 60 pictures by 200 raters, of whom 10 % are careless. Careful raters perceive with
errors that differ by a factor of up to four between raters, use the scale differently, and misread 5 % of the
attention checks. Careless raters answer everything at random, near the middle, always the same, or at random
for half of the pictures and checks. All raters answer the gold pictures as they answer any other. These come
from the agreement of 20 other raters, of whom 10 % are careless, or from the owner: the half of the scale to
which the best or worst pictures belong, or a range of a third of the scale around the true rating of any
picture; where pictures are compared, pairs from the best and the worst tenth, or the better and worse half.

A rater is excluded for the reasons of `nimakit.web.study.exclusion.reasons` with the default settings. Times
and repeats are not simulated. Gold pictures that many raters who agree with
the others miss do not count (`Tally.counts`).
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nimakit.stats.histogram import FloatArray
from nimakit.web.db.tables import BEST_WORST, CHOICE, FIRST, Checks
from nimakit.web.rating.checks import DEFAULTS
from nimakit.web.study.exclusion import reasons
from nimakit.web.study.gold import agreed_pairs, agreed_ranges
from nimakit.web.study.judging import Judged, judge_choices, judge_ratings

PICTURES, RATERS, CARELESS, PILOT = 60, 200, 20, 20
ERROR = 0.9
"""Typical error of a careful rater, in standard deviations of the pictures."""
MISREAD = 0.05
AGREEMENT, PLAIN, NARROW = "agreement", "owner, plain", "owner, narrow"


@dataclass(frozen=True, slots=True)
class Setting:
    """What raters do.

    Attributes:
        experiment: "score", "preference" or "best-worst".
        steps: Ratings, or pictures of a comparison.
        each: Answers of each rater.
        kind: What careless raters do: "random", "middle", "same" or "half".
        gold: Number of gold pictures.
        source: Where their right answers come from.
        every: Answers from one attention check to the next; 0 for none.
    """

    experiment: str
    steps: int
    each: int
    kind: str = "random"
    gold: int = 0
    source: str = AGREEMENT
    every: int = 0


def settings() -> Iterator[Setting]:
    """All settings, the one that studies are advised to use first."""
    yield Setting("score", 10, 40, gold=3, source=PLAIN, every=10)
    kinds = [("score", 10, each, "random") for each in (20, 30, 40, 60)]
    kinds += [("score", 10, 40, kind) for kind in ("middle", "same", "half")]
    kinds += [("score", 5, 40, "random")]
    kinds += [("preference", 2, each, "random") for each in (20, 30, 40)]
    kinds += [("preference", 4, each, "random") for each in (20, 30)]
    kinds += [(BEST_WORST, 5, each, "random") for each in (10, 20)]
    kinds += [(BEST_WORST, 5, 20, "half")]
    for one in kinds:
        yield Setting(*one)
        yield Setting(*one, gold=3, source=PLAIN, every=10)
    for each in (20, 40):
        for source in (AGREEMENT, PLAIN, NARROW):
            for gold in (1, 3, 6):
                yield Setting("score", 10, each, gold=gold, source=source)
    for experiment, steps in (("preference", 2), ("preference", 4), (BEST_WORST, 5)):
        for gold in (1, 3):
            for source in (AGREEMENT, PLAIN, NARROW):
                yield Setting(experiment, steps, 20, gold=gold, source=source)
    yield Setting("score", 10, 60, every=5)


def study(setting: Setting, random: np.random.Generator) -> tuple[Judged, int]:
    """What is known about the raters, of whom the first are careless; and the number of gold pictures."""
    truth = random.normal(0, 1, PICTURES)
    if setting.experiment != "score":
        return _compared(setting, truth, random)
    ratings = _ratings(setting, truth, RATERS, CARELESS, random)
    gold = _ranges(setting, truth, random)
    rows = []
    for rater in range(RATERS):
        others = [image for image in random.permutation(PICTURES).tolist() if image not in gold]
        shown = [*gold, *others][: setting.each]
        rows += [(rater, image, FIRST, float(ratings[rater, image]), None) for image in shown]
    values = list(range(1, setting.steps + 1))
    return judge_ratings(rows, gold, values, _attention(setting, random)), len(gold)


def _ratings(
    setting: Setting, truth: FloatArray, raters: int, careless: int, random: np.random.Generator
) -> FloatArray:
    """(raters, PICTURES) ratings; the first raters are careless."""
    steps, shape = setting.steps, (raters, PICTURES)
    errors = ERROR * 2 ** random.uniform(-1, 1, (raters, 1))
    levels, use = random.normal(0, 0.4, (raters, 1)), random.uniform(0.7, 1.3, (raters, 1))
    seen = use * (truth + errors * random.normal(size=shape)) + levels
    middle = (steps + 1) / 2
    rating = np.round(middle + seen * (steps - 1) / 5).clip(1, steps)
    bad = np.arange(raters)[:, None] < careless
    blind = random.integers(1, steps + 1, shape)
    match setting.kind:
        case "middle":
            blind = np.round(middle + random.normal(0, (steps - 1) / 8, shape)).clip(1, steps)
        case "same":
            blind[:] = blind[:, :1]
        case "half":
            bad = bad & (random.random(shape) < 0.5)
    return np.where(bad, blind, rating)


def _ranges(
    setting: Setting, truth: FloatArray, random: np.random.Generator
) -> Mapping[int, tuple[float, float]]:
    """The right ratings of the gold pictures."""
    if not setting.gold:
        return {}
    if setting.source == AGREEMENT:
        pilot = _ratings(setting, truth, PILOT, PILOT // 10, random)
        return agreed_ranges(dict(enumerate(pilot.T.tolist())), 1, setting.steps, setting.gold)
    middle, width = (setting.steps + 1) / 2, setting.steps - 1
    if setting.source == PLAIN:
        chosen = np.argsort(-np.abs(truth))[: setting.gold].tolist()
        return {image: (middle, setting.steps) if truth[image] > 0 else (1, middle) for image in chosen}
    chosen = random.permutation(PICTURES)[: setting.gold].tolist()
    right = (middle + truth * width / 5).clip(1, setting.steps)
    return {image: (right[image] - width / 6, right[image] + width / 6) for image in chosen}


def _compared(setting: Setting, truth: FloatArray, random: np.random.Generator) -> tuple[Judged, int]:
    pilot = _choices(setting, truth, PILOT, PILOT // 10, {}, random=random)
    if not setting.gold:
        gold = {}
    elif setting.source == AGREEMENT:
        gold = agreed_pairs((row[1:5] for row in pilot), {*range(PICTURES)}, setting.gold)
    else:
        order, count = np.argsort(truth), PICTURES // (10 if setting.source == PLAIN else 2)
        parts = order[:count], order[-count:]
        worse, better = (random.permutation(part)[: setting.gold] for part in parts)
        gold = dict(zip(better.tolist(), worse.tolist(), strict=True))
    rows = _choices(setting, truth, RATERS, CARELESS, gold, random=random)
    return judge_choices(rows, gold, setting.steps, _attention(setting, random)), len(gold)


def _choices(
    setting: Setting,
    truth: FloatArray,
    raters: int,
    careless: int,
    gold: Mapping[int, int],
    *,
    random: np.random.Generator,
) -> list[tuple[int, str, list[int], int, int | None, None]]:
    """Rows of comparisons; the first raters are careless, and all are shown the gold pairs."""
    errors, rows = ERROR * 2 ** random.uniform(-1, 1, raters), []
    for rater in range(raters):
        pairs = list(gold.items())
        for turn in range(setting.each):
            first = pairs[turn] if turn < len(pairs) else ()
            others = [image for image in random.permutation(PICTURES).tolist() if image not in first]
            shown = [*first, *others][: setting.steps]
            seen = truth[shown] + errors[rater] * random.normal(size=len(shown))
            if rater < careless and (setting.kind == "random" or random.random() < 0.5):
                seen = random.normal(size=len(shown))
            worst = shown[int(seen.argmin())] if setting.experiment == BEST_WORST else None
            rows.append((rater, CHOICE, shown, shown[int(seen.argmax())], worst, None))
    return rows


def _attention(setting: Setting, random: np.random.Generator) -> dict[int, list[bool]]:
    """Which attention checks each rater passes: careless ones do not read them, or half of them."""
    count = (setting.each - 1) // setting.every if setting.every else 0
    misread = random.random((RATERS, count)) < MISREAD
    misread[:CARELESS] |= random.random((CARELESS, count)) < (0.5 if setting.kind == "half" else 1)
    passed = ~misread | (random.random((RATERS, count)) < 1 / setting.steps)
    return dict(enumerate(passed.tolist()))


def main() -> None:
    """Print a row for each setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", type=int, default=12)
    parser.add_argument("--seed", type=int, default=5000)
    given = parser.parse_args()
    rule = Checks(**{**DEFAULTS, "excludes": True})
    columns = ["experiment", "answers", "careless", "gold pictures, those that count", "missed"]
    columns += ["attention check every", "found", "accused", "by gold"]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for setting in settings():
        rows, gold, missed = [], [], []
        for number in range(given.studies):
            judged, count = study(setting, np.random.default_rng(given.seed + number))
            why = [reasons(judged.raters[rater], rule) for rater in range(RATERS)]
            out = np.array([bool(one) for one in why])
            by_gold = np.array([any("gold" in reason for reason in one) for one in why])
            rows.append([out[:CARELESS].mean(), out[CARELESS:].mean(), by_gold[CARELESS:].mean()])
            gold.append([count, sum(tally.counts for tally in judged.gold.values())])
            missed += [tally.missed / tally.answered for tally in judged.gold.values() if tally.answered]
        found = " | ".join(f"{100 * value:.1f} %" for value in np.mean(rows, axis=0))
        many, used = np.mean(gold, axis=0)
        shown = f"{many:.1f}, {used:.1f} from {setting.source}" if setting.gold else "-"
        share = f"{100 * np.mean(missed):.0f} %" if missed else "-"
        name = f"{setting.experiment}, {setting.steps} | {setting.each} | {setting.kind}"
        print(f"| {name} | {shown} | {share} | {setting.every or '-'} | {found} |", flush=True)


if __name__ == "__main__":
    main()

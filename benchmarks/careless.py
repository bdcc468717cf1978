"""How many careless and careful raters the checks find: the figures of docs/rate.md.

    python benchmarks/careless.py [--studies 12] [--seed 5000]

Simulated studies of 60 pictures by 200 raters, of whom 10 % are careless. Careful raters perceive with
errors that differ by a factor of up to four between raters, and use the scale differently; they miss 5 % of
the checks. Careless raters answer at random, near the middle, always the same, or at random for half of the
pictures (and pass half of the checks by reading them). Each rater is shown three gold pictures, of which a
third of the scale is right (where pictures are compared: one of two), and an attention check after every ten
answers. A rater is excluded by `nimakit.stats.careless.is_careless`, as in the app: by agreement with the
others only, and with the checks.
"""

import argparse
from dataclasses import dataclass

import numpy as np

from nimakit.stats.bradley_terry import Comparisons
from nimakit.stats.careless import conformity, conformity_of_ratings, evidence_of_checks, is_careless
from nimakit.stats.histogram import FloatArray
from nimakit.web.db.outcomes import decided
from nimakit.web.db.tables import BEST_WORST, CHOICE

PICTURES, RATERS, CARELESS, GOLD = 60, 200, 20, 3
ERROR = 0.9
"""Typical error of a careful rater, in standard deviations of the pictures."""
KINDS = ("random", "middle", "same", "half")


@dataclass(frozen=True, slots=True)
class Setting:
    """What raters do.

    Attributes:
        experiment: "score", "preference" or "best-worst".
        steps: Ratings, or pictures of a comparison.
        each: Answers of each rater.
        kind: What careless raters do, of `KINDS`.
    """

    experiment: str
    steps: int
    each: int
    kind: str = "random"


SETTINGS = [
    *(Setting("score", 10, each, kind) for each in (20, 30, 40, 60) for kind in KINDS),
    Setting("score", 5, 40),
    *(Setting("preference", 2, each) for each in (20, 40)),
    *(Setting("preference", 4, each) for each in (20, 30)),
    *(Setting(BEST_WORST, 5, each, kind) for each in (10, 20) for kind in ("random", "half")),
]


def study(setting: Setting, random: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(U,) answers judged, evidence by agreement, and with checks; the first raters are the careless ones."""
    errors = ERROR * 2 ** random.uniform(-1, 1, RATERS)
    judge = _ratings if setting.experiment == "score" else _comparisons
    judged, agreement = judge(setting, errors, random)
    return judged, agreement, agreement + _checks(setting, random)


def _ratings(
    setting: Setting, errors: FloatArray, random: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """(U,) ratings of each rater, and evidence."""
    steps, each, kind = setting.steps, setting.each, setting.kind
    image = np.concatenate([random.permutation(PICTURES)[:each] for _ in range(RATERS)])
    user = np.repeat(np.arange(RATERS), each)
    levels, use = random.normal(0, 0.4, RATERS), random.uniform(0.7, 1.3, RATERS)
    seen = random.normal(0, 1, PICTURES)[image] + errors[user] * random.normal(size=len(image))
    middle = (steps + 1) / 2
    rating = np.round(middle + (use[user] * seen + levels[user]) * (steps - 1) / 5).clip(1, steps)
    bad = user < CARELESS
    match kind:
        case "random":
            rating[bad] = random.integers(1, steps + 1, bad.sum())
        case "middle":
            rating[bad] = np.round(middle + random.normal(0, (steps - 1) / 8, bad.sum())).clip(1, steps)
        case "same":
            rating[bad] = random.integers(1, steps + 1, CARELESS)[user[bad]]
        case _:
            blind = bad & (random.random(len(user)) < 0.5)
            rating[blind] = random.integers(1, steps + 1, blind.sum())
    return np.full(RATERS, float(each)), conformity_of_ratings(image, user, rating)


def _comparisons(
    setting: Setting, errors: FloatArray, random: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """(U,) comparisons of each rater by their weights, and evidence."""
    quality, found = random.normal(0, 1, PICTURES), []
    for rater in np.repeat(np.arange(RATERS), setting.each).tolist():
        shown = random.permutation(PICTURES)[: setting.steps]
        seen = quality[shown] + errors[rater] * random.normal(size=len(shown))
        if rater < CARELESS and (setting.kind == "random" or random.random() < 0.5):
            seen = random.normal(size=len(shown))
        worst = int(shown[seen.argmin()]) if setting.experiment == BEST_WORST else None
        pairs = decided(CHOICE, shown.tolist(), int(shown[seen.argmax()]), worst)
        found += [(rater, *pair) for pair in pairs]
    user, left, right, share, weight = map(np.array, zip(*found, strict=True))
    names = [tuple(map(str, range(count))) for count in (PICTURES, RATERS)]
    given = Comparisons(names[0], left, right, share, weight=weight, user_ids=names[1], user=user)
    result = conformity(given)
    return result.comparisons, result.evidence


def _checks(setting: Setting, random: np.random.Generator) -> FloatArray:
    """(U,) evidence of the gold pictures and attention checks."""
    found = np.zeros(RATERS)
    gold_chance = 0.35 if setting.experiment == "score" else 0.5
    for count, chance in ((GOLD, gold_chance), (setting.each // 10 - 1, 1 / setting.steps)):
        passing = np.full(RATERS, 0.95)
        passing[:CARELESS] = 0.5 * chance + 0.5 * 0.95 if setting.kind == "half" else chance
        passed = random.binomial(count, passing)
        found += evidence_of_checks(passed, count - passed, chance)
    return found


def main() -> None:
    """Print a row for each setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", type=int, default=12)
    parser.add_argument("--seed", type=int, default=5000)
    given = parser.parse_args()
    print("| experiment | answers | judged | careless | found | accused | found, checks | accused, checks |")
    print("|---|---|---|---|---|---|---|---|")
    for setting in SETTINGS:
        rows = []
        for number in range(given.studies):
            judged, *both = study(setting, np.random.default_rng(given.seed + number))
            out = [is_careless(evidence, judged) for evidence in both]
            rows.append([share for one in out for share in (one[:CARELESS].mean(), one[CARELESS:].mean())])
        found = " | ".join(f"{100 * value:.1f} %" for value in np.mean(rows, axis=0))
        name = f"{setting.experiment}, {setting.steps}"
        print(f"| {name} | {setting.each} | {np.median(judged):g} | {setting.kind} | {found} |", flush=True)


if __name__ == "__main__":
    main()

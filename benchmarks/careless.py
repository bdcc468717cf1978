"""How many careless and careful raters the checks find: the figures of docs/rate.md.

    python benchmarks/careless.py [--studies 12] [--seed 5000]

Simulated studies of 60 pictures by 200 raters, of whom 10 % are careless. Careful raters perceive with
errors that differ by a factor of up to four between raters, and use the scale differently; they miss 5 % of
the checks. Careless raters answer at random, near the middle, always the same, or at random for half of the
pictures (and pass half of the checks by reading them). Each rater is shown three gold pictures, whose right
range is a third of the scale, and an attention check after every ten pictures. A rater is excluded whose
evidence is -0.1 nats or less (`nimakit.stats.careless`): by agreement with the others only, and with the
checks.
"""

import argparse

import numpy as np

from nimakit.stats.careless import MIN_EVIDENCE, conformity_of_ratings, evidence_of_checks
from nimakit.stats.histogram import FloatArray

PICTURES, RATERS, CARELESS, GOLD = 60, 200, 20, 3
GOLD_CHANCE = 0.35
KINDS = ("random", "middle", "same", "half")
SETTINGS = [(10, each, kind) for each in (20, 30, 40, 60) for kind in KINDS] + [(5, 40, "random")]


def study(steps: int, each: int, kind: str, random: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """(U,) evidence by agreement, and with checks; the first raters are the careless ones."""
    image = np.concatenate([random.permutation(PICTURES)[:each] for _ in range(RATERS)])
    user = np.repeat(np.arange(RATERS), each)
    errors, levels, use = (
        2 ** random.uniform(-1, 1, RATERS),
        random.normal(0, 0.4, RATERS),
        random.uniform(0.7, 1.3, RATERS),
    )
    seen = random.normal(0, 1, PICTURES)[image] + 0.9 * errors[user] * random.normal(size=len(image))
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
    agreement = conformity_of_ratings(image, user, rating)
    return agreement, agreement + _checks(each, steps, kind, random)


def _checks(each: int, steps: int, kind: str, random: np.random.Generator) -> FloatArray:
    """(U,) evidence of the gold pictures and attention checks."""
    found = np.zeros(RATERS)
    for count, chance in ((GOLD, GOLD_CHANCE), (each // 10 - 1, 1 / steps)):
        passing = np.full(RATERS, 0.95)
        passing[:CARELESS] = 0.5 * chance + 0.5 * 0.95 if kind == "half" else chance
        passed = random.binomial(count, passing)
        found += evidence_of_checks(passed, count - passed, chance)
    return found


def main() -> None:
    """Print a row for each setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", type=int, default=12)
    parser.add_argument("--seed", type=int, default=5000)
    given = parser.parse_args()
    print("| scale | ratings each | careless | found | accused | found, with checks | accused, with checks |")
    print("|---|---|---|---|---|---|---|")
    for steps, each, kind in SETTINGS:
        rows = []
        for number in range(given.studies):
            both = study(steps, each, kind, np.random.default_rng(given.seed + number))
            out = [evidence <= -MIN_EVIDENCE for evidence in both]
            rows.append([share for one in out for share in (one[:CARELESS].mean(), one[CARELESS:].mean())])
        found = " | ".join(f"{100 * value:.1f} %" for value in np.mean(rows, axis=0))
        print(f"| 1-{steps} | {each} | {kind} | {found} |")


if __name__ == "__main__":
    main()

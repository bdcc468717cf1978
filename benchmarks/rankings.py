"""How fast rankings become right, and how many careless raters are found: the figures of docs/data.md.

    python benchmarks/rankings.py [--images 60] [--studies 12] [--output CURVES.svg]

Simulated studies. The images' true scores are normal, with a standard deviation of 1.5 logits. In each
judgement the rater perceives each image shown with an error (Gumbel, so that choices between two follow
Bradley and Terry's model) and chooses the best, or the best and the worst, of what was perceived. Scores are
fitted with the prior of `nimakit.stats.bradley_terry` and compared with the true ones.

curves: SRCC after so many judgements, for pairs at random, pairs by expected information and best-worst
sets of 4 and 5; and the judgements that an SRCC takes, in per cent of those of random pairs. Also how well
intervals and forecasts keep what they say: how many true ranks lie in the 95 % intervals, and how many
neighbours are in the right order against the certainty stated.

app: the same with the pictures that the rating app serves to eight raters in turn, five comparisons at a
time, for each experiment and order (docs/rate.md), and the milliseconds that serving them takes.

careless: 200 raters of whom 10 % choose at random; the others perceive with errors between half and twice the
usual size. Each compares 40 random pairs.
"""

import argparse
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from nimakit.stats.best_worst import balanced_sets, decided_pairs, informative_sets
from nimakit.stats.bradley_terry import Comparisons, Scores, fit, posterior
from nimakit.stats.careless import conformity
from nimakit.stats.correlation import srcc
from nimakit.stats.histogram import FloatArray, IntArray
from nimakit.stats.pairwise import Pairs
from nimakit.stats.ranking import certainty
from nimakit.web.db.tables import BEST_WORST, Collection
from nimakit.web.rating.compared import Compared
from nimakit.web.rating.ordering import Candidates
from nimakit.web.rating.sampler import Sampler

STEPS = (15, 30, 60, 90, 120, 180, 240, 360, 480, 720, 960)
BATCH = 15
TARGETS = (0.7, 0.8, 0.85, 0.9)
SPREAD = 1.5
RATERS, CARELESS, EACH = 200, 20, 40
COLUMNS = {
    "random pairs": 2,
    "pairs by information": 2,
    "best-worst of 4": 4,
    "best-worst of 5": 5,
    "best-worst of 4 by information": 4,
}

APP = (
    ("preference", "random", 2),
    ("preference", "active", 2),
    ("preference", "random", 4),
    ("preference", "active", 4),
    ("best-worst", "random", 5),
    ("best-worst", "active", 5),
)
"""Experiment, order and pictures of a comparison."""
APP_STEPS = (60, 120, 240, 480)
APP_RATERS, SERVED = 8, 5

Judged = tuple[IntArray, IntArray, FloatArray, FloatArray]


def judge(shown: IntArray, truth: FloatArray, random: np.random.Generator) -> Judged:
    """The pairs that a rater decides of sets (J, k): images, shares and weights."""
    seen = truth[shown] + random.gumbel(size=shown.shape)
    return decided_pairs(shown, seen.argmax(axis=1), seen.argmin(axis=1))


def fitted(images: int, compared: list[Judged]) -> Scores:
    """Scores by all judgements so far."""
    return fit(Comparisons(tuple(map(str, range(images))), *_all(compared)))


def _all(compared: list[Judged]) -> Judged:
    nothing = decided_pairs(np.empty((0, 2), np.intp), np.empty(0, np.intp), np.empty(0, np.intp))
    left, right, share, weight = (np.concatenate(parts) for parts in zip(nothing, *compared, strict=True))
    return left, right, share, weight


def random_pairs(images: int, count: int, random: np.random.Generator) -> IntArray:
    """Pairs (count, 2) of two different images."""
    first = random.integers(0, images, count)
    return np.stack([first, (first + random.integers(1, images, count)) % images], axis=1)


def informed(
    images: int, compared: list[Judged], *, size: int, sets: int, random: np.random.Generator
) -> IntArray:
    """The sets that tell most, given all judgements so far."""
    score, covariance = posterior(Pairs.count(*_all(compared), images))
    return informative_sets(score, covariance, size=size, sets=sets, generator=random)


def study(method: str, truth: FloatArray, random: np.random.Generator) -> list[Scores]:
    """Scores after each of the steps."""
    images, size = len(truth), COLUMNS[method]
    design = balanced_sets(images, size=size, sets=STEPS[-1], generator=random)
    compared: list[Judged] = []
    found: list[Scores] = []
    for done in range(0, STEPS[-1], BATCH):
        if method == "random pairs":
            shown = random_pairs(images, BATCH, random)
        elif "information" in method:
            shown = informed(images, compared, size=size, sets=BATCH, random=random)
        else:
            shown = design[done : done + BATCH]
        compared.append(judge(shown, truth, random))
        if done + BATCH in STEPS:
            found.append(fitted(images, compared))
    return found


def curves(images: int, studies: int, output: Path | None) -> None:
    """Print the curves, what each SRCC takes, and how far intervals and certainties can be trusted."""
    reached: dict[str, FloatArray] = {}
    print("\n| judgements | " + " | ".join(COLUMNS) + " |\n|---|" + "---|" * len(COLUMNS))
    checks: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for method in COLUMNS:
        table = np.empty((studies, len(STEPS)))
        for number in range(studies):
            random = np.random.default_rng(number)
            truth = random.normal(0, SPREAD, images)
            for column, scores in enumerate(study(method, truth, random)):
                table[number, column] = srcc(scores.score, truth) or 0.0
                checks[method].append(_check(scores, truth))
        reached[method] = table.mean(axis=0)
    for column, step in enumerate(STEPS):
        print(f"| {step} | " + " | ".join(f"{curve[column]:.3f}" for curve in reached.values()) + " |")
    print("\nJudgements to an SRCC, in per cent of those of random pairs:")
    for target in TARGETS:
        needed = {method: _needed(curve, target) for method, curve in reached.items()}
        base = needed["random pairs"]
        print(f"  {target}: " + ", ".join(f"{name} {100 * n / base:.0f}" for name, n in needed.items()))
    print("\nMethod: true ranks inside their 95 % interval; neighbours in the right order, and as stated:")
    for method, rows in checks.items():
        print(f"  {method}: " + ", ".join(f"{100 * value:.0f} %" for value in np.mean(rows, axis=0)))
    if output:
        _draw(reached, output)


def app_curves(images: int, studies: int) -> None:
    """Print the curves of the rating app, and how long it takes to serve comparisons."""
    print("\n| experiment | order | pictures | " + " | ".join(map(str, APP_STEPS)) + " | ms |")
    print("|---|---|---|" + "---|" * (len(APP_STEPS) + 1))
    for experiment, ordering, size in APP:
        collection = Collection(experiment=experiment, ordering=ordering, choices=size)
        found = [app_study(collection, images, number) for number in range(studies)]
        curve, seconds = np.mean([reached for reached, _ in found], axis=0), np.mean([s for _, s in found])
        cells = " | ".join(f"{value:.2f}" for value in curve)
        print(f"| {experiment} | {ordering} | {size} | {cells} | {1000 * seconds:.1f} |")


def app_study(collection: Collection, images: int, seed: int) -> tuple[list[float], float]:
    """SRCC after each of the steps, and the mean seconds that serving took."""
    random, size = np.random.default_rng(seed), collection.choices
    truth, nothing = random.normal(0, SPREAD, images), np.zeros(images)
    sets, best, worst = np.empty((0, size), np.intp), np.empty(0, np.intp), np.empty(0, np.intp)
    made: dict[int, list[tuple[int, ...]]] = defaultdict(list)
    reached, taken = [], []
    while len(sets) < APP_STEPS[-1]:
        count = np.bincount(sets.ravel(), minlength=images).astype(np.float64)
        ids = np.arange(1, images + 1, dtype=np.uint64)
        compared = Compared(Candidates(ids, count, nothing, nothing, nothing > 0), sets, best, worst)
        if len(sets) in APP_STEPS:
            reached.append(srcc(compared.score, truth) or 0.0)
        rater = len(sets) // SERVED % APP_RATERS
        begin = time.perf_counter()
        sampler = Sampler(
            collection, compared, made[rater], buffered=set(), reserved=nothing, generator=random
        )
        served = list(sampler.draw(SERVED))
        taken.append(time.perf_counter() - begin)
        made[rater] += served
        shown = np.array(served, np.intp) - 1
        seen = truth[shown] + random.gumbel(size=shown.shape)
        sets, best = np.vstack([sets, shown]), np.append(best, seen.argmax(axis=1))
        asked = seen.argmin(axis=1) if collection.experiment == BEST_WORST else np.full(len(shown), -1)
        worst = np.append(worst, asked)
    return [*reached, srcc(compared.score, truth) or 0.0][: len(APP_STEPS)], float(np.mean(taken))


def _check(scores: Scores, truth: FloatArray) -> tuple[float, float, float]:
    ranks = np.argsort(np.argsort(-truth)) + 1
    inside = (scores.rank_low <= ranks) & (ranks <= scores.rank_high)
    right = np.diff(truth[np.argsort(-scores.score, kind="stable")]) < 0
    return float(inside.mean()), float(right.mean()), certainty(scores.score, scores.variance)


def _needed(curve: FloatArray, target: float) -> float:
    """Judgements until a curve reaches a value, interpolated; NaN if it never does."""
    return float(np.interp(target, np.maximum.accumulate(curve), STEPS, right=np.nan))


def _draw(reached: dict[str, FloatArray], output: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for (method, curve), style in zip(reached.items(), ("-", "--", "-", "-", "--"), strict=True):
        axes.plot(STEPS, curve, style, marker="o", markersize=3, label=method)
    axes.set(xscale="log", xlabel="judgements", ylabel="SRCC with the true scores", xticks=STEPS[::2])
    axes.set_xticks(STEPS[::2], [str(step) for step in STEPS[::2]])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(output)


def careless(images: int, studies: int) -> None:
    """Print which share of careless and of careful raters is excluded."""
    found, accused, gained = [], [], []
    for number in range(studies):
        random = np.random.default_rng(number)
        truth = random.normal(0, SPREAD, images)
        error = 2 ** random.uniform(-1, 1, RATERS)
        error[:CARELESS] = 1e9
        user = np.repeat(np.arange(RATERS), EACH)
        pairs = random_pairs(images, len(user), random)
        seen = truth[pairs] + random.gumbel(size=pairs.shape) * error[user, None]
        names = tuple(map(str, range(images)))
        left_chosen = (seen[:, 0] > seen[:, 1]).astype(np.float64)
        raters = tuple(map(str, range(RATERS)))
        given = Comparisons(names, pairs[:, 0], pairs[:, 1], left_chosen, user_ids=raters, user=user)
        out = np.isin(np.arange(RATERS), [int(name) for name in conformity(given).careless])
        found.append(out[:CARELESS].mean())
        accused.append(out[CARELESS:].mean())
        kept = given.only(~out[user])
        gained.append([srcc(fit(one).score, truth) or 0.0 for one in (given, kept)])
    print(
        f"\nCareless raters found: {100 * np.mean(found):.1f} %; careful raters accused:"
        f" {100 * np.mean(accused):.2f} %; SRCC with all raters and without those excluded:"
        f" {np.mean(gained, axis=0).round(4).tolist()}"
    )


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--studies", type=int, default=12)
    parser.add_argument("--output", type=Path, help="Also draw the curves, .svg or .png.")
    given = parser.parse_args()
    curves(given.images, given.studies, given.output)
    app_curves(given.images, given.studies)
    careless(given.images, given.studies)


if __name__ == "__main__":
    main()

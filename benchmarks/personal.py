"""How well scores follow one person's taste: the tables of docs/personal.md.

    python benchmarks/personal.py oasis --encoder NAME@HxW [...] --ratings-file RATINGS --image-dir IMAGES
    python benchmarks/personal.py flickr-aes --model MODEL --ratings-file WORKERS --image-dir IMAGES

oasis: for each seed 100 people and a fifth of the pictures are held out. The generic model is a head on the
features, fitted to what the other people said of the other pictures; a picture that it learned from is scored
by a fit to all others. So it has seen neither the pictures that a person learns from nor those of the test.
Nothing sees a test picture, or a rating by a person held out except the k of theirs. The other people rated
these k pictures, too, which factors makes use of; "factors, new pictures" is without that. Comparisons are of
random pairs of the pictures that a person may learn from, decided by their ratings of the two.

flickr-aes: Ren et al., "Personalized Image Aesthetics", 2017: of each test worker k pictures are learned from
and the others tested with, 10 times for k=10 and 3 times for k=100. The base is the model as it is, which
must not have learned from the test workers' pictures: `nimakit data flickr-aes` leaves them out.

Given is SRCC with a person's own ratings, the mean over people with its 95 % interval.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nimakit.datasets import flickr_aes
from nimakit.features import extract
from nimakit.images.files import match_images
from nimakit.io.arrays import Arrays
from nimakit.io.tables import BadRows
from nimakit.labels.ratings import Ratings, read_ratings
from nimakit.models import loading
from nimakit.models.encoders import load_encoder
from nimakit.models.taste import PROBES, Taste
from nimakit.personal import fit
from nimakit.personal.learning import NOISE_SHARE, RatedImages, rescaled, score_rated
from nimakit.personal.population import Population
from nimakit.progress import say
from nimakit.stats.correlation import srcc
from nimakit.stats.head import fit_gaussian, log_histograms
from nimakit.stats.histogram import FloatArray, mean, normalise, softmax
from nimakit.stats.joint import Choices
from nimakit.stats.pairwise import Pairs

HELD_OUT = 100
TEST_SHARE = 0.2
COUNTS = (0, 10, 50, 100)
COMPARISONS = (10, 30, 100)
OASIS_BINS = np.arange(1.0, 8.0)
FOLDS = {10: 10, 100: 3}

Learn = Callable[..., Arrays]
"""Features of pictures, their generic scores, a person's ratings, and perhaps comparisons, to a taste."""


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """Somebody held out.

    Attributes:
        number: Which person.
        pool: Places of pictures they rated that may be learned from, in random order.
        test: Places of pictures they rated that are tested with.
        ratings: (N,) float64, NaN where they rated nothing.
    """

    number: int
    pool: NDArray[np.intp]
    test: NDArray[np.intp]
    ratings: FloatArray

    def choices(self, count: int, seen: RatedImages) -> Choices:
        """What they would choose from random pairs of the pool; equal ratings are a tie."""
        random = np.random.default_rng(self.number)
        left = random.integers(0, len(self.pool), count)
        right = (left + random.integers(1, len(self.pool), count)) % len(self.pool)
        gap = self.ratings[self.pool[left]] - self.ratings[self.pool[right]]
        pairs = Pairs.count(left, right, (1 + np.sign(gap)) / 2, np.ones(count), len(self.pool))
        images, pairs = pairs.compact()
        places = self.pool[images]
        noise = NOISE_SHARE * (OASIS_BINS[-1] - OASIS_BINS[0])
        return Choices(pairs, seen.features[places].astype(np.float64), seen.means[places], noise)


class Table:
    """SRCC by method, number of ratings and person; seconds and bytes by method."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._seconds: dict[tuple[str, int], list[float]] = defaultdict(list)
        self._bytes: dict[str, int] = {}

    def add(self, method: str, count: int, person: Person, scores: FloatArray) -> None:
        """Take note of how somebody's test pictures were scored."""
        found = srcc(scores, person.ratings[person.test])
        if found is not None:  # it is of no use where somebody rated all alike
            self._found[method, count][person.number].append(found)

    def compare(
        self,
        person: Person,
        count: int,
        seen: RatedImages,
        methods: Mapping[str, Learn],
        *,
        by_choices: bool = False,
    ) -> None:
        """Learn somebody's taste by each method, from ratings or comparisons, and take note of it."""
        chosen = person.pool[: 0 if by_choices else count]
        given = [seen.features[chosen], seen.means[chosen], person.ratings[chosen]]
        given += [person.choices(count, seen)] if by_choices else []
        for name, learn in methods.items():
            method = f"{name}, comparisons" if by_choices else name
            started = time.perf_counter()
            arrays = learn(*given)
            self._seconds[method, count].append(time.perf_counter() - started)
            self._bytes[method] = sum(array.nbytes for array in arrays.values())
            means = seen.means[person.test]
            self.add(method, count, person, means + shift(arrays, means, seen.features[person.test]))

    def show(self) -> None:
        """Print it."""
        print("| method | ratings | SRCC | gain on generic | ms a person | kB a person |")
        print("|---|---|---|---|---|---|")
        for (method, count), by_person in self._found.items():
            values = {person: float(np.mean(found)) for person, found in by_person.items()}
            generic = self._found.get(("generic", count)) or self._found["generic", 0]
            gains = [value - float(np.mean(generic[person])) for person, value in values.items()]
            seconds = self._seconds.get((method, count))
            cells = [method, str(count), interval([*values.values()]), interval(gains)]
            cells.append(f"{1000 * np.mean(seconds):.0f}" if seconds else "-")
            cells.append(f"{self._bytes[method] / 1000:.1f}" if method in self._bytes else "-")
            print("| " + " | ".join(cells) + " |")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("protocol", choices=["oasis", "flickr-aes"])
    parser.add_argument("--model", help="of flickr-aes")
    parser.add_argument(
        "--encoder", nargs="+", default=[], help="of oasis, such as efficientnet-lite2@260x260"
    )
    parser.add_argument("--ratings-file", required=True, type=Path)
    parser.add_argument("--image-dir", required=True, type=Path)
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[3, 4, 5, 6, 7],
        help="not 0 to 2, or 11 to 15, of oasis: the constants of nimakit.personal.fit were chosen on those",
    )
    arguments = parser.parse_args()
    rows = BadRows(skip=False)
    if arguments.protocol == "oasis":
        ratings = read_ratings(arguments.ratings_file, bins=OASIS_BINS, rows=rows)
        seen, widths = see(arguments.encoder, ratings, arguments.image_dir)
        oasis(seen, arguments.seeds, widths=widths).show()
        return
    model = loading.load_model(arguments.model)
    given = flickr_aes.read_worker_ratings(arguments.ratings_file, rows)
    ratings = rescaled(given, (1.0, 5.0), model.bins)
    seen = score_rated(model, ratings, arguments.image_dir, notify=say)
    flickr(seen, arguments.seeds, workers=flickr_aes.standard_test_workers(given)).show()


def see(names: Sequence[str], ratings: Ratings, image_dir: Path) -> tuple[RatedImages, list[int]]:
    """The features of rated pictures by encoders, and how many each gives; there are no scores yet."""
    encoders = []
    for name, _, size in (text.partition("@") for text in names):
        encoder = load_encoder(name, notify=say)
        height, width = map(int, size.split("x")) if size else encoder.input_size
        encoders.append(encoder.at((height, width)))
    paths = match_images(ratings.image_ids, image_dir)
    table = extract(encoders, [path for path in paths.values() if path])
    kept = ratings.among(table.ids)
    features = np.concatenate([block[0] for block in table.blocks], axis=1)
    seen = RatedImages(kept, table.paths, features, np.zeros(len(features)))
    return seen, [block.shape[2] for block in table.blocks]


def oasis(seen: RatedImages, seeds: Sequence[int], *, widths: list[int]) -> Table:
    """People and pictures held out at once; another base, other people and other pictures for each seed.

    Args:
        seen: All ratings, and the features of all pictures.
        seeds: One for each time.
        widths: How many of the features each of the encoders gives.
    """
    table = Table()
    rated = by_person(seen.ratings)
    for seed in seeds:
        random = np.random.default_rng(seed)
        is_test = np.zeros(len(seen.means), np.bool_)
        is_test[random.permutation(len(is_test))[: round(TEST_SHARE * len(is_test))]] = True
        held = random.permutation(len(rated))[:HELD_OUT]
        others = np.delete(rated, held, axis=0)
        seen = replace(seen, means=_generic(seen, others, is_test, widths))
        population = learn(seen, seen.means, np.where(is_test, np.nan, others))
        everyone = np.nanmean(others, axis=0)
        new = {"factors, new pictures": without_pictures(population).place}
        choosers: dict[str, Learn] = {"head": fit.fit_head, "factors": population.place}
        methods = choosers | new
        for number in held:
            own = rated[number]
            pool = random.permutation(np.flatnonzero(~np.isnan(own) & ~is_test))
            person = Person(number, pool, np.flatnonzero(~np.isnan(own) & is_test), own)
            table.add("generic", 0, person, seen.means[person.test])
            for count in COUNTS:
                table.compare(person, count, seen, methods)
            for count in COMPARISONS:
                table.compare(person, count, seen, choosers, by_choices=True)
            table.add("mean of everyone else", 0, person, everyone[person.test])
        say(f"seed {seed} done")
    return table


def flickr(seen: RatedImages, seeds: Sequence[int], *, workers: list[str]) -> Table:
    """Each test worker's pictures divided at random.

    Args:
        seen: All ratings.
        seeds: The first of them; a fold is drawn by each from there on.
        workers: The test workers.
    """
    table = Table()
    rated = by_person(seen.ratings)
    held = [place for place, name in enumerate(seen.ratings.user_ids) if name in workers]
    is_test = ~np.isnan(rated[held]).all(axis=0)
    population = learn(seen, seen.means, np.where(is_test, np.nan, np.delete(rated, held, axis=0)))
    methods = {"head": fit.fit_head, "factors": population.place}
    for count, folds in FOLDS.items():
        for fold in range(folds):
            random = np.random.default_rng(seeds[0] + fold)
            for number in held:
                places = random.permutation(np.flatnonzero(~np.isnan(rated[number])))
                person = Person(number, places[:count], places[count:], rated[number])
                table.add("generic", count, person, seen.means[person.test])
                table.compare(person, count, seen, methods)
    return table


def by_person(given: Ratings) -> FloatArray:
    """(people, pictures) float64, NaN where somebody did not rate a picture."""
    rated = np.full((len(given.user_ids), len(given.image_ids)), np.nan)
    rated[given.user, given.image] = given.rating
    return rated


def _generic(
    seen: RatedImages, others: FloatArray, is_test: NDArray[np.bool_], widths: list[int]
) -> FloatArray:
    """(N,) mean scores of pictures by a histogram head that saw neither them nor the people held out."""
    user, image = np.nonzero(~np.isnan(others))
    counts = np.zeros((len(is_test), len(OASIS_BINS)))
    np.add.at(counts, (image, np.rint(others[user, image] - OASIS_BINS[0]).astype(int)), 1)
    blocks = np.split(seen.features, np.cumsum(widths)[:-1], axis=1)
    known = counts[~is_test]
    found = fit_gaussian(
        [block[None, ~is_test] for block in blocks],
        log_histograms(normalise(known)),
        counts=known.sum(axis=1),
    )
    means = mean(softmax(found.head(blocks)), OASIS_BINS)
    means[~is_test] = mean(softmax(found.left_out), OASIS_BINS)
    return means


def learn(seen: RatedImages, means: FloatArray, others: FloatArray) -> Population:
    """What people teach by their ratings, (people, pictures), NaN for none."""
    user, image = np.nonzero(~np.isnan(others))
    _, user = np.unique(user, return_inverse=True)
    used, image = np.unique(image, return_inverse=True)
    return fit.learn(
        *(seen.features[used], means[used], image, user, others[~np.isnan(others)]),
        base=np.zeros(PROBES),
        base_name="benchmark",
    )


def without_pictures(population: Population) -> Population:
    """The same directions, with no picture that anybody is known to have rated."""
    return replace(
        population,
        expected=population.expected[:0],
        loadings=population.loadings[:0],
        offsets=population.offsets[:0],
    )


def shift(arrays: Arrays, means: FloatArray, features: NDArray[np.float32]) -> FloatArray:
    """(N,) what a linear method adds to the generic scores of pictures."""
    taste = Taste(method="head", base=np.zeros(PROBES), base_name="benchmark", ratings=0, arrays=arrays)
    return taste.shift(means, features)


def interval(values: list[float]) -> str:
    """The mean over people, and half of its 95 % interval."""
    return f"{np.mean(values):.3f} ± {1.96 * np.std(values, ddof=1) / np.sqrt(len(values)):.3f}"


if __name__ == "__main__":
    main()

"""How well residual adapters and whole networks follow one person's taste: a table of docs/personal.md.

    python benchmarks/personal_layers.py --ratings-file RATINGS --image-dir IMAGES

A fifth of the pictures of OASIS and 100 people are held out, as in benchmarks/personal.py. The base is the
public MobileNet, fine-tuned by `nimakit train` to what the other people said of the other pictures. The first
of the people held out are taught to it by each method, and tested with their ratings of pictures held out.

What the network makes of the pictures is computed once for everybody; the seconds given are what it takes for
one person's alone, without the export of a whole network. Networks are scored by Keras, which the tests hold
to the engine. What was trained and found is kept in --work-dir: a run that was interrupted goes on.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nimakit.io.arrays import Arrays
from nimakit.io.tables import BadRows
from nimakit.jobs import Job
from nimakit.labels.label_file import write_labels
from nimakit.labels.ratings import read_ratings, to_counts
from nimakit.models import loading as model_loading
from nimakit.nn.networks import keras_model
from nimakit.nn.networks.adapters import get_arrays
from nimakit.nn.personal.tangent_learner import Linearisation, TangentLearner
from nimakit.personal import fit as linear
from nimakit.personal.learning import RatedImages, score_rated
from nimakit.progress import say
from nimakit.stats.correlation import srcc
from nimakit.stats.histogram import FloatArray
from personal import COUNTS, HELD_OUT, OASIS_BINS, TEST_SHARE, Person, by_person, interval, learn, shift

SIDE = 128
CONFIG = {
    "base_model_name": "MobileNet",
    "existing_weights": "aesthetic",
    "n_classes": len(OASIS_BINS),
    "input_size": [SIDE, SIDE],
    "resize_filter": "bicubic",
    "ridge_start": True,
    "epochs_train_dense": 0,
    "epochs_train_all": 3,
    "learning_rate_all": 5e-5,
    "dropout_rate": 0,
    "img_format": "jpg",
}
"""Small pictures and few epochs: teaching somebody takes a fifth of what it would at 320x256."""
KINDS: dict[str, dict[str, Any]] = {
    "adapters": {"method": "adapters"},
    "adapters in series": {"method": "adapters", "placement": "series"},
    "adapters, --batch-norm": {"method": "adapters", "batch_norm": True},
    "full": {"method": "full"},
}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--ratings-file", required=True, type=Path)
    parser.add_argument("--image-dir", required=True, type=Path)
    parser.add_argument("--work-dir", type=Path, default=Path("train_jobs/personal"))
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=KINDS, default=[*KINDS])
    parser.add_argument("--counts", nargs="+", type=int, default=[*COUNTS], help="ratings to learn from")
    arguments = parser.parse_args()
    wanted = _wanted(arguments.methods, arguments.counts)
    ratings = read_ratings(arguments.ratings_file, bins=OASIS_BINS, rows=BadRows(skip=False))
    rated = by_person(ratings)
    random = np.random.default_rng(arguments.seed)
    is_test = np.zeros(len(ratings.image_ids), np.bool_)
    is_test[random.permutation(len(is_test))[: round(TEST_SHARE * len(is_test))]] = True
    held = random.permutation(len(rated))[:HELD_OUT]
    known = ratings.only(~np.isin(ratings.user, held) & ~is_test[ratings.image])
    arguments.work_dir.mkdir(parents=True, exist_ok=True)
    samples = arguments.work_dir / "samples.json"
    write_labels(samples, list(known.image_ids), to_counts(known, OASIS_BINS))
    job = _base(samples, arguments.image_dir, arguments.work_dir)
    seen = score_rated(model_loading.load_model(job.model_file), ratings, arguments.image_dir, notify=say)
    study = Study(job, seen, np.delete(rated, held, axis=0), is_test, arguments.methods)
    found = arguments.work_dir / "found.jsonl"
    done = {(row["method"], row["ratings"], row["person"]) for row in _rows(found)}
    for number in held[: arguments.people].tolist():
        own = rated[number]
        pool = random.permutation(np.flatnonzero(~np.isnan(own) & ~is_test))
        person = Person(number, pool, np.flatnonzero(~np.isnan(own) & is_test), own)
        for method, count in wanted:
            if (method, count, number) not in done:
                row = {
                    "method": method,
                    "ratings": count,
                    "person": number,
                    **study.try_out(person, method, count),
                }
                with found.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(row) + "\n")
        say(f"person {number} done")
    _show(_rows(found), held[: arguments.people].tolist(), wanted)


def _wanted(methods: Iterable[str], counts: Sequence[int]) -> list[tuple[str, int]]:
    """Methods, and from how many ratings each learns; without any, none changes a score."""
    learned = [(method, count) for method in ("head", "factors", *methods) for count in counts]
    return [("generic", 0), *learned, ("mean of everyone else", 0)]


class Study:
    """The base, and what it makes of the pictures.

    Args:
        job: What was trained.
        seen: All ratings, and the pictures as the base sees them.
        others: (people, pictures), of those who are not held out; NaN for none.
        is_test: (pictures,), which are held out.
        methods: Which of `KINDS` are tried.
    """

    def __init__(
        self,
        job: Job,
        seen: RatedImages,
        others: FloatArray,
        is_test: NDArray[np.bool_],
        methods: Sequence[str],
    ) -> None:
        self._seen = seen
        self._others = others
        self._size = job.model_file.stat().st_size
        self._network = keras_model.load(job.folder)
        self._population = learn(seen, seen.means, np.where(is_test, np.nan, others))
        self._learners = {method: self._admit(**kind) for method, kind in KINDS.items() if method in methods}

    def try_out(self, person: Person, method: str, count: int) -> dict[str, Any]:
        """SRCC with somebody's test ratings after learning from some others, with seconds and bytes."""
        scores, size, seconds = self._scores(person, method, count, person.pool[:count])
        found = srcc(scores, person.ratings[person.test])
        return {"srcc": found, "seconds": seconds, "bytes": size}

    def _scores(
        self, person: Person, method: str, count: int, chosen: NDArray[np.intp]
    ) -> tuple[FloatArray, int, float]:
        """(test pictures,) scores, how many bytes are kept of the person, and after how many seconds."""
        means, test = self._seen.means, person.test
        if method == "mean of everyone else":
            return np.nanmean(self._others[:, test], axis=0), 0, 0.0
        if method == "generic" or (count == 0 and method in KINDS):
            return means[test], 0, 0.0
        given = (self._seen.features[chosen], means[chosen], person.ratings[chosen])
        if method in ("head", "factors"):
            started = time.perf_counter()
            arrays = linear.fit_head(*given) if method == "head" else self._population.place(*given)
            seconds = time.perf_counter() - started
            return (means + shift(arrays, means, self._seen.features))[test], _bytes(arrays), seconds
        learner, linearised, seconds = self._learners[method]
        started = time.perf_counter()
        learner.learn(linearised.subset(chosen), given[2], given[1])
        seconds = seconds * count + time.perf_counter() - started
        size = self._size if method == "full" else _bytes(get_arrays(learner.network))
        return learner.means(linearised.pixels[test]), size, seconds

    def _admit(self, **kind: Any) -> tuple[TangentLearner, Linearisation, float]:
        """A learner, its linearisation of all pictures, and the seconds for one picture."""
        learner = TangentLearner(self._network, **kind)
        learner.linearise(self._seen.paths[:1])  # compiles
        started = time.perf_counter()
        linearised = learner.linearise(self._seen.paths)
        return learner, linearised, (time.perf_counter() - started) / len(self._seen.paths)


def _bytes(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays.values())


def _base(samples: Path, image_dir: Path, work_dir: Path) -> Job:
    """The base, of an earlier run or trained now."""
    jobs = [Job.open(file.parent) for file in sorted((work_dir / "jobs").glob("*/run.json"))]
    if jobs:
        options = ["--resume", str(jobs[0].folder)]
    else:
        config = work_dir / "config.json"
        config.write_text(json.dumps(CONFIG), "utf-8")
        options = ["--config-file", str(config), "--samples-file", str(samples)]
        options += ["--image-dir", str(image_dir), "--jobs-dir", str(work_dir / "jobs")]
    command = [sys.executable, "-m", "nimakit", "train", *options]
    return Job(Path(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()))


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def _show(rows: list[dict[str, Any]], people: list[int], wanted: Iterable[tuple[str, int]]) -> None:
    """Print the table; somebody who rated all test pictures alike is of no use."""
    found: dict[tuple[str, int], Mapping[int, dict[str, Any]]] = {
        key: {row["person"]: row for row in rows if (row["method"], row["ratings"]) == key} for key in wanted
    }
    people = [
        person
        for person in people
        if all(person in own for own in found.values()) and found["generic", 0][person]["srcc"] is not None
    ]
    print(f"{len(people)} people\n")
    print("| method | ratings | SRCC | gain on generic | seconds a person | kB a person |")
    print("|---|---|---|---|---|---|")
    for (method, count), by_number in found.items():
        own = [by_number[person] for person in people]
        generic = [found["generic", 0][person]["srcc"] for person in people]
        values = [row["srcc"] for row in own]
        gains = [value - start for value, start in zip(values, generic, strict=True)]
        cells = [method, str(count), interval(values), interval(gains)]
        cells.append(f"{np.mean([row['seconds'] for row in own]):.1f}")
        cells.append(f"{np.mean([row['bytes'] for row in own]) / 1000:.1f}")
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()

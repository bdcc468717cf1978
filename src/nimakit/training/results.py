"""What a job writes once its model is there: metrics, a report and a model card."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nimakit import __version__
from nimakit.errors import UsageError
from nimakit.images.photo import MAX_PIXELS, PixelArray, Preprocessing, open_photo, prepare
from nimakit.io.atomic import atomic_writer
from nimakit.jobs import Job, Split
from nimakit.labels.ratings import Ratings
from nimakit.models import intervals
from nimakit.models.engine import Model
from nimakit.models.intervals import KnownErrors
from nimakit.models.metadata import Metadata
from nimakit.models.network import Network
from nimakit.models.pretrained import Notify
from nimakit.scoring import model_card, report
from nimakit.scoring.evaluation import Evaluation, evaluate
from nimakit.scoring.judgement import Judgement, chief, judge, predictions_of_start
from nimakit.stats import histogram
from nimakit.stats.histogram import FloatArray
from nimakit.training.labelled_set import JobData

_TIMED_IMAGES = 4

LEFT_OUT = "leave-one-out"
"""Name of the evaluation in which each image is scored by a fit to all others."""

_COVERAGE = 0.9
"""Coverage of the interval in the report."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Results:
    """Results of a job.

    Attributes:
        title: Heading of the report.
        metadata: Metadata of the model.
        facts: Further facts about model and run: name -> value.
        history: A row per epoch; empty for a head that was fitted in closed form.
        evaluations: Name of the set -> evaluation on it.
        bins: (bins,), values of the model's bins.
        start: The model it started from, as for `nimakit.models.loading.load_model`; None if unknown.
        ratings: Single ratings, from which the labels were made; None if unknown.
        explain: Draws what the model looks at; None to leave that out.
    """

    title: str
    metadata: Metadata
    facts: Mapping[str, str]
    history: Sequence[Mapping[str, Any]]
    evaluations: Mapping[str, Evaluation]
    bins: FloatArray
    start: str | Path | None = None
    ratings: Ratings | None = None
    explain: report.Explain | None = None


def evaluate_sets(
    model: Model, data: JobData, started_from: Split, notify: Notify, *, else_training: bool = True
) -> dict[str, Evaluation]:
    """Evaluate a model on the validation and the test set.

    Args:
        model: The job's model.
        data: Its photographs.
        started_from: Images that the weights it started from were trained on.
        notify: Called with a sentence about a set that cannot be scored.
        else_training: Whether to evaluate it on all photographs if there is neither set.
    """
    sets = {"validation": [data.items[index] for index in data.parts["validation"]], "test": data.test}
    if else_training and not any(sets.values()):
        sets = {"training": data.items}
    trained = frozenset(data.items[index].image_id for index in data.parts["training"])
    split = {**started_from, "training": trained | started_from.get("training", frozenset())}
    evaluations: dict[str, Evaluation] = {}
    for name, items in sets.items():
        try:
            if items:
                evaluations[name] = evaluate(
                    model, items, label=f"scoring the {name} photographs", split=split
                )
        except UsageError as error:  # none of them can be decoded
            notify(f"no figures for the {name} set: {error}")
    return evaluations


def store_errors(job: Job, evaluations: Mapping[str, Evaluation]) -> dict[str, str]:
    """Store the model's errors in its file, so that its scores can have intervals.

    They are those on the validation set, which was not learned from; without one, those of leave-one-out fits
    (the jackknife: Lei and others, 2018, section 2.4).

    Returns:
        A fact for the report; none if there is neither.
    """
    name = next((name for name in ("validation", LEFT_OUT) if name in evaluations), None)
    if name is None:
        return {}
    found = evaluations[name]
    real = histogram.mean(found.labels, found.label_bins)
    basis = f"{len(real)} photographs, {name}"
    known_errors = KnownErrors.of(found.means, real, basis)
    intervals.write(job.model_file, known_errors)
    largest = len(known_errors.errors) / (len(known_errors.errors) + 1)
    if largest < _COVERAGE:
        return {"intervals": f"up to {largest:.0%}, from {basis}"}
    width = known_errors.half_width(_COVERAGE, job.name)
    return {"intervals": f"{_COVERAGE:.0%} of mean ratings are within {width:.2f} of the score, from {basis}"}


def write_results(job: Job, results: Results, notify: Notify) -> None:
    """Write metrics.json, the model card and the report, and report the metrics."""
    for name, evaluation in results.evaluations.items():
        notify(f"{name}: {evaluation.metrics}")
        for note in evaluation.metrics.notes:
            notify(f"{name}: {note}")
    judgement = _judgement(results, notify)
    for line in judgement.lines if judgement else ():
        notify(line)
    figures = {name: evaluation.metrics for name, evaluation in results.evaluations.items()}
    with atomic_writer(job.metrics_file) as stream:
        json.dump({name: figure.to_dict() for name, figure in figures.items()}, stream, indent=2)
        stream.write("\n")
    with atomic_writer(job.card_file) as stream:
        stream.write(model_card.render(metadata=results.metadata, metrics=figures, facts=results.facts))
    page = report.render(
        title=results.title,
        facts=results.facts,
        history=results.history,
        evaluations=results.evaluations,
        bins=results.bins,
        max_pixels=MAX_PIXELS,
        judgement=judgement,
        explain=results.explain,
    )
    with atomic_writer(job.report_file) as stream:
        stream.write(page)
    notify(f"report: {job.report_file}")


def _judgement(results: Results, notify: Notify) -> Judgement | None:
    """Whether the model is good enough; None without any evaluation."""
    part = chief(results.evaluations)
    if part is None:
        return None
    found = results.evaluations[part]
    start = None if results.start is None else predictions_of_start(results.start, found, notify=notify)
    return judge(part, found, results.bins, start=start, ratings=results.ratings)


def seconds_per_image(network: Network, paths: Sequence[Path]) -> float:
    """Time to run a network on one prepared image, on one core: the median of a few.

    Without files, the images are noise.
    """
    times = []
    wanted = network.metadata.preprocessing
    images = [prepare(open_photo(path), wanted) for path in paths[:_TIMED_IMAGES]]
    for pixels in [image[None] for image in images] or [noise(wanted)] * _TIMED_IMAGES:
        begin = time.perf_counter()
        network.run(pixels)
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def noise(wanted: Preprocessing) -> PixelArray:
    """(1, height, width, 3) uint8 of random pixels, where there is no photograph."""
    return np.random.default_rng(0).integers(0, 256, (1, wanted.height, wanted.width, 3), dtype=np.uint8)


def run_facts(job: Job, seed: int) -> dict[str, str]:
    """Facts about a run, for its report and model card."""
    return {"seed": str(seed), "began": job.run()["starts"][0], "nimakit": __version__}

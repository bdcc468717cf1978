"""A job with ``head_only``: features, a head fitted to them, and one file that joins it with its encoders."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nimakit.config import HeadConfig
from nimakit.errors import ModelError
from nimakit.heads import fitting, joining, rater_bias
from nimakit.heads.blocks import load_blocks
from nimakit.heads.fitting import FittedHead
from nimakit.images.photo import open_photo, prepare
from nimakit.jobs import Job
from nimakit.labels.label_file import read_labels
from nimakit.labels.ratings import Ratings
from nimakit.models.encoders import Encoder
from nimakit.models.engine import Member, Model
from nimakit.models.network import Network
from nimakit.models.pretrained import Notify
from nimakit.scoring.evaluation import Evaluation, counts_of, of_predictions
from nimakit.stats import histogram
from nimakit.stats.head import MAX_EXAMPLES
from nimakit.stats.histogram import FloatArray
from nimakit.training.distillation import STUDENT, distil
from nimakit.training.head_features import Learned, open_features
from nimakit.training.labelled_set import JobData
from nimakit.training.results import (
    LEFT_OUT,
    Results,
    evaluate_sets,
    noise,
    run_facts,
    seconds_per_image,
    store_errors,
    write_results,
)

if TYPE_CHECKING:
    import onnx

_TOLERANCE = 1e-4
_AT_ONCE = 1024
"""Photographs whose features are in memory together."""


@dataclass(frozen=True, slots=True, eq=False)
class _Ratings:
    """Labels of the training images.

    Attributes:
        labels: (N, bins) float64, rows sum to 1.
        counts: (N,) float64, numbers of ratings; None if unknown.
        facts: What was done to them, for the report.
        single: Single ratings; None if none were given.
    """

    labels: FloatArray
    counts: FloatArray | None
    facts: dict[str, str]
    single: Ratings | None = None


def train_head(
    job: Job, config: HeadConfig, data: JobData, notify: Notify, train_student: Callable[[Job], None]
) -> None:
    """Fit a head, write the model file, evaluate it, and train a student if one is wanted.

    Args:
        job: The job.
        config: Its config.
        data: Its photographs.
        notify: Called with messages about the progress.
        train_student: Runs or resumes the job of a student.

    Raises:
        ImageError: Photographs cannot be decoded, and may not be left out; the error lists them.
        NimakitError: Encoders, labels or ratings cannot be used.
    """
    encoders = load_blocks(config, notify=notify)
    names = " + ".join(encoder.label for encoder in encoders)
    notify(f"{names}: {len(data.parts['training'])} photographs to learn from")
    with open_features(job, config, data, encoders) as learned:
        ratings = _ratings(job, config, data, learned.rows)
        for sentence in ratings.facts.values():
            notify(sentence)
        head = _fit(config, data, learned, ratings, notify)
        graph = joining.join(
            [encoder.graph() for encoder in encoders],
            head.fitted.head,
            data.metadata(job, names, encoders[0].preprocessing, licence=_licence(encoders)),
            is_regression=config.head == "regression",
        )
        network = _write_model(job, graph, encoders, learned)
        evaluations = {LEFT_OUT: _left_out(data, learned, head, config.seed)}
        evaluations |= _evaluate_features(data, learned, head, config)
    model = Model([Member(network)])
    if not data.features:
        evaluations |= evaluate_sets(model, data, {}, notify, else_training=False)
    students = {}
    if job.student_config_file.is_file():
        student = distil(job, data, model, train=train_student, notify=notify)
        evaluations[STUDENT] = student.evaluation
        students = {"student": student.fact}
    results = Results(
        title=f"{names}, {job.name}",
        metadata=network.metadata,
        facts={
            **_facts(config, encoders, head, learned.rows),
            **ratings.facts,
            **store_errors(job, evaluations),
            "size of the file": f"{job.model_file.stat().st_size / 1e6:.1f} MB",
            "time for an image, on one core": f"{seconds_per_image(network, learned.paths):.2f} s",
            **students,
            **run_facts(job, config.seed),
        },
        history=[],
        evaluations=evaluations,
        bins=data.bins,
        ratings=ratings.single,
    )
    write_results(job, results, notify)


def _fit(
    config: HeadConfig, data: JobData, learned: Learned, ratings: _Ratings, notify: Notify
) -> FittedHead:
    begin = time.perf_counter()
    head = fitting.fit(
        learned.blocks,
        ratings.labels,
        data.bins,
        kernel=config.kernel,
        counts=ratings.counts,
        is_regression=config.head == "regression",
        balanced=config.balance_ratings,
        most=len(learned.rows) if data.features else None,
        seed=config.seed,
    )
    notify(f"head fitted in {time.perf_counter() - begin:.1f} seconds")
    return head


def _facts(
    config: HeadConfig, encoders: Sequence[Encoder], head: FittedHead, rows: Sequence[int]
) -> dict[str, str]:
    """What was fitted, for the report."""
    shares = zip(encoders, head.fitted.shares, strict=True)
    return {
        "encoders": " + ".join(encoder.label for encoder in encoders),
        "learned from": f"{len(rows)} photographs",
        "head": f"{config.kernel} ridge regression, {config.head}",
        "learned from each encoder": ", ".join(f"{encoder.label} {share:.0%}" for encoder, share in shares),
    }


def _ratings(job: Job, config: HeadConfig, data: JobData, rows: Sequence[int]) -> _Ratings:
    """The labels of the training images, corrected for their raters if single ratings are given."""
    labels = data.labels[list(rows)]
    image_ids = [data.items[row].image_id for row in rows]
    given = read_labels(job.samples_file)
    counts = None
    if given.counts is not None:
        number = dict(zip(given.image_ids, given.counts.sum(axis=1), strict=True))
        counts = np.array([number[name] for name in image_ids])
    if not config.ratings_file:
        return _Ratings(labels, counts, {})
    ratings = rater_bias.read_single_ratings(job.ratings_file(Path(config.ratings_file).suffix), data.bins)
    corrected = rater_bias.remove(image_ids, labels, data.bins, ratings)
    missing = int(np.isnan(corrected.counts).sum())
    known = corrected.counts if not missing else counts
    fact = str(corrected)
    if missing:
        fact += f"; {missing} of {len(rows)} photographs have no single ratings and keep their labels"
    return _Ratings(corrected.histograms, known, {"raters": fact}, ratings)


def _licence(encoders: Sequence[Encoder]) -> str:
    """The licence of a file that contains the encoders, as an SPDX expression."""
    licences = list(dict.fromkeys(encoder.metadata.licence for encoder in encoders))
    return "unknown" if "unknown" in licences else " AND ".join(licences)


def _write_model(
    job: Job, graph: "onnx.ModelProto", encoders: Sequence[Encoder], learned: Learned
) -> Network:
    """Write the model file, once it gives the features that were learned from."""
    partial = job.folder / ".model.onnx"
    try:
        partial.write_bytes(graph.SerializeToString())
        _check(Network(partial), encoders, learned)
        partial.replace(job.model_file)
    finally:
        partial.unlink(missing_ok=True)
    return Network(job.model_file)


def _check(network: Network, encoders: Sequence[Encoder], learned: Learned) -> None:
    """Check that the joined file gives the features that were learned from.

    Without photographs, that it gives for noise what its encoders give.

    Raises:
        ModelError: It does not.
    """
    wanted = encoders[0].preprocessing
    if learned.paths:
        pixels = prepare(open_photo(learned.paths[0]), wanted)[None]
        expected = np.concatenate([block[0, 0] for block in learned.blocks])
    else:
        pixels = noise(wanted)
        expected = np.concatenate([encoder.encode(pixels)[0] for encoder in encoders])
    received = network.run(pixels).features[0]
    worst = float(np.abs(received - expected).max())
    if not worst <= _TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise ModelError(
            "The joined file must give the features that its encoders give. Received: features that are"
            f" off by {worst:g} for {learned.paths[0] if learned.paths else 'noise'}"
        )


def _left_out(data: JobData, learned: Learned, head: FittedHead, seed: int) -> Evaluation:
    """How the head does on images it has not seen: each is predicted by a fit to all others.

    Of more than 20,000 images, so many random ones are evaluated.
    """
    count = min(len(head.rows), MAX_EXAMPLES)
    some = np.sort(np.random.default_rng(seed).choice(len(head.rows), count, replace=False))
    places = head.rows[some]
    chosen = [learned.rows[place] for place in places]
    shares = None if head.left_out_histograms is None else head.left_out_histograms[some]
    return of_predictions(
        image_ids=[data.items[row].image_id for row in chosen],
        paths=[learned.paths[place] for place in places] if learned.paths else [],
        labels=data.labels[chosen],
        label_bins=data.bins,
        means=head.left_out_means[some],
        sds=None if shares is None else histogram.standard_deviation(shares, data.bins),
        histograms=shares,
        bins=data.bins,
        counts=counts_of([data.items[row] for row in chosen]),
    )


def _evaluate_features(
    data: JobData, learned: Learned, head: FittedHead, config: HeadConfig
) -> dict[str, Evaluation]:
    """How the head does on a validation and a test set of which there are features, and no photographs.

    As a model file does, it scores the photograph as it is, without its mirror image.
    """
    evaluations = {}
    for name, (items, blocks) in learned.others.items():
        labels = [item.label for item in items if item.label is not None]
        counts = counts_of(items)
        if not labels:
            continue
        outputs = np.concatenate(
            [
                head.fitted.head([block[0, start : start + _AT_ONCE] for block in blocks])
                for start in range(0, len(items), _AT_ONCE)
            ]
        )
        shares = None if config.head == "regression" else histogram.softmax(outputs)
        means = outputs[:, 0] if shares is None else histogram.mean(shares, data.bins)
        evaluations[name] = of_predictions(
            image_ids=[item.image_id for item in items],
            paths=[],
            labels=np.stack(labels),
            label_bins=data.bins,
            means=np.clip(means, data.bins[0], data.bins[-1]),
            sds=None if shares is None else histogram.standard_deviation(shares, data.bins),
            histograms=shares,
            bins=data.bins,
            counts=counts,
        )
    return evaluations

"""Evaluation of a model on a labelled set: its scores, people's ratings, and their agreement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nimakit.errors import ImageError, UsageError
from nimakit.features import KeptScorer, make_scorer
from nimakit.images.photo import MAX_PIXELS
from nimakit.jobs import Split
from nimakit.models.engine import Model
from nimakit.models.preparation import Augmentation
from nimakit.models.score import DIGITS, Record, Score
from nimakit.progress import track
from nimakit.scoring import metrics
from nimakit.scoring.items import Item, score_items, to_record
from nimakit.stats import histogram
from nimakit.stats.histogram import FloatArray

LABEL_MEAN = "mean_score_label"
"""Key for the mean of people's ratings in the records of an evaluation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """A model's scores of a labelled set, and people's ratings of it.

    Attributes:
        image_ids: N names of the images that could be scored, in the order of the set.
        paths: Their N files; none where only features were at hand.
        labels: (N, label bins) float64, rows sum to 1: ratings; N at least 1.
        label_bins: (label bins,) float64, ascending.
        counts: (N,) float64, numbers of ratings; None if unknown.
        means: (N,) float64, predicted means on the scale of the model's bins.
        sds: (N,) float64, predicted standard deviations on that scale; None if the model predicts none.
        histograms: (N, bins) float64, rows sum to 1; None if the model predicts none.
        metrics: Agreement of scores and ratings.
        failures: A line for each image that could not be scored, with the reason.
        known: Number of images scored from kept features, without a run of the encoders.
    """

    image_ids: tuple[str, ...]
    paths: tuple[Path, ...]
    labels: FloatArray
    label_bins: FloatArray
    means: FloatArray
    sds: FloatArray | None
    histograms: FloatArray | None
    metrics: metrics.Metrics
    failures: list[str]
    counts: FloatArray | None = None
    known: int = 0


class Agreement:
    """Collects labels and predictions during a run.

    Args:
        model: The model that predicts.
        split: Images it was trained on and validated with, from `nimakit.jobs.read_splits`.

    Attributes:
        failures: A line for each labelled image that could not be scored, with the reason.
    """

    def __init__(self, model: Model, split: Split | None = None) -> None:
        self._bins = model.bins
        self._split = split
        self._scored: list[tuple[Item, Path, FloatArray, Score]] = []
        self.failures: list[str] = []

    def add(self, item: Item, result: Score | ImageError) -> None:
        """Add a result; items without a label are ignored."""
        if item.label is None:
            return
        if isinstance(result, ImageError):
            self.failures.append(f"{item.image or item.image_id}: {result}")
        else:
            self._scored.append((item, item.path or Path(item.image_id), item.label, result))

    def evaluation(self) -> Evaluation | None:
        """The evaluation so far; None while no labelled image has a score."""
        if not self._scored:
            return None
        items, paths, rows, scores = zip(*self._scored, strict=True)
        labels = np.stack(rows)
        sds = [score.sd for score in scores if score.sd is not None]
        histograms = [score.histogram for score in scores if score.histogram is not None]
        image_ids = tuple(item.image_id for item in items)
        found = of_predictions(
            image_ids=image_ids,
            paths=paths,
            labels=labels,
            label_bins=bins_of_labels(self._bins, labels.shape[1]),
            means=np.array([score.mean for score in scores]),
            sds=np.array(sds) if sds else None,
            histograms=np.stack(histograms) if histograms else None,
            bins=self._bins,
            counts=counts_of(items),
            failures=self.failures,
        )
        counted = replace(
            found.metrics,
            training_images=self._count("training", image_ids),
            validation_images=self._count("validation", image_ids),
        )
        return replace(found, metrics=counted)

    def _count(self, part: str, image_ids: Sequence[str]) -> int | None:
        """Number of images in a part of the split; None if the split is unknown."""
        if not self._split:
            return None
        known = self._split.get(part, frozenset())
        return sum(name in known for name in image_ids)


def of_predictions(
    *,
    image_ids: Sequence[str],
    paths: Sequence[Path],
    labels: FloatArray,
    label_bins: FloatArray,
    means: FloatArray,
    sds: FloatArray | None,
    histograms: FloatArray | None,
    bins: FloatArray,
    counts: FloatArray | None = None,
    failures: Sequence[str] = (),
) -> Evaluation:
    """The evaluation of predictions for N images, at least one; see `Evaluation`.

    Args:
        image_ids: N names.
        paths: N files, or none.
        labels: (N, label bins), rows sum to 1.
        label_bins: (label bins,).
        means: (N,), on the scale of the bins.
        sds: (N,); None if there are none.
        histograms: (N, bins), rows sum to 1; None if there are none.
        bins: (bins,), of the predictions.
        counts: (N,), numbers of ratings; None if unknown.
        failures: A line for each image without a prediction.
    """
    return Evaluation(
        image_ids=tuple(image_ids),
        paths=tuple(paths),
        labels=labels,
        label_bins=label_bins,
        means=means,
        sds=sds,
        histograms=histograms,
        metrics=metrics.compare(
            labels=labels, label_bins=label_bins, means=means, sds=sds, histograms=histograms, bins=bins
        ),
        failures=list(failures),
        counts=counts,
    )


def counts_of(items: Sequence[Item]) -> FloatArray | None:
    """(N,) float64, the number of ratings of each item; None if it is unknown of any."""
    known = [item.ratings for item in items if item.ratings is not None]
    return np.array(known, np.float64) if len(known) == len(items) else None


def bins_of_labels(bins: FloatArray, count: int) -> FloatArray:
    """Values of the bins of labels: the model's if their number is the same, else 1 to count.

    Args:
        bins: (bins,), values of the model's bins.
        count: Number of bins of the labels.

    Returns:
        (count,) float64.
    """
    return bins if len(bins) == count else histogram.default_bins(count)


def evaluate(
    model: Model,
    items: Sequence[Item],
    *,
    tta: Augmentation = "none",
    max_pixels: int = MAX_PIXELS,
    label: str = "scoring",
    split: Split | None = None,
    on_record: Callable[[Record], None] | None = None,
) -> Evaluation:
    """Score a labelled set and compare the scores with the labels.

    Args:
        model: The model to evaluate.
        items: From `nimakit.scoring.items.list_items`; those without a label are scored, but not compared.
        tta: Test-time augmentation.
        max_pixels: Largest width times height of an image.
        label: Name of the work in progress messages.
        split: As for `Agreement`.
        on_record: Called with the score record of each item, which has ``mean_score_label`` if labelled.

    Raises:
        UsageError: No labelled image could be scored.
    """
    scorer = make_scorer(model, tta=tta, max_pixels=max_pixels)
    agreement = Agreement(model, split)
    results = score_items(scorer, items)
    for item, result in track(results, len(items), label):
        agreement.add(item, result)
        if on_record:
            on_record(_record(item, result, model.bins))
    evaluation = agreement.evaluation()
    if evaluation is None:
        first = f"; the first: {agreement.failures[0]}" if agreement.failures else ", none with a label"
        raise UsageError(
            "An evaluation needs at least one labelled image that can be scored."
            f" Received: {len(items)} images, none of them usable{first}"
        )
    return replace(evaluation, known=scorer.known) if isinstance(scorer, KeptScorer) else evaluation


def _record(item: Item, result: Score | ImageError, bins: FloatArray) -> Record:
    record = to_record(item, result)
    if item.label is not None:
        label_bins = bins_of_labels(bins, len(item.label))
        record[LABEL_MEAN] = round(float(histogram.mean(item.label, label_bins)), DIGITS)
    return record

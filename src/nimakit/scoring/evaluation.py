"""How well a model agrees with people over a labelled set: the figures, and what they were taken from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nimakit.errors import ImageError, UsageError
from nimakit.images.photo import MAX_PIXELS
from nimakit.jobs import Split
from nimakit.models.engine import Augmentation, Model, Scorer
from nimakit.models.score import Record, Score
from nimakit.progress import track
from nimakit.scoring import metrics
from nimakit.scoring.items import Item, score_items, to_record
from nimakit.stats import histogram
from nimakit.stats.histogram import FloatArray

LABEL_MEAN = "mean_score_label"
"""The key of an evaluation's records that holds the mean of people's ratings."""

_DIGITS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """A model's scores of a labelled set beside people's ratings.

    Attributes:
        image_ids: N names of the images that could be scored, in the order of the set.
        paths: Their N files.
        labels: (N, label bins) float64, rows sum to 1: what people said; N at least 1.
        label_bins: (label bins,) float64, ascending.
        means: (N,) float64, predicted means on the scale of the model's bins.
        sds: (N,) float64, predicted standard deviations on that scale; None where the model gives none.
        histograms: (N, bins) float64, rows sum to 1; None where the model gives none.
        metrics: Agreement of the two.
        failures: A line for each image that could not be scored, with the reason.
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


class Agreement:
    """Collects labels and predictions of the labelled items of a run.

    Args:
        model: What predicts.
        split: What it was trained on and validated with, as `nimakit.jobs.read_splits` gives it.
    """

    def __init__(self, model: Model, split: Split | None = None) -> None:
        self._bins = model.bins
        self._split = split
        self._scored: list[tuple[Item, Path, FloatArray, Score]] = []
        self._failures: list[str] = []

    def add(self, item: Item, result: Score | ImageError) -> None:
        """Take note of one result; items without a label are left out."""
        if item.label is None:
            return
        if isinstance(result, ImageError):
            self._failures.append(f"{item.image or item.image_id}: {result}")
        else:
            self._scored.append((item, item.path or Path(item.image_id), item.label, result))

    @property
    def failures(self) -> list[str]:
        """A line for each labelled image that could not be scored."""
        return self._failures

    def evaluation(self) -> Evaluation | None:
        """The evaluation so far; None before the first labelled score."""
        if not self._scored:
            return None
        items, paths, rows, scores = zip(*self._scored, strict=True)
        labels = np.stack(rows)
        label_bins = bins_of_labels(self._bins, labels.shape[1])
        means = np.array([score.mean for score in scores])
        sds = [score.sd for score in scores if score.sd is not None]
        histograms = [score.histogram for score in scores if score.histogram is not None]
        sd_column = np.array(sds) if sds else None
        predicted = np.stack(histograms) if histograms else None
        image_ids = tuple(item.image_id for item in items)
        return Evaluation(
            image_ids=image_ids,
            paths=paths,
            labels=labels,
            label_bins=label_bins,
            means=means,
            sds=sd_column,
            histograms=predicted,
            metrics=replace(
                metrics.compare(
                    labels=labels,
                    label_bins=label_bins,
                    means=means,
                    sds=sd_column,
                    histograms=predicted,
                    bins=self._bins,
                ),
                training_images=self._count("training", image_ids),
                validation_images=self._count("validation", image_ids),
            ),
            failures=self._failures,
        )

    def _count(self, part: str, image_ids: Sequence[str]) -> int | None:
        """How many of the images are of a part of the split; None where it is not known."""
        if not self._split:
            return None
        known = self._split.get(part, frozenset())
        return sum(name in known for name in image_ids)


def bins_of_labels(bins: FloatArray, count: int) -> FloatArray:
    """The values of the bins of labels: the model's where there are as many, else 1 to count.

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
    """Score a labelled set and compare.

    Args:
        model: What to judge.
        items: From `nimakit.scoring.items.list_items`; those without a label are scored and left out.
        tta: Test-time augmentation.
        max_pixels: Largest width times height of an image.
        label: What progress calls the work.
        split: As for `Agreement`.
        on_record: Given the score record of each item, with ``mean_score_label`` where it has a label.

    Returns:
        The evaluation of all images that could be scored.

    Raises:
        UsageError: No labelled image could be scored.
    """
    scorer = Scorer(model, tta=tta, max_pixels=max_pixels)
    agreement = Agreement(model, split)
    for item, result in track(score_items(scorer, items), len(items), label):
        agreement.add(item, result)
        if on_record:
            on_record(_record(item, result, model.bins))
    evaluation = agreement.evaluation()
    if evaluation is None:
        first = f"; the first: {agreement.failures[0]}" if agreement.failures else ", none with a label"
        raise UsageError(
            "An evaluation needs at least one labelled image that can be scored."
            f" Received: {len(items)} images, none of use{first}"
        )
    return evaluation


def _record(item: Item, result: Score | ImageError, bins: FloatArray) -> Record:
    record = to_record(item, result)
    if item.label is not None:
        label_bins = bins_of_labels(bins, len(item.label))
        record[LABEL_MEAN] = round(float(histogram.mean(item.label, label_bins)), _DIGITS)
    return record

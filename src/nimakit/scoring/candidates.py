"""Predictions of models, and of cross-validated heads, for the same labelled images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nimakit.config import HeadConfig
from nimakit.errors import ImageError, UsageError
from nimakit.features import VIEWS, KeptScorer, extract, make_scorer
from nimakit.heads.blocks import load_blocks
from nimakit.heads.cross_validation import out_of_fold
from nimakit.labels.label_file import Labels
from nimakit.models import loading
from nimakit.models.preparation import Augmentation, Views
from nimakit.models.pretrained import Notify
from nimakit.models.score import Score
from nimakit.progress import track
from nimakit.scoring import metrics
from nimakit.scoring.comparison import Predictions
from nimakit.scoring.cost import Steps
from nimakit.scoring.items import list_items
from nimakit.stats.histogram import Float32Array, FloatArray, IntArray, default_bins


@dataclass(frozen=True, slots=True, eq=False)
class LabelledImages:
    """N labelled images that exist.

    Attributes:
        image_ids: N names.
        paths: N files.
        labels: (N, bins) float64, rows sum to 1.
        bins: (bins,) float64, their values.
        counts: (N,) float64, numbers of ratings; None if the label file has shares.
    """

    image_ids: tuple[str, ...]
    paths: tuple[Path, ...]
    labels: FloatArray
    bins: FloatArray
    counts: FloatArray | None

    def only(self, rows: IntArray) -> "LabelledImages":
        """Some of the images."""
        return LabelledImages(
            image_ids=tuple(self.image_ids[row] for row in rows),
            paths=tuple(self.paths[row] for row in rows),
            labels=self.labels[rows],
            bins=self.bins,
            counts=None if self.counts is None else self.counts[rows],
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Settings:
    """How candidates predict.

    Attributes:
        folds: (N,) from 0, the fold of each image.
        only: The folds whose images are predicted; all if empty.
        tta: Test-time augmentation.
        max_pixels: Largest width times height of an image.
        notify: Called with a sentence before a download.
    """

    folds: IntArray
    only: tuple[int, ...] = ()
    tta: Augmentation = "none"
    max_pixels: int
    notify: Notify

    @property
    def chosen(self) -> tuple[int, ...]:
        """The folds whose images are predicted, ascending."""
        return tuple(sorted(set(self.only))) or tuple(range(int(self.folds.max()) + 1))


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a candidate predicts, and what it cannot.

    Attributes:
        predictions: For all N images; NaN for those that are left out, or in a fold that is not chosen.
        failures: image_id -> why an image is left out.
        steps: How it predicts, to be timed.
    """

    predictions: Predictions
    failures: dict[str, str]
    steps: Steps


def labelled_images(
    labels: Labels, image_dir: Path, *, recursive: bool, notify: Notify
) -> tuple[LabelledImages, dict[str, str]]:
    """The images of a label file, and why others are left out, by image_id.

    Raises:
        UsageError: There are no labels, or fewer than two images.
    """
    if labels.histograms is None:
        raise UsageError("A comparison needs labels. Received: a label file that only names images.")
    items = list_items(image_dir, labels, recursive=recursive, notify=notify)
    rows = [row for row, item in enumerate(items) if item.path is not None]
    if len(rows) < 2:
        raise UsageError(
            f"A comparison needs at least two labelled images. Received: {len(rows)} in {image_dir}"
        )
    ratings = labels.ratings
    found = LabelledImages(
        image_ids=tuple(items[row].image_id for row in rows),
        paths=tuple(path for row in rows if (path := items[row].path)),
        labels=labels.histograms[rows],
        bins=default_bins(labels.histograms.shape[1]),
        counts=None if ratings is None else ratings[rows],
    )
    missing = {item.image_id: "no such image" for item in items if item.path is None}
    return found, missing


def cross_validated_head(
    images: LabelledImages, config: HeadConfig, name: str, settings: Settings
) -> Outcome:
    """Predict each image by a head fitted without its fold.

    Args:
        images: The images.
        config: The config of a head.
        name: Its name.
        settings: How to predict; the augmentation must be "none" or "flips".

    Raises:
        UsageError: Another augmentation.
        ConfigError: As `nimakit.heads.blocks.load_blocks`.
        ModelError: An encoder is missing or fails.
    """
    if settings.tta == "crops":
        raise UsageError(
            "The views of an image whose features are kept are the image and its mirror image, so configs are"
            " cross-validated with --tta flips or none. Received: crops"
        )
    encoders = load_blocks(config, notify=settings.notify)
    views = VIEWS if config.random_flip or settings.tta == "flips" else VIEWS[:1]
    table = extract(encoders, images.paths, views=views, max_pixels=settings.max_pixels)
    found = set(table.paths)
    rows = np.array([row for row, path in enumerate(images.paths) if path in found], np.intp)
    predicted = out_of_fold(
        table.blocks,
        images.labels[rows],
        images.bins,
        folds=settings.folds[rows],
        config=config,
        counts=None if images.counts is None else images.counts[rows],
        views=2 if settings.tta == "flips" else 1,
        only=settings.chosen,
    )

    def features(prepared: Views) -> list[Float32Array]:
        return [encoder.encode(prepared[encoder.preprocessing]) for encoder in encoders]

    steps = Steps(
        preprocessings=tuple({encoder.preprocessing for encoder in encoders}),
        features=features,
        head=predicted.head,
    )
    failed = {images.paths.index(path): str(error) for path, error in table.errors.items()}
    predictions = Predictions(name=name, means=predicted.means, histograms=predicted.histograms)
    return _outcome(images, failed, rows, predictions, steps)


def scored(
    images: LabelledImages, model_name: str, settings: Settings, *, rows: IntArray | None = None
) -> Outcome:
    """Predict each image by a model; its means are moved to the scale of the labels, ends to ends.

    Args:
        images: The images.
        model_name: As for `nimakit.models.loading.load_model`.
        settings: How to predict.
        rows: The images to predict; None for those of the chosen folds.

    Raises:
        ModelError: There is no such model, or it fails.
    """
    if rows is None:
        rows = np.flatnonzero(np.isin(settings.folds, settings.chosen))
    model = loading.load_model(model_name, notify=settings.notify)
    scorer = make_scorer(model, tta=settings.tta, max_pixels=settings.max_pixels)
    paths = [images.paths[row] for row in rows]
    results = list(
        zip(rows.tolist(), track(scorer.score(paths), len(paths), f"scoring {model_name}"), strict=True)
    )
    if known := scorer.known if isinstance(scorer, KeptScorer) else 0:
        settings.notify(f"{model_name}: {known} of {len(results)} images are scored from kept features")
    good = [(row, result) for row, result in results if isinstance(result, Score)]
    failed = {row: str(result) for row, result in results if isinstance(result, ImageError)}
    rows = np.array([row for row, _ in good], np.intp)
    means = metrics.stretched(np.array([score.mean for _, score in good]), model.bins, images.bins)
    histograms = [score.histogram for _, score in good if score.histogram is not None]
    same = metrics.on_same_scale(model.bins, images.bins) and len(model.bins) == len(images.bins)
    rows_of = np.stack(histograms) if same and len(histograms) == len(good) > 0 else None
    found = Predictions(name=model_name, means=means, histograms=rows_of)
    steps = Steps(preprocessings=model.preprocessings, features=model.score_prepared)
    return _outcome(images, failed, rows, found, steps)


def merged(outcomes: Sequence[Outcome], name: str) -> Outcome:
    """One candidate of several that predict different images.

    Args:
        outcomes: At least one; they have histograms all or none.
        name: Its name.
    """
    first = outcomes[0]

    def joined(parts: Sequence[FloatArray]) -> FloatArray:
        whole = parts[0].copy()
        for part in parts[1:]:
            whole[np.isfinite(part)] = part[np.isfinite(part)]
        return whole

    predictions = [outcome.predictions for outcome in outcomes]
    histograms = [found.histograms for found in predictions if found.histograms is not None]
    return Outcome(
        Predictions(
            name=name,
            means=joined([found.means for found in predictions]),
            histograms=joined(histograms) if len(histograms) == len(outcomes) else None,
        ),
        {image: reason for outcome in outcomes for image, reason in outcome.failures.items()},
        first.steps,
    )


def names(config_files: Sequence[Path]) -> list[str]:
    """A name for each config: folder and file, or the whole path if several have the same."""
    short = [f"{file.parent.name}/{file.stem}" for file in config_files]
    return [
        str(file) if short.count(name) > 1 else name for file, name in zip(config_files, short, strict=True)
    ]


def _outcome(
    images: LabelledImages, failed: dict[int, str], rows: IntArray, found: Predictions, steps: Steps
) -> Outcome:
    """Spread predictions for some rows over all N images."""

    def spread(values: FloatArray) -> FloatArray:
        whole = np.full((len(images.paths), *values.shape[1:]), np.nan)
        whole[rows] = values
        return whole

    predictions = replace(
        found,
        means=spread(found.means),
        histograms=None if found.histograms is None else spread(found.histograms),
    )
    return Outcome(predictions, {images.image_ids[row]: reason for row, reason in failed.items()}, steps)

"""Scoring engine: a model or an average of several, and the scorer that runs it on a stream of images."""

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

import numpy as np
from PIL import Image

from nimakit.errors import ImageError, ModelError, UsageError
from nimakit.images.files import find_images
from nimakit.images.formats import FORMATS
from nimakit.images.measures import Measures
from nimakit.images.opening import Encoded
from nimakit.images.photo import (
    MAX_PIXELS,
    ImageInput,
    Preprocessing,
)
from nimakit.io.threads import cores, in_batches
from nimakit.models.network import Network, Outputs
from nimakit.models.preparation import AUGMENTATIONS, Augmentation, Preparation, Prepared, Views
from nimakit.models.score import Score, Scores, error_record, score_record, with_measures
from nimakit.models.session import BATCH_SIZES, Stop
from nimakit.models.taste import LINEAR, PROBES, Taste, personal_histograms, personal_means
from nimakit.stats import histogram
from nimakit.stats.histogram import Float32Array, FloatArray

_LOG = logging.getLogger("nimakit")


Result = TypeVar("Result")
"""What is known of an image once it is scored: a `Score`, or the scores of several models."""
_Result_co = TypeVar("_Result_co", covariant=True)


class Scoring(Protocol[_Result_co]):
    """What a `Scorer` runs: a `Model`, or several side by side."""

    @property
    def preprocessings(self) -> tuple[Preprocessing, ...]:
        """The distinct preprocessings of the inputs."""

    @property
    def device(self) -> str:
        """Either "GPU" or "CPU"."""

    def score_prepared(
        self, prepared: Views, views: int = 1, stop: Stop | None = None
    ) -> Sequence[_Result_co]:
        """Score images that are already cropped and resized; see `Model.score_prepared`."""


@dataclass(frozen=True, slots=True)
class Member:
    """A network and its weight in a model."""

    network: Network
    weight: float = 1.0


class Model:
    """One network, or several scored as one.

    If all members have the same bins, their histograms are averaged by weight. Otherwise each member's mean
    is moved to the first member's scale (ends to ends), and only means and standard deviations are averaged.

    Args:
        members: At least one.
        name: Display name; the first member's name if None.
        taste: The person whose scores it gives; None for people in general.
        half_width: Half of the width of the intervals of its scores; None for scores without.

    Attributes:
        name: Display name.
        bins: (bins,) float64, value of each bin, ascending.
        reference_quantiles: Mean scores among which a score is ranked, ascending; None if the members have
            none in common.
        reference: Source of those mean scores; empty if there are none.
        members: The networks.
        weights: Of the members, sum to 1.
        gives_histograms: Whether scores have a histogram.
        taste: The person whose scores it gives; None for people in general.

    Raises:
        ModelError: No member.
    """

    def __init__(
        self,
        members: Sequence[Member],
        *,
        name: str | None = None,
        taste: Taste | None = None,
        half_width: float | None = None,
    ) -> None:
        if not members:
            raise ModelError("A model must have at least one member. Received: none")
        self.members = tuple(members)
        self.taste = taste
        self._half_width = half_width
        first = members[0].network.metadata
        self.name = name or first.name
        self.bins: FloatArray = np.asarray(first.bins, np.float64)
        shared = {member.network.metadata.reference_quantiles for member in members}
        quantiles = shared.pop() if len(shared) == 1 else ()
        self.reference_quantiles = np.asarray(quantiles, np.float64) if quantiles else None
        self.reference = first.reference if quantiles else ""
        self.gives_histograms = all(
            not member.network.is_regression and member.network.metadata.bins == first.bins
            for member in members
        )
        self._probe: tuple[FloatArray, int] | None = None
        total = sum(member.weight for member in members)
        self.weights = [member.weight / total for member in members]

    @property
    def preprocessings(self) -> tuple[Preprocessing, ...]:
        """The distinct preprocessings of the members."""
        return tuple(dict.fromkeys(member.network.metadata.preprocessing for member in self.members))

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks of the members."""
        return tuple(member.network for member in self.members)

    @property
    def device(self) -> str:
        """Either "GPU", if any member runs on one, or "CPU"."""
        providers = {member.network.provider for member in self.members}
        return "CPU" if providers == {"CPUExecutionProvider"} else "GPU"

    @property
    def sha256(self) -> str:
        """SHA-256 of everything on which scores depend, other than the photograph."""
        digest = hashlib.sha256()
        for member in self.members:
            digest.update(f"{member.network.identity} {member.weight!r}".encode())
        for name, array in sorted(self.taste.arrays.items()) if self.taste else ():
            digest.update(f"{name} {array.shape}".encode() + array.tobytes())
        if self._half_width is not None:
            digest.update(f"{self._half_width!r}".encode())
        return digest.hexdigest()

    def score_prepared(self, prepared: Views, views: int = 1, stop: Stop | None = None) -> list[Score]:
        """Score images that are already cropped and resized.

        Args:
            prepared: For each of `preprocessings`, (N * views, height, width, 3) uint8.
            views: Number of consecutive rows that show the same image; their outputs are averaged.
            stop: Ends the run when it is set.

        Returns:
            N scores.

        Raises:
            ModelError: A member fails or takes too long, or its histogram contains no probabilities.
        """
        outputs = [
            member.network.run(prepared[member.network.metadata.preprocessing], stop)
            for member in self.members
        ]
        return self.score_outputs(outputs, views)

    def score_outputs(self, outputs: Sequence[Outputs], views: int = 1) -> list[Score]:
        """Score images by what the networks gave for them.

        Args:
            outputs: Of each member, N * views rows.
            views: As for `score_prepared`.

        Returns:
            N scores.

        Raises:
            ModelError: A histogram contains no probabilities.
        """
        features = np.concatenate(
            [_average_views(output.features, views).astype(np.float32) for output in outputs], axis=1
        )
        values = [_average_views(output.values, views) for output in outputs]
        if not self.gives_histograms:
            means, sds = self._mix_means(values)
            return self._scores(means + self._shift(means, features), sds, None, features)
        distributions = [_normalise(v, m) for v, m in zip(values, self.members, strict=True)]
        rows = np.average(distributions, axis=0, weights=self.weights)
        means = histogram.mean(rows, self.bins)
        if self.taste:
            means = personal_means(means, self._shift(means, features), self.bins)
            rows = personal_histograms(rows, means, self.bins)
        return self._scores(means, histogram.standard_deviation(rows, self.bins), rows, features)

    def probe(self) -> tuple[FloatArray, int]:
        """Identify the model by its outputs for a fixed picture, which do not depend on the file it is in.

        Returns:
            (PROBES,) float64, the mean score and averages of features; and the number of features.
        """
        if self._probe is None:
            self._probe = self._make_probe()
        return self._probe

    def _make_probe(self) -> tuple[FloatArray, int]:
        patterns = {}
        for wanted in self.preprocessings:
            count = wanted.height * wanted.width * 3
            pattern = (np.arange(count, dtype=np.uint64) * 2654435761 >> 11) % 256
            patterns[wanted] = pattern.astype(np.uint8).reshape(1, wanted.height, wanted.width, 3)
        [score] = self.score_prepared(patterns)
        features = np.asarray(score.features, np.float64)
        blocks = np.array_split(features, PROBES - 1)
        averages = [block.mean() if block.size else 0.0 for block in blocks]
        return np.array([score.mean, *averages]), len(features)

    def for_user(self, taste: Taste) -> "Model":
        """The same model with one person's scores.

        Args:
            taste: Learned with this model.

        Raises:
            TasteError: It was learned with another model.
            ModelError: The taste has adapters and the model file takes none; or its network cannot be used.
        """
        taste.check_base(*self.probe(), self.name)
        if taste.method in LINEAR:
            return Model(self.members, name=self.name, taste=taste)
        if len(self.members) > 1:
            raise ModelError(
                "A taste in adapters, or in a whole network, needs a single model. Received: an ensemble"
            )
        if taste.method == "full":
            own = Network(taste.arrays["model"].tobytes())
        else:
            own = self.members[0].network.with_adapters(taste.adapters)
        personal = Model([Member(own)], name=self.name, taste=taste)
        personal.probe()  # fails now if the person's own network does not run
        return personal

    @property
    def has_intervals(self) -> bool:
        """Whether its scores have intervals."""
        return self._half_width is not None

    def with_intervals(self, coverage: float) -> "Model":
        """The same model with an interval for each score: it contains the mean rating with a probability.

        The errors on images that it did not learn from, which are in its file, make the intervals
        (`nimakit.stats.conformal`); they are cut off at the ends of the scale.

        Args:
            coverage: The probability, above 0 and below 1.

        Raises:
            UsageError: Several models, one person's scores, or a file without errors or with too few.
        """
        if len(self.members) > 1 or self.taste:
            received = "one person's scores" if self.taste else f"{len(self.members)} models averaged"
            raise UsageError(
                f"Intervals come from the errors of one model, as its file has them. Received: {received}"
            )
        known_errors = self.members[0].network.known_errors
        if known_errors is None:
            raise UsageError(
                "Intervals come from errors on images that a model did not learn from, which nimakit train"
                f" stores in its file. Received: {self.name}, without them; train it again, with a"
                " validation_split above 0, or fit a head (head_only)"
            )
        return Model(self.members, name=self.name, half_width=known_errors.half_width(coverage, self.name))

    def predict(
        self,
        images: ImageInput | Sequence[ImageInput],
        augmented: bool = False,
        *,
        tta: Augmentation | bool = False,
        measures: bool = False,
        max_pixels: int = MAX_PIXELS,
    ) -> list[Any]:
        """Score images.

        Args:
            images: One image or several: paths, encoded bytes, Pillow images, or arrays (H, W, 3) uint8 or
                float, 0-255, RGB. A folder stands for the images in it.
            augmented: Whether to return records instead of distributions.
            tta: Test-time augmentation: True or "flips" averages over the image and its mirror image, "crops"
                also over its corners and centre.
            measures: Augmented only: whether records contain technical ``measures``.
            max_pixels: Largest width times height of an image.

        Returns:
            A list in the order of the images. Plain: (bins,) float64, sums to 1; from a model without
            distributions (1,), the mean score. Augmented: a dict with ``image`` (as passed), ``predictions``
            (the distribution as a list), ``mean_score_prediction``, ``sd_score_prediction``, and
            ``percentile`` if the model has reference quantiles; with ``error`` instead of scores for an image
            that could not be scored.

        Raises:
            ImageError: Plain only: one or more images could not be scored; the message names all of them.
            UsageError: A folder without images; or measures without `augmented`.

        Example:
            >>> import nimakit
            >>> [record] = nimakit.predict("data/samples/portrait.jpg", augmented=True)
            >>> sorted(record)
            ['image', 'mean_score_prediction', 'percentile', 'predictions', 'sd_score_prediction']
        """
        if measures and not augmented:
            raise UsageError("Measures are part of records: measures=True needs augmented=True.")
        sources = _as_list(images)
        augmentation: Augmentation = "flips" if tta is True else tta or "none"
        scorer = Scorer(self, tta=augmentation, measures=measures, max_pixels=max_pixels)
        results = list(scorer.score(sources))
        if augmented:
            return [
                {"image": source, **(error_record(r) if isinstance(r, ImageError) else score_record(r))}
                for source, r in zip(sources, results, strict=True)
            ]
        failed = [(i, r) for i, r in enumerate(results) if isinstance(r, ImageError)]
        if failed:
            listed = "; ".join(f"{_describe(sources[i], i)}: {error}" for i, error in failed)
            raise ImageError(
                f"{len(failed)} of {len(sources)} images could not be scored: {listed}"
                " (use augmented=True to get the scores of the others)"
            )
        return [
            np.array([r.mean]) if r.histogram is None else r.histogram
            for r in results
            if isinstance(r, Score)
        ]

    def _mix_means(self, values: list[FloatArray]) -> tuple[FloatArray, FloatArray | None]:
        """Mean and standard deviation of the mixture of the members' distributions, on the first's scale."""
        low, high = self.bins[0], self.bins[-1]
        means, squares = [], []
        for member, value in zip(self.members, values, strict=True):
            bins = np.asarray(member.network.metadata.bins, np.float64)
            stretch = (high - low) / (bins[-1] - bins[0])
            if member.network.is_regression:
                means.append(low + (value[:, 0] - bins[0]) * stretch)
                continue
            rows = _normalise(value, member)
            means.append(low + (histogram.mean(rows, bins) - bins[0]) * stretch)
            squares.append((histogram.standard_deviation(rows, bins) * stretch) ** 2 + means[-1] ** 2)
        mean = np.average(means, axis=0, weights=self.weights)
        if len(squares) < len(self.members):
            return mean, None
        variance = np.average(squares, axis=0, weights=self.weights) - mean**2
        return mean, np.sqrt(np.maximum(variance, 0))

    def _shift(self, means: FloatArray, features: Float32Array) -> FloatArray:
        return self.taste.shift(means, features) if self.taste else np.zeros_like(means)

    def _scores(
        self, mean: FloatArray, sd: FloatArray | None, rows: FloatArray | None, features: Float32Array
    ) -> list[Score]:
        reference = self.reference_quantiles
        ranks = None if reference is None else histogram.percentile(mean, reference)
        return [
            Score(
                mean=float(mean[i]),
                sd=None if sd is None else float(sd[i]),
                histogram=None if rows is None else rows[i],
                percentile=None if ranks is None else float(ranks[i]),
                features=features[i],
                interval=self._interval(float(mean[i])),
            )
            for i in range(len(mean))
        ]

    def _interval(self, mean: float) -> tuple[float, float] | None:
        if self._half_width is None:
            return None
        low, high = float(self.bins[0]), float(self.bins[-1])
        return max(low, mean - self._half_width), min(high, mean + self._half_width)


class Scorer(Generic[Result]):
    """Scores a stream of images in order, on all cores, in memory that does not grow with their number.

    Decoding and inference are tasks in one pool with as many threads as cores, so that both get the cores
    they need, and never compete for more.

    Args:
        model: The model, or several side by side.
        tta: Test-time augmentation: "none", "flips" (2 views) or "crops" (10 views).
        measures: Whether scores contain technical measures of the image.
        max_pixels: Largest width times height of an image.
        formats: Formats to decode, from `nimakit.images.formats.FORMATS`.
        workers: Number of threads; by default the number of cores this process may use.
        batch_size: Images per run; by default 8 on a CPU, 32 on a GPU.

    Attributes:
        batch_size: Images per run.
        max_pixels: Largest width times height of an image.
        preparation: Makes the views of an image.

    Raises:
        UsageError: An unknown augmentation.
    """

    def __init__(
        self,
        model: Scoring[Result],
        *,
        tta: Augmentation = "none",
        measures: bool = False,
        max_pixels: int = MAX_PIXELS,
        formats: tuple[str, ...] = FORMATS,
        workers: int | None = None,
        batch_size: int | None = None,
    ) -> None:
        if tta not in AUGMENTATIONS:
            raise UsageError(f"tta must be one of {', '.join(AUGMENTATIONS)}. Received: {tta!r}")
        self._model = model
        self.max_pixels = max_pixels
        self.preparation = Preparation(
            preprocessings=tuple(model.preprocessings),
            tta=tta,
            measures=measures,
            max_pixels=max_pixels,
            formats=formats,
        )
        self._workers = workers or cores()
        self.batch_size = batch_size or BATCH_SIZES[model.device]

    @property
    def views(self) -> int:
        """Number of views of each image that are scored and averaged."""
        return self.preparation.views

    def score(self, images: Iterable[ImageInput | ImageError]) -> Iterator[Result | ImageError]:
        """Score a stream of images.

        Args:
            images: Any number; a bounded number is read ahead of the results. What could not be obtained is
                an error, which is passed through in its place.

        Yields:
            For each image, in order, its score, or the error.
        """
        stop = Stop()
        yield from in_batches(
            images,
            self.prepare,
            lambda batch: self.score_batch(batch, stop),
            batch_size=self.batch_size,
            workers=self._workers,
            cancel=stop.set,  # do not wait for runs after an interruption
        )

    def prepare(self, source: ImageInput | ImageError) -> Prepared | ImageError:
        """Decode an image and make the views for the model."""
        return source if isinstance(source, ImageError) else self.preparation.make(source)

    def score_batch(
        self, batch: Sequence[Prepared | ImageError], stop: Stop | None = None
    ) -> list[Result | ImageError]:
        """Score prepared images in one run; errors are passed through in their places.

        Raises:
            ModelError: The model fails, or its output is not a score.
        """
        good = [item for item in batch if not isinstance(item, ImageError)]
        scores: Iterator[Result] = iter(())
        if good:
            first = good[0].views
            joined = {wanted: np.concatenate([item.views[wanted] for item in good]) for wanted in first}
            found = self._model.score_prepared(joined, len(next(iter(first.values()))), stop)
            scores = (_measured(score, item.measures) for score, item in zip(found, good, strict=True))
        return [item if isinstance(item, ImageError) else next(scores) for item in batch]


def _measured(result: Result, measures: Measures | None) -> Result:
    """What is known of an image, with its measures."""
    if measures is None:
        return result
    return cast("Result", with_measures(cast("Score | Scores", result), measures))


def _normalise(values: FloatArray, member: Member) -> FloatArray:
    try:
        return histogram.normalise(values)
    except ValueError as error:
        name = member.network.metadata.name
        raise ModelError(
            f"A histogram output must contain probabilities. Received from {name}: {error}"
        ) from error


def _average_views(values: np.ndarray[Any, Any], views: int) -> FloatArray:
    """(N * views, D) to (N, D) float64."""
    return np.asarray(values.reshape(-1, views, values.shape[-1]).mean(axis=1, dtype=np.float64))


def _as_list(images: ImageInput | Sequence[ImageInput]) -> list[ImageInput]:
    if isinstance(images, str | os.PathLike):
        found = find_images(images, notify=_LOG.warning) if Path(images).is_dir() else [images]
        return [str(path) if isinstance(path, Path) else path for path in found]
    if isinstance(images, Encoded | Image.Image):
        return [images]
    if isinstance(images, np.ndarray):
        return [*images] if images.ndim == 4 else [images]
    return [
        s for image in images for s in (_as_list(image) if isinstance(image, str | os.PathLike) else [image])
    ]


def _describe(source: ImageInput, index: int) -> str:
    return str(source) if isinstance(source, str | os.PathLike) else f"image {index}"

"""Statistics of a set of ratings: means, agreement, raters, and how many more ratings are needed."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nimakit.errors import LabelError
from nimakit.labels.label_file import Labels
from nimakit.labels.ratings import Ratings, infer_bins, to_counts
from nimakit.stats import agreement, histogram, raters, sample_size
from nimakit.stats.agreement import Icc, Moments, SplitHalf, TwoWayIcc
from nimakit.stats.histogram import FloatArray, IntArray
from nimakit.stats.raters import Outliers, Raters, Repeats
from nimakit.stats.sample_size import Goals, Need

_DIGITS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """N rated pictures.

    Attributes:
        image_ids: N names.
        bins: (bins,) float64, ascending: the scale.
        histograms: (N, bins) float64, rows sum to 1.
        means: (N,) float64, mean ratings.
        deviations: (N,) float64, standard deviations of the ratings; NaN for a single rating.
        counts: (N,) float64, numbers of ratings; None if only shares are known.
    """

    image_ids: tuple[str, ...]
    bins: FloatArray
    histograms: FloatArray
    means: FloatArray
    deviations: FloatArray
    counts: FloatArray | None

    @property
    def classes(self) -> IntArray:
        """(bins,) int, how many pictures have a mean nearest to each bin; halfway counts as the upper bin."""
        position = np.interp(self.means, self.bins, np.arange(len(self.bins)))
        return np.bincount(np.floor(position + 0.5).astype(np.intp), minlength=len(self.bins))


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How well people agree; a figure is None if it is undefined.

    Attributes:
        alpha_ordinal: Krippendorff's alpha for ordinal ratings.
        alpha_interval: Krippendorff's alpha for interval ratings.
        one_way: ICC that ignores who rated.
        two_way: ICCs that separate people's level from their taste; None if people are unknown.
        split_half: Correlation of the means from halves of the people; None if people are unknown.
        within: Variance among the ratings of one picture.
        complete: Whether each person rated each picture.
    """

    alpha_ordinal: float | None
    alpha_interval: float | None
    one_way: Icc | None
    two_way: TwoWayIcc | None
    split_half: SplitHalf | None
    within: float | None
    complete: bool

    @property
    def reliability(self) -> Icc | None:
        """The ICC of the means; people's levels cancel out if everyone rated every picture."""
        return self.two_way.consistency if self.complete and self.two_way else self.one_way


@dataclass(frozen=True, kw_only=True, slots=True)
class People:
    """U raters.

    Attributes:
        user_ids: U names.
        raters: Their figures, each compared with the others.
        outliers: Those whose ratings are unusual.
    """

    user_ids: tuple[str, ...]
    raters: Raters
    outliers: Outliers


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """Statistics of a set of ratings.

    Attributes:
        pictures: The rated pictures.
        shares: (bins,) float64, how often each rating was given, sums to 1.
        agreement: None if a label file has shares instead of counts.
        people: None if the raters are unknown.
        repeats: Agreement of people with themselves; None if nobody rated a picture twice.
        needs: How many more ratings would help.
        notes: Sentences on figures that are left out, and why.
    """

    pictures: Pictures
    shares: FloatArray
    agreement: Agreement | None
    needs: tuple[Need, ...]
    notes: tuple[str, ...]
    people: People | None = None
    repeats: Repeats | None = None

    @property
    def errors(self) -> FloatArray | None:
        """(N,) float64, standard error of each picture's mean, with the variance that all pictures share."""
        counts = self.pictures.counts
        if counts is None or self.agreement is None or self.agreement.within is None:
            return None
        return np.asarray(np.sqrt(self.agreement.within / counts))

    def to_dict(self) -> dict[str, Any]:
        """Everything but single pictures and most people, as JSON values."""
        pictures, people = self.pictures, self.people
        counts, errors = pictures.counts, self.errors
        classes = zip(pictures.bins, pictures.classes.tolist(), strict=True)
        return {
            "images": len(pictures.means),
            "ratings": None if counts is None else round(counts.sum()),
            "people": people and len(people.user_ids),
            "scale": [float(pictures.bins[0]), float(pictures.bins[-1])],
            "mean_rating": _spread(pictures.means),
            "standard_deviation": _spread(pictures.deviations),
            "standard_error": None if errors is None else _spread(errors),
            "classes": {f"{value:g}": count for value, count in classes},
            "ratings_per_image": None if counts is None else _spread(counts),
            "ratings_per_person": people and _spread(people.raters.counts),
            "agreement": self.agreement and _rounded(asdict(self.agreement)),
            "needs": [asdict(need) for need in self.needs],
            "bias": people and _spread(people.raters.bias),
            "spread": people and _spread(people.raters.spread),
            "consistency": people and _spread(people.raters.consistency),
            "unlike_the_rest": people and unlike_the_rest(people),
            "repeats": self.repeats and _rounded(asdict(self.repeats)),
            "notes": list(self.notes),
        }


def of_ratings(ratings: Ratings, bins: FloatArray | None = None, goals: Goals | None = None) -> Summary:
    """Summarise single ratings; of a person's ratings of one picture, only the latest counts.

    Args:
        ratings: At least one.
        bins: (bins,), ascending: the scale, which includes all ratings; None infers it.
        goals: What the means should reach.
    """
    bins = infer_bins(ratings)[0] if bins is None else bins
    latest = ratings.latest()
    counts = to_counts(latest, bins)
    in_order = np.argsort(np.nan_to_num(ratings.time, nan=-np.inf), kind="stable")  # as in Ratings.latest
    notes = []
    if ratings.anonymous:
        notes.append("The raters are unknown: figures about them are left out.")
    if len(latest) < len(ratings):
        notes.append(
            f"{len(ratings) - len(latest):,} of {len(ratings):,} ratings are left out because the same person"
            " rated the same picture again later; they show how well people agree with themselves."
        )
    user = None if ratings.anonymous else latest.user
    summary = _summarise(latest.image_ids, counts, bins, goals, latest.image, latest.rating, user=user)
    return replace(
        summary,
        people=None if ratings.anonymous else _people(latest),
        repeats=raters.repeats(ratings.image[in_order], ratings.user[in_order], ratings.rating[in_order]),
        notes=(*summary.notes, *notes),
    )


def of_labels(labels: Labels, bins: FloatArray | None = None, goals: Goals | None = None) -> Summary:
    """Summarise a label file, which has counts or shares but no raters.

    Args:
        labels: With histograms.
        bins: (bins,), ascending: the scale; None for 1, 2, ...
        goals: What the means should reach.

    Raises:
        LabelError: It only names images, or has another number of bins.
    """
    if labels.histograms is None:
        raise LabelError("A summary needs labels. Received: a label file that only names images.")
    count = labels.histograms.shape[1]
    bins = histogram.default_bins(count) if bins is None else bins
    if len(bins) != count:
        raise LabelError(
            f"--bins must have one value for each bin. Received: {len(bins)} values, {count} bins"
        )
    if labels.counts is None or (labels.counts % 1).any():
        return _of_shares(labels.image_ids, labels.histograms, bins)
    image, place = np.nonzero(labels.counts)
    rating, weight = bins[place], labels.counts[image, place]
    summary = _summarise(labels.image_ids, labels.counts, bins, goals, image, rating, weight=weight)
    note = "A label file does not identify raters: figures about them are left out."
    return replace(summary, notes=(*summary.notes, note))


def unlike_the_rest(people: People) -> list[dict[str, Any]]:
    """People whose ratings are unusual, with the reasons; most biased first."""
    figures = people.raters
    rows = np.flatnonzero(people.outliers.any)
    rows = rows[np.argsort(-np.abs(np.nan_to_num(figures.bias[rows])), kind="stable")]
    return [
        {
            "user_id": people.user_ids[row],
            "ratings": int(figures.counts[row]),
            "bias": _round(figures.bias[row]),
            "spread": _round(figures.spread[row]),
            "consistency": _round(figures.consistency[row]),
            "reasons": people.outliers.reasons(row),
        }
        for row in rows.tolist()
    ]


def _summarise(  # noqa: PLR0917 - each is a different kind of array
    image_ids: tuple[str, ...],
    counts: FloatArray,
    bins: FloatArray,
    goals: Goals | None,
    image: IntArray,
    rating: FloatArray,
    *,
    user: IntArray | None = None,
    weight: FloatArray | None = None,
) -> Summary:
    """Summarise ratings; `user` if people are known, `weight` if they are not."""
    found = agreement.moments(image, rating, weight)
    agreed = Agreement(
        alpha_ordinal=agreement.alpha(image, rating, "ordinal", weight),
        alpha_interval=agreement.alpha(image, rating, "interval", weight),
        one_way=agreement.one_way_icc(found),
        two_way=None if user is None else agreement.two_way_icc(image, user, rating),
        split_half=None if user is None else agreement.split_half(image, user, rating),
        within=found.within,
        complete=user is not None and len(rating) == len(found.means) * len(np.unique(user)),
    )
    return Summary(
        pictures=Pictures(
            image_ids=image_ids,
            bins=bins,
            histograms=histogram.normalise(counts),
            means=found.means,
            deviations=found.deviations,
            counts=found.counts,
        ),
        shares=histogram.normalise(counts.sum(axis=0)),
        agreement=agreed,
        needs=sample_size.ratings_needed(found, agreed.reliability, goals or Goals(), bins),
        notes=tuple(_undefined(found, rating)),
    )


def _of_shares(image_ids: tuple[str, ...], histograms: FloatArray, bins: FloatArray) -> Summary:
    return Summary(
        pictures=Pictures(
            image_ids=image_ids,
            bins=bins,
            histograms=histograms,
            means=histogram.mean(histograms, bins),
            deviations=histogram.standard_deviation(histograms, bins),
            counts=None,
        ),
        shares=histograms.mean(axis=0),
        agreement=None,
        needs=(),
        notes=("The labels are shares, not numbers of ratings: agreement is unknown.",),
    )


def _people(ratings: Ratings) -> People:
    found = raters.compare(ratings.image, ratings.user, ratings.rating)
    return People(user_ids=ratings.user_ids, raters=found, outliers=raters.outliers(found))


def _undefined(found: Moments, rating: FloatArray) -> list[str]:
    """Why figures of agreement are undefined; empty if they are defined."""
    if found.within is None:
        return ["No picture has two ratings: agreement is undefined."]
    if rating.min() == rating.max():
        return ["All ratings are the same: agreement is undefined."]
    if len(found.means) == 1:
        return ["There is only one picture: agreement needs at least two."]
    return []


def _spread(values: NDArray[Any]) -> dict[str, float] | None:
    """Minimum, median, mean and maximum of the finite values; None if there are none."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    figures = {"min": known.min(), "median": np.median(known), "mean": known.mean(), "max": known.max()}
    return {name: round(float(value), _DIGITS) + 0.0 for name, value in figures.items()}  # no -0.0


def _round(value: float) -> float | None:
    return round(float(value), _DIGITS) if np.isfinite(value) else None


def _rounded(value: Any) -> Any:
    """A copy with all numbers rounded."""
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return round(value, _DIGITS) if isinstance(value, float) else value

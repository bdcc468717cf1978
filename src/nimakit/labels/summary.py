"""What there is to know of people's ratings before a model is trained on them."""

from dataclasses import asdict, dataclass
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
        counts: (N,) float64, numbers of ratings; None where only shares are known.
    """

    image_ids: tuple[str, ...]
    bins: FloatArray
    histograms: FloatArray
    means: FloatArray
    deviations: FloatArray
    counts: FloatArray | None

    @property
    def classes(self) -> IntArray:
        """(bins,) int, how many pictures have their mean nearest to each bin; halfway is the upper one."""
        position = np.interp(self.means, self.bins, np.arange(len(self.bins)))
        return np.bincount(np.floor(position + 0.5).astype(np.intp), minlength=len(self.bins))


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How far people agree; a figure is None where it is not defined.

    Attributes:
        alpha_ordinal: Krippendorff's alpha, ratings as an order.
        alpha_interval: Krippendorff's alpha, ratings as distances.
        one_way: ICC whoever rated.
        two_way: ICCs that tell people's level from their taste; None where people are unknown.
        split_half: Correlation of the means by halves of the people; None where people are unknown.
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
        """The ICC that says how steady the means are: people's levels do not matter where all rated all."""
        return self.two_way.consistency if self.complete and self.two_way else self.one_way


@dataclass(frozen=True, kw_only=True, slots=True)
class People:
    """U people who rated.

    Attributes:
        user_ids: U names.
        raters: Each beside the others.
        outliers: Who is unlike them.
    """

    user_ids: tuple[str, ...]
    raters: Raters
    outliers: Outliers


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """All there is to say of a set of ratings.

    Attributes:
        pictures: What was rated.
        shares: (bins,) float64, how often each rating was given, sums to 1.
        agreement: None where a label file has shares instead of counts.
        people: None where it is unknown who rated.
        repeats: Agreement of people with themselves; None where nobody rated a picture twice.
        needs: How many more ratings would help.
        notes: Sentences on what could not be told, and why.
    """

    pictures: Pictures
    shares: FloatArray
    agreement: Agreement | None
    people: People | None
    repeats: Repeats | None
    needs: tuple[Need, ...]
    notes: tuple[str, ...]

    @property
    def errors(self) -> FloatArray | None:
        """(N,) float64, standard error of each picture's mean, with the variance that all pictures share."""
        counts = self.pictures.counts
        if counts is None or self.agreement is None or self.agreement.within is None:
            return None
        return np.asarray(np.sqrt(self.agreement.within / counts))

    def to_dict(self) -> dict[str, Any]:
        """Everything but the single pictures and most people, as JSON has it."""
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
    """Summarise single ratings; of a person's ratings of one picture, the latest counts.

    Args:
        ratings: At least one.
        bins: (bins,), ascending: the scale, with all ratings on it; None infers it.
        goals: For the means.
    """
    bins = infer_bins(ratings)[0] if bins is None else bins
    latest = ratings.latest()
    image, rating = latest.image, latest.rating
    found = agreement.moments(image, rating)
    counts = to_counts(latest, bins)
    in_order = np.argsort(np.nan_to_num(ratings.time, nan=-np.inf), kind="stable")  # as Ratings.latest has it
    notes = _undefined(found, rating)
    if ratings.anonymous:
        notes.append("It is unknown who rated: what needs to know that is left out.")
    if len(latest) < len(ratings):
        notes.append(
            f"{len(ratings) - len(latest):,} of {len(ratings):,} ratings are left out, as the same person"
            " rated the same picture again; they show how far people agree with themselves."
        )
    agreed = _agreement(found, image, rating, user=None if ratings.anonymous else latest.user)
    return Summary(
        pictures=_pictures(latest.image_ids, bins, counts, found),
        shares=histogram.normalise(counts.sum(axis=0)),
        agreement=agreed,
        people=None if ratings.anonymous else _people(latest),
        repeats=raters.repeats(ratings.image[in_order], ratings.user[in_order], ratings.rating[in_order]),
        needs=sample_size.ratings_needed(found, agreed.reliability, goals or Goals(), bins),
        notes=tuple(notes),
    )


def of_labels(labels: Labels, bins: FloatArray | None = None, goals: Goals | None = None) -> Summary:
    """Summarise a label file, which has counts, or shares alone, but not who rated.

    Args:
        labels: With histograms.
        bins: (bins,), ascending: the scale; None for 1, 2, ...
        goals: For the means.

    Raises:
        LabelError: It names images only, or has another number of bins.
    """
    if labels.histograms is None:
        raise LabelError("A summary needs labels. Received: a label file that names images only.")
    count = labels.histograms.shape[1]
    bins = histogram.default_bins(count) if bins is None else bins
    if len(bins) != count:
        raise LabelError(f"There is one value for each bin. Received: {len(bins)} values, {count} bins")
    if labels.counts is None or (labels.counts % 1).any():
        return _of_shares(labels.image_ids, labels.histograms, bins)
    image, place = np.nonzero(labels.counts)
    rating, weight = bins[place], labels.counts[image, place]
    found = agreement.moments(image, rating, weight)
    agreed = _agreement(found, image, rating, weight=weight)
    return Summary(
        pictures=_pictures(labels.image_ids, bins, labels.counts, found),
        shares=histogram.normalise(labels.counts.sum(axis=0)),
        agreement=agreed,
        people=None,
        repeats=None,
        needs=sample_size.ratings_needed(found, agreed.reliability, goals or Goals(), bins),
        notes=(
            *_undefined(found, rating),
            "A label file does not tell who rated: what needs to know that is left out.",
        ),
    )


def unlike_the_rest(people: People) -> list[dict[str, Any]]:
    """Who deserves a look, with the reasons; most biased first."""
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


def _pictures(image_ids: tuple[str, ...], bins: FloatArray, counts: FloatArray, found: Moments) -> Pictures:
    return Pictures(
        image_ids=image_ids,
        bins=bins,
        histograms=histogram.normalise(counts),
        means=found.means,
        deviations=found.deviations,
        counts=found.counts,
    )


def _agreement(
    found: Moments,
    image: IntArray,
    rating: FloatArray,
    *,
    user: IntArray | None = None,
    weight: FloatArray | None = None,
) -> Agreement:
    """All of it; `user` where people are known, `weight` where they are not."""
    pairs = len(found.means) * len(np.unique(user)) if user is not None else None
    return Agreement(
        alpha_ordinal=agreement.alpha(image, rating, "ordinal", weight),
        alpha_interval=agreement.alpha(image, rating, "interval", weight),
        one_way=agreement.one_way_icc(found),
        two_way=None if user is None else agreement.two_way_icc(image, user, rating),
        split_half=None if user is None else agreement.split_half(image, user, rating),
        within=found.within,
        complete=len(rating) == pairs,
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
        people=None,
        repeats=None,
        needs=(),
        notes=("The labels are shares, not numbers of ratings: how far people agree cannot be told.",),
    )


def _people(ratings: Ratings) -> People:
    found = raters.compare(ratings.image, ratings.user, ratings.rating)
    return People(user_ids=ratings.user_ids, raters=found, outliers=raters.outliers(found))


def _undefined(found: Moments, rating: FloatArray) -> list[str]:
    """Why figures of agreement are not defined; empty where they are."""
    if found.within is None:
        return ["No picture has two ratings: how far people agree cannot be told."]
    if rating.min() == rating.max():
        return ["All ratings are the same: agreement is not defined."]
    if len(found.means) == 1:
        return ["There is one picture: agreement needs at least two."]
    return []


def _spread(values: NDArray[Any]) -> dict[str, float] | None:
    """Lowest, median, mean and highest of the values there are; None where there are none."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    figures = {"min": known.min(), "median": np.median(known), "mean": known.mean(), "max": known.max()}
    return {name: round(float(value), _DIGITS) + 0.0 for name, value in figures.items()}  # no -0.0


def _round(value: float) -> float | None:
    return round(float(value), _DIGITS) if np.isfinite(value) else None


def _rounded(value: Any) -> Any:
    """The same with every number of digits that mean something."""
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return round(value, _DIGITS) if isinstance(value, float) else value

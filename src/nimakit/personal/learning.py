"""Learning from ratings of images: one person's taste, or how the tastes of many people differ."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nimakit.errors import ImageError, TasteError, UsageError, first_few
from nimakit.features.scores import score_files
from nimakit.images.files import match_images
from nimakit.images.photo import MAX_PIXELS
from nimakit.labels.ratings import Ratings, infer_bins
from nimakit.models.engine import Model
from nimakit.models.taste import LINEAR, Method, Taste, is_same_base
from nimakit.personal import fit
from nimakit.personal.population import Population
from nimakit.progress import track
from nimakit.stats.bradley_terry import Comparisons
from nimakit.stats.histogram import Float32Array, FloatArray
from nimakit.stats.joint import Choices
from nimakit.stats.pairwise import Pairs

Notify = Callable[[str], None]

_MAX_LISTED = 5
NOISE_SHARE = 0.2
"""Usual standard deviation of a judgement's noise, as a share of the scale: 1.2 on a scale from 1 to 7."""


@dataclass(frozen=True, slots=True, eq=False)
class RatedImages:
    """Ratings and comparisons, and what a base model computes for their images.

    Attributes:
        ratings: R ratings of N images, all of which the model has scored; R may be 0 if there are pairs.
        paths: N files.
        features: (N, D) float32.
        means: (N,) float64, generic mean scores.
        pairs: Pairs of these images that a person compared; None if there are none.
        comparisons: Number of comparisons that these are.
    """

    ratings: Ratings
    paths: tuple[Path, ...]
    features: Float32Array
    means: FloatArray
    pairs: Pairs | None = None
    comparisons: int = 0


def score_rated(
    model: Model,
    ratings: Ratings,
    image_dir: Path,
    *,
    comparisons: Sequence[Comparisons] = (),
    recursive: bool = False,
    max_pixels: int = MAX_PIXELS,
    notify: Notify | None = None,
) -> RatedImages:
    """Score the rated images; judgements of a missing or broken image are left out.

    Args:
        model: The base model.
        ratings: On the scale of the model's bins; of each person's ratings of an image, the latest counts.
        image_dir: Folder of the images.
        comparisons: One person's comparisons, if they also compared images.
        recursive: Whether to also look into its sub-folders.
        max_pixels: Largest width times height of an image.
        notify: Called with a sentence about the images left out.

    Raises:
        UsageError: None of the images can be scored, or all comparisons are with images that cannot be and
            there are no ratings.
    """
    if not image_dir.is_dir():
        raise UsageError(f"The rated images must be in a folder. Received: {image_dir}")
    ratings = ratings.latest()
    compared = [name for given in comparisons for name in given.image_ids]
    names = tuple(dict.fromkeys([*ratings.image_ids, *compared]))
    found = match_images(names, image_dir, recursive=recursive, notify=notify)
    paths = {name: path for name in names if (path := found[name])}
    problems = [f"{name}: not in {image_dir}" for name, path in found.items() if path is None]
    scoring = score_files(model, list(paths.values()), max_pixels=max_pixels)
    results = dict(zip(paths, track(scoring, len(paths), "scoring rated images"), strict=True))
    problems += [f"{paths[n].name}: {error}" for n, error in results.items() if isinstance(error, ImageError)]
    scores = {name: result for name, result in results.items() if not isinstance(result, ImageError)}
    if notify and problems:
        shown = "; ".join(first_few(problems, _MAX_LISTED))
        notify(f"{len(problems)} rated images are left out: {shown}")
    kept = ratings.among(scores)
    pairs, used = _pairs(comparisons, scores, notify)
    if not len(kept) and pairs is None:
        raise UsageError(
            "At least one of the rated images must be in the folder, or both of a comparison. Received:"
            f" {image_dir}, with {len(scores)} of {len(names)} images"
        )
    return RatedImages(
        ratings=kept,
        paths=tuple(paths[name] for name in scores),
        features=np.stack([np.asarray(score.features, np.float32) for score in scores.values()]),
        means=np.array([score.mean for score in scores.values()]),
        pairs=pairs,
        comparisons=used,
    )


def _pairs(
    comparisons: Sequence[Comparisons], image_ids: Iterable[str], notify: Notify | None
) -> tuple[Pairs | None, int]:
    """The pairs of images by their places, and how many comparisons they are; others are left out."""
    place = {name: number for number, name in enumerate(image_ids)}
    tables, used = [], 0
    for given in comparisons:
        places = np.array([place.get(name, -1) for name in given.image_ids], np.intp)
        tables.append(given.pairs(places, len(place)))
        used += int(((places[given.left] >= 0) & (places[given.right] >= 0)).sum())
    missing = sum(map(len, comparisons)) - used
    if notify and missing:
        notify(f"{missing} comparisons are left out, because one of their images is")
    return (Pairs.merged(tables) if used else None), used


def personalise(
    model: Model, rated: RatedImages, method: Method = "head", population: Population | None = None
) -> Taste:
    """Learn one person's taste, by a method that needs no gradients.

    Args:
        model: The base model.
        rated: One person's ratings and comparisons, from `score_rated`.
        method: "head", or "factors" with a population.
        population: What many raters taught, with the same base model.

    Raises:
        UsageError: Another method, or ratings by several people.
        TasteError: "factors" without a population, or with that of another model.
    """
    if method not in LINEAR:
        raise UsageError(f"This method needs gradients: nimakit.nn.personal.fine_tuning. Received: {method}")
    check_one_person(rated.ratings)
    ratings = rated.ratings
    given = (rated.features[ratings.image], rated.means[ratings.image], ratings.rating)
    choices = _choices(rated, model.bins)
    if method == "factors":
        arrays = check_population(population, model).place(*given, choices)
    else:
        arrays = fit.fit_head(*given, choices)
    return Taste(
        method=method,
        base=model.probe()[0],
        base_name=model.name,
        ratings=len(ratings),
        comparisons=rated.comparisons,
        arrays=arrays,
    )


def _choices(rated: RatedImages, bins: FloatArray) -> Choices | None:
    """The comparisons, with the features of only the images compared."""
    if rated.pairs is None:
        return None
    images, pairs = rated.pairs.compact()
    noise = NOISE_SHARE * float(bins[-1] - bins[0])
    return Choices(pairs, rated.features[images].astype(np.float64), rated.means[images], noise)


def learn_factors(model: Model, rated: RatedImages, *, notify: Notify | None = None) -> Population:
    """Learn the directions in which people's tastes differ.

    Args:
        model: The base model.
        rated: Many people's ratings, from `score_rated`.
        notify: Called with a sentence when learning starts.

    Raises:
        UsageError: It is unknown who gave the ratings.
        TasteError: There are too few raters.
    """
    ratings = rated.ratings
    check_named(ratings)
    if notify:
        notify(f"learning how {len(ratings.user_ids)} people differ")
    return fit.learn(
        *(rated.features, rated.means, ratings.image, ratings.user, ratings.rating),
        base=model.probe()[0],
        base_name=model.name,
    )


def check_named(ratings: Ratings) -> None:
    """Refuse ratings without a user_id.

    Raises:
        UsageError: Some have none.
    """
    if ratings.anonymous:
        raise UsageError("To learn how people differ, every rating needs a user_id. Received: some without")


def check_population(population: Population | None, model: Model) -> Population:
    """Refuse a missing population, or that of another base model.

    Raises:
        TasteError: It is missing, or of another model.
    """
    if population is None:
        raise TasteError(
            "The method factors needs a population file, which shows how people's tastes differ: create one"
            " from many raters' ratings with nimakit learn-factors, and name it with --population."
            " Received: none"
        )
    base, width = model.probe()
    if population.centre.shape != (width,) or not is_same_base(population.base, base):
        raise TasteError(
            "A population file must be used with the model it was learned with. Received: one for"
            f" {population.base_name} with {model.name}; learn it again with nimakit learn-factors"
        )
    return population


def check_one_person(ratings: Ratings) -> None:
    """Refuse ratings by several people.

    Raises:
        UsageError: There are several.
    """
    if not (ratings.anonymous and len(ratings.user_ids) == len(ratings)) and len(ratings.user_ids) > 1:
        raise UsageError(f"The ratings come from {_people(ratings.user_ids)}. Choose one with --user-id.")


def of_user(
    ratings: Ratings, comparisons: Sequence[Comparisons], user_id: str | None
) -> tuple[Ratings, list[Comparisons]]:
    """One person's judgements; comparisons of a table without people are the person's own.

    Args:
        ratings: Of any number of people.
        comparisons: Likewise.
        user_id: The person; None if everything is by one person.

    Returns:
        Their ratings and comparisons; there may be none of either.

    Raises:
        UsageError: Nothing has that id, or there are several people and no id.
    """
    known = () if ratings.anonymous and len(ratings.user_ids) == len(ratings) else ratings.user_ids
    people = tuple(dict.fromkeys([*known, *(name for given in comparisons for name in given.user_ids)]))
    if user_id is None:
        check_one_person(ratings)
        if len(people) > 1:
            raise UsageError(f"The judgements come from {_people(people)}. Choose one with --user-id.")
        one = replace(ratings, user_ids=ratings.user_ids[:1], user=np.zeros_like(ratings.user))
        return one, [*comparisons]
    if user_id not in people:
        raise UsageError(
            f"--user-id must be one of the people who rated. Received: {user_id!r}, and ratings by"
            f" {_people(people or ratings.user_ids)}"
        )
    is_own = np.array([name == user_id for name in ratings.user_ids], np.bool_)[ratings.user]
    own = [given.by(user_id) if given.user_ids else given for given in comparisons]
    return ratings.only(is_own), [given for given in own if len(given)]


def _people(user_ids: Sequence[str]) -> str:
    """The people who rated, such as "822 people (1, 2, 3, 4, 5, ...)"."""
    names = [*user_ids[:_MAX_LISTED], *(["..."] if len(user_ids) > _MAX_LISTED else [])]
    count = len(user_ids)
    return f"{count} {'person' if count == 1 else 'people'} ({', '.join(names)})"


def check_scale(ratings: Ratings, bins: FloatArray) -> None:
    """Refuse ratings that may be on another scale than a model.

    Args:
        ratings: All ratings of the table.
        bins: (bins,), of the model.

    Raises:
        UsageError: The scale they seem to be on, from 1 or lower to the highest rating, is not the model's.
    """
    likely, _ = infer_bins(ratings)
    if (likely[0], likely[-1]) != (bins[0], bins[-1]):
        low, high = ratings.rating.min(), ratings.rating.max()
        raise UsageError(
            f"The rating scale must be known. Received: ratings from {low:g} to {high:g}, for a model that"
            f" scores from {bins[0]:g} to {bins[-1]:g}. Give the lowest and the highest possible rating, such"
            f" as --scale {likely[0]:g} {likely[-1]:g}."
        )


def rescaled(ratings: Ratings, scale: tuple[float, float], bins: FloatArray) -> Ratings:
    """Ratings moved from a scale to that of a model, ends to ends.

    Args:
        ratings: On the given scale.
        scale: Its lowest and its highest rating.
        bins: (bins,), of the model.
    """
    low, high = scale
    share = (ratings.rating - low) / (high - low)
    return replace(ratings, rating=bins[0] + share * (bins[-1] - bins[0]))

"""A person's ratings and a model to a user's file: `nimakit.personal.learning.personalise`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nimakit.errors import ImageError, TasteError, UsageError
from nimakit.images.files import match_images
from nimakit.images.photo import MAX_PIXELS
from nimakit.labels.ratings import Ratings, infer_bins
from nimakit.models.engine import Model, Scorer
from nimakit.models.taste import LINEAR, Method, Taste, is_same_base
from nimakit.personal import fit
from nimakit.personal.population import Population
from nimakit.progress import track
from nimakit.stats.histogram import Float32Array, FloatArray

if TYPE_CHECKING:
    from nimakit.models.score import Score

Notify = Callable[[str], None]

_LISTED = 5


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Ratings, and what a model makes of the images they are of.

    Attributes:
        ratings: R ratings of N images, all of which the model has scored.
        paths: N files.
        features: (N, D) float32.
        means: (N,) float64, generic mean scores.
    """

    ratings: Ratings
    paths: tuple[Path, ...]
    features: Float32Array
    means: FloatArray


def look(
    model: Model,
    ratings: Ratings,
    image_dir: Path,
    *,
    recursive: bool = False,
    max_pixels: int = MAX_PIXELS,
    notify: Notify | None = None,
) -> Seen:
    """Score the images that were rated; one that is missing or broken is left out, with its ratings.

    Args:
        model: What to score with.
        ratings: On the scale of its bins.
        image_dir: Folder of the images.
        recursive: Whether to look into its sub-folders too.
        max_pixels: Largest width times height of an image.
        notify: Told in a sentence what is left out.

    Raises:
        UsageError: None of the images can be scored.
    """
    if not image_dir.is_dir():
        raise UsageError(f"The images that were rated are in a folder. Received: {image_dir}")
    found = match_images(ratings.image_ids, image_dir, recursive=recursive, notify=notify)
    paths = [(place, path) for place, name in enumerate(ratings.image_ids) if (path := found[name])]
    scores: dict[int, Score] = {}
    problems = [f"{name}: not in {image_dir}" for name, path in found.items() if path is None]
    results = Scorer(model, max_pixels=max_pixels).score(path for _, path in paths)
    for (place, path), result in zip(
        paths, track(results, len(paths), "looking at what was rated"), strict=True
    ):
        if isinstance(result, ImageError):
            problems.append(f"{path.name}: {result}")
        else:
            scores[place] = result
    if notify and problems:
        more = f"; and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
        notify(f"{len(problems)} rated images are left out: " + "; ".join(problems[:_LISTED]) + more)
    if not scores:
        raise UsageError(
            f"At least one of the rated images is in the folder. Received: {image_dir}, with none of"
            f" {len(ratings.image_ids)}"
        )
    kept = ratings.only(np.isin(ratings.image, list(scores)))
    places = [ratings.image_ids.index(name) for name in kept.image_ids]
    known = dict(paths)
    return Seen(
        ratings=kept,
        paths=tuple(known[place] for place in places),
        features=np.stack([np.asarray(scores[place].features, np.float32) for place in places]),
        means=np.array([scores[place].mean for place in places]),
    )


def personalise(
    model: Model,
    ratings: Ratings,
    image_dir: Path,
    *,
    method: Method = "head",
    population: Population | None = None,
    recursive: bool = False,
    max_pixels: int = MAX_PIXELS,
    notify: Notify | None = None,
) -> Taste:
    """Learn one person's taste by a linear method.

    Args:
        model: The base model.
        ratings: One person's, on the scale of its bins; of ratings of the same image the latest counts.
        image_dir: Folder of the images that were rated.
        method: "head", or "factors".
        population: For "factors": from `learn_factors`, with the same model.
        recursive: Whether to look into sub-folders too.
        max_pixels: Largest width times height of an image.
        notify: Told in a sentence what is left out.

    Returns:
        What `nimakit.models.taste.write_taste` writes and `Model.for_user` takes.

    Raises:
        UsageError: Ratings by several people, or images none of which can be scored.
        TasteError: "factors" without a population, or with that of another model.
    """
    if method not in LINEAR:
        raise UsageError(f"This method needs gradients: nimakit.nn.personal.fine_tuning. Received: {method}")
    check_one_person(ratings)
    base, width = model.probe()
    if method == "factors":
        check_population(population, base, width, model.name)
    seen = look(model, ratings.latest(), image_dir, recursive=recursive, max_pixels=max_pixels, notify=notify)
    given = seen.ratings
    features, means = seen.features[given.image], seen.means[given.image]
    if method == "factors" and population:
        arrays = population.place(features, means, given.rating)
    else:
        arrays = fit.fit_head(features, means, given.rating)
    return Taste(method=method, base=base, base_name=model.name, ratings=len(given), arrays=arrays)


def learn_factors(
    model: Model,
    ratings: Ratings,
    image_dir: Path,
    *,
    recursive: bool = False,
    max_pixels: int = MAX_PIXELS,
    notify: Notify | None = None,
) -> Population:
    """Learn from many raters in which directions people differ.

    Args:
        model: The base model.
        ratings: Many people's, on the scale of its bins.
        image_dir: Folder of the images that were rated.
        recursive: Whether to look into sub-folders too.
        max_pixels: Largest width times height of an image.
        notify: Told in a sentence what is left out, and what is being done.

    Raises:
        UsageError: It is unknown who gave the ratings, or none of the images can be scored.
        TasteError: There are too few raters.
    """
    if ratings.anonymous:
        raise UsageError(
            "How people differ is learned from ratings with a user_id each. Received: some without"
        )
    seen = look(model, ratings.latest(), image_dir, recursive=recursive, max_pixels=max_pixels, notify=notify)
    base, _ = model.probe()
    given = seen.ratings
    if notify:
        notify(f"learning how {len(given.user_ids)} people differ")
    return fit.learn(
        seen.features, seen.means, given.image, given.user, given.rating, base=base, base_name=model.name
    )


def check_population(population: Population | None, base: FloatArray, width: int, name: str) -> None:
    """Refuse what many raters taught with another model, before any image is looked at.

    Raises:
        TasteError: It is missing, or of another model.
    """
    if population is None:
        raise TasteError(
            "The method factors places a person among many raters: make a population file of their ratings"
            " first (nimakit learn-factors), and name it: --population. Received: none"
        )
    if population.centre.shape != (width,) or not is_same_base(population.base, base):
        raise TasteError(
            "A population file is used with the model it was learned with. Received: one for"
            f" {population.base_name} with {name}; learn it anew: nimakit learn-factors"
        )


def check_one_person(ratings: Ratings) -> None:
    """Refuse ratings by several people.

    Raises:
        UsageError: There are several.
    """
    is_one = len(ratings.user_ids) == 1 or (ratings.anonymous and len(ratings.user_ids) == len(ratings))
    if not is_one:
        raise UsageError(f"The ratings come from {_people(ratings)}. Choose one with --user-id.")


def of_user(ratings: Ratings, user_id: str | None) -> Ratings:
    """One person's ratings.

    Args:
        ratings: Of anybody.
        user_id: Who; None where they are all by one person.

    Raises:
        UsageError: Nobody has that id.
    """
    if user_id is None:
        check_one_person(ratings)
        return replace(ratings, user_ids=ratings.user_ids[:1], user=np.zeros_like(ratings.user))
    if user_id not in ratings.user_ids:
        raise UsageError(
            f"--user-id must be someone the ratings are by. Received: {user_id!r}, and ratings by"
            f" {_people(ratings)}"
        )
    return ratings.only(ratings.user == ratings.user_ids.index(user_id))


def _people(ratings: Ratings) -> str:
    """How many people rated, and who: "822 people (1, 2, 3, 4, 5, ...)"."""
    names = [*ratings.user_ids[:_LISTED], *(["..."] if len(ratings.user_ids) > _LISTED else [])]
    count = len(ratings.user_ids)
    return f"{count} {'person' if count == 1 else 'people'} ({', '.join(names)})"


def check_scale(ratings: Ratings, bins: FloatArray) -> None:
    """Refuse ratings that may be on another scale than that of a model.

    Args:
        ratings: Of everybody in the table.
        bins: (bins,), of the model.

    Raises:
        UsageError: The scale they seem to be on, from 1 or lower to the highest rating, is not the model's.
    """
    likely, _ = infer_bins(ratings)
    if (likely[0], likely[-1]) != (bins[0], bins[-1]):
        low, high = ratings.rating.min(), ratings.rating.max()
        raise UsageError(
            f"It must be known which ratings people could choose from. Received: ratings from {low:g} to"
            f" {high:g}, for a model that scores from {bins[0]:g} to {bins[-1]:g}. Give the lowest and the"
            f" highest rating that were possible, such as --scale {likely[0]:g} {likely[-1]:g}."
        )


def rescaled(ratings: Ratings, scale: tuple[float, float], bins: FloatArray) -> Ratings:
    """Ratings moved from one scale to that of a model, ends to ends.

    Args:
        ratings: On the first scale.
        scale: Its lowest and its highest rating.
        bins: (bins,), of the model.
    """
    low, high = scale
    share = (ratings.rating - low) / (high - low)
    return replace(ratings, rating=bins[0] + share * (bins[-1] - bins[0]))

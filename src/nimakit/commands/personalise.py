"""`nimakit personalise` and `nimakit learn-factors`: one person's taste, and how people's tastes differ."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from nimakit.commands.parameters import FILE
from nimakit.commands.rating_source import Source, rating_source
from nimakit.errors import UsageError
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.models.engine import Model
    from nimakit.models.taste import Method, Taste
    from nimakit.nn.networks.adapters import Placement
    from nimakit.personal.learning import RatedImages


@click.command()
@rating_source
@click.option(
    "--comparisons",
    "comparisons_file",
    type=FILE,
    help="A table of comparisons, with the columns left, right, chosen and user_id, as the rating app exports"
    " pairs. Next to --ratings or without it; for head and factors.",
)
@click.option(
    "--picks",
    "picks_file",
    type=FILE,
    help="A table of picks and rejects, with the columns image_id, pick (1, -1, or 0 for neither), group and"
    " user_id: a pick counts as chosen over each reject of its group. Next to --ratings or without it; for"
    " head and factors.",
)
@click.option("--user-id", help="The person, if the ratings are by several people.")
@click.option(
    "--method",
    type=click.Choice(["head", "factors", "adapters", "full"]),
    default="head",
    show_default=True,
    help="head: the last layer, in seconds. factors: the same, along the directions in which people differ;"
    " best with few ratings. adapters: small layers in the network, up to a minute. full: every layer.",
)
@click.option(
    "--placement",
    type=click.Choice(["parallel", "series"]),
    default="parallel",
    show_default=True,
    help="For adapters: parallel to the convolutions, or after their normalisation.",
)
@click.option(
    "--batch-norm",
    is_flag=True,
    help="For adapters: also learn scale and shift of the network's normalisation.",
)
@click.option(
    "--population",
    "population_file",
    type=FILE,
    help="For factors: the population file, from nimakit learn-factors with the same model.",
)
@click.option("--output", required=True, type=FILE, help="The taste file to write: .taste.")
def personalise(
    *,
    model: str,
    user_id: str | None,
    method: "Method",
    placement: "Placement",
    batch_norm: bool,
    population_file: Path | None,
    output: Path,
    **source: Any,
) -> int:
    """Learn one person's taste from ratings, comparisons and picks.

    Prints a JSON object with the results. Use the file with its base model: nimakit predict --model MODEL
    --user FILE.

    \b
    Example:
      nimakit personalise --ratings ratings.csv --user-id ann --image-source photos --output ann.taste
      nimakit personalise --picks picks.csv --image-source photos --output me.taste
      nimakit personalise --data-dir ratings --output me.taste
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.io.atomic import check_output
    from nimakit.models.loading import load_model
    from nimakit.models.taste import LINEAR, SUFFIX, write_taste
    from nimakit.personal import learning
    from nimakit.personal.population import read_population

    check_output(output, (SUFFIX,))
    if population_file and method != "factors":
        raise UsageError(f"--population is for the method factors. Received: {method}")
    if method != "adapters" and (placement != "parallel" or batch_norm):
        raise UsageError(f"--placement and --batch-norm are for the method adapters. Received: {method}")
    population = read_population(population_file) if population_file else None
    base = load_model(model, notify=say)
    given = Source(**source).read(base)
    ratings, comparisons = learning.of_user(given.ratings, given.comparisons, user_id)
    if comparisons and method not in LINEAR:
        raise UsageError(f"Comparisons and picks are for the methods head and factors. Received: {method}")
    if method == "factors":
        learning.check_population(population, base)
    started = time.monotonic()
    rated = learning.score_rated(base, ratings, comparisons=comparisons, **given.images)
    facts: dict[str, Any] = {}
    if method in LINEAR:
        taste = learning.personalise(base, rated, method, population)
    else:
        adapters = {"placement": placement, "batch_norm": batch_norm} if method == "adapters" else None
        taste, facts = _fine_tune(model, base, rated, adapters, given.images["max_pixels"])
    size = write_taste(output, taste)
    summary = {
        "user_id": user_id,
        "method": method,
        "ratings": taste.ratings,
        "comparisons": taste.comparisons,
    }
    _print_summary(summary, output, size, started, facts)
    return 0


@click.command("learn-factors")
@rating_source
@click.option("--output", required=True, type=FILE, help="The population file to write: .npz.")
def learn_factors(*, model: str, output: Path, **source: Any) -> int:
    """Learn how tastes differ from many people's ratings, for nimakit personalise --method factors.

    \b
    Example:
      nimakit learn-factors --ratings ratings.csv --image-source photos --output population.npz
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.io.atomic import check_output
    from nimakit.models.loading import load_model
    from nimakit.personal import learning
    from nimakit.personal.population import write_population

    check_output(output, (".npz",))
    base = load_model(model, notify=say)
    given = Source(**source).read(base)
    if given.comparisons:
        raise UsageError("How people differ is learned from ratings. Received: a collection of comparisons")
    learning.check_named(given.ratings)
    started = time.monotonic()
    rated = learning.score_rated(base, given.ratings, **given.images)
    population = learning.learn_factors(base, rated, notify=say)
    size = write_population(output, population)
    summary = {
        "raters": population.raters,
        "directions": population.directions.shape[1],
        "noise_sd": round(population.noise**0.5, 3),
    }
    _print_summary(summary, output, size, started)
    return 0


def _print_summary(
    summary: dict[str, Any],
    output: Path,
    size: int,
    started: float,
    facts: dict[str, Any] | None = None,
) -> None:
    seconds = round(time.monotonic() - started, 1)
    summary |= {"bytes": size, "seconds": seconds, "file": str(output), **(facts or {})}
    click.echo(json.dumps(summary, indent=2))


def _fine_tune(
    name: str, base: "Model", rated: "RatedImages", adapters: dict[str, Any] | None, max_pixels: int
) -> tuple["Taste", dict[str, Any]]:
    """Learn a taste in adapters, or without them in every layer.

    Returns:
        The taste; and, of adapters, the model file that takes them.
    """
    from nimakit.io.cache import writable_cache
    from nimakit.jobs import Job
    from nimakit.models.pretrained import public_models
    from nimakit.models.taste import Taste
    from nimakit.nn.networks import keras_model
    from nimakit.nn.personal import fine_tuning

    model = keras_model.load(name, notify=say)
    facts: dict[str, Any] = {}
    if adapters:
        file_name = fine_tuning.adaptable_name(**adapters)
        if name in public_models():
            file = writable_cache() / f"{name}-{file_name}"
        else:
            file = Job(Path(name) if Path(name).is_dir() else Path(name).parent).folder / file_name
        if not _is_adaptable(file, base):
            say(f"writing {file}, which takes the adapters of any user")
            fine_tuning.write_adaptable(model, file, **adapters)
        facts = {"model": str(file)}
    method: Literal["adapters", "full"] = "adapters" if adapters else "full"
    ratings = rated.ratings
    arrays = fine_tuning.teach(
        model,
        [rated.paths[image] for image in ratings.image],
        ratings.rating,
        rated.means[ratings.image],
        method=method,
        max_pixels=max_pixels,
        **(adapters or {}),
    )
    probe, _ = base.probe()
    return Taste(method=method, base=probe, base_name=base.name, ratings=len(ratings), arrays=arrays), facts


def _is_adaptable(file: Path, base: "Model") -> bool:
    """Whether a model file exists and is of this model: a resumed job has another one."""
    from nimakit.models.loading import load_model
    from nimakit.models.taste import is_same_base

    return file.is_file() and is_same_base(load_model(file, notify=say).probe()[0], base.probe()[0])

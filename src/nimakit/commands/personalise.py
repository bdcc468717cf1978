"""`nimakit personalise` and `nimakit learn-factors`: one person's taste, and how people differ."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nimakit.commands.rating_source import Source, source
from nimakit.errors import UsageError
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.models.engine import Model
    from nimakit.models.taste import Method, Taste
    from nimakit.nn.networks.adapters import Placement
    from nimakit.personal.learning import Seen

_FILE = click.Path(path_type=Path)


@click.command()
@source
@click.option("--user-id", help="Whose taste, where the ratings are by several people.")
@click.option(
    "--method",
    type=click.Choice(["head", "factors", "adapters", "full"]),
    default="head",
    show_default=True,
    help="head: the last layer, in seconds. factors: the same, in the directions in which people differ: the"
    " best from few ratings. adapters: small layers in the network, up to a minute. full: every layer.",
)
@click.option(
    "--placement",
    type=click.Choice(["parallel", "series"]),
    default="parallel",
    show_default=True,
    help="For adapters: beside the convolutions, or behind their normalisation.",
)
@click.option(
    "--batch-norm",
    is_flag=True,
    help="For adapters: scale and shift of the network's normalisation are the user's own too.",
)
@click.option(
    "--population",
    "population_file",
    type=_FILE,
    help="For factors: what many raters taught, from nimakit learn-factors with the same model.",
)
@click.option("--output", required=True, type=_FILE, help="The user's file to write: .taste.")
def personalise(
    *,
    model: str,
    user_id: str | None,
    method: "Method",
    placement: "Placement",
    batch_norm: bool,
    population_file: Path | None,
    output: Path,
    **given: Any,
) -> int:
    """Learn one person's taste from their ratings; a JSON object with the figures goes to stdout.

    The file is used with its base model: nimakit predict --model MODEL --user FILE.

    \b
    Example:
      nimakit personalise --ratings ratings.csv --user-id ann --image-dir photos --output ann.taste
      nimakit personalise --data-dir ratings --output me.taste
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.io.atomic import check_output
    from nimakit.models.taste import LINEAR, SUFFIX, write_taste
    from nimakit.personal import learning as personalising
    from nimakit.personal.population import read_population

    check_output(output, (SUFFIX,))
    if population_file and method != "factors":
        raise UsageError(f"--population is for the method factors. Received: {method}")
    if method != "adapters" and (placement != "parallel" or batch_norm):
        raise UsageError(f"--placement and --batch-norm are for the method adapters. Received: {method}")
    population = read_population(population_file) if population_file else None
    base = _load(model)
    ratings, looking = Source(**given).read(base)
    ratings = personalising.of_user(ratings, user_id)
    started = time.monotonic()
    facts: dict[str, Any] = {}
    if method in LINEAR:
        taste = personalising.personalise(base, ratings, method=method, population=population, **looking)
    else:
        seen = personalising.look(base, ratings.latest(), **looking)
        kind = {"placement": placement, "batch_norm": batch_norm} if method == "adapters" else None
        taste, facts = _teach(model, base, seen, kind, looking["max_pixels"])
    size = write_taste(output, taste)
    summary: dict[str, Any] = {"user_id": user_id, "method": method, "ratings": taste.ratings, "bytes": size}
    summary |= {"seconds": round(time.monotonic() - started, 1), "file": str(output), **facts}
    click.echo(json.dumps(summary, indent=2))
    return 0


@click.command("learn-factors")
@source
@click.option("--output", required=True, type=_FILE, help="The population file to write: .npz.")
def learn_factors(
    *,
    model: str,
    output: Path,
    **given: Any,
) -> int:
    """Learn how tastes differ from many people's ratings, for nimakit personalise --method factors.

    \b
    Example:
      nimakit learn-factors --ratings ratings.csv --image-dir photos --output population.npz
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.io.atomic import check_output
    from nimakit.personal import learning as personalising
    from nimakit.personal.population import write_population

    check_output(output, (".npz",))
    base = _load(model)
    ratings, looking = Source(**given).read(base)
    started = time.monotonic()
    population = personalising.learn_factors(base, ratings, **looking)
    size = write_population(output, population)
    summary = {
        "raters": population.raters,
        "directions": population.directions.shape[1],
        "noise_sd": round(population.noise**0.5, 3),
        "bytes": size,
        "seconds": round(time.monotonic() - started, 1),
        "file": str(output),
    }
    click.echo(json.dumps(summary, indent=2))
    return 0


def _teach(
    name: str, base: "Model", seen: "Seen", kind: dict[str, Any] | None, max_pixels: int
) -> tuple["Taste", dict[str, Any]]:
    """A taste in adapters of a kind, with the model file that takes them; or, without, in every layer."""
    from nimakit.io.cache import writable_cache
    from nimakit.jobs import Job
    from nimakit.models.pretrained import public_models
    from nimakit.models.taste import Taste
    from nimakit.nn.networks import keras_model
    from nimakit.nn.personal import fine_tuning as deep

    model = keras_model.load(name, notify=say)
    facts: dict[str, Any] = {}
    if kind:
        file_name = deep.adaptable_name(**kind)
        folder = Path(name) if Path(name).is_dir() else Path(name).parent
        file = writable_cache() / f"{name}-{file_name}" if name in public_models() else None
        file = file or Job(folder).folder / file_name
        if not _is_of(file, base):
            say(f"writing {file}, which takes the adapters of any user")
            deep.write_adaptable(model, file, **kind)
        facts = {"model": str(file)}
    given = seen.ratings
    arrays = deep.teach(
        model,
        [seen.paths[place] for place in given.image],
        given.rating,
        seen.means[given.image],
        method="adapters" if kind else "full",
        max_pixels=max_pixels,
        **(kind or {}),
    )
    probe, _ = base.probe()
    method: Method = "adapters" if kind else "full"
    return Taste(method=method, base=probe, base_name=base.name, ratings=len(given), arrays=arrays), facts


def _is_of(file: Path, base: "Model") -> bool:
    """Whether a model file is there, and of this model: a job that went on has another one."""
    from nimakit.models.taste import is_same_base

    if not file.is_file():
        return False
    return is_same_base(_load(str(file)).probe()[0], base.probe()[0])


def _load(name: str) -> "Model":
    """A model by what people call it, a job's folder included."""
    from nimakit.jobs import Job
    from nimakit.models import loading as model_loading

    return model_loading.load_model(Job(Path(name)).model_file if Path(name).is_dir() else name, notify=say)

"""`nimakit personalise` and `nimakit learn-factors`: one person's taste, and how people differ."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nimakit.commands.options import Source, source
from nimakit.errors import UsageError
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.engine import Model
    from nimakit.personalise import Seen
    from nimakit.taste import Method, Taste

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
    " best from few ratings. adapters: small layers in the network, about a minute. full: every layer.",
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
    from nimakit import personalise as personalising
    from nimakit.output import check_output
    from nimakit.personal import read_population
    from nimakit.taste import LINEAR, SUFFIX, write_taste

    check_output(output, (SUFFIX,))
    if population_file and method != "factors":
        raise UsageError(f"--population is for the method factors. Received: {method}")
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
        taste, facts = _teach(model, base, seen, method, looking["max_pixels"])
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
    """Learn from many raters in which directions people differ, for nimakit personalise --method factors.

    \b
    Example:
      nimakit learn-factors --ratings ratings.csv --image-dir photos --output population.npz
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit import personal
    from nimakit import personalise as personalising
    from nimakit.output import check_output

    check_output(output, (".npz",))
    base = _load(model)
    ratings, looking = Source(**given).read(base)
    started = time.monotonic()
    population = personalising.learn_factors(base, ratings, **looking)
    size = personal.write_population(output, population)
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
    name: str, base: "Model", seen: "Seen", method: "Method", max_pixels: int
) -> tuple["Taste", dict[str, Any]]:
    """A taste in the layers of the network; and for adapters, the model file that takes them."""
    from nimakit.jobs import Job
    from nimakit.nn import loading
    from nimakit.nn import personalise as deep
    from nimakit.pretrained import public_models, writable_cache
    from nimakit.taste import Taste

    model = loading.load(name, notify=say)
    facts: dict[str, Any] = {}
    if method == "adapters":
        folder = Path(name) if Path(name).is_dir() else Path(name).parent
        file = writable_cache() / f"{name}-{deep.ADAPTABLE}" if name in public_models() else None
        file = file or Job(folder).folder / deep.ADAPTABLE
        if not file.exists():
            say(f"writing {file}, which takes the adapters of any user")
            deep.write_adaptable(model, file)
        facts = {"model": str(file)}
    given = seen.ratings
    arrays = deep.teach(
        model,
        [seen.paths[place] for place in given.image],
        given.rating,
        seen.means[given.image],
        method="adapters" if method == "adapters" else "full",
        max_pixels=max_pixels,
    )
    probe, _ = base.probe()
    return Taste(method=method, base=probe, base_name=base.name, ratings=len(given), arrays=arrays), facts


def _load(name: str) -> "Model":
    """A model by what people call it, a job's folder included."""
    from nimakit import zoo
    from nimakit.jobs import Job

    return zoo.load_model(Job(Path(name)).model_file if Path(name).is_dir() else name, notify=say)

"""Runs of any size: what makes a run one, and its summary."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from nimakit.commands.batch import say_failures
from nimakit.commands.parameters import PLACE, Decorated, Finite, image_source
from nimakit.errors import ImageError, UsageError
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.models.engine import Model
    from nimakit.models.side_by_side import SideBySide
    from nimakit.scoring.bulk import BulkRun, Cluster


def bulk_source(rows: str) -> Callable[[Decorated], Decorated]:
    """The options for a source of any size, a part of it, and a cluster to work on it.

    Args:
        rows: What the command writes for each photo, such as records.
    """
    options = (
        image_source(
            required=True,
            path_type=PLACE,
            help="A photo; a folder of photos; a pattern such as 'photos/**/*.jpg'; a manifest (.txt, .csv,"
            " .tsv, .jsonl or .parquet) of paths and URLs; or tar files such as 'shard-{000..099}.tar'. All"
            " of them may be in a store: s3://, gs:// or az://.",
        ),
        click.option(
            "--image-column",
            default="image",
            show_default=True,
            help="Column of a manifest with the path or URL of the photo; a relative path counts from the"
            " manifest.",
        ),
        click.option(
            "--id-column",
            help=f"Column of a manifest with the id for the {rows}.  [default: the path or URL]",
        ),
        click.option(
            "--shard",
            metavar="INDEX/COUNT",
            help="Work on one of COUNT equal parts of the source, INDEX from 0, so that several machines can"
            " share it.",
        ),
        click.option(
            "--engine",
            type=click.Choice(["local", "ray"]),
            default="local",
            show_default=True,
            help="Where to work: in this process, or on a Ray cluster, whose nodes must be able to read the"
            " photos.",
        ),
        click.option(
            "--ray-address",
            metavar="ADDRESS",
            help="A running Ray cluster with this machine as a node: auto or HOST:PORT.  [default: one that"
            " ends with the run]",
        ),
        click.option(
            "--ray-cpus",
            type=click.IntRange(min=1),
            default=1,
            show_default=True,
            help="CPU cores of a Ray actor.",
        ),
        click.option(
            "--ray-gpus",
            type=Finite(min=0),
            default=0.0,
            show_default=True,
            help="GPUs of a Ray actor: 0.25 lets four share one.",
        ),
    )

    def add(command: Decorated) -> Decorated:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def bulk_options(
    image_source: str,
    shard: str | None,
    resume: bool,
    output: Mapping[str, str | None],
    cluster: "Cluster | None",
    *,
    suffixes: tuple[str, ...] = ("/",),
) -> list[str]:
    """What makes a run one of any size, as given on the command line; empty for a photo or a folder.

    Args:
        image_source: Its --image-source.
        shard: Its --shard.
        resume: Its --resume.
        output: The option for its output -> what was given.
        cluster: Its Ray cluster.
        suffixes: Of outputs that only such a run writes; a slash for a folder of parts.
    """
    from nimakit.sources import is_listed

    given = {
        f"--image-source {image_source}": is_listed(image_source),
        "--shard": shard,
        "--resume": resume,
        "--engine ray": cluster,
        **{f"{name} {place}": place and place.lower().endswith(suffixes) for name, place in output.items()},
    }
    return [name for name, value in given.items() if value]


def read_cluster(engine: str, address: str | None, cpus: int, gpus: float) -> "Cluster | None":
    """The Ray cluster that was asked for; None for this process."""
    from nimakit.scoring.bulk import Cluster

    if engine == "ray":
        if address and address.startswith("ray://"):  # Ray Data does not work through Ray's client
            raise UsageError(
                "--ray-address must be auto or HOST:PORT, on a machine that is a node of the cluster."
                f" Received: {address}. Run it on the head, by docker-compose exec or ray job submit."
            )
        return Cluster(address=address, cpus=cpus, gpus=gpus)
    if address:
        raise UsageError(f"--ray-address needs --engine ray. Received: --engine {engine}")
    return None


def refuse_whole_set(bulk: Sequence[str], options: Mapping[str, object]) -> None:
    """Refuse options that need all scores in memory."""
    given = [name for name, value in options.items() if value]
    if given:
        raise UsageError(
            f"{given[0]} needs all scores at once, which only the run of a photo or a folder has. Received:"
            f" {', '.join(given)} and {bulk[0]}"
        )


def score_in_bulk(
    run: "BulkRun",
    load: "Callable[[], Model | SideBySide]",
    names: Sequence[str],
    *,
    intervals: float | None,
) -> int:
    """Score a source of any size, and print the summary.

    Args:
        run: Its settings.
        load: Loads the model, or several side by side.
        names: Names of the models, or `nimakit.scoring.records.ONLY`.
        intervals: Coverage of the model's intervals; None if it has none.

    Returns:
        The exit code.
    """
    from nimakit.scoring.outputs import ScoreLayout

    run.check()
    model = load()
    identity = {"model": model.name, "sha256": model.sha256, "tta": run.tta, "max_pixels": run.max_pixels}
    layout = ScoreLayout(
        models=names,
        measures=run.measures,
        intervals=model.has_intervals,
        identity={**identity, "measures": run.measures, "intervals": intervals, "shard": str(run.task.shard)},
    )
    outcome = run.score(model, layout, sys.stdout)
    if run.task.output:
        click.echo(json.dumps(outcome.to_dict(), indent=2))
    say(
        f"scored {outcome.scored} images with {model.name} on the {model.device} in {outcome.seconds:.1f} s"
        + (f"; {outcome.finished} were there already" if outcome.finished else "")
    )
    say_failures(outcome.failures, outcome.failed)
    return ImageError.exit_code if outcome.failed else 0

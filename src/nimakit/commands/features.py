"""`nimakit features`: compute feature vectors of photographs, and keep them."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nimakit.commands.batch import say_failures
from nimakit.commands.bulk import bulk_options, bulk_source, read_cluster, refuse_whole_set
from nimakit.commands.parameters import FILE, PLACE, EncoderName, max_pixels, recursive
from nimakit.errors import ImageError, UsageError
from nimakit.progress import say, track

if TYPE_CHECKING:
    from nimakit.features import FeatureTable
    from nimakit.models.encoders import Encoder
    from nimakit.scoring.feature_rows import FeatureRun
    from nimakit.scoring.items import Item


_DEFAULT = "efficientnet-lite2"
_SUFFIXES = (".npz", ".parquet")


@click.command()
@bulk_source("rows")
@click.option("--samples-file", type=FILE, help="A label file: only the images it names.")
@recursive
@click.option(
    "--encoder",
    "encoders",
    type=EncoderName(),
    multiple=True,
    metavar="NAME|FILE[@SIZE]",
    help="An encoder: efficientnet-lite0, -lite1, -lite2, aesthetic, technical, or an .onnx file; with an"
    " input size, such as efficientnet-lite2@320x400 (height x width), if not its own. Can be repeated: each"
    " photo is decoded once.  [default: efficientnet-lite2]",
)
@click.option(
    "--config-file",
    type=FILE,
    help="A training config of a head, instead of --encoder: the features that nimakit train needs for it.",
)
@click.option("--mirrored", is_flag=True, help="Also compute the features of the mirror image.")
@click.option(
    "--output",
    type=PLACE,
    help="Write the features here. .npz: image_id (N,), and an array (N, D) for each encoder. .parquet, or a"
    " folder of Parquet parts, which ends in a slash: a row for each photo, here or in a store.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with a folder of parts of a run that was interrupted: photos in it are left out.",
)
@max_pixels
def features(
    *,
    image_source: str,
    image_column: str,
    id_column: str | None,
    shard: str | None,
    samples_file: Path | None,
    recursive: bool,
    encoders: tuple[tuple[str, tuple[int, int] | None], ...],
    config_file: Path | None,
    mirrored: bool,
    output: str | None,
    resume: bool,
    engine: str,
    ray_address: str | None,
    ray_cpus: int,
    ray_gpus: float,
    max_pixels: int,
) -> int:
    """Compute the features of photos and keep them, so that whatever needs them later only looks them up.

    The features are kept in one file in the cache folder, by the content of the photo and of the encoder's
    file: a photo that was renamed or copied is not computed again. An interrupted run continues where it
    stopped. The file keeps 4 GB, or NIMAKIT_FEATURES_GB, of those used last; 0 keeps none. Those of photos
    in a store, in tar files or on the web are not kept, nor what a Ray cluster computes: they are in the
    --output only.

    Prints a summary as JSON. Exit code: 0 all done, 1 usage or encoder error, 2 some images could not be
    used.

    \b
    Example:
      nimakit features --image-source data/samples --encoder efficientnet-lite2@320x400
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.features import VIEWS
    from nimakit.labels.label_file import read_labels
    from nimakit.scoring import outputs
    from nimakit.scoring.bulk import Task
    from nimakit.scoring.feature_rows import FeatureRun
    from nimakit.scoring.items import list_items
    from nimakit.scoring.shards import Shard
    from nimakit.sources import open_source

    cluster = read_cluster(engine, ray_address, ray_cpus, ray_gpus)
    bulk = bulk_options(
        image_source, shard, resume, {"--output": output}, cluster, suffixes=("/", outputs.PARQUET)
    )
    if output:
        outputs.check(output, growing=resume, suffixes=_SUFFIXES[1:] if bulk else _SUFFIXES)
    elif bulk:
        raise UsageError(
            "Features of such a source need an --output: a .parquet file, or a folder of parts that ends in a"
            f" slash. Received: {bulk[0]}"
        )
    if bulk:
        refuse_whole_set(bulk, {"--samples-file": samples_file})
    part = Shard.parse(shard) if shard else Shard()
    loaded, needs_mirrored = _load_encoders(encoders, config_file)
    views = VIEWS if mirrored or needs_mirrored else VIEWS[:1]
    if not bulk or not output:
        labels = read_labels(samples_file) if samples_file else None
        items = list_items(Path(image_source), labels, recursive=recursive, notify=say)
        return _compute_items(items, loaded, views, Path(output) if output else None, max_pixels)
    task = Task(
        source=open_source(
            image_source, image_column=image_column, id_column=id_column, recursive=recursive, notify=say
        ),
        output=output,
        shard=part,
        resume=resume,
    )
    if cluster:
        cluster.check(task.source)
    return _compute_source(
        FeatureRun(task=task, encoders=loaded, views=views, max_pixels=max_pixels, cluster=cluster)
    )


def _compute_source(run: "FeatureRun") -> int:
    """Compute the features of a source of any size, and print the summary."""
    outcome = run.compute()
    counts = {"images": outcome.scored, "failed": outcome.failed}
    before = {"finished_before": outcome.finished, "repeated_ids": outcome.repeated}
    _report({**counts, **before}, run.encoders, outcome.seconds)
    say_failures(outcome.failures, outcome.failed)
    return ImageError.exit_code if outcome.failed else 0


def _load_encoders(
    names: "Sequence[tuple[str, tuple[int, int] | None]]", config_file: Path | None
) -> "tuple[list[Encoder], bool]":
    """The encoders, and whether a config needs the features of mirror images too."""
    from nimakit.config import HeadConfig, read_config
    from nimakit.heads.blocks import load_blocks
    from nimakit.models.encoders import load_encoder

    if not config_file:
        wanted = names or ((_DEFAULT, None),)
        return [load_encoder(name, notify=say).at(size) for name, size in wanted], False
    config = read_config(config_file)
    if names or not isinstance(config, HeadConfig):
        received = "--encoder too" if names else "one of a whole network"
        raise UsageError(
            "--config-file must be the config of a head ('head_only'), which names the encoders. Received:"
            f" {config_file}, and {received}"
        )
    return load_blocks(config, notify=say), config.random_flip


def _compute_items(
    items: "Sequence[Item]",
    encoders: "Sequence[Encoder]",
    views: Sequence[str],
    output: Path | None,
    max_pixels: int,
) -> int:
    """Compute the features of the photos of a folder, and print the summary."""
    paths = [item.path for item in items if item.path]
    started = time.monotonic()
    computed, errors = _compute(encoders, paths, views, output, max_pixels)
    failures = [f"{path}: {error}" for path, error in errors.items()]
    failures += [
        f"{item.image_id}: The image source has no image with this image_id."
        for item in items
        if item.path is None
    ]
    counts = {"images": len(items) - len(failures), "computed": computed, "failed": len(failures)}
    _report(counts, encoders, time.monotonic() - started)
    say_failures(failures)
    if output:
        say(f"wrote {output}")
    return ImageError.exit_code if failures else 0


def _report(counts: Mapping[str, int], encoders: "Sequence[Encoder]", seconds: float) -> None:
    """Print the summary."""
    summary = {
        **counts,
        "encoders": [
            {"name": e.name, "input_size": list(e.input_size), "dimension": e.dimension} for e in encoders
        ],
        "seconds": round(seconds, 2),
    }
    click.echo(json.dumps(summary, indent=2))


def _compute(
    encoders: "Sequence[Encoder]",
    paths: Sequence[Path],
    views: Sequence[str],
    output: Path | None,
    max_pixels: int,
) -> tuple[int, dict[Path, ImageError]]:
    """Compute what the store lacks, and write the file; without one, in memory that does not grow.

    Returns:
        The number of photos for which anything was computed, and the errors.
    """
    from nimakit.features import extract, stream

    if output:
        table = extract(encoders, paths, views=views, max_pixels=max_pixels)
        _write(table, encoders, output)
        return table.computed, table.errors
    computed, errors = 0, {}
    results = stream(encoders, paths, views=views, max_pixels=max_pixels)
    for result in track(results, len(paths), "computing features"):
        computed += result.is_computed
        if isinstance(result.blocks, ImageError):
            errors[result.path] = result.blocks
    return computed, errors


def _write(table: "FeatureTable", encoders: "Sequence[Encoder]", output: Path) -> None:
    import numpy as np

    from nimakit.io.atomic import atomic_files, escaped

    arrays: dict[str, Any] = {"image_id": np.array([escaped(name) for name in table.ids], np.str_)}
    for encoder, block in zip(encoders, table.blocks, strict=True):
        for view, rows in zip(table.views, block, strict=True):
            arrays[encoder.label if view == table.views[0] else f"{encoder.label} {view}"] = rows
    with atomic_files([output]) as [partial]:
        np.savez(partial, **arrays)

"""`nimakit features`: compute feature vectors of photographs, and keep them."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nimakit.commands.batch import say_failures
from nimakit.commands.parameters import (
    FILE,
    EncoderName,
    OutputFile,
    image_source,
    max_pixels,
    recursive,
)
from nimakit.errors import ImageError
from nimakit.progress import say, track

if TYPE_CHECKING:
    from nimakit.features import FeatureTable
    from nimakit.models.encoders import Encoder


@click.command()
@image_source(required=True, help="A photo, or a folder of photos.")
@click.option("--samples-file", type=FILE, help="A label file: only the images it names.")
@recursive
@click.option(
    "--encoder",
    "encoders",
    type=EncoderName(),
    multiple=True,
    default=("efficientnet-lite2",),
    metavar="NAME|FILE[@SIZE]",
    help="An encoder: efficientnet-lite0, -lite1, -lite2, aesthetic, technical, or an .onnx file; with an"
    " input size, such as efficientnet-lite2@320x400 (height x width), if not its own. Can be repeated: each"
    " photo is decoded once.  [default: efficientnet-lite2]",
)
@click.option("--mirrored", is_flag=True, help="Also compute the features of the mirror image.")
@click.option(
    "--output",
    type=OutputFile(".npz"),
    help="Write the features here, .npz: image_id (N,), and an array (N, D) for each encoder.",
)
@max_pixels
def features(
    *,
    image_source: Path,
    samples_file: Path | None,
    recursive: bool,
    encoders: tuple[tuple[str, tuple[int, int] | None], ...],
    mirrored: bool,
    output: Path | None,
    max_pixels: int,
) -> int:
    """Compute the features of photos and keep them, so that whatever needs them later only looks them up.

    The features are kept in one file in the cache folder, by the content of the photo and of the encoder's
    file: a photo that was renamed or copied is not computed again. An interrupted run continues where it
    stopped. The file keeps 4 GB, or NIMAKIT_FEATURES_GB, of those used last; 0 keeps none.

    Prints a summary as JSON. Exit code: 0 all done, 1 usage or encoder error, 2 some images could not be
    used.

    \b
    Example:
      nimakit features --image-source data/samples --encoder efficientnet-lite2@320x400
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.features import VIEWS
    from nimakit.labels.label_file import read_labels
    from nimakit.models.encoders import load_encoder
    from nimakit.scoring.items import list_items

    labels = read_labels(samples_file) if samples_file else None
    items = list_items(image_source, labels, recursive=recursive, notify=say)
    paths = [item.path for item in items if item.path]
    loaded = [load_encoder(name, notify=say).at(size) for name, size in encoders]
    views = VIEWS if mirrored else VIEWS[:1]
    started = time.monotonic()
    computed, errors = _compute(loaded, paths, views, output, max_pixels)
    failures = [f"{path}: {error}" for path, error in errors.items()]
    failures += [
        f"{item.image_id}: The image source has no image with this image_id."
        for item in items
        if item.path is None
    ]
    summary = {
        "images": len(items) - len(failures),
        "computed": computed,
        "failed": len(failures),
        "encoders": [
            {"name": e.name, "input_size": list(e.input_size), "dimension": e.dimension} for e in loaded
        ],
        "seconds": round(time.monotonic() - started, 2),
    }
    click.echo(json.dumps(summary, indent=2))
    say_failures(failures)
    if output:
        say(f"wrote {output}")
    return ImageError.exit_code if failures else 0


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

"""`nimakit explain`: what a model looks at."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nimakit.commands.parameters import recursive
from nimakit.errors import ImageError, UnwritableError, UsageError
from nimakit.images.files import image_id
from nimakit.io.atomic import atomic_bytes, atomic_folder, check_folder, escaped, make_folder
from nimakit.progress import say, track

if TYPE_CHECKING:
    from nimakit.nn.saliency import Explanation, Method

_FILE = click.Path(path_type=Path)
_KINDS = ("heat", "overlay", "side_by_side")
_FAST_PNG = 3
"""Compression of 1 to 9: a 12-megapixel overlay in two seconds instead of eight, a tenth larger."""


@click.command()
@click.option("--image-source", required=True, type=_FILE, help="A photo, or a folder of photos.")
@click.option(
    "--model",
    default="aesthetic",
    show_default=True,
    metavar="NAME|FOLDER|FILE",
    help="A public model, a job's folder, or its model.onnx: the Keras weights are needed.",
)
@click.option(
    "--user",
    "user_file",
    type=_FILE,
    help="One person's taste: explain the score this person would give (nimakit personalise).",
)
@click.option(
    "--method",
    type=click.Choice(["gradcam", "smoothgrad", "gradient"]),
    default="gradcam",
    show_default=True,
    help="Grad-CAM shows what raises and what lowers the score; SmoothGrad and the plain gradient show which"
    " details it depends on.",
)
@click.option(
    "--at-least",
    type=float,
    metavar="RATING",
    help="Explain the probability of this rating and above instead of the mean score.",
)
@click.option(
    "--output-dir",
    required=True,
    type=_FILE,
    help="Folder of the pictures, made where missing: NAME_heat.png, NAME_overlay.png and"
    " NAME_side_by_side.png of each photo.",
)
@click.option(
    "--max-side",
    type=click.IntRange(min=16),
    metavar="PIXELS",
    help="Longer side of the pictures at most.  [default: the photo's own]",
)
@recursive
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    help="Refuse larger images before decoding them.  [default: 89478485]",
)
def explain(
    *,
    image_source: Path,
    model: str,
    user_file: Path | None,
    method: "Method",
    at_least: float | None,
    output_dir: Path,
    max_side: int | None,
    recursive: bool,
    max_pixels: int | None,
) -> int:
    """Draw where in a photo its score comes from; a JSON array with the scores goes to stdout.

    Exit code: 0 all explained, 1 usage or model error, 2 some images could not be read, or their pictures not
    be written.

    \b
    Example:
      nimakit explain --image-source data/samples --output-dir explained
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.images.files import find_images
    from nimakit.images.photo import MAX_PIXELS
    from nimakit.reports.plots import require_matplotlib

    if user_file and at_least is not None:
        raise UsageError(
            "A person's taste gives the one score they would give, and no probability of a rating."
            f" Received: --user {user_file} and --at-least {at_least:g}; leave one of them out."
        )
    require_matplotlib()
    paths = find_images(image_source, recursive=recursive, notify=say)
    folders = _folders(paths, image_source, output_dir)
    check_folder(output_dir)
    from nimakit.nn import saliency
    from nimakit.personal import keras_loading
    from nimakit.scoring.records import failed_record

    network = keras_loading.load_keras_model(model, user_file=user_file, notify=say)
    records: list[dict[str, Any]] = []
    failed = 0
    try:
        for path, folder in track(zip(paths, folders, strict=True), len(paths), "explaining"):
            try:
                found = saliency.explain_image(
                    network,
                    path,
                    method,
                    at_least=at_least,
                    side=max_side,
                    max_pixels=max_pixels or MAX_PIXELS,
                )
                files = _write(folder, image_id(path), found)
            except (ImageError, UnwritableError) as error:
                failed += 1
                records.append(failed_record(path, error))
                continue
            records.append(_record(path, found, files))
    finally:  # what is done is told also where a full disk or Ctrl-C ends the run
        if records:
            click.echo(json.dumps(records, indent=2))
    say(f"explained {len(paths) - failed} of {len(paths)} images: {output_dir}")
    return ImageError.exit_code if failed else 0


def _folders(paths: Sequence[Path], source: Path, output_dir: Path) -> list[Path]:
    """Where the pictures of each photo go: sub-folders as they were."""
    root = source if source.is_dir() else source.parent
    folders = [output_dir / path.parent.relative_to(root) for path in paths]
    names: dict[Path, Path] = {}
    for path, folder in zip(paths, folders, strict=True):
        other = names.setdefault(folder / image_id(path), path)
        if other is not path:
            raise UsageError(f"Photos of a folder need different names. Received: {other} and {path}")
    return folders


def _write(folder: Path, name: str, found: "Explanation") -> list[str]:
    """The three pictures of a photo, all or none."""
    names = [f"{name}_{kind}.png" for kind in _KINDS]
    make_folder(folder)
    with atomic_folder(folder) as partial:
        for kind, file in zip(_KINDS, names, strict=True):
            stream = io.BytesIO()
            getattr(found, kind).save(stream, "PNG", compress_level=_FAST_PNG)
            atomic_bytes(stream.getvalue(), partial / file)
    return [escaped(str(folder / file)) for file in names]


def _record(path: Path, found: "Explanation", files: list[str]) -> dict[str, Any]:
    record: dict[str, Any] = {
        "image_id": image_id(path),
        "mean_score_prediction": round(found.saliency.mean, 6),
    }
    if found.saliency.probability is not None:
        record["probability"] = round(found.saliency.probability, 6)
    return {**record, "files": files}

"""`nimakit explain`: maps of what raises and lowers the score of a photo."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from nimakit.commands.batch import process
from nimakit.commands.parameters import FILE, image_source, max_pixels, recursive, user_file
from nimakit.errors import ImageError, UsageError
from nimakit.images.files import image_id
from nimakit.io.atomic import atomic_bytes, atomic_folder, check_folder, escaped, make_folder
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.explain.drawing import Explains, Explanation
    from nimakit.explain.explainer import Method
    from nimakit.nn.saliency import Method as Gradient

_GRADIENTS = ("gradcam", "smoothgrad", "gradient")
_KINDS = ("heat", "overlay", "side_by_side")
_FAST_PNG = 3
"""Compression, 1 to 9: a 12-megapixel overlay takes two seconds instead of eight, and is a tenth larger."""


@click.command()
@image_source(required=True, help="A photo, or a folder of photos.")
@click.option(
    "--model",
    default="aesthetic",
    show_default=True,
    metavar="NAME|FOLDER|FILE",
    help="A public model, a job folder, an .onnx file, or an ensemble (.json). Gradients need a model with"
    " Keras weights.",
)
@user_file
@click.option(
    "--method",
    type=click.Choice(["patches", "occlusion", *_GRADIENTS]),
    help="Patches, occlusion and Grad-CAM show what raises and what lowers the score: patches as an exact"
    " sum, if the model's features are averages of maps; occlusion by hiding parts of the photo, for any"
    " model, at the cost of scoring it 97 times. SmoothGrad and the plain gradient show which details the"
    " score depends on. The last three need TensorFlow.  [default: patches where possible, else occlusion]",
)
@click.option(
    "--at-least",
    type=float,
    metavar="RATING",
    help="Explain the probability of this rating or a higher one, instead of the mean score.",
)
@click.option(
    "--output-dir",
    required=True,
    type=FILE,
    help="Folder for NAME_heat.png, NAME_overlay.png and NAME_side_by_side.png of each photo; created if"
    " missing.",
)
@click.option(
    "--max-side",
    type=click.IntRange(min=16),
    metavar="PIXELS",
    help="Maximum length of the pictures' longer side.  [default: that of the photo]",
)
@recursive
@max_pixels
def explain(
    *,
    image_source: Path,
    model: str,
    user_file: Path | None,
    method: str | None,
    at_least: float | None,
    output_dir: Path,
    max_side: int | None,
    recursive: bool,
    max_pixels: int,
) -> int:
    """Draw where in a photo its score comes from, without TensorFlow, and print a JSON array with the scores.

    Exit code: 0 all explained, 1 usage or model error, 2 some images could not be read, or their pictures
    could not be written.

    \b
    Example:
      nimakit explain --image-source data/samples --output-dir explained
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.images.files import find_images

    if user_file and at_least is not None:
        raise UsageError(
            "A personal taste gives one score and no probabilities of ratings."
            f" Received: --user {user_file} and --at-least {at_least:g}; leave one of them out."
        )
    paths = find_images(image_source, recursive=recursive, notify=say)
    folders = _folders(paths, image_source, output_dir)
    check_folder(output_dir)
    explainer = _explainer(model, method, user_file)
    from nimakit.explain.drawing import explain_image

    def explain_one(path: Path) -> dict[str, Any]:
        found = explain_image(explainer, path, at_least=at_least, side=max_side, max_pixels=max_pixels)
        score = found.score_map
        record: dict[str, Any] = {"image_id": image_id(path), "mean_score_prediction": round(score.mean, 6)}
        if score.probability is not None:
            record["probability"] = round(score.probability, 6)
        record["method"] = score.method
        return {**record, "files": _write(folders[path], image_id(path), found)}

    failed = process(paths, "explaining", explain_one)
    say(f"explained {len(paths) - failed} of {len(paths)} images: {output_dir}")
    return ImageError.exit_code if failed else 0


def _explainer(model: str, method: str | None, user_file: Path | None) -> "Explains":
    """The explainer of a method, with the model that it needs."""
    if method in _GRADIENTS:
        from nimakit.nn.saliency import GradientExplainer
        from nimakit.personal.keras_loading import load_keras_model

        network = load_keras_model(model, user_file=user_file, notify=say)
        return GradientExplainer(network, cast("Gradient", method))
    from nimakit.explain import Explainer
    from nimakit.models.loading import load_model
    from nimakit.models.taste import read_taste

    loaded = load_model(model, notify=say)
    if user_file:
        loaded = loaded.for_user(read_taste(user_file))
        loaded.name = f"{loaded.name} as {user_file.stem} sees it"
    return Explainer(loaded, method=cast("Method | None", method))


def _folders(paths: Sequence[Path], source: Path, output_dir: Path) -> dict[Path, Path]:
    """Photo -> folder of its pictures; sub-folders are kept."""
    root = source if source.is_dir() else source.parent
    folders = {path: output_dir / path.parent.relative_to(root) for path in paths}
    names: dict[Path, Path] = {}
    for path, folder in folders.items():
        other = names.setdefault(folder / image_id(path), path)
        if other is not path:
            raise UsageError(f"Photos in a folder need different names. Received: {other} and {path}")
    return folders


def _write(folder: Path, name: str, found: "Explanation") -> list[str]:
    """Write the three pictures of a photo, all or none."""
    names = [f"{name}_{kind}.png" for kind in _KINDS]
    make_folder(folder)
    with atomic_folder(folder) as partial:
        for kind, file in zip(_KINDS, names, strict=True):
            stream = io.BytesIO()
            getattr(found, kind).save(stream, "PNG", compress_level=_FAST_PNG)
            atomic_bytes(stream.getvalue(), partial / file)
    return [escaped(str(folder / file)) for file in names]

"""`nimakit enhance`: edit photos so that models score them higher."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from nimakit.commands.batch import process
from nimakit.commands.parameters import (
    FILE,
    Aliased,
    Finite,
    image_source,
    max_pixels,
    recursive,
    user_file,
)
from nimakit.errors import ImageError, OutputError, UsageError
from nimakit.io.atomic import atomic_writer, check_folder, check_output, exists, make_folder
from nimakit.progress import say

if TYPE_CHECKING:
    from PIL.Image import Image

    from nimakit.enhance.adjustments import Adjustments
    from nimakit.enhance.editing import Edit, Result, ScoringModel
    from nimakit.images.photo import Photo
    from nimakit.nn.enhance.enhancer import Method

_SEARCH = {
    "networks": "--network",
    "user_file": "--user",
    "method": "--method",
    "epsilon": "--epsilon",
    "frame": "--frame or --no-frame",
}
"""Parameter -> option, of those that control the search for an edit."""


@click.command()
@image_source(required=True, help="A photo, or a folder of photos.")
@click.option(
    "--output",
    "--outputimage",
    "output",
    cls=Aliased,
    required=True,
    type=FILE,
    help="The edited photo (.jpg, .png, .webp, .tif); or a folder for edited photos, created if missing.",
)
@click.option(
    "--network",
    "networks",
    multiple=True,
    metavar="NAME|FOLDER|FILE",
    help="The network whose score is to rise: a public model, a job folder, or its model.onnx. If given"
    " several times, all count equally.  [default: aesthetic]",
)
@user_file
@click.option(
    "--method",
    type=click.Choice(["adjust", "gradient"]),
    default="adjust",
    show_default=True,
    help="adjust finds values for a photographer's sliders; gradient optimises the pixels themselves, by"
    " smooth local edits.",
)
@click.option(
    "--epsilon",
    type=Finite(0, 1, min_open=True),
    help="Strength, up to 1: what share of its range a slider, or a local edit, may use."
    "  [default: 0.4; 0.8 for gradient]",
)
@click.option(
    "--frame/--no-frame",
    default=False,
    help="Whether adjust may straighten and crop; otherwise a photo keeps its size.  [default: no-frame]",
)
@click.option(
    "--judge",
    "judges",
    multiple=True,
    metavar="NAME|FILE",
    help="A model that takes no part in the edit, to check whether it scores the result higher, too: a public"
    " model, an .onnx file, or an ensemble .json.",
)
@click.option(
    "--apply",
    "sidecar",
    type=FILE,
    help="Apply the edit that an earlier run wrote next to its photo (NAME.edit.json). No network is used,"
    " and options for the search are refused.",
)
@click.option("--report", type=FILE, help="Write a page of all photos before and after: .html, one file.")
@recursive
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace existing files, even the original. An older NAME.edit.json of another edit is removed.",
)
@max_pixels
def enhance(
    *,
    image_source: Path,
    output: Path,
    networks: tuple[str, ...],
    user_file: Path | None,
    method: "Method",
    epsilon: float | None,
    frame: bool,
    judges: tuple[str, ...],
    sidecar: Path | None,
    report: Path | None,
    recursive: bool,
    overwrite: bool,
    max_pixels: int,
) -> int:
    """Edit a photo so that a model scores it higher, and print a JSON array of the edits.

    With adjust, the values are also written next to the result (NAME.edit.json), to apply to other photos.

    Exit code: 0 all edited, 1 usage or model error, 2 some images could not be read.

    \b
    Example:
      nimakit enhance --epsilon 0.4 --network aesthetic --image-source in.jpg --output out.jpg
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.enhance import editing
    from nimakit.models.loading import load_model
    from nimakit.reports import html

    if sidecar:
        _refuse_search_options()
    writes_sidecars = sidecar is None and method == "adjust"
    targets = _targets(image_source, output, recursive=recursive, with_sidecars=writes_sidecars)
    if not overwrite:
        _refuse_existing(_written(targets.values(), sidecar, report))
    if report:
        html.require_jinja()
        check_output(report, (".html",))
    if sidecar:
        work = _apply(sidecar)
    else:
        work = _search(networks or ("aesthetic",), user_file, method, epsilon, frame=frame)
    models = [*work.models, *(editing.independent_model(load_model(name, notify=say)) for name in judges)]
    results: list[Result] = []

    def edit(source: Path) -> dict[str, Any]:
        target = targets[source]
        make_folder(target.parent)
        result = editing.enhance_file(
            source,
            target,
            work.edit,
            models,
            about=work.about,
            sheet=report is not None,
            max_pixels=max_pixels,
        )
        results.append(result)
        if overwrite and not writes_sidecars:
            _remove_sidecar(target, sidecar)
        return result.to_record()

    failed = process(list(targets), "enhancing", edit)
    if report:
        with atomic_writer(report) as stream:
            stream.write(editing.render_sheet(results, work.title))
    _summarise(results, len(targets), report)
    return ImageError.exit_code if failed else 0


@dataclass(frozen=True, slots=True)
class _Work:
    """An edit to make to each photo.

    Attributes:
        edit: The edit.
        title: A sentence about it.
        models: The networks whose scores it raises.
        about: For the sidecars; None to write none.
    """

    edit: "Edit"
    title: str
    models: Sequence["ScoringModel"]
    about: Mapping[str, Any] | None


def _search(
    networks: Sequence[str], user_file: Path | None, method: "Method", epsilon: float | None, *, frame: bool
) -> _Work:
    from nimakit.enhance.editing import ScoringModel
    from nimakit.nn.enhance.enhancer import Enhancer
    from nimakit.personal.keras_loading import load_keras_model

    if user_file and len(networks) > 1:
        raise UsageError("--user needs a single network. Received: " + ", ".join(networks))
    loaded = [load_keras_model(name, user_file=user_file, notify=say) for name in networks]
    enhancer = Enhancer(loaded, method, epsilon=epsilon, frame=frame)
    models = [ScoringModel(name=model.metadata.name, took_part=True, score=model.score) for model in loaded]
    about = {"networks": [model.name for model in models], "method": method, "epsilon": enhancer.epsilon}
    quoted = ", ".join(f'"{model.name}"' for model in models)
    title = f"Edited to raise the score from {quoted} ({method}, epsilon {enhancer.epsilon:g})."
    return _Work(enhancer.enhance, title, models, about)


def _apply(sidecar: Path) -> _Work:
    from nimakit.enhance.adjustments import read_sidecar
    from nimakit.nn.enhance.enhancer import apply

    adjustments = read_sidecar(sidecar)

    def edit(photo: "Photo", colours: "Photo | None") -> "tuple[Image, Adjustments]":
        return apply(photo, adjustments, colours), adjustments

    return _Work(edit, f"The edit from {sidecar}.", (), None)


def _refuse_search_options() -> None:
    """Refuse options for the search of an edit, which --apply would ignore."""
    context = click.get_current_context()
    for name, option in _SEARCH.items():
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise UsageError(
                f"{option} is for finding an edit, and --apply makes an existing one. Received: {option} and"
                " --apply; leave one of them out."
            )


def _targets(source: Path, output: Path, *, recursive: bool, with_sidecars: bool) -> dict[Path, Path]:
    """Photo -> edited file; sub-folders and names are kept."""
    from nimakit.enhance.editing import sidecar_path
    from nimakit.images.files import find_images
    from nimakit.images.saving import SUFFIXES

    if not source.is_dir():
        [photo] = find_images(source)
        check_output(output, SUFFIXES)
        return {photo: output}
    is_folder = exists(output) and output.is_dir()
    if not is_folder and (exists(output) or output.suffix.lower() in SUFFIXES):
        raise UsageError(
            "--output must be a folder if --image-source is one, without the suffix of a picture."
            f" Received: --image-source {source} and --output {output}"
        )
    check_folder(output)
    targets: dict[Path, Path] = {}
    taken: dict[Path, Path] = {}
    for photo in find_images(source, recursive=recursive, notify=say):
        target = output / photo.relative_to(source)
        if target.suffix.lower() not in SUFFIXES:
            target = target.with_suffix(".png")
        for file in (target, sidecar_path(target)) if with_sidecars else (target,):
            other = taken.setdefault(file, photo)
            if other is not photo:
                raise UsageError(
                    f"Photos in a folder need different names. Received: {other} and {photo}, whose results"
                    f" would both be {file}"
                )
        targets[photo] = target
    return targets


def _has_applied_sidecar(target: Path, applied: Path | None) -> bool:
    """Whether the applied edit is the target's own sidecar, which then describes the new file, too."""
    from nimakit.enhance.editing import sidecar_path

    sidecar = sidecar_path(target)
    # Not compared by name: a container may have the same folder at two places.
    return applied is not None and applied.exists() and exists(sidecar) and sidecar.samefile(applied)


def _written(targets: Iterable[Path], applied: Path | None, report: Path | None) -> list[Path]:
    """Files that are written, and sidecars that would no longer be true."""
    from nimakit.enhance.editing import sidecar_path

    targets = list(targets)
    sidecars = [sidecar_path(target) for target in targets if not _has_applied_sidecar(target, applied)]
    return [*targets, *sidecars, *([report] if report else [])]


def _refuse_existing(files: Iterable[Path]) -> None:
    existing = [str(path) for path in files if exists(path)]
    if existing:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise UsageError(
            f"Existing files are not replaced by default. Received: {existing[0]}{more}, which exists; name"
            " another output, or add --overwrite."
        )


def _remove_sidecar(target: Path, applied: Path | None) -> None:
    """Remove a sidecar of an older edit, which does not describe the photo any more."""
    from nimakit.enhance.editing import sidecar_path

    sidecar = sidecar_path(target)
    if _has_applied_sidecar(target, applied) or not exists(sidecar):
        return
    try:
        sidecar.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{sidecar}, from an older edit, could not be removed: {error.strerror}."
        ) from error


def _summarise(results: Sequence["Result"], total: int, report: Path | None) -> None:
    from nimakit.enhance.editing import describe, improvements

    if len(results) == 1:
        [result] = results
        if result.adjustments is not None:
            done = ", ".join(f"{name} {value}" for name, value in describe(result.adjustments).items())
            say(done or "nothing was changed")
        for score in result.scores:
            say(f"{score.model}: {score.before:.2f} before, {score.after:.2f} after")
    for model, (better, count) in improvements(results).items():
        say(f"{model}, which took no part, scores {better} of {count} higher than before")
    say(f"enhanced {len(results)} of {total} images")
    if report:
        say(f"report: {report}")

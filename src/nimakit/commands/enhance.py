"""`nimakit enhance`: a better version of a photograph."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from nimakit.commands.parameters import Finite, recursive
from nimakit.errors import ImageError, OutputError, UnwritableError, UsageError
from nimakit.io.atomic import atomic_writer, check_folder, check_output, exists, make_folder
from nimakit.progress import say, track

if TYPE_CHECKING:
    from PIL.Image import Image

    from nimakit.enhance.adjustments import Adjustments
    from nimakit.enhance.editing import Critic, Edit, Result
    from nimakit.images.photo import Photo
    from nimakit.nn.enhance.enhancer import Method

_FILE = click.Path(path_type=Path)
_SEARCH = {
    "networks": "--network",
    "user_file": "--user",
    "method": "--method",
    "epsilon": "--epsilon",
    "frame": "--frame or --no-frame",
}
"""Parameter -> option: how an edit is to be found."""


@click.command()
@click.option("--inputimage", required=True, type=_FILE, help="A photo, or a folder of photos.")
@click.option(
    "--outputimage",
    required=True,
    type=_FILE,
    help="The edited photo (.jpg, .png, .webp, .tif); or the folder of edited photos, made where missing.",
)
@click.option(
    "--network",
    "networks",
    multiple=True,
    metavar="NAME|FOLDER|FILE",
    help="Whose scores are to rise: a public model, a job's folder, or its model.onnx. Given several times,"
    " all of them count the same.  [default: aesthetic]",
)
@click.option(
    "--user",
    "user_file",
    type=_FILE,
    help="One person's taste: edit for the score this person would give (nimakit personalise).",
)
@click.option(
    "--method",
    type=click.Choice(["adjust", "gradient"]),
    default="adjust",
    show_default=True,
    help="adjust finds values for a photographer's sliders; gradient climbs on the pixels themselves, by way"
    " of soft local edits.",
)
@click.option(
    "--epsilon",
    type=Finite(0, 1, min_open=True),
    help="Strength, to 1: how far a slider, or a local edit, goes of its whole way."
    "  [default: 0.4; 0.8 for gradient]",
)
@click.option(
    "--frame/--no-frame",
    default=False,
    help="Whether adjust may straighten and crop; without it a photo keeps its size.  [default: no-frame]",
)
@click.option(
    "--judge",
    "judges",
    multiple=True,
    metavar="NAME|FILE",
    help="A model that takes no part: does it like the result better too? As nimakit predict takes it.",
)
@click.option(
    "--apply",
    "sidecar",
    type=_FILE,
    help="Make the edit that an earlier run wrote beside its photo (NAME.edit.json), as it is: no network is"
    " asked, and no option says how to find one.",
)
@click.option("--report", type=_FILE, help="Write a sheet of all photos before and after: .html, one file.")
@recursive
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace files that exist, the original if it is one of them. An older NAME.edit.json goes, too,"
    " where it is of another edit.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    help="Refuse larger images before decoding them.  [default: 89478485]",
)
def enhance(
    *,
    inputimage: Path,
    outputimage: Path,
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
    max_pixels: int | None,
) -> int:
    """Edit a photo so that a model likes it better; a JSON array of what was done goes to stdout.

    With adjust, the values are also written beside the result (NAME.edit.json), to apply to other photos.

    Exit code: 0 all edited, 1 usage or model error, 2 some images could not be read.

    \b
    Example:
      nimakit enhance --epsilon 0.4 --network aesthetic --inputimage in.jpg --outputimage out.jpg
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.enhance import editing
    from nimakit.images.photo import MAX_PIXELS
    from nimakit.reports import html
    from nimakit.scoring.records import failed_record

    if sidecar:
        _refuse_search()
    writes_sidecars = sidecar is None and method == "adjust"
    pairs = _pairs(inputimage, outputimage, recursive=recursive, with_sidecars=writes_sidecars)
    if not overwrite:
        _refuse_existing(_written(pairs, sidecar, report))
    if report:
        html.require_jinja()
        check_output(report, (".html",))
    if sidecar:
        work = _applied(sidecar)
    else:
        work = _found(networks or ("aesthetic",), user_file, method, epsilon, frame=frame)
    critics = [*work.critics, *_judges(judges)]
    results: list[Result] = []
    records: list[dict[str, Any]] = []
    try:
        for source, target in track(pairs, len(pairs), "enhancing"):
            try:
                make_folder(target.parent)
                result = editing.enhance_file(
                    source,
                    target,
                    work.edit,
                    critics,
                    about=work.about,
                    sheet=report is not None,
                    max_pixels=max_pixels or MAX_PIXELS,
                )
            except (ImageError, UnwritableError) as error:
                records.append(failed_record(source, error))
                continue
            results.append(result)
            records.append(result.to_record())
            if overwrite and not writes_sidecars:
                _remove_sidecar(target, sidecar)
    finally:  # what is done is told also where a full disk or Ctrl-C ends the run
        if records:
            click.echo(json.dumps(records, indent=2))
    if report:
        with atomic_writer(report) as stream:
            stream.write(editing.render_sheet(results, work.how))
    _tell(results, len(pairs), report)
    return ImageError.exit_code if len(results) < len(pairs) else 0


@dataclass(frozen=True, slots=True)
class _Work:
    """What is done to each photo.

    Attributes:
        edit: The editing.
        how: In a sentence.
        critics: The networks it pleases.
        about: For the sidecars; None for none.
    """

    edit: "Edit"
    how: str
    critics: Sequence["Critic"]
    about: Mapping[str, Any] | None


def _found(
    networks: Sequence[str], user_file: Path | None, method: "Method", epsilon: float | None, *, frame: bool
) -> _Work:
    from nimakit.enhance.editing import Critic
    from nimakit.nn.enhance.enhancer import Enhancer
    from nimakit.personal import keras_loading

    if user_file and len(networks) > 1:
        raise UsageError("--user belongs to one network. Received: " + ", ".join(networks))
    loaded = [keras_loading.load_keras_model(name, user_file=user_file, notify=say) for name in networks]
    enhancer = Enhancer(loaded, method, epsilon=epsilon, frame=frame)
    names = [model.metadata.name for model in loaded]
    critics = [
        Critic(name=name, took_part=True, score=model.score)
        for name, model in zip(names, loaded, strict=True)
    ]
    about = {"networks": names, "method": method, "epsilon": enhancer.epsilon}
    quoted = ", ".join(f'"{name}"' for name in names)
    how = f"Edited to raise the score from {quoted} ({method}, epsilon {enhancer.epsilon:g})."
    return _Work(enhancer.enhance, how, critics, about)


def _applied(sidecar: Path) -> _Work:
    from nimakit.enhance.adjustments import read_sidecar
    from nimakit.nn.enhance.enhancer import apply

    adjustments = read_sidecar(sidecar)

    def edit(photo: "Photo", colours: "Photo | None") -> "tuple[Image, Adjustments]":
        return apply(photo, adjustments, colours), adjustments

    return _Work(edit, f"The edit of {sidecar}.", (), None)


def _judges(names: Sequence[str]) -> list["Critic"]:
    from nimakit.enhance.editing import judge
    from nimakit.models import loading

    return [judge(loading.load_model(name, notify=say)) for name in names]


def _refuse_search() -> None:
    """Beside --apply no option says how an edit is to be found."""
    context = click.get_current_context()
    for name, option in _SEARCH.items():
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise UsageError(
                f"An edit is found by networks, or applied as it is. Received: {option} and --apply;"
                " leave one of them out."
            )


def _pairs(
    inputimage: Path, outputimage: Path, *, recursive: bool, with_sidecars: bool
) -> list[tuple[Path, Path]]:
    """Each photo and where its edited self goes: sub-folders and names as they were."""
    from nimakit.enhance.editing import sidecar_of
    from nimakit.images.files import find_images
    from nimakit.images.saving import SUFFIXES

    if not inputimage.is_dir():
        [source] = find_images(inputimage)
        check_output(outputimage, SUFFIXES)
        return [(source, outputimage)]
    is_folder = exists(outputimage) and outputimage.is_dir()
    if not is_folder and (exists(outputimage) or outputimage.suffix.lower() in SUFFIXES):
        raise UsageError(
            "--outputimage is a folder where --inputimage is one, and has the name of none of its pictures."
            f" Received: --inputimage {inputimage} and --outputimage {outputimage}"
        )
    check_folder(outputimage)
    pairs: list[tuple[Path, Path]] = []
    taken: dict[Path, Path] = {}
    for source in find_images(inputimage, recursive=recursive, notify=say):
        target = outputimage / source.relative_to(inputimage)
        if target.suffix.lower() not in SUFFIXES:
            target = target.with_suffix(".png")
        for file in (target, sidecar_of(target)) if with_sidecars else (target,):
            if file in taken:
                raise UsageError(
                    f"Photos of a folder need different names. Received: {taken[file]} and {source}, whose"
                    f" results would both be {file}"
                )
            taken[file] = source
        pairs.append((source, target))
    return pairs


def _is_sidecar_of(applied: Path | None, target: Path) -> bool:
    """Whether the edit that is applied is of the file beside the target, which it then describes."""
    if applied is None or not applied.exists():
        return False
    from nimakit.enhance.editing import sidecar_of

    sidecar = sidecar_of(target)
    # Not by name: a container may have the same folder at two places.
    return exists(sidecar) and sidecar.samefile(applied)


def _written(pairs: Sequence[tuple[Path, Path]], applied: Path | None, report: Path | None) -> list[Path]:
    """What is written, or would not be true any more."""
    from nimakit.enhance.editing import sidecar_of

    targets = [target for _, target in pairs]
    sidecars = [sidecar_of(target) for target in targets if not _is_sidecar_of(applied, target)]
    return [*targets, *sidecars, *([report] if report else [])]


def _refuse_existing(files: Iterable[Path]) -> None:
    existing = [str(path) for path in files if exists(path)]
    if existing:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise UsageError(
            f"No file is replaced unless asked for. Received: {existing[0]}{more}, which exists; name another"
            " output, or add --overwrite."
        )


def _remove_sidecar(target: Path, applied: Path | None) -> None:
    """An older one beside a photo that has none now would describe another edit."""
    if _is_sidecar_of(applied, target):
        return
    from nimakit.enhance.editing import sidecar_of

    sidecar = sidecar_of(target)
    if not exists(sidecar):
        return
    try:
        sidecar.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{sidecar}, of an older edit, could not be removed: {error.strerror}.") from error


def _tell(results: Sequence["Result"], total: int, report: Path | None) -> None:
    from nimakit.enhance.editing import describe, preferred

    if len(results) == 1:
        [result] = results
        if result.adjustments is not None:
            done = ", ".join(f"{name} {value}" for name, value in describe(result.adjustments).items())
            say(done or "nothing was changed")
        for opinion in result.opinions:
            say(f"{opinion.model}: {opinion.before:.2f} before, {opinion.after:.2f} after")
    for model, (better, count) in preferred(results).items():
        say(f"{model}, which took no part, likes {better} of {count} better than before")
    say(f"enhanced {len(results)} of {total} images")
    if report:
        say(f"report: {report}")

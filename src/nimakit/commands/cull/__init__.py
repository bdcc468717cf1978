"""`nimakit cull`: from a folder of photographs to picks."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nimakit.commands.batch import say_failures
from nimakit.commands.cull.results import Outputs, changed_lines, summary_lines
from nimakit.commands.cull.values import ALL_STARS, KeepAmount, StarShares
from nimakit.commands.cull.watching import watch_folder
from nimakit.commands.frame_reader import compared, likeness_encoder, load_reader, load_weights
from nimakit.commands.parameters import (
    FILE,
    FOLDER,
    Finite,
    OutputFile,
    image_source,
    max_pixels,
    models,
    recursive,
    user_file,
)
from nimakit.errors import ImageError, UsageError
from nimakit.progress import printable, say

if TYPE_CHECKING:
    from nimakit.culling.changes import Wanted
    from nimakit.culling.placing import How
    from nimakit.culling.selection import Keep
    from nimakit.culling.shots import Style


@click.command()
@image_source("images", help="A folder of photos.")
@click.option("--watch", type=FOLDER, help="Instead of --images: a folder to watch for new photos.")
@click.option("--undo", type=FILE, help="Take back what an earlier run with --apply did, from its undo file.")
@recursive
@click.option("--keep", type=KeepAmount(), metavar="N|N%", help="How many photos to keep, such as 40 or 10%.")
@click.option(
    "--stars",
    "star_shares",
    type=StarShares(),
    is_flag=False,
    flag_value=ALL_STARS,
    metavar="SHARES",
    help="Give every photo stars by its score: so many percent five stars, four, three, two and one"
    f" (--stars={ALL_STARS} if no shares are given). Otherwise only what is kept has stars, 3 to 5.",
)
@click.option(
    "--diversity",
    type=Finite(min=0),
    default=1.0,
    show_default=True,
    help="How much --keep avoids photos that are like those already chosen; 0 keeps the highest scores.",
)
@click.option("--reject", is_flag=True, help="Mark frames that are beaten in their group as rejected.")
@click.option(
    "--label",
    type=click.Choice(["Red", "Yellow", "Green", "Blue", "Purple"], case_sensitive=False),
    help="Also give what is kept this colour label.",
)
@models("  [default: aesthetic]")
@likeness_encoder
@user_file
@compared
@click.option("--report", type=OutputFile(".html"), help="Write a page of all groups here, .html.")
@click.option(
    "--list",
    "list_file",
    type=OutputFile(".txt"),
    help="Write the names of the picks here, one a line, .txt.",
)
@click.option(
    "--xmp",
    "style",
    type=click.Choice(["darktable", "lightroom"]),
    help="Where stars, picks and labels go: darktable (also digiKam), a sidecar IMG.JPG.xmp for each file;"
    " lightroom (also Capture One), IMG.xmp for camera RAW, and inside other files.",
)
@click.option(
    "--overwrite-ratings", is_flag=True, help="Also replace stars, picks and labels that a person gave."
)
@click.option("--copy-to", type=FILE, metavar="FOLDER", help="Copy the picks, with RAW files and sidecars.")
@click.option("--move-to", type=FILE, metavar="FOLDER", help="Move the picks, with RAW files and sidecars.")
@click.option("--link-to", type=FILE, metavar="FOLDER", help="Make symbolic links to the picks.")
@click.option(
    "--apply", "applies", is_flag=True, help="Do it: without --apply, only --report and --list are written."
)
@max_pixels
def cull(
    *,
    images: Path | None,
    watch: Path | None,
    undo: Path | None,
    recursive: bool,
    keep: "Keep | None",
    star_shares: tuple[float, ...] | None,
    diversity: float,
    reject: bool,
    label: str | None,
    models: tuple[str, ...],
    encoder: tuple[str, tuple[int, int] | None] | None,
    user_file: Path | None,
    comparisons_file: Path | None,
    compared_images: Path | None,
    report: Path | None,
    list_file: Path | None,
    style: "Style | None",
    overwrite_ratings: bool,
    copy_to: Path | None,
    move_to: Path | None,
    link_to: Path | None,
    applies: bool,
    max_pixels: int,
) -> int:
    """Cull a shoot: group the photos that belong together, and keep the best.

    Duplicates, bursts, exposure brackets, focus stacks and panoramas become groups. Of duplicates and bursts
    the best frame is kept, of the others all frames. Nothing is ever deleted, and without --apply nothing is
    written but the report and the list. With --apply the command that undoes the run is printed.

    Exit code: 0 all done, 1 usage or model error, 2 some photos could not be read or written.

    \b
    Example:
      nimakit cull --images shoot --keep 40 --report cull.html
      nimakit cull --images shoot --keep 40 --xmp darktable --copy-to picks --apply
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.culling import changes, shoot
    from nimakit.images.files import find_images

    source = _source({"--images": images, "--watch": watch, "--undo": undo})
    if undo:
        return _undo(undo)
    wanted = _wanted(style, {"copy": copy_to, "move": move_to, "link": link_to}, overwrite_ratings)
    _check_changes(wanted, images, applies=applies, recursive=recursive)
    outputs = Outputs(report=report, list_file=list_file, max_pixels=max_pixels)
    outputs.check()
    model, read = load_reader(models, user_file, encoder, max_pixels)
    folder = source if source.is_dir() else source.parent
    rules = shoot.Rules(
        keep=keep,
        star_shares=star_shares,
        diversity=diversity,
        weights=load_weights(comparisons_file, compared_images or folder, read),
        rejects=reject,
        label=label.title() if label else None,
    )
    if watch:
        return watch_folder(watch, read, rules, outputs, model=model, recursive=recursive)
    paths = find_images(source, recursive=recursive, notify=say)
    culled = shoot.cull(folder, read(paths), rules)
    undo_file = _undo_file(wanted.folder or folder)
    done = changes.apply(culled, wanted, undo_file) if applies else changes.preview(culled, wanted)
    outputs.write(culled.moved(done.moved), model=model)
    lines = [*summary_lines(culled), *changed_lines(wanted, done, is_done=applies)]
    click.echo(printable("\n".join(lines)))
    if applies and undo_file.exists():
        say(f"undo with: nimakit cull --undo {undo_file}")
    failures = [f"{path}: {error}" for path, error in culled.failures.items()]
    failures += [f"{path}: {reason}" for path, reason in done.failures]
    say_failures(failures)
    return ImageError.exit_code if failures else 0


def _source(given: Mapping[str, Path | None]) -> Path:
    """The only path that is given.

    Raises:
        UsageError: None is given, or several.
    """
    named = {name: value for name, value in given.items() if value}
    if len(named) != 1:
        raise UsageError(
            f"Name the photos by one of {', '.join(given)}. Received: {' and '.join(named) or 'none of them'}"
        )
    [path] = named.values()
    return path


def _wanted(style: "Style | None", folders: "Mapping[How, Path | None]", overwrite_ratings: bool) -> "Wanted":
    from nimakit.culling.changes import Wanted

    named: dict[How, Path] = {how: folder for how, folder in folders.items() if folder}
    if len(named) > 1:
        raise UsageError(
            "The picks go to one folder: choose one of --copy-to, --move-to and --link-to. Received: "
            + " and ".join(f"--{how}-to" for how in named)
        )
    if overwrite_ratings and not style:
        raise UsageError("--overwrite-ratings needs --xmp, which writes ratings.")
    wanted = Wanted(style=style, overwrite_ratings=overwrite_ratings)
    for how, folder in named.items():
        wanted = replace(wanted, how=how, folder=folder)
    return wanted


def _check_changes(wanted: "Wanted", images: Path | None, *, applies: bool, recursive: bool) -> None:
    """Refuse changes that contradict each other, or would be culled again."""
    if applies and not wanted.changes_files:
        raise UsageError("--apply needs something to do: --xmp, --copy-to, --move-to or --link-to.")
    if images is None and wanted.changes_files:
        raise UsageError(
            "--watch writes only --report and --list. Run nimakit cull --images once all photos are there."
        )
    if images is None or wanted.folder is None:
        return
    source, target = images.resolve(), wanted.folder.resolve()
    if target == source or (recursive and target.is_relative_to(source)):
        raise UsageError(
            "The folder of the picks must not be among those that are culled. Received:"
            f" --images {images}{' with --recursive' if recursive else ''} and {wanted.folder}"
        )


def _undo_file(folder: Path) -> Path:
    return folder / f"cull-undo-{datetime.now().astimezone():%Y%m%d-%H%M%S}.json"


def _undo(file: Path) -> int:
    from nimakit.culling import changes

    undone = changes.undo(file)
    click.echo(f"{len(undone.restored)} changes undone, {len(undone.failures)} files left as they are")
    say_failures([f"{path}: {reason}" for path, reason in undone.failures])
    return ImageError.exit_code if undone.failures else 0

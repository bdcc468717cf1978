"""`nimakit data index`: what the images of a folder tree are."""

import json
from pathlib import Path

import click

from nimakit.commands.data.outcome import refuse_inputs, tell
from nimakit.commands.parameters import FILE
from nimakit.errors import ImageError, UsageError


@click.command()
@click.argument("folder", type=FILE)
@click.option(
    "--output", type=FILE, required=True, help="The file to write: .json, or .jsonl with an image a line."
)
def index(*, folder: Path, output: Path) -> int:
    """List the images of FOLDER and of all folders below it.

    An entry has path (below FOLDER), image_id, width, height, bytes, sha256, and taken where the camera noted
    the time. The .jsonl serves as --table of nimakit data split. Pictures are not decoded; nimakit data check
    does.

    Exit code: 0 all read, 2 some could not be (they have an error in place of the rest).

    \b
    Example:
      nimakit data index photos --output images.jsonl
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.images.files import find_images
    from nimakit.images.listing import describe
    from nimakit.io.atomic import atomic_writer, check_output
    from nimakit.progress import say, track
    from nimakit.scoring.records import RecordWriter

    check_output(output, (".json", ".jsonl"))
    if not folder.is_dir():
        raise UsageError(f"An index is one of a folder. Received: {folder}")
    paths = find_images(folder, recursive=True, notify=say)
    refuse_inputs((output,), paths)
    failed = []
    size = timed = 0
    with atomic_writer(output) as stream:
        writer = RecordWriter(stream, str(output), output.suffix.lower())
        for entry in track(describe(folder, paths), len(paths), "reading"):
            writer.write(entry)
            if "error" in entry:
                failed.append(f"{entry['path']}: {entry['error']}")
            size += entry.get("bytes", 0)
            timed += "taken" in entry
        writer.close()
    summary = {"images": len(paths), "unreadable": len(failed), "bytes": size, "with_time": timed}
    click.echo(json.dumps({**summary, "files": {str(output): len(paths)}}, indent=2))
    tell("images that could not be read", failed)
    return ImageError.exit_code if failed else 0

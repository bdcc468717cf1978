"""`nimakit data index`: list the images of a folder tree."""

from pathlib import Path

import click

from nimakit.commands.data.outcome import print_json, refuse_inputs, report_list
from nimakit.commands.parameters import FOLDER, OutputFile
from nimakit.errors import ImageError


@click.command()
@click.argument("folder", type=FOLDER)
@click.option(
    "--output",
    type=OutputFile(".json", ".jsonl"),
    required=True,
    help="The file to write: .json, or .jsonl with an image per line.",
)
def index(*, folder: Path, output: Path) -> int:
    """List the images of FOLDER and of all folders below it.

    Each entry has path (below FOLDER), image_id, width, height, bytes, sha256, and what the camera recorded:
    taken, make, model, serial, exposure_s, aperture, iso, focal_length_mm. You can use the .jsonl as the
    --table of nimakit data split. Images are not decoded; nimakit data check does that.

    Exit code: 0 all read, 2 some could not be read (their entries have an error instead).

    \b
    Example:
      nimakit data index photos --output images.jsonl
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.images.files import find_images
    from nimakit.images.listing import describe
    from nimakit.io.atomic import atomic_writer
    from nimakit.progress import say, track
    from nimakit.scoring.records import RecordWriter

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
    print_json({**summary, "files": {str(output): len(paths)}})
    report_list("images that could not be read", failed)
    return ImageError.exit_code if failed else 0

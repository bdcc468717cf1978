"""`nimakit group`: group the photographs of a shoot."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nimakit.commands.batch import say_failures
from nimakit.commands.frame_reader import compared, likeness_encoder, load_reader, load_weights
from nimakit.commands.parameters import (
    OutputFile,
    image_source,
    max_pixels,
    models,
    recursive,
    user_file,
)
from nimakit.errors import ImageError
from nimakit.io.atomic import escaped
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.culling.frames import Frame
    from nimakit.culling.groups import Grouping
    from nimakit.culling.ranking import Weights

_MOST_LISTED = 20
_COLUMNS = ("image", "raw", "scene", "group", "kind", "rank", "value", "reasons", "copies", "taken")

_Record = dict[str, Any]


@click.command()
@image_source(required=True, help="A folder of photos.")
@recursive
@models("  [default: aesthetic]")
@user_file
@likeness_encoder
@compared
@click.option(
    "--output",
    type=OutputFile(".json", ".csv"),
    help="Also write the groups here: .json as on stdout, or .csv with a row for each photo.",
)
@max_pixels
def group(
    *,
    image_source: Path,
    recursive: bool,
    models: tuple[str, ...],
    user_file: Path | None,
    encoder: tuple[str, tuple[int, int] | None] | None,
    comparisons_file: Path | None,
    compared_images: Path | None,
    output: Path | None,
    max_pixels: int,
) -> int:
    """Group the photos of a shoot, and rank the photos of each group.

    Duplicates and bursts are ranked, best first, with reasons. Exposure brackets, focus stacks and panoramas
    are recognised, and their frames stay in the order in which they were taken. Groups of the same place form
    scenes. Times in the EXIF are used where there are any; without them likeness decides.

    Prints the groups as JSON, and a summary on stderr. Exit code: 0 all done, 1 usage or model error, 2 some
    images could not be read.

    \b
    Example:
      nimakit group --images shoot --output groups.csv
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.culling.groups import group_frames
    from nimakit.images.files import find_images

    paths = find_images(image_source, recursive=recursive, notify=say)
    _, read = load_reader(models, user_file, encoder, max_pixels)
    folder = image_source if image_source.is_dir() else image_source.parent
    weights = load_weights(comparisons_file, compared_images or folder, read)
    reading = read(paths)
    grouping = group_frames(reading.frames)
    records = [
        _record(reading.frames, grouping, number, folder, weights) for number in range(len(grouping.groups))
    ]
    failures = {_name(path, folder): str(error) for path, error in reading.failures.items()}
    text = json.dumps({"basis": grouping.basis, "groups": records, "failures": failures}, indent=2)
    click.echo(text)
    if output:
        _write(records, text, output)
    _say_summary(grouping, records, len(reading.frames))
    say_failures([f"{name}: {error}" for name, error in failures.items()])
    if output:
        say(f"wrote {output}")
    return ImageError.exit_code if failures else 0


def _record(
    frames: "Sequence[Frame]", grouping: "Grouping", number: int, folder: Path, weights: "Weights"
) -> _Record:
    """One group as plain values; the frames of a series are not ranked."""
    from nimakit.culling.ranking import rank_group

    found = grouping.groups[number]
    listed: list[_Record] = []
    for rank, ranked in enumerate(() if found.is_whole else rank_group(found, frames, weights), start=1):
        reasons = list(ranked.reasons)
        listed.append(
            {**_frame(frames[ranked.frame], folder), "rank": rank, "value": ranked.value, "reasons": reasons}
        )
    return {
        "group": number,
        "scene": found.scene,
        "kind": found.kind,
        "frames": listed or [_frame(frames[place], folder) for place in found.frames],
        "copies": [[_name(frames[place].path, folder) for place in places] for places in found.copies],
    }


def _frame(frame: "Frame", folder: Path) -> _Record:
    return {
        "image_id": frame.image_id,
        "image": _name(frame.path, folder),
        "raw": _name(frame.raw, folder) if frame.raw else None,
        "taken": frame.shot.taken.isoformat() if frame.shot.taken else None,
        "score": frame.score,
    }


def _name(path: Path, folder: Path) -> str:
    return escaped(path.relative_to(folder).as_posix())


def _write(records: Sequence[_Record], text: str, output: Path) -> None:
    from nimakit.io.atomic import atomic_bytes, atomic_writer
    from nimakit.io.delimited import TableWriter

    if output.suffix.lower() == ".json":
        atomic_bytes(f"{text}\n".encode(), output)
        return
    with atomic_writer(output) as stream:
        table = TableWriter(stream)
        table.row(_COLUMNS)
        for row in _rows(records):
            table.row(row.get(column) for column in _COLUMNS)


def _rows(records: Sequence[_Record]) -> Iterator[_Record]:
    """A row for each frame; its copies are the other files that show the same picture."""
    for record in records:
        for frame in record["frames"]:
            sets = [names for names in record["copies"] if frame["image"] in names]
            copies = [name for names in sets for name in names if name != frame["image"]]
            yield {
                **{key: record[key] for key in ("group", "scene", "kind")},
                **frame,
                "reasons": "; ".join(frame.get("reasons", ())),
                "copies": "; ".join(copies),
            }


def _say_summary(grouping: "Grouping", records: Sequence[_Record], count: int) -> None:
    kinds = Counter(record["kind"] for record in records)
    listed = ", ".join(f"{kind}: {number}" for kind, number in sorted(kinds.items()))
    say(f"{count} photos in {len(records)} groups ({listed}) and {len(grouping.scenes)} scenes")
    say(f"grouped by {grouping.basis}")
    several = [record for record in records if len(record["frames"]) > 1]
    for record in several[:_MOST_LISTED]:
        first, *others = record["frames"]
        reasons = f" ({'; '.join(first['reasons'])})" if first.get("reasons") else ""
        names = ", ".join(frame["image"] for frame in others)
        say(f"{record['kind']}: {first['image']}{reasons}, then {names}")
    if len(several) > _MOST_LISTED:
        say(f"and {len(several) - _MOST_LISTED} more groups of several photos")

"""What tables and lists say of images: a group, a time, tags, or that they are meant at all."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from nimakit.errors import LabelError
from nimakit.images.files import canonical, plain_id
from nimakit.images.names import whole_numbers
from nimakit.io.rules import read_json
from nimakit.io.tables import BadRows, Row, read_lines, read_rows
from nimakit.labels.label_file import read_labels
from nimakit.labels.ratings import to_seconds
from nimakit.labels.sets import listed

Value = TypeVar("Value")


def read_values(
    path: Path, column: str, image_ids: Sequence[str], rows: BadRows, *, image_column: str = "image_id"
) -> list[str]:
    """What a table says of each image.

    Args:
        path: .csv, .tsv or .jsonl; rows of other images are passed over.
        column: Which to read.
        image_ids: N names.
        rows: Takes note of bad rows; `BadRows.refuse` is called here.
        image_column: File names, or image_ids.

    Returns:
        N values, none empty.

    Raises:
        LabelError: No such table, a bad row and `rows` does not skip them, or an image it does not name.
    """
    wanted = set(image_ids)
    found: dict[str, str] = {}
    for line, (name, value), _ in _read_rows(path, (image_column, column), rows, wanted):
        image_id = _known(name, wanted)
        if found.setdefault(image_id, value) != value:
            rows.add(path, line, f"{column} of {image_id!r} was {found[image_id]!r}, and is {value!r} here")
    rows.refuse()
    return _of_each(path, column, image_ids, found)


def read_times(
    path: Path, column: str, image_ids: Sequence[str], rows: BadRows, *, image_column: str = "image_id"
) -> list[float]:
    """When each image was taken, or whatever else a column of times says.

    Args:
        path: .csv, .tsv or .jsonl; rows of other images are passed over.
        column: ISO 8601 (UTC where it has no offset), or seconds since 1970.
        image_ids: N names.
        rows: Takes note of bad rows; `BadRows.refuse` is called here.
        image_column: File names, or image_ids.

    Returns:
        N times in seconds since 1970: of an image with several rows the earliest.

    Raises:
        LabelError: As `read_values`, or no time.
    """
    wanted = set(image_ids)
    found: dict[str, float] = {}
    for line, (name, value), _ in _read_rows(path, (image_column, column), rows, wanted):
        try:
            seconds = to_seconds(column, value)
        except ValueError as error:
            rows.add(path, line, str(error))
            continue
        image_id = _known(name, wanted)
        found[image_id] = min(seconds, found.get(image_id, seconds))
    rows.refuse()
    return _of_each(path, column, image_ids, found)


def read_tags(
    path: Path, column: str, image_ids: Sequence[str], rows: BadRows, *, image_column: str = "image_id"
) -> list[set[str]]:
    """The tags of each image.

    Args:
        path: .csv, .tsv or .jsonl with a row for each tag of each image.
        column: That of the tag.
        image_ids: N names.
        rows: Takes note of bad rows; `BadRows.refuse` is called here.
        image_column: File names, or image_ids.

    Returns:
        N sets; empty for an image without a tag.

    Raises:
        LabelError: No such table, or a bad row and `rows` does not skip them.
    """
    wanted = set(image_ids)
    found: dict[str, set[str]] = defaultdict(set)
    for _, (name, tag), _ in _read_rows(path, (image_column, column), rows, wanted):
        found[_known(name, wanted)].add(tag)
    rows.refuse()
    return [found.get(name, set()) for name in image_ids]


def read_image_ids(path: Path, of: Path, image_ids: Collection[str], rows: BadRows) -> set[str]:
    """The images of a list.

    Args:
        path: A text file with an image_id or a file name a line; a .csv, .tsv or .jsonl with a column
            image_id; a label file; or what `nimakit data check` printed, of which ``drop`` is taken.
        of: The label file.
        image_ids: Its image ids: a name in the list is one of them as it is, or without its suffix.
        rows: Takes note of bad rows; `BadRows.refuse` is called here.

    Returns:
        Image ids.

    Raises:
        LabelError: No such file, or it is none of those.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _dropped(path, of)
    if suffix in (".csv", ".tsv", ".jsonl"):
        names = [row.values[0] for row in _read_rows(path, ("image_id",), rows, image_ids)]
        rows.refuse()
    else:
        names = [text for _, text in read_lines(path)]
    return {_known(name, image_ids) for name in names}


def read_groups(path: Path, of: Path) -> list[list[str]]:
    """The images of a label file that are the same picture, as `nimakit data check` found them.

    Args:
        path: What it printed, .json.
        of: The label file.

    Returns:
        Image ids that belong together, at least two each.

    Raises:
        LabelError: It is nothing that `nimakit data check` printed, or not of that label file.
    """
    return _read_check(path, of)[1]


def _read_rows(path: Path, columns: Sequence[str], rows: BadRows, image_ids: Collection[str]) -> list[Row]:
    """Rows of a table, its first column of images; in a column of whole numbers 1.0 becomes 1."""
    table = list(read_rows(path, columns, rows))
    numbers = whole_numbers(row.values[0] for row in table)
    return [
        row._replace(values=(numbers[row.values[0]], *row.values[1:]))
        if row.values[0] in numbers and row.values[0] not in image_ids
        else row
        for row in table
    ]


def _of_each(path: Path, column: str, image_ids: Sequence[str], found: Mapping[str, Value]) -> list[Value]:
    missing = [name for name in image_ids if name not in found]
    if missing:
        raise LabelError(
            f"The table needs a {column} for each image. Received: {path}, with none for {listed(missing)}"
        )
    return [found[name] for name in image_ids]


def _known(name: str, image_ids: Collection[str]) -> str:
    """The image_id a name stands for; a name that can be no file's stands for no image."""
    spelt = canonical(name)
    try:
        return spelt if spelt in image_ids else plain_id(name)
    except ValueError:
        return spelt


def _dropped(path: Path, of: Path) -> set[str]:
    if isinstance(read_json(path, LabelError, "A list of images"), list):
        return set(read_labels(path).image_ids)
    return _read_check(path, of)[0]


def _read_check(path: Path, of: Path) -> tuple[set[str], list[list[str]]]:
    """What `nimakit data check` found in a label file: what to drop, and what is the same picture."""
    found = read_json(path, LabelError, "What nimakit data check printed")
    try:
        files = {Path(file).resolve(): str(file) for file in found["files"]}
        if of.resolve() not in files:
            raise LabelError(f"The check is one of {of}. Received: {path}, of {', '.join(files.values())}")
        name = files[of.resolve()]
        drop = {canonical(str(image_id)) for image_id in found["drop"].get(name, ())}
        groups = [
            [canonical(str(image["image_id"])) for image in group["images"] if image["file"] == name]
            for group in [*found["leaks"], *found["duplicates"]]
        ]
    except (AttributeError, KeyError, TypeError) as error:
        raise LabelError(
            f"A list of images in JSON is a label file, or what nimakit data check printed. Received: {path}"
        ) from error
    return drop, [images for images in groups if len(images) > 1]

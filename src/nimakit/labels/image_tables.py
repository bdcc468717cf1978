"""Tables and lists with information about images: groups, times, tags, or images to keep or drop."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
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
    """Read a column with one value for each image.

    Args:
        path: .csv, .tsv or .jsonl; rows of other images are ignored.
        column: The column to read.
        image_ids: N names.
        rows: Collects bad rows; `BadRows.refuse` is called here.
        image_column: Column of file names or image_ids.

    Returns:
        N values, none empty.

    Raises:
        LabelError: No such table, a bad row that `rows` does not skip, or an image without a row.
    """
    found: dict[str, str] = {}
    for line, image_id, value in _read(path, column, image_ids, rows, image_column):
        if found.setdefault(image_id, value) != value:
            rows.add(path, line, f"{column} of {image_id!r} was {found[image_id]!r}, and is {value!r} here")
    rows.refuse()
    return _in_order(path, column, image_ids, found)


def read_times(
    path: Path, column: str, image_ids: Sequence[str], rows: BadRows, *, image_column: str = "image_id"
) -> list[float]:
    """Read a column of times, such as when each image was taken.

    Args:
        path: .csv, .tsv or .jsonl; rows of other images are ignored.
        column: ISO 8601 (UTC if it has no offset), or seconds since 1970.
        image_ids: N names.
        rows: Collects bad rows; `BadRows.refuse` is called here.
        image_column: Column of file names or image_ids.

    Returns:
        N times in seconds since 1970; for an image with several rows the earliest.

    Raises:
        LabelError: As `read_values`.
    """
    found: dict[str, float] = {}
    for line, image_id, value in _read(path, column, image_ids, rows, image_column):
        try:
            seconds = to_seconds(column, value)
            found[image_id] = min(seconds, found.get(image_id, seconds))
        except ValueError as error:
            rows.add(path, line, str(error))
    rows.refuse()
    return _in_order(path, column, image_ids, found)


def read_tags(
    path: Path, column: str, image_ids: Sequence[str], rows: BadRows, *, image_column: str = "image_id"
) -> list[set[str]]:
    """Read the tags of each image.

    Args:
        path: .csv, .tsv or .jsonl with a row for each tag of each image.
        column: The column of the tag.
        image_ids: N names.
        rows: Collects bad rows; `BadRows.refuse` is called here.
        image_column: Column of file names or image_ids.

    Returns:
        N sets; empty for an image without a tag.

    Raises:
        LabelError: No such table, or a bad row that `rows` does not skip.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for _, image_id, tag in _read(path, column, image_ids, rows, image_column):
        found[image_id].add(tag)
    rows.refuse()
    return [found.get(name, set()) for name in image_ids]


def read_image_ids(path: Path, of: Path, image_ids: Collection[str], rows: BadRows) -> set[str]:
    """Read a list of images.

    Args:
        path: A text file with an image_id or a file name per line; a .csv, .tsv or .jsonl with a column
            image_id; a label file; or the output of `nimakit data check`, whose ``drop`` is read.
        of: The label file.
        image_ids: Its image_ids, which the list names with or without a file suffix.
        rows: Collects bad rows; `BadRows.refuse` is called here.

    Returns:
        Image ids.

    Raises:
        LabelError: No such file, or none of these formats.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        if isinstance(read_json(path, LabelError, "A list of images"), list):
            return set(read_labels(path).image_ids)
        return _read_check(path, of)[0]
    if suffix in (".csv", ".tsv", ".jsonl"):
        names = [row.values[0] for row in _read_rows(path, ("image_id",), rows, image_ids)]
        rows.refuse()
    else:
        names = [text for _, text in read_lines(path)]
    return {_image_id(name, image_ids) for name in names}


def read_groups(path: Path, of: Path) -> list[list[str]]:
    """Read which images of a label file show the same picture.

    Args:
        path: The output of `nimakit data check`, .json.
        of: The label file.

    Returns:
        Groups of two or more image ids.

    Raises:
        LabelError: It is not the output of `nimakit data check` for that label file.
    """
    return _read_check(path, of)[1]


def _read(
    path: Path, column: str, image_ids: Sequence[str], rows: BadRows, image_column: str
) -> Iterator[tuple[int, str, str]]:
    """Line number, image_id and value of each row of a table."""
    known = set(image_ids)
    for line, (name, value), _ in _read_rows(path, (image_column, column), rows, known):
        yield line, _image_id(name, known), value


def _read_rows(path: Path, columns: Sequence[str], rows: BadRows, image_ids: Collection[str]) -> list[Row]:
    """Rows of a table whose first column names images; in a column of whole numbers 1.0 becomes 1."""
    table = list(read_rows(path, columns, rows))
    numbers = whole_numbers(row.values[0] for row in table)
    return [
        row._replace(values=(numbers[row.values[0]], *row.values[1:]))
        if row.values[0] in numbers and row.values[0] not in image_ids
        else row
        for row in table
    ]


def _in_order(path: Path, column: str, image_ids: Sequence[str], found: Mapping[str, Value]) -> list[Value]:
    missing = [name for name in image_ids if name not in found]
    if missing:
        raise LabelError(
            f"The table needs a {column} for each image. Received: {path}, with none for {listed(missing)}"
        )
    return [found[name] for name in image_ids]


def _image_id(name: str, known: Collection[str]) -> str:
    """The image_id of a name; a name that is not a possible file name is returned as it is."""
    spelling = canonical(name)
    try:
        return spelling if spelling in known else plain_id(name)
    except ValueError:
        return spelling


def _read_check(path: Path, of: Path) -> tuple[set[str], list[list[str]]]:
    """What `nimakit data check` found in a label file: images to drop, and groups of the same picture."""
    found = read_json(path, LabelError, "The output of nimakit data check")
    try:
        files = {Path(file).resolve(): str(file) for file in found["files"]}
        if of.resolve() not in files:
            raise LabelError(f"The check must be of {of}. Received: {path}, of {', '.join(files.values())}")
        name = files[of.resolve()]
        drop = {canonical(str(image_id)) for image_id in found["drop"].get(name, ())}
        groups = [
            [canonical(str(image["image_id"])) for image in group["images"] if image["file"] == name]
            for group in [*found["leaks"], *found["duplicates"]]
        ]
    except (AttributeError, KeyError, TypeError) as error:
        raise LabelError(
            "A list of images in JSON must be a label file or the output of nimakit data check. Received:"
            f" {path}"
        ) from error
    return drop, [images for images in groups if len(images) > 1]

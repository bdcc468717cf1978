"""The files of an export, and the data package (.zip) that contains all of them with their description."""

import json
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit.errors import LabelError
from nimakit.io.atomic import atomic_bytes, atomic_writer
from nimakit.labels.label_file import write_labels
from nimakit.web.db.tables import CULL, Collection, Participation, now
from nimakit.web.study.participants import COLUMNS as PARTICIPANT_COLUMNS
from nimakit.web.study.participants import participant_rows
from nimakit.web.transfer.dictionary import column, dictionary
from nimakit.web.transfer.exports import (
    RATER_COLUMNS,
    RATING_COLUMNS,
    Row,
    label_counts,
    pair_columns,
    pair_rows,
    rater_rows,
    rating_rows,
    write_rows,
)
from nimakit.web.transfer.methods import methods
from nimakit.web.transfer.picture_table import picture_columns, picture_rows

_DESCRIPTION_FILE = "datapackage.json"
_ALL = "all "
"""Begins the kinds of tables that include excluded raters."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that can be downloaded.

    Attributes:
        what: Its content, as `write_file` knows it.
        title: Text of its button.
        content: What it contains.
    """

    what: str
    title: str
    content: str


_SAME = "the same, for programs"
FILES = {
    "pairs.csv": File(
        "pairs",
        "Pairs, CSV",
        "which of two photographs was preferred, by whom and when; nimakit data pairs turns them into labels",
    ),
    "pairs.jsonl": File("pairs", "Pairs, JSON lines", _SAME),
    "all-pairs.csv": File(
        "all pairs",
        "All pairs, CSV",
        "those of excluded raters as well, with the reason for which each is excluded",
    ),
    "labels.json": File(
        "labels",
        "Labels, JSON",
        "for each photograph (image_id), how many people gave each rating, the lowest first (label);"
        " ./train-local trains on it",
    ),
    "ratings.csv": File("ratings", "Ratings, CSV", "each rating with its rater, time and file"),
    "ratings.jsonl": File("ratings", "Ratings, JSON lines", _SAME),
    "all-ratings.csv": File(
        "all ratings",
        "All ratings, CSV",
        "those of excluded raters as well, with the reason for which each is excluded",
    ),
    "raters.csv": File(
        "raters",
        "Raters, CSV",
        "who is excluded and why, checks passed and missed, and time per answer",
    ),
    "participants.csv": File(
        "participants",
        "Participants, CSV",
        "who agreed to which version of the study's texts, practised and finished, and when",
    ),
    "pictures.csv": File(
        "pictures",
        "Pictures, CSV",
        "for each photograph, what the answers say of it, and the predicted score",
    ),
    "pictures.jsonl": File("pictures", "Pictures, JSON lines", _SAME),
    "methods.md": File(
        "methods",
        "Methods, Markdown",
        "how the answers were collected, for a paper, and the meaning of each column",
    ),
    "package.zip": File(
        "package",
        "Everything, ZIP",
        "all of these, tables as CSV, with datapackage.json, a Frictionless description for programs",
    ),
}
"""The files that can be downloaded, by their names."""


def files_of(session: Session, collection: Collection) -> dict[str, File]:
    """Those of `FILES` that a collection has."""
    hidden = {"labels", "ratings", "all ratings"} if collection.compares else {"pairs", "all pairs"}
    if collection.experiment == CULL:
        hidden.add("raters")
    participants = select(func.count()).where(Participation.collection_id == collection.id)
    if not session.scalar(participants):
        hidden.add("participants")
    return {name: file for name, file in FILES.items() if file.what not in hidden}


def write_file(session: Session, collection: Collection, what: str, path: Path) -> int:
    """Write a file of an export, which appears whole or not at all.

    Args:
        session: From `Database.read`.
        collection: The collection.
        what: `File.what` of one of `FILES`.
        path: The file: .json for labels, .md for methods, .zip for a package, else .csv or .jsonl.

    Returns:
        Number of rows or labels; of words in methods, and of files in a package.

    Raises:
        LabelError: As `nimakit.web.transfer.exports.ratings_of` and `picture_rows`.
        OutputError: It could not be written.
    """
    if what == "package":
        return _write_package(session, collection, path)
    if what == "labels":
        names, counts = label_counts(session, collection)
        write_labels(path, names, counts)
        return len(names)
    if what == "methods":
        text = _document(session, collection)
        with atomic_writer(path) as stream:
            stream.write(text)
        return len(text.split())
    with atomic_writer(path) as stream:
        columns = columns_of(collection, what)
        return write_rows(stream, path.suffix.lower(), columns, _rows(session, collection, what))


def columns_of(collection: Collection, what: str) -> tuple[str, ...]:
    """The columns of a table; none for what is no table."""
    columns = {
        "pairs": pair_columns(collection),
        "ratings": RATING_COLUMNS,
        "raters": RATER_COLUMNS,
        "participants": PARTICIPANT_COLUMNS,
        "pictures": picture_columns(collection),
    }.get(what.removeprefix(_ALL), ())
    return (*columns, "excluded") if what.startswith(_ALL) else columns


def _rows(session: Session, collection: Collection, what: str) -> Iterator[Row]:
    everyone = what.startswith(_ALL)
    match what.removeprefix(_ALL):
        case "pairs":
            return pair_rows(session, collection, everyone=everyone)
        case "raters":
            return rater_rows(session, collection)
        case "participants":
            return participant_rows(session, collection)
        case "pictures":
            return picture_rows(session, collection)
    return rating_rows(session, collection, everyone=everyone)


def _document(session: Session, collection: Collection) -> str:
    """The methods and the data dictionary in Markdown."""
    files = files_of(session, collection)
    tables = {file.what: columns for file in files.values() if (columns := columns_of(collection, file.what))}
    return (
        f"# {collection.name}\n\n## Methods\n\n{methods(session, collection)}\n\n## Data dictionary\n\n"
        + dictionary({name: file.content for name, file in files.items()}, tables)
    )


def _write_package(session: Session, collection: Collection, path: Path) -> int:
    """Write all files but those that repeat others, with datapackage.json."""
    files = {
        name: file
        for name, file in files_of(session, collection).items()
        if file.what != "package" and not name.endswith(".jsonl")
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, file in [*files.items()]:
            try:
                write_file(session, collection, file.what, Path(folder, name))
            except LabelError:  # no ratings yet, image_ids that are not unique, or too many pictures to rank
                if file.what not in ("labels", "pictures"):
                    raise
                del files[name]
        text = json.dumps(_description(session, collection, files), indent=2, ensure_ascii=False)
        Path(folder, _DESCRIPTION_FILE).write_text(text, encoding="utf-8")
        whole = Path(folder, "package")
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as package:
            for name in (_DESCRIPTION_FILE, *files):
                package.write(Path(folder, name), name)
        atomic_bytes(whole.read_bytes(), path)
    return 1 + len(files)


def _description(session: Session, collection: Collection, files: dict[str, File]) -> dict[str, Any]:
    """A Frictionless description (datapackage.json) of files.

    Source: the Data Package and Table Schema specifications 1.0, https://specs.frictionlessdata.io.
    """
    return {
        "profile": "data-package",
        "name": collection.slug,
        "title": collection.name,
        "description": methods(session, collection),
        "created": now().isoformat(timespec="seconds"),
        "resources": [
            _resource(collection, name, file) for name, file in files.items() if file.what != "methods"
        ],
    }


def _resource(collection: Collection, name: str, file: File) -> dict[str, Any]:
    about = {"name": Path(name).stem, "path": name, "description": file.content}
    columns = columns_of(collection, file.what)
    if not columns:
        return {**about, "format": "json", "mediatype": "application/json"}
    fields = []
    for key in columns:
        found = column(file.what, key)
        any_format = {"format": "any"} if found.type == "datetime" else {}
        fields.append({"name": key, "type": found.type, "description": found.meaning} | any_format)
    return {
        **about,
        "profile": "tabular-data-resource",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": {"fields": fields, "missingValues": [""]},
    }

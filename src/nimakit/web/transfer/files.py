"""The files of an export, and the data package (.zip) that contains all of them with their description."""

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from nimakit.errors import LabelError
from nimakit.io.atomic import atomic_bytes, atomic_writer
from nimakit.web.db.tables import Choice, Collection, now
from nimakit.web.transfer.description import column, document, methods
from nimakit.web.transfer.exports import RATING_COLUMNS, export, pair_columns, write_rows
from nimakit.web.transfer.picture_table import picture_columns, picture_rows

METHODS_FILE = "methods.md"
_LABELS_FILE = "labels.json"
_DESCRIPTION_FILE = "datapackage.json"


def write_file(session: Session, collection: Collection, what: str, path: Path) -> int:
    """Write a file of an export, which appears whole or not at all.

    Args:
        session: From `Database.read`.
        collection: The collection.
        what: ``pictures``, ``methods``, ``package``, or a kind of `nimakit.web.transfer.exports.export`.
        path: The file: .csv or .jsonl for pictures, .md for methods, .zip for a package.

    Returns:
        Number of rows; of words in methods, and of files in a package.

    Raises:
        LabelError: As `nimakit.web.transfer.exports.export` and `picture_rows`.
        OutputError: It could not be written.
    """
    if what == "pictures":
        with atomic_writer(path) as stream:
            rows = picture_rows(session, collection)
            return write_rows(stream, path.suffix.lower(), picture_columns(collection), rows)
    if what == "methods":
        text = document(session, collection, _tables(collection))
        with atomic_writer(path) as stream:
            stream.write(text)
        return len(text.split())
    if what == "package":
        return _write_package(session, collection, path)
    return export(session, collection, what, path)


def description(session: Session, collection: Collection) -> dict[str, Any]:
    """A Frictionless description (datapackage.json) of the tables of a collection.

    Source: the Data Package and Table Schema specifications 1.0, https://specs.frictionlessdata.io.

    Args:
        session: From `Database.read`.
        collection: The collection.
    """
    return {
        "profile": "data-package",
        "name": collection.slug,
        "title": collection.name,
        "description": methods(session, collection),
        "created": now().isoformat(timespec="seconds"),
        "resources": [_table(name, columns) for name, columns in _tables(collection).items()],
    }


def _tables(collection: Collection) -> dict[str, tuple[str, ...]]:
    """File name -> columns."""
    compares = collection.response_table is Choice
    answers = {"pairs.csv": pair_columns(collection)} if compares else {"ratings.csv": RATING_COLUMNS}
    return {"pictures.csv": picture_columns(collection), **answers}


def _table(name: str, columns: tuple[str, ...]) -> dict[str, Any]:
    fields = [
        {"name": key, "type": column(key).type, "description": column(key).meaning}
        | ({"format": "any"} if column(key).type == "datetime" else {})
        for key in columns
    ]
    return {
        "profile": "tabular-data-resource",
        "name": Path(name).stem,
        "path": name,
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": {"fields": fields, "missingValues": [""]},
    }


def _write_package(session: Session, collection: Collection, path: Path) -> int:
    tables, about = _tables(collection), description(session, collection)
    with tempfile.TemporaryDirectory() as folder:
        parts = {name: Path(name).stem for name in tables} | {METHODS_FILE: "methods"}
        for name, what in parts.items():
            write_file(session, collection, what, Path(folder, name))
        try:
            export(session, collection, "labels", Path(folder, _LABELS_FILE))
        except LabelError:  # comparisons, no ratings yet, or image_ids that are not unique
            pass
        else:
            parts[_LABELS_FILE] = "labels"
            about["resources"].append(
                {
                    "name": "labels",
                    "path": _LABELS_FILE,
                    "format": "json",
                    "mediatype": "application/json",
                    "description": "For each photograph, how many people gave each rating, the lowest first",
                }
            )
        text = json.dumps(about, indent=2, ensure_ascii=False)
        Path(folder, _DESCRIPTION_FILE).write_text(text, encoding="utf-8")
        whole = Path(folder, "package")
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as package:
            for name in (_DESCRIPTION_FILE, *parts):
                package.write(Path(folder, name), name)
        atomic_bytes(whole.read_bytes(), path)
    return 1 + len(parts)

"""nimakit.labels.image_tables: what tables and lists say of images."""

import json
from pathlib import Path
from typing import Any

import pytest

from nimakit.errors import LabelError
from nimakit.io.tables import BadRows
from nimakit.labels.image_tables import read_groups, read_image_ids, read_tags, read_times, read_values

IDS = ("a", "b.c", "d")


def _table(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_a_value_for_each_image(tmp_path: Path) -> None:
    """By image_id or file name, in the order of the images; other rows do not matter."""
    table = _table(tmp_path, "image_id,who\nx,9\nd.JPG,3\nphotos/a.jpg,1\nb.c,2\na,1\n")
    assert read_values(table, "who", IDS, BadRows()) == ["1", "2", "3"]
    other = _table(tmp_path, "name;who\na;1\nb.c;2\nd;3\n", "other.csv")
    assert read_values(other, "who", IDS, BadRows(), image_column="name") == ["1", "2", "3"]


def test_names_of_tables_and_images_meet(tmp_path: Path) -> None:
    """However each system spells an umlaut; rows that name no file are rows of other images."""
    names = ("Z\u00fcrich", "1.0")
    table = _table(tmp_path, "image_id,who\nhttps://example.org/,9\nZu\u0308rich.jpg,1\n1.0,2\n")
    assert read_values(table, "who", names, BadRows()) == ["1", "2"]
    listed = _table(tmp_path, "Zu\u0308rich\n", "list.txt")
    assert read_image_ids(listed, tmp_path / "labels.json", names, BadRows()) == {names[0]}


def test_whole_numbers_that_a_spreadsheet_saved_as_floats_match(tmp_path: Path) -> None:
    """In a column of whole numbers 1.0 is 1; not next to another name, or where an image has that id."""
    table = _table(tmp_path, "image_id,who\n1.0,a\n2.0,b\n")
    assert read_values(table, "who", ["1", "2"], BadRows()) == ["a", "b"]
    assert read_values(table, "who", ["1.0", "2"], BadRows()) == ["a", "b"]
    assert read_image_ids(table, tmp_path / "labels.json", ["1", "2"], BadRows()) == {"1", "2"}
    mixed = _table(tmp_path, "image_id,who\n1.0,a\nlake.jpg,b\n", "mixed.csv")
    assert read_image_ids(mixed, tmp_path / "labels.json", ["1", "lake"], BadRows()) == {"1.0", "lake"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_id,who\na,1\nb.c,2\n", "a who for each image.*none for 'd'"),
        ("image_id,who\na,1\nb.c,\nd,3\n", "line 3: who must not be empty"),
        ("image_id,who\na,1\nb.c,2\nd,3\na,4\n", "line 5: who of 'a' was '1', and is '4' here"),
        ("image_id,what\na,1\n", "one column 'who'"),
    ],
)
def test_refuses_a_table_that_does_not_say(tmp_path: Path, text: str, message: str) -> None:
    """An image without a value, or with two."""
    with pytest.raises(LabelError, match=message):
        read_values(_table(tmp_path, text), "who", IDS, BadRows())


def test_reads_times(tmp_path: Path) -> None:
    """ISO 8601 with and without offset, or seconds; the earliest of an image that has several."""
    rows = "image_id,taken\na,1970-01-01T00:01:00\nb.c,1970-01-01T01:00:00+01:00\nd,7\na,99\n"
    table = _table(tmp_path, rows)
    assert read_times(table, "taken", IDS, BadRows()) == [60, 0, 7]
    with pytest.raises(LabelError, match=r"table\.csv, line 2: taken must be ISO 8601.*'noon'"):
        read_times(_table(tmp_path, "image_id,taken\na,noon\n"), "taken", ["a"], BadRows())


def test_reads_all_tags_of_an_image(tmp_path: Path) -> None:
    """A row each; an image may have none."""
    table = _table(tmp_path, "image_id,tag\na,sky\nb.c.jpg,sea\na,sea\nx,sky\n")
    assert read_tags(table, "tag", IDS, BadRows()) == [{"sky", "sea"}, {"sea"}, set()]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "a\n\nb.c.jpg \nx\n"),
        ("list", "a\nphotos/b.c.JPG\nx\n"),
        ("list.csv", "image_id,y\na,1\nb.c,2\nx,3\n"),
        ("list.jsonl", '{"image_id": "a"}\n{"image_id": "b.c.jpg"}\n{"image_id": "x"}\n'),
        ("list.json", '[{"image_id": "a"}, {"image_id": "b.c"}, {"image_id": "x"}]'),
    ],
)
def test_reads_a_list_of_images_in_any_form(tmp_path: Path, name: str, text: str) -> None:
    """Names with a suffix are images too, unless an image_id has the suffix itself."""
    path = _table(tmp_path, text, name)
    assert read_image_ids(path, tmp_path / "labels.json", IDS, BadRows()) == {"a", "b.c", "x"}
    assert (
        "b.c.jpg" in read_image_ids(path, tmp_path / "labels.json", ("b.c.jpg",), BadRows())
        or ".j" not in text
    )


CHECK: dict[str, Any] = {
    "files": {"train.json": 4, "test.json": 2},
    "leaks": [
        {
            "images": [
                {"file": "train.json", "image_id": "a"},
                {"file": "train.json", "image_id": "b.c"},
                {"file": "test.json", "image_id": "e"},
            ]
        },
        {"images": [{"file": "train.json", "image_id": "d"}, {"file": "test.json", "image_id": "f"}]},
    ],
    "duplicates": [
        {"images": [{"file": "test.json", "image_id": "g"}, {"file": "test.json", "image_id": "h"}]}
    ],
    "drop": {"train.json": ["a", "b.c"], "test.json": []},
}


def test_reads_what_a_check_would_drop_and_keep_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one of its files, whatever way its path is written."""
    monkeypatch.chdir(tmp_path)
    path = _table(tmp_path, json.dumps(CHECK), "check.json")
    assert read_image_ids(path, tmp_path / "train.json", IDS, BadRows()) == {"a", "b.c"}
    assert read_image_ids(path, Path("test.json"), IDS, BadRows()) == set()
    assert read_groups(path, Path("./train.json")) == [["a", "b.c"]]
    assert read_groups(path, Path("test.json")) == [["g", "h"]]
    with pytest.raises(LabelError, match=r"must be of other\.json.*of train\.json, test\.json"):
        read_groups(path, Path("other.json"))


@pytest.mark.parametrize("content", ["{}", "3", '{"files": 1}', '{"files": {"train.json": 1}}', "{"])
def test_refuses_json_that_is_no_list_of_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    """Neither a label file nor a check."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LabelError, match=r"list\.json"):
        read_image_ids(_table(tmp_path, content, "list.json"), Path("train.json"), IDS, BadRows())

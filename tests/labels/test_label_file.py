"""nimakit.labels.label_file: label files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nimakit.errors import LabelError
from nimakit.labels.label_file import Outline, outline, read_labels, write_labels


def _write(folder: Path, entries: Any) -> Path:
    path = folder / "labels.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


def _entry(name: str, *label: float) -> dict[str, Any]:
    return {"image_id": name, "label": list(label)}


def test_normalises_counts_and_keeps_the_order(tmp_path: Path) -> None:
    """Un-normalised frequencies become shares, in the file's order."""
    labels = read_labels(_write(tmp_path, [_entry("b", 1, 3), _entry("a", 0.5, 0.5)]))
    assert labels.image_ids == ("b", "a")
    assert labels.histograms is not None
    np.testing.assert_allclose(labels.histograms, [[0.25, 0.75], [0.5, 0.5]])


def test_names_have_one_spelling(tmp_path: Path) -> None:
    """An umlaut of two characters, as from a Mac, is the umlaut of one; both in a file are an image twice."""
    file = _write(tmp_path, [_entry("Zu\u0308rich", 1, 3)])
    assert read_labels(file).image_ids == outline(file).image_ids == ("Z\u00fcrich",)
    with pytest.raises(LabelError, match="is repeated"):
        read_labels(_write(tmp_path, [_entry("Zu\u0308rich", 1, 3), _entry("Z\u00fcrich", 1, 3)]))


def test_keeps_counts_as_they_are(tmp_path: Path) -> None:
    """How many people rated an image is known beside their shares."""
    labels = read_labels(_write(tmp_path, [_entry("b", 1, 3), _entry("a", 0.5, 0.5)]))
    assert labels.counts is not None
    assert labels.counts.tolist() == [[1, 3], [0.5, 0.5]]


def test_reads_a_file_that_names_images_only(tmp_path: Path) -> None:
    """Without any label there are names alone."""
    labels = read_labels(_write(tmp_path, [{"image_id": "a"}, {"image_id": "b"}]))
    assert labels.image_ids == ("a", "b")
    assert labels.histograms is None


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("text", "must be an object; received text 'text'"),
        ({"label": [1, 2]}, "must be an object whose image_id is text"),
        ({"image_id": 7, "label": [1, 2]}, "whose image_id is text; received 7"),
        ({"image_id": "", "label": [1, 2]}, "must be an object whose image_id is text"),
        (_entry("a", 1, 2), "image_id 'a' is repeated"),
        ({"image_id": "x"}, "the label of 'x' must be a list of 2 or more numbers"),
        (_entry("x", 1), "must be a list of 2 or more numbers"),
        (_entry("x", 1, 2, 3), "has 3 bins, most have 2"),
        (_entry("x", 1, -1), "none negative"),
        (_entry("x", 1, float("nan")), "must contain finite numbers"),
        (_entry("x", 1, 10**400), "must contain finite numbers"),
        (
            {"image_id": "x", "label": [1, "2"]},
            "must contain finite numbers, none negative; received text '2'",
        ),
        ({"image_id": "x", "label": "1, 2"}, "a list of 2 or more numbers; received text '1, 2'"),
        ({"image_id": ["x"], "label": [1, 2]}, r'image_id is text; received a list \["x"\]'),
        (_entry("x", 0, 0), "is all zero: nobody rated it"),
    ],
)
def test_rejects_a_bad_entry_by_its_number(tmp_path: Path, bad: Any, message: str) -> None:
    """The message has the entry's place in the file and what is wrong with it."""
    path = _write(tmp_path, [_entry("a", 1, 2), _entry("b", 3, 4), bad])
    with pytest.raises(LabelError, match=f"has 1 bad entry: entry 3: .*{message}"):
        read_labels(path)


def test_lists_twenty_bad_entries_and_counts_the_rest(tmp_path: Path) -> None:
    """A file full of errors gives a message of bounded length."""
    path = _write(tmp_path, [_entry("a", 1, 2)] + [_entry(f"x{i}", 0, 0) for i in range(30)])
    with pytest.raises(LabelError, match=r"30 bad entries.*and 10 more$") as caught:
        read_labels(path)
    assert str(caught.value).count("all zero") == 20


@pytest.mark.parametrize("value", [[], {}, {"image_id": "a"}, "x", None])
def test_rejects_what_is_no_list_of_entries(tmp_path: Path, value: Any) -> None:
    """A label file is a list with at least one entry."""
    with pytest.raises(LabelError, match="a JSON list with at least one entry"):
        read_labels(_write(tmp_path, value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([{"image_id": "a", "label": [1, 2, 3]}, {"image_id": "b", "label": [1]}, 7], (("a", "b"), 3)),
        ([{"image_id": "a"}, {"image_id": "a"}, {"image_id": ""}, {"label": [1, 2]}], (("a",), 2)),
        ([{"image_id": 5}], ((), 0)),
        ({"image_id": "a"}, ((), 0)),
    ],
)
def test_outlines_a_file_with_bad_entries(
    tmp_path: Path, value: Any, expected: tuple[tuple[str, ...], int]
) -> None:
    """Names that are names, each once, and the number of bins most labels have."""
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    assert outline(path) == Outline(*expected)


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    """Counts are whole numbers in the file, shares have six decimals, and names are any text."""
    path = tmp_path / "labels.json"
    write_labels(path, ["a", 'b "c" \u5199'], [[1, 2], [0, 3]])
    assert path.read_text("utf-8").splitlines()[1] == '{"image_id": "a", "label": [1, 2]},'
    labels = read_labels(path)
    assert labels.image_ids == ("a", 'b "c" \u5199')
    assert labels.counts is not None
    assert labels.counts.tolist() == [[1, 2], [0, 3]]
    write_labels(path, ["a"], [[1 / 3, 2 / 3]])
    assert json.loads(path.read_text("utf-8")) == [_entry("a", 0.333333, 0.666667)]


def test_writes_names_only(tmp_path: Path) -> None:
    """Without labels the file names images, as it may."""
    write_labels(tmp_path / "labels.json", ["a", "b"], None)
    labels = read_labels(tmp_path / "labels.json")
    assert (labels.image_ids, labels.histograms, labels.counts) == (("a", "b"), None, None)


def test_rejects_an_empty_label_file(tmp_path: Path) -> None:
    """A file that could not be read back is not written."""
    with pytest.raises(LabelError, match="at least one image"):
        write_labels(tmp_path / "labels.json", [], None)
    assert list(tmp_path.iterdir()) == []


def test_says_how_to_make_missing_labels_of_ava(tmp_path: Path) -> None:
    """A missing file with the name of AVA's label files is answered with the command that makes it."""
    made = r"ava_labels_train\.json \(No such file or directory\)\. Make AVA's .*: nimakit data ava AVA"
    for read in (read_labels, outline):
        with pytest.raises(LabelError, match=made):
            read(tmp_path / "ava_labels_train.json")
    with pytest.raises(LabelError, match=r"No such file or directory\)$"):
        read_labels(tmp_path / "labels.json")
    (tmp_path / "ava_labels_test.json").touch()
    with pytest.raises(LabelError, match="must be JSON"):
        read_labels(tmp_path / "ava_labels_test.json")

"""nimakit.commands.data.merge: `nimakit data merge`."""

import json
from pathlib import Path

import pytest

from nimakit.labels.label_file import read_labels, write_labels
from terminal import Command


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Images a and b, and images b and c."""
    paths = [tmp_path / "one.json", tmp_path / "two.json"]
    write_labels(paths[0], ["a", "b"], [[1, 2], [3, 4]])
    write_labels(paths[1], ["b", "c"], [[10, 0], [0, 10]])
    return paths


def test_adds_the_ratings_of_an_image_in_both_where_told(nimakit: Command, files: list[Path]) -> None:
    """Counts are added up."""
    output = files[0].parent / "out.json"
    result = nimakit("data", "merge", *files, "--repeated", "add", "--output", output)
    assert result.code == 0, result.err
    merged = read_labels(output)
    assert merged.counts is not None
    assert dict(zip(merged.image_ids, merged.counts.tolist(), strict=True)) == {
        "a": [1, 2],
        "b": [13, 4],
        "c": [0, 10],
    }
    assert json.loads(result.out) == {"images": 3, "repeated": 1, "files": {str(output): 3}, "bad_rows": []}


def test_refuses_an_image_in_both_by_default(nimakit: Command, files: list[Path]) -> None:
    """It may be the same ratings twice."""
    output = files[0].parent / "out.json"
    result = nimakit("data", "merge", *files, "--output", output)
    assert (result.code, output.exists()) == (1, False)
    assert "'b' in several; add up their ratings with --repeated add" in result.err


@pytest.mark.parametrize("which", ["one", "same", "output"])
def test_refuses_files_that_are_not_several(nimakit: Command, files: list[Path], which: str) -> None:
    """One file, one file twice, or one that would be overwritten."""
    given = {"one": files[:1], "same": [files[0], files[0]], "output": files}[which]
    output = files[1] if which == "output" else files[0].parent / "out.json"
    before = files[1].read_bytes()
    result = nimakit("data", "merge", *given, "--repeated", "add", "--output", output)
    assert (result.code, files[1].read_bytes()) == (1, before)
    assert ("must not be an input" if which == "output" else "two or more different") in result.err

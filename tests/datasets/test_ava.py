"""nimakit.datasets.ava: AVA.txt and tags.txt, in their published form."""

from pathlib import Path

import numpy as np
import pytest

from nimakit.datasets.ava import read_ava, read_tags, resolve_tags
from nimakit.errors import LabelError, UsageError
from nimakit.io.tables import BadRows

LINES = (
    "1 953619 0 1 5 17 38 36 15 6 5 1 1 22 1396",
    "2 953958 10 7 15 26 26 21 10 8 1 2 15 21 1396",
    "3 954184 0 0 4 8 41 56 10 3 4 0 0 0 1396",
)
"""The form of AVA.txt: index, image, ten counts, two tags, challenge."""


def _ava(folder: Path, *lines: str) -> Path:
    path = folder / "AVA.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_reads_counts_and_tags(tmp_path: Path) -> None:
    """Each line is an image with ten counts and up to two tags."""
    images = read_ava(_ava(tmp_path, *LINES), BadRows())
    assert images.image_ids == ("953619", "953958", "954184")
    assert images.counts[1].tolist() == [10, 7, 15, 26, 26, 21, 10, 8, 1, 2]
    assert images.tags.tolist() == [[1, 22], [15, 21], [0, 0]]
    assert images.tagged([21, 22]).tolist() == [True, True, False]
    assert images.tagged([14]).tolist() == [False] * 3


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("4 1 0 1 5 17 38 36 15 6 5 1 1 22", "it has 14 values instead of 15"),
        ("4 1 0 1 5 17 38 36 15 6 5 -1 1 22 1396", "whole numbers"),
        ("4 1 0 1 5 17 38 36 15 6 5 0.5 1 22 1396", "whole numbers"),
        ("4 1 0 1 5 17 38 36 15 6 5 10000000000000000000 1 22 1396", "whole numbers"),
        ("4 953619 0 1 5 17 38 36 15 6 5 1 1 22 1396", "image 953619 is repeated"),
        ("4 1 0 0 0 0 0 0 0 0 0 0 1 22 1396", "image 1 has no rating"),
    ],
)
def test_refuses_a_bad_line_or_leaves_it_out(tmp_path: Path, line: str, problem: str) -> None:
    """The message has its number and what is wrong with it."""
    path = _ava(tmp_path, LINES[0], "", line, LINES[1])
    with pytest.raises(LabelError, match=f"AVA.txt, line 3: .*{problem}"):
        read_ava(path, BadRows())
    rows = BadRows(skip=True)
    images = read_ava(path, rows)
    assert images.image_ids == ("953619", "953958")
    np.testing.assert_array_equal(images.counts, read_ava(_ava(tmp_path, *LINES[:2]), BadRows()).counts)
    assert len(rows.problems) == 1


def test_refuses_a_file_without_a_good_line(tmp_path: Path) -> None:
    """An empty file is no data set."""
    with pytest.raises(LabelError, match="at least one good line"):
        read_ava(_ava(tmp_path, ""), BadRows())


def test_resolves_tags_by_name_and_number(tmp_path: Path) -> None:
    """Names are taken in any case, with their spaces; an unknown one is refused with a list of all."""
    path = tmp_path / "tags.txt"
    path.write_text("1 Abstract\n14 Interior\n20 Still Life\n", encoding="utf-8")
    tags = read_tags(path)
    assert resolve_tags(["interior", "1", "still LIFE"], tags) == [14, 1, 20]
    with pytest.raises(UsageError, match=r"1 Abstract, 14 Interior, 20 Still Life\. Received: indoor"):
        resolve_tags(["interior", "indoor"], tags)


def test_reads_tags_with_tabs(tmp_path: Path) -> None:
    """As well as spaces, several of them too."""
    path = tmp_path / "tags.txt"
    path.write_text("1\tAbstract\n14  Interior\n20 \tStill Life\n", encoding="utf-8")
    assert read_tags(path) == {1: "Abstract", 14: "Interior", 20: "Still Life"}


@pytest.mark.parametrize("line", ["Interior", "14", "x Interior"])
def test_refuses_tags_of_another_form(tmp_path: Path, line: str) -> None:
    """A line of tags.txt is a number and a name."""
    path = tmp_path / "tags.txt"
    path.write_text(f"1 Abstract\n{line}\n", encoding="utf-8")
    with pytest.raises(LabelError, match="line 2"):
        read_tags(path)

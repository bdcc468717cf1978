"""nimakit.commands.data.link: `nimakit data link`."""

import json
from pathlib import Path

import pytest

from nimakit.labels.label_file import write_labels
from samples import write_photo
from terminal import Command, Result


@pytest.fixture
def link(nimakit: Command, tmp_path: Path) -> Command:
    """Links images a, b (train) and c, d (test), rated 1, 5, 3 and 4 of 5, into the folder tree."""
    for name in "abcd":
        write_photo(tmp_path / f"{name}.jpg")
    write_labels(tmp_path / "train.json", ["a", "b"], [[9, 0, 0, 0, 0], [0, 0, 0, 0, 9]])
    write_labels(tmp_path / "test.json", ["c", "d"], [[0, 0, 9, 0, 0], [0, 0, 0, 9, 0]])

    def run(*arguments: object) -> Result:
        parts = ("--part", f"train={tmp_path / 'train.json'}", "--part", f"test={tmp_path / 'test.json'}")
        folders = ("--image-dir", tmp_path, "--output-dir", tmp_path / "tree")
        return nimakit("data", "link", *parts, *folders, *arguments)

    return run


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        ((), ["test/c.jpg", "test/d.jpg", "train/a.jpg", "train/b.jpg"]),
        (("--by-class",), ["test/3/c.jpg", "test/4/d.jpg", "train/1/a.jpg", "train/5/b.jpg"]),
        (("--by-class", "--bins", "0-4"), ["test/2/c.jpg", "test/3/d.jpg", "train/0/a.jpg", "train/4/b.jpg"]),
        (
            ("--cut", "4"),
            ["test/below_4/c.jpg", "test/from_4/d.jpg", "train/below_4/a.jpg", "train/from_4/b.jpg"],
        ),
    ],
)
def test_makes_a_folder_for_each_part_and_class(
    link: Command, tmp_path: Path, arguments: tuple[str, ...], files: list[str]
) -> None:
    """With links that show the photos."""
    result = link(*arguments)
    assert result.code == 0, result.err
    assert _files(tmp_path / "tree") == files
    for name in files:
        assert (tmp_path / "tree" / name).samefile(tmp_path / Path(name).name)
    summary = json.loads(result.out)
    assert (summary["images"], sum(summary["folders"].values()), summary["missing"]) == (4, 4, [])


def test_links_all_others_where_an_image_is_missing(link: Command, tmp_path: Path) -> None:
    """And exits with 2."""
    (tmp_path / "a.jpg").unlink()
    result = link("--how", "copy")
    assert (result.code, json.loads(result.out)["missing"]) == (2, ["a"])
    assert _files(tmp_path / "tree") == ["test/c.jpg", "test/d.jpg", "train/b.jpg"]


def test_links_all_others_where_one_cannot_be_linked(link: Command, tmp_path: Path) -> None:
    """A folder named as an image cannot be copied: it is listed with the reason, and the exit code is 2."""
    (tmp_path / "a.jpg").unlink()
    (tmp_path / "a.jpg").symlink_to(tmp_path / "gone.jpg")
    result = link("--how", "copy")
    assert (result.code, [*json.loads(result.out)["failed"]]) == (2, ["train/a.jpg"])
    assert "train/a.jpg could not be written" in result.err
    assert _files(tmp_path / "tree") == ["test/c.jpg", "test/d.jpg", "train/b.jpg"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--by-class", "--cut", "4"), "Received: both"),
        (("--part", "train=x.json"), "each name once"),
        (("--part", "x"), "--part must be NAME=LABELS"),
        (("--part", "../x=x.json"), "--part must be NAME=LABELS"),
        (("--by-class", "--bins", "0-9"), "with 5 bins"),
        (("--image-dir", "gone"), "gone"),
        (("--output-dir", "."), "a new or empty folder"),
    ],
)
def test_refuses_what_cannot_be_done_and_makes_nothing(
    link: Command, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    """A sentence, exit code 1, and no folder."""
    result = link(*arguments)
    assert (result.code, result.out) == (1, "")
    assert message in result.err
    assert not (tmp_path / "tree").exists()


def test_refuses_an_image_in_two_parts(link: Command, tmp_path: Path) -> None:
    """It would be trained and tested with."""
    write_labels(tmp_path / "test.json", ["c", "a"], None)
    assert "'a' first" in link().err

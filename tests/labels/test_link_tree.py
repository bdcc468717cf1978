"""nimakit.labels.link_tree: folders of links."""

from pathlib import Path

import pytest

from nimakit.errors import OutputError, UsageError
from nimakit.labels.link_tree import How, classes_by_bin, classes_by_cut, link_files, new_folder
from samples import write_photo


@pytest.mark.parametrize("how", ["symlink", "hardlink", "copy"])
def test_every_kind_of_link_shows_the_photo(
    tmp_path: Path, how: How, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from a relative path, and of a photo that is a link itself."""
    photo = write_photo(tmp_path / "my photo.png")
    (tmp_path / "link.png").symlink_to(photo)
    monkeypatch.chdir(tmp_path)
    with new_folder(Path("tree")) as folder:
        link_files(folder, {"train/a.png": Path("my photo.png"), "train/1/b.png": Path("link.png")}, how)
    for name in ("train/a.png", "train/1/b.png"):
        linked = tmp_path / "tree" / name
        assert linked.read_bytes() == photo.read_bytes()
        assert linked.is_symlink() == (how == "symlink")
        assert linked.samefile(photo) == (how != "copy")


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Neither itself nor what it was made in."""
    with pytest.raises(KeyError), new_folder(tmp_path / "tree") as folder:  # noqa: PT012 - the folder is filled
        (folder / "x").write_text("x")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A photo that went away cannot be copied."""
    with (
        pytest.raises(OutputError, match=r"a/b\.png could not be written"),
        new_folder(tmp_path / "tree") as folder,
    ):
        link_files(folder, {"a/b.png": tmp_path / "gone.png"}, "copy")
    assert list(tmp_path.iterdir()) == []


def test_links_that_can_be_made_are_made(tmp_path: Path) -> None:
    """Photos that went away or have too long a name are returned with the reason; all others are linked."""
    photo = write_photo(tmp_path / "b.png")
    long = f"{256 * 'c'}.png"
    with new_folder(tmp_path / "tree") as folder:
        failed = link_files(folder, {"a.png": tmp_path / "a.png", "b.png": photo, long: photo}, "copy")
    assert [*failed] == ["a.png", long]
    assert "File name too long" in failed[long]
    assert [path.name for path in (tmp_path / "tree").iterdir()] == ["b.png"]


@pytest.mark.parametrize("there", ["a file", "a full folder", "a link", "no folder around"])
def test_refuses_a_folder_that_is_not_new(tmp_path: Path, there: str) -> None:
    """Nothing that exists is touched; an empty folder will do."""
    folder = tmp_path / "tree"
    if there == "a file":
        folder.write_text("x")
    elif there == "a full folder":
        (folder / "x").mkdir(parents=True)
    elif there == "a link":
        folder.symlink_to(tmp_path)
    else:
        folder = tmp_path / "x" / "tree"
    with pytest.raises(UsageError, match="--output-dir"), new_folder(folder):
        pass


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    """As one that was made by hand before."""
    (tmp_path / "tree").mkdir()
    with new_folder(tmp_path / "tree") as folder:
        (folder / "x").write_text("x")
    assert (tmp_path / "tree" / "x").read_text() == "x"


def test_classes_by_cut_hold_the_cut_above() -> None:
    """Cuts may come in any order, and twice."""
    assert classes_by_cut([4.99, 5, 6], [5]) == ["below_5", "from_5", "from_5"]
    assert classes_by_cut([1, 3, 9], [6.5, 2, 2]) == ["below_2", "from_2_to_6.5", "from_6.5"]


def test_classes_by_bin_are_named_by_the_bin() -> None:
    """The nearest; a scale need not be even."""
    assert classes_by_bin([0, 10, 24, 60, 100], [0, 25, 50, 100]) == ["0", "0", "25", "50", "100"]
    assert classes_by_bin([10.0], None) == ["10"]

"""nimakit.files: image files of a folder."""

import os
from pathlib import Path

import pytest

from nimakit.errors import UsageError
from nimakit.files import SUFFIXES, find_images, image_id, match_images

not_as_root = pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything"
)


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_image_id_loses_the_last_suffix_alone() -> None:
    """Dots inside the name stay."""
    assert [image_id(name) for name in ("a.jpg", "a.b.jpg", "x/a.tar.png")] == ["a", "a.b", "a.tar"]


def test_finds_images_by_suffix_in_any_case_sorted(tmp_path: Path) -> None:
    """Every supported suffix counts, whatever its case; other files and hidden ones do not."""
    _touch(tmp_path, *(f"{i}{s.upper() if i % 2 else s}" for i, s in enumerate(SUFFIXES)))
    _touch(tmp_path, "notes.txt", ".hidden.jpg", "jpg")
    (tmp_path / "folder.jpg").mkdir()
    assert [path.stem for path in find_images(tmp_path)] == sorted(str(i) for i in range(len(SUFFIXES)))
    assert {".jpe", ".jfif"} < set(SUFFIXES)


def test_counts_what_a_scan_leaves_out(tmp_path: Path) -> None:
    """Files of other kinds by suffix, hidden images, linked folders by name, and sub-folders not entered."""
    _touch(tmp_path, "a.jpg", "b.HEIC", "c.heic", "d.cr2", "readme", "._a.jpg", ".DS_Store", "deep/e.jpg")
    (tmp_path / "linked").symlink_to(tmp_path / "deep")
    said: list[str] = []
    assert find_images(tmp_path, recursive=True, notify=said.append) == [
        tmp_path / "a.jpg",
        tmp_path / "deep" / "e.jpg",
    ]
    find_images(tmp_path, notify=said.append)
    find_images(tmp_path / "deep", notify=said.append)
    files = f"left out of {tmp_path}: 2 .heic, 1 .cr2, 1 without a suffix, 1 hidden"
    assert said == [f"{files}, 1 linked folder (linked)", f"{files}, 2 sub-folders"]


def test_a_folder_without_images_says_what_it_has(tmp_path: Path) -> None:
    """Nothing but files that cannot be read is no empty folder."""
    _touch(tmp_path, "a.heic", "b.heic")
    with pytest.raises(UsageError, match=r"with none \(left out: 2 \.heic\)\."):
        find_images(tmp_path)


def test_names_files_that_share_an_image_id(tmp_path: Path) -> None:
    """One of them is taken, and which is said; of images that nobody asked for nothing is."""
    _touch(tmp_path, "a.gif", "a.jpg", "b.jpg", "b.png", "c.jpg")
    said: list[str] = []
    match_images(["a", "c"], tmp_path, notify=said.append)
    match_images(["c"], tmp_path, notify=said.append)
    first, other = tmp_path / "a.jpg", tmp_path / "a.gif"
    assert said == [f"1 image_id that several files share; taken: {first}, not {other}"]


def test_looks_into_subfolders_only_when_asked(tmp_path: Path) -> None:
    """Sub-folders are walked with recursive=True, hidden ones never."""
    _touch(tmp_path, "b.jpg", "deep/down/a.jpg", ".trash/c.jpg")
    assert find_images(tmp_path) == [tmp_path / "b.jpg"]
    assert find_images(tmp_path, recursive=True) == [tmp_path / "b.jpg", tmp_path / "deep/down/a.jpg"]


def test_takes_a_named_file_whatever_its_suffix(tmp_path: Path) -> None:
    """A file that was named is meant."""
    _touch(tmp_path, "photo.raw")
    assert find_images(tmp_path / "photo.raw") == [tmp_path / "photo.raw"]


def test_lists_broken_links(tmp_path: Path) -> None:
    """A link to nothing is listed: it becomes an image with an error, not a missing line."""
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    assert find_images(tmp_path) == [tmp_path / "gone.jpg"]
    assert find_images(tmp_path / "gone.jpg") == [tmp_path / "gone.jpg"]


def test_rejects_a_missing_path(tmp_path: Path) -> None:
    """A path that does not exist is refused by name."""
    with pytest.raises(UsageError, match="nowhere"):
        find_images(tmp_path / "nowhere")


def test_rejects_a_folder_without_images(tmp_path: Path) -> None:
    """An empty folder is refused; the way out is named unless it was taken."""
    with pytest.raises(UsageError, match=r"with none\. Add --recursive"):
        find_images(tmp_path)
    with pytest.raises(UsageError, match=r"with none\.$"):
        find_images(tmp_path, recursive=True)


@not_as_root
def test_rejects_a_folder_without_read_permission(tmp_path: Path) -> None:
    """A folder that cannot be listed is refused, not taken for empty."""
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0)
    try:
        with pytest.raises(UsageError, match=r"The folder must be readable.*Permission denied"):
            find_images(folder)
    finally:
        folder.chmod(0o700)


def test_matches_image_ids_to_files(tmp_path: Path) -> None:
    """Each image_id gets its file, in the order asked for, or None."""
    _touch(tmp_path, "a.png", "b.c.webp")
    found = match_images(["b.c", "none", "a"], tmp_path)
    assert list(found.items()) == [("b.c", tmp_path / "b.c.webp"), ("none", None), ("a", tmp_path / "a.png")]


def test_prefers_the_first_suffix_where_several_files_match(tmp_path: Path) -> None:
    """Of a.gif, a.JPG and a.png the JPEG is taken."""
    _touch(tmp_path, "a.gif", "a.JPG", "a.png")
    assert match_images(["a"], tmp_path) == {"a": tmp_path / "a.JPG"}

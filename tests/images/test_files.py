"""nimakit.images.files: image files of a folder."""

import os
import re
from pathlib import Path

import pytest

from nimakit.errors import NoImagesError, UsageError
from nimakit.images.files import canonical, find_images, image_id, match_images, plain_id
from nimakit.images.formats import SUFFIXES

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


COMPOSED, DECOMPOSED = "Z\u00fcrich", "Zu\u0308rich"


def test_an_umlaut_has_one_spelling() -> None:
    """Whether a Mac (NFD) or another system (NFC) wrote it."""
    assert (
        image_id(f"{DECOMPOSED}.jpg")
        == plain_id(f"shoot/{DECOMPOSED}.jpg")
        == plain_id(DECOMPOSED)
        == COMPOSED
    )
    assert canonical(DECOMPOSED) == canonical(COMPOSED) == COMPOSED


def test_a_file_is_found_under_either_spelling(tmp_path: Path) -> None:
    """It is opened as the disk spells it; of two files that differ in that alone, which is taken is said."""
    _touch(tmp_path, f"{DECOMPOSED}.jpg")
    said: list[str] = []
    assert match_images([COMPOSED], tmp_path, notify=said.append) == {
        COMPOSED: tmp_path / f"{DECOMPOSED}.jpg"
    }
    assert said == []
    _touch(tmp_path, f"{COMPOSED}.jpg")
    assert len(find_images(tmp_path)) == 2
    match_images([COMPOSED], tmp_path, notify=said.append)
    assert len(said) == 1
    assert f"{DECOMPOSED}.jpg, not {tmp_path / COMPOSED}.jpg" in said[0]


@pytest.mark.parametrize(
    "name",
    ["4.42.48\u202fPM", "\u5199\u771f\u30001", "Sn\u00edmek\u00a013", "\U0001f468\u200d\U0001f469", " a "],
)
def test_spaces_joiners_and_emoji_are_parts_of_a_name(name: str) -> None:
    """No character that can be seen, or joins some, is taken off."""
    assert image_id(f"{name}.jpg") == plain_id(f"{name}.jpg") == name


def test_bytes_that_are_no_text_are_escaped(tmp_path: Path) -> None:
    """Names that differ in them stay different, and what is written down reads back as the same image."""
    paths = [
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf" + byte + b".jpg")) for byte in (b"\xe8", b"\xe9")
    ]
    names = [image_id(path) for path in paths]
    assert names == ["caf%E8", "caf%E9"]
    assert [plain_id(name) for name in names] == names
    assert canonical("\ud83d") == "%ED%A0%BD"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (r"C:\photos\shoot 1\strand.jpg", "strand"),
        (r"\\server\photos\strand.JPG", "strand"),
        (r"shoot 1\strand.v2.jpg", "strand.v2"),
        ("https://cdn.example.org/p/haus.jpg?w=800&h=600", "haus"),
        ("//cdn.example.org/p/haus.jpg?next=/a/b", "haus"),
        ("/p/haus.jpg?w=800", "haus"),
        ("https://cdn.example.org/p/see.JPG#1", "see"),
        ("https://cdn.example.org/p/my%20lake.jpg", "my lake"),
        ("https://example.org/lake.jpg;v=1", "lake"),
        ("https://example.org/a;b/lake.JPG;v=1?w=8", "lake"),
        ("https://example.org/show.php?w=8&file=a%2Fsee.jpg", "see"),
        ("s3://bucket/key/see.jpg", "see"),
        ("file:///C:/photos/my%20lake.jpg", "my lake"),
        ("/data/local-files/?d=photos%5Clake.jpg", "lake"),
        ("http://localhost:8080/data/local-files/?d=my%20photos/lake.jpg", "lake"),
        ("/data/upload/3/my%20lake.jpg", "my lake"),
        ("/data/upload/1/0a1b2c3d-my%20lake.jpg", "my lake"),
        ("http://localhost:8080/data/upload/1/0a1b2c3d-lake.jpg", "lake"),
        ("/data/upload/1/0a1b2c3-lake.jpg", "0a1b2c3-lake"),
        ("shoot/0a1b2c3d-lake.jpg", "0a1b2c3d-lake"),
        ("https://example.org/Zu%CC%88rich.jpg", COMPOSED),
        ("https://example.org/caf%E9.jpg", "caf%E9"),
        ("953619.0", "953619"),
        ("953619", "953619"),
        ("2026.0", "2026"),
        ("999.0", "999.0"),
        ("1.0", "1.0"),
        ("1", "1"),
        ("100% wool.jpg", "100% wool"),
        ("my%20lake.jpg", "my%20lake"),
        ("a#1.jpg", "a#1"),
        ("c++.jpg", "c++"),
        ("what?.jpg", "what?"),
        ("a.jpg?b.jpg", "a.jpg?b"),
        ("1.0.jpg", "1.0"),
        ("v1.0", "v1.0"),
        ("a.b", "a.b"),
    ],
)
def test_a_name_in_a_table_is_the_file_it_means(text: str, name: str) -> None:
    """Paths of any system, URLs and numbers; a file whose name only looks a little like these keeps it."""
    assert plain_id(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/",
        "https://example.org",
        "https://example.org/photos/123",
        "https://example.org/lake.mov",
        "/data/upload/1/0a1b2c3d-lake",
        "https://example.org/uc?id=7",
        "https://example.org/?a=x.jpg&b=y.jpg",
        "http://[x/a.jpg",
        "/data/local-files/",
        "9.53619E+05",
        "photos\\",
    ],
)
def test_a_name_that_can_be_no_file_is_refused(text: str) -> None:
    """With a sentence, instead of an image_id that no file has."""
    with pytest.raises(ValueError, match=f"received {re.escape(repr(text))}"):
        plain_id(text)


def test_finds_images_by_suffix_in_any_case_sorted(tmp_path: Path) -> None:
    """Every supported suffix counts, whatever its case; other files and hidden ones do not."""
    _touch(tmp_path, *(f"{i}{s.upper() if i % 2 else s}" for i, s in enumerate(SUFFIXES)))
    _touch(tmp_path, "notes.txt", ".hidden.jpg", "jpg")
    (tmp_path / "folder.jpg").mkdir()
    assert [path.stem for path in find_images(tmp_path)] == sorted(str(i) for i in range(len(SUFFIXES)))
    assert {".jpe", ".jfif"} < set(SUFFIXES)


def test_counts_what_a_scan_leaves_out(tmp_path: Path) -> None:
    """Files of other kinds by suffix, hidden images, linked folders by name, and sub-folders not entered."""
    _touch(tmp_path, "a.jpg", "b.MOV", "c.mov", "d.xmp", "readme", "._a.jpg", ".DS_Store", "deep/e.jpg")
    (tmp_path / "linked").symlink_to(tmp_path / "deep")
    said: list[str] = []
    assert find_images(tmp_path, recursive=True, notify=said.append) == [
        tmp_path / "a.jpg",
        tmp_path / "deep" / "e.jpg",
    ]
    find_images(tmp_path, notify=said.append)
    find_images(tmp_path / "deep", notify=said.append)
    files = f"left out of {tmp_path}: 2 .mov, 1 .xmp, 1 without a suffix, 1 hidden"
    assert said == [f"{files}, 1 linked folder (linked)", f"{files}, 2 sub-folders"]


def test_a_folder_without_images_says_what_it_has(tmp_path: Path) -> None:
    """Nothing but files that cannot be read is no empty folder."""
    _touch(tmp_path, "a.mov", "b.mov")
    with pytest.raises(UsageError, match=r"with none \(left out: 2 \.mov\)\."):
        find_images(tmp_path)


def test_a_raw_file_and_its_jpeg_are_one_picture(tmp_path: Path) -> None:
    """The JPEG is taken, and RAW files left out are counted; those in other folders are other pictures."""
    _touch(
        tmp_path, "IMG_1.CR2", "IMG_1.JPG", "IMG_2.heic", "IMG_2.MOV", "IMG_2.dng", "IMG_3.nef", "IMG_4.jpg"
    )
    _touch(tmp_path, "raw/IMG_4.arw", "raw/IMG_5.arw", "raw/IMG_5.dng")
    said: list[str] = []
    found = find_images(tmp_path, recursive=True, notify=said.append)
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        *("IMG_1.JPG", "IMG_2.heic", "IMG_3.nef", "IMG_4.jpg"),
        *("raw/IMG_4.arw", "raw/IMG_5.arw", "raw/IMG_5.dng"),
    ]
    assert said == [f"left out of {tmp_path}: 1 .mov, 2 RAW next to a picture of the same name"]
    assert find_images(tmp_path / "IMG_1.CR2") == [tmp_path / "IMG_1.CR2"]


def test_a_name_with_the_suffix_of_a_camera_is_its_picture() -> None:
    """In a table, RAW and JPEG have one image_id."""
    assert {plain_id(name) for name in ("IMG_1.CR2", "shoot/IMG_1.JPG", "IMG_1.heic", "IMG_1")} == {"IMG_1"}


def test_only_a_folder_with_sub_folders_may_have_its_images_there(tmp_path: Path) -> None:
    """Where there is none, nobody is advised to look into them."""
    with pytest.raises(UsageError) as caught:
        find_images(tmp_path)
    assert not isinstance(caught.value, NoImagesError)
    (tmp_path / "deep").mkdir()
    with pytest.raises(NoImagesError, match="1 sub-folder"):
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
    """An empty folder is refused; options are for the command line to name."""
    with pytest.raises(UsageError, match=r"with none\.$"):
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

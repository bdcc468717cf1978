"""nimakit.images.names: which names of a table mean the same file."""

from pathlib import Path

import pytest

from nimakit.images.names import ImageNames

TABLE = Path("r.csv")


@pytest.mark.parametrize(
    "names",
    [
        ("lake.jpg", r"C:\p\lake.jpg", "p/lake.jpg", "./lake.jpg"),
        ("https://x/lake.jpg?w=800", "https://x/lake.jpg?w=1200", "lake.jpg", "https://x/lake.jpg;v=1"),
        ("/data/upload/1/0a1b2c3d-lake.jpg", "lake.jpg"),
        ("/data/local-files/?d=p%5Clake.jpg", r"p\lake.jpg"),
    ],
)
def test_spellings_of_one_file_are_one_image(names: tuple[str, ...]) -> None:
    """With and without folder, query, and what Label Studio adds, in any order."""
    for spellings in (names, names[::-1]):
        images = ImageNames()
        assert [images.place(name) for name in spellings] == [0] * len(names)
        assert images.resolve(TABLE)[0] == ("lake",)


@pytest.mark.parametrize(
    "names",
    [
        ("lake.jpg", "lake.png"),
        ("lake.jpg", "lake"),
        ("a/lake.jpg", "b/lake.jpg"),
        ("lake.jpg", "a/lake.jpg", "b/lake.jpg"),
        ("https://x/lake.jpg", "https://y/lake.jpg"),
        ("/data/upload/1/0a1b2c3d-lake.jpg", "/data/upload/1/ffffffff-lake.jpg"),
    ],
)
def test_files_that_would_share_an_image_id_are_refused(names: tuple[str, ...]) -> None:
    """By another suffix, another folder or another upload; the ones before stay."""
    images = ImageNames()
    for name in names[:-1]:
        images.place(name)
    with pytest.raises(ValueError, match="would both be the image_id 'lake'"):
        images.place(names[-1])
    assert images.resolve(TABLE)[0] == ("lake",)


@pytest.mark.parametrize(
    ("names", "image_ids", "places"),
    [
        (("953619.0", "953619", "1.0"), ("953619", "1"), [0, 0, 1]),
        (("1.0", "2.0", "2.5"), ("1.0", "2.0", "2.5"), [0, 1, 2]),
        (("1.0.jpg", "1"), ("1.0", "1"), [0, 1]),
        (("1.0", "a"), ("1.0", "a"), [0, 1]),
        (("953619.0", "1.0", "a"), ("953619", "1.0", "a"), [0, 1, 2]),
        (("1", "2"), ("1", "2"), [0, 1]),
        (("1.0.jpg", "2.0.jpg"), ("1.0", "2.0"), [0, 1]),
    ],
)
def test_long_numbers_and_columns_of_whole_numbers_lose_their_decimals(
    names: tuple[str, ...], image_ids: tuple[str, ...], places: list[int]
) -> None:
    """Elsewhere 1.0 is a name, as of 1.0.jpg."""
    images, said = ImageNames(), list[str]()
    found = [images.place(name) for name in names]
    settled, place_of = images.resolve(TABLE, said.append)
    assert settled == image_ids
    assert place_of[found].tolist() == places
    assert len(said) == ("953619" in image_ids)


def test_names_that_may_mean_other_images_are_told() -> None:
    """A file may be called my%20lake, and nobody knows; caf%E9 is how we write a name that is no text."""
    images, said = ImageNames(), list[str]()
    for name in ("my%20lake.jpg", "caf%E9", "100% wool"):
        images.place(name)
    for digit in range(7):
        images.place(f"/data/upload/1/0a1b2c3{digit}-{digit}.jpg")
    image_ids, _ = images.resolve(TABLE, said.append)
    assert image_ids[:3] == ("my%20lake", "caf%E9", "100% wool")
    listed = ", ".join(f"'/data/upload/1/0a1b2c3{digit}-{digit}.jpg'" for digit in range(5))
    assert said == [
        "r.csv has names with escapes as in URLs, which are kept as they are: 'my%20lake'",
        f"r.csv has names of Label Studio, whose prefix before the file name is removed: {listed} and 2 more",
    ]

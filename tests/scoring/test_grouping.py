"""nimakit.scoring.grouping: images that are not independent."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nimakit.errors import LabelError
from nimakit.images.photo import MAX_PIXELS
from nimakit.scoring.grouping import GroupBy, group_images

pytestmark = pytest.mark.usefixtures("empty_cache")


def _sizes(names: list[str], paths: list[Path], *by: GroupBy, **options: object) -> list[int]:
    found = group_images(names, paths, by=by, max_pixels=MAX_PIXELS, **options)  # type: ignore[arg-type]
    assert found is not None
    return found.tolist()  # type: ignore[no-any-return]


def test_copies_of_a_picture_are_a_group(tmp_path: Path) -> None:
    """Also resized ones; an image that cannot be read is a group of its own."""
    first, other, copy, bad = (tmp_path / f"{name}.jpg" for name in "abcd")
    for seed, path in enumerate((first, other)):
        coarse = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), np.uint8)
        Image.fromarray(coarse).resize((96, 96)).save(path)
    with Image.open(first) as image:
        image.resize((64, 64)).save(copy)
    bad.write_bytes(b"broken")
    a, b, c, d = _sizes(["a", "b", "c", "d"], [first, other, copy, bad], "duplicates")
    assert a == c
    assert len({a, b, d}) == 3


def test_groups_that_share_an_image_are_one(tmp_path: Path) -> None:
    """From folders and from a column of a table; an image that it does not name is only grouped by folder."""
    paths = [Path("x/a.jpg"), Path("x/b.jpg"), Path("y/c.jpg"), Path("z/d.jpg")]
    table = tmp_path / "index.csv"
    table.write_text("image_id,photographer\nb,Ann\nc,Ann\n", encoding="utf-8")
    a, b, c, d = _sizes(list("abcd"), paths, "folder", table=table, column="photographer")
    assert a == b == c != d
    assert len(np.unique(_sizes(list("abcd"), paths, "folder"))) == 3
    assert group_images(list("abcd"), paths, max_pixels=MAX_PIXELS) is None


def test_refuses_a_table_of_other_images(tmp_path: Path) -> None:
    """Nothing would be grouped."""
    table = tmp_path / "groups.csv"
    table.write_text("image_id,group\nq,1\n", encoding="utf-8")
    with pytest.raises(LabelError, match="must name the images"):
        group_images(["a"], [Path("a.jpg")], table=table, max_pixels=MAX_PIXELS)

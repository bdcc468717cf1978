"""nimakit.culling.verdicts: marks as ratings and comparisons."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from made_frames import blurred, frame, picture
from nimakit.culling.marks import Mark
from nimakit.culling.verdicts import (
    comparisons,
    culled_groups,
    learned_weights,
    shared_names,
    stars_of,
    time_groups,
)
from nimakit.errors import LabelError
from nimakit.models.engine import Model
from nimakit.stats.bradley_terry import Comparisons
from samples import write_photo

A = Path("a.jpg")
STARS_FOR = {"pick": 5.0, "Reject": 1.0, "green": 4.0}


@pytest.mark.parametrize(
    ("mark", "stars"),
    [
        (Mark(path=A, rating=2, pick=True, label="Green"), 2),
        (Mark(path=A, pick=True, label="Green"), 5),
        (Mark(path=A, rating=-1), 1),
        (Mark(path=A, rating=-1, pick=True), 5),
        (Mark(path=A, pick=False, label="Green"), 1),
        (Mark(path=A, label="Green"), 4),
        (Mark(path=A, label="Blue"), None),
        (Mark(path=A), None),
    ],
)
def test_stars_count_first_then_flags_then_labels(mark: Mark, stars: float | None) -> None:
    """Without stars a mark has only the rating that is asked for."""
    assert stars_of(mark, STARS_FOR) == stars
    if not mark.rating or mark.rating < 0:
        assert stars_of(mark, {}) is None


def test_a_pick_beats_the_rejects_of_its_group() -> None:
    """Not those of another group; undecided pictures and other picks are compared with nothing."""
    marks = [
        Mark(path=Path(name), pick={"p": True, "r": False, "u": None}[name[0]])
        for name in ("p1", "r1", "u1", "p2", "r2")
    ]
    pairs = [
        (str(better), str(worse), weight) for better, worse, weight in comparisons([marks[:3], marks[3:]])
    ]
    assert pairs == [("p1", "r1", 1), ("p2", "r2", 1)]


def test_weights_are_learned_from_pairs_of_one_group() -> None:
    """A pair of different subjects, a photograph that is missing and a tie of the same two teach nothing."""
    sharp, soft, other = (
        frame(1, name="a"),
        frame(blurred(picture(1)), name="b", likeness_to=1),
        frame(2, name="c"),
    )
    ids, said = ("a", "b", "c", "d"), list[str]()  # d is missing
    chosen = [(1, 0)] * 20
    left, right = np.array([*chosen, (0, 2), (0, 3)], np.intp).T
    given = Comparisons(ids, left, right, np.ones(22))
    weights = learned_weights(given, [sharp, soft, other], notify=said.append)
    assert weights.sharpness < 0
    assert said == ["weights learned from 1 of 3 compared pairs, which are frames of one group"]
    apart = Comparisons(ids, np.array([0]), np.array([2]), np.ones(1))
    with pytest.raises(LabelError, match=r"one burst, both of which can be read\. Received: 1 comparisons"):
        learned_weights(apart, [sharp, soft, other])


def test_groups_end_at_pauses_and_folders(tmp_path: Path) -> None:
    """In the order of time; pictures without a time are one group for each folder."""
    marks = []
    for name, second in (("b/2", 70), ("b/1", 20), ("b/3", 140), ("c/1", 75), ("c/x", None), ("c/y", None)):
        path = tmp_path / f"{name}.jpg"
        path.parent.mkdir(exist_ok=True)
        exif = Image.Exif()
        if second is not None:
            exif.get_ifd(0x8769)[0x9003] = f"2026:01:02 03:{second // 60:02}:{second % 60:02}"
        marks.append(Mark(path=write_photo(path, exif=exif), pick=True))
    groups = [
        [mark.path.relative_to(tmp_path).with_suffix("").as_posix() for mark in group]
        for group in time_groups(marks, 60)
    ]
    assert groups == [["b/1", "b/2"], ["b/3"], ["c/x", "c/y"], ["c/1"]]


def test_groups_as_in_culling(tmp_path: Path, tiny: Model) -> None:
    """Alike pictures are a group; one that cannot be read is a failure, and the others are compared."""
    marks = [
        Mark(path=write_photo(tmp_path / f"{name}.jpg", level, (40, 30)), pick=pick)
        for name, level, pick in (("a", 200, True), ("b", 200, False), ("c", 200, False))
    ]
    (tmp_path / "c.jpg").write_bytes(b"no picture")
    groups, failures = culled_groups(marks, tiny)
    assert [[mark.path.stem for mark in group] for group in groups] == [["a", "b"]]
    assert [path.stem for path, _ in failures] == ["c"]


def test_names_that_two_pictures_share() -> None:
    """In other folders, or with another suffix."""
    assert shared_names([Path("a/1.jpg"), Path("b/1.tif"), Path("b/2.jpg")]) == {"1"}

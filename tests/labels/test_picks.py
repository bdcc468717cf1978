"""nimakit.labels.picks: picks and rejects as comparisons."""

from pathlib import Path

import numpy as np
import pytest

from nimakit.errors import LabelError
from nimakit.io.tables import BadRows
from nimakit.labels.picks import PICK, REJECT, compared, read_picks


def _table(path: Path, *rows: str, header: str = "image_id,pick,group") -> Path:
    path.write_text("\n".join([header, *rows]), encoding="utf-8")
    return path


def test_a_pick_beats_the_rejects_of_its_group(tmp_path: Path) -> None:
    """Not those of others, and nothing is said of images that are neither; the last mark counts."""
    path = _table(
        tmp_path / "p.csv", "a.jpg,reject,1", "a.jpg,Pick,1", "b,-1,1", "c,rejected,1", "d,0,1", "e,,1",
        *("f,1,2", "g,1.0,2", "h,-1,2", "i,pick,3", "j,0,3"),
    )  # fmt: skip
    said: list[str] = []
    found = read_picks(path, rows=BadRows(), notify=said.append)
    names = [(found.image_ids[a], found.image_ids[b]) for a, b in zip(found.left, found.right, strict=True)]
    assert names == [("a", "b"), ("a", "c"), ("f", "h"), ("g", "h")]
    assert found.share.tolist() == [1, 1, 1, 1]
    assert found.weight is not None
    assert found.weight.tolist() == [1, 1, 1, 1]
    assert said == [f"{path}: 1 of 3 groups have only picks or only rejects, and teach nothing"]
    assert found.user is None


def test_each_photograph_counts_once(tmp_path: Path) -> None:
    """The weights of a group add up to its independent differences."""
    marks = [f"p{n},1" for n in range(3)] + [f"r{n},-1" for n in range(4)]
    found = read_picks(_table(tmp_path / "p.csv", *marks, header="image_id,pick"), rows=BadRows())
    assert found.weight is not None
    assert len(found) == 12
    assert found.weight.sum() == pytest.approx(6)
    assert (found.left < 3).all()
    assert (found.right >= 3).all()


def test_a_large_group_compares_neighbours() -> None:
    """Not all 100 picks with all 900 rejects; and each photograph is in a comparison."""
    marks = [PICK if place % 10 == 5 else REJECT for place in range(1000)]
    pairs, weight = compared(marks)
    assert len(pairs) < 10 * len(marks)
    assert {place for pair in pairs for place in pair} == set(range(1000))
    assert max(abs(pick - reject) for pick, reject in pairs) < 100
    assert weight * len(pairs) == pytest.approx(999)
    assert compared([PICK, *[REJECT] * 99]) == ([(0, place) for place in range(1, 100)], 1)


def test_people_have_groups_of_their_own(tmp_path: Path) -> None:
    """One person's pick does not beat another's reject."""
    rows = ("a,1,ann", "b,-1,bob", "b,-1,ann", "a,1,bob")
    found = read_picks(_table(tmp_path / "p.csv", *rows, header="image_id,pick,user_id"), rows=BadRows())
    assert found.user_ids == ("ann", "bob")
    assert np.asarray(found.user).tolist() == [0, 1]
    assert len(found.by("bob")) == 1
    assert len(found.by("eve")) == 0


def test_bad_rows_are_refused_or_counted(tmp_path: Path) -> None:
    """With their lines; a table without the column, or where nothing is decided, is refused."""
    path = _table(tmp_path / "p.csv", "a,1,", "b,maybe,", "c,-1,")
    with pytest.raises(LabelError, match="line 3: pick must be 1, -1, 0, pick or reject; received 'maybe'"):
        read_picks(path, rows=BadRows())
    rows = BadRows(skip=True)
    assert len(read_picks(path, rows=rows)) == 1
    assert len(rows.problems) == 1
    with pytest.raises(LabelError, match="received None"):
        read_picks(_table(tmp_path / "q.csv", "a", header="image_id"), rows=BadRows())
    with pytest.raises(LabelError, match="with none in 2 groups"):
        read_picks(_table(tmp_path / "q.csv", "a,1,x", "b,-1,y"), rows=BadRows())

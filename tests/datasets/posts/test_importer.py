"""nimakit.datasets.posts.importer: rated posts."""

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from nimakit.datasets.posts.downloads import Failure
from nimakit.datasets.posts.image_store import Stored
from nimakit.datasets.posts.importer import (
    Post,
    Verdict,
    count,
    judge,
    read_posts,
    settle,
    to_ratings,
    wanted,
    write_manifest,
)
from nimakit.errors import LabelError
from nimakit.io.tables import BadRows

BINS = np.arange(11.0)


def _read(
    path: Path, text: str, columns: Mapping[str, str] | None = None, *, skip: bool = False
) -> tuple[list[Post], list[str]]:
    path.write_text(text, "utf-8")
    said: list[str] = []
    return read_posts(path, BadRows(skip=skip), columns=columns or {}, notify=said.append), said


def _post(text: str, *urls: str, user: str = "ann", post_id: str = "1", time: float = math.nan) -> Post:
    return Post(post_id=post_id, text=text, urls=urls, user_id=user, time=time)


def _stored(url: str, name: str) -> Stored:
    return Stored(url, f"{name}.jpg", name * 8, 100, "2026-01-01T00:00:00+00:00")


# --- reading -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tweet_", "post_"])
def test_finds_columns_by_their_usual_names(tmp_path: Path, name: str) -> None:
    """Whatever else the table has, in whatever order."""
    text = {"tweet_": "tweet_text", "post_": "text"}[name]
    posts, said = _read(
        tmp_path / "p.csv",
        f'likes,image_url,{name}id,author,{text},time\n3,http://a/1.jpg,7,ann,"8/10, ""yes""",2021-01-02\n',
    )
    assert posts == [
        _post('8/10, "yes"', "http://a/1.jpg", post_id="7", time=1_609_545_600.0),
    ]
    assert said == []


def test_columns_can_be_named(tmp_path: Path) -> None:
    """Named ones win over usual names."""
    posts, _ = _read(
        tmp_path / "p.csv",
        "text,words,url,who,when,no\nx,8/10,http://a/1.jpg,bob,60,9\n",
        {"text": "words", "image": "url", "user": "who", "time": "when", "id": "no"},
    )
    assert posts == [_post("8/10", "http://a/1.jpg", user="bob", post_id="9", time=60)]


def test_reads_json_lines(tmp_path: Path) -> None:
    """A post may lack what others have."""
    lines = [
        {"text": "8/10", "image_url": "http://a/1.jpg http://a/2.jpg", "id": 5},
        {"text": "9/10", "id": 6},
    ]
    posts, said = _read(tmp_path / "p.jsonl", "\n".join(map(json.dumps, lines)))
    assert [post.urls for post in posts] == [("http://a/1.jpg", "http://a/2.jpg"), ()]
    assert [post.post_id for post in posts] == ["5", "6"]
    assert said == ["there is no column of raters: all ratings count as one person's, p"]


def test_times_are_in_the_ids_of_x(tmp_path: Path) -> None:
    """Where no column has them, and every id is of that kind."""
    head = "tweet_id,text,image_url,user\n"
    row = "1364758339079479296,8/10,http://a/1.jpg,ann\n"
    [post], said = _read(tmp_path / "p.csv", head + row)
    assert post.time == pytest.approx(1_614_218_718.677)  # 2021-02-25 02:05:18.677 UTC
    assert said == ["times of the posts are read from their ids, which are ids of X"]
    for other in ("17", "9999999999999999999", "x"):
        posts, said = _read(tmp_path / "p.csv", head + row + row.replace("1364758339079479296", other))
        assert [math.isnan(post.time) for post in posts] == [True, True]
        assert said == []


def test_a_post_without_id_goes_by_its_line(tmp_path: Path) -> None:
    """So that each can be found again."""
    posts, _ = _read(tmp_path / "p.csv", "text,image_url\n8/10,http://a/1.jpg\n9/10,http://a/2.jpg\n")
    assert [post.post_id for post in posts] == ["line 2", "line 3"]


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("words,image_url\na,b\n", {}, "needs a column text or tweet_text or full_text. Received"),
        ("text,picture\na,b\n", {}, "name yours with --image-column"),
        ("text,image_url\na,b\n", {"time": "when"}, "needs a column when"),
        ("text,image_url\n", {}, "at least one good row"),
        ("text,image_url,time\na,b,soon\n", {}, "line 2: the time must be ISO 8601"),
        ("text,image_url\na\n", {}, "line 2: it has 1 values, the header 2"),
    ],
)
def test_refuses_what_is_no_table_of_posts(
    tmp_path: Path, text: str, columns: dict[str, str], message: str
) -> None:
    """Columns that are missing and rows that are wrong are named."""
    with pytest.raises(LabelError, match=message):
        _read(tmp_path / "p.csv", text, columns)


def test_bad_rows_can_be_left_out(tmp_path: Path) -> None:
    """Half a character, which no file can hold, is a bad row as well."""
    good, bad = '{"text": "8/10", "image_url": "http://a/1.jpg"}', '{"text": "\\ud800", "image_url": "b"}'
    with pytest.raises(LabelError, match="line 2: it contains half a character"):
        _read(tmp_path / "p.jsonl", f"{good}\n{bad}\n")
    posts, _ = _read(tmp_path / "p.jsonl", f"{good}\n{bad}\n?\n", skip=True)
    assert len(posts) == 1


# --- judging -------------------------------------------------------------------------------------------


def test_every_post_has_a_verdict() -> None:
    """Rated, not rated, in doubt, without a picture; and one a picture where there are several."""
    posts = [
        _post("8/10", "a", "b"),
        _post("nice", "c"),
        _post("8/10 or 9/10", "d"),
        _post("8/10"),
        _post("nothing"),
    ]
    verdicts = judge(posts, BINS, "clip")
    assert [(v.url, v.status, v.rating) for v in verdicts] == [
        ("a", "imported", 8),
        ("b", "imported", 8),
        ("c", "unrated", None),
        ("d", "ambiguous", None),
        ("", "no_picture", 8),
        ("", "unrated", None),
    ]
    assert verdicts[3].reason == "several ratings: 8/10, 9/10"


def test_ratings_outside_the_scale_are_clipped_or_dropped() -> None:
    """As told; and the manifest says so."""
    posts = [_post("11/10", "a"), _post("0/10", "b"), _post("1/10", "c")]
    clipped = judge(posts, BINS[1:], "clip")
    assert [(v.status, v.rating) for v in clipped] == [("imported", 10), ("imported", 1), ("imported", 1)]
    assert [v.reason for v in clipped] == [
        "11 is not from 1 to 10: counted as 10",
        "0 is not from 1 to 10: counted as 1",
        "",
    ]
    dropped = judge(posts, BINS[1:], "drop")
    assert [v.status for v in dropped] == ["out_of_range", "out_of_range", "imported"]
    assert dropped[0].reason == "11 is not from 1 to 10"


def _settled() -> list[Verdict]:
    posts = [
        _post("8/10", "a", "b", post_id="1", time=60),
        _post("9/10", "a", post_id="2", time=30, user="bob"),
        _post("8.5/10", "c", post_id="3", time=90),
        _post("no", "d", post_id="4"),
    ]
    verdicts = judge(posts, BINS, "clip")
    assert wanted(verdicts) == ["a", "b", "c"]
    settle(verdicts, {"a": _stored("a", "A"), "b": Failure("b", "HTTP 404"), "c": _stored("c", "C")})
    return verdicts


def test_counts_posts_not_pictures() -> None:
    """A post one of whose pictures could not be had is a failed one; each post counts once."""
    assert count(_settled()) == {
        "imported": 2,
        "unrated": 1,
        "ambiguous": 0,
        "out_of_range": 0,
        "no_picture": 0,
        "failed": 1,
    }


def test_gives_single_ratings_of_the_pictures_that_are_there() -> None:
    """Two posts under one picture are two ratings of it."""
    ratings = to_ratings(_settled())
    assert (ratings.image_ids, ratings.user_ids) == (("A", "C"), ("ann", "bob"))
    assert ratings.image.tolist() == [0, 0, 1]
    assert ratings.user.tolist() == [0, 1, 0]
    assert ratings.rating.tolist() == [8, 9, 8.5]
    assert ratings.time.tolist() == [60, 30, 90]
    assert len(to_ratings([])) == 0


def test_the_manifest_has_a_line_a_picture(tmp_path: Path) -> None:
    """With URL, hash, rating and time of what came, the reason of what did not, and the bad rows."""
    rows = BadRows(skip=True)
    rows.add(Path("p.csv"), 9, "it is odd")
    write_manifest(tmp_path / "m.csv", _settled(), rows)
    with (tmp_path / "m.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["post_id"], line["status"], line["reason"]) for line in lines] == [
        ("1", "imported", ""),
        ("1", "failed", "HTTP 404"),
        ("2", "imported", ""),
        ("3", "imported", ""),
        ("4", "unrated", "no rating out of 10 in the text"),
        ("", "bad_row", "p.csv, line 9: it is odd"),
    ]
    assert lines[3] == {
        "post_id": "3",
        "status": "imported",
        "reason": "",
        "rating": "8.5",
        "time": "1970-01-01T00:01:30+00:00",
        "user_id": "ann",
        "image_id": "C",
        "image_url": "c",
        "sha256": "CCCCCCCC",
    }

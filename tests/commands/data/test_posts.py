"""nimakit.commands.data.posts: `nimakit data posts`."""

import csv
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nimakit.io.tables import BadRows
from nimakit.labels.label_file import read_labels
from nimakit.labels.ratings import read_ratings
from picture_server import Exchange, PictureServer, picture, picture_server
from terminal import Command, Result

REAL = Path(__file__).parents[4] / "shared" / "data" / "room_rater" / "posts.csv"
POSTS = """\
tweet_id,tweet_text,image_url
1364758339079479296,Depth. 8/10,http://img.example/media/a.jpg
1364755341175480323,Art. 8.5/10 @name,http://img.example/media/b.jpg
1364730053234290690,Happy Birthday.,http://img.example/media/c.jpg
1364700539817058311,Way beyond: 11/10,http://img.example/media/d.jpg
1364663402828607489,The room is 1/10 but the tee 10/10,http://img.example/media/e.jpg
1364654442553896962,Once more. 7/10,http://img.example/media/a.jpg
1364641441922818048,Words alone 3/10,
"""
QUICK = ("--backoff", 0.01, "--timeout", 5)


@pytest.fixture
def server() -> Iterator[PictureServer]:
    """A server of the test's own."""
    with picture_server() as server:
        yield server


@pytest.fixture
def posts(nimakit: Command, server: PictureServer, tmp_path: Path) -> Command:
    """Runs `nimakit data posts` on seven posts whose pictures the server has."""
    (tmp_path / "in.csv").write_text(POSTS, "utf-8")
    given = (tmp_path / "in.csv", "--output-dir", tmp_path / "out", "--images-from", server.base, *QUICK)
    return lambda *arguments: nimakit("data", "posts", *given, *arguments)


def _summary(result: Result) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(result.out)
    return summary


def _manifest(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_accounts_for_every_post(posts: Command, tmp_path: Path) -> None:
    """Each is imported, or listed with a reason; stdout has the figures as JSON."""
    result = posts()
    assert result.code == 0
    summary = _summary(result)
    out = tmp_path / "out"
    assert summary == {
        "imported": 4,
        "unrated": 1,
        "ambiguous": 1,
        "out_of_range": 0,
        "no_picture": 1,
        "failed": 0,
        "downloaded": 3,
        "bins": list(range(11)),
        "rating_of_score": "score - 1",
        "files": {str(out / "manifest.csv"): 7, str(out / "ratings.csv"): 3, str(out / "labels.json"): 3},
        "bad_rows": [],
    }
    lines = _manifest(out)
    assert [line["status"] for line in lines] == [
        *("imported", "imported", "unrated", "imported", "ambiguous", "imported", "no_picture")
    ]
    assert all(line["reason"] for line in lines if line["status"] != "imported")
    for line in lines:
        if line["status"] == "imported":
            path = line["image_url"].removeprefix("http://img.example")
            assert (out / "images" / f"{line['image_id']}.jpg").read_bytes() == picture(path)
    assert [line["rating"] for line in lines] == ["8", "8.5", "", "10", "", "7", "3"]


def test_labels_and_ratings_say_the_same(posts: Command, tmp_path: Path) -> None:
    """Of a picture that a person rated twice the later rating counts; halves are shared by two bins."""
    posts()
    out = tmp_path / "out"
    ids = {Path(line["image_url"]).stem: line["image_id"] for line in _manifest(out)}
    ratings = read_ratings(out / "ratings.csv", time_column="time", rows=BadRows())
    assert [ratings.image_ids[place] for place in ratings.image] == [ids[name] for name in "abd"]
    assert ratings.rating.tolist() == [8, 8.5, 10]
    labels = read_labels(out / "labels.json")
    assert labels.histograms is not None
    means = dict(zip(labels.image_ids, (labels.histograms @ range(11)).tolist(), strict=True))
    assert means == pytest.approx({ids["a"]: 8, ids["b"]: 8.5, ids["d"]: 10})


def test_a_second_run_fetches_nothing(posts: Command, server: PictureServer, tmp_path: Path) -> None:
    """And writes the same files."""
    posts()
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    server.requests.clear()
    result = posts()
    assert (result.code, _summary(result)["downloaded"]) == (0, 0)
    assert not server.requests
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_a_failed_picture_is_listed_and_tried_again(
    posts: Command, server: PictureServer, tmp_path: Path
) -> None:
    """The exit code is 2; the next run asks for the missing one alone."""
    server.scripts["/media/b.jpg"] = lambda x: x.answer(404)
    result = posts()
    assert result.code == 2
    assert "post 1364755341175480323, http://img.example/media/b.jpg: HTTP 404 Not Found" in result.err
    assert (_summary(result)["imported"], _summary(result)["failed"]) == (3, 1)
    assert [line["status"] for line in _manifest(tmp_path / "out")][1] == "failed"
    server.scripts.clear()
    server.requests.clear()
    assert posts().code == 0
    assert server.requests == {"/media/b.jpg": 1}


def test_what_strangers_wrote_does_not_steer_the_terminal(
    posts: Command, server: PictureServer, tmp_path: Path
) -> None:
    """Neither a post nor a server sends escape sequences."""
    (tmp_path / "in.csv").write_text("id,text,image_url\n\x1b[2J,8/10,http://a/1.jpg\n", "utf-8")
    server.scripts["/1.jpg"] = lambda x: x.answer(200, b"?", Content_Type="text/\x1b[31mred")
    result = posts()
    assert result.code == 2
    assert "post \\x1b[2J, http://a/1.jpg: The file must be an image" in result.err
    assert "\x1b" not in result.err


def test_a_run_without_any_picture_keeps_what_was_there(
    posts: Command, server: PictureServer, tmp_path: Path
) -> None:
    """No label file is made of nothing."""
    server.scripts = {f"/media/{name}.jpg": lambda x: x.answer(404) for name in "abd"}
    result = posts()
    assert result.code == 2
    assert list(_summary(result)["files"]) == [str(tmp_path / "out" / "manifest.csv")]
    assert not (tmp_path / "out" / "labels.json").exists()


def test_ratings_outside_the_scale_are_dropped_when_told(posts: Command, tmp_path: Path) -> None:
    """An 11/10 then is no rating; with --bins 1-10 labels have ten bins, and 0/10 is outside."""
    summary = _summary(posts("--outside", "drop", "--bins", "1-10"))
    assert (summary["imported"], summary["out_of_range"]) == (3, 1)
    assert summary["rating_of_score"] == "score"
    labels = json.loads((tmp_path / "out" / "labels.json").read_text("utf-8"))
    assert {len(entry["label"]) for entry in labels} == {10}


def test_takes_pictures_from_a_folder(posts: Command, server: PictureServer, tmp_path: Path) -> None:
    """Under the paths of their URLs; no server is asked."""
    (tmp_path / "copies").mkdir()
    for name in "ab":
        (tmp_path / "copies" / f"{name}.jpg").write_bytes(picture(name))
    result = posts("--images-from", tmp_path / "copies")
    assert (result.code, _summary(result)["imported"]) == (2, 3)
    assert "copies/media/d.jpg cannot be read" in result.err
    assert not server.requests


def test_a_private_address_needs_to_be_named(nimakit: Command, server: PictureServer, tmp_path: Path) -> None:
    """A post cannot make this machine ask another one of the same house."""
    (tmp_path / "in.csv").write_text(f"text,image_url\n8/10,{server.base}/a.jpg\n", "utf-8")
    result = nimakit("data", "posts", tmp_path / "in.csv", "--output-dir", tmp_path / "out", *QUICK)
    assert result.code == 2
    assert "the address of 127.0.0.1 is not public" in result.err
    assert not server.requests


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        (
            "text,image_url\nHello,http://a/1.jpg\n",
            [],
            "At least one post must have a rating out of 10",
        ),
        ("words,image_url\n8/10,http://a/1.jpg\n", [], "name yours with --text-column"),
        ("", [], "A table of posts must have"),
        ("text,image_url\n8/10\n", [], "line 2: it has 1 values"),
        (POSTS, ["--bins", "0,0.5,1.5"], "The last bin must be a whole number, as in 8/10. Received: 1.5"),
        (POSTS, ["--images-from", "nowhere"], "or a folder. Received: nowhere"),
        (POSTS, ["--account", "a b"], "in.csv exists"),
    ],
)
def test_ends_with_1_on_a_usage_error(
    nimakit: Command, tmp_path: Path, text: str, arguments: list[str], message: str
) -> None:
    """Nothing is on stdout, and stderr says what is wrong."""
    (tmp_path / "in.csv").write_text(text, "utf-8")
    if "--account" in arguments:
        arguments = [*arguments, "--images-from", "nowhere"]
    result = nimakit("data", "posts", tmp_path / "in.csv", "--output-dir", tmp_path / "out", *arguments)
    assert (result.code, result.out) == (1, "")
    assert message in result.err
    assert "Traceback" not in result.err


def test_never_writes_over_its_input(nimakit: Command, tmp_path: Path) -> None:
    """A table that is called like an output stays."""
    (tmp_path / "manifest.csv").write_text(POSTS, "utf-8")
    result = nimakit("data", "posts", tmp_path / "manifest.csv", "--output-dir", tmp_path)
    assert result.code == 1
    assert "An output file must not be an input" in result.err
    assert (tmp_path / "manifest.csv").read_text("utf-8") == POSTS


def test_bad_rows_are_listed_in_the_manifest(posts: Command, tmp_path: Path) -> None:
    """So that they are accounted for, too."""
    (tmp_path / "in.csv").write_text(f"{POSTS}1,2\n", "utf-8")
    assert posts().code == 1
    summary = _summary(posts("--skip-bad"))
    assert len(summary["bad_rows"]) == 1
    assert _manifest(tmp_path / "out")[-1]["reason"] == summary["bad_rows"][0]


def test_an_account_is_pulled_once(
    nimakit: Command, server: PictureServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--account makes POSTS where it is missing; after that it is read, and no API is needed."""
    made: list[tuple[str, Path]] = []

    def pull_posts(account: str, path: Path, *, notify: object) -> int:
        made.append((account, path))
        line = {
            "post_id": "5",
            "text": "8/10",
            "image_url": "http://img.example/a.jpg http://img.example/b.jpg",
        }
        path.write_text(json.dumps(line), "utf-8")
        return 1

    monkeypatch.setattr("nimakit.datasets.posts.x_api.pull_posts", pull_posts)
    path = tmp_path / "pulled.jsonl"
    given = (path, "--account", "RateMyRoom", "--output-dir", tmp_path / "out", "--images-from", server.base)
    result = nimakit("data", "posts", *given)
    assert "1 posts of RateMyRoom are in" in result.err
    assert (_summary(result)["imported"], _summary(result)["downloaded"]) == (1, 2)
    assert _summary(nimakit("data", "posts", *given))["downloaded"] == 0
    assert made == [("RateMyRoom", path)]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 130)])
@pytest.mark.slow
def test_a_killed_run_loses_nothing(
    nimakit: Command, server: PictureServer, tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    """What was there when it was killed is not asked for again; the rest comes with the next run."""
    names = [f"/{number}.jpg" for number in range(30)]
    rows = "".join(f"{number % 10}/10,http://img.example{name}\n" for number, name in enumerate(names))
    (tmp_path / "in.csv").write_text(f"text,image_url\n{rows}", "utf-8")
    released = threading.Event()

    def hold(exchange: Exchange) -> None:
        released.wait(20)
        exchange.picture()

    server.scripts = dict.fromkeys(names[12:], hold)
    out = tmp_path / "out"
    arguments = ["data", "posts", str(tmp_path / "in.csv"), "--output-dir", str(out)]
    arguments += ["--images-from", server.base]
    log = out / "downloads.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "nimakit", *arguments, "--concurrency", "4"], stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not (log.exists() and log.read_bytes().count(b"\n") == 12):
            time.sleep(0.05)
    finally:
        process.send_signal(sent)
        _, said = process.communicate(timeout=20)
    assert process.returncode == code
    assert b"Traceback" not in said
    assert [path.name for path in (out / "images").iterdir() if path.name.startswith(".")] == []
    assert not (out / "labels.json").exists()
    released.set()
    result = nimakit(*arguments)
    assert (result.code, _summary(result)["imported"]) == (0, 30)
    assert [server.requests[name] for name in names[:12]] == [1] * 12
    assert all(1 <= server.requests[name] <= 2 for name in names[12:])
    assert len(list((out / "images").iterdir())) == 30


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_file(), reason="../shared/data/room_rater is not here")
def test_imports_real_posts(nimakit: Command, server: PictureServer, tmp_path: Path) -> None:
    """1,058 posts: 909 rated, of which some fail; a second run asks for those alone."""
    gone = ("/media/EvCYedsVkAAhmnb.jpg", "/media/EvCVv9bUYAE-SQx.jpg")
    server.scripts = {path: lambda x: x.answer(404) for path in gone}
    given = ("data", "posts", REAL, "--output-dir", tmp_path, "--images-from", server.base, *QUICK)
    result = nimakit(*given)
    assert result.code == 2
    figures = _summary(result)
    assert {name: figures[name] for name in ("imported", "unrated", "ambiguous", "failed", "downloaded")} == {
        "imported": 907,
        "unrated": 143,
        "ambiguous": 6,
        "failed": 2,
        "downloaded": 895,
    }
    assert Counter(line["status"] for line in _manifest(tmp_path)).total() == 1058
    server.requests.clear()
    assert _summary(nimakit(*given))["downloaded"] == 0
    assert server.requests == dict.fromkeys(gone, 1)


def test_draws_a_report(posts: Command, tmp_path: Path) -> None:
    """On the ratings that count, beside the label file of the same."""
    result = posts("--report", tmp_path / "report.html")
    assert (result.code, _summary(result)["files"][str(tmp_path / "report.html")]) == (0, 3)
    assert "Ratings: in.csv" in (tmp_path / "report.html").read_text("utf-8")

"""The commands of `nimakit rate`, except serving."""

import errno
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from nimakit.labels.label_file import read_labels
from nimakit.web.accounts.raters import local_rater
from nimakit.web.collections.setup import add_collection, open_collections
from nimakit.web.db.database import Database, sqlite_url
from nimakit.web.db.tables import RATING, Collection, Event, Image, Rater, now
from nimakit.web.pictures.inventory import synchronise
from nimakit.web.rating.store import NewEvent, store_events
from nimakit.web.settings import read_settings
from samples import write_photo
from terminal import Command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with three photographs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    (tmp_path / "photos").mkdir()
    for number in range(3):
        write_photo(tmp_path / "photos" / f"{number}.jpg", 80 * number)
    return tmp_path


@pytest.fixture
def database(folder: Path) -> Iterator[Database]:
    """A database with ratings of the first two photographs: 4 and 7."""
    settings = read_settings(folders=(folder / "photos",), data_dir=folder / "ratings", environment={})
    open_collections(settings, {})
    database = Database(sqlite_url(folder / "ratings" / "ratings.db"))
    with database.read() as session:
        collection = session.scalars(select(Collection)).one()
    synchronise(database, collection)
    with database.write() as session:
        rater = local_rater(session)
        images = session.scalars(select(Image).order_by(Image.path)).all()
        at = now()
        acts = [
            NewEvent(
                client_id=f"a{image.id}",
                collection_id=collection.id,
                rater_id=rater.id,
                kind=RATING,
                image_id=image.id,
                value=value,
                occurred_at=at,
                received_at=at,
                source="app",
            )
            for image, value in zip(images[:2], (4.0, 7.0), strict=True)
        ]
        store_events(session, acts)
    yield database
    database.close()


def test_an_export_is_what_training_takes(nimakit: Command, database: Database, folder: Path) -> None:
    """Labels and ratings are written, and a summary is printed."""
    result = nimakit("rate", "export", "--labels", "labels.json", "--ratings", "ratings.jsonl")
    assert result.code == 0
    assert json.loads(result.out) == {"collection": "photos", "files": {"labels.json": 2, "ratings.jsonl": 2}}
    labels = read_labels(folder / "labels.json")
    assert labels.image_ids == ("0", "1")
    assert labels.counts is not None
    assert labels.counts[0].tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert len((folder / "ratings.jsonl").read_text().splitlines()) == 2


def test_an_import_brings_ratings_in(nimakit: Command, database: Database, folder: Path) -> None:
    """The summary lists what was imported; importing again changes nothing."""
    (folder / "r.csv").write_text("image_id,user_id,rating\n2,u1,9\n")
    for known in (0, 1):
        result = nimakit("rate", "import", "--ratings", "r.csv")
        assert result.code == 0
        summary = json.loads(result.out)
        assert (summary["taken"], summary["known"]) == (1, known)
    nimakit("rate", "export", "--labels", "labels.json")
    assert len(read_labels(folder / "labels.json").image_ids) == 3


def test_bad_rows_are_refused_or_left_out(nimakit: Command, database: Database, folder: Path) -> None:
    """The exit code is 1, or 2 if the others are imported."""
    (folder / "r.csv").write_text("image_id,user_id,rating\n2,u1,99\n1,u1,5\n")
    refused = nimakit("rate", "import", "--ratings", "r.csv")
    assert (refused.code, "line 2" in refused.err) == (1, True)
    left_out = nimakit("rate", "import", "--ratings", "r.csv", "--skip-bad")
    assert (left_out.code, "line 2" in left_out.err) == (2, True)
    assert json.loads(left_out.out)["taken"] == 1


def test_a_list_selects_the_pictures(nimakit: Command, database: Database, folder: Path) -> None:
    """A list with unknown names is refused without --skip-bad."""
    (folder / "images.json").write_text('[{"path": "1.jpg"}, {"path": "9.jpg"}]')
    refused = nimakit("rate", "import", "--list", "images.json")
    assert (refused.code, "9.jpg" in refused.err) == (1, True)
    with database.read() as session:
        assert set(session.scalars(select(Image.state))) == {"ok"}
    assert nimakit("rate", "import", "--list", "images.json", "--skip-bad").code == 2
    with database.read() as session:
        assert sorted(session.scalars(select(Image.state))) == ["left out", "left out", "ok"]


def test_an_export_of_several_files_is_whole_or_none(
    nimakit: Command, database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk fills up before the last file is complete, none appears and older files stay."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    (folder / "l.json").write_text("older")
    monkeypatch.setattr("nimakit.web.transfer.files.write_rows", full)
    result = nimakit("rate", "export", "--ratings", "r.csv", "--labels", "l.json")
    assert (result.code, result.out) == (1, "")
    assert "r.csv could not be written: No space left" in result.err
    assert (folder / "l.json").read_text() == "older"
    assert [path for path in folder.iterdir() if path.name == "r.csv" or "partial" in path.name] == []


def test_pairs_are_exported_and_imported(nimakit: Command, database: Database, folder: Path) -> None:
    """Comparisons are exported and imported again."""
    with database.write() as session:
        add_collection(session, folder / "photos", name="Pairs", experiment="preference")
    (folder / "p.csv").write_text("left,right,chosen\n0,1,1\n1,2,-1\n")
    assert nimakit("rate", "import", "--pairs", "p.csv", "--collection", "pairs").code == 0
    result = nimakit("rate", "export", "--pairs", "out.csv", "--collection", "pairs")
    assert json.loads(result.out)["files"] == {"out.csv": 2}
    assert [line.split(",")[:3] for line in (folder / "out.csv").read_text().splitlines()[1:]] == [
        ["0", "1", "1"],
        ["1", "2", "-1"],
    ]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("export",), "--labels, --ratings, --pairs"),
        (("export", "--labels", "labels.csv"), ".json"),
        (("export", "--labels", "nowhere/labels.json"), "folder"),
        (("export", "--pairs", "pairs.csv", "--collection", "nothing"), "photos"),
        (("export", "--labels", "l.json", "--data-dir", "nowhere"), "nowhere"),
        (("export", "--labels", "l.json", "--database", "mysql://x/y"), "postgresql"),
        (("import",), "exactly one of"),
        (("import", "--ratings", "a.csv", "--pairs", "b.csv"), "one of"),
        (("import", "--ratings", "nothing.csv"), "nothing.csv"),
    ],
)
def test_refuses_invalid_arguments(
    nimakit: Command, database: Database, arguments: tuple[str, ...], reason: str
) -> None:
    """The message has the rule, and no file is written."""
    result = nimakit("rate", *arguments)
    assert (result.code, result.out) == (1, "")
    assert reason in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "--images"),
        (("--images", "nowhere"), "nowhere"),
        (("--images", "photos", "--scale", "1-99"), "at most 10"),
        (("--images", "photos", "--scale", "good"), "LOW-HIGH"),
        (("--images", "photos", "--port", "70000"), "65535"),
        (("--images", "photos", "--experiment", "guess"), "guess"),
        (("--images", "photos", "--url", "rate.example.org"), "--url"),
        (("--images", "photos", "--data-dir", "photos/0.jpg"), "--data-dir"),
    ],
)
def test_refuses_to_start(nimakit: Command, folder: Path, arguments: tuple[str, ...], reason: str) -> None:
    """It refuses before listening."""
    result = nimakit("rate", *arguments)
    assert (result.code, result.out) == (1, "")
    assert reason in result.err


def test_refuses_a_shared_app_without_a_password(nimakit: Command, folder: Path) -> None:
    """The message says how to set one."""
    result = nimakit("rate", "--images", "photos", "--host", "192.0.2.1")
    assert result.code == 1
    assert "NIMAKIT_RATE_PASSWORD" in result.err


def test_a_raters_data_is_erased_only_when_confirmed(nimakit: Command, database: Database) -> None:
    """Without --yes it is only said what that would change."""
    with database.read() as session:
        code = session.scalars(select(Rater.code)).one()
    asked = json.loads(nimakit("rate", "erase", code).out)
    assert (asked["erased"], asked["losses"][0]["answers"]) == (False, 2)
    done = json.loads(nimakit("rate", "erase", code, "--yes").out)
    assert done == asked | {"erased": True}
    with database.read() as session:
        assert session.scalars(select(Event)).all() == []
    refused = nimakit("rate", "erase", "r0")
    assert (refused.code, "Received: r0" in refused.err) == (1, True)

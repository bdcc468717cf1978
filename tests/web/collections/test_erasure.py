"""One rater's data, erased for good."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import event, func, select

from nimakit.errors import StorageError, UsageError
from nimakit.web.collections import erasure, lifecycle
from nimakit.web.db.tables import (
    Base,
    EndedSession,
    Erasure,
    PlatformId,
    Rater,
    Taste,
)
from web.conftest import MakeStudy
from web.study import Study, Visitor, on_both


def sums(study: Study) -> list[tuple[int, float, float]]:
    """Count, total and squares of each picture."""
    return [(image.count, image.total, image.squares) for image in study.images]


def erase(study: Study, code: str) -> erasure.Effect:
    """Erase a rater's data."""
    return erasure.erase(study.database, study.services.settings, code)


def rows_of(study: Study, key: int) -> int:
    """Number of rows, in any table, that name a rater."""
    with study.database.read() as session:
        tables = [table for table in Base.metadata.sorted_tables if "rater_id" in table.columns]
        return sum(
            session.scalar(select(func.count()).select_from(table).where(table.c.rater_id == key)) or 0
            for table in tables
        )


@on_both
def test_nothing_of_a_rater_is_left(study: Study) -> None:
    """Ratings, earlier ones, taste, sessions and account; the pictures are as if they had never rated."""
    images, ann, ben = study.images, study.rater("Ann"), study.rater("Ben")
    ben.rate(images[0].id, 4)
    before = sums(study)
    for value in (2, 9):
        ann.rate(images[0].id, value)
    ann.rate(images[1].id, 5)
    rater, code = ann.rater, ann.code
    file = study.services.settings.users_dir / study.collection.slug / f"{code}.taste"
    file.parent.mkdir(parents=True)
    file.touch()
    taste = Taste(
        rater_id=rater.id, collection_id=study.collection.id, method="head", ratings=1, event_id=1,
        weights=b"", slope=0.0, constant=0.0,
    )  # fmt: skip
    study.change(lambda session: session.add_all([taste, EndedSession(name=f"{rater.id}.1.x")]))
    effect = erase(study, code)
    assert (effect.answers, effect.events, effect.tastes) == (2, 3, (str(file),))
    assert sums(study) == before
    assert rows_of(study, rater.id) == 0
    assert not file.exists()
    assert ann.get("/me").status_code == 401
    with study.database.read() as session:
        assert session.scalars(select(Rater).where(Rater.code == code)).all() == []
        assert session.scalars(select(EndedSession)).all() == []
        assert session.scalars(select(Erasure.answers)).all() == [2]
    assert [rating.value for rating in study.ratings] == [4]


@on_both
def test_the_shares_of_their_comparisons_are_taken_back(make_study: MakeStudy) -> None:
    """Won and tied ones."""
    study = make_study(experiment="preference", choices="2")
    ann, ben = study.rater("Ann"), study.rater("Ben")
    shown = [image.id for image in study.images[:2]]

    def compare(visitor: Visitor, trial: str, kind: str, image: int | None) -> None:
        answer = visitor.send({"kind": kind, "image": image, "trial": trial, "shown": shown})
        assert len(answer.json["accepted"]) == 1, answer.text  # type: ignore[index]

    compare(ben, "b1", "choice", shown[0])
    before = sums(study)
    compare(ann, "a1", "choice", shown[1])
    compare(ann, "a2", "tie", None)
    assert sums(study) != before
    erase(study, ann.code)
    assert sums(study) == before


def test_what_changes_is_said_before(study: Study) -> None:
    """Pictures that fall below the wanted number, models, and copies of the database."""
    images, ann, ben = study.images, study.rater("Ann"), study.rater("Ben")
    for visitor in (ann, ben):
        visitor.rate(images[0].id, 4)
    ann.rate(images[1].id, 4)
    study.set(wanted=2)
    settings = study.services.settings
    model = settings.models_dir / study.collection.slug / "model.onnx"
    model.parent.mkdir(parents=True)
    model.touch()
    copy = settings.data_dir / "ratings-old.db"
    copy.touch()
    admin = study.visitor()
    page = admin.get(admin.address(f"people/{ann.rater.id}/erase")).text
    with study.database.read() as session:
        effect = erasure.effect_of(session, ann.rater, settings)
    assert (effect.answers, effect.below) == (2, 1)
    assert effect.models == (str(model),)
    assert effect.backups == (str(copy),)
    for text in ("2 current answers", str(model), str(copy), "cannot be undone"):
        assert text in page
    assert len(study.events) == 3


def test_other_accounts_of_the_same_person_are_named(study: Study) -> None:
    """Of all collections: those with the same id on the same platform."""
    people = [study.rater() for _ in range(4)]
    copy = study.change(lambda session: lifecycle.duplicate(session, study.collection).id)
    ids = [
        ("prolific", "5f0a", 1),
        ("prolific", "5f0a", copy),
        ("mturk", "5f0a", 1),
        ("prolific", "77c", copy),
    ]
    rows = []
    for person, (platform, name, key) in zip(people, ids, strict=True):
        identity = {"platform": platform, "participant": name, "study": "", "session": ""}
        rows.append(PlatformId(rater_id=person.rater.id, collection_id=key, **identity))
    study.change(lambda session: session.add_all(rows))
    same, admin = people[1].code, study.visitor()
    address = admin.address(f"people/{people[0].rater.id}/erase")
    page = admin.get(address).text
    assert [person.code in page for person in people] == [True, True, False, False]
    assert "5f0a" not in page
    admin.post(address, {})
    assert f"also rated as {same}. Erase" in admin.get(admin.address("people")).text


def test_the_page_erases(study: Study) -> None:
    """The button leads back to People, which names the rater no more."""
    ann, admin = study.rater("Ann Miller"), study.visitor()
    ann.rate(study.images[0].id, 4)
    assert "Ann Miller" in admin.get(admin.address("people")).text
    answer = admin.post(admin.address(f"people/{ann.rater.id}/erase"), {})
    assert answer.location == admin.address("people")
    page = admin.get(answer.location).text
    assert "Ann Miller is erased" in page
    assert "Erase…" not in page


def test_only_the_admin_erases(study: Study) -> None:
    """Raters are refused, even for their own data."""
    ann = study.rater()
    assert ann.post(ann.address(f"people/{ann.rater.id}/erase"), {}).status_code == 403


def test_the_account_of_the_admin_stays(study: Study) -> None:
    """Only their ratings go; earlier sessions and links end."""
    admin = study.visitor()
    admin.rate(study.images[0].id, 4)
    before = admin.rater
    assert erase(study, admin.code).is_account_kept
    assert study.events == []
    assert admin.rater.id == before.id
    assert admin.rater.link_version == before.link_version + 1


def test_an_unknown_rater_is_refused(study: Study) -> None:
    """The message says how raters are named."""
    with pytest.raises(UsageError, match="People"):
        erase(study, "Ann")


def test_the_link_of_an_erased_rater_is_nobodys(study: Study) -> None:
    """Even if SQLite gives their id to the next rater."""
    ann = study.rater("Ann")
    token, key = study.services.links.personal(ann.rater), ann.rater.id
    erase(study, ann.code)
    ben = study.rater("Ben")
    assert ben.rater.id == key
    assert ann.get("/me").status_code == 401
    assert study.visitor().get(f"/go-on/{token}").status_code == 404


def test_a_failure_erases_nothing(study: Study) -> None:
    """The sums and the ratings belong together."""
    ann = study.rater()
    ann.rate(study.images[0].id, 4)
    before = sums(study)

    def fail(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("DELETE FROM event"):
            raise sqlite3.DatabaseError("the disk is full")

    event.listen(study.database.engine, "before_cursor_execute", fail)
    with pytest.raises(StorageError):
        erase(study, ann.code)
    event.remove(study.database.engine, "before_cursor_execute", fail)
    assert sums(study) == before
    assert len(study.ratings) == 1


def test_their_name_is_not_in_the_file_any_more(study: Study) -> None:
    """Neither in free pages nor in SQLite's log."""
    name = "Wilhelmina Unmistakable"
    ann = study.rater(name)
    erase(study, ann.code)
    folder = Path(str(study.database)).parent
    files = [file for file in folder.iterdir() if file.name.startswith("ratings.db")]
    assert files
    assert not any(name.encode() in file.read_bytes() for file in files)


@on_both
def test_statistics_notice_an_erasure(study: Study) -> None:
    """SQLite gives the numbers of erased events again, so that count and last number may be as before."""
    images, ann, ben = study.images, study.rater("Ann"), study.rater("Ben")
    ben.rate(images[0].id, 4)
    ann.rate(images[1].id, 9)

    def mean() -> float:
        with study.database.read() as session:
            found, is_current = study.services.statistics.of(session, study.collection, patience=20)
        assert found is not None
        assert found.ratings is not None
        assert is_current
        return float(found.ratings.summary.pictures.means.mean())

    assert mean() == 6.5
    erase(study, ann.code)
    ben.rate(images[1].id, 2)
    assert mean() == 3.0

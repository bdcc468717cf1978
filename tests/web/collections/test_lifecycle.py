"""Collections that are duplicated, archived, deleted, brought back and removed."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from nimakit.web.collections.lifecycle import UNDONE_WITHIN
from nimakit.web.collections.setup import add_collection, open_collections
from nimakit.web.db.tables import (
    LEFT_OUT,
    Base,
    Collection,
    Gold,
    Image,
    Invitation,
    Membership,
    now,
)
from nimakit.web.db.tables import Study as StudySettings
from web.study import Study, Visitor, on_both


def collections(study: Study) -> list[Collection]:
    """All collections, in order."""
    with study.database.read() as session:
        return list(session.scalars(select(Collection).order_by(Collection.id)))


def rated(study: Study) -> Visitor:
    """A rater, who has rated the first picture."""
    rater = study.rater()
    rater.rate(study.images[0].id, 7)
    return rater


def make_due(study: Study) -> None:
    """Let the time to bring deleted collections back pass."""
    past = now() - UNDONE_WITHIN - timedelta(minutes=1)
    study.change(lambda session: session.execute(update(Collection).values(deleted_at=past)))


@on_both
def test_a_duplicate_has_the_settings_and_no_ratings(study: Study) -> None:
    """It has the same pictures, the list of those to rate included, and nobody may join it yet."""
    rated(study)
    left_out = study.images[1].path
    study.change(
        lambda session: session.execute(update(Image).where(Image.path == left_out).values(state=LEFT_OUT))
    )
    study.set(wanted=3, question="How calm?", sign_up=True)
    settings = StudySettings(collection_id=study.collection.id, quota=5, thanks="Thank you.")
    study.change(lambda session: session.add(settings))
    gold = {"image_id": study.images[0].id, "collection_id": study.collection.id, "low": 3, "high": 5}
    study.change(lambda session: session.add(Gold(**gold, worse_id=study.images[2].id)))
    admin = study.visitor()
    answer = admin.post(admin.address("duplicate"), {})
    first, copy = collections(study)
    assert answer.location == f"/c/{copy.slug}/settings"
    assert (copy.wanted, copy.question, copy.folder) == (3, "How calm?", first.folder)
    assert (copy.name, copy.sign_up) == (f"{first.name} (copy)", False)
    study.services.background.once()
    with study.database.read() as session:
        images = session.scalars(select(Image).where(Image.collection_id == copy.id)).all()
        copied = session.get_one(StudySettings, copy.id)
        [known] = session.scalars(select(Gold).where(Gold.collection_id == copy.id))
        members = session.scalars(select(Membership).where(Membership.collection_id == copy.id)).all()
    assert len(images) == 6
    assert {image.count for image in images} == {0}
    assert [image.path for image in images if image.state == LEFT_OUT] == [left_out]
    paths = {image.id: image.path for image in images}
    assert (paths[known.image_id], known.low, known.high) == (study.images[0].path, 3, 5)
    assert (paths[known.worse_id or 0], known.source) == ("photo 1.jpg", "owner")
    study.change(lambda session: setattr(session.get_one(StudySettings, copy.id), "is_on", True))
    page = admin.get(f"/c/{copy.slug}/study/settings").text
    assert "The study has no link yet." in page
    assert members == []
    assert (copied.quota, copied.thanks, copied.invitation_id) == (5, "Thank you.", None)


@on_both
def test_an_archived_collection_is_hidden_from_raters_until_it_is_used_again(study: Study) -> None:
    """Its pages answer 404 to them, the admin still opens it, and nothing is lost."""
    rater, admin = rated(study), study.visitor()
    assert admin.post(admin.address("archive"), {}).status_code == 302
    assert rater.get(rater.address("score")).status_code == 404
    assert rater.send({"kind": "rating", "image": study.images[1].id, "value": 3}).status_code == 404
    assert "Archived" not in rater.get("/collections").text
    assert admin.get(admin.address("ratings")).status_code == 200
    assert "Archived" in admin.get("/collections").text
    assert admin.post(admin.address("use-again"), {}).status_code == 302
    assert rater.get(rater.address("score")).status_code == 200
    assert [rating.value for rating in study.ratings] == [7]


def test_nobody_joins_an_archived_collection(study: Study) -> None:
    """Neither by an invitation nor from the welcome page."""
    study.set(sign_up=True, archived_at=now())
    visitor = study.visitor()
    invitation = Invitation(collection_id=study.collection.id)
    study.change(lambda session: session.add(invitation))
    token = study.services.links.invitation(invitation)
    assert visitor.get(f"/join/{token}").status_code == 410
    assert visitor.post(f"/sign-up/{study.collection.slug}", {"name": "Ann"}).status_code == 404


def test_the_folder_of_an_archived_collection_is_not_scanned(study: Study) -> None:
    """It costs nothing while it is not used."""
    study.set(archived_at=now())
    (study.folder / "new.jpg").write_bytes((study.folder / "photo 0.jpg").read_bytes())
    study.services.background.once()
    assert len(study.images) == 6


@on_both
def test_a_deleted_collection_can_be_brought_back(study: Study) -> None:
    """Meanwhile nobody sees it, and its folder gets no second collection."""
    rater, admin = rated(study), study.visitor()
    question = admin.get(admin.address("delete")).text
    assert "1 recorded answer from 1 rater" in question
    kept = re.findall(r'/transfer/([\w.-]+)"', question)
    assert kept == ["package.zip", "all-ratings.csv"]
    assert [admin.get(admin.address(f"transfer/{name}")).status_code for name in kept] == [200, 200]
    address = admin.address("delete")
    assert admin.post(address, {}).location == "/collections#deleted"
    assert admin.get(address).status_code == 404
    assert rater.get(rater.address("score")).status_code == 404
    study.services.background.once()
    open_collections(study.services.settings, {})
    assert len(collections(study)) == 1
    assert "Undo" in admin.get("/collections").text
    admin.post(f"/collections/{study.collection.id}/bring-back", {})
    assert rater.get(rater.address("score")).status_code == 200
    assert [rating.value for rating in study.ratings] == [7]


@on_both
def test_a_deleted_collection_is_removed_after_a_week(study: Study, tmp_path: Path) -> None:
    """Its rows, raters, tastes and models go; the photographs stay."""
    rated(study)
    settings = study.services.settings
    for folder in (settings.users_dir, settings.models_dir):
        (folder / study.collection.slug).mkdir(parents=True)
        (folder / study.collection.slug / "file").touch()
    (tmp_path / "other").mkdir()
    study.change(lambda session: add_collection(session, tmp_path / "other", name="Other"))
    study.change(
        lambda session: session.execute(
            update(Collection).where(Collection.name == "Other").values(archived_at=now())
        )
    )
    slug = study.collection.slug
    study.visitor().post(f"/c/{slug}/delete", {})
    study.services.background.once()
    assert len(study.images) == 6
    other = collections(study)[1].id
    past = now() - UNDONE_WITHIN - timedelta(minutes=1)
    study.change(
        lambda session: session.execute(
            update(Collection).where(Collection.id != other).values(deleted_at=past)
        )
    )
    study.services.background.once()
    assert left_rows(study) == {"collection": 2, "image": 1, "rater": 1, "alembic_version": 1}
    assert [image.path for image in study.images] == [""]
    assert [one.name for one in collections(study)] == ["", "Other"]
    assert not (settings.users_dir / slug).exists()
    assert not (settings.models_dir / slug).exists()
    assert (Path(settings.folders[0]) / "photo 0.jpg").exists()
    gone = collections(study)[0].id
    assert study.visitor().post(f"/collections/{gone}/bring-back", {}).status_code == 400
    open_collections(settings, {})
    assert [one.slug for one in collections(study)][2] == slug


def left_rows(study: Study) -> dict[str, int]:
    """Tables that have rows, and how many."""
    found = {"alembic_version": 1}
    with study.database.read() as session:
        for table in Base.metadata.sorted_tables:
            count = session.scalar(select(func.count()).select_from(table)) or 0
            found |= {table.name: count} if count else {}
    return found


def test_a_model_that_a_duplicate_uses_is_kept(study: Study) -> None:
    """Removing the collection that learned it deletes only the other files."""
    folder = study.services.settings.models_dir / study.collection.slug
    folder.mkdir(parents=True)
    for name in ("used.onnx", "model.onnx"):
        (folder / name).touch()
    admin = study.visitor()
    admin.post(admin.address("duplicate"), {})
    copy = collections(study)[1].id

    def use(session: Session) -> None:
        session.get_one(Collection, copy).model = str(folder / "used.onnx")
        session.get_one(Collection, copy).archived_at = now()
        session.get_one(Collection, study.collection.id).deleted_at = now() - timedelta(days=8)

    study.change(use)
    study.services.background.once()
    assert [file.name for file in folder.iterdir()] == ["used.onnx"]


@pytest.mark.parametrize("page", ["duplicate", "archive", "use-again", "delete"])
def test_only_the_admin_may(study: Study, page: str) -> None:
    """Raters are refused."""
    rater = study.rater()
    assert rater.post(rater.address(page), {}).status_code == 403


def test_the_link_of_a_deleted_collection_fits_no_later_invitation(study: Study) -> None:
    """Even one that SQLite gives the same id."""
    links = study.services.links

    def invite(session: Session) -> Invitation:
        invitation = Invitation(collection_id=study.collection.id)
        session.add(invitation)
        session.flush()
        return invitation

    first = study.change(invite)
    token = links.invitation(first)
    study.change(lambda session: session.delete(session.get_one(Invitation, first.id)))
    second = study.change(invite)
    assert second.id == first.id
    with study.database.read() as session:
        assert links.find_invitation(session, token) is None
        assert links.find_invitation(session, links.invitation(second)) is not None


def test_the_link_of_an_earlier_version_still_works(study: Study) -> None:
    """Its invitation has no nonce."""
    links = study.services.links
    invitation = Invitation(collection_id=study.collection.id, nonce="")
    study.change(lambda session: session.add(invitation))
    with study.database.read() as session:
        assert links.find_invitation(session, links.invitation(invitation)) is not None

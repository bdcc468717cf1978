"""Pictures uploaded in the browser: in parts, checked, and never outside their folder."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from nimakit.errors import UsageError
from nimakit.web.collections import uploads as module
from nimakit.web.collections.upload_checks import problem_of
from nimakit.web.db.tables import Collection, now
from nimakit.web.settings import UPLOADS_VARIABLE, read_settings
from web.collections.uploader import Uploader, zipped
from web.study import Study, Visitor


def test_an_uploaded_folder_becomes_a_collection(uploader: Uploader, photo: bytes) -> None:
    """Its pictures are found by the scan, under their own names."""
    assert uploader.offer(("shoot/a.jpg", len(photo))) == [{"state": "wanted", "offset": 0}]
    assert uploader.send("shoot/a.jpg", photo) == {"state": "there"}
    assert uploader.offer(("shoot/a.jpg", len(photo))) == [{"state": "there"}]
    assert uploader.files == ["shoot/a.jpg"]
    assert (Path(uploader.collection.folder) / "shoot/a.jpg").read_bytes() == photo
    uploader.admin.post_json(f"{uploader.address}/end", {}, uploader.token)
    uploader.study.services.background.once()
    assert "shoot/a.jpg" in [image.path for image in uploader.study.images]
    assert [image.problem for image in uploader.study.images if image.path == "shoot/a.jpg"] == [""]


def test_an_upload_continues_where_it_was_interrupted(uploader: Uploader, photo: bytes) -> None:
    """A part that was sent twice, or came too early, is answered with where the file continues."""
    size = len(photo)
    half = size // 2
    assert uploader.part("a.jpg", size, 0, photo[:half]) == (200, {"state": "wanted", "offset": half})
    for offset in (0, half + 1):
        status, answer = uploader.part("a.jpg", size, offset, photo[offset : offset + 1])
        assert (status, answer["offset"]) == (409, half)
    assert uploader.offer(("a.jpg", size)) == [{"state": "wanted", "offset": half}]
    assert uploader.part("a.jpg", size, half, photo[half:]) == (200, {"state": "there"})
    assert (Path(uploader.collection.folder) / "a.jpg").read_bytes() == photo


def test_what_is_no_picture_is_refused(uploader: Uploader, photo: bytes) -> None:
    """By its content, whatever its name says; damaged ones too, and nothing of them is kept."""
    for name, content in {"a.jpg": b"<script>", "b.jpg": photo[: len(photo) // 2]}.items():
        answer = uploader.send(name, content)
        assert answer["state"] == "refused"
        assert answer["reason"]
    assert uploader.files == []
    assert list((Path(uploader.collection.folder) / ".upload").iterdir()) == []


def test_a_picture_is_never_overwritten(uploader: Uploader, photo: bytes) -> None:
    """Another one of the same name is refused, however its umlauts are written."""
    uploader.send("Z\u00fcrich.jpg", photo)
    [answer] = uploader.offer(("Zu\u0308rich.jpg", len(photo) + 1))
    assert (answer["state"], "of that name" in answer["reason"]) == ("refused", True)
    assert uploader.send("Zu\u0308rich.jpg", photo + b"x")["state"] == "refused"
    assert (Path(uploader.collection.folder) / "Z\u00fcrich.jpg").read_bytes() == photo


def test_the_quota_holds(uploader: Uploader, photo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also within a zip file; a deleted file makes room again."""
    uploader.send("a.jpg", photo)
    archive = zipped({"b.jpg": photo, "c.jpg": photo})
    monkeypatch.setattr(uploader.study.services.uploads, "quota", 2 * len(photo) + len(archive))
    status, answer = uploader.unpack("all.zip", archive)
    assert (status, "has room for" in answer["reason"]) == (413, True)
    assert uploader.files == ["a.jpg", "b.jpg"]
    status, _ = uploader.part("d.jpg", len(photo), 0, photo)
    assert status == 413


def test_the_disk_keeps_room_for_ratings(
    uploader: Uploader, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the quota says."""
    monkeypatch.setattr(module, "_SPARE", 1 << 60)
    assert uploader.part("a.jpg", len(photo), 0, photo)[0] == 413


def test_only_the_admin_uploads(uploader: Uploader) -> None:
    """Raters are refused, before their body is read."""
    rater = uploader.study.rater()
    for page in ("offer", "unpack", "end"):
        assert rater.post_json(f"{uploader.address}/{page}", {}).status_code in (403, 404)
    assert rater.post("/collections/upload", {"name": "x"}).status_code == 403


def test_nothing_is_uploaded_into_a_folder_of_ones_own(study: Study, visitor: Visitor) -> None:
    """The app writes only into folders that it made."""
    answer = visitor.post_json(visitor.address("upload/offer"), {"files": [["a.jpg", 1]]})
    assert answer.status_code == 404
    assert visitor.get(visitor.address("upload")).status_code == 404


def test_too_large_a_part_is_refused(uploader: Uploader) -> None:
    """The limit of a part holds for the admin too."""
    status, _ = uploader.part("a.jpg", 9 << 20, 0, bytes((4 << 20) + 9000))
    assert status == 413


@pytest.mark.parametrize("body", [{}, {"files": [1]}, {"files": [["a.jpg", "1"]]}, [], {"files": [["a"]]}])
def test_an_offer_must_list_files(uploader: Uploader, body: Any) -> None:
    """Anything else is refused."""
    assert uploader.admin.post_json(f"{uploader.address}/offer", body, uploader.token).status_code == 400


def test_a_failure_of_the_machine_says_nothing_about_a_picture(
    uploader: Uploader, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upload can be continued; the picture is not refused."""

    def fail(*_: object, **__: object) -> None:
        raise MemoryError("the process that was working on it was ended")

    monkeypatch.setattr(type(uploader.study.services.child), "run", fail)
    assert uploader.part("a.jpg", len(photo), 0, photo)[0] == 503
    monkeypatch.setattr(type(uploader.study.services.child), "run", lambda _, call, *values: call(*values))
    assert uploader.offer(("a.jpg", len(photo))) == [{"state": "wanted", "offset": len(photo)}]
    assert uploader.part("a.jpg", len(photo), len(photo), b"") == (200, {"state": "there"})


def test_uploaded_pictures_go_with_their_collection(uploader: Uploader, photo: bytes) -> None:
    """Unless a duplicate uses them; small copies go too."""
    uploader.send("a.jpg", photo)
    uploader.study.services.background.once()
    folder, key = Path(uploader.collection.folder), uploader.collection.id
    uploader.study.services.renditions.find(folder, "a.jpg", 480)
    duplicate = uploader.admin.post(f"/c/{uploader.collection.slug}/duplicate", {}).location.split("/")[2]

    def delete(session: Any, *slugs: str) -> None:
        for one in session.scalars(select(Collection).where(Collection.slug.in_(slugs))):
            one.deleted_at = now() - timedelta(days=8)

    uploader.study.change(lambda session: delete(session, uploader.collection.slug))
    uploader.study.services.background.once()
    assert (folder / "a.jpg").exists()
    with uploader.study.database.read() as session:
        assert session.get_one(Collection, key).folder == ""
    another = Uploader(uploader.study)  # whose name is free again, but not its folder
    assert (another.files, another.collection.slug) == ([], "my-photos-2")
    uploader.study.change(lambda session: delete(session, duplicate))
    uploader.study.services.background.once()
    assert not folder.exists()


def test_a_picture_has_a_largest_number_of_pixels(photographs: Path) -> None:
    """As in any folder."""
    assert "pixels" in problem_of(str(photographs / "photo 0.jpg"), 100)
    assert problem_of(str(photographs / "photo 0.jpg"), 10_000) == ""


def test_a_variable_sets_the_quota(tmp_path: Path) -> None:
    """In megabytes."""
    environment = {UPLOADS_VARIABLE: "3"}
    settings = read_settings(folders=(), data_dir=tmp_path, environment=environment)
    assert settings.max_uploaded_bytes == 3 << 20
    with pytest.raises(UsageError, match=UPLOADS_VARIABLE):
        read_settings(folders=(), data_dir=tmp_path, environment={UPLOADS_VARIABLE: "many"})

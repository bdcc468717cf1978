"""Pictures uploaded in the browser: in parts, checked, and never outside their folder."""

import io
import stat
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from nimakit.errors import UsageError
from nimakit.web.collections import uploads as module
from nimakit.web.collections.upload_names import safe_path
from nimakit.web.collections.upload_zip import check_entry
from nimakit.web.collections.uploads import problem_of
from nimakit.web.db.tables import Collection, now
from nimakit.web.settings import UPLOADS_VARIABLE, Settings, read_settings
from web.conftest import MakeStudy
from web.study import JSON, Study, Visitor

PART = 700


@pytest.fixture
def study(make_study: MakeStudy, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Study:
    """An app whose uploads are checked in this process, and that needs no spare disk."""
    made = make_study()
    monkeypatch.setattr(type(made.services.child), "run", lambda _, call, *values: call(*values))
    monkeypatch.setattr(module, "_SPARE", 0)
    return made


@pytest.fixture
def photo(photographs: Path) -> bytes:
    """A small JPEG."""
    return (photographs / "photo 0.jpg").read_bytes()


class Uploader:
    """The admin, who uploads into a collection."""

    def __init__(self, study: Study, name: str = "My photos") -> None:
        self.study = study
        self.admin = study.visitor()
        self.address = self.admin.post("/collections/upload", {"name": name}).location
        self.token = self.admin.token()

    @property
    def collection(self) -> Collection:
        """The collection."""
        with self.study.database.read() as session:
            slug = self.address.split("/")[2]
            return session.scalars(select(Collection).where(Collection.slug == slug)).one()

    @property
    def files(self) -> list[str]:
        """What is in its folder, without what is incomplete."""
        root = Path(self.collection.folder)
        found = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
        return sorted(path for path in found if not path.startswith(".upload"))

    def offer(self, *files: tuple[str, int]) -> list[dict[str, Any]]:
        """Offer files."""
        answer = self.admin.post_json(f"{self.address}/offer", {"files": files}, self.token)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json["files"]  # type: ignore[index]
        return found

    def part(self, name: str, size: int, offset: int, content: bytes) -> Any:
        """Send a part; the status and the answer."""
        answer = self.admin.client.post(
            f"{self.address}/part",
            query_string={"name": name, "size": size, "offset": offset},
            data=content,
            headers={**JSON, "X-CSRFToken": self.token, "Content-Type": "application/octet-stream"},
        )
        return answer.status_code, answer.json

    def send(self, name: str, content: bytes) -> Any:
        """Send a file in parts; the last answer."""
        answer: Any = None
        for offset in range(0, len(content), PART):
            status, answer = self.part(name, len(content), offset, content[offset : offset + PART])
            assert status == 200, answer
        return answer

    def unpack(self, name: str, content: bytes, start: int = 0) -> Any:
        """Send a zip file, and unpack it."""
        assert self.send(name, content) == {"state": "zip"}
        body = {"name": name, "size": len(content), "start": start}
        answer = self.admin.post_json(f"{self.address}/unpack", body, self.token)
        return answer.status_code, answer.json


def zipped(entries: dict[str, bytes], change: Callable[[zipfile.ZipInfo], None] | None = None) -> bytes:
    """A zip file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            if change:
                change(entry)
            archive.writestr(entry, content)
    return stream.getvalue()


def test_an_uploaded_folder_becomes_a_collection(study: Study, photo: bytes) -> None:
    """Its pictures are found by the scan, under their own names."""
    uploader = Uploader(study)
    assert uploader.offer(("shoot/a.jpg", len(photo))) == [{"state": "wanted", "offset": 0}]
    assert uploader.send("shoot/a.jpg", photo) == {"state": "there"}
    assert uploader.offer(("shoot/a.jpg", len(photo))) == [{"state": "there"}]
    assert uploader.files == ["shoot/a.jpg"]
    assert (Path(uploader.collection.folder) / "shoot/a.jpg").read_bytes() == photo
    uploader.admin.post_json(f"{uploader.address}/end", {}, uploader.token)
    study.services.background.once()
    assert "shoot/a.jpg" in [image.path for image in study.images]
    assert [image.problem for image in study.images if image.path == "shoot/a.jpg"] == [""]


def test_an_upload_continues_where_it_was_interrupted(study: Study, photo: bytes) -> None:
    """A part that was sent twice, or came too early, is answered with where the file continues."""
    uploader, size = Uploader(study), len(photo)
    half = size // 2
    assert uploader.part("a.jpg", size, 0, photo[:half]) == (200, {"state": "wanted", "offset": half})
    for offset in (0, half + 1):
        status, answer = uploader.part("a.jpg", size, offset, photo[offset : offset + 1])
        assert (status, answer["offset"]) == (409, half)
    assert uploader.offer(("a.jpg", size)) == [{"state": "wanted", "offset": half}]
    assert uploader.part("a.jpg", size, half, photo[half:]) == (200, {"state": "there"})
    assert (Path(uploader.collection.folder) / "a.jpg").read_bytes() == photo


def test_what_is_no_picture_is_refused(study: Study, photo: bytes) -> None:
    """By its content, whatever its name says; damaged ones too, and nothing of them is kept."""
    uploader = Uploader(study)
    for name, content in {"a.jpg": b"<script>", "b.jpg": photo[: len(photo) // 2]}.items():
        answer = uploader.send(name, content)
        assert answer["state"] == "refused"
        assert answer["reason"]
    assert uploader.files == []
    assert list((Path(uploader.collection.folder) / ".upload").iterdir()) == []


def test_a_picture_is_never_overwritten(study: Study, photo: bytes) -> None:
    """Another one of the same name is refused, however its umlauts are written."""
    uploader = Uploader(study)
    uploader.send("Z\u00fcrich.jpg", photo)
    [answer] = uploader.offer(("Zu\u0308rich.jpg", len(photo) + 1))
    assert (answer["state"], "of that name" in answer["reason"]) == ("refused", True)
    assert uploader.send("Zu\u0308rich.jpg", photo + b"x")["state"] == "refused"
    assert (Path(uploader.collection.folder) / "Z\u00fcrich.jpg").read_bytes() == photo


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../a.jpg", "out of the folder"),
        ("a/../../b.jpg", "out of the folder"),
        ("/etc/a.jpg", "out of the folder"),
        ("\\\\host\\a.jpg", "out of the folder"),
        ("C:\\a.jpg", "out of the folder"),
        (".hidden.jpg", "hidden"),
        (".upload/a.jpg", "hidden"),
        ("__MACOSX/a.jpg", "hidden"),
        ("", "hidden"),
        ("\x00../a.jpg", "hidden|out of"),
        ("a.txt", "not a picture"),
        ("a.dng", "not a picture"),
        ("a/" * 11 + "a.jpg", "at most 10 folders"),
        ("\u00fc" * 101 + ".jpg", "200 bytes"),
    ],
)
def test_names_that_are_refused(name: str, reason: str) -> None:
    """None leads out of the folder or into the app's own."""
    with pytest.raises(UsageError, match=reason):
        safe_path(name)


def test_a_zip_file_is_unpacked(study: Study, photo: bytes) -> None:
    """Its pictures are placed; everything else is refused with its reason, and counted."""
    uploader = Uploader(study)
    entries = {
        "in/a.jpg": photo,
        "notes.txt": b"x",
        "../b.jpg": photo,
        "c.jpg": b"no picture",
        "d/e.jpg": photo,
    }
    status, answer = uploader.unpack("all.zip", zipped(entries))
    assert (status, answer["done"], answer["total"], answer["placed"]) == (200, 5, 5, 2)
    assert [name for name, _ in answer["refused"]] == ["notes.txt", "../b.jpg", "c.jpg"]
    assert all(reason for _, reason in answer["refused"])
    assert uploader.files == ["d/e.jpg", "in/a.jpg"]
    assert list((Path(uploader.collection.folder) / ".upload").iterdir()) == []
    assert not (Path(uploader.collection.folder).parent / "b.jpg").exists()


def test_a_zip_file_is_unpacked_a_while_at_a_time(
    study: Study, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser asks again, and what is done stays done."""
    uploader = Uploader(study)
    content = zipped({f"{number}.jpg": photo for number in range(3)})
    monkeypatch.setattr(module, "_SECONDS_UNPACKING", -1.0)
    assert uploader.unpack("all.zip", content)[1]["done"] == 0
    monkeypatch.setattr(module, "_SECONDS_UNPACKING", 3.0)
    body = {"name": "all.zip", "size": len(content), "start": 1}
    answer = uploader.admin.post_json(f"{uploader.address}/unpack", body, uploader.token)
    assert answer.json == {"done": 3, "total": 3, "placed": 2, "refused": []}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK, but no zip", "not a zip"),
        (zipped({"a.jpg": b"x"})[:-5], "not a zip"),
        (b"x" + zipped({"a.jpg": b"x"})[-22:], "damaged"),
    ],
)
def test_what_is_no_zip_file_is_refused(study: Study, content: bytes, reason: str) -> None:
    """It is deleted, so that it can be uploaded again."""
    uploader = Uploader(study)
    status, answer = uploader.unpack("all.zip", content)
    assert (status, reason in answer["reason"]) == (400, True)
    assert list((Path(uploader.collection.folder) / ".upload").iterdir()) == []


def test_a_damaged_entry_is_refused(study: Study, photo: bytes) -> None:
    """The others are placed."""
    content = bytearray(zipped({"a.jpg": photo, "b.jpg": photo}))
    content[60:70] = bytes(10)
    _, answer = Uploader(study).unpack("all.zip", bytes(content))
    assert (answer["placed"], [name for name, _ in answer["refused"]]) == (1, ["a.jpg"])
    assert "damaged" in answer["refused"][0][1]


def test_a_zip_file_whose_beginning_is_missing_is_refused(study: Study, photo: bytes) -> None:
    """As entry by entry."""
    _, answer = Uploader(study).unpack("all.zip", zipped({"a.jpg": photo})[20:])
    assert (answer["placed"], "damaged" in answer["refused"][0][1]) == (0, True)


def test_zip_bombs_are_refused(study: Study) -> None:
    """Before they are unpacked: zeros shrink to a thousandth."""
    uploader = Uploader(study)
    status, answer = uploader.unpack("bomb.zip", zipped({"a.jpg": bytes(3 << 20)}))
    assert (status, answer["placed"]) == (200, 0)
    assert "zip bomb" in answer["refused"][0][1]
    assert uploader.files == []


def test_a_zip_file_that_understates_a_size_is_refused(study: Study, photo: bytes) -> None:
    """No more is unpacked than it states."""
    uploader, content = Uploader(study), bytearray(zipped({"a.jpg": photo * 3}))
    place = content.rfind(b"PK\1\2") + 24
    content[place : place + 4] = (100).to_bytes(4, "little")
    _, answer = uploader.unpack("lie.zip", bytes(content))
    assert (answer["placed"], len(answer["refused"])) == (0, 1)
    assert uploader.files == []


def _link(entry: zipfile.ZipInfo) -> None:
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16


def _encrypt(entry: zipfile.ZipInfo) -> None:
    entry.flag_bits |= 1


def _by_lzma(entry: zipfile.ZipInfo) -> None:
    entry.compress_type = zipfile.ZIP_LZMA


@pytest.mark.parametrize(
    ("change", "reason"), [(_link, "link"), (_encrypt, "encrypted"), (_by_lzma, "another method")]
)
def test_entries_that_are_no_plain_files_are_refused(
    change: Callable[[zipfile.ZipInfo], None], reason: str
) -> None:
    """Links could lead anywhere, and other methods take gigabytes of memory."""
    entry = zipfile.ZipInfo("a.jpg")
    entry.header_offset = 0
    change(entry)
    with pytest.raises(UsageError, match=reason):
        check_entry(entry, 1000)


def test_a_zip_file_with_a_huge_list_of_entries_is_refused(study: Study) -> None:
    """The list would be read into memory."""
    content = bytearray(zipped({"a.jpg": b"x"}))
    place = content.rfind(b"PK\5\6") + 12
    content[place : place + 4] = (200 << 20).to_bytes(4, "little")
    status, answer = Uploader(study).unpack("all.zip", bytes(content))
    assert (status, "4 GB" in answer["reason"]) == (400, True)


def test_the_quota_holds(study: Study, photo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also within a zip file; a deleted file makes room again."""
    uploader = Uploader(study)
    uploader.send("a.jpg", photo)
    archive = zipped({"b.jpg": photo, "c.jpg": photo})
    monkeypatch.setattr(study.services.uploads, "quota", 2 * len(photo) + len(archive))
    status, answer = uploader.unpack("all.zip", archive)
    assert (status, "has room for" in answer["reason"]) == (413, True)
    assert uploader.files == ["a.jpg", "b.jpg"]
    status, _ = uploader.part("d.jpg", len(photo), 0, photo)
    assert status == 413


def test_the_disk_keeps_room_for_ratings(study: Study, photo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the quota says."""
    uploader = Uploader(study)
    monkeypatch.setattr(module, "_SPARE", 1 << 60)
    assert uploader.part("a.jpg", len(photo), 0, photo)[0] == 413


def test_only_the_admin_uploads(study: Study) -> None:
    """Raters are refused, before their body is read."""
    uploader, rater = Uploader(study), study.rater()
    for page in ("offer", "unpack", "end"):
        assert rater.post_json(f"{uploader.address}/{page}", {}).status_code in (403, 404)
    assert rater.post("/collections/upload", {"name": "x"}).status_code == 403


def test_nothing_is_uploaded_into_a_folder_of_ones_own(study: Study, visitor: Visitor) -> None:
    """The app writes only into folders that it made."""
    answer = visitor.post_json(visitor.address("upload/offer"), {"files": [["a.jpg", 1]]})
    assert answer.status_code == 404
    assert visitor.get(visitor.address("upload")).status_code == 404


def test_too_large_a_part_is_refused(study: Study) -> None:
    """The limit of a part holds for the admin too."""
    status, _ = Uploader(study).part("a.jpg", 9 << 20, 0, bytes((4 << 20) + 9000))
    assert status == 413


@pytest.mark.parametrize("body", [{}, {"files": [1]}, {"files": [["a.jpg", "1"]]}, [], {"files": [["a"]]}])
def test_an_offer_must_list_files(study: Study, body: Any) -> None:
    """Anything else is refused."""
    uploader = Uploader(study)
    assert uploader.admin.post_json(f"{uploader.address}/offer", body, uploader.token).status_code == 400


def test_a_failure_of_the_machine_says_nothing_about_a_picture(
    study: Study, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upload can be continued; the picture is not refused."""
    uploader = Uploader(study)

    def fail(*_: object, **__: object) -> None:
        raise MemoryError("the process that was working on it was ended")

    monkeypatch.setattr(type(study.services.child), "run", fail)
    assert uploader.part("a.jpg", len(photo), 0, photo)[0] == 503
    monkeypatch.setattr(type(study.services.child), "run", lambda _, call, *values: call(*values))
    assert uploader.offer(("a.jpg", len(photo))) == [{"state": "wanted", "offset": len(photo)}]
    assert uploader.part("a.jpg", len(photo), len(photo), b"") == (200, {"state": "there"})


def test_uploaded_pictures_go_with_their_collection(study: Study, photo: bytes) -> None:
    """Unless a duplicate uses them; small copies go too."""
    uploader = Uploader(study)
    uploader.send("a.jpg", photo)
    study.services.background.once()
    folder, key = Path(uploader.collection.folder), uploader.collection.id
    study.services.renditions.find(folder, "a.jpg", 480)
    duplicate = uploader.admin.post(f"/c/{uploader.collection.slug}/duplicate", {}).location.split("/")[2]

    def delete(session: Any, *slugs: str) -> None:
        for one in session.scalars(select(Collection).where(Collection.slug.in_(slugs))):
            one.deleted_at = now() - timedelta(days=8)

    study.change(lambda session: delete(session, uploader.collection.slug))
    study.services.background.once()
    assert (folder / "a.jpg").exists()
    with study.database.read() as session:
        assert session.get_one(Collection, key).folder == ""
    study.change(lambda session: delete(session, duplicate))
    study.services.background.once()
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

"""What uploads leave on the disk, and requests that come twice."""

import fcntl
import io
import os
import time
import zipfile
from pathlib import Path

import pytest

from web.collections.uploader import Uploader, zipped


def _folder(uploader: Uploader) -> Path:
    return Path(uploader.collection.folder)


def test_a_zip_file_is_unpacked_by_one_request_at_a_time(uploader: Uploader, photo: bytes) -> None:
    """The browser tries again; an answer that it missed is given again."""
    content = zipped({"a.jpg": photo, "b.jpg": photo})
    assert uploader.send("all.zip", content) == {"state": "zip"}
    body = {"name": "all.zip", "size": len(content), "start": 0}
    [archive] = (_folder(uploader) / ".upload").iterdir()
    with archive.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        answer = uploader.admin.post_json(f"{uploader.address}/unpack", body, uploader.token)
        assert (answer.status_code, uploader.files) == (503, [])
    for _ in range(2):
        answer = uploader.admin.post_json(f"{uploader.address}/unpack", body, uploader.token)
        assert answer.json == {"done": 2, "total": 2, "placed": 2, "refused": []}


def test_what_another_request_has_placed_is_there(uploader: Uploader, photo: bytes) -> None:
    """A last part that comes twice is no picture that cannot be read."""
    size = len(photo)
    uploader.part("a.jpg", size, 0, photo)
    place = uploader.study.services.uploads._place
    assert place(_folder(uploader), "a.jpg", _folder(uploader) / ".upload/gone.part", size) == ""


def test_abandoned_parts_are_deleted_after_a_day(uploader: Uploader, photo: bytes) -> None:
    """Their bytes can be uploaded again; what is younger can be continued."""
    study = uploader.study
    uploads = study.services.uploads
    before = uploads.left()
    uploader.part("a.jpg", len(photo), 0, photo[:100])
    study.services.background.once()
    assert uploader.offer(("a.jpg", len(photo))) == [{"state": "wanted", "offset": 100}]
    [partial] = (_folder(uploader) / ".upload").iterdir()
    os.utime(partial, (time.time() - 25 * 3600,) * 2)
    study.services.background.once()
    assert uploader.offer(("a.jpg", len(photo))) == [{"state": "wanted", "offset": 0}]
    assert uploads.left() == before


def test_what_is_refused_leaves_no_folder(uploader: Uploader) -> None:
    """Not even an empty one."""
    assert uploader.send("b/c/a.jpg", b"no picture")["state"] == "refused"
    assert [one.name for one in _folder(uploader).iterdir()] == [".upload"]


def test_a_name_twice_in_a_zip_file_is_one_picture(uploader: Uploader, photo: bytes) -> None:
    """It is counted once."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.jpg", photo)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.jpg", photo)
    _, answer = uploader.unpack("all.zip", stream.getvalue())
    assert (answer["total"], answer["placed"], answer["refused"]) == (1, 1, [])

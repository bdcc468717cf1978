"""Zip files uploaded in the browser: unpacked entry by entry, each checked."""

import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from nimakit.errors import UsageError
from nimakit.web.collections import uploads as module
from nimakit.web.collections.upload_zip import check_entry
from web.collections.uploader import Uploader, zipped


def test_a_zip_file_is_unpacked(uploader: Uploader, photo: bytes) -> None:
    """Its pictures are placed; everything else is refused with its reason, and counted."""
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
    uploader: Uploader, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser asks again, and what is done stays done."""
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
def test_what_is_no_zip_file_is_refused(uploader: Uploader, content: bytes, reason: str) -> None:
    """It is deleted, so that it can be uploaded again."""
    status, answer = uploader.unpack("all.zip", content)
    assert (status, reason in answer["reason"]) == (400, True)
    assert list((Path(uploader.collection.folder) / ".upload").iterdir()) == []


def test_a_damaged_entry_is_refused(uploader: Uploader, photo: bytes) -> None:
    """The others are placed."""
    content = bytearray(zipped({"a.jpg": photo, "b.jpg": photo}))
    content[60:70] = bytes(10)
    _, answer = uploader.unpack("all.zip", bytes(content))
    assert (answer["placed"], [name for name, _ in answer["refused"]]) == (1, ["a.jpg"])
    assert "damaged" in answer["refused"][0][1]


def test_a_zip_file_whose_beginning_is_missing_is_refused(uploader: Uploader, photo: bytes) -> None:
    """As entry by entry."""
    _, answer = uploader.unpack("all.zip", zipped({"a.jpg": photo})[20:])
    assert (answer["placed"], "damaged" in answer["refused"][0][1]) == (0, True)


def test_zip_bombs_are_refused(uploader: Uploader) -> None:
    """Before they are unpacked: zeros shrink to a thousandth."""
    status, answer = uploader.unpack("bomb.zip", zipped({"a.jpg": bytes(3 << 20)}))
    assert (status, answer["placed"]) == (200, 0)
    assert "zip bomb" in answer["refused"][0][1]
    assert uploader.files == []


def test_a_zip_file_that_understates_a_size_is_refused(uploader: Uploader, photo: bytes) -> None:
    """No more is unpacked than it states."""
    content = bytearray(zipped({"a.jpg": photo * 3}))
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


def test_a_zip_file_with_a_huge_list_of_entries_is_refused(uploader: Uploader) -> None:
    """The list would be read into memory."""
    content = bytearray(zipped({"a.jpg": b"x"}))
    place = content.rfind(b"PK\5\6") + 12
    content[place : place + 4] = (200 << 20).to_bytes(4, "little")
    status, answer = uploader.unpack("all.zip", bytes(content))
    assert (status, "4 GB" in answer["reason"]) == (400, True)

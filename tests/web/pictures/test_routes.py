"""The routes of pictures: sizes, caching, and what is refused."""

import errno
import os
from typing import Any

import pytest

from faults import INSTALLED, every_fault, failing
from web.study import JSON, Study, Visitor


def address(visitor: Visitor, study: Study, place: int = 1, size: str = "480") -> str:
    """The address of a picture."""
    return visitor.address(f"pictures/{study.images[place].id}/{size}")


@pytest.mark.parametrize("size", ["480", "1280", "2560", "full"])
def test_a_picture_is_sent_at_every_size(study: Study, visitor: Visitor, size: str) -> None:
    """It is cached only by the browser, and revalidated by its ETag."""
    answer = visitor.get(address(visitor, study, size=size))
    assert (answer.status_code, answer.mimetype) == (200, "image/jpeg")
    assert answer.headers["Cache-Control"].startswith("private, max-age=")
    again = visitor.get(address(visitor, study, size=size), headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("size", ["481", "0", "-1", "huge", "../1/480"])
def test_refuses_other_sizes(study: Study, visitor: Visitor, size: str) -> None:
    """Visitors cannot fill the disk with copies."""
    assert visitor.get(address(visitor, study, size=size)).status_code in {404, 308}


def test_a_picture_of_another_collection_is_not_found(study: Study, visitor: Visitor) -> None:
    """An id does not give access to another collection."""
    assert visitor.get(visitor.address("pictures/999/480")).status_code == 404
    assert study.rater().get("/c/other/pictures/1/480").status_code == 404


def test_a_picture_that_is_gone_is_noted(study: Study, visitor: Visitor) -> None:
    """It is marked as missing for all raters."""
    (study.folder / study.images[1].path).unlink()
    assert visitor.get(address(visitor, study)).status_code == 404
    assert study.images[1].state == "missing"
    assert study.images[1].id not in [item["id"] for item in visitor.deck()["items"]]


def test_a_broken_picture_is_noted(study: Study, visitor: Visitor) -> None:
    """The settings page shows the reason."""
    (study.folder / study.images[1].path).write_bytes(b"\xff\xd8\xff no picture")
    assert visitor.get(address(visitor, study)).status_code == 422
    assert study.images[1].state == "broken"
    assert study.images[1].path in visitor.get(visitor.address("settings")).text


def test_reports_of_browsers_are_checked(study: Study, visitor: Visitor) -> None:
    """A report from one browser does not mark a sound picture as broken."""
    report = address(visitor, study, size="problem")
    answer = visitor.post_json(report, {})
    assert answer.json == {"shown": True}
    (study.folder / study.images[1].path).unlink()
    answer = visitor.post_json(report, {})
    assert answer.json
    assert answer.json["shown"] is False
    assert study.images[1].state == "missing"


def test_a_forged_report_is_refused(study: Study, visitor: Visitor) -> None:
    """A report without a CSRF token is refused."""
    answer = visitor.client.post(address(visitor, study, size="problem"), headers=JSON)
    assert answer.status_code == 400


def test_a_folder_that_is_away_breaks_no_picture(study: Study, visitor: Visitor) -> None:
    """The disk may return."""
    study.folder.rename(study.folder.with_name("moved"))
    assert visitor.get(address(visitor, study)).status_code == 404
    assert {image.state for image in study.images} == {"ok"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_picture_without_permission_is_broken(study: Study, visitor: Visitor) -> None:
    """It cannot be shown to anyone."""
    (study.folder / study.images[1].path).chmod(0)
    assert visitor.get(address(visitor, study)).status_code == 422


@pytest.mark.parametrize("size", ["480", "full"])
def test_blind_raters_are_sent_no_names(study: Study, visitor: Visitor, size: str) -> None:
    """The download name is an id, except for the admin and raters who may see names."""
    rater, image = study.rater(), study.images[1]
    hidden = rater.get(address(rater, study, size=size)).headers["Content-Disposition"]
    assert hidden == f"inline; filename={image.id}.jpg"
    seen = f'inline; filename="{image.path}"'
    assert visitor.get(address(visitor, study, size=size)).headers["Content-Disposition"] == seen
    study.set(blind=False)
    assert rater.get(address(rater, study, size=size)).headers["Content-Disposition"] == seen


@every_fault
@pytest.mark.parametrize("size", ["480", "problem"])
def test_a_fault_of_the_machine_breaks_no_picture(
    study: Study, visitor: Visitor, fault: str, size: str
) -> None:
    """The answer is 503 without a path, and the next request works."""
    own = address(visitor, study, size=size)
    send = visitor.get if size == "480" else lambda own: visitor.post_json(own, {})
    with failing(fault):
        answer = send(own)
    assert answer.status_code == 503
    assert INSTALLED not in answer.text
    assert {image.state for image in study.images} == {"ok"}
    assert send(own).status_code == 200


def test_a_disk_that_fails_takes_no_picture_for_missing(
    study: Study, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading a file's status may fail as well."""
    before = os.stat

    def fail(path: Any, *args: Any, **options: Any) -> os.stat_result:
        if str(path).endswith(".jpg"):
            raise OSError(errno.EIO, "Input/output error", str(path))
        return before(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", fail)
        assert visitor.get(address(visitor, study)).status_code == 503
    assert {image.state for image in study.images} == {"ok"}

"""The largest request bodies of the routes."""

from typing import TYPE_CHECKING

import pytest

from nimakit.serving.http.front import FRONT
from nimakit.serving.http.request_reader import OVERSIZED
from nimakit.web.similarity.routes import LARGEST_UPLOAD
from web.study import JSON, Study, Visitor

if TYPE_CHECKING:
    from nimakit.web.front import Front


@pytest.mark.parametrize(
    ("line", "largest"),
    [
        ("POST /c/photos/similarity/upload HTTP/1.1", LARGEST_UPLOAD),
        ("POST /c/other/transfer?x=1 HTTP/1.1", 256 << 20),
        ("GET /c/photos/transfer HTTP/1.1", 1 << 20),
        ("POST /c/photos/events HTTP/1.1", 1 << 20),
        ("POST /login HTTP/1.1", 1 << 20),
        ("POST /nowhere HTTP/1.1", 1 << 20),
        ("nonsense", 1 << 20),
    ],
)
def test_only_routes_that_take_files_take_large_bodies(study: Study, line: str, largest: int) -> None:
    """Other routes accept bodies of up to a mebibyte."""
    front: Front = study.app.extensions[FRONT]
    assert front.max_body(f"{line}\r\nHost: x\r\n\r\n".encode()) == largest


def test_a_table_that_may_be_imported_fits_into_what_is_buffered(study: Study) -> None:
    """Otherwise it would always be refused."""
    front: Front = study.app.extensions[FRONT]
    assert front.max_body(b"POST /c/photos/transfer HTTP/1.1\r\n\r\n") < front.limits.max_buffered_bytes


def test_a_body_the_worker_did_not_receive_is_a_413(study: Study, visitor: Visitor) -> None:
    """On any route."""
    address = visitor.address("events")
    answer = visitor.client.post(address, data=b"", headers=JSON, environ_overrides={OVERSIZED: True})
    assert answer.status_code == 413
    assert study.events == []

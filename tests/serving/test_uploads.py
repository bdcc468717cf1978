"""nimakit.serving.uploads: the images of a request."""

import re

import pytest
from flask import Flask
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, UnsupportedMediaType

from clients import multipart
from nimakit.serving.admission import Admission
from nimakit.serving.uploads import Upload, UploadRequest, read_uploads


def _read(body: bytes, content_type: str, max_images: int = 3) -> list[Upload]:
    app = Flask("test")
    app.request_class = UploadRequest
    with app.test_request_context(method="POST", data=body, content_type=content_type) as context:
        return read_uploads(context.request, max_images, Admission(20_000_000))


def test_the_files_of_a_form_in_their_order() -> None:
    """Their names become image_ids."""
    body, kind = multipart([("b.jpg", b"1"), ("a.b.png", b"2"), ("b.jpg", b"3")])
    assert _read(body, kind) == [Upload("b", b"1"), Upload("a.b", b"2"), Upload("b", b"3")]


@pytest.mark.parametrize("kind", ["image/jpeg", "image/x-anything", "application/octet-stream"])
def test_a_body_that_is_the_image(kind: str) -> None:
    """It has no name, and gets one."""
    assert _read(b"bytes", kind) == [Upload("image_1", b"bytes")]


@pytest.mark.parametrize(
    ("sent", "image_id"),
    [
        (r"C:\photos\a.jpg", "a"),
        ("../../etc/passwd.jpg", "passwd"),
        (r"C:\Users\me\otter.v2.jpg", "otter.v2"),
        ("bell\x07.jpg", "bell"),
        ("4.42.48\u202fPM.png", "4.42.48\u202fPM"),
        ("\u5199\u771f\u30001.jpg", "\u5199\u771f\u30001"),
        ("Sn\u00edmek\u00a013.jpg", "Sn\u00edmek\u00a013"),
        ("\U0001f468\u200d\U0001f469.jpg", "\U0001f468\u200d\U0001f469"),
        ("Zu\u0308rich.jpg", "Z\u00fcrich"),
        ("Küche 1.jpg", "Küche 1"),
        (300 * "x" + ".jpg", 255 * "x"),
        ("..", "image_1"),
        ("/", "image_1"),
    ],
)
def test_a_name_is_only_ever_a_name(sent: str, image_id: str) -> None:
    """No path, no control character, and no more than a file's name may have."""
    body, kind = multipart([(sent, b"1")])
    assert _read(body, kind)[0].image_id == image_id


@pytest.mark.parametrize(
    ("sent", "image_id"),
    [
        (r"C:\Users\me\otter.v2.jpg", "otter.v2"),
        (r"C:\\Users\\me\\otter.v2.jpg", "otter.v2"),
        (r"say \"a\".jpg", 'say "a"'),
        ("say %22a%22.jpg", 'say "a"'),
        (r"C:\a \"b\".jpg", 'a "b"'),
    ],
)
def test_backslashes_are_no_escapes_but_before_quotes(sent: str, image_id: str) -> None:
    """Browsers and curl send those of a path as they are; some clients double them."""
    head = f'--x\r\nContent-Disposition: form-data; name="image"; filename="{sent}"\r\n\r\n1\r\n--x--\r\n'
    assert _read(head.encode(), "multipart/form-data; boundary=x")[0].image_id == image_id


def test_large_files_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The root of a container may be read-only: nothing is spooled to a file."""
    monkeypatch.setattr("tempfile._TemporaryFileArgs", None, raising=False)
    monkeypatch.setattr("tempfile.mkstemp", None)
    monkeypatch.setattr("tempfile.TemporaryFile", None)
    body, kind = multipart([("a.jpg", 2_000_000 * b"x")])
    assert len(_read(body, kind)[0].content) == 2_000_000


TEXT = b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\ntext\r\n--x--\r\n'
OTHER = b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n1\r\n--x--\r\n'


@pytest.mark.parametrize(
    ("body", "kind", "error"),
    [
        (b"", "image/jpeg", BadRequest),
        (b"", "multipart/form-data", BadRequest),
        (b"garbage", "multipart/form-data; boundary=x", BadRequest),
        (TEXT, "multipart/form-data; boundary=x", BadRequest),
        (OTHER, "multipart/form-data; boundary=x", BadRequest),
        (*multipart(4 * [("a.jpg", b"1")]), RequestEntityTooLarge),
        (b"x", "application/x-www-form-urlencoded", UnsupportedMediaType),
        (b"{}", "application/json", UnsupportedMediaType),
        (b"x", "", UnsupportedMediaType),
    ],
)
def test_refuses_what_holds_no_image(body: bytes, kind: str, error: type[HTTPException]) -> None:
    """Empty bodies, broken forms, other parts, too many, and other types."""
    with pytest.raises(error):
        _read(body, kind)


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (
            OTHER,
            "multipart/form-data; boundary=x",
            "a file called `image`; options go into the query (/predict?tta=flips). Received: 'photo'.",
        ),
        (TEXT, "multipart/form-data; boundary=x", "Received: `image` without a file name"),
        (
            TEXT,
            "multipart/form-data",
            "must name its boundary: multipart/form-data; boundary=...; received none.",
        ),
        (b"x", "application/x-www-form-urlencoded", "Received: application/x-www-form-urlencoded."),
        (b"x", "", "Received: no Content-Type."),
    ],
)
def test_says_what_came(body: bytes, kind: str, message: str) -> None:
    """The part, the name, the boundary or the type that is not as it should be."""
    with pytest.raises(HTTPException, match=re.escape(message)):
        _read(body, kind)


def test_a_part_without_a_name_is_refused() -> None:
    """Whatever the parts next to it are called."""
    body = b"".join(
        b"--b\r\nContent-Disposition: form-data" + name + b"\r\n\r\n1\r\n" for name in (b"", b'; name="x"')
    )
    with pytest.raises(BadRequest, match=r"Received: '', 'x'"):
        _read(body + b"--b--\r\n", "multipart/form-data; boundary=b")

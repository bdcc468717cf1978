"""The images of a request: the `image` parts of a form, or its whole body."""

import io
import re
from dataclasses import dataclass
from typing import IO, Any

from flask import Request
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from nimakit.images.files import CONTROLS, image_id
from nimakit.serving.admission import Admission
from nimakit.serving.quoting import QuotedRequest

FORM_COPIES = 6
"""Bytes that reading a form takes for each of its own: what is no file is also read as text."""

_PART = "image"
_ID_LENGTH = 255
_SHOWN = 3
_SHOWN_LENGTH = 40
_QUOTED_NAME = re.compile(r';\s*filename="((?:\\.|[^"\\])*)"', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Upload:
    """An image as it was sent.

    Attributes:
        image_id: Its file name without path and last suffix; ``image_<number>`` where it has none.
        content: Encoded bytes.
    """

    image_id: str
    content: bytes


class UploadRequest(QuotedRequest):
    """A request that keeps its files in memory: its size is limited, and the disk may be read-only."""

    def _get_file_stream(self, *_: Any, **__: Any) -> IO[bytes]:
        return io.BytesIO()


def take_body(request: Request) -> bytes:
    """The whole body, which the request does not keep; nothing is copied of one that came over a network."""
    content = request.get_data(cache=False)
    request.environ["wsgi.input"].close()
    return content


def read_uploads(request: Request, max_images: int, forms: Admission) -> list[Upload]:
    """The images of a request, in order; nothing is decoded yet.

    Args:
        request: The request; it keeps nothing of its body.
        max_images: As many it may have.
        forms: Admits a form, whose parts are copied out of the body.

    Raises:
        BusyError: The form was not admitted in time.
        BadRequest: No image, or a part that is none.
        RequestEntityTooLarge: Too many.
        UnsupportedMediaType: Neither a form of files nor an image.
    """
    kind = request.mimetype
    if kind == "multipart/form-data":
        with forms.admit(FORM_COPIES * (request.content_length or 0)):
            uploads = _read_parts(request, max_images)
            request.environ["wsgi.input"].close()
        return uploads
    if kind == "application/octet-stream" or kind.startswith("image/"):
        content = take_body(request)
        if not content:
            raise BadRequest("The body is an image. Received: nothing.")
        return [Upload("image_1", content)]
    raise UnsupportedMediaType(
        "A request is multipart/form-data with `image` files (curl -F image=@photo.jpg), or the bytes of one"
        " image (curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg). Received:"
        f" {kind[:80] or 'no Content-Type'}."
    )


def _read_parts(request: Request, max_images: int) -> list[Upload]:
    if not request.mimetype_params.get("boundary"):
        raise BadRequest(
            "The Content-Type of a form names its boundary: multipart/form-data; boundary=... Received: none;"
            " leave that header to the HTTP client, which writes it with the form (curl -F image=@photo.jpg)."
        )
    try:
        others = sorted({name or "" for name in (*request.form, *request.files)} - {_PART})
    except RequestEntityTooLarge as error:
        raise RequestEntityTooLarge(f"A request has at most {max_images} images. Received: more.") from error
    if others:
        raise BadRequest(
            f"Each part of a form is a file called `{_PART}`; options are in the query (/predict?tta=flips)."
            f" Received: {_listed(others)}."
        )
    if _PART in request.form:
        raise BadRequest(
            f"Each `{_PART}` of a form is a file, with a file name. Received: `{_PART}` without a file name"
            f" (curl -F {_PART}=@photo.jpg sends one)."
        )
    files = request.files.getlist(_PART)
    if not files:
        raise BadRequest(f"A form has one or more files called `{_PART}`. Received: none.")
    if len(files) > max_images:
        raise RequestEntityTooLarge(f"A request has at most {max_images} images. Received: {len(files)}.")
    return [
        Upload(_clean_id(_sent_name(file), number), _content(file))
        for number, file in enumerate(files, start=1)
    ]


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name[:_SHOWN_LENGTH]) for name in names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _sent_name(file: FileStorage) -> str:
    """The file name as it was sent: Werkzeug drops each backslash, also those of a path of Windows."""
    quoted = _QUOTED_NAME.search(file.headers.get("Content-Disposition", ""))
    if quoted and "\\" in quoted[1]:
        return quoted[1].replace('\\"', '"').replace("%22", '"')
    return file.filename or ""


def _content(file: FileStorage) -> bytes:
    """All of a part; `UploadRequest` has opened its stream, which gives the bytes it has and no copy."""
    content: bytes = file.stream.getvalue()  # type: ignore[attr-defined]
    return content


def _clean_id(filename: str, number: int) -> str:
    """Some clients send whole paths, and anybody may send anything."""
    name = CONTROLS.sub("", image_id(filename))
    return name[:_ID_LENGTH] if name.strip(".") else f"image_{number}"

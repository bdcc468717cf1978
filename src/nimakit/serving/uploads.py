"""Uploaded images of a request: the `image` parts of a form, or the whole body."""

import io
import re
from dataclasses import dataclass
from typing import IO, Any

from flask import Request
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from nimakit.errors import shortened
from nimakit.images.files import CONTROLS, image_id
from nimakit.serving.admission import Admission
from nimakit.serving.quoting import QuotedRequest

FORM_COPIES = 6
"""Bytes of memory that parsing a form takes for each of its bytes: a part that is no file is also decoded."""

_PART = "image"
_MAX_ID_LENGTH = 255
_SHOWN = 3
_SHOWN_LENGTH = 40
_QUOTED_NAME = re.compile(r';\s*filename="((?:\\.|[^"\\])*)"', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded image.

    Attributes:
        image_id: Its file name without path and last suffix; ``image_<number>`` if it has none.
        content: Encoded bytes.
    """

    image_id: str
    content: bytes


class UploadRequest(QuotedRequest):
    """A request that keeps its files in memory: its size is limited, and the disk may be read-only."""

    def _get_file_stream(self, *_: Any, **__: Any) -> IO[bytes]:
        return io.BytesIO()


def take_body(request: Request) -> bytes:
    """The whole body, which the request releases; a body received by our worker is not copied."""
    content = request.get_data(cache=False)
    request.environ["wsgi.input"].close()
    return content


def read_uploads(request: Request, max_images: int, forms: Admission) -> list[Upload]:
    """Read the images of a request, in order, without decoding them.

    Args:
        request: The request; it releases its body.
        max_images: Largest number of images.
        forms: Admits a form, whose parts are copied out of the body.

    Raises:
        BusyError: The form was not admitted in time.
        BadRequest: There is no image, or a part that is not one.
        RequestEntityTooLarge: There are too many.
        UnsupportedMediaType: The body is neither a form nor an image.
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
            raise BadRequest("The body must be an image. Received: an empty body.")
        return [Upload("image_1", content)]
    raise UnsupportedMediaType(
        "A request must be multipart/form-data with `image` files (curl -F image=@photo.jpg), or the bytes of"
        " one image (curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg). Received:"
        f" {kind[:80] or 'no Content-Type'}."
    )


def _read_parts(request: Request, max_images: int) -> list[Upload]:
    if not request.mimetype_params.get("boundary"):
        raise BadRequest(
            "The Content-Type of a form must name its boundary: multipart/form-data; boundary=...; received"
            " none. Let the HTTP client write that header (curl -F image=@photo.jpg)."
        )
    try:
        others = sorted({name or "" for name in (*request.form, *request.files)} - {_PART})
    except RequestEntityTooLarge as error:
        raise RequestEntityTooLarge(f"A request has at most {max_images} images. Received: more.") from error
    if others:
        shown = shortened([repr(name[:_SHOWN_LENGTH]) for name in others], _SHOWN)
        raise BadRequest(
            f"Each part of a form must be a file called `{_PART}`; options go into the query"
            f" (/predict?tta=flips). Received: {shown}."
        )
    if _PART in request.form:
        raise BadRequest(
            f"Each `{_PART}` of a form must be a file with a file name (curl -F {_PART}=@photo.jpg)."
            f" Received: `{_PART}` without a file name."
        )
    files = request.files.getlist(_PART)
    if not files:
        raise BadRequest(f"A form must have one or more files called `{_PART}`. Received: none.")
    if len(files) > max_images:
        raise RequestEntityTooLarge(f"A request has at most {max_images} images. Received: {len(files)}.")
    return [
        # The stream is the BytesIO of `UploadRequest`, which gives its bytes without a copy.
        Upload(_clean_id(_sent_name(file), number), file.stream.getvalue())  # type: ignore[attr-defined]
        for number, file in enumerate(files, start=1)
    ]


def _sent_name(file: FileStorage) -> str:
    """File name as it was sent: Werkzeug drops every backslash, including those of Windows paths."""
    quoted = _QUOTED_NAME.search(file.headers.get("Content-Disposition", ""))
    if quoted and "\\" in quoted[1]:
        return quoted[1].replace('\\"', '"').replace("%22", '"')
    return file.filename or ""


def _clean_id(filename: str, number: int) -> str:
    """Image id of a file name; some clients send whole paths, and a hostile one may send anything."""
    name = CONTROLS.sub("", image_id(filename))
    return name[:_MAX_ID_LENGTH] if name.strip(".") else f"image_{number}"

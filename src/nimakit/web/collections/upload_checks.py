"""Why an uploaded file is refused."""

from pathlib import Path

from nimakit.errors import ImageError, UsageError
from nimakit.images.formats import SHARED_FORMATS
from nimakit.images.photo import open_photo

_NEEDED_SIDE = 480


class QuotaError(UsageError):
    """There is no more room for uploaded pictures."""

    http_status = 413


class MisplacedError(UsageError):
    """A part does not continue the file; `offset` is where it continues."""

    http_status = 409

    def __init__(self, offset: int) -> None:
        super().__init__(f"The file continues at byte {offset}.")
        self.offset = offset


def problem_of(file: str, max_pixels: int) -> str:
    """Why a file cannot be shown as a picture; empty if it can. A JPEG is decoded at a reduced size.

    Args:
        file: Its path.
        max_pixels: Largest width times height.

    Raises:
        ImageUnreadError: This machine failed, which says nothing about the picture.
    """
    try:
        open_photo(file, max_pixels=max_pixels, at_least=_NEEDED_SIDE, formats=SHARED_FORMATS)
    except ImageError as error:
        if error.http_status >= 500:
            raise
        return str(error)
    return ""


def is_there(target: Path, size: int) -> bool:
    """Whether a file of that size is in place.

    Raises:
        UsageError: Another one is.
    """
    if not target.exists():
        return False
    if target.is_file() and target.stat().st_size == size:
        return True
    raise UsageError("another file of that name is there already")

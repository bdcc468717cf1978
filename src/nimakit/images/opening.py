"""Open an image with the decoder for its content, which is loaded at its first use."""

import io
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import IO, TypeAlias

from PIL import (
    Image,
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401 - registers the format, which preinit() does not
)

from nimakit.errors import ImageError
from nimakit.images.formats import FORMATS, KINDS, identify

Encoded: TypeAlias = bytes | bytearray | memoryview

_PLUGINS = {"HEIF": "heif", "AVIF": "avif", "JXL": "jxl", "RAW": "raw"}
"""Format -> module in `nimakit.images.decoders` that registers its decoder with Pillow."""
_INSTALL = "Install with: pip install 'nimakit[formats]'"


@contextmanager
def open_image(
    source: str | os.PathLike[str] | Encoded | IO[bytes], formats: Sequence[str] = FORMATS
) -> Iterator[Image.Image]:
    """Read the header of an image. Its content decides which decoder sees it; no other one does.

    Args:
        source: A path, encoded bytes, or a file at its beginning.
        formats: Those of `nimakit.images.formats.FORMATS` to accept.

    Yields:
        The image, not decoded yet.

    Raises:
        ImageError: It is damaged, of another format, not a regular file, or its decoder is not installed.
        OSError: It cannot be read. Decoders raise almost anything else.
    """
    with _stream(source) as stream:
        name = identify(stream)
        if name not in formats:
            content = f"it is {KINDS[name].title}" if name else "its content is none of these"
            raise ImageError(f"The file must be an image ({', '.join(formats)}); {content}.")
        load_decoder(name)
        try:
            image = Image.open(stream, formats=(name,))
        except UnidentifiedImageError as error:
            raise ImageError(
                f"The image cannot be decoded: the file is a damaged {KINDS[name].title}, or of a kind that"
                " is not supported."
            ) from error
        with image:
            yield image


def load_decoder(name: str) -> None:
    """Load the decoder of a format.

    Args:
        name: One of `nimakit.images.formats.FORMATS`.

    Raises:
        ImageError: It is not installed.
    """
    if name not in _PLUGINS:
        return
    try:
        import_module(f"nimakit.images.decoders.{_PLUGINS[name]}")
    except ModuleNotFoundError as error:
        raise ImageError(
            f"{KINDS[name].title} files need a package that is not installed. {_INSTALL}"
        ) from error


def load_decoders(formats: Sequence[str], notify: Callable[[str], None]) -> tuple[str, ...]:
    """Load decoders at the start of a server: later, with too many open files, it could not be done.

    Args:
        formats: Those of `nimakit.images.formats.FORMATS` that will be opened.
        notify: Called with a sentence about those whose decoder is not installed.

    Returns:
        The others.
    """
    missing = []
    for name in formats:
        try:
            load_decoder(name)
        except ImageError:
            missing.append(name)
    if missing:
        titles = ", ".join(KINDS[name].title for name in missing)
        notify(f"{titles} files cannot be read: their decoders are not installed. {_INSTALL}")
    return tuple(name for name in formats if name not in missing)


@contextmanager
def _stream(source: str | os.PathLike[str] | Encoded | IO[bytes]) -> Iterator[IO[bytes]]:
    if isinstance(source, Encoded):
        yield io.BytesIO(source)
    elif isinstance(source, str | os.PathLike):
        if not stat.S_ISREG(os.stat(source).st_mode):  # noqa: PTH116 - the source may be text
            raise ImageError("An image must be a regular file, not a folder, a pipe or a device.")
        with open(source, "rb") as stream:  # noqa: PTH123 - the source may be text
            yield stream
    else:
        yield source

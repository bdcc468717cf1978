"""Every error nimakit raises on purpose; each class has its exit code and HTTP status.

A message gives the rule, then ``Received: ...``, then the remedy.
"""

import errno
import os
from collections.abc import Sequence
from importlib import import_module


class NimakitError(Exception):
    """Base of every error raised on purpose."""

    exit_code = 1
    http_status = 500


class UsageError(NimakitError):
    """An invalid argument: a missing path, an empty folder, a contradiction."""

    http_status = 400


class NoImagesError(UsageError):
    """A folder without images whose sub-folders were not searched."""


class ConfigError(NimakitError):
    """A configuration file that breaks rules; the message lists all of them."""

    http_status = 400


class LabelError(NimakitError):
    """An invalid file of labels or ratings."""

    http_status = 400


class UnratedError(NimakitError):
    """A text without a rating; other texts of its file may have one."""

    exit_code = 2
    http_status = 422


class AmbiguousRatingError(UnratedError):
    """A text with several ratings, or with a number that may mean something else."""


class MissingExtraError(NimakitError):
    """An optional package is missing; the message says how to install it."""


class ModelError(NimakitError):
    """A model file that cannot be used, or an unknown model name."""


class TasteError(ModelError):
    """A file of a user's or a population's taste that is broken or belongs to another model."""


class UnknownUserError(NimakitError):
    """A user whose taste file the server does not have."""

    http_status = 404


class WeightsError(ModelError):
    """Keras weights that cannot be used: the wrong backbone, unsafe content, a wrong hash."""


class DownloadError(WeightsError):
    """Weights that are neither cached nor reachable, most likely because there is no network."""


class ClusterError(NimakitError):
    """A Ray cluster that cannot be reached, or that gave up."""


class AccessError(NimakitError):
    """A service that refuses a request, most likely because permission is missing."""


class TrainingError(NimakitError):
    """A training job that cannot continue: its loss is not finite any more."""


class OutputError(NimakitError):
    """A result that could not be written."""


class UnwritableError(OutputError):
    """One file that could not be written because of its name or folder; other files can be."""


class StorageError(NimakitError):
    """The database of the rating app is unreachable or read-only, or its disk is full."""

    http_status = 503


class ImageError(NimakitError):
    """One image that cannot be scored; a batch continues with the others."""

    exit_code = 2
    http_status = 422


class ImageMissingError(ImageError):
    """An image that is missing, or outside the folder it must be in."""

    http_status = 404


class ImageTooLargeError(ImageError):
    """An image with too many pixels, refused before decoding."""

    http_status = 413


class ImageUnreadError(ImageError):
    """An image this machine failed to read: no memory, too many open files, a failing disk.

    It says nothing about the image, so the error is not cached; the next attempt may succeed.
    """

    http_status = 503


class BusyError(NimakitError):
    """A request that cannot be served now; the same request may succeed later."""

    http_status = 503


class UnknownModelError(ModelError):
    """The name of a model that is not served."""

    http_status = 404


def first_few(lines: Sequence[str], most: int) -> list[str]:
    """The first lines of a list in a message, and how many more there are.

    >>> first_few(["a", "b", "c"], 2)
    ['a', 'b', 'and 1 more']
    """
    more = len(lines) - most
    return [*lines[:most], *([f"and {more} more"] if more > 0 else [])]


def shortened(names: Sequence[str], most: int, separator: str = ", ") -> str:
    """The first names of a list in a sentence, and how many more there are.

    >>> shortened(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = len(names) - most
    return separator.join(names[:most]) + (f" and {more} more" if more > 0 else "")


def first_line(error: Exception) -> str:
    """The first line of an error's message, at most 300 characters; its class if it has no message."""
    return (str(error) or type(error).__name__).splitlines()[0][:300]


_FILE_ERRORS = {
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG),
    *(errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENXIO, errno.ENODEV),
}
"""Errors of opening a file that come from the file: its name, permissions or kind."""

_PILLOW_OUT_OF_MEMORY = ("out of memory", "decoder error -9")
"""Beginnings of Pillow errors without an errno; the second is raised for TIFF files."""


def machine_fault(error: BaseException, file: str | os.PathLike[str] | None = None) -> str:
    """Why this machine failed, if an error comes from the machine rather than from a file or the program.

    Args:
        error: The error raised.
        file: The file that was being read; None if no file can be the cause.

    Returns:
        The reason in words, without a path; empty if the content, the file or the program is the cause.

    >>> machine_fault(MemoryError())
    'not enough memory'
    >>> machine_fault(OSError(errno.EMFILE, "..."))
    'Too many open files'
    >>> machine_fault(FileNotFoundError(errno.ENOENT, "...", "a.jpg"), "a.jpg")
    ''
    """
    match error:
        case MemoryError():
            return "not enough memory"
        case ImportError():
            return "a part of the program could not be loaded"
        case OSError(errno=int(number)):
            is_about_file = file is not None and error.filename in (None, os.fspath(file))
            return "" if is_about_file and number in _FILE_ERRORS else os.strerror(number)
        case OSError() if str(error).startswith(_PILLOW_OUT_OF_MEMORY):  # without an errno
            return "not enough memory"
    return ""


def require_extra(extra: str, purpose: str, *modules: str) -> None:
    """Import optional modules early, so that a missing one does not waste hours of work.

    Args:
        extra: Extra of the package that installs them.
        purpose: A sentence that says what needs them.
        modules: Their names.

    Raises:
        MissingExtraError: One is not installed.
    """
    try:
        for name in modules:
            import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"{purpose} Install with: pip install 'nimakit[{extra}]'") from error

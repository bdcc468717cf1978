"""Every error nimakit raises on purpose; each class owns its exit code and its HTTP status.

A message says the rule, then ``Received: ...``, then what to do.
"""

import errno
import os


class NimakitError(Exception):
    """Base of every error raised on purpose."""

    exit_code = 1
    http_status = 500


class UsageError(NimakitError):
    """An argument that cannot be acted on: a missing path, an empty folder, a contradiction."""

    http_status = 400


class NoImagesError(UsageError):
    """A folder without images, whose sub-folders were not looked into."""


class ConfigError(NimakitError):
    """A configuration file that breaks a rule; the message lists every broken rule at once."""

    http_status = 400


class LabelError(NimakitError):
    """A label file that breaks the label-file contract."""

    http_status = 400


class UnratedError(NimakitError):
    """A text with no rating in it; the others of its file may have theirs."""

    exit_code = 2
    http_status = 422


class AmbiguousRatingError(UnratedError):
    """A text with several ratings, or with one that may be something else."""


class MissingExtraError(NimakitError):
    """An optional package is needed; the message holds the line that installs it."""


class ModelError(NimakitError):
    """A model file that cannot be used, or a name no model has."""


class TasteError(ModelError):
    """A user's file, or what many raters taught, that is broken or belongs to another model."""


class UnknownUserError(NimakitError):
    """A user a server has no file of."""

    http_status = 404


class WeightsError(ModelError):
    """Keras weights that cannot be used: the wrong backbone, unsafe content, a wrong hash."""


class DownloadError(WeightsError):
    """Weights that are neither cached nor reachable, for want of a network most of all."""


class AccessError(NimakitError):
    """A service that does not give what it was asked for, for want of permission most of all."""


class TrainingError(NimakitError):
    """A training job that cannot go on: a loss that is no number any more."""


class OutputError(NimakitError):
    """A result that could not be written."""


class UnwritableError(OutputError):
    """One file that could not be written, for its name or its place; those of other images can be."""


class StorageError(NimakitError):
    """The database of the rating app cannot be used: unreachable, read-only, or its disk is full."""

    http_status = 503


class ImageError(NimakitError):
    """One image that cannot be scored; the others of its batch are."""

    exit_code = 2
    http_status = 422


class ImageMissingError(ImageError):
    """An image that is not where it was, or not inside the folder it must be in."""

    http_status = 404


class ImageTooLargeError(ImageError):
    """An image refused by its pixel count, before anything is decoded."""

    http_status = 413


class ImageUnreadError(ImageError):
    """An image that a fault of this machine kept from being read: no memory, no free file, a failing disk.

    Nothing is known of the image, so nothing is kept of this; the next try may succeed.
    """

    http_status = 503


class BusyError(NimakitError):
    """A request there is no room or no time for now; the same one may succeed later."""

    http_status = 503


class UnknownModelError(ModelError):
    """A name that no served model has."""

    http_status = 404


def first_line(error: Exception) -> str:
    """What a library's error says, without the pages that may follow; its class where it says nothing."""
    return (str(error) or type(error).__name__).splitlines()[0][:300]


_OF_THE_FILE = {
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG),
    *(errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENXIO, errno.ENODEV),
}
"""What opening a file reports where the file is at fault: its name, its permissions or its kind."""

_PILLOW_OUT_OF_MEMORY = ("out of memory", "decoder error -9")
"""How its errors without an errno begin; the second of those of TIFF files."""


def machine_fault(error: BaseException, file: str | os.PathLike[str] | None = None) -> str:
    """Why this machine failed, where an error is a fault of the machine: the one place that tells them apart.

    Args:
        error: What was raised.
        file: The file that was read; None where it was none, so that no file can be at fault.

    Returns:
        The reason in words, without a path; empty where the content, the file or the program is at fault.

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
            is_of_the_file = file is not None and error.filename in (None, os.fspath(file))
            return "" if is_of_the_file and number in _OF_THE_FILE else os.strerror(number)
        case OSError() if str(error).startswith(_PILLOW_OUT_OF_MEMORY):  # without an errno
            return "not enough memory"
    return ""

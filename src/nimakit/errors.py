"""Every error nimakit raises on purpose; each class owns its exit code and its HTTP status.

A message says the rule, then ``Received: ...``, then what to do.
"""


class NimakitError(Exception):
    """Base of every error raised on purpose."""

    exit_code = 1
    http_status = 500


class UsageError(NimakitError):
    """An argument that cannot be acted on: a missing path, an empty folder, a contradiction."""

    http_status = 400


class ConfigError(NimakitError):
    """A configuration file that breaks a rule; the message lists every broken rule at once."""

    http_status = 400


class LabelError(NimakitError):
    """A label file that breaks the label-file contract."""

    http_status = 400


class MissingExtraError(NimakitError):
    """An optional package is needed; the message holds the line that installs it."""


class ModelError(NimakitError):
    """A model file that cannot be used, or a name no model has."""


class WeightsError(ModelError):
    """Keras weights that cannot be used: the wrong backbone, unsafe content, a wrong hash."""


class DownloadError(WeightsError):
    """Weights that are neither cached nor reachable, for want of a network most of all."""


class TrainingError(NimakitError):
    """A training job that cannot go on: a loss that is no number any more."""


class OutputError(NimakitError):
    """A result that could not be written."""


class ImageError(NimakitError):
    """One image that cannot be scored; the others of its batch are."""

    exit_code = 2
    http_status = 422


class ImageTooLargeError(ImageError):
    """An image refused by its pixel count, before anything is decoded."""

    http_status = 413


def first_line(error: Exception) -> str:
    """What a library's error says, without the pages that may follow; its class where it says nothing."""
    return (str(error) or type(error).__name__).splitlines()[0][:300]

"""Scoring server: scores over HTTP, decoded, batched and computed in one process."""

from nimakit.errors import require_extra

EXTENSION = "nimakit"
"""Key of an application's `Service` in its extensions."""


def require() -> None:
    """Check that the server's libraries are installed.

    Raises:
        MissingExtraError: One of them is not.
    """
    require_extra("serve", "Serving needs more libraries.", "flask_limiter", "gunicorn", "prometheus_client")

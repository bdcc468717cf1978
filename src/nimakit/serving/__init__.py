"""Scoring server: scores over HTTP, decoded, batched and computed in one process."""

from nimakit.errors import MissingExtraError

EXTENSION = "nimakit"
"""Key of an application's `Service` in its extensions."""


def require() -> None:
    """Check that the server's libraries are installed.

    Raises:
        MissingExtraError: One of them is not.
    """
    try:
        import flask_limiter  # noqa: F401
        import gunicorn  # type: ignore[import-untyped]  # noqa: F401
        import prometheus_client  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "Serving needs more libraries. Install them: pip install 'nimakit[serve]'"
        ) from error

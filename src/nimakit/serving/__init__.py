"""Scores over HTTP: one process that decodes, batches and scores what clients send."""

from nimakit.errors import MissingExtraError

EXTENSION = "nimakit"
"""Where an application keeps its service, among its extensions."""


def require() -> None:
    """Refuse early what needs the libraries of the server.

    Raises:
        MissingExtraError: One of them is not installed.
    """
    try:
        import flask  # noqa: F401
        import gunicorn  # type: ignore[import-untyped]  # noqa: F401
        import prometheus_client  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "Serving needs Flask, gunicorn and prometheus-client. Install them: pip install 'nimakit[serve]'"
        ) from error

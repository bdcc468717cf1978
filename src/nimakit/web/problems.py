"""Answers to requests that fail: a page, or JSON for scripts, in the rater's language."""

from flask import Flask, current_app, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError  # type: ignore[import-untyped]
from werkzeug.exceptions import HTTPException

from nimakit.errors import ImageUnreadError, NimakitError, OutputError, StorageError, machine_fault
from nimakit.web.languages import lazy_gettext

_DATABASE_FAILED = lazy_gettext(
    "The app's database does not answer, or its disk is full. Nothing was saved; try again later."
    " The reason is in the app's log."
)
_MACHINE_FAILED = lazy_gettext(
    "The app has run out of memory, open files or disk space. Nothing was saved; try again later."
    " The reason is in the app's log."
)
_DESCRIPTIONS = {
    400: lazy_gettext("The browser sent a request that this server could not understand."),
    401: lazy_gettext("Open your invitation or personal link to sign in."),
    403: lazy_gettext("You don't have the permission to open this page."),
    404: lazy_gettext("There is no such page. Check the address, or start from the first page."),
    405: lazy_gettext("This address cannot be opened directly."),
    413: lazy_gettext("What was sent is too large."),
    429: lazy_gettext("There were too many attempts. Try again in a few minutes."),
    500: lazy_gettext("The app met an error that it did not expect. The reason is in the app's log."),
}
_CSRF_FAILED = lazy_gettext("This page has expired. Reload it and try again.")


def handle_errors(app: Flask) -> None:
    """Answer errors of an app."""
    app.register_error_handler(HTTPException, _show_http_error)
    app.register_error_handler(NimakitError, _show_error)
    for kind in (ImageUnreadError, OutputError, MemoryError, OSError, ImportError):
        app.register_error_handler(kind, _show_failure)


def _show_error(error: NimakitError) -> ResponseReturnValue:
    if isinstance(error, StorageError):
        # The message names the database, which visitors must not learn.
        current_app.logger.error("%s", error)
        return _problem(error.http_status, str(_DATABASE_FAILED))
    return _problem(error.http_status, str(error))


def _show_failure(error: Exception) -> ResponseReturnValue:
    """Log a failure of this machine; the answer must not contain its paths."""
    if not isinstance(error, ImageUnreadError | OutputError) and not machine_fault(error):
        raise error
    current_app.logger.error("%s %s failed", request.method, request.path, exc_info=error)
    return _problem(503, str(_MACHINE_FAILED))


def _show_http_error(error: HTTPException) -> ResponseReturnValue:
    if error.code is None or error.code < 400:
        return error  # redirections
    if isinstance(error, CSRFError):
        return _problem(error.code, str(_CSRF_FAILED), is_csrf=True)
    # Werkzeug's own descriptions are in English; that of 429 is the limit.
    own = None if error.code == 429 else vars(error).get("description")
    return _problem(error.code, str(own or _DESCRIPTIONS.get(error.code, error.description or error.name)))


def _problem(status: int, reason: str, *, is_csrf: bool = False) -> ResponseReturnValue:
    """An error page, or JSON for requests from scripts."""
    if request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json":
        return jsonify(reason=reason, csrf=is_csrf), status
    return render_template("error.html", status=status, reason=reason), status

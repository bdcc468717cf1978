"""Runs the app in gunicorn with one worker process, which is replaced when it dies."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

from nimakit.errors import NimakitError
from nimakit.io.sockets import bracketed, check_address
from nimakit.progress import say
from nimakit.serving.http.worker import BufferingWorker
from nimakit.web import browser
from nimakit.web.settings import PASSWORD_VARIABLE, Settings

if TYPE_CHECKING:
    from flask import Flask

_FAILED = 1
_SECONDS_STUCK = 120
_SECONDS_TO_FINISH = 10
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - writable in a container whose root is not


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn's master process.

    Args:
        settings: How the app runs.
        what: Names of the collections, for the log.
        opens_browser: Whether to open the app in a browser, if it was started from a desktop.
    """

    def __init__(self, settings: Settings, what: str, *, opens_browser: bool) -> None:
        self._settings = settings
        self._what = what
        self._opens_browser = opens_browser
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn's options."""
        values: dict[str, Any] = {
            "bind": f"{bracketed(self._settings.listen)}:{self._settings.port}",
            "workers": 1,
            "worker_class": BufferingWorker,
            "timeout": _SECONDS_STUCK,
            "graceful_timeout": _SECONDS_TO_FINISH,
            "keepalive": 1,
            "loglevel": "warning",
            "control_socket_disable": True,
            "forwarded_allow_ips": "",
            "secure_scheme_headers": {},
            "worker_tmp_dir": str(_SHARED_MEMORY) if _SHARED_MEMORY.is_dir() else None,
            "when_ready": self._say_ready,
        }
        for name, value in values.items():
            self.cfg.set(name, value)

    def load(self) -> "Flask":
        """Create the app; gunicorn calls this in the worker process."""
        try:
            from nimakit.web.app import create_app  # loads ONNX Runtime, which must not be forked

            return create_app(self._settings)
        except NimakitError as error:
            say(f"error: {error}")
            sys.exit(_FAILED)

    def _say_ready(self, arbiter: Any) -> None:
        address = self._settings.address(arbiter.LISTENERS[0].getsockname()[1])
        say(f"rating {self._what} at {address}")
        if self._settings.is_local:
            say(
                "only this machine can reach it; for others, start it with --host 0.0.0.0 and a password in"
                f" {PASSWORD_VARIABLE}"
            )
        if self._opens_browser and browser.should_open():
            browser.open_page(address)


def serve(settings: Settings, what: str, *, opens_browser: bool = False) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: How the app runs.
        what: Names of the collections, for the log.
        opens_browser: Whether to open the app in a browser, if it was started from a desktop.

    Raises:
        UsageError: The address cannot be listened on.
    """
    check_address(settings.listen, settings.port)
    try:
        Server(settings, what, opens_browser=opens_browser).run()
    except SystemExit as stopped:
        sys.exit(_FAILED if stopped.code else 0)

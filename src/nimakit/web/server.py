"""gunicorn, run with our settings: one worker process with a few threads, replaced when it dies."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

from nimakit.addresses import check_address
from nimakit.errors import NimakitError
from nimakit.progress import say
from nimakit.web.settings import Settings

if TYPE_CHECKING:
    from flask import Flask

_FAILED = 1
_THREADS = 16
_SECONDS_STUCK = 120
_SECONDS_TO_FINISH = 10
_SECONDS_A_TURN = 0.0005
"""A thread that comes back from the database waits at most so long for each that computes; Python's own 5 ms
add up, as a rating goes to the database and back a dozen times."""
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - writable in a container whose root is not


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn's master process.

    Args:
        settings: How the app runs.
        what: What is rated, for the line that says where.
    """

    def __init__(self, settings: Settings, what: str) -> None:
        self._settings = settings
        self._what = what
        super().__init__()

    def load_config(self) -> None:
        """Tell gunicorn what it needs to know."""
        listen = self._settings.listen
        host = f"[{listen}]" if ":" in listen else listen
        values: dict[str, Any] = {
            "bind": f"{host}:{self._settings.port}",
            "workers": 1,
            "worker_class": "gthread",
            "threads": _THREADS,
            "timeout": _SECONDS_STUCK,
            "graceful_timeout": _SECONDS_TO_FINISH,
            "keepalive": 75,  # a rater looks at a picture for a while, and asks on the same connection
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
        """The application; gunicorn calls this in the worker's process."""
        sys.setswitchinterval(_SECONDS_A_TURN)
        try:
            from nimakit.web.app import create_app  # loads the runtime, which must not be forked

            return create_app(self._settings)
        except NimakitError as error:
            say(f"error: {error}")
            sys.exit(_FAILED)

    def _say_ready(self, arbiter: Any) -> None:
        port = arbiter.LISTENERS[0].getsockname()[1]
        say(f"rating {self._what} at {self._settings.address(port)}")


def serve(settings: Settings, what: str) -> None:
    """Serve until told to stop (SIGTERM, SIGINT).

    Args:
        settings: How the app runs.
        what: What is rated, for the one line that says where.

    Raises:
        UsageError: An address that cannot be listened on.
    """
    check_address(settings.listen, settings.port)
    try:
        Server(settings, what).run()
    except SystemExit as stopped:
        sys.exit(_FAILED if stopped.code else 0)

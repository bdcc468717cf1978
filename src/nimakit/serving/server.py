"""gunicorn, run with our settings: one worker process, which loads the models after it was forked."""

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from nimakit.errors import NimakitError
from nimakit.io.sockets import bracketed, browser_address, check_address, is_local_address
from nimakit.models.conversion import fetch
from nimakit.models.pretrained import public_models
from nimakit.progress import say
from nimakit.serving.http.worker import BufferingWorker
from nimakit.serving.settings import Settings

if TYPE_CHECKING:
    from flask import Flask

_FAILED = 1
_STUCK_S = 120
"""Seconds without a sign of life after which a worker is replaced; loading many models takes some."""

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - writable in a container whose root is not


class Log(Logger):  # type: ignore[misc]
    """gunicorn's log, without what it adds where no model could be loaded: the worker has said why."""

    _is_over = False

    def error(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Write a line, unless a worker has ended with `Arbiter.APP_LOAD_ERROR`, which ends the server."""
        self._is_over |= args[1:] == (Arbiter.APP_LOAD_ERROR,)
        if not self._is_over:
            super().error(msg, *args, **kwargs)


class Master(Arbiter):  # type: ignore[misc]
    """gunicorn's master, which keeps the worker it has where another could not load its models."""

    def handle_hup(self) -> None:
        """SIGHUP: load the models anew."""
        if self.app.loads():
            super().handle_hup()
        else:
            say("the models stay as they were")


class Server(BaseApplication):  # type: ignore[misc]
    """What gunicorn runs.

    Args:
        settings: How it runs.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Tell gunicorn what it needs to know; the rest is the worker's."""
        settings = self.settings
        values: dict[str, Any] = {
            "bind": f"{bracketed(settings.host)}:{settings.port}",
            "workers": 1,
            "worker_class": BufferingWorker,
            "timeout": _STUCK_S,
            "graceful_timeout": max(1, round(settings.drain_timeout_s)),
            "keepalive": 1,
            "logger_class": Log,
            "loglevel": "warning",
            "control_socket_disable": True,
            "forwarded_allow_ips": "",
            "secure_scheme_headers": {},
            "worker_tmp_dir": str(_SHARED_MEMORY) if _SHARED_MEMORY.is_dir() else None,
            "post_worker_init": _say_ready,
        }
        for name, value in values.items():
            if name in self.cfg.settings:  # older versions have no control socket to be disabled
                self.cfg.set(name, value)

    def load(self) -> "Flask":
        """The application; gunicorn calls this in the worker's process."""
        try:
            from nimakit.serving.app import create_app  # loads the runtime, which must not be forked

            return create_app(self.settings)
        except NimakitError as error:
            say(f"error: {error}")
            sys.exit(Arbiter.APP_LOAD_ERROR)  # with any other code it would be started again, for ever

    def loads(self) -> bool:
        """Whether the application loads as its files are now, tried in a process of its own."""
        child = os.fork()
        if child == 0:
            code = _FAILED
            try:
                self.load()
                code = 0
            finally:
                os._exit(code)  # threads run, and nothing of the master's is to be cleaned up
        return os.waitpid(child, 0)[1] == 0

    def run(self) -> None:
        """Run it, until told to stop."""
        Master(self).run()


def serve(settings: Settings) -> None:
    """Serve until told to stop (SIGTERM, SIGINT).

    Raises:
        UsageError: An address that cannot be listened on.
    """
    check_address(settings.host, settings.port)
    for source in settings.models:
        if source.model in public_models():
            # The worker says what is wrong; it has no minutes to spend on a download itself.
            with contextlib.suppress(NimakitError):
                fetch(source.model, notify=say)
    master = os.getpid()
    try:
        Server(settings).run()
    except SystemExit as stopped:
        if os.getpid() != master:
            raise  # a worker's, whose code the master reads
        sys.exit(_FAILED if stopped.code else 0)


def _say_ready(worker: BufferingWorker) -> None:
    names = ", ".join(source.name for source in worker.app.settings.models)
    addresses = [listener.getsockname() for listener in worker.sockets]
    reached = [browser_address(host, port) for host, port, *_ in addresses]
    say(f"serving {names} at {', '.join(f'http://{address}' for address in reached)}")
    if all(map(is_local_address, reached)):
        say("only this machine can reach it; start it with --host 0.0.0.0 for others to reach it too")

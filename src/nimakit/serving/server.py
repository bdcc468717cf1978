"""gunicorn server with one worker process, which loads the models after the fork."""

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
"""Seconds after which a worker that does not respond is replaced; loading many models takes a while."""

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - writable in a container with a read-only root


class Log(Logger):  # type: ignore[misc]
    """gunicorn's log, without its errors after no model could be loaded: the worker has reported why."""

    _load_failed = False

    def error(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log an error, unless a worker has exited with `Arbiter.APP_LOAD_ERROR`, which stops the server."""
        self._load_failed |= args[1:] == (Arbiter.APP_LOAD_ERROR,)
        if not self._load_failed:
            super().error(msg, *args, **kwargs)


class Master(Arbiter):  # type: ignore[misc]
    """gunicorn's master, which keeps its worker if a new one could not load the models."""

    def handle_hup(self) -> None:
        """SIGHUP: reload the models."""
        if self.app.loads():
            super().handle_hup()
        else:
            say("no model could be loaded: the previous ones stay")


class Server(BaseApplication):  # type: ignore[misc]
    """The gunicorn application."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn's options; the others concern only its own workers."""
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
            "post_worker_init": _report_ready,
        }
        for name, value in values.items():
            if name in self.cfg.settings:  # older versions have no control socket
                self.cfg.set(name, value)

    def load(self) -> "Flask":
        """Create the application; gunicorn calls this in the worker's process."""
        try:
            from nimakit.serving.app import create_app  # loads ONNX Runtime, which must not be forked

            return create_app(self.settings)
        except NimakitError as error:
            say(f"error: {error}")
            sys.exit(Arbiter.APP_LOAD_ERROR)  # any other code would restart the worker forever

    def loads(self) -> bool:
        """Whether the application can be loaded now, tried in a child process."""
        child = os.fork()
        if child == 0:
            code = _FAILED
            try:
                self.load()
                code = 0
            finally:
                os._exit(code)  # skips the master's cleanup, and the threads
        return os.waitpid(child, 0)[1] == 0

    def run(self) -> None:
        """Run until told to stop."""
        Master(self).run()


def serve(settings: Settings) -> None:
    """Serve until told to stop (SIGTERM, SIGINT).

    Raises:
        UsageError: The server cannot listen on the address.
    """
    check_address(settings.host, settings.port)
    for source in settings.models:
        if source.model in public_models():
            # The worker has no time for a download; it reports what is wrong.
            with contextlib.suppress(NimakitError):
                fetch(source.model, notify=say)
    master = os.getpid()
    try:
        Server(settings).run()
    except SystemExit as stopped:
        if os.getpid() != master:
            raise  # a worker's exit, whose code the master reads
        sys.exit(_FAILED if stopped.code else 0)


def _report_ready(worker: BufferingWorker) -> None:
    names = ", ".join(source.name for source in worker.app.settings.models)
    addresses = [listener.getsockname() for listener in worker.sockets]
    reached = [browser_address(host, port) for host, port, *_ in addresses]
    say(f"serving {names} at {', '.join(f'http://{address}' for address in reached)}")
    if all(map(is_local_address, reached)):
        say("only this machine can reach it; to let other machines reach it, use --host 0.0.0.0")

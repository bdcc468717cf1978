"""How many connections the descriptors of a process allow."""

import os
import resource

from nimakit.errors import NimakitError
from nimakit.progress import say
from nimakit.serving.http.front import Limits

_RESERVED = 64
_PER_THREAD = 2
"""Descriptors that a thread may need at a time: a picture, a database."""

_REMEDY = "Allow it more of them (ulimit -Hn, docker run --ulimit nofile=65536, systemd's LimitNOFILE)"
_LEAST_CONNECTIONS = 16
"""In addition to one for each thread, so that every thread can be busy."""


def affordable_connections(limits: Limits, bodies_in_files: bool) -> int:
    """Connections there may be, so that whatever clients do the server can still open files.

    The limit of open files is raised as far as the system lets a process raise it. Where that leaves fewer
    connections than are wanted, a line says so.

    Args:
        limits: What is wanted.
        bodies_in_files: Whether a connection may take a second descriptor for its body.

    Raises:
        NimakitError: Fewer than the threads, and 16 more, can be had.
    """
    each = 2 if bodies_in_files else 1
    kept = _open_descriptors() + _RESERVED + _PER_THREAD * limits.threads
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = kept + each * limits.max_connections
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return limits.max_connections
    found = (soft - kept) // each
    least = min(limits.max_connections, limits.threads + _LEAST_CONNECTIONS)
    if found < least:
        raise NimakitError(
            f"The server must be able to open {kept + each * least} files, for {limits.threads} threads and"
            f" {least} connections. Received: a limit of {soft}. {_REMEDY}; `nimakit serve` needs"
            " fewer with a lower queue_size."
        )
    say(
        f"{found} connections instead of {limits.max_connections}: a process may open {soft} files here,"
        f" and {wanted} are needed. {_REMEDY}."
    )
    return found


def _open_descriptors() -> int:
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return 0

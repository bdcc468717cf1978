"""Compute how many connections the process can accept within its limit of open files."""

import os
import resource

from nimakit.errors import NimakitError
from nimakit.progress import say
from nimakit.serving.http.front import Limits

_RESERVED = 64
_PER_THREAD = 2
"""Descriptors a thread may need at a time: an image, a database."""

_REMEDY = "Raise the limit (ulimit -Hn, docker run --ulimit nofile=65536, systemd's LimitNOFILE)"
_SPARE_CONNECTIONS = 16
"""Connections needed in addition to one for each thread, so that every thread can be busy."""


def affordable_connections(limits: Limits, bodies_in_files: bool) -> int:
    """Number of connections that leaves the server descriptors for its own files.

    Raises the process's limit of open files as far as the system allows, and reports if that leaves fewer
    connections than `limits` asks for.

    Args:
        limits: The wanted connections and threads.
        bodies_in_files: Whether a connection may take a second descriptor, for its body.

    Raises:
        NimakitError: There are not enough for the threads and 16 more.
    """
    each = 2 if bodies_in_files else 1
    reserved = _open_descriptors() + _RESERVED + _PER_THREAD * limits.threads
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = reserved + each * limits.max_connections
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return limits.max_connections
    found = (soft - reserved) // each
    needed = min(limits.max_connections, limits.threads + _SPARE_CONNECTIONS)
    if found < needed:
        raise NimakitError(
            f"The server must be able to open {reserved + each * needed} files, for {limits.threads} threads"
            f" and {needed} connections. Received: a limit of {soft}. {_REMEDY}, or lower the queue_size of"
            " `nimakit serve`."
        )
    say(
        f"{found} connections instead of {limits.max_connections}: the limit of open files is {soft}, and"
        f" {wanted} are needed. {_REMEDY}."
    )
    return found


def _open_descriptors() -> int:
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return 0

"""How many connections the descriptors of a process allow."""

import os
import resource

from nimakit.serving.front import Limits

_RESERVED = 64
_PER_THREAD = 2
"""Descriptors that a thread may need at a time: a picture, a database."""


def affordable_connections(limits: Limits, bodies_in_files: bool) -> int:
    """Connections there may be, so that whatever clients do the server can still open files.

    The limit of open files is raised as far as the system lets a process raise it.

    Args:
        limits: What is wanted.
        bodies_in_files: Whether a connection may take a second descriptor for its body.
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
    return max(1, (soft - kept) // each)


def _open_descriptors() -> int:
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return 0

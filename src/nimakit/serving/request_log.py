"""Request log: one line of JSON on stdout for each request."""

import contextlib
import json
import sys
import threading
from datetime import UTC, datetime
from typing import Any

_LOCK = threading.Lock()

FIELDS = (
    *("id", "method", "route", "status", "model", "images"),
    *("queue_ms", "decode_ms", "inference_ms", "total_ms", "key"),
)
"""Fields of a line after its time; null if they do not apply to the request."""


def write_line(**values: Any) -> None:
    """Write the line of a request; if that fails, the request continues.

    Args:
        values: Values of `FIELDS`. `route` is the pattern of the path, never the path itself; `key` is the
            name of the API key's owner.
    """
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = json.dumps({"time": time, **{name: values.get(name) for name in FIELDS}})
    # A text stream is not safe for several threads; the disk may be full, or the reader gone.
    with _LOCK, contextlib.suppress(OSError):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

"""One line of JSON on stdout for each request."""

import contextlib
import json
import sys
import threading
from datetime import UTC, datetime
from typing import Any

_LOCK = threading.Lock()

FIELDS = (
    "id",
    "method",
    "route",
    "status",
    "model",
    "images",
    "queue_ms",
    "decode_ms",
    "inference_ms",
    "total_ms",
    "key",
)
"""What follows the time; null where a request has none."""


def write_line(**values: Any) -> None:
    """Write the line of a request; where it cannot be written, the request goes on without.

    Args:
        values: Of `FIELDS`. `route` is the pattern of its path, never the path itself, `key` the name of the
            API key's holder.
    """
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = json.dumps({"time": time, **{name: values.get(name) for name in FIELDS}})
    # A text stream is not made for several threads; its disk may be full, its reader gone.
    with _LOCK, contextlib.suppress(OSError):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

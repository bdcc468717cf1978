"""Opens the app in a browser when it is started from a desktop."""

import os
import subprocess
import sys

_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
"""On Linux one of these variables is set if a browser can open a window rather than use the terminal."""
_SSH = "SSH_CONNECTION"


def should_open() -> bool:
    """Whether the app was started from a terminal of a machine that can show a browser, and not over SSH."""
    if not (sys.stdout.isatty() and sys.stderr.isatty()) or _SSH in os.environ:
        return False
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in _SCREENS)


def open_page(address: str) -> None:
    """Open an address in a browser, from a separate process because some browsers block."""
    nothing = subprocess.DEVNULL
    subprocess.Popen(
        [sys.executable, "-m", "webbrowser", address],
        stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True,
    )  # fmt: skip

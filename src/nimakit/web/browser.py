"""The browser of whoever starts the app."""

import os
import subprocess
import sys

_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
"""Variables one of which Linux has where a browser has a window, rather than the terminal itself."""
_FROM_AFAR = "SSH_CONNECTION"


def is_wanted() -> bool:
    """Whether the app was started from a terminal of a machine that can show a browser, and not over SSH."""
    if not (sys.stdout.isatty() and sys.stderr.isatty()) or _FROM_AFAR in os.environ:
        return False
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in _SCREENS)


def open_page(address: str) -> None:
    """Open an address in the browser of this machine, in a process of its own: some browsers block."""
    nothing = subprocess.DEVNULL
    subprocess.Popen(
        [sys.executable, "-m", "webbrowser", address],
        stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True,
    )  # fmt: skip

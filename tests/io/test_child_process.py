"""nimakit.io.child_process: calls in a process of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from nimakit.errors import ImageError, ImageTooLargeError
from nimakit.io.child_process import ChildProcess


@pytest.fixture(scope="module")
def child() -> Iterator[ChildProcess]:
    """A child process, closed at the end."""
    child = ChildProcess()
    yield child
    child.close()


def _fail(error: Exception) -> None:
    raise error


def test_calls_run_in_another_process_of_lower_priority(child: ChildProcess) -> None:
    """All calls run in the same one."""
    assert child.run(os.getpid) == child.run(os.getpid) != os.getpid()
    assert child.run(os.getpriority, os.PRIO_PROCESS, 0) >= min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)


def test_errors_come_back_as_they_were(child: ChildProcess) -> None:
    """Their class decides on the response."""
    with pytest.raises(ImageTooLargeError, match="at most 5 pixels"):
        child.run(_fail, ImageTooLargeError("An image has at most 5 pixels."))
    with pytest.raises(ImageError, match="damaged"):
        child.run(_fail, ImageError("damaged"))


def test_an_ended_process_fails_its_call_and_is_replaced(child: ChildProcess) -> None:
    """The system ends it when memory runs out."""
    first = child.run(os.getpid)
    with pytest.raises(MemoryError):
        child.run(os.kill, first, signal.SIGKILL)
    assert child.run(os.getpid) != first


def test_the_process_ends_with_its_parent() -> None:
    """Also if the parent is killed, and has no time to close anything."""
    script = (
        "import os, signal\n"
        "from nimakit.io.child_process import ChildProcess\n"
        "if __name__ == '__main__':\n"
        "    print(ChildProcess().run(os.getpid), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    output, _ = parent.communicate(timeout=60)  # ends once all processes that have the pipe have ended
    assert int(output) != parent.pid
    assert parent.returncode == -signal.SIGKILL

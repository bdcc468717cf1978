"""nimakit.progress: progress of long work on stderr."""

import io
import itertools
import logging
import sys
import time

import pytest

from nimakit.progress import PrintableRecord, say, track


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_hands_on_every_item_in_order() -> None:
    """What comes in goes out, whatever is shown."""
    assert list(track(iter(range(50)), 50, "scoring")) == list(range(50))


def test_says_nothing_of_short_work(capsys: pytest.CaptureFixture[str]) -> None:
    """A few items, or a quick run into a file, need no line."""
    list(track(range(19), 19, "scoring"))
    list(track(range(100), 100, "scoring"))
    assert capsys.readouterr() == ("", "")


def test_says_a_line_now_and_then_in_a_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where stderr is no terminal, a line comes every ten seconds with what is left."""
    clock = itertools.count(step=3)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    list(track(range(20), 20, "scoring"))
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert lines[0] == "scoring: 4 of 20, 0.333 a second, about 48 s left"
    assert len(lines) == 5


def test_draws_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets a bar that ends at the total."""
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert len(list(track(range(30), 30, "drawing"))) == 30
    assert "drawing" in terminal.getvalue()
    assert "30/30" in terminal.getvalue()


STEERING = "\x1b]0;a\x07\x9b2J\r\u202eb\nc\tü"
SHOWN = r"\x1b]0;a\x07\x9b2J\r\u202eb" + "\nc\tü"


def test_what_strangers_wrote_does_not_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters are written out; lines, tabs and letters stay."""
    say(f"{STEERING}.jpg: broken")
    assert capsys.readouterr().err == f"nimakit: {SHOWN}.jpg: broken\n"


def test_logs_do_not_steer_a_terminal_either() -> None:
    """Arguments, and the errors whose traceback is shown."""
    try:
        raise ValueError(STEERING)
    except ValueError:
        failure = sys.exc_info()
    record = PrintableRecord("a", logging.ERROR, __file__, 1, "%s", (STEERING,), failure)
    text = logging.Formatter().format(record)
    assert text.startswith(f"{SHOWN}\nTraceback ")
    assert text.endswith(f"ValueError: {SHOWN}")

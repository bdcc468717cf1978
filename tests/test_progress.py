"""nimakit.progress: progress of long work on stderr."""

import io
import itertools
import sys
import time

import pytest

from nimakit.progress import track


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
    assert lines[0] == "scoring: 4 of 20, about 48 s left"
    assert len(lines) == 5


def test_draws_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets a bar that ends at the total."""
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert len(list(track(range(30), 30, "drawing"))) == 30
    assert "drawing" in terminal.getvalue()
    assert "30/30" in terminal.getvalue()

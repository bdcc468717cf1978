"""Messages and progress on stderr: lines, and a progress bar (lines if stderr is not a terminal)."""

import logging
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, TypeVar

import click

Item = TypeVar("Item")

_SECONDS_BETWEEN_LINES = 10.0
_BAR_FROM = 20
"""Fewer items are done before a progress bar is of any use."""

_CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters other than tab and newline, and those that change the direction of text."""


def printable(text: str) -> str:
    r"""Escape what would control a terminal: names, metadata and error messages may come from strangers.

    >>> print(printable("a\x1b[2J.jpg"))
    a\x1b[2J.jpg
    """
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class PrintableRecord(logging.LogRecord):
    """A log record with a `printable` message, for libraries and servers that log to the terminal."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.exc_info:
            self.exc_text = printable("".join(traceback.format_exception(*self.exc_info)).rstrip())

    def getMessage(self) -> str:  # noqa: N802 - the library's name
        """The message with its arguments."""
        return printable(super().getMessage())


def say(text: str) -> None:
    """Print a message on stderr; stdout is for results only."""
    print(f"nimakit: {printable(text)}", file=sys.stderr, flush=True)


def say_once() -> Callable[[str], None]:
    """A `say` that prints each message only once, for folders that are scanned several times."""
    return cache(say)


def track(items: Iterable[Item], total: int | None, label: str) -> Iterator[Item]:
    """Yield the items and show progress on stderr.

    Args:
        items: Any iterable.
        total: Number of items, if it is known.
        label: Name of the work, such as "scoring".
    """
    if total is not None and total < _BAR_FROM:
        yield from items
    elif sys.stderr.isatty():
        with click.progressbar(
            items, total, label, show_pos=True, file=sys.stderr, update_min_steps=8
        ) as bar:
            yield from bar
    else:
        yield from _with_lines(items, total, label)


def _with_lines(items: Iterable[Item], total: int | None, label: str) -> Iterator[Item]:
    started = printed = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - printed >= _SECONDS_BETWEEN_LINES:
            printed = now
            speed = done / (now - started)
            of = "" if total is None else f" of {total}"
            left = "" if total is None else f", about {max(total - done, 0) / speed:.0f} s left"
            print(f"{label}: {done}{of}, {speed:.3g} a second{left}", file=sys.stderr, flush=True)

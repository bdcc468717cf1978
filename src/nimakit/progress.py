"""What people are told on stderr: a line, or how far long work is (a bar on a terminal, else lines)."""

import logging
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import click

Item = TypeVar("Item")

_SECONDS_BETWEEN_LINES = 10.0
_BAR_FROM = 20
"""Fewer items than that are done before a bar is of use."""


_STEERING = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters other than tab and newline, and those that turn the direction of text around."""


def printable(text: str) -> str:
    r"""Text with what would steer a terminal written out: names, metadata and errors come from strangers.

    >>> print(printable("a\x1b[2J.jpg"))
    a\x1b[2J.jpg
    """
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class PrintableRecord(logging.LogRecord):
    """What a log says, `printable`: libraries and servers log to the same terminal as `say`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.exc_info:
            self.exc_text = printable("".join(traceback.format_exception(*self.exc_info)).rstrip())

    def getMessage(self) -> str:  # noqa: N802 - the library's name
        """The message with its arguments."""
        return printable(super().getMessage())


def say(text: str) -> None:
    """A line for people, on stderr: stdout carries results alone."""
    print(f"nimakit: {printable(text)}", file=sys.stderr, flush=True)


def say_once() -> Callable[[str], None]:
    """A `say` that passes over what it has said before, for a folder that is looked through several times."""
    said: set[str] = set()

    def say_new(text: str) -> None:
        if text not in said:
            said.add(text)
            say(text)

    return say_new


def track(items: Iterable[Item], total: int, label: str) -> Iterator[Item]:
    """Hand the items on, showing on stderr how far they are.

    Args:
        items: Any iterable.
        total: How many there will be.
        label: What is being done, such as "scoring".

    Yields:
        The items.
    """
    if total < _BAR_FROM:
        yield from items
    elif sys.stderr.isatty():
        with click.progressbar(
            items, total, label, show_pos=True, file=sys.stderr, update_min_steps=8
        ) as bar:
            yield from bar
    else:
        yield from _with_lines(items, total, label)


def _with_lines(items: Iterable[Item], total: int, label: str) -> Iterator[Item]:
    started = said = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - said >= _SECONDS_BETWEEN_LINES:
            said = now
            left = (now - started) / done * (total - done)
            print(f"{label}: {done} of {total}, about {left:.0f} s left", file=sys.stderr, flush=True)

"""Process images one by one: each record goes to stdout, each failure to stderr, and the batch continues."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from nimakit.errors import ImageError, UnwritableError
from nimakit.images.files import image_id
from nimakit.progress import say, track

_MAX_LISTED = 20


def process(paths: Sequence[Path], label: str, work: Callable[[Path], dict[str, Any]]) -> int:
    """Process images and print a JSON array with a record of each.

    Args:
        paths: The images.
        label: What progress calls the work, such as "explaining".
        work: Processes one image and returns its record.

    Returns:
        The number of images that failed, each with ``error`` in its record.
    """
    from nimakit.models.score import error_record

    records: list[dict[str, Any]] = []
    failed = 0
    try:
        for path in track(paths, len(paths), label):
            try:
                records.append(work(path))
            except (ImageError, UnwritableError) as error:
                failed += 1
                say(f"{path}: {error}")
                records.append({"image_id": image_id(path), **error_record(error)})
    finally:  # also where a full disk or Ctrl-C ends the run: what is done is reported
        if records:
            click.echo(json.dumps(records, indent=2))
    return failed


def say_failures(lines: Sequence[str], total: int | None = None) -> None:
    """Print the first of the images that could not be scored, and how many more there are.

    Args:
        lines: A line for each, or for each of the first.
        total: Their number, if there are more than lines.
    """
    for line in lines[:_MAX_LISTED]:
        say(line)
    more = (total or len(lines)) - _MAX_LISTED
    if more > 0:
        say(f"and {more} more that could not be scored")


def kept_note(known: int) -> str:
    """The end of a sentence about how many images were scored; empty if none of them was known."""
    return f", {known} of them from kept features" if known else ""

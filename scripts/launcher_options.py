"""What each option takes, for the launchers: python scripts/launcher_options.py > scripts/options.tsv.

The launchers read the table to know what to mount into a container. Its kinds:

    flag    no value, or an optional one
    value   a value that names no file
    input   a file or folder to read: mounted itself, read-only
    source  photos to read: a file or folder, a pattern, a manifest with its folder, or a URL
    part    NAME=FILE, a file to read
    model   a public model's name, or a model file with what belongs to it
    encoder an encoder's name, or its file, with an input size after an @
    output  a file or a new folder to write: the folder around it is mounted, writable
    folder  a folder to write into: mounted itself, writable, or the nearest folder above it that exists
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from nimakit.cli import cli

_KINDS = {
    **dict.fromkeys(("--model", "--network", "--judge"), "model"),
    **dict.fromkeys(("--output-dir", "--outputimage", "--jobs-dir", "--data-dir"), "folder"),
    **dict.fromkeys(("--copy-to", "--move-to", "--link-to"), "folder"),
    **dict.fromkeys(
        ("--output", "--predictions-file", "--metrics-file", "--scores-file", "--report", "--list"), "output"
    ),
    **dict.fromkeys(("--image-source", "--image-dir", "--images", "--inputimage", "--images-from"), "input"),
    "--encoder": "encoder",
}
"""Options whose type does not tell their kind. Any other option for a path is an input."""

_KINDS_BY_COMMAND = {
    **dict.fromkeys(
        ((command, "--image-source") for command in ("predict", "features", "data check")), "source"
    ),
    ("enhance", "--output"): "folder",
    ("encoder import", "--output"): "value",  # the name of a tensor
    ("encoder import", "--encoder-file"): "output",
    ("data balance", "--output-dir"): "output",  # the folder is new, and appears under its name once complete
    ("data link", "--output-dir"): "output",
    ("data link", "--part"): "part",
    ("data xmp", "--pairs"): "output",
    ("rate export", "--labels"): "output",
    ("rate export", "--methods"): "output",
    ("rate export", "--package"): "output",
    ("rate export", "--pictures"): "output",
    ("rate export", "--ratings"): "output",
    ("rate export", "--pairs"): "output",
}


def table() -> str:
    """The table: command, option, kind and, for a folder to write into, its default; separated by tabs."""
    return "".join("\t".join(row).rstrip() + "\n" for row in sorted(_rows(cli, "")))


def _rows(command: click.Command, name: str) -> Iterator[tuple[str, str, str, str]]:
    for option in command.params:
        if name and isinstance(option, click.Option):
            kind = _kind(name, option)
            is_default = kind == "folder" and isinstance(option.default, Path)
            for text in (*option.opts, *option.secondary_opts):
                yield name, text, kind, str(option.default) if is_default else ""
    if isinstance(command, click.Group):
        for child, subcommand in command.commands.items():
            yield from _rows(subcommand, f"{name} {child}".strip())


def _kind(command: str, option: click.Option) -> str:
    if option.is_flag or option._flag_needs_value:
        return "flag"
    for text in option.opts:
        kind = _KINDS_BY_COMMAND.get((command, text)) or _KINDS.get(text)
        if kind:
            return kind
    return "input" if isinstance(option.type, click.Path) else "value"


if __name__ == "__main__":
    sys.stdout.write(table())

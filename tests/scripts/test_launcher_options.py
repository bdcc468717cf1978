"""scripts/options.tsv, the table from which the launchers read what each option takes."""

import importlib
from collections.abc import Iterator
from typing import Any

import click
import pytest

from launchers import ROOT
from nimakit.cli import cli


def leaves(command: click.Command, *names: str) -> Iterator[tuple[str, click.Command]]:
    """Every command by its name, groups that run on their own among them."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from leaves(inner, *names, name)
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield " ".join(names), command


OPTIONS = [
    (name, command, option)
    for name, command in leaves(cli)
    for option in command.params
    if isinstance(option, click.Option)
]


@pytest.fixture(scope="module")
def table() -> dict[tuple[str, str], str]:
    """Command and option -> kind."""
    rows = (ROOT / "scripts" / "options.tsv").read_text("utf-8").splitlines()
    return {(row.split("\t")[0], row.split("\t")[1]): row.split("\t")[2] for row in rows}


def test_the_table_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """scripts/options.tsv is what scripts/launcher_options.py prints."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    script: Any = importlib.import_module("launcher_options")
    assert (ROOT / "scripts" / "options.tsv").read_text("utf-8") == script.table(), (
        "run: python scripts/launcher_options.py > scripts/options.tsv"
    )


def test_a_launcher_reads_on_where_the_command_does(table: dict[tuple[str, str], str]) -> None:
    """The launcher takes the next word as a value if and only if the command does."""
    for name, command, option in OPTIONS:
        for text in (*option.opts, *option.secondary_opts):
            parser = command.make_parser(click.Context(command, **cli.context_settings))
            given, *_ = parser.parse_args([text, *["--help"] * option.nargs])
            assert ("_click_default_help" in given) == (table[name, text] == "flag"), (name, text)


def test_files_are_known_as_files(table: dict[tuple[str, str], str]) -> None:
    """An option for a path is not a plain value, and an option that writes is not an input."""
    for name, _, option in OPTIONS:
        kind = table[name, option.opts[0]]
        if isinstance(option.type, click.Path) or {"FILE", "FOLDER"} & set((option.metavar or "").split("|")):
            assert kind not in {"flag", "value"}, (name, option.opts)
        if (option.help or "").startswith(("Write ", "Also write ", "Also draw ")):
            assert kind != "input", (name, option.opts)

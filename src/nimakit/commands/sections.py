"""Groups of commands, listed in their help by what they are for."""

from typing import Any

import click

_WHOLE = 10_000
"""Letters of a summary that are shown: all of them."""


class Sections(click.Group):
    """A group whose help has a section for each purpose; it prints the help where no command is given."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._sections: dict[str, tuple[click.Command, ...]] = {}

    def add_section(self, title: str, *commands: click.Command) -> None:
        """Add commands, to be listed under a title in this order."""
        self._sections[title] = commands
        for command in commands:
            self.add_command(command)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take no arguments for a question, which is no error."""
        if not args and self.no_args_is_help and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections; no summary is cut."""
        del ctx
        for title, commands in self._sections.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(command.name or "", command.get_short_help_str(_WHOLE)) for command in commands]
                )

"""`nimakit fetch`: obtain public weights before they are needed."""

import click

from nimakit.progress import say


@click.command()
@click.argument("name", default="aesthetic")
def fetch(name: str) -> None:
    """Obtain a public model now, so that no later use needs a network; prints where it is kept.

    \b
    Example:
      nimakit fetch aesthetic
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit import conversion

    click.echo(conversion.fetch(name, notify=say))

"""`nimakit fetch`: download public weights before they are needed."""

import click

from nimakit.progress import say


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
def fetch(names: tuple[str, ...]) -> None:
    """Download public weights now, so that later commands work offline; prints where each file is kept.

    NAME is a model to score with (aesthetic, the default, or technical), whose model file is also created; or
    ImageNet weights to train from, or for an encoder (efficientnet-lite0, efficientnet-lite1,
    efficientnet-lite2). NIMAKIT_WEIGHTS_MIRROR is the address of a folder to download all of them from, by
    their file names.

    \b
    Example:
      nimakit fetch aesthetic efficientnet-lite2
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.models import conversion, pretrained

    for name in names or ("aesthetic",):
        model = conversion.fetch(name, notify=say) if name in pretrained.public_models() else None
        weights = pretrained.fetch_weights(name, say)
        click.echo(model or weights)

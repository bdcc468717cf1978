"""The option of every command that takes a folder of images."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from nimakit.errors import NoImagesError

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def recursive(command: Decorated) -> Decorated:
    """The option --recursive, and the advice to give it where a folder has no images of its own.

    Both are here so that no command gives the advice without the option.
    """

    @wraps(command)
    def advise(**given: Any) -> Any:
        try:
            return command(**given)
        except NoImagesError as error:
            between = "\n" if "\n" in str(error) else " "
            raise NoImagesError(f"{error}{between}Add --recursive to look into sub-folders.") from error

    option = click.option("--recursive", is_flag=True, help="Look into sub-folders too.")
    advised: Any = option(advise)
    return advised  # type: ignore[no-any-return]

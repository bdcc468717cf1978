"""All problems of a job at once."""

from collections.abc import Callable
from typing import TypeVar

from nimakit.errors import NimakitError

_Read = TypeVar("_Read")


def collect(problems: list[NimakitError], read: Callable[[], _Read]) -> _Read | None:
    """The result of `read`; or None, with its error added to the problems once."""
    try:
        return read()
    except NimakitError as error:
        if str(error) not in map(str, problems):
            problems.append(error)
        return None


def joined(problems: list[NimakitError]) -> str:
    """One message about all problems; there is at least one."""
    if len(problems) == 1:
        return str(problems[0])
    return "\n  - ".join([f"The job has {len(problems)} problems, and was not started:", *map(str, problems)])

"""Rules for the values of JSON objects; all broken rules are reported at once.

Hand-written rather than jsonschema: messages say what a value must be in words, misspelt keys come with the
nearest known one, and the base package needs no further dependency.
"""

import difflib
import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nimakit.errors import NimakitError


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule for the value of one key.

    Attributes:
        holds: Returns whether a value satisfies the rule.
        text: The rule in words, to follow "must be".
        required: Whether the key must be present.
    """

    holds: Callable[[Any], bool]
    text: str
    required: bool = False


def broken_rules(values: Mapping[str, Any], rules: Mapping[str, Rule]) -> list[str]:
    """Check an object against rules.

    Args:
        values: A parsed JSON object.
        rules: Key -> rule; any other key is reported as unknown, with the nearest known one.

    Returns:
        A sentence fragment for each broken rule; empty if none is broken.

    >>> broken_rules({"sise": 3}, {"size": Rule(is_integer(1), "1 or more", required=True)})
    ["'size' is missing (it must be 1 or more)", "'sise' is unknown (nearest known: 'size')"]
    """
    broken = [
        f"{key!r} is missing (it must be {rule.text})"
        for key, rule in rules.items()
        if rule.required and key not in values
    ]
    for key, value in values.items():
        if key not in rules:
            near = difflib.get_close_matches(key[:80], rules, n=1)
            broken.append(f"{key[:80]!r} is unknown" + (f" (nearest known: {near[0]!r})" if near else ""))
        elif not rules[key].holds(value):
            broken.append(f"{key!r} must be {rules[key].text}; received {described(value)}")
    return broken


def described(value: Any) -> str:
    """Describe a parsed JSON value in an error message: its type and its beginning.

    >>> described(None), described("7"), described([1, 2]), described(7)
    ('null', "text '7'", 'a list [1, 2]', '7')
    """
    if isinstance(value, str):
        return f"text {value[:80]!r}"
    kind = "a list " if isinstance(value, list) else "an object " if isinstance(value, dict) else ""
    try:
        return f"{kind}{json.dumps(value)[:80]}"
    except RecursionError:
        return f"{kind}that is nested too deeply to be shown"


def read_json(path: Path, error_class: type[NimakitError], what: str) -> Any:
    """Parse a JSON file.

    Args:
        path: The file.
        error_class: Class of the errors raised.
        what: Description of the file for messages: "A label file".

    Raises:
        error_class: The file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(path.read_bytes())  # UTF-8 or UTF-16, with or without a byte-order mark
    except OSError as error:
        raise error_class(f"{what} must be a readable file. Received: {path} ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # neither JSON nor UTF-8, or too deep
        raise error_class(f"{what} must be JSON. Received: {path} ({error})") from error


def is_text(value: Any) -> bool:
    """Whether a value is text that is not empty."""
    return isinstance(value, str) and value != ""


def is_true_or_false(value: Any) -> bool:
    """Whether a value is a boolean."""
    return isinstance(value, bool)


def is_number(
    low: float = -math.inf, high: float = math.inf, *, above: bool = False
) -> Callable[[Any], bool]:
    """A check for a finite number from low (or above it) to high, both included."""

    def holds(value: Any) -> bool:
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and abs(value) <= sys.float_info.max  # false for NaN and for integers too large for a float
            and (value > low if above else value >= low)
            and value <= high
        )

    return holds


def is_integer(low: int, high: float = math.inf) -> Callable[[Any], bool]:
    """A check for an integer from low to high, both included."""
    in_range = is_number(low, high)
    return lambda value: isinstance(value, int) and in_range(value)


def is_one_of(*allowed: str) -> Callable[[Any], bool]:
    """A check for one of several words."""
    return lambda value: isinstance(value, str) and value in allowed


def or_null(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A check that also accepts null."""
    return lambda value: value is None or holds(value)

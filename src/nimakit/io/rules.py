"""JSON objects held to rules: every broken rule is found, not the first alone."""

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
    """What a value must be.

    Attributes:
        holds: Whether a value keeps the rule.
        text: The rule in words, to follow "must be".
        required: Whether the key must be there.
    """

    holds: Callable[[Any], bool]
    text: str
    required: bool = False


def broken_rules(values: Mapping[str, Any], rules: Mapping[str, Rule]) -> list[str]:
    """Every way in which an object breaks its rules, unknown keys with their nearest known one.

    Args:
        values: A parsed JSON object.
        rules: Key -> rule; a key not among them is unknown.

    Returns:
        A sentence fragment for each broken rule; empty where all hold.

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
    """A parsed JSON value for a message: what it is, and how it begins.

    >>> described(None), described("7"), described([1, 2]), described(7)
    ('null', "text '7'", 'a list [1, 2]', '7')
    """
    if isinstance(value, str):
        return f"text {value[:80]!r}"
    kind = "a list " if isinstance(value, list) else "an object " if isinstance(value, dict) else ""
    try:
        return f"{kind}{json.dumps(value)[:80]}"
    except RecursionError:
        return f"{kind}that is too deep to be shown"


def read_json(path: Path, error_class: type[NimakitError], what: str) -> Any:
    """Parse a JSON file.

    Args:
        path: The file.
        error_class: What to raise.
        what: The file in words, for the message: "a label file".

    Raises:
        error_class: The file is missing, unreadable or no JSON.
    """
    try:
        return json.loads(path.read_bytes())  # in UTF-8, or UTF-16, with or without a byte-order mark
    except OSError as error:
        raise error_class(f"{what} must be a readable file. Received: {path} ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, or absurdly long or deep
        raise error_class(f"{what} must be JSON. Received: {path} ({error})") from error


def is_text(value: Any) -> bool:
    """Whether a value is text, and not empty."""
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
            and abs(value) <= sys.float_info.max  # false for NaN, and for integers no float can hold
            and (value > low if above else value >= low)
            and value <= high
        )

    return holds


def is_integer(low: int, high: int | None = None) -> Callable[[Any], bool]:
    """A check for an integer from low to high, both included."""

    def holds(value: Any) -> bool:
        return (
            isinstance(value, int)
            and not isinstance(value, bool)
            and value >= low
            and (high is None or value <= high)
        )

    return holds


def is_one_of(*allowed: str) -> Callable[[Any], bool]:
    """A check for one of some words."""
    return lambda value: isinstance(value, str) and value in allowed


def or_null(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A check that also lets null through."""
    return lambda value: value is None or holds(value)

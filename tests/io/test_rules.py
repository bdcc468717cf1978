"""nimakit.io.rules: JSON objects held to rules."""

from pathlib import Path
from typing import Any

import pytest

from nimakit.errors import ConfigError, LabelError
from nimakit.io.rules import Rule, broken_rules, is_integer, is_number, is_one_of, is_text, or_null, read_json

RULES = {
    "name": Rule(is_text, "text", required=True),
    "rate": Rule(is_number(0, 1), "a number from 0 to 1"),
}


def test_finds_every_broken_rule_at_once() -> None:
    """A missing key, a bad value and an unknown key are all listed."""
    broken = broken_rules({"rate": 2, "nmae": "x", "zzz": 1}, RULES)
    assert broken == [
        "'name' is missing (it must be text)",
        "'rate' must be a number from 0 to 1; received 2",
        "'nmae' is unknown (nearest known: 'name')",
        "'zzz' is unknown",
    ]


def test_accepts_an_object_that_keeps_its_rules() -> None:
    """Nothing is listed where all rules hold."""
    assert broken_rules({"name": "x", "rate": 1}, RULES) == []


@pytest.mark.parametrize(
    ("value", "received"),
    [
        (None, "null"),
        (True, "true"),
        ("7", "text '7'"),
        ([7], "a list [7]"),
        ({"rate": 7}, 'an object {"rate": 7}'),
    ],
)
def test_calls_a_value_of_another_type_by_its_type(value: Any, received: str) -> None:
    """Text that looks like a number is text."""
    assert broken_rules({"name": "x", "rate": value}, RULES) == [
        f"'rate' must be a number from 0 to 1; received {received}"
    ]


@pytest.mark.parametrize("value", [True, "1", None, float("nan"), float("inf"), 10**400, -(10**400), [1]])
def test_is_number_rejects_what_no_float_can_hold(value: Any) -> None:
    """Truth values, text, NaN, infinity and integers beyond any float are no numbers."""
    assert not is_number()(value)


@pytest.mark.parametrize(("value", "holds"), [(0, False), (1e-9, True), (1, True), (1.1, False)])
def test_is_number_can_leave_out_its_low_end(value: float, *, holds: bool) -> None:
    """With above=True the low end itself is refused, the high end is not."""
    assert is_number(0, 1, above=True)(value) is holds


@pytest.mark.parametrize(
    ("value", "holds"), [(1, True), (3, True), (0, False), (4, False), (2.0, False), (True, False)]
)
def test_is_integer_holds_both_ends(value: Any, *, holds: bool) -> None:
    """Integers in the range pass; floats and truth values do not."""
    assert is_integer(1, 3)(value) is holds


def test_is_one_of_rejects_other_types() -> None:
    """A list is no word, and asking is no error."""
    assert is_one_of("a", "b")("a")
    assert not is_one_of("a", "b")(["a"])


def test_or_null_lets_null_through_and_nothing_else() -> None:
    """Null passes, and the rule still holds for the rest."""
    assert or_null(is_text)(None)
    assert not or_null(is_text)("")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_read_json_takes_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    """As Notepad and PowerShell save files."""
    path = tmp_path / "file.json"
    path.write_text('["é"]', encoding=encoding)
    assert read_json(path, LabelError, "A label file") == ["é"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[" * 200_000, b"1" * 5000],
    ids=["empty", "cut off", "no UTF-8", "absurdly deep", "absurdly long"],
)
def test_read_json_rejects_what_is_no_json(tmp_path: Path, content: bytes) -> None:
    """Damaged files raise the error class asked for, with the file's name."""
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(LabelError, match=r"A label file must be JSON. Received: .*file\.json"):
        read_json(path, LabelError, "A label file")


def test_read_json_rejects_a_missing_file(tmp_path: Path) -> None:
    """A file that is not there is told with the system's reason."""
    with pytest.raises(ConfigError, match="No such file or directory"):
        read_json(tmp_path / "none.json", ConfigError, "A config")

"""nimakit.enhance.adjustments: values of an edit, and their sidecar files."""

import json
from pathlib import Path
from typing import Any

import pytest

from nimakit.enhance.adjustments import Adjustments, read_sidecar, write_sidecar
from nimakit.errors import ConfigError

EDIT = Adjustments(exposure=0.25, sharpening=0.5, straighten=-1.5, crop=(0.0, 0.1, 0.9, 1.0))


def test_a_sidecar_gives_back_what_was_written(tmp_path: Path) -> None:
    """Fields that have their default value may be left out."""
    path = tmp_path / "a.edit.json"
    write_sidecar(path, EDIT, {"networks": ["aesthetic"]})
    assert read_sidecar(path) == EDIT
    assert json.loads(path.read_text("utf-8"))["about"] == {"networks": ["aesthetic"]}


def test_values_left_out_change_nothing(tmp_path: Path) -> None:
    """A sidecar written by hand names what it changes."""
    path = tmp_path / "a.json"
    path.write_text('{"format_version": 1, "adjustments": {"contrast": 0.2}}')
    assert read_sidecar(path) == Adjustments(contrast=0.2)


@pytest.mark.parametrize(
    ("adjustments", "broken"),
    [
        ({"exposure": 1.5}, "'exposure' must be a number from -1 to 1; received 1.5"),
        ({"exposure": float("nan")}, "'exposure' must be"),
        ({"exposure": True}, "'exposure' must be"),
        ({"sharpening": -0.1}, "'sharpening' must be a number from 0 to 1"),
        ({"straighten": 5}, "'straighten' must be degrees from -4 to 4"),
        ({"crop": [0, 0, 0.4, 1]}, "'crop' must be"),
        ({"crop": [0, 0, 1]}, "'crop' must be"),
        ({"crop": None}, "'crop' must be"),
        ({"contrats": 0.1}, "nearest known: 'contrast'"),
    ],
)
def test_refuses_values_out_of_bounds(tmp_path: Path, adjustments: dict[str, Any], broken: str) -> None:
    """Values out of bounds are refused."""
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"format_version": 1, "adjustments": adjustments}))
    with pytest.raises(ConfigError) as error:
        read_sidecar(path)
    assert broken in str(error.value)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format_version": 2, "adjustments": {}}', '{"adjustments": []}']
)
def test_refuses_what_is_no_sidecar(tmp_path: Path, content: str) -> None:
    """Other JSON files and other versions are refused."""
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match="Received"):
        read_sidecar(path)

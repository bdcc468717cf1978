"""nimakit.serving.request_log: one line for each request."""

import contextlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nimakit.serving.request_log import FIELDS, write_line


def test_a_line_is_one_json_object_with_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    """Fields come in one order, null where nothing is known; the time is UTC."""
    write_line(status=200, id="a\nb")
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    line = json.loads(out)
    assert tuple(line) == ("time", *FIELDS)
    assert (line["status"], line["id"], line["model"]) == (200, "a\nb", None)
    assert abs(datetime.now(UTC) - datetime.fromisoformat(line["time"])) < timedelta(minutes=1)


def test_a_full_disk_stops_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is lost, and nothing else."""
    stream = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115 - closing it fails
    monkeypatch.setattr("sys.stdout", stream)
    for _ in range(3):
        write_line(status=200)
    with contextlib.suppress(OSError):
        stream.close()

"""nimakit.serving.timing: how long an image was in each stage."""

from dataclasses import astuple

import pytest

from nimakit.serving.timing import Times


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (Times(10.0, 10.1, 10.3, 10.6, 11.0), (400, 200, 400)),  # it waited twice
        (Times(10.0, 10.1, 10.3), (100, 200, 0)),  # it could not be decoded
    ],
)
def test_waiting_is_added_up(times: Times, expected: tuple[float, ...]) -> None:
    """An image waits to be decoded, and for its batch."""
    assert astuple(times.timing) == pytest.approx(expected)

"""nimakit.explain.regions: where a score depends on a picture most."""

from typing import Any

import numpy as np
import pytest

from nimakit.explain import ScoreMap, important_region


def _map(values: Any) -> ScoreMap:
    values = np.asarray(values, np.float32)
    return ScoreMap(method="patches", values=values, scale=float(np.nanmax(np.abs(values))), mean=5.0)


def test_finds_the_parts_that_differ() -> None:
    """What raises and what lowers, the stronger first; what is not seen is in no region."""
    values = np.full((60, 90), 0.5)
    values[10:20, 15:40] = 3.5
    values[40:50, 60:80] = -1.5
    values[:, :5] = np.nan
    found = important_region(_map(values), share=0.9)
    assert found.boxes == ((15, 10, 40, 20), (60, 40, 80, 50))
    assert found.mask.sum() == 250 + 200
    assert found.weights.dtype == np.float32
    assert (found.weights[0, 0], found.weights[15, 20]) == (0, 1)
    assert important_region(_map(values), share=0.3).boxes == ((15, 10, 40, 20),)


def test_an_even_map_has_no_region() -> None:
    """Whatever its level: no part matters more than another."""
    found = important_region(_map(np.full((6, 9), 2.0)))
    assert found.boxes == ()
    assert not found.mask.any()
    assert not found.weights.any()


def test_refuses_a_share_that_is_none() -> None:
    """It must be above 0 and at most 1."""
    with pytest.raises(ValueError, match="Received: 0"):
        important_region(_map(np.eye(3)), share=0)

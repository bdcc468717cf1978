"""nimakit.serving.drift: latest scores against those of the model's reference."""

import math

import numpy as np
import pytest

from nimakit.serving.drift import FEWEST, WINDOW, Drift

REFERENCE = np.linspace(4, 6, 101)


def test_few_scores_have_no_distance() -> None:
    """Chance would move it."""
    drift = Drift(REFERENCE)
    drift.add([5.0] * (FEWEST - 1))
    assert math.isnan(drift.distance())
    drift.add([5.0])
    assert drift.distance() == pytest.approx(0.5)


def test_only_the_latest_scores_count() -> None:
    """Scores like those of the reference push others out, and the distance falls to what chance makes."""
    drift = Drift(REFERENCE)
    drift.add([9.0] * WINDOW)
    assert drift.distance() == 1
    drift.add(np.random.default_rng(0).uniform(4, 6, WINDOW // 2))
    assert drift.distance() == pytest.approx(0.5, abs=0.05)
    drift.add(np.random.default_rng(1).uniform(4, 6, WINDOW // 2))
    assert drift.distance() < 1.63 / math.sqrt(WINDOW)

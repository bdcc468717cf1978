"""nimakit.scoring.calibration: what ratings are where a score is predicted."""

import numpy as np
import pytest

from nimakit.scoring.calibration import BINS, calibrate


def test_a_model_that_plays_safe_has_a_slope_above_1() -> None:
    """Its bins have the means of their images, with an error that falls with their number."""
    real = np.linspace(1, 7, 400)
    noisy = real + np.random.default_rng(0).normal(0, 0.2, 400)
    found = calibrate(4.5 + (real - 4) / 2, noisy)
    assert found.slope == pytest.approx(2, abs=0.02)
    assert found.offset == pytest.approx(0.5, abs=0.03)
    assert len(found.predicted) == BINS
    np.testing.assert_allclose(found.real, [part.mean() for part in np.split(noisy, BINS)])
    assert (found.error < 2 * 0.5 / np.sqrt(40)).all()


def test_few_images_make_few_bins() -> None:
    """And a slope is not defined where all predictions are equal."""
    found = calibrate(np.full(7, 4.0), np.arange(7.0))
    assert (len(found.real), found.slope) == (1, None)
    assert np.isnan(calibrate(np.array([4.0]), np.array([5.0])).error).all()

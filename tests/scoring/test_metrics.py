"""nimakit.scoring.metrics: agreement of predictions with labels."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy import stats

from nimakit.scoring import metrics
from nimakit.stats import correlation, histogram

BINS = histogram.default_bins(10)


def _rows(count: int, seed: int) -> histogram.FloatArray:
    return histogram.normalise(np.random.default_rng(seed).random((count, 10)) ** 4)


def _compare(
    labels: histogram.FloatArray, predicted: histogram.FloatArray, **changes: Any
) -> metrics.Metrics:
    values: dict[str, Any] = {
        "labels": labels,
        "label_bins": BINS,
        "means": histogram.mean(predicted, BINS),
        "sds": histogram.standard_deviation(predicted, BINS),
        "histograms": predicted,
        "bins": BINS,
    }
    return metrics.compare(**{**values, **changes})


def test_perfect_predictions_have_perfect_figures() -> None:
    """Predictions equal to the labels are at distance 0, and every correlation is 1."""
    rows = _rows(20, 0)
    result = _compare(rows, rows)
    assert (result.images, result.emd, result.emd_r2, result.accuracy) == (20, 0, 0, 1)
    assert result.mae_mean == 0
    for figure in (result.lcc_mean, result.srcc_mean, result.lcc_sd, result.srcc_sd):
        assert figure == pytest.approx(1)


def test_figures_agree_with_scipy() -> None:
    """Correlations are those of SciPy, distances the means of the single ones."""
    labels, predicted = _rows(30, 1), _rows(30, 2)
    result = _compare(labels, predicted)
    label_means, means = histogram.mean(labels, BINS), histogram.mean(predicted, BINS)
    assert result.lcc_mean == pytest.approx(stats.pearsonr(means, label_means).statistic)
    assert result.srcc_mean == pytest.approx(stats.spearmanr(means, label_means).statistic)
    label_sds = histogram.standard_deviation(labels, BINS)
    sds = histogram.standard_deviation(predicted, BINS)
    assert result.srcc_sd == pytest.approx(stats.spearmanr(sds, label_sds).statistic)
    assert result.emd_r2 == pytest.approx(histogram.emd(labels, predicted, 2).mean())
    assert result.mae_mean == pytest.approx(np.abs(means - label_means).mean())
    assert result.accuracy == pytest.approx(((means > 5) == (label_means > 5)).mean())


def test_ranks_tied_scores_evenly() -> None:
    """Equal scores share a rank, as in SciPy."""
    first, second = np.array([1.0, 2.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0, 2.0])
    assert correlation.srcc(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)


def test_figures_that_are_not_defined_are_none() -> None:
    """One image has no correlation, and equal scores have none either."""
    assert _compare(_rows(1, 0), _rows(1, 1)).lcc_mean is None
    same = np.repeat(_rows(1, 0), 5, axis=0)
    assert _compare(_rows(5, 1), same).srcc_mean is None


def test_a_model_without_distributions_has_no_distances() -> None:
    """Without distributions, only means are compared."""
    result = _compare(_rows(9, 0), _rows(9, 1), histograms=None, sds=None)
    assert (result.emd, result.emd_r2, result.lcc_sd, result.srcc_sd) == (None, None, None, None)
    assert result.lcc_mean is not None


def test_labels_on_another_scale_are_compared_by_rank_and_side() -> None:
    """Distances need the same bins; the cut of each side is the middle of its own scale."""
    labels = np.eye(7)
    means = np.array([1.0, 2.0, 4.9, 5.0, 5.1, 8.0, 9.0])
    result = _compare(labels, _rows(7, 0), label_bins=histogram.default_bins(7), means=means)
    assert (result.emd, result.mae_mean, result.cut, result.accuracy) == (None, None, 4, 1)
    assert result.srcc_mean == pytest.approx(1)


def test_two_ends_are_the_scale_of_all_bins_between() -> None:
    """For a regression head, MAE and accuracy use the ends of its scale."""
    labels = np.eye(10)[[0, 9]]
    result = _compare(
        labels, labels, means=np.array([1.5, 9.0]), sds=None, histograms=None, bins=BINS[[0, 9]]
    )
    assert (result.mae_mean, result.cut, result.accuracy, result.emd) == (0.75, 5, 1, None)


@pytest.mark.parametrize(("count", "cut"), [(2, 1), (5, 3), (7, 4), (10, 5)])
def test_cuts_at_the_lower_middle_bin(count: int, cut: int) -> None:
    """5 of 1 to 10, 4 of 1 to 7."""
    assert metrics.middle_cut(histogram.default_bins(count)) == cut


def test_says_undefined_in_words() -> None:
    """Undefined metrics are printed as words."""
    text = str(_compare(_rows(1, 0), _rows(1, 1)))
    assert text.startswith("1 labelled image: EMD 0.")
    assert "LCC undefined" in text
    assert "None" not in text


def test_figures_of_few_images_have_two_decimals_and_a_note() -> None:
    """Metrics of few images have two decimals and a warning."""
    few, many = (_compare(_rows(count, 0), _rows(count, 0)) for count in (29, 30))
    assert "SRCC 1.00 " in str(few)
    assert "SRCC 1.0000 " in str(many)
    [note] = few.notes
    assert note.startswith("These figures are a rough guide, from only 29 images")
    assert many.notes == []
    assert many.to_dict()["notes"] == []


def test_notes_say_which_images_the_model_knows() -> None:
    """Training and validation images among the test images give a warning."""
    found = _compare(_rows(40, 0), _rows(40, 1))
    assert found.notes == []
    first, second = dataclasses.replace(found, training_images=7, validation_images=1).notes
    assert first.startswith("The model was trained on 7 of the 40 images")
    assert second.startswith("1 of the 40 images helped choose the model's best epoch")

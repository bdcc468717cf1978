"""nimakit.heads.cross_validation: predictions by heads that did not learn from the image."""

from typing import Any

import numpy as np
import pytest

from nimakit.config import EncoderConfig, HeadConfig
from nimakit.errors import UsageError
from nimakit.heads import fitting
from nimakit.heads.cross_validation import assign_folds, out_of_fold
from nimakit.stats.histogram import normalise

_BINS = np.arange(1, 5.0)
_CONFIG = HeadConfig(head_only=True, encoders=(EncoderConfig(name="e"),))


def test_folds_are_as_large_as_each_other_and_drawn_by_the_seed() -> None:
    """The same seed gives the same folds, another one others."""
    first, again, other = (assign_folds(23, 5, seed) for seed in (0, 0, 1))
    assert sorted(np.bincount(first)) == [4, 4, 5, 5, 5]
    assert (first == again).all()
    assert (first != other).any()


def test_a_group_stays_in_one_fold() -> None:
    """And folds are of nearly the same size where groups allow it."""
    groups = np.repeat(np.arange(12), [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6])
    folds = assign_folds(len(groups), 3, 0, groups)
    assert all(len(set(folds[groups == group])) == 1 for group in range(12))
    assert np.ptp(np.bincount(folds)) <= 2


def test_refuses_fewer_groups_than_folds() -> None:
    """A fold without an image would be no fold."""
    with pytest.raises(UsageError, match="5 folds for 2"):
        assign_folds(10, 5, 0, np.repeat([0, 1], 5))


def test_an_image_is_predicted_by_a_fit_to_the_other_folds() -> None:
    """From its first view, as a model file does."""
    random = np.random.default_rng(0)
    block = random.normal(size=(2, 30, 4)).astype(np.float32)
    labels = normalise(random.random((30, 4)))
    folds = np.arange(30) % 3
    found = out_of_fold([block], labels, _BINS, folds=folds, config=_CONFIG)
    others = folds != 1
    head = fitting.fit([block[:, others]], labels[others], _BINS).fitted.head
    expected = np.exp(head([block[0, folds == 1]]))
    assert found.histograms is not None
    np.testing.assert_allclose(found.histograms[folds == 1], normalise(expected), rtol=1e-6)
    np.testing.assert_allclose(found.means, found.histograms @ _BINS)


def test_predictions_of_several_views_are_averaged() -> None:
    """As with test-time augmentation: each view is predicted on its own."""
    random = np.random.default_rng(0)
    block = random.normal(size=(2, 30, 4)).astype(np.float32)
    labels = normalise(random.random((30, 4)))
    folds = np.arange(30) % 3
    options: Any = {"folds": folds, "config": _CONFIG}
    both = out_of_fold([block], labels, _BINS, views=2, **options)
    each = [out_of_fold([part], labels, _BINS, **options) for part in (block, block[::-1])]
    np.testing.assert_allclose(both.means, np.mean([one.means for one in each], axis=0), rtol=1e-6)

"""nimakit.scoring.comparison_report: the page of a comparison."""

import html
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nimakit.images.photo import MAX_PIXELS
from nimakit.scoring import charts, comparison_report
from nimakit.scoring.candidates import LabelledImages
from nimakit.scoring.compared import Compared
from nimakit.scoring.comparison import Predictions, compare
from nimakit.scoring.cost import Cost
from nimakit.stats.histogram import default_bins, mean, normalise
from samples import write_photo

MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def _no_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts, which take seconds and have tests of their own, are empty."""
    monkeypatch.setattr(charts, "svg", lambda name, *_: f'<svg id="{name}"></svg>')


def _images(folder: Path, count: int = 40) -> LabelledImages:
    labels = normalise(np.random.default_rng(0).random((count, 5)) ** 3)
    names = tuple(f"photo{number:02d}" for number in range(count))
    paths = tuple(write_photo(folder / f"{name}.png", level=6 * k) for k, name in enumerate(names))
    return LabelledImages(names, paths, labels, default_bins(5), np.full(count, 12.0))


def _render(images: LabelledImages, candidates: list[Predictions], **options: Any) -> str:
    folds = np.arange(len(images.paths)) % 3
    found = compare(
        candidates, images.labels, images.bins, counts=images.counts, folds=folds, resamples=20, seed=0
    )
    compared = Compared(comparison=found, predictions=tuple(candidates), images=images)
    values = {"facts": {"seed": "0"}, "max_pixels": MAX_PIXELS, **options}
    return comparison_report.render(compared, **values)


def _candidates(images: LabelledImages) -> list[Predictions]:
    truth = mean(images.labels, images.bins)
    noise = np.random.default_rng(1).normal(0, 0.7, len(truth))
    cost = Cost(preparation=0.001, features=0.02, head=0.0005)
    other = truth + noise
    other[[3, 5]] = [5, 1]
    return [
        Predictions(name="good/config_head", means=truth + noise / 4, histograms=images.labels, cost=cost),
        Predictions(name=MARKUP, means=other),
    ]


def test_has_every_section(tmp_path: Path) -> None:
    """The verdict, figures with intervals, folds, costs, calibration, and the pictures with their ratings."""
    images = _images(tmp_path)
    page = html.unescape(
        _render(images, _candidates(images), notes=["A note."], failures={"p99": "it is broken"})
    )
    for expected in (
        "good/config_head is the best, with an SRCC of",
        "the difference is clear",
        "A note.",
        '<svg id="calibration2"></svg>',
        "21.5</strong>",  # milliseconds
        "p99: it is broken",
        "Where the models disagree",
        "against the best",
    ):
        assert expected in page, expected
    assert page.count('<div class="track"><i') == 4 * 2 + 1  # the second predicts no distribution: no EMD
    assert "data:image/jpeg;base64," in page
    assert page.index("photo03", page.index("Where the models disagree")) > 0


def test_a_name_is_not_markup(tmp_path: Path) -> None:
    """Names of models and images come from other people's files."""
    images = _images(tmp_path, 12)
    assert "<img src=x" not in _render(images, _candidates(images))


def test_one_candidate_has_nothing_to_disagree_with(tmp_path: Path) -> None:
    """And equal predictions have no SRCC; the page is there nonetheless."""
    images = _images(tmp_path, 12)
    page = _render(images, [Predictions(name="flat", means=np.full(12, 3.0))])
    assert "Where the models disagree" not in page
    assert "No candidate has an SRCC" in page

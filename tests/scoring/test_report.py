"""nimakit.scoring.report: the HTML report on a model."""

import html
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nimakit.errors import MissingExtraError
from nimakit.images.photo import MAX_PIXELS
from nimakit.reports import html as page_html
from nimakit.reports import plots
from nimakit.scoring import charts, metrics, report
from nimakit.scoring.evaluation import Evaluation
from nimakit.scoring.judgement import judge
from nimakit.stats.histogram import FloatArray, default_bins, mean, normalise, standard_deviation
from samples import write_photo

BINS = default_bins(10)
HISTORY = [
    {"phase": "dense", "epoch": 1, "learning_rate": 1e-3, "loss": 0.3, "val_loss": 0.25, "seconds": 1.5},
    {"phase": "all", "epoch": 2, "learning_rate": 3e-5, "loss": 0.2, "val_loss": None, "seconds": 60},
]
MARKUP = "<img src=x onerror=alert(1)>"


def _evaluation(count: int, *, bins: FloatArray = BINS, rated_in: int = 10, **changes: Any) -> Evaluation:
    random = np.random.default_rng(count)
    rows = normalise(random.random((count, rated_in)) ** 3)
    predicted = normalise(random.random((count, len(bins))) ** 3)
    label_bins = default_bins(rated_in)
    values: dict[str, Any] = {
        "labels": rows,
        "label_bins": label_bins,
        "means": mean(predicted, bins),
        "sds": standard_deviation(predicted, bins),
        "histograms": predicted,
        **changes,
    }
    return Evaluation(
        image_ids=tuple(f"photo{i}" for i in range(count)),
        paths=tuple(Path(f"gone{i}.jpg") for i in range(count)),
        metrics=metrics.compare(**values, bins=bins),
        failures=[],
        **values,
    )


def _render(
    evaluations: dict[str, Evaluation], history: list[dict[str, Any]] | None = None, **changes: Any
) -> str:
    values: dict[str, Any] = {"title": "Title", "facts": {}, "bins": BINS, "max_pixels": MAX_PIXELS}
    return report.render(evaluations=evaluations, history=history or [], **{**values, **changes})


def _titles(text: str) -> list[str]:
    return [html.unescape(title) for title in re.findall(r"<h3>(.+?)</h3>", text)]


@pytest.fixture
def no_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts, which take seconds and have tests of their own, are empty."""
    monkeypatch.setattr(charts, "svg", lambda name, *_: f'<svg id="{name}"></svg>')


def _whole() -> str:
    evaluations = {"validation": _evaluation(30), "test": _evaluation(2000)}
    return _render(evaluations, HISTORY, facts={"Seed": "0"})


@pytest.fixture(scope="module")
def whole() -> str:
    """A page with losses, two sets and facts."""
    return _whole()


def test_has_every_section(whole: str) -> None:
    """Figures of each set, the losses, charts and galleries a set, and the facts."""
    text = whole
    assert re.search(r'<th class="number">validation</th><th class="number">test</th>', text)
    per_set = ["Predicted against real", "Mean scores", "Ratings", "Disagreement", "Errors by score"]
    per_set += ["Size of the errors"]
    per_set += ["Model's favourites", "Model's lowest", "People's favourites", "People's lowest"]
    per_set += ["Scored too high", "Scored too low"]
    assert _titles(text) == ["Loss by epoch", *per_set, *per_set]
    assert "<dt>Seed</dt><dd>0</dd>" in text
    assert "Validation: 30 pictures" in text
    assert ">head only</text>" in text
    assert "All 2 epochs" in text


def test_explains_each_chart(whole: str) -> None:
    """Every chart has a sentence below that says how to read it."""
    captions = re.findall(r"<figcaption>\w[^<]{40,}\.</figcaption>", whole)
    assert len(captions) == whole.count("<figure>") == 1 + 2 * 6


@pytest.mark.usefixtures("no_charts")
def test_begins_with_whether_the_model_is_good_enough() -> None:
    """The answer and its reason come first, and intervals next to a guess follow the figures."""
    evaluation = _evaluation(40)
    found = judge("test", evaluation, BINS, resamples=20)
    text = _render({"test": evaluation}, judgement=found)
    assert re.findall("<h2>(.+?)</h2>", text)[:2] == ["In short", "Figures"]
    assert f'<p class="answer"><strong>{found.answer}.</strong> Its SRCC is ' in text
    assert "<li><strong>40</strong>test pictures</li>" in text
    srcc = found.comparison.rows[0].figures["srcc"]
    assert f"<small>{srcc.low:.3f} to {srcc.high:.3f}</small>" in text
    assert "the mean for every picture" in text
    assert "In short" not in _render({"test": evaluation})


@pytest.mark.usefixtures("no_charts")
def test_a_model_trained_elsewhere_has_no_losses() -> None:
    """Without a history there is no section on learning."""
    assert "How it learned" not in _render({"test": _evaluation(5)})


@pytest.mark.usefixtures("no_charts")
def test_a_model_that_was_not_measured_has_its_losses() -> None:
    """Without evaluations there are neither figures nor sections of sets."""
    text = _render({}, HISTORY)
    assert _titles(text) == ["Loss by epoch"]
    assert "<h2>Figures</h2>" not in text


def test_shows_a_model_without_distributions() -> None:
    """Without distributions only their charts are missing; undefined metrics are dashes."""
    text = _render({"test": _evaluation(20, sds=None, histograms=None)})
    assert not {"Ratings", "Disagreement"} & set(_titles(text))
    assert '<td class="number">\N{EN DASH}</td>' in text
    assert "None" not in text
    assert "Predicted ratings" not in text
    assert "People&#39;s ratings" in text or "People's ratings" in text


@pytest.mark.usefixtures("no_charts")
def test_moves_scores_to_the_scale_of_the_labels() -> None:
    """With different scales, the page has a note, and scores are stretched."""
    evaluation = _evaluation(2, rated_in=7, means=np.array([5.5, 10.0]), histograms=None, sds=None)
    text = _render({"test": evaluation})
    assert "People rated from 1 to 7, the model scores from 1 to 10" in text
    assert "<small>model</small><strong>4.00</strong>" in text
    assert "<small>model</small><strong>7.00</strong>" in text


@pytest.mark.usefixtures("no_charts")
@pytest.mark.parametrize("count", [1, 2])
def test_shows_a_handful_of_pictures(count: int) -> None:
    """A single picture is not shown as both the best and the worst."""
    text = _render({"test": _evaluation(count)})
    assert ("Model's lowest" in _titles(text)) == (count > 1)
    assert f"Test: {count} picture{'s' * (count > 1)}<" in text


@pytest.mark.usefixtures("no_charts")
def test_shows_scores_that_are_all_equal() -> None:
    """Constant scores give a page; perfect predictions are not listed as errors."""
    same = np.repeat(normalise([[1, 2, 3, 4, 5, 5, 4, 3, 2, 1]]), 6, axis=0)
    changes: dict[str, Any] = {
        "labels": same,
        "histograms": same,
        "means": mean(same, BINS),
        "sds": np.ones(6),
    }
    titles = _titles(_render({"test": _evaluation(6, **changes)}))
    assert "Model's favourites" in titles
    assert not {"Scored too high", "Scored too low"} & set(titles)


@pytest.mark.usefixtures("no_charts")
def test_figures_of_few_pictures_have_two_decimals_and_a_warning() -> None:
    """Decimals depend on the number of pictures; warnings are in the section of the set."""
    few = _evaluation(3)
    few = replace(few, metrics=replace(few.metrics, srcc_mean=1.0, training_images=2))
    many = _evaluation(30)
    text = _render({"validation": few, "test": replace(many, metrics=replace(many.metrics, srcc_mean=0.5))})
    assert '<td class="number">1.00</td><td class="number">0.500</td>' in text
    assert '<p class="note">These figures are a rough guide, from only 3 images' in text
    assert '<p class="note">The model was trained on 2 of the 3 images' in text
    assert text.count("a rough guide,") == 1


@pytest.mark.usefixtures("no_charts")
def test_bounds_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """25,000 pictures give a page of bounded size, and few of them are opened."""
    opened: list[int] = []

    def count(sources: list[Path], **_: object) -> list[str]:
        opened.append(len(sources))
        return [""] * len(sources)

    monkeypatch.setattr(page_html, "thumbnails", count)
    text = _render({"test": _evaluation(25_000)})
    assert "Test: 25,000 pictures" in text
    assert text.count('class="card"') == 6 * report.PICTURES
    assert opened[0] <= 6 * report.PICTURES
    assert len(text) < 1_000_000


@pytest.mark.usefixtures("no_charts")
def test_shows_the_pictures(tmp_path: Path) -> None:
    """Pictures are inside the page, with both mean scores."""
    one = _evaluation(1)
    photo = write_photo(tmp_path / "a.png")
    values = {name: getattr(one, name) for name in one.__dataclass_fields__}
    text = _render({"test": Evaluation(**{**values, "paths": (photo,)})})
    assert 'src="data:image/jpeg;base64,' in text
    assert f"<strong>{one.means[0]:.2f}</strong>" in text


@pytest.mark.usefixtures("no_charts")
def test_shows_what_the_model_looks_at(tmp_path: Path) -> None:
    """Maps are shown below each picture if requested; a missing picture has none."""
    evaluation = _evaluation(3)
    paths = tuple(write_photo(tmp_path / f"{name}.png") for name in range(3))
    asked: list[Path] = []

    def explain(path: Path) -> Image.Image | None:
        asked.append(path)
        return None if path == paths[0] else Image.new("RGB", (30, 20), (200, 100, 0))

    shown = replace(evaluation, paths=paths)
    text = _render({"test": shown}, explain=explain)
    assert sorted(asked) == sorted(paths)
    assert "orange raises its score" in text
    assert "What the model looks at in photo1" in text
    assert "What the model looks at in photo0" not in text
    assert "What the model looks at" not in _render({"test": shown})


def test_shows_names_as_text() -> None:
    """Markup in titles, facts, sets, names and failures is escaped."""
    one = _evaluation(3)
    values = {name: getattr(one, name) for name in one.__dataclass_fields__}
    evil = Evaluation(**{**values, "image_ids": (MARKUP,) * 3, "failures": [MARKUP] * 25})
    history = [{**HISTORY[0], "phase": "dense"}]
    text = _render({MARKUP: evil}, history, title=MARKUP, facts={MARKUP: MARKUP})
    assert "<img src=x" not in text
    assert "25 could not be scored" in text
    assert "and 5 more" in text


@pytest.mark.usefixtures("no_charts")
def test_the_page_is_deterministic() -> None:
    """The same figures give the same page, as they give the same charts."""
    assert _whole() == _whole()


def test_the_page_is_self_contained(whole: str) -> None:
    """The page loads no other files, and its ids are unique."""
    assert not re.search(r"<script|<link|https?://|url\((?!#)|@import", whole)
    ids = re.findall(r'\bid="([^"]+)"', whole)
    assert len(set(ids)) == len(ids)


def test_follows_light_dark_phone_and_paper() -> None:
    """The style has rules for each."""
    text = _render({})
    for rule in ("prefers-color-scheme: dark", "max-width: 40rem", "@media print"):
        assert rule in text


def test_refuses_early_what_a_report_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing package is found before the work."""
    report.require()

    def refuse() -> None:
        raise MissingExtraError

    monkeypatch.setattr(plots, "require_matplotlib", refuse)
    with pytest.raises(MissingExtraError):
        report.require()

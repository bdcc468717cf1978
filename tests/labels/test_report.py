"""nimakit.labels.report: one HTML file, or its charts as one PNG."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nimakit.errors import MissingExtraError, OutputError
from nimakit.labels import report
from nimakit.labels import summary as data_summary
from nimakit.labels.label_file import Labels
from nimakit.labels.summary import Summary
from nimakit.reports import plots
from nimakit.stats.histogram import normalise
from rating_samples import make_ratings, simulated
from samples import write_photo


@pytest.fixture(scope="module")
def summary() -> Summary:
    """Of ratings of all kinds of figures, one person of whom is far harsher."""
    return data_summary.of_ratings(simulated(bias=[-3.0]))


@pytest.fixture(scope="module")
def page(summary: Summary) -> str:
    """Its report, without pictures."""
    return report.render(title="Ratings of <tests>", facts={"Ratings": "a & b.csv"}, summary=summary)


@pytest.fixture
def no_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of tests that look at something else take no time to draw charts."""
    monkeypatch.setattr(plots, "svg", lambda *_: "<svg></svg>")


def _text(page: str) -> str:
    """What a reader reads: without charts, styles and markup."""
    plain = re.sub(r"<style.*?</style>|<svg.*?</svg>|<[^>]*>", " ", page, flags=re.DOTALL)
    return " ".join(plain.split())


def _cells(page: str, heading: str) -> list[str]:
    """The cells of the row that begins with a heading."""
    [row] = re.findall(rf"<tr><th[^>]*>{re.escape(heading)}<span.*?</tr>", page, re.DOTALL)
    return re.findall(r"<td[^>]*>(.*?)</td>", row)


def test_shows_the_figures_of_an_independent_computation(page: str) -> None:
    """Numbers of pictures, people and ratings, and the one-way ICC, straight from the ratings."""
    ratings = simulated(bias=[-3.0])
    groups = [ratings.rating[ratings.image == i] for i in range(40)]
    total = len(ratings)
    between = sum(len(g) * (g.mean() - ratings.rating.mean()) ** 2 for g in groups) / 39
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (total - 40)
    assert _cells(page, "ICC(1,k)") == [f"{(between - within) / between:.3f}", "excellent"]
    tiles = re.findall(r"<li><strong>(.*?)</strong>(.*?)</li>", page)
    assert tiles[:3] == [("40", "pictures"), ("30", "people"), (f"{total:,}", "ratings")]
    assert tiles[-1][0] == f"{np.mean([g.mean() for g in groups]):.2f}"


def test_shows_who_is_unlike_the_rest(page: str) -> None:
    """With bias, spread and agreement, computed by leaving the person out, and the reason."""
    ratings = simulated(bias=[-3.0])
    own = ratings.user == 0
    others = [ratings.rating[~own & (ratings.image == i)].mean() for i in ratings.image[own]]
    bias = (ratings.rating[own] - others).mean()
    agreement = np.corrcoef(ratings.rating[own], others)[0, 1]
    spread = ratings.rating[own].std(ddof=1)
    assert _cells(page, "u0") == [str(own.sum()), f"{bias:+.2f}", f"{spread:.2f}", f"{agreement:.2f}"]
    assert "u0 far harsher " in _text(page)


def test_shows_what_ratings_are_missing(summary: Summary, page: str) -> None:
    """Each need has its row."""
    for need in summary.needs:
        name = "reliability" if need.goal == "reliability" else "standard error"
        numbers = f"{need.ratings_per_image} {need.images_short} {need.ratings_missing}"
        assert f"{name} of {need.wanted:g} {numbers}" in _text(page)


def test_draws_all_charts(page: str) -> None:
    """Of means, ratings, classes, spreads, counts, what more would bring, and people."""
    assert re.findall(r"<figure>\s*<h3>(.*?)</h3>", page) == [
        "Mean ratings",
        "All ratings",
        "Class balance",
        "Agreement by mean",
        "Ratings per picture",
        "Ratings per person",
        "What more ratings would gain",
        "Kindness and spread",
        "Agreement with the others",
    ]
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(set(ids)) == len(ids)


def test_needs_no_other_file(page: str) -> None:
    """The page loads nothing: no script, no style sheet, no picture from elsewhere."""
    assert not re.search(r"<script|<link|https?://|url\((?!#)", page)


def test_follows_light_dark_phone_and_paper(page: str) -> None:
    """The style has rules for each."""
    for rule in ("prefers-color-scheme: dark", "max-width: 40rem", "@media print"):
        assert rule in page


def test_shows_names_as_text(no_charts: None) -> None:
    """Names of pictures, people and files that are markup stay names."""
    bad = '"><img src=x onerror=alert(1)>'
    rows = [(f"p{i}", f"u{u}", float(1 + (i * u) % 5)) for i in range(8) for u in range(1, 7)]
    summary = data_summary.of_ratings(
        make_ratings([*rows, *((f"p{i}", bad, 3.0) for i in range(8)), (bad, "u1", 5)])
    )
    page = report.render(title=bad, facts={bad: bad}, summary=summary, paths={bad: Path("gone.jpg")})
    assert "onerror=alert(1)&gt;" in page
    assert "<img src=x" not in page


@pytest.mark.slow
def test_is_the_same_for_the_same_ratings(page: str) -> None:
    """Neither the time nor chance is in a page."""
    again = data_summary.of_ratings(simulated(bias=[-3.0]))
    assert report.render(title="Ratings of <tests>", facts={"Ratings": "a & b.csv"}, summary=again) == page


def test_shows_pictures_from_the_lowest_mean_to_the_highest(no_charts: None, tmp_path: Path) -> None:
    """Each with its picture, mean, spread and number of ratings; one without a file is counted."""
    rows = [("low", "x", 1.0), ("low", "y", 2.0), ("high", "x", 7.0), ("high", "y", 7.0), ("none", "x", 4.0)]
    paths = {
        "high": write_photo(tmp_path / "high.jpg", 255, (640, 320)),
        "low": write_photo(tmp_path / "low.jpg", 0),
        "none": None,
    }
    summary = data_summary.of_ratings(make_ratings(rows))
    page = report.render(title="t", facts={}, summary=summary, paths=paths)
    encoded = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    low, high = (Image.open(io.BytesIO(base64.b64decode(text))) for text in encoded)
    assert (low.getpixel((0, 0)), high.getpixel((0, 0))) == ((0, 0, 0), (255, 255, 255))
    assert high.size == (320, 160)
    text = _text(page)
    assert "1.50 &plusmn; 0.71 spread of ratings 2 ratings" in text
    assert text.index("1.50 &plusmn;") < text.index("7.00 &plusmn;")
    assert "1 of 3 pictures have no file" in text


def test_falls_back_to_words_for_a_picture_that_cannot_be_shown(no_charts: None, tmp_path: Path) -> None:
    """A file that is no image, or one larger than allowed, leaves its card without a picture."""
    (tmp_path / "a.jpg").write_text("no image")
    paths = {"a": tmp_path / "a.jpg", "b": write_photo(tmp_path / "b.jpg")}
    summary = data_summary.of_ratings(make_ratings([("a", "x", 1.0), ("b", "x", 2.0)]))
    page = report.render(title="t", facts={}, summary=summary, paths=paths, max_pixels=10)
    assert page.count("no picture") == 2
    assert "data:image" not in page


def test_reports_on_a_label_file(no_charts: None) -> None:
    """Without people there is no section of them; what can be told is."""
    counts = np.random.default_rng(0).integers(1, 9, (50, 10)).astype(float)
    labels = Labels(tuple(map(str, range(50))), normalise(counts), counts)
    page = report.render(title="t", facts={}, summary=data_summary.of_labels(labels))
    assert "ICC(1,k)" in page
    assert "Ratings per person" not in page
    assert 'id="people"' not in page


def test_reports_on_shares(no_charts: None) -> None:
    """Without counts there is no section on agreement either, and the page says why."""
    labels = Labels(("a", "b"), np.array([[0.25, 0.75], [0.5, 0.5]]), None)
    page = report.render(title="t", facts={}, summary=data_summary.of_labels(labels))
    assert "labels are shares" in page
    assert 'id="agreement"' not in page
    assert "Ratings per picture" not in page


@pytest.mark.parametrize(
    "rows",
    [
        [("a", "x", 3.0)],
        [("a", "x", 3.0), ("b", "x", 4.0), ("c", "x", 4.0)],
        [("a", "x", 3.0), ("a", "y", 4.0), ("a", "z", 4.0)],
        [(i, u, 3.0) for i in "abc" for u in "xyz"],
        [("a", "x", 3.0), ("b", "y", 4.0), ("c", "y", 4.0)],
    ],
    ids=["one rating", "one person", "one picture", "all the same", "nothing shared"],
)
@pytest.mark.slow
def test_reports_on_little(no_charts: None, rows: list[tuple[str, str, float]], tmp_path: Path) -> None:
    """What cannot be told is left out or a dash, in the page as in the picture, without a warning."""
    summary = data_summary.of_ratings(make_ratings(rows))
    page = report.render(title="t", facts={}, summary=summary)
    assert not re.search(r"\bnan\b|\bNone\b(?! of)|\binf\b", _text(page))
    report.write(tmp_path / "r.png", title="t", facts={}, summary=summary)
    with Image.open(tmp_path / "r.png") as picture:
        assert picture.format == "PNG"


@pytest.mark.slow
def test_writes_by_suffix(no_charts: None, summary: Summary, tmp_path: Path) -> None:
    """A page as .html, its charts as .png, whatever the case."""
    report.write(tmp_path / "r.HTML", title="t", facts={}, summary=summary)
    report.write(tmp_path / "r.PNG", title="t", facts={}, summary=summary)
    assert (tmp_path / "r.HTML").read_text("utf-8").startswith("<!doctype html>")
    with Image.open(tmp_path / "r.PNG") as picture:
        assert picture.height > picture.width > 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.HTML", "r.PNG"]
    with pytest.raises(OutputError):
        report.write(tmp_path / "none" / "r.html", title="t", facts={}, summary=summary)


def test_refuses_early_what_a_report_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing package is found before the work."""
    report.require()

    def refuse() -> None:
        raise MissingExtraError

    monkeypatch.setattr(plots, "require_matplotlib", refuse)
    with pytest.raises(MissingExtraError):
        report.require()
